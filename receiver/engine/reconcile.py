"""Ask the senders what is firing, and heal what was lost on the way: an alert that we never heard of, a resolve that never came.

Law: only what a sender says explicitly is healed, through the inbox like every delivery. Absence is not recovery: a sender that was
restarted has forgotten, a list may be of one kind only; what is absent is counted and nothing else. No answer, or half of one, heals
nothing; where single alerts could not be asked, the others stand. Whether something is news is asked of the very function that folds
(`dedup.fold`). Supervised by `app`, one task a sender.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import structlog

from receiver.core.dedup import UNHEARD, News, fold
from receiver.core.model import Alert, AlertRecord, Rule
from receiver.core.rules import RuleSet
from receiver.engine.folding import Judge
from receiver.engine.found_source import delivery_of, found
from receiver.engine.sorting import in_slices
from receiver.ports import Clock, FiringList, FoundStore, Intake, Listing, ListingFailed, NotDurable, OwnTrouble, TroubleKind
from receiver.telemetry.metrics import Metrics

_log = structlog.get_logger("receiver.engine")

EVERY = timedelta(minutes=5)
ON_ITS_WAY = timedelta(minutes=6)
"""A firing younger than this may still be told by itself: Alertmanager tells a new member of a group after group_interval (5 min by
default). Not granted in the first round, which follows a start: nobody knows what came to nothing while we were away."""
TOLD_AFTER = 3
"""Failures in a row, before a person hears that this sender cannot be asked."""
READ_AT_ONCE = 500
TOLD_AT_ONCE = 500
"""Alerts of one delivery to the inbox."""


class Reconciler:
    """Of one sender."""

    def __init__(
        self,
        asked: FiringList,
        store: FoundStore,
        *,
        rules: Callable[[], RuleSet],
        intake: Intake,
        clock: Clock,
        metrics: Metrics,
        every: timedelta = EVERY,
    ) -> None:
        self._asked = asked
        self._store = store
        self._rules = rules
        self._intake = intake
        self._clock = clock
        self._metrics = metrics
        self._every = every
        self._failures = 0
        self._well = False
        """Said once after a start: a trouble may be open from before."""
        self._first = True

    async def run(self) -> None:
        """For ever."""
        while True:
            await self.round()
            await self._clock.sleep(self._every.total_seconds())

    async def round(self) -> None:
        """Asks once. What could not be stored is found again next time."""
        asked_at = self._clock.now()
        try:
            listing = await self._asked.ask(asked_at, await self._held())
        except ListingFailed as no:
            self._fell_short(str(no), "failed")
            return
        if listing.unasked:
            self._fell_short(listing.unasked, "partial")
        else:
            self._answered()
        held = await self._held()  # again: it may have changed while we were waiting
        lost = await self._lost(listing, held, asked_at)
        self._count_absent(listing, held)
        if await self._heal(lost, asked_at):
            self._first = False

    # --- what is lost ---

    async def _lost(self, listing: Listing, held: Mapping[str, AlertRecord], asked_at: datetime) -> list[Alert]:
        """What would be news, as it is to be told."""
        judge = Judge(self._rules())
        known: list[Alert] = []
        unknown: list[Alert] = []
        async for each in in_slices((*listing.firing, *listing.over)):
            alert = found(each, asked_at=asked_at)
            record = held.get(alert.fingerprint)
            if self._is_news(alert, record, judge.judge(alert).rule):
                (unknown if record is None else known).append(alert)
        return known + await self._without_dismissed(unknown, judge)

    def _is_news(self, alert: Alert, record: AlertRecord | None, rule: Rule) -> bool:
        if rule.ignore or rule.heartbeat is not None:  # a heartbeat proves the way of deliveries, which this is not
            return False
        if fold(record, alert, rule=rule.name).news not in (News.new, News.refired, News.resolved):
            return False
        on_its_way = not self._first and alert.received_at - alert.starts_at < ON_ITS_WAY
        return alert.ends_at is not None or not on_its_way

    async def _without_dismissed(self, unknown: Sequence[Alert], judge: Judge) -> list[Alert]:
        """Leaves out what a person closed while it was firing: the sender's own repeat may open it again, we do not every few minutes."""
        keys = {each.fingerprint: judge.judge(each).key for each in unknown}
        closed = await self._store.newest_closed(sorted(set(keys.values()))) if keys else {}
        records: dict[int, dict[str, AlertRecord]] = {}
        for incident_id in set(closed.values()):
            rows = await self._store.load(incident_id)
            known = rows.alerts if rows is not None else ()
            records[incident_id] = {each.alert.fingerprint: each for each in known if each.alert.source == self._asked.source}
        return [each for each in unknown if not _dismissed(each, records.get(closed.get(keys[each.fingerprint], 0), {}))]

    async def _held(self) -> dict[str, AlertRecord]:
        """What open incidents know of this sender's alerts."""
        found: dict[str, AlertRecord] = {}
        after = ""
        while page := await self._store.held(self._asked.source, after=after, limit=READ_AT_ONCE):
            found.update((each.alert.fingerprint, each) for each in page)
            after = page[-1].alert.fingerprint
        return found

    # --- what is done about it ---

    async def _heal(self, lost: Sequence[Alert], asked_at: datetime) -> bool:
        for at in range(0, len(lost), TOLD_AT_ONCE):
            part = lost[at : at + TOLD_AT_ONCE]
            try:
                await self._intake.accept(delivery_of(part, asked_at=asked_at))
            except NotDurable as no:
                _log.warning("what was found is not stored yet", asked=self._asked.name, alerts=len(lost) - at, reason=no.reason)
                return False
            for each in part:
                self._metrics.reconciled.labels(self._asked.name, "firing" if each.ends_at is None else "resolved").inc()
            _log.warning("found by reconciling", asked=self._asked.name, alerts=len(part))
        return True

    def _count_absent(self, listing: Listing, held: Mapping[str, AlertRecord]) -> None:
        listed = {each.fingerprint for each in (*listing.firing, *listing.over)} | listing.held_back
        ours = [each for each in held.values() if each.firing and self._asked.covers(each.alert)]
        absent = sum(1 for each in ours if each.alert.fingerprint not in listed)
        self._metrics.reconcile_not_seen.labels(self._asked.name).set(absent)

    # --- whether it answers ---

    def _fell_short(self, why: str, outcome: str) -> None:
        self._failures += 1
        self._metrics.reconcile_rounds.labels(self._asked.name, outcome).inc()
        told = "cannot ask what is firing" if outcome == "failed" else "some of what is firing cannot be asked"
        _log.warning(told, asked=self._asked.name, reason=why, failures=self._failures)
        if self._failures >= TOLD_AFTER:
            self._well = False
            self._intake.report(OwnTrouble(TroubleKind.unreachable_source, f"{self._asked.name} list", why))

    def _answered(self) -> None:
        self._failures = 0
        self._metrics.reconcile_rounds.labels(self._asked.name, "ok").inc()
        if not self._well:
            self._well = True
            self._intake.report(OwnTrouble(TroubleKind.unreachable_source, f"{self._asked.name} list", "it answers", over=True))


def _dismissed(alert: Alert, known: Mapping[str, AlertRecord]) -> bool:
    """Its incident was closed over it, and it is still the same episode; or it was over since, by a sender that dates each change."""
    record = known.get(alert.fingerprint)
    if record is None:
        return False
    if alert.ordered and alert.starts_at <= record.alert.starts_at:
        return True
    return record.firing and alert.starts_at - record.alert.starts_at < UNHEARD
