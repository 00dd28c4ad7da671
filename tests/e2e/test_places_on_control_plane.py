"""Rows of the hazards table (`remediation.md` 3) that are about where a target stands, on a real control plane: system namespaces, Jobs,
nodes of the control plane, a cluster in the middle of an upgrade."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from receiver.clients.errors import ClientError, ErrorKind
from receiver.clients.kubernetes import Kubernetes, KubernetesConfig, Patch, PatchType
from receiver.clock import SystemClock
from receiver.core.facts import SYSTEM_NAMESPACES, Facts, Hazard, Hint, Look, Trouble, Workload
from receiver.core.model import TargetRef
from tests.e2e.conftest import Deploy
from tests.e2e.looker import LOOK, Watcher, watcher_of
from tests.kits.action_ground import Switch
from tests.real import workloads
from tests.real.apiproxy import ApiProxy
from tests.real.kube_api import ApiError, KubeApi, Object
from tests.real.kubernetes import ControlPlane
from tests.real.pod_status import stamp
from tests.real.processes import eventually

pytestmark = pytest.mark.e2e

GOOD = "app:good"


# --- system namespaces ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("namespace_asked", ["kube-system", "kube-public", "kube-node-lease", "our own"])
@pytest.mark.parametrize("by", ["label", "pod", "catalogue"])
async def test_a_workload_of_a_system_namespace_is_not_even_read(
    control_plane: ControlPlane, namespace: str, api_proxy: ApiProxy, namespace_asked: str, by: str
) -> None:
    """Though the configuration lists it."""
    watcher = await watcher_of(control_plane, namespace, server=api_proxy.url)
    asked = namespace if namespace_asked == "our own" else namespace_asked
    watcher.scope = replace(watcher.scope, namespaces=frozenset({asked}), own_namespace=namespace)
    api_proxy.requests.clear()
    hint = Hint(namespace=asked, pod="web-1") if by == "pod" else Hint(namespace=asked, name="web")
    ref = TargetRef("kubernetes", "default", asked, "Deployment", "web") if by == "catalogue" else None
    facts = await watcher.runner().look(Look(LOOK, timedelta(seconds=10), hints=(hint,), ref=ref))
    await watcher.client.close()
    assert (facts.trouble, facts.target) == (Trouble.namespace_not_allowed, None)
    assert f"{asked} is never acted in" in facts.trouble_detail
    assert api_proxy.requests == []


async def test_nothing_is_written_to_a_system_namespace_whoever_asks(control_plane: ControlPlane, namespace: str) -> None:
    """The last door before the API server: the rights of an administrator, and a list that names it."""
    await control_plane.admin.apply(workloads.deployment(namespace, GOOD, replicas=1), namespace="kube-system")
    path = workloads.path("kube-system", namespace)
    config = KubernetesConfig(kubeconfig=control_plane.kubeconfig(), namespaces=SYSTEM_NAMESPACES)
    client = Kubernetes(config, clock=SystemClock(), kill_switch=Switch())
    patch = Patch("Deployment", "kube-system", namespace, {"spec": {"replicas": 2}}, PatchType.merge, "receiver:test")
    try:
        for dry in (True, False):
            with pytest.raises(ClientError) as refused:
                await client.write(patch, dry_run=dry)
            assert (refused.value.kind, refused.value.sent) == (ErrorKind.held, False)
        assert (await control_plane.admin.get(path))["spec"]["replicas"] == 1
    finally:
        await client.close()
        await control_plane.admin.delete(path)


# --- Jobs ----------------------------------------------------------------------------------------------------------------


def _batch() -> tuple[Object, Object]:
    container = {"name": "app", "image": GOOD}
    job: Object = {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}}
    once: Object = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once"}, "spec": job}
    nightly: Object = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "nightly"},
        "spec": {"schedule": "0 3 * * *", "jobTemplate": {"spec": job}},
    }
    return once, nightly


@pytest.mark.parametrize("kind, name", [("Job", "once"), ("CronJob", "nightly"), ("", "")])
async def test_a_job_is_never_a_target(watcher: Watcher, admin: KubeApi, namespace: str, kind: str, name: str) -> None:
    """Named by its own labels, or found through its pod."""
    await admin.apply(_batch(), namespace=namespace)
    hint = watcher.hint(kind=kind, name=name) if kind else watcher.hint(pod=await _pod_of_job(admin, namespace))
    facts = await watcher.look(hint)
    assert (facts.trouble, facts.target) == (Trouble.unsupported_kind, None)
    assert (kind or "Job once") in facts.trouble_detail


async def _pod_of_job(admin: KubeApi, namespace: str) -> str:
    async def made() -> list[Object]:
        return await admin.items(f"/api/v1/namespaces/{namespace}/pods", labelSelector="job-name=once")

    return str((await eventually(made, what="the pod of the Job"))[0]["metadata"]["name"])


# --- nodes ---------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _another_node(admin: KubeApi, name: str, *, kubelet: str = "v1.34.4", labels: Object | None = None) -> AsyncIterator[None]:
    """Ready, of that version, with no room for a pod and no kubelet."""
    await admin.post("/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels or {}}})
    try:
        now = stamp(datetime.now(UTC))
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "", "lastHeartbeatTime": now}
        status = {
            "conditions": [ready | {"lastTransitionTime": now}],
            "nodeInfo": {"kubeletVersion": kubelet},
            "allocatable": {"pods": "0"},
        }
        await admin.patch(f"/api/v1/nodes/{name}/status", {"status": status}, content_type="application/strategic-merge-patch+json")
        yield
    finally:
        try:
            await admin.delete(f"/api/v1/nodes/{name}")
        except ApiError as error:
            if error.status != 404:
                raise


async def _node(watcher: Watcher, name: str) -> Facts:
    return await watcher.runner(nodes=True).look(Look(LOOK, timedelta(seconds=10), hints=(Hint(node=name),)))


def _moving(dangers: Workload | None) -> list[tuple[str, tuple[str, ...], bool]]:
    found = dangers.dangers if dangers is not None else ()
    return [(each.detail, each.verbs, each.asks) for each in found if each.hazard is Hazard.nodes_in_motion]


async def test_kubelets_of_two_versions_are_an_upgrade(watcher: Watcher, admin: KubeApi, deploy: Deploy, namespace: str) -> None:
    """None is cordoned and all are ready: the versions alone show it. No action on nodes; on pods a person decides."""
    await deploy()
    assert _moving((await watcher.runner(nodes=True).look(watcher.asked())).workload) == []
    async with _another_node(admin, f"newer-{namespace}", kubelet="v1.35.0"):
        seen = await watcher.runner(nodes=True).look(watcher.asked())
        node = (await _node(watcher, "node-1")).node
    said = "kubelets of versions v1.34.4, v1.35.0"
    assert _moving(seen.workload) == [(said, ("rollout_restart", "evict_pod"), True)]
    assert node is not None
    assert node.versions == ("v1.34.4", "v1.35.0")
    assert [(each.hazard, each.detail, each.verbs, each.asks) for each in node.dangers] == [
        (Hazard.nodes_in_motion, said, ("cordon", "uncordon"), False)
    ]


async def test_a_node_of_the_control_plane_is_told_as_such(watcher: Watcher, admin: KubeApi, namespace: str) -> None:
    name = f"master-{namespace}"
    async with _another_node(admin, name, labels={"node-role.kubernetes.io/control-plane": ""}):
        ours, other = (await _node(watcher, name)).node, (await _node(watcher, "node-1")).node
    assert ours is not None
    assert other is not None
    assert (ours.control_plane, other.control_plane) == (True, False)
