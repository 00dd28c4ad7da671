"""The page in the log: what people see while no key is set, and the second road of a page that was refused.

Law: always accepts. One structured line, so that a log shipper carries it whole; and, where `show` is given, the page as a block of plain
lines for the terminal of whoever started us.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from receiver.core.dedup import plain
from receiver.ports import DeliveryKind, DeliveryResult, Message, MessageKind

_log = structlog.get_logger("receiver.page")

LINE = 1_100
"""Characters of a line in the block; a summary has at most 1,024."""


class LogNotifier:
    """Implements `ports.Notifier`. `pages`: it is the only destination, so what it takes counts as paged."""

    name = "log"

    def __init__(self, *, pages: bool, show: Callable[[str], object] | None = None) -> None:
        self.pages = pages
        self._show = show

    async def deliver(self, message: Message) -> DeliveryResult:
        """Writes it."""
        text = message.text
        say = _log.warning if message.kind is MessageKind.trigger else _log.info
        say(
            f"page {message.kind.value}",
            summary=text.summary,
            severity=text.severity,
            incident=message.incident_id,
            dedup=message.dedup_key,
            component=text.component,
            details=dict(text.details),
            links=[address for address, _ in text.links],
        )
        if self._show is not None:
            self._show(block(message))
        return DeliveryResult(DeliveryKind.accepted, "written to the log")


def block(message: Message) -> str:
    """The page as a person reads it in a terminal; nothing in it can steer the terminal."""
    text = message.text
    lines = [f"──── {message.kind.value} ──── {text.severity} ────", plain(text.summary, limit=LINE)]
    for title, value in text.details.items():
        parts = [value] if isinstance(value, str) else value
        if len(parts) == 1:
            lines.append(f"  {plain(title)}: {plain(parts[0], limit=LINE)}")
        else:
            lines += [f"  {plain(title)}:", *(f"    {plain(each, limit=LINE)}" for each in parts)]
    lines += [f"  {plain(shown)}: {plain(address, limit=2048)}" for address, shown in text.links]
    return "\n".join(lines) + "\n"
