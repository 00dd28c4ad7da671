"""The agenda: when each open incident is looked at next, and who is at it.

Law: one row an open incident; a claim is a lease with a fence that grows, and a write with an older fence does nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from receiver.core import waits
from receiver.core.case import Attempt
from receiver.core.model import Incident, Priority
from receiver.ports import Claim
from receiver.store import codec
from receiver.store.engine import Tx
from receiver.store.schema import agenda, incidents, is_on
from receiver.store.statements import Excluded, Upsert, given, update

_RANKS = (1, 2, 3, 4)
_MINE = (
    agenda.c.incident_id == given("id", agenda.c.incident_id),
    agenda.c.fence == given("seen", agenda.c.fence),
    agenda.c.owner == given("mine", agenda.c.owner),
)


def _due_of(rank: int) -> sa.Select[Any]:  # one range of one index each, however many are not due yet
    now = given("now", agenda.c.due)
    due = (
        sa.select(agenda.c.incident_id, agenda.c.fence, agenda.c.due, agenda.c.rank)
        .where(
            agenda.c.rank == sa.literal_column(str(rank)),
            agenda.c.due <= now,
            sa.or_(agenda.c.lease_until.is_(None), agenda.c.lease_until <= now),
        )
        .order_by(agenda.c.due)
        .limit(sa.bindparam("limit", type_=sa.Integer()))
        .with_for_update(skip_locked=True)
    )
    return sa.select(due.subquery(f"rank{rank}"))


_DUE = sa.union_all(*(_due_of(rank) for rank in _RANKS))
_CLAIM = update(agenda, "owner", "lease_until", "fence").where(agenda.c.incident_id == given("id", agenda.c.incident_id))
_KEEP = update(agenda, "lease_until").where(*_MINE)
_LET_GO = sa.update(agenda).where(*_MINE).values(owner=sa.null(), lease_until=sa.null())
_FREE_ALL = sa.update(agenda).where(agenda.c.lease_until.is_not(None)).values(owner=sa.null(), lease_until=sa.null())
_NEXT_FREE = sa.select(sa.func.min(agenda.c.due)).where(agenda.c.lease_until.is_(None))
_NEXT_LEASED = sa.select(sa.func.min(sa.case((agenda.c.lease_until > agenda.c.due, agenda.c.lease_until), else_=agenda.c.due))).where(
    agenda.c.lease_until.is_not(None), agenda.c.due.is_not(None)
)
_WAKE = (
    sa.update(agenda)
    .where(
        agenda.c.incident_id == given("id", agenda.c.incident_id), sa.or_(agenda.c.due.is_(None), agenda.c.due > given("at", agenda.c.due))
    )
    .values(due=given("at", agenda.c.due))
)
_DELETE = sa.delete(agenda).where(agenda.c.incident_id == given("id", agenda.c.incident_id))
_SET = Upsert(agenda, ("incident_id",), lambda new: {"due": new.due, "rank": new.rank, "waits_on": new.waits_on})


def _later_and_waiting(*names: str) -> tuple[sa.ColumnElement[bool], ...]:
    """Behind a date that is still to come, on one of these."""
    ahead = sa.or_(agenda.c.due.is_(None), agenda.c.due > given("at", agenda.c.due))
    on = [agenda.c.waits_on.contains(sa.bindparam(each, type_=sa.Text())) for each in names]  # a `_` in it may match too much: harmless
    return (agenda.c.waits_on > sa.literal_column("''"), ahead, sa.or_(*on))


_WAKE_HELD = sa.update(agenda).where(*_later_and_waiting("hold")).values(due=given("at", agenda.c.due))
_next = (
    sa.select(agenda.c.incident_id)
    .where(*_later_and_waiting("target", "namespace", "any"))
    .order_by(agenda.c.rank, agenda.c.due)
    .limit(sa.literal_column(str(waits.MOST_WOKEN)))
)
_WAKE_NEXT = sa.update(agenda).where(agenda.c.incident_id.in_(_next.correlate(None))).values(due=given("at", agenda.c.due))


def _sooner(new: Excluded) -> dict[str, Any]:
    sooner = sa.or_(agenda.c.due.is_(None), agenda.c.due > new.due)
    return {"due": sa.case((sooner, new.due), else_=agenda.c.due), "rank": new.rank}


_BRING_FORWARD = Upsert(agenda, ("incident_id",), _sooner)
_DATELESS = (
    sa.select(incidents.c.id, incidents.c.priority)
    .select_from(incidents.outerjoin(agenda, agenda.c.incident_id == incidents.c.id))
    .where(is_on(incidents.c.open), agenda.c.due.is_(None))
)
DUE_OF = sa.select(agenda.c.due).where(agenda.c.incident_id == given("id", agenda.c.incident_id))


def due(tx: Tx, *, now: datetime, owner: str, lease: timedelta, limit: int) -> list[Claim]:
    """Most urgent first."""
    found = sorted(tx.all(_DUE, now=codec.micros(now), limit=limit), key=lambda row: (row[3], row[2]))[:limit]
    until = codec.micros(now + lease)
    tx.many(_CLAIM, [{"id": each[0], "fence": each[1] + 1, "owner": owner, "lease_until": until} for each in found])
    return [Claim(id=each[0], fence=each[1] + 1, due=codec.moment(each[2])) for each in found]


def keep(tx: Tx, claim: Claim, *, owner: str, until: datetime) -> bool:
    """False: lost, or the incident is over."""
    return tx.run(_KEEP, {"id": claim.id, "seen": claim.fence, "mine": owner, "lease_until": codec.micros(until)}) == 1


def let_go(tx: Tx, claim: Claim, *, owner: str) -> None:
    """Does nothing when it was lost."""
    tx.run(_LET_GO, {"id": claim.id, "seen": claim.fence, "mine": owner})


def free_all(tx: Tx) -> None:
    """After a start that is known to be alone: the leases of the process before died with it."""
    tx.run(_FREE_ALL, {})


def next_due(tx: Tx) -> datetime | None:
    """The earliest date at which `due` would find something."""
    dates = [each for each in (tx.value(_NEXT_FREE), tx.value(_NEXT_LEASED)) if each is not None]
    return codec.moment(min(dates)) if dates else None


def wake(tx: Tx, incident_id: int, *, at: datetime) -> None:
    """Never back."""
    tx.run(_WAKE, {"id": incident_id, "at": codec.micros(at)})


def re_enter(tx: Tx, *, now: datetime) -> int:
    """How many open incidents had no date."""
    found = tx.all(_DATELESS)
    tx.many(_SET, [_row(incident_id, rank, codec.micros(now)) for incident_id, rank in found])
    return len(found)


def wake_held(tx: Tx, on: str, *, at: datetime) -> None:
    """All that wait on it."""
    tx.run(_WAKE_HELD, {"hold": _word(on), "at": codec.micros(at)})


def wake_next(tx: Tx, ended: Attempt, *, at: datetime) -> None:
    """The most urgent of those that wait on its end, and of them those whose date was nearest."""
    target, namespace, any_ = waits.ended_by(ended)
    tx.run(_WAKE_NEXT, {"target": _word(target), "namespace": _word(namespace), "any": _word(any_), "at": codec.micros(at)})


def set_date(tx: Tx, incident: Incident, at: datetime | None, *, waits_on: Sequence[str] = ()) -> None:
    """The date as the last step says; a closed incident leaves the agenda."""
    if incident.open:
        words = "".join(_word(each) for each in waits_on)
        tx.run(_SET, _row(incident.id, incident.priority.rank, codec.maybe_micros(at)) | {"waits_on": codec.text(words)})
    else:
        tx.run(_DELETE, {"id": incident.id})


def bring_forward(tx: Tx, wanted: Sequence[tuple[int, Priority, datetime]]) -> None:
    """As `wake`, also for incidents that are not on it yet, or have another priority now."""
    tx.many(_BRING_FORWARD, [_row(number, priority.rank, codec.micros(at)) for number, priority, at in wanted])


def _row(incident_id: int, rank: int, at: int | None) -> dict[str, Any]:
    return {"incident_id": incident_id, "rank": rank, "due": at, "owner": None, "lease_until": None, "fence": 0, "waits_on": ""}


def _word(on: str) -> str:
    return f" {on} "
