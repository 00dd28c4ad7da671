"""The outbox over a real store, in virtual time: a test says when time passes, and waits for what was recorded."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

from receiver.core.model import Incident
from receiver.engine.outbox import Outbox
from receiver.ports import (
    CaseRows,
    Change,
    Claim,
    ClaimedMessage,
    DeliveryKind,
    DeliveryResult,
    Message,
    Notifier,
    StoreUnavailable,
)
from receiver.store.sql_store import SqlStore
from receiver.telemetry.metrics import Metrics
from tests.fakes.clock import FakeClock
from tests.fakes.intake import FakeIntake
from tests.kits.store_ground import began, message, raised, stored
from tests.unit.store.sqlite_ground import SqliteGround

OWNER = "one"
ACCEPTED = DeliveryResult(DeliveryKind.accepted)
REFUSED = DeliveryResult(DeliveryKind.refused, "400: not like that")
LATER = DeliveryResult(DeliveryKind.retry, "503")


class SteppedClock(FakeClock):
    """Sleepers sleep until `advance` has passed their time."""

    def __init__(self) -> None:
        super().__init__()
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    async def sleep(self, seconds: float) -> None:
        until: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.monotonic() + seconds, until))
        await until

    def advance(self, by: timedelta) -> None:
        super().advance(by)
        for due, until in self._sleepers:
            if due <= self.monotonic() and not until.done():
                until.set_result(None)
        self._sleepers = [each for each in self._sleepers if not each[1].done()]


class Scripted:
    """A destination that answers as told, then `usual`; `gate` holds every delivery while it is clear."""

    def __init__(self, name: str, *, pages: bool = True, usual: DeliveryResult = ACCEPTED) -> None:
        self.name = name
        self.pages = pages
        self.usual = usual
        self.answers: deque[DeliveryResult | Exception] = deque()
        self.taken: list[Message] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.begun = asyncio.Event()

    async def deliver(self, message: Message) -> DeliveryResult:
        self.begun.set()
        await self.gate.wait()
        answer = self.answers.popleft() if self.answers else self.usual
        if isinstance(answer, Exception):
            raise answer
        if answer.kind is DeliveryKind.accepted:
            self.taken.append(message)
        return answer


class Watched:
    """The store's outbox; tells what was settled, and dies where it is told to."""

    def __init__(self, store: SqlStore) -> None:
        self.store = store
        self.settled: list[tuple[str, DeliveryResult]] = []
        self.dead = False
        """Nothing is recorded any more, as after a kill."""
        self.deaths = 0
        self._news = asyncio.Condition()

    async def claim_messages(self, destination: str, *, now: datetime, owner: str, lease: timedelta, limit: int) -> list[ClaimedMessage]:
        return await self.store.claim_messages(destination, now=now, owner=owner, lease=lease, limit=limit)

    async def settle_message(self, claim: Claim, result: DeliveryResult, *, owner: str, now: datetime, next_at: datetime | None) -> None:
        if self.dead:
            await self._tell_death()
            raise StoreUnavailable("killed")
        await self.store.settle_message(claim, result, owner=owner, now=now, next_at=next_at)
        async with self._news:
            self.settled.append((owner, result))
            self._news.notify_all()

    async def add_messages(self, messages: Sequence[Message], *, now: datetime) -> None:
        await self.store.add_messages(messages, now=now)

    async def next_message_due(self, destination: str) -> datetime | None:
        return await self.store.next_message_due(destination)

    async def load(self, incident_id: int) -> CaseRows | None:
        return await self.store.load(incident_id)

    async def has_settled(self, times: int) -> None:
        """So many tries were recorded in all."""
        async with self._news:
            await self._news.wait_for(lambda: len(self.settled) >= times)

    async def has_died(self) -> None:
        """A try was made that could not be recorded."""
        async with self._news:
            await self._news.wait_for(lambda: self.deaths > 0)

    async def _tell_death(self) -> None:
        async with self._news:
            self.deaths += 1
            self._news.notify_all()


class OutboxGround:
    """One database; `running` starts an outbox on it, again and again if wanted."""

    def __init__(self, path: Path) -> None:
        self.clock = SteppedClock()
        self.intake = FakeIntake()
        self.metrics = Metrics(version="test")
        self._sqlite = SqliteGround(path)
        self._sqlite.clock = self.clock
        self.store: Watched

    async def open(self) -> None:
        """As a start of the process does."""
        self.store = Watched(await self._sqlite.open())

    async def close(self) -> None:
        await self._sqlite.close()

    @asynccontextmanager
    async def running(self, *notifiers: Notifier) -> AsyncIterator[Outbox]:
        named: Mapping[str, Notifier] = {each.name: each for each in notifiers}
        outbox = Outbox(
            self.store, named, clock=self.clock, metrics=self.metrics, intake=self.intake, owner=OWNER, jitter=random.Random(1)
        )  # fmt: skip
        loops = [asyncio.create_task(outbox.run(name), name=name) for name in named]
        try:
            yield outbox
        finally:
            for each in loops:
                each.cancel()
            ended = await asyncio.gather(*loops, return_exceptions=True)
            assert all(isinstance(each, asyncio.CancelledError) for each in ended), ended

    async def incident(self, key: str = "key") -> Incident:
        return await began(self.store.store, key)

    async def page(self, incident: Incident, *messages: Message, key: str = "dedup") -> None:
        """The raise and its messages, in one commit."""
        now = self.clock.now()
        current = await stored(self.store.store, incident.id)
        await self.store.store.save(Change(current, raised=raised(key=key, at=now), messages=messages or (message(incident, key),)))

    async def due(self, destination: str) -> timedelta | None:
        """From now until the next try."""
        at = await self.store.next_message_due(destination)
        return None if at is None else at - self.clock.now()

    async def pass_until_due(self, outbox: Outbox, destination: str) -> None:
        """Time passes until the next try, and it is made."""
        wait = await self.due(destination)
        assert wait is not None
        self.clock.advance(wait)
        outbox.kick()
