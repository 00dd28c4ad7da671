"""What an Alertmanager knows to be firing, as alerts of the source that it delivers to.

Law: the same alert has the same identity whether it is delivered or listed, because the same parser reads both. Listed and `active` is
firing; silenced, inhibited, muted or not processed yet is neither firing nor over. It forgets at a restart and never lists what is
resolved: from absence nothing follows (`protocols.md` 1.4, 1.9). Asked by `engine.reconcile`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime

from receiver.clients.alertmanager import Alertmanager, KnownAlert, KnownAlerts
from receiver.clients.errors import ClientError, ErrorKind
from receiver.core.model import Alert, AlertRecord, Refusal
from receiver.ports import Listing, ListingFailed, Source

AT_ONCE = 500
"""Alerts parsed as one delivery, far below the limit of any."""
_ZERO = "0001-01-01T00:00:00Z"


class AlertmanagerList:
    """Implements `receiver.ports.FiringList`."""

    name = "alertmanager"

    def __init__(self, client: Alertmanager, source: Source, *, receivers: Collection[str] = ()) -> None:
        """`receivers`: those of its configuration that deliver to us; empty: all."""
        self.source = source.name
        self._client = client
        self._parser = source
        self._receivers = frozenset(receivers)

    def covers(self, alert: Alert) -> bool:
        """All of its source: an Alertmanager is one."""
        return alert.source == self.source

    async def ask(self, now: datetime, held: Mapping[str, AlertRecord]) -> Listing:  # noqa: ARG002 (it lists what fires, whatever we hold)
        """Two questions: the list, and where something is active, which groups are muted by a time interval."""
        try:
            known = await self._client.alerts()
            ours = [each for each in known.alerts if self._ours(each)]
            muted = await self._muted() if any(each.status.state == "active" for each in ours) else frozenset[str]()
        except ClientError as no:
            raise ListingFailed(str(no)) from no
        return await asyncio.to_thread(self._listing, known, ours, muted, now=now)

    def _ours(self, alert: KnownAlert) -> bool:
        return not self._receivers or any(each.name in self._receivers for each in alert.receivers)

    async def _muted(self) -> frozenset[str]:
        """By its own fingerprints: what each of our receivers is not told just now, for the time of the day."""
        try:
            grouped = await self._client.grouped()
        except ClientError as no:
            if no.kind is ErrorKind.not_found:  # something that serves the list alone
                return frozenset()
            raise
        ours = [each for each in grouped if not self._receivers or each.receiver in self._receivers]
        told = {each.alert.fingerprint for each in ours if not each.alert.status.mutedBy}
        return frozenset(each.alert.fingerprint for each in ours) - told

    def _listing(self, known: KnownAlerts, ours: Sequence[KnownAlert], muted: Collection[str], *, now: datetime) -> Listing:
        over = [each for each in ours if _over(each, known.at)]
        firing = [each for each in ours if each.status.state == "active" and each.fingerprint not in muted and not _over(each, known.at)]
        taken = {id(each) for each in (*over, *firing)}
        held_back = [each for each in ours if id(each) not in taken]
        return Listing(
            firing=self._read(firing, now, over=False),
            over=self._read(over, now, over=True),
            held_back=frozenset(each.fingerprint for each in self._read(held_back, now, over=False)),
            foreign=len(known.alerts) - len(ours),
        )

    def _read(self, alerts: Sequence[KnownAlert], now: datetime, *, over: bool) -> tuple[Alert, ...]:
        """By the parser of deliveries; what it cannot read is left out, as it would be there."""
        found: list[Alert] = []
        for at in range(0, len(alerts), AT_ONCE):
            batch = self._parser.parse(_delivery(alerts[at : at + AT_ONCE], over=over), now)
            if isinstance(batch, Refusal):
                raise ListingFailed(f"{batch.path}: {batch.reason}")
            found += batch.alerts
        return tuple(found)


def _over(alert: KnownAlert, at: datetime | None) -> bool:
    """By the sender's own clock: of what fires, the end lies in its future."""
    return at is not None and alert.endsAt.year > 1 and alert.endsAt.tzinfo is not None and alert.endsAt <= at


def _delivery(alerts: Sequence[KnownAlert], *, over: bool) -> bytes:
    """The list as the webhook would have told it."""
    told = [
        {
            "status": "resolved" if over else "firing",
            "labels": each.labels,
            "annotations": each.annotations,
            "startsAt": each.startsAt.isoformat(),
            "endsAt": each.endsAt.astimezone(UTC).isoformat() if over else _ZERO,
            "generatorURL": each.generatorURL,
            "fingerprint": each.fingerprint,
        }
        for each in alerts
    ]
    return json.dumps({"version": "4", "status": "firing", "alerts": told, "truncatedAlerts": 0}).encode()
