"""The kit, over every source that there is."""

from __future__ import annotations

from tests.kits.source_kit import SourceKit, name

__all__ = ["TestEverySource", "name"]


class TestEverySource(SourceKit):
    pass
