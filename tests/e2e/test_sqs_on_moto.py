"""Pulling from a queue of moto's server: the three forms, a crash between commit and delete, poison, the dead-letter queue."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from receiver.clients.aws import Aws, AwsConfig, Place
from receiver.clients.errors import ClientError, ErrorKind
from receiver.clients.sqs import Queue
from receiver.clock import SystemClock
from receiver.core.model import Alert
from receiver.engine.folder import Folder, Reading
from receiver.engine.handover import Handover
from receiver.ingest.sqs import Pull, QueuePuller
from receiver.ingest.sqs_source import QueueSource
from receiver.ports import Delivery, IncidentFilter, OwnTrouble
from receiver.store.opening import open_store
from receiver.telemetry.metrics import Metrics
from tests.fakes.folding_ground import rules
from tests.real.moto import REGION, Moto
from tests.real.processes import eventually

pytestmark = pytest.mark.e2e

ACCOUNT = "123456789012"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:ops"
ARN = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:"
AT = "2026-11-20T12:00:00.000+0000"


def alarm(name: str, state: str = "ALARM", at: str = AT) -> dict[str, Any]:
    return {"AlarmName": name, "AlarmArn": ARN + name, "NewStateValue": state, "NewStateReason": "why", "StateChangeTime": at}


def event(name: str) -> dict[str, Any]:
    return {
        "version": "0",
        "id": f"id-{name}",
        "detail-type": "CloudWatch Alarm State Change",
        "source": "aws.cloudwatch",
        "account": ACCOUNT,
        "region": REGION,
        "time": "2026-11-20T12:00:00Z",
        "resources": [ARN + name],
        "detail": {"alarmName": name, "state": {"value": "ALARM", "reason": "why", "timestamp": AT}, "configuration": {}},
    }


@dataclass
class Inbox:
    """Keeps what it takes."""

    accepted: list[Delivery] = field(default_factory=list)
    troubles: list[OwnTrouble] = field(default_factory=list)

    async def accept(self, delivery: Delivery) -> None:
        self.accepted.append(delivery)

    def report(self, trouble: OwnTrouble) -> None:
        self.troubles.append(trouble)

    @property
    def alerts(self) -> list[Alert]:
        return [alert for each in self.accepted for alert in each.batch.alerts]


class NeverAsked:
    async def refuses(self) -> str:
        raise AssertionError


@dataclass
class Scene:
    """One queue with a dead-letter queue after two receives."""

    moto: Moto
    aws: Aws
    url: str
    dead: str
    metrics: Metrics = field(default_factory=lambda: Metrics(version="test"))
    inbox: Inbox = field(default_factory=Inbox)

    def queue(self, *, visibility: int = 5, url: str = "") -> Queue:
        return Queue(self.aws.calls(Place("sqs")), url or self.url, visibility=timedelta(seconds=visibility))

    @asynccontextmanager
    async def pulling(self, queue: Any = None, **limits: Any) -> AsyncIterator[None]:
        source = QueueSource(topics=(TOPIC,))
        puller = QueuePuller(
            queue or self.queue(), source, intake=self.inbox, clock=SystemClock(), metrics=self.metrics, pull=Pull(**limits)
        )
        task = asyncio.create_task(puller.run())
        try:
            yield
            if task.done():
                task.result()
        finally:
            task.cancel()
            await asyncio.wait({task}, timeout=15)

    async def put(self, *bodies: Mapping[str, Any] | str) -> None:
        async with self.moto.client("sqs") as sqs:
            for each in bodies:
                await sqs.send_message(QueueUrl=self.url, MessageBody=each if isinstance(each, str) else json.dumps(each))

    async def left(self, url: str = "") -> int:
        """Waiting and in flight."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        async with self.moto.client("sqs") as sqs:
            found = await sqs.get_queue_attributes(QueueUrl=url or self.url, AttributeNames=names)
        return sum(int(found["Attributes"][each]) for each in names)

    async def drained(self) -> None:
        async def empty() -> bool:
            return await self.left() == 0

        await eventually(empty, within=20, what="an empty queue")


@pytest_asyncio.fixture
async def scene(moto: Moto) -> AsyncIterator[Scene]:
    aws = Aws(AwsConfig(region=REGION, endpoint_url=moto.url), clock=SystemClock(), kill_switch=NeverAsked())
    try:
        async with moto.client("sqs") as sqs:
            dead = (await sqs.create_queue(QueueName="dead"))["QueueUrl"]
            redrive = json.dumps({"deadLetterTargetArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:dead", "maxReceiveCount": "2"})
            url = (await sqs.create_queue(QueueName="alarms", Attributes={"RedrivePolicy": redrive}))["QueueUrl"]
        yield Scene(moto, aws, url, dead)
    finally:
        await aws.close()


async def test_the_three_forms_are_one_source_and_are_deleted_once_stored(scene: Scene) -> None:
    envelope = {"Type": "Notification", "MessageId": "1", "TopicArn": TOPIC, "Message": json.dumps(alarm("a"))}
    await scene.put(envelope, alarm("b"), event("c"))
    async with scene.pulling():
        await scene.drained()
    assert sorted((each.name, each.source) for each in scene.inbox.alerts) == [(name, "cloudwatch") for name in "abc"]


async def test_an_alarm_that_sns_itself_brought_to_the_queue_is_read(scene: Scene) -> None:
    async with scene.moto.client("sns") as sns:
        topic = (await sns.create_topic(Name="ops"))["TopicArn"]
        await sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=f"arn:aws:sqs:{REGION}:{ACCOUNT}:alarms")
        await sns.publish(TopicArn=topic, Message=json.dumps(alarm("from-sns")), Subject="ALARM")
    async with scene.pulling():
        await scene.drained()
    assert [each.name for each in scene.inbox.alerts] == ["from-sns"]


async def test_a_hundred_are_drained_in_tens(scene: Scene) -> None:
    await scene.put(*(alarm(f"a{n}") for n in range(100)))
    async with scene.pulling():
        await scene.drained()
    assert len({each.fingerprint for each in scene.inbox.alerts}) == 100
    counted = scene.metrics.registry.get_sample_value("receiver_queue_messages_total", {"source": "sqs", "outcome": "deleted"})
    assert counted == 100


async def test_a_death_between_commit_and_delete_delivers_twice_and_folds_once(scene: Scene, tmp_path: Path) -> None:
    clock = SystemClock()
    store = await open_store(f"sqlite:///{tmp_path}/receiver.db", clock=clock)
    queue = scene.queue(visibility=1)

    class Dying:
        """Dies before each delete."""

        receive, hide = queue.receive, queue.hide

        async def delete(self, _: Mapping[str, str]) -> dict[str, str]:
            await asyncio.Event().wait()
            raise AssertionError

    class Stored(Inbox):
        async def accept(self, delivery: Delivery) -> None:
            await store.append([delivery])
            await super().accept(delivery)

    scene.inbox = Stored()
    await scene.put(alarm("once"))
    try:
        puller = QueuePuller(Dying(), QueueSource(), intake=scene.inbox, clock=clock, metrics=scene.metrics, pull=Pull(receives=1))
        dying = asyncio.create_task(puller._receive_for_ever())
        await eventually(lambda: scene.inbox.accepted, what="the commit")
        dying.cancel()
        assert await scene.left() == 1
        async with scene.pulling(queue):
            await scene.drained()
        assert len(scene.inbox.accepted) == 2
        reading = Reading({"sqs": QueueSource()}, rules)
        folder = Folder(store, _missed(), reading, clock=clock, wake=lambda _: None, report=print, metrics=scene.metrics)
        await folder.drain()
        assert [each.title for each in await store.incidents(IncidentFilter())] == ["once"]
    finally:
        await store.close()


def _missed() -> Handover:
    """Everything stands in the inbox."""
    handover = Handover()
    handover.forget()
    return handover


async def test_what_cannot_be_read_goes_to_the_dead_letter_queue_and_is_told(scene: Scene) -> None:
    foreign = {"Type": "Notification", "MessageId": "1", "TopicArn": f"{TOPIC}-of-others", "Message": json.dumps(alarm("x"))}
    await scene.put("no alarm", foreign)
    queue = scene.queue()

    class Hasty:
        """Hides for a moment instead of for half a minute."""

        receive, delete = queue.receive, queue.delete

        async def hide(self, handles: Mapping[str, str], *, seconds: int) -> dict[str, str]:
            assert seconds >= 30
            return await queue.hide(handles, seconds=0)

    async with scene.pulling(Hasty(), receives=1):

        async def dead() -> bool:
            return await scene.left(scene.dead) == 2

        await eventually(dead, within=20, what="both dead")
    assert scene.inbox.accepted == []
    assert {each.subject for each in scene.inbox.troubles if not each.over} == {"sqs"}
    assert any("TopicArn" in each.detail for each in scene.inbox.troubles)


async def test_a_delete_names_what_it_could_not_delete(scene: Scene) -> None:
    await scene.put(alarm("a"))
    queue = scene.queue()
    (message,) = await queue.receive(wait=timedelta(seconds=1))
    failed = await queue.delete({message.id: message.handle, "other": "no-handle-at-all"})
    assert list(failed) == ["other"]
    assert await queue.receive(wait=timedelta(seconds=0)) == []


async def test_a_hidden_message_comes_again_when_its_time_is_over(scene: Scene) -> None:
    await scene.put(alarm("a"))
    queue = scene.queue(visibility=600)
    (message,) = await queue.receive(wait=timedelta(seconds=1))
    assert await queue.receive(wait=timedelta(seconds=0)) == []
    await queue.hide({message.id: message.handle}, seconds=0)
    (again,) = await queue.receive(wait=timedelta(seconds=1))
    assert (again.id, again.receives) == (message.id, 2)


async def test_a_queue_that_is_not_there_is_said_so(scene: Scene) -> None:
    with pytest.raises(ClientError) as failed:
        await scene.queue(url=scene.url.replace("alarms", "none")).receive(wait=timedelta(seconds=0))
    assert failed.value.kind is ErrorKind.not_found
    assert "testing-secret" not in str(failed.value)


async def test_a_stop_is_quick_though_a_long_poll_waits(scene: Scene) -> None:
    began = asyncio.get_running_loop().time()
    async with scene.pulling():
        await asyncio.sleep(1)
    assert asyncio.get_running_loop().time() - began < 3
