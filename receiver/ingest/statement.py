"""From the parts of one alert to an `Alert`: limits, times, identity. Shared by every source that speaks Alertmanager's shape.

Law: the same parts give the same alert, however they were decoded, and at any time of day but for what the sender left out. Whatever is
odd here is paged and never acted on (`trusted_shape`); what cannot be read at all raises `Unreadable`, which the caller turns into a
`Rejected`. Texts come in without NUL and lone surrogates.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from receiver.core.dedup import fingerprint
from receiver.core.model import NOTE, Alert

PAIRS_LIMIT = 100
"""Labels of an alert, and annotations. Prometheus allows any number; the widest alert seen in the wild has about 60."""
NAME_LIMIT = 256
TEXT_LIMIT = 16_384
"""Characters of a value that are stored; longer ones are cut and say so."""
URL_LIMIT = 8192
"""A longer address is left out: a cut one leads nowhere."""
FAR = timedelta(days=1)
"""An alert may begin in the future: Alertmanager copies an endsAt that came without startsAt. Never by more than this."""


class Status(StrEnum):
    """What the sender says of one alert."""

    firing = "firing"
    resolved = "resolved"
    missing = "missing"
    """It says nothing: the times tell."""
    unknown = "unknown"
    """A word that is not ours: never read as resolved."""


class Unreadable(Exception):
    """One alert that cannot be read."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Reading:
    """What holds for all alerts of one delivery."""

    source: str
    ignored: frozenset[str]
    """Labels that are no part of the identity."""
    received_at: datetime
    truncated: bool = False
    doubt: str = ""
    """What is odd about the delivery: none of its alerts is trusted. Empty: nothing."""


def build(
    reading: Reading,
    status: Status,
    *,
    labels: dict[str, str],
    annotations: dict[str, str],
    starts: datetime | None,
    ends: datetime | None,
    generator_url: str,
) -> Alert:
    """`starts` and `ends` are None where the sender gives none, and may be Go's zero time. Raises `Unreadable`."""
    identity = _pairs(labels, "labels")
    if "" in identity.values():  # Alertmanager drops them too, before it hashes
        identity = {name: value for name, value in identity.items() if value}
    if not identity:
        raise Unreadable("labels", "no label has a value")
    texts = _pairs(annotations, "annotations")
    starts_at, far_off = _beginning(starts, reading.received_at)
    doubts = [reading.doubt] if reading.doubt else []
    if status is Status.unknown:
        doubts.append("its status is neither firing nor resolved; read as firing")
    if far_off:
        doubts.append(f"startsAt {starts} is no time that an alert can begin at; read as the time of arrival")
    if doubts:
        texts = {**texts, NOTE: "; ".join(doubts)}
    return Alert(
        source=reading.source,
        fingerprint=fingerprint(reading.source, identity, reading.ignored),
        labels=_cut(identity),
        annotations=_cut(texts),
        starts_at=starts_at,
        ends_at=None if status is Status.firing else _end(status, starts_at, ends, reading.received_at),
        received_at=reading.received_at,
        generator_url=generator_url if len(generator_url) <= URL_LIMIT else "",
        trusted_shape=not doubts,
        truncated=reading.truncated,
    )


def surely_readable(labels: dict[str, str], annotations: dict[str, str], starts: datetime, ends: datetime) -> bool:
    """Whether `build` cannot raise for these. False says nothing."""
    return (
        0 < len(labels) <= PAIRS_LIMIT
        and len(annotations) <= PAIRS_LIMIT
        and len("".join(labels)) <= NAME_LIMIT
        and len("".join(annotations)) <= NAME_LIMIT
        and "" not in labels
        and "" not in annotations
        and any(labels.values())
        and starts.tzinfo is not None
        and ends.tzinfo is not None
    )


def _pairs(pairs: dict[str, str], path: str) -> dict[str, str]:
    if len(pairs) > PAIRS_LIMIT:
        raise Unreadable(path, f"{len(pairs)} of them, at most {PAIRS_LIMIT}")
    if "" in pairs:
        raise Unreadable(path, "one has no name")
    if len("".join(pairs)) > NAME_LIMIT and (longest := max(map(len, pairs))) > NAME_LIMIT:  # joining costs a third of looking at each
        raise Unreadable(path, f"a name of {longest} characters, at most {NAME_LIMIT}")
    return pairs


def _cut(pairs: dict[str, str]) -> dict[str, str]:
    if len("".join(pairs.values())) <= TEXT_LIMIT:
        return pairs
    return {
        name: value if len(value) <= TEXT_LIMIT else f"{value[:TEXT_LIMIT]}… [cut: {len(value)} characters]"
        for name, value in pairs.items()
    }


def _beginning(starts: datetime | None, received_at: datetime) -> tuple[datetime, bool]:
    """When it began, and whether that had to be made up because the sender's word is absurd."""
    if starts is None or _zero(starts):
        return received_at, False
    moment = _utc(starts, "startsAt")
    if moment is None or moment > received_at + FAR:
        return received_at, True
    return moment, False


def _end(status: Status, starts_at: datetime, ends: datetime | None, received_at: datetime) -> datetime | None:
    """The status is the sender's word (its clock, not ours, decided it); the time only dates it, and is never after the arrival."""
    moment = None if ends is None or _zero(ends) else _utc(ends, "endsAt")
    if status is Status.missing and moment is not None and moment <= received_at:
        status = Status.resolved
    if status is not Status.resolved:
        return None
    return received_at if moment is None else min(max(moment, starts_at), received_at)


def _zero(moment: datetime) -> bool:
    """Go's zero time, in any offset: converting it to UTC would leave the calendar."""
    return moment.year == 1


def _utc(moment: datetime, path: str) -> datetime | None:
    """None: outside of the calendar."""
    if moment.tzinfo is UTC:
        return moment
    if moment.tzinfo is None:
        raise Unreadable(path, "a time without its offset, as Z or +02:00")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return None
