"""What every client says when a call did not do what was asked.

Law: the vendor's exception is translated here, once, and chained; the text is short and holds no secrets. `sent` is the one thing an
action must know: may the call have been applied, or come to be?
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

TEXT_LIMIT = 256


class ErrorKind(StrEnum):
    """What went wrong, in words that hold for every vendor."""

    not_found = "not_found"
    forbidden = "forbidden"
    unauthorized = "unauthorized"
    conflict = "conflict"
    """Somebody else changed it since it was read."""
    invalid = "invalid"
    """The request is wrong, or a policy of the platform denies it."""
    throttled = "throttled"
    """By the vendor, or by our own rate limit."""
    unavailable = "unavailable"
    """It answered that it cannot now (5xx)."""
    timeout = "timeout"
    unreachable = "unreachable"
    """No connection, or it was cut; also: our own configuration of the way there is wrong."""
    bad_answer = "bad_answer"
    """Something answered that we cannot read."""
    budget = "budget"
    """A disruption budget does not allow it now."""
    unwell = "unwell"
    """Refused by ourselves before anything was sent: the platform's API is not well just now."""
    held = "held"
    """Refused by ourselves before anything was sent: kill switch, expired, not on our allow-list."""


class ClientError(Exception):
    """A call that failed. `str()` is safe to log, to store and to show."""

    def __init__(self, kind: ErrorKind, text: str, *, sent: bool = False, retry_after: timedelta | None = None) -> None:
        self.kind = kind
        self.text = plain(text)
        self.sent = sent
        """True: a mutation may have been applied, or may still land. Meaningless for reads."""
        self.retry_after = retry_after
        super().__init__(f"{kind}: {self.text}")


def plain(text: str, *, limit: int = TEXT_LIMIT) -> str:
    """One printable line of at most `limit` characters."""
    line = " ".join("".join(each if each.isprintable() else " " for each in text[: 4 * limit]).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
