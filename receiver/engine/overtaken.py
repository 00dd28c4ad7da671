"""Statements that were true and are no longer: delivered late, again, or after the one that ended them.

Law: only for senders that tell each change once and date it (`Alert.ordered`): there an older "it fires" is no repeat, which would mean
that it fires still. What `dedup.fold` cannot see is seen here: an end that came first and had nothing to end, and an incident that is
closed. The memory of ends is bounded and lost at a restart; then asking the sender heals what came in the wrong order. Held by the batch
folder.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime

from receiver.core.model import Alert, AlertRecord
from receiver.engine.folding import Identity, Judged

MOST = 20_000
"""Ends remembered."""

Pairs = Sequence[tuple[Alert, Judged]]


class Overtaken:
    """Drops them."""

    def __init__(self) -> None:
        self._ended: OrderedDict[Identity, datetime] = OrderedDict()

    def without_ended(self, alerts: Pairs) -> Pairs:
        """In the order of arrival: without what began before an end that is known."""
        return [pair for pair in alerts if self._stands(pair[0])]

    async def without_closed(
        self,
        alerts: Pairs,
        held: Collection[str],
        *,
        newest_closed: Callable[[Collection[str]], Awaitable[dict[str, int]]],
        records_of: Callable[[int], Awaitable[Sequence[AlertRecord]]],
    ) -> Pairs:
        """Without what is no newer than the closed incident that held it. `held`: as `FoldStore.open_incidents` names alerts."""
        doubtful = {judged.key for alert, judged in alerts if _begins(alert) and f"alert:{alert.source}:{alert.fingerprint}" not in held}
        if not doubtful:
            return alerts
        closed = await newest_closed(sorted(doubtful))
        last = {_identity(each.alert): each.alert.starts_at for id_ in sorted(set(closed.values())) for each in await records_of(id_)}
        return [(alert, judged) for alert, judged in alerts if not (_begins(alert) and _old(alert, last.get(_identity(alert))))]

    def _stands(self, alert: Alert) -> bool:
        identity = _identity(alert)
        if _begins(alert):
            return not _old(alert, self._ended.get(identity))
        if alert.ordered and not alert.unproven:
            self._ended[identity] = max(alert.starts_at, self._ended.get(identity, alert.starts_at))
            self._ended.move_to_end(identity)
            while len(self._ended) > MOST:
                self._ended.popitem(last=False)
        return True


def _begins(alert: Alert) -> bool:
    """It says that it fires, and was delivered: what was asked for is as new as the question."""
    return alert.ordered and alert.ends_at is None and not alert.found


def _old(alert: Alert, last: datetime | None) -> bool:
    return last is not None and alert.starts_at <= last


def _identity(alert: Alert) -> Identity:
    return alert.source, alert.fingerprint
