"""`SqlStore`: every store protocol of `ports.py` over one database.

Each method is one transaction and says what `ports.py` says of it; the work is in the modules beside this one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from receiver.core.case import Attempt, Dependent, Hold, Permit
from receiver.core.model import AlertRecord, Incident, Target
from receiver.ports import (
    Adopted,
    Beat,
    CaseRows,
    Change,
    Claim,
    ClaimedMessage,
    Clock,
    Delivery,
    DeliveryResult,
    Entry,
    Fold,
    IncidentFilter,
    IncidentView,
    Message,
    OpenIncident,
    Overdue,
    Quarantined,
    StalePermit,
    StoredDelivery,
    StormCounts,
    ToldChange,
    VersionConflict,
)
from receiver.store import agenda, cases, changes, codec, folds, inbox, incidents, ledger, merging, outbox, retention, views, watch
from receiver.store.engine import SqliteDatabase, Tx

PAGE_BUDGET_WINDOW = timedelta(minutes=1)


class SqlStore:
    """Implements FoldStore, FoundStore, CaseStore, AgendaStore, OutboxStore, WatchStore, ViewStore and ChangeStore.

    Made by `opening.open_store`.
    """

    def __init__(self, database: SqliteDatabase, clock: Clock) -> None:
        self._db = database
        self._clock = clock

    async def close(self) -> None:
        """Waits for what is under way. Harmless when called twice; every call after it raises StoreUnavailable."""
        await self._db.close()

    # --- FoldStore ---

    async def append(self, deliveries: Sequence[Delivery]) -> list[int]:
        return await self._db.write(lambda tx: inbox.append(tx, deliveries))

    async def unfolded(self, *, after: int, limit: int) -> list[StoredDelivery]:
        return await self._db.read(lambda tx: inbox.unfolded(tx, after=after, limit=limit))

    async def backlog(self) -> int:
        return await self._db.read(lambda tx: int(tx.value(inbox.BACKLOG)))

    async def open_incidents(self, keys: Collection[str], identities: Collection[tuple[str, str]]) -> dict[str, OpenIncident]:
        return await self._db.read(lambda tx: folds.open_incidents(tx, keys, identities))

    async def held(self, source: str, *, after: str, limit: int) -> list[AlertRecord]:
        return await self._db.read(lambda tx: folds.held(tx, source, after=after, limit=limit))

    async def versions(self, incident_ids: Collection[int]) -> dict[int, int]:
        """Of those that are open: the folder asks whether what it remembers is still so."""
        return await self._db.read(lambda tx: folds.versions(tx, incident_ids))

    async def newest_closed(self, keys: Collection[str]) -> dict[str, int]:
        return await self._db.read(lambda tx: folds.newest_closed(tx, keys))

    async def commit_fold(self, fold: Fold) -> list[int]:
        return await self._db.write(lambda tx: folds.commit(tx, fold))

    # --- CaseStore ---

    async def load(self, incident_id: int) -> CaseRows | None:
        now = self._clock.now()
        return await self._db.read(lambda tx: cases.load(tx, incident_id, now=now))

    async def save(self, change: Change) -> int:
        now = self._clock.now()
        return await self._db.write(lambda tx: cases.save(tx, change, now=now))

    async def begin_attempt(self, permit: Permit, *, incident: Incident, entries: Sequence[Entry], shadow: bool) -> Attempt:
        """The incident is stored as given, one version on: load it again before the next step."""
        now = self._clock.now()
        return await self._db.write(
            lambda tx: ledger.begin(tx, permit, incident=incident, entries=entries, shadow=shadow, now=now), taken=StalePermit
        )

    async def adopt_target(self, incident: Incident, target: Target, *, at: datetime) -> Adopted:
        return await self._db.write(lambda tx: merging.adopt(tx, incident, target, at=at))

    async def forget_alias(self, incident_id: int) -> None:
        def forget(tx: Tx) -> None:
            incident = incidents.read(tx, incident_id)
            if incident is not None and incident.open:
                raise VersionConflict(f"incident {incident_id} is open: its keys are in use")
            incidents.free_keys(tx, incident_id)

        await self._db.write(forget)

    async def dependents(self) -> tuple[Dependent, ...]:
        return await self._db.read(cases.dependents)

    # --- AgendaStore ---

    async def due(self, *, now: datetime, owner: str, lease: timedelta, limit: int) -> list[Claim]:
        return await self._db.write(lambda tx: agenda.due(tx, now=now, owner=owner, lease=lease, limit=limit))

    async def keep(self, claim: Claim, *, owner: str, now: datetime, lease: timedelta) -> bool:
        return await self._db.write(lambda tx: agenda.keep(tx, claim, owner=owner, until=now + lease))

    async def let_go(self, claim: Claim, *, owner: str) -> None:
        await self._db.write(lambda tx: agenda.let_go(tx, claim, owner=owner))

    async def next_due(self) -> datetime | None:
        return await self._db.read(agenda.next_due)

    async def wake(self, incident_id: int, *, at: datetime) -> None:
        await self._db.write(lambda tx: agenda.wake(tx, incident_id, at=at))

    async def wake_waiting(self, on: str, *, at: datetime) -> None:
        await self._db.write(lambda tx: agenda.wake_held(tx, on, at=at))

    async def re_enter(self, *, now: datetime) -> int:
        return await self._db.write(lambda tx: agenda.re_enter(tx, now=now))

    # --- OutboxStore ---

    async def claim_messages(self, destination: str, *, now: datetime, owner: str, lease: timedelta, limit: int) -> list[ClaimedMessage]:
        return await self._db.write(lambda tx: outbox.claim(tx, destination, now=now, owner=owner, lease=lease, limit=limit))

    async def settle_message(self, claim: Claim, result: DeliveryResult, *, owner: str, now: datetime, next_at: datetime | None) -> None:
        await self._db.write(lambda tx: outbox.settle(tx, claim, result, owner=owner, now=now, next_at=next_at))

    async def add_messages(self, messages: Sequence[Message], *, now: datetime) -> None:
        await self._db.write(lambda tx: outbox.add(tx, messages, now=now))

    async def next_message_due(self, destination: str) -> datetime | None:
        return await self._db.read(lambda tx: outbox.next_due(tx, destination))

    # --- WatchStore ---

    async def overdue(self, *, now: datetime, grace: timedelta) -> list[Overdue]:
        return await self._db.read(lambda tx: watch.overdue(tx, since=now - grace))

    async def joined_storm(self) -> bool:
        """As WatchStore."""
        return await self._db.read(watch.joined_storm)

    async def beats(self) -> list[Beat]:
        return await self._db.read(watch.beats)

    async def arm(self, source: str, rule: str, *, at: datetime) -> None:
        await self._db.write(lambda tx: inbox.beat(tx, source, rule, at=codec.micros(at), arm=True))

    async def storm_counts(self, *, since: datetime) -> StormCounts:
        minute_ago = self._clock.now() - PAGE_BUDGET_WINDOW
        return await self._db.read(lambda tx: watch.storm_counts(tx, since=since, minute_ago=minute_ago))

    async def gauges(self) -> Mapping[str, Mapping[str, float]]:
        now = self._clock.now()
        return await self._db.read(lambda tx: watch.gauges(tx, now=now))

    # --- ViewStore ---

    async def incidents(self, wanted: IncidentFilter) -> list[Incident]:
        return await self._db.read(lambda tx: views.listed(tx, wanted))

    async def view(self, incident_id: int) -> IncidentView | None:
        now = self._clock.now()
        return await self._db.read(lambda tx: views.view(tx, incident_id, now=now))

    async def holds(self) -> list[Hold]:
        now = self._clock.now()
        return await self._db.read(lambda tx: list(ledger.standing(tx, now=now)))

    async def quarantine(self, *, limit: int) -> list[Quarantined]:
        return await self._db.read(lambda tx: views.quarantined(tx, limit=limit))

    async def add_hold(self, hold: Hold) -> Hold:
        return replace(hold, id=await self._db.write(lambda tx: ledger.add_hold(tx, hold)))

    async def end_hold(self, hold_id: int, *, at: datetime, by: str) -> bool:
        return await self._db.write(lambda tx: ledger.end_hold(tx, hold_id, at=at, by=by))

    async def kill_switch_on(self) -> bool:
        now = self._clock.now()
        return await self._db.read(lambda tx: ledger.kill_switch_on(tx, now=now))

    async def installation(self) -> str:
        return await self._db.read(lambda tx: str(tx.value(views.INSTALLATION)))

    async def ping(self) -> None:
        await self._db.write(ledger.touch)

    # --- ChangeStore ---

    async def tell(self, change: ToldChange) -> ToldChange:
        return await self._db.write(lambda tx: changes.tell(tx, change))

    async def told(self, subjects: Collection[str], *, since: datetime, limit: int) -> list[ToldChange]:
        return await self._db.read(lambda tx: changes.told(tx, subjects, since=since, limit=limit))

    # --- beyond the ports ---

    async def sweep(self, now: datetime) -> int:
        """Forgets one batch of what is old enough (`retention.py`); 0: nothing was."""
        return await self._db.write(lambda tx: retention.sweep(tx, now))

    async def sequence(self) -> int:
        """Of the ledger and the holds, as `CaseRows.seen`."""
        return await self._db.read(ledger.sequence)
