"""The kit over every registered notifier."""

from __future__ import annotations

from receiver.notify import NOTIFIERS
from tests.kits.notifier_kit import GROUNDS, NotifierKit


def test_every_notifier_has_a_ground() -> None:
    assert set(GROUNDS) == set(NOTIFIERS)


class TestNotifiers(NotifierKit):
    """All of `NOTIFIERS`."""
