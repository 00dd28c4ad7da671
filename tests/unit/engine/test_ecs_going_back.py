"""A service of ECS that was brought back is not sent on to something older: by its own circuit breaker, or by us."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from receiver.core.case import Because
from receiver.core.plan import decide
from tests.kits.ecs_ground import BACK, EcsGround, credentials
from tests.unit.engine.test_ecs_road import GROUP, Road, alarm, road


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    credentials(monkeypatch)


def worse_in_flight(ecs: EcsGround) -> None:
    """web:2 has run for hours, and web:3 never comes up."""
    ecs.world.deploy(ecs.service, ecs.bad)
    ecs.world.old(ecs.service, timedelta(hours=10))
    worse = ecs.world.register("web", "shop:3")
    ecs.world.broken.add(worse)
    ecs.service.target_group = GROUP
    ecs.world.deploy(ecs.service, worse, finish=False)


def given_back_by_ecs(ecs: EcsGround) -> None:
    """Its circuit breaker has; and then something else is the matter."""
    ecs.service.breaker = True
    worse_in_flight(ecs)
    for _ in range(8):
        ecs.world.tick()
    ecs.world.sick_targets[GROUP] = 3


async def refused(on: Road) -> set[Because]:
    case = await on.ground.responder.case(on.incident.id)
    assert case is not None
    return {each.because for each in decide(case, on.ground.clock.now()).refusals}


async def test_what_the_circuit_breaker_went_back_to_stays(tmp_path: Path) -> None:
    async with road(tmp_path, BACK, begin=given_back_by_ecs) as on:
        await on.on(2)
        assert on.ecs.server.changes == []
        assert Because.nothing_to_undo in await refused(on)


async def test_what_we_went_back_to_stays_for_the_next_incident_too(tmp_path: Path) -> None:
    async with road(tmp_path, BACK, begin=worse_in_flight) as on:
        await on.on(3)
        await on.resolve()
        await on.on(7)
        assert not (await on.ground.view(on.incident)).rows.incident.open
        on.ground.clock.advance(timedelta(minutes=25))
        on.ecs.world.sick_targets[GROUP] = 3
        again = alarm(on.ground)
        on.incident = await on.ground.began(records=[replace(again, alert=replace(again.alert, fingerprint="ff" * 8))])
        await on.on(2)
        assert [each.operation for each in on.ecs.server.changes] == ["StopServiceDeployment"]
        assert on.ecs.service.primary.task_definition == on.ecs.bad
        assert {Because.nothing_to_undo, Because.already_undone} & await refused(on)
