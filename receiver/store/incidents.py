"""Rows of `incidents` and what hangs on them: reading, the version check, writing, and freeing the keys at the close.

Law: every change of an incident goes through `expect` and `write`, so a writer that read an older version changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from receiver.core.model import AlertRecord, Incident, Symptom, Target, TargetRef
from receiver.ports import Entry, VersionConflict
from receiver.store import codec, timeline
from receiver.store.engine import Row, Tx
from receiver.store.schema import alerts, aliases, incidents, is_on
from receiver.store.statements import given, insert, listed, update

_STATE = (
    "version", "open", "group_key", "symptom", "source", "title", "rule", "ruleset_hash", "priority", "classification", "accepted_at",
    "service", "platform", "cluster", "namespace", "kind", "name", "uid", "phases", "no_action", "acked_at", "acked_by", "closed_at",
    "closed_by", "previous_id", "merged_into",
)  # fmt: skip
COLUMNS = [incidents.c.id, *(incidents.c[each] for each in _STATE)]
"""What `incident_of` reads, in its order."""

_BY_ID = sa.select(*COLUMNS).where(incidents.c.id == given("id", incidents.c.id))
_BY_IDS = sa.select(*COLUMNS).where(listed(incidents.c.id, "ids"))
_ENDS = (
    sa.select(incidents.c.id, incidents.c.version, incidents.c.open, incidents.c.entries, incidents.c.head)
    .where(listed(incidents.c.id, "ids"))
    .with_for_update()
)
_into = (
    sa.select(incidents.c.id)
    .where(incidents.c.merged_into.is_not(None), incidents.c.merged_into == given("into", incidents.c.merged_into))
    .cte("into", recursive=True)
)
_MERGED = sa.select(
    _into.union(sa.select(incidents.c.id).where(incidents.c.merged_into.is_not(None), incidents.c.merged_into == _into.c.id)).c.id
)
_INSERT = insert(incidents)


def _later(name: str) -> sa.ColumnElement[Any]:
    column, new = incidents.c[name], sa.bindparam(name, type_=sa.BigInteger())
    return sa.case((sa.and_(new.is_not(None), sa.or_(column.is_(None), column < new)), new), else_=column)


_LATER = {name: _later(name) for name in ("alerted_at", "truncated_at")}
_UPDATE = update(incidents, *_STATE, "entries", "head").values(_LATER).where(incidents.c.id == given("incident", incidents.c.id))
_RECORDS = sa.select(alerts.c.record).where(alerts.c.incident_id == given("incident", alerts.c.incident_id)).order_by(alerts.c.id)
_CLOSE_ALIASES = (
    sa.update(aliases).where(aliases.c.incident_id == given("incident", aliases.c.incident_id), is_on(aliases.c.open)).values(open=0)
)
_CLOSE_ALERTS = (
    sa.update(alerts).where(alerts.c.incident_id == given("incident", alerts.c.incident_id), is_on(alerts.c.open)).values(open=0)
)


@dataclass(frozen=True, slots=True)
class End:
    """Where a stored incident stands: its version, and the end of its timeline."""

    version: int
    open: bool
    entries: int
    head: str


Dates = tuple[datetime | None, datetime | None]
"""When the newest alert of an incident was first accepted, and when one last came with members of its group left out."""

UNDATED: Dates = (None, None)


def read(tx: Tx, incident_id: int) -> Incident | None:
    """None: no such incident."""
    row = tx.first(_BY_ID, id=incident_id)
    return None if row is None else incident_of(row)


def merged_into(tx: Tx, incident_id: int) -> tuple[int, ...]:
    """Those that were merged into it, also by way of another."""
    return tuple(number for (number,) in tx.all(_MERGED, into=incident_id))


def read_all(tx: Tx, ids: Iterable[int]) -> list[Incident]:
    """Those that exist, in no order."""
    return [incident_of(row) for row in tx.all(_BY_IDS, ids=codec.encode(sorted(ids)))]


def records(tx: Tx, incident_id: int) -> tuple[AlertRecord, ...]:
    """Every alert of the incident, in the order of their first coming."""
    return tuple(codec.ALERT_RECORD.decode(record) for (record,) in tx.all(_RECORDS, incident=incident_id))


def expect(tx: Tx, wanted: Sequence[Incident]) -> dict[int, End]:
    """Where they stand, locked until the transaction's end; VersionConflict when one moved, or was closed and is to be open again."""
    ends = {row[0]: End(row[1], bool(row[2]), row[3], row[4]) for row in tx.all(_ENDS, ids=codec.encode([each.id for each in wanted]))}
    for each in wanted:
        end = ends.get(each.id)
        if end is None or end.version != each.version or (each.open and not end.open):
            raise VersionConflict(f"incident {each.id} is at version {end.version if end else 'none'}, not {each.version}")
    return ends


def write(tx: Tx, changed: Sequence[tuple[Incident, End, Sequence[Entry]]], *, dates: Sequence[Dates] | None = None) -> None:
    """Stores each after its end, one version on, with its new entries, and with the dates of its alerts where they are later."""
    rows: list[dict[str, Any]] = []
    links: list[timeline.Link] = []
    for (incident, end, entries), each in zip(changed, dates or [UNDATED] * len(changed), strict=True):
        new, seq, head = timeline.chain(incident.id, entries, seq=end.entries, head=end.head)
        links += new
        rows.append({**row_of(incident, version=end.version + 1), **_dated(each), "incident": incident.id, "entries": seq, "head": head})
    tx.many(_UPDATE, rows)
    timeline.append(tx, links)


def create(tx: Tx, new: Sequence[tuple[int, Incident, Sequence[Entry], Dates, str]]) -> None:
    """Inserts under ids that were given out already, with entries, the dates of their alerts and the namespace that those name."""
    rows: list[dict[str, Any]] = []
    links: list[timeline.Link] = []
    for number, incident, entries, dates, near in new:
        first, seq, head = timeline.chain(number, entries, seq=0, head="")
        links += first
        state = row_of(incident, version=1)
        rows.append({**state, **_dated(dates), "id": number, "entries": seq, "head": head, "near": codec.text(near)})
    tx.many(_INSERT, rows)
    timeline.append(tx, links)


def free_keys(tx: Tx, incident_id: int) -> None:
    """Another incident may have its keys and alerts now."""
    tx.run(_CLOSE_ALIASES, {"incident": incident_id})
    tx.run(_CLOSE_ALERTS, {"incident": incident_id})


def _dated(dates: Dates) -> dict[str, int | None]:
    alerted_at, truncated_at = dates
    return {"alerted_at": codec.maybe_micros(alerted_at), "truncated_at": codec.maybe_micros(truncated_at)}


def row_of(incident: Incident, *, version: int) -> dict[str, Any]:
    """Its state as columns."""
    target = incident.target
    ref = target.ref if target else None
    return {
        "version": version,
        "open": int(incident.open),
        "group_key": codec.text(incident.group_key),
        "symptom": incident.symptom.value,
        "source": codec.text(incident.source),
        "title": codec.text(incident.title),
        "rule": codec.text(incident.rule),
        "ruleset_hash": incident.ruleset_hash,
        "priority": incident.priority.rank,
        "classification": codec.encode(incident.classification),
        "accepted_at": codec.micros(incident.accepted_at),
        "service": codec.text(incident.service),
        "platform": ref.platform if ref else None,
        "cluster": ref.cluster if ref else None,
        "namespace": ref.namespace if ref else None,
        "kind": ref.kind if ref else None,
        "name": ref.name if ref else None,
        "uid": target.uid if target else None,
        "phases": codec.encode(incident.phases),
        "no_action": codec.text(incident.no_action),
        "acked_at": codec.maybe_micros(incident.acked_at),
        "acked_by": codec.text(incident.acked_by),
        "closed_at": codec.maybe_micros(incident.closed_at),
        "closed_by": codec.text(incident.closed_by),
        "previous_id": incident.previous_id,
        "merged_into": incident.merged_into,
    }


def incident_of(row: Row) -> Incident:
    """The way back, from `COLUMNS`."""
    (
        id_, version, open_, group_key, symptom, source, title, rule, ruleset_hash, _priority, classification, accepted_at, service,
        platform, cluster, namespace, kind, name, uid, phases, no_action, acked_at, acked_by, closed_at, closed_by, previous_id,
        merged_into,
    ) = row  # fmt: skip
    return Incident(
        id=id_,
        version=version,
        group_key=group_key,
        symptom=Symptom(symptom),
        source=source,
        title=title,
        rule=rule,
        ruleset_hash=ruleset_hash,
        classification=codec.CLASSIFICATION.decode(classification),
        accepted_at=codec.moment(accepted_at),
        service=service,
        target=None if uid is None else Target(TargetRef(platform, cluster, namespace, kind, name), uid),
        open=bool(open_),
        phases=codec.PHASES.decode(phases),
        no_action=no_action,
        acked_at=codec.maybe_moment(acked_at),
        acked_by=acked_by,
        closed_at=codec.maybe_moment(closed_at),
        closed_by=closed_by,
        previous_id=previous_id,
        merged_into=merged_into,
    )
