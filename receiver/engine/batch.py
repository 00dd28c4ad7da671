"""One batch of inbox rows: read, judged, folded over what the store knows, committed; and what is to be told afterwards.

Law: a row is marked folded in the very commit that stores what it changed; nothing is told before it. Called by the folder, which sees
to the tries and to the rows that cannot be folded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import structlog

from receiver.core.dedup import News, plain
from receiver.core.model import OWN_SOURCE, Alert, AlertRecord, Incident
from receiver.core.rules import RuleSet
from receiver.engine.entries import Words
from receiver.engine.folding import Folding, Judge, Judged, wanted
from receiver.engine.found_source import FOUND_SOURCE, FoundSource
from receiver.engine.overtaken import Overtaken
from receiver.engine.own_source import OwnSource
from receiver.engine.replayed import doubted
from receiver.engine.seen import Seen
from receiver.engine.sorting import Beat, Row, Sorted, in_slices, raw_of, sort
from receiver.engine.trends import Trends
from receiver.ports import CaseRows, Clock, Fold, FoldedIncident, FoldStore, OwnTrouble, Quarantined, Source, TroubleKind
from receiver.telemetry.metrics import Metrics

_log = structlog.get_logger("receiver.engine")

OPENED_TOLD = 20
"""Lines of one batch: a flood of alerts is not to be a flood of the log."""


class FolderStore(FoldStore, Protocol):
    """What folding needs of the store, now and then also an incident's other alerts (for its trend)."""

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
    replayable: Collection[str] = ()
    """Sources whose deliveries are signed without a time: whoever captured one can send it again."""


@dataclass(frozen=True, slots=True)
class Done:
    """A committed batch."""

    rows: int
    said: Sorted
    folding: Folding
    folded: Sequence[FoldedIncident]
    ids: Sequence[int]
    """Of `folded`."""
    repeats: Mapping[str, int]
    """Alerts by source that were known as repeats at once."""


class BatchFolder:
    """Remembers between batches only what can be read again."""

    def __init__(
        self,
        store: FolderStore,
        reading: Reading,
        *,
        clock: Clock,
        wake: Callable[[int], None],
        report: Callable[[OwnTrouble], None],
        metrics: Metrics,
    ) -> None:
        self._store = store
        self._reading = reading
        self._sources: dict[str, Source] = {OWN_SOURCE: OwnSource(), FOUND_SOURCE: FoundSource(), **reading.sources}
        self._clock = clock
        self._wake = wake
        self._report = report
        self._metrics = metrics
        self._judge = Judge(reading.ruleset())
        self._trends = Trends(self._records_of)
        self._seen = Seen()
        self._overtaken = Overtaken()
        self._silenced: set[Beat] = set()

    async def fold(self, rows: Sequence[Row]) -> Done:
        """Commits all of the rows or none of them; any exception means none."""
        judge, now = self._judging(), self._clock.now()
        said = await sort(rows, self._sources, judge)
        alerts = self._overtaken.without_ended(await self._without_repeats(said.alerts))
        keys, identities = wanted(alerts)
        found = await self._store.open_incidents(keys, identities) if keys else {}
        closed, records_of = self._store.newest_closed, self._records_of
        alerts = await self._overtaken.without_closed(alerts, found.keys(), newest_closed=closed, records_of=records_of)
        if replayable := self._reading.replayable:
            alerts = await doubted(alerts, found, replayable, newest_closed=closed, load=self._store.load)
        folding = Folding(judge, found, now=now, words=Words(self._reading.locale, judge.ruleset.naming))
        async for alert, judged in in_slices(alerts):
            folding.add(alert, judged)
        if new := folding.new_keys():
            folding.follow(await self._store.newest_closed(new))
        await self._see_trends(folding, now)
        folded = [each async for each in in_slices(folding.results())]
        ids = await self._store.commit_fold(_fold_of(rows, said, folded))
        repeats = Counter(each.source for each, _ in said.alerts) - Counter(each.source for each, _ in alerts)
        return Done(len(rows), said, folding, folded, ids, repeats)

    async def set_aside(self, row: Row, fault: Exception) -> None:
        """A delivery that cannot be folded goes whole into quarantine, and a person hears of it."""
        reason = plain(f"{type(fault).__name__}: {fault}")
        aside = Quarantined(row.source, self._clock.now(), reason, path="", raw=raw_of(row), delivery_id=row.id)
        await self._store.commit_fold(Fold(incidents=(), folded=(), quarantined=(aside,), quarantined_deliveries=(row.id,)))
        _log.error("delivery quarantined", delivery=row.id, source=row.source, fault=type(fault).__name__)
        self._metrics.folds.labels("quarantined").inc()
        self._metrics.quarantined.labels(row.source).inc()
        if row.source != OWN_SOURCE:  # else it would report itself for ever
            self._report(OwnTrouble(TroubleKind.quarantine, row.source, f"delivery {row.id} could not be folded: {reason}"))

    def _judging(self) -> Judge:
        ruleset = self._reading.ruleset()
        if self._judge.ruleset is not ruleset:
            self._judge = Judge(ruleset)
        return self._judge

    async def _without_repeats(self, alerts: Sequence[tuple[Alert, Judged]]) -> Sequence[tuple[Alert, Judged]]:
        """Leaves out what would change nothing, in incidents that are open and as they were: most of what a sender sends."""
        held_by = self._seen.repeats(alerts)
        incidents = {each for each in held_by if each is not None}
        if not incidents:
            return alerts
        unmoved = self._seen.unmoved(await self._store.versions(incidents))
        return [each for each, incident_id in zip(alerts, held_by, strict=True) if incident_id not in unmoved]

    async def _see_trends(self, folding: Folding, now: datetime) -> None:
        for incident_id, records in folding.touched().items():
            if not folding.grown(incident_id):
                self._trends.note(incident_id, records)
            elif await self._trends.rising(incident_id, records, accepted_at=folding.accepted_at(incident_id), now=now):
                folding.rises(incident_id)

    async def _records_of(self, incident_id: int) -> tuple[AlertRecord, ...]:
        rows = await self._store.load(incident_id)
        return rows.alerts if rows is not None else ()

    # --- after the commit ---

    def tell(self, done: Done) -> None:
        """Wakes the responders of what is news, remembers, reports, counts. Once for each batch."""
        for learnt in done.folding.learnt(done.ids):
            self._seen.learn(learnt.incident_id, read=learnt.read, written=learnt.written, records=learnt.records)
        for id_, each in zip(done.ids, done.folded, strict=True):
            if each.wake_at is not None:
                self._wake(id_)
        _log_opened([(id_, each.incident) for id_, each in zip(done.ids, done.folded, strict=True) if not each.incident.id])
        for trouble in done.said.troubles:
            self._report(trouble)
        self._tell_heartbeats(done.said)
        self._count(done)

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

    def _count(self, done: Done) -> None:
        unchanged = Counter(done.repeats)
        for (source, news), alerts in done.folding.counts.items():
            if news in (News.repeated, News.stale):
                unchanged[source] += alerts
        for source, alerts in unchanged.items():
            self._metrics.alerts_deduplicated.labels(source).inc(alerts)
        for each in done.said.quarantined:
            self._metrics.quarantined.labels(each.source).inc()
        for incident in done.folding.opened():
            self._metrics.incidents_opened.labels(incident.priority.value).inc()
        self._metrics.folds.labels("folded").inc()


def _log_opened(opened: Sequence[tuple[int, Incident]]) -> None:
    for id_, incident in opened[:OPENED_TOLD]:
        title = plain(incident.title, limit=200)
        _log.info("incident opened", incident=id_, priority=incident.priority.value, rule=incident.rule, title=title)
    if more := len(opened[OPENED_TOLD:]):
        _log.info("incidents opened, not told one by one", incidents=more)


def _fold_of(rows: Sequence[Row], said: Sorted, folded: Sequence[FoldedIncident]) -> Fold:
    return Fold(
        incidents=tuple(folded),
        folded=tuple(each.id for each in rows),
        quarantined=tuple(said.quarantined),
        beats=tuple((source, rule, at) for (source, rule), at in said.beats.items()),
    )
