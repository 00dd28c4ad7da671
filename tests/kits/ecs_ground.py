"""Where ECS is tried: one service with a good and a bad task definition on our own server, and everything of ours up to it.

Time stands still but for `later`; `serving` is the whole of it. Used by the tests of client, observer and actions.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from receiver.clients.aws import Aws, AwsAccount, AwsConfig, Place
from receiver.clients.ecs import Ecs, ServiceAt
from receiver.core.case import Attempt, AttemptState, Parameters, Permit, Verb
from receiver.core.facts import Facts, Hint, Look, Want
from receiver.core.model import Bounds, Mode, TargetRef
from receiver.core.verify import measured
from receiver.observe.ecs import EcsObserver
from receiver.ports import Action, Outcome
from receiver.remediate import ECS_ACTIONS
from tests.fakes.clock import FakeClock
from tests.fakes.ecs_server import EcsServer, Fault, ecs_server
from tests.fakes.ecs_world import REGION, EcsWorld, Service

CLUSTER, NAME = "app-cluster", "web"
COUNT, DEPLOY, BACK = "ecs.desired_count", "ecs.new_deployment", "ecs.previous_task_definition"
REF = TargetRef("ecs", "default", CLUSTER, "Service", NAME)
LIMIT, SHORT = timedelta(seconds=15), timedelta(seconds=2)
"""Of one change; and of one that never ends, which still must leave within it on a busy machine."""
FULL = frozenset({Want.target, Want.workload})


@dataclass
class Switch:
    """A kill switch."""

    refusal: str = ""
    asked: int = 0
    before: Callable[[], None] = lambda: None
    """What happens while it is read."""

    async def refuses(self) -> str:
        self.asked += 1
        self.before()
        return self.refusal


@dataclass
class EcsGround:
    """The parts."""

    clock: FakeClock
    world: EcsWorld
    server: EcsServer
    aws: Aws
    ecs: Ecs
    observer: EcsObserver
    service: Service
    good: str
    bad: str
    """Task definitions: the service runs the good one, after a long time of it."""
    switch: Switch = field(default_factory=Switch)

    def faults(self, operation: str, fault: Fault) -> None:
        """From now on each call of it meets this."""
        self.server.always[operation] = fault
        if fault in (Fault.hang_before, Fault.hang_after):
            self.aws.config = replace(self.aws.config, call_timeout=SHORT)

    def later(self, by: timedelta) -> None:
        self.clock.advance(by)

    async def look(self, *, light: bool = False, uid: str = "", hints: tuple[Hint, ...] = (), ref: TargetRef | None = REF) -> Facts:
        asked = Look(FULL, timedelta(seconds=10), hints=hints, ref=ref, uid=uid, light=light)
        return await self.observer.look(asked, Facts(at=self.clock.now()))

    async def permit(self, action: str, parameters: Parameters, *, ref: TargetRef = REF) -> Permit:
        facts = await self.look(ref=ref)
        assert facts.target is not None, facts.trouble_detail
        verb = Verb.of(action)
        assert verb is not None
        return Permit(
            attempt_id="0a1b2c3d-7-1",
            incident_id=7,
            action=action,
            verb=verb,
            target=facts.target,
            parameters=parameters,
            before=measured(facts),
            at=self.clock.now(),
            expires_at=self.clock.now() + timedelta(seconds=15),
            seen=1,
            rung=0,
            rule="r",
            ruleset_hash="h",
            mode=Mode.auto,
        )

    async def back(self) -> Permit:
        """A permit for the rollback that the present look proposes."""
        facts = await self.look()
        assert facts.workload is not None, facts.trouble_detail
        plan = facts.workload.undo
        assert not plan.refusal, plan.refusal
        asked = Parameters(revision=plan.revision, template_hash=plan.template_hash, replica_set=plan.replica_set)
        return await self.permit(BACK, asked)

    def action(self, name: str) -> Action:
        found: Action = ECS_ACTIONS[name](self.ecs, clock=self.clock)
        return found

    async def run(self, permit: Permit) -> Outcome:
        return await self.action(permit.action).run(permit)


def begun(permit: Permit, outcome: Outcome) -> Attempt:
    """As the ledger has it after the call."""
    attempt = Attempt.begun(permit, AttemptState.intent, permit.at)
    return replace(attempt, state=AttemptState(outcome.kind.value), ended_at=permit.at, detail=outcome.detail, made=outcome.made)


def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the default chain, and nothing else of this machine."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA0000000000000000")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "k" * 40)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent/config")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials")


@asynccontextmanager
async def serving(*accounts: AwsAccount, tag: bool = True, clock: FakeClock | None = None) -> AsyncIterator[EcsGround]:
    """Everything, until the end of the block. `accounts`: other ones, each with a world of its own."""
    clock = clock or FakeClock()
    world = EcsWorld(clock.now)
    good, bad = world.register("web", "shop:1"), world.register("web", "shop:2")
    service = world.create(CLUSTER, NAME, good, desired=4)
    world.old(service, timedelta(days=2))
    worlds = [world, *(EcsWorld(clock.now, account=each.id) for each in accounts)]
    async with ecs_server(*worlds) as server:
        switch = Switch()
        config = AwsConfig(region=REGION, accounts=accounts, endpoint_url=server.url, call_timeout=LIMIT, timeout=timedelta(seconds=5))
        aws = Aws(config, clock=clock, kill_switch=switch)
        ecs = Ecs(aws, [ServiceAt(CLUSTER, NAME), *(ServiceAt(CLUSTER, "other", each.id, REGION) for each in accounts)])
        observer = EcsObserver(ecs, cluster="default", bounds=Bounds(), tag=tag)
        try:
            await aws.ask(Place("ecs"), "list_tasks", {"cluster": CLUSTER, "serviceName": NAME})  # the SDK is loaded by the first call
            server.calls.clear()
            yield EcsGround(clock, world, server, aws, ecs, observer, service, good, bad, switch)
        finally:
            await aws.close()
