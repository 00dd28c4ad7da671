"""One alarm from end to end, with the rights of the shipped policy: CloudWatch → SNS → SQS → receiver → a service of ECS, and PagerDuty."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.aws_scene import ALARM, ALARM_ARN, AwsScene
from tests.e2e.lonely import Service
from tests.fakes.ecs_server import Fault
from tests.real.moto import ACCOUNT, REGION, Moto
from tests.real.processes import eventually

pytestmark = pytest.mark.e2e

GROUP = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:targetgroup/web/0123456789abcdef"


@pytest_asyncio.fixture
async def scene(moto: Moto, tmp_path: Path) -> AsyncIterator[AwsScene]:
    async with AwsScene(moto, tmp_path) as made:
        yield made


def in_flight(scene: AwsScene) -> None:
    """A release that never comes up."""
    scene.world.broken.add(scene.bad)
    scene.world.deploy(scene.service, scene.bad, finish=False)
    scene.world.tick()


def sick(scene: AwsScene) -> None:
    """A release that is there, and answers no health check until the one before is back."""
    scene.service.target_group = GROUP
    scene.world.deploy(scene.service, scene.bad)
    scene.world.sick_targets[GROUP] = 2
    scene.moves.append(lambda: scene.world.sick_targets.clear() if scene.service.primary.task_definition == scene.good else None)


async def back(scene: AwsScene) -> None:
    """The alarm is over once the good release runs."""

    def runs() -> bool:
        return scene.service.primary.status == "SUCCESSFUL" and scene.service.primary.task_definition == scene.good

    await eventually(runs, within=60, what="the good release back")
    await scene.alarm("OK")


def attempts(found: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(each["action"], each["state"], each["verdict"]) for each in found["attempts"]]


async def test_a_release_that_never_comes_up_is_rolled_back_verified_and_closed_without_a_page(scene: AwsScene) -> None:
    in_flight(scene)
    await scene.start()
    await scene.alarm("ALARM")
    await back(scene)
    closed = await scene.incident((await scene.closed())["id"])
    assert [each.operation for each in scene.server.changes] == ["StopServiceDeployment"]
    assert attempts(closed) == [("ecs.previous_task_definition", "applied", "cured")]
    assert (scene.service.running, scene.pagerduty.incidents) == (3, [])


@pytest.mark.parametrize("fault", [Fault.lost_after, Fault.hang_after, Fault.fail_after])
async def test_an_answer_lost_after_the_change_leaves_exactly_one_change(scene: AwsScene, fault: Fault) -> None:
    sick(scene)
    scene.server.always["UpdateService"] = fault
    await scene.start()
    await scene.alarm("ALARM")
    await back(scene)
    closed = await scene.incident((await scene.closed())["id"])
    assert [each.asked["taskDefinition"] for each in scene.server.changes] == [scene.good]
    assert attempts(closed) == [("ecs.previous_task_definition", "applied", "cured")]
    await scene.pagerduty.waits_for(lambda it: it.incidents and not it.open)  # a doubt is paged, and its end is told
    assert len(scene.pagerduty.incidents) == 1


async def test_an_alarm_and_an_alert_on_one_service_of_the_catalogue_are_one_incident(scene: AwsScene) -> None:
    sick(scene)
    await scene.start(mode="observe")
    await scene.alarm("ALARM")
    await scene.alert({"alertname": "StorefrontErrors", "service": "storefront"})
    await scene.alert({"alertname": "StorefrontErrors", "service": "another"})

    async def settled() -> dict[str, Any] | None:
        opened = [await scene.incident(each["id"]) for each in await scene.incidents() if each["open"]]
        both = [each for each in opened if len(each["alerts"]) == 2]
        return both[0] if both and len(opened) == 2 else None

    found = await eventually(settled, within=60, what="one incident of both, and one of the other service")
    assert {each["labels"]["alertname"] for each in found["alerts"]} == {ALARM, "StorefrontErrors"}


@pytest_asyncio.fixture
async def lonely(tmp_path: Path) -> AsyncIterator[Service]:
    made = Service(tmp_path)
    yield made
    await made.stop()


async def test_a_start_that_is_told_of_metric_alarms_alone_ends_no_composite_one(moto: Moto, lonely: Service) -> None:
    """Both fired before; what is asked at the start says that the metric alarm is over, and nothing of the other kind."""
    async with moto.client("sqs") as sqs, moto.client("cloudwatch") as cloudwatch:
        queue = (await sqs.create_queue(QueueName="alarms"))["QueueUrl"]
        for told in (fired("metric"), fired("composite", AlarmRule="ALARM(metric)", TriggeringChildren=[])):
            await sqs.send_message(QueueUrl=queue, MessageBody=json.dumps(told))
        sources = {"sqs": {"queue_url": queue, "region": REGION, "endpoint_url": moto.url}}
        await lonely.start(sources=sources)
        await lonely.tells("first_alert", lambda told: set(told) == {"metric", "composite"})
        await lonely.stop()
        await put(cloudwatch, "metric", "OK")
        assert (await cloudwatch.describe_alarms(AlarmTypes=["MetricAlarm", "CompositeAlarm"]))["CompositeAlarms"] == []
    await lonely.start(sources=sources, cloudwatch={"regions": [REGION], "endpoint_url": moto.url})
    assert await lonely.tells("alert_resolved") == ["metric"]
    assert lonely.told("alert_resolved") == ["metric"]


def fired(name: str, **more: object) -> dict[str, object]:
    told = {"AlarmName": name, "AlarmArn": ALARM_ARN + name, "AWSAccountId": ACCOUNT, "NewStateValue": "ALARM", "NewStateReason": "why"}
    return {**told, "StateChangeTime": datetime.now(UTC).isoformat(), **more}


async def put(cloudwatch: Any, name: str, state: str) -> None:
    """A metric alarm in this state."""
    await cloudwatch.put_metric_alarm(
        AlarmName=name,
        MetricName="CPUUtilization",
        Namespace="AWS/ECS",
        Statistic="Average",
        Period=60,
        EvaluationPeriods=1,
        Threshold=80.0,
        ComparisonOperator="GreaterThanThreshold",
        AlarmActions=[f"arn:aws:sns:{REGION}:{ACCOUNT}:ops"],
    )
    await cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason="set by a test")
