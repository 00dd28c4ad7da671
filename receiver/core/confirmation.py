"""Is the symptom really there? Seen in two looks, some seconds apart: a recovery or a stale alert starts nothing.

Pure; a bound like the others, in a module of its own.
"""

from __future__ import annotations

from receiver.core.ask import Ask, short
from receiver.core.case import Because, Refusal, Verb
from receiver.core.facts import Facts
from receiver.core.verify import confirmed


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
        return asked.refuse(Because.not_confirmed, "the live target does not show the symptom", retry_at=newest.at + gap)
    earlier = [
        each for each in asked.case.facts if each.on == asked.rung.on and each.target == newest.target and newest.at - each.at >= gap
    ]
    if earlier and confirmed(earlier[-1], symptom, verification):
        return None
    first = _first_confirmed(asked, newest)
    return asked.refuse(Because.not_confirmed, f"seen once, a second look is due {short(gap)} after the first", retry_at=first.at + gap)


def _first_confirmed(asked: Ask, newest: Facts) -> Facts:
    """The oldest look of the unbroken row of confirming ones that ends with the newest."""
    first = newest
    for each in reversed([each for each in asked.case.facts if each.on == asked.rung.on and each.target == newest.target]):
        if not confirmed(each, asked.case.incident.symptom, asked.verification):
            break
        first = each
    return first
