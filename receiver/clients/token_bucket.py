"""Our own rate limit before a vendor's: so many calls a second, a burst at most.

Law: whoever comes first goes first, and waits exactly as long as its place in the row costs. Used by the clients.
"""

from __future__ import annotations

import asyncio

from receiver.ports import Clock


class TokenBucket:
    """Belongs to one event loop. The waiting has no limit of its own: callers put it under theirs."""

    def __init__(self, *, per_second: float, burst: int, clock: Clock) -> None:
        if per_second <= 0 or burst < 1:
            raise ValueError(f"rate limit of {per_second} calls a second and burst {burst}: both must be above zero")
        self._per_second = per_second
        self._burst = float(burst)
        self._clock = clock
        self._tokens = self._burst
        self._filled_at = clock.monotonic()

    async def take(self) -> None:
        """Returns when the call may go. A cancelled waiter gives its place back."""
        self._fill()
        self._tokens -= 1  # below zero it is a debt, paid by waiting: later comers see it and wait longer
        if self._tokens >= 0:
            return
        try:
            await self._clock.sleep(-self._tokens / self._per_second)
        except asyncio.CancelledError:
            self._tokens += 1
            raise

    def _fill(self) -> None:
        now = self._clock.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._per_second)
        self._filled_at = now
