"""What a benchmark answers, and how it is shown: a line as soon as it is known, a table with a bar to each goal at the end."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass

BAR = 20
"""Characters up to the goal."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured thing."""

    goal: str
    what: str
    values: tuple[float, ...]
    """Of each round."""
    want: float | None = None
    """None: shown, not judged."""
    at_most: bool = False
    """The smaller the better."""
    unit: str = ""
    note: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def share(self) -> float:
        """Of the goal: 1 and more is met."""
        if self.want is None or self.median == self.want:
            return 1.0
        if not self.median:
            return float(BAR) if self.at_most else 0.0
        if not self.want:
            return 0.0
        return self.want / self.median if self.at_most else self.median / self.want

    @property
    def verdict(self) -> str:
        if self.want is None:
            return ""
        return "met" if self.share >= 1 else f"MISSED ({self.share:.2f})"

    @property
    def measured(self) -> str:
        spread = f" ({_short(min(self.values))}-{_short(max(self.values))})" if len(self.values) > 1 else ""
        return f"{_short(self.median)}{spread}{self.unit}"

    @property
    def wanted(self) -> str:
        return "" if self.want is None else f"{'<=' if self.at_most else '>='} {_short(self.want)}{self.unit}"

    def __str__(self) -> str:
        parts = (self.measured, self.wanted, self.verdict, self.note)
        return f"{self.goal} {self.what}: " + "  ".join(each for each in parts if each)


def progress(text: str) -> None:
    """On one line that the next one replaces; nothing where nobody watches."""
    if sys.stderr.isatty():
        print(f"\r\033[K  {text}", end="", file=sys.stderr, flush=True)


def tell(figure: Figure) -> None:
    """As soon as it is known."""
    progress("")
    print(f"  {figure}", flush=True)


def table(figures: Sequence[Figure]) -> str:
    """All of them: bar up to the goal (|), measured, wanted, verdict."""
    rows = [(each.goal, each.what, _bar(each), each.measured, each.wanted, each.verdict) for each in figures]
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    judged = [each for each in figures if each.want is not None]
    met = sum(each.share >= 1 for each in judged)
    return "\n".join([*lines, f"{met} of {len(judged)} goals met"])


def _bar(figure: Figure) -> str:
    if figure.want is None:
        return ""
    full = min(BAR + BAR // 2, round(figure.share * BAR))
    drawn = "#" * full
    return (drawn[:BAR].ljust(BAR, ".") + "|" + drawn[BAR:]).ljust(BAR + 1 + BAR // 2)


def _short(value: float) -> str:
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
