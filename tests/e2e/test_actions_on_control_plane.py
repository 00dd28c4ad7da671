"""The action kit and the traps of each verb, on a real Kubernetes control plane; and what only a real one has: admission policies."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
import pytest_asyncio

from receiver.ports import OutcomeKind, Permission
from tests.kits.action_ground import Ground
from tests.kits.action_kit import SHAPES, ActionKit, kind_of, name
from tests.kits.action_traps import SCALE, UNDO, RestartTraps, ScaleTraps, UndoTraps, refused
from tests.kits.evict_traps import EVICT, EvictOfStatefulSetTraps, EvictTraps
from tests.kits.node_traps import CORDON, NodeTraps
from tests.kits.numbered_traps import DaemonSetTraps, StatefulSetTraps
from tests.real.kube_api import ApiError, Object
from tests.real.kubernetes import ControlPlane
from tests.real.processes import eventually

__all__ = ["TestActions", "TestDaemonSets", "TestRestart", "TestScale", "name", "shape"]

pytestmark = pytest.mark.e2e

ACCOUNT = "limited"
RBAC = "rbac.authorization.k8s.io"
FEWER = [each for each in SHAPES if each[1] in ("Deployment", "Node") or each[0] == UNDO or each == (EVICT, "StatefulSet")]
"""Each action, and each way to undo; the other kinds have their own tests below, and the whole kit on the fake."""


@pytest.fixture(params=FEWER, ids="-".join)
def shape(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Action and kind."""
    name, kind = request.param
    return name, kind


@pytest_asyncio.fixture
async def ground(control_plane: ControlPlane, namespace: str, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ground]:
    """The same as in the unit tests, on the control plane."""

    async def tokens(permissions: tuple[Permission, ...]) -> str:
        await control_plane.admin.apply(_rights(permissions, namespace))
        return await control_plane.token(ACCOUNT, namespace)

    made = Ground(control_plane.admin.access, namespace, tmp_path, tokens, kind=kind_of(request))
    try:
        await made.prepare()
        yield made
    finally:
        await made.close()
        for each in _everywhere(namespace):
            with suppress(ApiError):
                await control_plane.admin.delete(await control_plane.admin.path_of(each))


def _rights(permissions: tuple[Permission, ...], namespace: str) -> list[Object]:
    """Those on nodes hold for the whole cluster."""
    found: list[Object] = []
    for wide in (False, True):
        mine = [each for each in permissions if (each.resource == "nodes") is wide]
        rules = [{"apiGroups": [each.group], "resources": [each.resource], "verbs": list(each.verbs)} for each in mine]
        role, binding = _everywhere(namespace) if wide else _within(namespace)
        subject = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace}
        found += [role | {"rules": rules}, binding | {"subjects": [subject]}] if mine or not wide else []
    return found


def _within(namespace: str) -> tuple[Object, Object]:
    meta = {"metadata": {"name": ACCOUNT, "namespace": namespace}}
    ref = {"apiGroup": RBAC, "kind": "Role", "name": ACCOUNT}
    return {"apiVersion": f"{RBAC}/v1", "kind": "Role"} | meta, {"apiVersion": f"{RBAC}/v1", "kind": "RoleBinding", "roleRef": ref} | meta


def _everywhere(namespace: str) -> tuple[Object, Object]:
    name = f"{ACCOUNT}-{namespace}"
    meta, ref = {"metadata": {"name": name}}, {"apiGroup": RBAC, "kind": "ClusterRole", "name": name}
    role = {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole"} | meta
    return role, {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRoleBinding", "roleRef": ref} | meta


def _policy(namespace: str) -> list[Object]:
    """Nobody scales above two in this namespace."""
    group, named = "admissionregistration.k8s.io", {"metadata": {"name": f"scale-guard-{namespace}"}}
    rule = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["deployments/scale"]}
    policy = {
        "apiVersion": f"{group}/v1",
        "kind": "ValidatingAdmissionPolicy",
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [rule]},
            "validations": [{"expression": "!has(object.spec.replicas) || object.spec.replicas <= 2", "message": "two are enough"}],
        },
    }
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "spec": {
            "policyName": f"scale-guard-{namespace}",
            "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}},
        },
    }
    return [policy | named, binding | named]


class TestActions(ActionKit):
    pass


class TestScale(ScaleTraps):
    async def test_a_policy_that_denies_it_is_a_rejection(self, ground: Ground) -> None:
        """A ValidatingAdmissionPolicy answers 422 `denied request`, dry runs included."""
        await ground.api.apply(_policy(ground.namespace))
        permit = await ground.permit(SCALE)
        path = f"{ground.path}/scale"

        async def denied() -> bool:
            try:
                await ground.api.patch(path, {"spec": {"replicas": 3}}, dryRun="All")
            except ApiError as error:
                return "denied request" in str(error)
            return False

        await eventually(denied, within=30, what="the policy is in force")
        outcome = await refused(ground, SCALE, permit)
        assert "denied request" in outcome.detail
        assert not outcome.retryable


class TestRestart(RestartTraps):
    pass


class TestUndo(UndoTraps):
    async def test_a_template_that_the_controller_has_not_seen_is_not_undone(self, ground: Ground, control_plane: ControlPlane) -> None:
        with control_plane.own.controller_manager.suspended():
            template = {"spec": {"containers": [{"name": "app", "image": "example.test/web:3"}]}}
            await ground.api.patch(ground.path, {"spec": {"template": template}})
            outcome = await refused(ground, UNDO, await ground.permit(UNDO))
        assert outcome.retryable
        assert "not seen" in outcome.detail


class TestStatefulSets(StatefulSetTraps):
    async def test_a_template_that_the_controller_has_not_seen_is_not_undone(self, ground: Ground, control_plane: ControlPlane) -> None:
        with control_plane.own.controller_manager.suspended():
            template = {"spec": {"containers": [{"name": "app", "image": "example.test/web:3"}]}}
            await ground.api.patch(ground.path, {"spec": {"template": template}})
            outcome = await refused(ground, UNDO, await ground.permit(UNDO))
        assert outcome.retryable
        assert "not seen" in outcome.detail


class TestDaemonSets(DaemonSetTraps):
    pass


class TestEvict(EvictTraps):
    async def test_a_pod_that_is_going_already_is_left_to_go(self, ground: Ground) -> None:
        """The API server would take the second eviction as well."""
        permit = await ground.permit(EVICT)
        path = ground.pod_path(permit)
        await ground.api.patch(path, {"metadata": {"finalizers": ["example.test/stay"]}})
        await ground.api.delete(path)
        try:
            outcome = await refused(ground, EVICT, permit)
        finally:
            await ground.api.patch(path, {"metadata": {"finalizers": None}})
        assert "being deleted already" in outcome.detail

    async def test_a_pod_of_a_daemon_set_is_evicted_too(self, ground: Ground, control_plane: ControlPlane) -> None:
        other = Ground(ground.access, ground.namespace, ground.directory, ground.tokens, kind="DaemonSet", name="each")
        try:
            await other.prepare(["example.test/web:1"])
            permit = await other.permit(EVICT)
            assert (await other.action(EVICT).run(permit)).kind is OutcomeKind.applied
            assert await other.landed(permit)
        finally:
            await other.close()


class TestEvictOfStatefulSets(EvictOfStatefulSetTraps):
    pass


class TestNodes(NodeTraps):
    async def test_a_cordoned_node_takes_no_new_pods_and_keeps_those_that_it_has(self, ground: Ground, control_plane: ControlPlane) -> None:
        """What the cordon is for: the control plane answers it with its taint."""
        await ground.action(CORDON).run(await ground.permit(CORDON))
        found = await ground.api.until(ground.path, lambda found: bool(found["spec"].get("taints")))
        assert [(each["key"], each["effect"]) for each in found["spec"]["taints"]] == [("node.kubernetes.io/unschedulable", "NoSchedule")]
