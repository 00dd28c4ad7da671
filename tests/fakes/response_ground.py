"""The responder over a real store, with one Deployment that is told what to look like and an action that is told what to answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from receiver.core.case import Case, Decision, Permit, Policy, Raise, Storm
from receiver.core.facts import Evidence, Facts, Look, Workload
from receiver.core.model import AlertRecord, Incident, Priority, Rule, Target
from receiver.core.rules import RuleSet
from receiver.engine.parts import EvidenceDesk, Parts
from receiver.engine.responder import Responder
from receiver.ports import Action, IncidentView, Outcome, OutcomeKind, Permission
from receiver.store.sql_store import SqlStore
from receiver.telemetry.metrics import Metrics
from tests.fakes import cases as c
from tests.fakes.clock import FakeClock
from tests.fakes.intake import FakeIntake
from tests.kits.store_ground import began
from tests.unit.store.sqlite_ground import SqliteGround

APPLIED = Outcome(OutcomeKind.applied, "patched")


class World:
    """Both the eyes and the hand: what is seen, and what was done. `cures`: an action makes it healthy."""

    name = "kubernetes.rollout_restart"
    permissions: tuple[Permission, ...] = ()

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.load: Workload = c.workload()
        self.target: Target | None = c.TARGET
        self.outcome = APPLIED
        self.cures = True
        self.permits: list[Permit] = []
        self.looks: list[Look] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.called = asyncio.Event()

    async def look(self, look: Look) -> Facts:
        self.looks.append(look)
        return Facts(self._clock.now(), on=look.on, target=self.target, workload=self.load if self.target else None)

    async def run(self, permit: Permit) -> Outcome:
        self.permits.append(permit)
        self.called.set()
        await self.gate.wait()
        if self.outcome.kind is not OutcomeKind.rejected:
            self.load = c.workload(**(c.HEALTHY if self.cures else {}), marks=(permit.attempt_id,), resource_version="101")
        return self.outcome


class CalmGate:
    """A storm gate that stands as it is told."""

    def __init__(self) -> None:
        self.now = Storm()
        self.meanwhile: Callable[[], Awaitable[object]] | None = None
        """Happens once, after a case was read and before it is decided."""

    async def storm(self) -> Storm:
        happens, self.meanwhile = self.meanwhile, None
        if happens is not None:
            await happens()
        return self.now

    def grant(self) -> bool:
        return True


class Desk:
    """Evidence as the ground is told, at once."""

    def __init__(self, ground: ResponseGround) -> None:
        self._ground = ground

    async def early(self, _: Case, __: Raise) -> Sequence[Evidence]:
        return self._ground.evidence()

    def paged(self, case: Case, decision: Decision, raised: Raise, told: Sequence[Evidence]) -> None:
        """Nothing follows."""


class ResponseGround:
    """One incident and everything around it, in virtual time."""

    def __init__(self, store: SqlStore, clock: FakeClock, rule: Rule, policy: Policy) -> None:
        self.store = store
        self.clock = clock
        self.world = World(clock)
        self.intake = FakeIntake()
        self.gate = CalmGate()
        self.policy = policy
        self.reached: list[str] = []
        self.evidence: Callable[[], Sequence[Evidence]] = lambda: ()
        self.rules = RuleSet(rules=(rule,), default=Rule("default", is_default=True), hash="h")
        self.responder = Responder(self._parts())

    def use(self, desk: EvidenceDesk) -> None:
        """From now on evidence comes from there."""
        self.responder = Responder(replace(self._parts(), evidence=desk))

    def _parts(self) -> Parts:
        async def asked() -> Policy:
            return self.policy

        actions: dict[str, Action] = {self.world.name: self.world}
        return Parts(
            store=self.store,
            looker=self.world,
            actions=actions,
            clock=self.clock,
            rules=lambda: self.rules,
            policy=asked,
            storm=self.gate,
            intake=self.intake,
            evidence=Desk(self),
            destinations=("pagerduty",),
            metrics=Metrics(version="test"),
            failpoint=self.reached.append,
        )

    async def began(self, key: str = "web", priority: Priority = Priority.p2, *, records: Sequence[AlertRecord] = ()) -> Incident:
        now = self.clock.now()
        fresh = records or (replace(c.record(age=0), first_at=now),)
        classification = c.incident(priority).classification
        return await began(
            self.store, key, priority, records=fresh, rule="crash", service="", accepted_at=now, classification=classification
        )

    async def advance(self, incident: Incident, *, minutes: float = 0.0) -> None:
        """Lets the responder go on until nothing is due for so long."""
        end = self.clock.now() + timedelta(minutes=minutes)
        for _ in range(500):
            await self.responder.advance(incident.id)
            due = (await self.view(incident)).next_due
            if due is None or due > end:
                return
            self.clock.advance(max(due - self.clock.now(), timedelta(milliseconds=1)))
        raise AssertionError("it does not come to rest")

    async def view(self, incident: Incident) -> IncidentView:
        found = await self.store.view(incident.id)
        assert found is not None
        return found


@asynccontextmanager
async def response_ground(directory: Path, rule: Rule | None = None, **policy: object) -> AsyncIterator[ResponseGround]:
    """Bounds without waiting times, a rule that restarts, mode auto."""
    ground = SqliteGround(directory / "receiver.db")
    store = await ground.open()
    own = c.policy(bounds=c.loose(), started_at=ground.clock.now(), installation=await store.installation())
    matched = replace(rule or c.rule(c.rung()), matchers=(), page_after=None)
    try:
        yield ResponseGround(store, ground.clock, matched, replace(own, **policy))  # type: ignore[arg-type]
    finally:
        await ground.close()
