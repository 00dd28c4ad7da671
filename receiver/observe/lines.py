"""Lines of a page about pods and events: one thing a line, bounded in number and length, no value of an environment variable. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from receiver.clients.kubernetes_objects import Object, metadata, name, parse_time
from receiver.observe import pods

EVENTS, PODS = 20, 10
STATES = ("not ready", "terminating", "ready", "ended")
"""Of a pod, the most telling first."""
CONDITIONS = ("PodScheduled", "Initialized", "ContainersReady", "Ready")
"""In the order in which a pod fulfils them: the first that does not hold is the reason."""

EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def event_lines(events: Sequence[Object], now: datetime) -> tuple[str, ...]:
    """The newest, newest first."""
    newest = sorted(events, key=_seen, reverse=True)[:EVENTS]
    return tuple(_event_line(each, now) for each in newest)


def pod_lines(found: Sequence[Object], now: datetime, *, on_node: bool = False) -> tuple[str, ...]:
    """Those that are not well first. `on_node`: of several namespaces, and all on one node."""
    ordered = sorted(found, key=lambda each: (STATES.index(pod_state(each)), _place(each)))
    lines = [_pod_line(each, now, on_node=on_node) for each in ordered[:PODS]]
    if len(ordered) > PODS:
        lines.append(f"and {len(ordered) - PODS} more")
    return tuple(lines)


def pod_state(pod: Object) -> str:
    """One of `STATES`."""
    if "deletionTimestamp" in metadata(pod):
        return "terminating"
    return ("ready" if pods.ready(pod) else "not ready") if pods.living(pod) else "ended"


def created(obj: Object) -> datetime:
    """When it was made; long ago where it does not say."""
    return parse_time(metadata(obj).get("creationTimestamp")) or EPOCH


def age(moment: datetime, now: datetime) -> str:
    """`45 s`, `3 min`, `5 h`, `2 d`."""
    seconds = max(0, int((now - moment).total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _event_line(event: Object, now: datetime) -> str:
    about: dict[str, Any] = event.get("involvedObject") or {}
    count = (event.get("series") or {}).get("count") or event.get("count") or 1
    times = f" x{count}" if count != 1 else ""
    head = f"{age(_seen(event), now)} ago {event.get('type')} {event.get('reason')}{times}"
    return f"{head} {about.get('kind')} {about.get('name')}: {event.get('message')}"


def _pod_line(pod: Object, now: datetime, *, on_node: bool) -> str:
    alone, state = pods.summary([pod], newest=pods.owner(pod)), pod_state(pod)
    if state in ("not ready", "ended"):
        state = f"{(pod.get('status') or {}).get('phase')}, not ready"
    ended = [f"last end {each}" for each in alone.terminated]
    parts = [state, *alone.waiting, *ended, f"{alone.restarts} restarts", f"{age(created(pod), now)} old"]
    if pods.unschedulable(pod):
        parts.insert(1, "no node takes it")
    if on_node:
        return f"{_place(pod)}: {', '.join(parts)}{_unfulfilled(pod)}"
    where = (pod.get("spec") or {}).get("nodeName", "no node")
    return f"{name(pod)}: {', '.join(parts)}, on {where}{_unfulfilled(pod)}"


def _unfulfilled(pod: Object) -> str:
    """`; ContainersNotReady: containers with unready status: [app]`; empty where all conditions hold or none says why."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    broken = {each.get("type"): each for each in conditions if each.get("status") == "False"}
    first: Mapping[str, Any] = next((broken[each] for each in CONDITIONS if each in broken), {})
    said = [str(first[each]) for each in ("reason", "message") if first.get(each)]
    return f"; {': '.join(said)}" if said else ""


def _place(pod: Object) -> str:
    return f"{metadata(pod).get('namespace')}/{name(pod)}"


def _seen(event: Object) -> datetime:
    """When it happened last; the field depends on the reporter's age."""
    moments = ((event.get("series") or {}).get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    known = [found for each in moments if (found := parse_time(each))]
    return max(known, default=created(event))
