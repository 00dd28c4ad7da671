"""Changes that were told: kept a while, bounded in number, found by what they are of.

Law: the same change told twice is one row; beyond the bound the oldest go, so that a pipeline gone wild cannot fill the disk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from receiver.ports import ToldChange
from receiver.store import codec
from receiver.store.engine import Row, Tx
from receiver.store.schema import changes
from receiver.store.statements import Upsert, given, listed

KEPT = timedelta(days=30)
MOST = 10_000
SHOWN = 1_000

_COLUMNS = (changes.c.id, changes.c.subject, changes.c.told_at, changes.c.told_by, changes.c.changed)
_TELL = Upsert(changes, ("key",), lambda _: {}, but=("id",))
_BY_KEY = sa.select(*_COLUMNS).where(changes.c.key == given("key", changes.c.key))
_FORGET = sa.delete(changes).where(
    changes.c.id
    <= sa.select(changes.c.id)
    .order_by(changes.c.id.desc())
    .limit(sa.literal_column("1"))
    .offset(sa.literal_column(str(MOST)))
    .scalar_subquery()
)
_newest = sa.select(*_COLUMNS).where(changes.c.at >= given("since", changes.c.at)).order_by(changes.c.at.desc(), changes.c.id.desc())
_ALL = _newest.limit(sa.bindparam("limit", type_=sa.Integer()))
_OF = _newest.where(listed(changes.c.subject, "subjects")).limit(sa.bindparam("limit", type_=sa.Integer()))


def tell(tx: Tx, told: ToldChange) -> ToldChange:
    """As it is stored: told before, it is the first one."""
    changed = codec.encode(told.changed)
    key = hashlib.sha256(f"{codec.text(told.subject)}\n{changed}".encode()).hexdigest()
    row: dict[str, Any] = {
        "key": key,
        "subject": codec.text(told.subject),
        "at": codec.micros(told.changed.at),
        "told_at": codec.micros(told.told_at),
        "told_by": codec.text(told.told_by),
        "changed": changed,
    }
    tx.run(_TELL, row)
    tx.run(_FORGET, {})
    return _told(tx.all(_BY_KEY, key=key)[0])


def told(tx: Tx, subjects: Collection[str], *, since: datetime, limit: int) -> list[ToldChange]:
    """The newest first; no subjects: of all."""
    given_ = {"since": codec.micros(since), "limit": max(1, min(SHOWN, limit))}
    if subjects:
        return [_told(row) for row in tx.all(_OF, subjects=codec.encode(list(subjects)), **given_)]
    return [_told(row) for row in tx.all(_ALL, **given_)]


def _told(row: Row) -> ToldChange:
    id_, subject, told_at, told_by, changed = row
    return ToldChange(subject, codec.CHANGED.decode(changed), codec.moment(told_at), told_by, id=id_)
