"""The store's changes by hand: there as they stood then, what stands keeps its incident from being merged away, forgotten with it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from receiver.core.case import Standing
from receiver.core.model import Priority
from receiver.ports import Adopted, Change, VersionConflict
from receiver.store.sql_store import SqlStore
from tests.fakes.clock import START
from tests.kits.store_ground import MINUTE, TARGET, Ground, attempted, began, bound, changed, closed, entry, stored

READ_ONLY = Standing(
    "read_only",
    "Mode lecture seule",
    ("SAVED=$(kubectl -n shop get configmap/web -o yaml) && printf '%s\\n' \"$SAVED\" > f",),
    ("kubectl -n shop patch configmap/web --patch-file 'é \u2028.json'",),
    START,
    "ada",
)
PURGE = Standing("purge_queue", "Purge", ("rabbitmqctl purge_queue mail",), (), START, "bob")
"""It cannot be taken back."""


async def standing(store: SqlStore, number: int) -> tuple[Standing, ...]:
    rows = await store.load(number)
    assert rows is not None
    return rows.standing


class HandKit:
    """Needs the fixtures `ground` and `store`."""

    async def test_what_was_done_by_hand_is_read_back_as_it_was_written(self, ground: Ground, store: SqlStore) -> None:
        one, other = await began(store, "one"), await began(store, "other")
        await changed(store, one, standing=READ_ONLY)
        await changed(store, one, standing=PURGE)
        again = await ground.open()
        view = await again.view(one.id)
        assert view is not None
        assert view.rows.standing == (PURGE, READ_ONLY)
        assert await standing(again, other.id) == ()

    async def test_one_of_a_name_replaces_the_one_before(self, store: SqlStore) -> None:
        one = await began(store)
        await changed(store, one, standing=READ_ONLY)
        back = replace(READ_ONLY, undone_at=START + MINUTE, undone_by="bob", left=True)
        await changed(store, one, standing=back)
        assert await standing(store, one.id) == (back,)

    async def test_they_are_listed_in_the_order_in_which_they_were_done(self, store: SqlStore) -> None:
        one = await began(store)
        later = replace(PURGE, name="a_later_one", done_at=START + MINUTE)
        for each in (later, READ_ONLY):
            await changed(store, one, standing=each)
        assert await standing(store, one.id) == (READ_ONLY, later)

    async def test_a_writer_that_read_an_older_version_leaves_no_change_by_hand(self, store: SqlStore) -> None:
        old = await began(store)
        await changed(store, old, entries=(entry(),))
        with pytest.raises(VersionConflict):
            await store.save(Change(old, standing=READ_ONLY))
        assert await standing(store, old.id) == ()

    async def test_an_incident_with_a_change_by_hand_is_never_merged_away(self, store: SqlStore) -> None:
        low = await bound(store, "low", Priority.p4)
        await changed(store, low, standing=READ_ONLY)
        high = await began(store, "high", Priority.p1)
        assert await store.adopt_target(high, TARGET, at=START) == Adopted(low.id, high.id)
        assert await standing(store, low.id) == (READ_ONLY,)

    @pytest.mark.parametrize("over", [replace(READ_ONLY, undone_at=START), PURGE], ids=["taken back", "without a way back"])
    async def test_what_need_not_be_taken_back_holds_no_incident(self, store: SqlStore, over: Standing) -> None:
        low = await bound(store, "low", Priority.p4)
        await changed(store, low, standing=over)
        high = await began(store, "high", Priority.p1)
        assert await store.adopt_target(high, TARGET, at=START) == Adopted(high.id, low.id)

    async def test_an_action_and_a_change_by_hand_on_one_target_stay_apart(self, store: SqlStore) -> None:
        one = await bound(store, "one")
        await attempted(store, one)
        two = await began(store, "two")
        await changed(store, two, standing=READ_ONLY)
        assert await store.adopt_target(await stored(store, two.id), TARGET, at=START) == Adopted(two.id)
        assert [(await stored(store, each.id)).open for each in (one, two)] == [True, True]

    async def test_a_change_by_hand_is_forgotten_with_its_incident_and_not_before(self, store: SqlStore) -> None:
        over, still = await began(store, "over"), await began(store, "still")
        for each in (over, still):
            await changed(store, each, standing=READ_ONLY)
        await closed(store, over)
        assert await store.sweep(START + timedelta(days=399)) == 0
        assert await standing(store, over.id) == (READ_ONLY,)
        assert await store.sweep(START + timedelta(days=401)) == 1  # the database keeps no row without its incident
        assert await store.load(over.id) is None
        assert await standing(store, still.id) == (READ_ONLY,)
