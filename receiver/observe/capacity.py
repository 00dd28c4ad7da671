"""Is there room for more pods of a workload, or for fewer while it restarts: scheduler, nodes, quotas, limits, disruption budgets. Pure.

A scale-up into a cluster without room turns `Available` to False with every old pod healthy (`remediation.md` 0.10): the remediator would
make the next alert itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

from receiver.clients.kubernetes_objects import Object, generation, metadata, name, observed_generation, template, uid
from receiver.core.case import Verb
from receiver.core.facts import Danger, Hazard
from receiver.core.model import Bounds
from receiver.observe import nodes, pods, rollout
from receiver.observe.live import Live
from receiver.observe.quantity import asked, quantity
from receiver.observe.selectors import selects
from receiver.observe.victim import budgets_over, victim

SCALE, RESTART, EVICT = Verb.scale.value, Verb.restart.value, Verb.evict.value

CROWD = 5
"""More pods of the namespace than these without a node: the cluster is full, whoever they belong to."""

_STEP = Bounds()
"""The largest step that any rule may take: rules only tighten."""

_COUNTED = {"pods": "pods", "count/pods": "pods"}
_SHORT = {each: f"requests.{each}" for each in ("cpu", "memory", "ephemeral-storage")}
"""A quota may say `cpu` for `requests.cpu`."""


def unschedulable(live: Live) -> Iterator[Danger]:
    """A pod that finds no node already: more of them would not either, nor a restart's surge."""
    waiting = [name(each) for each in live.pods if pods.living(each) and pods.unschedulable(each)]
    crowd = [name(each) for each in live.pending if pods.living(each) and pods.unschedulable(each)]
    if waiting:
        yield Danger(Hazard.unschedulable, f"{len(waiting)} pods cannot be scheduled, as {waiting[0]}", (SCALE, RESTART))
    elif len(crowd) > CROWD:
        yield Danger(Hazard.unschedulable, f"{len(crowd)} pods of the namespace cannot be scheduled, as {crowd[0]}", (SCALE, RESTART))


def sick_nodes(live: Live) -> Iterator[Danger]:
    """Where nodes may be read: more pods would find a node less, or be driven away from one that is short."""
    sick = [f"{name(each)} ({said})" for each in live.nodes if (said := nodes.against(each, live.at))]
    surge = rollout.swing(live.obj, live.kind).max_surge
    if sick:
        detail = f"{len(sick)} of {len(live.nodes)} nodes are not well, as {sick[0]}"
        yield Danger(Hazard.unschedulable, detail, (SCALE, RESTART) if surge else (SCALE,))


def moving_nodes(live: Live) -> Iterator[Danger]:
    """An upgrade or a drain moves pods by itself; what we remove on top is a person's decision."""
    moving = nodes.in_motion(live.nodes)
    if moving:
        yield Danger(Hazard.nodes_in_motion, moving, (RESTART, EVICT), asks=True)


def quotas(live: Live) -> Iterator[Danger]:
    """Each quota of the namespace against the step of a scale, and against the surge of a restart."""
    step = largest_step(rollout.counts(live.obj, live.kind).asked)
    surge = rollout.swing(live.obj, live.kind).max_surge
    one = _one_pod(live)
    for quota in live.around["ResourceQuota"]:
        if "Terminating" in ((quota.get("spec") or {}).get("scopes") or ()):
            continue  # for pods with a deadline: jobs
        try:
            lacking = {verb: _lacking(quota, one, more) for verb, more in ((SCALE, step), (RESTART, surge)) if more}
        except ValueError as error:
            yield Danger(Hazard.quota, f"ResourceQuota {name(quota)} cannot be read: {error}", (SCALE, RESTART))
            continue
        verbs = tuple(verb for verb, what in lacking.items() if what)
        if verbs:
            yield Danger(Hazard.quota, f"ResourceQuota {name(quota)} has no room: {lacking[verbs[0]]}", verbs)


def budgets(live: Live) -> Iterator[Danger]:
    """Rollouts do not consult disruption budgets: we do, before a restart. With nothing available there is nothing left to protect."""
    if rollout.counts(live.obj, live.kind).available == 0:
        return
    labels = metadata(template(live.obj)).get("labels") or {}
    taken = rollout.swing(live.obj, live.kind).max_unavailable
    for each in live.around["PodDisruptionBudget"]:
        if not selects((each.get("spec") or {}).get("selector"), labels):
            continue
        status = each.get("status") or {}
        healthy, wanted = int(status.get("currentHealthy") or 0), int(status.get("desiredHealthy") or 0)
        if observed_generation(each) < generation(each):
            yield Danger(Hazard.pdb, f"PodDisruptionBudget {name(each)} is not observed yet", (RESTART,))
        elif healthy - taken < wanted:
            detail = f"PodDisruptionBudget {name(each)} wants {wanted} healthy of now {healthy}, a restart takes {taken}"
            yield Danger(Hazard.pdb, detail, (RESTART,))


def budgets_of_victim(live: Live, unready_for: timedelta) -> Iterator[Danger]:
    """Two budgets over one pod: the eviction API refuses it with a 500, whatever they allow."""
    bad = victim(live, unready_for=unready_for)
    over = budgets_over(live, next(each for each in live.pods if uid(each) == bad.uid)) if bad else []
    if bad and len(over) > 1:
        yield Danger(Hazard.pdb, f"{len(over)} PodDisruptionBudgets select {bad.name}: it cannot be evicted", (EVICT,))


def limits(live: Live) -> Iterator[Danger]:
    """A LimitRange that the template as it stands does not fit into: new pods would not be admitted."""
    spec = template(live.obj).get("spec") or {}
    for each in live.around["LimitRange"]:
        try:
            broken = next((said for limit in (each.get("spec") or {}).get("limits") or () if (said := _outside(limit, spec))), "")
        except ValueError as error:
            broken = f"it cannot be read: {error}"
        if broken:
            yield Danger(Hazard.quota, f"LimitRange {name(each)} admits no new pods: {broken}", (SCALE, RESTART))


def largest_step(replicas: int) -> int:
    """Pods that one scale-up may add at most."""
    return max(1, min(math.ceil(replicas * _STEP.scale_step), _STEP.scale_step_max))


def _one_pod(live: Live) -> Mapping[str, Decimal]:
    """What the next pod counts: as the newest living one was admitted (defaults of a LimitRange filled in), else as the template says."""
    alive = sorted((each for each in live.pods if pods.living(each)), key=lambda each: str(metadata(each).get("creationTimestamp")))
    spec = (alive[-1] if alive else template(live.obj)).get("spec") or {}
    sides = {side: asked(spec, side=side) for side in ("requests", "limits")}
    return {"pods": Decimal(1), **{f"{side}.{key}": amount for side, amounts in sides.items() for key, amount in amounts.items()}}


def _outside(limit: Mapping[str, Any], spec: Mapping[str, Any]) -> str:
    """What in the pod, or in one of its containers, is above the maximum or below the minimum; empty: it fits."""
    parts: dict[str, list[Mapping[str, Any]]] = {
        "Pod": [spec],
        "Container": [{"containers": [each]} for each in spec.get("containers") or ()],
    }
    for part in parts.get(str(limit.get("type")), ()):
        asks, most = asked(part, side="requests"), asked(part, side="limits")
        for key, bound in (limit.get("max") or {}).items():
            amount = most.get(key, asks.get(key))
            if amount is not None and amount > quantity(bound):
                return f"{key} {amount.normalize():f} is above its maximum {bound}"
        for key, bound in (limit.get("min") or {}).items():
            if key in asks and asks[key] < quantity(bound):
                return f"{key} {asks[key].normalize():f} is below its minimum {bound}"
    return ""


def _lacking(quota: Object, one: Mapping[str, Decimal], more: int) -> str:
    """The first resource that `more` pods would exceed; empty: there is room."""
    status = quota.get("status") or {}
    for resource, hard in (status.get("hard") or (quota.get("spec") or {}).get("hard") or {}).items():
        need = one.get(_COUNTED.get(resource, _SHORT.get(resource, resource)), Decimal(0)) * more
        used = quantity((status.get("used") or {}).get(resource, "0"))
        if need and used + need > quantity(hard):
            return f"{resource} {used.normalize():f} of {quantity(hard).normalize():f} used, {more} more pods need {need.normalize():f}"
    return ""
