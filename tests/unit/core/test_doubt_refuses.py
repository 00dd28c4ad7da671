"""What once passed for good enough: a blip that fires again, an old look, a second target, a cure between two crashes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from receiver.core.bounds import check
from receiver.core.case import Attempt, AttemptState, Because, Case, Permit, Verb, Verdict
from receiver.core.model import AlertRecord, Bounds, Target
from receiver.core.verify import settle
from tests.fakes import cases as c

MINUTE = timedelta(minutes=1)


def why(asked: Case) -> list[Because]:
    found = check(asked, 0, c.T0)
    return [] if isinstance(found, Permit) else [each.because for each in found]


def fired_again(ago: timedelta) -> AlertRecord:
    """First heard of 40 min ago, fired anew since."""
    again = c.T0 - ago
    record = c.record(age=2400, flaps=(again,))
    return replace(record, alert=replace(record.alert, starts_at=again))


def test_what_fired_again_a_moment_ago_is_young_whatever_it_did_before() -> None:
    assert why(c.case(alerts=(fired_again(timedelta(seconds=1)),), incident=c.incident(age=2400))) == [Because.alert_too_young]


def test_what_fired_again_is_not_too_old_because_of_what_it_did_before() -> None:
    record = replace(fired_again(5 * MINUTE), first_at=c.T0 - timedelta(hours=3))
    assert Because.alert_too_old not in why(c.case(alerts=(record,)))


@pytest.mark.parametrize("before", [-3 * 3600, -400])
def test_a_look_of_long_ago_confirms_nothing(before: int) -> None:
    assert why(c.case(facts=(c.facts(before), c.facts(0)))) == [Because.not_confirmed]


def test_a_look_of_the_episode_before_confirms_nothing() -> None:
    looks = (c.facts(-200), c.facts(0))
    assert why(c.case(alerts=(fired_again(3 * MINUTE),), facts=looks)) == [Because.not_confirmed]


def test_a_flap_makes_no_symptom_younger_than_the_rollout() -> None:
    undo = c.rule(c.rung(Verb.undo))
    old = c.case(alerts=(fired_again(5 * MINUTE),), rule=undo, incident=c.incident(age=2400))
    assert Because.symptom_before_rollout in why(old)


def test_a_restart_makes_no_program_younger() -> None:
    load = c.workload(revision_at=c.T0 - 10 * MINUTE, program_at=c.T0 - timedelta(days=30))
    assert Because.rollout_too_old in why(c.case(rule=c.rule(c.rung(Verb.undo)), facts=c.twice(workload=load)))


def test_alerts_about_two_workloads_are_about_none() -> None:
    other = c.record("KubeDeploymentReplicasMismatch")
    other = replace(other, alert=replace(other.alert, labels={**other.alert.labels, "deployment": "worker"}))
    asked = c.case(alerts=(c.record(), other))
    assert why(asked) == [Because.no_target]


def _cure(n: int, **changes: Any) -> Attempt:
    at = c.T0 - (30 - 8 * n) * MINUTE
    base = c.attempt(Verb.scale, started_at=at, ended_at=at, verdict_at=at + MINUTE, target=Target(c.REF, f"uid-{n}"))
    return replace(base, incident_id=100 + n, **changes)


def test_taking_back_hides_no_failed_cure_from_the_breaker() -> None:
    row = [
        each
        for n in range(3)
        for each in (
            _cure(n, id=f"x{n}-1", verdict=Verdict.failed, reverted=True),
            _cure(n, id=f"x{n}-2", verdict=Verdict.cured, reverts=f"x{n}-1"),
            _cure(n, id=f"x{n}-3", verdict=Verdict.closed),
        )
    ]
    roomy = c.policy(bounds=c.loose(namespace_bucket=99, global_bucket=99))
    assert Because.breaker in why(c.case(attempts=tuple(row), policy=roomy))


@pytest.mark.parametrize(
    "generation,resource_version,state",
    [
        (6, "101", AttemptState.abandoned),  # landed (5) and was taken back (6), or never came: nobody can tell
        (4, "99", None),
    ],
)
@pytest.mark.parametrize("verb", [Verb.undo, Verb.scale, Verb.restart])
def test_not_applied_is_only_said_when_it_is_proven(verb: Verb, generation: int, resource_version: str, state: AttemptState | None) -> None:
    doubt = c.attempt(verb, state=AttemptState.unknown, age=30)
    seen = c.workload(generation=generation, resource_version=resource_version, template_hash="bad", marks=())
    found = settle(doubt, c.facts(workload=seen), now=c.T0, bounds=Bounds())
    assert (found[0] if found else None) is state


def test_a_version_that_moved_without_a_change_of_the_object_proves_that_it_cannot_land() -> None:
    doubt = c.attempt(Verb.scale, state=AttemptState.unknown, age=30)
    seen = c.workload(generation=4, resource_version="150", marks=())
    found = settle(doubt, c.facts(workload=seen), now=c.T0, bounds=Bounds())
    assert found is not None
    assert found[0] is AttemptState.rejected
