"""The notations that people write numbers in, as pydantic types: `1h30m`, `20%`, `16MiB`, `https://…`.

Law: a number without its unit is refused, never guessed. The readers are plain functions, so that bounds (whose fields are data) can use
them too; they raise ValueError with the notation that is expected.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Strict

_DURATION = re.compile(r"(?:(\d{1,6})w)?(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9})s)?(?:(\d{1,9})ms)?", re.ASCII)
_UNITS = ("weeks", "days", "hours", "minutes", "seconds", "milliseconds")
_LONGEST = timedelta(days=3660)
_SIZE = re.compile(r"(\d{1,12}) ?(|B|KiB|MiB|GiB|kB|MB|GB)", re.ASCII)
_SIZES = {"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "kB": 1000, "MB": 1000**2, "GB": 1000**3}
_PERCENT = re.compile(r"(\d{1,4}(?:\.\d{1,6})?) ?%", re.ASCII)
_ADDRESS_LIMIT = 2048
_LARGEST_FACTOR = 1000


def read_duration(value: object) -> timedelta:
    """`5m`, `1h30m`, `90s`, `0s`: as Prometheus writes them, at most 3,660 days."""
    if isinstance(value, timedelta):
        return value
    match = _DURATION.fullmatch(value) if isinstance(value, str) and value else None
    if match is None:
        raise ValueError(f"{_shown(value)} is not a duration; write it as 90s, 5m, 1h30m or 2d")
    length = timedelta(**{unit: int(amount) for unit, amount in zip(_UNITS, match.groups(), strict=True) if amount})
    if length > _LONGEST:
        raise ValueError(f"{_shown(value)} is longer than 3660d")
    return length


def show_duration(value: timedelta) -> str:
    """`1h30m`, `0s`: reads back as the same length (to the millisecond)."""
    left = round(value / timedelta(milliseconds=1))
    text = ""
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        amount, left = divmod(left, size)
        text += f"{amount}{unit}" if amount else ""
    return text or "0s"


def read_share(value: object) -> float:
    """`20%` or `0.2`: a share from 0 to 1."""
    if isinstance(value, str) and (match := _PERCENT.fullmatch(value)):
        share = float(match[1]) / 100
    elif isinstance(value, int | float) and not isinstance(value, bool):
        share = float(value)
    else:
        raise ValueError(f"{_shown(value)} is not a share; write it as 20% or 0.2")
    if not 0 <= share <= 1:
        raise ValueError(f"{_shown(value)} is not between 0% and 100%; write it as 20% or 0.2")
    return share


def read_as(kind: type, value: object) -> timedelta | int | float:
    """A duration, a count or a share (or factor), as `kind` is timedelta, int or float; never negative."""
    if kind is timedelta:
        return read_duration(value)
    if kind is int:
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
        raise ValueError(f"{_shown(value)} is not a whole number of at least 0")
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _LARGEST_FACTOR:
        return float(value)
    if isinstance(value, str):
        return read_share(value)
    raise ValueError(f"{_shown(value)} is not a share or factor; write it as 20%, 0.2 or 2")


def read_size(value: object) -> int:
    """`16MiB` or a number of bytes."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{_shown(value)} is not a size; write it as 16MiB or a number of bytes")
    return int(match[1]) * _SIZES[match[2]]


def read_flag(value: object) -> bool:
    """`true` or `false`; `yes`, `on` and `1` are refused rather than guessed."""
    if isinstance(value, bool):
        return value
    raise ValueError(f"{_shown(value)} is not true or false; allowed: true, false")


def read_address(value: object) -> str:
    """An http or https address with a host; no user or password in it, no spaces or control characters."""
    if not isinstance(value, str):
        raise ValueError(f"{_shown(value)} is not an address; write it as https://host/path")
    if len(value) > _ADDRESS_LIMIT or not value.isprintable() or " " in value:
        raise ValueError(f"an address is at most {_ADDRESS_LIMIT} visible characters without spaces")
    try:
        parts = urlsplit(value)
        _ = parts.port  # raises for a port that is none
    except ValueError as error:
        raise ValueError(f"{_shown(value)} is not an address: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{_shown(value)} is not an http or https address; write it as https://host/path")
    if parts.username is not None or parts.password is not None:
        raise ValueError("an address must not hold a user or password; secrets have keys of their own")
    return value


def _shown(value: object) -> str:
    text = repr(value) if isinstance(value, str | int | float | bool | None) else f"a {'list' if isinstance(value, list) else 'mapping'}"
    return text if len(text) <= 80 else text[:79] + "…"


Duration = Annotated[timedelta, BeforeValidator(read_duration)]
Share = Annotated[float, BeforeValidator(read_share)]
Size = Annotated[int, BeforeValidator(read_size)]
Flag = Annotated[bool, BeforeValidator(read_flag)]
Address = Annotated[str, BeforeValidator(read_address)]
Whole = Annotated[int, Strict()]
Number = Annotated[float, Strict()]
