"""`ports.Commands` over a store alone: every command a dated sentence, nothing of the responder's bookkeeping."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from receiver.core.case import Attempt, Hold, HoldKind, Standing
from receiver.core.model import Incident
from receiver.core.offers import withdrawn
from receiver.core.prepared import RECIPES
from receiver.ports import CaseStore, Change, Clock, CommandRefused, Entry, ViewStore


class StoredCommands:
    """Refuses as the real one does: what is missing, what is closed, what is not in the future."""

    def __init__(self, store: CaseStore, views: ViewStore, clock: Clock) -> None:
        self._store = store
        self._views = views
        self._clock = clock

    async def ack(self, incident_id: int, *, by: str) -> Incident:
        incident = await self._open(incident_id)
        now = self._clock.now()
        return await self._save(replace(incident, acked_at=now, acked_by=by), Entry(now, "acknowledged", f"acknowledged by {by}", actor=by))

    async def resolve(self, incident_id: int, *, by: str, note: str = "", leave: bool = False) -> Incident:
        incident = await self._open(incident_id)
        now = self._clock.now()
        entry = Entry(now, "closed_by_person", f"closed by {by}: {note}", actor=by)
        return await self._save(replace(incident, open=False, closed_at=now, closed_by=by), entry)

    async def approve(self, incident_id: int, attempt_id: str, *, by: str, roles: Collection[str], ticked: Collection[str]) -> Attempt:
        return await self._answered(incident_id, attempt_id, by=by, approved=True, ticked=ticked)

    async def deny(self, incident_id: int, attempt_id: str, *, by: str, reason: str = "") -> Attempt:
        return await self._answered(incident_id, attempt_id, by=by, approved=False, ticked=())

    async def _answered(self, incident_id: int, attempt_id: str, *, by: str, approved: bool, ticked: Collection[str]) -> Attempt:
        incident, now = await self._open(incident_id), self._clock.now()
        rows = await self._store.load(incident_id)
        found = [each for each in (rows.attempts if rows else ()) if each.id == attempt_id and each.offer]
        if not found:
            raise CommandRefused(f"{attempt_id} is nothing that is asked for", missing=True)
        said = replace(found[0], approved_by=by, approved_at=now, ticked=tuple(ticked)) if approved else withdrawn(found[0], "no", now)
        await self._store.save(Change(incident, (Entry(now, "approved", f"{by} answered", actor=by),), attempt=said))
        return said

    async def did(self, incident_id: int, name: str, *, by: str, note: str = "") -> Standing:
        incident, now = await self._open(incident_id), self._clock.now()
        if name not in RECIPES:
            raise CommandRefused(f"{name!r} is no prepared command", missing=True)
        done = Standing(name, "title", ("do it",), ("undo it",), now, by)
        entry = Entry(now, "done_by_hand", f"{by} ran {name}{note and f'; note: {note}'}", actor=by)
        await self._store.save(Change(incident, (entry,), standing=done))
        return done

    async def undid(self, incident_id: int, name: str, *, by: str) -> Standing:
        incident, now = await self._open(incident_id), self._clock.now()
        rows = await self._store.load(incident_id)
        found = [each for each in (rows.standing if rows else ()) if each.name == name]
        if not found:
            raise CommandRefused(f"{name!r} was not marked as done", missing=True)
        undone = replace(found[0], undone_at=now, undone_by=by)
        await self._store.save(Change(incident, (Entry(now, "undone_by_hand", f"{by} took back {name}", actor=by),), standing=undone))
        return undone

    async def note(self, incident_id: int, *, by: str, text: str) -> None:
        await self._save(await self._open(incident_id), Entry(self._clock.now(), "note", text, actor=by))

    async def freeze(self, *, scope: str, reason: str, by: str, until: datetime | None) -> Hold:
        now = self._clock.now()
        if until is not None and until <= now:
            raise CommandRefused("until is not in the future")
        return await self._views.add_hold(Hold(0, HoldKind.freeze if scope else HoldKind.kill_switch, scope, reason, by, now, until))

    async def doubt(self, scope: str) -> str:
        return "" if scope in ("", "namespace:shop", "service:cart", "service:x") else f"{scope} is not known"

    async def thaw(self, hold_id: int, *, by: str) -> None:
        if not await self._views.end_hold(hold_id, at=self._clock.now(), by=by):
            raise CommandRefused(f"hold {hold_id} is not in force", missing=True)

    async def _open(self, incident_id: int) -> Incident:
        rows = await self._store.load(incident_id)
        if rows is None:
            raise CommandRefused(f"incident {incident_id} does not exist", missing=True)
        if not rows.incident.open:
            raise CommandRefused(f"incident {incident_id} is closed")
        return rows.incident

    async def _save(self, incident: Incident, entry: Entry) -> Incident:
        version = await self._store.save(Change(incident, (entry,)))
        return replace(incident, version=version)
