"""The pods of a workload, counted: what they wait for, what ended them, whether all share one fate. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from receiver.clients.kubernetes_objects import Object, controller, metadata, parse_time
from receiver.core.facts import Pods

STARTING = frozenset({"ContainerCreating", "PodInitializing"})
"""Reasons to wait that every healthy pod passes through."""
REASONS_KEPT = 8
"""Kinds of reasons that are shown."""
REVISION_LABEL = "controller-revision-hash"
"""Of a pod of a StatefulSet or DaemonSet: the ControllerRevision that it was made from."""


def living(pod: Object) -> bool:
    """Counted by its controller: not being deleted, not ended."""
    return "deletionTimestamp" not in metadata(pod) and (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")


def summary(pods: Iterable[Object], *, newest: str) -> Pods:
    """`pods` are the workload's own; `newest` is what those of the current revision carry: `revisions.Step.mark`, or their owner's uid."""
    alive = [each for each in pods if living(each)]
    return Pods(
        total=len(alive),
        ready=sum(ready(each) for each in alive),
        newest_at=max((each for each in map(created, alive) if each), default=None),
        unschedulable=sum(map(unschedulable, alive)),
        restarts=sum(_restarts(each) for each in alive if newest and newest in (owner(each), revision_label(each))),
        waiting=_counted(waiting_reasons(each) - STARTING for each in alive),
        terminated=_counted(map(_endings, alive)),
        alike=_alike(alive),
    )


def owner(pod: Object) -> str:
    """The uid of what controls it; empty for a bare pod."""
    return (controller(pod) or ("", "", ""))[2]


def revision_label(pod: Object) -> str:
    """Of the ControllerRevision that it was made from; empty for a Deployment's."""
    return str((metadata(pod).get("labels") or {}).get(REVISION_LABEL) or "")


def revision_marks(controller_revision: Object) -> tuple[str, str]:
    """What pods made from it may carry: a StatefulSet's the whole name, a DaemonSet's only its hash."""
    meta = metadata(controller_revision)
    return str(meta.get("name") or ""), str((meta.get("labels") or {}).get(REVISION_LABEL) or "")


def ready(pod: Object) -> bool:
    """Its Ready condition holds."""
    return _condition(pod, "Ready").get("status") == "True"


def unready_since(pod: Object) -> datetime | None:
    """When its Ready condition was last lost, or its creation while it never held; None for a ready one."""
    if ready(pod):
        return None
    return parse_time(_condition(pod, "Ready").get("lastTransitionTime")) or created(pod)


def unschedulable(pod: Object) -> bool:
    """The scheduler finds no node for it."""
    condition = _condition(pod, "PodScheduled")
    return condition.get("status") == "False" and condition.get("reason") == "Unschedulable"


def containers(pod: Object) -> list[Mapping[str, Any]]:
    """The statuses of its containers, those of the initial ones too."""
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def waiting_reasons(pod: Object) -> set[str]:
    """Of all containers that wait, as the kubelet names them."""
    found = (((each.get("state") or {}).get("waiting") or {}).get("reason") for each in containers(pod))
    return {str(each) for each in found if each}


def ended_since(pod: Object, moment: datetime) -> bool:
    """A container of it ended after that, and was started again."""
    ends = ((each.get("lastState") or {}).get("terminated") or {} for each in containers(pod))
    return any(at is not None and at >= moment for at in (parse_time(each.get("finishedAt")) for each in ends))


def last_words(pod: Object) -> list[str]:
    """What its containers left as their termination messages, or wait for."""
    found = []
    for each in containers(pod):
        for state in (each.get("state") or {}, each.get("lastState") or {}):
            found += [str(part["message"]) for part in state.values() if isinstance(part, Mapping) and part.get("message")]
    return found


def killed_for_memory(pod: Object) -> bool:
    """Some container of it, the last time it ended."""
    ends = (
        (each.get("lastState") or {}).get("terminated") or (each.get("state") or {}).get("terminated") or {} for each in containers(pod)
    )
    return any(each.get("reason") == "OOMKilled" for each in ends)


def early_oom(pod: Object, *, within: timedelta) -> bool:
    """A container was killed for its memory sooner than `within` after it started."""
    for each in containers(pod):
        end = (each.get("lastState") or {}).get("terminated") or (each.get("state") or {}).get("terminated") or {}
        started, finished = parse_time(end.get("startedAt")), parse_time(end.get("finishedAt"))
        if end.get("reason") == "OOMKilled" and (started is None or finished is None or finished - started < within):
            return True
    return False


def _condition(pod: Object, kind: str) -> Mapping[str, Any]:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return next((each for each in conditions if each.get("type") == kind), {})


def created(pod: Object) -> datetime | None:
    """When it was made."""
    return parse_time(metadata(pod).get("creationTimestamp"))


def _restarts(pod: Object) -> int:
    return sum(int(each.get("restartCount") or 0) for each in containers(pod))


def _counted(found: Iterable[set[str]]) -> dict[str, int]:
    """Pods by reason; a pod counts once for each reason that it has."""
    return dict(Counter(reason for each in found for reason in sorted(each)).most_common(REASONS_KEPT))


def _endings(pod: Object) -> set[str]:
    ends = [(each.get("state") or {}).get("terminated") or (each.get("lastState") or {}).get("terminated") for each in containers(pod)]
    return {_ending(each) for each in ends if each and each.get("reason") != "Completed"}


def _ending(end: Mapping[str, Any]) -> str:
    reason = end.get("reason")
    return str(reason) if reason and reason != "Error" else f"exit {end.get('exitCode')}"


def _alike(alive: list[Object]) -> bool:
    states = {_failure(each) for each in alive}
    return len(states) == 1 and None not in states


def _failure(pod: Object) -> str | None:
    """The failed state that a pod is in; None for one that is ready or still starting."""
    if ready(pod):
        return None
    if unschedulable(pod):
        return "unschedulable"
    reasons = waiting_reasons(pod)
    if reasons - STARTING:
        return ",".join(sorted(reasons - STARTING))
    if reasons or not containers(pod):
        return None
    return "ended" if any((each.get("state") or {}).get("terminated") for each in _mains(pod)) else "not ready"


def _mains(pod: Object) -> Iterable[Mapping[str, Any]]:
    return (pod.get("status") or {}).get("containerStatuses") or ()
