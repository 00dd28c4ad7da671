"""Two servers side by side: slices anchor, candidate, anchor …; each slice of the candidate against the mean of its neighbours.

Both are up all the time, one is asked at a time; only the ratio holds on a machine where others work as well.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field

from bench.bodies import GROUPS, Kind, deliveries
from bench.figures import progress
from bench.load import full_load
from bench.serving import LOAD_CORE, Server


@dataclass(frozen=True, slots=True)
class Pace:
    """How long and how often."""

    rounds: int = 7
    seconds: float = 2.0
    quick: bool = False
    """Also everything else is smaller."""


QUICK = Pace(rounds=3, seconds=0.7, quick=True)


@dataclass(frozen=True, slots=True)
class Slice:
    """One server under full load for one slice."""

    rate: float
    """Answers of 200 a second."""
    sustained: float
    """The same, with the time until everything accepted was folded."""
    cpu: float
    """Microseconds of an answer, folding included."""
    p99: float
    """Milliseconds."""
    bad: int


@dataclass(slots=True)
class Compared:
    """Ratios by round, and what the candidate did by itself."""

    accepted: list[float] = field(default_factory=list)
    sustained: list[float] = field(default_factory=list)
    slices: list[Slice] = field(default_factory=list)
    anchors: list[Slice] = field(default_factory=list)

    def note(self, *, sustained: bool = False) -> str:
        """Beside the ratio."""
        mine = statistics.median(each.sustained if sustained else each.rate for each in self.slices)
        cpu = statistics.median(each.cpu for each in self.slices)
        p99 = statistics.median(each.p99 for each in self.slices)
        other = statistics.median(each.rate for each in self.anchors)
        other_cpu = statistics.median(each.cpu for each in self.anchors)
        bad = sum(each.bad for each in self.slices)
        return f"{mine:,.0f}/s of {other:,.0f}/s, {cpu:.0f} of {other_cpu:.0f} us CPU, p99 {p99:.0f} ms" + (f", {bad} not 200" * bool(bad))


async def measure(server: Server, kind: Kind, *, connections: int, seconds: float, alertname: str = "KubePodCrashLooping") -> Slice:
    """Full load of one kind of delivery."""
    requests: Iterator[bytes] = map(server.request, deliveries(kind, alertname=alertname))
    if kind is Kind.repeats:
        requests = itertools.cycle([*itertools.islice(requests, GROUPS)])
    loop = asyncio.get_running_loop()
    cpu, began = server.cpu_seconds, loop.time()
    tally = await full_load(server.port, requests, connections=connections, seconds=seconds)
    await server.folded()
    passed = loop.time() - began
    used = server.cpu_seconds - cpu
    return Slice(tally.rate, tally.good / max(passed, tally.seconds), used * 1e6 / max(1, tally.good), tally.quantile(0.99), tally.bad)


async def compare(anchor: Server, candidate: Server, kind: Kind, pace: Pace, *, connections: int, same: bool = False) -> Compared:
    """`same`: the anchor gets the same kind of deliveries; otherwise repeats, which are all the same to a handler that parses nothing."""
    found = Compared()
    theirs = kind if same else Kind.repeats
    await measure(candidate, kind, connections=connections, seconds=pace.seconds / 4)  # warm
    before = await measure(anchor, theirs, connections=connections, seconds=pace.seconds)
    for done in range(pace.rounds):
        mine = await measure(candidate, kind, connections=connections, seconds=pace.seconds)
        after = await measure(anchor, theirs, connections=connections, seconds=pace.seconds)
        mean = (before.rate + after.rate) / 2
        found.accepted.append(mine.rate / mean)
        found.sustained.append(mine.sustained / mean)
        found.slices.append(mine)
        found.anchors.append(after)
        progress(f"{kind}, {connections} connections, round {done + 1} of {pace.rounds}: {found.accepted[-1]:.2f}")
        before = after
    return found


def hold_to_load_core() -> None:
    """This process is the load."""
    os.sched_setaffinity(0, {LOAD_CORE})
