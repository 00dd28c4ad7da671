"""Taken by a person before anybody was called: an ack holds for what was there, not for what comes after it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from receiver.core.case import Standing
from receiver.core.model import Incident, Priority
from receiver.ports import Change, Fold, FoldedIncident, MessageKind
from tests.fakes import cases as c
from tests.fakes.response_ground import ResponseGround, response_ground


async def taken(ground: ResponseGround, incident: Incident) -> None:
    """Acknowledged, and something was done by hand that has to be taken back: it stays open whatever its alerts say."""
    now = ground.clock.now()
    found = (await ground.view(incident)).rows.incident
    by_hand = Standing("read_only", "t", ("do",), ("undo",), now, "ada")
    await ground.store.save(Change(replace(found, acked_at=now, acked_by="ada"), standing=by_hand))


async def said(ground: ResponseGround, incident: Incident, *, over: bool) -> None:
    """All alerts of it end, or fire anew."""
    rows, now = (await ground.view(incident)).rows, ground.clock.now()
    records = (
        tuple(replace(each, resolved_at=now) for each in rows.alerts)
        if over
        else tuple(replace(each, resolved_at=None, alert=replace(each.alert, starts_at=now)) for each in rows.alerts)
    )
    await ground.store.commit_fold(Fold((FoldedIncident(rows.incident, records, (), (), now),), ()))


async def pages(ground: ResponseGround, incident: Incident) -> int:
    return len([each for each in (await ground.view(incident)).messages if each.kind is MessageKind.trigger])


async def test_what_an_ack_was_given_for_pages_nobody(tmp_path: Path) -> None:
    async with response_ground(tmp_path) as ground:
        old = await ground.began("k1", Priority.p3)
        await taken(ground, old)
        await ground.advance(old, minutes=600)
        assert await pages(ground, old) == 0


async def test_a_new_episode_after_the_ack_pages(tmp_path: Path) -> None:
    async with response_ground(tmp_path) as ground:
        ground.world.target = None
        old = await ground.began("k1", Priority.p3)
        await taken(ground, old)
        await said(ground, old, over=True)
        await ground.advance(old, minutes=3 * 24 * 60)
        await said(ground, old, over=False)
        await ground.advance(old, minutes=30)
        assert await pages(ground, old) == 1


async def test_a_p1_that_is_merged_into_what_was_taken_calls_somebody_and_is_not_acted_on(tmp_path: Path) -> None:
    async with response_ground(tmp_path) as ground:
        old = await ground.began("k1", Priority.p3)
        new = await ground.began("k2", Priority.p1)  # it began before the ack: only the merge tells that nobody took it
        await taken(ground, old)
        found = (await ground.view(old)).rows.incident
        await ground.store.adopt_target(found, c.TARGET, at=ground.clock.now())
        await ground.store.adopt_target((await ground.view(new)).rows.incident, c.TARGET, at=ground.clock.now())
        ground.clock.advance(timedelta(seconds=1))
        await ground.advance(old, minutes=1)
        survivor = (await ground.view(old)).rows.incident
        assert (survivor.priority, await pages(ground, old)) == (Priority.p1, 1)
        assert survivor.no_action == f"acknowledged by ada before incident {new.id} was merged into it"
        assert ground.world.permits == []
