"""From the inbox to incidents: batches of deliveries are judged, folded and committed, and the responders of what is news are woken.

Law: a delivery leaves the inbox folded or quarantined, in the commit that makes it so; nothing is dropped, whatever fails. What cannot be
folded stands aside alone (a batch is halved until it is found), is shown and paged, and the others go on. `run` is supervised by `app`:
the store gone for longer than the tries here ends it, and the next start reads the inbox from its oldest row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import structlog

from receiver.core.dedup import News, plain
from receiver.core.model import OWN_SOURCE, Alert, AlertRecord
from receiver.core.rules import RuleSet
from receiver.engine.entries import Words
from receiver.engine.folding import Folding, Judge, Judged, wanted
from receiver.engine.handover import Handover
from receiver.engine.own_source import OwnSource
from receiver.engine.seen import Seen
from receiver.engine.sorting import Beat, Row, Sorted, in_slices, raw_of, sort
from receiver.engine.trends import Trends
from receiver.ports import (
    CaseRows,
    Clock,
    Fold,
    FoldedIncident,
    FoldStore,
    OwnTrouble,
    Quarantined,
    Source,
    StoreUnavailable,
    TroubleKind,
    VersionConflict,
)
from receiver.tasks import finish_despite_cancel
from receiver.telemetry.metrics import Metrics

_log = structlog.get_logger("receiver.engine")

BATCH_DELIVERIES = 256
BATCH_ALERTS = 1_000
"""About 20 ms of the loop's time; one larger delivery is a batch of its own, folded in slices."""

READ_BYTES = 32 << 20
READ_ROWS = 256
"""Of one reading of the inbox: the number of rows follows the size of the last ones, since a body may have 16 MiB."""

TRIES = 3
CONFLICT_TRIES = 8
FIRST_REST_SECONDS = 0.05


class FolderStore(FoldStore, Protocol):
    """What the folder needs of the store: to fold, and once in a while an incident's other alerts (for its trend)."""

    async def load(self, incident_id: int) -> CaseRows | None:
        """As `CaseStore.load`."""
        ...

    async def versions(self, incident_ids: Collection[int]) -> dict[int, int]:
        """The versions of those that are open."""
        ...


@dataclass(frozen=True, slots=True)
class Reading:
    """How deliveries are understood and told."""

    sources: Mapping[str, Source]
    """By the name that deliveries carry; our own is always among them."""
    ruleset: Callable[[], RuleSet]
    """The rule set in force: asked for each batch."""
    locale: str = "en"


class Folder:
    """One a process, one loop."""

    def __init__(
        self,
        store: FolderStore,
        handover: Handover,
        reading: Reading,
        *,
        clock: Clock,
        wake: Callable[[int], None],
        report: Callable[[OwnTrouble], None],
        metrics: Metrics,
    ) -> None:
        """`wake` is told each incident that has news, after its commit; `report` is `Intake.report`."""
        self._store = store
        self._handover = handover
        self._reading = reading
        self._sources = {OWN_SOURCE: OwnSource(), **reading.sources}
        self._clock = clock
        self._wake = wake
        self._report = report
        self._metrics = metrics
        self._judge = Judge(reading.ruleset())
        self._trends = Trends(self._records_of)
        self._seen = Seen()
        self._read: set[int] = set()
        """Ids that came from the inbox while intake was handing them over as well."""
        self._silenced: set[Beat] = set()

    async def run(self) -> None:
        """Until cancelled; the batch at hand is finished first."""
        self._handover.forget()  # what is left of an earlier run stands in the inbox, in its order
        while True:
            await self.drain()
            await self._handover.wait()

    async def drain(self) -> None:
        """Folds all that is there, and returns: for `run`, and for a shutdown after the doors are closed."""
        while True:
            if await self._take():
                continue
            self._read.clear()
            if not self._handover.missed:
                return
            await self._catch_up()

    async def _take(self) -> bool:
        """Folds what intake handed over; False: there was nothing."""
        items = self._handover.take(deliveries=BATCH_DELIVERIES, alerts=BATCH_ALERTS)
        rows = [Row(id_, each.source, each.received_at, each.body, each.batch) for id_, each in items if id_ not in self._read]
        if rows:
            await finish_despite_cancel(self._fold(rows))
        return bool(items)

    async def _catch_up(self) -> None:
        """Reads the inbox until it holds nothing that is not folded."""
        self._handover.missed = False  # before reading: what is missed from now on is read next time
        self._handover.backlog = await self._store.backlog()
        after, limit = 0, READ_ROWS // 8
        while stored := await self._store.unfolded(after=after, limit=limit):
            after = stored[-1].id
            self._read.update(each.id for each in stored)
            await finish_despite_cancel(self._fold([Row(each.id, each.source, each.received_at, each.body) for each in stored]))
            size = sum(len(each.body) for each in stored)
            limit = max(1, min(READ_ROWS, len(stored) * READ_BYTES // max(size, 1)))

    # --- one batch ---

    async def _fold(self, rows: Sequence[Row]) -> None:
        """Folds all of them, or finds those that cannot be folded."""
        try:
            await self._persist(lambda: self._fold_once(rows))
        except (StoreUnavailable, VersionConflict):
            self._metrics.folds.labels("failed").inc()
            raise
        except Exception as fault:  # boundary: one inbox row that cannot be folded must not hold up the others
            found = fault
        else:
            return
        if len(rows) == 1:
            await self._persist(lambda: self._set_aside(rows[0], found))
            return
        middle = len(rows) // 2
        await self._fold(rows[:middle])
        await self._fold(rows[middle:])

    async def _persist(self, commit: Callable[[], Awaitable[None]]) -> None:
        """A few tries: against somebody else's write each reads anew; against a store that is away they rest in between."""
        conflicts = failures = 0
        while True:
            try:
                return await commit()
            except VersionConflict:
                conflicts += 1
                if conflicts >= CONFLICT_TRIES:
                    raise
            except StoreUnavailable:
                failures += 1
                if failures >= TRIES:
                    raise
                await self._clock.sleep(FIRST_REST_SECONDS * 2**failures)

    async def _fold_once(self, rows: Sequence[Row]) -> None:
        judge, now = self._judging(), self._clock.now()
        said = await sort(rows, self._sources, judge)
        alerts = await self._without_repeats(said.alerts)
        keys, identities = wanted(alerts)
        found = await self._store.open_incidents(keys, identities) if keys else {}
        folding = Folding(judge, found, now=now, words=Words(self._reading.locale, judge.ruleset.naming))
        async for alert, judged in in_slices(alerts):
            folding.add(alert, judged)
        if new := folding.new_keys():
            folding.follow(await self._store.newest_closed(new))
        await self._see_trends(folding, now)
        folded = [each async for each in in_slices(folding.results())]
        ids = await self._store.commit_fold(_fold_of(rows, said, folded))
        self._handover.folded(len(rows))
        for learnt in folding.learnt(ids):
            self._seen.learn(learnt.incident_id, read=learnt.read, written=learnt.written, records=learnt.records)
        for id_, each in zip(ids, folded, strict=True):
            if each.wake_at is not None:
                self._wake(id_)
        self._tell(said, folding, repeats=Counter(each.source for each, _ in said.alerts) - Counter(each.source for each, _ in alerts))

    async def _without_repeats(self, alerts: Sequence[tuple[Alert, Judged]]) -> Sequence[tuple[Alert, Judged]]:
        """Leaves out what would change nothing, in incidents that are open and as they were: most of what a sender sends."""
        held_by = self._seen.repeats(alerts)
        incidents = {each for each in held_by if each is not None}
        if not incidents:
            return alerts
        unmoved = self._seen.unmoved(await self._store.versions(incidents))
        return [each for each, incident_id in zip(alerts, held_by, strict=True) if incident_id not in unmoved]

    def _judging(self) -> Judge:
        ruleset = self._reading.ruleset()
        if self._judge.ruleset is not ruleset:
            self._judge = Judge(ruleset)
        return self._judge

    async def _see_trends(self, folding: Folding, now: datetime) -> None:
        for incident_id, records in folding.touched().items():
            if not folding.grown(incident_id):
                self._trends.note(incident_id, records)
            elif await self._trends.rising(incident_id, records, accepted_at=folding.accepted_at(incident_id), now=now):
                folding.rises(incident_id)

    async def _records_of(self, incident_id: int) -> tuple[AlertRecord, ...]:
        rows = await self._store.load(incident_id)
        return rows.alerts if rows is not None else ()

    async def _set_aside(self, row: Row, fault: Exception) -> None:
        """The delivery that cannot be folded: whole into quarantine. Its fault is told by its kind; its text may hold alert text."""
        _log.error("delivery quarantined", delivery=row.id, source=row.source, fault=type(fault).__name__)
        reason = plain(f"{type(fault).__name__}: {fault}")
        aside = Quarantined(row.source, self._clock.now(), reason, path="", raw=raw_of(row), delivery_id=row.id)
        await self._store.commit_fold(Fold(incidents=(), folded=(), quarantined=(aside,), quarantined_deliveries=(row.id,)))
        self._handover.folded(1)
        self._metrics.folds.labels("quarantined").inc()
        self._metrics.quarantined.labels(row.source).inc()
        if row.source != OWN_SOURCE:  # else it would report itself for ever
            self._report(OwnTrouble(TroubleKind.quarantine, row.source, f"delivery {row.id} could not be folded: {reason}"))

    # --- after the commit ---

    def _tell(self, said: Sorted, folding: Folding, *, repeats: Mapping[str, int]) -> None:
        for trouble in said.troubles:
            self._report(trouble)
        self._tell_heartbeats(said)
        for each in said.quarantined:
            self._metrics.quarantined.labels(each.source).inc()
        for (source, news), alerts in folding.counts.items():
            if news in (News.repeated, News.stale):
                self._metrics.alerts_deduplicated.labels(source).inc(alerts)
        for source, alerts in repeats.items():
            self._metrics.alerts_deduplicated.labels(source).inc(alerts)
        for incident in folding.opened():
            self._metrics.incidents_opened.labels(incident.priority.value).inc()
        self._metrics.folds.labels("folded").inc()

    def _tell_heartbeats(self, said: Sorted) -> None:
        """A heartbeat that is reported over will not beat again: said at once, not after three gaps. The auditor finds the silent ones."""
        for source, rule in said.silenced:
            self._silenced.add((source, rule))
            self._report(OwnTrouble(TroubleKind.heartbeat_overdue, f"{rule} {source}", f"{rule} was reported resolved by its sender"))
        for (source, rule), at in said.beats.items():
            self._metrics.heartbeat_last_seen.labels(rule).set(at.timestamp())
            if (source, rule) in self._silenced and (source, rule) not in said.silenced:
                self._silenced.discard((source, rule))
                self._report(OwnTrouble(TroubleKind.heartbeat_overdue, f"{rule} {source}", "it beats", over=True))


def _fold_of(rows: Sequence[Row], said: Sorted, folded: Sequence[FoldedIncident]) -> Fold:
    return Fold(
        incidents=tuple(folded),
        folded=tuple(each.id for each in rows),
        quarantined=tuple(said.quarantined),
        beats=tuple((source, rule, at) for (source, rule), at in said.beats.items()),
    )
