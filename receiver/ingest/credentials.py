"""Who may deliver: bearer tokens, basic credentials and signatures of one source, and the watch over a sender that is only ever refused.

Law: every configured secret is compared, by digest, whatever the others said; exactly one `Authorization` header counts; no header value
makes it raise. A signature is asked for beside a token, never instead of it. Used by the door.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from multidict import MultiMapping

from receiver.ingest.signature import Signature
from receiver.ports import Clock, OwnTrouble, TroubleKind
from receiver.secret import Secret


@dataclass(frozen=True, slots=True)
class Basic:
    """A user and its password. Names hold no colon (RFC 7617), passwords may."""

    username: str
    password: Secret


class Credentials:
    """What opens one door. Several of a kind are valid at once, so that they can be rotated. At least one is needed."""

    def __init__(
        self,
        *,
        tokens: Iterable[Secret] = (),
        basic: Iterable[Basic] = (),
        signature: Signature | None = None,
        key_header: str = "",
    ) -> None:
        """`key_header`: where a token may stand instead, bare (an API key of EventBridge); empty: nowhere else."""
        self._tokens = tuple(_digest(each.reveal_bytes()) for each in tokens)
        self._users = tuple(_digest(f"{each.username}:".encode() + each.password.reveal_bytes()) for each in basic)
        self._key_header = key_header
        self.signature = signature
        """Judged when the body is there; None: the headers alone tell."""
        if not self._tokens and not self._users and signature is None:
            raise ValueError("a source needs a token or basic credentials: give it token_file or basic")
        signed = f'Signature headers="{signature.header}"' if signature is not None else ""
        schemes = (("Bearer", self._tokens), ('Basic realm="receiver", charset="UTF-8"', self._users), (signed, signed))
        self.challenge = ", ".join(name for name, configured in schemes if configured)
        """The value of `WWW-Authenticate`."""

    @property
    def by_headers(self) -> bool:
        """The headers alone tell a friend."""
        return bool(self._tokens or self._users)

    def offered(self, headers: MultiMapping[str]) -> bool:
        """Whether the headers hold all that is asked for: a good token, and a signature to be judged with the body. Never raises."""
        by_key = bool(self._key_header) and self._admits_key(headers.getall(self._key_header, ()))
        return (by_key or self.admit(headers.getall("Authorization", ()))) and (self.signature is None or self.signature.offered(headers))

    def proof(self, headers: MultiMapping[str], body: bytes, now: datetime) -> bytes | None:
        """As `Signature.proof`: None where the body is not signed and that is asked for. Never raises."""
        return b"" if self.signature is None else self.signature.proof(headers, body, now)

    def _admits_key(self, values: Sequence[str]) -> bool:
        return len(values) == 1 and _among(values[0].strip().encode("utf-8", "surrogateescape"), self._tokens)

    def admit(self, headers: Sequence[str]) -> bool:
        """`headers` are the values of all `Authorization` headers of the request. Where only a signature is configured, it alone tells.
        Never raises."""
        if not self.by_headers:
            return self.signature is not None
        if len(headers) != 1:
            return False
        scheme, _, value = headers[0].partition(" ")
        match scheme.lower():
            case "bearer":
                return _among(value.strip().encode("utf-8", "surrogateescape"), self._tokens)  # as aiohttp decoded it
            case "basic":
                return _among(_decoded(value.strip()), self._users)
        return False


def _among(candidate: bytes | None, known: tuple[bytes, ...]) -> bool:
    if not candidate:
        return False
    digest = _digest(candidate)
    return True in [hmac.compare_digest(digest, each) for each in known]  # a list: all are compared


def _digest(value: bytes) -> bytes:
    """Of equal length for every secret: comparing it tells neither content nor length."""
    return hashlib.sha256(value).digest()


def _decoded(value: str) -> bytes | None:
    try:
        return base64.b64decode(value.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        return None


UNAUTHORIZED_AFTER = timedelta(minutes=5)
UNAUTHORIZED_GAP = timedelta(hours=1)
"""Alertmanager tries a failing group again every few minutes."""


class Unauthorized:
    """Tells when a source has heard nothing but 401 for five minutes: a rotated token would lose every alert, silently."""

    def __init__(self, source: str, *, clock: Clock, report: Callable[[OwnTrouble], None], gap: timedelta = UNAUTHORIZED_GAP) -> None:
        """`gap`: a refusal so long after the one before is a new story."""
        self._source = source
        self._clock = clock
        self._report = report
        self._gap = gap.total_seconds()
        self._first: float | None = None
        self._last = 0.0
        self._told = True  # perhaps by the process before this one: the first success says that it is over

    def refused(self) -> None:
        """A delivery was answered 401, or 403 for its signature."""
        now = self._clock.monotonic()
        if self._first is None or now - self._last > self._gap:
            self._first = now
        self._last = now
        if now - self._first >= UNAUTHORIZED_AFTER.total_seconds():
            self._told = True
            minutes = round((now - self._first) / 60)
            detail = f"every delivery of the last {minutes} minutes was answered 401 or 403: does the sender hold the secret we expect?"
            self._report(OwnTrouble(TroubleKind.unauthorized, self._source, detail))

    def admitted(self) -> None:
        """A delivery came with good credentials."""
        self._first = None
        if self._told:
            self._told = False
            self._report(OwnTrouble(TroubleKind.unauthorized, self._source, "a delivery was admitted", over=True))
