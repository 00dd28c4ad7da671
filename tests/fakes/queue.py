"""A queue in memory that behaves as SQS' standard queues do, and a clock on which sleepers wait."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from receiver.clients.errors import ClientError
from receiver.clients.sqs import AT_ONCE, Message
from tests.fakes.clock import START


class WaitingClock:
    """Unlike `FakeClock` its sleepers wait until somebody else moves it: for several tasks at once."""

    def __init__(self, now: datetime = START) -> None:
        self._now = now
        self._seconds = 0.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._seconds

    async def sleep(self, seconds: float) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._seconds + seconds, done))
        await done

    async def pass_(self, seconds: float) -> None:
        """In steps of a second, each with some turns of the loop."""
        for _ in range(int(seconds)):
            self._seconds += 1
            self._now += timedelta(seconds=1)
            for at, done in self._sleepers:
                if at <= self._seconds and not done.done():
                    done.set_result(None)
            self._sleepers = [each for each in self._sleepers if not each[1].done()]
            await turns()


async def turns(count: int = 30) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@dataclass
class Kept:
    """A message in the queue."""

    body: bytes
    visible_at: float = 0.0
    receives: int = 0
    handle: str = ""


@dataclass
class MemoryQueue:
    """`dead` is its dead-letter queue. A receive of an empty queue waits for a message, never for a time."""

    clock: WaitingClock
    visibility: int = 60
    most_receives: int = 0
    """0: no redrive policy."""
    kept: dict[str, Kept] = field(default_factory=dict)
    dead: dict[str, Kept] = field(default_factory=dict)
    failure: ClientError | None = None
    delete_failure: ClientError | None = None
    undeletable: set[str] = field(default_factory=set)
    receiving: int = 0
    """Receives in flight."""
    deletes: list[int] = field(default_factory=list)
    """Messages of each delete."""
    hidden: list[tuple[str, int]] = field(default_factory=list)
    _number: int = 0

    def put(self, *bodies: bytes) -> None:
        for each in bodies:
            self._number += 1
            self.kept[f"m{self._number}"] = Kept(each)

    async def receive(self, *, wait: timedelta = timedelta(seconds=20)) -> list[Message]:
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        self.receiving += 1
        try:
            while not (found := self._take()):
                await asyncio.sleep(0.001)
        finally:
            self.receiving -= 1
        return found

    def _take(self) -> list[Message]:
        found: list[Message] = []
        for id_, each in list(self.kept.items()):
            if len(found) == AT_ONCE or each.visible_at > self.clock.monotonic():
                continue
            each.receives += 1
            if self.most_receives and each.receives > self.most_receives:
                self.dead[id_] = self.kept.pop(id_)
                continue
            each.visible_at = self.clock.monotonic() + self.visibility
            each.handle = f"{id_}-{each.receives}"
            found.append(Message(id_, each.handle, each.body, each.receives))
        return found

    async def delete(self, handles: Mapping[str, str]) -> dict[str, str]:
        """An old handle deletes nothing, and nobody is told."""
        await asyncio.sleep(0)
        if self.delete_failure is not None:
            raise self.delete_failure
        self.deletes.append(len(handles))
        for id_, handle in handles.items():
            if id_ not in self.undeletable and id_ in self.kept and self.kept[id_].handle == handle:
                del self.kept[id_]
        return {id_: "InternalError" for id_ in handles if id_ in self.undeletable}

    async def hide(self, handles: Mapping[str, str], *, seconds: int) -> dict[str, str]:
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        for id_ in handles:
            self.hidden.append((id_, seconds))
            if id_ in self.kept:
                self.kept[id_].visible_at = self.clock.monotonic() + seconds
        return {}
