"""The store's incidents that a dependency holds back: the last raise of each counts, as long as it is open."""

from __future__ import annotations

from dataclasses import replace

from receiver.core.case import Dependent
from receiver.core.model import Priority
from receiver.ports import DeliveryKind, DeliveryResult, Fold, FoldedIncident
from receiver.store.sql_store import SqlStore
from tests.fakes.clock import START
from tests.kits.store_ground import LEASE, MINUTE, Ground, began, changed, closed, message, raised, record

DATABASE = "payments-db"


class DependentKit:
    """Needs the fixtures `ground` and `store`."""

    async def test_a_raise_remembers_its_dependency(self, ground: Ground, store: SqlStore) -> None:
        new = await began(store)
        joined = raised(dependency=DATABASE, by_storm=True)
        await changed(store, new, raised=joined)
        rows = await (await ground.open()).load(new.id)
        assert rows is not None
        assert rows.raises == (joined,)
        assert rows.raises[0].shared

    async def test_the_most_urgent_dependents_come_first(self, store: SqlStore) -> None:
        low, high = await began(store, "low", Priority.p3), await began(store, "high", Priority.p1)
        for each in (low, high):
            await changed(store, each, raised=raised(key=f"k{each.id}", dependency=DATABASE, by_storm=each is low))
        await began(store, "other")
        base = Dependent(high.id, DATABASE, Priority.p1, "web crashes", joined=False, at=START, accepted=False, firing=False)
        assert await store.dependents() == (base, replace(base, incident_id=low.id, priority=Priority.p3, joined=True, firing=True))

    async def test_only_the_last_raise_of_an_open_incident_counts(self, store: SqlStore) -> None:
        paged, over = await began(store, "paged"), await began(store, "over")
        for each in (paged, over):
            await changed(store, each, raised=raised(key=f"k{each.id}", dependency=DATABASE))
        await changed(store, paged, raised=raised(2, key="again", at=START + MINUTE))
        await closed(store, over)
        assert await store.dependents() == ()

    async def test_a_page_that_was_taken_is_told_so(self, store: SqlStore) -> None:
        new = await began(store)
        await changed(store, new, raised=raised(dependency=DATABASE), messages=(message(new),))
        (claimed,) = await store.claim_messages("pagerduty", now=START, owner="me", lease=LEASE, limit=1)
        await store.settle_message(claimed.claim, DeliveryResult(DeliveryKind.accepted), owner="me", now=START, next_at=None)
        assert [each.accepted for each in await store.dependents()] == [True]

    async def test_who_waits_on_a_dependency_does_not_wait_on_a_storm(self, store: SqlStore) -> None:
        new = await began(store)
        await changed(store, new, raised=raised(dependency=DATABASE, by_storm=True))
        assert not await store.joined_storm()

    async def test_who_was_paged_after_a_storm_waits_on_it_no_longer(self, store: SqlStore) -> None:
        new = await began(store)
        await changed(store, new, raised=raised(by_storm=True))
        assert await store.joined_storm()
        await changed(store, new, raised=raised(2, key="again", at=START + MINUTE))
        assert not await store.joined_storm()

    async def test_a_page_whose_alerts_are_over_is_told_so(self, store: SqlStore) -> None:
        new = await began(store, records=(record(),))
        await changed(store, new, raised=raised(dependency=DATABASE))
        assert [each.firing for each in await store.dependents()] == [True]
        rows = await store.load(new.id)
        assert rows is not None
        done = tuple(replace(each, resolved_at=START) for each in rows.alerts)
        await store.commit_fold(Fold((FoldedIncident(rows.incident, done, (), (), START),), ()))
        assert [each.firing for each in await store.dependents()] == [False]

    async def test_who_joined_a_dependencys_page_and_lost_its_date_is_overdue(self, store: SqlStore) -> None:
        new = await began(store)
        await changed(store, new, raised=raised(dependency=DATABASE, by_storm=True))
        assert [each.incident_id for each in await store.overdue(now=START + 60 * MINUTE, grace=MINUTE)] == [new.id]
