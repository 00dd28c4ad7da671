"""The inbox: deliveries as they came, kept until they are folded and a month longer; quarantine and heartbeats beside it.

Law: what `append` returned is on disk. It is one statement in one transaction of its own: nothing else is in the way of a sender.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import sqlalchemy as sa

from receiver.ports import Delivery, Quarantined, StoredDelivery
from receiver.store import codec
from receiver.store.engine import Tx
from receiver.store.schema import deliveries, heartbeats, is_off, quarantine
from receiver.store.statements import Upsert, given, insert

_APPEND = insert(deliveries, but=("id",))
_LAST = sa.select(sa.func.max(deliveries.c.id))
_UNFOLDED = (
    sa.select(deliveries.c.id, deliveries.c.source, deliveries.c.received_at, deliveries.c.body)
    .where(is_off(deliveries.c.folded), deliveries.c.id > given("after", deliveries.c.id))
    .order_by(deliveries.c.id)
    .limit(sa.bindparam("limit", type_=sa.Integer()))
)
BACKLOG = sa.select(sa.func.count()).select_from(deliveries).where(is_off(deliveries.c.folded))
_FOLDED = (
    sa.update(deliveries)
    .where(
        deliveries.c.id >= given("first", deliveries.c.id), deliveries.c.id <= given("last", deliveries.c.id), is_off(deliveries.c.folded)
    )
    .values(folded=1)
)
_QUARANTINE = insert(quarantine, but=("id",))
_BEAT = Upsert(
    heartbeats,
    ("source", "rule"),
    lambda new: {"last_at": sa.case((new.last_at > heartbeats.c.last_at, new.last_at), else_=heartbeats.c.last_at)},
)
_ARM = Upsert(heartbeats, ("source", "rule"), lambda _: {})


def append(tx: Tx, new: Sequence[Delivery]) -> list[int]:
    """Ids in order. They follow each other: the write lock is held, and ids are never given twice."""
    tx.many(
        _APPEND,
        [
            {"source": codec.text(each.source), "received_at": codec.micros(each.received_at), "body": each.body, "folded": 0}
            for each in new
        ],
    )
    last: int = tx.value(_LAST) if new else 0
    return list(range(last - len(new) + 1, last + 1))


def unfolded(tx: Tx, *, after: int, limit: int) -> list[StoredDelivery]:
    """Oldest first."""
    rows = tx.all(_UNFOLDED, after=after, limit=limit)
    return [StoredDelivery(id=id_, source=source, received_at=codec.moment(at), body=bytes(body)) for id_, source, at, body in rows]


def mark_folded(tx: Tx, ids: Iterable[int]) -> None:
    """Done with them; again changes nothing."""
    tx.many(_FOLDED, [{"first": first, "last": last} for first, last in _runs(sorted(ids))])


def set_aside(tx: Tx, found: Iterable[Quarantined]) -> None:
    """For a person to read."""
    tx.many(
        _QUARANTINE,
        [
            {
                "source": codec.text(each.source),
                "at": codec.micros(each.at),
                "reason": codec.text(each.reason),
                "path": codec.text(each.path),
                "raw": codec.text(each.raw),
                "delivery_id": each.delivery_id,
            }
            for each in found
        ],
    )


def beat(tx: Tx, source: str, rule: str, *, at: int, arm: bool = False) -> None:
    """Remembers the beat unless a later one is known; `arm` only where none is."""
    tx.run(_ARM if arm else _BEAT, {"source": codec.text(source), "rule": codec.text(rule), "last_at": at})


def _runs(ids: Sequence[int]) -> list[tuple[int, int]]:  # sorted ids → first and last of each unbroken run: usually one
    runs: list[tuple[int, int]] = []
    for each in ids:
        if runs and each <= runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], each)
        else:
            runs.append((each, each))
    return runs
