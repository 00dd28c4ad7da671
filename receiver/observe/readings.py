"""What was read already: nothing twice within one look, and what only a release changes at most once a minute.

Law: what is kept cannot make a verdict wrong for longer than facts may be old and a minute. Whoever takes a workload over also changes
the object, its count or its HorizontalPodAutoscaler, and these are read anew each time; so are consent, pods, budgets and quotas that
there are. Shared by the Kubernetes observers of one process.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from receiver.clients.kubernetes_objects import Object, uid
from receiver.clients.kubernetes_objects import name as name_of
from receiver.core.facts import Look
from receiver.observe.live import Core
from receiver.observe.nodes import slim
from receiver.observe.reader import Reader

KEPT_FOR = timedelta(seconds=60)
STEADY = frozenset({"LimitRange", "Rollout", "Canary", "ScaledObject", "VerticalPodAutoscaler", "Node"})
"""They say who aims at whom, or what a cluster is made of; what they report of a state is not used."""
STEADY_WHEN_NONE = frozenset({"ResourceQuota", "PodDisruptionBudget"})
"""Their figures move; that a namespace has none does not."""
KEPT_LISTS = 512
OPEN_LOOKS = 64
"""Looks whose reading is handed from one observer to the next; beyond that the oldest are read again."""

_SLIM: dict[str, Callable[[Object], Object]] = {"Node": slim}
"""A cluster's nodes in full are megabytes."""

RECENT = timedelta(seconds=15)
"""As old as facts may be for an action: for a page it is new."""

Key = tuple[str, ...]


class Recent:
    """The newest full reading of each workload, for the page that follows it at once."""

    def __init__(self) -> None:
        self._cores: dict[str, tuple[datetime, Core]] = {}

    def keep(self, core: Core, at: datetime) -> None:
        """Those that nobody would take any more go."""
        self._cores = {key: each for key, each in self._cores.items() if abs(at - each[0]) < RECENT}
        self._cores[uid(core.obj)] = (at, core)

    def take(self, key: str, now: datetime) -> Core | None:
        """Of the object of that uid, if it was read within the last 15 s."""
        found = self._cores.get(key)
        return found[1] if found is not None and abs(now - found[0]) < RECENT else None


class Readings:
    """The reader of each look, and what is kept between looks."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._kept: dict[tuple[str, str], tuple[datetime, list[Object]]] = {}
        self._open: dict[int, tuple[Look, OneLook]] = {}

    def begin(self, look: Look, at: datetime) -> Reader:
        """A reader for a look that begins."""
        if len(self._open) >= OPEN_LOOKS:
            del self._open[next(iter(self._open))]
        found = OneLook(self, at)
        self._open[id(look)] = (look, found)
        return found

    def resume(self, look: Look, at: datetime) -> Reader:
        """The same reader for the look's next observer, the last one that asks."""
        held = self._open.pop(id(look), None)
        return held[1] if held is not None and held[0] is look else OneLook(self, at)

    def forget(self, look: Look) -> None:
        """Nobody goes on with it."""
        self._open.pop(id(look), None)

    def renew(self, kind: str, namespace: str) -> None:
        """The next list of it is asked for, however lately it was."""
        self._kept.pop((kind, namespace), None)

    async def object_of(self, key: Key) -> Object:
        """Always asked."""
        kind, namespace, named = key
        return await self._reader.get(kind, namespace, named)

    async def list_of(self, key: Key, *, at: datetime, limit: int) -> list[Object]:
        """Asked, unless it is one of the steady kinds and was listed within the last minute."""
        kind, namespace, labels, fields = key
        if kind not in STEADY | STEADY_WHEN_NONE or labels or fields:
            return await self._reader.list(kind, namespace, label_selector=labels, field_selector=fields, limit=limit)
        kept = self._kept.get((kind, namespace))
        if kept is not None and abs(at - kept[0]) < KEPT_FOR:
            return kept[1]
        found = [_SLIM.get(kind, _whole)(each) for each in await self._reader.list(kind, namespace, limit=limit)]
        self._keep(kind, namespace, at, found)
        return found

    def _keep(self, kind: str, namespace: str, at: datetime, found: list[Object]) -> None:
        self._kept.pop((kind, namespace), None)
        if found and kind in STEADY_WHEN_NONE:
            return
        if len(self._kept) >= KEPT_LISTS:
            del self._kept[next(iter(self._kept))]
        self._kept[kind, namespace] = (at, found)


class OneLook:
    """A `Reader` that asks for nothing twice, nor for an object that it has listed. Its observers ask one after the other."""

    def __init__(self, readings: Readings, at: datetime) -> None:
        self._readings = readings
        self._at = at
        self._objects: dict[Key, Object] = {}
        self._lists: dict[Key, list[Object]] = {}

    async def get(self, kind: str, namespace: str, name: str) -> Object:
        key = (kind, namespace, name)
        if key not in self._objects:
            self._objects[key] = self._listed(key) or await self._readings.object_of(key)
        return self._objects[key]

    def _listed(self, key: Key) -> Object | None:
        kind, namespace, wanted = key
        if kind in STEADY | STEADY_WHEN_NONE:  # such a list may be older than the look, or slim
            return None
        lists = (found for listed, found in self._lists.items() if listed[:2] == (kind, namespace))
        return next((each for found in lists for each in found if name_of(each) == wanted), None)

    async def list(
        self, kind: str, namespace: str, *, label_selector: str = "", field_selector: str = "", limit: int = 500
    ) -> list[Object]:
        key = (kind, namespace, label_selector, field_selector)
        if key not in self._lists:
            self._lists[key] = await self._readings.list_of(key, at=self._at, limit=limit)
        return self._lists[key]


def _whole(obj: Object) -> Object:
    return obj
