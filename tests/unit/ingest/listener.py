"""A listener on loopback with one door, and ways to speak to it: as a client, and byte by byte."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import ClientResponse, ClientSession, web

from receiver.clock import SystemClock
from receiver.ingest.alertmanager import AlertmanagerSource
from receiver.ingest.credentials import Credentials
from receiver.ingest.http import DoorLimits, door, mount
from receiver.ingest.server import RunningServer, ServerLimits, start_server
from receiver.ports import Clock, Source
from receiver.secret import Secret
from receiver.telemetry.metrics import Known, Metrics
from tests.fakes.intake import FakeIntake

TOKEN = "good-token-0123456789"
PATH = "/webhook/alertmanager"
GOOD_HEADERS = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
HEAD = f"POST {PATH} HTTP/1.1\r\nHost: x\r\n" + "".join(f"{name}: {value}\r\n" for name, value in GOOD_HEADERS.items())
BODY = json.dumps({"alerts": [{"status": "firing", "labels": {"alertname": "Probe"}}], "version": "4"}).encode()


@dataclass
class Listener:
    """What a test speaks to."""

    server: RunningServer
    intake: FakeIntake
    metrics: Metrics
    client: ClientSession
    faults: list[Exception] = field(default_factory=list)
    """`GET /fault` raises the last one; `GET /hold` waits for `release`."""
    release: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    async def post(self, body: bytes = BODY, **headers: str) -> Answer:
        """`Content_Type="…"` replaces a header, an empty value leaves it out."""
        given = {**GOOD_HEADERS, **{name.replace("_", "-"): value for name, value in headers.items()}}
        kept = {name: value for name, value in given.items() if value}
        async with self.client.post(self.url + PATH, data=body, headers=kept, skip_auto_headers=["Content-Type"]) as response:
            return await answer_of(response)

    async def get(self, path: str, method: str = "GET") -> Answer:
        """No redirect is followed."""
        async with self.client.request(method, self.url + path, allow_redirects=False) as response:
            return await answer_of(response)

    async def raw(self, data: bytes, *, seconds: float = 3.0) -> bytes:
        """All that comes back until the connection ends."""
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
            try:
                writer.write(data)
                return await _everything(reader)
            finally:
                writer.close()

    def value(self, name: str, **labels: str) -> float:
        """Of a metric, without its prefix."""
        return self.metrics.registry.get_sample_value(f"receiver_{name}", labels) or 0.0


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, object]:
        value = json.loads(self.body)
        assert isinstance(value, dict)
        return value


async def answer_of(response: ClientResponse) -> Answer:
    return Answer(response.status, dict(response.headers), await response.read())


@asynccontextmanager
async def listener(
    *,
    limits: DoorLimits | None = None,
    server_limits: ServerLimits | None = None,
    source: Source | None = None,
    auth: Credentials | None = None,
    clock: Clock | None = None,
    methods: Sequence[str] = ("POST",),
) -> AsyncIterator[Listener]:
    """Up, and down again."""
    intake, metrics = FakeIntake(), Metrics(version="0", known=Known(sources=["alertmanager"]))
    auth = auth or Credentials(tokens=[Secret("another-token"), Secret(TOKEN)])
    app = web.Application()
    clock = clock or SystemClock()
    source = source or AlertmanagerSource("alertmanager")
    mount(app, PATH, door(source, auth=auth, intake=intake, telemetry=metrics, clock=clock, limits=limits), methods=methods)
    faults: list[Exception] = []
    release = asyncio.Event()

    async def fault(_: web.Request) -> web.Response:
        raise faults[-1]

    async def hold(_: web.Request) -> web.Response:
        await release.wait()
        return web.Response(text="held")

    app.router.add_get("/fault", fault)
    app.router.add_get("/hold", hold)
    quick = server_limits or ServerLimits(linger_seconds=0.2, sweep_seconds=0.02)
    server = await start_server(app, "127.0.0.1", 0, telemetry=metrics, limits=quick)
    try:
        async with ClientSession(auto_decompress=False) as client:
            yield Listener(server, intake, metrics, client, faults, release)
    finally:
        release.set()
        await server.close(grace_seconds=0.5)


async def _everything(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""
