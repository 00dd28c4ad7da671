"""Deliver pages, messages and tickets from stored rows, each destination on its own, with retries.

Law: a row is delivered at least once and settled under its fence; the destination's dedup key makes a second delivery harmless. A slow
destination delays nobody else, and a slow delivery no other of its destination. Nothing is given up: it is tried until taken or refused;
a page that is refused or late goes a second road as well. One loop a destination, supervised by the application.
"""

from __future__ import annotations

import asyncio
import random
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from receiver.ports import (
    CaseRows,
    ClaimedMessage,
    Clock,
    DeliveryKind,
    DeliveryResult,
    Intake,
    Message,
    MessageKind,
    Notifier,
    OutboxStore,
    OwnTrouble,
    StoreUnavailable,
    TroubleKind,
)
from receiver.tasks import finish_despite_cancel
from receiver.telemetry.metrics import Metrics

_log = structlog.get_logger("receiver.engine")

HARDLY = timedelta(milliseconds=20)
"""The shortest rest: a date that has just come is not waited for in a spin."""
MOST_REMEMBERED = 10_000


class PageStore(OutboxStore, Protocol):
    """The outbox, and the incident that a page was for (when was it accepted?)."""

    async def load(self, incident_id: int) -> CaseRows | None:
        """As `CaseStore.load`."""
        ...


@dataclass(frozen=True, slots=True)
class OutboxPace:
    """How many at once, how long a lease, how the tries are spaced."""

    batch: int = 20
    """Deliveries under way at a destination."""
    lease: timedelta = timedelta(seconds=60)
    limit: timedelta = timedelta(seconds=45)
    """Of one delivery: behind the notifier's own limits (PagerDuty: two tries, each 10 s and its turn); below the lease."""
    first: timedelta = timedelta(seconds=1)
    cap: timedelta = timedelta(seconds=60)
    """`reliability.md` 3b: for ever, at most so far apart."""
    idle: timedelta = timedelta(seconds=5)
    refused_again: timedelta = timedelta(minutes=5)
    """A page that a pager refused is offered again so often, while its incident is open."""
    late: timedelta = timedelta(seconds=120)
    """A trigger that nobody took for so long goes the second road as well, once."""


class Outbox:
    """One for the process."""

    def __init__(
        self,
        store: PageStore,
        notifiers: Mapping[str, Notifier],
        *,
        clock: Clock,
        metrics: Metrics,
        intake: Intake,
        owner: str,
        jitter: random.Random,
        pace: OutboxPace | None = None,
    ) -> None:
        self._store = store
        self._notifiers = notifiers
        self._clock = clock
        self._metrics = metrics
        self._intake = intake
        self._owner = owner
        self._jitter = jitter
        self._pace = pace or OutboxPace()
        self._news = {name: asyncio.Event() for name in notifiers}
        self._detoured: OrderedDict[tuple[str, datetime | None], None] = OrderedDict()
        """Key and date of triggers that took the second road. The copies bear both, so that none of them is copied again."""
        self._refusing: set[str] = set()
        """Destinations whose refusal was reported."""
        self._taking: set[str] = set()
        """Destinations that took a message of this process."""

    def kick(self, destination: str | None = None) -> None:
        """Something was written to the outbox: deliver it now. A destination without a notifier is ignored."""
        for name, news in self._news.items():
            if destination in (None, name):
                news.set()

    async def run(self, destination: str) -> None:
        """For ever, one destination. Cancelled: what is under way is given back at once, for whoever comes next."""
        busy: set[int] = set()
        async with asyncio.TaskGroup() as group:
            while True:
                self._news[destination].clear()
                for each in await self._claim(destination, room=self._pace.batch - len(busy)):
                    busy.add(each.claim.id)
                    name = f"deliver-{destination}-{each.claim.id}"
                    group.create_task(self._deliver(destination, each, busy), name=name)
                await self._rest(destination, full=len(busy) >= self._pace.batch)

    # --- one message -----------------------------------------------------------------------------------------------------

    async def _claim(self, destination: str, *, room: int) -> list[ClaimedMessage]:
        if room < 1:
            return []
        now = self._clock.now()
        return await self._store.claim_messages(destination, now=now, owner=self._owner, lease=self._pace.lease, limit=room)

    async def _deliver(self, destination: str, claimed: ClaimedMessage, busy: set[int]) -> None:
        try:
            notifier = self._notifiers[destination]
            result = replace(await self._try(notifier, claimed.message), pages=notifier.pages)
            await finish_despite_cancel(self._settle(destination, claimed, result))
        except asyncio.CancelledError:
            await finish_despite_cancel(self._give_back(claimed))
            raise
        except StoreUnavailable:  # the lease runs out, and it is delivered again under the same key
            _log.warning("delivery could not be recorded", destination=destination, incident=claimed.message.incident_id)
        finally:
            busy.discard(claimed.claim.id)
            self._news[destination].set()  # room again, and the next of this key may be ready

    async def _try(self, notifier: Notifier, message: Message) -> DeliveryResult:
        try:
            async with asyncio.timeout(self._pace.limit.total_seconds()):
                return await notifier.deliver(message)
        except TimeoutError:
            return DeliveryResult(DeliveryKind.retry, "no answer in time")
        except Exception as fault:  # boundary: whatever a notifier throws, the message stays in the outbox
            return DeliveryResult(DeliveryKind.retry, f"the notifier failed: {type(fault).__name__}")

    async def _settle(self, destination: str, claimed: ClaimedMessage, result: DeliveryResult) -> None:
        now, message = self._clock.now(), claimed.message
        self._metrics.pages.labels(destination, result.kind.value).inc()
        kept = await self._kept(destination, message, result)
        next_at = self._next(message, kept, now) if kept.kind is DeliveryKind.retry else None
        await self._second_road(destination, message, result, now)  # first: a crash in between may say it twice, never not at all
        await self._store.settle_message(claimed.claim, kept, owner=self._owner, now=now, next_at=next_at)
        if result.kind is DeliveryKind.accepted:
            await self._taken(destination, message, now)
        else:
            _log.warning("message not taken", destination=destination, incident=message.incident_id, detail=result.detail)

    async def _kept(self, destination: str, message: Message, result: DeliveryResult) -> DeliveryResult:
        """A page of an open incident that a pager refuses is tried again for as long: a wrong key is mended, and nobody was called."""
        if result.kind is not DeliveryKind.refused or message.kind is not MessageKind.trigger or not self._notifiers[destination].pages:
            return result
        rows = await self._store.load(message.incident_id)
        if rows is None or not rows.incident.open:
            return result
        return replace(result, kind=DeliveryKind.retry, retry_after=self._pace.refused_again)

    async def _give_back(self, claimed: ClaimedMessage) -> None:
        """We are being stopped: whether it was taken is not known, so it is due again."""
        now = self._clock.now()
        stopped = DeliveryResult(DeliveryKind.retry, "we were stopped while it was being delivered")
        try:
            await self._store.settle_message(claimed.claim, stopped, owner=self._owner, now=now, next_at=now)
        except StoreUnavailable:
            return  # then its lease runs out

    def _next(self, message: Message, result: DeliveryResult, now: datetime) -> datetime:
        """Doubling with jitter, not past the moment at which it is late, and never before the destination's own date."""
        wait = min(self._pace.cap, self._pace.first * float(1 << min(message.tries, 10))) * self._jitter.uniform(0.75, 1.25)
        left = message.created_at + self._pace.late - now if message.created_at else timedelta(0)
        if timedelta(0) < left < wait:
            wait = left
        return now + max(wait, result.retry_after or timedelta(0))

    async def _taken(self, destination: str, message: Message, now: datetime) -> None:
        if destination in self._refusing or destination not in self._taking:  # the refusal may be of the process before
            self._refusing.discard(destination)
            self._taking.add(destination)
            self._intake.report(OwnTrouble(TroubleKind.notifier_refused, destination, "it takes messages again", over=True))
        if message.kind is not MessageKind.trigger or not self._notifiers[destination].pages:
            return
        _log.info("page accepted", destination=destination, incident=message.incident_id, call=message.raise_n, tries=message.tries)
        if message.created_at is not None:
            self._metrics.page_lateness.observe(max(0.0, (now - message.created_at).total_seconds()))
        rows = await self._store.load(message.incident_id) if message.raise_n == 1 else None
        if rows is not None and not any(each.accepted_at and each.accepted_at < now for each in rows.raises):
            self._metrics.time_to_page.observe(max(0.0, (now - rows.incident.accepted_at).total_seconds()))

    # --- the second road -------------------------------------------------------------------------------------------------

    async def _second_road(self, destination: str, message: Message, result: DeliveryResult, now: datetime) -> None:
        """To every other destination: a page that one road refuses, or does not take in time, must not wait for that road."""
        if result.kind is DeliveryKind.refused and destination not in self._refusing:
            self._refusing.add(destination)
            self._intake.report(OwnTrouble(TroubleKind.notifier_refused, destination, result.detail))
        if message.kind is not MessageKind.trigger or not self._detours(message, result, now):
            return
        others = [replace(message, destination=name, id=0, tries=0) for name in self._notifiers if name != destination]
        if others:
            await self._store.add_messages(others, now=now)
            self._remember(message)  # after: what could not be stored is stored at the next try
            self.kick()

    def _detours(self, message: Message, result: DeliveryResult, now: datetime) -> bool:
        late = message.created_at is not None and now - message.created_at >= self._pace.late
        failed = result.kind is DeliveryKind.refused or (result.kind is DeliveryKind.retry and late)
        return failed and (message.dedup_key, message.created_at) not in self._detoured

    def _remember(self, message: Message) -> None:
        self._detoured[message.dedup_key, message.created_at] = None
        while len(self._detoured) > MOST_REMEMBERED:
            self._detoured.popitem(last=False)

    # --- between messages ------------------------------------------------------------------------------------------------

    async def _rest(self, destination: str, *, full: bool) -> None:
        """Until news, the next date, or the idle time; while all places are taken, until one is free."""
        due = None if full else await self._store.next_message_due(destination)
        idle = self._pace.idle
        rest = idle if due is None else min(idle, max(due - self._clock.now(), HARDLY))
        async with asyncio.TaskGroup() as group:
            alarm = group.create_task(self._clock.sleep(rest.total_seconds()), name=f"outbox-{destination}-alarm")
            news = group.create_task(self._news[destination].wait(), name=f"outbox-{destination}-news")
            await asyncio.wait({alarm, news}, return_when=asyncio.FIRST_COMPLETED)
            alarm.cancel()
            news.cancel()
