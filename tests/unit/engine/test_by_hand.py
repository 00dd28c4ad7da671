"""What a person says of prepared commands, over the real store: stored with its way back, once, and the incident waits for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import pytest_asyncio

from receiver.core.case import Standing
from receiver.core.model import Incident, Service, Suggested
from receiver.engine.commands import PeoplesCommands
from receiver.ports import CommandRefused, Fold, FoldedIncident, StoredEntry
from tests.fakes import cases as c
from tests.fakes.response_ground import ResponseGround, response_ground
from tests.kits.store_ground import began

VALUES = {"configmap": "web-config", "broker_pod": "rabbitmq-0"}
RULE = c.rule(suggest=(Suggested("read_only"), Suggested("recent_events"), Suggested("purge_queue", {"queue": "mail"})))


@dataclass
class Desk:
    ground: ResponseGround
    commands: PeoplesCommands
    incident: Incident
    woken: list[int]

    async def did(self, name: str, *, by: str = "ada", note: str = "") -> Standing:
        return await self.commands.did(self.incident.id, name, by=by, note=note)

    async def undid(self, name: str, *, by: str = "ada") -> Standing:
        return await self.commands.undid(self.incident.id, name, by=by)

    async def standing(self) -> tuple[Standing, ...]:
        return (await self.ground.view(self.incident)).rows.standing

    async def entries(self, *kinds: str) -> list[StoredEntry]:
        return [each for each in (await self.ground.view(self.incident)).timeline if each.entry.because in kinds]

    async def over(self) -> Incident:
        """The alert ends, and twice the stability window passes."""
        rows = (await self.ground.view(self.incident)).rows
        ended = tuple(replace(each, resolved_at=self.ground.clock.now()) for each in rows.alerts)
        await self.ground.store.commit_fold(Fold((FoldedIncident(rows.incident, ended, (), (), self.ground.clock.now()),), ()))
        await self.ground.advance(self.incident, minutes=30)
        return (await self.ground.view(self.incident)).rows.incident


@pytest_asyncio.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with response_ground(tmp_path, RULE) as ground:
        web = Service("web", (c.REF,), values=VALUES)
        ground.rules = replace(ground.rules, services={"web": web})
        woken: list[int] = []
        store = ground.store
        commands = PeoplesCommands(store, store, ground.responder, clock=ground.clock, wake=woken.append, destinations=("pagerduty",))
        incident = await began(
            ground.store, "web", records=(replace(c.record(age=0), first_at=ground.clock.now()),), rule="crash", service="web"
        )
        await ground.advance(incident, minutes=1)
        yield Desk(ground, commands, incident, woken)


async def test_what_was_done_is_kept_with_its_way_back_and_dated_under_a_name(desk: Desk) -> None:
    done = await desk.did("read_only")
    assert await desk.standing() == (done,)
    assert (done.open, done.done_by) == (True, "ada")
    assert done.reverse[0].startswith("kubectl -n shop patch configmap/web-config")
    (entry,) = await desk.entries("done_by_hand")
    assert (entry.entry.actor, entry.entry.text) == ("ada", "ada ran read_only (Read-only mode by ConfigMap); to be taken back")
    assert entry.entry.data["prepared"] is not None
    assert desk.woken == [desk.incident.id]


async def test_done_twice_changes_nothing_and_keeps_who_was_first(desk: Desk) -> None:
    first = await desk.did("read_only")
    desk.ground.clock.advance(c.seconds(60))
    assert await desk.did("read_only", by="bob") == first
    assert len(await desk.entries("done_by_hand")) == 1
    assert await desk.standing() == (first,)


async def test_taken_back_twice_changes_nothing_and_keeps_who_was_first(desk: Desk) -> None:
    await desk.did("read_only")
    first = await desk.undid("read_only", by="bob")
    desk.ground.clock.advance(c.seconds(60))
    assert await desk.undid("read_only", by="eve") == first
    assert (first.open, first.undone_by) == (False, "bob")
    assert [each.entry.text for each in await desk.entries("undone_by_hand")] == ["bob took back read_only (Read-only mode by ConfigMap)"]


async def test_what_was_taken_back_can_be_done_again(desk: Desk) -> None:
    await desk.did("read_only")
    await desk.undid("read_only")
    assert (await desk.did("read_only", by="bob")).open
    assert len(await desk.entries("done_by_hand")) == 2


async def test_the_way_back_stays_that_of_the_day_it_was_done(desk: Desk) -> None:
    done = await desk.did("read_only")
    other = Service("web", (c.REF,), values={"configmap": "another"})
    desk.ground.rules = replace(desk.ground.rules, services={"web": other})
    assert (await desk.standing())[0].reverse == done.reverse
    assert (await desk.undid("read_only")).reverse == done.reverse


async def test_an_unknown_name_is_refused_and_names_what_there_is(desk: Desk) -> None:
    with pytest.raises(CommandRefused, match="suggests: read_only, recent_events, purge_queue; allowed: backup_configmaps") as refused:
        await desk.did("reboot")
    assert refused.value.missing
    assert len(str(refused.value)) < 1_000
    assert await desk.standing() == ()


async def test_one_that_the_rule_does_not_suggest_can_be_marked_as_well(desk: Desk) -> None:
    assert (await desk.did("raise_limits")).open


@pytest.mark.parametrize("note", ["", "  "])
async def test_one_with_gaps_is_not_marked_as_done_while_nobody_says_what_filled_them(desk: Desk, note: str) -> None:
    with pytest.raises(CommandRefused, match=r"VARIABLE: not in the catalogue.*--note") as refused:
        await desk.did("set_env", note=note)
    assert not refused.value.missing
    assert await desk.standing() == ()
    assert await desk.entries("done_by_hand") == []


async def test_what_filled_the_gaps_is_kept_in_the_timeline_and_the_incident_waits(desk: Desk) -> None:
    assert (await desk.did("set_env", note="FLAG=off")).open
    (entry,) = await desk.entries("done_by_hand")
    assert entry.entry.text == "ada ran set_env (Set an environment variable); to be taken back; note: FLAG=off"
    assert entry.entry.data["note"] == "FLAG=off"


async def test_what_nobody_did_cannot_be_taken_back(desk: Desk) -> None:
    await desk.did("read_only")
    with pytest.raises(CommandRefused, match="still to be taken back: read_only") as refused:
        await desk.undid("raise_limits")
    assert refused.value.missing


async def test_the_incident_stays_open_until_it_is_taken_back(desk: Desk) -> None:
    await desk.did("read_only")
    waiting = await desk.over()
    assert waiting.open
    desk.woken.clear()
    await desk.undid("read_only")
    assert desk.woken == [desk.incident.id]
    await desk.ground.advance(desk.incident)
    assert not (await desk.ground.view(desk.incident)).rows.incident.open


async def test_what_only_looks_or_cannot_be_taken_back_holds_nothing_open(desk: Desk) -> None:
    for name in ("recent_events", "purge_queue"):
        assert not (await desk.did(name)).open
    assert not (await desk.over()).open


async def test_a_closed_incident_takes_no_word_of_it(desk: Desk) -> None:
    await desk.commands.resolve(desk.incident.id, by="ada")
    for said in (desk.did, desk.undid):
        with pytest.raises(CommandRefused, match="is closed"):
            await said("read_only")
    with pytest.raises(CommandRefused, match="does not exist"):
        await desk.commands.did(99, "read_only", by="ada")


async def test_a_person_closes_over_it_only_when_they_say_that_they_leave_it(desk: Desk) -> None:
    done = await desk.did("read_only")
    with pytest.raises(CommandRefused, match="holds read_only, done by ada and not taken back") as refused:
        await desk.commands.resolve(desk.incident.id, by="bob")
    assert done.reverse[0] in str(refused.value)
    assert "receiver undid 1 read_only" in str(refused.value)
    assert not (await desk.commands.resolve(desk.incident.id, by="bob", leave=True)).open
    (left,) = await desk.standing()
    assert (left.open, left.left, left.undone_by) == (False, True, "bob")
    assert [each.entry.text for each in await desk.entries("left_by_hand")] == ["bob leaves read_only as it is"]


async def test_the_page_and_its_entry_in_the_timeline_hold_the_commands_word_for_word(desk: Desk) -> None:
    view = await desk.ground.view(desk.incident)
    page = next(each for each in view.messages if each.text.details)
    (told,) = [each.entry.data["prepared"] for each in view.timeline if "prepared" in each.entry.data]
    assert isinstance(told, list)
    assert [each["name"] for each in told] == ["read_only", "recent_events", "purge_queue"]
    for each in told:
        for line in each["commands"]:
            assert f"  $ {line}" in page.text.details["by hand"]
