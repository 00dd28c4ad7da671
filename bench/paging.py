"""P3: from an alert posted to its page at a local PagerDuty, at 100 new incidents a second beside a storm of 2,000 other webhooks a second.

The page budget and the storm gate are out of the way, else nothing of the sort would be paged: this measures the road, not the policy.
Alertmanager gets the same alerts with group_wait 0, and pages the same PagerDuty.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from bench.bodies import GROUPS, Kind, deliveries, delivery, firing
from bench.comparing import Pace
from bench.figures import Figure, progress, tell
from bench.load import Paced
from bench.serving import LOAD_CORE, Server, alertmanager, pinned, receiver, up
from tests.fakes.pagerduty import KEY
from tests.real.processes import free_port

PROBES, STORM = 100, 2_000
"""A second."""
PROBE = re.compile(r"probe-\d{6}")
RULES = """
apiVersion: receiver/v1
kind: Rules
rules:
  - name: probe
    match: ['alertname="Probe"']
    impact: high
    urgency: high
    remediate: []
default: {impact: low, urgency: low, remediate: []}
"""
LIFTED = {"storm_targets": 1_000_000, "storm_namespace": 1_000_000}


@dataclass(frozen=True, slots=True)
class Pages:
    """What became of the probes."""

    latencies: list[float]
    """Milliseconds, by probe."""
    lost: int
    doubled: int
    storm: float
    """Webhooks a second that were really sent beside."""
    refused: int
    """Answers other than 200."""

    def quantile(self, share: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("inf")

    @property
    def note(self) -> str:
        return f"p50 {self.quantile(0.5):.1f} ms, {len(self.latencies)} pages beside {self.storm:,.0f} webhooks/s" + (
            f", {self.refused} not 200" * bool(self.refused)
        )


async def p3(pace: Pace) -> list[Figure]:
    """Alert to page, ours and Alertmanager's."""
    seconds = 3.0 if pace.quick else 10.0
    with _pagerduty() as url:
        with alertmanager(**_paging_to(url)) as anchor:
            await up(anchor)
            theirs = await _probe(anchor, url, seconds=seconds)
            progress(f"Alertmanager: {theirs.note}")
        config: dict[str, Any] = {"pagerduty": {"routing_key": KEY, "events_url": url}, "bounds": LIFTED}
        with receiver(rules=RULES, lift_page_budget=True, **config) as candidate:
            await up(candidate)
            ours = await _probe(candidate, url, seconds=seconds)
    ratio = ours.quantile(0.99) / theirs.quantile(0.99)
    figures = [
        Figure("P3", "alert to page, p99, of Alertmanager's", (ratio,), 3.0, at_most=True, note=f"theirs {theirs.note}"),
        Figure("P3", "alert to page, p99", (ours.quantile(0.99),), 25, at_most=True, unit=" ms", note=ours.note),
        Figure("P3", "pages lost or doubled", (float(ours.lost + ours.doubled),), 0, at_most=True),
    ]
    for each in figures:
        tell(each)
    return figures


async def _probe(server: Server, url: str, *, seconds: float) -> Pages:
    before = set(await _paged(url))
    sent: dict[str, float] = {}
    storm, probes = Paced(server.port, connections=64), Paced(server.port, connections=16)
    requests = [server.request(each) for each in itertools.islice(deliveries(Kind.repeats), GROUPS)]
    await Paced(server.port, connections=8).run(iter(requests), per_second=GROUPS / 2, seconds=1.9)  # known before the storm
    async with asyncio.TaskGroup() as group:
        group.create_task(storm.run(itertools.cycle(requests), per_second=STORM, seconds=seconds + 1), name="storm")
        await asyncio.sleep(0.5)
        await probes.run(_probes(server, sent), per_second=PROBES, seconds=seconds)
    pages = await _all_paged(url, sent, before)
    taken = {probe: at for probe, at in pages.items() if probe in sent}
    return Pages(
        latencies=[(at[0] - sent[probe]) * 1e3 for probe, at in taken.items()],
        lost=len(sent) - len(taken),
        doubled=sum(len(at) - 1 for at in taken.values()),
        storm=storm.tally.rate,
        refused=storm.tally.bad + probes.tally.bad,
    )


def _probes(server: Server, sent: dict[str, float]) -> Iterator[bytes]:
    """Each a new problem, remembered with the moment at which it was asked for."""
    run = int(time.time()) % 10 * 100_000
    for number in itertools.count(run):
        name = f"probe-{number:06d}"
        request = server.request(firing(delivery(name, alerts=1, alertname="Probe", service=name)))
        sent[name] = time.time()
        yield request


async def _all_paged(url: str, sent: dict[str, float], before: set[str]) -> dict[str, list[float]]:
    """Every probe was paged, or ten seconds went by without."""
    end = time.monotonic() + 10
    while True:
        pages = {probe: at for probe, at in (await _paged(url)).items() if probe not in before}
        if len(pages) >= len(sent) or time.monotonic() > end:
            return pages
        await asyncio.sleep(0.3)


async def _paged(url: str) -> dict[str, list[float]]:
    """Probe → when each incident that names it was opened."""
    async with aiohttp.ClientSession() as session, session.get(f"{url}/control/state") as answer:
        state = await answer.json()
    found: dict[str, list[float]] = {}
    for each in state["incidents"]:
        named = PROBE.search(json.dumps(each["triggers"][0]))
        if named:
            found.setdefault(named[0], []).append(each["opened_at"])
    return found


@contextmanager
def _pagerduty() -> Iterator[str]:
    """Our server that speaks Events v2, on the core of the load."""
    port = free_port()
    server = Server("PagerDuty", port, pinned([sys.executable, "-m", "tests.fakes.pagerduty", str(port)], core=LOAD_CORE))
    try:
        end = time.monotonic() + 30
        while not _listens(port):
            if time.monotonic() > end:
                raise TimeoutError("the local PagerDuty did not start")
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.end()


def _listens(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _paging_to(url: str) -> dict[str, object]:
    """The probes page, the storm does not."""
    pages = {"routing_key": KEY, "url": f"{url}/v2/enqueue", "send_resolved": False, "description": "{{ .CommonLabels.service }}"}
    return {
        "route": {
            "receiver": "nobody",
            "group_by": ["..."],
            "group_wait": "0s",
            "group_interval": "5m",
            "routes": [{"receiver": "pagerduty", "matchers": ['alertname="Probe"'], "group_wait": "0s"}],
        },
        "receivers": [{"name": "nobody"}, {"name": "pagerduty", "pagerduty_configs": [pages]}],
    }
