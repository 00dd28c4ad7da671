"""One look over all observers."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from receiver.core.facts import Facts, Look, Question, Sample, SampleState, Trouble, Want
from receiver.core.model import Bounds, Target
from receiver.observe import OBSERVERS, Eyes, observers
from receiver.observe.runner import LookRunner
from receiver.ports import Permission
from tests.fakes.clock import START, FakeClock
from tests.fakes.kubernetes_reader import FakeReader
from tests.unit.observe.objects import REF, SCOPE

TARGET = Target(REF, "uid-web")
LOOK = Look(frozenset({Want.target, Want.workload, Want.verify}), timedelta(milliseconds=50), questions=(Question("verify", query="up"),))


class Finder:
    """Finds the target."""

    name = "finder"
    permissions: tuple[Permission, ...] = ()

    async def look(self, look: Look, facts: Facts) -> Facts:
        return replace(facts, target=TARGET)


class Answerer(Finder):
    name = "answerer"

    async def look(self, look: Look, facts: Facts) -> Facts:
        return replace(facts, samples=(Sample("verify", SampleState.value, 1.0),))


class Hanging(Finder):
    name = "hanging"

    async def look(self, look: Look, facts: Facts) -> Facts:
        await asyncio.Event().wait()
        return facts


class Faulty(Finder):
    name = "faulty"

    async def look(self, look: Look, facts: Facts) -> Facts:
        raise KeyError("s3cret")


async def looked(*kinds: type[Finder], look: Look = LOOK) -> Facts:
    return await LookRunner([each() for each in kinds], FakeClock()).look(look)


async def test_facts_are_dated_with_the_begin_and_say_whose_they_are() -> None:
    facts = await looked(Finder, look=replace(LOOK, on="workers"))
    assert (facts.at, facts.on) == (START, "workers")


async def test_a_look_that_hangs_ends_in_time_and_keeps_what_was_seen() -> None:
    facts = await looked(Finder, Hanging, Answerer)
    assert (facts.target, facts.trouble) == (TARGET, Trouble.timeout)
    assert [each.state for each in facts.samples] == [SampleState.timeout]


async def test_an_observer_that_falls_over_does_not_stop_the_next() -> None:
    facts = await looked(Finder, Faulty, Answerer)
    assert (facts.target, [each.state for each in facts.samples]) == (TARGET, [SampleState.value])
    assert (facts.trouble, facts.trouble_detail) == (Trouble.unreadable, "faulty: KeyError")


async def test_what_nobody_could_answer_is_said() -> None:
    facts = await looked()
    assert (facts.trouble, [each.state for each in facts.samples]) == (Trouble.no_observer, [SampleState.error])


async def test_a_trouble_is_never_painted_over() -> None:
    class Troubled(Finder):
        async def look(self, look: Look, facts: Facts) -> Facts:
            return replace(facts, trouble=Trouble.forbidden, trouble_detail="may not")

    assert (await looked(Troubled, Hanging)).trouble is Trouble.forbidden


async def test_a_cancellation_passes_through() -> None:
    task = asyncio.ensure_future(looked(Hanging, look=replace(LOOK, limit=timedelta(seconds=60))))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_only_what_is_configured_looks() -> None:
    found = observers(Eyes(scope=SCOPE, bounds=Bounds(), kubernetes=FakeReader()))
    assert [each.name for each in found] == ["kubernetes.target", "kubernetes.workload", "no_prometheus"]
    assert [each.name for each in observers(Eyes(scope=SCOPE, bounds=Bounds()))] == ["no_prometheus"]


def test_observers_only_read() -> None:
    granted = {verb for each in OBSERVERS for permission in each.permissions for verb in permission.verbs}
    assert granted == {"get", "list"}
