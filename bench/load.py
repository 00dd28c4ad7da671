"""The load generator: as many connections as asked, one request under way on each, prebuilt bytes, answers only looked at as far as needed.

On uvloop and protocols, not streams: a generator slower than the bare handler would flatter every ratio. It runs in the process of the
benchmark, held to the core that no server has.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast


@dataclass(slots=True)
class Tally:
    """What came back."""

    good: int = 0
    """Answers of 200."""
    bad: int = 0
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    """Of every answer, in seconds."""

    @property
    def rate(self) -> float:
        """Answers of 200 a second."""
        return self.good / self.seconds if self.seconds else 0.0

    def quantile(self, share: float) -> float:
        """Milliseconds."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1e3 if ordered else 0.0


class Connection(asyncio.Protocol):
    """Sends the next request as soon as the last one is answered, until told to stop."""

    def __init__(self, requests: Iterator[bytes], tally: Tally, loop: asyncio.AbstractEventLoop) -> None:
        self._requests = requests
        self._tally = tally
        self._loop = loop
        self._buffer = b""
        self._sent_at = 0.0
        self._transport: asyncio.Transport | None = None
        self.stopped = False
        self.closed = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own is none by inheritance

    def begin(self) -> None:
        """Sends the first."""
        self._next()

    def data_received(self, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
        if not complete(data):
            self._buffer = data
            return
        self._buffer = b""
        if not self.stopped:
            self._tally.latencies.append(self._loop.time() - self._sent_at)
            if data.startswith(b"HTTP/1.1 200"):
                self._tally.good += 1
            else:
                self._tally.bad += 1
        self._next()

    def connection_lost(self, _: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)

    def _next(self) -> None:
        transport = self._transport
        if transport is None or self.stopped:
            if transport is not None:
                transport.close()
            return
        self._sent_at = self._loop.time()
        transport.write(next(self._requests))


def complete(data: bytes) -> bool:
    """All of one answer is there. Every server measured here says how long its answers are, or has none (204, 202 without a body)."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return False
    at = data.find(b"ontent-Length: ", 0, end)
    if at < 0:
        return True
    return len(data) >= end + 4 + int(data[at + 15 : data.find(b"\r", at)])


async def full_load(port: int, requests: Iterator[bytes], *, connections: int, seconds: float) -> Tally:
    """All connections for so long; what is under way at the end is let finish and not counted."""
    loop = asyncio.get_running_loop()
    tally = Tally()
    made = [(await loop.create_connection(lambda: Connection(requests, tally, loop), "127.0.0.1", port))[1] for _ in range(connections)]
    began = loop.time()
    for each in made:
        each.begin()
    await asyncio.sleep(seconds)
    tally.seconds = loop.time() - began
    for each in made:
        each.stopped = True
    async with asyncio.timeout(8):
        await asyncio.gather(*(each.closed for each in made))
    return tally


async def post_all(port: int, requests: list[bytes], *, connections: int) -> Tally:
    """Each request once."""
    loop = asyncio.get_running_loop()
    tally = Tally()
    left = iter(requests)
    made = [(await loop.create_connection(lambda: Last(left, tally, loop), "127.0.0.1", port))[1] for _ in range(connections)]
    began = loop.time()
    for each in made:
        each.begin()
    await asyncio.gather(*(each.closed for each in made))
    tally.seconds = loop.time() - began
    return tally


class Last(Connection):
    """Stops when there is nothing left to send."""

    def _next(self) -> None:
        try:
            super()._next()
        except StopIteration:
            self.stopped = True
            super()._next()


class Paced:
    """Sends at a given rate whatever the answers do: what finds no free connection waits in line, and its time counts."""

    def __init__(self, port: int, *, connections: int) -> None:
        self._port = port
        self._connections = connections
        self._line: asyncio.Queue[tuple[bytes, float] | None] = asyncio.Queue()
        self.tally = Tally()

    async def run(self, requests: Iterator[bytes], *, per_second: float, seconds: float) -> None:
        """Until `seconds` are over and all was answered."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            for number in range(self._connections):
                group.create_task(self._work(), name=f"paced-{number}")
            began = loop.time()
            sent = 0
            while (gone := loop.time() - began) < seconds:
                while sent < gone * per_second:
                    self._line.put_nowait((next(requests), loop.time()))
                    sent += 1
                await asyncio.sleep(0.001)
            self.tally.seconds = loop.time() - began
            for _ in range(self._connections):
                self._line.put_nowait(None)

    async def _work(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        loop = asyncio.get_running_loop()
        try:
            while (item := await self._line.get()) is not None:
                writer.write(item[0])
                head = await reader.readuntil(b"\r\n\r\n")
                at = head.find(b"ontent-Length: ")
                if at >= 0:
                    await reader.readexactly(int(head[at + 15 : head.find(b"\r", at)]))
                self.tally.latencies.append(loop.time() - item[1])
                if head.startswith(b"HTTP/1.1 200"):
                    self.tally.good += 1
                else:
                    self.tally.bad += 1
        finally:
            writer.close()
