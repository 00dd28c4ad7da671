"""When the storm gate shuts and opens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from receiver.core.model import Bounds
from receiver.engine.storm import StoreStormGate
from receiver.ports import Beat, Overdue, StoreUnavailable, StormCounts
from receiver.store.opening import open_store
from tests.fakes.clock import START, FakeClock
from tests.fakes.folding_ground import Ground, body, said

MINUTE = timedelta(minutes=1)
QUIET = StormCounts(targets=0, by_namespace={}, truncated=False)


class Counts:
    """A WatchStore of which only the counts matter."""

    def __init__(self, counts: StormCounts = QUIET) -> None:
        self.counts = counts
        self.asked: list[datetime] = []
        self.away = False

    async def joined_storm(self) -> bool:
        raise NotImplementedError

    async def storm_counts(self, *, since: datetime) -> StormCounts:
        self.asked.append(since)
        if self.away:
            raise StoreUnavailable("locked")
        return self.counts

    async def overdue(self, *, now: datetime, grace: timedelta) -> list[Overdue]:
        raise NotImplementedError

    async def beats(self) -> list[Beat]:
        raise NotImplementedError

    async def arm(self, source: str, rule: str, *, at: datetime) -> None:
        raise NotImplementedError

    async def gauges(self) -> dict[str, dict[str, float]]:
        raise NotImplementedError


def gate_over(counts: StormCounts, *, watched: int = 0, clock: FakeClock | None = None) -> StoreStormGate:
    return StoreStormGate(Counts(counts), clock or FakeClock(), Bounds(), watched)


@pytest.mark.parametrize(
    "counts,watched,shut",
    [
        (QUIET, 0, False),
        (StormCounts(4, {"a": 2, "b": 2}, truncated=False), 0, False),
        (StormCounts(5, {"a": 2, "b": 2, "c": 1}, truncated=False), 0, True),
        (StormCounts(3, {"a": 3}, truncated=False), 0, True),
        (StormCounts(4, {"": 4}, truncated=False), 0, False),
        (StormCounts(1, {"a": 1}, truncated=True), 0, True),
        (StormCounts(2, {"a": 1, "b": 1}, truncated=False, catalogued=2), 4, False),
        (StormCounts(3, {"a": 2, "b": 1}, truncated=False, catalogued=3), 4, True),
        (StormCounts(3, {"a": 2, "b": 1}, truncated=False, catalogued=3), 15, True),
        (StormCounts(3, {"a": 2, "b": 1}, truncated=False, catalogued=3), 16, False),
        (StormCounts(4, {"a": 2, "b": 2}, truncated=False, catalogued=4), 20, True),
        (StormCounts(4, {"a": 2, "b": 2}, truncated=False), 20, False),
        (StormCounts(4, {"a": 2, "b": 2}, truncated=False, catalogued=2), 4, False),
        (StormCounts(4, {"a": 2, "b": 2}, truncated=False, catalogued=4), 2, False),
    ],
)
async def test_the_gate_shuts_for_each_reason(counts: StormCounts, watched: int, shut: bool) -> None:
    storm = await gate_over(counts, watched=watched).storm()
    assert (storm.shut, bool(storm.detail)) == (shut, shut)


async def test_a_share_is_not_lost_to_floating_point() -> None:
    bounds = Bounds(storm_targets=100, storm_namespace=100)
    gate = StoreStormGate(Counts(StormCounts(7, {}, truncated=False, catalogued=7)), FakeClock(), bounds, watched=35)
    assert (await gate.storm()).shut


async def test_the_gate_opens_after_ten_quiet_minutes() -> None:
    clock, store = FakeClock(), Counts(StormCounts(9, {}, truncated=False))
    gate = StoreStormGate(store, clock, Bounds(), 0)
    assert (await gate.storm()).since == START
    store.counts = QUIET
    clock.advance(MINUTE)
    assert (await gate.storm()).quiet_since == START + MINUTE
    clock.advance(timedelta(minutes=9, seconds=59))
    assert (await gate.storm()).shut
    clock.advance(timedelta(seconds=1))
    assert not (await gate.storm()).shut


async def test_a_new_reason_in_the_quiet_starts_the_quiet_anew() -> None:
    clock, store = FakeClock(), Counts(StormCounts(9, {}, truncated=False))
    gate = StoreStormGate(store, clock, Bounds(), 0)
    storm = await gate.storm()
    for counts in (QUIET, StormCounts(9, {}, truncated=False), QUIET):
        store.counts = counts
        clock.advance(9 * MINUTE)
        storm = await gate.storm()
    assert (storm.shut, storm.since, storm.quiet_since) == (True, START, START + 27 * MINUTE)


async def test_the_store_is_asked_once_a_second_for_the_window() -> None:
    clock, store = FakeClock(), Counts()
    gate = StoreStormGate(store, clock, Bounds(), 0)
    for _ in range(32):
        await gate.storm()
        clock.advance(timedelta(milliseconds=125))
    assert store.asked == [START + n * timedelta(seconds=1) - 5 * MINUTE for n in range(4)]


async def test_the_pages_of_the_last_minute_are_passed_on() -> None:
    assert (await gate_over(replace(QUIET, p1_pages_last_minute=7)).storm()).p1_pages_last_minute == 7


async def test_an_unreadable_store_is_no_answer() -> None:
    clock, store = FakeClock(), Counts()
    store.away = True
    with pytest.raises(StoreUnavailable):
        await StoreStormGate(store, clock, Bounds(), 0).storm()


# --- over the real store -------------------------------------------------------------------------------------------------


@pytest.fixture
async def ground(tmp_path: Path) -> AsyncIterator[Ground]:
    clock = FakeClock()
    store = await open_store(f"sqlite:///{tmp_path}/receiver.db", clock=clock)
    try:
        yield Ground.over(store, clock)
    finally:
        await store.close()


def _down(name: str, namespace: str) -> dict[str, str]:
    return {"alertname": "KubeDeploymentReplicasMismatch", "namespace": namespace, "deployment": name}


async def test_three_targets_of_one_namespace_shut_the_gate_and_a_restart_sees_it_again(ground: Ground) -> None:
    await ground.fold(body(*(said(_down(name, "shop")) for name in ("web", "api", "db"))))
    for _ in range(2):
        storm = await StoreStormGate(ground.store.real, ground.clock, Bounds(), 0).storm()
        assert (storm.shut, storm.since) == (True, START)
        assert "shop" in storm.detail


async def test_many_alerts_of_one_target_are_no_storm(ground: Ground) -> None:
    await ground.fold(body(*(said({**_down("web", "shop"), "alertname": f"KubeDeployment{n}"}) for n in range(20))))
    assert not (await StoreStormGate(ground.store.real, ground.clock, Bounds(), 0).storm()).shut


async def test_a_truncated_group_shuts_the_gate(ground: Ground) -> None:
    await ground.fold(body(said(_down("web", "shop")), truncatedAlerts=3))
    assert (await StoreStormGate(ground.store.real, ground.clock, Bounds(), 0).storm()).shut
