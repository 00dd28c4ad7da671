"""P6, P7 and P10: what is measured without load, against itself or a bare import."""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.comparing import Pace
from bench.figures import Figure, progress, tell
from bench.serving import SERVER_CORE, Server, bytecode, get, pinned, write_config
from receiver.core.model import Rule
from receiver.core.plan import decide
from receiver.core.predicate import parse_matchers
from receiver.core.rules import RuleSet
from receiver.telemetry.metrics import Known, Metrics
from tests.unit.core.test_walk import NOW, states

EVERY = 11
"""Of the walk's states: some thousands, of every kind."""
LOOKUPS = 5_000


async def p6(pace: Pace) -> list[Figure]:
    """`decide` over states of the walk, and one alert against 300 rules."""
    cases = [case for _, case in itertools.islice(states(), 0, None, EVERY * (4 if pace.quick else 1))]
    rates = []
    for _ in range(pace.rounds):
        began = time.perf_counter()
        for each in cases:
            decide(each, NOW)
        rates.append(len(cases) / (time.perf_counter() - began))
    figures = [Figure("P6", "decisions a second, over the walk's states", tuple(rates), 100_000, note=f"{len(cases):,} states")]
    tell(figures[-1])
    figures.append(Figure("P6", "one alert against 300 rules", tuple(_lookups(pace.rounds)), 100, at_most=True, unit=" us"))
    tell(figures[-1])
    return figures


def _lookups(rounds: int) -> list[float]:
    """Microseconds, the last of 300 rules being the one that fits."""
    rules = tuple(Rule(f"r{n}", parse_matchers(f'alertname=~"A{n}|B{n}", severity!="none"')) for n in range(300))
    ruleset = RuleSet(rules=rules, default=Rule("default", is_default=True))
    labels = {"alertname": "B299", "severity": "warning", "namespace": "shop", "pod": "web-7c9d8b6f5-x2v9k"}
    found = []
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(LOOKUPS):
            ruleset.rule_for(labels)
        found.append((time.perf_counter() - began) / LOOKUPS * 1e6)
    return found


async def p7(pace: Pace) -> list[Figure]:
    """`receiver serve` until its first 200, against `import aiohttp.web`, both with their .pyc."""
    ratios: list[float] = []
    sizes: list[float] = []
    took: list[float] = []
    for number in range(pace.rounds + 1):
        before, start, size = await asyncio.to_thread(_import), *await _start()
        after = await asyncio.to_thread(_import)
        if number:  # the first writes the .pyc files
            ratios.append(2 * start / (before + after))
            sizes.append(size)
            took.append(start)
        progress(f"start {number} of {pace.rounds}: {start:.2f} s")
    note = f"{sorted(took)[len(took) // 2] * 1e3:.0f} ms"
    figures = [
        Figure("P7", "start to first 200, of import aiohttp.web", tuple(ratios), 3.0, at_most=True, note=note),
        Figure("P7", "RSS then", tuple(sizes), 128, at_most=True, unit=" MiB"),
    ]
    for each in figures:
        tell(each)
    return figures


def _import() -> float:
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(bytecode())}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    began = time.perf_counter()
    subprocess.run(["taskset", "-c", str(SERVER_CORE), sys.executable, "-c", "import aiohttp.web"], check=True, env=environment)
    return time.perf_counter() - began


async def _start() -> tuple[float, float]:
    """(seconds, MiB)."""
    with TemporaryDirectory(prefix="bench-start-") as name:
        config, port, _ = write_config(Path(name))
        began = time.perf_counter()
        server = Server("receiver", port, pinned([sys.executable, "-m", "receiver", "serve", "--config", str(config)]))
        try:
            await _first_200(server)
            return time.perf_counter() - began, server.rss_mib
        finally:
            server.end()


async def _first_200(server: Server) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                await get(server, "/readyz")
            except (OSError, RuntimeError):
                await asyncio.sleep(0.002)
            else:
                return


async def p10(pace: Pace) -> list[Figure]:
    """`/metrics` with every label set that there can be: none of its series belongs to an incident. P9 scrapes it with 100,000 open."""
    metrics = Metrics(version="bench", known=Known(sources=["alertmanager", "receiver"], destinations=["pagerduty", "log"]))
    size = len(metrics.expose("")[0])
    times = []
    for _ in range(5 * pace.rounds):
        began = time.perf_counter()
        metrics.expose("")
        times.append((time.perf_counter() - began) * 1e3)
    figure = Figure("P10", "/metrics", tuple(times), 25, at_most=True, unit=" ms", note=f"{size / 1024:.0f} KiB")
    tell(figure)
    return [figure]
