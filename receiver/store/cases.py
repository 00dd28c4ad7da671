"""What the responder reads and writes: the snapshot of a case, and one step of it in one commit."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from receiver.core.case import Because, Dependent, Raise, Standing
from receiver.core.facts import Facts
from receiver.core.model import Priority
from receiver.ports import CaseRows, Change
from receiver.store import agenda, codec, incidents, ledger, outbox
from receiver.store.engine import Row, Tx
from receiver.store.schema import facts, is_on, raises, standing
from receiver.store.schema import incidents as incidents_
from receiver.store.statements import Upsert, given, insert

FACTS_KEPT = 12
MOST_DEPENDENTS = 500
"""The most urgent ones: those that speak for the others are among them."""
MOST_LEADING = 20
"""Whose alerts are read: one further down speaks for nobody, and who would have joined it pages by itself."""

_FACTS = sa.select(facts.c.facts).where(facts.c.incident_id == given("incident", facts.c.incident_id)).order_by(facts.c.id)
_ADD_FACTS = insert(facts, but=("id",))
_of_incident = sa.select(facts.c.id).where(facts.c.incident_id == given("incident", facts.c.incident_id))
_FORGET_FACTS = sa.delete(facts).where(
    facts.c.incident_id == given("incident", facts.c.incident_id),
    facts.c.id
    <= _of_incident.order_by(facts.c.id.desc()).limit(sa.literal_column("1")).offset(sa.literal_column(str(FACTS_KEPT))).scalar_subquery(),
)
_RAISES = (
    sa.select(
        raises.c.n,
        raises.c.at,
        raises.c.priority,
        raises.c.because,
        raises.c.dedup_key,
        raises.c.newest_start,
        raises.c.by_storm,
        raises.c.accepted_at,
        raises.c.dependency,
    )
    .where(raises.c.incident_id == given("incident", raises.c.incident_id))
    .order_by(raises.c.n)
)
_RAISE = Upsert(
    raises,
    ("incident_id", "n"),
    lambda new: {"by_storm": new.by_storm, "newest_start": new.newest_start, "dependency": new.dependency},
)
_later = raises.alias("later")
_DEPENDENTS = (
    sa.select(
        raises.c.incident_id,
        raises.c.dependency,
        incidents_.c.priority,
        incidents_.c.title,
        raises.c.by_storm,
        raises.c.at,
        raises.c.accepted_at,
        incidents_.c.acked_at,
    )
    .select_from(raises.join(incidents_, incidents_.c.id == raises.c.incident_id))
    .where(
        raises.c.dependency > sa.literal_column("''"),
        is_on(incidents_.c.open),
        ~sa.exists().where(_later.c.incident_id == raises.c.incident_id, _later.c.n > raises.c.n).correlate(raises),
    )
    .order_by(incidents_.c.priority, incidents_.c.id)
    .limit(sa.literal_column(str(MOST_DEPENDENTS)))
)

_STANDING = (
    sa.select(standing.c.standing)
    .where(standing.c.incident_id == given("incident", standing.c.incident_id))
    .order_by(standing.c.done_at, standing.c.name)
)
_STAND = Upsert(standing, ("incident_id", "name"), lambda new: {"done_at": new.done_at, "open": new.open, "standing": new.standing})


def load(tx: Tx, incident_id: int, *, now: datetime) -> CaseRows | None:
    """None: no such incident."""
    incident = incidents.read(tx, incident_id)
    if incident is None:
        return None
    merged = incidents.merged_into(tx, incident_id)
    return CaseRows(
        incident=incident,
        alerts=incidents.records(tx, incident_id),
        attempts=ledger.needed(tx, [incident_id, *merged], now=now),
        holds=ledger.standing(tx, now=now),
        facts=tuple(codec.FACTS.decode(row[0]) for row in tx.all(_FACTS, incident=incident_id)),
        raises=tuple(_raise(row) for row in tx.all(_RAISES, incident=incident_id)),
        seen=ledger.sequence(tx),
        standing=tuple(codec.STANDING.decode(row[0]) for row in tx.all(_STANDING, incident=incident_id)),
        merged=merged,
    )


def dependents(tx: Tx) -> tuple[Dependent, ...]:
    """Open incidents whose last raise names a dependency, the most urgent first, then the oldest."""
    rows = tx.all(_DEPENDENTS)
    leading = [row[0] for row in rows if not row[4]][:MOST_LEADING]
    firing = {each for each in leading if any(record.firing for record in incidents.records(tx, each))}
    return tuple(
        Dependent(
            incident_id=number,
            dependency=name,
            priority=Priority(f"P{rank}"),
            title=title,
            joined=bool(joined),
            at=codec.moment(at),
            accepted=accepted_at is not None,
            firing=bool(joined) or number in firing,
            acked_at=codec.maybe_moment(acked_at),
        )
        for number, name, rank, title, joined, at, accepted_at, acked_at in rows
    )


def save(tx: Tx, change: Change, *, now: datetime) -> int:
    """The incident's new version."""
    incident = change.incident
    end = incidents.expect(tx, [incident])[incident.id]
    incidents.write(tx, [(incident, end, change.entries)])
    if change.facts is not None:
        _remember(tx, incident.id, change.facts)
    if change.attempt is not None and ledger.record(tx, change.attempt):
        agenda.wake_next(tx, change.attempt, at=now)
    if change.raised is not None:
        tx.run(_RAISE, _raise_row(incident.id, change.raised))
    if change.standing is not None:
        tx.run(_STAND, _standing_row(incident.id, change.standing))
    outbox.add(tx, change.messages, now=now)
    agenda.set_date(tx, incident, _wake_at(tx, change, now), waits_on=change.waits_on)
    if not incident.open and end.open:
        incidents.free_keys(tx, incident.id)
    return end.version + 1


def _wake_at(tx: Tx, change: Change, now: datetime) -> datetime | None:
    """What it waits on may have ended while it was decided: then nobody wakes it any more."""
    return now if change.waits_on and change.seen != ledger.sequence(tx) else change.wake_at


def _remember(tx: Tx, incident_id: int, seen: Facts) -> None:
    tx.run(_ADD_FACTS, {"incident_id": incident_id, "facts": codec.encode_measured(seen)})
    tx.run(_FORGET_FACTS, {"incident": incident_id})


def _raise(row: Row) -> Raise:
    n, at, priority, because, dedup_key, newest_start, by_storm, accepted_at, dependency = row
    return Raise(
        n=n,
        at=codec.moment(at),
        priority=Priority(f"P{priority}"),
        because=Because(because),
        dedup_key=dedup_key,
        newest_start=codec.moment(newest_start),
        by_storm=bool(by_storm),
        accepted_at=codec.maybe_moment(accepted_at),
        dependency=dependency,
    )


def _standing_row(incident_id: int, by_hand: Standing) -> dict[str, Any]:
    return {
        "incident_id": incident_id,
        "name": codec.text(by_hand.name),
        "done_at": codec.micros(by_hand.done_at),
        "open": int(by_hand.open),
        "standing": codec.encode(by_hand),
    }


def _raise_row(incident_id: int, raised: Raise) -> dict[str, Any]:
    return {
        "incident_id": incident_id,
        "n": raised.n,
        "at": codec.micros(raised.at),
        "priority": raised.priority.rank,
        "because": raised.because.value,
        "dedup_key": codec.text(raised.dedup_key),
        "newest_start": codec.micros(raised.newest_start),
        "by_storm": int(raised.by_storm),
        "accepted_at": codec.maybe_micros(raised.accepted_at),
        "dependency": codec.text(raised.dependency),
    }
