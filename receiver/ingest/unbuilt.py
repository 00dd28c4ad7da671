"""Alerts that are known to be readable and are built when somebody first looks at them.

Law: a sender waits for the commit, not for work that the folder does anyway; so building must be unable to fail (`surely_readable`).
Made by the sources, counted by the door, opened by the folder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import overload

from receiver.core.model import Alert


class Unbuilt(Sequence[Alert]):
    """`count` and `resolved` are known; `build` is called once, and gives `count` alerts."""

    __slots__ = ("_build", "_built", "_count", "resolved")
    __hash__ = None  # type: ignore[assignment]  # as a tuple of alerts, whose labels cannot be hashed either

    def __init__(self, build: Callable[[], tuple[Alert, ...]], *, count: int, resolved: int) -> None:
        self._build: Callable[[], tuple[Alert, ...]] | None = build
        self._built: tuple[Alert, ...] = ()
        self._count = count
        self.resolved = resolved

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Alert: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Alert]: ...

    def __getitem__(self, index: int | slice) -> Alert | Sequence[Alert]:
        return self._all()[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._all() == tuple(other)

    def __repr__(self) -> str:
        return repr(self._all())

    def _all(self) -> tuple[Alert, ...]:
        if self._build is not None:
            self._built, self._build = self._build(), None
        return self._built


def resolved_among(alerts: Sequence[Alert]) -> int:
    """How many are over; without building them."""
    if isinstance(alerts, Unbuilt):
        return alerts.resolved
    return len([each for each in alerts if each.ends_at is not None])
