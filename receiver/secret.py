"""A value that must never be read by accident: tokens, keys, passwords.

Law: nothing prints, formats, compares, pickles or iterates it; `reveal` is the only way out, and is called where the value leaves for its
vendor. Made by `settings.py`, used by the doors and the clients.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import NoReturn, Self

_HIDDEN = "***"


class Secret:
    """Holds UTF-8 text. Empty ones are refused: an empty token would match an empty header."""

    __slots__ = ("__value",)

    def __init__(self, value: str | bytes) -> None:
        raw = value.encode() if isinstance(value, str) else value
        if not raw:
            raise ValueError("a secret is empty: give it a value, or leave its key out")
        if not _is_text(raw):
            raise ValueError("a secret is not UTF-8 text: store it encoded, for example as base64")
        self.__value = raw

    def reveal(self) -> str:
        """The value. Never bind it to a name that outlives the call it is for."""
        return self.__value.decode()

    def reveal_bytes(self) -> bytes:
        """The value as a key for HMAC."""
        return self.__value

    def matches(self, candidate: bytes) -> bool:
        """Whether `candidate` is the value, in a time that tells neither content nor length (digests of equal length are compared)."""
        return hmac.compare_digest(hashlib.sha256(self.__value).digest(), hashlib.sha256(candidate).digest())

    def __repr__(self) -> str:
        return _HIDDEN

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return _HIDDEN

    def __eq__(self, other: object) -> bool:
        """Never equal, not even to itself: `matches` is the comparison."""
        return False

    __hash__ = object.__hash__

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled")


def _is_text(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:  # it carries the bytes: must not be chained
        return False
    return True
