"""Wake an incident when its next step is due: claim it under a lease, let the responder advance it, let it go.

Law: one worker an incident (the lease and its fence), at most `workers` at once, none lost (the date stands in the store, not here).
News from folding only shortens the wait. Claims of a process that died lapse with their lease, and another takes them.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta

import structlog

from receiver.engine.responder import Responder
from receiver.ports import AgendaStore, Claim, Clock, Intake, OwnTrouble, StoreUnavailable, TroubleKind

_log = structlog.get_logger("receiver.engine")


@dataclass(frozen=True, slots=True)
class Pace:
    """How often, how many, how long."""

    workers: int = 32
    """Incidents advanced at the same time."""
    lease: timedelta = timedelta(seconds=30)
    """Longer than any single step between two renewals."""
    idle: timedelta = timedelta(seconds=5)
    """Without news the agenda is read at least this often."""
    failure_rest: timedelta = timedelta(seconds=15)
    """An incident whose worker failed is tried again after so long."""
    failures_told: int = 3
    """In a row on one incident: then a person hears of it."""


class Agenda:
    """One for the process; `run` is supervised by the application."""

    def __init__(
        self, store: AgendaStore, responder: Responder, *, clock: Clock, intake: Intake, owner: str, pace: Pace | None = None
    ) -> None:
        self._store = store
        self._responder = responder
        self._clock = clock
        self._intake = intake
        self._owner = owner
        self._pace = pace or Pace()
        self._news = asyncio.Event()
        self._busy: set[int] = set()
        self._failures: dict[int, int] = {}
        self.stopping = False

    def wake(self, *_: int) -> None:
        """Something may be due now. Called by the folder, commands and the responder itself."""
        self._news.set()

    async def run(self) -> None:
        """For ever; incidents under way are finished by cancellation of this task's group."""
        await self._store.re_enter(now=self._clock.now())
        async with asyncio.TaskGroup() as group:
            while not self.stopping:
                claims = await self._claim()
                for claim in claims:
                    self._busy.add(claim.id)
                    group.create_task(self._work(claim), name=f"incident-{claim.id}")
                await self._wait()

    async def _claim(self) -> list[Claim]:
        self._news.clear()
        room = self._pace.workers - len(self._busy)
        if room <= 0:
            return []
        found = await self._store.due(now=self._clock.now(), owner=self._owner, lease=self._pace.lease, limit=room)
        return [each for each in found if each.id not in self._busy]

    async def _wait(self) -> None:
        """Until news, the next date, or the idle time; while all workers are busy, until one is free, which is news."""
        due = await self._store.next_due() if len(self._busy) < self._pace.workers else None
        now = self._clock.now()
        rest = self._pace.idle if due is None else min(self._pace.idle, max(due - now, timedelta(milliseconds=50)))
        try:
            async with asyncio.timeout(rest.total_seconds()):
                await self._news.wait()
        except TimeoutError:
            return

    async def _work(self, claim: Claim) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                keeper = group.create_task(self._keep(claim), name=f"lease-{claim.id}")
                await self._responder.advance(claim.id)
                keeper.cancel()
            self._failures.pop(claim.id, None)
        except Exception as fault:  # boundary: one incident's fault must not stop the others
            await self._failed(claim, fault)
        finally:
            self._busy.discard(claim.id)
            await self._let_go(claim)
            self._news.set()

    async def _keep(self, claim: Claim) -> None:
        """Renews the lease at a third of its length; a lease that was lost ends the work."""
        while True:
            await self._clock.sleep(self._pace.lease.total_seconds() / 3)
            try:
                kept = await self._store.keep(claim, owner=self._owner, now=self._clock.now(), lease=self._pace.lease)
            except StoreUnavailable:  # a call may be under way, and two thirds of the lease are left: try again
                _log.warning("lease not renewed yet", incident=claim.id)
                continue
            if not kept:
                raise LeaseLost(f"the lease of incident {claim.id} was taken by another")

    async def _failed(self, claim: Claim, fault: Exception) -> None:
        count = self._failures.get(claim.id, 0) + 1
        self._failures[claim.id] = count
        _log.error("incident worker failed", incident=claim.id, fault=type(fault).__name__, count=count, exc_info=fault)
        if count >= self._pace.failures_told:
            detail = f"incident {claim.id} failed {count} times: {type(fault).__name__}"
            self._intake.report(OwnTrouble(TroubleKind.worker_failed, "responder", detail))
        await self._clock.sleep(min(count, 4) * self._pace.failure_rest.total_seconds())

    async def _let_go(self, claim: Claim) -> None:
        try:
            await self._store.let_go(claim, owner=self._owner)
        except StoreUnavailable:
            _log.warning("claim not let go, its lease will lapse", incident=claim.id)


class LeaseLost(Exception):
    """Another process works on this incident now."""
