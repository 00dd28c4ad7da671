"""The store's merges: two keys that turn out to be one object become one incident, and nobody's page ends too early."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from receiver.core.case import AttemptState, Verdict
from receiver.core.model import Priority, Symptom
from receiver.ports import Adopted, DeliveryKind, DeliveryResult, MessageKind, VersionConflict
from receiver.store.sql_store import SqlStore
from tests.fakes.clock import START
from tests.kits.store_ground import (
    LEASE,
    MINUTE,
    OTHER,
    SECOND,
    TARGET,
    Ground,
    attempted,
    began,
    bound,
    changed,
    closed,
    entry,
    message,
    raised,
    record,
    stored,
)


class MergeKit:
    """Needs the fixture `store`."""

    async def test_a_bound_incident_is_found_by_uid_and_by_its_old_keys(self, store: SqlStore) -> None:
        new = await began(store, "key", aliases=("alias",))
        assert await store.adopt_target(new, TARGET, at=START) == Adopted(new.id)
        found = await store.open_incidents(["key", "alias", "uid-web"], [])
        assert {each.incident.id for each in found.values()} == {new.id}
        assert len(found) == 3
        now_bound = await stored(store, new.id)
        assert (now_bound.group_key, now_bound.target, now_bound.version) == ("uid-web", TARGET, 2)
        assert await store.adopt_target(now_bound, TARGET, at=START) == Adopted(new.id)
        assert (await stored(store, new.id)).version == 2

    @pytest.mark.parametrize("symptom", [Symptom.data, Symptom.security])
    async def test_data_and_security_stay_incidents_of_their_own(self, store: SqlStore, symptom: Symptom) -> None:
        one = await bound(store, "one")
        two = await bound(store, "two", symptom=symptom)
        assert (one.id != two.id, two.group_key) == (True, f"uid-web:{symptom.value}")
        three = await bound(store, "three", symptom=symptom)
        assert three.id == two.id

    @pytest.mark.parametrize(
        ("first", "second", "survivor"),
        [(Priority.p2, Priority.p2, 0), (Priority.p3, Priority.p2, 1), (Priority.p1, Priority.p2, 0)],
    )
    async def test_the_higher_priority_survives_then_the_older(
        self, store: SqlStore, first: Priority, second: Priority, survivor: int
    ) -> None:
        one = await bound(store, "one", first, records=(record("A"), record("B", times=2)), no_action="odd_version")
        two = await began(store, "two", second, records=(record("B", at=START + SECOND, times=3), record("C")), aliases=("due",))
        adopted = await store.adopt_target(two, TARGET, at=START)
        ids = (one.id, two.id)
        assert adopted == Adopted(ids[survivor], ids[1 - survivor])
        rows, gone = await store.load(adopted.survivor_id), await store.load(ids[1 - survivor])
        assert rows is not None
        assert gone is not None
        assert {each.alert.fingerprint: each.times for each in rows.alerts} == {"fp-A": 1, "fp-B": 5, "fp-C": 1}
        assert next(each for each in rows.alerts if each.alert.name == "B").alert.received_at == START + SECOND
        assert (gone.incident.open, gone.incident.merged_into, gone.alerts) == (False, adopted.survivor_id, ())
        assert (rows.incident.no_action, rows.incident.group_key) == ("odd_version", "uid-web")
        found = await store.open_incidents(["one", "two", "due", "uid-web"], [("alertmanager", "fp-C")])
        assert {each.incident.id for each in found.values()} == {adopted.survivor_id}
        assert len(found) == 5

    async def test_a_merge_stands_in_both_timelines_and_wakes_the_survivor_only(self, store: SqlStore) -> None:
        one = await bound(store, "one", wake_at=START + MINUTE)
        two = await began(store, "two", wake_at=START + MINUTE)
        await store.adopt_target(two, TARGET, at=START)
        views = [await store.view(each.id) for each in (one, two)]
        assert [each.timeline[-1].entry.because for each in views if each] == ["merged", "merged"]
        assert all(each is not None and each.chain_intact for each in views)
        assert [each.next_due for each in views if each] == [START, None]

    async def test_what_a_merged_incident_tried_is_known_to_its_survivor_however_long_ago(self, ground: Ground, store: SqlStore) -> None:
        three = await bound(store, "three", Priority.p3)
        done = replace(await attempted(store, three), state=AttemptState.abandoned)
        await changed(store, three, attempt=done)
        two = await began(store, "two", Priority.p2)
        assert await store.adopt_target(two, TARGET, at=START) == Adopted(two.id, three.id)
        one = await began(store, "one", Priority.p1)
        assert await store.adopt_target(one, TARGET, at=START) == Adopted(one.id, two.id)
        other = await began(store, "other")
        ground.clock.advance(timedelta(hours=25))
        rows, stranger = await store.load(one.id), await store.load(other.id)
        assert rows is not None
        assert stranger is not None
        assert (sorted(rows.merged), [each.id for each in rows.attempts]) == (sorted((two.id, three.id)), [done.id])
        assert (stranger.merged, stranger.attempts) == ((), ())

    async def test_an_incident_at_work_is_never_merged_away(self, store: SqlStore) -> None:
        low = await bound(store, "low", Priority.p4)
        begun = await attempted(store, low)
        high = await began(store, "high", Priority.p1)
        assert await store.adopt_target(high, TARGET, at=START) == Adopted(low.id, high.id)
        later = START + timedelta(hours=1)
        done = replace(begun, state=AttemptState.applied, verdict=Verdict.cured, verdict_at=START, lease_until=later)
        await changed(store, low, attempt=done)
        again = await began(store, "again", Priority.p1)  # the temporary change is not taken back yet
        assert await store.adopt_target(again, TARGET, at=START) == Adopted(low.id, again.id)
        await changed(store, low, attempt=replace(done, reverted=True))
        grown = await stored(store, low.id)
        assert (grown.priority, grown.rule) == (Priority.p1, high.rule)  # what is urgent stays urgent
        last = await began(store, "last", Priority.p1, accepted_at=START - 2 * MINUTE)
        assert await store.adopt_target(last, TARGET, at=START) == Adopted(last.id, low.id)

    @pytest.mark.parametrize("elder", [0, 1])
    async def test_two_at_work_stay_apart_and_the_newer_keeps_its_provisional_key(self, store: SqlStore, elder: int) -> None:
        ages: list[dict[str, Any]] = [{"accepted_at": START - MINUTE}, {}]
        one = await bound(store, "one", **ages[elder])
        await attempted(store, one)
        two = await began(store, "two", **ages[1 - elder])
        await attempted(store, two, target=OTHER, on="workers")
        adopted = await store.adopt_target(await stored(store, two.id), TARGET, at=START)
        assert adopted == Adopted(two.id)
        both = [await stored(store, each.id) for each in (one, two)]
        assert [each.open for each in both] == [True, True]
        assert [each.target for each in both] == [TARGET, TARGET]
        assert [each.group_key for each in both] == (["uid-web", "two"] if elder == 0 else ["one", "uid-web"])
        version = both[1].version
        assert await store.adopt_target(both[1], TARGET, at=START) == Adopted(two.id)
        assert (await stored(store, two.id)).version == version

    async def test_an_incident_that_moved_is_not_merged(self, store: SqlStore) -> None:
        await bound(store, "one")
        two = await began(store, "two")
        await changed(store, two, entries=(entry(),))
        with pytest.raises(VersionConflict):
            await store.adopt_target(two, TARGET, at=START)

    async def test_a_merged_page_ends_after_the_survivor_was_paged_for(self, store: SqlStore) -> None:
        two = await began(store, "two")
        await changed(store, two, raised=raised(key="old"), messages=(message(two, "old"),))
        await _accept(store, "old")
        one = await bound(store, "one", Priority.p1)
        adopted = await store.adopt_target(await stored(store, two.id), TARGET, at=START)
        assert adopted == Adopted(one.id, two.id)
        assert await store.claim_messages("pagerduty", now=START, owner="me", lease=LEASE, limit=9) == []
        assert await store.next_message_due("pagerduty") is None
        await changed(store, one, raised=raised(key="new"), messages=(message(one, "new"),))
        (sent,) = await store.claim_messages("pagerduty", now=START, owner="me", lease=LEASE, limit=9)
        assert sent.message.dedup_key == "new"
        assert await store.claim_messages("pagerduty", now=START, owner="me", lease=LEASE, limit=9) == []
        await store.settle_message(sent.claim, DeliveryResult(DeliveryKind.accepted), owner="me", now=START, next_at=None)
        (end,) = await store.claim_messages("pagerduty", now=START, owner="me", lease=LEASE, limit=9)
        assert (end.message.kind, end.message.dedup_key, end.message.incident_id) == (MessageKind.resolve, "old", two.id)

    async def test_a_merged_page_that_was_refused_or_has_ended_is_not_ended_again(self, store: SqlStore) -> None:
        two = await began(store, "two")
        wanted = (message(two, "refused"), message(two, "over"), message(two, "over", MessageKind.resolve), message(two, "due"))
        await changed(store, two, messages=wanted)
        (first, *_) = await store.claim_messages("pagerduty", now=START, owner="me", lease=LEASE, limit=9)
        await store.settle_message(first.claim, DeliveryResult(DeliveryKind.refused), owner="me", now=START, next_at=None)
        await bound(store, "one", Priority.p1)
        await store.adopt_target(await stored(store, two.id), TARGET, at=START)
        view = await store.view(two.id)
        assert view is not None
        assert [(each.dedup_key, each.kind.value) for each in view.messages[len(wanted) :]] == [("due", "resolve")]

    async def test_what_waits_for_a_merged_incident_waits_for_its_survivor(self, store: SqlStore) -> None:
        three = await began(store, "three", Priority.p3)
        await changed(store, three, messages=(message(three, "old"),))
        await _accept(store, "old")
        two = await bound(store, "two", Priority.p2)
        await store.adopt_target(await stored(store, three.id), TARGET, at=START)
        one = await began(store, "one", Priority.p1)
        assert await store.adopt_target(one, TARGET, at=START) == Adopted(one.id, two.id)
        assert await store.claim_messages("pagerduty", now=START, owner="me", lease=LEASE, limit=9) == []
        await changed(store, one, raised=raised(key="new"), messages=(message(one, "new"),))
        await _accept(store, "new")
        await _accept(store, "old")

    async def test_a_merged_page_ends_when_the_survivor_is_over_without_one(self, store: SqlStore) -> None:
        two = await began(store, "two")
        await changed(store, two, raised=raised(key="old"), messages=(message(two, "old"),))
        await _accept(store, "old")
        one = await bound(store, "one", Priority.p1)
        await store.adopt_target(await stored(store, two.id), TARGET, at=START)
        await closed(store, one)
        (end,) = await store.claim_messages("pagerduty", now=START, owner="me", lease=LEASE, limit=9)
        assert end.message.dedup_key == "old"


async def _accept(store: SqlStore, key: str) -> None:
    """Exactly this message is due, and is taken."""
    (sent,) = await store.claim_messages("pagerduty", now=START, owner="me", lease=LEASE, limit=9)
    assert sent.message.dedup_key == key
    await store.settle_message(sent.claim, DeliveryResult(DeliveryKind.accepted), owner="me", now=START, next_at=None)
