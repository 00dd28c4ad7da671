"""From the inbox to incidents: takes rows batch by batch, and sees to it that each leaves the inbox folded or quarantined.

Law: nothing is dropped, whatever fails. A row that cannot be folded stands aside alone (a batch is halved until it is found), is shown
and paged, and the others go on. The store being away ends `run`; the next start reads the inbox from its oldest row, first one by one:
so a single row that the store for ever refuses is found too. What a batch does is in `batch`; `run` is supervised by `app`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from receiver.engine.batch import BatchFolder, Done, FolderStore, Reading
from receiver.engine.handover import Handover
from receiver.engine.sorting import Row
from receiver.ports import Clock, OwnTrouble, StoreUnavailable, VersionConflict
from receiver.tasks import finish_despite_cancel
from receiver.telemetry.metrics import Metrics

__all__ = ["Folder", "FolderStore", "Reading"]

T = TypeVar("T")

BATCH_DELIVERIES = 256
BATCH_ALERTS = 1_000
"""About 20 ms of the loop's time when all are repeats; one larger delivery is a batch of its own, folded in slices."""

READ_BYTES = 32 << 20
READ_ROWS = 256
"""Of one reading of the inbox: the number of rows follows the size of the last ones, since a body may have 16 MiB."""

TRIES = 3
CONFLICT_TRIES = 8
FIRST_REST_SECONDS = 0.05
SUSPECT_AFTER = 3
"""Runs that ended at one and the same row, before that row and not the store is suspected."""


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
        self._clock = clock
        self._metrics = metrics
        self._batches = BatchFolder(store, reading, clock=clock, wake=wake, report=report, metrics=metrics)
        self._read: set[int] = set()
        """Ids that came from the inbox while intake was handing them over as well."""
        self._read_first = READ_ROWS // 8
        self._suspect = (0, 0)
        """The row at which the last run ended, and how many runs did."""

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
        after, limit = 0, self._read_first
        while stored := await self._store.unfolded(after=after, limit=limit):
            after = stored[-1].id
            self._read.update(each.id for each in stored)
            await finish_despite_cancel(self._fold([Row(each.id, each.source, each.received_at, each.body) for each in stored]))
            size = sum(len(each.body) for each in stored)
            limit = max(1, min(READ_ROWS, 2 * limit, len(stored) * READ_BYTES // max(size, 1)))
        self._read_first = READ_ROWS // 8

    # --- one batch ---

    async def _fold(self, rows: Sequence[Row]) -> None:
        """Folds all of them, or finds those that cannot be folded."""
        try:
            done = await self._persist(lambda: self._batches.fold(rows))
        except (StoreUnavailable, VersionConflict) as fault:
            self._metrics.folds.labels("failed").inc()
            self._read_first = 1
            await self._suspected(rows, fault)
            return
        except Exception as fault:  # boundary: one inbox row that cannot be folded must not hold up the others
            reason = fault
        else:
            self._finish(done)
            return
        if len(rows) == 1:
            await self._set_aside(rows[0], reason)
            return
        middle = len(rows) // 2
        await self._fold(rows[:middle])
        await self._fold(rows[middle:])

    async def _persist(self, commit: Callable[[], Awaitable[T]]) -> T:
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

    def _finish(self, done: Done) -> None:
        self._handover.folded(done.rows)
        self._batches.tell(done)

    async def _set_aside(self, row: Row, fault: Exception) -> None:
        await self._persist(lambda: self._batches.set_aside(row, fault))
        self._handover.folded(1)

    async def _suspected(self, rows: Sequence[Row], fault: StoreUnavailable | VersionConflict) -> None:
        """Raises: the store seems away. But a row alone, at which run after run ends while the store takes other writes, is poison."""
        row = rows[0]
        self._suspect = (row.id, self._suspect[1] + 1 if self._suspect[0] == row.id else 1)
        if len(rows) > 1 or self._suspect[1] < SUSPECT_AFTER:
            raise fault
        await self._store.ping()  # raises where it is the store, and not the row
        try:
            done = await self._batches.fold(rows)
        except (StoreUnavailable, VersionConflict):
            await self._set_aside(row, fault)
        else:
            self._finish(done)
