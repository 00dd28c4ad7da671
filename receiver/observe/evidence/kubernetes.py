"""What a person wants to read first of a workload: its pods, events, revisions, and what stands around it.

Law: each piece by itself; those that rest on the same objects share one reading, the one of the look before where it is young. Never a
value of an environment variable. The lines of the log are `logs.py`'s, the changes `changes.py`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from receiver.clients.errors import plain
from receiver.clients.kubernetes_objects import annotations_of, name, uid
from receiver.core.model import Target
from receiver.observe import pods, revisions
from receiver.observe.differences import images
from receiver.observe.evidence import around
from receiver.observe.evidence.pieces import Once
from receiver.observe.lines import EPOCH, age, created, event_lines, pod_lines
from receiver.observe.live import HISTORY, Core, read_core
from receiver.observe.reader import PLATFORM, Reader, together
from receiver.observe.readings import Recent
from receiver.observe.revisions import Step
from receiver.ports import Clock, Inquiry, Permission, Piece

REVISIONS = 5
SICK_PODS = 3
"""Whose own events are asked for, beside those of the workload and, where pods are missing, of its newest ReplicaSet."""
HELM_RELEASE = "meta.helm.sh/release-name"


class KubernetesEvidence:
    """Collects for the workload that an incident is bound to."""

    name = "kubernetes.evidence"
    permissions: tuple[Permission, ...] = (
        Permission(PLATFORM, "", "events", ("list",)),
        Permission(PLATFORM, "", "pods", ("list",)),
        *(Permission(PLATFORM, "apps", each, ("get",)) for each in ("deployments", "statefulsets", "daemonsets")),
        *(Permission(PLATFORM, "apps", each, ("list",)) for each in ("replicasets", "controllerrevisions")),
        Permission(PLATFORM, "discovery.k8s.io", "endpointslices", ("list",)),
        Permission(PLATFORM, "autoscaling", "horizontalpodautoscalers", ("list",)),
        Permission(PLATFORM, "", "resourcequotas", ("list",)),
        Permission(PLATFORM, "metrics.k8s.io", "pods", ("list",)),
    )

    def __init__(self, reader: Reader, clock: Clock, *, recent: Recent | None = None) -> None:
        self._reader = reader
        self._clock = clock
        self._recent = recent or Recent()

    def pieces(self, inquiry: Inquiry) -> Mapping[str, Piece]:
        """As Collector."""
        target = inquiry.target
        if target is None or target.ref.platform != PLATFORM or target.ref.kind not in HISTORY:
            return {}
        page = _Page(self._reader, self._clock, target, Once(lambda: self._core(target)))
        return {
            "pods": page.pods,
            "events": page.events,
            "revisions": page.revisions,
            "endpoints": page.endpoints,
            "autoscaling": page.autoscaling,
            "quota": page.quota,
            "top": page.top,
        }

    async def _core(self, target: Target) -> Core:
        return self._recent.take(target.uid, self._clock.now()) or await read_core(self._reader, target.ref)


@dataclass(frozen=True, slots=True)
class _Page:
    """The pieces of one page."""

    reader: Reader
    clock: Clock
    target: Target
    core: Once[Core]

    async def pods(self) -> Sequence[str]:
        """Those that are not well first, each with the condition that does not hold."""
        own, now = (await self.core()).pods, self.clock.now()
        return pod_lines(own, now)

    async def events(self) -> Sequence[str]:
        """The newest first. By the uid of each object: the namespace's whole list may hold thousands, and its beginning is the oldest."""
        core, kind = await self.core(), self.target.ref.kind
        newest = revisions.current(core, kind, revisions.steps(core, kind))
        short = [newest.uid] if newest is not None and newest.uid == newest.mark and newest.replicas < newest.wanted else []
        sick = sorted((each for each in core.pods if not pods.ready(each)), key=created, reverse=True)[:SICK_PODS]
        lists = await together(
            *(
                self.reader.list("Event", self.target.namespace, field_selector=f"involvedObject.uid={each}")
                for each in (uid(core.obj), *short, *map(uid, sick))
            )
        )
        return event_lines([each for found in lists for each in found], self.clock.now())

    async def revisions(self) -> Sequence[str]:
        """The rollout history, newest first."""
        core, kind, now = await self.core(), self.target.ref.kind, self.clock.now()
        history = revisions.steps(core, kind)
        standing = revisions.number(core, kind, history)
        lines = [_revision_line(each, now, standing=each.number == standing) for each in reversed(history[-REVISIONS:])]
        release = annotations_of(core.obj).get(HELM_RELEASE)
        return [*lines, f"Helm release {plain(release)}: an undo leaves Helm's own books behind"] if release else lines

    async def endpoints(self) -> Sequence[str]:
        """Services that send traffic to its pods."""
        core = await self.core()
        slices = await self.reader.list("EndpointSlice", self.target.namespace)
        return around.endpoint_lines(slices, {name(each) for each in core.pods})

    async def autoscaling(self) -> Sequence[str]:
        """What else sets the count."""
        found = await self.reader.list("HorizontalPodAutoscaler", self.target.namespace)
        return around.autoscaler_lines(found, self.target.ref)

    async def quota(self) -> Sequence[str]:
        """The room that the namespace has left."""
        return around.quota_lines(await self.reader.list("ResourceQuota", self.target.namespace))

    async def top(self) -> Sequence[str]:
        """Who takes most in the namespace, where a metrics API is installed."""
        own = {name(each) for each in (await self.core()).pods}
        return around.top_lines(await around.consumption(self.reader, self.target.namespace), own)


def _revision_line(step: Step, now: datetime, *, standing: bool) -> str:
    figures = f"{step.available} of {step.replicas} available"
    head = f"{step.number}{' (current)' if standing else ''}, made {age(step.created or EPOCH, now)} ago, {figures}"
    return f"{head}: {', '.join(images(step.template))}{f' ({step.cause})' if step.cause else ''}"
