"""One question to the bounds: may this rung of the ladder run now?

`Ask` gathers what every bound reads, so that each is a function of one value. Made by `core/bounds.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from receiver.core.case import Attempt, Because, Case, Refusal, Verb
from receiver.core.facts import Facts, Workload
from receiver.core.model import Bounds, Mode, Remediation, Service, Target, Verification
from receiver.core.tighten import tightest
from receiver.core.verify import ROLLOUT_ONLY

DEFAULT_MODES = {Verb.undo: Mode.approve}
"""Verbs that only ask unless the rung itself says `mode: auto`."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A rung, the case around it, and the facts about the rung's own target."""

    case: Case
    index: int
    rung: Remediation
    verb: Verb | None
    mode: Mode
    """After the rung's, the rule's and the global ceiling."""
    bounds: Bounds
    """The tightest of policy, service and rung."""
    service: Service | None
    facts: Facts | None
    """The newest of the rung's target."""
    now: datetime

    @property
    def workload(self) -> Workload | None:
        """As the newest look saw it."""
        return self.facts.workload if self.facts else None

    @property
    def target(self) -> Target | None:
        """The rung's live object."""
        return self.facts.target if self.facts else None

    @property
    def live(self) -> tuple[Facts, Target, Workload]:
        """The rung's object as seen; LookupError (so: a refusal) where a bound asks for it without having it."""
        if self.facts is None or self.facts.target is None or self.facts.workload is None:
            raise LookupError("no live object was seen")
        return self.facts, self.facts.target, self.facts.workload

    @property
    def shadow(self) -> bool:
        """Only said, not done: real attempts and shadows both count against it."""
        return self.mode is not Mode.auto

    @property
    def verification(self) -> Verification:
        """How this rung's cure would be proved."""
        return self.case.rule.verify or ROLLOUT_ONLY

    @property
    def ledger(self) -> tuple[Attempt, ...]:
        """The attempts that spend budget, oldest first: without reverts, which give back what an attempt took."""
        return tuple(
            each for each in self.case.attempts if not each.reverts and (each.counts or (self.shadow and each.mode is not Mode.auto))
        )

    def refuse(self, because: Because, detail: str, *, retry_at: datetime | None = None) -> Refusal:
        """This rung's no."""
        return Refusal(because, self.rung.action, detail, retry_at)

    def until(self, moment: datetime, because: Because, detail: str) -> Refusal | None:
        """A no that ends at `moment`; None when it has passed."""
        return None if moment <= self.now else self.refuse(because, detail, retry_at=moment)


def ask(case: Case, index: int, now: datetime) -> Ask:
    """Everything that the bounds read about rung `index`."""
    rung = case.rule.remediate[index]
    service = case.services.get(rung.on or case.incident.service)
    bounds = rung.bounds or case.policy.bounds
    if service is not None and service.bounds is not None:
        bounds = tightest(bounds, service.bounds)
    verb = verb_of(rung.action)
    own = (rung.mode or (DEFAULT_MODES.get(verb) if verb else None) or case.rule.mode).capped(case.rule.mode)
    return Ask(
        case=case,
        index=index,
        rung=rung,
        verb=verb,
        mode=own.capped(case.policy.mode),
        bounds=bounds,
        service=service,
        facts=case.newest_facts(rung.on),
        now=now,
    )


def verb_of(action: str) -> Verb | None:
    """The verb of `kubernetes.scale`; None when the name ends in none that we know."""
    name = action.rpartition(".")[2]
    return next((each for each in Verb if each.value == name), None)


def short(gap: timedelta) -> str:
    """`90s`, `5m`, `2h`: for sentences."""
    seconds = int(gap.total_seconds())
    for size, unit in ((3600, "h"), (60, "m")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
