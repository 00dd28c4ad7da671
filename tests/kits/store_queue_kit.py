"""The store's queues and what watches over them: leases with fences, pages in order, and nobody forgotten."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from receiver.core.model import OWN_SOURCE, Priority
from receiver.ports import Change, Claim, DeliveryKind, DeliveryResult, Fold, IncidentFilter, Message, MessageKind, StoreUnavailable
from receiver.store.sql_store import SqlStore
from tests.fakes.clock import START
from tests.kits.store_ground import (
    LEASE,
    MINUTE,
    OTHER,
    SECOND,
    TARGET,
    Ground,
    alert,
    attempted,
    began,
    bound,
    changed,
    closed,
    delivery,
    entry,
    folded,
    message,
    raised,
    record,
    stored,
)

ACCEPTED = DeliveryResult(DeliveryKind.accepted)
RETRY = DeliveryResult(DeliveryKind.retry, "503")
REFUSED = DeliveryResult(DeliveryKind.refused, "400 bad key")
RESOLVE = MessageKind.resolve


async def claimed(store: SqlStore, *, now: datetime = START, owner: str = "me", limit: int = 10) -> list[Claim]:
    return await store.due(now=now, owner=owner, lease=LEASE, limit=limit)


async def sent(store: SqlStore, result: DeliveryResult | None, *, now: datetime = START, to: str = "pagerduty") -> list[str]:
    """Claims what is due and settles it so (None: leaves it leased); says what it was."""
    found = await store.claim_messages(to, now=now, owner="me", lease=LEASE, limit=10)
    for each in found:
        if result is not None:
            await store.settle_message(each.claim, result, owner="me", now=now, next_at=now + MINUTE)
    return [f"{each.message.kind.value} {each.message.dedup_key}" for each in found]


class QueueKit:
    """Needs the fixtures `ground` and `store`."""

    # --- agenda ---

    async def test_the_most_urgent_is_claimed_first_and_only_once(self, store: SqlStore) -> None:
        late = START - MINUTE
        low = await began(store, "low", Priority.p4, wake_at=late)
        high = await began(store, "high", Priority.p1)
        await began(store, "tomorrow", Priority.p1, wake_at=START + MINUTE)
        middle = [await began(store, f"{n}", Priority.p2, wake_at=START - n * SECOND) for n in range(3)]
        first = await claimed(store, limit=2)
        assert [each.id for each in first] == [high.id, middle[2].id]
        assert [each.id for each in await claimed(store, owner="you")] == [middle[1].id, middle[0].id, low.id]
        assert await claimed(store) == []

    async def test_an_older_fence_does_nothing(self, store: SqlStore) -> None:
        await began(store)
        (mine,) = await claimed(store)
        assert await store.keep(mine, owner="me", now=START + 20 * SECOND, lease=LEASE)
        assert await claimed(store, now=START + 49 * SECOND, owner="you") == []
        (yours,) = await claimed(store, now=START + 50 * SECOND, owner="you")
        assert yours.fence > mine.fence
        assert not await store.keep(mine, owner="me", now=START + 51 * SECOND, lease=LEASE)
        await store.let_go(mine, owner="me")
        assert await claimed(store, now=START + 52 * SECOND) == []
        await store.let_go(yours, owner="you")
        (again,) = await claimed(store, now=START + 52 * SECOND)
        await store.let_go(mine, owner="me")  # the same owner, but an older claim
        assert not await store.keep(mine, owner="me", now=START + 53 * SECOND, lease=LEASE)
        assert await store.keep(again, owner="me", now=START + 53 * SECOND, lease=LEASE)

    async def test_a_saved_date_stands_when_the_claim_is_let_go(self, store: SqlStore) -> None:
        new = await began(store)
        (mine,) = await claimed(store)
        await changed(store, new, wake_at=START + MINUTE)
        await store.let_go(mine, owner="me")
        assert await store.next_due() == START + MINUTE
        await changed(store, new, wake_at=None)
        assert await store.next_due() is None

    async def test_the_next_date_of_a_leased_row_is_its_lapse(self, store: SqlStore) -> None:
        await began(store)
        await claimed(store)
        assert await store.next_due() == START + LEASE

    async def test_waking_brings_forward_and_never_back(self, store: SqlStore) -> None:
        new = await began(store, wake_at=START + MINUTE)
        for at, then in ((START + 2 * MINUTE, START + MINUTE), (START, START)):
            await store.wake(new.id, at=at)
            assert await store.next_due() == then
        await changed(store, new, wake_at=None)
        await store.wake(new.id, at=START + MINUTE)
        assert await store.next_due() == START + MINUTE

    async def test_a_closed_incident_leaves_the_agenda_but_not_the_outbox(self, store: SqlStore) -> None:
        new = await began(store)
        (mine,) = await claimed(store)
        current = await stored(store, new.id)
        await store.save(Change(replace(current, open=False, closed_at=START), messages=(message(new, kind=RESOLVE),)))
        assert not await store.keep(mine, owner="me", now=START, lease=LEASE)
        assert await claimed(store, now=START + MINUTE) == []
        assert await sent(store, ACCEPTED) == ["resolve dedup"]

    async def test_after_a_start_every_open_incident_has_a_date(self, ground: Ground, store: SqlStore) -> None:
        dated = await began(store, "dated", wake_at=START + MINUTE)
        dateless = await began(store, "dateless", wake_at=None)
        waits = await began(store, "waits")
        await changed(store, waits, wake_at=None)
        await closed(store, await began(store, "over", wake_at=None))
        again = await ground.open()
        assert await again.re_enter(now=START) == 2
        assert {each.id for each in await claimed(again)} == {dateless.id, waits.id}
        assert dated.id in {each.id for each in await claimed(again, now=START + MINUTE)}

    async def test_the_leases_of_a_dead_process_do_not_delay_the_next(self, ground: Ground, store: SqlStore) -> None:
        new = await began(store)
        await changed(store, new, messages=(message(new),), wake_at=START)
        (mine,) = await claimed(store)
        await sent(store, None)
        again = await ground.open()
        (anew,) = await claimed(again, owner="next life")
        assert anew.fence > mine.fence
        assert await sent(again, ACCEPTED) == ["trigger dedup"]

    # --- outbox ---

    async def test_triggers_go_first_and_a_resolve_waits_for_its_own(self, store: SqlStore) -> None:
        new = await began(store)
        await changed(store, new, messages=(message(new, "x", RESOLVE), message(new, "a"), message(new, "a", RESOLVE), message(new, "b")))
        assert await sent(store, ACCEPTED) == ["trigger a", "trigger b", "resolve x"]
        assert await sent(store, ACCEPTED) == ["resolve a"]
        assert await sent(store, ACCEPTED) == []

    async def test_a_trigger_that_is_tried_again_keeps_its_resolve_waiting(self, store: SqlStore) -> None:
        new = await began(store)
        await changed(store, new, messages=(message(new), message(new, kind=RESOLVE)))
        assert await sent(store, RETRY) == ["trigger dedup"]
        assert await sent(store, ACCEPTED, now=START + 59 * SECOND) == []
        assert await store.next_message_due("pagerduty") == START + MINUTE
        assert await sent(store, ACCEPTED, now=START + MINUTE) == ["trigger dedup"]
        assert await sent(store, ACCEPTED, now=START + MINUTE) == ["resolve dedup"]

    async def test_a_refused_trigger_stays_visible_and_frees_what_follows(self, store: SqlStore) -> None:
        new = await began(store)
        await changed(store, new, raised=raised(), messages=(message(new), message(new, kind=RESOLVE)))
        await sent(store, REFUSED)
        assert await sent(store, ACCEPTED) == ["resolve dedup"]
        view = await store.view(new.id)
        assert view is not None
        assert view.message_states == ("refused", "accepted")
        assert view.rows.raises[0].accepted_at is None

    async def test_an_accepted_trigger_dates_its_raise_once(self, store: SqlStore) -> None:
        new = await began(store)
        await changed(store, new, raised=raised(), messages=(message(new), message(new, to="log")))
        await sent(store, ACCEPTED, now=START + SECOND)
        await sent(store, ACCEPTED, now=START + MINUTE, to="log")
        rows = await store.load(new.id)
        assert rows is not None
        assert rows.raises == (raised(accepted_at=START + SECOND),)

    async def test_a_slow_destination_holds_up_no_other(self, store: SqlStore) -> None:
        new = await began(store)
        await store.add_messages([message(new), message(new, to="log"), message(new, kind=RESOLVE, to="log")], now=START)
        await sent(store, None)
        assert await sent(store, ACCEPTED, to="log") == ["trigger dedup"]
        assert await sent(store, ACCEPTED, to="log") == ["resolve dedup"]

    async def test_a_stale_claim_settles_nothing(self, store: SqlStore) -> None:
        new = await began(store)
        await changed(store, new, raised=raised(), messages=(message(new),))
        (old,) = await store.claim_messages("pagerduty", now=START, owner="me", lease=LEASE, limit=1)
        assert await store.next_message_due("pagerduty") == START + LEASE
        (anew,) = await store.claim_messages("pagerduty", now=START + LEASE, owner="me", lease=LEASE, limit=1)
        await store.settle_message(old.claim, ACCEPTED, owner="me", now=START, next_at=None)
        view = await store.view(new.id)
        assert view is not None
        assert (view.message_states, view.rows.raises[0].accepted_at) == (("due",), None)
        await store.settle_message(anew.claim, RETRY, owner="me", now=START, next_at=None)
        (third,) = await store.claim_messages("pagerduty", now=START, owner="me", lease=LEASE, limit=1)
        assert third.message.tries == 1

    async def test_a_message_comes_out_as_it_went_in(self, store: SqlStore) -> None:
        new = await began(store)
        wanted: Message = message(new)
        await store.add_messages([wanted], now=START)
        (found,) = await store.claim_messages("pagerduty", now=START, owner="me", lease=LEASE, limit=1)
        assert replace(found.message, id=0) == replace(wanted, created_at=START)

    # --- watching ---

    async def test_an_incident_that_nobody_comes_for_is_overdue(self, store: SqlStore) -> None:
        dateless = await began(store, "dateless", wake_at=None)
        late = await began(store, "late", wake_at=START)
        await began(store, "soon", wake_at=START + 3 * MINUTE)
        paged, stormy = await began(store, "paged"), await began(store, "stormy")
        await changed(store, paged, raised=raised(key="paged"), messages=(message(paged, "paged"),), wake_at=None)
        await changed(store, stormy, raised=raised(key="storm", by_storm=True), wake_at=None)
        await sent(store, ACCEPTED)
        assert {each.incident_id for each in await store.overdue(now=START + 2 * MINUTE, grace=MINUTE)} == {dateless.id, late.id}
        assert {each.incident_id for each in await store.overdue(now=START + MINUTE, grace=MINUTE)} == {dateless.id}

    async def test_a_page_that_is_not_delivered_is_overdue(self, store: SqlStore) -> None:
        new = await began(store, wake_at=START + 9 * MINUTE)
        await store.add_messages([message(new), message(new, "other", RESOLVE)], now=START)
        await sent(store, RETRY)
        (found,) = await store.overdue(now=START + 2 * MINUTE, grace=MINUTE)
        assert (found.incident_id, "pagerduty" in found.detail, "tried 1" in found.detail) == (new.id, True, True)
        assert await store.overdue(now=START + MINUTE, grace=MINUTE) == []

    async def test_the_storm_gate_counts_targets_not_incidents(self, store: SqlStore) -> None:
        await bound(store, "one", records=(record("A"),))
        secret = await bound(store, "two", records=(record("B"),), target=OTHER)
        await changed(store, secret, raised=raised(priority=Priority.p1))
        await changed(store, secret, raised=raised(2, priority=Priority.p1, by_storm=True))
        await began(store, "three", records=(record("C", alert=alert("C", truncated=True)),))
        await began(store, "own", records=(record("D"),), source=OWN_SOURCE)
        await began(store, "old", records=(record("E", at=START - 10 * MINUTE),))
        await closed(store, await began(store, "over", records=(record("F", alert=alert("F", labels={})),)))
        merged = await began(store, "merged", records=(record("G"),))
        assert (await store.adopt_target(merged, TARGET, at=START)).merged_id == merged.id
        counts = await store.storm_counts(since=START - MINUTE)
        assert (counts.targets, dict(counts.by_namespace)) == (4, {"shop": 3})
        assert (counts.truncated, counts.p1_pages_last_minute) == (True, 1)

    async def test_the_storm_gate_knows_how_many_of_them_the_catalogue_names(self, store: SqlStore) -> None:
        for name, service in (("one", "shop"), ("two", "shop"), ("three", "")):
            await began(store, name, service=service, records=(record(name),))
        counts = await store.storm_counts(since=START - MINUTE)
        assert (counts.targets, counts.catalogued) == (3, 2)

    async def test_an_alert_that_repeats_does_not_count_as_new(self, ground: Ground, store: SqlStore) -> None:
        new = await began(store, records=(record("A"),))
        repeated = record("A", times=2, alert=alert("A", at=START + 9 * MINUTE))
        ground.clock.advance(9 * MINUTE)
        await store.commit_fold(Fold((folded(new, records=(repeated,)),), ()))
        assert (await store.storm_counts(since=START + 8 * MINUTE)).targets == 0

    async def test_a_storm_is_dated_by_its_newest_alert(self, store: SqlStore) -> None:
        new = await began(store, records=(record("A"),))
        for name, at in (("B", START + 2 * MINUTE), ("C", START + MINUTE)):
            current = await stored(store, new.id)
            await store.commit_fold(Fold((folded(current, records=(record(name, at=at, alert=alert(name, at=at, truncated=True)),)),), ()))
        counts = await store.storm_counts(since=START + 2 * MINUTE)
        assert (counts.targets, counts.truncated) == (1, True)
        late = await store.storm_counts(since=START + 3 * MINUTE)
        assert (late.targets, late.truncated) == (0, False)

    async def test_gauges_count_what_is_open(self, ground: Ground, store: SqlStore) -> None:
        one = await bound(store, "one", Priority.p1)
        await closed(store, await began(store, "two"))
        await attempted(store, one)
        await store.append([delivery()])
        await store.add_messages([message(one)], now=START)
        ground.clock.advance(30 * SECOND)
        assert await store.gauges() == {
            "incidents_open": {"P1": 1.0},
            "inbox_backlog": {"": 1.0},
            "outbox_pending": {"pagerduty": 1.0},
            "outbox_oldest_age_seconds": {"pagerduty": 30.0},
            "attempts_open": {"": 1.0},
        }

    # --- what is forgotten ---

    async def test_only_what_is_old_and_over_is_forgotten(self, store: SqlStore) -> None:
        ids = await store.append([delivery(n) for n in range(3)])
        await store.commit_fold(Fold((), tuple(ids[:2])))
        over = await bound(store, "over", records=(record("A"),))
        await changed(store, over, entries=(entry(),), raised=raised())
        await closed(store, over)
        unsent = await began(store, "unsent")
        await changed(store, unsent, messages=(message(unsent),))
        await closed(store, unsent)
        kept = await began(store, "open")
        assert await store.sweep(START + timedelta(days=29)) == 0
        assert await store.sweep(START + timedelta(days=31)) == 2
        assert [each.id for each in await store.unfolded(after=0, limit=9)] == [ids[2]]
        assert await store.sweep(START + timedelta(days=401)) == 1
        assert {each.id for each in await store.incidents(IncidentFilter())} == {unsent.id, kept.id}
        assert await store.load(over.id) is None
        again = await began(store, "over")
        assert again.id > kept.id

    async def test_an_attempt_of_the_last_month_keeps_its_incident(self, ground: Ground, store: SqlStore) -> None:
        one = await bound(store)
        ground.clock.advance(timedelta(days=390))
        await attempted(store, one, at=ground.clock.now())
        await closed(store, one)
        assert await store.sweep(START + timedelta(days=401)) == 0
        assert await store.sweep(START + timedelta(days=421)) == 1

    # --- the store itself ---

    async def test_a_closed_store_says_so(self, store: SqlStore) -> None:
        await store.ping()
        await store.close()
        await store.close()
        for call in (store.ping(), store.backlog(), store.append([delivery()]), store.kill_switch_on()):
            with pytest.raises(StoreUnavailable):
                await call
