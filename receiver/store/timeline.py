"""The timeline: append-only, each entry chained by hash to the one before it, per incident.

Law: the hash of an entry is sha256 of the previous hash (none for the first) followed by the JSON array
`[incident, seq, microseconds, because, actor, text, data]` with data as its JSON text. The incident keeps length and head of its chain,
so a tail that was cut off shows too. The chain is per incident, so that replicas do not queue for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from receiver.ports import Entry, StoredEntry
from receiver.store import codec
from receiver.store.engine import Tx
from receiver.store.schema import incidents, timeline
from receiver.store.statements import given, insert

_INSERT = insert(timeline)
_OF = (
    sa.select(timeline.c.seq, timeline.c.at, timeline.c.because, timeline.c.actor, timeline.c.text, timeline.c.data, timeline.c.hash)
    .where(timeline.c.incident_id == given("incident", timeline.c.incident_id))
    .order_by(timeline.c.seq)
)
_END = sa.select(incidents.c.entries, incidents.c.head).where(incidents.c.id == given("incident", incidents.c.id))

Link = dict[str, Any]
"""A row of the timeline, by column."""


def chain(incident_id: int, entries: Iterable[Entry], *, seq: int, head: str) -> tuple[list[Link], int, str]:
    """The rows of `entries` after an end of (seq, head), and the new end."""
    rows: list[Link] = []
    for each in entries:
        seq += 1
        row: Link = {
            "incident_id": incident_id,
            "seq": seq,
            "at": codec.micros(each.at),
            "because": codec.text(each.because),
            "actor": codec.text(each.actor),
            "text": codec.text(each.text),
            "data": codec.encode(each.data),
        }
        head = row["hash"] = _hash(head, list(row.values()))
        rows.append(row)
    return rows, seq, head


def append(tx: Tx, rows: Sequence[Link]) -> None:
    """Stores what `chain` made; the caller stores the new end with the incident."""
    tx.many(_INSERT, rows)


def read(tx: Tx, incident_id: int) -> tuple[tuple[StoredEntry, ...], bool]:
    """All entries, oldest first, and whether the chain is whole."""
    rows = tx.all(_OF, incident=incident_id)
    head, intact = "", True
    for at, (*columns, stored) in enumerate(rows, start=1):
        head = _hash(head, [incident_id, *columns])
        intact = intact and head == stored and columns[0] == at
    end = tx.first(_END, incident=incident_id)
    return tuple(_entry(row) for row in rows), intact and end is not None and tuple(end) == (len(rows), head)


def _hash(previous: str, columns: Sequence[Any]) -> str:
    return hashlib.sha256(previous.encode() + msgspec.json.encode(columns)).hexdigest()


def _entry(row: Sequence[Any]) -> StoredEntry:
    seq, at, because, actor, words, data, digest = row
    entry = Entry(at=codec.moment(at), because=because, text=words, actor=actor, data=codec.OBJECT.decode(data))
    return StoredEntry(seq=seq, entry=entry, hash=digest)
