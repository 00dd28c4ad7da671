"""RBAC as shipped, on a real control plane: each feature grants exactly its verbs, and the receiver notices what is missing or too many."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from receiver.clients.kubernetes import Kubernetes, KubernetesConfig
from receiver.clients.kubernetes_rights import Right, allowed, held
from receiver.clock import SystemClock
from receiver.observe import NODE_OBSERVERS, OBSERVERS
from receiver.observe.evidence import KUBERNETES_EVIDENCE
from receiver.ports import OwnTrouble, Permission, RightState
from receiver.remediate import KUBERNETES_ACTIONS as ACTIONS
from receiver.remediate.kubernetes.rights import ACCOUNTS, CLUSTER_WIDE, OF_EVERYBODY, Needs, rights_of
from receiver.remediate.kubernetes.rights_check import RightsCheck
from receiver.telemetry.metrics import Metrics
from tests.e2e.rights import OWN_NAMESPACE, apply, make_own_namespace, rendered_with, shipped
from tests.e2e.scene import Scene, undo_rules
from tests.kits.action_ground import Switch
from tests.real import tools
from tests.real.kube_api import ApiError, Object
from tests.real.kubernetes import ControlPlane
from tests.real.processes import eventually
from tests.unit.test_deploy import FEATURES

pytestmark = pytest.mark.e2e

NAMES = {"base": "alert-receiver", "undo": "alert-receiver-undo"}
READERS = (*OBSERVERS, *KUBERNETES_EVIDENCE)
WIDE = ["cordon"]


class Identities:
    """Our two, with clients that ask for their rights."""

    def __init__(self, plane: ControlPlane, tokens: dict[str, str]) -> None:
        self.plane = plane
        self.tokens = tokens
        self.clients = {name: self._client(token) for name, token in tokens.items()}

    def _client(self, token: str) -> Kubernetes:
        return Kubernetes(KubernetesConfig(kubeconfig=self.plane.kubeconfig(token)), clock=SystemClock(), kill_switch=Switch())

    async def rights(self, namespace: str) -> dict[str, set[Right]]:
        """Of each, without those that everybody has."""
        return {name: set((await held(client, namespace)).rights) - OF_EVERYBODY for name, client in self.clients.items()}

    async def close(self) -> None:
        for client in self.clients.values():
            await client.close()


@pytest_asyncio.fixture
async def identities(control_plane: ControlPlane) -> AsyncIterator[Identities]:
    tools.need("kustomize")
    await make_own_namespace(control_plane)
    made = Identities(control_plane, {name: await control_plane.token(account, OWN_NAMESPACE) for name, account in NAMES.items()})
    yield made
    await made.close()


def declared(permissions: tuple[Permission, ...], identity: str) -> set[Right]:
    return set(rights_of(permissions, identity))


def looked() -> set[Right]:
    return declared(tuple(each for reader in READERS for each in reader.permissions), "base")


async def settled(identities: Identities, namespace: str, wanted: dict[str, set[Right]]) -> None:
    """RBAC reaches the authorizer a moment after it is stored."""

    async def same() -> bool:
        return await identities.rights(namespace) == wanted

    try:
        await eventually(same, within=20, what="exactly the declared rights")
    except TimeoutError:
        assert await identities.rights(namespace) == wanted  # says which differ


async def test_without_a_feature_everything_is_read_and_nothing_else(identities: Identities, namespace: str, tmp_path: Path) -> None:
    await identities.plane.admin.apply(await rendered_with(tmp_path, namespace))
    await settled(identities, namespace, {"base": looked(), "undo": set()})


@pytest.mark.parametrize("feature", sorted(set(FEATURES) - set(WIDE)))
async def test_a_feature_grants_exactly_its_verbs(identities: Identities, namespace: str, tmp_path: Path, feature: str) -> None:
    permissions = tuple(each for name in FEATURES[feature] for each in ACTIONS[name].permissions)
    await identities.plane.admin.apply(await rendered_with(tmp_path, namespace, feature))
    wanted = {"base": looked() | declared(permissions, "base"), "undo": declared(permissions, "undo")}
    await settled(identities, namespace, wanted)


async def test_cordon_grants_nodes_and_nothing_else_in_the_whole_cluster(identities: Identities, namespace: str) -> None:
    found = shipped("features/cordon")
    await identities.plane.admin.apply(found)
    try:
        await settled(identities, namespace, {"base": {Right("", "nodes", each) for each in ("get", "list", "patch")}, "undo": set()})
        assert await allowed(identities.clients["base"], "", Right("", "nodes", "patch"))
        assert not await allowed(identities.clients["base"], "", Right("", "nodes", "delete"))
    finally:
        for each in found:
            await identities.plane.admin.delete(await identities.plane.admin.path_of(each))


async def test_who_may_only_scale_can_patch_nothing_else(identities: Identities, namespace: str, tmp_path: Path) -> None:
    await identities.plane.admin.apply(await rendered_with(tmp_path, namespace, "scale"))
    base = identities.plane.api(identities.tokens["base"])
    with pytest.raises(ApiError) as refused:
        await base.patch(f"/apis/apps/v1/namespaces/{namespace}/deployments/web", {"spec": {"replicas": 1}})
    assert refused.value.status == 403


# --- the self-check ------------------------------------------------------------------------------------------------------


def check_of(identities: Identities, namespace: str, told: list[OwnTrouble]) -> RightsCheck:
    """As the application wires it, without nodes."""
    needs = Needs(
        {name: each.permissions for name, each in ACTIONS.items() if each.identity in NAMES},
        tuple(each for reader in OBSERVERS for each in reader.permissions),
        tuple(each for reader in KUBERNETES_EVIDENCE for each in reader.permissions),
    )
    return RightsCheck(
        identities.clients,
        needs,
        namespaces=(namespace,),
        listed=lambda: frozenset(ACTIONS),
        clock=SystemClock(),
        report=told.append,
        metrics=Metrics(version="test"),
    )


async def until(check: RightsCheck, wanted: set[tuple[RightState, str, str]]) -> None:
    async def same() -> bool:
        await check.round()
        return {(each.state, each.identity, each.right) for each in check.latest.findings} == wanted

    try:
        await eventually(same, within=20, every=0.3, what=f"the findings {wanted}")
    except TimeoutError:
        assert {(each.state, each.identity, each.right) for each in check.latest.findings} == wanted


async def test_with_the_shipped_manifests_nothing_is_missing_and_nothing_too_many(
    identities: Identities, namespace: str, tmp_path: Path
) -> None:
    await apply(identities.plane, namespace, tmp_path)
    told: list[OwnTrouble] = []
    check = check_of(identities, namespace, told)
    await until(check, set())
    assert check.lacking == {}
    assert told[-1].over


async def test_a_feature_that_is_left_out_is_missing_and_refused(identities: Identities, namespace: str, tmp_path: Path) -> None:
    await identities.plane.admin.apply(await rendered_with(tmp_path, namespace, "restart", "undo", "evict"))
    check = check_of(identities, namespace, [])
    lacks = {f"patch {kind}/scale.apps" for kind in ("deployments", "statefulsets")}
    await until(check, {(RightState.missing, "base", each) for each in lacks})
    assert {action for action, _ in check.lacking} == {"kubernetes.scale"}


async def test_what_somebody_granted_in_a_hurry_is_told(identities: Identities, namespace: str, tmp_path: Path) -> None:
    await apply(identities.plane, namespace, tmp_path)
    rules: list[Object] = [
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]},
        {"apiGroups": ["apps"], "resources": ["*"], "verbs": ["delete"]},
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]},
        {"apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": ["web"], "verbs": ["update"]},
    ]
    group, named = "rbac.authorization.k8s.io", {"name": "in-a-hurry", "namespace": namespace}
    binding = {
        "roleRef": {"apiGroup": group, "kind": "Role", "name": "in-a-hurry"},
        "subjects": [{"kind": "ServiceAccount", "name": NAMES["undo"], "namespace": OWN_NAMESPACE}],
    }
    await identities.plane.admin.apply(
        [
            {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": named, "rules": rules},
            {"apiVersion": f"{group}/v1", "kind": "RoleBinding", "metadata": named} | binding,
        ]
    )
    grave = {(RightState.grave, "undo", each) for each in ("get secrets", "delete *.apps", "update deployments.apps")}
    check = check_of(identities, namespace, [])
    await until(check, grave | {(RightState.excess, "undo", "list configmaps")})
    assert check.lacking == {}


async def test_somebody_who_may_do_everything_lacks_nothing(control_plane: ControlPlane, namespace: str) -> None:
    made = Identities(control_plane, {"base": control_plane.admin.access.token or ""})
    try:
        check = check_of(made, namespace, [])
        await check.round()
    finally:
        await made.close()
    assert check.lacking == {}
    assert RightState.grave in {each.state for each in check.latest.findings}


async def test_a_running_receiver_says_what_it_found(scene: Scene) -> None:
    """It starts without waiting for it."""
    await scene.start(undo_rules(), alertmanager=None)
    headers = {"Authorization": f"Bearer {scene.admin_token}"}
    async with aiohttp.ClientSession(headers=headers) as session:

        async def asked() -> Object:
            async with session.get(f"{scene.url}/api/v1/rights") as answer:
                found: Object = await answer.json()
                return found if found["at"] else {}

        found = await eventually(asked, within=20, what="the self-check")
        async with session.get(f"{scene.url}/metrics") as answer:
            metrics = await answer.text()
    assert found["findings"] == []
    assert 'receiver_rights{identity="base",state="missing"} 0.0' in metrics


def test_every_identity_of_a_permission_has_an_account() -> None:
    wired: tuple[Any, ...] = (*ACTIONS.values(), *READERS, *NODE_OBSERVERS)
    assert {each.identity for one in wired for each in one.permissions} <= set(ACCOUNTS)
    assert {("", "nodes")} == CLUSTER_WIDE
