"""What watches over us reads here: who is overdue, heartbeats, the storm gate's counts, figures for /metrics.

Law: nothing here costs more than the rows that are open, or the minutes that are asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import sqlalchemy as sa

from receiver.core.model import OWN_SOURCE
from receiver.ports import Beat, MessageKind, Overdue, StormCounts
from receiver.store import codec, inbox, ledger
from receiver.store.engine import Tx
from receiver.store.schema import agenda, heartbeats, incidents, is_off, is_on, outbox, raises, waits
from receiver.store.statements import given

MOST_ALIGHT = 5_000
"""Incidents that the storm gate counts, the newest: it asks each second, and 100,000 within its window would take a third of one. A limit
above it is no limit."""

_SINCE = sa.bindparam("since", type_=sa.BigInteger())
_WITH_STORM = sa.and_(is_on(raises.c.by_storm), raises.c.dependency == sa.literal_column("''"))
_PAGED = (
    sa.exists().where(raises.c.incident_id == incidents.c.id, sa.or_(raises.c.accepted_at.is_not(None), _WITH_STORM)).correlate(incidents)
)
_FORGOTTEN = (
    sa.select(incidents.c.id, agenda.c.due)
    .select_from(incidents.outerjoin(agenda, agenda.c.incident_id == incidents.c.id))
    .where(is_on(incidents.c.open), sa.or_(agenda.c.due.is_(None), agenda.c.due < _SINCE), ~_PAGED)
)
_later = raises.alias("later")
_JOINED = (
    sa.select(incidents.c.id)
    .where(
        is_on(incidents.c.open),
        sa.exists()
        .where(
            raises.c.incident_id == incidents.c.id,
            _WITH_STORM,
            ~sa.exists().where(_later.c.incident_id == raises.c.incident_id, _later.c.n > raises.c.n).correlate(raises),
        )
        .correlate(incidents),
    )
    .limit(sa.literal_column("1"))
)
_UNSENT = (
    sa.select(outbox.c.incident_id, outbox.c.destination, outbox.c.created_at, outbox.c.tries)
    .where(waits, outbox.c.kind == sa.literal_column(f"'{MessageKind.trigger.value}'"), outbox.c.created_at < _SINCE)
    .order_by(outbox.c.created_at)
)
_BEATS = sa.select(heartbeats.c.source, heartbeats.c.rule, heartbeats.c.last_at).order_by(heartbeats.c.source, heartbeats.c.rule)
_lately = (
    sa.select(
        sa.func.coalesce(incidents.c.namespace, incidents.c.near).label("near"),
        sa.func.coalesce(incidents.c.uid, incidents.c.group_key).label("target"),
        incidents.c.service,
    )
    .where(
        incidents.c.alerted_at >= given("since", incidents.c.alerted_at),
        incidents.c.source != sa.literal_column(f"'{OWN_SOURCE}'"),
    )
    .order_by(incidents.c.alerted_at.desc())
    .limit(sa.literal_column(str(MOST_ALIGHT)))
    .subquery("lately")
)
_ALIGHT = sa.select(_lately.c.near, sa.func.count(sa.distinct(_lately.c.target))).group_by(_lately.c.near)
_CATALOGUED = sa.select(sa.func.count(sa.distinct(_lately.c.target))).where(_lately.c.service != sa.literal_column("''"))
_TRUNCATED = (
    sa.select(incidents.c.id).where(incidents.c.truncated_at >= given("since", incidents.c.truncated_at)).limit(sa.literal_column("1"))
)
_P1_PAGES = (
    sa.select(sa.func.count())
    .select_from(raises)
    .where(raises.c.at >= given("since", raises.c.at), raises.c.priority == sa.literal_column("1"), is_off(raises.c.by_storm))
)
_OPEN = sa.select(incidents.c.priority, sa.func.count()).where(is_on(incidents.c.open)).group_by(incidents.c.priority)
_PENDING = sa.select(outbox.c.destination, sa.func.count(), sa.func.min(outbox.c.created_at)).where(waits).group_by(outbox.c.destination)


def overdue(tx: Tx, *, since: datetime) -> list[Overdue]:
    """Open incidents neither paged nor with a date after `since`; and triggers that have waited since before it."""
    late = codec.micros(since)
    found = [Overdue(id_, _forgotten(due)) for id_, due in sorted(tx.all(_FORGOTTEN, since=late), key=lambda row: int(row[0]))]
    for incident_id, destination, created_at, tries in tx.all(_UNSENT, since=late):
        waited = codec.moment(created_at).isoformat(timespec="seconds")
        found.append(Overdue(incident_id, f"its page to {destination} waits since {waited}, tried {tries} times"))
    return found


def joined_storm(tx: Tx) -> bool:
    """Somebody waits on the storm's page alone."""
    return tx.first(_JOINED) is not None


def _forgotten(due: int | None) -> str:
    if due is None:
        return "it is neither paged nor has it a date"
    return f"its next step was due at {codec.moment(due).isoformat(timespec='seconds')}"


def beats(tx: Tx) -> list[Beat]:
    """All that are remembered."""
    return [Beat(source, rule, codec.moment(at)) for source, rule, at in tx.all(_BEATS)]


def storm_counts(tx: Tx, *, since: datetime, minute_ago: datetime) -> StormCounts:
    """Our own troubles are no targets; a merged incident bears the survivor's uid, so both count once."""
    alight = tx.all(_ALIGHT, since=codec.micros(since))
    return StormCounts(
        targets=sum(count for _, count in alight),
        by_namespace={name: count for name, count in alight if name},
        truncated=tx.first(_TRUNCATED, since=codec.micros(since)) is not None,
        p1_pages_last_minute=tx.value(_P1_PAGES, since=codec.micros(minute_ago)),
        catalogued=tx.value(_CATALOGUED, since=codec.micros(since)),
    )


def gauges(tx: Tx, *, now: datetime) -> Mapping[str, Mapping[str, float]]:
    """By name, then by label value; the empty one where there is no label."""
    pending = tx.all(_PENDING)
    return {
        "incidents_open": {f"P{rank}": float(count) for rank, count in tx.all(_OPEN)},
        "inbox_backlog": {"": float(tx.value(inbox.BACKLOG))},
        "outbox_pending": {destination: float(count) for destination, count, _ in pending},
        "outbox_oldest_age_seconds": {
            destination: max(0.0, (now - codec.moment(oldest)) / timedelta(seconds=1)) for destination, _, oldest in pending
        },
        "attempts_open": {"": float(tx.value(ledger.OPEN_ATTEMPTS))},
    }
