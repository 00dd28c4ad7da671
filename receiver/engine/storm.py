"""The storm gate: so much is alight at once that no single cure can be right, so nothing acts and pages are gathered.

Law: shut as soon as there is a reason (`remediation.md` 5.2), open only after `storm_quiet` without one. Read at most once a second
however many ask. What it remembers is since when; after a restart the store's window says again whether there is a reason. Asked by the
responder for each case.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from datetime import datetime, timedelta

from receiver.core.case import Storm
from receiver.core.dedup import plain
from receiver.core.escalation import P1_PAGES_A_MINUTE
from receiver.core.model import Bounds
from receiver.ports import Clock, StormCounts, WatchStore

READ_EVERY_SECONDS = 1.0
MINUTE = timedelta(minutes=1)
LEAST_SHARE = 3
"""The share of the catalogue never shuts the gate for fewer targets, nor in a smaller catalogue: 20 % of four would be one."""
TINY = 1e-9
"""35 x 0.2 is a little more than 7 in floating point."""


class StoreStormGate:
    """Implements `receiver.ports.StormGate`. Raises StoreUnavailable when the store does, as reading the case itself would."""

    def __init__(self, store: WatchStore, clock: Clock, bounds: Bounds, watched: int) -> None:
        """`watched` is the number of workloads in the catalogue; below `LEAST_SHARE` the share is not looked at."""
        self._store = store
        self._clock = clock
        self._bounds = bounds
        self._watched = watched
        self._storm = Storm()
        self._read_at: float | None = None
        self._reading = asyncio.Lock()
        self._granted: list[datetime] = []
        """P1s that paged singly within the last minute."""

    async def storm(self) -> Storm:
        """The gate as it stands, at most a second old."""
        async with self._reading:
            read_at = self._clock.monotonic()
            if self._read_at is None or read_at - self._read_at >= READ_EVERY_SECONDS:
                counts = await self._store.storm_counts(since=self._clock.now() - self._bounds.storm_window)
                self._storm = self._next(counts)
                self._read_at = read_at
            self._granted = [at for at in self._granted if self._clock.now() - at < MINUTE]
            return replace(self._storm, p1_pages_last_minute=max(self._storm.p1_pages_last_minute, len(self._granted)))

    def grant(self) -> bool:
        """Counted here as well, since many are paged within the second that a reading is good for."""
        now = self._clock.now()
        granted = [at for at in self._granted if now - at < MINUTE]
        if len(granted) >= P1_PAGES_A_MINUTE:
            return False
        self._granted = [*granted, now]
        return True

    def _next(self, counts: StormCounts) -> Storm:
        now, last = self._clock.now(), self._storm
        paged = counts.p1_pages_last_minute
        if reason := self._reason(counts):
            return Storm(shut=True, detail=reason, since=last.since or now, quiet_since=None, p1_pages_last_minute=paged)
        if not last.shut:
            return Storm(p1_pages_last_minute=paged)
        quiet_since = last.quiet_since or now
        if now - quiet_since >= self._bounds.storm_quiet:
            return Storm(p1_pages_last_minute=paged)
        return Storm(shut=True, detail=last.detail, since=last.since, quiet_since=quiet_since, p1_pages_last_minute=paged)

    def _reason(self, counts: StormCounts) -> str:
        """Empty: none."""
        minutes = f"{self._bounds.storm_window.total_seconds() / 60:g} min"
        if counts.truncated:
            return f"a sender left out alerts within {minutes}: more is alight than it says"
        if counts.targets >= self._bounds.storm_targets:
            return f"{counts.targets} targets alerting within {minutes} (limit {self._bounds.storm_targets})"
        share = max(LEAST_SHARE, math.ceil(self._watched * self._bounds.storm_share - TINY))
        catalogued = min(counts.catalogued, self._watched)  # a service's labels may name more than its targets
        if self._watched >= LEAST_SHARE and catalogued >= share:
            return f"{catalogued} of {self._watched} watched workloads alerting within {minutes} (limit {share})"
        named = ((many, plain(name, limit=63)) for name, many in counts.by_namespace.items() if name)
        most, namespace = max(named, default=(0, ""))
        if most >= self._bounds.storm_namespace:
            limit = self._bounds.storm_namespace
            return f"{most} targets alerting in namespace {namespace} within {minutes} (limit {limit})"
        return ""
