"""One reading of a workload and all that stands around it, as raw JSON.

Law: complete or not at all: a failing list fails the reading. The object is read first, so what is read after it is at least as new.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from receiver.clients.errors import ClientError, ErrorKind
from receiver.clients.kubernetes_objects import Object, uid
from receiver.core.model import TargetRef
from receiver.observe.pods import owner
from receiver.observe.reader import Reader, together
from receiver.observe.selectors import selector_text

AROUND = (
    "HorizontalPodAutoscaler",
    "PodDisruptionBudget",
    "ResourceQuota",
    "Rollout",
    "Canary",
    "ScaledObject",
    "VerticalPodAutoscaler",
)
"""Listed whole in the namespace: each may name our workload. The custom ones have no items where they are not installed."""


@dataclass(frozen=True, slots=True)
class Live:
    """Raw objects; the lists hold what belongs to the workload or stands in its namespace."""

    ref: TargetRef
    at: datetime
    """When the reading began."""
    obj: Object
    namespace: Object
    replica_sets: tuple[Object, ...]
    """Controlled by the object."""
    pods: tuple[Object, ...]
    """Controlled by the object or by its ReplicaSets."""
    around: dict[str, list[Object]]
    """Kind → objects of the namespace."""


async def read_core(reader: Reader, ref: TargetRef) -> tuple[Object, tuple[Object, ...], tuple[Object, ...]]:
    """The object, its ReplicaSets and its pods."""
    obj = await reader.get(ref.kind, ref.namespace, ref.name)
    selector = selector_text((obj.get("spec") or {}).get("selector") or {})
    if not selector:
        raise ClientError(ErrorKind.bad_answer, f"{ref.key} has no selector: its pods cannot be told")
    sets, pods = await together(
        reader.list("ReplicaSet", ref.namespace, label_selector=selector),
        reader.list("Pod", ref.namespace, label_selector=selector),
    )
    own_sets = tuple(each for each in sets if owner(each) == uid(obj))
    owners = {uid(obj), *map(uid, own_sets)}
    return obj, own_sets, tuple(each for each in pods if owner(each) in owners)


async def read_live(reader: Reader, ref: TargetRef, *, at: datetime) -> Live:
    """Everything that `workload.describe` needs; ClientError says what could not be read."""
    obj, sets, pods = await read_core(reader, ref)
    namespaces, *lists = await together(
        _one(reader, "Namespace", ref.namespace),
        *(reader.list(kind, ref.namespace) for kind in AROUND),
    )
    around = dict(zip(AROUND, lists, strict=True))
    return Live(ref=ref, at=at, obj=obj, namespace=namespaces[0], replica_sets=sets, pods=pods, around=around)


async def _one(reader: Reader, kind: str, name: str) -> list[Object]:
    return [await reader.get(kind, name, name)]
