"""Fixtures of the end-to-end tests: every receiver runs with the rights of the shipped manifests, and no others."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.looker import Watcher, watcher_of
from tests.e2e.rights import Rights, apply
from tests.e2e.scene import Scene
from tests.fakes.aws_policy import granted
from tests.real import tools, workloads
from tests.real.apiproxy import ApiProxy
from tests.real.background import Background
from tests.real.fixtures import Started
from tests.real.kube_api import KubeApi, Object
from tests.real.kubernetes import ControlPlane
from tests.real.moto import ENVIRONMENT, Moto


@pytest_asyncio.fixture
async def rights(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> Rights:
    """Those of the example, for the test's own namespace."""
    tools.need("kustomize")
    return await apply(control_plane, namespace, tmp_path)


@pytest_asyncio.fixture
async def scene(control_plane: ControlPlane, namespace: str, rights: Rights, started: Started, tmp_path: Path) -> AsyncIterator[Scene]:
    """Not started yet: the test says with which rules."""
    kubeconfig = control_plane.kubeconfig(rights.base)
    made = Scene(control_plane, namespace, started, tmp_path, kubeconfig=kubeconfig, undo_token=rights.undo)
    try:
        yield made
    finally:
        await made.stop()


@pytest_asyncio.fixture
async def watched(
    control_plane: ControlPlane, namespace: str, rights: Rights, started: Started, api_proxy: ApiProxy, tmp_path: Path
) -> AsyncIterator[tuple[Scene, ApiProxy]]:
    """A scene whose receiver reaches Kubernetes through a proxy that writes down every request."""
    kubeconfig = control_plane.kubeconfig(rights.base, server=api_proxy.url)
    made = Scene(control_plane, namespace, started, tmp_path, kubeconfig=kubeconfig, undo_token=rights.undo)
    try:
        yield made, api_proxy
    finally:
        await made.stop()


@pytest.fixture(scope="module")
def moto_of_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moto]:
    made = Moto(tmp_path_factory.mktemp("moto"), recording=True)
    background = Background("moto")
    try:
        background.run(made.start(), within=60)
        yield made
        beyond = made.used() - granted()
        assert not beyond, f"called, and not granted by deploy/aws/policy.json: {beyond}"
    finally:
        background.run(made.stop())
        background.close()


@pytest_asyncio.fixture
async def moto(moto_of_module: Moto, monkeypatch: pytest.MonkeyPatch) -> Moto:
    """moto's server, empty, and credentials for it."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    await moto_of_module.reset()
    return moto_of_module


Deploy = Callable[..., Awaitable[Object]]
"""`await deploy(image, replicas=3, kind="Deployment", labels={}, annotations={}, **spec)`."""


@pytest.fixture
def admin(control_plane: ControlPlane) -> KubeApi:
    return control_plane.admin


@pytest_asyncio.fixture
async def watcher(control_plane: ControlPlane, namespace: str) -> AsyncIterator[Watcher]:
    """Looks, with the rights that the observers declare."""
    found = await watcher_of(control_plane, namespace)
    yield found
    await found.client.close()


@pytest.fixture
def deploy(admin: KubeApi, namespace: str) -> Deploy:
    """`web`, opted in, complete."""

    async def made(
        image: str = "app:good",
        *,
        replicas: int = 3,
        kind: str = "Deployment",
        labels: dict[str, str] | None = None,
        annotations: dict[str, str] | None = None,
        **spec: object,
    ) -> Object:
        manifest = workloads.workload(kind, "web", image, replicas=replicas, **spec)
        manifest["metadata"]["annotations"] = {"alert-receiver.internal/enabled": "true"} | (annotations or {})
        manifest["metadata"]["labels"] |= labels or {}
        return await workloads.deploy(admin, namespace, manifest)

    return made
