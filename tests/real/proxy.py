"""A TCP proxy on loopback that breaks on demand, for any server and any protocol: TLS passes through untouched.

Belongs to the loop that started it. What a mode does, it does to open connections too.
"""

import asyncio
from enum import StrEnum

from tests.real.processes import LOOPBACK, free_port

CHUNK_BYTES = 64 * 1024


class Mode(StrEnum):
    PASS = "pass"
    REFUSE = "refuse"
    """Nobody listens, and open connections are reset."""
    HANG = "hang"
    """Connections are accepted and stay open; nothing moves either way until the mode changes. Then all of it does, also the
    requests of callers that gave up meanwhile: `reset_connections` first forgets those."""
    SWALLOW_ANSWERS = "swallow answers"
    """Requests reach the server, what it answers is dropped; such connections are reset when the mode changes."""


class TcpProxy:
    """`delay` seconds are added to every chunk either way; after `cut_after` bytes of answer a connection is reset."""

    def __init__(self, target_port: int, target_host: str = LOOPBACK) -> None:
        self.port = free_port()
        self.connections = 0
        """Accepted so far."""
        self.requested_bytes = 0
        self.answered_bytes = 0
        """Passed on to the callers; swallowed bytes do not count."""
        self.delay = 0.0
        self.cut_after: int | None = None
        self._target = (target_host, target_port)
        self._mode = Mode.PASS
        self._server: asyncio.Server | None = None
        self._changed = asyncio.Event()
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    @property
    def mode(self) -> Mode:
        return self._mode

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    @property
    def open(self) -> int:
        """Connections of callers that are open now."""
        return len(self._open)

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, LOOPBACK, self.port)

    async def stop(self) -> None:
        await self._stop_listening()
        if tasks := self.reset_connections():
            await asyncio.wait(tasks)

    async def switch(self, mode: Mode) -> None:
        """In force when it returns."""
        before, self._mode = self._mode, mode
        if mode is Mode.REFUSE:
            await self._stop_listening()
        elif self._server is None:
            await self.start()
        if mode is Mode.REFUSE or (before is Mode.SWALLOW_ANSWERS and mode is not before):
            self.reset_connections()
        self._changed.set()
        self._changed = asyncio.Event()

    def reset_connections(self) -> list[asyncio.Task[None]]:
        """Cuts every open connection (RST) and forgets what it held; answers what still has to end."""
        cut = list(self._open)
        for task, writer in list(self._open.items()):
            writer.transport.abort()
            task.cancel()
        return cut

    async def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self._serve(reader, writer), name=f"proxy-connection-{self.connections}")
        self._open[task] = writer
        task.add_done_callback(self._open.pop)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._join(reader, writer)
        except OSError:
            writer.transport.abort()
        finally:
            writer.close()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Moves bytes both ways until one side ends."""
        await self._unhung()
        up_reader, up_writer = await asyncio.open_connection(*self._target)
        pumps = [
            asyncio.create_task(self._pump_requests(reader, up_writer), name="proxy-requests"),
            asyncio.create_task(self._pump_answers(up_reader, writer), name="proxy-answers"),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            up_writer.close()  # before any await: `reset_connections` may cancel this task a second time
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump_requests(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while chunk := await source.read(CHUNK_BYTES):
            await self._held()
            self.requested_bytes += len(chunk)
            sink.write(chunk)
            await sink.drain()

    async def _pump_answers(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        left = self.cut_after
        while chunk := await source.read(CHUNK_BYTES):
            await self._held()
            if self._mode is Mode.SWALLOW_ANSWERS:
                continue
            passed = chunk if left is None else chunk[:left]
            self.answered_bytes += len(passed)
            sink.write(passed)
            await sink.drain()
            left = None if left is None else left - len(passed)
            if left == 0:
                sink.transport.abort()
                return

    async def _held(self) -> None:
        await self._unhung()
        if self.delay:
            await asyncio.sleep(self.delay)

    async def _unhung(self) -> None:
        while self._mode is Mode.HANG:
            await self._changed.wait()
