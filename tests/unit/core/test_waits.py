"""A refusal that something may end before its date says what that is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from receiver.core.bounds import check
from receiver.core.case import Attempt, AttemptState, Because, Case, Hold, HoldKind, Permit, Refusal
from receiver.core.model import Bounds
from receiver.core.waits import ACTIONS_FILE, ANY_ATTEMPT, ended_by, hold, in_namespace, on_target, waited_on
from tests.fakes import cases as c

SCOPES = ("namespace:shop", "rule:crash", "service:", f"target:{c.REF.key}", "")


def refused(found: Case) -> tuple[Refusal, ...]:
    answer = check(found, 0, c.T0)
    assert not isinstance(answer, Permit)
    return answer


def elsewhere(uid: str) -> Attempt:
    """Open, of another incident, on this object."""
    return replace(c.attempt(state=AttemptState.applied, age=20), id="other-1", incident_id=8, target=replace(c.TARGET, uid=uid))


@pytest.mark.parametrize("scope", SCOPES)
def test_what_is_frozen_waits_on_that_freeze(scope: str) -> None:
    held = Hold(1, HoldKind.freeze, scope, "r", "ada", c.T0)
    assert waited_on(refused(c.case(holds=(held,)))) == (hold(scope),)


def test_the_kill_switch_and_the_actions_file_are_waited_on() -> None:
    switch = Hold(1, HoldKind.kill_switch, "", "r", "ada", c.T0)
    assert waited_on(refused(c.case(holds=(switch,)))) == (hold(""),)
    assert waited_on(refused(c.case(policy=c.policy(actions_file_ok=False)))) == (ACTIONS_FILE,)


def test_what_is_busy_waits_on_the_end_of_the_attempt_that_makes_it_so() -> None:
    tight = c.policy(bounds=Bounds(global_concurrency=1))
    cases = (
        c.case(attempts=(elsewhere("uid-api"),)),
        c.case(attempts=(elsewhere("uid-web"),)),
        c.case(attempts=(elsewhere("uid-api"),), policy=tight),
    )
    words = [
        {each.waits_on for each in refused(found) if each.because in (Because.namespace_busy, Because.target_busy, Because.global_busy)}
        for found in cases
    ]
    assert words == [{in_namespace("shop")}, {in_namespace("shop"), on_target("uid-web")}, {ANY_ATTEMPT}]
    assert set(ended_by(elsewhere("uid-web"))) >= words[1] | words[2]


def test_what_only_time_ends_waits_on_nothing() -> None:
    young = c.case(alerts=(c.record(age=1),))
    assert refused(young)
    assert waited_on(refused(young)) == ()
