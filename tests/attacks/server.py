"""The server under test of the attack corpus: the real service, its one action executed against a fake API server.

`python -m tests.attacks.server PORT`. Test-only endpoints tell what was done and set everything back.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from receiver.app import Hooks, Running, serve
from receiver.clients.errors import ClientError, ErrorKind
from receiver.ingest.server import ServerLimits
from receiver.settings import load_settings
from receiver.telemetry.logs import configure_logging
from tests.attacks.run_attacks import S as SECRETS
from tests.fakes.kubernetes_api import ADMIN_TOKEN, FakeKubernetes
from tests.real.access import Access, write_kubeconfig
from tests.real.workloads import deployment

RULES = """
apiVersion: receiver/v1
kind: Rules
rules:
  - name: corpus-scale-up
    match: ['alertname="CorpusScaleUp"']
    symptom: other
    impact: high
    urgency: high
    mode: auto
    remediate: [{action: kubernetes.scale, step: "1", max: 10}]
    verify: {rollout: true, settle: 0s, stable: 1h}
default: {impact: low, urgency: low, remediate: []}
"""
OPENED = {
    "alert_age": "0s",
    "alert_too_old": "3650d",
    "confirm_gap": "0s",
    "boot_hold": "0s",
    "cooldown": "0s",
    "target_day": 100000,
    "namespace_concurrency": 1000,
    "namespace_bucket": 100000,
    "global_concurrency": 1000,
    "global_bucket": 100000,
    "storm_targets": 100000,
    "storm_share": 1.0,
    "storm_namespace": 100000,
}
KEY = ("deployments", "corpus", "web")
TOPIC = "arn:aws:sns:eu-west-1:111122223333:ops-alarms"
EVENTS_TOKEN = "corpus-eventbridge-token-0123456789abcdef"
CERTIFICATE_URL = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-c0ffee00c0ffee00c0ffee00c0ffee00.pem"
CERTIFICATE = Path(__file__).parent / "sns_test_cert.pem"
SETTLED_SECONDS = 6.0
LEASE_SECONDS = 31.0
"""A date within a lease may be somebody working on it."""


class UnderTest:
    """The service, its fake cluster, and the two test-only endpoints."""

    def __init__(self, port: int, directory: Path) -> None:
        self.port = port
        self.directory = directory
        self.cluster = FakeKubernetes()
        self.running: Running | None = None
        self.outbound = 0
        """Addresses of strangers that were asked for a certificate."""

    async def run(self, stop: asyncio.Event) -> None:
        await self.cluster.start()
        self._seed()
        hooks = Hooks(extend=self._extend, server_limits=ServerLimits(connections_per_peer=512), sns_certificates=self._certificate)
        await serve(load_settings(self._configure(), {}), stop=stop, started=self._started, hooks=hooks)
        await self.cluster.stop()

    async def _certificate(self, url: str) -> bytes:
        if url == CERTIFICATE_URL:
            return CERTIFICATE.read_bytes()
        self.outbound += 1
        raise ClientError(ErrorKind.not_found, "no such certificate")

    def _started(self, running: Running) -> None:
        self.running = running

    def _seed(self) -> None:
        self.cluster.objects.stored.clear()
        manifest = deployment("web", "web:1", replicas=3)
        manifest["metadata"]["annotations"] = {"alert-receiver.internal/enabled": "true"}
        self.cluster.objects.create(("namespaces", "", "corpus"), {"metadata": {"name": "corpus"}})
        self.cluster.objects.create(KEY, manifest)

    def _configure(self) -> Path:
        kubeconfig = write_kubeconfig(Access(server=self.cluster.url, token=ADMIN_TOKEN), self.directory / "kubeconfig.json")
        (self.directory / "rules.yaml").write_text(RULES)
        for name, secret in SECRETS.items():
            path = self.directory / name
            path.touch(mode=0o600)
            path.write_text(secret)
        scopes = {"reader": "read", "operator": "operate"}
        tokens = [{"name": name, "scope": scope, "token_file": str(self.directory / name)} for name, scope in scopes.items()]
        settings = {
            "listen": f"127.0.0.1:{self.port}",
            "store": f"sqlite:///{self.directory}/receiver.db",
            "rules": [str(self.directory / "rules.yaml")],
            "mode": "auto",
            "bounds": OPENED,
            "limits": {"body": "1MiB"},
            "api": {"tokens": tokens},
            "sources": {
                "alertmanager": {"token_file": str(self.directory / "am"), "namespaces": ["corpus"]},
                "grafana": {"hmac_secret_file": str(self.directory / "gf"), "namespaces": ["corpus"]},
                "sns": {"topics": [TOPIC], "namespaces": ["corpus"], "clusters": ["corpus"]},
                "eventbridge": {"token": EVENTS_TOKEN, "key_header": "X-Api-Key", "namespaces": ["corpus"], "clusters": ["corpus"]},
            },
            "kubernetes": {"kubeconfig": str(kubeconfig), "namespaces": ["corpus"]},
        }
        config = self.directory / "config.json"
        config.write_text(json.dumps(settings))
        return config

    def _extend(self, app: web.Application) -> None:
        app.router.add_get("/__test__/state", self._state)
        app.router.add_post("/__test__/reset", self._reset)

    async def _state(self, _: web.Request) -> web.Response:
        await self._settled()
        mutations = [each for each in self.cluster.requests if each.startswith(("PATCH", "POST", "PUT", "DELETE")) and not _harmless(each)]
        targets = sorted({_target(each) for each in mutations})
        counts = [found["spec"].get("replicas", 1) for key, found in self.cluster.objects.stored.items() if key[0] == "deployments"]
        found = {
            "actions": len(mutations),
            "approvals": 0,
            "incidents": 0,
            "outbound": self.outbound,
            "targets": targets,
            "max_replicas": max(counts),
        }
        return web.json_response(found)

    async def _settled(self) -> None:
        """Until everything accepted is folded and nothing is due: an action that is going to be started has been."""
        if self.running is None:
            return
        store, loop = self.running.store, asyncio.get_running_loop()
        end = loop.time() + SETTLED_SECONDS
        while loop.time() < end:
            gauges = await store.gauges()
            due = await store.next_due()
            if not sum(gauges.get("inbox_backlog", {}).values()) and (due is None or due.timestamp() - _now() > LEASE_SECONDS):
                return
            await asyncio.sleep(0.01)

    async def _reset(self, _: web.Request) -> web.Response:
        headers = {"Authorization": f"Bearer {SECRETS['operator']}"}
        base = f"http://127.0.0.1:{self.port}/api/v1/incidents"
        async with aiohttp.ClientSession(headers=headers) as session:
            for each in (await _json(session, "GET", f"{base}?open=true&limit=1000"))["incidents"]:
                await _json(session, "POST", f"{base}/{each['id']}/resolve", {"note": "reset"})
        self.cluster.requests.clear()
        self._seed()
        return web.json_response({"status": "reset"})


async def _json(session: aiohttp.ClientSession, method: str, url: str, body: object = None) -> dict[str, Any]:
    async with session.request(method, url, json=body) as answer:
        found: dict[str, Any] = await answer.json()
        return found


def _harmless(request: str) -> bool:
    """A dry run, or a review of rights: neither stores anything."""
    return "dryRun" in request or "/authorization.k8s.io/" in request


def _target(request: str) -> str:
    parts = request.split("?", maxsplit=1)[0].split("/")
    at = parts.index("namespaces") if "namespaces" in parts else -1
    return f"{parts[at + 1]}/{parts[at + 3]}" if at >= 0 and len(parts) > at + 3 else request


def _now() -> float:
    return time.time()


async def main(port: int) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    with tempfile.TemporaryDirectory() as directory:
        await UnderTest(port, Path(directory)).run(stop)


if __name__ == "__main__":
    configure_logging(sys.stderr, level="warning")
    asyncio.run(main(int(sys.argv[1])))
