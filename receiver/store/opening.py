"""From the configured address to an open store: lock, connection, schema.

Law: an older SQLite schema is brought forward, a newer one than this program knows is refused, and nothing is ever taken backwards.
SQLAlchemy is imported here only when a store is opened, in the store's own thread, so that the process may listen meanwhile (it takes
0.3 s). Called by `app.py` and by `receiver migrate`.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from receiver.ports import Clock
from receiver.store.lock import CannotOpen, FileLock, what_to_do
from receiver.tasks import finish_despite_cancel

if TYPE_CHECKING:
    from receiver.store.engine import SqliteDatabase
    from receiver.store.sql_store import SqlStore

T = TypeVar("T")

SQLITE = "sqlite:///"


async def open_store(url: str, *, clock: Clock, migrate: bool = True) -> SqlStore:
    """CannotOpen: the address is not usable, another process has the file, or its schema does not fit (`migrate` off: is older)."""
    path = database_path(url)

    def opened(lock: FileLock, executor: ThreadPoolExecutor) -> SqlStore:
        from receiver.store.sql_store import SqlStore

        return SqlStore(_open(path, lock, executor, migrate=migrate), clock)

    return await _locked(path, opened)


async def migrate(url: str) -> tuple[str, ...]:
    """Brings the schema forward and returns the revisions that it took; none: it was there already."""
    path = database_path(url)

    def moved(lock: FileLock, executor: ThreadPoolExecutor) -> tuple[str, ...]:
        from receiver.store.engine import connect_sqlite
        from receiver.store.schema_state import bring_forward

        engine = connect_sqlite(str(path))
        try:
            return _told(path, lambda: bring_forward(engine))
        finally:
            engine.dispose()
            lock.release()
            executor.shutdown(wait=False)

    return await _locked(path, moved)


def database_path(url: str) -> Path:
    """Of a SQLite address; CannotOpen for anything else."""
    scheme = url.partition(":")[0]
    if scheme.startswith("postgres"):
        raise CannotOpen("store: PostgreSQL is not served by this version; use sqlite:///PATH")
    name = url.removeprefix(SQLITE)
    if not url.startswith(SQLITE) or name in ("", ":memory:"):
        raise CannotOpen(f"store: {scheme[:64]!r} with no file keeps nothing; use sqlite:///PATH (four slashes for an absolute path)")
    if "?" in name:
        raise CannotOpen("store: options after ? are not known; use sqlite:///PATH alone")
    return Path(name)


async def _locked(path: Path, work: Callable[[FileLock, ThreadPoolExecutor], T]) -> T:
    lock = FileLock(path)
    lock.take()
    with ExitStack() as undo:
        undo.callback(lock.release)
        executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        undo.callback(executor.shutdown, wait=False)
        done = await finish_despite_cancel(asyncio.get_running_loop().run_in_executor(executor, work, lock, executor))
        undo.pop_all()  # the store has them now
    return done


def _open(path: Path, lock: FileLock, executor: ThreadPoolExecutor, *, migrate: bool) -> SqliteDatabase:
    from receiver.store import agenda, outbox
    from receiver.store.engine import SqliteDatabase, Tx, connect_sqlite
    from receiver.store.schema_state import bring_forward, refuse_unfit

    _make_private(path)
    engine = connect_sqlite(str(path))

    def alone(tx: Tx) -> None:  # nobody else lives: what is leased was leased by a process that died
        agenda.free_all(tx)
        outbox.free_all(tx)

    with ExitStack() as undo:
        undo.callback(engine.dispose)
        _told(path, lambda: bring_forward(engine) if migrate else refuse_unfit(engine))
        database = SqliteDatabase(engine, lock, executor)
        database.at_once(alone)
        undo.pop_all()
    return database


def _make_private(path: Path) -> None:
    """Alerts may hold what is nobody else's business."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise CannotOpen(f"store {path}: cannot be opened for writing: {error.strerror}; {what_to_do(error)}") from error


def _told(path: Path, work: Callable[[], T]) -> T:
    from sqlalchemy.exc import SQLAlchemyError

    from receiver.store.engine import cause

    try:
        return work()
    except (sqlite3.Error, SQLAlchemyError) as error:
        raise CannotOpen(f"store {path}: the database {cause(error)}; if the file is damaged, move it away and restore a backup") from error
    except CannotOpen as unfit:
        raise CannotOpen(f"store {path}: {unfit}") from unfit
