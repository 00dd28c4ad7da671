"""The tables, as the newest migration leaves them (a test compares the two).

Moments are integer microseconds since 1970, UTC; flags are 0 or 1; values that SQL never looks into are JSON text. Look-ups of the hot
paths rest on partial indexes over open rows only, so that they stay flat however many closed incidents are kept. A partial index is
used only by a query that says its condition literally: `is_on(column)`, `is_off(column)`, `waits`.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

METADATA = sa.MetaData()

Key = sa.BigInteger().with_variant(sa.Integer, "sqlite")
"""SQLite numbers rows by itself only where the type is exactly INTEGER."""


def is_on(column: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    """`column = 1` without a parameter."""
    return column == sa.literal_column("1")


def is_off(column: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    """`column = 0` without a parameter."""
    return column == sa.literal_column("0")


def _table(name: str, *parts: sa.schema.SchemaItem) -> sa.Table:
    return sa.Table(name, METADATA, *parts, sqlite_autoincrement=any(getattr(each, "info", {}).get("numbered") for each in parts))


def _id() -> sa.Column[int]:
    return sa.Column("id", Key, primary_key=True, info={"numbered": True})  # AUTOINCREMENT: an id is never given twice


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False)


def _maybe(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger)


def _flag(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.SmallInteger, nullable=False)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def _maybe_text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text)


def _of_incident(*, primary: bool = False) -> sa.Column[int]:
    return sa.Column("incident_id", Key, sa.ForeignKey("incidents.id"), nullable=False, primary_key=primary, autoincrement=False)


def _partial(name: str, *columns: sa.Column[Any], where: sa.ColumnElement[bool], unique: bool = False) -> sa.Index:
    return sa.Index(name, *columns, unique=unique, sqlite_where=where, postgresql_where=where)


meta = _table(
    "meta",
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),  # one row: 1
    _text("installation"),
    _number("sequence"),  # of the ledger and the holds
)

deliveries = _table(
    "deliveries",
    _id(),
    _text("source"),
    _number("received_at"),
    # Before the body, and 0 or 1: SQLite stores both in no bytes, so marking a row folded overwrites one page and leaves the body's alone.
    _flag("folded"),
    sa.Column("body", sa.LargeBinary, nullable=False),
)
_partial("deliveries_unfolded", deliveries.c.id, where=is_off(deliveries.c.folded))

incidents = _table(
    "incidents",
    _id(),
    _number("version"),
    _flag("open"),
    _text("group_key"),
    _text("symptom"),
    _text("source"),
    _text("title"),
    _text("rule"),
    _text("ruleset_hash"),
    _flag("priority"),  # its rank, 1 to 4
    _text("classification"),
    _number("accepted_at"),
    _text("service"),
    _maybe_text("platform"),
    _maybe_text("cluster"),
    _maybe_text("namespace"),
    _maybe_text("kind"),
    _maybe_text("name"),
    _maybe_text("uid"),
    _text("phases"),
    _text("no_action"),
    _maybe("acked_at"),
    _text("acked_by"),
    _maybe("closed_at"),
    _text("closed_by"),
    _maybe("previous_id"),
    _maybe("merged_into"),
    _text("near"),  # the namespace that an alert's labels name: for the storm gate, never for aiming
    _maybe("alerted_at"),  # when the newest of its alerts was first accepted
    _maybe("truncated_at"),  # when its sender last left out members of the group
    _number("entries"),  # length of its timeline
    _text("head"),  # hash of its last entry
)
_partial("incidents_open_key", incidents.c.group_key, where=is_on(incidents.c.open), unique=True)
_partial("incidents_open", incidents.c.priority, incidents.c.id, where=is_on(incidents.c.open))
_partial("incidents_closed", incidents.c.closed_at, where=is_off(incidents.c.open))
sa.Index("incidents_alerted", incidents.c.alerted_at)
_partial("incidents_truncated", incidents.c.truncated_at, where=incidents.c.truncated_at.is_not(None))
_partial("incidents_merged", incidents.c.merged_into, where=incidents.c.merged_into.is_not(None))
sa.Index("incidents_priority", incidents.c.priority, incidents.c.id)
sa.Index("incidents_service", incidents.c.service, incidents.c.id)

aliases = _table("aliases", _id(), _text("key"), _of_incident(), _flag("open"))
_partial("aliases_open_key", aliases.c.key, where=is_on(aliases.c.open), unique=True)
_partial("aliases_closed_key", aliases.c.key, aliases.c.incident_id, where=is_off(aliases.c.open))
sa.Index("aliases_incident", aliases.c.incident_id)

alerts = _table("alerts", _id(), _of_incident(), _flag("open"), _text("source"), _text("fingerprint"), _number("first_at"), _text("record"))
sa.Index("alerts_identity", alerts.c.incident_id, alerts.c.source, alerts.c.fingerprint, unique=True)
_partial("alerts_open", alerts.c.fingerprint, where=is_on(alerts.c.open))

attempts = _table(
    "attempts",
    sa.Column("seq", Key, primary_key=True, info={"numbered": True}),
    _text("id"),
    _of_incident(),
    _text("action"),
    _text("uid"),
    _text("namespace"),
    _text("state"),
    _maybe_text("verdict"),
    _number("started_at"),
    _maybe("verdict_at"),
    _flag("open"),  # Attempt.open
    _flag("leased"),  # a temporary change that still has to be taken back
    _text("attempt"),
)
sa.Index("attempts_id", attempts.c.id, unique=True)
sa.Index("attempts_incident", attempts.c.incident_id)
sa.Index("attempts_started", attempts.c.started_at)
_partial("attempts_judged", attempts.c.verdict_at, where=attempts.c.verdict_at.is_not(None))
_partial("attempts_open_target", attempts.c.uid, where=is_on(attempts.c.open), unique=True)

holds = _table(
    "holds",
    _id(),
    _text("kind"),
    _text("scope"),
    _text("reason"),
    _text("by"),
    _number("since"),
    _maybe("until"),
    _maybe("ended_at"),
    _text("ended_by"),
)
_partial("holds_standing", holds.c.id, where=holds.c.ended_at.is_(None))

standing = _table(
    "standing",
    _of_incident(primary=True),
    sa.Column("name", sa.Text, primary_key=True),
    _number("done_at"),
    _flag("open"),  # Standing.open
    _text("standing"),
)
_partial("standing_open", standing.c.incident_id, where=is_on(standing.c.open))

timeline = _table(
    "timeline",
    # No foreign key: triggers forbid its rows to change, and to go while their incident is there (see the migration).
    sa.Column("incident_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    _number("at"),
    _text("because"),
    _text("actor"),
    _text("text"),
    _text("data"),
    _text("hash"),
)

facts = _table("facts", _id(), _of_incident(), _text("facts"))
sa.Index("facts_incident", facts.c.incident_id, facts.c.id)

raises = _table(
    "raises",
    _of_incident(primary=True),
    sa.Column("n", sa.Integer, primary_key=True, autoincrement=False),
    _number("at"),
    _flag("priority"),
    _text("because"),
    _text("dedup_key"),
    _number("newest_start"),
    _flag("by_storm"),
    _maybe("accepted_at"),
    # What held the incident back; with by_storm it joined the page of another one. The default is for a process of the release before.
    sa.Column("dependency", sa.Text, nullable=False, server_default=""),
)
sa.Index("raises_at", raises.c.at)
_partial("raises_dependency", raises.c.dependency, where=raises.c.dependency > sa.literal_column("''"))

outbox = _table(
    "outbox",
    _id(),
    _text("destination"),
    _text("kind"),
    _text("dedup_key"),
    _number("incident_id"),
    _number("raise_n"),
    _text("text"),
    _number("created_at"),
    _text("state"),  # due, accepted, refused
    _number("tries"),
    _number("next_at"),
    _maybe("after_incident"),  # waits until that incident was paged for, or is over
    _text("detail"),
    _maybe("settled_at"),
    _maybe_text("owner"),
    _maybe("lease_until"),
    _number("fence"),
)
waits = outbox.c.state == sa.literal_column("'due'")
_partial("outbox_due", outbox.c.destination, outbox.c.next_at, where=waits)
_partial("outbox_due_key", outbox.c.dedup_key, outbox.c.id, where=waits)
_partial("outbox_waiting", outbox.c.created_at, where=waits)
sa.Index("outbox_incident", outbox.c.incident_id)

agenda = _table(
    "agenda",
    _of_incident(primary=True),
    _flag("rank"),  # the incident's priority
    _maybe("due"),
    _maybe_text("owner"),
    _maybe("lease_until"),
    _number("fence"),
    # Words (`core/waits.py`), each with a space before and behind it. The default is for a process of the release before.
    sa.Column("waits_on", sa.Text, nullable=False, server_default=""),
)
sa.Index("agenda_due", agenda.c.rank, agenda.c.due)
_partial("agenda_free", agenda.c.due, where=agenda.c.lease_until.is_(None))
_partial("agenda_waiting", agenda.c.rank, agenda.c.due, where=agenda.c.waits_on > sa.literal_column("''"))
_partial("agenda_leased", agenda.c.lease_until, where=agenda.c.lease_until.is_not(None))

heartbeats = _table(
    "heartbeats", sa.Column("source", sa.Text, primary_key=True), sa.Column("rule", sa.Text, primary_key=True), _number("last_at")
)

quarantine = _table(
    "quarantine", _id(), _text("source"), _number("at"), _text("reason"), _text("path"), _text("raw"), _maybe("delivery_id")
)
sa.Index("quarantine_at", quarantine.c.at)

changes = _table(
    "changes",
    _id(),
    _text("key"),  # hash of all but when and by whom it was told
    _text("subject"),
    _number("at"),
    _number("told_at"),
    _text("told_by"),
    _text("changed"),
)
sa.Index("changes_key", changes.c.key, unique=True)
sa.Index("changes_subject", changes.c.subject, changes.c.at)
sa.Index("changes_at", changes.c.at)
