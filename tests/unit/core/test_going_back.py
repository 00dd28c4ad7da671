"""An undo is never undone: neither back to what was rolled away from, nor on from what it brought back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from receiver.core.bounds import check
from receiver.core.case import Attempt, AttemptState, Because, Refusal, Verb
from receiver.core.facts import UndoPlan
from tests.fakes.cases import T0, attempt, case, rule, rung, twice, workload

OLDER = UndoPlan(revision="0", template_hash="older", known_good=True)


def once(done: Attempt, *, present: str = "good") -> list[Refusal]:
    """What an earlier attempt stands against, where the present template could be left for an older one."""
    seen = workload(template_hash=present, undo=OLDER)
    found = check(case(rule=rule(rung(Verb.undo)), facts=twice(workload=seen), attempts=(done,)), 0, T0)
    return [each for each in found if each.because is Because.already_undone] if isinstance(found, tuple) else []


EARLIER = replace(attempt(Verb.undo, age=7200), incident_id=6)
"""From `bad` to `good`, for another incident."""


def test_what_an_undo_of_ours_brought_back_is_not_left_for_something_older() -> None:
    (refusal,) = once(EARLIER)
    assert refusal.detail == f"attempt {EARLIER.id} has brought the present revision back: nothing older is tried"


def test_a_program_that_came_after_it_may_be_undone() -> None:
    assert once(EARLIER, present="newer") == []


@pytest.mark.parametrize("state", [AttemptState.shadow, AttemptState.rejected])
def test_an_undo_that_changed_nothing_stands_against_nothing(state: AttemptState) -> None:
    assert once(replace(EARLIER, state=state)) == []
