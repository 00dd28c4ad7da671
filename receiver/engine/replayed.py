"""Deliveries that whoever captured them may send again, for ever: their signature is over the body alone, and tells no time.

Law: fail open for paging, fail closed for acting. What begins no later than what is over already may be the sender's own repeat (after a
person's close that has to page again) or a stranger's: nothing tells them apart, so it pages, and is never acted on. A repeat of what
fires still is neither, and changes nothing. Called by the batch folder, for the sources that configuration names.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from receiver.core.model import Alert
from receiver.engine.folding import Identity, Judged
from receiver.ports import CaseRows, OpenIncident

WHY = "an old delivery may have been sent again: it began before the last of its kind was over, and no time is signed with it"

Pairs = Sequence[tuple[Alert, Judged]]


@dataclass(slots=True)
class _Known:
    """What one batch is compared with: starts no later than these are old."""

    firing: set[Identity] = field(default_factory=set)
    over: dict[Identity, datetime] = field(default_factory=dict)
    """In an open incident, or in this batch."""
    closed: dict[str, CaseRows] = field(default_factory=dict)
    """Key → the newest closed incident."""

    def learn(self, alert: Alert) -> None:
        """It was just said to be over."""
        identity = _identity(alert)
        self.firing.discard(identity)
        self.over[identity] = max(alert.starts_at, self.over.get(identity, alert.starts_at))

    def old(self, alert: Alert, key: str) -> bool:
        """Whether it may be a replay."""
        identity = _identity(alert)
        if identity in self.firing:
            return False
        lasts = (self.over.get(identity), self._closed(key, identity))
        return any(alert.starts_at <= each for each in lasts if each is not None)

    def _closed(self, key: str, identity: Identity) -> datetime | None:
        """Its last start there. What that incident did not hold may have been of an older one: then its close is all we know."""
        rows = self.closed.get(key)
        if rows is None:
            return None
        starts = [each.alert.starts_at for each in rows.alerts if _identity(each.alert) == identity]
        return max(starts, default=rows.incident.closed_at)


async def doubted(
    alerts: Pairs,
    found: Mapping[str, OpenIncident],
    sources: Collection[str],
    *,
    newest_closed: Callable[[Collection[str]], Awaitable[dict[str, int]]],
    load: Callable[[int], Awaitable[CaseRows | None]],
) -> Pairs:
    """The same statements; those of `sources` that may be replays are for people only. `found`: as `FoldStore.open_incidents` answers."""
    known = _Known()
    for each in found.values():
        for identity, record in each.records.items():
            if record.firing:
                known.firing.add(identity)
            else:
                known.over[identity] = record.alert.starts_at
    beginning = {judged.key for alert, judged in alerts if _begins(alert, sources) and _identity(alert) not in known.firing}
    closed = await newest_closed(sorted(beginning)) if beginning else {}
    loaded = {incident_id: await load(incident_id) for incident_id in sorted(set(closed.values()))}
    known.closed = {key: rows for key, incident_id in closed.items() if (rows := loaded[incident_id]) is not None}
    return [(_told(alert, judged, known, sources), judged) for alert, judged in alerts]


def _told(alert: Alert, judged: Judged, known: _Known, sources: Collection[str]) -> Alert:
    """In the order of arrival."""
    if alert.ends_at is not None:
        if not alert.unproven:
            known.learn(alert)
    elif _begins(alert, sources) and known.old(alert, judged.key):
        return replace(alert, page_only=alert.page_only or WHY)
    return alert


def _begins(alert: Alert, sources: Collection[str]) -> bool:
    return alert.ends_at is None and alert.source in sources


def _identity(alert: Alert) -> Identity:
    return alert.source, alert.fingerprint
