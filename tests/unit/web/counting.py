"""A store whose views are counted."""

from __future__ import annotations

from receiver.ports import IncidentView
from receiver.store.sql_store import SqlStore


class Counting:
    """Only what `Briefs` asks."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        self.seen: list[int] = []

    async def view(self, incident_id: int) -> IncidentView | None:
        """Remembers which."""
        self.seen.append(incident_id)
        return await self._store.view(incident_id)
