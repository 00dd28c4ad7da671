"""Statements of CloudWatch that come late, again, in the wrong order or two ways at once, over the real folder and store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from receiver.core.model import Alert, Batch
from receiver.engine.found_source import delivery_of, found
from receiver.ingest.cloudwatch import CloudWatchSource
from receiver.ports import Change, Delivery
from receiver.store.opening import open_store
from tests.fakes.clock import START, FakeClock
from tests.fakes.folding_ground import Ground
from tests.fakes.sns import alarm
from tests.unit.ingest.test_cloudwatch import event

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def read(body: str, way: str, at: datetime) -> Batch:
    batch = CloudWatchSource(way).parse(body.encode(), at)
    assert isinstance(batch, Batch)
    return batch


@dataclass
class Scene:
    ground: Ground

    async def tell(self, *bodies: str, way: str = "sqs") -> None:
        """In one batch."""
        now = self.ground.clock.now()
        await self.deliver(*(Delivery(way, now, body.encode(), read(body, way, now)) for body in bodies))

    async def deliver(self, *deliveries: Delivery) -> None:
        ids = await self.ground.store.real.append(deliveries)
        for id_, each in zip(ids, deliveries, strict=True):
            self.ground.handover.put(id_, each)
        await self.ground.folder.drain()

    async def firing(self) -> list[bool]:
        """Of each incident's alarm, oldest first."""
        return [(await self.ground.records(each.id))[0].firing for each in await self.ground.incidents()]

    async def close(self) -> None:
        rows = await self.ground.store.real.load(1)
        assert rows is not None
        await self.ground.store.real.save(Change(replace(rows.incident, open=False, closed_at=self.ground.clock.now(), closed_by="anna")))

    def restarted(self) -> Scene:
        return Scene(Ground.over(self.ground.store.real, self.ground.clock))

    def figure(self, name: str) -> float:
        return self.ground.metrics.registry.get_sample_value(f"receiver_{name}", {"source": "cloudwatch"}) or 0.0


@pytest_asyncio.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    clock = FakeClock(START + HOUR)
    store = await open_store(f"sqlite:///{tmp_path}/receiver.db", clock=clock)
    yield Scene(Ground.over(store, clock))
    await store.close()


def fires(minutes: float = 0, **changes: str) -> str:
    return alarm("ALARM", at=START + minutes * MINUTE, **changes)


def ends(minutes: float, state: str = "OK") -> str:
    return alarm(state, at=START + minutes * MINUTE)


async def test_an_alarm_fires_and_its_ok_ends_it(scene: Scene) -> None:
    await scene.tell(fires(0))
    assert await scene.firing() == [True]
    await scene.tell(ends(5))
    assert await scene.firing() == [False]


async def test_one_transition_over_two_ways_is_one_alert(scene: Scene) -> None:
    await scene.tell(fires(0))
    await scene.tell(event("ALARM", at=START), way="eventbridge")
    assert (len(await scene.ground.incidents()), len(await scene.ground.records())) == (1, 1)
    await scene.tell(event("OK", at=START + MINUTE), way="eventbridge")
    assert await scene.firing() == [False]


async def test_an_older_ok_does_not_end_a_newer_alarm(scene: Scene) -> None:
    await scene.tell(fires(10))
    await scene.tell(ends(5))
    assert await scene.firing() == [True]


@pytest.mark.parametrize("apart", [True, False], ids=["one by one", "in one batch"])
async def test_an_alarm_that_comes_after_its_ok_opens_nothing(scene: Scene, apart: bool) -> None:
    if apart:
        await scene.tell(ends(5))
        await scene.tell(fires(0))
    else:
        await scene.tell(ends(5), fires(0))
    assert await scene.ground.incidents() == []
    assert scene.figure("alerts_deduplicated_total") == 1


async def test_a_newer_alarm_after_an_ok_opens_an_incident(scene: Scene) -> None:
    await scene.tell(ends(5), fires(6))
    assert await scene.firing() == [True]


@pytest.mark.parametrize("restart", [True, False])
async def test_an_alarm_delivered_again_after_its_incident_closed_opens_nothing(scene: Scene, restart: bool) -> None:
    await scene.tell(fires(0))
    await scene.tell(ends(5))
    await scene.close()
    scene = scene.restarted() if restart else scene
    await scene.tell(fires(0))
    assert len(await scene.ground.incidents()) == 1
    await scene.tell(fires(7))
    assert await scene.firing() == [False, True]


async def test_an_alarm_delivered_again_after_a_person_closed_it_opens_nothing(scene: Scene) -> None:
    await scene.tell(fires(0))
    await scene.close()
    await scene.restarted().tell(fires(0))
    assert len(await scene.ground.incidents()) == 1


async def test_another_alarm_of_the_same_thing_is_not_taken_for_the_closed_one(scene: Scene) -> None:
    await scene.tell(fires(5))
    await scene.close()
    await scene.tell(fires(0, name="memory"))
    assert len(await scene.ground.incidents()) == 2


async def test_what_was_asked_for_is_never_too_old(scene: Scene) -> None:
    await scene.tell(ends(5))
    (alert,) = read(fires(0), "sqs", START + HOUR).alerts
    assert isinstance(alert, Alert)
    await scene.deliver(delivery_of([found(alert, asked_at=START + HOUR)], asked_at=START + HOUR))
    assert await scene.firing() == [True]


# --- neither OK nor ALARM ------------------------------------------------------------------------------------------------


async def test_insufficient_data_opens_nothing_and_ends_nothing(scene: Scene) -> None:
    await scene.tell(ends(0, "INSUFFICIENT_DATA"))
    assert await scene.ground.incidents() == []
    await scene.tell(fires(1))
    await scene.tell(ends(2, "INSUFFICIENT_DATA"))
    assert await scene.firing() == [True]


async def test_an_alarm_that_comes_after_a_newer_insufficient_data_is_heard(scene: Scene) -> None:
    await scene.tell(ends(5, "INSUFFICIENT_DATA"))
    await scene.tell(fires(0))
    assert await scene.firing() == [True]


async def test_insufficient_data_is_noted_once_in_the_timeline(scene: Scene) -> None:
    await scene.tell(fires(0))
    for minutes in (1, 1, 2):
        await scene.tell(ends(minutes, "INSUFFICIENT_DATA"))
    assert (await scene.ground.timeline()).count("ended_without_recovery") == 1


async def test_a_late_insufficient_data_says_nothing_of_a_newer_alarm(scene: Scene) -> None:
    await scene.tell(fires(5))
    await scene.tell(ends(2, "INSUFFICIENT_DATA"))
    assert "ended_without_recovery" not in await scene.ground.timeline()


async def test_a_deleted_alarm_is_noted_and_stays_open(scene: Scene) -> None:
    await scene.tell(fires(0))
    deleted = event("ALARM", at=START, kind="CloudWatch Alarm Configuration Change", operation="delete")
    await scene.tell(deleted, way="eventbridge")
    assert await scene.firing() == [True]
    text = (await scene.ground.view()).timeline[-1].entry.text
    assert "the alarm was deleted while it was in ALARM" in text


async def test_each_contributor_ends_for_itself(scene: Scene) -> None:
    def told(state: str, who: str, at: datetime) -> str:
        return alarm(state, at=at, AlarmContributorId=who, AlarmContributorAttributes={"Team": who})

    await scene.tell(told("ALARM", "a1", START), told("ALARM", "b2", START))
    await scene.tell(told("OK", "a1", START + MINUTE))
    assert {each.alert.labels["alarm_contributor"]: each.firing for each in await scene.ground.records()} == {"a1": False, "b2": True}
