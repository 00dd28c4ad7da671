"""One reading of a workload and all that stands around it, as raw JSON.

Law: complete or not at all: a failing list fails the reading. The object is read first, so what is read after it is at least as new. What
cannot change a verdict is not read: events and vertical autoscalers are only asked about when pods are unwell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from receiver.clients.errors import ClientError, ErrorKind
from receiver.clients.kubernetes_objects import Object, generation, observed_generation, uid
from receiver.core.model import TargetRef
from receiver.observe import pods as pods_
from receiver.observe.reader import Reader, together
from receiver.observe.selectors import selector_text

AROUND = (
    "HorizontalPodAutoscaler",
    "PodDisruptionBudget",
    "ResourceQuota",
    "LimitRange",
    "Rollout",
    "Canary",
    "ScaledObject",
)
"""Listed whole in the namespace: each may name our workload. The custom ones have no items where they are not installed."""
VERTICAL = "VerticalPodAutoscaler"
"""Matters only once memory has killed a pod."""

HISTORY = {"Deployment": "ReplicaSet", "Rollout": "ReplicaSet", "StatefulSet": "ControllerRevision", "DaemonSet": "ControllerRevision"}
"""The kind of object that keeps each revision's template."""

PENDING = "status.phase=Pending"
UNHEALTHY = "reason=Unhealthy"
"""Events of kubelet about a probe that failed."""
EVENTS_LIVE = timedelta(hours=1)
"""So long the API server keeps events unless told otherwise: an older restart has none."""


@dataclass(frozen=True, slots=True)
class Core:
    """The object itself and what it controls."""

    obj: Object
    history: tuple[Object, ...]
    """ReplicaSets or ControllerRevisions that it controls."""
    pods: tuple[Object, ...]
    """Controlled by it or by its ReplicaSets."""


@dataclass(frozen=True, slots=True)
class Live:
    """Raw objects; the lists hold what belongs to the workload or stands in its namespace."""

    ref: TargetRef
    at: datetime
    """When the reading began."""
    core: Core
    namespace: Object
    around: dict[str, list[Object]] = field(default_factory=dict)
    """Kind → objects of the namespace."""
    events: tuple[Object, ...] = ()
    """Of failing probes in the namespace; none are read while its pods are well."""
    pending: tuple[Object, ...] = ()
    """Pods of the namespace that do not run yet."""
    nodes: tuple[Object, ...] = ()
    """Of the cluster, slim; none where nodes may not be read."""

    @property
    def obj(self) -> Object:
        """The workload."""
        return self.core.obj

    @property
    def pods(self) -> tuple[Object, ...]:
        """Its own."""
        return self.core.pods

    @property
    def kind(self) -> str:
        """As `Deployment`."""
        return self.ref.kind


@dataclass(frozen=True, slots=True)
class Past:
    """The history as an earlier reading found it. It changes only with the object's generation."""

    at: datetime
    uid: str
    generation: int
    history: tuple[Object, ...]

    def of(self, obj: Object) -> bool:
        """Nobody has changed the object since, and its controller has no work left that could add to the history."""
        return (self.uid, self.generation) == (uid(obj), generation(obj)) and observed_generation(obj) >= self.generation


async def read_core(reader: Reader, ref: TargetRef, past: Past | None = None) -> Core:
    """The object, its history and its pods. The history is not read again where `past` still holds, and every pod descends from it."""
    obj = await reader.get(ref.kind, ref.namespace, ref.name)
    selector = selector_of(obj, ref)
    if past is not None and past.of(obj):
        pods = await reader.list("Pod", ref.namespace, label_selector=selector)
        core = Core(obj, past.history, own_pods(obj, past.history, pods))
        if _descend(core, pods):
            return core
    found, pods = await together(
        reader.list(HISTORY[ref.kind], ref.namespace, label_selector=selector),
        reader.list("Pod", ref.namespace, label_selector=selector),
    )
    history = tuple(each for each in found if pods_.owner(each) == uid(obj))
    return Core(obj, history, own_pods(obj, history, pods))


def _descend(core: Core, found: Sequence[Object]) -> bool:
    """All pods that match are its own, and of revisions that are known: otherwise there may be a new one."""
    known = {mark for each in core.history for mark in (uid(each), *pods_.revision_marks(each))}
    marks = {pods_.revision_label(each) or pods_.owner(each) for each in core.pods}
    return len(core.pods) == len(found) and marks <= known


def own_pods(obj: Object, history: Sequence[Object], pods: Sequence[Object]) -> tuple[Object, ...]:
    """Those that it controls, itself or by a ReplicaSet."""
    owners = {uid(obj), *map(uid, history)}
    return tuple(each for each in pods if pods_.owner(each) in owners)


def selector_of(obj: Object, ref: TargetRef) -> str:
    """As text; ClientError where it has none."""
    found = selector_text((obj.get("spec") or {}).get("selector") or {})
    if not found:
        raise ClientError(ErrorKind.bad_answer, f"{ref.key} has no selector: its pods cannot be told")
    return found


async def read_live(reader: Reader, ref: TargetRef, *, at: datetime, past: Past | None = None, nodes: bool = False) -> Live:
    """Everything that `workload.describe` needs; ClientError says what could not be read."""
    core = await read_core(reader, ref, past)
    namespaces, *lists = await together(
        _one(reader, "Namespace", ref.namespace),
        *(reader.list(kind, ref.namespace) for kind in AROUND),
    )
    around = dict(zip(AROUND, lists, strict=True))
    events, around[VERTICAL], pending, cluster = await together(
        _list(reader, "Event", ref.namespace, UNHEALTHY, when=_unwell(core, at)),
        _list(reader, VERTICAL, ref.namespace, "", when=any(pods_.killed_for_memory(each) for each in core.pods)),
        _list(reader, "Pod", ref.namespace, PENDING, when=not any(map(pods_.unschedulable, core.pods))),
        _list(reader, "Node", "", "", when=nodes),
    )
    return Live(
        ref=ref,
        at=at,
        core=core,
        namespace=namespaces[0],
        around=around,
        events=tuple(events),
        pending=tuple(pending),
        nodes=tuple(cluster),
    )


def _unwell(core: Core, at: datetime) -> bool:
    """A pod is not ready, or was restarted lately enough for its events to be there still."""
    alive = [each for each in core.pods if pods_.living(each)]
    return any(not pods_.ready(each) or pods_.ended_since(each, at - EVENTS_LIVE) for each in alive)


async def _one(reader: Reader, kind: str, name: str) -> list[Object]:
    return [await reader.get(kind, name, name)]


async def _list(reader: Reader, kind: str, namespace: str, fields: str, *, when: bool) -> list[Object]:
    return await reader.list(kind, namespace, field_selector=fields) if when else []
