"""Our own ECS server answers as AWS's model says: no unknown member, no wrong type, no word outside an enumeration."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel, Shape

from receiver.clients.aws import Place
from receiver.clients.errors import ClientError, ErrorKind
from tests.fakes.ecs_server import OPERATIONS, scalable_target
from tests.kits.ecs_ground import CLUSTER, NAME, EcsGround, credentials, serving

SDK = {"elasticloadbalancing": "elbv2"}
GROUP = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/web/0123456789abcdef"
TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "long": int,
    "double": (int, float),
    "boolean": bool,
    "timestamp": object,
    "list": list,
    "structure": dict,
    "map": dict,
}


@pytest.fixture
async def ground(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[EcsGround]:
    credentials(monkeypatch)
    async with serving() as found:
        found.service.target_group = GROUP
        found.world.scalable.append(scalable_target(found.service))
        found.world.deploy(found.service, found.bad)
        found.world.broken.add(found.world.register("web", "shop:3"))
        found.world.deploy(found.service, next(iter(found.world.broken)), finish=False)
        found.world.tick()
        yield found


def asked(ground: EcsGround) -> dict[str, dict[str, Any]]:
    at = {"cluster": CLUSTER, "service": NAME}
    flying = ground.service.primary
    return {
        "DescribeServices": {"cluster": CLUSTER, "services": [NAME, "gone"], "include": ["TAGS"]},
        "UpdateService": {**at, "desiredCount": 3, "forceNewDeployment": True},
        "StopServiceDeployment": {"serviceDeploymentArn": flying.arn, "stopType": "ROLLBACK"},
        "DescribeTaskDefinition": {"taskDefinition": ground.bad},
        "ListServiceDeployments": at,
        "DescribeServiceDeployments": {"serviceDeploymentArns": [flying.arn, "gone"]},
        "DescribeServiceRevisions": {"serviceRevisionArns": [flying.revision, "gone"]},
        "ListTasks": {"cluster": CLUSTER, "serviceName": NAME, "desiredStatus": "STOPPED"},
        "DescribeTasks": {"cluster": CLUSTER, "tasks": [each.arn for each in ground.service.tasks]},
        "DescribeScalableTargets": {"ServiceNamespace": "ecs", "ResourceIds": [f"service/{CLUSTER}/{NAME}"]},
        "DescribeTargetHealth": {"TargetGroupArn": GROUP},
        "AssumeRole": {"RoleArn": f"arn:aws:iam::{ground.world.account}:role/r", "RoleSessionName": "s"},
    }


def faults(value: Any, shape: Shape, path: str) -> Iterator[str]:
    """Where `value` is not as the model has it."""
    if shape.type_name != "timestamp" and not isinstance(value, TYPES[shape.type_name]):
        yield f"{path}: {value!r} is no {shape.type_name}"
        return
    if shape.type_name == "structure":
        for name, each in value.items():
            if name not in shape.members:
                yield f"{path}.{name} is not in the model"
            else:
                yield from faults(each, shape.members[name], f"{path}.{name}")
    elif shape.type_name == "list":
        for each in value:
            yield from faults(each, shape.member, f"{path}[]")
    elif shape.type_name == "string" and shape.enum and value not in shape.enum:
        yield f"{path}: {value!r} is none of {shape.enum}"


@pytest.mark.parametrize("service,operation", OPERATIONS)
async def test_an_answer_is_as_the_model_says(ground: EcsGround, service: str, operation: str) -> None:
    model = ServiceModel(Loader().load_service_model(SDK.get(service, service), "service-2"))
    answer = OPERATIONS[service, operation](ground.server, ground.world, asked(ground)[operation])
    assert any(answer.values())
    assert list(faults(answer, model.operation_model(operation).output_shape, operation)) == []


def test_a_fault_in_an_answer_would_be_seen() -> None:
    model = ServiceModel(Loader().load_service_model("ecs", "service-2")).operation_model("DescribeServices").output_shape
    odd = {"services": [{"desiredCount": "2", "launchType": "MOON", "sevrice": 1}]}
    assert len(list(faults(odd, model, "DescribeServices"))) == 3


async def test_the_sdk_reads_what_it_says(ground: EcsGround) -> None:
    found = await ground.aws.ask(Place("ecs"), "describe_services", asked(ground)["DescribeServices"])
    assert found["failures"][0]["reason"] == "MISSING"
    assert found["services"][0]["deployments"][0]["failedTasks"] == 1
    assert found["services"][0]["createdAt"] == ground.service.created_at
    health = await ground.aws.ask(Place("elbv2"), "describe_target_health", {"TargetGroupArn": GROUP})
    assert {each["TargetHealth"]["State"] for each in health["TargetHealthDescriptions"]} == {"healthy"}


@pytest.mark.parametrize(
    "operation,parameters,kind",
    [
        ("describe_services", {"cluster": "gone", "services": ["x"]}, ErrorKind.not_found),
        ("list_service_deployments", {"cluster": CLUSTER, "service": "gone"}, ErrorKind.not_found),
        ("describe_task_definition", {"taskDefinition": "gone:1"}, ErrorKind.invalid),
    ],
)
async def test_what_it_refuses_is_translated(ground: EcsGround, operation: str, parameters: dict[str, object], kind: ErrorKind) -> None:
    with pytest.raises(ClientError) as caught:
        await ground.aws.ask(Place("ecs"), operation, parameters)
    assert caught.value.kind is kind


async def test_the_circuit_breaker_goes_back_by_itself(ground: EcsGround) -> None:
    ground.service.breaker = True
    ground.world.finish(ground.service)
    ground.world.finish(ground.service)
    assert (ground.service.primary.task_definition, ground.service.running) == (ground.bad, 4)
    assert [each.status for each in ground.service.history] == ["SUCCESSFUL", "SUCCESSFUL", "ROLLBACK_SUCCESSFUL"]
    failed = ground.service.history[-1]
    told = await ground.aws.ask(Place("ecs"), "describe_service_deployments", {"serviceDeploymentArns": [failed.arn]})
    assert told["serviceDeployments"][0]["rollback"]["serviceRevisionArn"] == failed.source == ground.service.primary.revision


async def test_a_count_alone_makes_no_deployment(ground: EcsGround) -> None:
    before = ground.service.primary
    ground.world.update({"cluster": CLUSTER, "service": NAME, "desiredCount": 6})
    assert (ground.service.primary, ground.service.desired) == (before, 6)
    ground.later(timedelta(0))
