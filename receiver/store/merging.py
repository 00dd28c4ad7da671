"""Binding an incident to a live object, and merging two that turn out to be one.

Law: the bound key is the uid alone, so alerts of different services or symptoms on one object are one incident, except for the symptoms
data and security. The higher priority survives, then the older; one with an open attempt, or with a temporary change to take back, is
never merged away. Merging twice, or in the other order, comes to the same survivor.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import sqlalchemy as sa

from receiver.core.case import Because
from receiver.core.model import AlertRecord, Incident, Target
from receiver.ports import Adopted, Entry, VersionConflict
from receiver.store import agenda, codec, folds, incidents, ledger, outbox
from receiver.store.engine import Tx
from receiver.store.incidents import End
from receiver.store.schema import alerts, aliases, is_on
from receiver.store.statements import given

FLAPS_KEPT = 20

_HOLDER = sa.select(aliases.c.incident_id).where(is_on(aliases.c.open), aliases.c.key == given("key", aliases.c.key))
_PROVISIONAL = (
    sa.select(aliases.c.key)
    .where(
        is_on(aliases.c.open),
        aliases.c.incident_id == given("incident", aliases.c.incident_id),
        aliases.c.key != given("key", aliases.c.key),
    )
    .order_by(aliases.c.id)
    .limit(sa.literal_column("1"))
)
_MOVE_KEY = (
    sa.update(aliases)
    .where(is_on(aliases.c.open), aliases.c.key == given("moved", aliases.c.key))
    .values(incident_id=given("to", aliases.c.incident_id))
)
_MOVE_KEYS = (
    sa.update(aliases)
    .where(is_on(aliases.c.open), aliases.c.incident_id == given("merged", aliases.c.incident_id))
    .values(incident_id=given("to", aliases.c.incident_id))
)
_FORGET_ALERTS = sa.delete(alerts).where(alerts.c.incident_id == given("merged", alerts.c.incident_id))


def bound_key(incident: Incident, target: Target) -> str:
    """What the incident's group key becomes once its object is known."""
    return f"{target.uid}:{incident.symptom.value}" if incident.symptom.untouchable else target.uid


def adopt(tx: Tx, incident: Incident, target: Target, *, at: datetime) -> Adopted:
    """Binds; merges with the open incident that has the key already."""
    key = codec.text(bound_key(incident, target))
    end = incidents.expect(tx, [incident])[incident.id]
    if not incident.open:
        raise VersionConflict(f"incident {incident.id} is closed")
    holder = tx.value(_HOLDER, key=key)
    if holder not in (None, incident.id):
        other = incidents.read(tx, holder)
        if other is not None:
            return _meet(tx, (incident, end), other, target, key, at)
    _bind(tx, incident, end, target, key)
    return Adopted(incident.id)


def _bind(tx: Tx, incident: Incident, end: End, target: Target, key: str) -> None:
    bound = replace(incident, target=target, group_key=key)
    folds.add_keys(tx, [(incident.id, key)])
    if bound != incident:
        incidents.write(tx, [(bound, end, ())])


def _meet(tx: Tx, one: tuple[Incident, End], other: Incident, target: Target, key: str, at: datetime) -> Adopted:
    incident, end = one
    other_end = incidents.expect(tx, [other])[other.id]
    busy = ledger.busy(tx, [incident.id, other.id])
    if len(busy) == 2:
        _stay_apart(tx, one, (other, other_end), target, key)
        return Adopted(incident.id)
    ranked = sorted([(incident, end), (other, other_end)], key=lambda each: _rank(each[0], busy))
    survivor, merged = ranked
    _merge(tx, survivor, merged, target, key, at)
    return Adopted(survivor[0].id, merged[0].id)


def _rank(incident: Incident, busy: set[int]) -> tuple[bool, int, datetime, int]:
    return (incident.id not in busy, incident.priority.rank, incident.accepted_at, incident.id)


def _stay_apart(tx: Tx, one: tuple[Incident, End], two: tuple[Incident, End], target: Target, key: str) -> None:
    """Both are at work: the newer one keeps its provisional key, and both are bound."""
    (incident, end), (other, other_end) = one, two
    provisional = tx.value(_PROVISIONAL, incident=other.id, key=key)
    if (other.accepted_at, other.id) < (incident.accepted_at, incident.id) or provisional is None:
        if incident.target != target:
            incidents.write(tx, [(replace(incident, target=target), end, ())])
        return
    incidents.write(tx, [(replace(other, group_key=provisional), other_end, ())])
    tx.run(_MOVE_KEY, {"moved": key, "to": incident.id})
    _bind(tx, incident, end, target, key)


def _merge(tx: Tx, to: tuple[Incident, End], away: tuple[Incident, End], target: Target, key: str, at: datetime) -> None:
    (survivor, end), (merged, merged_end) = to, away
    closed = replace(merged, target=target, open=False, closed_at=at, closed_by="receiver", merged_into=survivor.id)
    grown = replace(survivor, target=target, group_key=key, no_action=survivor.no_action or merged.no_action)
    if merged.priority.above(survivor.priority):  # one that is at work survives whatever its priority: what is urgent stays urgent
        grown = replace(
            grown, classification=merged.classification, rule=merged.rule, accepted_at=min(survivor.accepted_at, merged.accepted_at)
        )
        if survivor.acked_at is not None and merged.acked_at is None:  # who took the lesser one did not take this: called, and not acted on
            why = grown.no_action or f"acknowledged by {survivor.acked_by} before incident {merged.id} was merged into it"
            grown = replace(grown, acked_at=None, acked_by="", no_action=why)
    gone = Entry(at, Because.merged.value, f"merged into incident {survivor.id}: one target", data={"into": survivor.id, "uid": target.uid})
    taken = Entry(at, Because.merged.value, f"took over incident {merged.id}: one target", data={"from": merged.id, "uid": target.uid})
    # The merged one first: two open incidents never have one key, not even within the transaction.
    incidents.write(tx, [(closed, merged_end, (gone,))])
    incidents.write(tx, [(grown, end, (taken,))])
    tx.run(_MOVE_KEYS, {"merged": merged.id, "to": survivor.id})
    folds.add_keys(tx, [(survivor.id, key)])
    _move_alerts(tx, merged.id, survivor.id)
    outbox.hand_over(tx, merged=merged.id, survivor=survivor.id, now=at)
    agenda.set_date(tx, closed, None)
    agenda.bring_forward(tx, [(grown.id, grown.priority, at)])


def _move_alerts(tx: Tx, merged: int, survivor: int) -> None:
    known = {(each.alert.source, each.alert.fingerprint): each for each in incidents.records(tx, survivor)}
    moved = [
        (survivor, each if (twin := known.get((each.alert.source, each.alert.fingerprint))) is None else _one_of(each, twin))
        for each in incidents.records(tx, merged)
    ]
    tx.run(_FORGET_ALERTS, {"merged": merged})
    folds.put_records(tx, moved)


def _one_of(one: AlertRecord, two: AlertRecord) -> AlertRecord:
    """The same alert in both: the newest statement, and what happened in either."""
    older, newer = sorted((one, two), key=lambda each: each.alert.received_at)
    return replace(
        newer,
        first_at=min(older.first_at, newer.first_at),
        times=older.times + newer.times,
        flaps=tuple(sorted({*older.flaps, *newer.flaps}))[-FLAPS_KEPT:],
    )
