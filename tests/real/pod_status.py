"""What a kubelet would report of a pod: pure values, chosen by each container's image tag.

Tags: `crash…` CrashLoopBackOff after exit 1 · `oom…` CrashLoopBackOff after OOMKilled (137) · `nopull…` ImagePullBackOff, the
pod stays Pending · `slowN…` Ready after N seconds · anything else Ready at once. Called by `kubelet`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

Object = dict[str, Any]


class Fate(StrEnum):
    READY = "ready"
    UNREADY = "unready"
    """Runs, is never Ready, never restarts."""
    CRASHING = "crash"
    OUT_OF_MEMORY = "oom"
    NO_IMAGE = "nopull"


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """Seconds throughout. A container that begins to crash counts one restart at once and one more every `restart_every`."""

    fate: Fate = Fate.READY
    ready_after: float = 0.0
    restart_every: float = 2.0
    terminates_after: float = 0.0
    """How long a deleted pod stays Terminating."""


@dataclass(frozen=True, kw_only=True)
class Lifetime:
    """What the kubelet remembers of a pod: when it started it, since when it is (not) Ready, and the restarts before that."""

    started: datetime
    ready: bool = False
    changed: datetime
    restarts: int = 0


_BY_PREFIX = {"crash": Fate.CRASHING, "oom": Fate.OUT_OF_MEMORY, "nopull": Fate.NO_IMAGE}
_EXITS = {Fate.CRASHING: ("Error", 1), Fate.OUT_OF_MEMORY: ("OOMKilled", 137)}


def by_tag(image: str) -> Behaviour:
    """The behaviour that the tag of `image` asks for."""
    _, _, tag = image.rpartition("/")[2].partition(":")
    if slow := re.match(r"slow(\d+)", tag):
        return Behaviour(ready_after=float(slow[1]))
    fates = (fate for prefix, fate in _BY_PREFIX.items() if tag.startswith(prefix))
    return Behaviour(fate=next(fates, Fate.READY))


def is_ready(behaviours: Mapping[str, Behaviour], age: float) -> bool:
    """Whether a pod of that age, with these containers' behaviours, is Ready."""
    return all(_container_ready(behaviour, age) for behaviour in behaviours.values())


def pod_status(pod: Object, behaviours: Mapping[str, Behaviour], lifetime: Lifetime, *, now: datetime, ip: str) -> Object:
    """The status of a pod that runs on a node; `behaviours` by container name."""
    age = (now - lifetime.started).total_seconds()
    ready = is_ready(behaviours, age)
    pending = any(behaviour.fate is Fate.NO_IMAGE for behaviour in behaviours.values())
    conditions = [
        _condition("Initialized", True, lifetime.started),
        _condition("PodReadyToStartContainers", True, lifetime.started),
        _condition("ContainersReady", ready, lifetime.changed),
        _condition("Ready", ready, lifetime.changed),
    ]
    return {
        "phase": "Pending" if pending else "Running",
        "conditions": conditions,
        "hostIP": ip,
        "podIP": ip,
        "podIPs": [{"ip": ip}],
        "startTime": stamp(lifetime.started),
        "containerStatuses": [_container_status(c, behaviours[c["name"]], lifetime, now) for c in pod["spec"]["containers"]],
    }


def stamp(moment: datetime) -> str:
    """The API's form of a time: whole seconds, UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _container_ready(behaviour: Behaviour, age: float) -> bool:
    return behaviour.fate is Fate.READY and age >= behaviour.ready_after


def _condition(kind: str, holds: bool, since: datetime) -> Object:
    condition: Object = {"type": kind, "status": str(holds), "lastTransitionTime": stamp(since), "reason": None, "message": None}
    if not holds:
        condition |= {"reason": "ContainersNotReady", "message": "containers with unready status"}
    return condition


def _container_status(container: Object, behaviour: Behaviour, lifetime: Lifetime, now: datetime) -> Object:
    age = (now - lifetime.started).total_seconds()
    ready = _container_ready(behaviour, age)
    status: Object = {
        "name": container["name"],
        "image": container["image"],
        "imageID": "" if behaviour.fate is Fate.NO_IMAGE else f"fake://{container['image']}",
        "ready": ready,
        "started": behaviour.fate in (Fate.READY, Fate.UNREADY),
        "restartCount": lifetime.restarts,
        "state": {"running": {"startedAt": stamp(lifetime.started)}},
    }
    if behaviour.fate is Fate.NO_IMAGE:
        status["state"] = {"waiting": {"reason": "ImagePullBackOff", "message": f'Back-off pulling image "{container["image"]}"'}}
    if behaviour.fate in _EXITS:
        status |= _crashed(container["name"], behaviour, lifetime, now)
    return status


def _crashed(name: str, behaviour: Behaviour, lifetime: Lifetime, now: datetime) -> Object:
    reason, exit_code = _EXITS[behaviour.fate]
    ended = {"exitCode": exit_code, "reason": reason, "startedAt": stamp(now), "finishedAt": stamp(now)}
    return {
        "restartCount": lifetime.restarts + 1 + int((now - lifetime.changed).total_seconds() / behaviour.restart_every),
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": f"back-off restarting failed container {name}"}},
        "lastState": {"terminated": ended},
    }
