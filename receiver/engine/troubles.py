"""Reports about ourselves, thinned out: one delivery per kind and subject a minute, whatever the storm of reports.

Law: `report` never blocks and never raises; the last word of a kind and subject wins; what could not be stored is tried again. Held by
`GroupCommitIntake`, whose `run` drives it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from receiver.engine.own_source import delivery_of
from receiver.ports import Clock, Delivery, NotDurable, OwnTrouble, TroubleKind

_log = structlog.get_logger("receiver.engine")

Key = tuple[TroubleKind, str]

REPEAT_EVERY = timedelta(minutes=1)
RETRY_SECONDS = 1.0
MOST = 1_000
"""Kinds times subjects that are remembered or wait; subjects are configuration, except overdue incidents' numbers."""


@dataclass(frozen=True, slots=True)
class _Sent:
    at: float
    """Monotonic."""
    since: datetime | None
    """When the trouble began, as told; None: told that it is over."""


class Troubles:
    """Waiting and sent reports, each at most `MOST`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: OrderedDict[Key, OwnTrouble] = OrderedDict()
        self._sent: OrderedDict[Key, _Sent] = OrderedDict()
        self._some = asyncio.Event()

    def report(self, trouble: OwnTrouble) -> None:
        """Remembers it for `run`. Over capacity the newest is dropped and logged: the first thousand are trouble enough."""
        key = (trouble.kind, trouble.subject)
        if key not in self._waiting and len(self._waiting) >= MOST:
            _log.error("own trouble dropped: too many wait", kind=trouble.kind.value)
            return
        self._waiting[key] = trouble
        self._some.set()

    async def run(self, accept: Callable[[Delivery], Awaitable[None]]) -> None:
        """Stores what is due; while something waits for its minute or for the store, looks again each second."""
        while True:
            await self._some.wait()
            self._some.clear()
            await self._send_due(accept)
            if self._waiting:
                await self._clock.sleep(RETRY_SECONDS)
                self._some.set()

    async def _send_due(self, accept: Callable[[Delivery], Awaitable[None]]) -> None:
        for key in [each for each in self._waiting if self._due(each)]:
            trouble = self._waiting.pop(key)
            delivery = delivery_of(trouble, since=self._clock.now() if trouble.anew else self._since(key), now=self._clock.now())
            try:
                await accept(delivery)
            except NotDurable as no:
                _log.warning("own trouble not stored yet", kind=trouble.kind.value, reason=no.reason)
                self._waiting.setdefault(key, trouble)  # a newer word may have come in between: it wins
                return
            self._remember(key, trouble, since=delivery.batch.alerts[0].starts_at)

    def _due(self, key: Key) -> bool:
        sent = self._sent.get(key)
        return sent is None or self._clock.monotonic() - sent.at >= REPEAT_EVERY.total_seconds()

    def _since(self, key: Key) -> datetime:
        sent = self._sent.get(key)
        return sent.since if sent is not None and sent.since is not None else self._clock.now()

    def _remember(self, key: Key, trouble: OwnTrouble, *, since: datetime) -> None:
        self._sent[key] = _Sent(self._clock.monotonic(), None if trouble.over else since)
        self._sent.move_to_end(key)
        while len(self._sent) > MOST:
            self._sent.popitem(last=False)
