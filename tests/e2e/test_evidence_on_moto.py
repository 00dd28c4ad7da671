"""Evidence through the SDK: log group and metrics of an ECS service, an alarm's own metric, EC2's status checks, on moto's server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from receiver.clients.aws import Aws, AwsConfig
from receiver.clients.ecs import Ecs, ServiceAt, uid
from receiver.clock import SystemClock
from receiver.core.facts import Evidence
from receiver.core.model import Alert, Target
from receiver.observe.evidence import AlarmEvidence, EcsEvidence, EcsLogs, EvidenceRunner
from tests.kits.ecs_ground import CLUSTER, NAME, REF, Switch
from tests.real.moto import REGION, Moto
from tests.unit.observe.objects import inquiry

pytestmark = pytest.mark.e2e

GROUP, STREAM = "/ecs/web", "ecs/app/0123456789abcdef"
DRIVER = {"logDriver": "awslogs", "options": {"awslogs-group": GROUP, "awslogs-stream-prefix": "ecs", "awslogs-region": REGION}}
CONTAINER = {"name": "app", "image": "app:1", "memory": 128, "logConfiguration": DRIVER}


@pytest_asyncio.fixture
async def aws(moto: Moto) -> AsyncIterator[Aws]:
    made = Aws(AwsConfig(region=REGION, endpoint_url=moto.url), clock=SystemClock(), kill_switch=Switch())
    yield made
    await made.close()


@pytest_asyncio.fixture
async def service(moto: Moto) -> Mapping[str, Any]:
    """On moto's ECS, which keeps a service and runs nothing."""
    async with moto.client("ecs") as ecs:
        await ecs.create_cluster(clusterName=CLUSTER)
        await ecs.register_task_definition(family="web", containerDefinitions=[CONTAINER])
        made = await ecs.create_service(cluster=CLUSTER, serviceName=NAME, taskDefinition="web", desiredCount=1)
    found: Mapping[str, Any] = made["service"]
    return found


async def collected(aws: Aws, service: Mapping[str, Any]) -> dict[str, Evidence]:
    ecs = Ecs(aws, [ServiceAt(CLUSTER, NAME)])
    found: dict[str, Evidence] = {}
    target = Target(REF, uid(await ecs.service(ecs.services[0])))
    await EvidenceRunner([EcsEvidence(ecs, SystemClock()), EcsLogs(ecs, SystemClock())]).collect(inquiry(target), found)
    return found


async def test_the_last_error_lines_are_ranked_and_masked(moto: Moto, aws: Aws, service: Mapping[str, Any]) -> None:
    now = int(datetime.now(UTC).timestamp() * 1000)
    messages = [*(f"ERROR cannot reach 10.0.0.{n}, password=hunter{n}" for n in range(4)), "served / in 3ms", "FATAL no config"]
    async with moto.client("logs") as logs:
        await logs.create_log_group(logGroupName=GROUP)
        await logs.create_log_stream(logGroupName=GROUP, logStreamName=STREAM)
        events = [{"timestamp": now - 60_000 + at, "message": each} for at, each in enumerate(messages)]
        await logs.put_log_events(logGroupName=GROUP, logStreamName=STREAM, logEvents=events)
    found = await collected(aws, service)
    assert found["log"].lines == (
        "4x 0123456789ab: ERROR cannot reach 10.0.0.3, password=***",
        "1x 0123456789ab: FATAL no config",
    )


async def test_a_log_group_that_is_gone_is_a_reason(aws: Aws, service: Mapping[str, Any]) -> None:
    assert (await collected(aws, service))["log"].missing.startswith("could not be read: not_found")


async def test_an_hour_of_metrics_is_a_sparkline(moto: Moto, aws: Aws, service: Mapping[str, Any]) -> None:
    dimensions = [{"Name": "ClusterName", "Value": CLUSTER}, {"Name": "ServiceName", "Value": NAME}]
    now = datetime.now(UTC)
    async with moto.client("cloudwatch") as cloudwatch:
        for minutes, value in ((30, 10.0), (20, 50.0), (10, 100.0)):
            data = {"MetricName": "CPUUtilization", "Dimensions": dimensions, "Timestamp": now - timedelta(minutes=minutes), "Value": value}
            await cloudwatch.put_metric_data(Namespace="AWS/ECS", MetricData=[data])
    found = await collected(aws, service)
    assert found["metrics"].lines[0].startswith("CPUUtilization: ")
    assert "█ now 100.0 %, 10.0 to 100.0 % in the last hour" in found["metrics"].lines[0]
    assert found["metrics"].lines[1].startswith("MemoryUtilization: no data in the last hour")


async def test_an_alarm_of_an_instance_shows_its_metric_and_the_status_checks(moto: Moto, aws: Aws) -> None:
    now = datetime.now(UTC)
    async with moto.client("ec2") as ec2:
        image = (await ec2.describe_images(Owners=["amazon"]))["Images"][0]["ImageId"]
        made = await ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, InstanceType="t3.micro")
    dimensions = [{"Name": "InstanceId", "Value": made["Instances"][0]["InstanceId"]}]
    async with moto.client("cloudwatch") as cloudwatch:
        for minutes, value in ((30, 10.0), (10, 95.0)):
            data = {"MetricName": "CPUUtilization", "Dimensions": dimensions, "Timestamp": now - timedelta(minutes=minutes), "Value": value}
            await cloudwatch.put_metric_data(Namespace="AWS/EC2", MetricData=[data])
        await cloudwatch.put_metric_alarm(
            AlarmName="cpu", Namespace="AWS/EC2", MetricName="CPUUtilization", Dimensions=dimensions, Statistic="Average", Period=60,
            Threshold=80.0, ComparisonOperator="GreaterThanThreshold", EvaluationPeriods=3,
        )  # fmt: skip
        (alarm,) = (await cloudwatch.describe_alarms(AlarmNames=["cpu"]))["MetricAlarms"]
    account = alarm["AlarmArn"].split(":")[4]
    labels = {"alarm_arn": alarm["AlarmArn"], "region": REGION, "account_id": account, "dimension_InstanceId": "i"}
    told = replace(inquiry(), alerts=(Alert("cloudwatch", "f", labels, {}, now, None, now),))
    found: dict[str, Evidence] = {}
    await EvidenceRunner([AlarmEvidence(aws, [("", REGION)], SystemClock())]).collect(told, found)
    assert found["alarm"].lines[0].startswith("cpu: ")
    assert found["alarm"].lines[1].endswith("now 95, 10 to 95 in the last 1 h")
    assert found["alarm"].lines[2] == "alarm from GreaterThanThreshold 80, 3 of 3 periods"
    assert found["checks"].lines == ("1 of 1 instances pass their status checks",)
