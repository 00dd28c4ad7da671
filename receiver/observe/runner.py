"""Carries out one `Look`: the observers in order, each completing the facts of those before it, under the look's own limit.

Law: never raises but for cancellation, and never answers silence with silence: what was asked for and not seen is a trouble, or a sample
whose state says so. What one observer saw is kept when another fails. Called by the responder.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from receiver.clients.errors import plain
from receiver.core.facts import Facts, Look, Sample, SampleState, Trouble, Want
from receiver.ports import Clock, Observer
from receiver.telemetry.metrics import Metrics


class LookRunner:
    """Holds no state between looks."""

    def __init__(self, observers: Sequence[Observer], clock: Clock, *, metrics: Metrics | None = None) -> None:
        self._observers = tuple(observers)
        self._clock = clock
        self._metrics = metrics

    async def look(self, look: Look) -> Facts:
        """Dated with the time at which it began."""
        facts = Facts(at=self._clock.now(), on=look.on)
        loop = asyncio.get_running_loop()
        ends = loop.time() + look.limit.total_seconds()
        fault = ""
        for observer in self._observers:
            facts, failed = await self._ask(observer, look, facts, ends=ends)
            fault = fault or failed
            if loop.time() >= ends:
                return _completed(look, facts, SampleState.timeout, Trouble.timeout, f"no answer within {look.limit.total_seconds():g} s")
        if fault:
            return _completed(look, facts, SampleState.error, Trouble.unreadable, fault)
        return _completed(look, facts, SampleState.error, Trouble.no_observer, "nothing is configured that could look")

    async def _ask(self, observer: Observer, look: Look, facts: Facts, *, ends: float) -> tuple[Facts, str]:
        """The facts as the observer leaves them, and what went wrong with it."""
        began, outcome, fault = self._clock.monotonic(), "ok", ""
        try:
            async with asyncio.timeout_at(ends):
                seen = await observer.look(look, facts)
        except TimeoutError:
            seen, outcome = facts, "timeout"
        except Exception as error:  # boundary: a fault of one observer is a fact about this look, never the end of the worker
            seen, outcome, fault = facts, "trouble", plain(f"{observer.name}: {type(error).__name__}")
        if seen.trouble is not facts.trouble:
            outcome = "trouble"
        self._count(observer.name, outcome, self._clock.monotonic() - began)
        return seen, fault

    def _count(self, observer: str, outcome: str, seconds: float) -> None:
        if self._metrics is not None:
            self._metrics.looks.labels(observer, outcome).inc()
            self._metrics.look_duration.labels(observer).observe(seconds)


def _completed(look: Look, facts: Facts, state: SampleState, trouble: Trouble, detail: str) -> Facts:
    """The same facts, with a word for everything that was asked for and is not in them."""
    answered = {each.name for each in facts.samples}
    missing = tuple(Sample(each.name, state, detail=detail) for each in look.questions if each.name not in answered)
    target_missing = Want.target in look.wants and facts.target is None
    state_missing = Want.workload in look.wants and facts.workload is None and facts.node is None
    if facts.trouble is None and (target_missing or state_missing):
        facts = replace(facts, trouble=trouble, trouble_detail=detail)
    return replace(facts, samples=(*facts.samples, *missing))
