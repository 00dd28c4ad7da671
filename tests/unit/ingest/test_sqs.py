"""Pulling from a queue: deleted only after the commit, bounded by the inbox, nothing lost by our death."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from receiver.clients.errors import ClientError, ErrorKind
from receiver.ingest.alertmanager import AlertmanagerSource
from receiver.ingest.sqs import ILLEGIBLE_SECONDS, PUT_BACK_SECONDS, Pull, QueuePuller
from receiver.ingest.sqs_source import QueueSource
from receiver.ports import Delivery, NotDurable, OwnTrouble, Source, TroubleKind
from receiver.telemetry.metrics import Metrics
from tests.fakes import sns
from tests.fakes.folding_ground import POD, body, said
from tests.fakes.queue import MemoryQueue, WaitingClock, turns

DOWN = ClientError(ErrorKind.unavailable, "InternalError")


@dataclass
class Inbox:
    """`shut` holds every accept; `refusal` is raised."""

    accepted: list[Delivery] = field(default_factory=list)
    troubles: list[OwnTrouble] = field(default_factory=list)
    refusal: NotDurable | None = None
    open: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: int = 0

    async def accept(self, delivery: Delivery) -> None:
        self.waiting += 1
        try:
            await self.open.wait()
        finally:
            self.waiting -= 1
        if self.refusal is not None:
            raise self.refusal
        self.accepted.append(delivery)

    def report(self, trouble: OwnTrouble) -> None:
        self.troubles.append(trouble)


@dataclass
class Scene:
    clock: WaitingClock = field(default_factory=WaitingClock)
    inbox: Inbox = field(default_factory=Inbox)
    metrics: Metrics = field(default_factory=lambda: Metrics(version="test"))

    def __post_init__(self) -> None:
        self.queue = MemoryQueue(self.clock)
        self.inbox.open.set()

    source: Source = field(default_factory=lambda: AlertmanagerSource("sqs"))

    def puller(self, **pull: int) -> QueuePuller:
        source = self.source
        limits = Pull(visibility=timedelta(seconds=self.queue.visibility), **pull)
        return QueuePuller(self.queue, source, intake=self.inbox, clock=self.clock, metrics=self.metrics, pull=limits)

    @asynccontextmanager
    async def pulling(self, **pull: int) -> AsyncIterator[None]:
        task = asyncio.create_task(self.puller(**pull).run())
        try:
            yield
            if task.done():
                task.result()
        finally:
            task.cancel()
            await asyncio.wait({task}, timeout=1)

    def told(self, kind: TroubleKind) -> list[OwnTrouble]:
        return [each for each in self.inbox.troubles if each.kind is kind and not each.over]

    def counted(self, outcome: str) -> float:
        return self.metrics.registry.get_sample_value("receiver_queue_messages_total", {"source": "sqs", "outcome": outcome}) or 0.0


def alarm(number: int = 0) -> bytes:
    return body(said({**POD, "number": str(number)}))


async def gone(queue: MemoryQueue) -> None:
    async with asyncio.timeout(2):
        while queue.kept:
            await asyncio.sleep(0.001)


async def test_what_is_committed_is_deleted_in_tens() -> None:
    scene = Scene()
    scene.queue.put(*map(alarm, range(95)))
    async with scene.pulling():
        await gone(scene.queue)
    assert len(scene.inbox.accepted) == 95
    assert sorted(scene.queue.deletes) == [5, *[10] * 9]
    assert scene.counted("deleted") == 95


async def test_nothing_is_deleted_before_its_commit_and_nothing_more_is_received_while_the_inbox_is_full() -> None:
    scene = Scene()
    scene.queue.put(*map(alarm, range(100)))
    scene.inbox.open.clear()
    async with scene.pulling(receives=3):
        await turns(200)
        assert (scene.inbox.waiting, len(scene.queue.kept), scene.queue.receiving) == (30, 100, 0)
        scene.inbox.open.set()
        await gone(scene.queue)


async def test_what_cannot_be_stored_now_stays_in_hand_and_is_tried_again() -> None:
    scene = Scene()
    scene.queue.put(alarm())
    scene.inbox.refusal = NotDurable("full")
    async with scene.pulling():
        await turns()
        await scene.clock.pass_(300)
        assert (len(scene.queue.kept), scene.queue.kept["m1"].receives) == (1, 1)
        scene.inbox.refusal = None
        await scene.clock.pass_(6)
        await gone(scene.queue)
    assert len(scene.inbox.accepted) == 1


async def test_a_heartbeat_that_fails_brings_the_message_again_and_the_newest_handle_deletes_it() -> None:
    scene = Scene()
    scene.queue.put(alarm())
    scene.inbox.open.clear()
    async with scene.pulling():
        await turns()
        scene.queue.kept["m1"].visible_at = 0  # as if no heartbeat had come through
        async with asyncio.timeout(2):
            while scene.queue.kept["m1"].receives < 2:
                await asyncio.sleep(0.001)
        scene.inbox.open.set()
        await gone(scene.queue)
    assert len(scene.inbox.accepted) == 1


async def test_a_stop_stores_what_is_being_stored_and_gives_back_the_rest() -> None:
    scene = Scene()
    scene.queue.put(*map(alarm, range(10)))
    scene.inbox.open.clear()
    async with scene.pulling(receives=1):
        await turns()
        asyncio.get_running_loop().call_later(0.05, scene.inbox.open.set)
    assert (len(scene.inbox.accepted), scene.queue.kept) == (10, {})


async def test_a_stop_puts_back_what_waits_for_the_inbox_and_not_at_once() -> None:
    scene = Scene()
    scene.queue.put(*map(alarm, range(10)))
    scene.inbox.refusal = NotDurable("full")
    async with scene.pulling(receives=1):
        await turns()
    assert {each.visible_at for each in scene.queue.kept.values()} == {scene.clock.monotonic() + PUT_BACK_SECONDS}
    assert scene.counted("put_back") == 10


async def test_what_cannot_be_read_is_left_and_hidden_for_longer_until_it_is_set_aside() -> None:
    scene = Scene()
    scene.queue.most_receives = 3
    scene.queue.put(b"no alarm", alarm())
    async with scene.pulling():
        await turns(100)
        assert list(scene.queue.kept) == ["m1"]
        assert ("m1", ILLEGIBLE_SECONDS) in scene.queue.hidden
        await scene.clock.pass_(ILLEGIBLE_SECONDS + 2 * ILLEGIBLE_SECONDS + 4 * ILLEGIBLE_SECONDS + 10)
        await asyncio.sleep(0.02)
        assert list(scene.queue.dead) == ["m1"]
    assert scene.queue.hidden == [("m1", ILLEGIBLE_SECONDS << n) for n in range(3)]
    assert len({each.subject for each in scene.told(TroubleKind.poison_message)}) == 1
    assert scene.counted("poison") == 3


async def test_an_envelope_whose_alarm_cannot_be_decoded_is_never_deleted() -> None:
    scene = Scene(source=QueueSource())
    scene.queue.put(*(json.dumps(sns.message(told)).encode() for told in (sns.alarm()[:-9], '{"AlarmName": NaN}', "a build is done")))
    async with scene.pulling():
        await turns(100)
    assert list(scene.queue.kept) == ["m1", "m2"]
    assert scene.counted("poison") == 2
    assert scene.told(TroubleKind.poison_message)


async def test_a_message_that_cannot_be_stored_is_told_before_the_queue_sets_it_aside() -> None:
    scene = Scene()
    scene.queue.most_receives = 5
    scene.queue.put(alarm())
    scene.inbox.refusal = NotDurable("full")
    for receive in range(1, 4):
        async with scene.pulling():  # we are started again and again
            await turns(200)
        await scene.clock.pass_(PUT_BACK_SECONDS)
        assert (scene.queue.kept["m1"].receives, len(scene.told(TroubleKind.poison_message))) == (receive, receive // 3)


async def test_a_message_that_comes_again_and_again_while_it_is_in_hand_is_told() -> None:
    scene = Scene()
    scene.queue.put(alarm())
    scene.inbox.open.clear()
    async with scene.pulling():
        await turns()
        for receives in (2, 3):
            scene.queue.kept["m1"].visible_at = 0  # as if no heartbeat had come through
            async with asyncio.timeout(2):
                while scene.queue.kept["m1"].receives < receives:
                    await asyncio.sleep(0.001)
            await turns()
            assert len(scene.told(TroubleKind.poison_message)) == receives - 2
        scene.inbox.open.set()
        await gone(scene.queue)


async def test_a_message_that_comes_again_and_again_is_told_and_still_stored() -> None:
    scene = Scene()
    scene.queue.put(alarm())
    scene.queue.kept["m1"].receives = 4
    scene.inbox.refusal = NotDurable("full")
    async with scene.pulling(most_receives=5):
        await turns()
        await scene.clock.pass_(60)
        assert len(scene.told(TroubleKind.poison_message)) == 1
        scene.inbox.refusal = None
        await scene.clock.pass_(6)
        await gone(scene.queue)


@pytest.mark.parametrize("whole", [True, False])
async def test_a_delete_that_fails_loses_nothing_and_is_counted(whole: bool) -> None:
    scene = Scene()
    scene.queue.put(alarm(1), alarm(2))
    if whole:
        scene.queue.delete_failure = DOWN
    else:
        scene.queue.undeletable = {"m1"}
    async with scene.pulling(receives=1):
        await turns(100)
        assert scene.counted("delete_failed") == (2 if whole else 1)
        assert "m1" in scene.queue.kept
        scene.queue.delete_failure, scene.queue.undeletable = None, set()
        await scene.clock.pass_(61)
        await gone(scene.queue)


async def test_a_queue_that_does_not_answer_for_a_minute_is_told_and_its_return_too() -> None:
    scene = Scene()
    scene.queue.failure = DOWN
    async with scene.pulling():
        await turns()
        await scene.clock.pass_(50)
        assert scene.told(TroubleKind.unreachable_source) == []
        await scene.clock.pass_(60)
        assert scene.told(TroubleKind.unreachable_source)
        scene.queue.failure = None
        scene.queue.put(alarm())
        await scene.clock.pass_(31)
        await gone(scene.queue)
    assert scene.inbox.troubles[-1].over


async def test_receives_rest_between_failures() -> None:
    scene = Scene()
    scene.queue.failure = DOWN
    async with scene.pulling(receives=1):
        await turns()
        await scene.clock.pass_(600)
    failed = scene.metrics.registry.get_sample_value("receiver_queue_receives_total", {"source": "sqs", "outcome": "failed"})
    assert failed is not None
    assert failed < 30
