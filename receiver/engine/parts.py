"""What the responder works with, as one value; wired in `app.py`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from receiver.core.case import Case, Decision, Policy, Raise
from receiver.core.facts import Evidence, Facts, Look
from receiver.core.rules import RuleSet
from receiver.ports import Action, CaseStore, Clock, Intake, StormGate
from receiver.telemetry.metrics import Metrics


class Looker(Protocol):
    """All observers behind one call."""

    async def look(self, look: Look) -> Facts:
        """Never raises; under the look's own time limit."""
        ...


class EvidenceDesk(Protocol):
    """Where a page gets its evidence, as `gathering.Gathering`."""

    async def early(self, case: Case, raised: Raise) -> Sequence[Evidence]:
        """What can be had without holding the page up."""
        ...

    def paged(self, case: Case, decision: Decision, raised: Raise, told: Sequence[Evidence]) -> None:
        """The page is written, with this."""
        ...


@dataclass(frozen=True, slots=True)
class Parts:
    """What a responder works with; wired in `app.py`."""

    store: CaseStore
    looker: Looker
    actions: Mapping[str, Action]
    clock: Clock
    rules: Callable[[], RuleSet]
    policy: Callable[[], Awaitable[Policy]]
    """Asked anew each turn: reads `actions_file`."""
    storm: StormGate
    intake: Intake
    evidence: EvidenceDesk
    destinations: tuple[str, ...]
    """Names of the notifiers that pages go to."""
    metrics: Metrics
    wake: Callable[[int], None] = lambda _: None
    """Tells the agenda about another incident (a merge's survivor)."""
    told: Callable[[str], None] = lambda _: None
    """Tells the outbox that there is something to deliver to this destination."""
    failpoint: Callable[[str], None] = lambda _: None
    """Named moments, for crash tests."""
