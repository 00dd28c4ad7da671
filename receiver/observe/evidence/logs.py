"""The last lines of a workload's logs: of its sick pods, else of its newest; of a container that fell, what it said before.

Law: a few pods, so many lines and bytes of each; the lines are ranked, masked and cut before anybody sees them. Needs the right `pods/log`,
which may be left out: then the piece says so. An Event or a status names the symptom; the log often names the cause.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from receiver.clients.errors import ClientError
from receiver.clients.kubernetes import LogWanted
from receiver.clients.kubernetes_objects import Object, annotations_of, name, parse_time
from receiver.core.model import Target
from receiver.observe import pods
from receiver.observe.evidence.patterns import Written, told
from receiver.observe.evidence.pieces import NotThere
from receiver.observe.live import HISTORY, Core, read_core
from receiver.observe.reader import PLATFORM, Reader, together
from receiver.observe.readings import Recent
from receiver.ports import Clock, Inquiry, Permission, Piece

WINDOW = timedelta(minutes=5)
PATTERNS = 20
PODS = 3
LINES = 300
"""Read of one container; ranked, so that a screenful is left."""
BYTES = 256 << 10
DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"


class LogReader(Reader, Protocol):
    """The part of `receiver.clients.kubernetes.Kubernetes` that is needed."""

    async def log(self, namespace: str, pod: str, wanted: LogWanted) -> str:
        """Raises ClientError."""
        ...


class KubernetesLogs:
    """One piece: `log`."""

    name = "kubernetes.logs"
    permissions: tuple[Permission, ...] = (
        Permission(PLATFORM, "", "pods/log", ("get",)),
        Permission(PLATFORM, "", "pods", ("list",)),
        *(Permission(PLATFORM, "apps", each, ("get",)) for each in ("deployments", "statefulsets", "daemonsets")),
        *(Permission(PLATFORM, "apps", each, ("list",)) for each in ("replicasets", "controllerrevisions")),
    )

    def __init__(self, reader: LogReader, clock: Clock, *, recent: Recent | None = None) -> None:
        self._reader = reader
        self._clock = clock
        self._recent = recent or Recent()

    def pieces(self, inquiry: Inquiry) -> Mapping[str, Piece]:
        """As Collector."""
        target = inquiry.target
        if target is None or target.ref.platform != PLATFORM or target.ref.kind not in HISTORY:
            return {}
        return {"log": lambda: self._log(target)}

    async def _log(self, target: Target) -> Sequence[str]:
        core = self._recent.take(target.uid, self._clock.now()) or await read_core(self._reader, target.ref)
        since = self._clock.now() - WINDOW
        wanted = [(name(each), found) for each in _chosen(core) if (found := _wanted(each, since)) is not None]
        if not wanted:
            raise NotThere("no pod of it has started")
        read = await together(*(self._read(target.namespace, pod, each) for pod, each in reversed(wanted)))
        failed = [each for each in read if isinstance(each, ClientError)]
        lines = [line for each in read if not isinstance(each, ClientError) for line in each]
        if len(failed) == len(read):
            raise failed[0]
        shown = await asyncio.to_thread(told, lines, most=PATTERNS, span=f"the last {WINDOW.total_seconds() / 60:.0f} min")
        return [*shown, *(f"one pod's log could not be read: {each.kind}" for each in failed)]

    async def _read(self, namespace: str, pod: str, wanted: LogWanted) -> list[Written] | ClientError:
        where = f"{pod} (before its restart)" if wanted.previous else pod
        try:
            text = await self._reader.log(namespace, pod, wanted)
        except ClientError as error:
            return error
        return [Written(where, line) for line in text.splitlines() if line.strip()]


def _chosen(core: Core) -> list[Object]:
    """The sick ones first, then the newest."""
    alive = sorted((each for each in core.pods if pods.living(each)), key=lambda each: str(pods.created(each) or ""), reverse=True)
    return sorted(alive, key=pods.ready)[:PODS]


def _wanted(pod: Object, since: datetime) -> LogWanted | None:
    """Of its sickest container, and where that fell since then of its last run; None while none has run."""
    ran = [each for each in pods.containers(pod) if _ran(each)]
    if not ran:
        return None
    usual = annotations_of(pod).get(DEFAULT_CONTAINER, "")
    sickest = min(ran, key=lambda each: (bool(each.get("ready")), -int(each.get("restartCount") or 0), each.get("name") != usual))
    fell = "waiting" in (sickest.get("state") or {}) or _ended_since(sickest, since)
    window = None if fell else int(WINDOW.total_seconds())  # what it said last before it fell may be older
    return LogWanted(str(sickest.get("name") or ""), LINES, BYTES, seconds=window, previous=fell)


def _ended_since(container: Mapping[str, Any], since: datetime) -> bool:
    end = (container.get("lastState") or {}).get("terminated") or {}
    at = parse_time(end.get("finishedAt"))
    return at is not None and at >= since


def _ran(container: Mapping[str, Any]) -> bool:
    state, last = container.get("state") or {}, container.get("lastState") or {}
    done = (state.get("terminated") or {}).get("reason") == "Completed"  # an initial container that is through
    return not done and bool("running" in state or "terminated" in state or last.get("terminated"))
