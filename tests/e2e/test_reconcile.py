"""What was lost on the way from a real Alertmanager is found by asking it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.lonely import Service
from tests.real.alertmanager import Alertmanager, AlertmanagerSettings
from tests.real.fixtures import Started
from tests.real.processes import eventually

pytestmark = pytest.mark.e2e

LOST = {"alertname": "Lost", "namespace": "shop"}
SILENCED = {"alertname": "Silenced", "namespace": "shop"}
MINUTE = timedelta(minutes=1)


@pytest_asyncio.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    made = Service(tmp_path)
    yield made
    await made.stop()


async def start(service: Service, alertmanager: Alertmanager) -> None:
    own = {**service.credential, "api_url": alertmanager.url, "api_receivers": ["receiver"]}
    await service.start(sources={"alertmanager": own})


def fires(labels: dict[str, str], since: datetime, ends: datetime | None = None) -> dict[str, object]:
    return {"labels": labels, "startsAt": since.isoformat(), **({"endsAt": ends.isoformat()} if ends else {})}


async def test_what_fired_while_the_receiver_was_away_is_an_incident_after_its_start(
    service: Service, started: Started, alertmanager_version: str
) -> None:
    swallows = await started.webhook()  # as a receiver that said yes and lost its disk
    alertmanager = await started.alertmanager(AlertmanagerSettings(webhook_url=swallows.url, version=alertmanager_version))
    silence = {
        "matchers": [{"name": "alertname", "value": "Silenced", "isRegex": False}],
        "startsAt": datetime.now(UTC).isoformat(),
        "endsAt": (datetime.now(UTC) + timedelta(hours=1)).isoformat(),
        "createdBy": "test",
        "comment": "planned",
    }
    await alertmanager.silence(silence)
    now = datetime.now(UTC)
    await alertmanager.post_alerts([fires(LOST, now), fires(SILENCED, now)])
    await swallows.delivered(lambda it: b"Lost" in it.body)
    await start(service, alertmanager)
    assert await service.tells("found_by_reconciling") == ["Lost: shop"]
    assert service.told("first_alert") == ["Lost: shop"]


async def test_what_fires_again_with_its_old_start_is_healed_though_its_delivery_passes_for_a_late_retry(
    service: Service, started: Started
) -> None:
    settings = AlertmanagerSettings(webhook_url=service.webhook, bearer=service.token)
    alertmanager = await started.alertmanager(settings)
    await start(service, alertmanager)
    since = datetime.now(UTC) - 20 * MINUTE
    await alertmanager.post_alerts([fires(LOST, since)])
    await service.tells("first_alert")
    await alertmanager.post_alerts([fires(LOST, since, datetime.now(UTC))])
    await service.tells("alert_resolved")
    await alertmanager.post_alerts([fires(LOST, since)])
    assert service.told("fires_again") == []
    # A minute after the resolve at the earliest: until then two Alertmanagers of a pair may differ.
    assert await eventually(lambda: service.told("found_by_reconciling") or None, within=120, what="healed") == ["Lost: shop"]
    assert service.told("fires_again") == ["Lost: shop"]
