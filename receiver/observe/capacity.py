"""Is there room for more pods of a workload, or for fewer while it restarts: scheduler, quotas, disruption budgets. Pure.

A scale-up into a cluster without room turns `Available` to False with every old pod healthy (`remediation.md` 0.10): the remediator would
make the next alert itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from decimal import Decimal

from receiver.clients.kubernetes_objects import Object, generation, metadata, name, observed_generation, template
from receiver.core.case import Verb
from receiver.core.facts import Danger, Hazard
from receiver.core.model import Bounds
from receiver.observe import pods, rollout
from receiver.observe.live import Live
from receiver.observe.quantity import asked, quantity
from receiver.observe.selectors import selects

SCALE, RESTART = Verb.scale.value, Verb.restart.value

_STEP = Bounds()
"""The largest step that any rule may take: rules only tighten."""

_COUNTED = {"pods": "pods", "count/pods": "pods"}
_SHORT = {each: f"requests.{each}" for each in ("cpu", "memory", "ephemeral-storage")}
"""A quota may say `cpu` for `requests.cpu`."""


def unschedulable(live: Live) -> Iterator[Danger]:
    """A pod that finds no node already: more of them would not either, nor a restart's surge."""
    waiting = [name(each) for each in live.pods if pods.living(each) and pods.unschedulable(each)]
    if waiting:
        yield Danger(Hazard.unschedulable, f"{len(waiting)} pods cannot be scheduled, as {waiting[0]}", (SCALE, RESTART))


def quotas(live: Live) -> Iterator[Danger]:
    """Each quota of the namespace against the step of a scale, and against the surge of a restart."""
    step = largest_step(rollout.counts(live.obj).asked)
    surge = rollout.swing(live.obj).max_surge
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
    if rollout.counts(live.obj).available == 0:
        return
    labels = metadata(template(live.obj)).get("labels") or {}
    taken = rollout.swing(live.obj).max_unavailable
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


def largest_step(replicas: int) -> int:
    """Pods that one scale-up may add at most."""
    return max(1, min(math.ceil(replicas * _STEP.scale_step), _STEP.scale_step_max))


def _one_pod(live: Live) -> Mapping[str, Decimal]:
    """What the next pod counts: as the newest living one was admitted (defaults of a LimitRange filled in), else as the template says."""
    alive = sorted((each for each in live.pods if pods.living(each)), key=lambda each: str(metadata(each).get("creationTimestamp")))
    spec = (alive[-1] if alive else template(live.obj)).get("spec") or {}
    sides = {side: asked(spec, side=side) for side in ("requests", "limits")}
    return {"pods": Decimal(1), **{f"{side}.{key}": amount for side, amounts in sides.items() for key, amount in amounts.items()}}


def _lacking(quota: Object, one: Mapping[str, Decimal], more: int) -> str:
    """The first resource that `more` pods would exceed; empty: there is room."""
    status = quota.get("status") or {}
    for resource, hard in (status.get("hard") or (quota.get("spec") or {}).get("hard") or {}).items():
        need = one.get(_COUNTED.get(resource, _SHORT.get(resource, resource)), Decimal(0)) * more
        used = quantity((status.get("used") or {}).get(resource, "0"))
        if need and used + need > quantity(hard):
            return f"{resource} {used.normalize():f} of {quantity(hard).normalize():f} used, {more} more pods need {need.normalize():f}"
    return ""
