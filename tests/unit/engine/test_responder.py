"""The loop that carries decisions out: intent before effect, one key a raise, nothing lost to a fault or a stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from receiver.core.case import AttemptState, Hold, HoldKind, Storm, Verdict
from receiver.core.facts import Evidence
from receiver.core.model import Breadth, BreadthKind, Level, Mode, Naming, Priority, Target, TargetRef
from receiver.ports import Fold, FoldedIncident, MessageKind, Outcome, OutcomeKind, TroubleKind
from tests.fakes import cases as c
from tests.fakes.response_ground import ResponseGround, response_ground


@pytest_asyncio.fixture
async def ground(tmp_path: Path) -> AsyncIterator[ResponseGround]:
    async with response_ground(tmp_path) as made:
        yield made


async def test_a_sick_workload_is_restarted_once_and_verified(ground: ResponseGround) -> None:
    incident = await ground.began()
    await ground.advance(incident, minutes=4)
    view = await ground.view(incident)
    assert [each.verdict for each in view.rows.attempts] == [Verdict.cured]
    assert len(ground.world.permits) == 1
    assert view.messages == ()


async def test_an_attempt_and_the_end_of_its_incident_are_lines_of_the_log(ground: ResponseGround) -> None:
    with capture_logs() as lines:
        incident = await ground.began()
        await ground.advance(incident, minutes=4)
        rows = (await ground.view(incident)).rows
        over = tuple(replace(each, resolved_at=ground.clock.now()) for each in rows.alerts)
        await ground.store.commit_fold(Fold((FoldedIncident(rows.incident, over, (), (), ground.clock.now()),), ()))
        await ground.advance(incident, minutes=30)
    assert not (await ground.view(incident)).rows.incident.open
    (ended,) = [each for each in lines if each["event"] == "attempt ended"]
    assert (ended["incident"], ended["action"], ended["outcome"]) == (incident.id, ground.world.name, "applied")
    (closed,) = [each for each in lines if each["event"] == "incident closed"]
    assert (closed["incident"], closed["by"], closed["because"]) == (incident.id, "receiver", "stable")


async def test_the_intent_stands_before_the_call(ground: ResponseGround) -> None:
    incident = await ground.began()
    ground.world.gate.clear()
    work = asyncio.ensure_future(ground.advance(incident))
    await ground.world.called.wait()
    assert [each.state for each in (await ground.view(incident)).rows.attempts] == [AttemptState.intent]
    ground.world.gate.set()
    await work


async def test_a_stop_during_the_call_leaves_an_unknown_outcome_and_no_second_call(ground: ResponseGround) -> None:
    incident = await ground.began()
    ground.world.gate.clear()
    work = asyncio.ensure_future(ground.advance(incident))
    await ground.world.called.wait()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert [each.state for each in (await ground.view(incident)).rows.attempts] == [AttemptState.unknown]
    ground.world.gate.set()
    await ground.advance(incident, minutes=1)  # a request may live for 90 s: until then it is only looked at
    assert len(ground.world.permits) == 1
    assert len(ground.world.looks) > 2


async def test_an_action_that_throws_is_an_unknown_outcome_and_a_page(ground: ResponseGround) -> None:
    incident = await ground.began()
    ground.world.outcome = Outcome(OutcomeKind.unknown, "connection reset")
    await ground.advance(incident, minutes=1)
    view = await ground.view(incident)
    assert [each.kind for each in view.messages] == [MessageKind.trigger]
    assert "outcome_unknown" in [each.entry.because for each in view.timeline]


async def test_a_rejected_call_may_be_tried_again_and_three_are_enough(ground: ResponseGround) -> None:
    incident = await ground.began()
    ground.world.outcome = Outcome(OutcomeKind.rejected, "conflict")
    await ground.advance(incident, minutes=4)
    view = await ground.view(incident)
    assert [each.state for each in view.rows.attempts] == [AttemptState.rejected] * 3
    assert len(view.messages) == 1


async def test_closing_resolves_every_raise_under_its_own_key(ground: ResponseGround) -> None:
    ground.world.cures = False
    incident = await ground.began(priority=Priority.p1)
    await ground.advance(incident, minutes=1)
    rows = (await ground.view(incident)).rows
    over = tuple(replace(each, resolved_at=ground.clock.now()) for each in rows.alerts)
    triggers = {each.dedup_key for each in (await ground.view(incident)).messages}
    assert over
    assert len(triggers) == 1


async def test_evidence_that_fails_never_holds_up_a_page(ground: ResponseGround) -> None:
    def broken() -> tuple[Evidence, ...]:
        raise RuntimeError("no evidence today")

    ground.evidence = broken
    ground.world.target = c.TARGET
    incident = await ground.began(priority=Priority.p1)
    await ground.advance(incident)
    (message, *_) = (await ground.view(incident)).messages
    assert "RuntimeError" in str(message.text.details)
    assert "no evidence today" not in str(message.text.details)


async def test_a_storm_joins_pages_and_starts_nothing(ground: ResponseGround) -> None:
    ground.gate.now = Storm(shut=True, detail="6 targets in 5 min")
    incident = await ground.began()
    await ground.advance(incident)
    view = await ground.view(incident)
    assert not ground.world.permits
    assert [each.by_storm for each in view.rows.raises] == [True]
    assert view.messages == ()
    assert [each.kind for each in ground.intake.troubles] == [TroubleKind.storm]


async def test_the_end_of_a_storm_pages_what_is_still_open(ground: ResponseGround) -> None:
    ground.gate.now = Storm(shut=True, detail="6 targets in 5 min")
    incident = await ground.began()
    await ground.advance(incident)
    ground.gate.now = Storm()
    ground.policy = replace(ground.policy, mode=Mode.observe)
    await ground.advance(incident, minutes=2)
    assert [each.kind for each in (await ground.view(incident)).messages] == [MessageKind.trigger]


async def test_observe_records_a_shadow_and_calls_nothing(ground: ResponseGround) -> None:
    ground.policy = replace(ground.policy, mode=Mode.observe)
    incident = await ground.began()
    await ground.advance(incident, minutes=1)
    view = await ground.view(incident)
    assert [each.state for each in view.rows.attempts] == [AttemptState.shadow]
    assert not ground.world.permits
    assert "would" in str(view.messages[0].text.details)


async def test_two_keys_of_one_target_become_one_incident(ground: ResponseGround) -> None:
    ground.policy = replace(ground.policy, mode=Mode.observe)
    first = await ground.began("one")
    await ground.advance(first)
    second = await ground.began("two", records=(c.record("Other", age=0),))
    await ground.advance(second)
    assert (await ground.view(second)).rows.incident.merged_into == first.id
    assert {each.alert.name for each in (await ground.view(first)).rows.alerts} == {"KubePodCrashLooping", "Other"}
    survivor = await ground.responder.case(first.id)
    assert survivor is not None
    assert survivor.merged == {second.id}


async def test_the_kill_switch_between_decision_and_intent_stops_it(ground: ResponseGround) -> None:
    incident = await ground.began()
    hold = Hold(0, HoldKind.kill_switch, "", "stop", "me", ground.clock.now())
    await ground.store.add_hold(hold)
    await ground.advance(incident, minutes=1)
    assert not ground.world.permits
    assert "kill_switch" in str((await ground.view(incident)).messages[0].text.details) or "kill switch" in str(
        (await ground.view(incident)).messages[0].text.details
    )


async def test_the_timeline_does_not_repeat_itself(ground: ResponseGround) -> None:
    ground.world.target = None
    incident = await ground.began(priority=Priority.p3)
    await ground.advance(incident, minutes=14)
    entries = [each.entry.text for each in (await ground.view(incident)).timeline]
    assert len(entries) < 12, entries
    assert (await ground.view(incident)).chain_intact


async def test_every_permit_is_fresh_and_for_what_was_seen(ground: ResponseGround) -> None:
    incident = await ground.began()
    await ground.advance(incident, minutes=1)
    (permit,) = ground.world.permits
    assert permit.target == c.TARGET
    assert permit.expires_at - permit.at <= timedelta(seconds=15)
    assert permit.before.resource_version == "100"


async def test_a_reclassified_incident_is_told_in_the_teams_names_and_language(tmp_path: Path) -> None:
    broad = replace(c.rule(), name="crash", breadth=Breadth(BreadthKind.replicas), impact=Level.low, urgency=Level.medium)
    async with response_ground(tmp_path, broad, naming=Naming.p0_p3, locale="fr") as ground:
        ground.world.load = c.workload(available=0)
        incident = await ground.began(priority=Priority.p4)
        await ground.advance(incident)
        told = [each.entry.text for each in (await ground.view(incident)).timeline if each.entry.because == "reclassified"]
    assert told
    assert told[0].startswith("P1 : impact faible : ")
    assert "étendue (0 sur 3 replicas disponibles)" in told[0]


OTHER = Target(TargetRef("kubernetes", "default", "shop", "Deployment", "api"), "uid-api")


@pytest.mark.parametrize("cures", [True, False])
async def test_the_end_of_an_attempt_is_the_turn_of_who_waited_for_it(ground: ResponseGround, cures: bool) -> None:
    world, ground.world.cures = ground.world, cures
    first = await ground.began("first")
    await ground.advance(first)
    acted = world.load
    alert = replace(c.record(age=0).alert, labels={"alertname": "KubePodCrashLooping", "namespace": "shop", "deployment": "api"})
    second = await ground.began("second", Priority.p3, records=(replace(c.record(age=0), alert=alert),))
    world.target, world.load = OTHER, c.workload()
    await ground.advance(second)
    rests = (await ground.view(second)).next_due
    world.target, world.load = c.TARGET, acted
    while any(each.open for each in (await ground.view(first)).rows.attempts):
        ground.clock.advance(c.seconds(15))
        await ground.responder.advance(first.id)
    assert rests is not None
    assert (await ground.view(second)).next_due == ground.clock.now() < rests
    world.target, world.load = OTHER, c.workload()
    await ground.advance(second, minutes=2)  # two restarts in a namespace are a minute apart
    assert [each.target.uid for each in world.permits] == ["uid-web", "uid-api"]


async def test_a_thaw_while_it_was_decided_is_not_missed(ground: ResponseGround) -> None:
    incident = await ground.began()
    held = await ground.store.add_hold(Hold(0, HoldKind.freeze, "rule:crash", "r", "ada", ground.clock.now()))
    await ground.advance(incident)
    assert (await ground.view(incident)).next_due is None
    await ground.store.wake(incident.id, at=ground.clock.now())
    ground.gate.meanwhile = lambda: ground.store.end_hold(held.id, at=ground.clock.now(), by="ada")
    await ground.responder.advance(incident.id)
    assert (await ground.view(incident)).next_due == ground.clock.now()
    await ground.advance(incident)
    assert len(ground.world.permits) == 1
