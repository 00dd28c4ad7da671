"""The whole road on one machine: Prometheus → Alertmanager → receiver → Kubernetes control plane, and our PagerDuty.

A `Scene` is one test's: its own namespace, servers, configuration, database. Windows are short, everything else is as shipped.
"""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp

from receiver.secret import Secret
from tests.e2e.exporter import Exporter
from tests.fakes.pagerduty import PagerDutyServer
from tests.real import workloads
from tests.real.alertmanager import AlertmanagerSettings
from tests.real.fixtures import Started
from tests.real.kube_api import STRATEGIC, KubeApi, Object
from tests.real.kubernetes import ControlPlane
from tests.real.processes import Process, eventually, free_port
from tests.real.prometheus import PrometheusSettings

ENABLED = {"alert-receiver.internal/enabled": "true"}
CRASH_RULE = """
groups:
  - name: tests
    interval: 1s
    rules:
      - alert: KubePodCrashLooping
        expr: max by (namespace, pod, container) (kube_pod_container_status_waiting_reason{reason="CrashLoopBackOff"}) >= 1
        labels: {severity: warning}
        annotations: {summary: "Pod is crash looping."}
"""
BOUNDS: dict[str, Any] = {
    "alert_age": "0s",
    "confirm_gap": "1s",
    "boot_hold": "0s",
    "cooldown": "1s",
    "call_timeout": "3s",
    "late_landing": "4s",
    "verify_timeout": "20s",
    "restart_newest_pod": "0s",
}
UNDO_RULES = """
apiVersion: receiver/v1
kind: Rules
rules:
  - name: crash-loop
    match: ['alertname="KubePodCrashLooping"']
    symptom: crash
    impact: high
    urgency: {urgency}
    mode: {mode}
    remediate:
      - {{action: kubernetes.rollout_undo, mode: {mode}}}
    verify: {{rollout: true, settle: 1s, stable: 3s}}
default: {{impact: medium, urgency: medium, remediate: []}}
"""

EVICT_RULES = """
apiVersion: receiver/v1
kind: Rules
rules:
  - name: one-bad-pod
    match: ['alertname="KubePodCrashLooping"']
    symptom: crash
    impact: high
    urgency: medium
    mode: auto
    remediate: [{action: kubernetes.evict_pod}]
    verify: {rollout: true, settle: 1s, stable: 3s}
    suggest: [recent_events]
default: {impact: medium, urgency: medium, remediate: []}
"""


def undo_rules(*, urgency: str = "medium", mode: str = "auto") -> str:
    """High impact, and by default medium urgency: a P2."""
    return UNDO_RULES.format(urgency=urgency, mode=mode)


class Scene:
    """`await scene.start()`; everything it starts is stopped by `stop`."""

    def __init__(
        self, plane: ControlPlane, namespace: str, started: Started, directory: Path, *, kubeconfig: Path, undo_token: str
    ) -> None:
        self.plane = plane
        self.api: KubeApi = plane.admin
        self.namespace = namespace
        self.pagerduty = PagerDutyServer()
        self.exporter = Exporter(plane.admin, namespace)
        self.directory = directory
        self._started = started
        self._kubeconfig = kubeconfig
        self._undo_token = undo_token
        self.token = secrets.token_hex(20)
        self.admin_token = secrets.token_hex(20)
        self.port = free_port()
        self.receiver: Process | None = None
        self.since = datetime.now(UTC)
        """When what it posts began."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def stop(self) -> None:
        if self.receiver is not None and self.receiver.running:
            await self.receiver.stop()
        await self.exporter.stop()
        self.pagerduty.__exit__()

    async def start(self, rules: str, *, alertmanager: str | None = "0.31.1", point: str = "", **changes: Any) -> None:
        """Everything; `alertmanager=None`: alerts are posted by the test itself."""
        self.pagerduty.__enter__()
        await self.exporter.start()
        await self.start_receiver(rules, point=point, **changes)
        if alertmanager is not None:
            await self.start_monitoring(alertmanager)

    async def start_receiver(self, rules: str = "", *, point: str = "", **changes: Any) -> None:
        """With `point` it kills itself there. Called again after its end it starts on the same data; empty `rules`: the same."""
        config = self._configure(rules, changes) if rules else self.directory / "config.json"
        arguments: Sequence[str | Path] = [sys.executable, "-m", "tests.e2e.victim", config, point]
        self.receiver = Process("receiver", arguments, log=self.directory / "receiver.log")
        self.receiver.start()
        if not point:
            await self.receiver.ready(f"{self.url}/readyz")

    def _configure(self, rules: str, changes: dict[str, Any]) -> Path:
        (self.directory / "rules").mkdir(exist_ok=True)
        (self.directory / "rules" / "rules.yaml").write_text(rules)
        files = {"token": self.token, "admin": self.admin_token, "undo": self._undo_token, "key": self.pagerduty.key}
        for name, value in files.items():
            path = self.directory / name
            path.touch(mode=0o600)
            path.write_text(Secret(value).reveal())
        settings = {
            "listen": f"127.0.0.1:{self.port}",
            "store": f"sqlite:///{self.directory}/receiver.db",
            "rules": [str(self.directory / "rules")],
            "mode": "auto",
            "locale": "en",
            "bounds": BOUNDS,
            "page_after": {"P2": "60s"},
            "api": {"tokens": [{"name": "admin", "scope": "admin", "token_file": str(self.directory / "admin")}]},
            "sources": {"alertmanager": {"token_file": str(self.directory / "token"), "namespaces": [self.namespace]}},
            "kubernetes": {
                "kubeconfig": str(self._kubeconfig),
                "namespaces": [self.namespace],
                "undo_token_file": str(self.directory / "undo"),
            },
            "pagerduty": {"routing_key_file": str(self.directory / "key"), "events_url": self.pagerduty.url},
            **changes,
        }
        config = self.directory / "config.json"
        config.write_text(json.dumps(settings, indent=1))  # JSON is YAML
        return config

    async def start_monitoring(self, version: str = "0.31.1") -> None:
        """From now on alerts come by themselves."""
        alertmanager = await self._started.alertmanager(
            AlertmanagerSettings(
                webhook_url=f"{self.url}/webhook/alertmanager", version=version, bearer=self.token, group_by=("alertname", "namespace")
            )
        )
        scrape = {
            "job_name": "kube-state-metrics",
            "honor_labels": True,
            "static_configs": [{"targets": [f"127.0.0.1:{self.exporter.port}"]}],
        }
        await self._started.prometheus(
            PrometheusSettings(alertmanagers=(alertmanager.url,), scrape_configs=(scrape,), rules={"tests": CRASH_RULE})
        )

    # --- what a test does and asks ---

    async def deploy(
        self,
        image: str = "app:1",
        *,
        name: str = "web",
        kind: str = "Deployment",
        replicas: int = 3,
        annotations: dict[str, str] | None = None,
        **spec: Any,
    ) -> Object:
        """Opted in."""
        manifest = workloads.workload(kind, name, image, replicas=replicas, **spec)
        manifest["metadata"]["annotations"] = ENABLED if annotations is None else annotations
        return await workloads.deploy(self.api, self.namespace, manifest)

    async def release(self, image: str) -> None:
        await workloads.set_image(self.api, self.namespace, "web", image)

    async def release_seen(self, image: str, revision: str) -> None:
        """Also its controller has noted it, so that there is a revision to go back to."""
        await self.release(image)

        def noted(found: Object) -> bool:
            seen = found["status"].get("observedGeneration", 0) >= found["metadata"]["generation"]
            return bool(seen and found["metadata"]["annotations"].get("deployment.kubernetes.io/revision") == revision)

        await self.api.until(workloads.path(self.namespace, "web"), noted)

    async def fall_ill(self, pod: Object) -> None:
        """This pod waits in a crash loop; its kubelet has nothing new to say, so it stays like that."""
        conditions = [
            each | {"status": "False"} if each["type"] in ("Ready", "ContainersReady") else each for each in pod["status"]["conditions"]
        ]
        waiting = {"ready": False, "state": {"running": None, "waiting": {"reason": "CrashLoopBackOff"}}}
        body = {"status": {"conditions": conditions, "containerStatuses": [pod["status"]["containerStatuses"][0] | waiting]}}
        path = f"/api/v1/namespaces/{self.namespace}/pods/{pod['metadata']['name']}/status"
        await self.api.patch(path, body, content_type=STRATEGIC)

    async def image(self) -> str:
        found = await self.api.get(workloads.path(self.namespace, "web"))
        return str(found["spec"]["template"]["spec"]["containers"][0]["image"])

    async def deployment(self) -> Object:
        return await self.api.get(workloads.path(self.namespace, "web"))

    async def post(self, *names: str, resolved: bool = False, kind: str = "deployment") -> bool:
        """The alert about a crash-looping pod of `web`, or of each of `names`, as Alertmanager would send it; False when nobody answered.

        `kind`: the label that names it.
        """
        now = datetime.now(UTC)
        about = {"alertname": "KubePodCrashLooping", "namespace": self.namespace}
        alert = {
            "status": "resolved" if resolved else "firing",
            "startsAt": self.since.isoformat(),
            "endsAt": now.isoformat() if resolved else "0001-01-01T00:00:00Z",
        }
        headers = {"Authorization": f"Bearer {self.token}"}
        body = {"version": "4", "alerts": [alert | {"labels": about | {kind: each}} for each in names or ("web",)]}
        limit = aiohttp.ClientTimeout(total=10)
        try:
            async with (
                aiohttp.ClientSession(timeout=limit) as session,
                session.post(f"{self.url}/webhook/alertmanager", json=body, headers=headers) as answer,
            ):
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    async def get(self, path: str) -> Any:
        """A GET of the receiver's API."""
        headers = {"Authorization": f"Bearer {self.admin_token}"}
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session,
            session.get(self.url + path, headers=headers) as answer,
        ):
            assert answer.status == 200, f"{path}: {answer.status} {await answer.text()}"
            return await answer.json()

    async def approve(self, number: int, attempt: str) -> bool:
        """The administrator's yes to that offer; False when it came too late."""
        headers = {"Authorization": f"Bearer {self.admin_token}"}
        path = f"{self.url}/api/v1/incidents/{number}/approve"
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session,
            session.post(path, json={"attempt": attempt}, headers=headers) as answer,
        ):
            assert answer.status < 300 or answer.status == 409, f"{answer.status} {await answer.text()}"
            return answer.status < 300

    async def incidents(self) -> list[dict[str, Any]]:
        return list((await self.get("/api/v1/incidents"))["incidents"])

    async def closed(self, *, within: float = 90) -> dict[str, Any]:
        """The one incident about the workload, once it is closed."""

        async def look() -> dict[str, Any] | None:
            found = [each for each in await self.incidents() if not each["open"]]
            return found[0] if found else None

        return await eventually(look, within=within, what="a closed incident", every=0.3)
