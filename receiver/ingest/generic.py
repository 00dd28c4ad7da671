"""Any sender of JSON, read by a mapping of the configuration: Sentry, a payment provider, a script.

Law: `parse` is pure and total; one body is one alert. Such an alert is for people only, whatever a rule says: its labels are what a mapping
made of somebody else's words, and nothing in them may aim at anything. What the mapping does not find is never guessed: the delivery is
kept for a person and paged. Called by the door and the folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import msgspec

from receiver.core.dedup import fingerprint
from receiver.core.model import Alert, Batch, Refusal, Rejected
from receiver.ingest.bodypath import BodyPath
from receiver.ingest.jsonbody import DEPTH_LIMIT, NotJson, Repeated, decode, kind, show, too_deep
from receiver.ingest.salvage import TIME_LIMIT
from receiver.ingest.statement import Reading, Status, Unreadable, build

PREFIX = "generic/"
"""Of the sources' names, and of their paths below `/webhook/`."""
TITLE_LIMIT = 1024
WEBHOOK = "webhook"
"""Label that names the webhook, for rules to match."""
MILLISECONDS = 1e11
"""Seconds since 1970 reach it in the year 5138."""
RESERVED = frozenset({"alertname", "severity", WEBHOOK})
"""Labels that the mapping itself makes."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """What stands where."""

    title: BodyPath
    fingerprint: tuple[BodyPath, ...]
    """What makes it the same trouble again."""
    severity: BodyPath | None = None
    status: BodyPath | None = None
    """None: every delivery fires."""
    firing: frozenset[str] = frozenset()
    """Words of `status`; none: all that are not in the other two."""
    resolved: frozenset[str] = frozenset()
    ignored: frozenset[str] = frozenset()
    labels: Mapping[str, BodyPath] = field(default_factory=dict)
    fixed: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, BodyPath] = field(default_factory=dict)
    starts_at: BodyPath | None = None
    url: BodyPath | None = None


class GenericSource:
    """Implements `receiver.ports.Source`."""

    def __init__(self, name: str, mapped: Mapped) -> None:
        """`name` is the webhook's own, as `sentry`."""
        self.name = f"{PREFIX}{name}"
        self._webhook = name
        self._mapped = mapped

    def parse(self, body: bytes, received_at: datetime) -> Batch | Refusal:
        """Pure and total. `received_at` stands in where no beginning is mapped."""
        try:
            document = decode(body)
        except NotJson as bad:
            return Refusal(path="body", reason=str(bad))
        if not isinstance(document, dict | list | Repeated):
            return Refusal(path="body", reason=f"an object or a list was expected, found {kind(document)}")
        if too_deep(document):
            return Refusal(path="body", reason=f"nested deeper than {DEPTH_LIMIT}")
        try:
            alert = self._alert(document, received_at)
        except Unreadable as bad:
            return Batch(alerts=(), rejected=(Rejected(path=bad.path, reason=bad.reason, raw=show(document)),), usable=False)
        return Batch(alerts=() if alert is None else (alert,))

    def _alert(self, document: object, received_at: datetime) -> Alert | None:
        mapped = self._mapped
        word = mapped.status.read(document) if mapped.status is not None else None
        if word is not None and word in mapped.ignored:
            return None
        alert = build(
            Reading(self.name, frozenset(), received_at),
            self._status(word),
            labels=self._labels(document),
            annotations=_read(mapped.annotations, document),
            starts=_time(mapped.starts_at, document),
            ends=None,
            generator_url=(mapped.url.read(document) or "") if mapped.url is not None else "",
        )
        identity = {str(place): each.read(document) or "" for place, each in enumerate(mapped.fingerprint)}
        return replace(alert, fingerprint=fingerprint(self.name, identity), page_only=f"source {self.name} only pages")

    def _status(self, word: str | None) -> Status:
        mapped = self._mapped
        if word is not None and word in mapped.resolved:
            return Status.resolved
        known = word is None or not mapped.firing or word in mapped.firing
        return Status.firing if known else Status.unknown

    def _labels(self, document: object) -> dict[str, str]:
        mapped = self._mapped
        severity = mapped.severity.read(document) if mapped.severity is not None else None
        made = {"alertname": (mapped.title.read(document) or "")[:TITLE_LIMIT], WEBHOOK: self._webhook}
        return {**mapped.fixed, **_read(mapped.labels, document), **({"severity": severity.lower()} if severity else {}), **made}


def _read(paths: Mapping[str, BodyPath], document: object) -> dict[str, str]:
    return {name: text for name, path in paths.items() if (text := path.read(document)) is not None}


def _time(path: BodyPath | None, document: object) -> datetime | None:
    """RFC 3339, or seconds or milliseconds since 1970 as payment providers write them."""
    text = path.read(document) if path is not None else None
    if path is None or text is None:
        return None
    moment = _counted(text) or _written(text)
    if moment is None:
        raise Unreadable(path.text, f"{text[:TIME_LIMIT]!a} is no time as 2026-11-20T12:00:00Z, nor seconds since 1970")
    return moment


def _counted(text: str) -> datetime | None:
    try:
        seconds = float(text)
        return datetime.fromtimestamp(seconds / 1000 if seconds > MILLISECONDS else seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _written(text: str) -> datetime | None:
    try:
        moment = msgspec.convert(text[:TIME_LIMIT], datetime)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None
