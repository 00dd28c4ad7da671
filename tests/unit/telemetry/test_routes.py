"""The three routes, over HTTP."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import timedelta

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from receiver.clock import SystemClock
from receiver.ports import StoreUnavailable
from receiver.telemetry import routes
from receiver.telemetry.health import Health
from receiver.telemetry.metrics import Metrics

Client = TestClient[web.Request, web.Application]


class Figures:
    """What the store says when asked."""

    def __init__(self) -> None:
        self.answer: Callable[[], Mapping[str, Mapping[str, float]]] = dict
        self.hang = False

    async def __call__(self) -> Mapping[str, Mapping[str, float]]:
        if self.hang:
            await asyncio.Event().wait()
        return self.answer()


@pytest.fixture
def figures() -> Figures:
    return Figures()


@pytest.fixture
def health() -> Health:
    return Health(clock=SystemClock(), kept=timedelta(0), starting=False)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(version="0")


@pytest.fixture
async def client(figures: Figures, health: Health, metrics: Metrics) -> AsyncIterator[Client]:
    app = web.Application()
    routes.add_telemetry_routes(app, metrics=metrics, health=health, gauges=figures, gauges_seconds=0.05)
    async with TestClient(TestServer(app), auto_decompress=False, headers={"Accept-Encoding": "identity"}) as client:
        yield client


async def test_healthz_and_readyz_say_ok(client: Client) -> None:
    for path in ("/healthz", "/readyz"):
        async with client.get(path) as answer:
            assert (answer.status, await answer.json()) == (200, {"status": "ok"})


async def test_they_name_what_fails(client: Client, health: Health) -> None:
    health.watch("folder", lambda: False)
    for path in ("/healthz", "/readyz"):
        async with client.get(path) as answer:
            assert (answer.status, await answer.json()) == (503, {"status": "failing", "failing": {"folder": "stopped"}})


async def test_a_scrape_shows_the_figures_of_the_store(client: Client, figures: Figures) -> None:
    figures.answer = lambda: {"incidents_open": {"P2": 4}}
    async with client.get("/metrics") as answer:
        assert 'receiver_incidents_open{priority="P2"} 4.0' in await answer.text()
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"


def _broken() -> Mapping[str, Mapping[str, float]]:
    raise StoreUnavailable("hunter2")


@pytest.mark.parametrize("hang", [False, True])
async def test_a_store_that_does_not_answer_does_not_blind_us(client: Client, figures: Figures, metrics: Metrics, hang: bool) -> None:
    figures.answer, figures.hang = _broken, hang
    async with client.get("/metrics") as answer:
        assert "receiver_gauges_failed_total 1.0" in await answer.text()
        assert answer.status == 200


async def test_a_scraper_that_takes_gzip_gets_it(client: Client) -> None:
    async with client.get("/metrics", headers={"Accept-Encoding": "gzip"}) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(await answer.read()).startswith(b"# HELP")
    for refusal in ("identity", "gzip;q=0", "br"):
        async with client.get("/metrics", headers={"Accept-Encoding": refusal}) as answer:
            assert "Content-Encoding" not in answer.headers


@pytest.mark.parametrize("method, path", [("POST", "/metrics"), ("DELETE", "/readyz"), ("PUT", "/healthz")])
async def test_only_reading_is_possible(client: Client, method: str, path: str) -> None:
    async with client.request(method, path) as answer:
        assert answer.status == 405
