"""How far a rollout is, by the controller's own rule (`remediation.md` 1.4), and what a rollout may take down. Pure.

"Complete" has two readings. A Deployment's controller means `updated == replicas == available == asked`; once it has been reached the
controller keeps saying so (reason NewReplicaSetAvailable) when pods fail later: the rollout is over, the pods are unwell. Only so a restart
of an old version whose pods fail is told from a rollout that never worked. For the other kinds it is over when every pod carries the newest
revision, and for a StatefulSet once its controller has also made that revision the current one, which takes ready pods.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from receiver.clients.errors import plain
from receiver.clients.kubernetes_objects import Object, generation, observed_generation
from receiver.core.facts import RolloutState

# https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#rolling-update-deployment
DEFAULT_SHARE = "25%"

_FIELDS = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
_DAEMON_FIELDS = ("desiredNumberScheduled", "currentNumberScheduled", "updatedNumberScheduled", "numberReady", "numberAvailable")


@dataclass(frozen=True, slots=True)
class Counts:
    """Pods, as spec and status say; absent in a status means 0."""

    asked: int
    current: int
    updated: int
    ready: int
    available: int


@dataclass(frozen=True, slots=True)
class Swing:
    """What a rollout may do to the count."""

    recreate: bool
    max_unavailable: int
    max_surge: int


def counts(obj: Object, kind: str = "Deployment") -> Counts:
    """Of a Deployment, StatefulSet or DaemonSet."""
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    if kind == "DaemonSet":
        return Counts(*(int(status.get(each) or 0) for each in _DAEMON_FIELDS))
    asked = spec.get("replicas")
    return Counts(1 if asked is None else int(asked), *(int(status.get(each) or 0) for each in _FIELDS))


def observed(obj: Object) -> bool:
    """Its controller has seen the newest generation: the status speaks of what the spec asks."""
    return observed_generation(obj) >= generation(obj)


def paused(obj: Object) -> bool:
    """`spec.paused`."""
    return (obj.get("spec") or {}).get("paused") is True


def state(obj: Object, kind: str = "Deployment") -> tuple[RolloutState, str]:
    """The state and one sentence why."""
    n = counts(obj, kind)
    figures = f"{n.updated} of {n.asked} updated, {n.available} available"
    if not observed(obj):
        return RolloutState.progressing, f"generation {generation(obj)} is not observed yet"
    stuck = _stuck(obj)
    if stuck:
        return RolloutState.stuck, stuck
    if kind == "StatefulSet":
        over = _ordinals_done(obj, n)
    elif kind == "DaemonSet":
        over = n.current >= n.asked and (n.updated >= n.asked or by_hand(obj))
    else:
        over = n.updated == n.current == n.available == n.asked or _was_complete(obj, n)
    return (RolloutState.complete if over else RolloutState.progressing), figures


def by_hand(obj: Object) -> bool:
    """Strategy OnDelete of a StatefulSet or DaemonSet: a new template reaches a pod when somebody deletes it."""
    return ((obj.get("spec") or {}).get("updateStrategy") or {}).get("type") == "OnDelete"


def partition(obj: Object) -> int:
    """Of a StatefulSet: ordinals below it keep their revision."""
    return int((_rolling(obj, "updateStrategy")).get("partition") or 0)


def ordered(obj: Object, kind: str) -> bool:
    """A StatefulSet whose pods start one after the other."""
    return kind == "StatefulSet" and (obj.get("spec") or {}).get("podManagementPolicy", "OrderedReady") == "OrderedReady"


def swing(obj: Object, kind: str = "Deployment") -> Swing:
    """Percent are of the replicas asked for.

    Deployments: surge rounds up, unavailable down, and both 0 means 1 unavailable. DaemonSets: both round up. StatefulSets: one ordinal at
    a time, unless the alpha field maxUnavailable says more.
    """
    replicas = counts(obj, kind).asked
    if kind == "Deployment":
        return _of_deployment(obj, replicas)
    if by_hand(obj):
        return Swing(recreate=False, max_unavailable=0, max_surge=0)
    rolling = _rolling(obj, "updateStrategy")
    surge = _pods(rolling.get("maxSurge", 0), replicas, up=True) if kind == "DaemonSet" else 0
    unavailable = _pods(rolling.get("maxUnavailable", 1), replicas, up=True)
    return Swing(recreate=False, max_unavailable=min(replicas, unavailable if surge or unavailable else 1), max_surge=surge)


def _of_deployment(obj: Object, replicas: int) -> Swing:
    strategy = (obj.get("spec") or {}).get("strategy") or {}
    if strategy.get("type") == "Recreate":
        return Swing(recreate=True, max_unavailable=replicas, max_surge=0)
    rolling = _rolling(obj, "strategy")
    surge = _pods(rolling.get("maxSurge", DEFAULT_SHARE), replicas, up=True)
    unavailable = _pods(rolling.get("maxUnavailable", DEFAULT_SHARE), replicas, up=False)
    return Swing(recreate=False, max_unavailable=min(replicas, unavailable if surge or unavailable else 1), max_surge=surge)


def condition(obj: Object, kind: str) -> Mapping[str, Any]:
    """The condition of that type, or empty."""
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return next((each for each in conditions if each.get("type") == kind), {})


def _stuck(obj: Object) -> str:
    failure = condition(obj, "ReplicaFailure")
    if failure.get("status") == "True":
        return plain(f"{failure.get('reason')}: {failure.get('message')}")
    progressing = condition(obj, "Progressing")
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        return plain(f"ProgressDeadlineExceeded: {progressing.get('message')}")
    return ""


def _ordinals_done(obj: Object, n: Counts) -> bool:
    """Of a StatefulSet."""
    status = obj.get("status") or {}
    if n.current != n.asked or by_hand(obj):
        return n.current == n.asked
    kept = min(n.asked, partition(obj))
    if kept:
        return n.updated >= n.asked - kept
    return n.updated == n.asked and status.get("updateRevision") == status.get("currentRevision")


def _rolling(obj: Object, field: str) -> Mapping[str, Any]:
    return ((obj.get("spec") or {}).get(field) or {}).get("rollingUpdate") or {}


def _was_complete(obj: Object, n: Counts) -> bool:
    return condition(obj, "Progressing").get("reason") == "NewReplicaSetAvailable" and n.updated == n.current == n.asked


def _pods(value: object, replicas: int, *, up: bool) -> int:
    text = str(value)
    if not text.endswith("%"):
        return int(text)
    share = int(text[:-1]) * replicas
    return -(-share // 100) if up else share // 100
