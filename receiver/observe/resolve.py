"""From what labels or the catalogue say to one live object, by uid (`remediation.md` 4).

Law: nothing is guessed. Each hop is a controller ownerReference whose uid is compared; a name is never cut; every hint of a look must end
at the same uid. What cannot be shown is a trouble. First of the Kubernetes observers. A node has no namespace, and is a target only where
nodes may be read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from receiver.clients.errors import ClientError, ErrorKind
from receiver.clients.kubernetes_objects import Object, controller, metadata, name, template, uid
from receiver.core.facts import Facts, Hint, Look, Trouble, Want
from receiver.core.model import Target, TargetRef
from receiver.observe.live import HISTORY
from receiver.observe.pods import living
from receiver.observe.reader import PLATFORM, Reader, trouble_of
from receiver.observe.readings import Readings
from receiver.observe.scope import Scope
from receiver.observe.selectors import selector_text
from receiver.ports import Permission

HINTS_LIMIT = 32
"""Distinct hints that one look follows; more are not one target."""
OWNERS_LIMIT = 8
"""Distinct controllers behind a Service that are followed."""
CHAIN_SHOWN = 5

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Rollout")
"""Kinds that a chain may end at. A Rollout is only bound and shown: `dangers` refuses every verb on it."""
NODE = "Node"
_KINDS = {each.lower(): each for each in (*WORKLOADS, "ReplicaSet")}

EXPORTERS = frozenset({"kube-state-metrics", "node-exporter", "prometheus-node-exporter"})
_NAME_LABELS = ("app.kubernetes.io/name", "k8s-app", "app")


class _Unresolved(Exception):
    """An answer that ends the walk."""

    def __init__(self, trouble: Trouble, detail: str) -> None:
        super().__init__(detail)
        self.trouble = trouble
        self.detail = detail


@dataclass(frozen=True, slots=True)
class _Found:
    kind: str
    obj: Object
    chain: str


class TargetObserver:
    """Fills `target` and `chain`, or `trouble`."""

    name = "kubernetes.target"
    permissions: tuple[Permission, ...] = (
        Permission(PLATFORM, "apps", "deployments", ("get",)),
        Permission(PLATFORM, "apps", "replicasets", ("get",)),
        Permission(PLATFORM, "apps", "statefulsets", ("get",)),
        Permission(PLATFORM, "apps", "daemonsets", ("get",)),
        Permission(PLATFORM, "argoproj.io", "rollouts", ("get",)),
        Permission(PLATFORM, "", "pods", ("get", "list")),
        Permission(PLATFORM, "", "services", ("get",)),
        Permission(PLATFORM, "autoscaling", "horizontalpodautoscalers", ("get",)),
    )

    def __init__(self, readings: Readings, scope: Scope) -> None:
        self._readings = readings
        self._scope = scope

    async def look(self, look: Look, facts: Facts) -> Facts:
        """A look that wants neither target nor state, or whose target is another platform's, passes through."""
        if not look.wants & {Want.target, Want.workload, Want.breadth} or _elsewhere(look):
            return facts
        walk = _Walk(self._readings.begin(look, facts.at), self._scope)
        try:
            found, chain = await self._resolve(look, walk)
        except _Unresolved as ended:
            self._readings.forget(look)
            return replace(facts, trouble=ended.trouble, trouble_detail=ended.detail)
        except ClientError as error:
            self._readings.forget(look)
            return replace(facts, trouble=trouble_of(error), trouble_detail=error.text)
        ref = TargetRef(PLATFORM, self._scope.cluster, metadata(found.obj).get("namespace", ""), found.kind, name(found.obj))
        return replace(facts, target=Target(ref, uid(found.obj)), chain=chain)

    async def _resolve(self, look: Look, walk: _Walk) -> tuple[_Found, tuple[str, ...]]:
        if look.ref is not None:
            found = await walk.referred(look.ref)
            chain: tuple[str, ...] = (found.chain,)
        else:
            found, chain = await _one(look.hints, walk)
        if look.uid and uid(found.obj) != look.uid:
            raise _Unresolved(Trouble.replaced, f"{found.chain} is not the object that was bound (uid {look.uid})")
        return found, chain


def _elsewhere(look: Look) -> bool:
    """Its target is another platform's."""
    if look.ref is not None:
        return look.ref.platform != PLATFORM
    return bool(look.hints) and all(each.platform != PLATFORM for each in look.hints)


async def _one(hints: Iterable[Hint], walk: _Walk) -> tuple[_Found, tuple[str, ...]]:
    """The one object that all of them mean; hints that name nothing say nothing against it."""
    speaking = [each for each in dict.fromkeys(hints) if not each.empty]
    if not speaking:
        raise _Unresolved(Trouble.no_labels, "no label names a workload, pod, service, autoscaler or node")
    if foreign := [each for each in speaking if each.platform != PLATFORM]:
        raise _Unresolved(Trouble.ambiguous, f"the alerts point at {foreign[0].platform} as well as at {PLATFORM}")
    if len(speaking) > HINTS_LIMIT:
        raise _Unresolved(Trouble.ambiguous, f"{len(speaking)} different targets are named, at most {HINTS_LIMIT} are followed")
    found = [await walk.hinted(each) for each in speaking]
    if len({uid(each.obj) for each in found}) > 1:
        ends = sorted({f"{each.kind} {name(each.obj)}" for each in found})
        raise _Unresolved(Trouble.ambiguous, f"the alerts point at {', '.join(ends)}"[:256])
    return found[0], tuple(each.chain for each in found[:CHAIN_SHOWN])


class _Walk:
    """The reading of one look."""

    def __init__(self, reader: Reader, scope: Scope) -> None:
        self._reader = reader
        self._scope = scope
        self._met = False
        self._first: _Found | None = None

    async def referred(self, ref: TargetRef) -> _Found:
        """Named by the catalogue or by an earlier look."""
        if ref.kind == NODE:
            return await self._node(ref.cluster, ref.name)
        self._enter(ref.cluster, ref.namespace)
        if ref.kind not in WORKLOADS:
            raise _Unresolved(Trouble.unsupported_kind, f"{ref.key}: kind is none of {', '.join(WORKLOADS)}")
        obj = await self._get(ref.kind, ref.namespace, ref.name)
        return _Found(ref.kind, obj, _said(ref.kind, obj))

    async def hinted(self, hint: Hint) -> _Found:
        """Workload before autoscaler before pod before Service: the exporter's own pod and service stand beside a named workload."""
        if hint.node and not (hint.name or hint.hpa or hint.pod or hint.service):
            return await self._node(hint.cluster, hint.node)
        self._enter(hint.cluster, hint.namespace)
        if hint.name:
            found = await self._named(hint.kind or "Deployment", hint.namespace, hint.name, said="")
        elif hint.hpa:
            found = await self._scaled(hint.namespace, hint.hpa)
        elif hint.pod:
            found = await self._of_pod(hint.namespace, hint.pod)
        else:
            found = await self._served(hint.namespace, hint.service)
        if _exporter(found.obj):
            raise _Unresolved(Trouble.exporter, f"{found.chain}: the labels are the exporter's own")
        return found

    async def _of_pod(self, namespace: str, named: str) -> _Found:
        """Pods of one incident are mostly siblings: after the first one, they are looked for among those of its workload."""
        if self._first is not None and not self._met:
            await self._meet_siblings(self._first)
        pod = await self._get("Pod", namespace, named)
        found = await self._climb("Pod", pod, _said("Pod", pod))
        self._first = self._first or found
        return found

    async def _meet_siblings(self, first: _Found) -> None:
        """Lists that the workload's own observer asks for too, in the place of a read for each pod: the reader knows what it has listed."""
        self._met = True
        selector = selector_text((first.obj.get("spec") or {}).get("selector") or {})
        namespace = metadata(first.obj).get("namespace", "")
        if selector:
            for kind in ("Pod", *(("ReplicaSet",) if HISTORY.get(first.kind) == "ReplicaSet" else ())):
                await self._reader.list(kind, namespace, label_selector=selector)

    async def _node(self, cluster: str, named: str) -> _Found:
        self._at_home(cluster)
        if not self._scope.nodes:
            raise _Unresolved(Trouble.unsupported_kind, f"node {named}: nodes are not read unless kubernetes.nodes is set to true")
        obj = await self._get(NODE, "", named)
        return _Found(NODE, obj, f"Node {name(obj)} ({uid(obj)})")

    def _at_home(self, cluster: str) -> None:
        if cluster and cluster != self._scope.cluster:
            raise _Unresolved(Trouble.foreign_cluster, f"cluster {cluster[:64]!r}, ours is {self._scope.cluster!r}")

    def _enter(self, cluster: str, namespace: str) -> None:
        self._at_home(cluster)
        if not namespace:
            raise _Unresolved(Trouble.no_labels, "no label names the namespace")
        refused = self._scope.refuses(namespace)
        if refused:
            raise _Unresolved(Trouble.namespace_not_allowed, refused[:256])

    async def _named(self, kind: str, namespace: str, named: str, *, said: str) -> _Found:
        known = _KINDS.get(kind.lower())
        if known is None:
            raise _Unresolved(Trouble.unsupported_kind, f"{said}{kind[:64]} {named}: kind is none of {', '.join(WORKLOADS)}")
        obj = await self._get(known, namespace, named)
        return await self._climb(known, obj, said + _said(known, obj))

    async def _scaled(self, namespace: str, hpa: str) -> _Found:
        obj = await self._get("HorizontalPodAutoscaler", namespace, hpa)
        aim = (obj.get("spec") or {}).get("scaleTargetRef") or {}
        said = _said("HorizontalPodAutoscaler", obj) + " -> "
        return await self._named(str(aim.get("kind", "")), namespace, str(aim.get("name", "")), said=said)

    async def _served(self, namespace: str, service: str) -> _Found:
        obj = await self._get("Service", namespace, service)
        selector = (obj.get("spec") or {}).get("selector") or {}
        if not selector:
            raise _Unresolved(Trouble.not_found, f"Service {namespace}/{service} selects no pods")
        pods = await self._reader.list("Pod", namespace, label_selector=selector_text({"matchLabels": selector}))
        by_controller = {controller(each): each for each in pods if living(each)}
        if not by_controller:
            raise _Unresolved(Trouble.not_found, f"Service {namespace}/{service} has no pods")
        if len(by_controller) > OWNERS_LIMIT:
            raise _Unresolved(Trouble.ambiguous, f"Service {namespace}/{service}: more than {OWNERS_LIMIT} controllers own its pods")
        said = _said("Service", obj) + " -> "
        ends = [await self._climb("Pod", each, said + _said("Pod", each)) for each in by_controller.values()]
        if len({uid(each.obj) for each in ends}) > 1:
            names = ", ".join(sorted({f"{each.kind} {name(each.obj)}" for each in ends}))
            raise _Unresolved(Trouble.ambiguous, f"Service {namespace}/{service} stands before {names}"[:256])
        return ends[0]

    async def _climb(self, kind: str, obj: Object, said: str) -> _Found:
        """From a pod or ReplicaSet to the workload that controls it."""
        while kind not in WORKLOADS:
            owner = controller(obj)
            if owner is None:
                raise _Unresolved(Trouble.unsupported_kind, f"{said} has no controller")
            kind, owner_name, owner_uid = owner
            if kind not in _KINDS.values():
                raise _Unresolved(Trouble.unsupported_kind, f"{said} -> {kind} {owner_name}: kind is none of {', '.join(WORKLOADS)}"[:256])
            obj = await self._get(kind, metadata(obj).get("namespace", ""), owner_name)
            if uid(obj) != owner_uid:
                raise _Unresolved(Trouble.not_found, f"{said} -> {kind} {owner_name} was deleted: another object has its name now"[:256])
            said = f"{said} -> {_said(kind, obj)}"
        return _Found(kind, obj, said)

    async def _get(self, kind: str, namespace: str, named: str) -> Object:
        try:
            return await self._reader.get(kind, namespace, named)
        except ClientError as error:
            if error.kind is not ErrorKind.not_found:
                raise
            said = f"{namespace}/{named}" if namespace else named
            raise _Unresolved(Trouble.not_found, f"{kind} {said} does not exist") from error


def _said(kind: str, obj: Mapping[str, object]) -> str:
    return f"{kind} {metadata(obj).get('namespace', '')}/{name(obj)} ({uid(obj)})"


def _exporter(obj: Object) -> bool:
    labels = (metadata(obj).get("labels") or {}, metadata(template(obj)).get("labels") or {})
    return any(each.get(key) in EXPORTERS for each in labels for key in _NAME_LABELS)
