"""A database with so many stored incidents: a real one is folded by the service itself, then copied in SQL under new numbers and keys.

The copies were alerted an hour ago and closed then; those that are open have their date, as the service leaves them when it stops.
"""

from __future__ import annotations

import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from bench.bodies import Kind, deliveries
from bench.load import post_all
from bench.serving import receiver, up

OPEN_SHARE = 100
"""One of so many is open."""
_OPEN = f"i % {OPEN_SHARE} = 0"
UNIQUE = {
    "incidents": {"group_key": "{old} || '-' || i", "alerted_at": ":closed"},
    "aliases": {"key": "{old} || '-' || i"},
    "alerts": {"fingerprint": "lower(hex(randomblob(16)))"},
    "timeline": {},
    "agenda": {"due": ":later", "owner": "NULL", "lease_until": "NULL"},
}
"""Copied tables, and what has to differ in each copy."""


async def stored(count: int, path: Path) -> Path:
    """Writes the database file to `path`: `count` incidents, closed an hour ago but for one in a hundred."""
    with receiver() as server:
        await up(server)
        await post_all(server.port, [server.request(next(deliveries(Kind.fresh)))], connections=1)
        await server.folded()
        assert server.database is not None
        server.end()
        shutil.copyfile(server.database, path)
    with closing(sqlite3.connect(path)) as connection:
        _multiply(connection, count)
    return path


def _multiply(connection: sqlite3.Connection, count: int) -> None:
    connection.execute("PRAGMA synchronous=OFF")  # a copy that a power cut may take
    connection.execute("PRAGMA cache_size=-262144")
    (first,) = connection.execute("SELECT max(id) FROM incidents").fetchone()
    for table, differs in UNIQUE.items():
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        values = [_value(table, column, differs) for column in columns if column != "id" or table == "incidents"]
        names = [column for column in columns if column != "id" or table == "incidents"]
        connection.execute(
            f"WITH RECURSIVE n(i) AS (SELECT :first + 1 UNION ALL SELECT i + 1 FROM n WHERE i < :first + :count)"
            f" INSERT INTO {table} ({', '.join(names)}) SELECT {', '.join(values)} FROM n, (SELECT * FROM {table}"
            f" WHERE {'id' if table == 'incidents' else 'incident_id'} = :first) AS t{' WHERE ' + _OPEN if table == 'agenda' else ''}",
            {"first": first, "count": count, "closed": int((time.time() - 3600) * 1e6), "later": int((time.time() + 3600) * 1e6)},
        )
    connection.commit()


def _value(table: str, column: str, differs: dict[str, str]) -> str:
    if column == ("id" if table == "incidents" else "incident_id"):
        return "i"
    if column == "open":
        return f"({_OPEN})"
    if column == "closed_at":
        return f"CASE WHEN {_OPEN} THEN NULL ELSE :closed END"
    return differs.get(column, "{old}").format(old=f"t.{column}")
