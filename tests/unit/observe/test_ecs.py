"""ECS services as targets and facts, on our own ECS server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from receiver.clients.aws import AwsAccount
from receiver.clients.ecs import Object, ServiceAt
from receiver.core.deployments import FAILED_TASKS
from receiver.core.facts import Facts, Hazard, Hint, Look, RolloutState, Trouble, Want
from receiver.core.model import TargetRef
from receiver.observe.ecs_reading import Reading
from receiver.observe.ecs_service import describe
from tests.fakes.ecs_server import Fault, scalable_target
from tests.fakes.ecs_world import REGION, Service
from tests.kits.ecs_ground import CLUSTER, FULL, NAME, REF, EcsGround, credentials, serving

OTHER = AwsAccount("444455556666", "arn:aws:iam::444455556666:role/receiver")
GROUP = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/web/0123456789abcdef"
HINT = Hint(namespace=CLUSTER, kind="Service", name=NAME, platform="ecs")


@pytest.fixture
async def ground(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[EcsGround]:
    credentials(monkeypatch)
    async with serving(OTHER) as found:
        yield found


async def hazards(ground: EcsGround) -> dict[Hazard, tuple[str, ...]]:
    facts = await ground.look()
    assert facts.workload is not None, facts.trouble_detail
    return {each.hazard: each.verbs for each in facts.workload.dangers}


async def refusal(ground: EcsGround) -> str:
    facts = await ground.look()
    assert facts.workload is not None, facts.trouble_detail
    return facts.workload.undo.refusal


# --- which one


async def test_the_uid_is_the_arn_and_the_date_of_birth(ground: EcsGround) -> None:
    facts = await ground.look()
    assert facts.target is not None
    assert facts.target.ref == REF
    assert facts.target.uid == f"{ground.service.arn}@{ground.service.created_at:%Y-%m-%dT%H:%M:%SZ}"


async def test_a_hint_finds_the_same_service_as_the_catalogue(ground: EcsGround) -> None:
    by_hint = await ground.look(hints=(replace(HINT, account=ground.world.account, region=REGION),), ref=None)
    assert by_hint.target == (await ground.look()).target is not None


@pytest.mark.parametrize(
    "hints,trouble",
    [
        ((replace(HINT, name="unlisted"),), Trouble.namespace_not_allowed),
        ((replace(HINT, region="us-east-1"),), Trouble.namespace_not_allowed),
        ((replace(HINT, account="999999999999"),), Trouble.foreign_cluster),
        ((replace(HINT, cluster="elsewhere"),), Trouble.foreign_cluster),
        ((HINT, replace(HINT, name="other")), Trouble.ambiguous),
        ((HINT, Hint(namespace="shop", kind="Deployment", name="web")), Trouble.ambiguous),
    ],
)
async def test_what_is_not_surely_one_service_of_ours_is_a_trouble(ground: EcsGround, hints: tuple[Hint, ...], trouble: Trouble) -> None:
    facts = await ground.look(hints=hints, ref=None)
    assert (facts.trouble, facts.workload) == (trouble, None)


async def test_a_service_of_another_account_is_another_service(ground: EcsGround) -> None:
    facts = await ground.look(hints=(replace(HINT, account=OTHER.id),))
    assert facts.trouble is Trouble.foreign_cluster
    world = ground.server.worlds[OTHER.id]
    there = world.create(CLUSTER, "other", world.register("web", "shop:1"))
    facts = await ground.look(hints=(replace(HINT, name="other", account=OTHER.id),), ref=None)
    assert facts.target is not None
    assert facts.target.uid.startswith(there.arn)


async def test_two_services_of_one_name_are_told_apart_by_what_the_alert_tells(ground: EcsGround) -> None:
    world = ground.server.worlds[OTHER.id]
    there = world.create(CLUSTER, NAME, world.register("web", "shop:1"))
    ground.ecs.services = (*ground.ecs.services, ServiceAt(CLUSTER, NAME, OTHER.id, REGION))
    assert (await ground.look()).trouble is Trouble.ambiguous
    found = await ground.look(hints=(replace(HINT, account=OTHER.id),))
    assert found.target is not None
    assert found.target.uid.startswith(there.arn)


async def test_a_service_that_is_gone_is_not_found(ground: EcsGround) -> None:
    del ground.world.services[CLUSTER, NAME]
    assert (await ground.look()).trouble is Trouble.not_found


async def test_a_service_made_again_under_its_name_is_replaced(ground: EcsGround) -> None:
    bound = (await ground.look()).target
    assert bound is not None
    ground.world.create(CLUSTER, NAME, ground.good)
    assert (await ground.look(uid=bound.uid)).trouble is Trouble.replaced


async def test_a_look_at_another_platform_passes_through(ground: EcsGround) -> None:
    look = Look(FULL, timedelta(seconds=5), ref=TargetRef("kubernetes", "default", "shop", "Deployment", "web"))
    before = Facts(at=ground.clock.now())
    assert await ground.observer.look(look, before) == before
    assert ground.server.calls == []


async def test_only_the_target_is_read_when_only_that_is_asked(ground: EcsGround) -> None:
    facts = await ground.observer.look(Look(frozenset({Want.target}), timedelta(seconds=5), ref=REF), Facts(at=ground.clock.now()))
    assert facts.target is not None
    assert [each.operation for each in ground.server.calls] == ["DescribeServices"]


# --- how it stands


async def test_a_service_at_rest_is_healthy(ground: EcsGround) -> None:
    seen = (await ground.look()).workload
    assert seen is not None
    assert seen.healthy
    assert (seen.replicas, seen.available, seen.rollout, seen.kind) == (4, 4, RolloutState.complete, "Service")
    assert (seen.deployment, seen.template_hash, seen.revision) == (ground.service.primary.id, ground.good, "web:1")
    assert (seen.images, seen.max_unavailable, seen.max_surge) == (("shop:1",), 0, 4)
    assert seen.pods.newest_at == ground.service.tasks[0].created_at


async def test_a_rollout_under_way_is_progressing(ground: EcsGround) -> None:
    ground.world.deploy(ground.service, ground.bad, finish=False)
    seen = (await ground.look()).workload
    assert seen is not None
    assert (seen.rollout, seen.revision) == (RolloutState.progressing, "web:2")
    assert seen.foreign is not None


async def test_failed_tasks_are_no_health(ground: EcsGround) -> None:
    ground.world.broken.add(ground.bad)
    ground.world.deploy(ground.service, ground.bad)
    seen = (await ground.look()).workload
    assert seen is not None
    assert not seen.healthy
    assert (seen.pods.waiting, seen.pods.terminated) == ({FAILED_TASKS: 6}, {"exit 1": 6})


async def test_what_a_target_group_calls_unhealthy_is_not_available(ground: EcsGround) -> None:
    ground.service.target_group = GROUP
    ground.world.sick_targets[GROUP] = 3
    seen = (await ground.look()).workload
    assert seen is not None
    assert (seen.replicas, seen.current, seen.available) == (4, 4, 1)


async def test_healthy_targets_of_another_service_are_none_of_ours(ground: EcsGround) -> None:
    """Two services may share a target group."""
    other = ground.world.create(CLUSTER, "neighbour", ground.good, desired=4)
    ground.service.target_group = other.target_group = GROUP
    for sick in (4, 3):
        ground.world.sick_targets[GROUP] = sick
        for light in (False, True):
            seen = (await ground.look(light=light)).workload
            assert seen is not None
            assert (seen.current, seen.available) == (4, 4 - sick)


async def test_unhealthy_targets_of_another_service_are_none_of_ours(ground: EcsGround) -> None:
    other = ground.world.create(CLUSTER, "neighbour", ground.good, desired=4)
    ground.service.target_group = other.target_group = GROUP
    ground.world.services = dict(reversed(ground.world.services.items()))
    ground.world.sick_targets[GROUP] = 4
    seen = (await ground.look()).workload
    assert seen is not None
    assert (seen.available, seen.healthy) == (4, True)


def instances(*states: str) -> list[Object]:
    """On EC2, where a task does not tell its instance."""
    return [{"Target": {"Id": f"i-{n}", "Port": 32768}, "TargetHealth": {"State": each}} for n, each in enumerate(states)]


@pytest.mark.parametrize(
    "states,available",
    [
        (["healthy"] * 4, 4),
        (["healthy"] * 8, 4),
        (["unhealthy"] * 4 + ["healthy"] * 4, 0),
        (["unhealthy"] + ["healthy"] * 7, 3),
        (["healthy"] * 4 + ["draining", "initial", "unhealthy.draining"], 4),
        (["healthy"] * 3 + ["initial"], 3),
        ([], 0),
    ],
)
async def test_where_nothing_tells_whose_a_target_is_any_unhealthy_one_may_be_ours(
    ground: EcsGround, states: list[str], available: int
) -> None:
    told = ground.world.told(ground.service)
    reading = Reading(service=told, targets={GROUP: instances(*states)}, running=[{"lastStatus": "RUNNING"}] * 4)
    assert describe(reading, at=ground.clock.now()).available == available


async def test_tasks_that_find_no_place_are_told(ground: EcsGround) -> None:
    ground.service.desired = 6
    ground.service.events.append((ground.clock.now(), "(service web) was unable to place a task because no container instance met all of"))
    seen = (await ground.look()).workload
    assert seen is not None
    assert seen.pods.unschedulable == 2


async def test_a_light_look_reads_the_service_alone_and_tells_the_rest_as_it_was(ground: EcsGround) -> None:
    ground.world.deploy(ground.service, ground.bad)
    full = await ground.look()
    ground.server.calls.clear()
    light = await ground.look(light=True)
    assert [each.operation for each in ground.server.calls] == ["DescribeServices"]
    assert (full.light, light.light) == (False, True)
    assert full.workload is not None
    assert light.workload is not None
    assert light.workload.undo == full.workload.undo
    assert light.workload.dangers == full.workload.dangers


async def test_after_a_new_deployment_a_light_look_is_a_full_one(ground: EcsGround) -> None:
    await ground.look()
    ground.world.deploy(ground.service, ground.bad)
    assert not (await ground.look(light=True)).light


@pytest.mark.parametrize("operation", ["DescribeServices", "ListServiceDeployments", "DescribeScalableTargets", "ListTasks"])
async def test_a_reading_is_complete_or_none(ground: EcsGround, operation: str) -> None:
    ground.server.always[operation] = Fault.denied
    facts = await ground.look()
    assert (facts.workload, facts.trouble) == (None, Trouble.forbidden)


# --- what forbids


def _drain(service: Service) -> None:
    service.status = "DRAINING"


def _code_deploy(service: Service) -> None:
    service.controller = "CODE_DEPLOY"


def _blue_green(service: Service) -> None:
    service.strategy = "BLUE_GREEN"


def _daemon(service: Service) -> None:
    service.scheduling = "DAEMON"


def _untagged(service: Service) -> None:
    service.tags = {}


def _opted_out(service: Service) -> None:
    service.tags = {"remediator": "disabled"}


@pytest.mark.parametrize(
    "make,hazard,verbs",
    [
        (_drain, Hazard.not_active, ()),
        (_code_deploy, Hazard.deployment_controller, ()),
        (_blue_green, Hazard.deployment_controller, ()),
        (_daemon, Hazard.per_node, ("scale",)),
        (_untagged, Hazard.not_opted_in, ()),
        (_opted_out, Hazard.opted_out, ()),
    ],
)
async def test_a_hazard_is_seen(ground: EcsGround, make: Callable[[Service], None], hazard: Hazard, verbs: tuple[str, ...]) -> None:
    assert await hazards(ground) == {}
    make(ground.service)
    assert await hazards(ground) == {hazard: verbs}


async def test_application_auto_scaling_owns_the_count(ground: EcsGround) -> None:
    ground.world.scalable.append(scalable_target(ground.service))
    assert await hazards(ground) == {Hazard.autoscaling: ("scale",)}


async def test_a_rollout_in_progress_forbids_all_but_going_back(ground: EcsGround) -> None:
    ground.world.deploy(ground.service, ground.bad, finish=False)
    assert await hazards(ground) == {Hazard.rollout_in_progress: ("scale", "rollout_restart")}


async def test_a_circuit_breaker_at_work_forbids_everything(ground: EcsGround) -> None:
    ground.service.breaker = True
    assert await hazards(ground) == {}
    ground.world.deploy(ground.service, ground.bad, finish=False)
    assert (await hazards(ground))[Hazard.circuit_breaker] == ()


async def test_a_rollback_under_way_forbids_everything(ground: EcsGround) -> None:
    made = ground.world.deploy(ground.service, ground.bad, finish=False)
    made.status = "ROLLBACK_IN_PROGRESS"
    assert (await hazards(ground))[Hazard.circuit_breaker] == ()


async def test_where_the_list_is_consent_enough_no_tag_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    credentials(monkeypatch)
    async with serving(tag=False) as ground:
        _untagged(ground.service)
        assert await hazards(ground) == {}
        _opted_out(ground.service)
        assert await hazards(ground) == {Hazard.opted_out: ()}


# --- where a rollback would go


async def test_the_aim_is_the_last_successful_deployment_of_another_definition(ground: EcsGround) -> None:
    ground.world.deploy(ground.service, ground.bad)
    ground.world.deploy(ground.service, ground.bad)
    seen = (await ground.look()).workload
    assert seen is not None
    plan = seen.undo
    assert (plan.template_hash, plan.revision, plan.replica_set, plan.known_good) == (ground.good, "web:1", "", True)
    assert plan.differences == ("image app: shop:2 -> shop:1",)


async def test_a_revision_that_never_ran_is_no_aim(ground: EcsGround) -> None:
    never = ground.world.register("web", "shop:3")
    worse = ground.world.register("web", "shop:4")
    ground.world.deploy(ground.service, worse)
    seen = (await ground.look()).workload
    assert seen is not None
    assert seen.undo.template_hash == ground.good != never


async def test_a_failed_deployment_is_no_aim(ground: EcsGround) -> None:
    worse = ground.world.register("web", "shop:3")
    ground.world.broken.add(ground.bad)
    ground.world.deploy(ground.service, ground.bad)
    ground.world.deploy(ground.service, worse)
    seen = (await ground.look()).workload
    assert seen is not None
    assert seen.undo.template_hash == ground.good


async def test_a_deployment_in_flight_is_to_be_stopped(ground: EcsGround) -> None:
    made = ground.world.deploy(ground.service, ground.bad, finish=False)
    seen = (await ground.look()).workload
    assert seen is not None
    assert (seen.undo.replica_set, seen.undo.template_hash, seen.undo.known_good) == (made.arn, ground.good, True)


async def test_a_definition_that_stood_for_a_moment_is_not_known_good(ground: EcsGround) -> None:
    worse = ground.world.register("web", "shop:3")
    ground.world.deploy(ground.service, ground.bad)
    ground.later(timedelta(minutes=5))
    ground.world.deploy(ground.service, worse)
    seen = (await ground.look()).workload
    assert seen is not None
    assert (seen.undo.revision, seen.undo.known_good) == ("web:2", False)


async def test_without_a_successful_deployment_there_is_nothing_to_go_back_to(ground: EcsGround) -> None:
    assert "no successful service deployment had another" in await refusal(ground)


async def test_an_inactive_definition_is_no_aim(ground: EcsGround) -> None:
    ground.world.deploy(ground.service, ground.bad)
    ground.world.definitions[ground.good]["status"] = "INACTIVE"
    assert "web:1 is INACTIVE" in await refusal(ground)


async def test_a_tag_that_moved_is_not_undone(ground: EcsGround) -> None:
    again = ground.world.register("web", "shop:1")
    ground.world.digests["shop:1"] = "sha256:" + "f" * 64
    ground.world.deploy(ground.service, again)
    assert "its tag points at another image now" in await refusal(ground)


async def test_forcing_the_same_definition_in_flight_is_not_undone(ground: EcsGround) -> None:
    ground.world.deploy(ground.service, ground.good, finish=False)
    assert "is of the task definition that it came from" in await refusal(ground)


async def test_a_program_stands_since_its_first_deployment(ground: EcsGround) -> None:
    first = ground.world.deploy(ground.service, ground.bad)
    ground.later(timedelta(minutes=7))
    ground.world.deploy(ground.service, ground.bad)
    seen = (await ground.look()).workload
    assert seen is not None
    assert seen.program_at == first.created_at
    assert seen.revision_at == ground.clock.now()
