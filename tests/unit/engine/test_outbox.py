"""The outbox: nothing is lost, nothing waits for somebody else's trouble, and the destination's key makes a repeat harmless."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from receiver.clients.pagerduty import Events, EventsConfig
from receiver.clock import SystemClock
from receiver.notify.pagerduty import PagerDuty
from receiver.ports import Change, DeliveryKind, DeliveryResult, Message, MessageKind, TroubleKind
from receiver.secret import Secret
from tests.fakes.outbox_ground import LATER, REFUSED, OutboxGround, Scripted
from tests.fakes.pagerduty import KEY, Fault, PagerDutyServer
from tests.kits.store_ground import message

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def ground(tmp_path: Path) -> AsyncIterator[OutboxGround]:
    found = OutboxGround(tmp_path / "receiver.db")
    await found.open()
    yield found
    await found.close()


@pytest.fixture
async def pagerduty() -> AsyncIterator[tuple[PagerDutyServer, PagerDuty]]:
    with PagerDutyServer() as server:
        events = Events(EventsConfig(Secret(KEY), server.url), clock=SystemClock())
        yield server, PagerDuty(events)
        await events.close()


Both = tuple[PagerDutyServer, PagerDuty]


async def test_a_page_leaves_as_soon_as_it_is_written_and_dates_its_raise(ground: OutboxGround, pagerduty: Both) -> None:
    server, notifier = pagerduty
    async with ground.running(notifier) as outbox:
        incident = await ground.incident()
        began = ground.clock.now()
        await ground.page(incident)
        with capture_logs() as lines:
            outbox.kick("pagerduty")
            await ground.store.has_settled(1)
    (line,) = [each for each in lines if each["event"] == "page accepted"]
    assert (line["destination"], line["incident"], line["call"]) == ("pagerduty", incident.id, 1)
    rows = await ground.store.load(incident.id)
    assert rows is not None
    assert rows.raises[0].accepted_at == began == ground.clock.now()
    assert [each.key for each in server.open] == ["dedup"]


async def test_ten_minutes_of_429_delay_a_page_and_deliver_it_once(ground: OutboxGround, pagerduty: Both) -> None:
    server, notifier = pagerduty
    server.fail(Fault(status=429, times=0))
    await ground.page(await ground.incident())
    start, tries = ground.clock.now(), 0
    async with ground.running(notifier) as outbox:
        while ground.clock.now() < start + 10 * MINUTE:
            tries += 1
            await ground.store.has_settled(tries)
            assert server.incidents == []
            await ground.pass_until_due(outbox, "pagerduty")
        server.heal()
        while ground.store.settled[-1][1].kind is not DeliveryKind.accepted:
            tries += 1
            await ground.store.has_settled(tries)
            if ground.store.settled[-1][1].kind is DeliveryKind.retry:
                await ground.pass_until_due(outbox, "pagerduty")
    assert len(server.incidents) == 1
    assert len(server.incidents[0].triggers) == 1
    assert 12 <= server.tries <= 25  # doubling from 1 s, at most a minute apart


async def test_killed_between_sending_and_recording_the_same_key_is_sent_again(ground: OutboxGround, pagerduty: Both) -> None:
    server, notifier = pagerduty
    await ground.page(await ground.incident())
    ground.store.dead = True
    async with ground.running(notifier):
        await ground.store.has_died()
    await ground.open()
    async with ground.running(notifier):
        await ground.store.has_settled(1)
    assert [len(each.triggers) for each in server.incidents] == [2]
    assert server.incidents[0].woken == 1


async def test_a_connection_cut_after_the_event_was_applied_still_makes_one_incident(ground: OutboxGround, pagerduty: Both) -> None:
    server, notifier = pagerduty
    server.fail(Fault(cut=True, applied=True))
    await ground.page(await ground.incident())
    async with ground.running(notifier) as outbox:
        await ground.store.has_settled(1)
        await ground.pass_until_due(outbox, "pagerduty")
        await ground.store.has_settled(2)
    assert len(server.incidents) == 1


async def test_a_slow_destination_delays_no_other(ground: OutboxGround) -> None:
    slow, fast = Scripted("slow"), Scripted("fast")
    slow.gate.clear()
    incident = await ground.incident()
    await ground.page(incident, message(incident, to="slow"), message(incident, to="fast"))
    async with ground.running(slow, fast):
        await slow.begun.wait()
        await ground.store.has_settled(1)
        assert [each.destination for each in fast.taken] == ["fast"]
        assert slow.taken == []


async def test_a_slow_delivery_delays_no_other_of_its_destination(ground: OutboxGround) -> None:
    notifier = _FirstHangs("pagerduty")
    incident = await ground.incident()
    await ground.page(incident, message(incident, "first"))
    async with ground.running(notifier) as outbox:
        await notifier.begun.wait()
        await ground.store.add_messages([message(incident, "second")], now=ground.clock.now())
        outbox.kick()
        await ground.store.has_settled(1)
    assert [each.dedup_key for each in notifier.taken] == ["second"]


class _FirstHangs(Scripted):
    async def deliver(self, message: Message) -> DeliveryResult:
        if not self.begun.is_set():
            self.begun.set()
            await asyncio.Event().wait()
        return await super().deliver(message)


async def test_a_resolve_waits_until_its_trigger_was_taken(ground: OutboxGround) -> None:
    notifier = Scripted("pagerduty")
    notifier.answers.extend([LATER, LATER])
    incident = await ground.incident()
    await ground.page(incident, message(incident), message(incident, kind=MessageKind.resolve))
    async with ground.running(notifier) as outbox:
        for tries in (1, 2):
            await ground.store.has_settled(tries)
            await ground.pass_until_due(outbox, "pagerduty")
        await ground.store.has_settled(4)
    assert [each.kind for each in notifier.taken] == [MessageKind.trigger, MessageKind.resolve]


async def test_a_refused_page_takes_the_second_road_at_once_and_is_told(ground: OutboxGround) -> None:
    first, second = Scripted("pagerduty", usual=REFUSED), Scripted("log")
    await ground.page(await ground.incident())
    async with ground.running(first, second):
        await ground.store.has_settled(2)
    assert [(each.destination, each.dedup_key) for each in second.taken] == [("log", "dedup")]
    told = [(each.kind, each.over) for each in ground.intake.troubles if each.subject == "pagerduty"]
    assert told == [(TroubleKind.notifier_refused, False)]


async def test_a_refused_page_is_offered_again_until_a_mended_pager_takes_it(ground: OutboxGround) -> None:
    first, second = Scripted("pagerduty"), Scripted("log", pages=False)
    first.answers.append(REFUSED)
    incident = await ground.incident()
    await ground.page(incident)
    async with ground.running(first, second):
        await ground.store.has_settled(2)
    refused_at = ground.clock.now()
    async with ground.running(Scripted("pagerduty"), second) as outbox:  # as after a restart with the right key
        await ground.pass_until_due(outbox, "pagerduty")
        await ground.store.has_settled(3)
    assert ground.clock.now() - refused_at == 5 * MINUTE
    rows = await ground.store.store.load(incident.id)
    assert rows is not None
    assert rows.raises[0].accepted_at is not None
    assert [each.over for each in ground.intake.troubles if each.subject == "pagerduty"] == [False, True]


async def test_a_refused_page_of_a_closed_incident_is_let_go(ground: OutboxGround) -> None:
    incident = await ground.incident()
    await ground.page(incident)
    found = await ground.store.store.load(incident.id)
    assert found is not None
    await ground.store.store.save(Change(replace(found.incident, open=False, closed_at=ground.clock.now())))
    async with ground.running(Scripted("pagerduty", usual=REFUSED), Scripted("log", pages=False)):
        await ground.store.has_settled(2)
    assert await ground.due("pagerduty") is None


async def test_the_trouble_of_refused_pages_is_told_once_until_one_is_taken(ground: OutboxGround) -> None:
    first, second = Scripted("pagerduty"), Scripted("log")
    first.answers.extend([REFUSED, REFUSED])
    incident = await ground.incident()
    await ground.page(incident, message(incident, "a"), message(incident, "b"))
    async with ground.running(first, second) as outbox:
        await ground.store.has_settled(4)
        for settled, key in ((5, "c"), (6, "d")):
            await ground.store.add_messages([message(incident, key)], now=ground.clock.now())
            outbox.kick()
            await ground.store.has_settled(settled)
    assert [each.over for each in ground.intake.troubles if each.subject == "pagerduty"] == [False, True]


async def test_a_page_that_nobody_took_for_two_minutes_goes_the_second_road_once(ground: OutboxGround) -> None:
    first, second = Scripted("pagerduty", usual=LATER), Scripted("log", usual=LATER)
    await ground.page(await ground.incident())
    start, tries = ground.clock.now(), 0
    async with ground.running(first, second) as outbox:
        while await ground.due("log") is None:
            tries += 1
            await ground.store.has_settled(tries)
            if await ground.due("log") is None:
                await ground.pass_until_due(outbox, "pagerduty")
        assert ground.clock.now() == start + 2 * MINUTE
        for _ in range(6):
            settled = len(ground.store.settled)
            await ground.pass_until_due(outbox, "log")
            await ground.store.has_settled(settled + 1)
    view = await ground.store.store.view(1)
    assert view is not None
    assert sorted(each.destination for each in view.messages) == ["log", "pagerduty"]


async def test_the_destinations_own_date_is_kept(ground: OutboxGround) -> None:
    notifier = Scripted("pagerduty", usual=DeliveryResult(DeliveryKind.retry, "429", timedelta(seconds=37)))
    await ground.page(await ground.incident())
    async with ground.running(notifier):
        await ground.store.has_settled(1)
    assert await ground.due("pagerduty") == timedelta(seconds=37)


async def test_a_notifier_that_throws_is_tried_again(ground: OutboxGround) -> None:
    notifier = Scripted("pagerduty")
    notifier.answers.append(RuntimeError("no"))
    await ground.page(await ground.incident())
    async with ground.running(notifier) as outbox:
        await ground.store.has_settled(1)
        await ground.pass_until_due(outbox, "pagerduty")
        await ground.store.has_settled(2)
    assert len(notifier.taken) == 1


async def test_stopped_while_delivering_the_message_is_due_for_whoever_comes_next(ground: OutboxGround) -> None:
    notifier = Scripted("pagerduty")
    notifier.gate.clear()
    await ground.page(await ground.incident())
    async with ground.running(notifier):
        await notifier.begun.wait()
    assert await ground.due("pagerduty") == timedelta(0)


async def test_time_to_page_counts_from_acceptance_and_for_destinations_that_page(ground: OutboxGround) -> None:
    incident = await ground.incident()
    ground.clock.advance(MINUTE)
    await ground.page(incident, message(incident, to="log"), message(incident, to="pagerduty"))
    async with ground.running(Scripted("pagerduty"), Scripted("log", pages=False)):
        await ground.store.has_settled(2)
    sample = ground.metrics.registry.get_sample_value
    assert (sample("receiver_time_to_page_seconds_count"), sample("receiver_time_to_page_seconds_sum")) == (1, 60)
    assert sample("receiver_pages_total", {"destination": "log", "outcome": "accepted"}) == 1


async def test_no_more_deliveries_are_under_way_than_a_destination_may_have(ground: OutboxGround) -> None:
    notifier = _Counting("pagerduty")
    notifier.gate.clear()
    incident = await ground.incident()
    await ground.page(incident, *(message(incident, f"k{n}") for n in range(60)))
    async with ground.running(notifier) as outbox:
        await notifier.full.wait()
        for _ in range(3):  # each a turn of the loop, and of the store behind it
            outbox.kick()
            await ground.due("pagerduty")
        assert notifier.now == 20
        notifier.gate.set()
        await ground.store.has_settled(60)


class _Counting(Scripted):
    now = 0

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.full = asyncio.Event()

    async def deliver(self, message: Message) -> DeliveryResult:
        self.now += 1
        if self.now >= 20:
            self.full.set()
        return await super().deliver(message)
