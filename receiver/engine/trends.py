"""When the alerts of open incidents began and ended, in short: enough to see a trend without reading an incident's alerts each time.

Law: only a memory. What is not in it is read from the store; what would not fit makes no trend. Held by the folder, one loop.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime

from receiver.core.classify import TREND_WINDOW, rising
from receiver.core.model import Alert, AlertRecord

Identity = tuple[str, str]
Load = Callable[[int], Awaitable[Iterable[AlertRecord]]]
"""Incident id → all its records."""

MOST_ALERTS = 20_000
MOST_OF_ONE = 2_000
"""An incident of so many alerts is a storm already; counting it over and over would hold up the others."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Trends:
    """Records without their text, per incident; the incident that was asked for longest ago goes first."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._known: OrderedDict[int, dict[Identity, AlertRecord]] = OrderedDict()
        self._alerts = 0

    def note(self, incident_id: int, records: Iterable[AlertRecord]) -> None:
        """Keeps up with an incident that is remembered; another one is read when it is asked for."""
        known = self._known.get(incident_id)
        if known is None:
            return
        self._alerts -= len(known)
        for record in records:
            known[record.alert.source, record.alert.fingerprint] = _short(record)
        self._alerts += len(known)

    async def rising(self, incident_id: int, records: Iterable[AlertRecord], *, accepted_at: datetime, now: datetime) -> bool:
        """`records` are new or changed and perhaps not stored yet."""
        if now - accepted_at <= TREND_WINDOW:  # nothing fired in the window before this one: no trend, and nothing to read
            return False
        known = await self._of(incident_id)
        self.note(incident_id, records)
        self._forget()
        return len(known) <= MOST_OF_ONE and rising(known.values(), now)

    async def _of(self, incident_id: int) -> dict[Identity, AlertRecord]:
        if incident_id not in self._known:
            loaded = await self._load(incident_id)
            self._known[incident_id] = {(each.alert.source, each.alert.fingerprint): _short(each) for each in loaded}
            self._alerts += len(self._known[incident_id])
        self._known.move_to_end(incident_id)
        return self._known[incident_id]

    def _forget(self) -> None:
        while self._alerts > MOST_ALERTS and len(self._known) > 1:
            _, gone = self._known.popitem(last=False)
            self._alerts -= len(gone)


def _short(record: AlertRecord) -> AlertRecord:
    alert = record.alert
    bare = Alert(alert.source, alert.fingerprint, {}, {}, starts_at=_EPOCH, ends_at=None, received_at=_EPOCH)
    return AlertRecord(alert=bare, rule="", first_at=record.first_at, resolved_at=record.resolved_at)
