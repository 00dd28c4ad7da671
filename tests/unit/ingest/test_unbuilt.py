"""Alerts that are built when somebody looks."""

from __future__ import annotations

import json

from receiver.core.model import Alert, Batch
from receiver.ingest.alertmanager import LATER_LIMIT, AlertmanagerSource
from receiver.ingest.unbuilt import Unbuilt, resolved_among
from tests.kits.source_kit import BODIES, NOW

MIXED = (BODIES / "alertmanager" / "webhook" / "mixed_group3_one_resolved.json").read_bytes()


def mixed() -> tuple[Alert, ...]:
    batch = AlertmanagerSource("alertmanager").parse(MIXED, NOW)
    assert isinstance(batch, Batch)
    return tuple(batch.alerts)


class Builder:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self) -> tuple[Alert, ...]:
        self.asked += 1
        return mixed()


def test_counting_builds_nothing_and_looking_builds_once() -> None:
    builder = Builder()
    alerts = Unbuilt(builder, count=3, resolved=1)
    assert (len(alerts), resolved_among(alerts), builder.asked) == (3, 1, 0)
    assert alerts[0] == mixed()[0]
    assert list(alerts) == list(mixed())
    assert alerts[1:] == mixed()[1:]
    assert builder.asked == 1


def test_it_equals_what_it_stands_for() -> None:
    alerts = Unbuilt(mixed, count=3, resolved=1)
    assert alerts == mixed()
    assert mixed() == alerts
    assert alerts != mixed()[1:]
    assert repr(alerts) == repr(mixed())


def test_a_real_delivery_is_not_built_at_the_door_and_its_counts_are_true() -> None:
    batch = AlertmanagerSource("alertmanager").parse(MIXED, NOW)
    assert isinstance(batch, Batch)
    assert isinstance(batch.alerts, Unbuilt)
    assert (len(batch.alerts), resolved_among(batch.alerts)) == (len(mixed()), resolved_among(mixed()))


def test_a_large_delivery_is_built_where_it_is_parsed() -> None:
    body = json.loads(MIXED)
    body["alerts"] = body["alerts"][:1] * (LATER_LIMIT + 1)
    batch = AlertmanagerSource("alertmanager").parse(json.dumps(body).encode(), NOW)
    assert isinstance(batch, Batch)
    assert isinstance(batch.alerts, tuple)
