"""The pytest fixtures of the real servers. The top conftest names this module in `pytest_plugins`.

What lives for the session runs in a thread of its own (`Background`) or as processes bound to no loop; what lives for one
test belongs to that test's loop. A missing server skips, or fails where RECEIVER_TEST_REQUIRE=all.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Protocol, TypeVar

import pytest
import pytest_asyncio

from tests.real import tools
from tests.real.access import Access
from tests.real.alertmanager import VERSIONS, Alertmanager, AlertmanagerSettings
from tests.real.apiproxy import ApiProxy
from tests.real.background import Background
from tests.real.kubernetes import PROGRAMS, ControlPlane
from tests.real.prometheus import Prometheus, PrometheusSettings
from tests.real.proxy import TcpProxy
from tests.real.webhook import Webhook

KUBECONFIG_VARIABLE = "RECEIVER_TEST_KUBECONFIG"


class Server(Protocol):
    async def start(self) -> None: ...
    async def stop(self) -> None: ...


S = TypeVar("S", bound=Server)


class Started:
    """Servers of one test: started when asked for, stopped in reverse order at its end."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._servers: list[Server] = []

    async def alertmanager(self, settings: AlertmanagerSettings) -> Alertmanager:
        tools.need(f"alertmanager-{settings.version}")
        return await self._start(Alertmanager(settings, self._new_directory("alertmanager")))

    async def prometheus(self, settings: PrometheusSettings) -> Prometheus:
        tools.need("prometheus")
        return await self._start(Prometheus(settings, self._new_directory("prometheus")))

    async def webhook(self) -> Webhook:
        return await self._start(Webhook())

    async def tcp_proxy(self, target_port: int) -> TcpProxy:
        return await self._start(TcpProxy(target_port))

    async def api_proxy(self, access: Access) -> ApiProxy:
        return await self._start(ApiProxy(access))

    async def stop(self) -> None:
        while self._servers:
            await self._servers.pop().stop()

    async def _start(self, server: S) -> S:
        self._servers.append(server)
        await server.start()
        return server

    def _new_directory(self, name: str) -> Path:
        return self._directory / f"{name}-{len(self._servers)}"


@pytest.fixture(scope="session")
def control_plane(kubeconfig: str | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """One control plane for the session (of each xdist worker): never leave it paused, and touch only your own namespace.

    `--kubeconfig FILE` or RECEIVER_TEST_KUBECONFIG: that cluster instead.
    """
    chosen = kubeconfig or os.environ.get(KUBECONFIG_VARIABLE)
    if not chosen:
        tools.need(*PROGRAMS)
    plane = ControlPlane(tmp_path_factory.mktemp("control-plane"), kubeconfig=Path(chosen) if chosen else None)
    background = Background("control-plane")
    try:
        background.run(plane.start(), within=300)
        yield plane
    finally:
        try:
            background.run(plane.stop())
        finally:
            background.close()


@pytest_asyncio.fixture
async def namespace(control_plane: ControlPlane) -> AsyncIterator[str]:
    """A fresh namespace in the control plane."""
    async with control_plane.namespace() as name:
        yield name


@pytest_asyncio.fixture
async def started(tmp_path: Path) -> AsyncIterator[Started]:
    """Starts Prometheus, Alertmanager, webhooks and proxies for one test."""
    servers = Started(tmp_path)
    try:
        yield servers
    finally:
        await servers.stop()


@pytest.fixture
def alertmanager_factory(started: Started) -> Callable[[AlertmanagerSettings], Awaitable[Alertmanager]]:
    """`await alertmanager_factory(AlertmanagerSettings(webhook_url=…))`; as many as a test wants."""
    return started.alertmanager


@pytest.fixture
def prometheus_factory(started: Started) -> Callable[[PrometheusSettings], Awaitable[Prometheus]]:
    """`await prometheus_factory(PrometheusSettings(alertmanagers=(am.url,), …))`."""
    return started.prometheus


@pytest_asyncio.fixture
async def api_proxy(control_plane: ControlPlane, started: Started) -> ApiProxy:
    """An `ApiProxy` before the API server."""
    return await started.api_proxy(control_plane.admin.access)


@pytest.fixture(params=VERSIONS)
def alertmanager_version(request: pytest.FixtureRequest) -> str:
    """The asking test runs once with each version; pass it to `AlertmanagerSettings`."""
    tools.need(f"alertmanager-{request.param}")
    return str(request.param)
