"""What a page says: one line that wakes a person with the point, and the proof beneath it, all of it bounded.

Law: a page is never lost for its words: a part that cannot be worded says so in its place, and the rest goes out. Called when a raise is
told (again), and when it is over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from receiver.core.case import AttemptState, Because, Case, Decision, Judge, Refusal
from receiver.core.escalation import SEVERITY
from receiver.core.facts import Evidence
from receiver.core.model import OWN_SOURCE, Mode
from receiver.core.page import PageText
from receiver.core.wording import by_hand, resting, sections
from receiver.core.wording.because import because_text
from receiver.core.wording.commands import Suggestion, look_command, ours, suggest
from receiver.core.wording.details import detail_text
from receiver.core.wording.evidence import evidence_parts
from receiver.core.wording.links import page_links
from receiver.core.wording.say import Tongue, began, clean, component, doing, namespace, rfc3339, some, tongue
from receiver.core.wording.sentences import judged, short_ids, telling, why_text
from receiver.core.wording.troubles import Trouble, trouble_text

SUMMARY_LIMIT = 1_024
"""PagerDuty's, in characters (`protocols.md` 4.1)."""
POINT_LIMIT = 400
"""Of the summary's own point: telephones read about so much aloud."""
FIELD_LIMIT = 200
DETAILS_LIMIT = 30_000
"""Bytes of all details as JSON in ASCII: far below PagerDuty's 512 KB, since a person reads it on a phone."""

Value = str | list[str]
_FAULTS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What wrong words can raise: then the part says so, and the page still goes out."""

_OPEN = frozenset({Because.all_refused, Because.deadline, Because.waiting_bound, Because.fires_again, Because.priority_rose})
"""Reasons that leave open why nothing was done: the first refusal says it."""


def page_text(case: Case, decision: Decision, *, evidence: Sequence[Evidence], now: datetime) -> PageText:
    """Total: whatever the alerts hold. The same case, decision and time give the same text."""
    say = tongue(case)
    own = _own_trouble(case)
    parts = _own_parts(case, own, say, now) if own is not None else _parts(case, decision, say, now)
    details = {title: _worded(part, say) for title, part in parts.items()}
    details |= evidence_parts(evidence, say)
    point = _worded(lambda: _own_point(case, own, say) if own is not None else _point(case, decision, say, now), say)
    return _text(case, short_ids(str(point), case), details=details, links=page_links(case, now))


def resolve_text(case: Case) -> PageText:
    """The raise is over: what was tried, and where to read on."""
    say = tongue(case)
    parts: dict[str, Callable[[], Value]] = {
        say("tried", "tenté"): lambda: sections.tried(case, say),
        say("read on", "pour en savoir plus"): lambda: ours("show", str(case.incident.id)),
    }
    details = {title: _worded(part, say) for title, part in parts.items()}
    return _text(case, say("over", "terminé"), details=details, links=())


def _text(case: Case, point: str, *, details: Mapping[str, Value], links: tuple[tuple[str, str], ...]) -> PageText:
    place = namespace(case)
    what = component(case) or clean(case.incident.title, limit=FIELD_LIMIT)
    head = f"[{case.policy.naming.show(case.incident.priority)}] {what}{f' ({place})' if place else ''}: {_names(case)}"
    return PageText(
        summary=clean(f"{head} — {clean(point, limit=POINT_LIMIT)}", limit=SUMMARY_LIMIT),
        severity=SEVERITY[case.incident.priority],
        source=clean(case.policy.cluster, limit=FIELD_LIMIT) or "receiver",
        component=what,
        group=place,
        kind=case.incident.symptom.value,
        details=bounded({title: _short(value, case) for title, value in details.items()}),
        links=links,
        at=rfc3339(began(case)),
    )


def _short(value: Value, case: Case) -> Value:
    return short_ids(value, case) if isinstance(value, str) else [short_ids(each, case) for each in value]


def _names(case: Case) -> str:
    """The alerts by name, each once, those that fire first."""
    ordered = sorted(case.alerts, key=lambda each: not each.firing)
    names = list(dict.fromkeys(clean(each.alert.name, limit=80) for each in ordered if each.alert.name))
    own = _own_trouble(case)
    if own is not None:
        return trouble_text(own, case.policy.locale).title
    return some(names, tongue(case), most=2) or clean(case.incident.title, limit=FIELD_LIMIT)


def _worded(part: Callable[[], Value], say: Tongue) -> Value:
    try:
        return part()
    except _FAULTS as fault:
        return say(f"could not be worded: {type(fault).__name__}", f"n'a pas pu être rédigé : {type(fault).__name__}")


# --- an incident of others -----------------------------------------------------------------------------------------------


def _point(case: Case, decision: Decision, say: Tongue, now: datetime) -> str:
    """Why a person is called, as one clause: `rollout_undo refused: the target's state forbids it (hpa: …)`."""
    if isinstance(decision.step, Judge):
        return judged(decision.step.attempt, say)
    if decision.because in (Because.observe_mode, Because.needs_approval):
        return _said(case, say) or why_text(decision, say)
    if decision.because is Because.priority_one:
        return "; ".join(each for each in (why_text(decision, say), sections.meanwhile(case, say, now)) if each)
    if decision.because is Because.dependency_down:
        return resting.point(case, say) or why_text(decision, say)
    refusals = telling(decision.refusals)
    if refusals and decision.because in _OPEN:
        return _refused(refusals, say)
    last = [each for each in case.own_attempts if each.verdict is not None and each.verdict.final and not each.reverts]
    if last and decision.because in (Because.ladder_ended, Because.not_cured, Because.deadline):
        return judged(last[-1], say)
    return why_text(decision, say)


def _said(case: Case, say: Tongue) -> str:
    """What observe would have run, or what waits for a yes; empty when nothing was said yet."""
    said = [each for each in case.own_attempts if each.state is AttemptState.shadow]
    if not said:
        return ""
    what = doing(said[-1], say)
    if said[-1].mode is Mode.approve:
        return say(f"needs your approval: {what}", f"à approuver : {what}")
    return say(f"observe mode, it would have run {what}", f"mode observation, aurait exécuté {what}")


def _refused(refusals: Sequence[Refusal], say: Tongue) -> str:
    """The first that does not end by waiting, else the first."""
    first = next((each for each in refusals if each.retry_at is None), refusals[0])
    verb = clean(first.action.rpartition(".")[2], limit=60)
    why = because_text(first.because, say.locale)
    detail = f" ({detail_text(clean(first.detail), say.locale)})" if first.detail else ""
    return say(f"{verb} refused: {why}{detail}", f"{verb} refusé : {why}{detail}")


def _parts(case: Case, decision: Decision, say: Tongue, now: datetime) -> dict[str, Callable[[], Value]]:
    """In the order in which a person needs them. An empty part is left out later."""
    naming = case.policy.naming
    return {
        say("why you", "pourquoi vous"): lambda: why_text(decision, say),
        say("rests on", "dépend de"): lambda: resting.rests_on(case, say),
        say("wait on it", "en attente"): lambda: resting.waiting(case, say),
        say("next command", "prochaine commande"): lambda: _suggested(case, decision, now).command,
        say("takes it back", "pour revenir en arrière"): lambda: _suggested(case, decision, now).reverse,
        say("meanwhile", "pendant ce temps"): lambda: sections.meanwhile(case, say, now),
        say("refused", "refusé"): lambda: sections.refused(decision, say),
        say("tried", "tenté"): lambda: sections.tried(case, say),
        say("prepared", "préparé"): lambda: sections.prepared(case, say),
        say("still to take back", "reste à annuler"): lambda: by_hand.standing_lines(case, say),
        say("by hand", "à la main"): lambda: by_hand.suggested_lines(case, say, now),
        say("fires", "alertes"): lambda: sections.fired(case, say),
        say("since", "depuis"): lambda: sections.since(case, say, now),
        say("priority", "priorité"): lambda: sections.priority(case.incident, naming.show(case.incident.priority), say),
        say("target", "cible"): lambda: sections.found(case, say),
        say("seen", "constaté"): lambda: sections.seen(case, say),
        say("people only", "réservé aux personnes"): lambda: detail_text(clean(case.incident.no_action), say.locale),
        say("read on", "pour en savoir plus"): lambda: ours("show", str(case.incident.id)),
    }


def _suggested(case: Case, decision: Decision, now: datetime) -> Suggestion:
    try:
        return suggest(case, decision, now=now)
    except _FAULTS:
        return Suggestion(look_command(case))


# --- our own -------------------------------------------------------------------------------------------------------------


def _own_trouble(case: Case) -> str | None:
    """Its kind, where the incident is about ourselves."""
    if case.incident.source != OWN_SOURCE:
        return None
    return next((each.alert.labels.get("kind", "") for each in case.alerts), "")


def _own_point(case: Case, kind: str, say: Tongue) -> str:
    subject, detail = _own_words(case)
    words = f"{subject}{say.colon}{detail}" if subject and detail else subject or detail
    return words or trouble_text(kind, say.locale).meaning


def _own_words(case: Case) -> tuple[str, str]:
    """What it is about, and what was reported last."""
    alerts = sorted((each.alert for each in case.alerts), key=lambda each: each.received_at)
    newest = alerts[-1] if alerts else None
    return (clean(newest.labels.get("subject", "")), clean(newest.annotations.get("detail", ""))) if newest else ("", "")


def _own_parts(case: Case, kind: str, say: Tongue, now: datetime) -> dict[str, Callable[[], Value]]:
    trouble: Trouble = trouble_text(kind, say.locale)
    subject, detail = _own_words(case)
    return {
        say("what it means", "ce que cela signifie"): lambda: trouble.meaning,
        say("what to do", "que faire"): lambda: trouble.to_do,
        say("about", "concerne"): lambda: subject,
        say("reported", "signalé"): lambda: detail,
        say("since", "depuis"): lambda: sections.since(case, say, now),
        say("next command", "prochaine commande"): lambda: look_command(case),
    }


# --- within bounds -------------------------------------------------------------------------------------------------------


def bounded(details: Mapping[str, Value], *, limit: int = DETAILS_LIMIT) -> dict[str, Value]:
    """Without empty parts, and cut from the end (the least needed) where all of it would be too much."""
    left = limit
    kept: dict[str, Value] = {}
    for title, value in details.items():
        if not value:
            continue
        left -= weight(title) + 4
        lines = [value] if isinstance(value, str) else value
        fitting: list[str] = []
        for line in lines:
            left -= weight(line) + 4
            if left < 0:
                break
            fitting.append(line)
        if fitting:
            kept[title] = fitting[0] if isinstance(value, str) else fitting
        if left < 0:
            break
    return kept


def weight(text: str) -> int:
    """Bytes of the text in JSON at most, whatever the encoder escapes."""
    return sum(1 if " " <= each <= "~" and each not in '"\\' else 6 if each <= "\uffff" else 12 for each in text)
