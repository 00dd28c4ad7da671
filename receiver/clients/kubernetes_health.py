"""Is the API server well? Its last minute: how many calls failed, how slow the slow ones were, and whether its clock is ours.

Law: a server that fails, dawdles or lives in another time tells old stories: nothing is changed by them. With few calls nothing is said.
One for all identities of one API server: fed by every call of `clients/kubernetes.py`, asked before each mutation, and by the observers.
"""

from __future__ import annotations

import math
from collections import deque
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Protocol

from receiver.ports import Clock

WINDOW = timedelta(minutes=1)
CALLS = 10
"""Fewer say nothing."""
FAILED = 0.2
"""Of the calls; more is unwell."""
SLOW = timedelta(seconds=2)
"""The 95th percentile; longer is unwell."""
SKEW = timedelta(seconds=5)
"""Between its clock and ours: facts are 15 s fresh at most, so that more would be a third of their life."""
KEPT = 4096
"""Calls; above what our own rate limit lets through in a minute."""


class Healthy(Protocol):
    """Whoever can say how well the API is, as `Kubernetes`."""

    def health(self) -> str:
        """Empty: well. Otherwise what is wrong, as `4 of the last 12 calls failed`."""
        ...


class ApiHealth:
    """Belongs to one event loop."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._calls: deque[tuple[float, float, bool]] = deque(maxlen=KEPT)
        self._skew: tuple[float, timedelta] | None = None

    def note(self, *, seconds: float, failed: bool) -> None:
        """One call is over. `failed`: the server's fault, not the caller's (a 404 is none)."""
        self._calls.append((self._clock.monotonic(), seconds, failed))

    def note_date(self, header: str, *, sent_at: datetime, received_at: datetime) -> None:
        """The `Date` of an answer; nonsense is passed over. Its whole second counts: only what is surely apart is skew."""
        try:
            begins = parsedate_to_datetime(header)
        except (TypeError, ValueError, IndexError, OverflowError):
            return
        begins = begins.replace(tzinfo=UTC) if begins.tzinfo is None else begins
        ahead, behind = begins - received_at, sent_at - (begins + timedelta(seconds=1))
        self._skew = (self._clock.monotonic(), max(ahead, behind, timedelta(0)))

    def health(self) -> str:
        """Empty: well, or not known to be unwell."""
        oldest = self._clock.monotonic() - WINDOW.total_seconds()
        while self._calls and self._calls[0][0] < oldest:
            self._calls.popleft()
        if self._skew is not None and self._skew[0] >= oldest and self._skew[1] > SKEW:
            return f"its clock is {self._skew[1].total_seconds():.0f} s from ours"
        count = len(self._calls)
        if count < CALLS:
            return ""
        failed = sum(1 for _, _, each in self._calls if each)
        if failed > FAILED * count:
            return f"{failed} of its last {count} calls failed"
        slow = sorted(seconds for _, seconds, _ in self._calls)[math.ceil(0.95 * count) - 1]
        return f"one call in twenty takes {slow:.1f} s or longer" if slow > SLOW.total_seconds() else ""
