"""The agenda: what is due is advanced, by one worker, and a fault of one incident does not stop the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from receiver.core.case import Verdict
from receiver.core.model import Incident
from receiver.engine.agenda import Agenda, Pace
from receiver.engine.responder import Responder
from tests.fakes.response_ground import ResponseGround, response_ground

QUICK = Pace(idle=timedelta(milliseconds=20), failure_rest=timedelta(0))


class Counting(Responder):
    """Counts who is advanced at the same time; fails for the incidents that it is told to."""

    def __init__(self, inner: Responder) -> None:
        self._inner = inner
        self.seen: list[int] = []
        self.failing: set[int] = set()
        self.now: set[int] = set()
        self.doubled = False

    async def advance(self, incident_id: int) -> None:
        self.doubled = self.doubled or incident_id in self.now
        self.now.add(incident_id)
        self.seen.append(incident_id)
        try:
            if incident_id in self.failing:
                raise RuntimeError("a fault of this incident")
            await self._inner.advance(incident_id)
        finally:
            self.now.discard(incident_id)


@asynccontextmanager
async def running(ground: ResponseGround, responder: Responder, owner: str = "one") -> AsyncIterator[Agenda]:
    agenda = Agenda(ground.store, responder, clock=ground.clock, intake=ground.intake, owner=owner, pace=QUICK)
    task = asyncio.ensure_future(agenda.run())
    try:
        yield agenda
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(wanted: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not wanted():
            await asyncio.sleep(0.005)


async def _state(ground: ResponseGround, incident: Incident) -> list[Verdict | None]:
    return [each.verdict for each in (await ground.view(incident)).rows.attempts]


async def test_a_due_incident_is_advanced_as_time_goes_by(tmp_path: Path) -> None:
    async with response_ground(tmp_path) as ground:
        incident = await ground.began()
        async with running(ground, ground.responder):
            async with asyncio.timeout(30):
                while await _state(ground, incident) != [Verdict.cured]:
                    ground.clock.advance(timedelta(seconds=5))
                    await asyncio.sleep(0.02)
        assert len(ground.world.permits) == 1


async def test_two_agendas_never_work_on_one_incident_at_once(tmp_path: Path) -> None:
    async with response_ground(tmp_path) as ground:
        counting = Counting(ground.responder)
        incident = await ground.began()
        async with running(ground, counting), running(ground, counting, "two"):
            async with asyncio.timeout(30):
                while await _state(ground, incident) != [Verdict.cured]:
                    ground.clock.advance(timedelta(seconds=5))
                    await asyncio.sleep(0.02)
        assert not counting.doubled
        assert len(ground.world.permits) == 1


async def test_a_fault_of_one_incident_does_not_stop_the_others_and_is_told(tmp_path: Path) -> None:
    async with response_ground(tmp_path) as ground:
        counting = Counting(ground.responder)
        bad = await ground.began("bad")
        counting.failing.add(bad.id)
        good = await ground.began("good")
        async with running(ground, counting):
            await until(lambda: counting.seen.count(bad.id) >= 3 and good.id in counting.seen and bool(ground.intake.troubles))
        assert f"incident {bad.id} failed" in ground.intake.troubles[0].detail
