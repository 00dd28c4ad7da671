"""The evidence of each page: collected while the page goes out, kept with the incident, and sent after it as an update.

Law: a P1's page waits for nothing; any other waits a little and not longer. What came too late is told under the page's own dedup key,
which wakes nobody, and only while the incident is open and that page its newest. One collection for each page; so many at once, the
others wait their turn, and that counts. Losing one to a restart loses evidence, never a page. Supervised by the application.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from receiver.core.case import Case, Decision, Raise
from receiver.core.facts import Evidence, Facts
from receiver.core.model import OWN_SOURCE, Priority
from receiver.core.wording.evidence import evidence_text, pending_text
from receiver.engine.telling import updates
from receiver.ports import CaseStore, Change, Clock, Entry, Inquiry, StoreUnavailable, VersionConflict

_log = structlog.get_logger("receiver.engine")

WAITS = timedelta(seconds=3)
"""What a page that is no P1 waits for its evidence."""
AT_ONCE = 4
QUEUED = 32
"""Collections that wait; beyond it a page says that there is none."""
UNPAGED = timedelta(seconds=60)
"""What was collected for a page that is not written by then is dropped: it was decided anew."""
KEPT = 256
TRIES = 20
KEPT_CHARACTERS = 60_000
"""Of one incident's evidence in its timeline; pieces beyond it are cut."""

Collect = Callable[[Inquiry, dict[str, Evidence], timedelta], Awaitable[None]]
"""Fills in pieces by title, within its own time limit, of which so much was spent waiting for a turn."""
Key = tuple[int, int]
"""(incident, raise)."""


@dataclass(slots=True, eq=False)
class _Job:
    """One page's collection."""

    inquiry: Inquiry
    incident_id: int
    raise_n: int
    queued: float
    found: dict[str, Evidence] = field(default_factory=dict)
    done: asyncio.Event = field(default_factory=asyncio.Event)
    paged: asyncio.Event = field(default_factory=asyncio.Event)
    decision: Decision | None = None
    told: tuple[Evidence, ...] = ()
    """What the page itself showed."""


class Gathering:
    """One for the process. Implements `parts.EvidenceDesk`."""

    def __init__(
        self, collect: Collect, store: CaseStore, *, clock: Clock, destinations: tuple[str, ...], told: Callable[[str], None]
    ) -> None:
        """`told` tells the outbox that there is something to deliver to a destination."""
        self._collect = collect
        self._store = store
        self._clock = clock
        self._destinations = destinations
        self._told = told
        self._queue: asyncio.Queue[_Job] = asyncio.Queue(QUEUED)
        self._jobs: OrderedDict[Key, _Job] = OrderedDict()

    async def early(self, case: Case, raised: Raise) -> Sequence[Evidence]:
        """What can be had without holding the page up. Called again for the same page, it goes on with the same collection."""
        if case.incident.source == OWN_SOURCE:
            return ()
        key = case.incident.id, raised.n
        job = self._jobs.get(key) or self._begun(key, case)
        if job is None:
            return (Evidence("evidence", (), "too many pages at once"),)
        if raised.priority is not Priority.p1:
            try:
                async with asyncio.timeout(WAITS.total_seconds()):
                    await job.done.wait()
            except TimeoutError:
                pass  # the rest follows
        if not job.done.is_set():
            return (*(each for each in job.found.values() if not each.missing), pending_text(case.policy.locale))
        return tuple(job.found.values())

    def paged(self, case: Case, decision: Decision, raised: Raise, told: Sequence[Evidence]) -> None:
        """The page is written: what is collected may follow it."""
        job = self._jobs.get((case.incident.id, raised.n))
        if job is not None:
            job.decision, job.told = decision, tuple(told)
            job.paged.set()

    async def run(self, load: Callable[[int], Awaitable[Case | None]]) -> None:
        """For ever. `load` gives the case as it stands, for the update's words."""
        free = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as group:
            while True:
                await free.acquire()
                job = await self._queue.get()
                group.create_task(self._carry(job, load, free), name=f"evidence-of-{job.incident_id}")

    def _begun(self, key: Key, case: Case) -> _Job | None:
        job = _Job(inquiry_of(case, self._clock), *key, queued=self._clock.monotonic())
        try:
            self._queue.put_nowait(job)
        except asyncio.QueueFull:
            return None
        self._jobs[key] = job
        while len(self._jobs) > KEPT:
            self._jobs.popitem(last=False)
        return job

    async def _carry(self, job: _Job, load: Callable[[int], Awaitable[Case | None]], free: asyncio.Semaphore) -> None:
        try:
            await self._collect(job.inquiry, job.found, timedelta(seconds=self._clock.monotonic() - job.queued))
        except Exception as fault:  # boundary: whatever a collector throws, the page has gone out and the worker goes on
            _log.exception("evidence failed", incident=job.incident_id, fault=type(fault).__name__)
            job.found["evidence"] = Evidence("evidence", (), f"could not be collected: {type(fault).__name__}")
        finally:
            job.done.set()
            free.release()
        try:
            async with asyncio.timeout(UNPAGED.total_seconds()):
                await job.paged.wait()
            await self._keep(job, load)
        except (TimeoutError, StoreUnavailable) as error:
            _log.warning("evidence was not kept", incident=job.incident_id, why=type(error).__name__)
        finally:
            self._jobs.pop((job.incident_id, job.raise_n), None)

    async def _keep(self, job: _Job, load: Callable[[int], Awaitable[Case | None]]) -> None:
        """One dated entry, and what the page lacked as an update, in one commit."""
        pieces = tuple(job.found.values())
        for _ in range(TRIES if pieces else 0):
            case = await load(job.incident_id)
            if case is None:
                return
            now = self._clock.now()
            data = {"raise": job.raise_n, "evidence": as_data(pieces)}
            entry = Entry(now, "evidence", evidence_text(pieces, case.policy.locale), data=data)
            newest = case.incident.open and bool(case.raises) and case.raises[-1].n == job.raise_n
            late = newest and job.decision is not None and pieces != job.told
            messages = updates(case, job.decision, self._destinations, evidence=pieces, now=now) if late and job.decision else ()
            try:
                await self._store.save(Change(case.incident, (entry,), messages=messages, wake_at=now if case.incident.open else None))
            except VersionConflict:
                continue
            for each in messages:
                self._told(each.destination)
            return


def inquiry_of(case: Case, clock: Clock) -> Inquiry:
    """What is asked for this incident."""
    incident, facts = case.incident, case.newest_facts()
    target = incident.target or (facts.target if facts is not None else None)
    named = [name for name, each in case.services.items() if target is not None and target.ref in each.targets]
    service = incident.service or next(iter(named), "")
    subjects = dict.fromkeys((*([service] if service else []), *named, *([target.ref.key] if target is not None else [])))
    alerts = tuple(each.alert for each in case.alerts)
    return Inquiry(incident, target, clock.now(), case.rule, service, tuple(subjects), alerts, _unbound(facts) if target is None else "")


def _unbound(facts: Facts | None) -> str:
    if facts is None or facts.trouble is None:
        return ""
    return f"{facts.trouble}: {facts.trouble_detail}" if facts.trouble_detail else str(facts.trouble)


def as_data(pieces: Sequence[Evidence]) -> list[dict[str, object]]:
    """For the timeline: JSON values, no more of them than it can bear."""
    left = KEPT_CHARACTERS
    found: list[dict[str, object]] = []
    for each in pieces:
        lines: list[str] = []
        for line in each.lines:
            left -= len(line) + 4
            if left < 0:
                lines.append("…")
                break
            lines.append(line)
        found.append({"title": each.title, "lines": lines, "missing": each.missing})
    return found
