"""The kill switch as one answer: a stored hold, and the file named by `actions_file`.

Law: unreadable counts as no. Asked by the client right before every mutating call, and by each decision.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from receiver.ports import StoreUnavailable, ViewStore

ALLOWED = "allowed"


class ActionsFile:
    """A file that must hold exactly the word `allowed` (a final newline is forgiven); none configured: always allowed."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

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
