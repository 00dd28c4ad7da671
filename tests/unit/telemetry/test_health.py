"""Alive and ready."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from receiver.ports import StoreUnavailable
from receiver.telemetry.health import Health
from tests.fakes.clock import FakeClock


def healthy(clock: FakeClock | None = None) -> Health:
    return Health(clock=clock or FakeClock(), limit=timedelta(milliseconds=20), starting=False)


class Counted:
    """A check that counts how often it is asked."""

    def __init__(self, answer: str = "") -> None:
        self.asked = 0
        self.answer = answer

    async def __call__(self) -> str:
        self.asked += 1
        await asyncio.sleep(0)
        return self.answer


async def test_without_checks_and_workers_all_is_well() -> None:
    health = healthy()
    assert health.alive().well
    assert (await health.ready()).well


async def test_a_stopped_worker_means_neither_alive_nor_ready() -> None:
    health = healthy()
    health.watch("folder", lambda: False)
    health.watch("agenda", lambda: True)
    assert health.alive().failing == {"folder": "stopped"}
    assert (await health.ready()).failing == {"folder": "stopped"}


async def test_it_is_not_ready_before_the_start_and_after_the_end() -> None:
    health = Health(clock=FakeClock())
    assert (await health.ready()).failing == {"service": "starting"}
    health.started()
    assert (await health.ready()).well
    health.stopping()
    assert (await health.ready()).failing == {"service": "stopping"}
    assert health.alive().well


async def test_failing_checks_are_named_with_their_reason() -> None:
    health = healthy()
    health.require("store", Counted("no answer"))
    health.require("rules", Counted())
    assert (await health.ready()).failing == {"store": "no answer"}


async def test_a_check_that_hangs_fails_in_its_time() -> None:
    health = healthy()

    async def hang() -> str:
        await asyncio.Event().wait()
        return ""

    health.require("store", hang)
    assert "no answer" in (await health.ready()).failing["store"]


async def test_the_text_of_a_failing_store_is_not_shown() -> None:
    health = healthy()

    async def broken() -> str:
        raise StoreUnavailable("postgresql://user:hunter2@db")

    health.require("store", broken)
    assert (await health.ready()).failing == {"store": "unavailable"}


async def test_asking_often_asks_the_checks_once_a_second() -> None:
    clock, check = FakeClock(), Counted()
    health = healthy(clock)
    health.require("store", check)
    await asyncio.gather(*(health.ready() for _ in range(50)))
    assert check.asked == 1
    clock.advance(timedelta(seconds=1))
    await health.ready()
    assert check.asked == 2


async def test_a_worker_that_stops_shows_at_once() -> None:
    health, alive = healthy(), [True]
    health.watch("folder", lambda: alive[0])
    assert (await health.ready()).well
    alive[0] = False
    assert not (await health.ready()).well


@pytest.mark.parametrize("long", ["x" * 1000])
async def test_a_reason_is_short(long: str) -> None:
    health = healthy()
    health.require("store", Counted(long))
    assert len((await health.ready()).failing["store"]) == 256
