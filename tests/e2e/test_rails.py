"""The rails of `deploy/rails` on a real control plane, with the receiver's own identities: what our actions do passes, all else is denied.

A denial is a 422 of the API server, dry runs included, whatever RBAC grants; no code of the receiver is asked.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from receiver.clients.kubernetes_objects import PREFIX
from receiver.core.case import Verb
from receiver.observe import consent
from receiver.ports import OutcomeKind, Permission
from receiver.remediate import KUBERNETES_ACTIONS as ACTIONS
from tests.e2e.rights import OWN_NAMESPACE, Rights, in_force, shipped
from tests.kits.action_ground import Ground
from tests.kits.action_kit import SHAPES
from tests.real.kube_api import JSON_PATCH, MERGE, STRATEGIC, ApiError, Object
from tests.real.kubernetes import ControlPlane
from tests.real.processes import eventually

pytestmark = pytest.mark.e2e

MARK = "alert-receiver.internal/cordoned"
RESTART = {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z", "alert-receiver.internal/attempt": "0a1b2c3d-7-1"}
KINDS = ("deployments", "statefulsets", "daemonsets")
COUNTED = ("deployments", "statefulsets")
CONSENT = sorted({consent.ENABLED, consent.ALLOW, consent.UNDO, consent.DISABLED_UNTIL, consent.MAX_REPLICAS, f"{PREFIX}migration"})

Change = dict[str, Any]


def template(**changes: Any) -> Change:
    return {"spec": {"template": changes}}


def notes(**given: str | None) -> Change:
    return {"metadata": {"annotations": {f"alert-receiver.internal/{key.replace('_', '-')}": value for key, value in given.items()}}}


def image(name: str) -> Change:
    return template(spec={"containers": [{"name": "app", "image": name}]})


class Rails:
    """Three workloads and a node, and our two identities with more rights than they are shipped with."""

    def __init__(self, plane: ControlPlane, namespace: str, given: Rights) -> None:
        self.admin = plane.admin
        self.namespace = namespace
        self.who = {"base": plane.api(given.base), "undo": plane.api(given.undo)}
        self.node = f"rails-{secrets.token_hex(3)}"

    @property
    def pods(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/pods"

    def path(self, kind: str, subresource: str = "") -> str:
        name = f"/{subresource}" if subresource else ""
        if kind == "nodes":
            return f"/api/v1/nodes/{self.node}"
        return f"/apis/apps/v1/namespaces/{self.namespace}/{kind}/web{name}"

    async def prepare(self) -> None:
        for kind in KINDS:
            await self.admin.post(self.path(kind).rpartition("/")[0], workload(kind))
        await self.admin.post("/api/v1/nodes", {"metadata": {"name": self.node, "labels": {"zone": "a"}}, "spec": {"taints": [TAINT]}})

    async def denied(self, who: str, path: str, change: Change | list[Change], content_type: str = STRATEGIC) -> str:
        """The denial's text; empty: it passed the dry run, and the call itself."""
        text = await self._try(who, path, change, content_type, dryRun="All")
        return text or await self._try(who, path, change, content_type)

    async def _try(self, who: str, path: str, change: Change | list[Change], content_type: str, **query: str) -> str:
        try:
            await self.who[who].patch(path, change, content_type=content_type, **query)
        except ApiError as error:
            by_policy = (
                error.status == 422 and "ValidatingAdmissionPolicy 'alert-receiver-" in str(error) and "denied request" in str(error)
            )
            return str(error) if by_policy else f"not by a policy: {error}"
        return ""


TAINT = {"key": "example.test/kept", "effect": "NoSchedule"}


def workload(kind: str) -> Object:
    labels = {"app": f"web-{kind}"}
    spec: Object = {
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {"labels": labels, "annotations": {"example.test/theirs": "1"}},
            "spec": {"containers": [{"name": "app", "image": "example.test/web:1"}]},
        },
    }
    counted: Object = {} if kind == "daemonsets" else {"replicas": 2}
    named: Object = {"serviceName": "web"} if kind == "statefulsets" else {}
    metadata = {"name": "web", "labels": labels, "annotations": {"example.test/theirs": "1"}}
    return {"metadata": metadata, "spec": spec | counted | named}


@pytest_asyncio.fixture
async def cordon(control_plane: ControlPlane, rights: Rights) -> AsyncIterator[None]:
    """The component that is shipped off; taken away again, as it holds in the whole cluster."""
    found = shipped("features/cordon")
    await control_plane.admin.apply(found)
    await in_force(control_plane.api(rights.base), "/api/v1/nodes/none")
    yield
    for each in found:
        await control_plane.admin.delete(await control_plane.admin.path_of(each))


@pytest_asyncio.fixture
async def rails(control_plane: ControlPlane, namespace: str, rights: Rights, cordon: None) -> AsyncIterator[Rails]:
    """In force: each policy is compiled by itself, a moment after it is stored."""
    made = Rails(control_plane, namespace, rights)
    await made.admin.apply(_everything(namespace))
    await made.prepare()
    for policy in PROBES:
        await eventually(partial(_denies, made, policy), within=30, what=f"policy {policy} in force")
    yield made
    await made.admin.delete(made.path("nodes"))


PROBES: dict[str, tuple[str, str, str, Change]] = {
    **{f"alert-receiver-{kind}": ("undo", "PATCH", kind, notes(enabled="true")) for kind in KINDS},
    "alert-receiver-restart": ("base", "PATCH", "deployments", image("example.test/evil:1")),
    "alert-receiver-scale": ("base", "PATCH", "deployments/scale", {"spec": {"replicas": 0}}),
    "alert-receiver-nodes": ("base", "PATCH", "nodes", {"metadata": {"labels": {"a": "b"}}}),
    "alert-receiver-evict": ("base", "POST", "one/eviction", {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "one"}}),
    "alert-receiver-never": ("base", "POST", "", {"metadata": {"name": "one"}, "spec": {"containers": [{"name": "a", "image": "a"}]}}),
}
"""Policy → what it denies: who, method, what, body. There is no pod `one`."""


async def _denies(rails: Rails, policy: str) -> bool:
    who, method, what, body = PROBES[policy]
    kind, _, subresource = what.partition("/")
    path = rails.path(kind, subresource) if method == "PATCH" else f"{rails.pods}/{what}".rstrip("/")
    try:
        await rails.who[who].send(
            method, path, body=body, content_type=STRATEGIC if method == "PATCH" else "application/json", query={"dryRun": "All"}
        )
    except ApiError as error:
        return f"ValidatingAdmissionPolicy '{policy}'" in str(error)
    return False


def test_every_policy_is_waited_for() -> None:
    assert set(PROBES) == {each["metadata"]["name"] for each in shipped("rails") if each["kind"] == "ValidatingAdmissionPolicy"}


def _everything(namespace: str) -> list[Object]:
    """All rights in one namespace, for both identities: what somebody in a hurry grants."""
    group, named = "rbac.authorization.k8s.io", {"name": "in-a-hurry", "namespace": namespace}
    subjects = [{"kind": "ServiceAccount", "name": each, "namespace": OWN_NAMESPACE} for each in ("alert-receiver", "alert-receiver-undo")]
    rule = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
    role = {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": named, "rules": [rule]}
    reference = {"apiGroup": group, "kind": "Role", "name": "in-a-hurry"}
    binding = {"apiVersion": f"{group}/v1", "kind": "RoleBinding", "metadata": named, "roleRef": reference, "subjects": subjects}
    return [role, binding]


# --- what our actions do -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "kind"), SHAPES, ids=lambda each: each.removeprefix("kubernetes."))
async def test_every_action_passes_with_its_own_identity(
    name: str, kind: str, control_plane: ControlPlane, namespace: str, rights: Rights, cordon: None, tmp_path: Path
) -> None:
    token = rights.undo if ACTIONS[name].identity == "undo" else rights.base

    async def tokens(_: tuple[Permission, ...]) -> str:
        return token

    ground = Ground(control_plane.admin.access, namespace, tmp_path, tokens, kind=kind)
    try:
        await ground.prepare()
        action = ACTIONS[name](ground.client(token, nodes=kind == "Node"), clock=ground.clock)
        outcome = await action.run(await ground.permit(name))
    finally:
        await ground.close()
    assert outcome.kind is OutcomeKind.applied, outcome


@pytest.mark.parametrize("kind", KINDS)
async def test_an_undo_passes_for_each_kind(rails: Rails, kind: str) -> None:
    found = (await rails.admin.get(rails.path(kind)))["spec"]["template"]
    found["spec"]["containers"][0]["image"] = "example.test/web:0"
    found["metadata"]["annotations"] = {"example.test/theirs": "0"}
    mark = {"op": "add", "path": "/metadata/annotations/alert-receiver.internal~1last-action", "value": '["0a1b2c3d-7-1"]'}
    change = [{"op": "replace", "path": "/spec/template", "value": found}, mark]
    assert await rails.denied("undo", rails.path(kind), change, JSON_PATCH) == ""


@pytest.mark.parametrize("kind", COUNTED)
async def test_a_scale_within_bounds_passes(rails: Rails, kind: str) -> None:
    for replicas in (5, 11, 1, 3):
        assert await rails.denied("base", rails.path(kind, "scale"), {"spec": {"replicas": replicas}}, MERGE) == ""


async def test_a_cordon_and_our_own_uncordon_pass(rails: Rails) -> None:
    there = {"spec": {"unschedulable": True}} | {"metadata": {"annotations": {MARK: "0a1b2c3d-7-1"}}}
    back = {"spec": {"unschedulable": None}, "metadata": {"annotations": {MARK: None}}}
    assert await rails.denied("base", rails.path("nodes"), there) == ""
    assert await rails.denied("base", rails.path("nodes"), back) == ""


# --- what nothing of ours may do -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["base", "undo"])
async def test_a_scale_beyond_bounds_is_denied(rails: Rails, who: str) -> None:
    for kind in COUNTED:
        for replicas, text in ((0, "scales nothing to zero"), (6, "at most doubles"), (1000, "at most doubles")):
            assert text in await rails.denied(who, rails.path(kind, "scale"), {"spec": {"replicas": replicas}}, MERGE)


OF_ANY_WORKLOAD: list[tuple[Change, str]] = [
    ({"spec": {"minReadySeconds": 7}}, "nothing of this but its pod template"),
    ({"spec": {"revisionHistoryLimit": 1}}, "nothing of this but its pod template"),
    ({"metadata": {"labels": {"team": "mine"}}}, "no labels"),
    ({"metadata": {"finalizers": ["example.test/held"]}}, "no labels, finalizers"),
    ({"metadata": {"annotations": {"example.test/theirs": "2"}}}, "its own annotation"),
    ({"metadata": {"annotations": {"example.test/theirs": None}}}, "its own annotation"),
    ({"metadata": {"annotations": {"example.test/new": "1"}}}, "its own annotation"),
    *(({"metadata": {"annotations": {key: "true"}}}, "an owner's consent") for key in CONSENT),
]
OF_COUNTED: list[tuple[Change, str]] = [({"spec": {"replicas": 3}}, "nothing of this but its pod template")]
OF_ONE_KIND: dict[str, list[tuple[Change, str]]] = {
    "deployments": [
        *OF_COUNTED,
        ({"spec": {"paused": True}}, "nothing of this"),
        ({"spec": {"strategy": {"type": "Recreate", "rollingUpdate": None}}}, "nothing of this"),
        ({"spec": {"progressDeadlineSeconds": 7}}, "nothing of this"),
    ],
    "statefulsets": [
        *OF_COUNTED,
        ({"spec": {"updateStrategy": {"type": "OnDelete", "rollingUpdate": None}}}, "nothing of this"),
        ({"spec": {"persistentVolumeClaimRetentionPolicy": {"whenScaled": "Delete"}}}, "nothing of this"),
        ({"spec": {"ordinals": {"start": 7}}}, "nothing of this"),
    ],
    "daemonsets": [({"spec": {"updateStrategy": {"type": "OnDelete", "rollingUpdate": None}}}, "nothing of this")],
}


@pytest.mark.parametrize("who", ["base", "undo"])
async def test_nothing_of_a_workload_changes_but_its_template(rails: Rails, who: str) -> None:
    for kind in KINDS:
        for change, text in OF_ANY_WORKLOAD + OF_ONE_KIND[kind]:
            assert text in await rails.denied(who, rails.path(kind), change), (kind, change)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_restart_changes_no_pod(rails: Rails, kind: str) -> None:
    assert await rails.denied("base", rails.path(kind), template(metadata={"annotations": RESTART}), MERGE) == ""
    for change, text in (
        (image("example.test/evil:1"), "does not change a pod's spec"),
        (template(spec={"serviceAccountName": "powerful"}), "does not change a pod's spec"),
        (template(spec={"containers": [{"name": "other", "image": "example.test/evil:1"}]}), "does not change a pod's spec"),
        (template(metadata={"labels": {"tier": "x"}}), "does not change a pod's labels"),
        (template(metadata={"annotations": {"example.test/theirs": "2"}}), "marks of a restart"),
        (template(metadata={"annotations": {"example.test/theirs": None}}), "marks of a restart"),
        (template(metadata={"annotations": RESTART | {"sidecar.istio.io/inject": "true"}}), "marks of a restart"),
        (template(metadata={"annotations": {"alert-receiver.internal/other": "1"}}), "marks of a restart"),
    ):
        assert text in await rails.denied("base", rails.path(kind), change), change


async def test_of_a_node_nothing_changes_but_our_own_cordon(rails: Rails) -> None:
    path = rails.path("nodes")
    for change, text in (
        ({"metadata": {"labels": {"zone": "b"}}}, "no labels"),
        ({"metadata": {"annotations": {"example.test/x": "1"}}}, "its own annotation"),
        (notes(enabled="true"), "its own annotation"),
        ({"spec": {"taints": [{"key": "mine", "effect": "NoExecute"}]}}, "changes nothing else of it"),
        ({"spec": {"providerID": "mine"}}, "changes nothing else of it"),
        ({"spec": {"podCIDR": "10.9.0.0/24", "podCIDRs": ["10.9.0.0/24"]}}, "changes nothing else of it"),
    ):
        assert text in await rails.denied("base", path, change), change


async def test_a_cordon_of_others_stays_theirs(rails: Rails) -> None:
    path, mark = rails.path("nodes"), {"metadata": {"annotations": {MARK: "x"}}}
    await rails.admin.patch(path, {"spec": {"unschedulable": True}})
    assert "only what it cordoned" in await rails.denied("base", path, {"spec": {"unschedulable": None}})
    assert "as its own" in await rails.denied("base", path, mark)


async def test_nodes_of_the_control_plane_are_not_touched(rails: Rails) -> None:
    await rails.admin.patch(rails.path("nodes"), {"metadata": {"labels": {"node-role.kubernetes.io/control-plane": ""}}})
    change = {"spec": {"unschedulable": True}, "metadata": {"annotations": {MARK: "x"}}}
    assert "control plane" in await rails.denied("base", rails.path("nodes"), change)


async def test_nobody_else_is_held_by_them(rails: Rails) -> None:
    await rails.admin.patch(rails.path("deployments", "scale"), {"spec": {"replicas": 0}})
    await rails.admin.patch(rails.path("statefulsets"), image("example.test/web:2"), content_type=STRATEGIC)


# --- whatever RBAC grants ------------------------------------------------------------------------------------------------


async def refusal(call: Any) -> str:
    try:
        await call
    except ApiError as error:
        return str(error) if error.status == 422 else f"not by a policy: {error}"
    return "not refused"


@pytest.mark.parametrize("who", ["base", "undo"])
async def test_nothing_is_created_or_deleted_whatever_rbac_grants(rails: Rails, who: str) -> None:
    api, core = rails.who[who], f"/api/v1/namespaces/{rails.namespace}"
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "app", "image": "example.test/evil:1"}]}}
    wanted = "creates nothing, deletes nothing"
    for call in (
        api.post(f"{core}/pods", pod),
        api.post(rails.path("deployments").rpartition("/")[0], workload("deployments") | {"metadata": {"name": "mine"}}),
        api.post(f"{core}/secrets", {"metadata": {"name": "s"}}),
        api.post(f"/apis/batch/v1/namespaces/{rails.namespace}/jobs", {"metadata": {"name": "j"}, "spec": {"template": _once(pod)}}),
        api.delete(rails.path("statefulsets")),
        api.delete(rails.path("daemonsets"), {"dryRun": ["All"]}),
    ):
        assert wanted in await refusal(call)


def _once(pod: Object) -> Object:
    return {"spec": pod["spec"] | {"restartPolicy": "Never"}}


@pytest.mark.parametrize("who", ["base", "undo"])
async def test_no_rights_are_given_away_whatever_rbac_grants(rails: Rails, who: str) -> None:
    roles = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{rails.namespace}/roles"
    made = rails.who[who].post(roles, {"metadata": {"name": "mine"}, "rules": []})
    assert "creates nothing" in await refusal(made)


async def test_an_eviction_names_its_pod_by_uid(rails: Rails) -> None:
    api = rails.who["base"]
    pods = f"/api/v1/namespaces/{rails.namespace}/pods"
    pod = {"metadata": {"name": "one"}, "spec": {"containers": [{"name": "app", "image": "example.test/web:1"}]}}
    uid = (await rails.admin.post(pods, pod))["metadata"]["uid"]

    async def evict(options: Object) -> str:
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "one", "namespace": rails.namespace}}
        return await refusal(api.post(f"{pods}/one/eviction", body | ({"deleteOptions": options} if options else {})))

    preconditions = {"preconditions": {"uid": uid}}
    assert "by its uid only" in await evict({})
    assert "by its uid only" in await evict({"gracePeriodSeconds": 7})
    assert "time to end" in await evict(preconditions | {"gracePeriodSeconds": 0})
    assert await evict(preconditions | {"dryRun": ["All"]}) == "not refused"
    assert await evict(preconditions) == "not refused"


# --- the policies themselves ---------------------------------------------------------------------------------------------


async def test_the_api_server_finds_nothing_wrong_in_any_expression(rails: Rails) -> None:
    """It checks types, and says in the status what it does not know."""
    path = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
    for name in [each["metadata"]["name"] for each in shipped("rails") if each["kind"] == "ValidatingAdmissionPolicy"]:
        found = await rails.admin.until(f"{path}/{name}", lambda each: "typeChecking" in each.get("status", {}))
        assert found["status"]["typeChecking"] == {}, name


def test_every_verb_has_its_rail() -> None:
    """A verb that is added must be thought of here."""
    assert set(Verb) == {Verb.scale, Verb.restart, Verb.undo, Verb.evict, Verb.cordon, Verb.uncordon}
