"""Our own rate limit."""

from __future__ import annotations

import asyncio

import pytest

from receiver.clients.token_bucket import TokenBucket
from receiver.clock import SystemClock


class Waiting(SystemClock):
    """Sleeps by moving on at once; writes down for how long."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)


async def test_a_burst_passes_and_the_rest_waits_its_turn() -> None:
    clock = Waiting()
    bucket = TokenBucket(per_second=10, burst=3, clock=clock)
    for _ in range(5):
        await bucket.take()
    assert clock.slept == pytest.approx([0.1, 0.2])


async def test_it_fills_with_time_but_never_above_the_burst() -> None:
    clock = Waiting()
    bucket = TokenBucket(per_second=10, burst=2, clock=clock)
    for _ in range(2):
        await bucket.take()
    clock.seconds = 60.0
    for _ in range(3):
        await bucket.take()
    assert clock.slept == pytest.approx([0.1])


async def test_who_gives_up_waiting_gives_the_place_back() -> None:
    clock = SystemClock()
    bucket = TokenBucket(per_second=0.001, burst=1, clock=clock)
    await bucket.take()
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(bucket.take(), 0.01)
    assert bucket._tokens == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("per_second, burst", [(0, 1), (-1, 1), (1, 0)])
def test_a_limit_of_nothing_is_refused(per_second: float, burst: int) -> None:
    with pytest.raises(ValueError, match="above zero"):
        TokenBucket(per_second=per_second, burst=burst, clock=SystemClock())
