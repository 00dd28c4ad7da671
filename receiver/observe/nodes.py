"""Nodes as raw JSON: what speaks against one, whose cordon it is, and whether a cluster is being upgraded or drained. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from receiver.clients.kubernetes_objects import Object, metadata, name, parse_time, unschedulable

CONTROL_PLANE = frozenset({"node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"})
"""Label, and key of a taint."""
PRESSURES = ("MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable")
# https://kubernetes.io/docs/reference/node/node-status/#condition
IN_MOTION = 2
"""So many nodes cordoned or not ready at once are no single sick node."""


def slim(node: Object) -> Object:
    """What the functions below read, without the images and addresses that make a node large."""
    meta, spec, status = metadata(node), node.get("spec") or {}, node.get("status") or {}
    return {
        "metadata": {key: meta[key] for key in ("name", "uid", "labels", "annotations") if key in meta},
        "spec": {key: spec[key] for key in ("unschedulable", "taints") if key in spec},
        "status": {
            "conditions": status.get("conditions") or [],
            "nodeInfo": {"kubeletVersion": (status.get("nodeInfo") or {}).get("kubeletVersion", "")},
        },
    }


def ready(node: Object) -> bool:
    """Its kubelet says so, and lately enough: otherwise the condition is Unknown."""
    return _condition(node, "Ready").get("status") == "True"


def control_plane(node: Object) -> bool:
    """By label or by taint."""
    taints = {each.get("key") for each in (node.get("spec") or {}).get("taints") or ()}
    return bool(CONTROL_PLANE & (set(metadata(node).get("labels") or ()) | taints))


def pressures(node: Object) -> list[str]:
    """As `MemoryPressure`."""
    return [each for each in PRESSURES if _condition(node, each).get("status") == "True"]


def sound(condition: Mapping[str, Any]) -> bool:
    """It speaks for its node: Ready holds, any other does not."""
    return condition.get("status") == ("True" if condition.get("type") == "Ready" else "False")


def against(node: Object, now: datetime) -> str:
    """All that its conditions say against it, as `MemoryPressure; NotReady for 4m`; empty for a sound one."""
    found = pressures(node)
    if not ready(node):
        since = parse_time(_condition(node, "Ready").get("lastTransitionTime"))
        found.append("NotReady" + (f" for {int((now - since).total_seconds() // 60)}m" if since else ""))
    return "; ".join(found)


def versions(nodes: Iterable[Object]) -> tuple[str, ...]:
    """Kubelet versions, each once."""
    found = {str(((each.get("status") or {}).get("nodeInfo") or {}).get("kubeletVersion") or "") for each in nodes}
    return tuple(sorted(found - {""}))


def in_motion(nodes: Sequence[Object]) -> str:
    """Why the cluster looks like one under upgrade or drain; empty: it does not."""
    moving = sorted(name(each) for each in nodes if unschedulable(each) or not ready(each))
    found = [f"{len(moving)} of {len(nodes)} nodes are cordoned or not ready, as {moving[0]}"] if len(moving) >= IN_MOTION else []
    kubelets = versions(nodes)
    if len(kubelets) > 1:
        found.append(f"kubelets of versions {', '.join(kubelets)}")
    return "; ".join(found)


def _condition(node: Object, kind: str) -> Mapping[str, Any]:
    conditions = (node.get("status") or {}).get("conditions") or ()
    return next((each for each in conditions if each.get("type") == kind), {})
