"""How a transaction is run: one connection, one thread; what waits for it is committed together; the driver's errors translated once.

Law: nobody hears of a write before its commit, nor of a commit while it is under way, also when cancelled. Work is a plain function of a
`Tx`, so that each statement costs no turn of the event loop (measured: a third of the CPU of an asynchronous driver). A commit costs
0.3 ms of CPU and a wait for the disk, more than most of what is written: so works that wait share one, each undone alone when it fails
(all of them where SQLite itself undoes the transaction, as on a full disk).
Called by `SqlStore`.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

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

MOST_TOGETHER = 128
"""Works of one transaction."""


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


class _Asked(NamedTuple):
    work: Callable[[Tx], Any]
    taken: type[Exception]
    """Raised where a unique index says that somebody else was first."""
    done: asyncio.Future[Any]


@dataclass(frozen=True, slots=True)
class _Failed:
    error: Exception


class SqliteDatabase:
    """The database file, its lock, its connection and the thread that uses it."""

    def __init__(self, engine: sa.Engine, lock: FileLock, executor: ThreadPoolExecutor) -> None:
        self.engine = engine
        self._lock = lock
        self._executor = executor
        self._statements = Statements(engine.dialect)
        self._reads: deque[_Asked] = deque()
        self._writes: deque[_Asked] = deque()
        self._called = False
        """The thread is going to look into both."""
        self._closed = False

    async def write(self, work: Callable[[Tx], T], *, taken: type[Exception] = VersionConflict) -> T:
        """Runs `work` under the write lock; it is committed when it returns, alone or with others that waited, else all of it undone.
        `taken` is raised where a unique index says that somebody else was first."""
        return await self._ask(self._writes, work, taken)

    async def read(self, work: Callable[[Tx], T]) -> T:
        """Runs `work` on one snapshot, before the writes that wait."""
        return await self._ask(self._reads, work, VersionConflict)

    def at_once(self, work: Callable[[Tx], T]) -> T:
        """As `write`, in the thread that calls: while nobody else has the database yet."""
        (outcome,) = self._transact([(work, VersionConflict)], "BEGIN IMMEDIATE")
        if isinstance(outcome, _Failed):
            raise outcome.error
        found: T = outcome
        return found

    async def close(self) -> None:
        """Ends the connection, then lets others have the file. Harmless when called twice."""
        if self._closed:
            return
        self._closed = True
        await finish_despite_cancel(asyncio.get_running_loop().run_in_executor(self._executor, self.engine.dispose))
        self._executor.shutdown(wait=False)
        self._lock.release()

    async def _ask(self, line: deque[_Asked], work: Callable[[Tx], T], taken: type[Exception]) -> T:
        if self._closed:
            raise StoreUnavailable("the store is closed")
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        line.append(_Asked(work, taken, done))
        if not self._called:
            self._called = True
            self._executor.submit(self._turn)
        try:
            return await done
        except asyncio.CancelledError:  # it is in line or under way: nobody goes on before it is ended
            await finish_despite_cancel(asyncio.get_running_loop().run_in_executor(self._executor, _nothing))
            raise

    # --- in the thread ---

    def _turn(self) -> None:
        self._called = False  # before looking: whoever asks from now on calls again
        while self._reads or self._writes:
            self._together(self._reads, "BEGIN")
            self._together(self._writes, "BEGIN IMMEDIATE")

    def _together(self, line: deque[_Asked], begin: str) -> None:
        asked = [line.popleft() for _ in range(min(len(line), MOST_TOGETHER))]
        if asked:
            outcomes = self._transact([(each.work, each.taken) for each in asked], begin)
            asked[0].done.get_loop().call_soon_threadsafe(_tell, asked, outcomes)

    def _transact(self, works: Sequence[tuple[Callable[[Tx], Any], type[Exception]]], begin: str) -> list[Any]:
        """What each returned, or how it failed; when the transaction itself fails, all of them did."""
        try:
            proxy = self.engine.raw_connection()
            try:
                return self._on(proxy, works, begin)
            finally:
                proxy.close()
        except Exception as error:  # boundary: whatever becomes of a transaction, everybody who waits for it hears it
            return [_Failed(_translated(error, taken)) for _, taken in works]

    def _on(self, proxy: sa.PoolProxiedConnection, works: Sequence[tuple[Callable[[Tx], Any], type[Exception]]], begin: str) -> list[Any]:
        cursor = proxy.cursor()
        committed = False
        try:
            cursor.execute(begin)
            outcomes = [self._one(cursor, work, taken) for work, taken in works]
            cursor.execute("COMMIT")
            committed = True
        finally:
            if not committed:
                self._undo(proxy)
            cursor.close()
        return outcomes

    def _one(self, cursor: Cursor, work: Callable[[Tx], Any], taken: type[Exception]) -> Any:
        cursor.execute("SAVEPOINT work")
        try:
            outcome = work(Tx(cursor, self._statements))
        except Exception as error:  # boundary: whatever one work raises is its caller's, and nobody else's
            if not cursor.connection.in_transaction:  # a full disk makes SQLite roll back by itself: nothing of the others is left
                raise
            cursor.execute("ROLLBACK TO work")
            outcome = _Failed(_translated(error, taken))
        cursor.execute("RELEASE work")
        return outcome

    def _undo(self, proxy: sa.PoolProxiedConnection) -> None:
        connection = proxy.driver_connection
        if not isinstance(connection, sqlite3.Connection) or not connection.in_transaction:
            return  # a full disk makes SQLite roll back by itself
        try:
            connection.execute("ROLLBACK")
        except sqlite3.Error as broken:  # the next transaction gets a new connection
            proxy.invalidate(broken)


def _nothing() -> None:
    """What comes before it in the line is done."""


def _tell(asked: Sequence[_Asked], outcomes: Sequence[Any]) -> None:
    for each, outcome in zip(asked, outcomes, strict=True):
        if each.done.done():
            continue
        if isinstance(outcome, _Failed):
            each.done.set_exception(outcome.error)
        else:
            each.done.set_result(outcome)


def _translated(error: Exception, taken: type[Exception]) -> Exception:
    """As callers know it, with the driver's own as its cause."""
    if isinstance(error, sqlite3.IntegrityError):
        told = taken(f"somebody else was first: {error}")
    elif isinstance(error, sqlite3.Error | sa.exc.SQLAlchemyError):
        told = StoreUnavailable(f"the database {cause(error)}")
    elif isinstance(error, msgspec.MsgspecError):
        told = StoreUnavailable(f"the database holds a row that cannot be read: {str(error)[:200]}")
    elif isinstance(error, StopIteration):  # a future takes none
        told = RuntimeError("a work ended with StopIteration")
    else:
        return error
    told.__cause__ = error
    return told


def cause(error: Exception) -> str:
    """What the driver said, without the statement and its values: they may hold alert text."""
    said = getattr(error, "orig", None) or error
    return f"answered {type(said).__name__}: {str(said)[:200]}"
