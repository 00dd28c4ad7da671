"""Look for incidents that nobody is coming for, heartbeats that are missing, a storm that is over.

Law: it trusts nobody, also not the responder: it reads the store on its own, reports what is late as an incident of our own, and says
"green" (`green_at`, for a dead-man's switch) only while nothing is. Supervised by the application.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta

import structlog

from receiver.core.model import Rule
from receiver.core.rules import RuleSet
from receiver.ports import Beat, Clock, Intake, OwnTrouble, StormGate, TroubleKind, WatchStore

_log = structlog.get_logger("receiver.engine")

EVERY = timedelta(seconds=5)
GRACE = timedelta(seconds=60)
"""How late a step may be before it is a trouble: longer than a lease (30 s) that has to lapse."""
MISSED_BEATS = 3
"""A heartbeat is overdue after so many expected gaps (`protocols.md` 7.3)."""
STORM = OwnTrouble(TroubleKind.storm, "storm", "the storm gate is open again", over=True)


class Auditor:
    """One for the process."""

    def __init__(
        self,
        store: WatchStore,
        *,
        clock: Clock,
        intake: Intake,
        storm: StormGate,
        rules: Callable[[], RuleSet],
        wake: Callable[[int], None],
        every: timedelta = EVERY,
        grace: timedelta = GRACE,
    ) -> None:
        self._store = store
        self._clock = clock
        self._intake = intake
        self._storm = storm
        self._rules = rules
        self._wake = wake
        self._every = every
        self._grace = grace
        self._started = clock.now()
        self._shut = False
        self._late: frozenset[int] = frozenset()
        self._beating: set[tuple[str, str]] = set()
        self.green_at: datetime | None = None
        """When the last round found nothing late."""

    async def run(self) -> None:
        """For ever."""
        while True:
            await self.round()
            await self._clock.sleep(self._every.total_seconds())

    async def round(self) -> None:
        """One look at everything."""
        now = self._clock.now()
        late = await self._incidents(now)
        silent = await self._heartbeats(now)
        await self._storm_over()
        if not late and not silent:
            self.green_at = now

    async def _incidents(self, now: datetime) -> frozenset[int]:
        """Overdue steps are woken at once and, when they stay late, reported."""
        overdue = await self._store.overdue(now=now, grace=self._grace)
        late = frozenset(each.incident_id for each in overdue)
        for each in overdue:
            self._wake(each.incident_id)
            if each.incident_id in self._late:
                self._intake.report(OwnTrouble(TroubleKind.overdue_incident, f"incident {each.incident_id}", each.detail))
        for gone in self._late - late:
            self._intake.report(OwnTrouble(TroubleKind.overdue_incident, f"incident {gone}", "it moved on", over=True))
        self._late = late
        return late

    async def _heartbeats(self, now: datetime) -> bool:
        """Armed by the first beat, or by configuration from the start of this process on. True: one is overdue."""
        beats = await self._store.beats()
        rules = {each.name: each for each in self._rules().rules if each.heartbeat is not None}
        await self._arm(rules, {each.rule for each in beats})
        late = [each for each in beats if self._overdue(each, rules.get(each.rule), now)]
        for beat in late:
            self._beating.discard((beat.source, beat.rule))
            self._intake.report(OwnTrouble(TroubleKind.heartbeat_overdue, _subject(beat), f"no beat of {beat.rule} for three gaps"))
        for beat in beats:
            if beat not in late and beat.last_at > self._started and (beat.source, beat.rule) not in self._beating:
                self._beating.add((beat.source, beat.rule))
                self._intake.report(OwnTrouble(TroubleKind.heartbeat_overdue, _subject(beat), "it beats", over=True))
        return bool(late)

    async def _arm(self, rules: Mapping[str, Rule], known: Collection[str]) -> None:
        for rule in rules.values():
            if rule.heartbeat is not None and rule.heartbeat.armed and rule.name not in known:
                await self._store.arm("", rule.name, at=self._started)

    def _overdue(self, beat: Beat, rule: Rule | None, now: datetime) -> bool:
        """Our own downtime is granted: counting starts anew with this process."""
        if rule is None or rule.heartbeat is None:
            return False
        since = max(beat.last_at, self._started)
        return now - since > MISSED_BEATS * rule.heartbeat.every

    async def _storm_over(self) -> None:
        storm = await self._storm.storm()
        shut = storm.shut
        if shut and await self._store.joined_storm():  # its page may have died with the process that joined it
            self._intake.report(OwnTrouble(TroubleKind.storm, STORM.subject, storm.detail))
        if self._shut and not shut:
            self._intake.report(STORM)
            self._wake(0)
        self._shut = shut


def _subject(beat: Beat) -> str:
    return f"{beat.rule} {beat.source}".strip()
