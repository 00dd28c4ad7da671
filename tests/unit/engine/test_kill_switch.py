"""The file that allows actions: what it held goes on once it says yes again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from receiver.engine.kill_switch import ActionsFile, FileWatch
from tests.fakes.response_ground import response_ground


async def test_what_the_actions_file_held_is_done_once_it_allows_again(tmp_path: Path) -> None:
    async with response_ground(tmp_path, actions_file_ok=False) as ground:
        incident = await ground.began()
        await ground.advance(incident, minutes=10)
        file, woken = tmp_path / "actions", list[int]()
        watch = FileWatch(ActionsFile(file), ground.store, clock=ground.clock, wake=woken.append)
        await watch.round()
        assert ((await ground.view(incident)).next_due, woken) == (None, [])
        file.write_text("allowed\n")
        ground.policy = replace(ground.policy, actions_file_ok=True)
        await watch.round()
        assert ((await ground.view(incident)).next_due, woken) == (ground.clock.now(), [0])
        await ground.advance(incident)
        assert len(ground.world.permits) == 1


async def test_a_file_that_goes_on_allowing_wakes_nobody(tmp_path: Path) -> None:
    async with response_ground(tmp_path) as ground:
        (tmp_path / "actions").write_text("allowed")
        woken = list[int]()
        watch = FileWatch(ActionsFile(tmp_path / "actions"), ground.store, clock=ground.clock, wake=woken.append)
        await watch.round()
        await watch.round()
        assert woken == []
        assert watch.watches
        assert not FileWatch(ActionsFile(None), ground.store, clock=ground.clock, wake=woken.append).watches
