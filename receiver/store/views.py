"""What API and console read: lists of incidents, everything about one, quarantine."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from receiver.core.model import Incident, Priority
from receiver.ports import IncidentFilter, IncidentView, Quarantined
from receiver.store import agenda, cases, codec, incidents, outbox, timeline
from receiver.store.engine import Tx
from receiver.store.schema import incidents as table
from receiver.store.schema import is_off, is_on, meta, quarantine
from receiver.store.statements import given

MOST = 1_000

_QUARANTINE = (
    sa.select(quarantine.c.source, quarantine.c.at, quarantine.c.reason, quarantine.c.path, quarantine.c.raw, quarantine.c.delivery_id)
    .order_by(quarantine.c.id.desc())
    .limit(sa.bindparam("limit", type_=sa.Integer()))
)
INSTALLATION = sa.select(meta.c.installation)


def _list(*, state: bool | None, priority: bool, service: bool) -> sa.Select[Any]:
    # `id + 0` keeps SQLite from walking down all rows by id to find the few open ones: their partial index is read instead.
    number = table.c.id + sa.literal_column("0") if state else table.c.id
    wanted = [number < given("before", table.c.id)]
    if state is not None:
        wanted.append(is_on(table.c.open) if state else is_off(table.c.open))
    if priority:
        wanted.append(table.c.priority == given("priority", table.c.priority))
    if service:
        wanted.append(table.c.service == given("service", table.c.service))
    page = sa.select(table.c.id).where(*wanted).order_by(number.desc()).limit(sa.bindparam("limit", type_=sa.Integer()))
    return sa.select(*incidents.COLUMNS).where(table.c.id.in_(page)).order_by(table.c.id.desc())


_LISTS = {
    (state, priority, service): _list(state=state, priority=priority, service=service)
    for state in (None, True, False)
    for priority in (True, False)
    for service in (True, False)
}
_NEVER = 2**62


def listed(tx: Tx, wanted: IncidentFilter) -> list[Incident]:
    """Newest first. A priority that does not exist has no incidents."""
    if wanted.priority and wanted.priority not in list(Priority):
        return []
    statement = _LISTS[wanted.open, bool(wanted.priority), bool(wanted.service)]
    rows = tx.all(
        statement,
        before=_NEVER if wanted.before is None else wanted.before,
        priority=Priority(wanted.priority).rank if wanted.priority else 0,
        service=codec.text(wanted.service),
        limit=max(1, min(MOST, wanted.limit)),
    )
    return [incidents.incident_of(row) for row in rows]


def view(tx: Tx, incident_id: int, *, now: datetime) -> IncidentView | None:
    """None: no such incident."""
    rows = cases.load(tx, incident_id, now=now)
    if rows is None:
        return None
    entries, intact = timeline.read(tx, incident_id)
    messages, states = outbox.of_incident(tx, incident_id)
    return IncidentView(
        rows=rows,
        timeline=entries,
        messages=messages,
        message_states=states,
        chain_intact=intact,
        next_due=codec.maybe_moment(tx.value(agenda.DUE_OF, id=incident_id)),
    )


def quarantined(tx: Tx, *, limit: int) -> list[Quarantined]:
    """Newest first."""
    rows = tx.all(_QUARANTINE, limit=max(1, min(MOST, limit)))
    return [
        Quarantined(source=source, at=codec.moment(at), reason=reason, path=path, raw=raw, delivery_id=delivery_id)
        for source, at, reason, path, raw, delivery_id in rows
    ]
