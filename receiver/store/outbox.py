"""The outbox: pages and messages as rows, claimed by one worker a destination, in order within a dedup key.

Law: a message waits until every older one of its key and destination is settled; one that ends the page of a merged incident waits until
the survivor was paged for, or is over. A trigger that a pager accepted dates its raise. A write with an older fence does nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from receiver.ports import Claim, ClaimedMessage, DeliveryKind, DeliveryResult, Message, MessageKind
from receiver.store import codec
from receiver.store.engine import Row, Tx
from receiver.store.schema import incidents, is_on, outbox, raises, waits
from receiver.store.statements import given, insert, update

_NOW = sa.bindparam("now", type_=sa.BigInteger())
_older = outbox.alias("older")
_OLDER_WAITS = (
    sa.exists()
    .where(
        _older.c.state == sa.literal_column("'due'"),
        _older.c.dedup_key == outbox.c.dedup_key,
        _older.c.destination == outbox.c.destination,
        _older.c.id < outbox.c.id,
    )
    .correlate(outbox)
)
_SURVIVOR_PAGED = (
    sa.exists()
    .where(raises.c.incident_id == outbox.c.after_incident, sa.or_(raises.c.accepted_at.is_not(None), is_on(raises.c.by_storm)))
    .correlate(outbox)
)
_SURVIVOR_OPEN = sa.exists().where(incidents.c.id == outbox.c.after_incident, is_on(incidents.c.open)).correlate(outbox)
_READY = (
    waits,
    outbox.c.destination == given("destination", outbox.c.destination),
    ~_OLDER_WAITS,
    sa.or_(outbox.c.after_incident.is_(None), _SURVIVOR_PAGED, ~_SURVIVOR_OPEN),
)
_TRIGGER: sa.ColumnElement[str] = sa.literal_column(f"'{MessageKind.trigger.value}'")
_COLUMNS = [
    outbox.c.id, outbox.c.destination, outbox.c.kind, outbox.c.dedup_key, outbox.c.incident_id, outbox.c.text, outbox.c.raise_n,
    outbox.c.tries, outbox.c.created_at,
]  # fmt: skip
_CLAIMABLE = (
    sa.select(*_COLUMNS, outbox.c.fence, outbox.c.next_at)
    .where(*_READY, outbox.c.next_at <= _NOW, sa.or_(outbox.c.lease_until.is_(None), outbox.c.lease_until <= _NOW))
    .order_by(sa.case((outbox.c.kind == _TRIGGER, 0), else_=1), outbox.c.id)
    .limit(sa.bindparam("limit", type_=sa.Integer()))
    .with_for_update(skip_locked=True)
)
_CLAIM = update(outbox, "owner", "lease_until", "fence").where(outbox.c.id == given("message", outbox.c.id))
_SETTLE = update(outbox, "state", "next_at", "detail", "settled_at").where(
    outbox.c.id == given("message", outbox.c.id),
    outbox.c.fence == given("seen", outbox.c.fence),
    outbox.c.owner == given("mine", outbox.c.owner),
    waits,
)
_SETTLE = _SETTLE.values(tries=outbox.c.tries + 1, owner=sa.null(), lease_until=sa.null())
_SENT = sa.select(outbox.c.incident_id, outbox.c.dedup_key, outbox.c.kind).where(outbox.c.id == given("message", outbox.c.id))
_ACCEPTED = update(raises, "accepted_at").where(
    raises.c.incident_id == given("incident", raises.c.incident_id),
    raises.c.dedup_key == given("key", raises.c.dedup_key),
    raises.c.accepted_at.is_(None),
)
_FREE_ALL = sa.update(outbox).where(waits, outbox.c.lease_until.is_not(None)).values(owner=sa.null(), lease_until=sa.null())
_NEXT = sa.select(sa.func.min(sa.case((outbox.c.lease_until > outbox.c.next_at, outbox.c.lease_until), else_=outbox.c.next_at))).where(
    *_READY
)
_INSERT = insert(outbox, but=("id",))
_OF_INCIDENT = (
    sa.select(*_COLUMNS, outbox.c.state).where(outbox.c.incident_id == given("incident", outbox.c.incident_id)).order_by(outbox.c.id)
)
_FOLLOW = (
    sa.update(outbox)
    .where(waits, outbox.c.after_incident == given("merged", outbox.c.after_incident))
    .values(after_incident=given("survivor", outbox.c.after_incident))
)


def add(tx: Tx, messages: Iterable[Message], *, now: datetime, after_incident: int | None = None) -> None:
    """Due at once, unless they wait for another incident's page."""
    tx.many(_INSERT, [_row(each, codec.micros(now), after_incident) for each in messages])


def claim(tx: Tx, destination: str, *, now: datetime, owner: str, lease: timedelta, limit: int) -> list[ClaimedMessage]:
    """Triggers first, then in the order of their writing; at most one of each key."""
    rows = tx.all(_CLAIMABLE, destination=destination, now=codec.micros(now), limit=limit)
    until = codec.micros(now + lease)
    tx.many(_CLAIM, [{"message": row[0], "owner": owner, "lease_until": until, "fence": row[-2] + 1} for row in rows])
    return [ClaimedMessage(Claim(row[0], row[-2] + 1, codec.moment(row[-1])), _message(row)) for row in rows]


def settle(tx: Tx, claim: Claim, result: DeliveryResult, *, owner: str, now: datetime, next_at: datetime | None) -> None:
    """Records the try."""
    again = result.kind is DeliveryKind.retry
    row = {
        "message": claim.id,
        "seen": claim.fence,
        "mine": owner,
        "state": "due" if again else result.kind.value,
        "next_at": codec.micros(next_at or now),
        "detail": codec.text(result.detail[:256]),
        "settled_at": None if again else codec.micros(now),
    }
    if tx.run(_SETTLE, row) != 1 or result.kind is not DeliveryKind.accepted or not result.pages:
        return
    incident_id, dedup_key, kind = tx.all(_SENT, message=claim.id)[0]
    if kind == MessageKind.trigger:
        tx.run(_ACCEPTED, {"incident": incident_id, "key": dedup_key, "accepted_at": codec.micros(now)})


def next_due(tx: Tx, destination: str) -> datetime | None:
    """When `claim` would next find something; what waits for another message has no date of its own."""
    found = tx.value(_NEXT, destination=destination)
    return codec.maybe_moment(found)


def free_all(tx: Tx) -> None:
    """After a start that is known to be alone: the leases of the process before died with it."""
    tx.run(_FREE_ALL, {})


def of_incident(tx: Tx, incident_id: int) -> tuple[tuple[Message, ...], tuple[str, ...]]:
    """All messages in the order of their writing, and the state of each: due, accepted, refused."""
    rows = tx.all(_OF_INCIDENT, incident=incident_id)
    return tuple(_message(row) for row in rows), tuple(row[-1] for row in rows)


def hand_over(tx: Tx, *, merged: int, survivor: int, now: datetime) -> None:
    """Ends the merged incident's pages, each after the survivor's; what waited for the merged one waits for the survivor."""
    tx.run(_FOLLOW, {"merged": merged, "survivor": survivor})
    messages, states = of_incident(tx, merged)
    rung = {
        (each.destination, each.dedup_key): each
        for each, state in zip(messages, states, strict=True)
        if each.kind is MessageKind.trigger and state != DeliveryKind.refused
    }
    over = {(each.destination, each.dedup_key) for each in messages if each.kind is MessageKind.resolve}
    ends = [_resolve(each) for key, each in rung.items() if key not in over]
    add(tx, ends, now=now, after_incident=survivor)


def _resolve(trigger: Message) -> Message:
    return Message(trigger.destination, MessageKind.resolve, trigger.dedup_key, trigger.incident_id, trigger.text, raise_n=trigger.raise_n)


def _message(row: Row) -> Message:
    id_, destination, kind, dedup_key, incident_id, words, raise_n, tries, created_at = row[: len(_COLUMNS)]
    return Message(
        destination=destination,
        kind=MessageKind(kind),
        dedup_key=dedup_key,
        incident_id=incident_id,
        text=codec.PAGE_TEXT.decode(words),
        raise_n=raise_n,
        id=id_,
        tries=tries,
        created_at=codec.moment(created_at),
    )


def _row(message: Message, now: int, after_incident: int | None) -> dict[str, Any]:
    return {
        "destination": codec.text(message.destination),
        "kind": message.kind.value,
        "dedup_key": codec.text(message.dedup_key),
        "incident_id": message.incident_id,
        "raise_n": message.raise_n,
        "text": codec.encode(message.text),
        "created_at": now if message.created_at is None else codec.micros(message.created_at),
        "state": "due",
        "tries": 0,
        "next_at": now,
        "after_incident": after_incident,
        "detail": "",
        "settled_at": None,
        "owner": None,
        "lease_until": None,
        "fence": 0,
    }
