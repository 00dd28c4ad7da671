"""Who signed the body: HMAC-SHA256 over its bytes, as Grafana, Sentry and payment providers send it.

Law: every configured secret is compared with every signature that was sent, in constant time, whatever the others said; exactly one header
counts; where a time is signed with the body, an old or a future one is a replay. No header value makes it raise. Used by `credentials`,
and the door remembers by `Proofs` what it took.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from multidict import MultiMapping

from receiver.secret import Secret

MAX_AGE = timedelta(minutes=5)
"""Between the signed time and ours, before and after: a captured delivery is worth nothing later. Stripe's own tolerance
(https://docs.stripe.com/webhooks/signature)."""
MOST_SIGNATURES = 8
"""In one header: Stripe sends one for each secret that is being rotated."""
HEADER_LIMIT = 1024
MOST_PROOFS = 4096
"""Of one door: while they are worth something, 7 deliveries a second."""

_SECONDS = re.compile(r"[0-9]{1,12}", re.ASCII)


class Scheme(StrEnum):
    """What is signed, and how the header says it."""

    body = "body"
    """`<prefix><hex>` over the body, or over `<seconds>:<body>` where a header of its own tells the time (Grafana)."""
    stripe = "stripe"
    """`t=<seconds>,v1=<hex>` over `<seconds>.<body>`."""


@dataclass(frozen=True, slots=True)
class Signing:
    """How one sender signs."""

    header: str
    prefix: str = ""
    """Before the hex digits, as `sha256=`."""
    scheme: Scheme = Scheme.body
    timestamp_header: str = ""
    """Of the scheme `body`; empty: no time is signed, so a captured delivery can be sent again, for ever. While what it
    tells of fires it folds into that; after its end it pages and is never acted on (`engine.replayed`)."""
    max_age: timedelta = MAX_AGE

    @property
    def stamped(self) -> bool:
        """A time is signed with the body."""
        return self.scheme is Scheme.stripe or bool(self.timestamp_header)


@dataclass(frozen=True, slots=True)
class _Sent:
    """What the headers say: the bytes before the body, and the signatures."""

    before: bytes
    digests: tuple[bytes, ...]
    seconds: int | None = None


class Signature:
    """Judges the signatures of one door. Several secrets are valid at once, so that they can be rotated."""

    def __init__(self, signing: Signing, secrets: Iterable[Secret]) -> None:
        self._signing = signing
        self._secrets = tuple(secrets)
        if not self._secrets:
            raise ValueError("a signed source needs a secret: give it hmac_secret_file")
        self.header = signing.header
        self.max_age = signing.max_age

    def offered(self, headers: MultiMapping[str]) -> bool:
        """Whether a signature came at all: known before the body is read."""
        return len(headers.getall(self.header, ())) == 1

    def genuine(self, headers: MultiMapping[str], body: bytes, now: datetime) -> bool:
        """Whether somebody who holds a secret signed this body, lately. Never raises."""
        return self.proof(headers, body, now) is not None

    def proof(self, headers: MultiMapping[str], body: bytes, now: datetime) -> bytes | None:
        """None: not genuine. Else the same for the same time and body, however the headers are written; empty where no time is signed,
        since then a repeat is no replay. Never raises."""
        sent = _stripe(headers, self._signing) if self._signing.scheme is Scheme.stripe else _plain(headers, self._signing)
        if sent is None:
            return None
        known = [_digest(each, sent.before, body) for each in self._secrets]
        equal = [hmac.compare_digest(mine, theirs) for mine in known for theirs in sent.digests]  # a list: all are compared
        fresh = sent.seconds is None or abs(now.timestamp() - sent.seconds) <= self._signing.max_age.total_seconds()
        if True not in equal or not fresh:
            return None
        return known[0] if self._signing.stamped else b""


class Proofs:
    """Of the deliveries that were taken, while their stamps are good: the same one again is a replay, or a copy by a proxy."""

    def __init__(self, *, max_age: timedelta = MAX_AGE, most: int = MOST_PROOFS) -> None:
        self._good_for = 2 * max_age  # the stamp may have been as far ahead of us
        self._most = most
        self._until: OrderedDict[bytes, datetime] = OrderedDict()

    def __contains__(self, proof: bytes) -> bool:
        return proof in self._until

    def remember(self, proof: bytes, now: datetime) -> None:
        """Call it when the delivery is durable, not before: what was not stored has to come again."""
        if not proof:
            return
        self._until[proof] = now + self._good_for
        while self._until and (len(self._until) > self._most or next(iter(self._until.values())) <= now):
            self._until.popitem(last=False)


def _digest(secret: Secret, before: bytes, body: bytes) -> bytes:
    made = hmac.new(secret.reveal_bytes(), before, hashlib.sha256)
    made.update(body)
    return made.hexdigest().encode()


def _plain(headers: MultiMapping[str], signing: Signing) -> _Sent | None:
    value = _only(headers, signing.header)
    if value is None or not value.startswith(signing.prefix):
        return None
    digest = _bytes(value[len(signing.prefix) :])
    if not signing.timestamp_header:
        return _Sent(b"", (digest,))
    seconds = _only(headers, signing.timestamp_header)
    if seconds is None or not _SECONDS.fullmatch(seconds):
        return None
    return _Sent(f"{seconds}:".encode(), (digest,), int(seconds))


def _stripe(headers: MultiMapping[str], signing: Signing) -> _Sent | None:
    value = _only(headers, signing.header)
    pairs = [each.strip().partition("=") for each in value.split(",")] if value is not None else []
    times = [told for name, _, told in pairs if name == "t"]
    digests = tuple(_bytes(told) for name, _, told in pairs if name == "v1")[:MOST_SIGNATURES]
    if len(times) != 1 or not _SECONDS.fullmatch(times[0]) or not digests:
        return None
    return _Sent(f"{times[0]}.".encode(), digests, int(times[0]))


def _only(headers: MultiMapping[str], name: str) -> str | None:
    """The header's one value; None where it is missing, doubled or absurd."""
    values = headers.getall(name, ())
    return values[0].strip() if len(values) == 1 and len(values[0]) <= HEADER_LIMIT else None


def _bytes(text: str) -> bytes:
    """Text of a header may hold what is no ASCII, which `compare_digest` refuses to take."""
    return text.encode("utf-8", "replace")
