"""Is the symptom really there, and at this one target? Seen in two looks, some seconds apart: a recovery or a stale alert starts nothing.

Pure; two bounds like the others, in a module of their own.
"""

from __future__ import annotations

from datetime import timedelta

from receiver.core.ask import Ask, short
from receiver.core.case import Because, Refusal, Verb
from receiver.core.dedup import hint
from receiver.core.facts import Facts, Hint
from receiver.core.model import TargetRef
from receiver.core.verify import confirmed, unanswered

KINDS = frozenset({"Deployment", "StatefulSet", "DaemonSet"})
LONGEST_ROW = timedelta(minutes=5)
"""A look of longer ago confirms nothing any more."""


def symptom_confirmed(asked: Ask) -> Refusal | None:
    """Seen in two looks, some seconds apart: a recovery or a stale alert starts nothing."""
    newest = asked.facts
    if newest is None:
        raise LookupError("nothing was seen")
    gap = asked.bounds.confirm_gap
    symptom, verification = asked.case.incident.symptom, asked.verification
    if not gap or asked.verb is Verb.uncordon:  # a node that is well again is the reason to uncordon it
        return None
    if not confirmed(newest, symptom, verification):
        untold = unanswered(newest, symptom, verification)
        if untold:
            return asked.refuse(Because.not_confirmed, f"nothing shows the symptom, {untold}", retry_at=newest.at + gap)
        return asked.refuse(Because.not_confirmed, "the live target does not show the symptom", retry_at=newest.at + gap)
    row = _confirmed_row(asked, newest)
    if newest.at - row[-1].at >= gap:
        return None
    return asked.refuse(Because.not_confirmed, f"seen once, a second look is due {short(gap)} after the first", retry_at=row[-1].at + gap)


def _confirmed_row(asked: Ask, newest: Facts) -> list[Facts]:
    """The unbroken row of confirming looks that ends with the newest, newest first: of this episode, and none of long ago."""
    since = max(min((each.since for each in asked.case.alerts if each.firing), default=newest.at), newest.at - LONGEST_ROW)
    row = [newest]
    for each in reversed([each for each in asked.case.facts if each.on == asked.rung.on and each.target == newest.target]):
        if each.at < since or not confirmed(each, asked.case.incident.symptom, asked.verification):
            break
        row.append(each)
    return row


def one_target(asked: Ask) -> Refusal | None:
    """Alerts that joined since it was bound may speak of something else: two targets are none."""
    ref = asked.found[1].ref
    if asked.rung.on:
        return None
    named = {hint(each.alert.labels) for each in asked.case.alerts if each.firing}
    others = sorted({f"{each.kind} {each.name}" for each in named if _another(each, ref)})
    if others:
        return asked.refuse(Because.no_target, f"the alerts point at {', '.join(others)} as well as at {ref.kind} {ref.name}")
    return None


def _another(named: Hint, ref: TargetRef) -> bool:
    if named.platform != ref.platform and named.name:
        return True
    same_cluster = named.platform == "kubernetes" or named.namespace == ref.namespace
    return (named.platform != "kubernetes" or named.kind in KINDS) and not (
        same_cluster and (named.kind, named.name) == (ref.kind, ref.name)
    )
