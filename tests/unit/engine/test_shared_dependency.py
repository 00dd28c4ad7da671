"""Services that rest on one database, over the real engine and store: one page for it, everybody on it, nobody lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from receiver.core.case import Raise, Storm
from receiver.core.facts import Facts, Look, Sample, SampleState
from receiver.core.model import AlertRecord, Dependency, Incident, Priority, Service, Target, TargetRef
from receiver.core.rules import RuleSet
from receiver.engine.auditor import Auditor
from receiver.ports import Change, DeliveryKind, DeliveryResult, Fold, FoldedIncident, Message, MessageKind
from tests.fakes import cases as c
from tests.fakes.response_ground import ResponseGround, response_ground
from tests.kits import store_ground

DATABASE = Dependency("payments-db", query="up", above=0.5, contact="dba@example.com")
NAMES = ("cart", "web", "api")


class Shop:
    """Services that all rest on one database; each is a Deployment of its own."""

    def __init__(self, ground: ResponseGround) -> None:
        self.ground = ground
        self.up: float | None = 0.0
        self.woken: list[int] = []
        self.incidents: dict[str, Incident] = {}
        services = {name: Service(name, (_ref(name),), depends_on=(DATABASE,)) for name in NAMES}
        ground.rules = RuleSet(ground.rules.rules, ground.rules.default, services=services, hash="h")
        ground.responder._parts = replace(ground.responder._parts, looker=self, wake=self.woken.append)

    async def look(self, look: Look) -> Facts:
        state = SampleState.timeout if self.up is None else SampleState.value
        samples = tuple(Sample(each.name, state, self.up) for each in look.questions)
        seen = await self.ground.world.look(look)
        target = Target(_ref(look.service), f"uid-{look.service}")
        return replace(seen, target=target, samples=samples, light=look.light)

    async def alarm(self, name: str, priority: Priority = Priority.p2) -> Incident:
        now = self.ground.clock.now()
        base = c.record(f"{name} fails", age=0)
        alert = replace(base.alert, labels={**base.alert.labels, "deployment": name}, starts_at=now, received_at=now)
        self.incidents[name] = await store_ground.began(
            self.ground.store,
            name,
            priority,
            records=(AlertRecord(alert, "crash", now),),
            rule="crash",
            title=f"{name} fails",
            service=name,
            accepted_at=now,
            classification=c.incident(priority).classification,
        )
        return self.incidents[name]

    async def go_on(self, *, minutes: float = 0.0) -> None:
        """Everybody advances until nothing is due for so long, and whoever is woken again."""
        end = self.ground.clock.now() + timedelta(minutes=minutes)
        for _ in range(500):
            for each in self.incidents.values():
                await self.ground.responder.advance(each.id)
            while self.woken:
                await self.ground.responder.advance(self.woken.pop())
            dates = [(await self.ground.view(each)).next_due for each in self.incidents.values()]
            due = min((each for each in dates if each is not None), default=end + timedelta(1))
            if due > end:
                return
            self.ground.clock.advance(max(due - self.ground.clock.now(), timedelta(milliseconds=1)))
        raise AssertionError("it does not come to rest")

    async def messages(self, name: str) -> list[Message]:
        return list((await self.ground.view(self.incidents[name])).messages)

    async def keys(self) -> set[str]:
        """Pages: triggers of distinct keys."""
        found = [each for name in self.incidents for each in await self.messages(name)]
        return {each.dedup_key for each in found if each.kind is MessageKind.trigger}

    async def last(self, name: str) -> Raise:
        return (await self.ground.view(self.incidents[name])).rows.raises[-1]

    async def taken(self) -> None:
        """A pager takes what is due."""
        now = self.ground.clock.now()
        found = await self.ground.store.claim_messages("pagerduty", now=now, owner="me", lease=timedelta(seconds=60), limit=20)
        for each in found:
            await self.ground.store.settle_message(each.claim, DeliveryResult(DeliveryKind.accepted), owner="me", now=now, next_at=None)

    async def over(self, name: str) -> None:
        rows = (await self.ground.view(self.incidents[name])).rows
        now = self.ground.clock.now()
        done = tuple(replace(each, resolved_at=now) for each in rows.alerts)
        await self.ground.store.commit_fold(Fold((FoldedIncident(rows.incident, done, (), (), now),), ()))


def _ref(name: str) -> TargetRef:
    return TargetRef("kubernetes", "default", "shop", "Deployment", name)


@pytest_asyncio.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with response_ground(tmp_path) as ground:
        yield Shop(ground)


async def test_several_incidents_behind_one_dependency_are_one_page_that_names_them(shop: Shop) -> None:
    for name in NAMES:
        await shop.alarm(name)
        await shop.go_on()
    assert len(await shop.keys()) == 1
    page = (await shop.messages("cart"))[-1].text
    assert "payments-db is down" in page.summary
    assert "dba@example.com" in page.summary
    assert "3 incidents wait on payments-db" in page.summary
    assert [line.partition(" ")[2] for line in page.details["wait on it"][1:]] == ["P2 web fails", "P2 api fails"]
    assert not shop.ground.world.permits
    assert not shop.ground.intake.troubles


async def test_two_at_the_same_moment_are_one_page_too(shop: Shop) -> None:
    alight = [await shop.alarm(name) for name in NAMES]
    await asyncio.gather(*(shop.ground.responder.advance(each.id) for each in alight))
    assert len(await shop.keys()) == 1
    assert sorted([(await shop.last(name)).shared for name in NAMES]) == [False, True, True]


async def test_the_page_is_told_anew_only_when_somebody_joins(shop: Shop) -> None:
    for name in NAMES[:2]:
        await shop.alarm(name)
        await shop.go_on()
    await shop.taken()
    await shop.go_on(minutes=10)
    assert [each.kind for each in await shop.messages("cart")] == [MessageKind.trigger] * 2


async def test_who_joined_stays_visible_and_says_so(shop: Shop) -> None:
    for name in NAMES[:2]:
        await shop.alarm(name)
        await shop.go_on()
    view = await shop.ground.view(shop.incidents["web"])
    assert view.rows.incident.open
    assert any("joins the page about payments-db" in each.entry.text for each in view.timeline)


async def test_a_p1_behind_the_dependency_reaches_a_human_at_once(shop: Shop) -> None:
    await shop.alarm("cart")
    await shop.go_on()
    await shop.alarm("web", Priority.p1)
    await shop.go_on()
    assert [each.kind for each in await shop.messages("web")] == [MessageKind.trigger]


async def test_when_the_dependency_is_back_each_acts_by_itself(shop: Shop) -> None:
    for name in NAMES[:2]:
        await shop.alarm(name)
        await shop.go_on()
    await shop.taken()
    shop.up = 1.0
    shop.ground.world.cures = False
    await shop.go_on(minutes=1.5)
    assert {each.target.ref.name for each in shop.ground.world.permits} >= {"cart"}
    await shop.go_on(minutes=30)
    assert {each.target.ref.name for each in shop.ground.world.permits} == {"cart", "web"}
    assert len(await shop.keys()) == 2


async def test_when_the_dependency_is_back_and_nothing_may_be_done_each_pages_by_itself(shop: Shop) -> None:
    for name in NAMES[:2]:
        await shop.alarm(name)
        await shop.go_on()
    await shop.taken()
    shop.up = 1.0
    shop.ground.policy = replace(shop.ground.policy, namespaces=frozenset())
    await shop.go_on(minutes=6)
    assert [each.kind for each in await shop.messages("web")] == [MessageKind.trigger]
    assert "payments-db" not in (await shop.messages("web"))[0].text.summary


async def test_what_recovers_with_its_dependency_is_never_paged_for(shop: Shop) -> None:
    for name in NAMES[:2]:
        await shop.alarm(name)
        await shop.go_on()
    await shop.taken()
    shop.up = 1.0
    shop.ground.world.load = c.workload(**c.HEALTHY)
    await shop.go_on(minutes=1)
    await shop.over("web")
    await shop.go_on(minutes=30)
    assert await shop.messages("web") == []
    assert not (await shop.ground.view(shop.incidents["web"])).rows.incident.open


async def test_when_the_one_that_paged_is_closed_another_pages_for_the_rest(shop: Shop) -> None:
    for name in NAMES:
        await shop.alarm(name)
        await shop.go_on()
    await shop.taken()
    rows = (await shop.ground.view(shop.incidents["cart"])).rows
    await shop.ground.store.save(Change(replace(rows.incident, open=False, closed_at=shop.ground.clock.now(), closed_by="ada")))
    await shop.go_on(minutes=3)
    assert [(await shop.last(name)).by_storm for name in ("web", "api")] == [False, True]
    assert "2 incidents wait on payments-db" in (await shop.messages("web"))[-1].text.summary


async def test_a_page_that_nobody_takes_speaks_for_nobody(shop: Shop) -> None:
    for name in NAMES[:2]:
        await shop.alarm(name)
        await shop.go_on()
    await shop.go_on(minutes=7)
    assert len(await shop.keys()) == 2


async def test_a_storm_that_passes_leaves_one_page_about_the_dependency(shop: Shop) -> None:
    shop.ground.gate.now = Storm(shut=True, detail="5 targets")
    for name in NAMES:
        await shop.alarm(name)
    await shop.go_on(minutes=5)
    assert await shop.keys() == set()
    shop.ground.gate.now = Storm()
    await shop.go_on(minutes=2)
    assert len(await shop.keys()) == 1
    assert (await shop.last("cart")).dependency == "payments-db"


@pytest.mark.parametrize("up", [None, 1.0])
async def test_without_a_dependency_that_is_known_to_be_down_each_pages_by_itself(shop: Shop, up: float | None) -> None:
    shop.up = up
    shop.ground.policy = replace(shop.ground.policy, namespaces=frozenset())
    for name in NAMES:
        await shop.alarm(name)
        await shop.go_on()
    assert len(await shop.keys()) == 3


async def test_whoever_joined_a_dependencys_page_is_no_reason_to_tell_of_a_storm(shop: Shop) -> None:
    for name in NAMES[:2]:
        await shop.alarm(name)
        await shop.go_on()
    ground = shop.ground
    ground.gate.now = Storm(shut=True, detail="another storm")
    auditor = Auditor(
        ground.store, clock=ground.clock, intake=ground.intake, storm=ground.gate, rules=lambda: ground.rules, wake=lambda _: None
    )
    await auditor.round()
    assert ground.intake.troubles == []


async def acked(shop: Shop, name: str) -> None:
    incident = (await shop.ground.view(shop.incidents[name])).rows.incident
    await shop.ground.store.save(Change(replace(incident, acked_at=shop.ground.clock.now(), acked_by="ada")))


async def test_the_page_of_what_is_over_speaks_for_nobody(shop: Shop) -> None:
    await shop.alarm("cart")
    await shop.go_on()
    await shop.taken()
    await shop.over("cart")
    await shop.alarm("web")
    await shop.go_on(minutes=6)
    assert not (await shop.last("web")).by_storm
    assert len(await shop.keys()) == 2


async def test_an_acknowledged_page_covers_who_had_joined_it_and_nobody_later(shop: Shop) -> None:
    for name in ("cart", "web"):
        await shop.alarm(name)
        await shop.go_on()
    await shop.taken()
    await acked(shop, "cart")
    await shop.alarm("api")
    await shop.go_on(minutes=30)
    assert (await shop.last("web")).shared
    assert not (await shop.last("api")).by_storm
    assert len(await shop.keys()) == 2
