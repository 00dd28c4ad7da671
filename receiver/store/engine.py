"""How a transaction is run: one connection, one thread, one hop for a whole transaction; the driver's errors translated once.

Law: a transaction begun is ended before its caller hears of it, also when the caller is cancelled. Work is a plain function of a `Tx`,
so that each statement costs no turn of the event loop (measured: a third of the CPU of an asynchronous driver). Called by `SqlStore`.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa

from receiver.ports import StoreUnavailable, VersionConflict
from receiver.store.lock import FileLock
from receiver.store.statements import NumberNext, Upsert
from receiver.tasks import finish_despite_cancel

T = TypeVar("T")
Row = Sequence[Any]
Statement = sa.Executable | Upsert | NumberNext
Parameters = Mapping[str, Any]
Cursor = Any  # a DBAPI cursor: SQLAlchemy's protocol for it leaves out what both drivers have

BUSY_SECONDS = 5.0
"""How long SQLite waits for somebody else's lock (a backup, a person with a shell) before we say unavailable."""


class Statements:
    """Compiled texts of one engine, by statement: statements are module constants, so this is bounded."""

    def __init__(self, dialect: sa.Dialect) -> None:
        self._dialect = dialect
        self._compiled: dict[Statement, tuple[str, tuple[str, ...], Parameters]] = {}

    def of(self, statement: Statement) -> tuple[str, tuple[str, ...], Parameters]:
        """SQL text, names of its parameters by position, and the values that the statement brings along."""
        known = self._compiled.get(statement)
        if known is None:
            built = statement.built(self._dialect.name) if isinstance(statement, Upsert | NumberNext) else statement
            compiled = built.compile(dialect=self._dialect)  # type: ignore[attr-defined] # Executable is a mixin: all of ours compile
            known = (str(compiled), tuple(compiled.positiontup or ()), dict(compiled.params))
            self._compiled[statement] = known
        return known


class Tx:
    """One open transaction, on a DBAPI cursor. Lives in the database's thread; never kept."""

    def __init__(self, cursor: Cursor, statements: Statements) -> None:
        self._cursor = cursor
        self._statements = statements

    def all(self, statement: Statement, **parameters: Any) -> list[Row]:
        """Every row, as tuples in the order of the columns asked for."""
        sql, names, defaults = self._statements.of(statement)
        self._cursor.execute(sql, tuple([parameters[name] if name in parameters else defaults[name] for name in names]))
        rows: list[Row] = self._cursor.fetchall()
        return rows

    def first(self, statement: Statement, **parameters: Any) -> Row | None:
        """The first row, if there is one."""
        rows = self.all(statement, **parameters)
        return rows[0] if rows else None

    def value(self, statement: Statement, **parameters: Any) -> Any:
        """The first column of the first row; None when there is no row."""
        row = self.first(statement, **parameters)
        return None if row is None else row[0]

    def run(self, statement: Statement, row: Parameters) -> int:
        """Executes once; returns how many rows it touched."""
        sql, names, defaults = self._statements.of(statement)
        self._cursor.execute(sql, tuple([row[name] if name in row else defaults[name] for name in names]))
        count: int = self._cursor.rowcount
        return count

    def many(self, statement: Statement, rows: Sequence[Parameters]) -> None:
        """Executes once for each row; how many were touched is not known on every engine."""
        if not rows:
            return
        sql, names, defaults = self._statements.of(statement)
        constants = {name: defaults[name] for name in names if name not in rows[0]}
        self._cursor.executemany(sql, [tuple([row[name] if name in row else constants[name] for name in names]) for row in rows])


def connect_sqlite(path: str) -> sa.Engine:
    """One connection, handed from thread to thread. WAL, and FULL: NORMAL may lose the last commits at a power cut, and the last commit
    is an accepted alert or an intent. (SQLite before 3.51.3 can corrupt a WAL database that has several connections: so one.)"""
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=path),
        poolclass=sa.QueuePool,
        pool_size=1,
        max_overflow=0,
        pool_reset_on_return=None,
        connect_args={"isolation_level": None, "check_same_thread": False, "timeout": BUSY_SECONDS},
    )
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    for pragma in (
        "PRAGMA journal_mode=WAL",
        "PRAGMA synchronous=FULL",
        "PRAGMA foreign_keys=ON",
        "PRAGMA temp_store=MEMORY",
        "PRAGMA cache_size=-16384",  # KiB
        "PRAGMA journal_size_limit=67108864",  # bytes that the WAL may keep after a burst
    ):
        connection.execute(pragma).close()


class SqliteDatabase:
    """The database file, its lock, its connection and the thread that uses it."""

    def __init__(self, engine: sa.Engine, lock: FileLock, executor: ThreadPoolExecutor) -> None:
        self.engine = engine
        self._lock = lock
        self._executor = executor
        self._statements = Statements(engine.dialect)
        self._closed = False

    async def write(self, work: Callable[[Tx], T], *, taken: type[Exception] = VersionConflict) -> T:
        """Runs `work` in a transaction that holds the write lock from its beginning; commits when it returns, else undoes all of it.
        `taken` is raised where a unique index says that somebody else was first."""
        return await self._in_transaction(work, "BEGIN IMMEDIATE", taken)

    async def read(self, work: Callable[[Tx], T]) -> T:
        """Runs `work` on one snapshot."""
        return await self._in_transaction(work, "BEGIN", VersionConflict)

    def at_once(self, work: Callable[[Tx], T]) -> T:
        """As `write`, in the thread that calls: while nobody else has the database yet."""
        return self._transact(work, "BEGIN IMMEDIATE", VersionConflict)

    async def close(self) -> None:
        """Ends the connection, then lets others have the file. Harmless when called twice."""
        if self._closed:
            return
        self._closed = True
        await self._in_thread(self.engine.dispose)
        self._executor.shutdown(wait=False)
        self._lock.release()

    async def _in_transaction(self, work: Callable[[Tx], T], begin: str, taken: type[Exception]) -> T:
        if self._closed:
            raise StoreUnavailable("the store is closed")
        return await self._in_thread(lambda: self._transact(work, begin, taken))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await finish_despite_cancel(asyncio.get_running_loop().run_in_executor(self._executor, work))

    def _transact(self, work: Callable[[Tx], T], begin: str, taken: type[Exception]) -> T:
        try:
            proxy = self.engine.raw_connection()
            try:
                return self._on(proxy, work, begin)
            finally:
                proxy.close()
        except sqlite3.IntegrityError as error:
            raise taken(f"somebody else was first: {error}") from error
        except (sqlite3.Error, sa.exc.SQLAlchemyError) as error:
            raise StoreUnavailable(f"the database {cause(error)}") from error
        except msgspec.MsgspecError as error:
            raise StoreUnavailable(f"the database holds a row that cannot be read: {str(error)[:200]}") from error

    def _on(self, proxy: sa.PoolProxiedConnection, work: Callable[[Tx], T], begin: str) -> T:
        cursor = proxy.cursor()
        committed = False
        try:
            cursor.execute(begin)
            result = work(Tx(cursor, self._statements))
            cursor.execute("COMMIT")
            committed = True
        finally:
            if not committed:
                self._undo(proxy)
            cursor.close()
        return result

    def _undo(self, proxy: sa.PoolProxiedConnection) -> None:
        connection = proxy.driver_connection
        if not isinstance(connection, sqlite3.Connection) or not connection.in_transaction:
            return  # a full disk makes SQLite roll back by itself
        try:
            connection.execute("ROLLBACK")
        except sqlite3.Error as broken:  # the next transaction gets a new connection
            proxy.invalidate(broken)


def cause(error: Exception) -> str:
    """What the driver said, without the statement and its values: they may hold alert text."""
    said = getattr(error, "orig", None) or error
    return f"answered {type(said).__name__}: {str(said)[:200]}"
