"""Who changed an object: we (the marks of our attempts), or somebody else, and when.

From `managedFields` (https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management): one entry a manager, operation
and subresource, with the time of its newest change. Writes to status and by the control plane never count (`house.md` 6.9). Pure.

An entry made through `/scale` has no time at all (seen on 1.34.4), so a person's `kubectl scale` is dated by what follows at once: the
controller's last write of the ReplicaSet (of a StatefulSet: of its status). That is the scale or later, so the doubt refuses for longer,
never for shorter.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from receiver.clients.errors import plain
from receiver.clients.kubernetes_objects import FIELD_MANAGER, Object, metadata, parse_time
from receiver.core.facts import Foreign

CONTROL_PLANE = frozenset(
    {"cloud-controller-manager", "deployment-controller", "horizontal-pod-autoscaler", "kube-apiserver", "kube-controller-manager"}
    | {"kube-scheduler", "kubelet"}
)
"""Managers that carry out what others asked for. The autoscaler among them is a hazard of its own."""

SETTLING = timedelta(seconds=5)
"""A pipeline's annotations follow its template within seconds: still the same change. Times have whole seconds."""


def newest_foreign(obj: Object, *, revision_at: datetime | None, scaled_at: datetime) -> Foreign | None:
    """The newest change by somebody who is neither we nor the control plane; those without a time happened at `scaled_at`."""
    found = [(parse_time(each.get("time")) or scaled_at, str(each.get("manager", ""))) for each in _foreign(obj)]
    if not found:
        return None
    at, manager = max(found)
    return Foreign(at=at, manager=plain(manager, limit=128), after_revision=revision_at is None or at > revision_at + SETTLING)


def last_scaled(replica_set: Object) -> datetime | None:
    """When the control plane last wrote the ReplicaSet itself: its count, or an annotation copied from its Deployment."""
    entries = metadata(replica_set).get("managedFields") or ()
    own = (each for each in entries if not each.get("subresource") and each.get("manager") in CONTROL_PLANE)
    return max((moment for each in own if (moment := parse_time(each.get("time")))), default=None)


def last_status(obj: Object) -> datetime | None:
    """When the control plane last wrote its status: after every scale, and never before it."""
    entries = metadata(obj).get("managedFields") or ()
    own = (each for each in entries if each.get("subresource") == "status" and each.get("manager") in CONTROL_PLANE)
    return max((moment for each in own if (moment := parse_time(each.get("time")))), default=None)


def newest_of_node(node: Object) -> Foreign | None:
    """The newest change of a node's spec by somebody else. Agents of networks and clouds write labels and annotations all the time."""
    entries = [each for each in _foreign(node) if "f:spec" in (each.get("fieldsV1") or {})]
    found = [(moment, str(each.get("manager", ""))) for each in entries if (moment := parse_time(each.get("time")))]
    if not found:
        return None
    at, manager = max(found)
    return Foreign(at=at, manager=plain(manager, limit=128), after_revision=True)


def managers(obj: Object) -> set[str]:
    """Every manager of a field of it."""
    return {str(each.get("manager", "")) for each in metadata(obj).get("managedFields") or ()}


def _foreign(obj: Object) -> list[Mapping[str, Any]]:
    return [each for each in metadata(obj).get("managedFields") or () if each.get("subresource") != "status" and not _excused(each)]


def _excused(entry: Mapping[str, Any]) -> bool:
    manager = str(entry.get("manager", ""))
    return manager in CONTROL_PLANE or manager.startswith(FIELD_MANAGER)
