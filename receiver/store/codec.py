"""Between frozen values and columns: JSON text for values, microseconds for moments.

Law: a string that goes in holds no NUL and no lone surrogate (PostgreSQL refuses both, SQLite cuts at the first and raises at the
second): they become U+FFFD here. Decoding is strict; what does not fit raises `msgspec.MsgspecError`, which `engine.py` translates.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec

from receiver.core.case import Attempt, Standing
from receiver.core.facts import Changed, Facts
from receiver.core.model import AlertRecord, Classification
from receiver.core.page import PageText

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_ENCODER = msgspec.json.Encoder(order="deterministic")  # the timeline's hashes rest on the order

ALERT_RECORD = msgspec.json.Decoder(AlertRecord)
ATTEMPT = msgspec.json.Decoder(Attempt)
CLASSIFICATION = msgspec.json.Decoder(Classification)
FACTS = msgspec.json.Decoder(Facts)
CHANGED = msgspec.json.Decoder(Changed)
STANDING = msgspec.json.Decoder(Standing)
PAGE_TEXT = msgspec.json.Decoder(PageText)
PHASES = msgspec.json.Decoder(dict[str, datetime])
OBJECT = msgspec.json.Decoder(dict[str, object])


def text(value: str) -> str:
    """`value` as it may be stored; the same string where nothing is wrong with it."""
    if value.isascii() and "\x00" not in value:
        return value
    return _UNSTORABLE.sub("\ufffd", value)


def encode(value: object) -> str:
    """JSON text, keys sorted, every string storable, no number that JSON does not have."""
    try:
        encoded = _ENCODER.encode(value)
    except UnicodeEncodeError:  # a lone surrogate
        encoded = b"\\u0000"
    if b"\\u0000" in encoded:
        encoded = _ENCODER.encode(_repaired(msgspec.to_builtins(value, builtin_types=(datetime,), str_keys=True)))
    return encoded.decode()


def encode_measured(value: object) -> str:
    """As `encode`, for values with numbers from outside: a member of a mapping that is not finite is left out, any other becomes null."""
    return _ENCODER.encode(_repaired(msgspec.to_builtins(value, builtin_types=(datetime,), str_keys=True))).decode()


def _repaired(value: Any) -> Any:  # a tree of builtins in, the same tree out
    if isinstance(value, str):
        return text(value)
    if isinstance(value, dict):
        return {text(key): _repaired(each) for key, each in value.items() if not _boundless(each)}
    if isinstance(value, list | tuple):
        return [_repaired(each) for each in value]
    return None if _boundless(value) else value


def _boundless(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def micros(moment: datetime) -> int:
    """Microseconds since 1970; exact."""
    return (moment - _EPOCH) // _MICROSECOND


def maybe_micros(moment: datetime | None) -> int | None:
    """None stays None."""
    return None if moment is None else micros(moment)


def moment(value: int) -> datetime:
    """The way back, in UTC."""
    return _EPOCH + timedelta(microseconds=value)


def maybe_moment(value: int | None) -> datetime | None:
    """None stays None."""
    return None if value is None else moment(value)
