"""Alertmanager's webhook, version 4 (https://prometheus.io/docs/alerting/latest/configuration/#webhook_config).

Law: `parse` is pure and total. What Alertmanager itself sends takes a fast path, typed decoding that accepts exactly its shape; everything
else is salvaged element by element. Both say the same of the same body. Identity is computed here, from source and labels; the
sender's fingerprint, group key and addresses are never believed. Called by the door, and by the folder for what a restart left over.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from receiver.core.model import Alert, Batch, Refusal
from receiver.ingest.jsonbody import PARTS_LIMIT
from receiver.ingest.salvage import TRUNCATED_LIMIT, salvage
from receiver.ingest.statement import Reading, Status, Unreadable, build, surely_readable
from receiver.ingest.unbuilt import Unbuilt

REPLICA_LABELS = ("prometheus_replica", "replica")
"""Labels in which the two Prometheus of a pair differ: left out of the identity unless the configuration says otherwise."""

ALERTS_LIMIT = 10_000

LATER_LIMIT = 100
"""So many alerts are built when the folder looks at them: 60 us for four, twice the rest of the parse. More would stop the loop at once;
a body so large is parsed, and built, in a thread."""


class _Alert(Struct, gc=False):
    """An alert with exactly the names that Alertmanager gives it."""

    status: Literal["firing", "resolved"]
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: datetime = msgspec.field(name="startsAt")
    ends_at: datetime = msgspec.field(name="endsAt")
    generator_url: str = msgspec.field(name="generatorURL")
    fingerprint: str


class _Delivery(Struct, gc=False):
    """A body with exactly the names that Alertmanager gives it."""

    receiver: str
    status: str
    alerts: list[_Alert]
    group_labels: dict[str, str] = msgspec.field(name="groupLabels")
    common_labels: dict[str, str] = msgspec.field(name="commonLabels")
    common_annotations: dict[str, str] = msgspec.field(name="commonAnnotations")
    external_url: str = msgspec.field(name="externalURL")
    version: Literal["4"]
    group_key: str = msgspec.field(name="groupKey")
    truncated: Annotated[int, Meta(ge=0, le=TRUNCATED_LIMIT)] = msgspec.field(name="truncatedAlerts")
    notification_reason: str | UnsetType = UNSET  # since 0.32
    route_labels: dict[str, str] | UnsetType = msgspec.field(name="routeLabels", default=UNSET)  # since 0.34


_DECODER = msgspec.json.Decoder(_Delivery)

_ENVELOPE_STRINGS = 15
"""Ten names that are always there, and the values of receiver, status, externalURL, version, groupKey."""
_ALERT_STRINGS = 12
"""Seven names, and the values of status, startsAt, endsAt, generatorURL, fingerprint."""


class AlertmanagerSource:
    """Implements `receiver.ports.Source`."""

    def __init__(self, name: str, *, replica_labels: Collection[str] = REPLICA_LABELS, alerts_limit: int = ALERTS_LIMIT) -> None:
        self.name = name
        self._ignored = frozenset(replica_labels)
        self._limit = alerts_limit

    def parse(self, body: bytes, received_at: datetime) -> Batch | Refusal:
        """Pure and total. `received_at` stands in for times that the sender leaves out."""
        reading = Reading(self.name, self._ignored, received_at)
        read = _typed(body)
        if read is None or len(read.alerts) > self._limit:
            return salvage(body, reading, alerts_limit=self._limit)
        if len(read.alerts) <= LATER_LIMIT and all(map(_surely_readable, read.alerts)):
            return Batch(alerts=self._unbuilt(read, received_at), truncated=read.truncated)
        try:
            return Batch(alerts=self._built(read, received_at), truncated=read.truncated)
        except Unreadable:  # one of them: salvaging tells which, and keeps the others
            return salvage(body, reading, alerts_limit=self._limit)

    def _unbuilt(self, read: _Delivery, received_at: datetime) -> Unbuilt:
        resolved = len([each for each in read.alerts if each.status == "resolved"])
        return Unbuilt(lambda: self._built(read, received_at), count=len(read.alerts), resolved=resolved)

    def _built(self, read: _Delivery, received_at: datetime) -> tuple[Alert, ...]:
        reading = Reading(self.name, self._ignored, received_at, truncated=read.truncated > 0)
        return tuple(
            [
                build(
                    reading,
                    Status.firing if each.status == "firing" else Status.resolved,
                    labels=each.labels,
                    annotations=each.annotations,
                    starts=each.starts_at,
                    ends=each.ends_at,
                    generator_url=each.generator_url,
                )
                for each in read.alerts
            ]
        )


def _surely_readable(alert: _Alert) -> bool:
    return surely_readable(alert.labels, alert.annotations, alert.starts_at, alert.ends_at)


def _typed(body: bytes) -> _Delivery | None:
    """The body, if it is exactly of Alertmanager's shape; None: look closer.

    The decoder takes the last of two equal names, and skips names that it does not know, silently. Both leave strings in the body that
    the decoded value does not account for, so counting the strings of both tells.
    """
    if len(body) > PARTS_LIMIT and body.count(b",") + body.count(b"{") + body.count(b"[") > PARTS_LIMIT:
        return None
    try:
        read = _DECODER.decode(body)
    except (ValueError, RecursionError):  # msgspec's errors and UnicodeDecodeError are ValueErrors
        return None
    return read if read.alerts and _strings_of(read) == _strings_in(body) else None


def _strings_in(body: bytes) -> int:
    """How many strings a valid JSON text holds: each has two quotes that are not escaped. -1: it holds NUL, which no database takes.

    Split at the backslashes, because looking for one byte is several times faster than looking for two.
    """
    parts = body.split(b"\\")
    escaped = [part[:1] for part in parts]
    if b"" in escaped[1:]:  # an escaped backslash: taken out from left to right, as JSON reads, it leaves only what escapes something else
        body = body.replace(b"\\\\", b"")
        parts = body.split(b"\\")
        escaped = [part[:1] for part in parts]
    if b"u" in escaped and any(part.startswith(b"u0000") for part in parts[1:]):
        return -1
    return (body.count(b'"') - escaped[1:].count(b'"')) // 2


def _strings_of(read: _Delivery) -> int:
    """How many strings the body must have held for `read` to be all that it says."""
    pairs = len(read.group_labels) + len(read.common_labels) + len(read.common_annotations)
    count = _ENVELOPE_STRINGS + _ALERT_STRINGS * len(read.alerts)
    if read.notification_reason is not UNSET:
        count += 2
    if not isinstance(read.route_labels, UnsetType):
        count += 1
        pairs += len(read.route_labels)
    for each in read.alerts:
        pairs += len(each.labels) + len(each.annotations)
    return count + 2 * pairs
