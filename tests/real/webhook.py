"""An HTTP server on loopback that writes down what it is sent, for the far end of a webhook."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.real.processes import LOOPBACK, eventually, free_port

MAX_BODY_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Delivery:
    at: float
    """Wall clock, Unix seconds."""
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Webhook:
    """Answers each POST with `status` after `delay` seconds; both may be changed at any time."""

    status: int = 200
    delay: float = 0.0
    deliveries: list[Delivery] = field(default_factory=list)
    port: int = field(default_factory=free_port)
    _runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}/hook"

    async def start(self) -> None:
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_post("/{path:.*}", self._receive)
        self._runner = web.AppRunner(app, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, LOOPBACK, self.port).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def delivered(self, wanted: Callable[[Delivery], bool], *, within: float = 30.0) -> Delivery:
        """The first delivery, past or future, that is `wanted`."""
        return await eventually(lambda: next(filter(wanted, self.deliveries), None), within=within, what="a delivery")

    async def _receive(self, request: web.Request) -> web.Response:
        self.deliveries.append(Delivery(time.time(), request.path, dict(request.headers), await request.read()))
        if self.delay:
            await asyncio.sleep(self.delay)
        return web.Response(status=self.status)
