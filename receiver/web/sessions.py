"""Console sessions: who is logged in, for how long, and how often a login may fail.

Law: the cookie is a random id that means nothing outside this process, and only its hash is kept; the store is bounded and everything in it
expires; a form counts only with the token that we gave out with it. A restart ends every session.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import timedelta

from receiver.ports import Clock
from receiver.web.tokens import Caller

MOST_SESSIONS = 1_000
MOST_PEERS = 10_000
LONGEST = timedelta(hours=12)
"""A working shift; then the token is asked for again."""
IDLE = timedelta(hours=1)
"""Without a request. An open page refreshes itself, so this ends what nobody looks at."""
FAILURES = 20
FAILURES_WITHIN = timedelta(minutes=5)
"""Tokens are random, so this is against noise, not against guessing: per peer, so that nobody can lock out everybody."""


@dataclass(frozen=True, slots=True)
class Session:
    """A login that still holds."""

    caller: Caller
    csrf: str
    """Stands in every form of the session."""
    began: float
    seen: float


class Sessions:
    """All of one process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sessions: OrderedDict[bytes, Session] = OrderedDict()
        """By hash of the id, the one seen longest ago first."""
        self._failures: OrderedDict[str, list[float]] = OrderedDict()
        self._key = secrets.token_bytes(32)

    def open(self, caller: Caller) -> str:
        """The id for the cookie. When there are too many, the one seen longest ago ends."""
        id_ = secrets.token_urlsafe(32)
        now = self._clock.monotonic()
        while len(self._sessions) >= MOST_SESSIONS:
            self._sessions.popitem(last=False)
        self._sessions[_hash(id_)] = Session(caller, secrets.token_urlsafe(32), began=now, seen=now)
        return id_

    def find(self, id_: str) -> Session | None:
        """None: unknown, or over."""
        key, now = _hash(id_), self._clock.monotonic()
        session = self._sessions.get(key)
        if session is None:
            return None
        if now - session.began >= LONGEST.total_seconds() or now - session.seen >= IDLE.total_seconds():
            del self._sessions[key]
            return None
        self._sessions[key] = replace(session, seen=now)
        self._sessions.move_to_end(key)
        return session

    def close(self, id_: str) -> None:
        """Harmless when it is over already."""
        self._sessions.pop(_hash(id_), None)

    # --- forms before a login: nothing is kept for strangers ---

    def form_nonce(self) -> str:
        """For the cookie of the login form."""
        return secrets.token_urlsafe(32)

    def form_token(self, nonce: str) -> str:
        """For the hidden field: only we can make it for a nonce."""
        return hmac.new(self._key, nonce.encode("utf-8", "replace"), hashlib.sha256).hexdigest()

    # --- failed logins ---

    def may_try(self, peer: str) -> bool:
        """Not after too many failures."""
        return len(self._recent(peer)) < FAILURES

    def failed(self, peer: str) -> None:
        """Counts one."""
        self._failures[peer] = [*self._recent(peer), self._clock.monotonic()]
        self._failures.move_to_end(peer)
        while len(self._failures) > MOST_PEERS:
            self._failures.popitem(last=False)

    def _recent(self, peer: str) -> list[float]:
        since = self._clock.monotonic() - FAILURES_WITHIN.total_seconds()
        return [each for each in self._failures.get(peer, ()) if each > since]


def same(given: str, expected: str) -> bool:
    """In a time that tells nothing."""
    return hmac.compare_digest(_hash(given), _hash(expected))


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()
