"""Asking moto's CloudWatch which alarms fire, through the SDK."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from receiver.clients.aws import Aws, AwsConfig, Place
from receiver.clients.cloudwatch import CloudWatch
from receiver.clock import SystemClock
from receiver.ingest.cloudwatch_list import CloudWatchList
from receiver.ports import Listing, ListingFailed
from tests.e2e.lonely import Service
from tests.real.moto import REGION, Moto

pytestmark = pytest.mark.e2e

TOPIC = f"arn:aws:sns:{REGION}:123456789012:ops"


class NeverAsked:
    async def refuses(self) -> str:
        raise AssertionError


@pytest_asyncio.fixture
async def aws(moto: Moto) -> AsyncIterator[Aws]:
    made = Aws(AwsConfig(region=REGION, endpoint_url=moto.url), clock=SystemClock(), kill_switch=NeverAsked())
    yield made
    await made.close()


async def put(moto: Moto, name: str, state: str, **more: Any) -> None:
    async with moto.client("cloudwatch") as cloudwatch:
        await cloudwatch.put_metric_alarm(
            AlarmName=name,
            MetricName="CPUUtilization",
            Namespace="AWS/ECS",
            Dimensions=[{"Name": "ClusterName", "Value": "app"}],
            Statistic="Average",
            Period=60,
            EvaluationPeriods=1,
            Threshold=80.0,
            ComparisonOperator="GreaterThanThreshold",
            AlarmActions=[TOPIC],
            ActionsEnabled=True,
            **more,
        )
        await cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason="set by a test")


async def asked(aws: Aws) -> Listing:
    listed = CloudWatchList(CloudWatch(aws.calls(Place("cloudwatch"))), region=REGION, topics=(TOPIC,))
    return await listed.ask(datetime.now(UTC), {})


async def test_states_are_read_as_they_are(moto: Moto, aws: Aws) -> None:
    for name, state in (("hot", "ALARM"), ("cool", "OK"), ("blind", "INSUFFICIENT_DATA")):
        await put(moto, name, state)
    listing = await asked(aws)
    assert [each.name for each in listing.firing] == ["hot"]
    assert [each.name for each in listing.over] == ["cool"]
    assert len(listing.held_back) == 1
    (hot,) = listing.firing
    assert (hot.labels["metric_name"], hot.labels["dimension_ClusterName"], hot.labels["region"]) == ("CPUUtilization", "app", REGION)
    assert hot.trusted_shape


async def test_a_server_that_is_away_says_nothing(moto: Moto) -> None:
    away = Aws(AwsConfig(region=REGION, endpoint_url="http://127.0.0.1:9"), clock=SystemClock(), kill_switch=NeverAsked())
    try:
        with pytest.raises(ListingFailed):
            await asked(away)
    finally:
        await away.close()


@pytest_asyncio.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    made = Service(tmp_path)
    yield made
    await made.stop()


async def test_what_the_queue_never_brought_is_asked_for_and_what_it_brought_is_one_with_it(moto: Moto, service: Service) -> None:
    """SNS → SQS → incident; an ALARM that nobody sent; an OK that nobody sent."""
    await put(moto, "told", "ALARM")
    await put(moto, "untold", "ALARM")
    async with moto.client("sns") as sns, moto.client("sqs") as sqs:
        topic = (await sns.create_topic(Name="ops"))["TopicArn"]
        queue = (await sqs.create_queue(QueueName="alarms"))["QueueUrl"]
        await sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=f"arn:aws:sqs:{REGION}:123456789012:alarms")
        await sns.publish(TopicArn=topic, Message=json.dumps(message("told")))
    source = {"queue_url": queue, "region": REGION, "topics": [topic], "endpoint_url": moto.url}
    await service.start(sources={"sqs": source}, cloudwatch={"regions": [REGION], "endpoint_url": moto.url})
    await service.tells("first_alert", lambda told: set(told) == {"told", "untold"})
    assert "untold" in await service.tells("found_by_reconciling")
    await put(moto, "told", "OK")
    assert await service.tells("alert_resolved") == ["told"]
    assert sorted(service.told("first_alert")) == ["told", "untold"]


def message(name: str) -> dict[str, str]:
    at = datetime.now(UTC).isoformat()
    arn = f"arn:aws:cloudwatch:{REGION}:123456789012:alarm:{name}"
    return {"AlarmName": name, "AlarmArn": arn, "NewStateValue": "ALARM", "NewStateReason": "why", "StateChangeTime": at}
