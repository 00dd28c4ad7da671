"""What a page says, as a value: worded by `core/wording.py`, carried by the outbox, translated by each notifier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class PageText:
    """Already worded; every part is bounded and free of secrets."""

    summary: str
    """At most 1,024 characters, one line."""
    severity: str
    """critical | error | warning | info."""
    source: str
    component: str = ""
    group: str = ""
    kind: str = ""
    """PagerDuty's `class`."""
    details: Mapping[str, str | list[str]] = field(default_factory=dict)
    links: tuple[tuple[str, str], ...] = ()
    """(address, text); http or https only."""
    at: str = ""
    """RFC 3339."""
