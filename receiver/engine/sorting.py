"""What a batch of deliveries says, before the store is asked: alerts to fold, heartbeats, what is dropped, what a person must see.

Law: no input or output, nothing is written here; a row that cannot be read raises, and the folder sets it aside. Called by the folder.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from receiver.core.dedup import plain
from receiver.core.model import Alert, Batch, Refusal
from receiver.engine.folding import Judge, Judged
from receiver.ports import OwnTrouble, Quarantined, Source, TroubleKind

T = TypeVar("T")

SLICE = 100
"""Alerts after which the loop gets a turn: about 5 ms."""

RAW_LIMIT = 4_096

Beat = tuple[str, str]
"""Source and rule of a heartbeat."""


class Unreadable(Exception):
    """An inbox row that its source does not understand any more."""


@dataclass(slots=True)
class Row:
    """One inbox row on its way."""

    id: int
    source: str
    received_at: datetime
    body: bytes
    batch: Batch | None = None
    """None: not parsed again yet."""


@dataclass(slots=True)
class Sorted:
    """By what is to be done with it."""

    alerts: list[tuple[Alert, Judged]] = field(default_factory=list)
    beats: dict[Beat, datetime] = field(default_factory=dict)
    """The newest of each heartbeat."""
    silenced: set[Beat] = field(default_factory=set)
    """Heartbeats whose last word is that they are over: they will not beat again."""
    quarantined: list[Quarantined] = field(default_factory=list)
    troubles: list[OwnTrouble] = field(default_factory=list)


async def sort(rows: Sequence[Row], sources: Mapping[str, Source], judge: Judge) -> Sorted:
    """Parses where a restart left only the bytes; gives the loop a turn now and then."""
    said = Sorted()
    for row in rows:
        _note_faults(row, _batch_of(row, sources), said)
    async for alert in in_slices(alert for row in rows for alert in _batch_of(row, sources).alerts):
        _place(alert, judge.judge(alert), said)
    return said


async def in_slices(things: Iterable[T]) -> AsyncIterator[T]:
    """One after the other, with a turn for everybody else now and then."""
    for n, each in enumerate(things, start=1):
        yield each
        if n % SLICE == 0:
            await asyncio.sleep(0)


def raw_of(row: Row) -> str:
    """The beginning of the body, for a person."""
    return row.body[:RAW_LIMIT].decode(errors="replace")


def _batch_of(row: Row, sources: Mapping[str, Source]) -> Batch:
    if row.batch is None:
        source = sources.get(row.source)
        if source is None:
            raise Unreadable(f"no source of the configuration is called {row.source!r}")
        parsed = source.parse(row.body, row.received_at)
        if isinstance(parsed, Refusal):
            raise Unreadable(f"{parsed.path}: {parsed.reason}")
        row.batch = parsed
    return row.batch


def _place(alert: Alert, judged: Judged, said: Sorted) -> None:
    if judged.rule.heartbeat is not None:
        beat = (alert.source, judged.rule.name)
        if alert.firing(alert.received_at):
            said.beats[beat] = max(alert.received_at, said.beats.get(beat, alert.received_at))
            said.silenced.discard(beat)
        else:
            said.silenced.add(beat)
    elif not judged.rule.ignore:  # what is ignored was counted at the door
        said.alerts.append((alert, judged))


def _note_faults(row: Row, batch: Batch, said: Sorted) -> None:
    aside = [Quarantined(row.source, row.received_at, each.reason, each.path, each.raw, row.id) for each in batch.rejected]
    if not batch.usable and not aside:
        aside = [Quarantined(row.source, row.received_at, "nothing in it is an alert", "", raw_of(row), row.id)]
    if aside:
        said.quarantined += aside
        detail = (
            f"{len(aside)} element(s) of delivery {row.id} could not be read as alerts: {plain(aside[0].path)} {plain(aside[0].reason)}"
        )
        said.troubles.append(OwnTrouble(TroubleKind.quarantine, row.source, detail))
    if batch.odd_version is not None:
        detail = f"payload version {plain(batch.odd_version, limit=40)!r} is not known here: paged, never acted on"
        said.troubles.append(OwnTrouble(TroubleKind.odd_version, row.source, detail))
