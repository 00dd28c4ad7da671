"""What an ECS service shows of an attempt, and what the bounds make of one."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from receiver.core import offers
from receiver.core.bounds import check
from receiver.core.case import Attempt, AttemptState, Because, Before, Case, Parameters, Permit, Refusal, Verb, Verdict
from receiver.core.deployments import FAILED_TASKS
from receiver.core.facts import Foreign, Pods, RolloutState, UndoPlan, Workload
from receiver.core.model import Bounds, Mode, Remediation, Target, TargetRef, Verification
from receiver.core.verify import after, judge, settle, verify_limit
from tests.fakes import cases as c

REF = TargetRef("ecs", "default", "app-cluster", "Service", "web")
TARGET = Target(REF, "arn:aws:ecs:eu-west-1:111122223333:service/app-cluster/web@2026-01-01T00:00:00Z")
PLACE = frozenset({"ecs/app-cluster"})
OLD, OURS, FOREIGN = "ecs-svc/1", "ecs-svc/2", "ecs-svc/3"
LABELS = {"alertname": "web-5xx", "dimension_ClusterName": "app-cluster", "dimension_ServiceName": "web"}
NAMES = {Verb.scale: "ecs.desired_count", Verb.restart: "ecs.new_deployment", Verb.undo: "ecs.previous_task_definition"}


def service(**changes: Any) -> Workload:
    """Four tasks of the good task definition, at rest."""
    base = c.workload(
        **c.HEALTHY, kind="Service", replicas=4, generation=0, template_hash="good", deployment=OLD, revision_at=c.T0 - timedelta(hours=2)
    )
    return replace(replace(base, available=4, ready=4, resource_version=OLD), **changes)


def attempt(verb: Verb, **changes: Any) -> Attempt:
    before = Before(replicas=4, available=2, template_hash="bad" if verb is Verb.undo else "good", deployment=OLD, resource_version=OLD)
    wanted = {Verb.scale: Parameters(replicas=6), Verb.undo: Parameters(template_hash="good", revision="web:1")}.get(verb, Parameters())
    return c.attempt(verb, target=TARGET, action=NAMES[verb], before=before, **{"parameters": wanted, **changes})


def seen(load: Workload, at: float = 0) -> Any:
    return c.facts(at, target=TARGET, workload=load)


def verdict(one: Attempt, load: Workload) -> Verdict:
    return judge(one, seen(load), Verification(rollout=True), now=c.T0, bounds=Bounds())[0]


def twice(one: Attempt, load: Workload) -> Verdict:
    """After a look that saw the same."""
    return verdict(replace(one, after=after(one, seen(load, -15))), load)


@pytest.mark.parametrize(
    "verb,made,load",
    [
        (Verb.scale, "", {"replicas": 6, "available": 6}),
        (Verb.restart, OURS, {"deployment": OURS}),
        (Verb.undo, OURS, {"deployment": OURS}),
        (Verb.undo, "", {"deployment": FOREIGN}),
    ],
)
def test_it_takes_two_agreeing_looks_to_be_cured(verb: Verb, made: str, load: dict[str, Any]) -> None:
    one, good = attempt(verb, made=made), replace(service(), **load)
    assert verdict(one, good) is Verdict.not_yet
    assert twice(one, good) is Verdict.cured
    assert verdict(replace(one, after=after(one, seen(replace(good, deployment="ecs-svc/9")))), good) is Verdict.not_yet
    assert verdict(replace(one, after=after(one, seen(replace(good, available=1)))), good) is Verdict.not_yet


@pytest.mark.parametrize(
    "verb,load,wanted",
    [
        (Verb.scale, {"replicas": 5}, Verdict.failed),
        (Verb.scale, {"replicas": 6, "available": 4}, Verdict.not_yet),
        (Verb.scale, {"replicas": 6, "available": 4, "pods": Pods(unschedulable=2)}, Verdict.failed),
        (Verb.restart, {"deployment": FOREIGN}, Verdict.failed),
        (Verb.restart, {"deployment": OURS, "rollout": RolloutState.progressing}, Verdict.not_yet),
        (Verb.restart, {"deployment": OURS, "rollout": RolloutState.stuck}, Verdict.failed),
        (Verb.restart, {"deployment": OURS, "available": 3}, Verdict.not_yet),
        (Verb.restart, {"deployment": OURS, "pods": Pods(waiting={FAILED_TASKS: 2})}, Verdict.not_yet),
        (Verb.restart, {"deployment": OURS, "pods": Pods(waiting={FAILED_TASKS: 3})}, Verdict.failed),
        (Verb.undo, {"deployment": FOREIGN}, Verdict.failed),
        (Verb.undo, {"deployment": OURS, "replicas": 0, "available": 0}, Verdict.failed),
        (Verb.restart, {"deployment": OURS, "replicas": 0, "available": 0}, Verdict.failed),
    ],
)
def test_what_speaks_against_a_cure(verb: Verb, load: dict[str, Any], wanted: Verdict) -> None:
    made = "" if verb is Verb.scale else OURS
    assert twice(attempt(verb, made=made), replace(service(), **load)) is wanted


@pytest.mark.parametrize("verb", NAMES)
def test_nothing_is_cured_while_an_alert_fires_and_an_alert_that_is_over_cures_nothing(verb: Verb) -> None:
    """CloudWatch's OK is a measurement, and yet it says nothing about our deployment."""
    made = "" if verb is Verb.scale else OURS
    count = 6 if verb is Verb.scale else 4
    good = service(deployment=made or OLD, replicas=count, available=count)
    one = replace(attempt(verb, made=made), after=after(attempt(verb, made=made), seen(good, -15)))
    proof = Verification(rollout=True)
    assert judge(one, seen(good), proof, now=c.T0, bounds=Bounds(), firing=True)[0] is Verdict.not_yet
    assert judge(one, seen(good), proof, now=c.T0, bounds=Bounds(), firing=False)[0] is Verdict.cured
    assert judge(one, seen(replace(good, available=1)), proof, now=c.T0, bounds=Bounds(), firing=False)[0] is Verdict.not_yet
    late = replace(one, started_at=c.T0 - Bounds().deployment_timeout, ended_at=None)
    assert judge(late, seen(good), proof, now=c.T0, bounds=Bounds(), firing=True)[0] is Verdict.deadline


def test_a_step_back_asks_no_alert() -> None:
    back = replace(attempt(Verb.scale, parameters=Parameters(replicas=4)), reverts="0a1b2c3d-1-1")
    one = replace(back, after=after(back, seen(service(), -15)))
    assert judge(one, seen(service()), Verification(rollout=True), now=c.T0, bounds=Bounds(), firing=True)[0] is Verdict.cured


def test_a_rollback_that_has_not_begun_is_waited_for() -> None:
    stopped = attempt(Verb.undo, parameters=Parameters(template_hash="good", replica_set="arn:of:a:service:deployment"))
    assert twice(stopped, service(template_hash="bad")) is Verdict.not_yet
    assert twice(stopped, service(template_hash="bad", deployment=FOREIGN)) is Verdict.failed
    assert twice(stopped, service(deployment=OURS)) is Verdict.cured


def test_verification_of_ecs_has_a_limit_of_its_own() -> None:
    bounds = Bounds()
    assert verify_limit(attempt(Verb.restart), bounds) == bounds.deployment_timeout
    assert verify_limit(c.attempt(Verb.restart), bounds) == bounds.verify_timeout
    late = replace(attempt(Verb.restart, made=OURS), started_at=c.T0 - bounds.deployment_timeout, ended_at=None)
    assert verdict(late, service(deployment=OURS, rollout=RolloutState.progressing)) is Verdict.deadline


@pytest.mark.parametrize(
    "verb,load,wanted",
    [
        (Verb.scale, {"replicas": 6}, AttemptState.applied),
        (Verb.scale, {"replicas": 7}, AttemptState.abandoned),
        (Verb.scale, {"deployment": FOREIGN}, AttemptState.abandoned),
        (Verb.scale, {}, None),
        (Verb.restart, {"deployment": OURS, "revision_at": c.T0}, AttemptState.applied),
        (Verb.restart, {"deployment": OURS}, AttemptState.abandoned),
        (Verb.restart, {"deployment": OURS, "revision_at": c.T0, "template_hash": "other"}, AttemptState.abandoned),
        (Verb.restart, {}, None),
        (Verb.undo, {"deployment": OURS}, AttemptState.applied),
        (Verb.undo, {"template_hash": "bad"}, None),
        (Verb.undo, {"template_hash": "other", "deployment": FOREIGN}, AttemptState.abandoned),
    ],
)
def test_an_unknown_outcome_is_decided_by_reading(verb: Verb, load: dict[str, Any], wanted: AttemptState | None) -> None:
    one = attempt(verb, state=AttemptState.unknown)
    found = settle(one, seen(replace(service(), **load)), now=c.T0, bounds=Bounds())
    assert (found[0] if found else None) is wanted


# --- the bounds


def case(verb: Verb, **changes: Any) -> Case:
    known = c.record()
    alert = replace(known.alert, labels=LABELS)
    load = changes.pop("load", service(available=3, ready=3, undo=UndoPlan(revision="web:1", template_hash="older", known_good=True)))
    rung = Remediation(NAMES[verb], mode=Mode.auto)
    return c.case(
        incident=c.incident(target=TARGET),
        alerts=(replace(known, alert=alert),),
        rule=c.rule(rung),
        policy=c.policy(
            namespaces=PLACE, source_namespaces={"alertmanager": PLACE}, actions=frozenset(NAMES.values()), undo_identity=False
        ),
        facts=c.twice(target=TARGET, workload=load),
        **changes,
    )


def refusals(asked: Case) -> set[Because]:
    found = check(asked, 0, c.T0)
    return set() if isinstance(found, Permit) else {each.because for each in found}


def test_a_permit_names_what_ecs_is_to_do() -> None:
    found = check(case(Verb.scale), 0, c.T0)
    assert isinstance(found, Permit)
    assert (found.action, found.verb, found.parameters.replicas, found.before.deployment) == ("ecs.desired_count", Verb.scale, 6, OLD)
    assert found.lease_until is not None


def test_undo_needs_no_second_identity_on_ecs() -> None:
    young = service(
        available=1,
        template_hash="bad",
        program_at=c.T0 - timedelta(minutes=5),
        undo=UndoPlan(revision="web:1", template_hash="good", known_good=True),
    )
    assert refusals(case(Verb.undo, load=young)) == set()


@pytest.mark.parametrize("verb", NAMES)
def test_what_a_person_set_to_zero_is_not_touched(verb: Verb) -> None:
    stopped = service(
        replicas=0,
        available=0,
        template_hash="bad",
        program_at=c.T0 - timedelta(minutes=5),
        undo=UndoPlan(revision="web:1", template_hash="good", known_good=True),
    )
    assert Because.too_few_replicas in refusals(case(verb, load=stopped))


def test_a_deployment_of_somebody_else_is_waited_for_and_one_of_ours_is_not() -> None:
    fresh = Foreign(c.T0 - timedelta(minutes=3), f"deployment {OLD}", after_revision=False)
    asked = case(Verb.restart, load=service(available=3, ready=3, foreign=fresh))
    assert refusals(asked) == {Because.someone_else}
    ours = attempt(Verb.restart, made=OLD, age=7200, verdict=Verdict.cured, incident_id=3, verdict_at=c.T0 - timedelta(hours=1))
    assert refusals(replace(asked, attempts=(ours,))) == set()


@pytest.mark.parametrize("name", ["kubernetes.rollout_restart", "kubernetes.scale"])
def test_an_action_of_another_platform_is_no_action_on_this_target(name: str) -> None:
    asked = case(Verb.restart)
    asked = replace(asked, rule=c.rule(Remediation(name, mode=Mode.auto)), policy=replace(asked.policy, actions=frozenset({name})))
    assert refusals(asked) == {Because.no_target}


def test_a_cluster_that_is_not_listed_is_named_by_the_list_that_refuses_it() -> None:
    asked = case(Verb.restart)
    found = check(replace(asked, policy=replace(asked.policy, namespaces=frozenset({"app-cluster"}))), 0, c.T0)
    assert isinstance(found, tuple)
    (refusal,) = found
    assert isinstance(refusal, Refusal)
    assert (refusal.because, "ecs.services" in refusal.detail) == (Because.namespace_not_allowed, True)


@pytest.mark.parametrize(
    "labels",
    [
        {**LABELS, "dimension_ServiceName": "other"},
        {**LABELS, "dimension_ClusterName": "another-cluster"},
        {"alertname": "KubePodCrashLooping", "namespace": "shop", "deployment": "web"},
    ],
)
def test_an_alert_about_something_else_makes_two_targets_and_so_none(labels: dict[str, str]) -> None:
    asked = case(Verb.restart)
    other = replace(asked.alerts[0], alert=replace(asked.alerts[0].alert, labels=labels, fingerprint="other"))
    assert Because.no_target in refusals(replace(asked, alerts=(*asked.alerts, other)))


def test_a_yes_is_bound_to_the_deployment_that_it_was_given_for() -> None:
    found = check(case(Verb.restart), 0, c.T0)
    assert isinstance(found, Permit)
    offer = Attempt.begun(found, AttemptState.shadow, c.T0)
    assert offers.changed(offer, found) == ""
    later = replace(found, before=replace(found.before, deployment=FOREIGN))
    assert offers.changed(offer, later) == f"deployment {OLD} -> {FOREIGN}"
