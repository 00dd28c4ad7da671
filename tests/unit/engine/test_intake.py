"""Accepting deliveries: yes only for what is committed, bounded, and nobody's fault is another's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from receiver.core.model import OWN_SOURCE, Batch, Refusal
from receiver.engine.handover import Handover
from receiver.engine.intake import GROUP_DELIVERIES, GroupCommitIntake
from receiver.engine.own_source import OwnSource, delivery_of
from receiver.ports import Delivery, NotDurable, OwnTrouble, StoreUnavailable, TroubleKind
from receiver.store.opening import open_store
from receiver.telemetry.metrics import Metrics
from tests.fakes.clock import START, FakeClock
from tests.fakes.folding_ground import POD, Interposed, body, delivery, said

ONE = delivery(body(said(POD)), at=START)
MINUTE = timedelta(minutes=1)
TROUBLE = OwnTrouble(TroubleKind.unauthorized, "alertmanager", "401 only for five minutes")


class Door:
    """An intake over a real store, and its writer."""

    def __init__(self, store: Interposed, clock: FakeClock, **limits: int | float) -> None:
        self.store = store
        self.clock = clock
        self.handover = Handover()
        self.intake = GroupCommitIntake(store, clock, self.handover, Metrics(version="test"), **limits)  # type: ignore[arg-type] # limits are ints or floats by name
        self.groups: list[int] = []
        store.before["append"] = self._note

    async def _note(self, group: Sequence[Delivery]) -> None:
        self.groups.append(len(group))

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            writer = group.create_task(self.intake.run())
            try:
                yield
            finally:
                writer.cancel()

    async def stored(self) -> list[bytes]:
        return [each.body for each in await self.store.real.unfolded(after=0, limit=10_000)]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Interposed]:
    real = await open_store(f"sqlite:///{tmp_path}/receiver.db", clock=FakeClock())
    try:
        yield Interposed(real)
    finally:
        await real.close()


@pytest.fixture
def door(store: Interposed) -> Door:
    return Door(store, FakeClock())


async def _answers(door: Door, count: int) -> list[BaseException | None]:
    return await asyncio.gather(*(door.intake.accept(ONE) for _ in range(count)), return_exceptions=True)


# --- yes -----------------------------------------------------------------------------------------------------------------


async def test_an_accepted_delivery_is_in_the_inbox(door: Door) -> None:
    async with door.open():
        await door.intake.accept(ONE)
        assert await door.stored() == [ONE.body]


async def test_many_waiting_deliveries_share_a_commit(door: Door) -> None:
    async with door.open():
        assert await _answers(door, 200) == [None] * 200
    assert len(door.groups) <= 2
    assert len(await door.stored()) == 200


async def test_a_group_is_bounded_in_number_and_bytes(door: Door) -> None:
    async with door.open():
        await _answers(door, 2 * GROUP_DELIVERIES)
        assert max(door.groups) <= GROUP_DELIVERIES
        door.groups.clear()
        big = delivery(body(said(POD, text="x" * (5 << 20))), at=START)
        await asyncio.gather(*(door.intake.accept(big) for _ in range(4)))
    assert max(door.groups) == 1


async def test_an_accepted_delivery_is_handed_to_the_folder_with_its_inbox_id(door: Door) -> None:
    async with door.open():
        await door.intake.accept(ONE)
    ((id_, handed),) = door.handover.take(deliveries=10, alerts=10)
    assert handed is ONE
    assert [each.id for each in await door.store.real.unfolded(after=0, limit=10)] == [id_]


# --- no ------------------------------------------------------------------------------------------------------------------


async def test_a_store_that_fails_is_not_durable_for_all_who_wait_and_the_next_are_served(door: Door) -> None:
    async def full(_: object) -> None:
        raise StoreUnavailable("disk full")

    door.store.before["append"] = full
    async with door.open():
        answers = await _answers(door, 3)
        assert [type(each) for each in answers] == [NotDurable] * 3
        del door.store.before["append"]
        await door.intake.accept(ONE)
    assert len(await door.stored()) == 1
    assert len(door.handover.take(deliveries=10, alerts=10)) == 1


async def test_a_store_that_hangs_is_not_durable_after_its_time_limit(store: Interposed) -> None:
    async def hang(_: object) -> None:
        await asyncio.Event().wait()

    door = Door(store, FakeClock(), append_seconds=0.01)
    store.before["append"] = hang
    async with door.open():
        with pytest.raises(NotDurable):
            await door.intake.accept(ONE)


async def test_too_many_waiting_are_refused_at_once(store: Interposed) -> None:
    door = Door(store, FakeClock(), max_waiting=2)
    waiting = [asyncio.ensure_future(door.intake.accept(ONE)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(NotDurable, match="wait for their commit"):
        await door.intake.accept(ONE)
    async with door.open():
        await asyncio.gather(*waiting)
        await door.intake.accept(ONE)  # room again


async def test_too_many_waiting_bytes_are_refused_but_one_body_always_fits(store: Interposed) -> None:
    door = Door(store, FakeClock(), max_waiting_bytes=10)
    waiting = asyncio.ensure_future(door.intake.accept(ONE))
    await asyncio.sleep(0)
    with pytest.raises(NotDurable):
        await door.intake.accept(ONE)
    async with door.open():
        await waiting
        await door.intake.accept(ONE)


async def test_a_backlog_that_nobody_folds_is_refused(store: Interposed) -> None:
    door = Door(store, FakeClock(), max_backlog=3)
    async with door.open():
        for _ in range(3):
            await door.intake.accept(ONE)
        with pytest.raises(NotDurable, match="wait to be folded"):
            await door.intake.accept(ONE)
        door.handover.folded(1)
        await door.intake.accept(ONE)


async def test_a_waiter_that_goes_away_takes_nothing_with_it(door: Door) -> None:
    waiting = [asyncio.ensure_future(door.intake.accept(ONE)) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[1].cancel()
    async with door.open():
        await asyncio.gather(waiting[0], waiting[2])
        assert len(await door.stored()) == 3


async def test_a_stop_in_the_middle_of_a_commit_still_answers_its_group(door: Door) -> None:
    inside, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_: object) -> None:
        inside.set()
        await go_on.wait()

    door.store.before["append"] = slow
    first = asyncio.ensure_future(door.intake.accept(ONE))
    async with door.open():
        await inside.wait()
        second = asyncio.ensure_future(door.intake.accept(ONE))
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(go_on.set)
    await first
    with pytest.raises(NotDurable):
        await second
    with pytest.raises(NotDurable):
        await door.intake.accept(ONE)


async def test_an_unforeseen_fault_ends_the_writer_and_not_the_patience_of_the_senders(door: Door) -> None:
    async def broken(_: object) -> None:
        raise ZeroDivisionError

    door.store.before["append"] = broken
    waiting = asyncio.ensure_future(door.intake.accept(ONE))
    await asyncio.sleep(0)
    with pytest.raises(ExceptionGroup):
        await door.intake.run()
    with pytest.raises(NotDurable):
        await waiting
    del door.store.before["append"]
    async with door.open():
        await asyncio.sleep(0)
        await door.intake.accept(ONE)


# --- our own troubles ----------------------------------------------------------------------------------------------------


async def _own(door: Door) -> list[Delivery]:
    """Lets the reports be stored, and says what was handed to the folder so far."""
    for _ in range(200):
        await asyncio.sleep(0.0005)  # the store answers from its own thread
    return [each for _, each in door.handover.take(deliveries=1000, alerts=1000)]


async def test_a_trouble_is_stored_like_any_delivery(door: Door) -> None:
    async with door.open():
        door.intake.report(TROUBLE)
        (own,) = await _own(door)
    (alert,) = own.batch.alerts
    assert (own.source, alert.labels["kind"], alert.labels["subject"]) == (OWN_SOURCE, "unauthorized", "alertmanager")
    assert await door.stored() == [own.body]


async def test_a_storm_of_reports_is_one_delivery_a_minute_for_each_kind_and_subject(door: Door) -> None:
    async with door.open():
        for n in range(500):
            door.intake.report(OwnTrouble(TroubleKind.quarantine, "alertmanager", f"delivery {n}"))
            door.intake.report(TROUBLE)
        stored = await _own(door)
    assert len(stored) <= 2 * (1 + int(door.clock.monotonic() // 60))


async def test_a_trouble_reported_again_waits_for_its_minute(door: Door) -> None:
    async with door.open():
        door.intake.report(TROUBLE)
        (first,) = await _own(door)
        door.intake.report(TROUBLE)
        (second,) = await _own(door)
    assert second.received_at - first.received_at >= MINUTE


async def test_the_last_word_wins_and_its_beginning_is_kept(door: Door) -> None:
    async with door.open():
        door.intake.report(TROUBLE)
        (first,) = await _own(door)
        door.clock.advance(2 * MINUTE)
        door.intake.report(OwnTrouble(TroubleKind.unauthorized, "alertmanager", "passed", over=True))
        (second,) = await _own(door)
    fired, over = first.batch.alerts[0], second.batch.alerts[0]
    assert (over.fingerprint, over.starts_at) == (fired.fingerprint, fired.starts_at)
    assert over.ends_at is not None
    assert not over.firing(over.received_at)


async def test_a_trouble_that_cannot_be_stored_is_tried_again(door: Door) -> None:
    async def away(_: object) -> None:
        door.store.before.clear()
        raise StoreUnavailable("locked")

    door.store.before["append"] = away
    async with door.open():
        door.intake.report(TROUBLE)
        assert len(await _own(door)) == 1


def test_our_own_bodies_can_be_read_again() -> None:
    made = delivery_of(TROUBLE, since=START, now=START + MINUTE)
    assert OwnSource().parse(made.body, START + MINUTE) == made.batch


NO_TIME = b'{"kind":"storm","subject":1,"detail":2,"since":"x","until":null}'


@pytest.mark.parametrize("raw", [b"", b"null", b"[]", b"{}", b'{"kind": "other"}', b"\xff", b"[" * 100_000, NO_TIME])
def test_a_body_that_is_not_ours_is_refused(raw: bytes) -> None:
    assert isinstance(OwnSource().parse(raw, START), Refusal)


def test_a_trouble_with_text_from_outside_stays_one_bounded_line() -> None:
    made = delivery_of(OwnTrouble(TroubleKind.odd_version, "am\n\u202e", "x\x00" * 5_000), since=START, now=START)
    assert isinstance(made.batch, Batch)
    assert len(made.body) < 2_000
    assert made.batch.alerts[0].annotations["detail"].isprintable()
