"""`python -m bench [GOAL …]`: the goals of `docs/testing.md`, each against its yardstick in the same run."""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from bench.serving import LOAD_CORE, RULES, compare, start_alertmanager, start_bare, start_receiver, up
from receiver.core.model import Rule
from receiver.core.plan import decide
from receiver.core.predicate import parse_matchers
from receiver.core.rules import RuleSet
from receiver.telemetry.metrics import Known, Metrics
from tests.unit.core.test_walk import NOW, states

ROUNDS = 7
SLICE_SECONDS = 1.5

Answer = list[tuple[str, str, bool | None]]
"""What, the figure in words, met."""


async def p1() -> Answer:
    """Accepting, and accepting while folding new alerts, against the bare handler."""
    found: Answer = []
    for connections, accept, sustained in ((64, 0.45, 0.30), (256, 0.55, 0.40)):
        for fresh, goal, what in ((False, accept, "accept, repeats"), (True, sustained, "sustained, all alerts new")):
            with tempfile.TemporaryDirectory() as directory:
                anchor, candidate = start_bare(), start_receiver(Path(directory))
                try:
                    await up(anchor)
                    await up(candidate)
                    ratio = await compare(anchor, candidate, connections=connections, rounds=ROUNDS, seconds=SLICE_SECONDS, fresh=fresh)
                finally:
                    anchor.stop()
                    candidate.stop()
            found.append((f"{what}, {connections} connections, of bare >= {goal}", str(ratio), ratio.median >= goal))
    return found


async def p2() -> Answer:
    """Alertmanager's own ingest on the same core, the same alerts."""
    with tempfile.TemporaryDirectory() as directory, tempfile.TemporaryDirectory() as other:
        anchor, candidate = start_alertmanager(Path(other)), start_receiver(Path(directory))
        found: Answer = []
        try:
            await up(anchor)
            await up(candidate)
            for fresh, goal, what in ((False, 2.5, "accept, repeats"), (True, 1.3, "sustained, all alerts new")):
                ratio = await compare(anchor, candidate, connections=64, rounds=ROUNDS, seconds=SLICE_SECONDS, fresh=fresh)
                found.append((f"{what}, of Alertmanager 0.25 >= {goal} x", str(ratio), ratio.median >= goal))
        finally:
            anchor.stop()
            candidate.stop()
    return found


async def p6() -> Answer:
    """`decide`, and one alert against 300 rules."""
    cases = [case for _, case in itertools.islice(states(), 0, None, 11)]
    began = time.perf_counter()
    for each in cases:
        decide(each, NOW)
    rate = len(cases) / (time.perf_counter() - began)
    rules = [Rule(f"r{n}", parse_matchers(f'alertname=~"A{n}|B{n}", severity!="none"')) for n in range(300)]
    ruleset = RuleSet(rules=tuple(rules), default=Rule("default", is_default=True))
    labels = {"alertname": "B299", "severity": "warning", "namespace": "shop"}
    began = time.perf_counter()
    for _ in range(20_000):
        ruleset.rule_for(labels)
    each_us = (time.perf_counter() - began) / 20_000 * 1e6
    return [
        ("decide >= 100,000/s over the states of the walk", f"{rate:,.0f}/s", rate >= 100_000),
        ("one alert against 300 rules <= 100 us", f"{each_us:.1f} us", each_us <= 100),
    ]


async def p7() -> Answer:
    """Cold start to the first 200 against `import aiohttp.web`."""
    ratios, sizes = [], []
    for _ in range(5):
        began = time.perf_counter()
        await asyncio.to_thread(subprocess.run, [sys.executable, "-c", "import aiohttp.web"], check=True)
        bare = time.perf_counter() - began
        with tempfile.TemporaryDirectory() as directory:
            began = time.perf_counter()
            server = start_receiver(Path(directory))
            await asyncio.to_thread(_first_200, server.port)
            ratios.append((time.perf_counter() - began) / bare)
            sizes.append(server.rss_mib)
            server.stop()
    ratio, size = sorted(ratios)[2], sorted(sizes)[2]
    return [
        ("start to first 200 <= 3 x import aiohttp.web", f"{ratio:.1f} x", ratio <= 3),
        ("RSS <= 128 MiB", f"{size:.0f} MiB", size <= 128),
    ]


def _first_200(port: int) -> None:
    for _ in range(3000):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.005)
    raise TimeoutError("the receiver did not get ready")


async def p10() -> Answer:
    """`/metrics`, with every known combination."""
    metrics = Metrics(version="bench", known=Known(sources=["alertmanager", "receiver"], destinations=["pagerduty", "log"]))
    began = time.perf_counter()
    for _ in range(50):
        metrics.expose("")
    each_ms = (time.perf_counter() - began) / 50 * 1e3
    return [("/metrics <= 25 ms, none of its series per incident", f"{each_ms:.1f} ms", each_ms <= 25)]


GOALS: Mapping[str, Callable[[], Awaitable[Answer]]] = {"P1": p1, "P2": p2, "P6": p6, "P7": p7, "P10": p10}


async def main(names: list[str]) -> None:
    os.sched_setaffinity(0, {LOAD_CORE})
    print(f"server on core 0, load on core {LOAD_CORE}; {ROUNDS} rounds of {SLICE_SECONDS} s; rules: {RULES.count('rules:')} file; uvloop")
    for name in names or list(GOALS):
        if name not in GOALS:
            sys.exit(f"{name}: no such benchmark; there are {', '.join(GOALS)}")
        print(name, (GOALS[name].__doc__ or "").strip())
        for what, figure, met in await GOALS[name]():
            print(f"  [{'met' if met else 'MISSED'}] {what}: {figure}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
