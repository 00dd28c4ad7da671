"""How many bytes of bodies one door holds at once, and the word when it stays full.

Law: only bytes that arrived count, never what a sender announces. A peer whom nothing proves yet may hold a share only; small bodies have a
reserve of their own, so that those who send much do not shut them out. Nothing waits: what does not fit is answered 503. Used by the door.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta

from receiver.ports import Clock, OwnTrouble, TroubleKind

SHARE = 8
"""One stranger may hold this part of the room, or one body, if that is more."""
FULL_AFTER = timedelta(minutes=2)
FULL_GAP = timedelta(minutes=5)
"""A refusal so long after the one before is a new story; a door that refused nothing for so long is free again."""


class Room:
    """`most`: of all bodies, though one `body` always fits. `reserve`: beyond that, for bodies of at most `small` bytes."""

    def __init__(self, *, most: int, body: int, reserve: int, small: int) -> None:
        large = max(most, body)
        self.pools = (_Pool(large, max(large // SHARE, body)), _Pool(reserve, max(reserve // SHARE, small)))
        self.small = small

    def held(self, peer: str) -> Held:
        """Of one request. `peer`: of whom nothing is proven yet; empty: a friend."""
        return Held(self, peer)


class Held:
    """What one request holds of the room, given back at its end."""

    __slots__ = ("_bytes", "_pool", "_room", "peer")

    def __init__(self, room: Room, peer: str) -> None:
        self._room = room
        self._pool = room.pools[0]
        self._bytes = 0
        self.peer = peer

    def __enter__(self) -> Held:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.give(self.peer, self._bytes)

    def upto(self, total: int) -> bool:
        """To hold so many bytes in all. False: they do not fit, and nothing more was taken."""
        for pool in self._room.pools if total <= self._room.small else self._room.pools[:1]:
            if pool.take(self.peer, total - (self._bytes if pool is self._pool else 0)):
                if pool is not self._pool:
                    self._pool.give(self.peer, self._bytes)
                self._pool, self._bytes = pool, total
                return True
        return False

    def proven(self) -> None:
        """The sender is a friend: no share limits it any more."""
        self._pool.count(self.peer, -self._bytes)
        self.peer = ""


class _Pool:
    def __init__(self, limit: int, share: int) -> None:
        self._left = limit
        self._share = share
        self._by_peer: Counter[str] = Counter()

    def take(self, peer: str, count: int) -> bool:
        if count > self._left or (peer and self._by_peer[peer] + count > self._share):
            return False
        self._left -= count
        self.count(peer, count)
        return True

    def give(self, peer: str, count: int) -> None:
        self._left += count
        self.count(peer, -count)

    def count(self, peer: str, change: int) -> None:
        """Friends are not counted."""
        if peer and change:
            self._by_peer[peer] += change
            if not self._by_peer[peer]:
                del self._by_peer[peer]


class Fullness:
    """Tells when a door goes on having no room: whoever fills it, what it refuses may be an alarm."""

    def __init__(self, source: str, *, clock: Clock, report: Callable[[OwnTrouble], None]) -> None:
        self._source = source
        self._clock = clock
        self._report = report
        self._first: float | None = None
        self._last = 0.0
        self._told = True  # perhaps by the process before this one: the first delivery says that it is over

    def refused(self) -> None:
        """A delivery found no room."""
        now = self._clock.monotonic()
        if self._first is None or now - self._last > FULL_GAP.total_seconds():
            self._first = now
        self._last = now
        if now - self._first >= FULL_AFTER.total_seconds():
            self._told = True
            minutes = round((now - self._first) / 60)
            detail = f"for {minutes} minutes deliveries were answered 503, as too many large ones came at once"
            self._report(OwnTrouble(TroubleKind.door_full, self._source, detail))

    def stored(self) -> None:
        """A delivery came in."""
        if self._told and (self._first is None or self._clock.monotonic() - self._last > FULL_GAP.total_seconds()):
            self._told = False
            self._first = None
            self._report(OwnTrouble(TroubleKind.door_full, self._source, "there is room again", over=True))
