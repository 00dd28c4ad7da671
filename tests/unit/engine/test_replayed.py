"""Deliveries that anybody may send again, since no time is signed with them: they page, and never lead to an action by themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from receiver.ports import Change
from receiver.store.opening import open_store
from tests.fakes.clock import START, FakeClock
from tests.fakes.folding_ground import POD, SOURCE, Ground, body, said

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
SIBLING = {**POD, "pod": "web-2"}
CAPTURED = body(said(POD))


@pytest_asyncio.fixture
async def ground(tmp_path: Path) -> AsyncIterator[Ground]:
    clock = FakeClock(START)
    store = await open_store(f"sqlite:///{tmp_path}/receiver.db", clock=clock)
    yield Ground.over(store, clock, replayable=frozenset({SOURCE}))
    await store.close()


async def close(ground: Ground, incident_id: int = 1) -> None:
    rows = await ground.store.real.load(incident_id)
    assert rows is not None
    await ground.store.real.save(Change(replace(rows.incident, open=False, closed_at=ground.clock.now(), closed_by="anna")))


async def lived(ground: Ground) -> None:
    """It fired, was over, and its incident closed; a day passed."""
    await ground.fold(CAPTURED)
    ground.clock.advance(5 * MINUTE)
    await ground.fold(body(said(POD, ends=ground.clock.now())))
    ground.clock.advance(HOUR)
    await close(ground)
    ground.clock.advance(DAY)


async def test_what_was_captured_and_is_sent_again_after_the_close_pages_and_is_never_acted_on(ground: Ground) -> None:
    await lived(ground)
    await ground.fold(CAPTURED)
    first, again = await ground.incidents()
    assert (first.no_action, again.open) == ("", True)
    assert "sent again" in again.no_action
    assert "no_action" in await ground.timeline(again.id)


@pytest.mark.parametrize("restart", [True, False])
async def test_what_a_restart_left_in_the_inbox_is_judged_alike(ground: Ground, restart: bool) -> None:
    await lived(ground)
    await ground.append(CAPTURED)
    now = Ground.over(ground.store.real, ground.clock, replayable=frozenset({SOURCE})) if restart else ground
    await now.folder.drain()
    assert (await now.incidents())[-1].no_action


async def test_a_new_episode_may_be_acted_on(ground: Ground) -> None:
    await lived(ground)
    await ground.fold(body(said(POD, starts=ground.clock.now())))
    assert [each.no_action for each in await ground.incidents()] == ["", ""]


async def test_a_source_that_nobody_can_replay_is_as_before(ground: Ground) -> None:
    await lived(ground)
    await Ground.over(ground.store.real, ground.clock, replayable=frozenset({"grafana"})).fold(CAPTURED)
    assert [each.no_action for each in await ground.incidents()] == ["", ""]


async def test_a_repeat_while_it_fires_changes_nothing(ground: Ground) -> None:
    await ground.fold(CAPTURED)
    ground.clock.advance(4 * HOUR)
    await ground.fold(CAPTURED)
    assert (await ground.incident()).no_action == ""


async def test_a_repeat_of_what_fires_changes_nothing_also_where_it_is_older_than_a_close(ground: Ground) -> None:
    before = Ground.over(ground.store.real, ground.clock)  # when its deliveries were signed with a time
    await lived(before)
    await before.fold(body(said(SIBLING)))
    await ground.fold(body(said(SIBLING), said({**POD, "pod": "web-3"}, starts=ground.clock.now())))
    assert [(each.no_action, each.open) for each in await ground.incidents()] == [("", False), ("", True)]


async def test_what_ended_and_was_sent_again_while_nobody_folded_is_doubted_as_well(ground: Ground) -> None:
    await ground.fold(CAPTURED)
    await ground.append(body(said(POD, ends=START + MINUTE)))
    ground.clock.advance(HOUR)
    await ground.append(CAPTURED)
    await ground.folder.drain()
    (record,) = await ground.records()
    assert (record.firing, "sent again" in (await ground.incident()).no_action) == (True, True)


async def test_it_is_known_also_behind_a_younger_incident_of_its_group(ground: Ground) -> None:
    await lived(ground)
    await ground.fold(body(said(SIBLING, starts=ground.clock.now())))
    ground.clock.advance(HOUR)
    await close(ground, 2)
    ground.clock.advance(DAY)
    await ground.fold(CAPTURED)
    assert [bool(each.no_action) for each in await ground.incidents()] == [False, False, True]


async def test_what_is_over_in_an_open_incident_and_sent_again_forbids_actions_there(ground: Ground) -> None:
    await ground.fold(body(said(POD), said(SIBLING)))
    ground.clock.advance(MINUTE)
    await ground.fold(body(said(POD, ends=ground.clock.now())))
    assert (await ground.incident()).no_action == ""
    ground.clock.advance(DAY)
    await ground.fold(CAPTURED)
    assert "sent again" in (await ground.incident()).no_action


async def test_what_ends_is_no_replay(ground: Ground) -> None:
    await lived(ground)
    await ground.fold(body(said(POD, ends=START + MINUTE)))
    assert len(await ground.incidents()) == 1
