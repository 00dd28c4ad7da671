"""The benchmarks measure what they say: their deliveries are real ones, and the cheap figures come out."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from bench.__main__ import GOALS
from bench.serving import body
from receiver.core.model import Batch
from receiver.ingest.alertmanager import AlertmanagerSource

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def parsed(raw: bytes) -> Batch:
    batch = AlertmanagerSource("alertmanager").parse(raw, NOW)
    assert isinstance(batch, Batch)
    return batch


def test_a_delivery_holds_four_alerts_of_about_a_kilobyte() -> None:
    raw = body(1)
    assert len(parsed(raw).alerts) == 4
    assert 2_000 < len(raw) < 6_000
    assert parsed(raw).rejected == ()


def test_fresh_deliveries_are_never_the_same_alert_twice() -> None:
    one, other = (json.loads(body(1, fresh=True))["alerts"] for _ in range(2))
    assert {each["labels"]["pod"] for each in one}.isdisjoint(each["labels"]["pod"] for each in other)


async def test_the_scrape_benchmark_gives_a_figure() -> None:
    ((what, figure, _),) = await GOALS["P10"]()
    assert "/metrics" in what
    assert figure.endswith("ms")
