"""The loop of folder and responder in memory: fold an alert, decide, carry the step out against a world, until the incident rests.

Law: state changes only as the service's own would; time moves only by `advance_to`. One simulation is one history, from empty.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol, assert_never

from receiver.core.case import (
    Announce,
    AskApproval,
    Attempt,
    AttemptState,
    Case,
    Close,
    Decision,
    Dependent,
    Hold,
    Judge,
    Page,
    Permit,
    Policy,
    Raise,
    Remediate,
    Revert,
    Shadow,
    Storm,
    Wait,
)
from receiver.core.classify import classify_incident
from receiver.core.dedup import fold, group_key, hint, title
from receiver.core.facts import Facts, Look
from receiver.core.model import Alert, AlertRecord, Incident, Phase
from receiver.core.offers import holds_for, waiting, withdrawn
from receiver.core.plan import decide
from receiver.core.rules import RuleSet
from receiver.core.waits import MOST_WOKEN, ended_by, hold, waited_on

MOST_STEPS = 60
FACTS_KEPT = 12


class NeverRests(Exception):
    """A fault of the core: at one moment it asked for step after step."""


class World(Protocol):
    """What the loop acts on."""

    def look(self, look: Look, now: datetime) -> Facts:
        """What one look sees now."""
        ...

    def act(self, permit: Permit, now: datetime) -> tuple[AttemptState, str]:
        """Takes the effect and says what the call answered: applied, rejected or unknown."""
        ...


@dataclass(frozen=True, slots=True)
class Moment:
    """One decision, when it was made, and all that it rested on."""

    at: datetime
    case: Case
    decision: Decision


@dataclass(slots=True)
class _Open:
    """An incident with what belongs to it."""

    incident: Incident
    keys: set[str]
    records: dict[str, AlertRecord] = field(default_factory=dict)
    facts: tuple[Facts, ...] = ()
    raises: tuple[Raise, ...] = ()
    wake: datetime | None = None
    waits_on: tuple[str, ...] = ()


class Simulation:
    """One history. Alerts go in by `tell`, time by `advance_to`, decisions come out in `moments`."""

    def __init__(self, ruleset: RuleSet, policy: Policy, world: World) -> None:
        self.ruleset = ruleset
        self.policy = policy
        self.world = world
        self.moments: list[Moment] = []
        self.ignored: list[Alert] = []
        self.beats: list[Alert] = []
        self.holds: tuple[Hold, ...] = ()
        self.storm = Storm()
        self._all: list[_Open] = []
        self._attempts: dict[str, Attempt] = {}
        self._seen = 0

    @property
    def incidents(self) -> tuple[Incident, ...]:
        """All, open or not, oldest first; without those that were merged away."""
        return tuple(each.incident for each in self._all if each.incident.merged_into is None)

    @property
    def firing(self) -> tuple[Alert, ...]:
        """What no statement has ended yet."""
        return tuple(record.alert for each in self._open() for record in each.records.values() if record.firing)

    def tell(self, alert: Alert) -> None:
        """Folds one statement, as it is accepted at its `received_at`."""
        rule = self.ruleset.rule_for(alert.labels)
        if rule.ignore:
            self.ignored.append(alert)
            return
        if rule.heartbeat is not None:
            self.beats.append(alert)
            return
        service = self.ruleset.service_for(alert.labels, hint(alert.labels))
        key = group_key(alert, rule, service, self.ruleset.cluster)
        held = next((each for each in self._open() if alert.fingerprint in each.records or key in each.keys), None)
        folded = fold(held.records.get(alert.fingerprint) if held else None, alert, rule=rule.name)
        if not folded.changed or folded.record is None:
            return
        if held is None:
            held = self._begin(alert, key, folded.record)
        held.keys.add(key)
        held.records[alert.fingerprint] = folded.record
        if not held.incident.service and service is not None:
            held.incident = replace(held.incident, service=service.name)
        self._classify(held, alert.received_at)
        held.wake = alert.received_at

    def acknowledge(self, by: str, now: datetime) -> None:
        """Somebody takes every open incident."""
        for each in self._open():
            each.incident = replace(each.incident, acked_at=now, acked_by=by)
            each.wake = now

    def approve(self, by: str, now: datetime) -> None:
        """Somebody says yes to every offer that waits, and has checked what there is to check."""
        for each in self._open():
            case = self._case(each)
            for offer in waiting(case):
                ticked = tuple(one.name for one in offer.needs.preconditions)
                until = now + holds_for(offer, case)
                self._record(replace(offer, approved_by=by, approved_at=now, ticked=ticked, expires_at=until), now)
                each.wake = now

    def freeze(self, held: Hold) -> None:
        """Holds the actions of a scope."""
        self.holds = (*self.holds, held)
        self._seen += 1

    def thaw(self, scope: str, now: datetime) -> None:
        """Ends every freeze of that scope; what they held is decided anew."""
        self.holds = tuple(each for each in self.holds if each.scope != scope)
        self._seen += 1
        self._wake((hold(scope),), now)

    def next_wake(self) -> datetime | None:
        """The earliest date of an open incident."""
        return min((each.wake for each in self._open() if each.wake is not None), default=None)

    def advance_to(self, now: datetime) -> None:
        """Every incident whose date has come steps until it rests."""
        for each in list(self._all):
            for _ in range(MOST_STEPS):
                if not each.incident.open or each.wake is None or each.wake > now:
                    break
                self._turn(each, now)
            else:
                raise NeverRests(f"incident {each.incident.id} ({each.incident.title}) took {MOST_STEPS} steps at {now.isoformat()}")

    # --- one incident ----------------------------------------------------------------------------------------------------

    def _open(self) -> Iterator[_Open]:
        return (each for each in self._all if each.incident.open)

    def _begin(self, alert: Alert, key: str, record: AlertRecord) -> _Open:
        rule = self.ruleset.rule_for(alert.labels)
        service = self.ruleset.service_for(alert.labels, hint(alert.labels))
        found, _, _ = classify_incident([record], service, self.ruleset, now=alert.received_at)
        incident = Incident(
            id=len(self._all) + 1,
            version=1,
            group_key=key,
            symptom=rule.symptom,
            source=alert.source,
            title=title(alert, service),
            rule=rule.name,
            ruleset_hash=self.ruleset.hash,
            classification=found,
            accepted_at=alert.received_at,
            phases={Phase.detected.value: alert.received_at},
        )
        self._all.append(_Open(incident, {key}))
        return self._all[-1]

    def _classify(self, each: _Open, now: datetime) -> None:
        """The incident follows its highest-priority alert; its priority only rises."""
        service = self.ruleset.services.get(each.incident.service)
        facts = next((seen for seen in reversed(each.facts) if not seen.on), None)
        found, rule, no_action = classify_incident(tuple(each.records.values()), service, self.ruleset, now=now, facts=facts)
        if each.incident.priority.above(found.priority):
            found = each.incident.classification
        why = each.incident.no_action or no_action
        each.incident = replace(each.incident, classification=found, rule=rule.name, symptom=rule.symptom, no_action=why)

    def _case(self, each: _Open) -> Case:
        return Case(
            incident=each.incident,
            alerts=tuple(each.records.values()),
            rule=self.ruleset.rule(each.incident.rule),
            policy=self.policy,
            services=self.ruleset.services,
            attempts=tuple(self._attempts.values()),
            holds=self.holds,
            storm=self.storm,
            facts=each.facts,
            raises=each.raises,
            seen=self._seen,
            merged=frozenset(self._merged_into(each.incident.id)),
            dependents=self._dependents(),
        )

    def _dependents(self) -> tuple[Dependent, ...]:
        found = [each for each in self._open() if each.raises and each.raises[-1].dependency]
        found.sort(key=lambda each: (each.incident.priority.rank, each.incident.id))
        return tuple(_dependent(each) for each in found)

    def _merged_into(self, survivor: int) -> Iterator[int]:
        for each in self._all:
            if each.incident.merged_into == survivor:
                yield each.incident.id
                yield from self._merged_into(each.incident.id)

    def _turn(self, each: _Open, now: datetime) -> None:
        case = self._case(each)
        decision = decide(case, now)
        self.moments.append(Moment(now, case, decision))
        step = decision.step
        match step:
            case Look():
                self._look(each, step, now)
            case Remediate(permit) | Revert(permit):
                self._act(permit, now)
            case Shadow(permit) | AskApproval(permit):
                self._record(Attempt.begun(permit, AttemptState.shadow, now), now)
            case Judge(attempt):
                self._record(attempt, now)
            case Page(raised):
                each.raises = (*each.raises, replace(raised, accepted_at=now))
            case Wait(until):
                each.wake, each.waits_on = until, waited_on(decision.refusals)
            case Close():
                each.incident = replace(each.incident, open=False, closed_at=now, closed_by="receiver")
            case Announce():
                pass
            case _:
                assert_never(step)

    def _look(self, each: _Open, look: Look, now: datetime) -> None:
        facts = self.world.look(look, now)
        each.facts = (*each.facts, facts)[-FACTS_KEPT:]
        if facts.target is not None and each.incident.target is None and not look.on:
            each.incident = replace(each.incident, target=facts.target)
            self._merge(each, now)
        self._classify(each, now)

    def _merge(self, each: _Open, now: datetime) -> None:
        """Two keys turned out to be one target: the higher priority survives, then the older; an open attempt is never merged away."""
        other = next((one for one in self._open() if one is not each and one.incident.target == each.incident.target), None)
        if other is None or each.incident.symptom.untouchable or other.incident.symptom.untouchable:
            return
        first, second = sorted((each, other), key=lambda one: (not self._acting(one), one.incident.priority.rank, one.incident.id))
        if self._acting(second):
            return
        first.records.update(second.records)
        first.keys |= second.keys
        second.incident = replace(second.incident, open=False, merged_into=first.incident.id, closed_at=now)
        first.wake = now
        self._classify(first, now)

    def _acting(self, each: _Open) -> bool:
        return any(attempt.open for attempt in self._attempts.values() if attempt.incident_id == each.incident.id)

    def _act(self, permit: Permit, now: datetime) -> None:
        attempt = Attempt.begun(permit, AttemptState.intent, now)
        self._record(attempt, now)
        if permit.approval:
            self._record(withdrawn(self._attempts[permit.approval], f"used by {attempt.id}", now), now)
        state, detail = self.world.act(permit, now)
        self._record(replace(attempt, state=state, ended_at=now, detail=detail), now)

    def _record(self, attempt: Attempt, now: datetime) -> None:
        before = self._attempts.get(attempt.id)
        self._attempts[attempt.id] = attempt
        self._seen += 1
        if before is not None and before.open and not attempt.open:
            self._wake(ended_by(attempt), now, most=MOST_WOKEN)

    def _wake(self, on: Collection[str], now: datetime, *, most: int | None = None) -> None:
        """Those that wait on one of these, the most urgent first."""
        waiting = [each for each in self._open() if not set(on).isdisjoint(each.waits_on) and (each.wake is None or each.wake > now)]
        waiting.sort(key=lambda each: (each.incident.priority.rank, each.wake is not None, each.wake))
        for each in waiting[:most]:
            each.wake = now


def _dependent(each: _Open) -> Dependent:
    incident, last = each.incident, each.raises[-1]
    return Dependent(
        incident.id,
        last.dependency,
        incident.priority,
        incident.title,
        joined=last.by_storm,
        at=last.at,
        firing=any(record.firing for record in each.records.values()),
        acked_at=incident.acked_at,
    )
