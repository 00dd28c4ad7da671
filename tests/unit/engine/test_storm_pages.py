"""A storm and its end call the same people for the same incident once, as long as it is the same story."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from receiver.core.case import Because, Storm
from receiver.core.escalation import P1_PAGES_A_MINUTE, next_raise
from receiver.core.model import Incident, Priority
from receiver.engine.auditor import Auditor
from receiver.engine.storm import StoreStormGate
from receiver.ports import MessageKind, TroubleKind
from tests.fakes import cases as c
from tests.fakes.response_ground import ResponseGround, response_ground

MINUTE = timedelta(minutes=1)


async def alight(ground: ResponseGround, many: int) -> list[Incident]:
    now = ground.clock.now()
    records = [replace(c.record(f"X{n}", age=0), first_at=now) for n in range(many)]
    return [await ground.began(f"t{n}", Priority.p3, records=(each,)) for n, each in enumerate(records)]


async def passes(ground: ResponseGround, gate: StoreStormGate, incidents: list[Incident], *, time: timedelta) -> None:
    """Five seconds and five seconds: the auditor reads the gate, the agenda wakes whoever is due."""
    end = ground.clock.now() + time
    while ground.clock.now() < end:
        await gate.storm()
        for each in incidents:
            due = (await ground.view(each)).next_due
            if due is not None and due <= ground.clock.now():
                await ground.responder.advance(each.id)
        ground.clock.advance(timedelta(seconds=5))


async def test_p3s_whose_time_is_up_just_before_the_gate_opens_are_paged_once(tmp_path: Path) -> None:
    """The window and the quiet of the gate are together just a P3's 15 minutes."""
    async with response_ground(tmp_path, c.rule(), can_look=False) as ground:
        incidents = await alight(ground, 6)
        gate = StoreStormGate(ground.store, ground.clock, c.policy().bounds, 0)
        ground.responder._parts = replace(ground.responder._parts, storm=gate)
        assert (await gate.storm()).shut
        await passes(ground, gate, incidents, time=20 * MINUTE)
        assert not (await gate.storm()).shut
        views = [await ground.view(each) for each in incidents]
        assert [len(each.rows.raises) for each in views] == [1] * 6
        assert [[message.kind for message in each.messages] for each in views] == [[MessageKind.trigger]] * 6
        assert ground.intake.troubles == []


async def test_the_next_storm_is_not_told_for_those_that_were_paged_when_the_last_one_passed(tmp_path: Path) -> None:
    async with response_ground(tmp_path, c.rule(), can_look=False) as ground:
        ground.gate.now = Storm(shut=True, detail="5 targets")
        incident = await ground.began("k", Priority.p2)
        await ground.advance(incident)
        ground.gate.now = Storm()
        await ground.advance(incident, minutes=2)
        assert [each.by_storm for each in (await ground.view(incident)).rows.raises] == [True, False]
        ground.intake.troubles.clear()
        ground.gate.now = Storm(shut=True, detail="5 others")
        auditor = Auditor(
            ground.store, clock=ground.clock, intake=ground.intake, storm=ground.gate, rules=lambda: ground.rules, wake=lambda _: None
        )
        await auditor.round()
        assert [each.kind for each in ground.intake.troubles if each.kind is TroubleKind.storm] == []


@pytest.mark.parametrize(("quiet", "joins"), [(None, True), (4.0, True), (5.0, False), (9.9, False)])
def test_the_storms_page_is_joined_until_five_minutes_before_its_end(quiet: float | None, joins: bool) -> None:
    since = None if quiet is None else c.T0 - quiet * MINUTE
    case = c.case(storm=Storm(shut=True, detail="5 targets", quiet_since=since))
    assert next_raise(case, Because.deadline, c.T0).by_storm is joins


def test_a_p1_over_the_minutes_limit_joins_to_the_end() -> None:
    """It would find no place of its own, and ask again and again."""
    storm = Storm(shut=True, detail="5 targets", quiet_since=c.T0 - 9 * MINUTE, p1_pages_last_minute=P1_PAGES_A_MINUTE)
    assert next_raise(c.case(incident=c.incident(Priority.p1), storm=storm), Because.priority_one, c.T0).by_storm
