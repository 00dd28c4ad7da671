"""The first schema. What the columns mean stands in `store/schema.py`; this file is never changed once it is released."""

import secrets
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Everything, and the random id of this installation."""
    _incidents()
    _inbox()
    _history()
    _ledger()
    _queues()
    _guard()
    meta = sa.table("meta", sa.column("id"), sa.column("installation"), sa.column("sequence"))
    op.bulk_insert(meta, [{"id": 1, "installation": secrets.token_hex(16), "sequence": 0}])


def _inbox() -> None:
    _table("deliveries", _id(), _text("source"), _number("received_at"), _flag("folded"), _bytes("body"))
    _index("deliveries_unfolded", "deliveries", "id", where="folded = 0")
    _table(
        "quarantine",
        _id(),
        _text("source"),
        _number("at"),
        _text("reason"),
        _text("path"),
        _text("raw"),
        _number("delivery_id", nullable=True),
    )
    _index("quarantine_at", "quarantine", "at")
    _table("heartbeats", _text("source", primary_key=True), _text("rule", primary_key=True), _number("last_at"))


def _incidents() -> None:
    _table(
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
        _flag("priority"),
        _text("classification"),
        _number("accepted_at"),
        _text("service"),
        _text("platform", nullable=True),
        _text("cluster", nullable=True),
        _text("namespace", nullable=True),
        _text("kind", nullable=True),
        _text("name", nullable=True),
        _text("uid", nullable=True),
        _text("phases"),
        _text("no_action"),
        _number("acked_at", nullable=True),
        _text("acked_by"),
        _number("closed_at", nullable=True),
        _text("closed_by"),
        _number("previous_id", nullable=True),
        _number("merged_into", nullable=True),
        _text("near"),
        _number("alerted_at", nullable=True),
        _number("truncated_at", nullable=True),
        _number("entries"),
        _text("head"),
    )
    _index("incidents_alerted", "incidents", "alerted_at")
    _index("incidents_closed", "incidents", "closed_at", where="open = 0")
    _index("incidents_open", "incidents", "priority", "id", where="open = 1")
    _index("incidents_open_key", "incidents", "group_key", where="open = 1", unique=True)
    _index("incidents_priority", "incidents", "priority", "id")
    _index("incidents_service", "incidents", "service", "id")
    _index("incidents_truncated", "incidents", "truncated_at", where="truncated_at IS NOT NULL")
    _table("aliases", _id(), _text("key"), _of_incident(), _flag("open"))
    _index("aliases_closed_key", "aliases", "key", "incident_id", where="open = 0")
    _index("aliases_incident", "aliases", "incident_id")
    _index("aliases_open_key", "aliases", "key", where="open = 1", unique=True)
    _table("alerts", _id(), _of_incident(), _flag("open"), _text("source"), _text("fingerprint"), _number("first_at"), _text("record"))
    _index("alerts_identity", "alerts", "incident_id", "source", "fingerprint", unique=True)
    _index("alerts_open", "alerts", "fingerprint", where="open = 1")


def _history() -> None:
    _table(
        "timeline",
        _number("incident_id", primary_key=True),
        _number("seq", primary_key=True),
        _number("at"),
        _text("because"),
        _text("actor"),
        _text("text"),
        _text("data"),
        _text("hash"),
    )
    _table("facts", _id(), _of_incident(), _text("facts"))
    _index("facts_incident", "facts", "incident_id", "id")
    _table(
        "raises",
        _of_incident(primary_key=True),
        _small("n", primary_key=True),
        _number("at"),
        _flag("priority"),
        _text("because"),
        _text("dedup_key"),
        _number("newest_start"),
        _flag("by_storm"),
        _number("accepted_at", nullable=True),
    )
    _index("raises_at", "raises", "at")


def _ledger() -> None:
    _table("meta", _small("id", primary_key=True), _text("installation"), _number("sequence"))
    _table(
        "attempts",
        _id("seq"),
        _text("id"),
        _of_incident(),
        _text("action"),
        _text("uid"),
        _text("namespace"),
        _text("state"),
        _text("verdict", nullable=True),
        _number("started_at"),
        _number("verdict_at", nullable=True),
        _flag("open"),
        _flag("leased"),
        _text("attempt"),
    )
    _index("attempts_id", "attempts", "id", unique=True)
    _index("attempts_incident", "attempts", "incident_id")
    _index("attempts_judged", "attempts", "verdict_at", where="verdict_at IS NOT NULL")
    _index("attempts_open_target", "attempts", "uid", where="open = 1", unique=True)
    _index("attempts_started", "attempts", "started_at")
    _table(
        "holds",
        _id(),
        _text("kind"),
        _text("scope"),
        _text("reason"),
        _text("by"),
        _number("since"),
        _number("until", nullable=True),
        _number("ended_at", nullable=True),
        _text("ended_by"),
    )
    _index("holds_standing", "holds", "id", where="ended_at IS NULL")


def _queues() -> None:
    _table(
        "agenda",
        _of_incident(primary_key=True),
        _flag("rank"),
        _number("due", nullable=True),
        _text("owner", nullable=True),
        _number("lease_until", nullable=True),
        _number("fence"),
    )
    _index("agenda_due", "agenda", "rank", "due")
    _index("agenda_free", "agenda", "due", where="lease_until IS NULL")
    _index("agenda_leased", "agenda", "lease_until", where="lease_until IS NOT NULL")
    _table(
        "outbox",
        _id(),
        _text("destination"),
        _text("kind"),
        _text("dedup_key"),
        _number("incident_id"),
        _number("raise_n"),
        _text("text"),
        _number("created_at"),
        _text("state"),
        _number("tries"),
        _number("next_at"),
        _number("after_incident", nullable=True),
        _text("detail"),
        _number("settled_at", nullable=True),
        _text("owner", nullable=True),
        _number("lease_until", nullable=True),
        _number("fence"),
    )
    _index("outbox_due", "outbox", "destination", "next_at", where="state = 'due'")
    _index("outbox_due_key", "outbox", "dedup_key", "id", where="state = 'due'")
    _index("outbox_incident", "outbox", "incident_id")
    _index("outbox_waiting", "outbox", "created_at", where="state = 'due'")


def _guard() -> None:
    """The timeline is append-only: nothing changes it, and only an incident that is gone leaves it behind. No open incident goes."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            "CREATE TRIGGER timeline_no_update BEFORE UPDATE ON timeline BEGIN SELECT RAISE(ABORT, 'the timeline is append-only'); END"
        )
        op.execute(
            "CREATE TRIGGER timeline_no_delete BEFORE DELETE ON timeline"
            " WHEN EXISTS (SELECT 1 FROM incidents WHERE id = OLD.incident_id)"
            " BEGIN SELECT RAISE(ABORT, 'the timeline is append-only'); END"
        )
        op.execute(
            "CREATE TRIGGER incidents_no_delete BEFORE DELETE ON incidents WHEN OLD.open = 1"
            " BEGIN SELECT RAISE(ABORT, 'an open incident is never deleted'); END"
        )
        return
    op.execute(
        "CREATE FUNCTION receiver_refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'the timeline is append-only, and an open incident stays'; END $$"
    )
    op.execute(
        "CREATE FUNCTION receiver_refuse_while_kept() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF EXISTS (SELECT 1 FROM incidents WHERE id = OLD.incident_id) THEN RAISE EXCEPTION 'the timeline is append-only'; END IF;"
        " RETURN OLD; END $$"
    )
    op.execute("CREATE TRIGGER timeline_no_update BEFORE UPDATE ON timeline FOR EACH ROW EXECUTE FUNCTION receiver_refuse()")
    op.execute("CREATE TRIGGER timeline_no_delete BEFORE DELETE ON timeline FOR EACH ROW EXECUTE FUNCTION receiver_refuse_while_kept()")
    op.execute(
        "CREATE TRIGGER incidents_no_delete BEFORE DELETE ON incidents FOR EACH ROW WHEN (OLD.open = 1) EXECUTE FUNCTION receiver_refuse()"
    )


def _table(name: str, *columns: sa.Column[Any]) -> None:
    op.create_table(name, *columns, sqlite_autoincrement=any(each.autoincrement is True for each in columns))


def _index(name: str, table: str, *columns: str, where: str = "", unique: bool = False) -> None:
    condition = sa.text(where) if where else None
    op.create_index(name, table, list(columns), unique=unique, sqlite_where=condition, postgresql_where=condition)


def _key() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _id(name: str = "id") -> sa.Column[int]:
    return sa.Column(name, _key(), primary_key=True, autoincrement=True)


def _of_incident(*, primary_key: bool = False) -> sa.Column[int]:
    return sa.Column("incident_id", _key(), sa.ForeignKey("incidents.id"), nullable=False, primary_key=primary_key, autoincrement=False)


def _column(name: str, kind: sa.types.TypeEngine[Any], *, nullable: bool = False, primary_key: bool = False) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=nullable, primary_key=primary_key, autoincrement=False)


def _number(name: str, *, nullable: bool = False, primary_key: bool = False) -> sa.Column[Any]:
    return _column(name, sa.BigInteger(), nullable=nullable, primary_key=primary_key)


def _small(name: str, *, primary_key: bool = False) -> sa.Column[Any]:
    return _column(name, sa.Integer(), primary_key=primary_key)


def _flag(name: str) -> sa.Column[Any]:
    return _column(name, sa.SmallInteger())


def _text(name: str, *, nullable: bool = False, primary_key: bool = False) -> sa.Column[Any]:
    return _column(name, sa.Text(), nullable=nullable, primary_key=primary_key)


def _bytes(name: str) -> sa.Column[Any]:
    return _column(name, sa.LargeBinary())
