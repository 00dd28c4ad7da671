"""The auditor: what nobody is coming for, heartbeats that are missing, a storm that is over."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest_asyncio

from receiver.core.case import Storm
from receiver.core.model import Heartbeat, Rule
from receiver.core.rules import RuleSet
from receiver.engine.auditor import Auditor
from receiver.ports import Change, Fold, TroubleKind
from tests.fakes.response_ground import CalmGate, ResponseGround, response_ground

MINUTE = timedelta(minutes=1)
WATCHDOG = Rule("watchdog", heartbeat=Heartbeat(MINUTE))


@dataclass
class Audit:
    ground: ResponseGround
    auditor: Auditor
    gate: CalmGate
    woken: list[int]

    @property
    def told(self) -> list[tuple[TroubleKind, bool]]:
        return [(each.kind, each.over) for each in self.ground.intake.troubles]

    async def beat(self) -> None:
        await self.ground.store.commit_fold(Fold((), (), beats=(("alertmanager", "watchdog", self.ground.clock.now()),)))


@pytest_asyncio.fixture
async def audit(tmp_path: Path) -> AsyncIterator[Audit]:
    async with response_ground(tmp_path) as ground:
        gate = CalmGate()
        woken: list[int] = []
        rules = RuleSet(rules=(WATCHDOG,), default=Rule("default", is_default=True))
        auditor = Auditor(ground.store, clock=ground.clock, intake=ground.intake, storm=gate, rules=lambda: rules, wake=woken.append)
        yield Audit(ground, auditor, gate, woken)


async def test_an_incident_whose_step_is_late_is_woken_and_then_told(audit: Audit) -> None:
    incident = await audit.ground.began()
    audit.ground.clock.advance(5 * MINUTE)
    await audit.auditor.round()
    assert audit.woken == [incident.id]
    await audit.auditor.round()
    assert audit.told == [(TroubleKind.overdue_incident, False)]
    assert audit.auditor.green_at is None


async def test_what_moved_on_is_told_to_be_over(audit: Audit) -> None:
    incident = await audit.ground.began()
    audit.ground.clock.advance(5 * MINUTE)
    await audit.auditor.round()
    rows = (await audit.ground.view(incident)).rows
    await audit.ground.store.save(Change(rows.incident, wake_at=audit.ground.clock.now() + MINUTE))
    await audit.auditor.round()
    assert audit.told == [(TroubleKind.overdue_incident, True)]
    assert audit.auditor.green_at == audit.ground.clock.now()


async def test_three_missing_beats_are_a_trouble_and_a_beat_ends_it(audit: Audit) -> None:
    audit.ground.clock.advance(MINUTE)
    await audit.beat()
    await audit.auditor.round()
    audit.ground.clock.advance(3 * MINUTE + timedelta(seconds=1))
    await audit.auditor.round()
    await audit.beat()
    await audit.auditor.round()
    kind = TroubleKind.heartbeat_overdue
    assert audit.told == [(kind, True), (kind, False), (kind, True)]


async def test_our_own_downtime_is_granted(audit: Audit, tmp_path: Path) -> None:
    await audit.beat()
    audit.ground.clock.advance(60 * MINUTE)
    later = Auditor(
        audit.ground.store,
        clock=audit.ground.clock,
        intake=audit.ground.intake,
        storm=audit.gate,
        rules=lambda: RuleSet(rules=(WATCHDOG,), default=Rule("default", is_default=True)),
        wake=audit.woken.append,
    )
    await later.round()
    assert audit.told == []


async def test_a_heartbeat_that_never_came_is_missed_only_where_it_is_armed(audit: Audit) -> None:
    armed = replace(WATCHDOG, heartbeat=Heartbeat(MINUTE, armed=True))
    ground = audit.ground
    auditor = Auditor(
        ground.store,
        clock=ground.clock,
        intake=ground.intake,
        storm=audit.gate,
        rules=lambda: RuleSet(rules=(armed,), default=Rule("default", is_default=True)),
        wake=audit.woken.append,
    )
    await auditor.round()
    ground.clock.advance(4 * MINUTE)
    await audit.auditor.round()  # arms nothing of its own
    await auditor.round()
    assert (TroubleKind.heartbeat_overdue, False) in audit.told


async def test_the_end_of_a_storm_is_told_and_wakes_everybody(audit: Audit) -> None:
    audit.gate.now = Storm(shut=True)
    await audit.auditor.round()
    audit.gate.now = Storm()
    await audit.auditor.round()
    assert (TroubleKind.storm, True) in audit.told
    assert audit.woken
