"""What a person wants to read first on a page: the workload's newest events, its pods, its last revisions.

Law: bounded in time, lines and length; what cannot be read is a line that says so; never a value of an environment variable. Called by the
responder when a page is due, which waits a little for it and not longer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from receiver.clients.errors import ClientError, plain
from receiver.clients.kubernetes_objects import Object, annotations_of, metadata, name, parse_time, uid
from receiver.core.facts import Evidence, Facts
from receiver.core.model import Incident, Target
from receiver.observe import pods, revisions
from receiver.observe.differences import images
from receiver.observe.live import HISTORY, Core, read_core
from receiver.observe.reader import PLATFORM, Reader, together
from receiver.observe.readings import Recent
from receiver.observe.revisions import Step
from receiver.ports import Clock, Permission

LIMIT = timedelta(seconds=2.5)
"""Below the three seconds that a page waits, so that what was read in time is not lost."""
EVENTS, PODS, REVISIONS = 10, 10, 5
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

    def __init__(self, reader: Reader, clock: Clock, *, limit: timedelta = LIMIT, recent: Recent | None = None) -> None:
        self._reader = reader
        self._clock = clock
        self._limit = limit
        self._recent = recent or Recent()

    async def collect(self, incident: Incident, facts: Facts | None) -> tuple[Evidence, ...]:
        """One value a title; none while no object of this platform is bound."""
        target = (facts.target if facts is not None else None) or incident.target
        if target is None or target.ref.platform != PLATFORM or target.ref.kind not in HISTORY:
            return ()
        found: dict[str, tuple[str, ...]] = {}
        why = f"could not be read within {self._limit.total_seconds():g} s"
        try:
            async with asyncio.timeout(self._limit.total_seconds()):
                await self._fill(found, target)
        except TimeoutError:
            pass
        except ClientError as error:
            why = f"could not be read: {error.kind}"
        return tuple(Evidence(title, found.get(title, (why,))) for title in TITLES)

    async def _fill(self, found: dict[str, tuple[str, ...]], target: Target) -> None:
        """Section by section, so that a time limit keeps those that are done."""
        now, kind = self._clock.now(), target.ref.kind
        core = self._recent.take(target.uid, now) or await read_core(self._reader, target.ref)
        history = revisions.steps(core, kind)
        found["pods"] = _pod_lines(core.pods, now)
        found["revisions"] = _revision_lines(core, kind, history, now)
        found["events"] = await self._events(core, revisions.current(core, kind, history), target.namespace)

    async def _events(self, core: Core, newest: Step | None, namespace: str) -> tuple[str, ...]:
        """By the uid of each object: the namespace's whole list may hold thousands, and its beginning is the oldest."""
        sick = sorted((each for each in core.pods if not pods.ready(each)), key=_created, reverse=True)
        short = [newest.uid] if newest is not None and newest.uid == newest.mark and newest.replicas < newest.wanted else []
        about = [uid(core.obj), *short, *map(uid, sick)][:EVENT_LISTS]
        lists = await together(*(self._reader.list("Event", namespace, field_selector=f"involvedObject.uid={each}") for each in about))
        events = sorted((each for found in lists for each in found), key=_seen, reverse=True)
        return tuple(_event_line(each, self._clock.now()) for each in events[:EVENTS]) or ("none",)


def _event_line(event: Object, now: datetime) -> str:
    about: dict[str, Any] = event.get("involvedObject") or {}
    count = (event.get("series") or {}).get("count") or event.get("count") or 1
    times = f" x{count}" if count != 1 else ""
    head = f"{_age(_seen(event), now)} ago {event.get('type')} {event.get('reason')}{times}"
    return plain(f"{head} {about.get('kind')} {about.get('name')}: {event.get('message')}")


def _pod_lines(own_pods: Sequence[Object], now: datetime) -> tuple[str, ...]:
    """Those that are not well first."""
    ordered = sorted(own_pods, key=lambda each: (pods.ready(each), name(each)))
    lines = [_pod_line(each, now) for each in ordered[:PODS]]
    if len(ordered) > PODS:
        lines.append(f"and {len(ordered) - PODS} more")
    return tuple(lines) or ("none",)


def _pod_line(pod: Object, now: datetime) -> str:
    alone = pods.summary([pod], newest=pods.owner(pod))
    status = pod.get("status") or {}
    state = "terminating" if "deletionTimestamp" in metadata(pod) else "ready" if pods.ready(pod) else f"{status.get('phase')}, not ready"
    ended = [f"last end {each}" for each in alone.terminated]
    parts = [state, *alone.waiting, *ended, f"{alone.restarts} restarts", f"{_age(_created(pod), now)} old"]
    if pods.unschedulable(pod):
        parts.insert(1, "no node takes it")
    return plain(f"{name(pod)}: {', '.join(parts)}, on {(pod.get('spec') or {}).get('nodeName', 'no node')}")


def _revision_lines(core: Core, kind: str, history: Sequence[Step], now: datetime) -> tuple[str, ...]:
    standing = revisions.number(core, kind, history)
    lines = [_revision_line(each, now, standing=each.number == standing) for each in reversed(history[-REVISIONS:])]
    release = annotations_of(core.obj).get(HELM_RELEASE)
    if release:
        lines.append(plain(f"Helm release {release}: an undo leaves Helm's own books behind"))
    return tuple(lines) or ("none",)


def _revision_line(step: Step, now: datetime, *, standing: bool) -> str:
    figures = f"{step.available} of {step.replicas} available"
    head = f"{step.number}{' (current)' if standing else ''}, made {_age(step.created or _EPOCH, now)} ago, {figures}"
    return plain(f"{head}: {', '.join(images(step.template))}{f' ({step.cause})' if step.cause else ''}")


def _created(obj: Object) -> datetime:
    return parse_time(metadata(obj).get("creationTimestamp")) or _EPOCH


def _seen(event: Object) -> datetime:
    """When it happened last; the field depends on the reporter's age."""
    moments = ((event.get("series") or {}).get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    known = [found for each in moments if (found := parse_time(each))]
    return max(known, default=_created(event))


def _age(moment: datetime, now: datetime) -> str:
    seconds = max(0, int((now - moment).total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
