"""The system's clock keeps what `ports.Clock` says."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from receiver.clock import SystemClock
from receiver.ports import Clock


def test_now_is_aware_utc() -> None:
    now = SystemClock().now()
    assert now.tzinfo is UTC
    assert abs(datetime.now(UTC) - now) < timedelta(seconds=5)


def test_monotonic_never_goes_backwards() -> None:
    clock: Clock = SystemClock()
    readings = [clock.monotonic() for _ in range(100)]
    assert readings == sorted(readings)


@pytest.mark.parametrize("seconds", [-1.0, 0.0])
async def test_a_sleep_of_nothing_still_lets_others_run(seconds: float) -> None:
    ran: list[str] = []
    async with asyncio.TaskGroup() as group:
        group.create_task(_note(ran, "other"), name="other")
        await SystemClock().sleep(seconds)
        ran.append("sleeper")
    assert ran == ["other", "sleeper"]


async def test_a_sleep_can_be_cancelled() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await SystemClock().sleep(3600)


async def _note(ran: list[str], name: str) -> None:
    ran.append(name)
