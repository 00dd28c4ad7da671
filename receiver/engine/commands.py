"""What a person may do: one door for API, CLI, console and (later) chat.

Law: a command is one commit with a dated sentence that names the person. It never acts on the outside; the responder draws the
consequences. Refusals say thing, value, what is allowed, what to do.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from receiver.core.case import Attempt, AttemptState, Case, Hold, HoldKind, Standing, Verdict
from receiver.core.model import Incident, Phase
from receiver.core.offers import holds_for, waiting, withdrawn
from receiver.core.plan import temporary
from receiver.core.wording.commands import of_permit
from receiver.engine import by_hand, scopes
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

_log = structlog.get_logger("receiver.engine")

Answer = Callable[[Attempt, timedelta, datetime], tuple[Attempt, str]]
"""Offer, how long a yes holds, now → the offer as it is stored, and the sentence."""

TRIES = 20


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

    async def resolve(self, incident_id: int, *, by: str, note: str = "", leave: bool = False) -> Incident:
        """Closes it, ends every page of it, and leaves no attempt of it open, nor a change that nobody would take back."""
        for _ in range(TRIES):
            case = await self._responder.case(incident_id)
            if case is None:
                raise _missing(incident_id)
            now = self._clock.now()
            if not case.incident.open:
                raise CommandRefused(_over(case.incident))
            open_ = next((each for each in case.own_attempts if each.open), None)
            standing = next((each for each in case.own_attempts if temporary(each)), None)
            if standing is not None and not leave:
                raise CommandRefused(_still_stands(case, standing))
            ours = by_hand.leave(case, by=by, now=now, allowed=leave)
            try:
                if open_ is not None:
                    ended = self._ended(open_.state)
                    closed = replace(open_, state=ended, verdict=Verdict.closed, verdict_at=now, verdict_detail=f"closed by {by}")
                    await self._store.save(Change(case.incident, attempt=closed, wake_at=now))
                    continue
                if standing is not None:
                    theirs = replace(standing, reverted=True, verdict_detail=f"left as it is by {by}")
                    await self._store.save(Change(case.incident, attempt=theirs, wake_at=now))
                    continue
                if ours is not None:
                    await self._store.save(ours)
                    continue
                messages = resolves(case, self._destinations)
                return await self._close(case.incident, by=by, note=note, messages=messages, now=now)
            except VersionConflict:
                continue
        raise CommandRefused(f"incident {incident_id} keeps changing; try again")

    async def approve(self, incident_id: int, attempt_id: str, *, by: str, roles: Collection[str], ticked: Collection[str]) -> Attempt:
        """The offer, with the yes in it; the responder draws the consequence on fresh facts."""

        def answer(offer: Attempt, valid: timedelta, now: datetime) -> tuple[Attempt, str]:
            if offer.approved_by:
                raise CommandRefused(f"{offer.id} was approved by {offer.approved_by} already; a yes is for one use")
            if offer.needs.role and offer.needs.role not in roles:
                mine = ", ".join(sorted(roles)) or "none"
                raise CommandRefused(f"{offer.id} needs the role {offer.needs.role!r}; your token has {mine} (api.tokens roles:)")
            missing = [each for each in offer.needs.preconditions if each.name not in ticked]
            if missing:
                texts = "; ".join(f"{each.name} ({each.text})" for each in missing)
                raise CommandRefused(f"{offer.id} is approved only with its preconditions checked: {texts}; tick each by its name")
            said = replace(offer, approved_by=by, approved_at=now, ticked=tuple(sorted(ticked)), expires_at=now + valid)
            checked = f", checked: {', '.join(said.ticked)}" if said.ticked else ""
            return said, f"{by} approved {offer.action} ({offer.id}){checked}"

        return await self._answer(incident_id, attempt_id, by, "approved", answer)

    async def deny(self, incident_id: int, attempt_id: str, *, by: str, reason: str = "") -> Attempt:
        """The offer, withdrawn for good."""

        def answer(offer: Attempt, _: timedelta, now: datetime) -> tuple[Attempt, str]:
            why = f": {reason[:1000]}" if reason else ""
            return replace(withdrawn(offer, f"{by} said no{why}", now), denied_by=by), f"{by} denied {offer.action} ({offer.id}){why}"

        return await self._answer(incident_id, attempt_id, by, "denied", answer)

    async def did(self, incident_id: int, name: str, *, by: str, note: str = "") -> Standing:
        """Stored as it stood then, with its reverse."""
        return await self._by_hand(incident_id, lambda case, now: by_hand.did(case, name, by=by, now=now, note=note))

    async def undid(self, incident_id: int, name: str, *, by: str) -> Standing:
        """The incident may close now, as far as this one is concerned."""
        return await self._by_hand(incident_id, lambda case, now: by_hand.undid(case, name, by=by, now=now))

    async def _by_hand(self, incident_id: int, change: Callable[[Case, datetime], tuple[Standing, Change | None]]) -> Standing:
        for _ in range(TRIES):
            case = await self._responder.case(incident_id)
            if case is None:
                raise _missing(incident_id)
            if not case.incident.open:
                raise CommandRefused(f"incident {incident_id} is closed; only open ones can be changed")
            done, wanted = change(case, self._clock.now())
            if wanted is None:
                return done
            try:
                await self._store.save(wanted)
            except VersionConflict:
                continue
            self._wake(incident_id)
            return done
        raise CommandRefused(f"incident {incident_id} keeps changing; try again")

    async def _answer(self, incident_id: int, attempt_id: str, by: str, kind: str, answer: Answer) -> Attempt:
        for _ in range(TRIES):
            case = await self._responder.case(incident_id)
            if case is None:
                raise _missing(incident_id)
            if not case.incident.open:
                raise CommandRefused(f"incident {incident_id} is closed; only open ones can be changed")
            now = self._clock.now()
            offer = _offer(case, attempt_id, now)
            said, text = answer(offer, holds_for(offer, case), now)
            try:
                await self._store.save(Change(case.incident, (Entry(now, kind, text, actor=by),), attempt=said, wake_at=now))
            except VersionConflict:
                continue
            self._wake(incident_id)
            return said
        raise CommandRefused(f"incident {incident_id} keeps changing; try again")

    def _ended(self, state: AttemptState) -> AttemptState:
        """A person says it is over: what was unknown stays unproven, and is given up."""
        return AttemptState.applied if state is AttemptState.applied else AttemptState.abandoned

    async def _close(self, incident: Incident, *, by: str, note: str, messages: tuple[Message, ...], now: datetime) -> Incident:
        text = f"closed by {by}" + (f": {note[:1000]}" if note else "")
        entry = Entry(now, "closed_by_person", text, actor=by)
        closed = replace(incident.in_phase(Phase.resolved, now), open=False, closed_at=now, closed_by=by)
        await self._store.save(Change(closed, (entry,), messages=messages))
        _log.info("incident closed", incident=incident.id, by=by, because="closed_by_person")
        self._wake(incident.id)
        return closed

    async def freeze(self, *, scope: str, reason: str, by: str, until: datetime | None) -> Hold:
        """Holds the actions of a scope; an empty one is the kill switch."""
        scopes.check(scope, self._responder.rules())
        now = self._clock.now()
        if until is not None and until <= now:
            raise CommandRefused(f"until {until.isoformat()} is not in the future; give a later time, or none to freeze until thawed")
        kind = HoldKind.freeze if scope else HoldKind.kill_switch
        return await self._views.add_hold(Hold(0, kind, scope, reason[:1000], by, now, until))

    async def doubt(self, scope: str) -> str:
        """Why a freeze of it may hold nothing."""
        return scopes.doubt(scope, await self._responder.policy())

    async def thaw(self, hold_id: int, *, by: str) -> None:
        """Ends one; what it held is decided anew at once."""
        if not await self._views.end_hold(hold_id, at=self._clock.now(), by=by):
            raise CommandRefused(f"hold {hold_id} is not in force; `receiver freeze --list` shows those that are", missing=True)
        self._wake(0)

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


def _over(incident: Incident) -> str:
    """Who was first, so that the second does not believe that it was they."""
    at = f" at {incident.closed_at:%Y-%m-%d %H:%M:%SZ}" if incident.closed_at else ""
    how = f"merged into {incident.merged_into}" if incident.merged_into else f"already closed by {incident.closed_by or 'the receiver'}"
    return f"incident {incident.id} was {how}{at}"


def _still_stands(case: Case, attempt: Attempt) -> str:
    back = of_permit(attempt).reverse
    return (
        f"incident {case.incident.id} holds a temporary change ({attempt.id}: {attempt.action} of {attempt.target.ref.key}) that would then"
        f" stand for ever; wait until it is taken back, or take it over with --leave (to take it back yourself: {back})"
    )


def _offer(case: Case, attempt_id: str, now: datetime) -> Attempt:
    """The one that is meant, while it waits."""
    found = next((each for each in case.own_attempts if each.id == attempt_id and each.offer), None)
    open_ = ", ".join(each.id for each in waiting(case)) or "none"
    if found is None:
        raise CommandRefused(
            f"{attempt_id[:80]!r} is nothing that incident {case.incident.id} asks for; it waits for: {open_}", missing=True
        )
    if found.state is not AttemptState.shadow:
        raise CommandRefused(f"{attempt_id} is over ({found.detail}); incident {case.incident.id} waits for: {open_}")
    if found.expires_at is not None and found.expires_at <= now:
        raise CommandRefused(f"{attempt_id} expired at {found.expires_at:%H:%M:%SZ}; it is asked for again if it is still the plan")
    return found


def _missing(incident_id: int) -> CommandRefused:
    return CommandRefused(f"incident {incident_id} does not exist; `receiver incidents` lists those that do", missing=True)
