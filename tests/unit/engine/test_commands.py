"""What a person may do, over the real store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from receiver.core.case import HoldKind, Verdict
from receiver.core.model import Priority, Service
from receiver.engine.commands import PeoplesCommands
from receiver.ports import Change, CommandRefused, MessageKind
from tests.fakes import cases as c
from tests.fakes.response_ground import ResponseGround, response_ground


@dataclass
class Desk:
    ground: ResponseGround
    commands: PeoplesCommands


@pytest_asyncio.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with response_ground(tmp_path) as ground:
        store = ground.store
        commands = PeoplesCommands(store, store, ground.responder, clock=ground.clock, wake=lambda _: None, destinations=("pagerduty",))
        yield Desk(ground, commands)


async def test_an_acknowledged_incident_starts_nothing_new_and_pages_nobody(desk: Desk) -> None:
    incident = await desk.ground.began()
    await desk.commands.ack(incident.id, by="ada")
    await desk.ground.advance(incident, minutes=10)
    view = await desk.ground.view(incident)
    assert not desk.ground.world.permits
    assert view.messages == ()
    assert view.rows.incident.acked_by == "ada"


async def test_a_second_acknowledgement_changes_nothing(desk: Desk) -> None:
    incident = await desk.ground.began()
    await desk.commands.ack(incident.id, by="ada")
    again = await desk.commands.ack(incident.id, by="bob")
    assert again.acked_by == "ada"


async def test_resolving_ends_its_page_and_its_open_attempt(desk: Desk) -> None:
    desk.ground.world.cures = False
    incident = await desk.ground.began(priority=Priority.p1)
    await desk.ground.advance(incident)
    closed = await desk.commands.resolve(incident.id, by="ada", note="rolled forward")
    view = await desk.ground.view(incident)
    assert not closed.open
    assert [each.verdict for each in view.rows.attempts] == [Verdict.closed]
    assert [each.kind for each in view.messages][-1] is MessageKind.resolve
    assert "rolled forward" in view.timeline[-1].entry.text


async def test_a_closed_incident_is_not_resolved_again_and_says_by_whom_it_was(desk: Desk) -> None:
    incident = await desk.ground.began()
    with capture_logs() as lines:
        closed = await desk.commands.resolve(incident.id, by="ada")
    assert [(each["event"], each["incident"], each["by"]) for each in lines] == [("incident closed", incident.id, "ada")]
    at = f"{closed.closed_at:%Y-%m-%d %H:%M:%SZ}"
    with pytest.raises(CommandRefused, match=f"already closed by ada at {at}"):
        await desk.commands.resolve(incident.id, by="bob")
    assert (await desk.ground.view(incident)).rows.incident.closed_by == "ada"
    with pytest.raises(CommandRefused, match="closed"):
        await desk.commands.ack(incident.id, by="bob")


async def test_an_unknown_incident_is_named(desk: Desk) -> None:
    with pytest.raises(CommandRefused, match="99 does not exist") as refused:
        await desk.commands.ack(99, by="ada")
    assert refused.value.missing


async def test_a_freeze_without_a_scope_is_the_kill_switch_and_can_be_thawed(desk: Desk) -> None:
    hold = await desk.commands.freeze(scope="", reason="deploying", by="ada", until=None)
    assert hold.kind is HoldKind.kill_switch
    assert await desk.ground.store.kill_switch_on()
    await desk.commands.thaw(hold.id, by="ada")
    assert not await desk.ground.store.kill_switch_on()
    with pytest.raises(CommandRefused, match="not in force"):
        await desk.commands.thaw(hold.id, by="ada")


@pytest.mark.parametrize("scope", ["everything", "namespace:", "namespace:a b", "label:x"])
async def test_an_unknown_scope_names_those_that_exist(desk: Desk, scope: str) -> None:
    with pytest.raises(CommandRefused, match="namespace:NAME"):
        await desk.commands.freeze(scope=scope, reason="", by="ada", until=None)


async def test_what_can_be_no_namespace_is_not_frozen(desk: Desk) -> None:
    for name in ("Bad_", "-a", "a.b", "a" * 64):
        with pytest.raises(CommandRefused, match=r"allowed: 1 to 63 of a-z"):
            await desk.commands.freeze(scope=f"namespace:{name}", reason="", by="ada", until=None)


async def test_a_freeze_of_the_namespace_holds_its_actions(desk: Desk) -> None:
    until = desk.ground.clock.now() + timedelta(hours=1)
    await desk.commands.freeze(scope="namespace:shop", reason="migration", by="ada", until=until)
    incident = await desk.ground.began()
    await desk.ground.advance(incident, minutes=1)
    assert not desk.ground.world.permits
    assert "migration" in str((await desk.ground.view(incident)).messages[0].text.details)


async def test_a_note_stands_in_the_timeline_under_its_author(desk: Desk) -> None:
    incident = await desk.ground.began()
    await desk.commands.note(incident.id, by="ada", text="looking at the database")
    last = (await desk.ground.view(incident)).timeline[-1].entry
    assert (last.actor, last.text) == ("ada", "looking at the database")


@pytest.mark.parametrize("scope,known", [("rule:crsh", "crash"), ("service:chekout", "checkout")])
async def test_a_freeze_of_what_does_not_exist_is_refused_and_names_what_does(desk: Desk, scope: str, known: str) -> None:
    many = {f"s{n}": Service(f"s{n}", ()) for n in range(500)}
    desk.ground.rules = replace(desk.ground.rules, services={**many, "checkout": Service("checkout", ())})
    with pytest.raises(CommandRefused, match=known) as refused:
        await desk.commands.freeze(scope=scope, reason="r", by="ada", until=None)
    assert len(str(refused.value)) < 256
    right = f"{scope.partition(':')[0]}:{known}"
    assert (await desk.commands.freeze(scope=right, reason="r", by="ada", until=None)).scope == right


@pytest.mark.parametrize("key", ["web", "kubernetes/default/shop/web", "kubernetes/default/shop/Deployment/", "a/b/c/d/e/f"])
async def test_a_malformed_target_is_refused(desk: Desk, key: str) -> None:
    with pytest.raises(CommandRefused, match="kubernetes/CLUSTER/NAMESPACE/KIND/NAME"):
        await desk.commands.freeze(scope=f"target:{key}", reason="r", by="ada", until=None)


async def test_a_whole_target_can_be_frozen_also_a_node(desk: Desk) -> None:
    for key in (c.REF.key, "kubernetes/default//Node/worker-1"):
        assert (await desk.commands.freeze(scope=f"target:{key}", reason="r", by="ada", until=None)).scope == f"target:{key}"
        assert await desk.commands.doubt(f"target:{key}") == ""


@pytest.mark.parametrize("scope", ["namespace:shpo", "target:kubernetes/default/shpo/Deployment/web"])
async def test_a_namespace_where_nothing_may_act_is_frozen_with_a_doubt(desk: Desk, scope: str) -> None:
    await desk.commands.freeze(scope=scope, reason="r", by="ada", until=None)
    assert "kubernetes.namespaces" in await desk.commands.doubt(scope)
    assert await desk.commands.doubt("namespace:shop") == ""


@pytest.mark.parametrize("scope", ["", "namespace:shop", "service:checkout", "rule:crash", f"target:{c.REF.key}"])
async def test_what_a_thaw_frees_is_done_at_once_also_when_it_was_paged(desk: Desk, scope: str) -> None:
    ground = desk.ground
    ground.rules = replace(ground.rules, services={"checkout": Service("checkout", (c.REF,))})
    incident = await ground.began()
    stored = (await ground.view(incident)).rows.incident
    await ground.store.save(Change(replace(stored, service="checkout"), wake_at=ground.clock.now()))
    hold = await desk.commands.freeze(scope=scope, reason="migration", by="ada", until=None)
    await ground.advance(incident, minutes=60)
    before = await ground.view(incident)
    assert (len(before.rows.raises), before.next_due, ground.world.permits) == (1, None, [])
    ground.clock.advance(timedelta(minutes=5))
    await desk.commands.thaw(hold.id, by="ada")
    assert (await ground.view(incident)).next_due == ground.clock.now()
    await ground.advance(incident)
    assert len(ground.world.permits) == 1
