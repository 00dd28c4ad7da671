"""A reading of an ECS service as facts: counts, rollout, tasks. Pure.

A deployment that is not of ECS's rolling update (or stands behind a classic load balancer) tells no `rolloutState`: its counts must do.
What a target group calls unhealthy is not available, whatever ECS counts (`ecs_targets.py`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from receiver.clients.ecs import Object, primary, short, utc
from receiver.clients.errors import plain
from receiver.core.deployments import FAILED_TASKS
from receiver.core.facts import Foreign, Pods, RolloutState, Workload
from receiver.observe import ecs_targets
from receiver.observe.ecs_reading import ROLLING_BACK, Reading

UNPLACED = "unable to place"
LATELY = timedelta(minutes=10)
"""An event of ECS that is older says nothing about now; it repeats itself while the trouble lasts."""


def describe(reading: Reading, *, at: datetime) -> Workload:
    """Without dangers and undo plan."""
    service, newest = reading.service, primary(reading.service)
    desired, running = _int(service.get("desiredCount")), _int(service.get("runningCount"))
    counted = min(running, desired)  # what runs beside them during a rollout makes up for no unhealthy target
    healthy = min([running, *(ecs_targets.healthy(each, reading.running, running=counted) for each in reading.targets.values())])
    state, detail = _rollout(service)
    swing = service.get("deploymentConfiguration") or {}
    definition = str(service.get("taskDefinition") or "")
    made = utc(newest.get("createdAt"))
    return Workload(
        resource_version=str(newest.get("id") or ""),
        generation=0,
        replicas=desired,
        current=running,
        updated=_int(newest.get("runningCount")),
        ready=healthy,
        available=healthy,
        rollout=state,
        rollout_detail=plain(detail),
        kind="Service",
        revision=short(definition),
        revision_at=made,
        program_at=program_began(reading, definition) or made,
        template_hash=definition,
        max_unavailable=desired - math.ceil(desired * _int(swing.get("minimumHealthyPercent"), 100) / 100),
        max_surge=math.floor(desired * (_int(swing.get("maximumPercent"), 200) - 100) / 100),
        pods=_pods(reading, newest, desired, running, at),
        foreign=Foreign(at=made, manager=f"deployment {newest.get('id')}", after_revision=False) if made else None,
        images=images(reading.definitions.get(definition, {})),
        deployment=str(newest.get("id") or ""),
        rolling_back=bool(reading.history) and reading.history[0].status in ROLLING_BACK,
    )


def images(definition: Object) -> tuple[str, ...]:
    """Of its containers."""
    return tuple(sorted(str(each.get("image")) for each in definition.get("containerDefinitions") or () if each.get("image")))


def program_began(reading: Reading, present: str) -> datetime | None:
    """Since when the present task definition stands: a deployment that only replaced its tasks, or was rolled back, began nothing."""
    began = None
    for each in reading.history:
        if each.rolled_back:
            continue
        if each.task_definition != present:
            break
        began = each.created_at or began
    return began


def _rollout(service: Object) -> tuple[RolloutState, str]:
    newest, deployments = primary(service), service.get("deployments") or ()
    said, reason = str(newest.get("rolloutState") or ""), str(newest.get("rolloutStateReason") or "")
    if said == "FAILED":
        return RolloutState.stuck, reason or "the deployment failed"
    if said == "IN_PROGRESS":
        return RolloutState.progressing, reason
    if len(deployments) != 1:
        return RolloutState.progressing, f"{len(deployments)} deployments"
    if not said and _int(newest.get("runningCount")) != _int(newest.get("desiredCount")):
        return RolloutState.progressing, "its counts differ"
    return RolloutState.complete, reason


def _pods(reading: Reading, newest: Object, desired: int, running: int, at: datetime) -> Pods:
    """Tasks, in the words of pods."""
    starts = [moment for each in reading.running if (moment := utc(each.get("createdAt")))]
    ends = Counter(_end(each) for each in reading.stopped if each.get("startedBy") == newest.get("id"))
    failed = _int(newest.get("failedTasks"))
    return Pods(
        total=max(running, len(reading.running)),
        ready=running,
        newest_at=max(starts, default=None),
        unschedulable=desired - running if running < desired and _unplaced(reading.service, at) else 0,
        waiting={FAILED_TASKS: failed} if failed else {},
        terminated=dict(ends.most_common(5)),
        alike=len(ends) == 1 and not running,
    )


def _end(task: Object) -> str:
    codes = {each.get("exitCode") for each in task.get("containers") or () if each.get("exitCode") is not None}
    if codes:
        return "exit " + ", ".join(str(each) for each in sorted(codes))
    return plain(str(task.get("stopCode") or task.get("stoppedReason") or "stopped"), limit=60)


def _unplaced(service: Mapping[str, object], at: datetime) -> bool:
    events = service.get("events")
    recent: Sequence[Object] = events if isinstance(events, list) else ()
    return any(UNPLACED in str(each.get("message")) and (moment := utc(each.get("createdAt"))) and at - moment < LATELY for each in recent)


def _int(value: object, otherwise: int = 0) -> int:
    return value if isinstance(value, int) else otherwise
