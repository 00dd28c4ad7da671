"""SQLite keeps what the store's kit asks, and what only a file can be asked."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from receiver.ports import Delivery, Fold, StoreUnavailable
from receiver.store import inbox
from receiver.store.engine import Tx
from receiver.store.opening import migrate
from receiver.store.sql_store import SqlStore
from tests.fakes.clock import START
from tests.kits.store_ground import began, delivery, folded, incident, record
from tests.kits.store_kit import StoreKit
from tests.unit.store.sqlite_ground import SqliteGround


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An empty database, made once: it is most of a test's time."""
    path = tmp_path_factory.mktemp("store") / "migrated.db"
    asyncio.run(migrate(f"sqlite:///{path}"))
    return path.read_bytes()


@pytest.fixture
def ground_factory(tmp_path: Path, migrated: bytes) -> Callable[[str], SqliteGround]:
    def made(name: str) -> SqliteGround:
        path = tmp_path / f"{name}.db"
        if name == "receiver":
            path.write_bytes(migrated)
        return SqliteGround(path)

    return made


class TestSqliteStore(StoreKit):
    """The whole kit."""


@pytest.fixture
def sqlite(tmp_path: Path) -> SqliteGround:
    return SqliteGround(tmp_path / "receiver.db")


@pytest.fixture
async def store(sqlite: SqliteGround) -> AsyncIterator[SqlStore]:
    yield await sqlite.open()
    await sqlite.close()


def pragma(store: SqlStore, text: str) -> object:
    """On the store's own connection."""
    proxy = store._db.engine.raw_connection()
    try:
        return proxy.cursor().execute(f"PRAGMA {text}").fetchone()[0]
    finally:
        proxy.close()


async def test_a_commit_is_on_disk_before_it_is_acknowledged(store: SqlStore) -> None:
    wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000}
    assert {name: pragma(store, name) for name in wanted} == wanted


async def test_a_full_disk_stores_nothing_and_is_recovered_from(sqlite: SqliteGround, store: SqlStore) -> None:
    big = Delivery("alertmanager", START, b"x" * 200_000, delivery().batch)
    pragma(store, f"max_page_count={int(str(pragma(store, 'page_count'))) + 10}")
    with pytest.raises(StoreUnavailable, match="full"):
        await store.append([delivery(), big])
    many = tuple(folded(incident(f"key {n}"), records=[record(f"{n}-{m}") for m in range(20)]) for n in range(50))
    with pytest.raises(StoreUnavailable):
        await store.commit_fold(Fold(many, ()))
    assert await store.backlog() == 0
    assert await store.open_incidents(["key 0"], []) == {}
    pragma(store, "max_page_count=1000000")
    assert await store.append([delivery(), big]) == [1, 2]
    await began(store, "key 0")


async def test_a_lock_that_stays_is_unavailable_and_then_is_over(sqlite: SqliteGround, store: SqlStore) -> None:
    pragma(store, "busy_timeout=20")
    other = sqlite3.connect(sqlite.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked"):
        await store.append([delivery()])
    with pytest.raises(StoreUnavailable, match="locked"):  # so does a full disk: what only reads would be well
        await store.ping()
    other.execute("ROLLBACK")
    other.close()
    await store.ping()
    assert await store.append([delivery()]) == [1]


async def test_errors_never_hold_what_was_to_be_stored(store: SqlStore, sqlite: SqliteGround) -> None:
    sqlite.execute("DROP TABLE agenda")
    with pytest.raises(StoreUnavailable) as failed:
        await began(store, "s3cret-key", title="s3cret-title")
    assert "s3cret" not in f"{failed.value} {failed.value.__cause__}"


async def test_a_row_that_cannot_be_read_is_unavailable_not_a_crash(sqlite: SqliteGround, store: SqlStore) -> None:
    new = await began(store)
    sqlite.execute("UPDATE incidents SET classification = '{}'")
    with pytest.raises(StoreUnavailable, match="cannot be read"):
        await store.load(new.id)


async def test_a_fault_in_the_middle_leaves_no_transaction_open(store: SqlStore) -> None:
    def fails(_: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await store._db.write(fails)
    assert await store.append([delivery()]) == [1]


async def test_a_commit_under_way_is_waited_for_when_its_caller_is_cancelled(store: SqlStore) -> None:
    task = asyncio.get_running_loop().create_task(store.append([delivery()]))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await store.backlog() == 1


def driver(store: SqlStore) -> sqlite3.Connection:
    proxy = store._db.engine.raw_connection()
    try:
        connection = proxy.driver_connection
        assert isinstance(connection, sqlite3.Connection)
        return connection
    finally:
        proxy.close()


async def test_what_waits_together_shares_a_commit(store: SqlStore) -> None:
    said: list[str] = []
    driver(store).set_trace_callback(said.append)
    first = store.append([delivery()])  # the thread begins with it while the others come
    await asyncio.gather(first, *(store.append([delivery()]) for _ in range(50)))
    assert said.count("COMMIT") < 20
    assert await store.backlog() == 51


async def test_one_that_fails_takes_nothing_of_the_others_along(store: SqlStore) -> None:
    def fails(tx: Tx) -> None:
        inbox.append(tx, [delivery()])
        raise ZeroDivisionError

    together = [store.append([delivery()]), store._db.write(fails), store.append([delivery()])]
    outcomes = await asyncio.gather(*together, return_exceptions=True)
    assert [type(each) for each in outcomes] == [list, ZeroDivisionError, list]
    assert await store.backlog() == 2


async def test_an_end_of_iteration_holds_up_nobody_behind_it(store: SqlStore) -> None:
    def ends(_: Tx) -> None:
        raise StopIteration

    outcomes = await asyncio.gather(store._db.write(ends), store.append([delivery()]), return_exceptions=True)
    assert [type(each) for each in outcomes] == [RuntimeError, list]


async def test_when_the_commit_fails_nobody_is_told_yes(store: SqlStore) -> None:
    big = Delivery("alertmanager", START, b"x" * 20_000_000, delivery().batch)
    pragma(store, f"max_page_count={int(str(pragma(store, 'page_count'))) + 10}")
    outcomes = await asyncio.gather(*(store.append([each]) for each in (delivery(), big, delivery())), return_exceptions=True)
    assert isinstance(outcomes[1], StoreUnavailable)
    assert await store.backlog() == sum(isinstance(each, list) for each in outcomes)


async def test_the_file_is_for_its_owner_only(sqlite: SqliteGround, store: SqlStore) -> None:
    await store.append([delivery()])
    for each in sqlite.path.parent.iterdir():
        assert stat.S_IMODE(each.stat().st_mode) == 0o600
