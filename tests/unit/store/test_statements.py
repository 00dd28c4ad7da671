"""Every statement of the store compiles for both engines, and on SQLite none walks over rows that are closed."""

from __future__ import annotations

import importlib
import pkgutil
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg

import receiver.store
from receiver.store.engine import Statements
from receiver.store.opening import migrate
from receiver.store.statements import NumberNext, Upsert

GROWING = ("deliveries", "incidents", "aliases", "alerts", "attempts", "timeline", "facts", "raises", "outbox")
BOUNDED = {"inbox.BACKLOG", "retention._DELIVERIES"}
"""Read their rows in order: the unfolded ones, or as many as a batch."""


def _statements() -> Iterator[tuple[str, Any]]:
    for module in pkgutil.iter_modules(receiver.store.__path__):
        for name, value in vars(importlib.import_module(f"receiver.store.{module.name}")).items():
            members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]
            for each in members:
                if isinstance(
                    each, sa.Select | sa.CompoundSelect | sa.Insert | sa.Update | sa.Delete | sa.TextClause | Upsert | NumberNext
                ):
                    yield f"{module.name}.{name}", each


ALL = list(_statements())
POSTGRESQL = Statements(asyncpg())  # type: ignore[no-untyped-call] # SQLAlchemy left it untyped


def test_there_are_statements() -> None:
    assert len(ALL) > 70


@pytest.mark.parametrize(("name", "statement"), ALL)
def test_every_statement_is_postgresql_too(name: str, statement: Any) -> None:
    sql, names, _ = POSTGRESQL.of(statement)
    assert len(names) == len(set(re.findall(r"\$\d+", sql)))


async def test_no_statement_walks_over_what_is_over(tmp_path: Path) -> None:
    await migrate(f"sqlite:///{tmp_path}/plans.db")
    connection = sqlite3.connect(tmp_path / "plans.db")
    compiled = Statements(sqlite.dialect())
    walks = set()
    for name, statement in ALL:
        sql, names, _ = compiled.of(statement)
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", [None] * len(names))]
        if name not in BOUNDED and any(_walks(step) for step in plan):
            walks.add(f"{name}: {plan}")
    connection.close()
    assert not walks


def _walks(step: str) -> bool:
    """A scan of a growing table, other than of a partial index of what is open."""
    table = re.match(r"SCAN (\w+)(?: USING (?:COVERING )?INDEX (\w+))?", step)
    if table is None or table[1] not in GROWING:
        return False
    return table[2] is None or not re.search(r"_open|_due|_waiting", table[2])
