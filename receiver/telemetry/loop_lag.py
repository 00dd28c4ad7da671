"""How late the event loop wakes a sleeper: the one figure that shows blocking code, whoever wrote it.

Run by `app.py` as a supervised worker.
"""

from __future__ import annotations

from typing import NoReturn

from receiver.ports import Clock
from receiver.telemetry.metrics import Metrics


async def measure_loop_lag(metrics: Metrics, clock: Clock, *, every: float = 0.5) -> NoReturn:
    """Never returns."""
    while True:
        asked = clock.monotonic()
        await clock.sleep(every)
        metrics.loop_lag.observe(max(0.0, clock.monotonic() - asked - every))
