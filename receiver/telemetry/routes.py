"""`/metrics`, `/healthz`, `/readyz`, on the service's listener or on one of their own.

Law: open to everybody who reaches the listener, so nothing here names a secret, an alert or an address; cheap whatever the number of
incidents. Mounted by `app.py`.
"""

from __future__ import annotations

import asyncio
import gzip
import re
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from receiver.ports import StoreUnavailable
from receiver.telemetry.health import Health, Report
from receiver.telemetry.metrics import Metrics

Gauges = Callable[[], Awaitable[Mapping[str, Mapping[str, float]]]]
"""`WatchStore.gauges`."""

GAUGES_SECONDS = 1.0
"""A scrape waits no longer for the store: old figures, counted as such, are better than none (Prometheus gives up after 10 s)."""

GZIP_FROM_BYTES = 2048

_GZIP = re.compile(r"gzip(?:\s*;\s*q=(?:1(?:\.0*)?|0?\.0*[1-9]\d*))?", re.ASCII | re.IGNORECASE)


def add_telemetry_routes(
    app: web.Application, *, metrics: Metrics, health: Health, gauges: Gauges | None = None, gauges_seconds: float = GAUGES_SECONDS
) -> None:
    """Adds the three."""

    async def show_metrics(request: web.Request) -> web.Response:
        if gauges is not None:
            await _refresh(metrics, gauges, gauges_seconds)
        body, content_type = metrics.expose(request.headers.get("Accept", ""))
        answer = web.Response(body=body, headers={"Content-Type": content_type})
        if len(body) >= GZIP_FROM_BYTES and _takes_gzip(request.headers.get("Accept-Encoding", "")):
            answer = web.Response(body=gzip.compress(body, 1), headers={"Content-Type": content_type, "Content-Encoding": "gzip"})
        answer.headers["Vary"] = "Accept, Accept-Encoding"
        return answer

    async def show_alive(_: web.Request) -> web.Response:
        return _answer(health.alive())

    async def show_ready(_: web.Request) -> web.Response:
        return _answer(await health.ready())

    app.router.add_get("/metrics", show_metrics)
    app.router.add_get("/healthz", show_alive)
    app.router.add_get("/readyz", show_ready)


def _takes_gzip(accepted: str) -> bool:
    return any(_GZIP.fullmatch(each.strip()) for each in accepted[:1024].split(","))


async def _refresh(metrics: Metrics, gauges: Gauges, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            metrics.take(await gauges())
    except (StoreUnavailable, TimeoutError):
        metrics.gauges_failed.inc()


def _answer(report: Report) -> web.Response:
    if report.well:
        return web.json_response({"status": "ok"})
    return web.json_response({"status": "failing", "failing": report.failing}, status=503)
