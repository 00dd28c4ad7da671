"""The rule set in force, and its exchange while running.

Law: a broken set never replaces a good one; the exchange is one assignment after everything was checked. Held by `app`.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from receiver.core.rules import RuleSet
from receiver.ports import Intake, OwnTrouble, TroubleKind

_log = structlog.get_logger("receiver.engine")


class RuleBook:
    """`load` reads the files anew; it raises ValueError-like refusals of its own kind, named by `refusal`."""

    def __init__(self, load: Callable[[], RuleSet], *, refusal: type[Exception]) -> None:
        self._load = load
        self._refusal = refusal
        self._current = load()

    def current(self) -> RuleSet:
        """What holds now."""
        return self._current

    def reload(self, intake: Intake) -> None:
        """On SIGHUP: the new set, or the old one and an incident about ourselves."""
        try:
            self._current = self._load()
        except self._refusal as refused:
            _log.error("rules refused, the old ones stay", problems=str(refused)[:2000])
            intake.report(OwnTrouble(TroubleKind.rules_broken, "rules", str(refused)[:256]))
            return
        _log.info("rules loaded", hash=self._current.hash)
        intake.report(OwnTrouble(TroubleKind.rules_broken, "rules", "loaded", over=True))
