"""One question to the bounds: may this rung of the ladder run now?

`Ask` gathers what every bound reads, so that each is a function of one value. Made by `core/bounds.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from receiver.core.case import Attempt, AttemptState, Because, Case, Refusal, Verb
from receiver.core.facts import Facts, Node, Workload
from receiver.core.model import Bounds, Mode, Remediation, Service, Target, Verification
from receiver.core.tighten import tightest
from receiver.core.verify import ROLLOUT_ONLY

DEFAULT_MODES = {Verb.undo: Mode.approve, Verb.cordon: Mode.approve, Verb.uncordon: Mode.approve}
"""Verbs that only ask unless the rung itself says `mode: auto` (which lifts it for Deployments and DaemonSets alone)."""


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
    def found(self) -> tuple[Facts, Target]:
        """The rung's object, by uid; LookupError (so: a refusal) without one."""
        if self.facts is None or self.facts.target is None:
            raise LookupError("no live object was found")
        return self.facts, self.facts.target

    @property
    def node(self) -> Node:
        """The rung's node as seen; LookupError (so: a refusal) without one."""
        if self.facts is None or self.facts.target is None or self.facts.node is None:
            raise LookupError("no node was seen")
        return self.facts.node

    @property
    def state(self) -> Workload | Node:
        """Whichever of the two the verb is about."""
        return self.node if self.verb is not None and self.verb.of_node else self.live[2]

    @property
    def live(self) -> tuple[Facts, Target, Workload]:
        """The rung's object as seen; LookupError (so: a refusal) where a bound asks for it without having it."""
        if self.facts is None or self.facts.target is None or self.facts.workload is None:
            raise LookupError("no live object was seen")
        return self.facts, self.facts.target, self.facts.workload

    @property
    def shadow(self) -> bool:
        """Only said, not done: real attempts and shadows both count against it."""
        return self.mode is Mode.observe

    @property
    def offers(self) -> tuple[Attempt, ...]:
        """What this incident asked people for this rung, oldest first."""
        return tuple(each for each in self.case.own_attempts if each.offer and (each.action, each.on) == (self.rung.action, self.rung.on))

    @property
    def approved(self) -> Attempt | None:
        """The offer that a person said yes to, and that was not used yet."""
        last = self.offers[-1] if self.offers else None
        return last if last is not None and last.state is AttemptState.shadow and last.approved_by else None

    @property
    def verification(self) -> Verification:
        """How this rung's cure would be proved."""
        return self.case.rule.verify or ROLLOUT_ONLY

    @property
    def ledger(self) -> tuple[Attempt, ...]:
        """The attempts that spend budget, oldest first: without reverts, which give back what an attempt took."""
        return tuple(
            each for each in self.case.attempts if not each.reverts and (each.counts or (self.shadow and each.mode is Mode.observe))
        )

    def refuse(self, because: Because, detail: str, *, retry_at: datetime | None = None, waits_on: str = "") -> Refusal:
        """This rung's no."""
        return Refusal(because, self.rung.action, detail, retry_at, waits_on)

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
    verb = Verb.of(rung.action)
    facts = case.newest_facts(rung.on)
    own = (rung.mode or (DEFAULT_MODES.get(verb) if verb else None) or case.rule.mode).capped(case.rule.mode)
    if verb is None or verb.of_node or _asks(facts, verb) or (verb is Verb.restart and _all_at_once(facts, bounds)):
        own = own.capped(Mode.approve)
    return Ask(
        case=case,
        index=index,
        rung=rung,
        verb=verb,
        mode=own.capped(case.policy.mode),
        bounds=bounds,
        service=service,
        facts=facts,
        now=now,
    )


def _asks(facts: Facts | None, verb: Verb) -> bool:
    """The live object is of a kind that a person decides about: it keeps state, or a migration is in it."""
    if facts is None:
        return False
    dangers = facts.workload.dangers if facts.workload is not None else ()
    stateful = facts.target is not None and facts.target.ref.kind == "StatefulSet"
    return stateful or any(each.asks and (not each.verbs or verb in each.verbs) for each in dangers)


def _all_at_once(facts: Facts | None, bounds: Bounds) -> bool:
    """A restart takes down all that there is of it: whether that is worth it, a person decides."""
    seen = facts.workload if facts is not None else None
    return seen is not None and (seen.recreate or seen.replicas < bounds.restart_min_replicas)


def short(gap: timedelta) -> str:
    """`90s`, `5m`, `2h`: for sentences."""
    seconds = int(gap.total_seconds())
    for size, unit in ((3600, "h"), (60, "m")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
