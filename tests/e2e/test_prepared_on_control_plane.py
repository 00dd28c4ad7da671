"""Prepared commands typed into a shell with the real kubectl, against a real API server: the change is made, and the way back is exact."""

from __future__ import annotations

import asyncio
import copy
import shutil
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from receiver.core.prepared import Prepared, prepare
from tests.e2e.conftest import Deploy
from tests.fakes.prepared import REF, subject, typed
from tests.real import workloads
from tests.real.kube_api import KubeApi, Object
from tests.real.kubernetes import ControlPlane
from tests.real.processes import eventually

KUBECTL = shutil.which("kubectl")
pytestmark = [pytest.mark.e2e, pytest.mark.skipif(KUBECTL is None, reason="kubectl is not on this machine")]


class Hand:
    """A person at a terminal."""

    def __init__(self, plane: ControlPlane, namespace: str, directory: Path) -> None:
        self._namespace = namespace
        self._directory = directory
        self._programs = {"kubectl": f"exec '{KUBECTL}' --kubeconfig '{plane.kubeconfig()}' \"$@\""}

    def prepared(self, name: str, *, kind: str = "Deployment", **values: str) -> Prepared:
        return prepare(name, subject(ref=replace(REF, namespace=self._namespace, kind=kind), given=values))

    async def types(self, line: str) -> CompletedProcess[str]:
        return await asyncio.to_thread(typed, line, self._directory, self._programs)


@pytest.fixture
def hand(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> Hand:
    return Hand(control_plane, namespace, tmp_path)


async def container(admin: KubeApi, namespace: str, kind: str) -> Object:
    found = await admin.get(workloads.path(namespace, "web", kind=kind))
    (only,) = found["spec"]["template"]["spec"]["containers"]
    return dict(only)


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
@pytest.mark.parametrize("before", [None, "off"])
async def test_a_variable_is_set_and_taken_back(
    hand: Hand, deploy: Deploy, admin: KubeApi, namespace: str, kind: str, before: str | None
) -> None:
    await deploy(kind=kind)
    if before is not None:
        await hand.types(f"kubectl -n {namespace} set env {kind.lower()}/web OTHER=1 FLAG={before}")
    stood = await container(admin, namespace, kind)
    prepared = hand.prepared("set_env", kind=kind, value="a b'c")
    assert (await hand.types(prepared.commands[0])).returncode == 0
    assert {"name": "FLAG", "value": "a b'c"} in (await container(admin, namespace, kind))["env"]
    assert (await hand.types(prepared.reverse[0])).returncode == 0
    assert (await container(admin, namespace, kind)).get("env", []) == stood.get("env", [])


@pytest.mark.parametrize("before", [{}, {"limits": {"memory": "1Gi"}, "requests": {"cpu": "100m"}}])
async def test_limits_are_raised_and_taken_back(hand: Hand, deploy: Deploy, admin: KubeApi, namespace: str, before: Object) -> None:
    await deploy()
    at, name = workloads.path(namespace, "web"), (await container(admin, namespace, "Deployment"))["name"]
    patch = {"spec": {"template": {"spec": {"containers": [{"name": name, "resources": before}]}}}}
    await admin.patch(at, patch, content_type="application/strategic-merge-patch+json")
    stood = (await container(admin, namespace, "Deployment"))["resources"]
    prepared = hand.prepared("raise_limits", memory_limit="8Gi", cpu_limit="4000m", memory_request="2Gi")
    assert (await hand.types(prepared.commands[0])).returncode == 0
    raised = (await container(admin, namespace, "Deployment"))["resources"]
    assert raised["limits"] == {"memory": "8Gi", "cpu": "4"}
    assert raised["requests"]["memory"] == "2Gi"
    assert (await hand.types(prepared.reverse[0])).returncode == 0
    back = (await container(admin, namespace, "Deployment"))["resources"]
    assert {name: each for name, each in back.items() if each} == stood


@pytest.mark.parametrize("name", ["set_env", "raise_limits"])
async def test_init_containers_stay_as_they_are(hand: Hand, deploy: Deploy, admin: KubeApi, namespace: str, name: str) -> None:
    await deploy()
    at = workloads.path(namespace, "web")
    init = {"spec": {"template": {"spec": {"initContainers": [{"name": "migrate", "image": "example.com/migrate:1"}]}}}}
    stood = (await admin.patch(at, init, content_type="application/strategic-merge-patch+json"))["spec"]["template"]["spec"]
    prepared = hand.prepared(name)
    assert (await hand.types(prepared.commands[0])).returncode == 0
    changed = (await admin.get(at))["spec"]["template"]["spec"]
    assert changed["initContainers"] == stood["initContainers"]
    assert changed["containers"] != stood["containers"]


async def test_what_the_server_would_not_take_back_is_not_changed(
    hand: Hand, deploy: Deploy, admin: KubeApi, namespace: str, tmp_path: Path
) -> None:
    """Kept as a number, which no variable is: the way back is refused where it is tried."""
    await deploy()
    stood = await container(admin, namespace, "Deployment")
    broken = hand.prepared("set_env").commands[0].replace('\\"$patch\\":\\"delete\\"', '\\"value\\":7')
    done = await hand.types(broken)
    assert done.returncode != 0
    assert '"value":7' in (tmp_path / "incident-7-set_env.json").read_text()
    assert await container(admin, namespace, "Deployment") == stood


@pytest.mark.parametrize("before", [{"READ_ONLY_MODE": "false", "OTHER": "x"}, {"OTHER": "x"}])
async def test_read_only_mode_is_set_and_taken_back_and_spares_what_others_changed(
    hand: Hand, admin: KubeApi, namespace: str, before: Object
) -> None:
    at = f"/api/v1/namespaces/{namespace}/configmaps"
    await admin.post(at, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web-config"}, "data": before})
    prepared = hand.prepared("read_only")
    assert (await hand.types(prepared.commands[0])).returncode == 0
    assert (await admin.get(f"{at}/web-config"))["data"] == {**before, "READ_ONLY_MODE": "true"}
    await admin.patch(f"{at}/web-config", {"data": {"LATER": "y"}})
    assert (await hand.types(prepared.reverse[0])).returncode == 0
    assert (await admin.get(f"{at}/web-config"))["data"] == {**before, "LATER": "y"}


def backend(path: str, service: str) -> Object:
    return {"path": path, "pathType": "Prefix", "backend": {"service": {"name": service, "port": {"name": "http"}}}}


async def ingress(admin: KubeApi, namespace: str) -> tuple[str, Object]:
    rules = [
        {"host": "other.example.com", "http": {"paths": [backend("/", "other")]}},
        {"host": "api.example.com", "http": {"paths": [backend("/v2", "v2"), backend("/", "web")]}},
    ]
    meta = {"name": "web", "annotations": {"nginx.ingress.kubernetes.io/default-backend": "own"}}
    at = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses"
    made = await admin.post(at, {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": meta, "spec": {"rules": rules}})
    return f"{at}/web", made


async def test_one_backend_is_repointed_and_every_other_rule_stays(hand: Hand, admin: KubeApi, namespace: str) -> None:
    at, stood = await ingress(admin, namespace)
    prepared = hand.prepared("repoint")
    assert (await hand.types(prepared.commands[0])).returncode == 0
    wanted = copy.deepcopy(stood["spec"])
    wanted["rules"][1]["http"]["paths"][1]["backend"]["service"] = {"name": "web-backup", "port": {"number": 8000}}
    assert (await admin.get(at))["spec"] == wanted
    assert (await hand.types(prepared.reverse[0])).returncode == 0
    assert (await admin.get(at))["spec"] == stood["spec"]


async def test_the_way_back_leaves_alone_what_somebody_pointed_elsewhere(hand: Hand, admin: KubeApi, namespace: str) -> None:
    at, _ = await ingress(admin, namespace)
    prepared = hand.prepared("repoint")
    await hand.types(prepared.commands[0])
    hotfix = [{"op": "replace", "path": "/spec/rules/1/http/paths/1/backend/service/name", "value": "hotfix"}]
    await admin.patch(at, hotfix, content_type="application/json-patch+json")
    assert (await hand.types(prepared.reverse[0])).returncode != 0
    assert (await admin.get(at))["spec"]["rules"][1]["http"]["paths"][1]["backend"]["service"]["name"] == "hotfix"


async def test_one_of_several_backends_is_not_guessed(hand: Hand, admin: KubeApi, namespace: str) -> None:
    """Exact and Prefix of one path are two backends."""
    paths = [{**backend("/", "exact"), "pathType": "Exact"}, backend("/", "web")]
    at = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses"
    spec = {"rules": [{"host": "api.example.com", "http": {"paths": paths}}]}
    made = await admin.post(at, {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "web"}, "spec": spec})
    done = await hand.types(hand.prepared("repoint").commands[0])
    assert done.returncode != 0
    assert "several backends" in done.stderr
    assert (await admin.get(f"{at}/web"))["spec"] == made["spec"]


@pytest.mark.parametrize("before", [True, False])
async def test_a_node_that_was_cordoned_before_the_drain_stays_cordoned(hand: Hand, admin: KubeApi, before: bool) -> None:
    name = f"drained-{str(before).lower()}"
    await admin.post("/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": {"unschedulable": before}})
    prepared = hand.prepared("drain_node", node=name)
    for each in prepared.commands:
        assert (await hand.types(each)).returncode == 0
    assert (await admin.get(f"/api/v1/nodes/{name}"))["spec"]["unschedulable"]
    assert (await hand.types(prepared.reverse[0])).returncode == 0
    assert (await admin.get(f"/api/v1/nodes/{name}"))["spec"].get("unschedulable", False) is before


async def test_the_maintenance_page_comes_and_goes_without_a_trace(hand: Hand, admin: KubeApi, namespace: str) -> None:
    at, stood = await ingress(admin, namespace)
    prepared = hand.prepared("maintenance_page")
    assert (await hand.types(prepared.commands[0])).returncode == 0
    annotations = (await admin.get(at))["metadata"]["annotations"]
    assert annotations["nginx.ingress.kubernetes.io/default-backend"] == "maintenance-page"
    assert annotations["nginx.ingress.kubernetes.io/custom-http-errors"] == "503"
    assert (await hand.types(prepared.reverse[0])).returncode == 0
    assert (await admin.get(at))["metadata"]["annotations"] == stood["metadata"]["annotations"]


async def test_copies_hold_the_configmaps_and_no_secret(hand: Hand, admin: KubeApi, namespace: str, tmp_path: Path) -> None:
    base = f"/api/v1/namespaces/{namespace}"
    await admin.post(f"{base}/configmaps", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "plain"}})
    await admin.post(f"{base}/secrets", {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"k": "hidden"}})
    assert (await hand.types(hand.prepared("backup_configmaps").commands[0])).returncode == 0
    copied = (tmp_path / "incident-7-backup_configmaps.yaml").read_text()
    assert "k: plain" in copied
    assert "kind: Secret" not in copied


async def test_the_newest_events_are_shown(hand: Hand, deploy: Deploy, admin: KubeApi, namespace: str) -> None:
    await deploy()
    await eventually(lambda: admin.items(f"/api/v1/namespaces/{namespace}/events"), what="an event of a controller")
    done = await hand.types(hand.prepared("recent_events").commands[0])
    assert done.returncode == 0
    assert "web" in done.stdout
