"""The system's clock: the one reader of wall time in the package.

Law: everybody else takes `now` as an argument or asks the `Clock` it was given (`receiver.ports.Clock`), so that every test and every
simulation runs in virtual time. Wired in `app.py`.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime


class SystemClock:
    """Implements `receiver.ports.Clock`."""

    def now(self) -> datetime:
        """Aware UTC. May jump when the machine's clock is set: never subtract two of them to measure."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment of this boot; never backwards."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """At least one turn of the loop, also for zero and below; cancellable."""
        await asyncio.sleep(max(0.0, seconds))
