"""What a person wants to read first on a page: the workload's newest events, its pods, its last revisions; of a node its own story.

Law: bounded in time, lines and length; what cannot be read is a line that says so; never a value of an environment variable. Called by the
responder when a page is due, which waits a little for it and not longer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from receiver.clients.errors import ClientError, plain
from receiver.clients.kubernetes_objects import annotations_of, uid
from receiver.core.facts import Evidence, Facts
from receiver.core.model import Incident, Target
from receiver.observe import node_evidence, pods, revisions
from receiver.observe.differences import images
from receiver.observe.lines import EPOCH, age, created, event_lines, pod_lines
from receiver.observe.live import HISTORY, Core, read_core
from receiver.observe.reader import PLATFORM, Reader, together
from receiver.observe.readings import Recent
from receiver.observe.resolve import NODE
from receiver.observe.revisions import Step
from receiver.ports import Clock, Permission

LIMIT = timedelta(seconds=2.5)
"""Below the three seconds that a page waits, so that what was read in time is not lost."""
REVISIONS = 5
EVENT_LISTS = 2
"""Objects whose own events are asked for: the workload, and its newest ReplicaSet where pods are missing, else its newest sick pod."""
HELM_RELEASE = "meta.helm.sh/release-name"

TITLES = ("events", "pods", "revisions")


class KubernetesEvidence:
    """Collects for the object that an incident is bound to."""

    name = "kubernetes.evidence"
    permissions: tuple[Permission, ...] = (
        Permission(PLATFORM, "", "events", ("get", "list")),
        Permission(PLATFORM, "", "pods", ("get", "list")),
        Permission(PLATFORM, "apps", "deployments", ("get",)),
        Permission(PLATFORM, "apps", "statefulsets", ("get",)),
        Permission(PLATFORM, "apps", "daemonsets", ("get",)),
        Permission(PLATFORM, "apps", "replicasets", ("get", "list")),
        Permission(PLATFORM, "apps", "controllerrevisions", ("get", "list")),
    )

    def __init__(
        self,
        reader: Reader,
        clock: Clock,
        *,
        limit: timedelta = LIMIT,
        recent: Recent | None = None,
        namespaces: Collection[str] = (),
    ) -> None:
        """`namespaces`: ours; of a node's pods and events those in them are shown."""
        self._reader = reader
        self._namespaces = frozenset(namespaces)
        self._clock = clock
        self._limit = limit
        self._recent = recent or Recent()

    async def collect(self, incident: Incident, facts: Facts | None) -> tuple[Evidence, ...]:
        """One value a title; none while no object of this platform is bound."""
        target = (facts.target if facts is not None else None) or incident.target
        if target is None or target.ref.platform != PLATFORM or target.ref.kind not in (*HISTORY, NODE):
            return ()
        titles = node_evidence.TITLES if target.ref.kind == NODE else TITLES
        found: dict[str, tuple[str, ...]] = {}
        why = f"could not be read within {self._limit.total_seconds():g} s"
        try:
            async with asyncio.timeout(self._limit.total_seconds()):
                await self._fill(found, target)
        except TimeoutError:
            pass
        except ClientError as error:
            why = f"could not be read: {error.kind}"
        return tuple(Evidence(title, found.get(title, (why,))) for title in titles)

    async def _fill(self, found: dict[str, tuple[str, ...]], target: Target) -> None:
        """Section by section, so that a time limit keeps those that are done."""
        now, kind = self._clock.now(), target.ref.kind
        if kind == NODE:
            await node_evidence.fill_node(found, self._reader, target, namespaces=self._namespaces, now=now)
            return
        core = self._recent.take(target.uid, now) or await read_core(self._reader, target.ref)
        history = revisions.steps(core, kind)
        found["pods"] = pod_lines(core.pods, now) or ("none",)
        found["revisions"] = _revision_lines(core, kind, history, now)
        found["events"] = await self._events(core, revisions.current(core, kind, history), target.namespace)

    async def _events(self, core: Core, newest: Step | None, namespace: str) -> tuple[str, ...]:
        """By the uid of each object: the namespace's whole list may hold thousands, and its beginning is the oldest."""
        sick = sorted((each for each in core.pods if not pods.ready(each)), key=created, reverse=True)
        short = [newest.uid] if newest is not None and newest.uid == newest.mark and newest.replicas < newest.wanted else []
        about = [uid(core.obj), *short, *map(uid, sick)][:EVENT_LISTS]
        lists = await together(*(self._reader.list("Event", namespace, field_selector=f"involvedObject.uid={each}") for each in about))
        return event_lines([each for found in lists for each in found], self._clock.now())


def _revision_lines(core: Core, kind: str, history: Sequence[Step], now: datetime) -> tuple[str, ...]:
    standing = revisions.number(core, kind, history)
    lines = [_revision_line(each, now, standing=each.number == standing) for each in reversed(history[-REVISIONS:])]
    release = annotations_of(core.obj).get(HELM_RELEASE)
    if release:
        lines.append(plain(f"Helm release {release}: an undo leaves Helm's own books behind"))
    return tuple(lines) or ("none",)


def _revision_line(step: Step, now: datetime, *, standing: bool) -> str:
    figures = f"{step.available} of {step.replicas} available"
    head = f"{step.number}{' (current)' if standing else ''}, made {age(step.created or EPOCH, now)} ago, {figures}"
    return plain(f"{head}: {', '.join(images(step.template))}{f' ({step.cause})' if step.cause else ''}")
