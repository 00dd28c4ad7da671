"""A light look proves or disproves; it permits nothing."""

from __future__ import annotations

from dataclasses import replace

from receiver.core.bounds import check
from receiver.core.case import Because, Permit, Verb
from receiver.core.facts import Facts, Look
from receiver.core.plan import decide
from tests.fakes import cases as c


def light(seen: tuple[Facts, ...]) -> tuple[Facts, ...]:
    """The newest of them by a light look."""
    return (*seen[:-1], replace(seen[-1], light=True))


def test_what_a_full_look_permits_a_light_one_does_not() -> None:
    assert isinstance(check(c.case(), 0, c.T0), Permit)
    refusals = check(c.case(facts=light(c.twice())), 0, c.T0)
    assert not isinstance(refusals, Permit)
    assert [each.because for each in refusals] == [Because.stale_facts]


def test_after_a_light_look_the_ladder_takes_a_full_one() -> None:
    step = decide(c.case(facts=light(c.twice())), c.T0).step
    assert isinstance(step, Look)
    assert not step.light


def test_a_verification_takes_a_light_look() -> None:
    applied = c.attempt(Verb.restart, age=150)
    step = decide(c.case(attempts=(applied,), facts=c.twice(-140)), c.T0).step
    assert isinstance(step, Look)
    assert step.light
