"""Grafana and webhooks of any other sender against the real service: signed, stored, folded, and paged without an action."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import ClientSession

from receiver.app import Running, serve
from receiver.core.model import OWN_SOURCE, Incident, Priority
from receiver.ports import IncidentFilter
from receiver.settings import load_settings
from tests.kits.source_kit import BODIES

pytestmark = [pytest.mark.e2e]

SECRETS = {"grafana": "grafana-0123456789abcdef", "sentry": "sentry-0123456789abcdef", "payments": "payments-0123456789abcdef"}
RULES = """
apiVersion: receiver/v1
kind: Rules
rules:
  - name: sentry
    match: ['webhook="sentry"']
    mode: auto
    remediate: [{action: kubernetes.rollout_restart}]
    verify: {rollout: true}
  - name: all
    match: ['alertname=~".+"']
    mode: auto
    remediate: [{action: kubernetes.rollout_restart}]
    verify: {rollout: true}
default: {impact: medium, urgency: medium, remediate: []}
"""
SENTRY = {"action": "created", "data": {"issue": {"id": "1", "title": "TypeError", "level": "error", "project": {"slug": "shop"}}}}


@dataclass
class Service:
    """What a test speaks to."""

    running: Running
    client: ClientSession

    async def post(self, name: str, body: bytes, headers: dict[str, str]) -> int:
        url = f"http://{self.running.listen}/webhook/{name}"
        async with self.client.post(url, data=body, headers={"Content-Type": "application/json", **headers}) as answer:
            return answer.status

    async def incidents(self) -> list[Incident]:
        """Of others than ourselves, when all is folded; oldest first."""
        async with asyncio.timeout(10):
            while await self.running.store.backlog():
                await asyncio.sleep(0.01)
        found = await self.running.store.incidents(IncidentFilter(limit=100))
        return [each for each in reversed(found) if each.source != OWN_SOURCE]

    async def own_trouble(self) -> Incident:
        """The first about ourselves: reported, not awaited by the door."""
        async with asyncio.timeout(10):
            while True:
                for each in await self.running.store.incidents(IncidentFilter(limit=100)):
                    if each.source == OWN_SOURCE:
                        return each
                await asyncio.sleep(0.01)


def documented() -> str:
    """The example of the documentation, that operators copy."""
    text = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
    return next(part for part in text.split("```yaml config\n") if "Sentry-Hook-Signature" in part).partition("```")[0]


@pytest_asyncio.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    for name, secret in SECRETS.items():
        (tmp_path / name).write_text(secret)
        (tmp_path / name).chmod(0o600)
    (tmp_path / "rules.yaml").write_text(RULES)
    top = f"listen: 127.0.0.1:0\nstore: sqlite:///{tmp_path}/receiver.db\nrules: [{tmp_path}/rules.yaml]\nmode: auto\n"
    grafana = "  grafana: {hmac_secret_file: /run/secrets/grafana, hmac_timestamp_header: X-Time, namespaces: [shop]}\n"
    (tmp_path / "config.yaml").write_text((top + documented() + grafana).replace("/run/secrets/", f"{tmp_path}/"))
    stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as group, ClientSession() as client:
        group.create_task(serve(load_settings(tmp_path / "config.yaml", {}), stop=stop, started=ready.set_result))
        yield Service(await ready, client)
        stop.set()


def digest(key: str, signed: bytes) -> str:
    return hmac.new(SECRETS[key].encode(), signed, hashlib.sha256).hexdigest()


def sentry(body: bytes) -> dict[str, str]:
    return {"Sentry-Hook-Signature": digest("sentry", body)}


def payments(body: bytes) -> dict[str, str]:
    seconds = str(int(time.time()))
    return {"Stripe-Signature": f"t={seconds},v1={digest('payments', seconds.encode() + b'.' + body)}"}


def grafana(body: bytes) -> dict[str, str]:
    seconds = str(int(time.time()))
    return {"X-Time": seconds, "X-Grafana-Alerting-Signature": digest("grafana", f"{seconds}:".encode() + body)}


async def test_an_issue_of_sentry_opens_and_its_end_resolves_one_incident_for_people(service: Service) -> None:
    body = json.dumps(SENTRY).encode()
    assert await service.post("generic/sentry", body, sentry(body)) == 200
    (incident,) = await service.incidents()
    assert (incident.source, incident.rule, incident.no_action) == (
        "generic/sentry",
        "sentry",
        "an alert is for people only: source generic/sentry only pages",
    )
    over = json.dumps({**SENTRY, "action": "resolved"}).encode()
    assert await service.post("generic/sentry", over, sentry(over)) == 200
    await service.incidents()
    rows = await service.running.store.load(incident.id)
    assert rows is not None
    assert [each.firing for each in rows.alerts] == [False]


async def test_a_failed_payment_is_paged(service: Service) -> None:
    failed = {"id": "pi_1", "object": "payment_intent"}
    body = json.dumps({"type": "payment_intent.payment_failed", "created": int(time.time()), "data": {"object": failed}}).encode()
    assert await service.post("generic/payments", body, payments(body)) == 200
    (incident,) = await service.incidents()
    assert incident.title == "payment_intent.payment_failed"


async def test_a_delivery_without_what_is_mapped_is_kept_and_paged(service: Service) -> None:
    body = b'{"action": "created", "data": {}}'
    assert await service.post("generic/sentry", body, sentry(body)) == 422
    assert await service.incidents() == []
    (kept,) = await service.running.store.quarantine(limit=10)
    assert (kept.source, kept.path) == ("generic/sentry", "data.issue.title")
    trouble = await service.own_trouble()
    assert (trouble.priority, "generic/sentry" in trouble.title) == (Priority.p2, True)


@pytest.mark.parametrize("path", ["generic/nobody", "generic", "generic/", "generic/sentry/x", "generic/Sentry"])
async def test_a_webhook_that_is_not_configured_is_not_there(service: Service, path: str) -> None:
    body = json.dumps(SENTRY).encode()
    assert await service.post(path, body, sentry(body)) == 404


async def test_one_webhooks_signature_opens_no_other(service: Service) -> None:
    body = json.dumps(SENTRY).encode()
    assert await service.post("generic/sentry", body, {"Sentry-Hook-Signature": digest("payments", body)}) == 403
    assert await service.post("generic/payments", body, sentry(body)) == 401
    assert await service.post("grafana", body, sentry(body)) == 401


async def test_grafanas_missing_data_is_for_people_and_its_end_is_no_recovery(service: Service) -> None:
    body = json.loads((BODIES / "grafana" / "webhook" / "firing.json").read_text())
    raw = json.dumps(body).encode()
    assert await service.post("grafana", raw, grafana(raw)) == 200
    (incident,) = await service.incidents()
    assert incident.no_action == ""
    alert = {**body["alerts"][0], "status": "resolved", "endsAt": "2026-11-20T10:00:00Z"}
    alert["annotations"] = {**alert["annotations"], "grafana_state_reason": "Paused"}
    raw = json.dumps({**body, "status": "resolved", "alerts": [alert]}).encode()
    assert await service.post("grafana", raw, grafana(raw)) == 200
    (incident,) = await service.incidents()
    view = await service.running.store.view(incident.id)
    assert view is not None
    assert [each.firing for each in view.rows.alerts] == [True]
    assert "ended_without_recovery" in [each.entry.because for each in view.timeline]
    assert "Paused" in incident.no_action


async def test_metrics_know_every_webhook_from_the_start(service: Service) -> None:
    async with service.client.get(f"http://{service.running.admin}/metrics") as answer:
        text = await answer.text()
    for name in ("grafana", "generic/sentry", "generic/payments"):
        assert f'receiver_webhook_requests_total{{code="403",source="{name}"}} 0.0' in text
