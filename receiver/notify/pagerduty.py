"""A message → an event of PagerDuty's Events API v2 (`protocols.md` 4.1).

Law: the dedup key is the message's, for the trigger and for the resolve. What is too long is cut by us, never by an error: summary 1,024
characters, 512 KB in all. A refused event is tried once more, at once, as the barest event that can wake somebody.
"""

from __future__ import annotations

import json
from typing import Any

from receiver.clients.errors import ClientError, ErrorKind
from receiver.clients.pagerduty import Events
from receiver.core.dedup import plain
from receiver.core.page import PageText
from receiver.ports import DeliveryKind, DeliveryResult, Message, MessageKind

CLIENT = "alert-receiver"
SUMMARY_LIMIT = 1024
DETAILS_BYTES = 400_000
"""Of custom_details as JSON in ASCII; with everything else far below the 512 KB of one event."""
SEVERITIES = frozenset({"critical", "error", "warning", "info"})
LINKS_LIMIT = 20
LINK_LIMIT = 2048


class PagerDuty:
    """Implements `ports.Notifier`."""

    name = "pagerduty"
    pages = True

    def __init__(self, events: Events) -> None:
        self._events = events

    async def deliver(self, message: Message) -> DeliveryResult:
        """One try; a refused event is followed by its barest form at once."""
        try:
            return DeliveryResult(DeliveryKind.accepted, await self._events.send(event_of(message)))
        except ClientError as no:
            if no.kind is not ErrorKind.invalid:
                return DeliveryResult(DeliveryKind.retry, no.text, no.retry_after)
            return await self._barest(message, no.text)

    async def _barest(self, message: Message, refused: str) -> DeliveryResult:
        try:
            await self._events.send(event_of(message, bare=True))
        except ClientError as no:
            kind = DeliveryKind.refused if no.kind is ErrorKind.invalid else DeliveryKind.retry
            return DeliveryResult(kind, no.text, no.retry_after)
        return DeliveryResult(DeliveryKind.accepted, plain(f"only the barest form was taken: {refused}", limit=256))


def event_of(message: Message, *, bare: bool = False) -> dict[str, Any]:
    """The event's body without its key. An update is a trigger of the same key: it changes the text and wakes nobody."""
    if message.kind is MessageKind.resolve:
        return {"event_action": "resolve", "dedup_key": message.dedup_key}
    text = message.text
    event: dict[str, Any] = {"event_action": "trigger", "dedup_key": message.dedup_key, "payload": _required(text)}
    if bare:
        return event
    event["payload"] |= _optional(text)
    links = [{"href": address, "text": plain(shown, limit=100) or address} for address, shown in text.links if _linkable(address)]
    return event | {"client": CLIENT} | ({"links": links[:LINKS_LIMIT]} if links else {})


def _required(text: PageText) -> dict[str, Any]:
    return {
        "summary": plain(text.summary, limit=SUMMARY_LIMIT) or "alert without a text",
        "source": plain(text.source, limit=255) or CLIENT,
        "severity": text.severity if text.severity in SEVERITIES else "critical",
    }


def _optional(text: PageText) -> dict[str, Any]:
    payload: dict[str, Any] = {
        "timestamp": text.at,
        "component": plain(text.component, limit=255),
        "group": plain(text.group, limit=255),
        "class": plain(text.kind, limit=255),
        "custom_details": _details(text),
    }
    return {key: value for key, value in payload.items() if value}


def _details(text: PageText) -> dict[str, Any]:
    """As many details as fit, in their order: what comes first is what a person needs first."""
    kept: dict[str, Any] = {}
    room = DETAILS_BYTES
    for key, value in text.details.items():
        room -= len(json.dumps({key: value}))
        if room < 0:
            kept["…"] = "there is more: see the incident"
            break
        kept[key] = value
    return kept


def _linkable(address: str) -> bool:
    """PagerDuty drops, or refuses the event for, a link without an address."""
    return address.startswith(("https://", "http://")) and len(address) <= LINK_LIMIT
