"""The whole service with its doors for SNS and EventBridge open: from the message to the incident, and to the API of SNS (moto's)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from receiver.app import Hooks, Running, serve
from receiver.core.model import Incident
from receiver.ports import IncidentFilter
from receiver.settings import load_settings
from tests.e2e.lonely import RULES
from tests.fakes.sns import CERTIFICATE_URL, TOPIC, Certificates, alarm, certificate, confirmation, message, signed
from tests.real.moto import Moto
from tests.real.processes import eventually
from tests.unit.ingest.test_cloudwatch import event

pytestmark = pytest.mark.e2e

TOKEN = "0123456789abcdefghijk"
MOTOS_TOPIC = "arn:aws:sns:eu-west-1:123456789012:ops-alarms"
KEY = {"X-Api-Key": TOKEN, "Content-Type": "application/json; charset=utf-8"}
PLAIN = {"Content-Type": "text/plain; charset=UTF-8"}


@dataclass
class Scene:
    running: Running
    client: aiohttp.ClientSession

    async def post(self, way: str, body: bytes, headers: dict[str, str]) -> int:
        async with self.client.post(f"http://{self.running.listen}/webhook/{way}", data=body, headers=headers) as answer:
            return answer.status

    async def sns(self, told: dict[str, Any]) -> int:
        return await self.post("sns", signed(told), PLAIN)

    async def incidents(self, wanted: int) -> list[Incident]:
        async def found() -> list[Incident] | None:
            listed = await self.running.store.incidents(IncidentFilter())
            return listed if len(listed) == wanted else None

        return await eventually(found, within=10, what=f"{wanted} incidents")

    async def over(self) -> None:
        async def resolved() -> bool:
            rows = await self.running.store.load(1)
            return rows is not None and not any(each.firing for each in rows.alerts)

        await eventually(resolved, within=10, what="the end of the alarm")


@pytest_asyncio.fixture
async def scene(tmp_path: Path, moto: Moto) -> AsyncIterator[Scene]:
    (tmp_path / "rules.yaml").write_text(RULES)
    config = {
        "listen": "127.0.0.1:0",
        "store": f"sqlite:///{tmp_path}/receiver.db",
        "rules": [str(tmp_path / "rules.yaml")],
        "sources": {
            "sns": {"topics": [TOPIC, MOTOS_TOPIC], "confirm": True, "endpoint_url": moto.url},
            "eventbridge": {"token": TOKEN, "key_header": "X-Api-Key"},
        },
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    valid = certificate(begins=datetime.now(UTC) - timedelta(days=1))
    hooks = Hooks(sns_certificates=Certificates({CERTIFICATE_URL: valid}).load)
    stop, running = asyncio.Event(), asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as group:
        settings = load_settings(tmp_path / "config.json", {})
        group.create_task(serve(settings, stop=stop, started=running.set_result, hooks=hooks), name="service")
        async with aiohttp.ClientSession() as client:
            yield Scene(await running, client)
        stop.set()


async def test_an_alarm_over_two_ways_is_one_incident_that_ends_once(scene: Scene) -> None:
    now = datetime.now(UTC)
    began = now.replace(microsecond=now.microsecond // 1000 * 1000) - timedelta(minutes=3)
    assert await scene.sns(message(alarm(at=began), at=now)) == 200
    assert await scene.post("eventbridge", event(at=began).encode(), KEY) == 200
    (incident,) = await scene.incidents(1)
    assert (incident.source, incident.title) == ("cloudwatch", "cpu: shop/Service/web")
    assert await scene.post("eventbridge", event("OK", at=began + timedelta(minutes=2)).encode(), KEY) == 200
    await scene.over()


async def test_the_database_holds_no_secret_of_a_message(scene: Scene, tmp_path: Path) -> None:
    body = message(alarm(), at=datetime.now(UTC))
    assert await scene.sns(body) == 200
    await scene.incidents(1)
    stored = b"".join(each.read_bytes() for each in tmp_path.glob("receiver.db*"))
    assert b"Threshold Crossed" in stored
    assert not [
        word
        for word in (b"UnsubscribeURL", b"SubscriptionArn", b"SigningCertURL", json.loads(signed(body))["Signature"].encode())
        if word in stored
    ]


async def test_a_subscription_is_confirmed_at_the_api_of_sns(scene: Scene, moto: Moto) -> None:
    assert await scene.sns(confirmation(at=datetime.now(UTC), topic=MOTOS_TOPIC)) == 503  # it knows no such topic
    async with moto.client("sns") as sns:
        assert (await sns.create_topic(Name="ops-alarms"))["TopicArn"] == MOTOS_TOPIC
    assert await scene.sns(confirmation(at=datetime.now(UTC), topic=MOTOS_TOPIC)) == 200


async def test_what_a_stranger_sends_opens_nothing(scene: Scene) -> None:
    foreign = message(alarm(), at=datetime.now(UTC), TopicArn="arn:aws:sns:eu-west-1:999988887777:ops-alarms")
    assert await scene.sns(foreign) == 403
    assert await scene.post("eventbridge", event().encode(), PLAIN) == 401
    assert await scene.running.store.incidents(IncidentFilter()) == []
