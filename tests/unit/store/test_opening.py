"""Opening: the address, the lock, and the schema that only goes forward."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from receiver.store.engine import connect_sqlite
from receiver.store.lock import CannotOpen, refuse_network, what_to_do
from receiver.store.migrations import REVISIONS
from receiver.store.opening import database_path, migrate, open_store
from receiver.store.schema import METADATA
from receiver.store.schema_state import SCRIPTS
from tests.fakes.clock import FakeClock
from tests.kits.store_ground import began
from tests.unit.store.sqlite_ground import SqliteGround

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def sqlite(tmp_path: Path) -> SqliteGround:
    return SqliteGround(tmp_path / "receiver.db")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite://", "keeps nothing"),
        ("sqlite:///", "keeps nothing"),
        ("sqlite:///:memory:", "keeps nothing"),
        ("sqlite:///a.db?mode=ro", "options"),
        ("postgresql://user:s3cret@host/receiver", "PostgreSQL"),
        ("mysql://user:s3cret@host/x", "use sqlite:///PATH"),
        ("", "use sqlite:///PATH"),
    ],
)
def test_an_unusable_address_is_refused_without_its_password(url: str, said: str) -> None:
    with pytest.raises(CannotOpen, match=re.escape(said)) as refused:
        database_path(url)
    assert "s3cret" not in str(refused.value)


def test_three_slashes_are_relative_and_four_absolute() -> None:
    assert (database_path("sqlite:///receiver.db"), database_path("sqlite:////var/receiver.db")) == (
        Path("receiver.db"),
        Path("/var/receiver.db"),
    )


async def test_a_second_opener_is_told_who_has_the_file(sqlite: SqliteGround) -> None:
    await sqlite.open()
    command = [sys.executable, "-c", _OPEN, sqlite.url]
    told = await asyncio.to_thread(subprocess.check_output, command, cwd=ROOT, text=True, timeout=35)
    await sqlite.close()
    assert f"receiver.db is in use by process {os.getpid()} (lock {sqlite.path}.lock)" in told
    assert await asyncio.to_thread(subprocess.check_output, command, cwd=ROOT, text=True, timeout=35) == "opened\n"


_OPEN = """
import asyncio, sys
from receiver.clock import SystemClock
from receiver.store.opening import CannotOpen, open_store

async def main():
    try:
        await (await open_store(sys.argv[1], clock=SystemClock())).close()
    except CannotOpen as refused:
        print(refused)
    else:
        print("opened")

asyncio.run(main())
"""


async def test_migrating_takes_the_same_lock(sqlite: SqliteGround) -> None:
    await sqlite.open()
    with pytest.raises(CannotOpen, match="in use"):
        await migrate(sqlite.url)
    await sqlite.close()


async def test_migrating_says_what_it_did_and_twice_does_nothing(sqlite: SqliteGround) -> None:
    assert await migrate(sqlite.url) == REVISIONS
    assert await migrate(sqlite.url) == ()
    assert await (await sqlite.open()).installation()
    await sqlite.close()


async def test_an_older_schema_is_refused_where_migrating_is_off(sqlite: SqliteGround) -> None:
    with pytest.raises(CannotOpen, match="receiver migrate"):
        await open_store(sqlite.url, clock=FakeClock(), migrate=False)
    await migrate(sqlite.url)
    store = await open_store(sqlite.url, clock=FakeClock(), migrate=False)
    await store.close()


@pytest.mark.parametrize("migrating", [True, False])
async def test_a_newer_schema_is_refused_and_left_alone(sqlite: SqliteGround, migrating: bool) -> None:
    store = await sqlite.open()
    new = await began(store)
    await sqlite.close()
    sqlite.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(CannotOpen, match=r"9999.*start the newer version"):
        await open_store(sqlite.url, clock=FakeClock(), migrate=migrating)
    sqlite.execute(f"UPDATE alembic_version SET version_num = '{REVISIONS[-1]}'")
    assert await (await sqlite.open()).load(new.id) is not None
    await sqlite.close()


async def test_a_refused_opening_frees_the_lock(sqlite: SqliteGround) -> None:
    sqlite.path.write_text("this is no database, however long it may be " * 100)
    with pytest.raises(CannotOpen, match="not a database") as refused:
        await sqlite.open()
    assert "sqlalche.me" not in str(refused.value)  # what the driver said, not what is made of it
    sqlite.path.unlink()
    await sqlite.open()
    await sqlite.close()


async def test_a_directory_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotOpen, match="create the directory"):
        await open_store(f"sqlite:///{tmp_path}/none/receiver.db", clock=FakeClock())


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOENT, "create the directory"),
        (errno.ENOTDIR, "create the directory"),
        (errno.EACCES, f"as user {os.geteuid()}"),
        (errno.EROFS, "volume that can be written"),
        (errno.ENOSPC, "make room"),
        (errno.EIO, "check the directory"),
    ],
)
def test_the_advice_about_a_store_that_cannot_be_written_fits_its_cause(number: int, said: str) -> None:
    assert said in what_to_do(OSError(number, os.strerror(number)))


async def test_two_names_of_one_database_are_one_lock(sqlite: SqliteGround) -> None:
    await sqlite.open()
    other = sqlite.path.with_name("other")
    other.mkdir()
    for link, to in (("file.db", sqlite.path), ("directory", sqlite.path.parent)):
        (other / link).symlink_to(to)
    for name in ("file.db", "directory/receiver.db"):
        with pytest.raises(CannotOpen, match="in use"):
            await open_store(f"sqlite:///{other}/{name}", clock=FakeClock())
    await sqlite.close()


async def test_a_link_to_a_database_that_is_still_to_be_made_is_locked_where_it_will_be(tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "receiver.db")
    store = await open_store(f"sqlite:///{tmp_path}/link.db", clock=FakeClock())
    with pytest.raises(CannotOpen, match="in use"):
        await open_store(f"sqlite:///{tmp_path}/receiver.db", clock=FakeClock())
    await store.close()


def test_a_network_file_system_is_refused(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    share = tmp_path / "a share"
    written = str(share).replace(" ", "\\040")
    mounts.write_text(f"/dev/sda / ext4 rw 0 0\nserver:/x {written} nfs4 rw 0 0\n")
    with pytest.raises(CannotOpen, match="nfs4"):
        refuse_network(share / "receiver.db", mounts)
    refuse_network(tmp_path / "receiver.db", mounts)
    refuse_network(tmp_path / "receiver.db", tmp_path / "none")


async def test_the_migrations_lead_to_the_schema_that_the_code_uses(sqlite: SqliteGround) -> None:
    await migrate(sqlite.url)
    engine = connect_sqlite(str(sqlite.path))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []
        there = _shape(connection)
    fresh = connect_sqlite(str(sqlite.path.with_name("fresh.db")))
    METADATA.create_all(fresh)
    with fresh.connect() as connection:
        wanted = _shape(connection)
    engine.dispose()
    fresh.dispose()
    assert there == wanted


def _shape(connection: sa.Connection) -> dict[str, list[str]]:
    """What the file says of each table and index, less order and punctuation."""
    rows = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE name NOT LIKE '%alembic%' AND type <> 'trigger'")
    return {name: sorted(re.sub(r"[\s\"(),]+", " ", sql or "").split()) for name, sql in rows}


def test_every_revision_is_named() -> None:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)
    assert tuple(each.revision for each in reversed(list(scripts.walk_revisions()))) == REVISIONS
