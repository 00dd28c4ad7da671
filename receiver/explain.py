"""`receiver explain FILE`: one webhook body → which rule, which matrix cell, which bounds, which step, and why.

Assumes an empty ledger and a start long ago, and judges the alerts as if they had just fired, so that an old sample still tells what would
happen tonight. Offline: it lists what it would read instead of reading. Called by the CLI.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from receiver.core.ask import ask, short
from receiver.core.bounds import refused_without_look
from receiver.core.case import Case, Policy, Refusal
from receiver.core.dedup import plain
from receiver.core.escalation import deadline
from receiver.core.facts import Look, Want
from receiver.core.looks import can_look, look
from receiver.core.model import Alert, AlertRecord, Batch, Incident
from receiver.core.model import Refusal as ParseRefusal
from receiver.core.plan import decide
from receiver.core.rules import RuleSet
from receiver.core.wording import sentence
from receiver.core.wording.say import tongue
from receiver.core.wording.sections import fired
from receiver.core.wording.sentences import refusal_text
from receiver.engine.entries import Words
from receiver.engine.folding import Folding, Judge, wanted
from receiver.ports import FoldedIncident, Source

FIRED_FOR = timedelta(minutes=3)
"""How long the alerts are taken to have fired: longer than the bound on an alert's age."""
STARTED = timedelta(hours=1)
INSTALLATION = "0" * 32


@dataclass(frozen=True, slots=True)
class Explained:
    """One incident that the body would open, in words and as JSON values."""

    sentence: str
    lines: tuple[str, ...]
    data: Mapping[str, object]


def explain(body: bytes, *, source: Source, ruleset: RuleSet, policy: Policy, now: datetime) -> tuple[Explained, ...]:
    """Never raises for a body: what cannot be read is explained as well."""
    batch = source.parse(body, now)
    if isinstance(batch, ParseRefusal):
        text = f"Refused with 400: {batch.path}: {batch.reason}. The sender drops it; a P2 about the refused delivery would be opened."
        return (Explained(text, (), {"refused": batch.reason, "path": batch.path}),)
    judge = Judge(ruleset)
    unread = _unread(batch)
    alerts = [_as_if_new(each, now) for each in batch.alerts]
    beats = tuple(_not_an_incident(each, judge) for each in alerts if _quiet(each, judge))
    return (*unread, *beats, *_incidents([each for each in alerts if not _quiet(each, judge)], judge, policy, now))


def _unread(batch: Batch) -> tuple[Explained, ...]:
    found = [f"Unreadable, kept for a person and paged: {each.path}: {each.reason}" for each in batch.rejected[:20]]
    if batch.odd_version is not None:
        found.append(f"Payload version {plain(batch.odd_version, limit=40)!r} is not known: its alerts are paged, never acted on.")
    if batch.truncated:
        found.append(f"{batch.truncated} alerts were left out by the sender: nothing is concluded from what is absent.")
    return tuple(Explained(each, (), {"note": each}) for each in found)


def _quiet(alert: Alert, judge: Judge) -> bool:
    rule = judge.judge(alert).rule
    return rule.heartbeat is not None or rule.ignore


def _not_an_incident(alert: Alert, judge: Judge) -> Explained:
    rule = judge.judge(alert).rule
    name = plain(alert.name, limit=100)
    if rule.ignore:
        text = f"{name}: rule {rule.name} ignores it; it is counted and nothing else happens."
    else:
        gap = short(rule.heartbeat.every) if rule.heartbeat else ""
        text = f"{name}: a heartbeat (rule {rule.name}). Firing is good news; three missed beats of {gap} would page as a P2."
    return Explained(text, (), {"rule": rule.name, "alert": name})


def _as_if_new(alert: Alert, now: datetime) -> Alert:
    start = now - FIRED_FOR
    over = alert.ends_at is not None
    return replace(alert, starts_at=start, ends_at=now if over else None, received_at=now if over else start)


def _incidents(alerts: list[Alert], judge: Judge, policy: Policy, now: datetime) -> tuple[Explained, ...]:
    words = Words(policy.locale, policy.naming)
    folding = Folding(judge, {}, now=now, words=words)
    pairs = [(each, judge.judge(each)) for each in alerts]
    wanted(pairs)
    over = [each for each, _ in pairs if each.ends_at is not None]
    for alert, judged in pairs:
        folding.add(replace(alert, ends_at=None) if alert.ends_at is not None else alert, judged)
    resolved = {each.fingerprint for each in over}
    return tuple(_explained(each, resolved, judge.ruleset, policy, now) for each in folding.results())


def _explained(folded: FoldedIncident, resolved: set[str], ruleset: RuleSet, policy: Policy, now: datetime) -> Explained:
    records = tuple(replace(each, resolved_at=now) if each.alert.fingerprint in resolved else each for each in folded.records)
    incident = replace(folded.incident, id=1, accepted_at=now - FIRED_FOR)
    base = replace(policy, started_at=now - STARTED, installation=INSTALLATION)
    case = Case(incident=incident, alerts=records, rule=ruleset.rule(incident.rule), policy=base, services=ruleset.services)
    if not case.firing:
        return _resolved(case)
    decision = decide(case, now)
    rungs = [_rung(case, index, now) for index in range(len(case.rule.remediate))]
    reads = _reads(case, now)
    page = _page(case)
    cell = incident.classification
    lines = (
        *fired(case, tongue(case)),
        *(f"{each.axis} {each.level}: {each.by} ({plain(each.detail)})" for each in cell.trace),
        f"cell: impact {cell.impact} x urgency {cell.urgency} = {policy.naming.show(cell.priority)}",
        f"rule: {case.rule.name}" + (f" ({case.rule.file}:{case.rule.line})" if case.rule.file else ""),
        f"group key: {incident.group_key}",
        *rungs,
        *(f"would read: {each}" for each in reads),
        page,
        f"first step: {sentence(decision, case)}",
    )
    return Explained(_told(case, rungs, reads, page), lines, _data(case, rungs, reads, page, decision.because.value))


def _resolved(case: Case) -> Explained:
    text = f"{case.incident.title}: over. It would resolve the incident it belongs to; without one nothing happens, and nobody is paged."
    return Explained(text, tuple(fired(case, tongue(case))), {"resolved": True, "rule": case.rule.name})


def _told(case: Case, rungs: list[str], reads: tuple[str, ...], page: str) -> str:
    shown = case.policy.naming.show(case.incident.priority)
    head = f"{shown} {case.incident.title} (rule {case.rule.name}, {_count(case.alerts)})"
    if not rungs:
        return f"{head}: no action is listed for it, so it is only paged. {page}"
    first = "It would look at the target first; then" if reads else "Then"
    return f"{head}. {first}: {'; '.join(rungs)}. {page}"


def _count(records: tuple[AlertRecord, ...]) -> str:
    return "1 alert" if len(records) == 1 else f"{len(records)} alerts"


def _rung(case: Case, index: int, now: datetime) -> str:
    rung = case.rule.remediate[index]
    refusals = refused_without_look(case, index, now)
    name = f"{rung.action} on {rung.on}" if rung.on else rung.action
    if refusals:
        return f"{name} is refused: {_refusals(refusals, case)}"
    mode = ask(case, index, now).mode
    verb = {"observe": "would be said, not done", "approve": "would wait for a person's approval", "auto": "would run"}[mode.value]
    return f"{name} {verb} (mode {mode}), if the bounds that need a look allow it"


def _refusals(refusals: tuple[Refusal, ...], case: Case) -> str:
    return "; ".join(refusal_text(each, tongue(case)) for each in refusals)


def _reads(case: Case, now: datetime) -> tuple[str, ...]:
    if not can_look(case):
        return ()
    asked = look(case, now)
    return (*_targets(asked), *(f"{each.name}: {each.query or each.url}" for each in asked.questions))


def _targets(asked: Look) -> tuple[str, ...]:
    found = [asked.ref.key] if asked.ref else []
    for each in asked.hints:
        named = f"{each.kind}/{each.name}" if each.name else f"pod/{each.pod}" if each.pod else f"service/{each.service or each.hpa}"
        found.append(f"{each.namespace or '(no namespace)'} {named}")
    return tuple(found) if Want.target in asked.wants else ()


def _page(case: Case) -> str:
    gap = deadline(case) - case.incident.accepted_at
    when = "at once" if not gap else f"{short(gap)} after acceptance, or at once when nothing can be done here"
    return f"The page goes out {when}, unless it is cured or resolved before." if gap else "The page goes out at once."


def _data(case: Case, rungs: list[str], reads: tuple[str, ...], page: str, because: str) -> dict[str, object]:
    incident: Incident = case.incident
    return {
        "title": incident.title,
        "priority": case.policy.naming.show(incident.priority),
        "impact": incident.classification.impact.value,
        "urgency": incident.classification.urgency.value,
        "trace": [f"{each.axis} {each.level}: {each.by} ({each.detail})" for each in incident.classification.trace],
        "rule": case.rule.name,
        "group_key": incident.group_key,
        "actions": rungs,
        "reads": list(reads),
        "page": page,
        "because": because,
        "alerts": len(case.alerts),
    }
