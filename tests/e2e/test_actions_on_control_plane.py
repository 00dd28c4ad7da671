"""The action kit and the traps of each verb, on a real Kubernetes control plane; and what only a real one has: admission policies."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from receiver.ports import Permission
from tests.kits.action_ground import Ground
from tests.kits.action_kit import ActionKit, name
from tests.kits.action_traps import SCALE, UNDO, RestartTraps, ScaleTraps, UndoTraps, refused
from tests.real.kube_api import ApiError, Object
from tests.real.kubernetes import ControlPlane
from tests.real.processes import eventually

__all__ = ["TestActions", "TestRestart", "TestScale", "TestUndo", "name"]

pytestmark = pytest.mark.e2e

ACCOUNT = "limited"


@pytest_asyncio.fixture
async def ground(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> AsyncIterator[Ground]:
    """The same as in the unit tests, on the control plane."""

    async def tokens(permissions: tuple[Permission, ...]) -> str:
        await control_plane.admin.apply(_rights(permissions, namespace))
        return await control_plane.token(ACCOUNT, namespace)

    made = Ground(control_plane.admin.access, namespace, tmp_path, tokens)
    try:
        await made.prepare()
        yield made
    finally:
        await made.close()


def _rights(permissions: tuple[Permission, ...], namespace: str) -> list[Object]:
    rules = [{"apiGroups": [each.group], "resources": [each.resource], "verbs": list(each.verbs)} for each in permissions]
    metadata = {"name": ACCOUNT, "namespace": namespace}
    group = "rbac.authorization.k8s.io"
    role = {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": metadata, "rules": rules}
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": group, "kind": "Role", "name": ACCOUNT},
        "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace}],
    }
    return [role, binding]


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
