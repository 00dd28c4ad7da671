"""A world of one Deployment and one alert, in which a case is decided step by step over virtual time; it can be cut off anywhere.

What is in `case` is what a store would hold after a crash; `effects` is what really happened outside.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from receiver.core.case import (
    AskApproval,
    Attempt,
    AttemptState,
    Case,
    Close,
    Decision,
    Judge,
    Page,
    Permit,
    Remediate,
    Revert,
    Shadow,
    Verb,
    Wait,
)
from receiver.core.facts import Facts, Look, Workload
from receiver.core.plan import decide
from tests.fakes import cases as c

CUTS = ("before_intent", "after_intent", "call_swallowed", "before_record")
HORIZON = timedelta(hours=12)


@dataclass
class World:
    """`cures`: whether the first effect makes the workload healthy. `cut`: (step number, point of a remediation) of one crash."""

    case: Case
    cures: bool = True
    cut: tuple[int, str] | None = None
    now: datetime = c.T0
    healthy: bool = False
    replicas: int = 3
    version: int = 100
    marks: tuple[str, ...] = ()
    template: str = "bad"
    effects: list[Permit] = field(default_factory=list)
    steps: list[Decision] = field(default_factory=list)
    alert_ends: datetime | None = None
    on_step: Callable[[World], None] = lambda _: None

    def run(self, most: int = 2_000) -> None:
        """Until the case is closed, rests for ever, or twelve hours have passed."""
        end = self.now + HORIZON
        while len(self.steps) < most and self.now < end and self.case.incident.open:
            decision = decide(self.case, self.now)
            self.steps.append(decision)
            self.on_step(self)
            step = decision.step
            if isinstance(step, Wait):
                if not self._wait(step.until):
                    return
            else:
                self.now += timedelta(milliseconds=20)
                self._carry_out(step)
        assert len(self.steps) < most, f"it does not come to rest: {self.steps[-3:]}"

    def _wait(self, until: datetime | None) -> bool:
        ends = self.alert_ends if self.case.firing else None
        moments = [each for each in (until, ends) if each is not None]
        if not moments:
            return False
        self.now = max(self.now, min(moments))
        if ends is not None and self.now >= ends:
            over = tuple(replace(each, resolved_at=self.now) for each in self.case.alerts)
            self.case = replace(self.case, alerts=over)
        return True

    def _carry_out(self, step: object) -> None:
        match step:
            case Look():
                self.case = replace(self.case, facts=(*self.case.facts, self.look())[-12:])
            case Remediate(permit) | Revert(permit):
                self._remediate(permit)
            case Shadow(permit) | AskApproval(permit):
                self._store(self._attempt(permit, AttemptState.shadow))
            case Judge(attempt):
                self._store(attempt)
            case Page(raised):
                self.case = replace(self.case, raises=(*self.case.raises, raised))
            case Close():
                self.case = replace(self.case, incident=replace(self.case.incident, open=False))
            case _:
                raise AssertionError(f"unexpected step {step}")

    def look(self) -> Facts:
        """What the world shows."""
        figures = c.HEALTHY if self.healthy else {}
        load: Workload = c.workload(
            **{
                **figures,
                "resource_version": str(self.version),
                "generation": self.version,
                "marks": self.marks,
                "template_hash": self.template,
            }
        )
        asked = self.replicas
        load = replace(load, replicas=asked, available=asked if self.healthy else load.available, revision_at=c.T0 - timedelta(minutes=10))
        return Facts(self.now, target=c.TARGET, workload=load)

    def _remediate(self, permit: Permit) -> None:
        cut = self.cut[1] if self.cut and self.cut[0] == len(self.steps) - 1 else ""
        if cut == "before_intent":
            return
        attempt = self._attempt(permit, AttemptState.intent)
        self._store(attempt)
        if cut == "after_intent":
            return
        self._apply(permit)
        if cut == "call_swallowed":
            self._store(replace(attempt, state=AttemptState.unknown, ended_at=self.now, detail="no answer"))
        elif cut != "before_record":
            self._store(replace(attempt, state=AttemptState.applied, ended_at=self.now))

    def _apply(self, permit: Permit) -> None:
        assert self.now <= permit.expires_at, "a permit was used after its life"
        self.effects.append(permit)
        self.version += 1
        self.marks = (*self.marks, permit.attempt_id)
        if permit.verb is Verb.scale:
            self.replicas = permit.parameters.replicas or 0
        if permit.verb is Verb.undo:
            self.template = permit.parameters.template_hash
        if self.cures:
            self.healthy = True
            self.alert_ends = self.alert_ends or self.now + timedelta(seconds=90)

    def _attempt(self, permit: Permit, state: AttemptState) -> Attempt:
        return Attempt(
            id=permit.attempt_id,
            incident_id=permit.incident_id,
            action=permit.action,
            verb=permit.verb,
            target=permit.target,
            parameters=permit.parameters,
            before=permit.before,
            state=state,
            started_at=self.now,
            rung=permit.rung,
            rule=permit.rule,
            mode=permit.mode,
            on=permit.on,
            reverts=permit.reverts,
            lease_until=permit.lease_until,
        )

    def _store(self, attempt: Attempt) -> None:
        rest = [each for each in self.case.attempts if each.id != attempt.id]
        self.case = replace(self.case, attempts=(*rest, attempt), seen=self.case.seen + 1)
