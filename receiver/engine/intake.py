"""The way in: deliveries wait together, are appended to the inbox in one commit, and only then is anybody told yes.

Law: `accept` returns only for what is committed; everything else is `NotDurable`, and nothing waits without a bound. A waiter that goes
away takes nothing with it. The HTTP door and the pullers call `accept`; `run` is the one writer, supervised by `app`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import structlog

from receiver.engine.handover import Handover
from receiver.engine.troubles import Troubles
from receiver.ports import Clock, Delivery, FoldStore, NotDurable, OwnTrouble, StoreUnavailable
from receiver.tasks import finish_despite_cancel
from receiver.telemetry.metrics import Metrics

_log = structlog.get_logger("receiver.engine")

GROUP_DELIVERIES = 512
GROUP_BYTES = 8 << 20
"""A group ends at either; a single larger body is a group of its own."""


class _Waiter(NamedTuple):
    delivery: Delivery
    done: asyncio.Future[None]


class GroupCommitIntake:
    """Implements `receiver.ports.Intake`."""

    def __init__(
        self,
        store: FoldStore,
        clock: Clock,
        handover: Handover,
        metrics: Metrics,
        *,
        max_waiting: int = 4_096,
        max_waiting_bytes: int = 64 << 20,
        max_backlog: int = 100_000,
        append_seconds: float = 10.0,
    ) -> None:
        """`max_waiting` deliveries or `max_waiting_bytes` may wait for their commit, `max_backlog` inbox rows for the folder."""
        self._store = store
        self._handover = handover
        self._metrics = metrics
        self._max_waiting = max_waiting
        self._max_waiting_bytes = max_waiting_bytes
        self._max_backlog = max_backlog
        self._append_seconds = append_seconds
        self._waiting: deque[_Waiter] = deque()
        self._waiting_bytes = 0
        self._some = asyncio.Event()
        self._stopped = False
        self._troubles = Troubles(clock)

    async def accept(self, delivery: Delivery) -> None:
        """Waits for the commit of the group. Cancelled while waiting: the delivery is stored all the same, nobody else is touched."""
        self._refuse_overload(len(delivery.body))
        done = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiter(delivery, done))
        self._waiting_bytes += len(delivery.body)
        self._some.set()
        await done

    def report(self, trouble: OwnTrouble) -> None:
        """Stored like any delivery, a little later; see `Troubles`."""
        if not trouble.over:
            self._metrics.own_troubles.labels(trouble.kind.value).inc()
        self._troubles.report(trouble)

    async def run(self) -> None:
        """The writer, until cancelled; started again after a fault it goes on. Stop it after the door and the pullers."""
        self._stopped = False
        try:
            async with asyncio.TaskGroup() as group:
                reports = group.create_task(self._troubles.run(self.accept), name="own troubles")
                try:
                    await self._write()
                finally:
                    reports.cancel()
        finally:
            self._stopped = True
            left, self._waiting, self._waiting_bytes = tuple(self._waiting), deque(), 0
            _fail(left, "the receiver is stopping")

    def _refuse_overload(self, size: int) -> None:
        if self._stopped:
            raise NotDurable("the writer of the inbox does not run")
        if len(self._waiting) >= self._max_waiting or (self._waiting and self._waiting_bytes + size > self._max_waiting_bytes):
            raise NotDurable("too many deliveries wait for their commit")
        if self._handover.backlog >= self._max_backlog:
            raise NotDurable(f"{self._handover.backlog} deliveries wait to be folded")

    async def _write(self) -> None:
        while True:
            if not self._waiting:
                self._some.clear()
                await self._some.wait()
            await finish_despite_cancel(self._commit(self._next_group()))

    def _next_group(self) -> list[_Waiter]:
        group: list[_Waiter] = []
        size = 0
        while self._waiting and len(group) < GROUP_DELIVERIES:
            more = len(self._waiting[0].delivery.body)
            if group and size + more > GROUP_BYTES:
                break
            group.append(self._waiting.popleft())
            size += more
        self._waiting_bytes -= size
        return group

    async def _commit(self, group: Sequence[_Waiter]) -> None:
        ids: list[int] | None = None
        try:
            ids = await self._append(group)
        finally:  # also after an unforeseen fault, which ends the writer and not the senders' patience
            if ids is None:
                _fail(group, "the store did not take it")
        if ids is None:
            return
        for id_, waiter in zip(ids, group, strict=True):
            self._handover.put(id_, waiter.delivery)
            if not waiter.done.done():
                waiter.done.set_result(None)

    async def _append(self, group: Sequence[_Waiter]) -> list[int] | None:
        """None: nobody may be told that it is stored. After a time limit it may be all the same: folding it twice changes nothing."""
        try:
            async with asyncio.timeout(self._append_seconds):
                return await self._store.append([each.delivery for each in group])
        except (StoreUnavailable, TimeoutError) as fault:
            _log.warning("deliveries not stored", deliveries=len(group), error=str(fault)[:256] or "time limit")
            if isinstance(fault, TimeoutError):  # it may be committed all the same
                self._handover.miss()
            return None


def _fail(waiters: Sequence[_Waiter], reason: str) -> None:
    for each in waiters:
        if not each.done.done():
            each.done.set_exception(NotDurable(reason))
