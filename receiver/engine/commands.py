"""What a person may do: one door for API, CLI, console and (later) chat.

Law: a command is one commit with a dated sentence that names the person. It never acts on the outside; the responder draws the
consequences. Refusals say thing, value, what is allowed, what to do.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from receiver.core.case import AttemptState, Hold, HoldKind, Verdict
from receiver.core.model import Incident, Phase
from receiver.engine.responder import Responder
from receiver.engine.telling import resolves
from receiver.ports import (
    CaseStore,
    Change,
    Clock,
    CommandRefused,
    Entry,
    Message,
    VersionConflict,
    ViewStore,
)

TRIES = 20
SCOPE = re.compile(r"(namespace|service|rule|target):[A-Za-z0-9._/-]{1,300}")


class PeoplesCommands:
    """Implements `ports.Commands`."""

    def __init__(
        self,
        store: CaseStore,
        views: ViewStore,
        responder: Responder,
        *,
        clock: Clock,
        wake: Callable[[int], None],
        destinations: tuple[str, ...],
    ) -> None:
        self._store = store
        self._views = views
        self._responder = responder
        self._clock = clock
        self._wake = wake
        self._destinations = destinations

    async def ack(self, incident_id: int, *, by: str) -> Incident:
        """Somebody is on it; the second acknowledgement changes nothing."""

        def change(incident: Incident, now: datetime) -> Change | None:
            if incident.acked_at is not None:
                return None
            entry = Entry(now, "acknowledged", f"acknowledged by {by}", actor=by)
            return Change(replace(incident, acked_at=now, acked_by=by), (entry,), wake_at=now)

        return await self._change(incident_id, change)

    async def note(self, incident_id: int, *, by: str, text: str) -> None:
        """A dated sentence."""

        def change(incident: Incident, now: datetime) -> Change:
            return Change(incident, (Entry(now, "note", text[:4096], actor=by),), wake_at=now)

        await self._change(incident_id, change)

    async def resolve(self, incident_id: int, *, by: str, note: str = "") -> Incident:
        """Closes it, ends every page of it, and leaves no attempt of it open."""
        for _ in range(TRIES):
            case = await self._responder.case(incident_id)
            if case is None:
                raise _missing(incident_id)
            now = self._clock.now()
            if not case.incident.open:
                return case.incident
            open_ = next((each for each in case.own_attempts if each.open), None)
            try:
                if open_ is not None:
                    ended = self._ended(open_.state)
                    closed = replace(open_, state=ended, verdict=Verdict.closed, verdict_at=now, verdict_detail=f"closed by {by}")
                    await self._store.save(Change(case.incident, attempt=closed, wake_at=now))
                    continue
                messages = resolves(case, self._destinations)
                return await self._close(case.incident, by=by, note=note, messages=messages, now=now)
            except VersionConflict:
                continue
        raise CommandRefused(f"incident {incident_id} keeps changing; try again")

    def _ended(self, state: AttemptState) -> AttemptState:
        """A person says it is over: what was unknown stays unproven, and is given up."""
        return AttemptState.applied if state is AttemptState.applied else AttemptState.abandoned

    async def _close(self, incident: Incident, *, by: str, note: str, messages: tuple[Message, ...], now: datetime) -> Incident:
        text = f"closed by {by}" + (f": {note[:1000]}" if note else "")
        entry = Entry(now, "closed_by_person", text, actor=by)
        closed = replace(incident.in_phase(Phase.resolved, now), open=False, closed_at=now, closed_by=by)
        await self._store.save(Change(closed, (entry,), messages=messages))
        self._wake(incident.id)
        return closed

    async def freeze(self, *, scope: str, reason: str, by: str, until: datetime | None) -> Hold:
        """Holds the actions of a scope; an empty one is the kill switch."""
        if scope and not SCOPE.fullmatch(scope):
            raise CommandRefused(
                f"scope {scope[:64]!r} is not known; use namespace:NAME, service:NAME, rule:NAME, target:KEY, or none for everything"
            )
        now = self._clock.now()
        if until is not None and until <= now:
            raise CommandRefused(f"until {until.isoformat()} is not in the future; give a later time, or none to freeze until thawed")
        kind = HoldKind.freeze if scope else HoldKind.kill_switch
        return await self._views.add_hold(Hold(0, kind, scope, reason[:1000], by, now, until))

    async def thaw(self, hold_id: int, *, by: str) -> None:
        """Ends one."""
        if not await self._views.end_hold(hold_id, at=self._clock.now(), by=by):
            raise CommandRefused(f"hold {hold_id} is not in force; `receiver freeze --list` shows those that are", missing=True)

    async def _change(self, incident_id: int, change: Callable[[Incident, datetime], Change | None]) -> Incident:
        for _ in range(TRIES):
            rows = await self._store.load(incident_id)
            if rows is None:
                raise _missing(incident_id)
            if not rows.incident.open:
                raise CommandRefused(f"incident {incident_id} is closed; only open ones can be changed")
            wanted = change(rows.incident, self._clock.now())
            if wanted is None:
                return rows.incident
            try:
                await self._store.save(wanted)
            except VersionConflict:
                continue
            self._wake(incident_id)
            return wanted.incident
        raise CommandRefused(f"incident {incident_id} keeps changing; try again")


def _missing(incident_id: int) -> CommandRefused:
    return CommandRefused(f"incident {incident_id} does not exist; `receiver incidents` lists those that do", missing=True)
