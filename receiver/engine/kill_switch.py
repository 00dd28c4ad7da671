"""The kill switch as one answer: a stored hold, and the file named by `actions_file`.

Law: unreadable counts as no. Asked by the client right before every mutating call, and by each decision.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from receiver.core.waits import ACTIONS_FILE
from receiver.ports import AgendaStore, Clock, StoreUnavailable, ViewStore

ALLOWED = "allowed"
FILE_EVERY = timedelta(seconds=5)
"""How late it may be seen that the file allows again; that it does not is asked before every call."""


class ActionsFile:
    """A file that must hold exactly the word `allowed` (a final newline is forgiven); none configured: always allowed."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    @property
    def configured(self) -> bool:
        """There is one."""
        return self._path is not None

    async def allows(self) -> bool:
        """Read anew each time: 7 bytes, in a thread since the file may be on a mount that hangs."""
        if self._path is None:
            return True
        try:
            async with asyncio.timeout(2):
                text = await asyncio.to_thread(_read, self._path)
        except (OSError, ValueError, TimeoutError):
            return False
        return text.removesuffix("\n") == ALLOWED


class FileWatch:
    """Nobody tells us that the file was changed: what it held is decided anew once it allows again."""

    def __init__(self, file: ActionsFile, store: AgendaStore, *, clock: Clock, wake: Callable[[int], None]) -> None:
        self._file = file
        self._store = store
        self._clock = clock
        self._wake = wake
        self._allowed = True
        """A start looks at every incident anyway."""

    @property
    def watches(self) -> bool:
        """There is a file."""
        return self._file.configured

    async def run(self) -> None:
        """For ever."""
        while True:
            await self.round()
            await self._clock.sleep(FILE_EVERY.total_seconds())

    async def round(self) -> None:
        """One look at it."""
        allowed = await self._file.allows()
        if allowed and not self._allowed:
            await self._store.wake_waiting(ACTIONS_FILE, at=self._clock.now())
            self._wake(0)
        self._allowed = allowed


class StoredKillSwitch:
    """Implements `ports.KillSwitch`."""

    def __init__(self, views: ViewStore, file: ActionsFile) -> None:
        self._views = views
        self._file = file

    async def refuses(self) -> str:
        """Why not; empty: acting is allowed."""
        if not await self._file.allows():
            return "actions_file does not hold the word allowed, or cannot be read"
        try:
            return "the kill switch is on" if await self._views.kill_switch_on() else ""
        except StoreUnavailable:
            return "the kill switch could not be read"


def _read(path: Path) -> str:
    with path.open(encoding="ascii") as file:
        return file.read(64)
