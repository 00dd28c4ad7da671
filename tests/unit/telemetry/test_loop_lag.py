"""The lag of the loop."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta

from receiver.telemetry.loop_lag import measure_loop_lag
from receiver.telemetry.metrics import Metrics
from tests.fakes.clock import FakeClock


class LateClock(FakeClock):
    """Wakes everybody 0.2 s late; ends the work at the third sleep."""

    def __init__(self) -> None:
        super().__init__()
        self.sleeps = 0

    async def sleep(self, seconds: float) -> None:
        self.sleeps += 1
        if self.sleeps == 3:
            raise asyncio.CancelledError
        await super().sleep(seconds)
        self.advance(timedelta(seconds=0.2))


async def test_lateness_is_measured_again_and_again() -> None:
    metrics = Metrics(version="0")
    with suppress(asyncio.CancelledError):
        await measure_loop_lag(metrics, LateClock())
    assert metrics.registry.get_sample_value("receiver_loop_lag_seconds_count") == 2
    assert round(metrics.registry.get_sample_value("receiver_loop_lag_seconds_sum") or 0, 3) == 0.4
