"""Evicting one pod, cordoning one node, what an undo and a restart may not do together, and what rests on something that is down."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from receiver.core.bounds import check, check_revert
from receiver.core.case import AttemptState, Because, Case, Decision, Judge, Page, Permit, Refusal, Remediate, Revert, Verb, Verdict
from receiver.core.facts import Facts, Look, Node, Pods, SampleState, Victim
from receiver.core.model import Bounds, Dependency, Mode, Service, Target, TargetRef, Verification
from receiver.core.plan import decide
from receiver.core.verify import judge, settle
from tests.fakes.cases import HEALTHY as WELL
from tests.fakes.cases import T0, attempt, case, facts, incident, loose, policy, record, rule, rung, sample, seconds, twice, workload

ACTIONS = frozenset(f"kubernetes.{each.value}" for each in Verb)
BAD = Victim("web-1-x", "uid-pod", T0 - seconds(600), "CrashLoopBackOff")
MANY = workload(replicas=10, available=9, ready=9, pods=Pods(total=10, ready=9, newest_at=T0 - seconds(600)), victim=BAD)
LOOPS = {"CrashLoopBackOff": 1}
NODE = Target(TargetRef("kubernetes", "default", "", "Node", "worker-3"), "uid-node")
SICK = Node("77", ready=False, unschedulable=False, ours=False, detail="NotReady for 6m", nodes=20, schedulable=19)


def why(asked: Case) -> list[Because]:
    found = check(asked, 0, T0)
    return [each.because for each in found] if isinstance(found, tuple) else []


def evicting(load: Any = MANY, **changes: Any) -> Case:
    return case(rule=rule(rung(Verb.evict)), policy=policy(actions=ACTIONS), facts=twice(workload=load), **changes)


def test_one_bad_pod_of_many_is_evicted_by_uid() -> None:
    step = decide(evicting(), T0).step
    assert isinstance(step, Remediate)
    assert (step.permit.parameters.pod, step.permit.parameters.pod_uid) == ("web-1-x", "uid-pod")


@pytest.mark.parametrize(
    "load,because",
    [
        (replace(MANY, victim=None), Because.hazard),
        (replace(MANY, pods=Pods(total=10, ready=7)), Because.too_much_unavailable),
        (replace(MANY, pods=Pods(total=1, ready=0)), Because.too_few_replicas),
        (replace(MANY, victim=replace(BAD, created_at=T0 - seconds(60))), Because.pod_too_young),
        (replace(MANY, victim=replace(BAD, allowed=0)), Because.disruption_budget),
    ],
)
def test_an_eviction_that_could_not_help_is_refused(load: Any, because: Because) -> None:
    assert because in why(evicting(load))


def test_a_stuck_ordinal_may_go_although_others_wait_behind_it() -> None:
    stuck = replace(MANY, replicas=3, pods=Pods(total=1, ready=0), victim=replace(BAD, stuck=True))
    assert why(evicting(stuck)) == []


def test_evictions_come_one_after_the_other() -> None:
    other = replace(attempt(Verb.evict, age=200, verdict=Verdict.failed), incident_id=8, id="other")
    assert Because.evicted_lately in why(evicting(attempts=(other,)))


@pytest.mark.parametrize(
    "present,load,verdict", [(True, WELL, Verdict.not_yet), (False, WELL, Verdict.cured), (None, WELL, Verdict.not_yet)]
)
def test_an_eviction_is_proved_by_the_pod_that_is_gone(present: bool | None, load: Any, verdict: Verdict) -> None:
    seen = facts(workload=workload(**load, pod_present=present))
    assert judge(attempt(Verb.evict), seen, Verification(rollout=True), now=T0, bounds=loose())[0] is verdict


@pytest.mark.parametrize("present,at,state", [(False, 0, AttemptState.applied), (True, 0, None), (True, 100, AttemptState.rejected)])
def test_an_eviction_of_unknown_outcome_is_settled_by_looking(present: bool, at: int, state: AttemptState | None) -> None:
    doubt = attempt(Verb.evict, state=AttemptState.unknown, age=20)
    found = settle(doubt, facts(at, workload=workload(pod_present=present)), now=T0 + seconds(at), bounds=loose())
    assert (found[0] if found else None) is state


# --- nodes ---------------------------------------------------------------------------------------------------------------


def nodes(node: Node = SICK, verb: Verb = Verb.cordon, **changes: Any) -> Case:
    looks = tuple(Facts(T0 + seconds(at), target=NODE, node=node) for at in (-15, 0))
    asked: dict[str, Any] = {
        "rule": rule(rung(verb, mode=Mode.approve)),
        "policy": policy(actions=ACTIONS, nodes=True),
        "facts": looks,
        "incident": incident(target=NODE),
    }
    return case(**{**asked, **changes})


def test_a_node_is_cordoned_with_a_persons_yes_only() -> None:
    permit = check(nodes(rule=rule(rung(Verb.cordon, mode=Mode.auto))), 0, T0)
    assert isinstance(permit, Permit)
    assert permit.mode is Mode.approve
    assert permit.shadow


@pytest.mark.parametrize(
    "changes,because",
    [
        ({"policy": policy(actions=ACTIONS)}, Because.nodes_not_allowed),
        ({"node": replace(SICK, control_plane=True)}, Because.nodes_not_allowed),
        ({"node": replace(SICK, unschedulable=True)}, Because.at_maximum),
        ({"node": replace(SICK, cordoned=1)}, Because.too_few_nodes),
        ({"node": replace(SICK, schedulable=13)}, Because.too_few_nodes),
        ({"node": replace(SICK, pending=1)}, Because.too_few_nodes),
        ({"node": replace(SICK, ready=True, detail="")}, Because.not_confirmed),
    ],
)
def test_a_cordon_that_the_cluster_could_not_bear_is_refused(changes: dict[str, Any], because: Because) -> None:
    assert because in why(nodes(**changes))


@pytest.mark.parametrize("node", [replace(SICK, ready=True, detail="", unschedulable=True), replace(SICK, ready=True, detail="")])
def test_only_our_own_cordon_is_taken_away(node: Node) -> None:
    assert why(nodes(node, Verb.uncordon)) == [Because.not_ours]


def test_a_sick_node_stays_cordoned() -> None:
    assert why(nodes(replace(SICK, unschedulable=True, ours=True), Verb.uncordon)) == [Because.hazard]


def test_our_cordon_is_taken_back_when_alert_and_node_are_well() -> None:
    well = replace(SICK, ready=True, detail="", unschedulable=True, ours=True)
    done = attempt(Verb.cordon, verdict=Verdict.cured, verdict_at=T0 - seconds(30), target=NODE, lease_until=T0 - seconds(1))
    over = nodes(well, attempts=(done,), alerts=(record(resolved_at=T0 - seconds(20)),))
    step = decide(over, T0).step
    assert isinstance(step, Revert)
    assert (step.permit.verb, step.permit.action, step.permit.reverts) == (Verb.uncordon, "kubernetes.uncordon", done.id)


def test_a_cordon_that_somebody_lifted_is_theirs() -> None:
    done = attempt(Verb.cordon, verdict=Verdict.cured, target=NODE)
    found = check_revert(nodes(replace(SICK, ready=True, detail="")), done, T0)
    assert isinstance(found, type(done))
    assert found.reverted


# --- together ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first,second", [(Verb.undo, Verb.restart), (Verb.restart, Verb.undo)])
def test_never_an_undo_and_a_restart_of_one_target(first: Verb, second: Verb) -> None:
    done = attempt(first, verdict=Verdict.failed, age=3000)
    refused = why(case(rule=rule(rung(second)), attempts=(done,)))
    assert Because.undo_and_restart in refused


def test_two_restarts_of_a_namespace_are_a_minute_apart() -> None:
    other = replace(attempt(age=30, verdict=Verdict.cured), incident_id=8, id="o", target=replace(attempt().target, uid="uid-other"))
    assert Because.restart_too_soon in why(case(attempts=(other,), policy=policy(bounds=loose(namespace_bucket=9))))


ALONE = workload(replicas=1, current=1, updated=1, ready=0, available=0, max_unavailable=0, pods=Pods(total=1, alike=True, waiting=LOOPS))
AT_ONCE = workload(available=0, ready=0, recreate=True, max_unavailable=3, pods=Pods(total=3, alike=True, waiting=LOOPS))


@pytest.mark.parametrize("load", [ALONE, replace(ALONE, max_unavailable=1), AT_ONCE], ids=["alone", "alone and down first", "Recreate"])
def test_a_restart_that_takes_all_pods_at_once_asks_a_person(load: Any) -> None:
    permit = check(case(facts=twice(workload=load)), 0, T0)
    assert isinstance(permit, Permit)
    assert permit.mode is Mode.approve
    assert permit.shadow


def test_fewer_pods_than_a_service_may_restart_ask_a_person() -> None:
    permit = check(case(facts=twice(workload=workload(available=3)), policy=policy(bounds=Bounds(restart_min_replicas=4))), 0, T0)
    assert isinstance(permit, Permit)
    assert permit.mode is Mode.approve


def test_what_is_scaled_to_zero_is_not_restarted() -> None:
    assert Because.too_few_replicas in why(case(facts=twice(workload=replace(ALONE, replicas=0))))


def test_a_strategy_that_takes_most_pods_down_is_not_even_asked_about() -> None:
    assert Because.too_much_unavailable in why(case(facts=twice(workload=workload(max_unavailable=2)), rule=rule(rung(mode=Mode.approve))))


# --- after a merge -------------------------------------------------------------------------------------------------------


def taken_over(*done: Any) -> Case:
    """Of an incident that was merged into this one."""
    attempts = tuple(replace(each, incident_id=6, id=f"{each.id}-{n}") for n, each in enumerate(done))
    roomy = policy(bounds=loose(incident_actions=1, namespace_bucket=9, global_bucket=9))
    return case(merged=frozenset({6}), attempts=attempts, policy=roomy)


REJECTED = attempt(state=AttemptState.rejected, age=900)


@pytest.mark.parametrize(
    "done,because",
    [
        ((attempt(Verb.scale, verdict=Verdict.failed, age=900),), Because.incident_budget),
        ((attempt(verdict=Verdict.failed, age=900),), Because.kind_once),
        ((REJECTED, REJECTED, REJECTED), Because.rejected_too_often),
        ((attempt(Verb.undo, verdict=Verdict.failed, age=90_000),), Because.undo_and_restart),
    ],
    ids=lambda each: getattr(each, "value", ""),
)
def test_what_was_tried_before_a_merge_counts_after_it(done: Any, because: Because) -> None:
    asked = taken_over(*done)
    if because is Because.undo_and_restart:
        asked = replace(asked, policy=policy(bounds=loose(incident_actions=2)))
    assert because in why(asked)
    assert because not in why(replace(asked, merged=frozenset()))


# --- leases --------------------------------------------------------------------------------------------------------------


def scaled(**changes: Any) -> Case:
    done = attempt(Verb.scale, age=3700, verdict=Verdict.cured, verdict_at=T0 - seconds(3600), lease_until=T0 - seconds(1), **changes)
    ours = workload(**{**WELL, "replicas": 5, "available": 5, "ready": 5})
    return case(rule=rule(rung(Verb.scale)), attempts=(done,), facts=twice(workload=ours), raises=_raised())


def _raised() -> Any:
    step = decide(case(policy=policy(mode=Mode.observe), rule=rule()), T0).step
    assert isinstance(step, Page)
    return (step.raised,)


def test_a_lease_is_extended_while_the_alert_fires() -> None:
    decision = decide(scaled(), T0)
    assert isinstance(decision.step, Judge)
    assert decision.step.attempt.extended == 1
    assert decision.step.attempt.lease_until == T0 + timedelta(hours=1)
    assert decision.because is Because.lease_extended


def test_a_lease_is_extended_twice_at_most() -> None:
    step = decide(scaled(extended=2), T0).step
    assert isinstance(step, Revert)
    assert step.permit.parameters.replicas == 4


def test_lowered_to_observe_not_even_taking_back_is_done() -> None:
    watching = replace(scaled(extended=2), policy=policy(mode=Mode.observe))
    found = check_revert(watching, watching.attempts[0], T0)
    assert isinstance(found, Refusal)
    assert found.because is Because.mode_ceiling
    assert not isinstance(decide(watching, T0).step, Revert)


# --- dependencies --------------------------------------------------------------------------------------------------------

DATABASE = Dependency("payments-db", query='up{job="db"}', above=0.5, contact="dba@example.com")
STATUS = Dependency("stripe", status="https://status.example.com/api/v2/status.json")


def resting_on(dependency: Dependency, *samples: Any) -> Case:
    service = Service("checkout", depends_on=(dependency,))
    return case(services={"checkout": service}, incident=incident(service="checkout"), facts=twice(samples=samples))


@pytest.mark.parametrize(
    "asked",
    [
        resting_on(DATABASE, sample(0, "dependency:payments-db")),
        resting_on(DATABASE),
        resting_on(DATABASE, sample(None, "dependency:payments-db", SampleState.empty)),
        resting_on(STATUS, sample(0, "dependency:stripe")),
    ],
    ids=["down", "not asked", "no answer", "status page"],
)
def test_nothing_is_done_to_what_rests_on_something_that_is_not_up(asked: Case) -> None:
    decision: Decision = decide(asked, T0)
    assert isinstance(decision.step, Page)
    assert decision.because is Because.dependency_down
    assert [each.because for each in decision.refusals] == [Because.dependency_down]


def test_the_page_names_the_support_of_what_is_down() -> None:
    (refusal,) = decide(resting_on(DATABASE, sample(0, "dependency:payments-db")), T0).refusals
    assert "payments-db is down" in refusal.detail
    assert "dba@example.com" in refusal.detail


@pytest.mark.parametrize(
    "asked", [resting_on(DATABASE, sample(1, "dependency:payments-db")), resting_on(STATUS, sample(1, "dependency:stripe"))]
)
def test_what_is_up_hinders_nothing(asked: Case) -> None:
    assert isinstance(decide(asked, T0).step, Remediate)


def test_every_look_asks_for_what_the_service_rests_on() -> None:
    step = decide(replace(resting_on(DATABASE), facts=()), T0).step
    assert isinstance(step, Look)
    assert [(each.name, each.query) for each in step.questions] == [("dependency:payments-db", 'up{job="db"}')]
