"""What folding asks of the store, and the one commit in which a batch of it is written.

Law: a few statements a batch, however many alerts; an incident that moved, or a key that another took, undoes the whole batch.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from receiver.core.model import AlertRecord
from receiver.ports import Fold, FoldedIncident, OpenIncident, VersionConflict
from receiver.store import agenda, codec, inbox, incidents
from receiver.store.engine import Tx
from receiver.store.incidents import Dates
from receiver.store.schema import alerts, aliases, is_off, is_on
from receiver.store.schema import incidents as incident_rows
from receiver.store.statements import NumberNext, Upsert, given, insert, listed

_HOLDERS_OF_KEYS = sa.select(aliases.c.key, aliases.c.incident_id).where(is_on(aliases.c.open), listed(aliases.c.key, "keys"))
_HOLDERS_OF_ALERTS = (
    sa.select(alerts.c.source, alerts.c.fingerprint, alerts.c.incident_id, alerts.c.record)
    .where(is_on(alerts.c.open), listed(alerts.c.fingerprint, "fingerprints"))
    .order_by(alerts.c.incident_id)
)
_HELD = (
    sa.select(alerts.c.fingerprint, alerts.c.record)
    .where(
        is_on(alerts.c.open),
        alerts.c.fingerprint > given("after", alerts.c.fingerprint),
        alerts.c.source == given("source", alerts.c.source),
    )
    .order_by(alerts.c.fingerprint)
    .limit(sa.bindparam("most", type_=sa.Integer()))
)
_VERSIONS = sa.select(incident_rows.c.id, incident_rows.c.version).where(is_on(incident_rows.c.open), listed(incident_rows.c.id, "ids"))
_NEWEST_CLOSED = (
    sa.select(aliases.c.incident_id)
    .where(is_off(aliases.c.open), aliases.c.key == given("key", aliases.c.key))
    .order_by(aliases.c.incident_id.desc())
    .limit(sa.literal_column("1"))
)
_NUMBERS = NumberNext("incidents")
_ALIAS = insert(aliases, but=("id",))
_ALERT = Upsert(
    alerts,
    ("incident_id", "source", "fingerprint"),
    lambda new: {"first_at": new.first_at, "record": new.record, "open": new.open},
    but=("id",),
)

Identity = tuple[str, str]


def open_incidents(tx: Tx, keys: Collection[str], identities: Collection[Identity]) -> dict[str, OpenIncident]:
    """By key, and by `alert:<source>:<fingerprint>`."""
    asked = {codec.text(each): each for each in keys}
    holders = {asked[key]: incident_id for key, incident_id in tx.all(_HOLDERS_OF_KEYS, keys=codec.encode(list(asked)))}
    wanted = {(codec.text(source), codec.text(fingerprint)): (source, fingerprint) for source, fingerprint in identities}
    records: dict[int, dict[Identity, AlertRecord]] = {}
    fingerprints = codec.encode([fingerprint for _, fingerprint in wanted])
    for source, fingerprint, incident_id, record in tx.all(_HOLDERS_OF_ALERTS, fingerprints=fingerprints):
        if (identity := wanted.get((source, fingerprint))) is not None:
            holders["alert:{}:{}".format(*identity)] = incident_id
            records.setdefault(incident_id, {})[identity] = codec.ALERT_RECORD.decode(record)
    found = {each.id: OpenIncident(each, records.get(each.id, {})) for each in incidents.read_all(tx, set(holders.values()))}
    return {key: found[incident_id] for key, incident_id in holders.items()}


def held(tx: Tx, source: str, *, after: str, limit: int) -> list[AlertRecord]:
    """Along the index over open rows, by fingerprint."""
    rows = tx.all(_HELD, source=codec.text(source), after=codec.text(after), most=limit)
    return [codec.ALERT_RECORD.decode(record) for _, record in rows]


def versions(tx: Tx, ids: Collection[int]) -> dict[int, int]:
    """Of those that are open."""
    return dict(tx.all(_VERSIONS, ids=codec.encode(sorted(ids))))  # type: ignore[arg-type] # rows are pairs, mypy sees sequences


def newest_closed(tx: Tx, keys: Collection[str]) -> dict[str, int]:
    """One look into the index a key: a key that closed often costs no more."""
    found = {key: tx.value(_NEWEST_CLOSED, key=codec.text(key)) for key in keys}
    return {key: incident_id for key, incident_id in found.items() if incident_id is not None}


def commit(tx: Tx, fold: Fold) -> list[int]:
    """The incidents' ids, in order."""
    ids = _numbered(tx, fold.incidents)
    folded = list(zip(ids, fold.incidents, strict=True))
    known = [each for each in fold.incidents if each.incident.id]
    ends = incidents.expect(tx, [each.incident for each in known])
    incidents.write(
        tx, [(each.incident, ends[each.incident.id], each.entries) for each in known], dates=[_dates(each.records) for each in known]
    )
    new = [(number, each) for number, each in folded if not each.incident.id]
    incidents.create(tx, [(number, each.incident, each.entries, _dates(each.records), _near(each.records)) for number, each in new])
    add_keys(tx, [(number, key) for number, each in new for key in (each.incident.group_key, *each.aliases)])
    add_keys(tx, [(each.incident.id, key) for each in known for key in each.aliases])
    put_records(tx, [(number, record) for number, each in folded for record in each.records])
    agenda.bring_forward(tx, [(number, each.incident.priority, each.wake_at) for number, each in folded if each.wake_at is not None])
    inbox.mark_folded(tx, (*fold.folded, *fold.quarantined_deliveries))
    inbox.set_aside(tx, fold.quarantined)
    for source, rule, at in fold.beats:
        inbox.beat(tx, source, rule, at=codec.micros(at))
    return ids


def add_keys(tx: Tx, wanted: Iterable[tuple[int, str]]) -> None:
    """Gives (incident, key); VersionConflict when another open incident has it; a key that it has already changes nothing."""
    pairs = {codec.text(key): incident_id for incident_id, key in wanted}
    if not pairs:
        return
    taken = {key: incident_id for key, incident_id in tx.all(_HOLDERS_OF_KEYS, keys=codec.encode(list(pairs)))}  # noqa: C416 - rows are not pairs to mypy
    for key, incident_id in taken.items():
        if incident_id != pairs[key]:
            raise VersionConflict(f"incident {incident_id} took a key of incident {pairs[key]}")
    tx.many(_ALIAS, [{"key": key, "incident_id": incident_id, "open": 1} for key, incident_id in pairs.items() if key not in taken])


def put_records(tx: Tx, records: Sequence[tuple[int, AlertRecord]]) -> None:
    """Stores (incident, record), new or in place of the older one."""
    rows: list[dict[str, Any]] = [
        {
            "incident_id": incident_id,
            "open": 1,
            "source": codec.text(record.alert.source),
            "fingerprint": codec.text(record.alert.fingerprint),
            "first_at": codec.micros(record.first_at),
            "record": codec.encode(record),
        }
        for incident_id, record in records
    ]
    tx.many(_ALERT, rows)


def _numbered(tx: Tx, folded: Sequence[FoldedIncident]) -> list[int]:
    count = sum(not each.incident.id for each in folded)
    numbers = iter([number for (number,) in tx.all(_NUMBERS, count=count)] if count else ())
    return [each.incident.id or next(numbers) for each in folded]


def _near(records: Sequence[AlertRecord]) -> str:
    return next((name for each in records if (name := each.alert.labels.get("namespace", ""))), "")


def _dates(records: Sequence[AlertRecord]) -> Dates:
    truncated = max((each.alert.received_at for each in records if each.alert.truncated), default=None)
    return max((each.first_at for each in records), default=None), truncated
