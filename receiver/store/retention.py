"""What is forgotten, and when: folded deliveries after 30 days, closed incidents with all of theirs after 400,
changes that were told after 30.

Law: never an open incident, never a page that is not sent, never an attempt of the last 30 days. Bounded, oldest first: call it again
while it found something.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa

from receiver.store import codec
from receiver.store.changes import KEPT as CHANGES_KEPT
from receiver.store.engine import Tx
from receiver.store.schema import (
    agenda,
    alerts,
    aliases,
    attempts,
    changes,
    deliveries,
    facts,
    incidents,
    is_off,
    outbox,
    quarantine,
    raises,
    standing,
    timeline,
    waits,
)
from receiver.store.statements import given, listed

DELIVERIES_KEPT = timedelta(days=30)
INCIDENTS_KEPT = timedelta(days=400)
ATTEMPTS_KEPT = timedelta(days=30)
BATCH = 500
"""Rows a transaction: some milliseconds, for which senders wait."""

_LIMIT = sa.bindparam("limit", type_=sa.Integer())
_oldest = (
    sa.select(deliveries.c.id, deliveries.c.folded, deliveries.c.received_at).order_by(deliveries.c.id).limit(_LIMIT).subquery("oldest")
)
_DELIVERIES = sa.delete(deliveries).where(
    deliveries.c.id.in_(
        sa.select(_oldest.c.id).where(_oldest.c.folded == 1, _oldest.c.received_at < given("before", deliveries.c.received_at))
    )
)
_QUARANTINE = sa.delete(quarantine).where(
    quarantine.c.id.in_(
        sa.select(quarantine.c.id).where(quarantine.c.at < given("before", quarantine.c.at)).order_by(quarantine.c.at).limit(_LIMIT)
    )
)
_CHANGES = sa.delete(changes).where(
    changes.c.id.in_(
        sa.select(changes.c.id).where(changes.c.told_at < given("before", changes.c.told_at)).order_by(changes.c.id).limit(_LIMIT)
    )
)
_OVER = (
    sa.select(incidents.c.id)
    .where(
        is_off(incidents.c.open),
        incidents.c.closed_at < given("before", incidents.c.closed_at),
        ~sa.exists().where(waits, outbox.c.incident_id == incidents.c.id).correlate(incidents),
        ~sa.exists()
        .where(attempts.c.incident_id == incidents.c.id, attempts.c.started_at >= given("recent", attempts.c.started_at))
        .correlate(incidents),
    )
    .order_by(incidents.c.closed_at)
    .limit(_LIMIT)
)
_PARTS = [
    *(
        sa.delete(each).where(listed(each.c.incident_id, "ids"))
        for each in (alerts, aliases, attempts, facts, raises, standing, outbox, agenda)
    ),
    sa.delete(incidents).where(listed(incidents.c.id, "ids")),
    sa.delete(timeline).where(listed(timeline.c.incident_id, "ids")),  # last: its trigger guards it while the incident is there
]


def sweep(tx: Tx, now: datetime, *, limit: int = BATCH) -> int:
    """How many deliveries, quarantined things, changes and incidents went."""
    kept = codec.micros(now - INCIDENTS_KEPT)
    gone = tx.run(_DELIVERIES, {"before": codec.micros(now - DELIVERIES_KEPT), "limit": limit})
    gone += tx.run(_QUARANTINE, {"before": kept, "limit": limit})
    gone += tx.run(_CHANGES, {"before": codec.micros(now - CHANGES_KEPT), "limit": limit})
    over = [number for (number,) in tx.all(_OVER, before=kept, recent=codec.micros(now - ATTEMPTS_KEPT), limit=limit)]
    if over:
        ids = codec.encode(over)
        for statement in _PARTS:
            tx.run(statement, {"ids": ids})
    return gone + len(over)
