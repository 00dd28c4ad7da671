"""Pulls deliveries from a queue, the recommended road for CloudWatch: SNS → SQS → here.

Law: a message is deleted only after its delivery is committed, by the newest receipt handle that is known of it. What cannot be stored now
stays in hand, hidden from others by a heartbeat, and nothing more is received meanwhile: so the inbox bounds what is in flight. What cannot
be read is never deleted; it is hidden for longer each time, until the queue's redrive policy sets it aside, and a person hears of it once.
A person also hears of what comes again and again and is not stored, while the queue still has it. A crash between commit and delete
delivers twice, and folding the same statement twice changes nothing. Supervised by `app`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from receiver.clients.errors import ClientError
from receiver.clients.sqs import LONGEST_WAIT, Message
from receiver.core.model import Batch, Refusal
from receiver.ingest.unbuilt import resolved_among
from receiver.ports import Clock, Delivery, Intake, NotDurable, OwnTrouble, Permission, Source, TroubleKind
from receiver.tasks import finish_despite_cancel
from receiver.telemetry.metrics import Metrics

log = structlog.get_logger("receiver.ingest")

THREADED_BYTES = 64 << 10
"""A longer body is parsed in a thread."""
REST_SECONDS = 1.0
LONGEST_REST_SECONDS = 30.0
"""Between receives that fail: doubled up to this."""
TOLD_AFTER_SECONDS = 60.0
"""Of failing receives: then a person hears that no alarm can come."""
ILLEGIBLE_SECONDS = 30
LONGEST_ILLEGIBLE_SECONDS = 900
"""How long a message that cannot be read is hidden: doubled with each receive up to this."""
PUT_BACK_SECONDS = 10
"""Until what we put back comes again. At once, and a store that is full or a receiver that is restarted uses up the receives after which
the queue sets a good message aside; by the receives of ours that the stop has just broken off, too."""
BEATS = 3
"""Heartbeats within one visibility: two may fail."""


class PulledQueue(Protocol):
    """What is pulled from: `clients.sqs.Queue`."""

    async def receive(self, *, wait: timedelta = ...) -> list[Message]:
        """Raises ClientError."""
        ...

    async def delete(self, handles: Mapping[str, str]) -> dict[str, str]:
        """Message id → why it is not deleted. Raises ClientError."""
        ...

    async def hide(self, handles: Mapping[str, str], *, seconds: int) -> dict[str, str]:
        """As `delete`."""
        ...


@dataclass(frozen=True, slots=True)
class Pull:
    """How it is pulled."""

    receives: int = 4
    """In flight at once. Each holds ten messages at most."""
    visibility: timedelta = timedelta(seconds=60)
    """For which a message in hand is hidden; the heartbeat renews it."""
    most_receives: int = 3
    """A message that comes so often and is not stored is told to a person: well before the queue sets it aside."""


class QueuePuller:
    """Of one queue."""

    permissions = (Permission("aws", "sqs", "queue", ("ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility")),)
    """A batch needs the right of its single call: `sqs-api-permissions-reference` in the developer guide of SQS."""

    def __init__(
        self, queue: PulledQueue, source: Source, *, intake: Intake, clock: Clock, metrics: Metrics, pull: Pull | None = None
    ) -> None:
        self._queue = queue
        self._source = source
        self._intake = intake
        self._clock = clock
        self._metrics = metrics
        self._pull = pull or Pull()
        self._handles: dict[str, str] = {}
        """Of what is in hand, by message id: the newest, since a message may come again while it is still in hand."""
        self._failing_since: float | None = None
        self._told = True
        """Said once after a start: a trouble may be open from before."""

    async def run(self) -> None:
        """Until cancelled. Then what is being stored is stored and deleted, and what is not goes back."""
        async with asyncio.TaskGroup() as group:
            for n in range(self._pull.receives):
                group.create_task(self._receive_for_ever(), name=f"{self._source.name} receive {n}")
            group.create_task(self._beat(), name=f"{self._source.name} heartbeat")

    async def _receive_for_ever(self) -> None:
        rest = REST_SECONDS
        while True:
            try:
                messages = await self._queue.receive(wait=LONGEST_WAIT)
            except ClientError as no:
                self._failed(str(no))
                await self._clock.sleep(rest)
                rest = min(LONGEST_REST_SECONDS, 2 * rest)
                continue
            rest = REST_SECONDS
            self._answered("messages" if messages else "empty")
            await self._settle(messages)

    # --- one receive ---

    async def _settle(self, messages: Sequence[Message]) -> None:
        """Stays with them until each is deleted, put back, or left to come again."""
        new = [each for each in messages if each.id not in self._handles]
        self._tell_stubborn(each for each in messages if each.id in self._handles)
        self._handles.update((each.id, each.handle) for each in messages)
        left = {each.id: each for each in new}
        try:
            read = await self._read(new)
            wait = await finish_despite_cancel(self._store_first(read, left))
            while left:
                await self._clock.sleep(wait)
                wait = await finish_despite_cancel(self._store(read, left))
        finally:  # by now empty, unless we are stopping or something broke
            if left:
                await finish_despite_cancel(self._hide(left, seconds=PUT_BACK_SECONDS))
                self._count("put_back", len(left))
            for each in new:
                self._handles.pop(each.id, None)

    async def _read(self, messages: Sequence[Message]) -> dict[str, Delivery | Refusal]:
        found: dict[str, Delivery | Refusal] = {}
        for each in messages:
            received_at = self._clock.now()
            if len(each.body) <= THREADED_BYTES:
                batch = self._source.parse(each.body, received_at)
            else:
                batch = await asyncio.to_thread(self._source.parse, each.body, received_at)
            found[each.id] = batch if isinstance(batch, Refusal) else _delivery(self._source.name, each, batch, received_at)
        return found

    async def _store_first(self, read: Mapping[str, Delivery | Refusal], left: dict[str, Message]) -> float:
        """As `_store`; what is left is told, also where we are being stopped."""
        wait = await self._store(read, left)
        self._tell_stubborn(left.values())
        return wait

    async def _store(self, read: Mapping[str, Delivery | Refusal], left: dict[str, Message]) -> float:
        """Takes out of `left` what is done with; how many seconds to rest before the others are tried again."""
        illegible = {id_: why for id_ in left if isinstance(why := read[id_], Refusal)}
        await self._leave([left.pop(id_) for id_ in illegible], illegible)
        outcomes = await asyncio.gather(*(self._accept(each) for id_ in left if isinstance(each := read[id_], Delivery)))
        refusals = dict(zip(left, outcomes, strict=True))
        stored = [id_ for id_, refused in refusals.items() if refused is None]
        if stored:
            await self._delete(stored)
            for id_ in stored:
                del left[id_]
        return max((each.retry_after.total_seconds() for each in refusals.values() if each is not None), default=0.0)

    async def _accept(self, delivery: Delivery) -> NotDurable | None:
        """None: it is committed."""
        began = self._clock.monotonic()
        try:
            await self._intake.accept(delivery)
        except NotDurable as no:
            return no
        self._metrics.ack_seconds.observe(self._clock.monotonic() - began)
        batch = delivery.batch
        resolved = resolved_among(batch.alerts)
        counts = {"firing": len(batch.alerts) - resolved, "resolved": resolved, "rejected": len(batch.rejected)}
        for status, count in counts.items():
            self._metrics.alerts_received.labels(self._source.name, status).inc(count)
        return None

    async def _delete(self, ids: Collection[str]) -> None:
        """What is not deleted comes again and is folded again: no harm, so nothing is tried twice."""
        try:
            failed = await self._queue.delete({id_: self._handles[id_] for id_ in ids})
        except ClientError as no:
            failed = dict.fromkeys(ids, str(no))
        self._count("deleted", len(ids) - len(failed))
        if failed:
            self._count("delete_failed", len(failed))
            reason = min(failed.values())
            log.warning("messages not deleted, they come again", source=self._source.name, messages=len(failed), reason=reason)

    async def _leave(self, messages: Sequence[Message], why: Mapping[str, Refusal]) -> None:
        """Not deleted: hidden for longer each time, until the queue sets it aside."""
        by_seconds: dict[int, list[str]] = {}
        for each in messages:
            refusal = why[each.id]
            self._poison(each, f"{refusal.path}: {refusal.reason}" if refusal.path else refusal.reason)
            seconds = min(LONGEST_ILLEGIBLE_SECONDS, ILLEGIBLE_SECONDS << min(each.receives - 1, 10))
            by_seconds.setdefault(seconds, []).append(each.id)
        for seconds, ids in by_seconds.items():
            await self._hide(ids, seconds=seconds)
            for id_ in ids:
                self._handles.pop(id_, None)  # else the heartbeat would hide it for less

    def _tell_stubborn(self, left: Iterable[Message]) -> None:
        """Those that are not stored, or not yet: they come again while we hold them, because no heartbeat comes through."""
        for each in left:
            if each.receives >= self._pull.most_receives:
                self._poison(each, "it could not be stored, again and again")

    def _poison(self, message: Message, why: str) -> None:
        self._count("poison", 1)
        name, id_ = self._source.name, message.id[:128]
        log.error("message left in the queue", source=name, message=id_, receives=message.receives, reason=why[:256])
        self._intake.report(OwnTrouble(TroubleKind.poison_message, name, f"received {message.receives} times: {why}"[:256]))

    # --- what is in hand ---

    async def _beat(self) -> None:
        """Renews the visibility of all that is in hand, some of which waits for the inbox."""
        while True:
            await self._clock.sleep(self._pull.visibility.total_seconds() / BEATS)
            await self._hide(tuple(self._handles), seconds=int(self._pull.visibility.total_seconds()))

    async def _hide(self, ids: Collection[str], *, seconds: int) -> None:
        """Where it fails the message comes again sooner or later: it is late or double, and not lost."""
        handles = {id_: self._handles[id_] for id_ in ids if id_ in self._handles}
        if not handles:
            return
        try:
            failed = await self._queue.hide(handles, seconds=seconds)
        except ClientError as no:
            failed = {"all": str(no)}
        if failed:
            log.warning("visibility not changed", source=self._source.name, messages=len(failed), reason=min(failed.values()))

    # --- whether it answers ---

    def _failed(self, why: str) -> None:
        self._metrics.queue_receives.labels(self._source.name, "failed").inc()
        now = self._clock.monotonic()
        if self._failing_since is None:
            self._failing_since = now
        log.warning("cannot receive", source=self._source.name, reason=why)
        if now - self._failing_since >= TOLD_AFTER_SECONDS:
            self._told = True
            self._intake.report(OwnTrouble(TroubleKind.unreachable_source, f"{self._source.name} queue", why))

    def _answered(self, outcome: str) -> None:
        self._metrics.queue_receives.labels(self._source.name, outcome).inc()
        self._failing_since = None
        if self._told:
            self._told = False
            self._intake.report(OwnTrouble(TroubleKind.unreachable_source, f"{self._source.name} queue", "it answers", over=True))

    def _count(self, outcome: str, messages: int) -> None:
        self._metrics.queue_messages.labels(self._source.name, outcome).inc(messages)


def _delivery(source: str, message: Message, batch: Batch, received_at: datetime) -> Delivery | Refusal:
    if not batch.usable:
        first = batch.rejected[0] if batch.rejected else None
        return Refusal(first.path, first.reason) if first is not None else Refusal("", "nothing in it is an alert")
    return Delivery(source, received_at, message.body if batch.kept is None else batch.kept, batch)
