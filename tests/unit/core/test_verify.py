"""Verdicts: what proves a cure, what fails it, and what cannot be told."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from receiver.core.bounds import check
from receiver.core.case import AttemptState, Because, Before, Permit, Verb, Verdict
from receiver.core.classify import breadth_of
from receiver.core.facts import Facts, Foreign, Pods, RolloutState, Sample, SampleState, Trouble
from receiver.core.looks import NO_PROMETHEUS
from receiver.core.model import Bounds, Breadth, BreadthKind, Symptom, Verification
from receiver.core.verify import confirmed, judge, settle, unanswered
from tests.fakes import cases as c

BOUNDS = Bounds()
ROLLOUT = Verification(rollout=True)
QUERY = Verification(query="errors", below=0.05)
UNDONE = {**c.HEALTHY, "template_hash": "good"}


def verdict(verification: Verification = ROLLOUT, *, verb: Verb = Verb.undo, late: bool = False, **changes: Any) -> Verdict:
    attempt = c.attempt(verb, age=60)
    facts = c.facts(**changes)
    now = c.T0 + (BOUNDS.verify_timeout if late else timedelta(0))
    return judge(attempt, facts, verification, now=now, bounds=BOUNDS)[0]


def test_a_complete_rollout_of_the_right_template_is_a_cure() -> None:
    assert verdict(workload=c.workload(**UNDONE)) is Verdict.cured


@pytest.mark.parametrize(
    "asked, firing, expected", [(True, True, Verdict.not_yet), (True, False, Verdict.cured), (False, True, Verdict.cured)]
)
def test_where_the_alarm_is_asked_it_must_be_over(asked: bool, firing: bool, expected: Verdict) -> None:
    seen = c.facts(workload=c.workload(**UNDONE))
    verification = Verification(rollout=True, alarm=asked)
    assert judge(c.attempt(Verb.undo, age=60), seen, verification, now=c.T0, bounds=BOUNDS, firing=firing)[0] is expected


def test_a_change_that_was_taken_back_is_a_failure_that_names_who() -> None:
    foreign = Foreign(c.T0, "argocd-controller", after_revision=True)
    said = judge(c.attempt(Verb.undo), c.facts(workload=c.workload(foreign=foreign)), ROLLOUT, now=c.T0, bounds=BOUNDS)
    assert said[0] is Verdict.failed
    assert "argocd-controller" in said[1]


def test_a_stuck_rollout_fails_at_once() -> None:
    assert verdict(workload=c.workload(**{**UNDONE, "rollout": RolloutState.stuck})) is Verdict.failed


@pytest.mark.parametrize("state", [each for each in SampleState if each is not SampleState.value])
def test_no_answer_is_never_a_cure(state: SampleState) -> None:
    assert verdict(QUERY, workload=c.workload(**UNDONE), samples=(c.sample(None, state=state),)) is Verdict.cannot_tell


def test_no_sample_at_all_cannot_be_told() -> None:
    assert verdict(QUERY, workload=c.workload(**UNDONE)) is Verdict.cannot_tell


@pytest.mark.parametrize("value, expected", [(0.04, Verdict.cured), (0.05, Verdict.not_yet), (0.5, Verdict.not_yet)])
def test_the_number_is_compared_by_us(value: float, expected: Verdict) -> None:
    assert verdict(QUERY, workload=c.workload(**UNDONE), samples=(c.sample(value),)) is expected


def test_a_look_that_saw_nothing_cannot_be_told() -> None:
    assert verdict(workload=None, trouble=Trouble.timeout) is Verdict.cannot_tell


def test_what_is_not_cured_in_its_time_has_failed() -> None:
    assert verdict(QUERY, workload=c.workload(**UNDONE), samples=(c.sample(0.5),), late=True) is Verdict.deadline


def test_a_pod_that_keeps_restarting_is_no_cure_and_one_that_stopped_is() -> None:
    restarted = {**UNDONE, "pods": Pods(total=3, ready=3, restarts=7)}
    attempt = c.attempt(Verb.undo)
    first = judge(attempt, c.facts(workload=c.workload(**restarted)), ROLLOUT, now=c.T0, bounds=BOUNDS)
    assert first[0] is Verdict.not_yet
    for minutes, verdict in ((1, Verdict.not_yet), (5, Verdict.cured)):  # kubelet's longest back-off is 5 min
        again = replace(attempt, after=Before(restarts=7, still_since=c.T0 - timedelta(minutes=minutes)))
        assert judge(again, c.facts(workload=c.workload(**restarted)), ROLLOUT, now=c.T0, bounds=BOUNDS)[0] is verdict
    between = replace(attempt, after=Before(restarts=6, still_since=c.T0 - timedelta(hours=1)))
    assert judge(between, c.facts(workload=c.workload(**restarted)), ROLLOUT, now=c.T0, bounds=BOUNDS)[0] is Verdict.not_yet


def test_a_scale_that_cannot_be_scheduled_fails() -> None:
    scaled = c.workload(replicas=5, available=3, rollout=RolloutState.complete, pods=Pods(total=5, ready=3, unschedulable=2))
    assert verdict(verb=Verb.scale, workload=scaled) is Verdict.failed


UNKNOWN = c.attempt(Verb.scale, state=AttemptState.unknown, age=10, before=Before(replicas=3, resource_version="100", generation=5))


def settled(facts: Facts, *, late: bool = False) -> AttemptState | None:
    now = facts.at + (BOUNDS.late_landing + BOUNDS.verify_timeout if late else timedelta(0))
    found = settle(UNKNOWN, facts, now=now, bounds=BOUNDS)
    return found[0] if found else None


def test_the_mark_on_the_object_proves_applied() -> None:
    assert settled(c.facts(workload=c.workload(marks=(UNKNOWN.id,)))) is AttemptState.applied


def test_the_value_alone_is_taken_for_applied() -> None:
    assert settled(c.facts(workload=c.workload(replicas=5, resource_version="101"))) is AttemptState.applied


def test_a_lost_precondition_proves_that_it_cannot_land_late() -> None:
    assert settled(c.facts(workload=c.workload(resource_version="101"))) is AttemptState.rejected


def test_an_untouched_object_says_nothing_until_no_request_can_live() -> None:
    assert settled(c.facts(workload=c.workload())) is None
    assert settled(c.facts(at=BOUNDS.late_landing.total_seconds(), workload=c.workload())) is AttemptState.rejected


def test_a_look_from_before_the_doubt_says_nothing() -> None:
    assert settled(c.facts(at=-30, workload=c.workload(marks=(UNKNOWN.id,)))) is None


def test_a_target_that_is_gone_ends_the_attempt() -> None:
    assert settled(c.facts(workload=None, trouble=Trouble.replaced)) is AttemptState.abandoned


def test_a_target_that_cannot_be_read_in_time_ends_it_too() -> None:
    assert settled(c.facts(workload=None, trouble=Trouble.forbidden), late=True) is AttemptState.abandoned


def test_a_saturated_but_healthy_workload_is_confirmed_by_its_query_only() -> None:
    healthy = c.workload(**c.HEALTHY)
    symptom = Symptom.saturation
    assert confirmed(c.facts(workload=healthy, samples=(c.sample(0.9),)), symptom, QUERY)
    assert not confirmed(c.facts(workload=healthy, samples=(c.sample(0.01),)), symptom, QUERY)
    assert not confirmed(c.facts(workload=healthy), symptom, QUERY)


UNASKED = Sample("verify", SampleState.error, detail=NO_PROMETHEUS)


def test_a_question_that_nobody_can_be_asked_is_named_by_verdict_refusal_and_impact() -> None:
    undone = c.facts(workload=c.workload(**UNDONE), samples=(UNASKED,))
    found, detail = judge(c.attempt(Verb.undo, age=60), undone, QUERY, now=c.T0, bounds=BOUNDS)
    assert (found, detail) == (Verdict.cannot_tell, f"query: error ({NO_PROMETHEUS})")
    well = c.facts(workload=c.workload(**c.HEALTHY), samples=(UNASKED,))
    sick = c.case(rule=c.rule(c.rung(), verify=QUERY, symptom=Symptom.errors), incident=c.incident(symptom=Symptom.errors), facts=(well,))
    refusals = check(sick, 0, c.T0)
    assert not isinstance(refusals, Permit)
    assert [each.detail for each in refusals if each.because is Because.not_confirmed] == [
        f"nothing shows the symptom, query: error ({NO_PROMETHEUS})"
    ]
    wide = replace(sick.rule, breadth=Breadth(BreadthKind.query, query="share"))
    assert breadth_of(c.facts(samples=(replace(UNASKED, name="breadth"),)), wide) == (None, NO_PROMETHEUS)


def test_a_symptom_that_the_workload_itself_shows_needs_no_answer() -> None:
    found = c.facts(workload=c.workload(**c.HEALTHY), samples=(UNASKED,))
    assert unanswered(found, Symptom.crash, QUERY) == ""
    assert unanswered(found, Symptom.errors, ROLLOUT) == ""
