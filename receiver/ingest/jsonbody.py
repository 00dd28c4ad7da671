"""JSON from strangers, decoded without surprises.

Law: `decode` answers with plain values or raises `NotJson`, nothing else, whatever the bytes; work and memory are bounded by the size of
the body. What Python's decoder takes silently is shown as what it is: an object whose names repeat is a `Repeated`, a number that no
machine integer or float can hold is an `Outsize`; NaN and Infinity are no JSON. Called by the parsers of the sources.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import NoReturn

PARTS_LIMIT = 1_500_000
"""Commas, braces and brackets of one body. A real one of 16 MiB has some 500,000; one made of `{},` would cost 400 MB as objects."""
DIGITS_LIMIT = 4300
"""Characters of a number; Python's own limit for integers (https://docs.python.org/3/library/stdtypes.html#int-max-str-digits)."""
SAFE_DIGITS = 18
"""Any integer so long fits 64 bits, and so SQLite and PostgreSQL."""
DEPTH_LIMIT = 32
SHOWN_LIMIT = 4096


class NotJson(ValueError):
    """The body is not JSON, or not of a size that anything sane has. The text holds nothing of the body."""


@dataclass(frozen=True, slots=True)
class Repeated:
    """An object in which a name stands more than once: which value is meant, nobody can say."""

    pairs: tuple[tuple[str, object], ...]

    @property
    def names(self) -> list[str]:
        """Those that stand more than once."""
        seen: dict[str, int] = {}
        for name, _ in self.pairs:
            seen[name] = seen.get(name, 0) + 1
        return [name for name, times in seen.items() if times > 1]


@dataclass(frozen=True, slots=True)
class Outsize:
    """A number that does not fit."""

    text: str


def decode(body: bytes) -> object:
    """Raises `NotJson` and nothing else."""
    if body.count(b",") + body.count(b"{") + body.count(b"[") > PARTS_LIMIT:
        raise NotJson(f"more than {PARTS_LIMIT} values")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as bad:
        raise NotJson(f"not UTF-8 at byte {bad.start}") from None  # the error carries the whole body
    try:
        return json.loads(text, object_pairs_hook=_object, parse_int=_integer, parse_float=_real, parse_constant=_constant)
    except json.JSONDecodeError as bad:
        raise NotJson(f"not JSON at character {bad.pos}: {bad.msg}") from None
    except RecursionError:
        raise NotJson("nested too deep") from None


def too_deep(value: object, *, limit: int = DEPTH_LIMIT) -> bool:
    """Whether lists and objects stand in each other more than `limit` times. Walks level by level: no recursion."""
    level: list[object] = [value]
    for _ in range(limit + 1):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return False
    return True


def show(value: object) -> str:
    """The value as text for a person: at most 4,096 characters, fit for every store. Needs a value that is not `too_deep`."""
    return repaired(json.dumps(value, ensure_ascii=False, default=_as_shown)[:SHOWN_LIMIT])[:SHOWN_LIMIT]


def repaired(text: str) -> str:
    """Without NUL and lone surrogates, which no database and no encoder takes."""
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace").replace("\0", "\ufffd")


def kind(value: object) -> str:
    """What it is, in the words of JSON."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    names = {str: "a string", int: "a number", float: "a number", Outsize: "a number", list: "a list", dict: "an object"}
    return names.get(type(value), "an object with repeated names")


def _object(pairs: list[tuple[str, object]]) -> object:
    made = dict(pairs)
    return made if len(made) == len(pairs) else Repeated(tuple(pairs))


def _integer(text: str) -> object:
    if len(text) > DIGITS_LIMIT:
        raise NotJson(f"a number of {len(text)} digits")
    return int(text) if len(text) <= SAFE_DIGITS else Outsize(text)


def _real(text: str) -> object:
    if len(text) > DIGITS_LIMIT:
        raise NotJson(f"a number of {len(text)} digits")
    value = float(text)
    return value if math.isfinite(value) else Outsize(text)


def _constant(text: str) -> NoReturn:
    raise NotJson(f"{text} is no JSON")


def _inside(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values()) or [None]
    if isinstance(value, list):
        return value or [None]
    if isinstance(value, Repeated):
        return [each for _, each in value.pairs]
    return []


def _as_shown(value: object) -> object:
    if isinstance(value, Repeated):
        return [list(pair) for pair in value.pairs]
    return value.text if isinstance(value, Outsize) else repr(value)
