"""The store's ledger, holds and timeline: one budget is spent once, and what happened cannot be rewritten unseen."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from receiver.core.case import AttemptState, Hold, HoldKind, Verdict
from receiver.core.facts import Facts, Sample, SampleState
from receiver.core.model import Symptom
from receiver.ports import Change, Fold, StalePermit, VersionConflict
from receiver.store.sql_store import SqlStore
from tests.fakes.clock import START
from tests.kits.store_ground import (
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
    folded,
    message,
    permit,
    raised,
)

HOLD = Hold(0, HoldKind.freeze, "namespace:shop", "deploy", "ann", START)
KILL = Hold(0, HoldKind.kill_switch, "", "stop", "ann", START)


class LedgerKit:
    """Needs the fixtures `ground` and `store`."""

    async def test_a_writer_that_read_an_older_version_changes_nothing(self, store: SqlStore) -> None:
        old = await began(store)
        assert await store.save(Change(replace(old, title="first"), (entry("first"),))) == 2
        with pytest.raises(VersionConflict):
            await store.save(Change(replace(old, title="second"), (entry("second"),), messages=(message(old),)))
        view = await store.view(old.id)
        assert view is not None
        assert (view.rows.incident.title, view.rows.incident.version, len(view.timeline), view.messages) == ("first", 2, 2, ())

    async def test_a_closed_incident_is_never_opened_again(self, store: SqlStore) -> None:
        old = await closed(store, await began(store))
        with pytest.raises(VersionConflict):
            await store.save(Change(replace(old, open=True)))
        assert await store.save(Change(old, (entry("a note"),))) == old.version + 1

    async def test_one_step_is_read_back_as_it_was_written(self, store: SqlStore) -> None:
        old = await bound(store)
        begun = await attempted(store, old)
        judged = replace(begun, state=AttemptState.applied, ended_at=START, verdict=Verdict.not_yet, verdict_at=START + SECOND)
        facts = Facts(START, target=TARGET, samples=(Sample("verify", SampleState.value, 0.25),), chain=("a", "b"))
        await changed(store, old, attempt=judged, facts=facts, raised=raised(), messages=(message(old),), wake_at=START + MINUTE)
        view = await store.view(old.id)
        assert view is not None
        rows = view.rows
        assert (rows.attempts, rows.facts, rows.raises) == ((judged,), (facts,), (raised(),))
        assert (view.next_due, view.message_states) == (START + MINUTE, ("due",))
        assert replace(view.messages[0], id=0) == replace(message(old), created_at=START)

    async def test_numbers_that_json_does_not_have_are_left_out(self, store: SqlStore) -> None:
        new = await bound(store)
        allowed = await permit(store, new)
        odd = replace(allowed, before=replace(allowed.before, samples={"verify": float("nan"), "probe": 1.0}))
        begun = await store.begin_attempt(odd, incident=new, entries=(), shadow=False)
        await changed(store, new, facts=Facts(START, samples=(Sample("verify", SampleState.not_finite, float("inf")),)))
        rows = await store.load(new.id)
        assert rows is not None
        assert rows.attempts == (replace(begun, before=replace(begun.before, samples={"probe": 1.0})),)
        assert rows.facts[0].samples == (Sample("verify", SampleState.not_finite, None),)

    async def test_the_last_twelve_facts_are_kept(self, store: SqlStore) -> None:
        new = await began(store)
        for n in range(15):
            await changed(store, new, facts=Facts(START + n * SECOND))
        rows = await store.load(new.id)
        assert rows is not None
        assert [each.at for each in rows.facts] == [START + n * SECOND for n in range(3, 15)]

    # --- attempts ---

    async def test_a_permit_is_stale_once_the_ledger_moved(self, store: SqlStore) -> None:
        one = await bound(store, "one")
        two = await bound(store, "two", target=OTHER)
        late = await permit(store, two, target=OTHER)
        begun = await attempted(store, one)
        with pytest.raises(StalePermit):
            await store.begin_attempt(late, incident=two, entries=(), shadow=False)
        seen = await store.sequence()
        await changed(store, two, entries=(entry(),))
        assert await store.sequence() == seen
        await changed(store, one, attempt=replace(begun, state=AttemptState.applied))
        assert await store.sequence() > seen

    async def test_of_two_that_begin_at_once_one_is_refused(self, store: SqlStore) -> None:
        one, two = await bound(store, "one"), await bound(store, "two", target=OTHER)
        permits = [await permit(store, one), await permit(store, two, target=OTHER)]
        begun = await asyncio.gather(
            *(store.begin_attempt(p, incident=i, entries=(), shadow=False) for p, i in zip(permits, (one, two), strict=True)),
            return_exceptions=True,
        )
        assert sorted(type(each).__name__ for each in begun) == ["Attempt", "StalePermit"]

    @pytest.mark.parametrize("state", [AttemptState.intent, AttemptState.unknown, AttemptState.applied])
    async def test_a_target_has_one_open_attempt(self, store: SqlStore, state: AttemptState) -> None:
        one = await bound(store, "one")
        secret = await bound(store, "two", symptom=Symptom.security)
        begun = await attempted(store, one)
        if state is not AttemptState.intent:
            await changed(store, one, attempt=replace(begun, state=state, ended_at=START))
        with pytest.raises(StalePermit):
            await attempted(store, secret)
        await changed(store, one, attempt=replace(begun, state=AttemptState.applied, verdict=Verdict.cured, verdict_at=START))
        assert (await attempted(store, secret)).state is AttemptState.intent

    async def test_a_permit_is_used_once_and_soon(self, ground: Ground, store: SqlStore) -> None:
        one = await bound(store)
        begun = await attempted(store, one)
        await changed(store, one, attempt=replace(begun, state=AttemptState.rejected, ended_at=START))
        with pytest.raises(StalePermit):
            await attempted(store, one)
        ground.clock.advance(15 * SECOND)
        with pytest.raises(StalePermit):
            await attempted(store, one, 2)

    async def test_an_attempt_begins_on_the_incident_that_was_decided_on(self, store: SqlStore) -> None:
        one = await bound(store)
        await changed(store, one, entries=(entry(),))
        with pytest.raises(VersionConflict):
            await store.begin_attempt(await permit(store, one), incident=one, entries=(), shadow=False)
        over = await closed(store, one)
        with pytest.raises(VersionConflict):
            await store.begin_attempt(await permit(store, over), incident=over, entries=(), shadow=False)

    async def test_a_shadow_is_recorded_and_blocks_nothing(self, store: SqlStore) -> None:
        one = await bound(store)
        shadow = await store.begin_attempt(await permit(store, one), incident=one, entries=(entry("would restart"),), shadow=True)
        assert (shadow.state, shadow.open) == (AttemptState.shadow, False)
        begun = await attempted(store, one, 2)
        rows = await store.load(one.id)
        assert rows is not None
        assert rows.attempts == (shadow, begun)

    async def test_beginning_moves_the_incident_so_nobody_closes_it_unaware(self, store: SqlStore) -> None:
        one = await bound(store)
        await attempted(store, one)
        with pytest.raises(VersionConflict):
            await store.save(Change(replace(one, open=False, closed_at=START)))

    async def test_the_ledger_is_read_as_far_back_as_bounds_look(self, ground: Ground, store: SqlStore) -> None:
        mine = await bound(store, "mine")
        others = [await _tried(store, n, verdict=Verdict.failed if n else None) for n in range(4)]
        own = await attempted(store, mine)
        ground.clock.advance(timedelta(hours=25))
        others += [await _tried(store, n, verdict=Verdict.cured, at=START + timedelta(hours=25)) for n in range(4, 34)]
        rows = await store.load(mine.id)
        assert rows is not None
        assert [each.id for each in rows.attempts] == [others[0], own.id, *others[4:]]
        ground.clock.advance(timedelta(hours=25))
        rows = await store.load(mine.id)
        assert rows is not None
        assert [each.id for each in rows.attempts] == [others[0], own.id, *others[4:]]

    # --- holds ---

    async def test_a_hold_makes_permits_stale_and_ends(self, store: SqlStore) -> None:
        one = await bound(store)
        before = await permit(store, one)
        held = await store.add_hold(HOLD)
        with pytest.raises(StalePermit):
            await store.begin_attempt(before, incident=one, entries=(), shadow=False)
        assert await store.holds() == [replace(HOLD, id=held.id)]
        seen = await store.sequence()
        assert await store.end_hold(held.id, at=START, by="bob")
        assert not await store.end_hold(held.id, at=START, by="bob")
        assert await store.holds() == []
        assert await store.sequence() == seen + 1

    async def test_the_kill_switch_stops_a_permit_that_has_seen_it(self, ground: Ground, store: SqlStore) -> None:
        one = await bound(store)
        await store.add_hold(HOLD)
        assert not await store.kill_switch_on()
        await store.add_hold(replace(KILL, until=START + 5 * SECOND))
        assert await store.kill_switch_on()
        with pytest.raises(StalePermit):
            await attempted(store, one)
        ground.clock.advance(5 * SECOND)
        assert not await store.kill_switch_on()
        assert (await attempted(store, one)).state is AttemptState.intent

    # --- timeline ---

    async def test_the_chain_holds_over_every_writer(self, ground: Ground, store: SqlStore) -> None:
        one = await bound(store)
        await store.commit_fold(Fold((folded(one, entries=(entry("two"), entry("three"))),), ()))
        await attempted(store, one)
        view = await (await ground.open()).view(one.id)
        assert view is not None
        assert [each.entry.text for each in view.timeline] == ["it began", "two", "three", "restarting"]
        assert [each.seq for each in view.timeline] == [1, 2, 3, 4]
        assert view.timeline[0].entry == entry("it began")
        assert view.chain_intact

    async def test_the_timeline_is_append_only(self, ground: Ground, store: SqlStore) -> None:
        await began(store)
        assert ground.refuses("UPDATE timeline SET text = 'never'")
        assert ground.refuses("DELETE FROM timeline")
        assert ground.refuses("DELETE FROM incidents")

    @pytest.mark.parametrize(
        "forgery",
        [
            "UPDATE timeline SET text = 'never' WHERE seq = 2",
            "UPDATE timeline SET at = at + 1 WHERE seq = 2",
            "UPDATE timeline SET actor = 'bob' WHERE seq = 1",
            "UPDATE timeline SET hash = 'beef' WHERE seq = 2",
            "DELETE FROM timeline WHERE seq = 2",
            "DELETE FROM timeline WHERE seq = 3",
            "DELETE FROM timeline WHERE seq = 1",
        ],
    )
    async def test_a_forged_timeline_shows(self, ground: Ground, store: SqlStore, forgery: str) -> None:
        one = await began(store)
        await changed(store, one, entries=(entry("two"), entry("three")))
        ground.execute("DROP TRIGGER timeline_no_update")
        ground.execute("DROP TRIGGER timeline_no_delete")
        ground.execute(forgery)
        view = await store.view(one.id)
        assert view is not None
        assert not view.chain_intact


async def _tried(store: SqlStore, n: int, *, verdict: Verdict | None, at: Any = START) -> str:
    """An attempt on another target, judged or left open; its id."""
    target = replace(OTHER, uid=f"uid-{n}")
    other = await bound(store, f"other-{n}", target=target)
    begun = await attempted(store, other, target=target, at=at)
    if verdict is not None:
        await changed(store, other, attempt=replace(begun, state=AttemptState.applied, verdict=verdict, verdict_at=at))
    return begun.id
