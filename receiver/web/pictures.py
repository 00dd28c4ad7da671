"""The geometry of the pictures: an incident's phases as a strip over time, and the open incidents as a bar. Pure numbers and texts.

Law: every picture says in words what it shows (`label`); positions are finite and inside the picture, whatever the dates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from receiver.core.model import Phase
from receiver.web.words import Words, clock_time

WIDTH = 1000
"""Of every strip, in its own units; the page scales it."""
APART = 22
"""Two marks closer than this are drawn side by side, on the large strip."""
APART_SMALL = 84
"""The same on the strip of a list, whose marks are larger in its units."""
AHEAD = 0.35
"""Share of the past that the future takes at most; what is due later stands at the edge."""
LEAST = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened at a moment."""

    at: datetime
    kind: str
    """page | ack | act | good | bad | shadow"""
    text: str


@dataclass(frozen=True, slots=True)
class Segment:
    """The time in one phase."""

    x: float
    width: float
    phase: str
    title: str
    name: str
    room: bool
    """Its name fits into it."""
    since: str


@dataclass(frozen=True, slots=True)
class Spot:
    """A mark with its place."""

    x: float
    kind: str
    title: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled moment below the strip."""

    x: float
    text: str
    anchor: str
    """start | middle | end"""


@dataclass(frozen=True, slots=True)
class Strip:
    """One incident over time."""

    segments: tuple[Segment, ...]
    spots: tuple[Spot, ...]
    now: float | None
    due: float | None
    due_title: str
    ticks: tuple[Tick, ...]
    label: str


@dataclass(frozen=True, slots=True)
class Story:
    """What a strip is drawn from."""

    id: int
    phases: Mapping[str, datetime]
    accepted_at: datetime
    closed_at: datetime | None
    marks: Sequence[Mark]
    next_due: datetime | None


def strip(story: Story, *, now: datetime, words: Words, apart: float = APART) -> Strip:
    """Left is when it was accepted, right is its end, or a little after now."""
    dated = _phases(story)
    start = dated[0][1]
    end = max(story.closed_at or now, start, *(each.at for each in story.marks))
    due = story.next_due if story.closed_at is None else None
    right = max(end, start + LEAST)
    if story.closed_at is None:
        most = right + (right - start) * AHEAD
        right = min(max(due or right, right + (right - start) * 0.04), most)
    scale = _Scale(start, right)
    due_text = f"{words('m_due')}: {clock_time(due, now)} ({words.since(due, now)})" if due else ""
    return Strip(
        segments=tuple(_segments(dated, end, scale, words, now)),
        spots=tuple(_spots(story.marks, scale, now, apart)),
        now=scale.x(now) if story.closed_at is None else None,
        due=scale.x(max(due, now)) if due else None,
        due_title=due_text,
        ticks=tuple(_ticks(start, story.closed_at, due, scale, now, words)),
        label=_label(story.id, dated, story.marks, due_text, words, now),
    )


@dataclass(frozen=True, slots=True)
class _Scale:
    start: datetime
    end: datetime

    def x(self, at: datetime) -> float:
        share = (at - self.start) / (self.end - self.start)
        return round(min(1.0, max(0.0, share)) * WIDTH, 1)


def _phases(story: Story) -> list[tuple[str, datetime]]:
    """In order of their dates; the acceptance is the first, whatever is dated before it."""
    known = [each.value for each in Phase]
    dated = [(name, max(at, story.accepted_at)) for name, at in story.phases.items() if name in known]
    dated = [each for each in dated if each[0] != Phase.detected.value]
    return [(Phase.detected.value, story.accepted_at), *sorted(dated, key=lambda each: (each[1], known.index(each[0])))]


def _segments(dated: Sequence[tuple[str, datetime]], end: datetime, scale: _Scale, words: Words, now: datetime) -> list[Segment]:
    ends = [at for _, at in dated[1:]] + [end]
    made = []
    for (phase, at), until in zip(dated, ends, strict=True):
        left, right = scale.x(at), scale.x(max(at, until))
        name = words(phase)
        title = f"{name}: {clock_time(at, now)}, {words.gap(max(at, until) - at)}"
        made.append(Segment(left, round(max(right - left, 3), 1), phase, title, name, right - left > 14 * len(name), clock_time(at, now)))
    return made


def _spots(marks: Sequence[Mark], scale: _Scale, now: datetime, apart: float) -> list[Spot]:
    spots: list[Spot] = []
    for mark in sorted(marks, key=lambda each: each.at):
        x = scale.x(mark.at)
        if spots and x - spots[-1].x < apart:
            x = spots[-1].x + apart
        spots.append(Spot(round(min(x, WIDTH), 1), mark.kind, f"{clock_time(mark.at, now)} {mark.text}"))
    return spots


def _ticks(start: datetime, closed: datetime | None, due: datetime | None, scale: _Scale, now: datetime, words: Words) -> list[Tick]:
    ticks = [Tick(0, clock_time(start, now), "start")]
    here = scale.x(closed or now)
    ahead = due is not None and due > now and WIDTH - here > 150
    if here > 150:
        text = clock_time(closed, now) if closed else words("now")
        ticks.append(Tick(here, text, "middle" if ahead and here < WIDTH - 100 else "end"))
    if ahead and due is not None:
        ticks.append(Tick(WIDTH, clock_time(due, now), "end"))
    return ticks


def _label(id_: int, dated: Sequence[tuple[str, datetime]], marks: Sequence[Mark], due: str, words: Words, now: datetime) -> str:
    told = [f"{words(phase)} {clock_time(at, now)}" for phase, at in dated]
    told += [f"{each.text} {clock_time(each.at, now)}" for each in sorted(marks, key=lambda each: each.at)]
    return f"{words('strip', id_)}: {', '.join([*told, *([due] if due else [])])}"


@dataclass(frozen=True, slots=True)
class Part:
    """One priority's share of the bar."""

    x: float
    width: float
    rank: int
    name: str
    count: int


def bar(counts: Sequence[tuple[int, str, int]]) -> tuple[Part, ...]:
    """`counts` are (rank, shown name, open incidents); those of none keep their legend with no width."""
    total = sum(count for _, _, count in counts)
    parts: list[Part] = []
    x = 0.0
    for rank, name, count in counts:
        width = WIDTH * count / total if total else 0.0
        parts.append(Part(round(x, 1), round(width, 1), rank, name, count))
        x += width
    return tuple(parts)
