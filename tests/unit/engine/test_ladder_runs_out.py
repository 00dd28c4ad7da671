"""A ladder that runs out, over the real engine, store and outbox, to our PagerDuty: what the one page of it says."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from receiver.clients.pagerduty import Events, EventsConfig
from receiver.clock import SystemClock
from receiver.core.case import Permit, Verb, Verdict
from receiver.core.facts import Facts, Look, Sample, SampleState
from receiver.core.model import Incident, Priority, Rule, Verification
from receiver.engine.outbox import Outbox
from receiver.notify.pagerduty import PagerDuty
from receiver.ports import Outcome, OutcomeKind
from receiver.secret import Secret
from receiver.telemetry.metrics import Metrics
from tests.fakes import cases as c
from tests.fakes.outbox_ground import SteppedClock
from tests.fakes.pagerduty import KEY, PagerDutyServer
from tests.fakes.response_ground import ResponseGround, response_ground

MINUTE = timedelta(minutes=1)
SHARE = {"before": 0.31, "after": 0.27}
"""Of failing requests, before the restart and after it."""


def ladder() -> Rule:
    """A restart that does not help, an undo that may not follow it, a scale that is at its ceiling."""
    verification = Verification(query="failing", below=0.05, settle=timedelta(seconds=30))
    rungs = (c.rung(), c.rung(Verb.undo), c.rung(Verb.scale, max=3))
    short = c.loose(verify_timeout=timedelta(seconds=60))
    return c.rule(*(replace(each, bounds=short) for each in rungs), verify=verification)


@dataclass
class Failing:
    """The ground's world, where the first restart is turned down, the second is done, and neither helps."""

    ground: ResponseGround

    def take_part(self) -> None:
        world = self.ground.world
        world.cures = False
        actions: Any = self.ground.responder._parts.actions
        actions[world.name] = self
        self.ground.responder._parts = replace(self.ground.responder._parts, looker=self)

    @property
    def name(self) -> str:
        return self.ground.world.name

    permissions = ()

    async def look(self, look: Look) -> Facts:
        seen = await self.ground.world.look(look)
        share = SHARE["after" if len(self.ground.world.permits) > 1 else "before"]
        return replace(seen, light=look.light, samples=tuple(Sample(each.name, SampleState.value, share) for each in look.questions))

    async def run(self, permit: Permit) -> Outcome:
        first = not self.ground.world.permits
        self.ground.world.outcome = Outcome(OutcomeKind.rejected, "409 Conflict") if first else Outcome(OutcomeKind.applied, "patched")
        return await self.ground.world.run(permit)


async def deliver(ground: ResponseGround, server: PagerDutyServer) -> None:
    """All that waits, by the real outbox and notifier; their clock stands where the ground's does."""
    clock = SteppedClock()
    clock.advance(ground.clock.now() - clock.now())
    events = Events(EventsConfig(Secret(KEY), server.url), clock=SystemClock())
    outbox = Outbox(
        ground.store,
        {"pagerduty": PagerDuty(events)},
        clock=clock,
        metrics=Metrics(version="test"),
        intake=ground.intake,
        owner="one",
        jitter=random.Random(1),
    )
    work = asyncio.create_task(outbox.run("pagerduty"), name="outbox")
    while await ground.store.next_message_due("pagerduty") is not None:
        await asyncio.sleep(0.01)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    await events.close()


@dataclass(frozen=True)
class Told:
    """What PagerDuty took of one incident."""

    triggers: list[dict[str, Any]]
    verdicts: list[Verdict | None]

    @property
    def details(self) -> dict[str, Any]:
        found: dict[str, Any] = self.triggers[-1]["payload"]["custom_details"]
        return found

    def part(self, name: str) -> str:
        value = self.details[name]
        return value if isinstance(value, str) else "\n".join(value)


async def run_out(ground: ResponseGround, server: PagerDutyServer) -> Told:
    """From the alert to an hour after the page, nobody answering."""
    Failing(ground).take_part()
    ground.policy = replace(ground.policy, bounds=c.loose(verify_timeout=timedelta(seconds=60)))
    incident: Incident = await ground.began("web", Priority.p2)
    await ground.advance(incident, minutes=4)
    await deliver(ground, server)
    await ground.advance(incident, minutes=60)
    await deliver(ground, server)
    triggers = [event for _, event in server.requests if event["event_action"] == "trigger"]
    return Told(triggers, [each.verdict for each in (await ground.view(incident)).rows.attempts])


@pytest.mark.timeout(20)
async def test_a_ladder_that_runs_out_ends_in_one_page_that_carries_the_proof(tmp_path: Path) -> None:
    with PagerDutyServer() as server:
        async with response_ground(tmp_path, ladder()) as ground:
            told = await run_out(ground, server)
    assert (len(told.triggers), len(server.incidents), server.invalid) == (1, 1, [])
    assert told.verdicts == [None, Verdict.failed]
    # what fired
    assert "KubePodCrashLooping" in told.part("fires")
    assert "deployment=web" in told.part("fires")
    # samples before and after
    assert "verify 0.31 → 0.27" in told.part("tried")
    assert "available 2/3 → 2/3" in told.part("tried")
    # each attempt with its outcome
    lines = [each for each in told.details["tried"] if "kubernetes.rollout_restart of Deployment shop/web" in each]
    assert len(lines) == 2
    assert "not applied (409 Conflict)" in lines[0]
    assert "not cured" in lines[1]
    # each refusal with its reason
    refused = told.part("refused")
    assert "kubernetes.rollout_restart, kind_once: this action was already tried" in refused
    assert "kubernetes.rollout_undo, undo_and_restart: never an undo and a restart together" in refused
    assert "kubernetes.scale, at_maximum: the count is at its ceiling" in refused
    # the next command
    assert told.part("next command") == "kubectl -n shop describe deployment/web"
    # and the line that wakes a person has the point
    assert "kubernetes.rollout_restart" in told.triggers[0]["payload"]["summary"]
