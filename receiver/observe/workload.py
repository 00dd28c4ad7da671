"""A live workload as facts: counts, rollout, history, pods, hazards, marks, undo plan, the pod to evict. After the target's observer.

Law: one reading, complete or not at all; the uid must still be the target's. Everything after the reading is pure. A light look reads the
object and its pods alone, and tells the rest as the full look before it did: it proves, and never permits (`Facts.light`). Once somebody
has changed the object the next look is a full one again, so who it was is named.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from receiver.clients.errors import ClientError, ErrorKind, plain
from receiver.clients.kubernetes_objects import (
    Object,
    attempt_marks,
    generation,
    name,
    resource_version,
    template,
    template_hash,
    uid,
)
from receiver.core.facts import Facts, Look, Trouble, Want, Workload
from receiver.core.model import Bounds, Target
from receiver.observe import consent, differences, pods, revisions, rollout
from receiver.observe.dangers import dangers
from receiver.observe.live import Core, Live, Past, read_core, read_live
from receiver.observe.ownership import last_status, newest_foreign
from receiver.observe.reader import PLATFORM, Reader, trouble_of
from receiver.observe.readings import KEPT_FOR, Readings, Recent
from receiver.observe.revisions import Step
from receiver.observe.scope import Scope
from receiver.observe.undo_plan import undo_plan
from receiver.observe.victim import victim
from receiver.ports import Permission

LISTED = ("get", "list")
NODE = "Node"
REMEMBERED = 64
"""Workloads whose last full reading is kept for light looks; beyond that the oldest take a full one again."""


MOST_STRANGERS = 5
"""Pods that alerts tell and that are not among the workload's own: most of them are simply gone."""


class _Stranger(Exception):
    """The alerts of one incident speak of two things."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What a light look does not read."""

    seen: Workload
    past: Past


class WorkloadObserver:
    """Fills `workload`, or `trouble`."""

    name = "kubernetes.workload"
    permissions: tuple[Permission, ...] = (
        Permission(PLATFORM, "apps", "deployments", LISTED[:1]),
        Permission(PLATFORM, "apps", "statefulsets", LISTED[:1]),
        Permission(PLATFORM, "apps", "daemonsets", LISTED[:1]),
        Permission(PLATFORM, "apps", "replicasets", LISTED),
        Permission(PLATFORM, "apps", "controllerrevisions", LISTED),
        Permission(PLATFORM, "", "pods", LISTED),
        Permission(PLATFORM, "", "events", LISTED),
        Permission(PLATFORM, "", "namespaces", LISTED[:1]),
        Permission(PLATFORM, "", "resourcequotas", LISTED),
        Permission(PLATFORM, "", "limitranges", LISTED),
        Permission(PLATFORM, "autoscaling", "horizontalpodautoscalers", LISTED),
        Permission(PLATFORM, "policy", "poddisruptionbudgets", LISTED),
        Permission(PLATFORM, "argoproj.io", "rollouts", LISTED),
        Permission(PLATFORM, "flagger.app", "canaries", LISTED),
        Permission(PLATFORM, "keda.sh", "scaledobjects", LISTED),
        Permission(PLATFORM, "autoscaling.k8s.io", "verticalpodautoscalers", LISTED),
    )

    def __init__(
        self,
        readings: Readings,
        scope: Scope,
        bounds: Bounds,
        *,
        health: Callable[[], str] | None = None,
        recent: Recent | None = None,
    ) -> None:
        self._readings = readings
        self._scope = scope
        self._bounds = bounds
        self._health = health or (lambda: "")
        self._recent = recent or Recent()
        self._known: dict[str, _Known] = {}

    async def look(self, look: Look, facts: Facts) -> Facts:
        """Needs the target that the observer before it found."""
        target = facts.target
        if not look.wants & {Want.workload, Want.breadth} or target is None or target.ref.platform != PLATFORM or target.ref.kind == NODE:
            return facts
        sick = self._health()
        if sick:
            return replace(facts, trouble=Trouble.api_unhealthy, trouble_detail=plain(sick))
        reader = self._readings.resume(look, facts.at)
        try:
            found = await self._light(reader, look, target) or await self._full(reader, look, target, facts)
        except ClientError as error:
            return replace(facts, trouble=trouble_of(error), trouble_detail=error.text)
        except _Stranger as stranger:
            return replace(facts, trouble=Trouble.ambiguous, trouble_detail=plain(str(stranger)))
        sick = self._health()
        if sick:  # what was just read may be old
            return replace(facts, trouble=Trouble.api_unhealthy, trouble_detail=plain(sick))
        if found is None:
            return replace(facts, trouble=Trouble.replaced, trouble_detail=f"{target.ref.key} is another object now")
        seen, light = found
        return replace(facts, workload=seen, light=light)

    async def _full(self, reader: Reader, look: Look, target: Target, facts: Facts) -> tuple[Workload, bool] | None:
        known = self._known.get(target.uid)
        past = known.past if known is not None and abs(facts.at - known.past.at) < KEPT_FOR else None
        live = await read_live(reader, target.ref, at=facts.at, past=past, nodes=self._scope.nodes)
        if uid(live.obj) != target.uid:
            return None
        await _no_strangers(reader, look, live)
        seen = describe(live, self._scope, self._bounds)
        self._recent.keep(live.core, facts.at)
        if past is None or live.core.history is not past.history:
            past = Past(facts.at, target.uid, generation(live.obj), live.core.history)
        self._remember(target.uid, _Known(seen, past))
        return replace(seen, pod_present=_present(look, live.pods)), False

    def _remember(self, key: str, known: _Known) -> None:
        self._known.pop(key, None)
        while len(self._known) >= REMEMBERED:
            del self._known[next(iter(self._known))]
        self._known[key] = known

    async def _light(self, reader: Reader, look: Look, target: Target) -> tuple[Workload, bool] | None:
        """Two reads; None where a full look is needed: the object was changed since the last one, or its pods are of unknown descent."""
        known = self._known.get(target.uid) if look.light else None
        if known is None:
            return None
        core = await read_core(reader, target.ref, known.past)
        if core.history is not known.past.history:
            return None
        kind = target.ref.kind
        newest = revisions.current(core, kind, revisions.steps(core, kind))
        if newest is None:
            return None
        seen = _updated(known.seen, _counted(core, kind, newest))
        return replace(seen, pod_present=_present(look, core.pods)), True


async def _no_strangers(reader: Reader, look: Look, live: Live) -> None:
    """Alerts that joined a bound incident may tell a pod of something else: one that is there and is not ours makes two targets."""
    known = {name(each) for each in live.pods}
    told = dict.fromkeys(each.pod for each in look.hints if look.uid and each.pod and each.namespace == live.ref.namespace)
    for pod in [each for each in told if each not in known][:MOST_STRANGERS]:
        try:
            await reader.get("Pod", live.ref.namespace, pod)
        except ClientError as error:
            if error.kind is not ErrorKind.not_found:
                raise
        else:
            raise _Stranger(f"an alert tells pod {pod}, which is none of {live.ref.kind} {live.ref.name}")


def describe(live: Live, scope: Scope, bounds: Bounds) -> Workload:
    """The facts of one reading."""
    core, kind = live.core, live.kind
    history = revisions.steps(core, kind)
    newest = revisions.current(core, kind, history)
    revision_at = revisions.began(core.obj, history, newest) if newest else None
    scaled_at = (newest.scaled_at if newest else None) or (last_status(core.obj) if kind == "StatefulSet" else None) or live.at
    return replace(
        _counted(core, kind, newest),
        revision=str(revisions.number(core, kind, history) or ""),
        revision_at=revision_at,
        program_at=revisions.program_began(core.obj, history, newest) if newest else None,
        dangers=dangers(live, scope, unready_for=bounds.evict_pod_age),
        undo=undo_plan(core, kind, history, known_good_for=bounds.known_good_for),
        foreign=newest_foreign(core.obj, revision_at=revision_at, scaled_at=scaled_at),
        max_replicas=consent.max_replicas(core.obj, live.namespace),
        victim=victim(live, unready_for=bounds.evict_pod_age),
    )


def _counted(core: Core, kind: str, newest: Step | None) -> Workload:
    """What the object and its pods say by themselves."""
    obj = core.obj
    n = rollout.counts(obj, kind)
    state, detail = rollout.state(obj, kind)
    swing = rollout.swing(obj, kind)
    return Workload(
        resource_version=resource_version(obj),
        generation=generation(obj),
        replicas=n.asked,
        current=n.current,
        updated=n.updated,
        ready=n.ready,
        available=n.available,
        rollout=state,
        rollout_detail=plain(detail),
        kind=kind,
        revision=str(newest.number) if newest else "",
        template_hash=template_hash(template(obj)),
        recreate=swing.recreate,
        max_unavailable=swing.max_unavailable,
        max_surge=swing.max_surge,
        pods=pods.summary(core.pods, newest=newest.mark if newest else _any_revision(core, kind)),
        marks=attempt_marks(obj),
        images=differences.images(template(obj)),
        ordered=rollout.ordered(obj, kind),
    )


def _updated(known: Workload, now: Workload) -> Workload:
    """What is seen now, with all that a light look does not read as it was known."""
    return replace(
        now,
        revision_at=known.revision_at,
        program_at=known.program_at,
        dangers=known.dangers,
        undo=known.undo,
        foreign=known.foreign,
        max_replicas=known.max_replicas,
        victim=known.victim,
    )


def _any_revision(core: Core, kind: str) -> str:
    """While the current revision cannot be told, all pods of a StatefulSet or DaemonSet count."""
    return uid(core.obj) if kind in ("StatefulSet", "DaemonSet") else ""


def _present(look: Look, own: tuple[Object, ...]) -> bool | None:
    """The pod that was asked about, by uid; one that is being deleted is still there."""
    return any(uid(each) == look.pod for each in own) if look.pod else None
