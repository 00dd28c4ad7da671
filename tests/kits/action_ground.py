"""Where actions are tried: a Deployment with two revisions on some API server, behind a proxy that writes requests down and fails some.

The same ground stands on the fake API server and on a real control plane; only how a limited token is made differs. Used by the action kit.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from receiver.clients import kubernetes_objects as objects
from receiver.clients.kubernetes import Kubernetes, KubernetesConfig
from receiver.clock import SystemClock
from receiver.core.case import Before, Parameters, Permit, Verb
from receiver.core.model import Mode, Target, TargetRef
from receiver.ports import Permission
from receiver.remediate import ACTIONS
from receiver.remediate.kubernetes.carry_out import KubernetesAction
from tests.real import workloads
from tests.real.access import Access, write_kubeconfig
from tests.real.apiproxy import ApiProxy, Seen
from tests.real.kube_api import KubeApi, Object

NAME = "web"
IMAGES = ("example.test/web:1", "example.test/web:2")
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


@dataclass
class Ground:
    """`clients` made here are closed by `close`."""

    access: Access
    namespace: str
    directory: Path
    tokens: Tokens
    clock: ShiftedClock = field(default_factory=ShiftedClock)
    switch: Switch = field(default_factory=Switch)
    name: str = NAME

    def __post_init__(self) -> None:
        self.api = KubeApi(self.access)
        self.proxy = ApiProxy(self.access)
        self._clients: list[Kubernetes] = []

    async def prepare(self, images: Iterable[str] = IMAGES) -> None:
        """Rolls the images out, one after the other; the last one stands."""
        await self.proxy.start()
        first, *later = images
        await self.api.post(self._collection, workloads.deployment(self.name, first, replicas=2))
        await self.settled()
        for image in later:
            await self.set_image(image)

    async def close(self) -> None:
        self.proxy.clear()
        for client in self._clients:
            await client.close()
        await self.proxy.stop()

    # --- arranging, past the proxy

    @property
    def path(self) -> str:
        return workloads.path(self.namespace, self.name)

    @property
    def _collection(self) -> str:
        return self.path.rpartition("/")[0]

    async def deployment(self) -> Object:
        return await self.api.get(self.path)

    async def replica_sets(self) -> list[Object]:
        """Lowest revision first."""
        found = await self.api.items(f"/apis/apps/v1/namespaces/{self.namespace}/replicasets")
        return sorted(found, key=objects.revision)

    async def change(self, patch: Object) -> Object:
        """A merge patch by somebody else; returns when it is rolled out."""
        await self.api.patch(self.path, patch)
        return await self.settled()

    async def set_image(self, image: str) -> Object:
        return await self.change({"spec": {"template": {"spec": {"containers": [{"name": "app", "image": image}]}}}})

    async def settled(self) -> Object:
        """Rolled out, and the controller has written its last word about it."""
        return await self.api.until(self.path, lambda found: workloads.complete(found) and _available(found))

    # --- what is tried

    def action(self, name: str, **limits: Any) -> KubernetesAction:
        """With its own client through the proxy, as the administrator; `limits` are fields of KubernetesConfig."""
        return ACTIONS[name](self.client(**limits), clock=self.clock)

    def client(self, token: str = "", **limits: Any) -> Kubernetes:
        way = self.proxy.access(token or self.access.token or "")
        path = write_kubeconfig(way, self.directory / f"kubeconfig-{len(self._clients)}.json")
        config = KubernetesConfig(kubeconfig=path, namespaces=frozenset({self.namespace}))
        made = Kubernetes(replace(config, **limits), clock=self.clock, kill_switch=self.switch)
        self._clients.append(made)
        return made

    async def permit(self, name: str, **changes: Any) -> Permit:
        """What the bounds would permit now: three replicas, a restart, or the way back to the first revision."""
        found, sets = await self.deployment(), await self.replica_sets()
        verb, now = ACTIONS[name].verb, self.clock.now()
        ref = TargetRef("kubernetes", "default", self.namespace, "Deployment", self.name)
        parameters = {
            Verb.scale: Parameters(replicas=3),
            Verb.restart: Parameters(restarted_at=now),
            Verb.undo: undo_parameters(sets[0]),
        }[verb]
        made = Permit(
            attempt_id="0a1b2c3d-7-1",
            incident_id=7,
            action=name,
            verb=verb,
            target=Target(ref, objects.uid(found)),
            parameters=parameters,
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

    def sent(self) -> list[Seen]:
        """The requests that could change something, past the dry runs."""
        return self.proxy.mutations()


def undo_parameters(replica_set: Object) -> Parameters:
    """Back to this one."""
    return Parameters(
        revision=str(objects.revision(replica_set)),
        replica_set=objects.name(replica_set),
        template_hash=objects.template_hash(objects.template(replica_set)),
    )


def before(found: Object) -> Before:
    """The part of `Before` that actions read."""
    return Before(
        replicas=found["spec"]["replicas"],
        revision=str(objects.revision(found)),
        template_hash=objects.template_hash(objects.template(found)),
        resource_version=objects.resource_version(found),
        generation=objects.generation(found),
    )


def state(found: Object) -> Object:
    """Everything of an object that an action could change; counters of the server left out."""
    return {"generation": objects.generation(found), "spec": found["spec"], "annotations": dict(objects.annotations_of(found))}


def _available(found: Object) -> bool:
    conditions = {each["type"]: each for each in found.get("status", {}).get("conditions", ())}
    progressing = conditions.get("Progressing")
    return progressing is None or progressing.get("reason") == "NewReplicaSetAvailable"
