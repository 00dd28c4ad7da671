"""What the collectors share: a reading that several pieces rest on, a reason for a piece that is not there, gaps in words, sparklines."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from receiver.clients.errors import ClientError

T = TypeVar("T")

_BARS = "▁▂▃▄▅▆▇█"


class NotThere(Exception):
    """A piece that does not exist here: its text is the reason, as a person reads it."""


class Once(Generic[T]):
    """A reading that several pieces need: made by the first that asks; its failure is everybody's."""

    def __init__(self, read: Callable[[], Awaitable[T]]) -> None:
        self._read = read
        self._lock = asyncio.Lock()
        self._found: tuple[T] | ClientError | None = None

    async def __call__(self) -> T:
        """Raises ClientError, each time anew. Who is cancelled while reading leaves it to the next."""
        async with self._lock:
            if self._found is None:
                try:
                    self._found = (await self._read(),)
                except ClientError as error:
                    self._found = error
        if isinstance(self._found, ClientError):
            raise ClientError(self._found.kind, self._found.text) from self._found
        return self._found[0]


def sparkline(values: Sequence[float], *, width: int = 30) -> str:
    """`▁▂▇█`, oldest first, from 0 or the least value to the greatest; several values a bar where there are more than `width`."""
    finite = [each for each in values if math.isfinite(each)]
    if not finite:
        return ""
    step = max(1, math.ceil(len(finite) / width))
    bars = [max(finite[at : at + step]) for at in range(0, len(finite), step)]
    low, high = min(0.0, *bars), max(bars)
    span = (high - low) or 1.0
    return "".join(_BARS[min(7, int((each - low) / span * 8))] for each in bars)
