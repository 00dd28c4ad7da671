"""Looks at a real API server as an account with exactly the rights that the observers declare."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from receiver.clients.kubernetes import Kubernetes, KubernetesConfig
from receiver.clock import SystemClock
from receiver.core.facts import Facts, Hint, Look, Trouble, Want, Workload
from receiver.core.model import Bounds, TargetRef
from receiver.observe import NODE_OBSERVERS, OBSERVERS, Eyes, LookRunner, Recent, Scope, observers
from receiver.observe.evidence import KUBERNETES_EVIDENCE
from receiver.ports import Permission
from tests.real.kube_api import Object
from tests.real.kubernetes import ControlPlane
from tests.real.processes import eventually

ACCOUNT = "looker"
RBAC = "rbac.authorization.k8s.io"
LOOK = frozenset({Want.target, Want.workload})


class NoSwitch:
    """Nothing is ever written here."""

    async def refuses(self) -> str:
        return "looks only"


class Watcher:
    """The real client, observers and runner, over one namespace."""

    def __init__(self, client: Kubernetes, namespace: str) -> None:
        self.client = client
        self.namespace = namespace
        self.scope = Scope(cluster="default", namespaces=frozenset({namespace}))
        self.bounds = replace(Bounds(), evict_pod_age=timedelta(0))
        self._runner = self.runner()

    def runner(self, *, nodes: bool = False, recent: Recent | None = None) -> LookRunner:
        """A process of its own: it has read nothing yet."""
        scope = replace(self.scope, nodes=nodes)
        return LookRunner(observers(Eyes(scope=scope, bounds=self.bounds, kubernetes=self.client, recent=recent)), SystemClock())

    async def look(self, *hints: Hint) -> Facts:
        return await self._runner.look(Look(LOOK, timedelta(seconds=10), hints=hints or (self.hint(name="web"),)))

    async def workload(self, kind: str = "Deployment") -> Workload:
        """As a receiver that has just started sees it."""
        facts = await self.runner().look(self.asked(kind))
        assert facts.workload is not None, (facts.trouble, facts.trouble_detail)
        return facts.workload

    def asked(self, kind: str = "Deployment") -> Look:
        return Look(LOOK, timedelta(seconds=10), ref=TargetRef("kubernetes", "default", self.namespace, kind, "web"))

    async def until(self, wanted: Callable[[Workload], bool], what: str, *, kind: str = "Deployment") -> Workload:
        last: list[Workload] = []

        async def seen() -> bool:
            last[:] = [await self.workload(kind)]
            return wanted(last[0])

        try:
            await eventually(seen, what=what, within=60)
        except TimeoutError as late:
            raise TimeoutError(f"{late}: {last}") from late
        return last[0]

    def hint(self, **said: str) -> Hint:
        return Hint(namespace=self.namespace, **said)


async def watcher_of(plane: ControlPlane, namespace: str, *, server: str | None = None) -> Watcher:
    """With the rights in force. `server`: a proxy before the API server."""
    await plane.admin.apply(rights(namespace))
    token = await plane.token(ACCOUNT, namespace)
    kubeconfig: Path = plane.kubeconfig(token, server=server)
    config = KubernetesConfig(kubeconfig=kubeconfig, namespaces=frozenset({namespace}), per_second=200, burst=200)
    found = Watcher(Kubernetes(config, clock=SystemClock(), kill_switch=NoSwitch()), namespace)

    async def granted() -> bool:
        return (await found.look(found.hint(name="nothing"))).trouble is Trouble.not_found

    await eventually(granted, what="the rights in force")
    return found


def rights(namespace: str) -> list[Object]:
    """What the observers declare, in the namespace; of nodes in the whole cluster."""
    declared = [
        *(each for kind in OBSERVERS for each in kind.permissions),
        *(each for kind in KUBERNETES_EVIDENCE for each in kind.permissions),
    ]
    name = f"{ACCOUNT}-{namespace}"
    subject = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace}
    found: list[Object] = []
    nodes = [each for kind in NODE_OBSERVERS for each in kind.permissions if each.resource == "nodes"]
    for kind, where, permissions in (("Role", {"namespace": namespace}, declared), ("ClusterRole", {}, nodes)):
        metadata: Object = {"name": name, **where}
        reference = {"apiGroup": RBAC, "kind": kind, "name": name}
        found += [
            {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": metadata, "rules": _rules(permissions)},
            {"apiVersion": f"{RBAC}/v1", "kind": f"{kind}Binding", "metadata": metadata, "roleRef": reference, "subjects": [subject]},
        ]
    return found


def _rules(permissions: Iterable[Permission]) -> list[Object]:
    return [{"apiGroups": [each.group], "resources": [each.resource], "verbs": list(each.verbs)} for each in permissions]
