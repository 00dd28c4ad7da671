"""P1 and P2: webhooks taken a second, against the bare handler and against Alertmanager's own ingest."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.bodies import Kind, deliveries
from bench.comparing import Pace, compare
from bench.figures import Figure, tell
from bench.serving import alertmanager, bare, receiver, up
from receiver.clock import SystemClock
from receiver.core.model import Batch
from receiver.ports import Delivery
from receiver.store.opening import open_store

GOALS = {64: (0.45, 0.30), 256: (0.55, 0.40)}
"""Connections → of bare: accepted, and accepted with an incident changed by each delivery."""


async def p1(pace: Pace) -> list[Figure]:
    """Accepting and folding, against a bare aiohttp handler (uvloop) that reads the body and parses nothing."""
    figures: list[Figure] = []
    with bare() as anchor, receiver() as candidate:
        await up(anchor, candidate)
        for connections, (accept, sustained) in GOALS.items():
            found = await compare(anchor, candidate, Kind.repeats, pace, connections=connections)
            figures.append(Figure("P1", f"accept, of bare, {connections} connections", (*found.accepted,), accept, note=found.note()))
            tell(figures[-1])
            found = await compare(anchor, candidate, Kind.updates, pace, connections=connections)
            what = f"sustained, each changes its incident, {connections} connections"
            figures.append(Figure("P1", what, (*found.sustained,), sustained, note=found.note(sustained=True)))
            tell(figures[-1])
        few = Pace(rounds=min(3, pace.rounds), seconds=pace.seconds)
        found = await compare(anchor, candidate, Kind.fresh, few, connections=64)
        what = "sustained, each opens an incident, 64 connections"
        figures.append(Figure("P1", what, (*found.sustained,), note=found.note(sustained=True)))
        tell(figures[-1])
    return figures


async def p2(pace: Pace) -> list[Figure]:
    """Alertmanager's own ingest, the same alerts on the same core; and what committing in groups is worth."""
    figures: list[Figure] = []
    with alertmanager() as anchor, receiver() as candidate:
        await up(anchor, candidate)
        found = await compare(anchor, candidate, Kind.repeats, pace, connections=64, same=True)
        figures.append(Figure("P2", "accept, of Alertmanager's ingest, 64 connections", (*found.accepted,), 2.5, note=found.note()))
        tell(figures[-1])
        found = await compare(anchor, candidate, Kind.updates, pace, connections=64, same=True)
        what = "sustained, each changes its incident, of Alertmanager's ingest"
        figures.append(Figure("P2", what, (*found.sustained,), 1.3, note=found.note(sustained=True)))
        tell(figures[-1])
    figures.append(await _group_commit(pace))
    tell(figures[-1])
    return figures


async def _group_commit(pace: Pace) -> Figure:
    """Rows a second, 64 in a commit against one, in turn."""
    body = next(deliveries(Kind.repeats))
    now = datetime.now(UTC)
    rows = [Delivery("alertmanager", now, body, Batch(()))] * 64
    with TemporaryDirectory(prefix="bench-group-") as directory:
        store = await open_store(f"sqlite:///{Path(directory)}/receiver.db", clock=SystemClock())
        try:
            ratios, singles, groups = [], [], []
            for _ in range(pace.rounds):
                singles.append(await _rows_per_second(lambda: store.append(rows[:1]), 1, seconds=0.2))
                groups.append(await _rows_per_second(lambda: store.append(rows), 64, seconds=0.2))
                ratios.append(groups[-1] / singles[-1])
        finally:
            await store.close()
    note = f"{max(groups):,.0f} and {max(singles):,.0f} rows/s"
    return Figure("P2", "64 deliveries in one commit, of one each", tuple(ratios), 3.0, note=note)


async def _rows_per_second(append: Callable[[], Awaitable[object]], size: int, *, seconds: float) -> float:
    began, done = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        await append()
        done += size
    return done / (time.perf_counter() - began)
