"""The figures that shipped rules name, asked of a real Prometheus: each is a query that it takes, with an answer where the series are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer

from receiver.clients.prometheus import Prometheus as Client
from receiver.clients.prometheus import PrometheusConfig
from receiver.core.facts import Evidence
from receiver.core.model import Rule
from receiver.observe.evidence import EvidenceRunner, QueriesEvidence
from receiver.remediate import ACTIONS
from receiver.rulefiles import load
from tests.real.processes import eventually
from tests.real.prometheus import Prometheus, PrometheusSettings
from tests.unit.observe.objects import inquiry

pytestmark = pytest.mark.e2e

RULES = load([Path(__file__).parents[2] / "rules"], known_actions=ACTIONS).rules
FIGURES = Rule("shipped", evidence=tuple(dict.fromkeys(each for rule in RULES for each in rule.evidence)))
SERIES = """
pg_stat_activity_count{server="db-1",state="active"} 40
pg_stat_activity_count{server="db-1",state="idle"} 10
pg_settings_max_connections{server="db-1"} 100
rabbitmq_queue_messages_ready{queue="mail"} 1200
rabbitmq_queue_messages_ready{queue="pdf"} 3
rabbitmq_queue_consumers{queue="mail"} 0
rabbitmq_queue_consumers{queue="pdf"} 2
"""


@pytest_asyncio.fixture
async def exporter() -> AsyncIterator[TestServer]:
    """A pod of `web` in `shop` with everything in it."""
    served = count(1)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(text=f'{SERIES}http_requests_total{{code="500"}} {next(served) * 5}\n')

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    server = TestServer(app, host="127.0.0.1")
    async with server:
        yield server


@pytest.fixture
async def prometheus(exporter: TestServer, prometheus_factory: Callable[[PrometheusSettings], Awaitable[Prometheus]]) -> Prometheus:
    target = {"targets": [f"127.0.0.1:{exporter.port}"], "labels": {"namespace": "shop", "pod": "web-1"}}
    return await prometheus_factory(PrometheusSettings(scrape_configs=({"job_name": "web", "static_configs": [target]},)))


async def test_every_shipped_figure_has_an_answer(prometheus: Prometheus) -> None:
    client = Client(PrometheusConfig(prometheus.url))
    runner = EvidenceRunner([QueriesEvidence(client, cluster="default")])
    found: dict[str, Evidence] = {}

    async def complete() -> bool:
        await runner.collect(inquiry(rule=FIGURES), found)
        return not any("no series" in line for line in found["figures"].lines)

    try:
        await eventually(complete, within=30, every=0.5, what="an answer to each")
    finally:
        await client.close()
    lines = found["figures"].lines
    assert "up: 1" in lines
    assert lines[lines.index("postgresql_activity:") + 1 :][:2] == ("state=active: 40", "state=idle: 10")
    assert "postgresql_connections_share: 0.5" in lines
    assert lines[lines.index("rabbitmq_ready:") + 1] == "queue=mail: 1200"
    assert lines[lines.index("rabbitmq_consumers:") + 1] == "queue=mail: 0"
