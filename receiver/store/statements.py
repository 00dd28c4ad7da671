"""Statements that both engines understand, made once and compiled once.

`Upsert` and `listed` are the only places where SQLite and PostgreSQL are told apart. Used by every module of this room.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

Excluded = Any
"""The row that could not be inserted, by column name."""

_INSERTS: Mapping[str, Callable[[sa.Table], Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def insert(table: sa.Table, *, but: tuple[str, ...] = ()) -> sa.Insert:
    """One row, every column a parameter of its name, less those that the database fills in."""
    return sa.insert(table).values({each.name: sa.bindparam(each.name, type_=each.type) for each in table.c if each.name not in but})


def update(table: sa.Table, *columns: str) -> sa.Update:
    """Sets the columns from parameters of their names; narrow it with `.where`, whose parameters need other names."""
    return sa.update(table).values({name: sa.bindparam(name, type_=table.c[name].type) for name in columns})


def given(name: str, column: sa.Column[Any]) -> sa.BindParameter[Any]:
    """A parameter of the column's type."""
    return sa.bindparam(name, type_=column.type)


@dataclass(frozen=True, slots=True, eq=False)
class Upsert:
    """Inserts a row, or changes the one that stands in its way."""

    table: sa.Table
    key: tuple[str, ...]
    """Columns of the unique index in question."""
    change: Callable[[Excluded], Mapping[str, Any]]
    """What to set; empty: leave the old row as it is."""
    but: tuple[str, ...] = field(default=())

    def built(self, dialect: str) -> sa.Insert:
        """For one engine."""
        statement = _INSERTS[dialect](self.table)
        names = [each for each in self.table.c if each.name not in self.but]
        statement = statement.values({each.name: sa.bindparam(each.name, type_=each.type) for each in names})
        changes = dict(self.change(statement.excluded))
        if changes:
            made: sa.Insert = statement.on_conflict_do_update(index_elements=list(self.key), set_=changes)
        else:
            made = statement.on_conflict_do_nothing(index_elements=list(self.key))
        return made


@dataclass(frozen=True, slots=True)
class NumberNext:
    """The next `count` ids of a numbered table, given out for good: rows that point at each other are then written in any order."""

    table: str

    def built(self, dialect: str) -> sa.TextClause:
        """For one engine. SQLite holds the write lock, so the numbers are used up by the insert that follows."""
        text = _NUMBERS_SQLITE if dialect == "sqlite" else _NUMBERS_POSTGRESQL
        return sa.text(text).bindparams(sa.bindparam("table", self.table, type_=sa.Text()), sa.bindparam("count", type_=sa.Integer()))


_NUMBERS_SQLITE = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count)"
    " SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = :table), 0) + i FROM n"
)
_NUMBERS_POSTGRESQL = "SELECT nextval(pg_get_serial_sequence(:table, 'id')) FROM generate_series(1, :count)"


class _Among(sa.ColumnElement[bool]):
    inherit_cache = False
    type = sa.Boolean()

    def __init__(self, column: sa.ColumnElement[Any], name: str) -> None:
        self.column = column
        self.array = sa.bindparam(name, type_=sa.Text())

    def self_group(self, against: object = None) -> _Among:  # noqa: ARG002 - SQLAlchemy names it
        """A condition already: SQLAlchemy would write `… = 1` where booleans are numbers, and no index would be used."""
        return self


@compiles(_Among, "sqlite")
def _among_sqlite(element: _Among, compiler: SQLCompiler, **options: Any) -> str:
    column, array = (compiler.process(each, **options) for each in (element.column, element.array))
    return f"{column} IN (SELECT value FROM json_each({array}))"  # noqa: S608 - a column of ours and a placeholder go in


@compiles(_Among, "postgresql")
def _among_postgresql(element: _Among, compiler: SQLCompiler, **options: Any) -> str:
    column, array = (compiler.process(each, **options) for each in (element.column, element.array))
    value = "value::bigint" if isinstance(element.column.type, sa.Integer) else "value"
    return f"{column} IN (SELECT {value} FROM json_array_elements_text(CAST({array} AS json)))"  # noqa: S608 - as above


def listed(column: sa.ColumnElement[Any], name: str) -> sa.ColumnElement[bool]:
    """`column` is one of a JSON array given as one parameter: one text for any number of values, so it is prepared once."""
    return _Among(column, name)
