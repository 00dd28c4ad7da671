"""Evidence never holds up a page that must not wait, follows it where it comes late, and is kept with the incident."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest_asyncio

from receiver.core.facts import Evidence, Facts, Trouble
from receiver.core.model import Incident, Priority
from receiver.engine import gathering
from receiver.engine.gathering import Gathering, as_data
from receiver.ports import Change, IncidentView, Inquiry, MessageKind
from tests.fakes import cases as c
from tests.fakes.clock import FakeClock
from tests.fakes.response_ground import ResponseGround, response_ground

PODS = Evidence("pods", ("web-1: not ready",))


@dataclass
class Eyes:
    """Collects what it is told, when it is let."""

    pieces: tuple[Evidence, ...] = (PODS,)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[Inquiry] = field(default_factory=list)
    waited: list[timedelta] = field(default_factory=list)
    fault: Exception | None = None

    async def collect(self, inquiry: Inquiry, found: dict[str, Evidence], waited: timedelta) -> None:
        self.asked.append(inquiry)
        self.waited.append(waited)
        await self.gate.wait()
        if self.fault is not None:
            raise self.fault
        found.update({each.title: each for each in self.pieces})


@dataclass
class Scene:
    ground: ResponseGround
    eyes: Eyes
    desk: Gathering
    told: list[str]

    async def paged(self, priority: Priority = Priority.p1) -> Incident:
        incident = await self.ground.began(priority=priority)
        await self.ground.advance(incident)
        return incident

    async def kept(self, incident: Incident) -> IncidentView:
        """Once the entry is written."""
        async with asyncio.timeout(5):
            while True:
                view = await self.ground.view(incident)
                if any(each.entry.because == "evidence" for each in view.timeline):
                    return view
                await asyncio.sleep(0.005)


@pytest_asyncio.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with response_ground(tmp_path, c.rule()) as ground:
        eyes, told = Eyes(), list[str]()
        desk = Gathering(eyes.collect, ground.store, clock=ground.clock, destinations=("pagerduty",), told=told.append)
        ground.use(desk)
        task = asyncio.create_task(desk.run(ground.responder.case), name="gathering")
        yield Scene(ground, eyes, desk, told)
        task.cancel()
        await asyncio.wait({task})


async def test_a_p1_is_paged_while_its_evidence_is_still_being_collected(scene: Scene) -> None:
    incident = await scene.paged()
    (message,) = (await scene.ground.view(incident)).messages
    assert message.kind is MessageKind.trigger
    assert message.text.details["evidence"] == ["more is being collected and follows as an update"]


async def test_what_comes_late_follows_under_the_same_key_and_wakes_nobody(scene: Scene) -> None:
    incident = await scene.paged()
    scene.eyes.gate.set()
    page, update = (await scene.kept(incident)).messages
    assert (update.kind, update.dedup_key, update.raise_n) == (MessageKind.update, page.dedup_key, page.raise_n)
    assert update.text.details["pods"] == ["web-1: not ready"]
    assert update.text.summary == page.text.summary
    assert "pagerduty" in scene.told


async def test_a_page_that_may_wait_a_little_has_its_evidence_and_needs_no_update(scene: Scene) -> None:
    scene.eyes.gate.set()
    incident = await scene.paged(Priority.p2)
    (message,) = (await scene.kept(incident)).messages
    assert message.text.details["pods"] == ["web-1: not ready"]


async def test_evidence_is_kept_with_the_incident_once(scene: Scene) -> None:
    scene.eyes.pieces = (PODS, Evidence("top", (), "no metrics API"))
    scene.eyes.gate.set()
    incident = await scene.paged()
    view = await scene.kept(incident)
    await scene.ground.advance(incident, minutes=10)
    (entry,) = [each.entry for each in (await scene.ground.view(incident)).timeline if each.entry.because == "evidence"]
    assert entry.text == "evidence: pods; not collected: top (no metrics API)"
    assert entry.data["evidence"] == as_data(scene.eyes.pieces)
    assert view.chain_intact


async def test_the_update_of_an_incident_that_was_closed_meanwhile_is_never_sent(scene: Scene) -> None:
    """PagerDuty would open a new page for it."""
    incident = await scene.paged()
    rows = (await scene.ground.view(incident)).rows
    await scene.ground.store.save(Change(replace(rows.incident, open=False, closed_by="ann")))
    scene.eyes.gate.set()
    assert [each.kind for each in (await scene.kept(incident)).messages] == [MessageKind.trigger]


async def test_a_collector_that_fails_is_told_as_missing(scene: Scene) -> None:
    scene.eyes.fault = RuntimeError("secret words")
    scene.eyes.gate.set()
    view = await scene.kept(await scene.paged())
    entry = next(each.entry for each in view.timeline if each.entry.because == "evidence")
    assert entry.text == "evidence: none; not collected: evidence (could not be collected: RuntimeError)"


async def test_what_is_asked_names_the_target_and_its_subjects(scene: Scene) -> None:
    await scene.paged()
    (asked,) = scene.eyes.asked
    assert asked.target == c.TARGET
    assert c.TARGET.ref.key in asked.subjects


async def test_deciding_a_page_anew_goes_on_with_the_same_collection(scene: Scene) -> None:
    incident = await scene.paged()
    case = await scene.ground.responder.case(incident.id)
    assert case is not None
    await scene.desk.early(case, case.raises[-1])
    assert len(scene.eyes.asked) == 1


async def test_beyond_the_bound_a_page_goes_out_without_evidence(scene: Scene) -> None:
    incident = await scene.paged()
    case = await scene.ground.responder.case(incident.id)
    assert case is not None
    many = [replace(case, incident=replace(case.incident, id=1_000 + number)) for number in range(gathering.QUEUED + 1)]
    *_, last = [await scene.desk.early(each, case.raises[-1]) for each in many]
    assert last == (Evidence("evidence", (), "too many pages at once"),)


async def test_the_time_that_a_page_waits_for_its_turn_counts(scene: Scene) -> None:
    incident = await scene.paged()
    case = await scene.ground.responder.case(incident.id)
    assert case is not None
    many = [replace(case, incident=replace(case.incident, id=1_000 + number)) for number in range(gathering.AT_ONCE)]
    for each in many:
        await scene.desk.early(each, case.raises[-1])
    while len(scene.eyes.asked) < gathering.AT_ONCE:
        await asyncio.sleep(0)
    scene.ground.clock.advance(timedelta(seconds=45))
    scene.eyes.gate.set()
    while len(scene.eyes.waited) <= gathering.AT_ONCE:
        await asyncio.sleep(0)
    assert scene.eyes.waited == [timedelta()] * gathering.AT_ONCE + [timedelta(seconds=45)]


def test_what_is_asked_says_why_there_is_no_target() -> None:
    facts = (Facts(c.T0, trouble=Trouble.not_found, trouble_detail="no such pod"),)
    assert gathering.inquiry_of(c.case(facts=facts, incident=c.incident(target=None)), FakeClock()).unbound == "not_found: no such pod"
    assert gathering.inquiry_of(c.case(), FakeClock()).unbound == ""


def test_what_is_kept_in_the_timeline_is_bounded() -> None:
    pieces = [Evidence(f"p{number}", ("x" * 300,) * 50) for number in range(20)]
    found = as_data(pieces)
    assert len(found) == 20
    assert len(str(found)) < 70_000
