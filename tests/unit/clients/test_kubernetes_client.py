"""The Kubernetes client: names before URLs, lists in pages, what is tried twice, what is told of a failure, and whose token is used."""

from __future__ import annotations

import logging
import subprocess
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from aiohttp import web
from aiohttp.test_utils import BaseTestServer, TestServer

import receiver
from receiver.clients.errors import ClientError, ErrorKind
from receiver.clients.kubernetes import Kubernetes, KubernetesConfig, LogWanted, Patch, PatchType
from receiver.clients.kubernetes_kinds import KINDS
from receiver.clock import SystemClock
from receiver.ports import Permission
from tests.fakes.kubernetes_api import ADMIN_TOKEN, FakeKubernetes
from tests.kits.action_ground import Switch
from tests.real.access import Access, write_kubeconfig
from tests.real.processes import free_port

PATCH = Patch("Deployment", "shop", "web", {"spec": {"paused": True}}, PatchType.merge, "receiver:i-1-1")


class Restless(SystemClock):
    """Rests between two tries take no time."""

    def __init__(self) -> None:
        self.rests: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.rests.append(seconds)


@asynccontextmanager
async def client_of(url: str, directory: Path, *, token: str = ADMIN_TOKEN, **limits: Any) -> AsyncIterator[Kubernetes]:
    path = write_kubeconfig(Access(server=url, token=token), directory / "kubeconfig.json")
    config = replace(KubernetesConfig(kubeconfig=path, namespaces=frozenset({"shop"})), **limits)
    client = Kubernetes(config, clock=Restless(), kill_switch=Switch())
    try:
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def server_of(answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[BaseTestServer]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app, host="127.0.0.1") as server:
        yield server


@pytest.fixture
async def fake() -> AsyncIterator[FakeKubernetes]:
    async with FakeKubernetes() as api:
        for number in range(7):
            api.objects.create(("pods", "shop", f"web-{number}"), {"metadata": {"labels": {"app": "web", "n": str(number)}}, "spec": {}})
        api.objects.create(("pods", "shop", "other"), {"metadata": {"labels": {"app": "other"}}, "spec": {}})
        yield api


# --- names


@pytest.mark.parametrize("name", ["", "UPPER", "../secrets", "a/b", "a?b=c", "-a", "a..b", "a" * 254, "a\n", "%2e%2e"])
async def test_a_name_that_is_none_never_becomes_a_url(fake: FakeKubernetes, tmp_path: Path, name: str) -> None:
    async with client_of(fake.url, tmp_path) as client:
        with pytest.raises(ClientError) as refused:
            await client.get("Deployment", "shop", name)
        with pytest.raises(ClientError):
            await client.write(replace(PATCH, name=name))
    assert refused.value.kind is ErrorKind.invalid
    assert not fake.requests


@pytest.mark.parametrize("namespace", ["", "UPPER", "../kube-system", "a.b", "a" * 64])
async def test_a_namespace_that_is_none_never_becomes_a_url(fake: FakeKubernetes, tmp_path: Path, namespace: str) -> None:
    async with client_of(fake.url, tmp_path) as client:
        with pytest.raises(ClientError, match="no RFC 1123 label"):
            await client.list("Pod", namespace)
    assert not fake.requests


async def test_an_unknown_kind_is_named_with_those_that_there_are(fake: FakeKubernetes, tmp_path: Path) -> None:
    async with client_of(fake.url, tmp_path) as client:
        with pytest.raises(ClientError, match=r"'Secret' is none of Deployment"):
            await client.get("Secret", "shop", "web")


# --- reading


async def test_a_list_follows_its_pages(fake: FakeKubernetes, tmp_path: Path) -> None:
    async with client_of(fake.url, tmp_path) as client:
        found = await client.list("Pod", "shop", label_selector="app=web", limit=3)
    assert [each["metadata"]["name"] for each in found] == [f"web-{number}" for number in range(7)]
    assert len(fake.requests) == 3


async def test_a_list_that_is_too_long_is_an_error_and_not_cut(fake: FakeKubernetes, tmp_path: Path) -> None:
    for number in range(4):
        fake.objects.create(("pods", "shop", f"more-{number}"), {"metadata": {}, "spec": {}})
    async with client_of(fake.url, tmp_path) as client:
        with pytest.raises(ClientError, match="more than 10 objects"):
            await client.list("Pod", "shop", limit=1)


async def test_a_field_selector_is_passed_on(fake: FakeKubernetes, tmp_path: Path) -> None:
    async with client_of(fake.url, tmp_path) as client:
        assert [each["metadata"]["name"] for each in await client.list("Pod", "shop", field_selector="metadata.name=other")] == ["other"]


async def test_an_optional_kind_that_is_not_installed_has_no_items(fake: FakeKubernetes, tmp_path: Path) -> None:
    async with client_of(fake.url, tmp_path) as client:
        assert await client.list("Rollout", "shop") == []


@pytest.mark.parametrize("kind", ["Pod", *(each.name for each in KINDS.values() if each.optional)])
async def test_what_we_may_not_list_is_an_error_and_never_none(fake: FakeKubernetes, tmp_path: Path, kind: str) -> None:
    fake.grant("few", [Permission("kubernetes", "apps", "deployments", ("get",))])
    async with client_of(fake.url, tmp_path, token="few") as client:
        with pytest.raises(ClientError) as refused:
            await client.list(kind, "shop")
    assert refused.value.kind is ErrorKind.forbidden
    assert KINDS[kind].plural in refused.value.text


async def test_a_namespace_is_read_without_one(fake: FakeKubernetes, tmp_path: Path) -> None:
    fake.objects.create(("namespaces", "", "shop"), {"metadata": {}})
    async with client_of(fake.url, tmp_path) as client:
        assert (await client.get("Namespace", "", "shop"))["metadata"]["name"] == "shop"


def failing(*statuses: int, **headers: str) -> tuple[list[str], Callable[[web.Request], Awaitable[web.StreamResponse]]]:
    """Answers each status once, and then well; writes the methods down."""
    seen: list[str] = []
    left = list(statuses)

    async def answer(request: web.Request) -> web.StreamResponse:
        seen.append(request.method)
        if left:
            return web.json_response({"kind": "Status", "message": "injected"}, status=left.pop(0), headers=headers)
        return web.json_response({"metadata": {"uid": "1"}, "spec": {}})

    return seen, answer


@pytest.mark.parametrize("status", [500, 502, 503, 429])
async def test_a_read_is_tried_twice(tmp_path: Path, status: int) -> None:
    seen, answer = failing(status)
    async with server_of(answer) as server, client_of(str(server.make_url("")), tmp_path) as client:
        assert await client.get("Deployment", "shop", "web")
    assert seen == ["GET", "GET"]


@pytest.mark.parametrize("statuses", [(500, 500, 500), (404,), (403,), (401,), (409,)])
async def test_and_no_more_than_twice_nor_when_it_is_of_no_use(tmp_path: Path, statuses: tuple[int, ...]) -> None:
    seen, answer = failing(*statuses)
    async with server_of(answer) as server, client_of(str(server.make_url("")), tmp_path) as client:
        with pytest.raises(ClientError):
            await client.get("Deployment", "shop", "web")
    assert len(seen) == min(2, len(statuses))


async def test_a_long_retry_after_is_told_and_not_waited_for(tmp_path: Path) -> None:
    seen, answer = failing(429, **{"Retry-After": "30"})
    async with server_of(answer) as server, client_of(str(server.make_url("")), tmp_path) as client:
        with pytest.raises(ClientError) as refused:
            await client.get("Deployment", "shop", "web")
    assert refused.value.retry_after == timedelta(seconds=30)
    assert seen == ["GET"]


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_mutation_is_never_tried_twice(tmp_path: Path, status: int) -> None:
    seen, answer = failing(status)
    async with server_of(answer) as server, client_of(str(server.make_url("")), tmp_path) as client:
        with pytest.raises(ClientError):
            await client.write(PATCH)
    assert seen == ["PATCH"]


async def test_a_read_ends_at_its_time_limit(tmp_path: Path) -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:  # never silent for long: only a limit over the whole answer ends it
            await response.write(b" ")
            await SystemClock().sleep(0.02)

    async with server_of(drip) as server, client_of(str(server.make_url("")), tmp_path, timeout=timedelta(seconds=0.2)) as client:
        with pytest.raises(ClientError) as late:
            await client.get("Deployment", "shop", "web")
    assert late.value.kind is ErrorKind.timeout


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'"x"', b"{", b"null", b"{}"])
async def test_an_answer_that_is_no_object_is_an_error_and_may_have_been_applied(tmp_path: Path, body: bytes) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=body)

    async with server_of(answer) as server, client_of(str(server.make_url("")), tmp_path) as client:
        with pytest.raises(ClientError) as refused:
            await client.write(PATCH)
    assert (refused.value.kind, refused.value.sent) == (ErrorKind.bad_answer, True)


# --- what is told


async def test_nobody_listening_is_surely_not_sent(tmp_path: Path) -> None:
    async with client_of(f"http://127.0.0.1:{free_port()}", tmp_path) as client:
        with pytest.raises(ClientError) as refused:
            await client.write(PATCH)
    assert (refused.value.kind, refused.value.sent) == (ErrorKind.unreachable, False)


async def test_credentials_and_refused_values_are_cut_out_of_texts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def echo(request: web.Request) -> web.StreamResponse:
        text = f'{request.headers["Authorization"]}: spec.env[0].value: Invalid value: "hunt\\"er2": must not; {"x" * 600}'
        return web.json_response({"kind": "Status", "message": text, "reason": "Invalid"}, status=422)

    caplog.set_level(logging.DEBUG)
    async with server_of(echo) as server, client_of(str(server.make_url("")), tmp_path, token="very-secret-token") as client:
        with structlog.testing.capture_logs() as lines, pytest.raises(ClientError) as refused:
            await client.write(PATCH)
    told = f"{refused.value} {refused.value!r} {lines} {caplog.text} {client!r}"
    assert "very-secret-token" not in told
    assert "hunt" not in told
    assert "must not" in refused.value.text
    assert len(refused.value.text) <= 256


async def test_a_text_is_one_printable_line(tmp_path: Path) -> None:
    async def hostile(request: web.Request) -> web.StreamResponse:
        return web.json_response({"message": "a\nb\x1b[31mc\u202ed"}, status=403)

    async with server_of(hostile) as server, client_of(str(server.make_url("")), tmp_path) as client:
        with pytest.raises(ClientError) as refused:
            await client.get("Pod", "shop", "web")
    assert refused.value.text.isprintable()


async def test_a_field_manager_that_is_too_long_is_refused_before_it_is_sent(fake: FakeKubernetes, tmp_path: Path) -> None:
    async with client_of(fake.url, tmp_path) as client:
        with pytest.raises(ClientError, match="1 to 128 bytes"):
            await client.write(replace(PATCH, field_manager="receiver:" + "é" * 60))
    assert not fake.requests


async def test_the_servers_logs_know_who_we_are(tmp_path: Path) -> None:
    agents: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        agents.append(request.headers["User-Agent"])
        return web.json_response({"spec": {}})

    async with server_of(answer) as server, client_of(str(server.make_url("")), tmp_path) as client:
        await client.get("Pod", "shop", "web")
    assert agents == [f"alert-receiver/{receiver.__version__}"]


async def test_a_closed_client_says_so(fake: FakeKubernetes, tmp_path: Path) -> None:
    async with client_of(fake.url, tmp_path) as client:
        await client.get("Pod", "shop", "other")
        await client.close()
        with pytest.raises(ClientError, match="closed"):
            await client.get("Pod", "shop", "other")


# --- who we are


@pytest.fixture
def heard() -> list[str]:
    return []


@pytest.fixture
async def listener(heard: list[str]) -> AsyncIterator[BaseTestServer]:
    """Writes down who asks."""

    async def answer(request: web.Request) -> web.StreamResponse:
        heard.append(request.headers.get("Authorization", ""))
        return web.json_response({"spec": {}})

    async with server_of(answer) as server:
        yield server


async def test_a_token_file_replaces_the_kubeconfigs_token_and_is_read_again(
    listener: BaseTestServer, heard: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")  # a newline in a header is refused by the HTTP library
    async with client_of(str(listener.make_url("")), tmp_path, token_file=file) as client:
        await client.get("Pod", "shop", "web")
        _replace(file, "second\n")
        await client.get("Pod", "shop", "web")
    assert heard == ["Bearer first", "Bearer second"]


def _replace(file: Path, text: str) -> None:
    """As the kubelet does: another file under the same name."""
    other = file.with_suffix(".new")
    other.write_text(text)
    other.replace(file)


@pytest.mark.parametrize("content", [None, "", "  \n", "two\nlines", "caf\u00e9"])
async def test_a_token_file_that_holds_none_means_nothing_is_sent(
    listener: BaseTestServer, heard: list[str], tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_text(content)
    async with client_of(str(listener.make_url("")), tmp_path, token_file=file) as client:
        with pytest.raises(ClientError) as refused:
            await client.write(PATCH)
    assert (refused.value.kind, refused.value.sent) == (ErrorKind.unauthorized, False)
    assert not heard
    assert "caf" not in refused.value.text


async def test_a_token_file_that_goes_away_later_means_nothing_is_sent(listener: BaseTestServer, heard: list[str], tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first")
    async with client_of(str(listener.make_url("")), tmp_path, token_file=file) as client:
        await client.get("Pod", "shop", "web")
        file.unlink()
        with pytest.raises(ClientError) as refused:
            await client.write(PATCH)
    assert (refused.value.kind, refused.value.sent) == (ErrorKind.unauthorized, False)
    assert len(heard) == 1


async def test_a_token_file_replaces_a_client_certificate_too(tmp_path: Path) -> None:
    """The API server takes the certificate's name before the token's: kept, we would act as its owner."""
    file, certificate = tmp_path / "token", tmp_path / "client.pem"
    file.write_text("undo-token")
    certificate.write_text("never loaded")
    access = Access(server="https://127.0.0.1:1", certificate=certificate, key=certificate)
    path = write_kubeconfig(access, tmp_path / "kubeconfig.json")
    client = Kubernetes(KubernetesConfig(kubeconfig=path, token_file=file), clock=SystemClock(), kill_switch=Switch())
    await client.connect()
    await client.close()


async def test_a_kubeconfig_that_cannot_be_used_does_not_give_its_token_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library's error quotes the whole entry. A short path, so that a cut text would still hold it."""
    monkeypatch.chdir(tmp_path)
    Path("k").write_text(
        '{"clusters": [{"name": "it", "cluster": {"server": "http://127.0.0.1:1"}}], "current-context": "it",'
        ' "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],'
        ' "users": [{"name": "it", "token": "very-secret-token"}]}'
    )
    client = Kubernetes(KubernetesConfig(kubeconfig=Path("k")), clock=SystemClock(), kill_switch=Switch())
    with pytest.raises(ClientError) as refused:
        await client.connect()
    assert refused.value.kind is ErrorKind.unreachable
    assert "very-secret-token" not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize("text", [None, "", "[]", "{", "clusters: 7", "current-context: nowhere"])
async def test_whatever_a_kubeconfig_holds_it_is_a_client_error(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "kubeconfig"
    if text is not None:
        path.write_text(text)
    client = Kubernetes(KubernetesConfig(kubeconfig=path), clock=SystemClock(), kill_switch=Switch())
    with pytest.raises(ClientError) as refused:
        await client.get("Pod", "shop", "web")
    assert refused.value.kind is ErrorKind.unreachable


async def test_outside_a_cluster_the_pods_identity_is_a_client_error() -> None:
    client = Kubernetes(KubernetesConfig(), clock=SystemClock(), kill_switch=Switch())
    with pytest.raises(ClientError, match="service account"):
        await client.get("Pod", "shop", "web")


def test_the_library_is_loaded_only_when_a_client_connects() -> None:
    code = "import receiver.remediate, sys; sys.exit('kubernetes_asyncio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=20).returncode == 0


# --- what is answered by others than the API server -----------------------------------------------------------------------


def pod_of(api: FakeKubernetes) -> None:
    api.objects.create(("pods", "shop", "web-1"), {"metadata": {"name": "web-1", "namespace": "shop"}, "spec": {}, "status": {}})


async def test_the_end_of_a_log_is_asked_for_within_bounds(tmp_path: Path) -> None:
    async with FakeKubernetes() as api, client_of(api.url, tmp_path) as client:
        pod_of(api)
        api.logs["web-1"] = "one\ntwo\nthree\n"
        assert await client.log("shop", "web-1", LogWanted("app", lines=2, bytes=5, seconds=300)) == "two\nt"
        assert api.requests[-1].endswith("/pods/web-1/log?container=app&tailLines=2&limitBytes=5&sinceSeconds=300")
        assert await client.log("shop", "web-1", LogWanted("app", lines=2, bytes=500, previous=True)) == "two\nthree\n"
        assert api.requests[-1].endswith("&previous=true")


async def test_a_name_that_is_none_never_gets_into_the_address_of_a_log(tmp_path: Path) -> None:
    async with FakeKubernetes() as api, client_of(api.url, tmp_path) as client:
        for pod, container in (("../../x", "app"), ("web-1", "a&b=c")):
            with pytest.raises(ClientError) as refused:
                await client.log("shop", pod, LogWanted(container, lines=2, bytes=5))
            assert refused.value.kind is ErrorKind.invalid
        assert api.requests == []


async def test_a_kubelet_that_does_not_answer_says_nothing_of_the_api_server(tmp_path: Path) -> None:
    async with FakeKubernetes() as api, client_of(api.url, tmp_path) as client:
        pod_of(api)
        for _ in range(12):
            with pytest.raises(ClientError):
                await client.log("shop", "web-1", LogWanted("app", lines=2, bytes=5))
            with pytest.raises(ClientError):
                await client.list("PodMetrics", "shop")
        assert client.health() == ""


async def test_the_metrics_api_is_asked_where_it_is_served(tmp_path: Path) -> None:
    async with FakeKubernetes() as api, client_of(api.url, tmp_path) as client:
        api.metrics = [{"metadata": {"name": "web-1"}, "containers": []}]
        assert [each["metadata"]["name"] for each in await client.list("PodMetrics", "shop")] == ["web-1"]
