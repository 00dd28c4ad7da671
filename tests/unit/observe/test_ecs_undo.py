"""Where a service of ECS may go back to: never on from what it was brought back to, never by a tag that moved."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any

import pytest

from receiver.core.facts import UndoPlan, Workload
from receiver.observe.ecs_reading import Reading, Step
from receiver.observe.ecs_undo import differences, undo_plan
from tests.kits.ecs_ground import EcsGround, credentials, serving

LONG = timedelta(hours=10)


@pytest.fixture
async def ground(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[EcsGround]:
    credentials(monkeypatch)
    async with serving() as found:
        yield found


async def state(ground: EcsGround) -> Workload:
    facts = await ground.look()
    assert facts.workload is not None, facts.trouble_detail
    return facts.workload


def stood_for_long(ground: EcsGround) -> str:
    """web:2 has run for hours; the next definition is web:3."""
    ground.world.deploy(ground.service, ground.bad)
    ground.world.old(ground.service, LONG)
    return ground.world.register("web", "shop:3")


# --- after a rollback


@pytest.mark.parametrize("breaker", [True, False])
async def test_what_ecs_went_back_to_is_not_left_for_something_older(ground: EcsGround, breaker: bool) -> None:
    worst = stood_for_long(ground)
    stood = ground.service.primary.created_at
    ground.world.broken.add(worst)
    ground.service.breaker = breaker
    made = ground.world.deploy(ground.service, worst, finish=False)
    if not breaker:
        ground.world.stop({"serviceDeploymentArn": made.arn})
    for _ in range(8):
        ground.world.tick()
    seen = await state(ground)
    assert (seen.template_hash, made.status) == (ground.bad, "ROLLBACK_SUCCESSFUL")
    assert seen.undo.refusal == "the newest service deployment was rolled back: web:2 is what ECS went back to"
    assert seen.program_at == stood


async def test_after_a_rollback_that_failed_nothing_is_undone(ground: EcsGround) -> None:
    made = ground.world.deploy(ground.service, ground.bad)
    made.status = "ROLLBACK_FAILED"
    assert (await state(ground)).undo.refusal == "the newest service deployment is ROLLBACK_FAILED"


@pytest.mark.parametrize("finish", [True, False])
async def test_a_definition_that_was_set_again_is_a_going_back_too(ground: EcsGround, finish: bool) -> None:
    worse = stood_for_long(ground)
    ground.world.deploy(ground.service, worse)
    ground.later(timedelta(minutes=20))
    ground.world.deploy(ground.service, ground.bad, finish=finish)
    assert (await state(ground)).undo.refusal == "web:2 had stood before its newest service deployment: that one went back to it"


async def test_a_second_try_of_a_definition_that_was_rolled_back_may_be_undone(ground: EcsGround) -> None:
    ground.world.broken.add(ground.bad)
    first = ground.world.deploy(ground.service, ground.bad, finish=False)
    ground.world.stop({"serviceDeploymentArn": first.arn})
    ground.world.finish(ground.service)
    ground.later(timedelta(minutes=20))
    again = ground.world.deploy(ground.service, ground.bad, finish=False)
    seen = await state(ground)
    assert (seen.undo.template_hash, seen.undo.replica_set) == (ground.good, again.arn)
    assert seen.program_at == again.created_at


def test_a_service_that_its_newest_deployment_did_not_bring_where_it_is_stays_there() -> None:
    steps = [Step("arn/d2", "SUCCESSFUL", None, None, "r2", ""), Step("arn/d1", "SUCCESSFUL", None, None, "r1", "arn/web:1")]
    found = undo_plan(Reading(service={"taskDefinition": "arn/web:2"}, history=steps), known_good_for=LONG)
    assert found == UndoPlan(refusal="nothing shows that the newest service deployment brought web:2")


# --- a tag that moved


def moved(ground: EcsGround, *, finish: bool) -> None:
    """Two definitions with one tag, which points elsewhere since."""
    ground.world.deploy(ground.service, ground.world.register("web", "shop:latest", environment=[{"name": "BUILD", "value": "1"}]))
    ground.world.old(ground.service, LONG)
    ground.world.digests["shop:latest"] = "sha256:" + "b" * 64
    again = ground.world.register("web", "shop:latest", environment=[{"name": "BUILD", "value": "2"}])
    ground.world.deploy(ground.service, again, finish=finish)


async def test_a_tag_that_moved_is_not_set_again_although_something_else_differs(ground: EcsGround) -> None:
    moved(ground, finish=True)
    told = (
        "shop:latest of app points at another image now, and web:3 asks for it by that tag: setting it would not bring the old image back"
    )
    assert (await state(ground)).undo.refusal == told


async def test_a_deployment_in_flight_is_stopped_although_the_tag_moved(ground: EcsGround) -> None:
    moved(ground, finish=False)
    plan = (await state(ground)).undo
    assert (plan.refusal, plan.revision, plan.differences) == ("", "web:3", ("environment of app",))


# --- what differs

ONE: Mapping[str, Any] = {
    "taskDefinitionArn": "arn:aws:ecs:eu-west-1:111122223333:task-definition/web:1",
    "family": "web",
    "revision": 1,
    "status": "ACTIVE",
    "cpu": "256",
    "containerDefinitions": [{"name": "app", "image": "shop:1", "environment": [], "essential": True}],
}


@pytest.mark.parametrize(
    "key,value",
    [
        ("cpu", "512"),
        ("memory", "256"),
        ("taskRoleArn", "arn:aws:iam::111122223333:role/wrong"),
        ("executionRoleArn", "arn:aws:iam::111122223333:role/wrong"),
        ("networkMode", "host"),
        ("volumes", [{"name": "data", "efsVolumeConfiguration": {"fileSystemId": "fs-1"}}]),
        ("runtimePlatform", {"cpuArchitecture": "ARM64"}),
        ("placementConstraints", [{"type": "memberOf", "expression": "x"}]),
        ("requiresCompatibilities", ["FARGATE"]),
        ("ephemeralStorage", {"sizeInGiB": 40}),
        ("pidMode", "task"),
    ],
)
def test_what_the_task_asks_for_is_a_difference(key: str, value: object) -> None:
    assert differences({**ONE, key: value}, ONE) == (f"{key} of the task",)


@pytest.mark.parametrize(
    "key,value",
    [
        ("environment", [{"name": "TOKEN", "value": "s3cr3t"}]),
        ("environmentFiles", [{"type": "s3", "value": "arn:aws:s3:::b/s3cr3t"}]),
        ("secrets", [{"name": "TOKEN", "valueFrom": "arn:aws:ssm:::parameter/s3cr3t"}]),
        ("command", ["serve", "--token=s3cr3t"]),
        ("logConfiguration", {"logDriver": "awslogs"}),
        ("mountPoints", [{"sourceVolume": "data", "containerPath": "/data"}]),
        ("ulimits", [{"name": "nofile", "softLimit": 1, "hardLimit": 1}]),
        ("user", "root"),
        ("essential", False),
        ("dependsOn", [{"containerName": "init", "condition": "SUCCESS"}]),
        ("linuxParameters", {"initProcessEnabled": True}),
        ("stopTimeout", 2),
        ("readonlyRootFilesystem", True),
    ],
)
def test_what_a_container_asks_for_is_a_difference_and_its_value_is_not_told(key: str, value: object) -> None:
    other = {**ONE, "containerDefinitions": [{**ONE["containerDefinitions"][0], key: value}]}
    assert differences(other, ONE) == (f"{key} of app",)


def test_a_container_that_came_is_told_by_its_image() -> None:
    other = {**ONE, "containerDefinitions": [*ONE["containerDefinitions"], {"name": "proxy", "image": "envoy:1", "cpu": 10}]}
    assert differences(other, ONE) == ("image proxy: envoy:1 -> none",)


def test_what_ecs_notes_at_registration_is_none() -> None:
    noted = {
        "taskDefinitionArn": f"{ONE['taskDefinitionArn']}2",
        "revision": 12,
        "status": "INACTIVE",
        "registeredAt": 1,
        "deregisteredAt": 2,
        "registeredBy": "ci",
        "requiresAttributes": [{"name": "ecs.capability.x"}],
        "compatibilities": ["EC2"],
        "volumes": [],
    }
    assert differences({**ONE, **noted}, ONE) == ()


def test_neither_an_order_without_meaning_nor_what_is_unset_is_a_difference() -> None:
    def of(*names: str, **more: object) -> Mapping[str, Any]:
        named = [{"name": each, "value": "1"} for each in names]
        return {**ONE, "containerDefinitions": [{"name": "app", "image": "shop:1", "environment": named, **more}]}

    assert differences(of("A", "B", mountPoints=[]), of("B", "A")) == ()
    assert differences(of(command=["a", "b"]), of(command=["b", "a"])) == ("command of app",)
