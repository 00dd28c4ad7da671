"""A person's yes and no, over the real store and the real responder: bound, single, dated, refused with a reason."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from receiver.core.case import Attempt, AttemptState, Permit
from receiver.core.model import Approval, Incident, Mode, Precondition, Priority
from receiver.engine.commands import PeoplesCommands
from receiver.ports import CommandRefused, StalePermit
from tests.fakes import cases as c
from tests.fakes.response_ground import ResponseGround, response_ground

NEEDS = Approval("ic", (Precondition("backup", "a backup of today exists"),))


class Desk:
    """An incident that asks before it restarts."""

    def __init__(self, ground: ResponseGround, incident: Incident) -> None:
        self.ground = ground
        self.incident = incident
        store = ground.store
        self.commands = PeoplesCommands(
            store, store, ground.responder, clock=ground.clock, wake=lambda _: None, destinations=("pagerduty",)
        )

    async def attempts(self) -> tuple[Attempt, ...]:
        return (await self.ground.view(self.incident)).rows.attempts

    async def offer(self) -> Attempt:
        return next(each for each in reversed(await self.attempts()) if each.offer and each.state is AttemptState.shadow)

    async def approve(self, attempt: str | None = None, *, roles: tuple[str, ...] = ("ic",), ticked: tuple[str, ...] = ("backup",)) -> None:
        wanted = attempt or (await self.offer()).id
        await self.commands.approve(self.incident.id, wanted, by="ada", roles=roles, ticked=ticked)


@pytest_asyncio.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    rule = c.rule(c.rung(mode=Mode.approve, approval=NEEDS))
    async with response_ground(tmp_path, rule) as ground:
        incident = await ground.began()
        await ground.advance(incident)
        yield Desk(ground, incident)


async def test_a_yes_runs_it_once_and_says_who_said_it(desk: Desk) -> None:
    await desk.approve()
    await desk.ground.advance(desk.incident, minutes=5)
    (permit,) = desk.ground.world.permits
    assert permit.approved_by == "ada"
    used, ran = await desk.attempts()
    assert (used.state, used.detail) == (AttemptState.withdrawn, f"used by {ran.id}")
    assert (ran.approval, ran.approved_by, ran.state) == (used.id, "ada", AttemptState.applied)
    texts = [each.entry.text for each in (await desk.ground.view(desk.incident)).timeline]
    assert any("ada approved kubernetes.rollout_restart" in each and "checked: backup" in each for each in texts)


@pytest.mark.parametrize("roles,ticked,word", [((), ("backup",), "role 'ic'"), (("ic",), (), "backup (a backup of today exists)")])
async def test_a_yes_without_role_or_precondition_is_refused_with_what_is_missing(
    desk: Desk, roles: tuple[str, ...], ticked: tuple[str, ...], word: str
) -> None:
    with pytest.raises(CommandRefused, match=word.replace("(", r"\(").replace(")", r"\)")):
        await desk.approve(roles=roles, ticked=ticked)
    await desk.ground.advance(desk.incident, minutes=5)
    assert not desk.ground.world.permits


async def test_a_second_yes_is_refused_and_of_many_at_once_one_counts(desk: Desk) -> None:
    offer = (await desk.offer()).id
    found = await asyncio.gather(*(desk.approve(offer) for _ in range(5)), return_exceptions=True)
    assert sorted(type(each).__name__ for each in found) == ["CommandRefused"] * 4 + ["NoneType"]
    await desk.ground.advance(desk.incident, minutes=5)
    with pytest.raises(CommandRefused, match="is over"):
        await desk.approve(offer)
    assert len(desk.ground.world.permits) == 1


async def test_a_no_is_final_and_dated(desk: Desk) -> None:
    offer = await desk.offer()
    await desk.commands.deny(desk.incident.id, offer.id, by="bob", reason="deploying")
    await desk.ground.advance(desk.incident, minutes=120)
    assert not desk.ground.world.permits
    assert [each.denied_by for each in await desk.attempts()] == ["bob"]


async def test_a_yes_after_its_time_is_refused_and_another_question_follows(desk: Desk) -> None:
    first = await desk.offer()
    desk.ground.clock.advance(c.seconds(15 * 60))
    with pytest.raises(CommandRefused, match="expired"):
        await desk.approve(first.id)
    await desk.ground.advance(desk.incident)
    second = await desk.offer()
    assert second.id != first.id


async def test_a_yes_to_what_has_changed_since_runs_nothing(desk: Desk) -> None:
    desk.ground.clock.advance(c.seconds(1))
    await desk.approve()
    desk.ground.world.load = c.workload(generation=6)
    await desk.ground.advance(desk.incident, minutes=1)
    assert not desk.ground.world.permits
    assert "generation 5 -> 6" in (await desk.attempts())[0].detail


async def test_what_is_not_asked_for_cannot_be_approved(desk: Desk) -> None:
    with pytest.raises(CommandRefused, match="it waits for:") as refused:
        await desk.approve("other-1")
    assert refused.value.missing


async def test_the_store_itself_begins_nothing_without_a_yes(desk: Desk) -> None:
    """The last wall: a permit of mode approve whose offer nobody approved, or that was used."""
    view = await desk.ground.view(desk.incident)
    offer = await desk.offer()
    case = await desk.ground.responder.case(desk.incident.id)
    assert case is not None
    forged = replace(_permit_like(offer), seen=case.seen, expires_at=desk.ground.clock.now() + c.seconds(10))
    for approval in ("", offer.id, "nobody"):
        with pytest.raises(StalePermit):
            await desk.ground.store.begin_attempt(replace(forged, approval=approval), incident=view.rows.incident, entries=(), shadow=False)


def _permit_like(offer: Attempt) -> Permit:
    return Permit(  # permit: made by a test that proves the store's own refusal
        attempt_id=f"{offer.id}9",
        incident_id=offer.incident_id,
        action=offer.action,
        verb=offer.verb,
        target=offer.target,
        parameters=offer.parameters,
        before=offer.before,
        at=offer.started_at,
        expires_at=offer.started_at,
        seen=0,
        rung=0,
        rule=offer.rule,
        ruleset_hash="",
        mode=Mode.approve,
    )


async def test_the_offer_of_a_p3_whose_page_comes_late_lives_its_whole_time_after_the_page(tmp_path: Path) -> None:
    async with response_ground(tmp_path, c.rule(c.rung(mode=Mode.approve))) as ground:
        desk = Desk(ground, await ground.began(priority=Priority.p3))
        await ground.advance(desk.incident, minutes=14)
        first = await desk.offer()
        assert not (await ground.view(desk.incident)).messages
        await ground.advance(desk.incident, minutes=16)
        (page,) = (await ground.view(desk.incident)).rows.raises
        assert first.expires_at == page.at + ground.policy.bounds.offer_valid
        ground.clock.advance(page.at + c.seconds(14 * 60) - ground.clock.now())
        await desk.approve(first.id)
        said = next(each for each in await desk.attempts() if each.id == first.id)
        assert said.expires_at == ground.clock.now() + ground.policy.bounds.offer_valid
        await ground.advance(desk.incident, minutes=1)
        assert len(ground.world.permits) == 1
