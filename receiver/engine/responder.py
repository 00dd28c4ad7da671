"""Carry out decisions, one worker per incident, until the incident rests.

Law: the loop holds no state that matters. Each turn loads the case, asks `decide` for one step, carries it out and writes it down; a crash
anywhere loses nothing, since the next turn asks the same question about what is stored. An intent is committed before its call; an
outcome is written down even when we are being stopped. Called by the agenda, under a lease.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import assert_never

import structlog

from receiver.core.case import (
    Announce,
    AskApproval,
    Attempt,
    AttemptState,
    Case,
    Close,
    Decision,
    Judge,
    Page,
    Permit,
    Policy,
    Raise,
    Remediate,
    Revert,
    Shadow,
    Storm,
    Verdict,
    Wait,
)
from receiver.core.classify import classify_incident
from receiver.core.dedup import plain
from receiver.core.dependents import waiting_with
from receiver.core.escalation import urgent
from receiver.core.facts import Evidence, Facts, Look
from receiver.core.model import OWN_SOURCE, AlertRecord, Incident, Phase, Priority
from receiver.core.plan import decide
from receiver.core.rules import RuleSet
from receiver.core.verify import reported
from receiver.core.waits import waited_on
from receiver.core.wording import classified_text
from receiver.engine import telling
from receiver.engine.parts import Parts
from receiver.ports import (
    CaseRows,
    Change,
    Entry,
    Message,
    Outcome,
    OutcomeKind,
    OwnTrouble,
    StalePermit,
    TroubleKind,
    VersionConflict,
)
from receiver.tasks import finish_despite_cancel

_log = structlog.get_logger("receiver.engine")

MOST_STEPS = 60
"""Turns without a rest: more is a fault of ours; the incident then waits a little and is looked at again."""
EVIDENCE_SECONDS = 3.5
"""The wall behind what a page waits for its evidence (`gathering.py`)."""
EXTRA_SECONDS = 5.0
"""An action has a time limit of its own; this is the wall behind it."""


class Responder:
    """One for the process; `advance` is called for one incident by one worker at a time."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._said: dict[int, dict[str, int]] = {}
        """Incident → what kind of thing was said last, as its hash: every open incident has one, so no more is kept."""
        self._speaking = asyncio.Lock()
        """One at a time pages about a dependency: the next one then sees that page, and joins it."""

    async def advance(self, incident_id: int) -> None:
        """Steps until the incident rests (a Wait or the end is written)."""
        for _ in range(MOST_STEPS):
            if await self._turn(incident_id):
                return
        _log.error("incident does not come to rest", incident=incident_id)
        self._parts.intake.report(OwnTrouble(TroubleKind.worker_failed, "responder", f"incident {incident_id} took {MOST_STEPS} steps"))
        await self._rest_anyway(incident_id)

    async def case(self, incident_id: int) -> Case | None:
        """The snapshot that a decision would be made on now."""
        rows = await self._parts.store.load(incident_id)
        return None if rows is None else await self._case(rows)

    def rules(self) -> RuleSet:
        """Those in force."""
        return self._parts.rules()

    async def policy(self) -> Policy:
        """As the next decision would have it."""
        return await self._parts.policy()

    async def storm(self) -> Storm:
        """The gate as it stands."""
        return await self._parts.storm.storm()

    async def _turn(self, incident_id: int) -> bool:
        """One step; True when there is nothing more to do for now."""
        case = await self.case(incident_id)
        if case is None or not case.incident.open:
            self._said.pop(incident_id, None)
            return True
        now = self._parts.clock.now()
        decision = decide(case, now)
        self._count(decision)
        try:
            return await self._carry_out(case, decision, now)
        except (VersionConflict, StalePermit) as moved:
            _log.info("case moved, deciding again", incident=incident_id, why=type(moved).__name__)
            return False

    async def _carry_out(self, case: Case, decision: Decision, now: datetime) -> bool:
        step = decision.step
        match step:
            case Look():
                await self._look(case, decision, step)
            case Remediate(permit) | Revert(permit):
                await self._remediate(case, decision, permit)
            case Shadow(permit) | AskApproval(permit):
                entries = (telling.entry(case, decision, now),)
                await self._parts.store.begin_attempt(permit, incident=case.incident, entries=entries, shadow=True)
            case Judge(attempt):
                await self._judge(case, decision, attempt, now)
            case Page():
                await self._page(case, decision, step, now)
            case Announce():
                await self._write(case, decision, now)
            case Wait(until):
                return await self._wait(case, decision, until, now)
            case Close():
                await self._close(case, decision, now)
                return True
            case _:
                assert_never(step)
        return False

    # --- the steps -------------------------------------------------------------------------------------------------------

    async def _look(self, case: Case, decision: Decision, step: Look) -> None:
        facts = await self._parts.looker.look(step)
        incident, alerts = case.incident, case.alerts
        if facts.target is not None and incident.target is None and not step.on:
            adopted = await self._parts.store.adopt_target(incident, facts.target, at=facts.at)
            if adopted.survivor_id != incident.id:
                self._parts.wake(adopted.survivor_id)
                return
            if adopted.merged_id is not None:
                self._said.pop(adopted.merged_id, None)
            rows = await self._parts.store.load(incident.id)
            if rows is None:
                return
            incident, alerts = rows.incident, rows.alerts
        now = self._parts.clock.now()
        incident = self._reclassified(alerts, case, incident, facts, now).in_phase(Phase.investigating, now)
        entries = (
            [telling.entry(case, decision, now, data=telling.seen(facts))]
            if self._news(case, "look", facts.on, *telling.health(facts))
            else []
        )
        if incident.classification != case.incident.classification:
            told = classified_text(incident.classification, case.policy.naming, case.policy.locale)
            entries.append(Entry(now, "reclassified", told))
        await self._parts.store.save(Change(incident, tuple(entries), facts=facts, wake_at=now))

    def _reclassified(self, alerts: Sequence[AlertRecord], case: Case, incident: Incident, facts: Facts, now: datetime) -> Incident:
        """With breadth, where the rule names one; never below what it was."""
        service = case.services.get(incident.service)
        found, rule, no_action = classify_incident(alerts, service, self._parts.rules(), now=now, facts=facts)
        if incident.priority.above(found.priority):
            found = incident.classification
        return replace(incident, classification=found, rule=rule.name, no_action=no_action or incident.no_action)

    async def _remediate(self, case: Case, decision: Decision, permit: Permit) -> None:
        parts = self._parts
        now = parts.clock.now()
        incident = case.incident.in_phase(Phase.investigating, now)
        parts.failpoint("intent.before")
        attempt = await parts.store.begin_attempt(permit, incident=incident, entries=(telling.entry(case, decision, now),), shadow=False)
        parts.failpoint("intent.after")
        try:
            outcome = await self._run(permit, case.policy.bounds.call_timeout)
        except asyncio.CancelledError:
            stopped = Outcome(OutcomeKind.unknown, "we were stopped while the call was under way")
            await finish_despite_cancel(self._record(permit.incident_id, attempt, stopped))
            raise
        parts.failpoint("record.before")
        await finish_despite_cancel(self._record(permit.incident_id, attempt, outcome))
        parts.failpoint("record.after")

    async def _run(self, permit: Permit, limit: timedelta) -> Outcome:
        try:
            async with asyncio.timeout(3 * limit.total_seconds() + EXTRA_SECONDS):  # an action reads, tries dry, then calls
                return await self._parts.actions[permit.action].run(permit)
        except TimeoutError:
            return Outcome(OutcomeKind.unknown, "the action did not end in its time")
        except Exception as fault:  # boundary: whatever an action throws, the outcome is unknown
            _log.exception("action failed", action=permit.action, fault=type(fault).__name__)
            return Outcome(OutcomeKind.unknown, f"the action failed: {type(fault).__name__}")

    async def _record(self, incident_id: int, attempt: Attempt, outcome: Outcome) -> None:
        """Writes what became of the call, however often the incident moves meanwhile."""
        state = AttemptState(outcome.kind.value)
        self._parts.metrics.attempts.labels(attempt.action, state.value).inc()
        self._parts.metrics.action_runs.labels(attempt.action, outcome.kind.value).inc()
        for _ in range(MOST_STEPS):
            rows = await self._parts.store.load(incident_id)
            if rows is None:
                return
            now = self._parts.clock.now()
            stored = next((each for each in rows.attempts if each.id == attempt.id), attempt)
            done = reported(stored, state, outcome.detail, at=now, closed=not rows.incident.open, made=outcome.made)
            entry = Entry(now, state.value, f"{attempt.action} {state.value}: {outcome.detail}", data={"attempt": attempt.id})
            try:
                await self._parts.store.save(Change(rows.incident, (entry,), attempt=done, wake_at=now))
            except VersionConflict:
                continue
            _log.info(
                "attempt ended",
                incident=incident_id,
                attempt=attempt.id,
                action=attempt.action,
                target=attempt.target.ref.key,
                outcome=state.value,
                detail=plain(outcome.detail, limit=500),
            )
            return

    async def _judge(self, case: Case, decision: Decision, attempt: Attempt, now: datetime) -> None:
        incident = case.incident
        final = attempt.verdict is not None and attempt.verdict.final
        if attempt.verdict is Verdict.cured and not attempt.reverts:
            incident = incident.in_phase(Phase.mitigated, now)
        if final and attempt.verdict is not None:
            self._parts.metrics.verdicts.labels(attempt.action, attempt.verdict.value).inc()
        news = self._news(case, "judge", attempt.id, attempt.state, attempt.verdict, attempt.reverted)
        entries = (telling.entry(case, decision, now, data={"attempt": attempt.id}),) if news else ()
        told = telling.with_attempt(case, attempt)
        messages = telling.triggers(told, decision, self._parts.destinations, evidence=(), now=now) if final else ()
        await self._save(Change(incident, entries, attempt=attempt, messages=messages, wake_at=now))

    async def _page(self, case: Case, decision: Decision, step: Page, now: datetime) -> None:
        raised = step.raised
        single = case.storm.shut and raised.priority is Priority.p1 and not raised.by_storm and case.incident.source != OWN_SOURCE
        if single and not self._parts.storm.grant():  # the minute's are spent since it was decided: decide again
            return
        changed = replace(case, raises=(*case.raises, raised))
        if raised.by_storm and not raised.shared:
            detail = f"{case.storm.detail}; {case.incident.priority} joined"
            self._parts.intake.report(OwnTrouble(TroubleKind.storm, "storm", detail, anew=urgent(case)))
        evidence = () if raised.by_storm else await self._evidence(case, raised)
        messages = telling.triggers(changed, decision, self._parts.destinations, evidence=evidence, now=now)
        entry = telling.entry(case, decision, now, data={"raise": raised.n, "by_storm": raised.by_storm, **telling.offered(case, now)})
        change = Change(case.incident, (entry,), raised=raised, messages=messages, wake_at=now)
        if not raised.dependency:
            await self._save(change)
        elif not await self._page_of_many(case, decision, change, now):
            return
        self._parts.evidence.paged(case, decision, raised, evidence)

    async def _page_of_many(self, case: Case, decision: Decision, change: Change, now: datetime) -> bool:
        """A dependency's page: the first one's, unless another was first while this one was made. Those that join are told on it."""
        async with self._speaking:
            current = await self.case(case.incident.id)
            if current is None or decide(current, now) != decision:  # decide again
                return False
            await self._save(change)
        self._joined(replace(current, raises=(*case.raises, *((change.raised,) if change.raised else ()))))
        for each in case.dependents:
            if change.raised is not None and change.raised.shared and not each.joined and each.dependency == change.raised.dependency:
                self._parts.wake(each.incident_id)
        return True

    def _joined(self, case: Case) -> bool:
        """Somebody joined this incident's page, or left it, since it was told last."""
        others = waiting_with(case)
        known = "joined" in self._said.get(case.incident.id, {})
        return self._news(case, "joined", tuple(each.incident_id for each in others)) and (known or bool(others))

    async def _evidence(self, case: Case, raised: Raise) -> Sequence[Evidence]:
        try:
            async with asyncio.timeout(EVIDENCE_SECONDS):
                return await self._parts.evidence.early(case, raised)
        except TimeoutError:
            return (Evidence("evidence", ("could not be collected in time",)),)
        except Exception as fault:  # boundary: nothing that fails here may hold up a page
            return (Evidence("evidence", (f"could not be collected: {type(fault).__name__}",)),)

    async def _wait(self, case: Case, decision: Decision, until: datetime | None, now: datetime) -> bool:
        told = tuple(sorted((each.action, each.because.value) for each in decision.refusals))
        entries = (telling.entry(case, decision, now),) if self._news(case, "wait", decision.because, told) else ()
        messages: tuple[Message, ...] = ()
        if case.raises and case.raises[-1].dependency and self._joined(case):
            again = Decision(Page(case.raises[-1]), case.raises[-1].because, refusals=decision.refusals)
            messages = telling.triggers(case, again, self._parts.destinations, evidence=(), now=now)
        on = waited_on(decision.refusals)
        await self._save(Change(case.incident, entries, messages=messages, wake_at=until, waits_on=on, seen=case.seen))
        return True

    async def _close(self, case: Case, decision: Decision, now: datetime) -> None:
        incident = replace(case.incident.in_phase(Phase.resolved, now), open=False, closed_at=now, closed_by="receiver")
        messages = telling.resolves(case, self._parts.destinations)
        await self._save(Change(incident, (telling.entry(case, decision, now),), messages=messages))
        self._parts.metrics.incidents_closed.labels(decision.because.value).inc()
        _log.info("incident closed", incident=incident.id, by="receiver", because=decision.because.value)
        self._said.pop(incident.id, None)

    async def _write(self, case: Case, decision: Decision, now: datetime) -> None:
        await self._parts.store.save(Change(case.incident, (telling.entry(case, decision, now),), wake_at=now))

    async def _save(self, change: Change) -> None:
        await self._parts.store.save(change)
        for destination in {each.destination for each in change.messages}:
            self._parts.told(destination)

    # --- around them -----------------------------------------------------------------------------------------------------

    async def _case(self, rows: CaseRows) -> Case:
        parts = self._parts
        ruleset = parts.rules()
        storm = await parts.storm.storm()
        parts.metrics.storm_shut.set(int(storm.shut))
        service = ruleset.services.get(rows.incident.service)
        dependents = await parts.store.dependents() if service is not None and service.depends_on else ()
        return Case(
            incident=rows.incident,
            alerts=rows.alerts,
            rule=ruleset.rule(rows.incident.rule),
            policy=await parts.policy(),
            services=ruleset.services,
            attempts=rows.attempts,
            holds=rows.holds,
            storm=storm,
            facts=rows.facts,
            raises=rows.raises,
            seen=rows.seen,
            ruleset_hash=ruleset.hash,
            standing=rows.standing,
            merged=frozenset(rows.merged),
            dependents=dependents,
        )

    async def _rest_anyway(self, incident_id: int) -> None:
        rows = await self._parts.store.load(incident_id)
        if rows is not None and rows.incident.open:
            try:
                await self._parts.store.save(Change(rows.incident, wake_at=self._parts.clock.now() + timedelta(seconds=30)))
            except VersionConflict:
                return

    def _news(self, case: Case, kind: str, *what: object) -> bool:
        """False when the last one of its kind said the same: the timeline is for people."""
        said, now = self._said.setdefault(case.incident.id, {}), hash(what)
        news = said.get(kind) != now
        said[kind] = now
        return news

    def _count(self, decision: Decision) -> None:
        self._parts.metrics.decisions.labels(type(decision.step).__name__.lower(), decision.because.value).inc()
        for each in decision.refusals:
            self._parts.metrics.refusals.labels(each.action, each.because.value).inc()
