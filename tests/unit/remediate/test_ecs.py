"""Actions on ECS: what leaves, how often, and what an answer that never came is taken for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from receiver.clients.aws import AwsAccount
from receiver.core import deployments
from receiver.core.case import AttemptState, Parameters, Permit
from receiver.core.facts import Facts
from receiver.core.model import Bounds, Mode, TargetRef
from receiver.core.verify import settle
from receiver.ports import Outcome, OutcomeKind
from receiver.remediate import ECS_ACTIONS
from tests.fakes.ecs_server import Call, Fault, scalable_target
from tests.kits.ecs_ground import BACK, CLUSTER, COUNT, DEPLOY, NAME, EcsGround, begun, credentials, serving

SERVICE = {"cluster": CLUSTER, "service": NAME}
OTHER = AwsAccount("444455556666", "arn:aws:iam::444455556666:role/receiver")
LOST = [Fault.lost_after, Fault.hang_after, Fault.fail_after]
"""Carried out, and the answer never came."""
NOT_DONE = [Fault.lost_before, Fault.hang_before, Fault.fail_before]


@pytest.fixture
async def ground(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[EcsGround]:
    credentials(monkeypatch)
    async with serving() as found:
        yield found


async def permitted(ground: EcsGround, name: str) -> Permit:
    if name == COUNT:
        return await ground.permit(COUNT, Parameters(replicas=6))
    if name == DEPLOY:
        return await ground.permit(DEPLOY, Parameters(restarted_at=ground.clock.now()))
    ground.world.deploy(ground.service, ground.bad)
    ground.later(timedelta(minutes=2))
    return await ground.back()


async def decided(ground: EcsGround, permit: Permit, outcome: Outcome) -> tuple[AttemptState | None, str]:
    """What a look says of an unknown outcome, and what it was found to have made."""
    facts = await ground.look(uid=permit.target.uid)
    attempt = begun(permit, outcome)
    found = settle(attempt, facts, now=ground.clock.now(), bounds=Bounds())
    return (None, "") if found is None else (found[0], deployments.made(attempt, found[0], facts))


# --- done


async def test_a_count_is_set_and_no_deployment_made(ground: EcsGround) -> None:
    before = ground.service.primary.id
    outcome = await ground.run(await permitted(ground, COUNT))
    assert (outcome.kind, outcome.made, outcome.detail) == (OutcomeKind.applied, "", "desired count 4 -> 6")
    assert ground.server.made("UpdateService") == [{**SERVICE, "desiredCount": 6}]
    assert (ground.service.desired, ground.service.primary.id) == (6, before)


async def test_a_new_deployment_is_made_once_and_remembered(ground: EcsGround) -> None:
    outcome = await ground.run(await permitted(ground, DEPLOY))
    assert (outcome.kind, outcome.made) == (OutcomeKind.applied, ground.service.primary.id)
    assert ground.server.made("UpdateService") == [{**SERVICE, "forceNewDeployment": True}]
    assert ground.service.primary.task_definition == ground.good


async def test_a_rollback_sets_the_whole_arn(ground: EcsGround) -> None:
    outcome = await ground.run(await permitted(ground, BACK))
    assert (outcome.kind, outcome.made) == (OutcomeKind.applied, ground.service.primary.id)
    assert ground.server.made("UpdateService") == [{**SERVICE, "taskDefinition": ground.good}]


async def test_a_deployment_in_flight_is_stopped_instead(ground: EcsGround) -> None:
    made = ground.world.deploy(ground.service, ground.bad, finish=False)
    outcome = await ground.run(await ground.back())
    assert outcome.kind is OutcomeKind.applied
    assert ground.server.made("StopServiceDeployment") == [{"serviceDeploymentArn": made.arn, "stopType": "ROLLBACK"}]
    assert ground.server.made("UpdateService") == []
    assert ground.service.primary.task_definition == ground.good


async def test_a_deployment_that_failed_is_rolled_back(ground: EcsGround) -> None:
    made = ground.world.deploy(ground.service, ground.bad)
    made.status, made.finished_at = "STOPPED", ground.clock.now()
    outcome = await ground.run(await ground.back())
    assert outcome.kind is OutcomeKind.applied
    assert ground.server.made("UpdateService") == [{**SERVICE, "taskDefinition": ground.good}]


@pytest.mark.parametrize("name", ECS_ACTIONS)
async def test_an_action_calls_what_it_declares_and_nothing_else(ground: EcsGround, name: str) -> None:
    permit = await permitted(ground, name)
    ground.server.calls.clear()
    await ground.run(permit)
    declared = {(each.group, verb) for each in ECS_ACTIONS[name].permissions for verb in each.verbs}
    assert {(each.service, each.operation) for each in ground.server.calls} <= declared


# --- sent once


@pytest.mark.parametrize("fault", [*LOST, *NOT_DONE])
@pytest.mark.parametrize("name", ECS_ACTIONS)
async def test_whatever_becomes_of_the_answer_one_change_leaves(ground: EcsGround, name: str, fault: Fault) -> None:
    permit = await permitted(ground, name)
    ground.faults("UpdateService", fault)
    outcome = await ground.run(permit)
    assert outcome.kind is OutcomeKind.unknown
    assert len(ground.server.changes) == 1


@pytest.mark.parametrize("fault", LOST)
@pytest.mark.parametrize("name", ECS_ACTIONS)
async def test_a_change_whose_answer_was_lost_is_found_by_looking(ground: EcsGround, name: str, fault: Fault) -> None:
    permit = await permitted(ground, name)
    ground.faults("UpdateService", fault)
    outcome = await ground.run(permit)
    ground.server.always.clear()
    ground.later(timedelta(seconds=1))
    made = "" if name == COUNT else ground.service.primary.id
    assert await decided(ground, permit, outcome) == (AttemptState.applied, made)
    assert len(ground.server.changes) == 1


async def test_a_stop_whose_answer_was_lost_is_found_by_looking(ground: EcsGround) -> None:
    ground.world.deploy(ground.service, ground.bad, finish=False)
    permit = await ground.back()
    ground.server.always["StopServiceDeployment"] = Fault.lost_after
    outcome = await ground.run(permit)
    ground.later(timedelta(seconds=1))
    state, _ = await decided(ground, permit, outcome)
    assert (outcome.kind, state, len(ground.server.changes)) == (OutcomeKind.unknown, AttemptState.applied, 1)


@pytest.mark.parametrize("name,late", [(COUNT, AttemptState.rejected), (BACK, AttemptState.rejected), (DEPLOY, AttemptState.abandoned)])
async def test_a_change_that_came_to_nothing_is_said_so_only_when_it_cannot_land_any_more(
    ground: EcsGround, name: str, late: AttemptState
) -> None:
    """A new deployment is then left to people, and never asked for again."""
    permit = await permitted(ground, name)
    ground.server.always["UpdateService"] = Fault.lost_before
    outcome = await ground.run(permit)
    ground.later(timedelta(seconds=60))
    assert await decided(ground, permit, outcome) == (None, "")
    ground.later(Bounds().late_landing)
    assert await decided(ground, permit, outcome) == (late, "")


@pytest.mark.parametrize("name", ECS_ACTIONS)
async def test_what_somebody_else_did_meanwhile_is_not_taken_for_ours(ground: EcsGround, name: str) -> None:
    permit = await permitted(ground, name)
    ground.server.always["UpdateService"] = Fault.lost_before
    outcome = await ground.run(permit)
    ground.world.deploy(ground.service, ground.world.register("web", "shop:9"))
    assert (await decided(ground, permit, outcome))[0] is AttemptState.abandoned


async def test_a_deployment_older_than_the_intent_is_not_ours(ground: EcsGround) -> None:
    permit = await permitted(ground, DEPLOY)
    ground.world.deploy(ground.service, ground.good)
    late = begun(replace(permit, at=permit.at + timedelta(minutes=1)), Outcome(OutcomeKind.unknown, ""))
    facts = replace(await ground.look(), at=permit.at + timedelta(minutes=2))
    found = settle(late, facts, now=facts.at, bounds=Bounds())
    assert found is not None
    assert found[0] is AttemptState.abandoned


@pytest.mark.parametrize("name", ECS_ACTIONS)
@pytest.mark.parametrize("fault,retryable", [(Fault.throttle, True), (Fault.denied, False)])
async def test_a_change_that_was_refused_is_rejected_and_not_repeated(ground: EcsGround, name: str, fault: Fault, retryable: bool) -> None:
    permit = await permitted(ground, name)
    ground.faults("UpdateService", fault)
    outcome = await ground.run(permit)
    assert (outcome.kind, outcome.retryable, len(ground.server.changes)) == (OutcomeKind.rejected, retryable, 1)


@pytest.mark.parametrize("name", ECS_ACTIONS)
async def test_the_same_permit_again_changes_nothing(ground: EcsGround, name: str) -> None:
    permit = await permitted(ground, name)
    first, second = await ground.run(permit), await ground.run(permit)
    assert (first.kind, second.kind, len(ground.server.changes)) == (OutcomeKind.applied, OutcomeKind.rejected, 1)


# --- not sent


def _scaled(ground: EcsGround) -> None:
    ground.service.desired = 5


def _deployed(ground: EcsGround) -> None:
    ground.world.deploy(ground.service, ground.world.register("web", "shop:9"), finish=False)


def _restarted(ground: EcsGround) -> None:
    ground.world.deploy(ground.service, ground.service.primary.task_definition)


def _deleted(ground: EcsGround) -> None:
    ground.service.status = "DRAINING"


def _made_again(ground: EcsGround) -> None:
    ground.service.created_at += timedelta(days=1)


def _handed_over(ground: EcsGround) -> None:
    ground.service.controller = "CODE_DEPLOY"


@pytest.mark.parametrize("name", ECS_ACTIONS)
@pytest.mark.parametrize("change", [_scaled, _deployed, _restarted, _deleted, _made_again, _handed_over])
async def test_what_changed_since_the_permit_is_not_changed_by_us(
    ground: EcsGround, name: str, change: Callable[[EcsGround], None]
) -> None:
    permit = await permitted(ground, name)
    change(ground)
    assert (await ground.run(permit)).kind is OutcomeKind.rejected
    assert ground.server.changes == []


async def test_the_service_is_the_last_thing_that_is_read(ground: EcsGround) -> None:
    """What comes between that and the call is the one race that ECS leaves open."""
    permit = await permitted(ground, COUNT)
    ground.server.calls.clear()
    await ground.run(permit)
    assert [each.operation for each in ground.server.calls][-2:] == ["DescribeServices", "UpdateService"]


async def test_what_a_person_did_while_the_role_was_taken_is_not_overwritten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials, client and a place in the bucket come first: with a role they take a while."""
    credentials(monkeypatch)
    async with serving(OTHER) as ground:
        world = ground.server.worlds[OTHER.id]
        there = world.create(CLUSTER, "other", world.register("other", "shop:1"), desired=4)
        permit = await ground.permit(COUNT, Parameters(replicas=6), ref=TargetRef("ecs", "default", CLUSTER, "Service", "other"))

        def scale(call: Call) -> None:
            there.desired = 9 if call.operation == "AssumeRole" else there.desired

        ground.server.before = scale
        outcome = await ground.run(permit)
        assert (outcome.kind, outcome.retryable, "was changed since" in outcome.detail) == (OutcomeKind.rejected, True, True)
        assert (ground.server.changes, there.desired) == ([], 9)


async def test_the_last_look_is_the_changing_clients_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """So its connection is there, and its credentials are known to hold."""
    credentials(monkeypatch)
    async with serving(OTHER) as ground:
        world = ground.server.worlds[OTHER.id]
        world.create(CLUSTER, "other", world.register("other", "shop:1"), desired=4)
        permit = await ground.permit(COUNT, Parameters(replicas=6), ref=TargetRef("ecs", "default", CLUSTER, "Service", "other"))
        assert (await ground.run(permit)).kind is OutcomeKind.applied
        last = [(each.operation, each.session) for each in ground.server.calls[-2:]]
        assert last == [("DescribeServices", permit.attempt_id), ("UpdateService", permit.attempt_id)]


@pytest.mark.parametrize("name", ECS_ACTIONS)
async def test_a_look_that_is_old_when_the_call_is_to_leave_is_refused(ground: EcsGround, name: str) -> None:
    permit = await permitted(ground, name)
    ground.switch.before = lambda: ground.later(timedelta(seconds=1.5))
    outcome = await ground.run(permit)
    assert (outcome.kind, outcome.retryable, "1.5 s old" in outcome.detail) == (OutcomeKind.rejected, True, True)
    assert ground.server.changes == []


@pytest.mark.parametrize("slow,kind", [(1, OutcomeKind.applied), (9, OutcomeKind.rejected)])
async def test_a_look_that_took_long_is_repeated_once(ground: EcsGround, slow: int, kind: OutcomeKind) -> None:
    """The first one has to connect."""
    permit = await permitted(ground, COUNT)
    ground.server.calls.clear()

    def wait(call: Call) -> None:
        if call.operation == "DescribeServices" and len(ground.server.made("DescribeServices")) <= slow:
            ground.later(timedelta(seconds=1.5))

    ground.server.before = wait
    assert (await ground.run(permit)).kind is kind
    assert len(ground.server.made("DescribeServices")) == 2


@pytest.mark.parametrize("fault", [Fault.lost_before, Fault.hang_before, Fault.fail_before])
async def test_a_last_look_that_fails_is_no_unknown_outcome(ground: EcsGround, fault: Fault) -> None:
    permit = await permitted(ground, COUNT)
    ground.faults("DescribeServices", fault)
    outcome = await ground.run(permit)
    assert (outcome.kind, outcome.retryable, ground.server.changes) == (OutcomeKind.rejected, True, [])


async def test_a_count_that_application_auto_scaling_took_over_is_not_set(ground: EcsGround) -> None:
    permit = await permitted(ground, COUNT)
    ground.world.scalable.append(scalable_target(ground.service))
    outcome = await ground.run(permit)
    assert (outcome.kind, outcome.detail) == (OutcomeKind.rejected, "Application Auto Scaling keeps its count")
    assert ground.server.changes == []


async def test_a_definition_that_became_inactive_is_not_set(ground: EcsGround) -> None:
    permit = await permitted(ground, BACK)
    ground.world.definitions[ground.good]["status"] = "INACTIVE"
    outcome = await ground.run(permit)
    assert (outcome.kind, "web:1 is INACTIVE" in outcome.detail) == (OutcomeKind.rejected, True)
    assert ground.server.changes == []


async def test_a_deployment_that_ended_meanwhile_is_not_stopped(ground: EcsGround) -> None:
    ground.world.deploy(ground.service, ground.bad, finish=False)
    permit = await ground.back()
    ground.world.finish(ground.service)
    assert (await ground.run(permit)).kind is OutcomeKind.rejected
    assert ground.server.changes == []


@pytest.mark.parametrize("name", ECS_ACTIONS)
async def test_the_kill_switch_is_asked_after_everything_else(ground: EcsGround, name: str) -> None:
    permit = await permitted(ground, name)

    def press(call: Call) -> None:
        ground.switch.refusal = "pressed at the last moment" if call.operation == "DescribeServices" else ""

    ground.server.before = press
    outcome = await ground.run(permit)
    assert (outcome.kind, outcome.detail) == (OutcomeKind.rejected, "kill switch: pressed at the last moment")
    assert ground.server.changes == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda permit: replace(permit, mode=Mode.observe),
        lambda permit: replace(permit, expires_at=permit.at - timedelta(seconds=1)),
        lambda permit: replace(permit, action="ecs.other"),
        lambda permit: replace(permit, before=replace(permit.before, deployment="")),
        lambda permit: replace(permit, target=replace(permit.target, uid="")),
        lambda permit: replace(permit, target=replace(permit.target, ref=replace(permit.target.ref, name="unlisted"))),
        lambda permit: replace(permit, target=replace(permit.target, ref=replace(permit.target.ref, platform="kubernetes"))),
        lambda permit: replace(permit, parameters=Parameters()),
        lambda permit: replace(permit, parameters=Parameters(replicas=0)),
    ],
)
async def test_a_permit_that_is_not_whole_is_refused(ground: EcsGround, spoil: Callable[[Permit], Permit]) -> None:
    permit = spoil(await permitted(ground, COUNT))
    assert (await ground.action(COUNT).run(permit)).kind is OutcomeKind.rejected
    assert ground.server.changes == []


async def test_an_outcome_that_cannot_be_looked_at_stays_open(ground: EcsGround) -> None:
    permit = await permitted(ground, COUNT)
    attempt = begun(permit, Outcome(OutcomeKind.unknown, ""))
    assert settle(attempt, Facts(at=ground.clock.now()), now=ground.clock.now(), bounds=Bounds()) is None
