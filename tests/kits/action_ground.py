"""Where actions are tried: a workload with two revisions, or a node, on some API server, behind a proxy that writes requests down and
fails some.

The same ground stands on the fake API server and on a real control plane; only how a limited token is made differs. Used by the action kit.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from receiver.clients import kubernetes_objects as objects
from receiver.clients.kubernetes import ApiHealth, Kubernetes, KubernetesConfig
from receiver.clock import SystemClock
from receiver.core.case import Before, Parameters, Permit, Verb
from receiver.core.model import Mode, Target, TargetRef
from receiver.ports import Permission
from receiver.remediate import KUBERNETES_ACTIONS as ACTIONS
from receiver.remediate.kubernetes.carry_out import KubernetesAction
from tests.real import workloads
from tests.real.access import Access, write_kubeconfig
from tests.real.apiproxy import ApiProxy, Seen
from tests.real.kube_api import ApiError, KubeApi, Object

NAME = "web"
IMAGES = ("example.test/web:1", "example.test/web:2")
NODE, DEPLOYMENT = "Node", "Deployment"
CORDONED_BY = "0a1b2c3d-6-1"
"""The attempt that cordoned the node, where a cordon is to be taken back."""
Tokens = Callable[[tuple[Permission, ...]], Awaitable[str]]


class ShiftedClock(SystemClock):
    """The system's, moved on by `ahead`."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.ahead


@dataclass
class Switch:
    """A kill switch. `asked` runs whenever it is asked, and may change it."""

    refusal: str = ""
    asked: Callable[[], None] = lambda: None

    async def refuses(self) -> str:
        self.asked()
        return self.refusal


class Patient(ApiHealth):
    """However many faults a test injects, it goes on."""

    def health(self) -> str:
        return ""


@dataclass
class Ground:
    """`kind` is that of the target. `clients` made here are closed by `close`."""

    access: Access
    namespace: str
    directory: Path
    tokens: Tokens
    kind: str = DEPLOYMENT
    clock: ShiftedClock = field(default_factory=ShiftedClock)
    switch: Switch = field(default_factory=Switch)
    name: str = NAME

    def __post_init__(self) -> None:
        self.api = KubeApi(self.access)
        self.proxy = ApiProxy(self.access)
        self._clients: list[Kubernetes] = []

    async def prepare(self, images: Iterable[str] = IMAGES) -> None:
        """Rolls the images out, one after the other; the last one stands. A node is made of its own, with no kubelet."""
        await self.proxy.start()
        if self.kind == NODE:
            self.name = f"node-of-{self.namespace}"
            await self._make_node()
            return
        first, *later = images
        await self.api.post(self._collection, workloads.workload(self.kind, self.name, first, replicas=2))
        await self.settled()
        for image in later:
            await self.set_image(image)

    async def close(self) -> None:
        self.proxy.clear()
        for client in self._clients:
            await client.close()
        await self.proxy.stop()
        if self.kind == NODE:
            await self._gone(self.path)

    # --- arranging, past the proxy

    @property
    def path(self) -> str:
        return f"/api/v1/nodes/{self.name}" if self.kind == NODE else workloads.path(self.namespace, self.name, kind=self.kind)

    @property
    def _collection(self) -> str:
        return self.path.rpartition("/")[0]

    async def target(self) -> Object:
        return await self.api.get(self.path)

    async def revisions(self) -> list[Object]:
        """What keeps the templates, lowest revision first."""
        if self.kind == NODE:
            return []
        plural = "replicasets" if self.kind == DEPLOYMENT else "controllerrevisions"
        found = await self.api.items(f"/apis/apps/v1/namespaces/{self.namespace}/{plural}")
        return sorted(found, key=objects.revision if self.kind == DEPLOYMENT else objects.revision_number)

    async def pods(self) -> list[Object]:
        """Its pods that live, by name."""
        found = await self.api.items(f"/api/v1/namespaces/{self.namespace}/pods", labelSelector=f"app={self.name}")
        return sorted((each for each in found if "deletionTimestamp" not in each["metadata"]), key=objects.name)

    async def change(self, patch: Object) -> Object:
        """A merge patch by somebody else; returns when it is rolled out."""
        await self.api.patch(self.path, patch)
        return await self.settled()

    async def set_image(self, image: str) -> Object:
        return await self.change({"spec": {"template": {"spec": {"containers": [{"name": "app", "image": image}]}}}})

    async def settled(self) -> Object:
        """Rolled out, and the controller has written its last word about it."""
        return await self.api.until(self.path, workloads.done(self.kind))

    async def disturb(self, permit: Permit) -> None:
        """What somebody else could do so that the permit must not be used any more."""
        match permit.verb:
            case Verb.evict:
                await self.api.delete(self.pod_path(permit), {"gracePeriodSeconds": 0})
            case Verb.cordon:
                await self.api.patch(self.path, {"spec": {"unschedulable": True}})
            case Verb.uncordon:
                await self.api.patch(self.path, {"metadata": {"annotations": {objects.CORDONED: None}}})
            case _ if self.kind == DEPLOYMENT or permit.verb is not Verb.undo:
                await self.change({"metadata": {"annotations": {"example.test/owner": "somebody else"}}})
            case _:
                await self.change({"spec": {"minReadySeconds": 1}})

    async def _make_node(self) -> None:
        """Ready, so that the controllers leave it as it is for a while."""
        await self.api.post("/api/v1/nodes", {"apiVersion": "v1", "kind": NODE, "metadata": {"name": self.name}})
        now = objects.timestamp(self.clock.now())
        ready = {
            "type": "Ready",
            "status": "True",
            "reason": "KubeletReady",
            "message": "",
            "lastHeartbeatTime": now,
            "lastTransitionTime": now,
        }
        await self.api.patch(f"{self.path}/status", {"status": {"conditions": [ready]}})
        await self.api.until(self.path, lambda found: not found.get("spec", {}).get("taints"))

    async def _gone(self, path: str) -> None:
        try:
            await self.api.delete(path)
        except ApiError as error:
            if error.status != 404:
                raise

    # --- what is tried

    def action(self, name: str, *, health: ApiHealth | None = None, **limits: Any) -> KubernetesAction:
        """With its own client through the proxy, as the administrator; `limits` are fields of KubernetesConfig."""
        return ACTIONS[name](self.client(health=health, **limits), clock=self.clock)

    def client(self, token: str = "", *, health: ApiHealth | None = None, **limits: Any) -> Kubernetes:
        way = self.proxy.access(token or self.access.token or "")
        path = write_kubeconfig(way, self.directory / f"kubeconfig-{len(self._clients)}.json")
        config = KubernetesConfig(kubeconfig=path, namespaces=frozenset({self.namespace}), nodes=self.kind == NODE)
        made = Kubernetes(replace(config, **limits), clock=self.clock, kill_switch=self.switch, health=health)
        self._clients.append(made)
        return made

    async def permit(self, name: str, **changes: Any) -> Permit:
        """What the bounds would permit now: three replicas, a restart, the way back to the first revision, the last pod, the node."""
        verb, now = ACTIONS[name].verb, self.clock.now()
        if verb is Verb.uncordon and not objects.cordoned_by(await self.target()):
            await self.api.patch(self.path, {"spec": {"unschedulable": True}, "metadata": {"annotations": {objects.CORDONED: CORDONED_BY}}})
            await self.api.until(self.path, self._tainted)
        found = await self.target()
        ref = TargetRef("kubernetes", "default", "" if self.kind == NODE else self.namespace, self.kind, self.name)
        made = Permit(
            attempt_id="0a1b2c3d-7-1",
            incident_id=7,
            action=name,
            verb=verb,
            target=Target(ref, objects.uid(found)),
            parameters=changes.pop("parameters", None) or await self._parameters(verb, now),
            before=before(found),
            at=now,
            expires_at=now + timedelta(seconds=30),
            seen=1,
            rung=0,
            rule="kit",
            ruleset_hash="kit",
            mode=Mode.auto,
        )
        return replace(made, **changes)

    async def _parameters(self, verb: Verb, now: datetime) -> Parameters:
        match verb:
            case Verb.scale:
                return Parameters(replicas=3)
            case Verb.restart:
                return Parameters(restarted_at=now)
            case Verb.undo:
                return undo_parameters((await self.revisions())[0])
            case Verb.evict:
                return evict_parameters((await self.pods())[-1])
            case _:
                return Parameters()

    def _tainted(self, found: Object) -> bool:
        """On a real control plane a controller answers a cordon with a taint; the fake has none."""
        return bool(found["spec"].get("taints")) or not self.access.ca_file

    # --- what came of it

    def sent(self) -> list[Seen]:
        """The requests that could change something, past the dry runs."""
        return self.proxy.mutations()

    def pod_path(self, permit: Permit) -> str:
        return f"/api/v1/namespaces/{self.namespace}/pods/{permit.parameters.pod}"

    async def landed(self, permit: Permit) -> bool:
        """The attempt's id stands on the target, or the pod is gone or going."""
        if permit.verb is not Verb.evict:
            return permit.attempt_id in objects.attempt_marks(await self.target())
        return permit.parameters.pod_uid not in map(objects.uid, await self.pods())

    async def state(self, permit: Permit | None = None) -> Object:
        """Everything that an action could change; counters of the server left out."""
        found = await self.target()
        pod = permit is not None and permit.verb is Verb.evict and not await self.landed(permit)
        return state(found) | {"pod": pod}


def undo_parameters(revision: Object) -> Parameters:
    """Back to this ReplicaSet or ControllerRevision."""
    template = objects.revision_template(revision) if "data" in revision else objects.template(revision)
    return Parameters(
        revision=str(revision.get("revision") or objects.revision(revision)),
        replica_set=objects.name(revision),
        template_hash=objects.template_hash(template),
    )


def evict_parameters(pod: Object) -> Parameters:
    return Parameters(pod=objects.name(pod), pod_uid=objects.uid(pod))


def before(found: Object) -> Before:
    """The part of `Before` that actions read."""
    return Before(
        replicas=found.get("spec", {}).get("replicas", 0),
        revision=str(objects.revision(found)),
        template_hash=objects.template_hash(objects.template(found)),
        resource_version=objects.resource_version(found),
        generation=objects.generation(found),
    )


def state(found: Object) -> Object:
    """Everything of an object that an action could change; what the control plane writes by itself left out."""
    marks = {key: value for key, value in objects.annotations_of(found).items() if not key.startswith("node.alpha.")}
    spec = {key: value for key, value in found.get("spec", {}).items() if key != "taints"}
    return {"generation": objects.generation(found), "spec": spec, "annotations": marks}
