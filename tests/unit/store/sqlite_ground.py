"""A SQLite file for the store's kit."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from receiver.store.opening import open_store
from receiver.store.sql_store import SqlStore
from tests.fakes.clock import FakeClock


class SqliteGround:
    """Implements `tests.kits.store_ground.Ground`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = f"sqlite:///{path}"
        self.clock = FakeClock()
        self._store: SqlStore | None = None

    async def open(self) -> SqlStore:
        await self.close()
        self._store = await open_store(self.url, clock=self.clock)
        return self._store

    async def close(self) -> None:
        if self._store is not None:
            await self._store.close()

    def execute(self, sql: str) -> None:
        connection = sqlite3.connect(self.path, isolation_level=None)
        try:
            connection.execute(sql)
        finally:
            connection.close()

    def refuses(self, sql: str) -> bool:
        try:
            self.execute(sql)
        except sqlite3.IntegrityError:
            return True
        return False
