"""What the end of a hold, or of an attempt, does to the agenda: it wakes those that wait on it, and nobody else."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from receiver.core.case import AttemptState, Hold, HoldKind, Verdict
from receiver.core.model import Incident, Priority
from receiver.core.waits import ACTIONS_FILE, ANY_ATTEMPT, MOST_WOKEN, hold, in_namespace, on_target
from receiver.store.sql_store import SqlStore
from tests.fakes.clock import START
from tests.kits.store_ground import MINUTE, SECOND, TARGET, Ground, attempted, began, bound, changed, stored

LATER = START + 30 * MINUTE
SCOPES = ("", "namespace:shop", "service:checkout", "rule:crash", f"target:{TARGET.ref.key}")


async def rests(store: SqlStore, key: str, *on: str, until: datetime | None = LATER, priority: Priority = Priority.p2) -> Incident:
    """An open incident that waits on these until then."""
    one = await began(store, key, priority)
    await changed(store, one, wake_at=until, waits_on=on, seen=await store.sequence())
    return await stored(store, one.id)


async def dates(store: SqlStore, *incidents: Incident) -> list[datetime | None]:
    views = [await store.view(each.id) for each in incidents]
    return [each.next_due for each in views if each]


class WaitKit:
    """Needs the fixtures `ground` and `store`."""

    @pytest.mark.parametrize("scope", SCOPES)
    async def test_a_thaw_wakes_what_it_held_and_nobody_else(self, store: SqlStore, scope: str) -> None:
        held = await store.add_hold(Hold(0, HoldKind.freeze if scope else HoldKind.kill_switch, scope, "r", "ann", START))
        mine = await rests(store, "mine", hold(scope), ANY_ATTEMPT)
        paged = await rests(store, "paged", hold(scope), until=None)
        others = [await rests(store, each, hold(each)) for each in SCOPES if each != scope]
        idle = await rests(store, "idle")
        assert await store.end_hold(held.id, at=START + SECOND, by="bob")
        assert await dates(store, mine, paged, *others, idle) == [START + SECOND] * 2 + [LATER] * (len(others) + 1)

    async def test_a_sooner_date_stays_and_one_word_is_no_part_of_another(self, store: SqlStore) -> None:
        sooner = await rests(store, "sooner", ACTIONS_FILE, until=START)
        longer = await rests(store, "longer", f"{ACTIONS_FILE}s")
        await store.wake_waiting(ACTIONS_FILE, at=START + MINUTE)
        assert await dates(store, sooner, longer) == [START, LATER]

    @pytest.mark.parametrize("end", [{"verdict": Verdict.cured}, {"verdict": Verdict.failed}, {"state": AttemptState.rejected}])
    async def test_the_end_of_an_attempt_wakes_who_waits_on_it(self, ground: Ground, store: SqlStore, end: dict[str, object]) -> None:
        begun = await attempted(store, (acting := await bound(store)))
        waiting = [await rests(store, each, each) for each in (on_target(TARGET.uid), in_namespace("shop"), ANY_ATTEMPT)]
        others = [await rests(store, each, each) for each in (on_target("uid-x"), in_namespace("sho"), hold("namespace:shop"))]
        ground.clock.advance(MINUTE)
        applied = replace(begun, state=AttemptState.applied)
        await changed(store, acting, attempt=applied, wake_at=LATER)
        assert await dates(store, *waiting) == [LATER] * 3
        await changed(store, acting, attempt=replace(applied, **end), wake_at=LATER)  # type: ignore[arg-type]  # fields by name
        assert await dates(store, *waiting, *others, acting) == [START + MINUTE] * 3 + [LATER] * 4

    async def test_what_is_written_of_an_attempt_that_is_over_wakes_nobody(self, store: SqlStore) -> None:
        begun = await attempted(store, (acting := await bound(store)))
        over = replace(begun, state=AttemptState.applied, verdict=Verdict.cured)
        await changed(store, acting, attempt=over)
        waiting = await rests(store, "waiting", ANY_ATTEMPT)
        await changed(store, acting, attempt=replace(over, reverted=True))
        assert await dates(store, waiting) == [LATER]

    async def test_the_end_of_an_attempt_wakes_the_most_urgent_and_not_thousands(self, store: SqlStore) -> None:
        begun = await attempted(store, (acting := await bound(store)))
        low = [await rests(store, f"low-{n}", ANY_ATTEMPT, priority=Priority.p3) for n in range(MOST_WOKEN)]
        high = await rests(store, "high", ANY_ATTEMPT, priority=Priority.p1)
        await changed(store, acting, attempt=replace(begun, state=AttemptState.rejected))
        assert await dates(store, high) == [START]
        assert sorted(each for each in await dates(store, *low) if each) == [START] * (MOST_WOKEN - 1) + [LATER]

    async def test_a_wait_that_was_decided_before_the_end_is_decided_again(self, ground: Ground, store: SqlStore) -> None:
        held = await store.add_hold(Hold(0, HoldKind.freeze, "", "r", "ann", START))
        one, seen = await began(store), await store.sequence()
        await store.end_hold(held.id, at=START, by="bob")
        ground.clock.advance(SECOND)
        await changed(store, one, waits_on=(hold(""),), seen=seen)
        assert await dates(store, one) == [START + SECOND]

    async def test_what_an_incident_waited_on_is_forgotten_with_its_next_step(self, store: SqlStore) -> None:
        one = await rests(store, "one", ACTIONS_FILE)
        await changed(store, one, wake_at=LATER)
        await store.wake_waiting(ACTIONS_FILE, at=START)
        assert await dates(store, one) == [LATER]
