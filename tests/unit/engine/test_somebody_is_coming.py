"""What once left nobody coming: merges, closings, storms, hiccups of the store, roads that wake nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from receiver.core.case import AttemptState, Permit, Storm, Verb, Verdict
from receiver.core.model import AlertRecord, Incident, Level, Priority, Rule, Symptom
from receiver.core.predicate import Matcher
from receiver.core.rules import RuleSet
from receiver.engine.agenda import Agenda
from receiver.engine.auditor import Auditor
from receiver.engine.commands import PeoplesCommands
from receiver.engine.storm import StoreStormGate
from receiver.ports import (
    CommandRefused,
    DeliveryKind,
    DeliveryResult,
    Message,
    MessageKind,
    Outcome,
    OutcomeKind,
    StoreUnavailable,
    TroubleKind,
)
from tests.fakes import cases as c
from tests.fakes.outbox_ground import LATER, REFUSED, OutboxGround, Scripted, SteppedClock
from tests.fakes.response_ground import ResponseGround, response_ground
from tests.kits import store_ground

DOWN = Rule("down", matchers=(Matcher("alertname", "=", "AllDown"),), symptom=Symptom.unavailable, impact=Level.high, urgency=Level.high)


def commands(ground: ResponseGround) -> PeoplesCommands:
    store = ground.store
    return PeoplesCommands(store, store, ground.responder, clock=ground.clock, wake=lambda _: None, destinations=("pagerduty",))


def alerting(ground: ResponseGround, name: str) -> AlertRecord:
    now = ground.clock.now()
    found = c.record(name)
    return replace(found, first_at=now, alert=replace(found.alert, starts_at=now - timedelta(minutes=3), received_at=now))


def scaling(ground: ResponseGround, permits: list[Permit]) -> None:
    """The ground's action scales, and that helps."""

    async def run(permit: Permit) -> Outcome:
        permits.append(permit)
        count = permit.parameters.replicas or 0
        load = c.workload(**c.HEALTHY, marks=(permit.attempt_id,), resource_version=f"10{len(permits)}")
        ground.world.load = replace(load, replicas=count, available=count, ready=count)
        return Outcome(OutcomeKind.applied, "scaled")

    ground.world.run = run  # type: ignore[method-assign]
    actions: Any = ground.responder._parts.actions
    actions["kubernetes.scale"] = ground.world


# --- merging -------------------------------------------------------------------------------------------------------------


async def _down_beside(ground: ResponseGround, busy: Incident) -> Any:
    """A P1 turns out to be about the target of the busy one."""
    ground.rules = RuleSet(rules=(DOWN, *ground.rules.rules), default=Rule("default", is_default=True), hash="h")
    one = await store_ground.began(
        ground.store,
        "one",
        Priority.p1,
        records=(alerting(ground, "AllDown"),),
        rule="down",
        service="",
        accepted_at=ground.clock.now(),
        classification=c.incident(Priority.p1).classification,
    )
    await ground.responder.advance(one.id)
    assert (await ground.view(one)).rows.incident.merged_into == busy.id
    await ground.advance(busy, minutes=1)
    return await ground.view(busy)


async def test_a_p1_that_is_merged_into_an_incident_at_work_is_paged_at_once(tmp_path: Path) -> None:
    async with response_ground(tmp_path) as ground:
        busy = await ground.began("three", Priority.p3)
        await ground.advance(busy)
        view = await _down_beside(ground, busy)
        assert view.rows.incident.priority is Priority.p1
        assert [each.kind for each in view.messages] == [MessageKind.trigger]


async def test_a_p1_that_is_merged_into_a_cured_incident_with_a_lease_is_paged_at_once(tmp_path: Path) -> None:
    async with response_ground(tmp_path, c.rule(c.rung(Verb.scale))) as ground:
        scaling(ground, [])
        busy = await ground.began("three", Priority.p3)
        await ground.advance(busy, minutes=4)
        assert (await ground.view(busy)).rows.attempts[0].verdict is Verdict.cured
        assert [each.kind for each in (await _down_beside(ground, busy)).messages] == [MessageKind.trigger]


# --- a person closes -----------------------------------------------------------------------------------------------------


async def test_closing_during_a_call_leaves_no_attempt_open(tmp_path: Path) -> None:
    async with response_ground(tmp_path) as ground:
        ground.world.gate.clear()
        incident = await ground.began()
        call = asyncio.create_task(ground.responder.advance(incident.id), name="call")
        await ground.world.called.wait()
        await commands(ground).resolve(incident.id, by="ada")
        ground.world.gate.set()
        await call
        (attempt,) = (await ground.view(incident)).rows.attempts
        assert (attempt.state, attempt.verdict, attempt.open) == (AttemptState.applied, Verdict.closed, False)


async def test_a_temporary_change_is_not_left_standing_by_a_close(tmp_path: Path) -> None:
    async with response_ground(tmp_path, c.rule(c.rung(Verb.scale))) as ground:
        permits: list[Permit] = []
        scaling(ground, permits)
        incident = await ground.began("k", Priority.p3)
        await ground.advance(incident, minutes=4)
        with pytest.raises(CommandRefused, match="kubectl -n shop scale deployment/web --replicas=3"):
            await commands(ground).resolve(incident.id, by="ada")
        closed = await commands(ground).resolve(incident.id, by="ada", leave=True)
        assert not closed.open
        (attempt,) = (await ground.view(incident)).rows.attempts
        assert (attempt.reverted, attempt.verdict_detail) == (True, "left as it is by ada")


# --- storms --------------------------------------------------------------------------------------------------------------


async def test_in_a_storm_at_most_ten_p1_page_singly_within_a_second(tmp_path: Path) -> None:
    async with response_ground(tmp_path, c.rule(), can_look=False) as ground:
        for number in range(8):
            await store_ground.began(ground.store, f"t{number}", Priority.p3, records=(c.record(f"X{number}"),))
        gate = StoreStormGate(ground.store, ground.clock, c.policy().bounds, 0)
        ground.responder._parts = replace(ground.responder._parts, storm=gate)
        alight = [await ground.began(f"p{n}", Priority.p1, records=(alerting(ground, f"P{n}"),)) for n in range(30)]
        await asyncio.gather(*(ground.responder.advance(each.id) for each in alight))
        views = [await ground.view(each) for each in alight]
        assert sum(any(each.kind is MessageKind.trigger for each in view.messages) for view in views) == 10
        assert sum(view.rows.raises[0].by_storm for view in views) == 20


async def test_the_storms_page_is_told_again_after_a_kill(tmp_path: Path) -> None:
    async with response_ground(tmp_path, c.rule(), can_look=False) as ground:
        ground.gate.now = Storm(shut=True, detail="5 targets")
        incident = await ground.began("k", Priority.p2)
        await ground.responder.advance(incident.id)
        ground.intake.troubles.clear()  # as a kill leaves it: the report was in memory only
        auditor = Auditor(
            ground.store, clock=ground.clock, intake=ground.intake, storm=ground.gate, rules=lambda: ground.rules, wake=lambda _: None
        )
        await auditor.round()
        assert [each.kind for each in ground.intake.troubles] == [TroubleKind.storm]


# --- the store has a hiccup ----------------------------------------------------------------------------------------------


async def test_a_lease_that_cannot_be_renewed_at_once_cuts_no_call(tmp_path: Path) -> None:
    class Flaky:
        def __init__(self, store: Any) -> None:
            self._store = store
            self.failed = asyncio.Event()

        def __getattr__(self, name: str) -> Any:
            return getattr(self._store, name)

        async def keep(self, *_: Any, **__: Any) -> bool:
            if not self.failed.is_set():
                self.failed.set()
                raise StoreUnavailable("locked by a backup")
            return True

    async with response_ground(tmp_path) as ground:
        clock = SteppedClock()
        clock.advance(ground.clock.now() - clock.now())
        flaky = Flaky(ground.store)
        incident = await ground.began()
        ground.world.gate.clear()
        agenda: Any = Agenda(flaky, ground.responder, clock=clock, intake=ground.intake, owner="me")
        work = asyncio.create_task(agenda.run(), name="agenda")
        await ground.world.called.wait()
        clock.advance(timedelta(seconds=10.1))
        await flaky.failed.wait()
        ground.world.gate.set()
        while (attempt := (await ground.view(incident)).rows.attempts[0]).state is AttemptState.intent:
            await asyncio.sleep(0)
        assert attempt.state is AttemptState.applied
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


# --- roads that wake nobody ----------------------------------------------------------------------------------------------


async def _ground(directory: Path) -> OutboxGround:
    ground = OutboxGround(directory / "receiver.db")
    await ground.open()
    return ground


async def test_a_page_that_only_the_log_took_woke_nobody(tmp_path: Path) -> None:
    ground = await _ground(tmp_path)
    try:
        incident = await ground.incident()
        await ground.page(incident)
        async with ground.running(Scripted("pagerduty", usual=REFUSED), Scripted("log", pages=False)):
            await asyncio.wait_for(ground.store.has_settled(2), 5)
        rows = await ground.store.store.load(incident.id)
        assert rows is not None
        assert rows.raises[0].accepted_at is None
        late = await ground.store.store.overdue(now=ground.clock.now() + timedelta(hours=1), grace=timedelta(seconds=60))
        assert {each.incident_id for each in late} == {incident.id}
    finally:
        await ground.close()


async def test_a_merged_page_stays_until_a_pager_took_the_survivors(tmp_path: Path) -> None:
    ground = await _ground(tmp_path)
    try:
        store = ground.store.store
        pager = Scripted("pagerduty")
        two = await store_ground.began(store, "two", Priority.p3)
        await ground.page(two, key="k-two")
        one = await store_ground.began(store, "one", Priority.p2)
        async with ground.running(pager, Scripted("log", pages=False)) as outbox:
            await asyncio.wait_for(ground.store.has_settled(1), 5)
            pager.usual = LATER
            await ground.page(one, key="k-one")
            outbox.kick()
            await asyncio.wait_for(ground.store.has_settled(2), 5)
            ground.clock.advance(timedelta(seconds=130))
            outbox.kick()
            await asyncio.wait_for(ground.store.has_settled(4), 5)  # late: the log took a copy
            for each in (one, two):
                found = await store_ground.stored(store, each.id)
                await store.adopt_target(found, store_ground.TARGET, at=ground.clock.now())
        claimed = await store.claim_messages("pagerduty", now=ground.clock.now(), owner="x", lease=timedelta(seconds=60), limit=20)
        assert MessageKind.resolve not in {each.message.kind for each in claimed}
    finally:
        await ground.close()


async def test_a_refused_page_goes_the_second_road_also_after_a_hiccup(tmp_path: Path) -> None:
    ground = await _ground(tmp_path)
    try:
        real: Callable[..., Any] = ground.store.add_messages
        failed: list[int] = []

        async def add(messages: list[Message], *, now: Any) -> None:
            if not failed:
                failed.append(1)
                raise StoreUnavailable("busy")
            await real(messages, now=now)

        ground.store.add_messages = add  # type: ignore[method-assign,assignment]
        log = Scripted("log", pages=False)
        await ground.page(await ground.incident())
        async with ground.running(Scripted("pagerduty", usual=REFUSED), log) as outbox:
            while not failed:
                await asyncio.sleep(0)
            ground.clock.advance(timedelta(seconds=61))  # its lease runs out
            outbox.kick()
            await asyncio.wait_for(ground.store.has_settled(2), 5)
        assert log.taken
    finally:
        await ground.close()


def test_a_result_is_a_page_unless_it_says_otherwise() -> None:
    assert DeliveryResult(DeliveryKind.accepted).pages
