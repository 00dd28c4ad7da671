"""Cost on Kubernetes: API reads of one incident before its first action, and the time from webhook to the first patch that the API server
sees, with one incident and with many at once; and what a reader beside us notices of it.

On the real control plane of the tests. The storm gate, budgets and waiting times are out of the way (printed with the figures), else
nothing of the sort would act at once: this measures the road. The client's own rate limit holds, as shipped.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import AsyncIterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPSConnection
from multiprocessing import get_context
from pathlib import Path
from ssl import create_default_context
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from bench.comparing import Pace
from bench.figures import Figure, progress, tell
from bench.load import post_all
from bench.serving import Server, receiver, up
from receiver.clients.kubernetes_access import KubernetesConfig
from tests.real import workloads
from tests.real.apiproxy import ApiProxy, Seen
from tests.real.kubernetes import ControlPlane
from tests.real.processes import eventually

READS = 25
"""Before the first action of one incident."""
MANY = 200
LIFTED: dict[str, Any] = {
    "alert_age": "0s", "confirm_gap": "0s", "boot_hold": "0s", "someone_else": "0s", "cooldown": "0s",
    "storm_targets": 100_000, "storm_namespace": 100_000, "storm_share": 1.0,
    "namespace_concurrency": 100_000, "namespace_bucket": 100_000, "global_concurrency": 100_000, "global_bucket": 100_000,
}  # fmt: skip
RULES = """
apiVersion: receiver/v1
kind: Rules
rules:
  - name: saturated
    match: ['alertname="Saturated"']
    symptom: latency
    impact: high
    urgency: medium
    mode: auto
    remediate: [{action: kubernetes.scale}]
    verify: {query: 'vector(0)', below: 1}
default: {impact: low, urgency: low, remediate: []}
"""


@dataclass(frozen=True, slots=True)
class Ground:
    """A control plane, a proxy that writes every request down, and the receiver behind it."""

    plane: ControlPlane
    proxy: ApiProxy
    server: Server
    namespace: str


async def remediate(pace: Pace) -> list[Figure]:
    """Webhook to first patch on the control plane, its reads, and the reader beside it."""
    many = 20 if pace.quick else MANY
    shown = ", ".join(f"{name} {value}" for name, value in LIFTED.items())
    print(f"  lifted: {shown}; the client's limit: {KubernetesConfig().per_second:g} calls/s", flush=True)
    async with _ground(many + pace.rounds) as ground:
        reads: list[float] = []
        alone: list[float] = []
        for number in range(pace.rounds):
            found = await _patched(ground, [f"web-{number}"])
            reads.append(found.reads)
            alone += found.times
            progress(f"one incident, round {number + 1} of {pace.rounds}: {found.reads:.0f} reads, {found.times[0]:.2f} s")
        quiet = await _reader(ground, seconds=5)
        crowd = asyncio.create_task(_patched(ground, [f"web-{pace.rounds + each}" for each in range(many)]), name="crowd")
        beside = await _reader(ground, seconds=5)
        found = await crowd
    figures = [
        Figure("K", "API reads before the first action, one incident", tuple(reads), READS, at_most=True),
        Figure(
            "K",
            "webhook to first patch, one incident, p50",
            (_quantile(alone, 0.5),),
            unit=" s",
            note=f"p99 {_quantile(alone, 0.99):.2f} s",
        ),
        Figure("K", f"webhook to patch, {many} incidents at once, p50", (_quantile(found.times, 0.5),), unit=" s", note=_said(found, many)),
        Figure(
            "K", f"a GET loop beside {many} incidents, p95, of alone", (beside / quiet,), 1.10, at_most=True, note=f"{quiet:.1f} ms alone"
        ),
    ]
    for each in figures:
        tell(each)
    return figures


@dataclass(frozen=True, slots=True)
class _Found:
    reads: float
    """By incident, until the last first patch."""
    times: list[float]
    """Seconds from the webhook to the patch of each."""


async def _patched(ground: Ground, names: list[str]) -> _Found:
    """One delivery that is about all of them."""
    began, since = len(ground.proxy.requests), time.time()
    alerts = [_alert(ground.namespace, name) for name in names]
    body = json.dumps({"version": "4", "alerts": alerts}).encode()
    tally = await post_all(ground.server.port, [ground.server.request(body)], connections=1)
    if tally.good != 1:
        raise RuntimeError("the delivery was not taken")

    def patches() -> dict[str, Seen]:
        return {
            each.path.split("/")[-2]: each for each in reversed(ground.proxy.requests[began:]) if each.mutates and "/scale" in each.path
        }

    await eventually(lambda: patches().keys() >= set(names), within=300, what=f"{len(names)} patches", every=0.02)
    firsts = patches()
    last = max(each.at for each in firsts.values())
    reads = sum(each.method == "GET" and each.at <= last for each in ground.proxy.requests[began:])
    return _Found(reads / len(names), [firsts[name].at - since for name in names])


def _alert(namespace: str, name: str) -> dict[str, Any]:
    labels = {"alertname": "Saturated", "namespace": namespace, "deployment": name}
    return {"status": "firing", "labels": labels, "startsAt": datetime.now(UTC).isoformat(), "endsAt": "0001-01-01T00:00:00Z"}


async def _reader(ground: Ground, *, seconds: float) -> float:
    """p95 in milliseconds of one GET after the other, not through the proxy, from a process of its own."""
    access, path = ground.plane.admin.access, workloads.path(ground.namespace, "web-0")
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        loop = asyncio.get_running_loop()
        taken = await loop.run_in_executor(pool, _read, access.server, access.token or "", str(access.ca_file), path, seconds)
    return _quantile(taken, 0.95)


def _read(server: str, token: str, ca_file: str, path: str, seconds: float) -> list[float]:
    """Milliseconds of each."""
    parts = urlsplit(server)
    connection = HTTPSConnection(parts.hostname or "", parts.port, context=create_default_context(cafile=ca_file), timeout=10)
    taken, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.perf_counter()
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise RuntimeError(f"GET {path} answered {answer.status}")
        taken.append((time.perf_counter() - began) * 1e3)
        time.sleep(0.01)
    connection.close()
    return taken


def _quantile(values: list[float], share: float) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[round(share * 100) - 1] if len(values) > 1 else values[0]


def _said(found: _Found, many: int) -> str:
    return f"p99 {_quantile(found.times, 0.99):.1f} s, {found.reads:.1f} reads each, {many / max(found.times):.1f} actions/s"


@asynccontextmanager
async def _ground(count: int) -> AsyncIterator[Ground]:
    with TemporaryDirectory(prefix="bench-plane-") as name:
        plane = ControlPlane(Path(name), nodes=10)
        await plane.start()
        proxy = ApiProxy(plane.admin.access)
        try:
            await proxy.start()
            async with plane.namespace("bench") as namespace:
                progress(f"{count} Deployments")
                await asyncio.gather(*(_deployed(plane, namespace, f"web-{each}") for each in range(count)))
                config: dict[str, Any] = {
                    "mode": "auto",
                    "bounds": LIFTED,
                    "kubernetes": {"kubeconfig": str(plane.kubeconfig(server=proxy.url)), "namespaces": [namespace]},
                }
                with receiver(rules=RULES, namespaces=[namespace], **config) as server:
                    await up(server)
                    yield Ground(plane, proxy, server, namespace)
        finally:
            await proxy.stop()
            await plane.stop()


async def _deployed(plane: ControlPlane, namespace: str, name: str) -> None:
    manifest = workloads.deployment(name, "app:1", replicas=1)
    manifest["metadata"]["annotations"] = {"alert-receiver.internal/enabled": "true"}
    await workloads.deploy(plane.admin, namespace, manifest, within=240)
