"""The short way from intake to folder: deliveries that are committed and already parsed, kept in memory, within bounds.

Law: nothing here is the only copy. What does not fit is left to the inbox (`missed`), and the folder reads it from there, so order is
kept and memory is bounded whatever comes. One loop, one writer (intake), one reader (folder).
"""

from __future__ import annotations

import asyncio
from collections import deque

from receiver.ports import Delivery

Item = tuple[int, Delivery]
"""Inbox id and delivery."""


class Handover:
    """Bounded by alerts and by bytes of raw bodies; counts the inbox rows that are not folded yet."""

    def __init__(self, *, max_alerts: int = 20_000, max_bytes: int = 32 << 20) -> None:
        self._max_alerts = max_alerts
        self._max_bytes = max_bytes
        self._items: deque[Item] = deque()
        self._alerts = 0
        self._bytes = 0
        self._some = asyncio.Event()
        self.backlog = 0
        """Inbox rows that are not folded: set by the folder from the store, then kept by both."""
        self.missed = False
        """Something committed is not in here: read the inbox."""

    def put(self, id_: int, delivery: Delivery) -> None:
        """Takes a committed delivery, or notes that it was missed. After a miss all are missed until the folder has caught up: order."""
        self.backlog += 1
        self._some.set()
        size = len(delivery.body)
        if self.missed or (self._items and (self._alerts >= self._max_alerts or self._bytes + size > self._max_bytes)):
            self.missed = True
            return
        self._items.append((id_, delivery))
        self._alerts += len(delivery.batch.alerts)
        self._bytes += size

    def take(self, *, deliveries: int, alerts: int) -> list[Item]:
        """The oldest ones: at least one if there is any, then as many as both limits allow."""
        taken: list[Item] = []
        left = alerts
        while self._items and len(taken) < deliveries:
            size = len(self._items[0][1].batch.alerts)
            if taken and size > left:
                break
            item = self._items.popleft()
            taken.append(item)
            left -= size
            self._alerts -= size
            self._bytes -= len(item[1].body)
        return taken

    def forget(self) -> None:
        """Lets go of everything: the inbox has it."""
        self._items.clear()
        self._alerts = self._bytes = 0
        self.missed = True

    def miss(self) -> None:
        """Something may have been committed that nobody can put here: the folder looks."""
        self.missed = True
        self._some.set()

    def folded(self, rows: int) -> None:
        """So many inbox rows are done."""
        self.backlog = max(0, self.backlog - rows)

    async def wait(self) -> None:
        """Until something was put since the last wait."""
        if not self._items and not self.missed:
            self._some.clear()
            await self._some.wait()
