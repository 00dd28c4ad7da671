"""What the client may send: methods, places, the body of an eviction; and what the API's health keeps back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog
from aiohttp import web

from receiver.clients.errors import ClientError, ErrorKind
from receiver.clients.kubernetes import ApiHealth, Eviction, Kubernetes, KubernetesConfig, Patch, PatchType
from receiver.clients.kubernetes_changes import Method, request_of
from receiver.clock import SystemClock
from tests.fakes.kubernetes_api import ADMIN_TOKEN, FakeKubernetes
from tests.kits.action_ground import Switch
from tests.real.access import Access, write_kubeconfig
from tests.unit.clients.test_kubernetes_client import PATCH, Restless, server_of

EVICTION = Eviction("shop", "web-1", "uid-1", "receiver:i-1-1")
NODE = Patch("Node", "", "node-1", [], PatchType.json, "receiver:i-1-1")
SHOP = KubernetesConfig(namespaces=frozenset({"shop"}))


def test_the_only_methods_are_get_patch_and_post() -> None:
    assert {each.value for each in Method} == {"GET", "PATCH", "POST"}


def test_a_dry_eviction_says_so_in_its_body_too() -> None:
    asked, real = (request_of(EVICTION, SHOP, dry_run=dry) for dry in (True, False))
    assert asked.body == {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": "web-1", "namespace": "shop"},
        "deleteOptions": {"preconditions": {"uid": "uid-1"}, "dryRun": ["All"]},
    }
    assert ("dryRun", "All") in asked.query
    assert "dryRun" not in str(real)
    assert (real.method, real.path) == (Method.post, "/api/v1/namespaces/shop/pods/web-1/eviction")


@pytest.mark.parametrize(
    "change,kind",
    [
        (replace(EVICTION, uid=""), ErrorKind.invalid),
        (replace(EVICTION, namespace="other"), ErrorKind.held),
        (replace(EVICTION, namespace="kube-system"), ErrorKind.held),
        (replace(EVICTION, name="../x"), ErrorKind.invalid),
        (replace(PATCH, kind="Pod"), ErrorKind.held),
        (replace(PATCH, kind="Namespace"), ErrorKind.held),
        (replace(PATCH, kind="ReplicaSet"), ErrorKind.held),
        (NODE, ErrorKind.held),
    ],
)
def test_what_is_never_written_to_never_becomes_a_request(change: Any, kind: ErrorKind) -> None:
    config = replace(SHOP, namespaces=frozenset({"shop", "kube-system"}))
    with pytest.raises(ClientError) as refused:
        request_of(change, config, dry_run=False)
    assert (refused.value.kind, refused.value.sent) == (kind, False)


def test_a_node_is_written_to_only_where_that_is_switched_on_and_without_a_namespace() -> None:
    on = KubernetesConfig(nodes=True)
    assert request_of(NODE, on, dry_run=False).path == "/api/v1/nodes/node-1"
    with pytest.raises(ClientError):
        request_of(replace(NODE, namespace="shop"), on, dry_run=False)
    with pytest.raises(ClientError):
        request_of(PATCH, on, dry_run=False)


@pytest.fixture
async def fake() -> AsyncIterator[FakeKubernetes]:
    async with FakeKubernetes() as api:
        yield api


def client(url: str, directory: Path, health: ApiHealth | None = None) -> Kubernetes:
    path = write_kubeconfig(Access(server=url, token=ADMIN_TOKEN), directory / "kubeconfig.json")
    return Kubernetes(replace(SHOP, kubeconfig=path), clock=Restless(), kill_switch=Switch(), health=health)


async def test_an_eviction_leaves_an_audit_line(fake: FakeKubernetes, tmp_path: Path) -> None:
    pod = fake.objects.create(("pods", "shop", "web-1"), {"metadata": {}, "spec": {}})
    own = client(fake.url, tmp_path)
    with structlog.testing.capture_logs() as lines:
        await own.write(replace(EVICTION, uid=pod["metadata"]["uid"]))
    await own.close()
    (line,) = lines
    assert (line["event"], line["name"], line["field_manager"]) == ("kubernetes_eviction", "web-1", "receiver:i-1-1")


async def test_what_one_identity_learns_of_the_api_the_others_know(fake: FakeKubernetes, tmp_path: Path) -> None:
    health = ApiHealth(clock=SystemClock())
    one, other = client(fake.url, tmp_path, health), client(fake.url, tmp_path, health)
    for _ in range(10):
        health.note(seconds=0.1, failed=True)
    assert one.health() == other.health() != ""
    with pytest.raises(ClientError) as refused:
        await other.write(PATCH, dry_run=True)
    await one.close()
    await other.close()
    assert (refused.value.kind, refused.value.sent) == (ErrorKind.unwell, False)
    assert not fake.requests


@pytest.mark.parametrize("status,against", [(500, True), (503, True), (429, True), (404, False), (403, False), (409, False), (422, False)])
async def test_only_the_servers_own_faults_count_against_it(tmp_path: Path, status: int, against: bool) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response({"kind": "Status", "message": "injected"}, status=status, headers={"Retry-After": "5"})

    async with server_of(answer) as server:
        own = client(str(server.make_url("")), tmp_path)
        for _ in range(10):
            with pytest.raises(ClientError):
                await own.get("Pod", "shop", "web-1")
        await own.close()
    assert bool(own.health()) is against


async def test_reads_that_somebody_lost_interest_in_do_not_count_against_it(tmp_path: Path) -> None:
    """One failing read of a look ends its siblings."""

    async def hang(_: web.Request) -> web.StreamResponse:
        await SystemClock().sleep(5)
        raise AssertionError

    async with server_of(hang) as server:
        own = client(str(server.make_url("")), tmp_path)
        await own.connect()
        for _ in range(10):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.02):
                    await own.get("Pod", "shop", "web-1")
        await own.close()
    assert own.health() == ""


async def test_a_clock_that_is_not_ours_is_seen_in_any_answer(tmp_path: Path) -> None:
    async def old(_: web.Request) -> web.StreamResponse:
        return web.json_response({"metadata": {"uid": "1"}}, headers={"Date": "Fri, 20 Nov 2020 12:00:00 GMT"})

    async with server_of(old) as server:
        own = client(str(server.make_url("")), tmp_path)
        await own.get("Pod", "shop", "web-1")
        await own.close()
    assert "clock" in own.health()
