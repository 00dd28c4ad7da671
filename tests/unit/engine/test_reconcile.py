"""Asking what fires, and healing what was lost, over the real folder and store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest_asyncio
from prometheus_client import CollectorRegistry

from receiver.core.model import Alert, AlertRecord, Batch
from receiver.engine.found_source import FoundSource
from receiver.engine.reconcile import ON_ITS_WAY, TOLD_AFTER, Reconciler
from receiver.ingest.alertmanager import AlertmanagerSource
from receiver.ports import Change, Delivery, Listing, ListingFailed, NotDurable, OwnTrouble, TroubleKind
from receiver.store.opening import open_store
from tests.fakes.clock import START, FakeClock
from tests.fakes.folding_ground import POD, SOURCE, Ground, body, said

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
OUTAGE = {"alertname": "Outage", "namespace": "shop"}


def alert(labels: Mapping[str, str] = POD, *, starts: datetime = START, ends: datetime | None = None) -> Alert:
    """As the source makes it of a list, too."""
    batch = AlertmanagerSource(SOURCE).parse(body(said(labels, starts=starts, ends=ends)), ends or starts)
    assert isinstance(batch, Batch)
    return batch.alerts[0]


@dataclass
class Asked:
    """A sender that can be asked."""

    name: str = SOURCE
    source: str = SOURCE
    listing: Listing = field(default_factory=lambda: Listing(()))
    failure: str = ""

    def covers(self, alert: Alert) -> bool:
        return alert.source == self.source

    async def ask(self, now: datetime, held: Mapping[str, AlertRecord]) -> Listing:
        if self.failure:
            raise ListingFailed(self.failure)
        return self.listing


@dataclass
class Inbox:
    """Durable: what it takes is stored and folded."""

    ground: Ground
    refusal: NotDurable | None = None
    troubles: list[OwnTrouble] = field(default_factory=list)

    async def accept(self, delivery: Delivery) -> None:
        if self.refusal is not None:
            raise self.refusal
        (id_,) = await self.ground.store.real.append([delivery])
        self.ground.handover.put(id_, delivery)
        await self.ground.folder.drain()

    def report(self, trouble: OwnTrouble) -> None:
        self.troubles.append(trouble)


@dataclass
class Scene:
    ground: Ground
    asked: Asked
    inbox: Inbox
    reconciler: Reconciler

    async def round(self, *firing: Alert, over: tuple[Alert, ...] = (), held_back: frozenset[str] = frozenset(), unasked: str = "") -> None:
        self.asked.listing = Listing(firing, over, held_back, unasked=unasked)
        await self.reconciler.round()

    def figure(self, name: str, **labels: str) -> float:
        registry: CollectorRegistry = self.ground.metrics.registry
        return registry.get_sample_value(f"receiver_{name}", {"source": SOURCE, **labels}) or 0.0


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Scene]:
    clock = FakeClock()
    store = await open_store(f"sqlite:///{path}/receiver.db", clock=clock)
    try:
        yield scene_over(Ground.over(store, clock))
    finally:
        await store.close()


def scene_over(ground: Ground) -> Scene:
    asked, inbox = Asked(), Inbox(ground)
    made = Reconciler(asked, ground.store.real, rules=lambda: ground.rules[-1], intake=inbox, clock=ground.clock, metrics=ground.metrics)
    return Scene(ground, asked, inbox, made)


@pytest_asyncio.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with opened(tmp_path) as found:
        yield found


async def close(ground: Ground, *, by: str = "anna") -> None:
    rows = await ground.store.real.load(1)
    assert rows is not None
    await ground.store.real.save(Change(replace(rows.incident, open=False, closed_at=ground.clock.now(), closed_by=by)))


# --- lost firing ---------------------------------------------------------------------------------------------------------


async def test_an_alert_that_nobody_delivered_becomes_an_incident_that_says_so(scene: Scene) -> None:
    await scene.round(alert())
    assert (await scene.ground.incident()).source == SOURCE
    assert await scene.ground.timeline() == ["first_alert", "classified", "found_by_reconciling"]
    assert scene.figure("reconciled_total", status="firing") == 1


async def test_what_is_known_is_not_told_again(scene: Scene) -> None:
    await scene.ground.fold(body(said(POD, summary="x")))
    await scene.round(alert())
    assert "found_by_reconciling" not in await scene.ground.timeline()
    assert await scene.ground.store.real.unfolded(after=0, limit=10) == []
    assert scene.figure("reconciled_total", status="firing") == 0


async def test_found_and_then_delivered_is_one_alert_once(scene: Scene) -> None:
    await scene.round(alert())
    await scene.ground.fold(body(said(POD)))
    (record,) = await scene.ground.records()
    assert (len(await scene.ground.incidents()), record.times) == (1, 1)


async def test_what_fires_again_with_its_old_start_is_dropped_when_delivered_and_healed_by_asking(scene: Scene) -> None:
    ground = scene.ground
    await ground.fold(body(said(POD)))
    await ground.fold(body(said(POD, ends=START + MINUTE)))
    ground.clock.advance(5 * MINUTE)
    await ground.fold(body(said(POD)))  # taken for a peer's late retry
    assert not (await ground.records())[0].firing
    await scene.round(alert())
    (record,) = await ground.records()
    assert record.firing
    assert record.flaps == (ground.clock.now(),)
    assert (await ground.timeline())[-2:] == ["fires_again", "found_by_reconciling"]


async def test_a_resolve_that_was_accepted_since_the_question_stands(scene: Scene) -> None:
    ground = scene.ground
    await ground.fold(body(said(POD)))
    asked_at = ground.clock.now()
    await ground.fold(body(said(POD, ends=asked_at)))
    await scene.round(alert())
    assert not (await ground.records())[0].firing


async def test_what_may_still_be_on_its_way_is_waited_for_but_not_after_a_start(scene: Scene) -> None:
    await scene.round()
    scene.ground.clock.advance(HOUR)
    young = alert(OUTAGE, starts=scene.ground.clock.now())
    await scene.round(young)
    assert await scene.ground.incidents() == []
    scene.ground.clock.advance(ON_ITS_WAY)
    await scene.round(young)
    assert len(await scene.ground.incidents()) == 1


async def test_a_heartbeat_that_is_listed_is_no_beat_and_what_is_ignored_stays_so(scene: Scene) -> None:
    await scene.round(alert({"alertname": "Watchdog"}), alert({"alertname": "InfoInhibitor"}))
    assert await scene.ground.incidents() == []
    assert await scene.ground.store.real.beats() == []


async def test_what_a_person_closed_while_it_fired_is_left_to_its_sender(scene: Scene) -> None:
    await scene.ground.fold(body(said(POD)))
    await close(scene.ground)
    scene.ground.clock.advance(HOUR)
    await scene.round(alert())
    assert len(await scene.ground.incidents()) == 1


async def test_a_dated_change_that_was_overtaken_before_its_incident_closed_opens_nothing(scene: Scene) -> None:
    ordered = replace(alert(), ordered=True)
    await scene.round(ordered)
    scene.ground.clock.advance(HOUR)
    over = replace(ordered, starts_at=START + MINUTE, ends_at=START + MINUTE)
    await scene.round(over=(over,))
    await close(scene.ground)
    await scene.round(ordered)
    assert len(await scene.ground.incidents()) == 1


async def test_a_new_episode_after_a_persons_close_is_healed(scene: Scene) -> None:
    await scene.ground.fold(body(said(POD)))
    await close(scene.ground)
    scene.ground.clock.advance(2 * HOUR)
    await scene.round(alert(starts=START + HOUR))
    assert [each.previous_id for each in await scene.ground.incidents()] == [None, 1]


async def test_what_could_not_be_asked_is_told_after_three_rounds_and_the_rest_is_healed(scene: Scene) -> None:
    for _ in range(TOLD_AFTER):
        assert not scene.inbox.troubles or all(each.over for each in scene.inbox.troubles)
        await scene.round(alert(), unasked="contributors of one alarm: forbidden")
    assert len(await scene.ground.incidents()) == 1
    assert scene.figure("reconcile_rounds_total", outcome="partial") == TOLD_AFTER
    assert [(each.kind, each.over) for each in scene.inbox.troubles] == [(TroubleKind.unreachable_source, False)]
    await scene.round(alert())
    assert scene.inbox.troubles[-1].over


# --- lost resolved -------------------------------------------------------------------------------------------------------


async def test_an_explicit_end_that_was_never_delivered_resolves(scene: Scene) -> None:
    await scene.ground.fold(body(said(POD)))
    scene.ground.clock.advance(HOUR)
    await scene.round(over=(alert(ends=START + MINUTE),))
    assert not (await scene.ground.records())[0].firing
    assert (await scene.ground.timeline())[-2:] == ["alert_resolved", "found_by_reconciling"]
    assert scene.figure("reconciled_total", status="resolved") == 1


async def test_an_end_before_the_start_that_we_know_resolves_nothing(scene: Scene) -> None:
    await scene.ground.fold(body(said(POD, starts=START)))
    await scene.round(over=(alert(starts=START - HOUR, ends=START - MINUTE),))
    assert (await scene.ground.records())[0].firing


async def test_an_end_of_what_we_never_held_is_nothing(scene: Scene) -> None:
    await scene.round(over=(alert(ends=START + MINUTE),))
    assert await scene.ground.incidents() == []


async def test_absence_is_counted_and_is_not_recovery(scene: Scene) -> None:
    await scene.ground.fold(body(said(POD), said(OUTAGE)))
    scene.ground.clock.advance(24 * HOUR)
    await scene.round()
    records = [*await scene.ground.records(1), *await scene.ground.records(2)]
    assert [each.firing for each in records] == [True, True]
    assert scene.figure("reconcile_not_seen") == 2
    await scene.round(alert(), held_back=frozenset({alert(OUTAGE).fingerprint}))
    assert scene.figure("reconcile_not_seen") == 0


async def test_alerts_of_other_sources_are_none_of_its_business(scene: Scene) -> None:
    await scene.ground.fold(body(said(POD)))
    scene.asked.source = "cloudwatch"
    await scene.round()
    assert scene.figure("reconcile_not_seen") == 0


# --- no answer -----------------------------------------------------------------------------------------------------------


async def test_a_failed_question_heals_nothing(scene: Scene) -> None:
    await scene.ground.fold(body(said(OUTAGE)))
    scene.asked.listing, scene.asked.failure = Listing((alert(),)), "timeout"
    await scene.reconciler.round()
    assert len(await scene.ground.incidents()) == 1
    assert scene.figure("reconcile_rounds_total", outcome="failed") == 1


async def test_a_sender_that_cannot_be_asked_again_and_again_is_told_and_its_return_too(scene: Scene) -> None:
    scene.asked.failure = "timeout"
    for _ in range(TOLD_AFTER):
        assert scene.inbox.troubles == []
        await scene.reconciler.round()
    scene.asked.failure = ""
    await scene.reconciler.round()
    await scene.reconciler.round()
    kind = TroubleKind.unreachable_source
    assert [(each.kind, each.over) for each in scene.inbox.troubles] == [(kind, False), (kind, True)]


async def test_what_could_not_be_stored_is_found_again(scene: Scene) -> None:
    await scene.round()  # the first round is over
    old = alert(starts=START - HOUR)
    scene.inbox.refusal = NotDurable("full")
    await scene.round(old)
    scene.inbox.refusal = None
    await scene.round(old)
    assert len(await scene.ground.incidents()) == 1


async def test_what_was_found_survives_a_restart_before_it_is_folded(tmp_path: Path) -> None:
    clock = FakeClock()
    store = await open_store(f"sqlite:///{tmp_path}/receiver.db", clock=clock)
    try:
        before = scene_over(Ground.over(store, clock))

        class Stored(Inbox):
            async def accept(self, delivery: Delivery) -> None:
                await store.append([delivery])

        before.reconciler._intake = Stored(before.ground)
        await before.round(alert({**POD, "text": "é\u2028"}))
        after = Ground.over(store, clock)
        await after.folder.drain()
        assert "found_by_reconciling" in await after.timeline()
    finally:
        await store.close()


async def test_ten_thousand_held_alerts_are_read_in_pages(scene: Scene) -> None:
    alerts = [alert({**POD, "text": str(n)}) for n in range(1_200)]
    await scene.round(*alerts)
    assert scene.figure("reconciled_total", status="firing") == 1_200
    await scene.round(*alerts)
    assert scene.figure("reconciled_total", status="firing") == 1_200
    assert scene.figure("reconcile_not_seen") == 0


def test_what_is_not_ours_to_read_is_refused() -> None:
    for bad in (b"", b"{}", b"[1]", b"[" * 100_000, b"\xff"):
        assert not isinstance(FoundSource().parse(bad, START), Batch)
