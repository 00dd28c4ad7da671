"""A live workload as facts: counts, rollout, history, pods, hazards, marks, undo plan. Second of the Kubernetes observers.

Law: one reading, complete or not at all; the uid must still be the target's. Everything after the reading is pure.
"""

from __future__ import annotations

from dataclasses import replace

from receiver.clients.errors import ClientError, plain
from receiver.clients.kubernetes_objects import (
    attempt_marks,
    generation,
    resource_version,
    revision,
    template,
    template_hash,
    uid,
)
from receiver.core.facts import Facts, Look, Trouble, UndoPlan, Want, Workload
from receiver.core.model import Bounds
from receiver.observe import consent, differences, pods, revisions, rollout
from receiver.observe.dangers import dangers
from receiver.observe.live import Live, read_live
from receiver.observe.ownership import last_scaled, newest_foreign
from receiver.observe.reader import PLATFORM, Reader, trouble_of
from receiver.observe.scope import Scope
from receiver.observe.undo_plan import undo_plan
from receiver.ports import Permission

LISTED = ("get", "list")


class WorkloadObserver:
    """Fills `workload`, or `trouble`."""

    name = "kubernetes.workload"
    permissions: tuple[Permission, ...] = (
        Permission(PLATFORM, "apps", "deployments", LISTED[:1]),
        Permission(PLATFORM, "apps", "statefulsets", LISTED[:1]),
        Permission(PLATFORM, "apps", "daemonsets", LISTED[:1]),
        Permission(PLATFORM, "apps", "replicasets", LISTED),
        Permission(PLATFORM, "", "pods", LISTED),
        Permission(PLATFORM, "", "namespaces", LISTED[:1]),
        Permission(PLATFORM, "", "resourcequotas", LISTED),
        Permission(PLATFORM, "autoscaling", "horizontalpodautoscalers", LISTED),
        Permission(PLATFORM, "policy", "poddisruptionbudgets", LISTED),
        Permission(PLATFORM, "argoproj.io", "rollouts", LISTED),
        Permission(PLATFORM, "flagger.app", "canaries", LISTED),
        Permission(PLATFORM, "keda.sh", "scaledobjects", LISTED),
        Permission(PLATFORM, "autoscaling.k8s.io", "verticalpodautoscalers", LISTED),
    )

    def __init__(self, reader: Reader, scope: Scope, bounds: Bounds) -> None:
        self._reader = reader
        self._scope = scope
        self._bounds = bounds

    async def look(self, look: Look, facts: Facts) -> Facts:
        """Needs the target that the observer before it found."""
        target = facts.target
        if not look.wants & {Want.workload, Want.breadth} or target is None or target.ref.platform != PLATFORM:
            return facts
        try:
            live = await read_live(self._reader, target.ref, at=facts.at)
        except ClientError as error:
            return replace(facts, trouble=trouble_of(error), trouble_detail=error.text)
        if uid(live.obj) != target.uid:
            return replace(facts, trouble=Trouble.replaced, trouble_detail=f"{target.ref.key} is another object now")
        return replace(facts, workload=describe(live, self._scope, self._bounds))


def describe(live: Live, scope: Scope, bounds: Bounds) -> Workload:
    """The facts of one reading."""
    if live.ref.kind != "Deployment":
        return _counted(live, scope)
    newest = revisions.current(live.obj, live.replica_sets)
    revision_at = revisions.began(live.obj, live.replica_sets, newest) if newest else None
    swing = rollout.swing(live.obj)
    return replace(
        _counted(live, scope),
        revision=str(revision(live.obj) or ""),
        revision_at=revision_at,
        recreate=swing.recreate,
        max_unavailable=swing.max_unavailable,
        max_surge=swing.max_surge,
        pods=pods.summary(live.pods, newest_owner=uid(newest) if newest else ""),
        undo=undo_plan(live.obj, live.replica_sets, known_good_for=bounds.known_good_for),
        foreign=newest_foreign(live.obj, revision_at=revision_at, scaled_at=(last_scaled(newest) if newest else None) or live.at),
    )


def _counted(live: Live, scope: Scope) -> Workload:
    """What every kind has."""
    n = rollout.counts(live.obj, live.ref.kind)
    state, detail = rollout.state(live.obj, live.ref.kind)
    return Workload(
        resource_version=resource_version(live.obj),
        generation=generation(live.obj),
        replicas=n.asked,
        current=n.current,
        updated=n.updated,
        ready=n.ready,
        available=n.available,
        rollout=state,
        rollout_detail=plain(detail),
        kind=live.ref.kind,
        template_hash=template_hash(template(live.obj)),
        pods=pods.summary(live.pods, newest_owner=uid(live.obj)),
        dangers=dangers(live, scope),
        undo=UndoPlan(refusal=f"{live.ref.kind}: only Deployments are undone"),
        foreign=newest_foreign(live.obj, revision_at=None, scaled_at=live.at),
        marks=attempt_marks(live.obj),
        max_replicas=consent.max_replicas(live.obj, live.namespace),
        images=differences.images(template(live.obj)),
    )
