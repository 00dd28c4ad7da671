"""The one pod of a workload whose eviction could help, and what the disruption budgets over it still allow. Pure.

A StatefulSet's ordinal that stays on a revision which was rolled away from comes first, the highest of them: its controller waits for it
for ever (`remediation.md` 1.3). Then what crashes, then what is not ready for longest. A pod that finds no node is none: the next one
would not either.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from receiver.clients.kubernetes_objects import Object, generation, metadata, name, observed_generation, uid
from receiver.core.facts import Victim
from receiver.observe import pods, rollout
from receiver.observe.ailments import CONFIG_ERROR
from receiver.observe.live import Live
from receiver.observe.selectors import selects


def victim(live: Live, *, unready_for: timedelta) -> Victim | None:
    """None: no pod is bad, or none for long enough."""
    stuck = _stuck(live)
    if stuck:
        chosen = max(stuck, key=ordinal)
        return _victim(live, chosen, f"stuck on revision {pods.revision_label(chosen)}", stuck=True)
    bad = [(badness, each) for each in live.pods if (badness := _badness(each, live.at, unready_for)) is not None]
    if not bad:
        return None
    (_, __, reason), chosen = min(bad, key=lambda each: (each[0], name(each[1])))
    return _victim(live, chosen, reason, stuck=False)


def budgets_over(live: Live, pod: Object) -> list[Object]:
    """The PodDisruptionBudgets that select it."""
    labels = metadata(pod).get("labels") or {}
    return [each for each in live.around["PodDisruptionBudget"] if selects((each.get("spec") or {}).get("selector"), labels)]


def ordinal(pod: Object) -> int:
    """Of a StatefulSet's pod; by its label (from 1.28 on), else as its controller writes the name."""
    text = str((metadata(pod).get("labels") or {}).get("apps.kubernetes.io/pod-index") or name(pod).rpartition("-")[2])
    return int(text) if text.isascii() and text.isdigit() else -1


def _stuck(live: Live) -> list[Object]:
    """Only where pods wait for each other; those below a partition keep their revision by wish."""
    if not rollout.ordered(live.obj, live.kind) or not rollout.observed(live.obj) or rollout.by_hand(live.obj):
        return []
    wanted = str((live.obj.get("status") or {}).get("updateRevision") or "")
    behind = [each for each in live.pods if pods.living(each) and wanted and pods.revision_label(each) not in ("", wanted)]
    return [each for each in behind if not pods.ready(each) and ordinal(each) >= rollout.partition(live.obj)]


def _badness(pod: Object, now: datetime, unready_for: timedelta) -> tuple[int, float, str] | None:
    """Lowest first: what it is like, since when, in words."""
    since = pods.unready_since(pod)
    if not pods.living(pod) or since is None or pods.unschedulable(pod):
        return None
    loops = sorted(pods.waiting_reasons(pod) & CONFIG_ERROR)
    if loops:
        return 0, since.timestamp(), loops[0]
    if now - since < unready_for:
        return None
    return 1, since.timestamp(), f"not ready for {int((now - since).total_seconds() // 60)}m"


def _victim(live: Live, pod: Object, reason: str, *, stuck: bool) -> Victim:
    return Victim(
        name=name(pod),
        uid=uid(pod),
        created_at=pods.created(pod) or live.at,
        reason=reason,
        ready=pods.ready(pod),
        stuck=stuck,
        allowed=_allowed(budgets_over(live, pod), ready=pods.ready(pod)),
    )


def _allowed(budgets: Sequence[Object], *, ready: bool) -> int | None:
    return min((_of_budget(each, ready=ready) for each in budgets), default=None)


def _of_budget(budget: Object, *, ready: bool) -> int:
    """As the eviction API reads it: https://kubernetes.io/docs/tasks/run-application/configure-pdb/#unhealthy-pod-eviction-policy."""
    spec, status = budget.get("spec") or {}, budget.get("status") or {}
    allowed = int(status.get("disruptionsAllowed") or 0)
    if observed_generation(budget) < generation(budget):
        return 0
    if allowed or ready:
        return allowed
    healthy, wanted = int(status.get("currentHealthy") or 0), int(status.get("desiredHealthy") or 0)
    return 1 if spec.get("unhealthyPodEvictionPolicy") == "AlwaysAllow" or healthy >= wanted > 0 else 0
