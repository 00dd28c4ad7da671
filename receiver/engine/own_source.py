"""Our own troubles as deliveries: `OwnTrouble` → body → alert, so that they go through the same inbox as everybody's.

Owns the body's format; it must stay readable, for a restart parses it again. Called by `troubles` (writing) and the folder (reading).
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

from receiver.core.dedup import fingerprint, plain
from receiver.core.model import OWN_SOURCE, Alert, Batch, Refusal
from receiver.core.rules import OWN_ALERTNAME
from receiver.ports import Delivery, OwnTrouble, TroubleKind

DETAIL_LIMIT = 1_000


def delivery_of(trouble: OwnTrouble, *, since: datetime, now: datetime) -> Delivery:
    """`since` is when it began; a trouble that is over ends now."""
    said = {
        "kind": trouble.kind.value,
        "subject": plain(trouble.subject),
        "detail": plain(trouble.detail, limit=DETAIL_LIMIT),
        "since": since.isoformat(),
        "until": now.isoformat() if trouble.over else None,
    }
    body = json.dumps(said, sort_keys=True).encode()
    batch = OwnSource().parse(body, now)
    assert isinstance(batch, Batch)  # noqa: S101 - we wrote it one line above
    return Delivery(source=OWN_SOURCE, received_at=now, body=body, batch=batch)


class OwnSource:
    """Implements `receiver.ports.Source`."""

    name = OWN_SOURCE

    def parse(self, body: bytes, received_at: datetime) -> Batch | Refusal:
        """Reads what `delivery_of` wrote."""
        try:
            said = json.loads(body)
            return Batch(alerts=(_alert(said, received_at),))
        except (ValueError, TypeError, KeyError, RecursionError) as bad:
            return Refusal(path="", reason=f"not a trouble of ours: {plain(str(bad), limit=200)}")


def _alert(said: dict[str, str | None], received_at: datetime) -> Alert:
    labels = {"alertname": OWN_ALERTNAME, "kind": TroubleKind(str(said["kind"])).value, "subject": str(said["subject"] or "")}
    until = said["until"]
    return Alert(
        source=OWN_SOURCE,
        fingerprint=fingerprint(OWN_SOURCE, labels),
        labels=labels,
        annotations={"detail": str(said["detail"] or "")},
        starts_at=_time(str(said["since"])),
        ends_at=_time(until) if until is not None else None,
        received_at=received_at,
    )


def _time(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
