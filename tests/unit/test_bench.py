"""The benchmarks measure what they say: their deliveries are real ones, the cheap figures come out, and a miss reads as one."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime

import pytest

from bench.__main__ import GOALS
from bench.bodies import Kind, as_api, deliveries
from bench.comparing import QUICK
from bench.figures import Figure, table
from receiver.core.model import Batch
from receiver.ingest.alertmanager import AlertmanagerSource

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def parsed(raw: bytes) -> Batch:
    batch = AlertmanagerSource("alertmanager").parse(raw, NOW)
    assert isinstance(batch, Batch)
    return batch


@pytest.mark.parametrize("kind", Kind)
def test_a_delivery_holds_four_alerts_of_about_a_kilobyte(kind: Kind) -> None:
    raw = next(deliveries(kind))
    assert len(parsed(raw).alerts) == 4
    assert 2_000 < len(raw) < 6_000
    assert parsed(raw).rejected == ()


def test_fresh_deliveries_are_never_the_same_alert_twice() -> None:
    one, other = (json.loads(each)["alerts"] for each in itertools.islice(deliveries(Kind.fresh), 2))
    assert {each["labels"]["pod"] for each in one}.isdisjoint(each["labels"]["pod"] for each in other)


def test_alertmanager_is_given_the_same_alerts() -> None:
    raw = next(deliveries(Kind.repeats))
    assert [each["labels"] for each in json.loads(as_api(raw))] == [each["labels"] for each in json.loads(raw)["alerts"]]


async def test_the_scrape_benchmark_gives_a_figure() -> None:
    (figure,) = await GOALS["P10"](QUICK)
    assert "/metrics" in figure.what
    assert figure.unit == " ms"


def test_a_missed_goal_reads_as_missed_and_by_how_much() -> None:
    text = table([Figure("P1", "accept", (0.2, 0.3, 0.4), 0.6), Figure("P7", "RSS", (64.0,), 128, at_most=True)])
    assert "MISSED (0.50)" in text
    assert "1 of 2 goals met" in text


@pytest.mark.parametrize(("lost", "verdict"), [(0.0, "met"), (2.0, "MISSED (0.00)")])
def test_none_lost_where_none_may_be_is_a_goal_met(lost: float, verdict: str) -> None:
    assert Figure("P3", "pages lost", (lost,), 0, at_most=True).verdict == verdict
