"""Whether the service is alive and whether it is ready, for kubelet and people.

Law: the answers hold names and short reasons of ours, no secrets and no alert text; a check has a time limit and its answer is kept for a
second, so that asking often costs nothing. Filled in `app.py`, served by `routes.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from receiver.ports import Clock, StoreUnavailable

Check = Callable[[], Awaitable[str]]
"""Answers with why not, in our own words; empty when all is well. May raise StoreUnavailable or a TimeoutError."""

Alive = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Report:
    """Name → why not. Empty: all is well."""

    failing: dict[str, str]

    @property
    def well(self) -> bool:
        """Nothing fails."""
        return not self.failing


class Health:
    """Alive: the loop answers, and every watched worker runs. Ready: alive, started, not stopping, and every check passes."""

    def __init__(
        self, *, clock: Clock, limit: timedelta = timedelta(seconds=2), kept: timedelta = timedelta(seconds=1), starting: bool = True
    ) -> None:
        self._clock = clock
        self._limit = limit.total_seconds()
        self._kept = kept.total_seconds()
        self._workers: dict[str, Alive] = {}
        self._checks: dict[str, Check] = {}
        self._phase = "starting" if starting else ""
        self._last: tuple[float, Report] | None = None
        self._asking = asyncio.Lock()

    def watch(self, name: str, alive: Alive) -> None:
        """A worker without which the service is dead, as `lambda: not task.done()`."""
        self._workers[name] = alive

    def require(self, name: str, check: Check) -> None:
        """Something without which no traffic should come: the store, the rules."""
        self._checks[name] = check

    def started(self) -> None:
        """From now on it may be ready."""
        self._phase = ""
        self._last = None

    def stopping(self) -> None:
        """Never ready again: the first step of a shutdown."""
        self._phase = "stopping"

    def alive(self) -> Report:
        """Cheap; that it is answered at all shows that the loop turns."""
        return Report({name: "stopped" for name, alive in self._workers.items() if not alive()})

    async def ready(self) -> Report:
        """All checks at once, each under its time limit; at most once a second however many ask."""
        if self._phase:
            return Report({"service": self._phase})
        async with self._asking:
            now = self._clock.monotonic()
            if self._last is None or now - self._last[0] >= self._kept:
                self._last = (now, await self._ask())
            checked = self._last[1]
        return Report(self.alive().failing | checked.failing)

    async def _ask(self) -> Report:
        names = list(self._checks)
        answers = await asyncio.gather(*(self._one(self._checks[name]) for name in names))
        failing = {name: why[:256] for name, why in zip(names, answers, strict=True) if why}
        return Report(failing)

    async def _one(self, check: Check) -> str:
        try:
            async with asyncio.timeout(self._limit):
                return await check()
        except TimeoutError:
            return f"no answer within {self._limit:g} s"
        except StoreUnavailable:  # its text may hold an address or a file name
            return "unavailable"
