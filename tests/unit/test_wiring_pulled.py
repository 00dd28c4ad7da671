"""What a configuration makes us fetch: the queue, its source, and the senders that are asked what is firing."""

from __future__ import annotations

import json
import sys
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from receiver import wiring
from receiver.clock import SystemClock
from receiver.core.model import Batch, Refusal
from receiver.ingest.cloudwatch_list import CloudWatchList
from receiver.ingest.sqs_source import QueueSource
from receiver.ports import ListingFailed
from receiver.settings import Settings, load_settings
from receiver.settings.pulled import region_of
from receiver.telemetry.metrics import Metrics
from receiver.wiring_pulled import Common, firing_lists, lists, queue_puller
from tests.fakes.clock import START
from tests.fakes.ecs_server import ecs_server
from tests.fakes.ecs_world import EcsWorld
from tests.fakes.intake import FakeIntake
from tests.kits.ecs_ground import credentials

ACCOUNT = "111122223333"
TOPIC = f"arn:aws:sns:eu-west-1:{ACCOUNT}:ops"
QUEUE = f"https://sqs.eu-west-1.amazonaws.com/{ACCOUNT}/alarms"
ALARM = {"AlarmName": "a", "AlarmArn": f"arn:aws:cloudwatch:eu-west-1:{ACCOUNT}:alarm:a", "NewStateValue": "ALARM"}


class NeverAsked:
    async def refuses(self) -> str:
        raise AssertionError


def settings(directory: Path, **sections: object) -> Settings:
    (directory / "config.json").write_text(json.dumps(sections))
    return load_settings(directory / "config.json", {})


def common(found: Settings) -> Common:
    return Common(found, wiring.sources(found), NeverAsked(), FakeIntake(), Metrics(version="test"), SystemClock())


async def test_nothing_is_asked_or_pulled_where_nothing_says_so(tmp_path: Path) -> None:
    found = settings(tmp_path)
    async with AsyncExitStack() as stack:
        assert firing_lists(common(found), stack=stack) == []
        assert queue_puller(common(found), stack=stack) is None


async def test_each_account_is_asked_in_each_region_and_nothing_is_imported_for_it(tmp_path: Path) -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/reader"
    cloudwatch = {"regions": ["eu-west-1", "us-east-1"], "accounts": [ACCOUNT]}
    found = settings(tmp_path, cloudwatch=cloudwatch, aws={"accounts": [{"id": ACCOUNT, "role_arn": role}]})
    before = "aiobotocore" in sys.modules
    async with AsyncExitStack() as stack:
        made = [each.name for each in firing_lists(common(found), stack=stack)]
    assert made == [f"cloudwatch {ACCOUNT} {region}" for region in ("eu-west-1", "us-east-1")] == lists(found)
    assert ("aiobotocore" in sys.modules) is before


async def test_a_role_is_taken_at_the_address_of_sts_not_at_that_of_cloudwatch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    credentials(monkeypatch)
    world = EcsWorld(lambda: datetime.now(UTC), account=ACCOUNT)
    async with ecs_server(world) as sts, ecs_server(world) as alarms, AsyncExitStack() as stack:
        accounts = [{"id": ACCOUNT, "role_arn": f"arn:aws:iam::{ACCOUNT}:role/reader"}]
        cloudwatch = {"regions": ["eu-west-1"], "accounts": [ACCOUNT], "endpoint_url": alarms.url}
        found = settings(tmp_path, cloudwatch=cloudwatch, aws={"accounts": accounts, "endpoint_url": sts.url})
        (asked,) = firing_lists(common(found), stack=stack)
        with pytest.raises(ListingFailed):  # that server knows no alarms
            await asked.ask(START, {})
    assert [each.operation for each in sts.calls] == ["AssumeRole"]
    assert {each.operation for each in alarms.calls} == {"DescribeAlarms"}


async def test_the_queue_is_pulled_as_configured(tmp_path: Path) -> None:
    found = settings(tmp_path, sources={"sqs": {"queue_url": QUEUE, "receives": 2, "visibility": "30s"}})
    async with AsyncExitStack() as stack:
        made = queue_puller(common(found), stack=stack)
    assert made is not None
    assert made._pull.most_receives <= 3
    assert (made._pull.receives, made._pull.visibility.total_seconds()) == (2, 30)
    assert found.unserved() == []


def test_the_topics_of_the_sources_say_which_alarms_are_ours(tmp_path: Path) -> None:
    found = settings(tmp_path, cloudwatch={"regions": ["eu-west-1"]}, sources={"sqs": {"queue_url": QUEUE, "topics": [TOPIC]}})
    assert found.alarm_topics == (TOPIC,)
    assert not [each for each in found.warnings if "topics" in each]
    assert [each for each in settings(tmp_path, cloudwatch={"regions": ["eu-west-1"]}).warnings if "topics" in each]


OTHER = f"arn:aws:sns:eu-west-1:{ACCOUNT}:other"
SNS = {"topics": [TOPIC]}
BUS = {"token": "0123456789abcdefghijk"}


@pytest.mark.parametrize(
    "sources,topics,silent",
    [
        ({"sns": SNS}, (TOPIC,), False),
        ({"sns": SNS, "sqs": {"queue_url": QUEUE, "topics": [OTHER]}}, (TOPIC, OTHER), False),
        ({"sns": SNS, "sqs": {"queue_url": QUEUE}}, (), True),
        ({"sqs": {"queue_url": QUEUE}}, (), True),
        ({"sns": SNS, "eventbridge": BUS}, (), True),
        ({"eventbridge": BUS}, (), True),
        ({}, (), False),
    ],
    ids=str,
)
def test_which_alarms_are_ours_follows_the_widest_way_in(
    tmp_path: Path, sources: dict[str, object], topics: tuple[str, ...], silent: bool
) -> None:
    found = settings(tmp_path, cloudwatch={"regions": ["eu-west-1"]}, sources=sources)
    assert (found.alarm_topics, found.silent_alarms) == (topics, silent)
    narrowed = settings(tmp_path, cloudwatch={"regions": ["eu-west-1"], "topics": [OTHER]}, sources=sources)
    assert (narrowed.alarm_topics, narrowed.silent_alarms) == ((OTHER,), False)


def test_topics_that_leave_out_what_a_way_brings_are_warned_of(tmp_path: Path) -> None:
    narrow = {"regions": ["eu-west-1"], "topics": [TOPIC]}
    found = settings(tmp_path, cloudwatch=narrow, sources={"eventbridge": BUS})
    assert [each for each in found.warnings if each.startswith("cloudwatch.topics")]
    assert not [each for each in settings(tmp_path, cloudwatch=narrow, sources={"sns": SNS}).warnings if "cloudwatch" in each]


async def test_alarms_that_tell_nobody_are_asked_for_where_a_bus_brings_them(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        for sources, silent in (({"sns": SNS}, False), ({"sns": SNS, "eventbridge": BUS}, True)):
            found = settings(tmp_path, cloudwatch={"regions": ["eu-west-1"]}, sources=sources)
            (asked,) = firing_lists(common(found), stack=stack)
            assert isinstance(asked, CloudWatchList)
            assert asked._silent is silent


@pytest.mark.parametrize(
    "url,region",
    [
        (QUEUE, "eu-west-1"),
        ("https://eu-west-1.queue.amazonaws.com/1/a", "eu-west-1"),
        ("https://queue.amazonaws.com/1/a", "us-east-1"),
        ("https://us-east-2.queue.amazonaws.com/1/a", "us-east-2"),
        ("https://SQS.eu-west-1.amazonaws.com:443/1/a", "eu-west-1"),
        ("https://sqs-fips.us-east-1.amazonaws.com/1/a", "us-east-1"),
        ("https://sqs.us-gov-west-1.amazonaws.com/1/a", "us-gov-west-1"),
        ("https://sqs.eu-west-1.api.aws/1/a", "eu-west-1"),
        ("https://sqs-fips.us-east-1.api.aws/1/a", "us-east-1"),
        ("https://sqs.cn-north-1.amazonaws.com.cn/1/a", "cn-north-1"),
        ("https://sqs.cn-north-1.api.amazonwebservices.com.cn/1/a", "cn-north-1"),
        ("https://sqs.eusc-de-east-1.amazonaws.eu/1/a", "eusc-de-east-1"),
        ("https://vpce-0a1b-c2d3.sqs.eu-west-1.vpce.amazonaws.com/1/a", "eu-west-1"),
        ("https://vpce-0a1b-c2d3-eu-west-1a.sqs.eu-west-1.vpce.amazonaws.com/1/a", "eu-west-1"),
        ("https://vpce-0a1b-c2d3.sqs.cn-north-1.vpce.amazonaws.com.cn/1/a", "cn-north-1"),
        ("http://127.0.0.1:4566/1/a", ""),
        ("http://localhost:4566/1/a", ""),
        ("https://sqs.amazonaws.com/1/a", ""),
        ("https://sqs-fips.amazonaws.com/1/a", ""),
        ("https://sqs.internal.amazonaws.com/1/a", ""),
        ("https://evil.example.sqs.eu-west-1.vpce.amazonaws.com.evil.example/1/a", ""),
        ("https://sqs.eu-west-1.amazonaws.com.evil.example/1/a", ""),
    ],
)
def test_the_region_is_read_off_the_address_of_the_queue(url: str, region: str) -> None:
    assert region_of(url) == region


@pytest.mark.parametrize(
    "allowed,body,path",
    [
        ({"topics": [TOPIC]}, {"TopicArn": f"{TOPIC}x", "Message": json.dumps(ALARM), "Type": "Notification"}, "TopicArn"),
        ({"topics": [TOPIC]}, {"TopicArn": TOPIC, "Message": json.dumps(ALARM), "Type": "Notification"}, ""),
        ({"accounts": ["999999999999"]}, ALARM, "AlarmArn"),
        ({"accounts": [ACCOUNT]}, ALARM, ""),
        ({"accounts": [ACCOUNT]}, {**ALARM, "AlarmArn": "arn:of:nobody"}, "AlarmArn"),
    ],
)
def test_what_is_on_no_list_is_refused(allowed: dict[str, list[str]], body: dict[str, str], path: str) -> None:
    found = QueueSource(**allowed).parse(json.dumps(body).encode(), START)
    assert (found.path if isinstance(found, Refusal) else "") == path
    assert path or (isinstance(found, Batch) and len(found.alerts) == 1)


EVENT = {
    "detail-type": "CloudWatch Alarm State Change",
    "source": "aws.cloudwatch",
    "resources": [ALARM["AlarmArn"]],
    "detail": {"alarmName": "a", "state": {"value": "ALARM", "timestamp": "2026-11-20T12:00:00.000+0000"}},
}


@pytest.mark.parametrize("bare", [ALARM, EVENT], ids=["alarm", "event"])
@pytest.mark.parametrize(
    "allowed,trusted",
    [({"topics": [TOPIC]}, False), ({"topics": [TOPIC], "accounts": [ACCOUNT]}, True), ({"accounts": [ACCOUNT]}, True), ({}, True)],
    ids=["topics", "topics and accounts", "accounts", "neither"],
)
def test_what_names_neither_a_listed_topic_nor_a_listed_account_is_only_paged(
    allowed: dict[str, list[str]], trusted: bool, bare: dict[str, object]
) -> None:
    found = QueueSource(**allowed).parse(json.dumps(bare).encode(), START)
    assert isinstance(found, Batch)
    (alert,) = found.alerts
    assert bool(alert.page_only) is not trusted
    assert trusted or "sources.sqs.topics" in alert.page_only


def test_an_envelope_of_a_listed_topic_is_trusted() -> None:
    for inner in (ALARM, EVENT):
        body = {"TopicArn": TOPIC, "Message": json.dumps(inner), "Type": "Notification"}
        found = QueueSource(topics=[TOPIC]).parse(json.dumps(body).encode(), START)
        assert isinstance(found, Batch)
        assert [each.page_only for each in found.alerts] == [""]
