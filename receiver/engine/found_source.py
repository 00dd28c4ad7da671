"""What was found by asking a sender, as a delivery: so that it goes through the same inbox as what was delivered.

Owns the body's format; it must stay readable, for a restart parses it again. Written by `reconcile`, read by the folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import msgspec

from receiver.core.dedup import plain
from receiver.core.model import Alert, Batch, Refusal
from receiver.ports import Delivery

FOUND_SOURCE = "reconcile"
"""Of the delivery; its alerts bear the source that they come from."""

_DECODER = msgspec.json.Decoder(list[Alert])
_ENCODER = msgspec.json.Encoder(order="deterministic")


def found(alert: Alert, *, asked_at: datetime) -> Alert:
    """The statement as one that was asked for; what was accepted after `asked_at` is newer. What is over was over by then."""
    ends_at = None if alert.ends_at is None else min(alert.ends_at, asked_at)
    return replace(alert, received_at=asked_at, ends_at=ends_at, found=True)


def delivery_of(alerts: Sequence[Alert], *, asked_at: datetime) -> Delivery:
    """Of `found` ones. Their texts hold no lone surrogate."""
    return Delivery(source=FOUND_SOURCE, received_at=asked_at, body=_ENCODER.encode(alerts), batch=Batch(alerts=tuple(alerts)))


class FoundSource:
    """Implements `receiver.ports.Source`."""

    name = FOUND_SOURCE

    def parse(self, body: bytes, received_at: datetime) -> Batch | Refusal:  # noqa: ARG002 (it stands in the body)
        """Reads what `delivery_of` wrote."""
        try:
            return Batch(alerts=tuple(_DECODER.decode(body)))
        except (ValueError, RecursionError) as bad:
            return Refusal(path="", reason=f"nothing that was found by asking: {plain(str(bad), limit=200)}")
