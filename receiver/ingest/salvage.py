"""What can be saved of a body that is not just what Alertmanager sends: foreign senders, custom payloads, damaged or hostile ones.

Law: one bad alert never hides its neighbours. The good ones are kept; each bad one becomes a `Rejected` that names its path; only a body
that is no delivery at all is a `Refusal`. An odd envelope makes its alerts untrusted: paged, never acted on. Called by the sources,
each with what is its own (`Shape`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import msgspec

from receiver.core.model import Alert, Batch, Refusal, Rejected
from receiver.ingest.jsonbody import DEPTH_LIMIT, NotJson, Repeated, decode, kind, repaired, show, too_deep
from receiver.ingest.statement import Reading, Status, Unreadable, build

TRUNCATED_LIMIT = 2**31
VERSION_LIMIT = 64
TIME_LIMIT = 64
"""Characters; RFC 3339 needs 35."""


@dataclass(frozen=True, slots=True)
class Shape:
    """In what senders of Alertmanager's shape differ."""

    version: str = "4"
    complete: Callable[[Alert, Mapping[str, object]], Alert | None] = lambda alert, _: alert
    """From what was read of an element to the alert; None: it says nothing to anybody. Total: it never raises."""


ALERTMANAGER = Shape()


@dataclass(frozen=True, slots=True)
class _Envelope:
    """The names of the body, and what is odd about them."""

    values: dict[str, object]
    rejected: tuple[Rejected, ...] = ()


def salvage(body: bytes, reading: Reading, *, alerts_limit: int, shape: Shape = ALERTMANAGER) -> Batch | Refusal:
    """Total. `reading` says what is known before the body is read."""
    envelope = _envelope(body)
    if isinstance(envelope, Refusal):
        return envelope
    elements = _elements(envelope)
    if isinstance(elements, Refusal):
        return elements
    odd_version = _odd_version(envelope.values, shape.version)
    truncated, doubts = _truncated(envelope)
    beyond = max(0, len(elements) - alerts_limit)
    here = replace(reading, truncated=truncated != 0 or beyond > 0, doubt=_doubt(odd_version, doubts))
    read = [_element(each, index, here, shape) for index, each in enumerate(elements[:alerts_limit])]
    alerts = tuple(each for each in read if isinstance(each, Alert))
    rejected = (*doubts, *(each for each in read if isinstance(each, Rejected)), *_left_out(beyond, alerts_limit))
    usable = any(not isinstance(each, Rejected) for each in read)
    return Batch(alerts=alerts, rejected=rejected, truncated=max(truncated, 0) + beyond, odd_version=odd_version, usable=usable)


def _envelope(body: bytes) -> _Envelope | Refusal:
    try:
        document = decode(body)
    except NotJson as bad:
        return Refusal(path="body", reason=str(bad))
    if isinstance(document, dict):
        return _Envelope(document)
    if not isinstance(document, Repeated):
        return Refusal(path="body", reason=f"an object was expected, found {kind(document)}")
    if "alerts" in document.names:
        return Refusal(path="alerts", reason="stands more than once")
    names = ", ".join(_shown(each) for each in document.names[:5])
    return _Envelope(dict(document.pairs), (Rejected(path="body", reason=f"names stand more than once: {names}", raw=""),))


def _elements(envelope: _Envelope) -> list[object] | Refusal:
    if "alerts" not in envelope.values:
        return Refusal(path="alerts", reason="missing")
    elements = envelope.values["alerts"]
    if not isinstance(elements, list):
        return Refusal(path="alerts", reason=f"a list was expected, found {kind(elements)}")
    if all(isinstance(each, dict) and "labels" not in each for each in elements):
        return Refusal(path="alerts", reason="no element has labels")
    return elements


def _left_out(count: int, limit: int) -> tuple[Rejected, ...]:
    """Those beyond the limit: one sentence for all, because they are too many to be read one by one."""
    if not count:
        return ()
    return (Rejected(path=f"alerts[{limit}]", reason=f"{count} alerts from here on are beyond the limit of {limit}", raw=""),)


def _odd_version(values: dict[str, object], known: str) -> str | None:
    """The version where it is not one that we know. Some senders leave it out, some write a number."""
    version = values.get("version", known)
    if version == known or (type(version) is int and str(version) == known):
        return None
    if isinstance(version, str):
        return repaired(version[:VERSION_LIMIT])
    return str(version) if type(version) is int else kind(version)


def _doubt(odd_version: str | None, doubts: tuple[Rejected, ...]) -> str:
    """Why the alerts are not trusted; empty: they are."""
    version = [] if odd_version is None else [f"payload version {odd_version!r} is not known"]
    return "; ".join((*version, *(f"{each.path}: {each.reason}" for each in doubts)))


def _truncated(envelope: _Envelope) -> tuple[int, tuple[Rejected, ...]]:
    """How many the sender left out (-1: it says something, but not what), and the doubts about the envelope."""
    told = envelope.values.get("truncatedAlerts", 0)
    if type(told) is int and 0 <= told <= TRUNCATED_LIMIT:
        return told, envelope.rejected
    reason = f"a count from 0 to {TRUNCATED_LIMIT} was expected, found {'another number' if isinstance(told, int | float) else kind(told)}"
    return -1, (*envelope.rejected, Rejected(path="truncatedAlerts", reason=reason, raw=""))


def _element(element: object, index: int, reading: Reading, shape: Shape) -> Alert | Rejected | None:
    path = f"alerts[{index}]"
    if too_deep(element):
        return Rejected(path=path, reason=f"nested deeper than {DEPTH_LIMIT}", raw="")
    try:
        return _alert(element, reading, shape)
    except Unreadable as bad:
        return Rejected(path=f"{path}.{bad.path}" if bad.path else path, reason=bad.reason, raw=show(element))


def _alert(element: object, reading: Reading, shape: Shape) -> Alert | None:
    if isinstance(element, Repeated):
        raise Unreadable("", f"names stand more than once: {', '.join(_shown(each) for each in element.names[:5])}")
    if not isinstance(element, dict):
        raise Unreadable("", f"an object was expected, found {kind(element)}")
    if "labels" not in element:
        raise Unreadable("labels", "missing")
    annotations = element.get("annotations")
    alert = build(
        reading,
        _status(element.get("status")),
        labels=_pairs(element["labels"], "labels"),
        annotations={} if annotations is None else _pairs(annotations, "annotations"),
        starts=_time(element.get("startsAt"), "startsAt"),
        ends=_time(element.get("endsAt"), "endsAt"),
        generator_url=address(element.get("generatorURL")),
    )
    return shape.complete(alert, element)


def _status(value: object) -> Status:
    if value is None:
        return Status.missing
    if not isinstance(value, str):
        raise Unreadable("status", f"a string was expected, found {kind(value)}")
    return Status(value) if value in ("firing", "resolved") else Status.unknown


def _pairs(value: object, path: str) -> dict[str, str]:
    if isinstance(value, Repeated):
        raise Unreadable(path, f"names stand more than once: {', '.join(_shown(each) for each in value.names[:5])}")
    if not isinstance(value, dict):
        raise Unreadable(path, f"an object was expected, found {kind(value)}")
    for name, text in value.items():
        if not isinstance(text, str):
            raise Unreadable(path, f"the value of {_shown(name)} is {kind(text)}, a string was expected")
        if not (storable(name) and storable(text)):
            raise Unreadable(path, f"{_shown(name)} holds NUL or half a surrogate pair")
    return value


def _time(value: object, path: str) -> datetime | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise Unreadable(path, f"a time as 2026-11-20T12:00:00Z was expected, found {kind(value)}")
    try:
        return msgspec.convert(value[:TIME_LIMIT], datetime)  # the fast path's reading of RFC 3339, nanoseconds rounded to microseconds
    except ValueError:
        raise Unreadable(path, f"{_shown(value)} is no time as 2026-11-20T12:00:00Z") from None


def address(value: object) -> str:
    """Text fit for the store, or nothing: of what nobody needs."""
    return value if isinstance(value, str) and storable(value) else ""


def storable(text: str) -> bool:
    """Without NUL and lone surrogates, which no database and no encoder takes."""
    if "\0" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(text: str) -> str:
    return ascii(text[:64])
