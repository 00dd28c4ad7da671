"""P4: throughput with a million stored incidents against ten thousand, and with 300 rules against ten. Every delivery opens an incident."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from bench.bodies import Kind
from bench.comparing import Pace, measure
from bench.figures import Figure, progress, tell
from bench.seeding import stored
from bench.serving import Server, receiver, up

FEW, MANY = 10_000, 1_000_000
CONNECTIONS = 64


async def p4(pace: Pace) -> list[Figure]:
    """Itself, grown."""
    few, many = (1_000, 100_000) if pace.quick else (FEW, MANY)
    with TemporaryDirectory(prefix="bench-seed-") as name:
        progress(f"storing {few:,} and {many:,} incidents")
        small, large = await stored(few, Path(name) / "few.db"), await stored(many, Path(name) / "many.db")
        with receiver(seed=small) as anchor, receiver(seed=large) as candidate:
            await up(anchor, candidate)
            figures = [await _against(anchor, candidate, pace, f"{many:,} stored incidents, of {few:,}", 0.95)]
    with receiver(rules=_rules(10)) as anchor, receiver(rules=_rules(300)) as candidate:
        await up(anchor, candidate)
        figures.append(await _against(anchor, candidate, pace, "300 rules, of 10", 0.8, alertname="Second9"))
    return figures


async def _against(
    anchor: Server, candidate: Server, pace: Pace, what: str, want: float, *, alertname: str = "KubePodCrashLooping"
) -> Figure:
    async def rate(server: Server) -> float:
        return (await measure(server, Kind.fresh, connections=CONNECTIONS, seconds=pace.seconds / 2, alertname=alertname)).sustained

    await rate(candidate)
    await rate(anchor)
    before, ratios, rates = await rate(anchor), [], []
    for done in range(pace.rounds):
        mine, after = await rate(candidate), await rate(anchor)
        ratios.append(2 * mine / (before + after))
        rates.append(mine)
        before = after
        progress(f"{what}, round {done + 1} of {pace.rounds}: {ratios[-1]:.2f}")
    figure = Figure("P4", f"each opens an incident, {what}", tuple(ratios), want, note=f"{sorted(rates)[len(rates) // 2]:,.0f}/s")
    tell(figure)
    return figure


def _rules(count: int) -> str:
    """The alert meets the last one of ten, or of 300."""
    numbers = [*range(10, count), *range(10)]
    rules = "\n".join(
        f"  - {{name: r{n}, match: ['alertname=~\"First{n}|Second{n}\"', 'severity!=\"none\"'], impact: low, urgency: low, remediate: []}}"
        for n in numbers
    )
    return f"apiVersion: receiver/v1\nkind: Rules\nrules:\n{rules}\ndefault: {{impact: low, urgency: low, remediate: []}}\n"
