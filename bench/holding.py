"""P9: memory with 100,000 open incidents, against Alertmanager with the same alerts; a full collection and a scrape (P10) then."""

from __future__ import annotations

import itertools
import json

from bench.bodies import delivery, firing
from bench.comparing import Pace
from bench.figures import Figure, progress, tell
from bench.load import post_all
from bench.service import COLLECT
from bench.serving import Server, alertmanager, get, receiver, up

HELD = 100_000
IN_ONE = 25
"""Alerts of one delivery, each a problem of its own."""


async def p9(pace: Pace) -> list[Figure]:
    """As many incidents as alerts."""
    count = 20_000 if pace.quick else HELD
    with alertmanager() as other:
        await up(other)
        theirs = await _fill(other, range(count))
    with receiver() as server:
        await up(server)
        half = await _fill(server, range(count // 2))  # caches of a fixed size are full, whatever comes now belongs to the incidents
        await _fill(server, range(count // 2, count))
        await server.folded(within=300)
        opened = server.ask("SELECT count(*) FROM incidents WHERE open = 1")
        if opened < count:
            raise RuntimeError(f"only {opened} of {count} incidents are open")
        ours = server.rss_mib
        collections = [json.loads((await get(server, COLLECT))[1])["ms"] for _ in range(5)]
        scrapes = [(await get(server, "/metrics"))[0] for _ in range(5)]
    grown = (ours - half) * 1024 / (count - count // 2)
    note = f"{ours:.0f} of {theirs:.0f} MiB"
    figures = [
        Figure("P9", f"RSS with {count:,} open incidents, of Alertmanager's", (ours / theirs,), 1 / 3, at_most=True, note=note),
        Figure("P9", "RSS of one open incident", (grown,), 1.0, at_most=True, unit=" KiB", note="over the second half of them"),
        Figure("P9", "full garbage collection then", tuple(collections), 10, at_most=True, unit=" ms"),
        Figure("P10", f"/metrics of the service with {count:,} open incidents", tuple(scrapes), 25, at_most=True, unit=" ms"),
    ]
    for each in figures:
        tell(each)
    return figures


async def _fill(server: Server, numbers: range) -> float:
    """MiB after it."""
    bodies = (_bodies(first) for first in range(numbers.start, numbers.stop, IN_ONE))
    done = 0
    while chunk := list(itertools.islice(bodies, 80)):
        tally = await post_all(server.port, [server.request(each) for each in chunk], connections=4)
        done += len(chunk) * IN_ONE
        await server.folded()
        progress(f"{server.name}: {done:,} of {len(numbers):,} alerts, {server.rss_mib:.0f} MiB")
        if tally.bad:
            raise RuntimeError(f"{server.name} refused {tally.bad} deliveries")
    return server.rss_mib


def _bodies(first: int) -> bytes:
    """One delivery of IN_ONE alerts that have nothing in common."""
    parts = [json.loads(delivery(f"{first + index:06x}", alerts=1))["alerts"][0] for index in range(IN_ONE)]
    whole = json.loads(delivery("whole", alerts=1))
    return firing(json.dumps({**whole, "alerts": parts}))
