"""A server on loopback that answers like Prometheus' query API, from recorded exchanges, and misbehaves when told to."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

SAMPLES = Path(__file__).parent.parent / "samples" / "prometheus"


@dataclass
class QueryApi:
    """`answer` is what every query gets; `asked` the forms that came, `headers` those of the last request."""

    status: int = 200
    body: str = ""
    content_type: str = "application/json"
    location: str = ""
    hang: bool = False
    cut: bool = False
    asked: list[dict[str, str]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    paths: list[str] = field(default_factory=list)

    def recorded(self, name: str) -> None:
        """Answers from now on with that exchange."""
        exchange = json.loads((SAMPLES / f"{name}.json").read_text())
        self.status, self.body = exchange["status"], exchange["body"]
        self.content_type = exchange["headers"]["Content-Type"].partition(";")[0]

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._serve)
        return app

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.paths.append(f"{request.method} {request.path}")
        self.asked.append({key: str(value) for key, value in (await request.post()).items()})
        self.headers = dict(request.headers)
        if self.hang:
            await asyncio.Event().wait()
        if self.cut and request.transport is not None:
            request.transport.abort()
        extra = {"Location": self.location} if self.location else {}
        return web.Response(status=self.status, text=self.body, content_type=self.content_type, headers=extra)
