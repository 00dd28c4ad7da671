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
from receiver.core.dedup import hint, plain
from receiver.core.escalation import deadline, urgent
from receiver.core.facts import Look, Want
from receiver.core.ladder import climb
from receiver.core.looks import can_look, look
from receiver.core.model import Alert, AlertRecord, Batch, Incident, Mode
from receiver.core.model import Refusal as ParseRefusal
from receiver.core.plan import decide
from receiver.core.rules import RuleSet
from receiver.core.wording import sentence
from receiver.core.wording.by_hand import AIMED, suggested
from receiver.core.wording.say import Tongue, tongue
from receiver.core.wording.sections import fired, level_text, reason_text
from receiver.core.wording.sentences import refusal_text
from receiver.engine.entries import Words
from receiver.engine.folding import Folding, Judge, wanted
from receiver.ports import FoldedIncident, Source

FIRED_FOR = timedelta(minutes=3)
"""How long the alerts are taken to have fired: longer than the bound on an alert's age."""
STARTED = timedelta(hours=1)
INSTALLATION = "0" * 32
STATEFUL = "StatefulSet"
_VERBS = {
    "observe": ("would be said, not done", "serait annoncé, pas exécuté"),
    "approve": ("would wait for a person's approval", "attendrait l'accord d'une personne"),
    "auto": ("would run", "serait exécuté"),
}


@dataclass(frozen=True, slots=True)
class Explained:
    """One incident that the body would open, in words and as JSON values."""

    sentence: str
    lines: tuple[str, ...]
    data: Mapping[str, object]
    refused: bool = False
    """The delivery as a whole."""


def explain(body: bytes, *, source: Source, ruleset: RuleSet, policy: Policy, now: datetime) -> tuple[Explained, ...]:
    """Never raises for a body: what cannot be read is explained as well."""
    say = Tongue(policy.locale)
    batch = source.parse(body, now)
    if isinstance(batch, ParseRefusal):
        what = f"{batch.path}: {batch.reason}"
        text = say(
            f"Refused with 400: {what}. The sender drops it; a P2 about the refused delivery would be opened.",
            f"Refusé avec 400 : {what}. L'émetteur le jette ; un P2 sur la livraison refusée serait ouvert.",
        )
        return (Explained(text, (), {"refused": batch.reason, "path": batch.path}, refused=True),)
    judge = Judge(ruleset)
    unread = _unread(batch, say)
    unproven = tuple(_not_over(each, say) for each in batch.alerts if each.unproven)
    alerts = [_as_if_new(each, now) for each in batch.alerts if not each.unproven]
    beats = tuple(_not_an_incident(each, judge, say) for each in alerts if _quiet(each, judge))
    return (*unread, *unproven, *beats, *_incidents([each for each in alerts if not _quiet(each, judge)], judge, policy, now))


def _unread(batch: Batch, say: Tongue) -> tuple[Explained, ...]:
    unread = say("Unreadable, kept for a person and paged: ", "Illisible, conservé pour une personne et signalé : ")
    found = [f"{unread}{each.path}: {each.reason}" for each in batch.rejected[:20]]
    if batch.odd_version is not None:
        version = repr(plain(batch.odd_version, limit=40))
        found.append(
            say(
                f"Payload version {version} is not known: its alerts are paged, never acted on.",
                f"Version de message {version} inconnue : ses alertes appellent une personne, rien n'est exécuté.",
            )
        )
    if batch.truncated:
        found.append(
            say(
                f"{batch.truncated} alerts were left out by the sender: nothing is concluded from what is absent.",
                f"{batch.truncated} alertes omises par l'émetteur : rien n'est conclu de ce qui manque.",
            )
        )
    if not batch.usable:
        found.append(say("Refused with 422: nothing in it could be read.", "Refusé avec 422 : rien n'a pu y être lu."))
    if batch.usable and not batch.alerts:
        found.append(say("Accepted; it says nothing to anybody (a test, or an ignored word).", "Accepté ; il ne dit rien à personne."))
    return tuple(Explained(each, (), {"note": each}, refused=not batch.usable) for each in found)


def _quiet(alert: Alert, judge: Judge) -> bool:
    rule = judge.judge(alert).rule
    return rule.heartbeat is not None or rule.ignore


def _not_an_incident(alert: Alert, judge: Judge, say: Tongue) -> Explained:
    rule = judge.judge(alert).rule
    name = plain(alert.name, limit=100)
    if rule.ignore:
        text = say(
            f"{name}: rule {rule.name} ignores it; it is counted and nothing else happens.",
            f"{name} : la règle {rule.name} l'ignore ; elle est comptée et rien d'autre ne se passe.",
        )
    else:
        gap = short(rule.heartbeat.every) if rule.heartbeat else ""
        text = say(
            f"{name}: a heartbeat (rule {rule.name}). Firing is good news; three missed beats of {gap} would page as a P2.",
            f"{name} : un signal de vie (règle {rule.name}). Actif, tout va bien ; trois signaux manqués de {gap} appelleraient en P2.",
        )
    return Explained(text, (), {"rule": rule.name, "alert": name})


def _not_over(alert: Alert, say: Tongue) -> Explained:
    name, why = plain(alert.name, limit=100), plain(alert.unproven, limit=100)
    text = say(
        f"{name}: ended without a recovery ({why}). An incident that it belongs to stays open; without one nothing happens.",
        f"{name} : terminée sans rétablissement ({why}). L'incident dont elle relève reste ouvert ; sans incident rien ne se passe.",
    )
    return Explained(text, (), {"alert": name, "unproven": why})


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
    page = _page(case, now)
    by_hand = _by_hand(case, now)
    say, cell = tongue(case), incident.classification
    impact, urgency = (level_text(axis, level, say) for axis, level in (("impact", cell.impact), ("urgency", cell.urgency)))
    shown = policy.naming.show(cell.priority)
    rule = f"{case.rule.name}" + (f" ({case.rule.file}:{case.rule.line})" if case.rule.file else "")
    lines = (
        *fired(case, say),
        *(reason_text(each, say) for each in cell.trace),
        say(f"cell: impact {impact} x urgency {urgency} = {shown}", f"cellule : impact {impact} x urgence {urgency} = {shown}"),
        say(f"rule: {rule}", f"règle : {rule}"),
        say(f"group key: {incident.group_key}", f"clé de groupe : {incident.group_key}"),
        *rungs,
        *(say(f"would read: {each}", f"lirait : {each}") for each in reads),
        page,
        *(say(f"would suggest: {each}", f"suggérerait : {each}") for each in by_hand),
        say(f"first step: {sentence(decision, case)}", f"première étape : {sentence(decision, case)}"),
    )
    return Explained(_told(case, rungs, reads, page), lines, _data(case, rungs, reads, page, decision.because.value, now))


def _resolved(case: Case) -> Explained:
    say, title = tongue(case), case.incident.title
    text = say(
        f"{title}: over. It would resolve the incident it belongs to; without one nothing happens, and nobody is paged.",
        f"{title} : terminée. Elle clorait l'incident dont elle relève ; sans incident rien ne se passe, et personne n'est appelé.",
    )
    return Explained(text, tuple(fired(case, say)), {"resolved": True, "rule": case.rule.name})


def _told(case: Case, rungs: list[str], reads: tuple[str, ...], page: str) -> str:
    say, shown = tongue(case), case.policy.naming.show(case.incident.priority)
    rule = say(f"rule {case.rule.name}", f"règle {case.rule.name}")
    head = f"{shown} {case.incident.title} ({rule}, {_count(case.alerts, say)})"
    if not rungs:
        return say(f"{head}: no action is listed for it, so it is only paged. {page}", f"{head} : aucune action prévue, appel seul. {page}")
    then = say("It would look at the target first; then", "La cible serait d'abord observée ; puis") if reads else say("Then", "Ensuite")
    return f"{head}. {then}{say.colon}{'; '.join(rungs)}. {page}"


def _count(records: tuple[AlertRecord, ...], say: Tongue) -> str:
    many = len(records)
    return say("1 alert", "1 alerte") if many == 1 else say(f"{many} alerts", f"{many} alertes")


def _rung(case: Case, index: int, now: datetime) -> str:
    rung, say = case.rule.remediate[index], tongue(case)
    refusals = refused_without_look(case, index, now)
    name = say(f"{rung.action} on {rung.on}", f"{rung.action} sur {rung.on}") if rung.on else rung.action
    if refusals:
        return say(f"{name} is refused: {_refusals(refusals, case)}", f"{name} serait refusé : {_refusals(refusals, case)}")
    mode = _mode(case, index, now).value
    verb = say(*_VERBS[mode])
    return say(
        f"{name} {verb} (mode {mode}), if the bounds that need a look allow it",
        f"{name} {verb} (mode {mode}), si les limites qui demandent un relevé le permettent",
    )


def _mode(case: Case, index: int, now: datetime) -> Mode:
    """As the bounds have it; of a StatefulSet, which always asks, it is told from the alert's labels or the catalogue already."""
    asked, service = ask(case, index, now), case.services.get(case.rule.remediate[index].on or case.incident.service)
    named = {hint(each.alert.labels).kind for each in case.alerts} if not asked.rung.on else set()
    known = {each.kind for each in service.targets} if service is not None else set()
    return asked.mode.capped(Mode.approve) if STATEFUL in named | known else asked.mode


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
        if each.node:
            found.append(f"node/{each.node}")
            continue
        named = f"{each.kind}/{each.name}" if each.name else f"pod/{each.pod}" if each.pod else f"service/{each.service or each.hpa}"
        found.append(f"{each.namespace or '(no namespace)'} {named}")
    return tuple(found) if Want.target in asked.wants else ()


def _by_hand(case: Case, now: datetime) -> tuple[str, ...]:
    """Prepared commands, and what they would lack once the target is known."""
    found = []
    for each in suggested(case, now):
        gaps = [gap for gap in each.gaps if gap.partition(":")[0] not in AIMED | {"NODE"}]
        found.append(f"{each.name}, {each.title}" + (f" ({'; '.join(gaps)})" if gaps else ""))
    return tuple(found)


def _page(case: Case, now: datetime) -> str:
    """By the same questions as `decide`: P1 and P2 do not wait once nothing can be done here, P3 and P4 keep their time."""
    say, gap = tongue(case), deadline(case) - case.incident.accepted_at
    hopeless = climb(case, now).hopeless
    if not gap or (hopeless and urgent(case)):
        return say("The page goes out at once.", "L'appel part tout de suite.")
    sooner = say(", or at once when nothing can be done here", ", ou tout de suite si rien ne peut être fait ici") if urgent(case) else ""
    return say(
        f"The page goes out {short(gap)} after acceptance{sooner}, unless it is over before.",
        f"L'appel part {short(gap)} après la réception{sooner}, sauf guérison ou fin d'ici là.",
    )


def _data(case: Case, rungs: list[str], reads: tuple[str, ...], page: str, because: str, now: datetime) -> dict[str, object]:
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
        "prepared": [each.name for each in suggested(case, now)],
        "page": page,
        "because": because,
        "alerts": len(case.alerts),
    }
