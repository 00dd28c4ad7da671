"""What a look costs: nothing twice, steady kinds once a minute, two reads while verifying; and the gate of an API that is unwell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from receiver.core.facts import Evidence, Facts, Hazard, Hint, Look, Trouble, Want
from receiver.core.model import Bounds, TargetRef
from receiver.observe import Eyes, LookRunner, Recent, observers
from receiver.observe.evidence import EvidenceRunner, KubernetesEvidence
from receiver.observe.readings import OPEN_LOOKS, Readings
from tests.fakes.clock import FakeClock
from tests.fakes.kubernetes_reader import FakeReader
from tests.unit.observe.objects import (
    NOW,
    REF,
    SCOPE,
    Object,
    ago,
    crashing,
    deployment,
    inquiry,
    namespace,
    other,
    pod,
    replica_set,
    template,
)

BUDGET = 25
"""Reads of one incident before its first action."""
BAD = template("app:crash")
LOOK = Look(frozenset({Want.target, Want.workload}), timedelta(seconds=5), ref=REF, uid="uid-web")
LIGHT = replace(LOOK, light=True)


class Eye:
    """The Kubernetes observers of one process, over a bad release with one crashing pod."""

    def __init__(self, *more: Object, health: Callable[[], str] | None = None) -> None:
        self.web = deployment(BAD, revision=2, updatedReplicas=1)
        self.reader = FakeReader(
            self.web,
            namespace(),
            replica_set(template(), revision=1, made=ago(days=2), available=3),
            replica_set(BAD, revision=2, made=ago(minutes=9)),
            *(pod(f"web-1-{each}") for each in "abc"),
            *(crashing(f"web-2-{each}", owner="web-2", made=ago(minutes=9)) for each in "abcde"),
            *more,
        )
        self.clock = FakeClock()
        self.recent = Recent()
        eyes = Eyes(scope=SCOPE, bounds=Bounds(), kubernetes=self.reader, health=health, recent=self.recent)
        self._runner = LookRunner(observers(eyes), self.clock)

    async def look(self, look: Look = LOOK) -> Facts:
        self.reader.reads.clear()
        return await self._runner.look(look)

    async def cost(self, look: Look = LOOK) -> int:
        await self.look(look)
        return len(self.reader.reads)


def hinted(*pods: str) -> Look:
    return replace(LOOK, ref=None, uid="", hints=tuple(Hint(namespace="shop", pod=each) for each in pods))


@pytest.mark.parametrize("pods", [("web-2-a",), tuple(f"web-2-{each}" for each in "abcde")])
async def test_two_looks_cost_at_most_25_reads(pods: tuple[str, ...]) -> None:
    """The worst of the ladder before its first action: found by pods, with a quota and budget to read again, events to ask for."""
    eye = Eye(other("ResourceQuota", "q"), other("PodDisruptionBudget", "b"))
    first = await eye.cost(hinted(*pods))
    eye.clock.advance(timedelta(seconds=15))
    assert first + await eye.cost() <= BUDGET


async def test_nothing_is_read_twice_within_a_look() -> None:
    eye = Eye()
    await eye.look(hinted("web-2-a", "web-2-b"))
    assert len(eye.reader.reads) == len(set(eye.reader.reads))


async def test_what_decides_is_read_anew_by_the_next_look() -> None:
    eye = Eye()
    await eye.look()
    eye.clock.advance(timedelta(seconds=15))
    await eye.look()
    kinds = {each.split(" ")[0] for each in eye.reader.reads}
    assert kinds == {"Deployment", "Pod", "Namespace", "HorizontalPodAutoscaler", "Event"}


async def test_a_budget_that_there_is_is_never_remembered() -> None:
    eye = Eye(other("PodDisruptionBudget", "b"))
    await eye.look()
    await eye.look()
    assert any(each.startswith("PodDisruptionBudget") for each in eye.reader.reads)


async def test_after_a_minute_everything_is_read_anew() -> None:
    eye = Eye()
    first = await eye.cost()
    eye.clock.advance(timedelta(seconds=61))
    assert await eye.cost() == first


async def test_the_history_is_read_again_once_the_object_or_a_pods_descent_has_changed() -> None:
    eye = Eye()
    await eye.look()
    eye.web["metadata"]["generation"] = eye.web["status"]["observedGeneration"] = 5
    await eye.look()
    assert any(each.startswith("ReplicaSet") for each in eye.reader.reads)
    eye.reader.objects.append(pod("web-3-a", owner="web-3"))
    await eye.look()
    assert any(each.startswith("ReplicaSet") for each in eye.reader.reads)


async def test_an_available_count_of_the_history_never_outlives_its_pods() -> None:
    eye = Eye()
    assert (await eye.look()).workload is not None
    eye.reader.objects = [each for each in eye.reader.objects if each["kind"] != "Pod"]
    seen = (await eye.look()).workload
    assert seen is not None
    assert "available" not in seen.undo.known_good_because


async def test_another_namespaces_lists_are_not_ours() -> None:
    readings = Readings(FakeReader(other("Canary", "c")))
    await readings.begin(LOOK, NOW).list("Canary", "elsewhere")
    assert len(await readings.begin(LOOK, NOW).list("Canary", "shop")) == 1


async def test_events_are_asked_for_only_when_pods_are_unwell() -> None:
    sound = FakeReader(
        deployment(), namespace(), replica_set(template(), revision=1, made=ago(days=2), available=3), pod("web-1-a"), pod("web-1-b")
    )
    await LookRunner(observers(Eyes(scope=SCOPE, bounds=Bounds(), kubernetes=sound)), FakeClock()).look(LOOK)
    assert not [each for each in sound.reads if each.startswith(("Event", "VerticalPodAutoscaler"))]


async def test_looks_that_are_never_ended_are_forgotten() -> None:
    readings = Readings(FakeReader())
    first = readings.begin(LOOK, NOW)
    for each in [replace(LOOK, on=str(number)) for number in range(OPEN_LOOKS)]:
        readings.begin(each, NOW)
    assert readings.resume(LOOK, NOW) is not first


# --- the page that follows -----------------------------------------------------------------------------------------------


async def test_a_page_that_follows_a_look_does_not_read_the_workload_again() -> None:
    eye = Eye()
    facts = await eye.look()
    eye.reader.reads.clear()
    found: dict[str, Evidence] = {}
    await EvidenceRunner([KubernetesEvidence(eye.reader, eye.clock, recent=eye.recent)]).collect(inquiry(facts.target), found)
    around = {"EndpointSlice", "HorizontalPodAutoscaler", "ResourceQuota", "PodMetrics"}
    assert {each.split(" ")[0] for each in eye.reader.reads} == {"Event"} | around
    assert found["pods"].lines[0].startswith("web-2-")


async def test_a_page_long_after_a_look_reads_for_itself() -> None:
    eye = Eye()
    facts = await eye.look()
    eye.clock.advance(timedelta(seconds=16))
    eye.reader.reads.clear()
    await EvidenceRunner([KubernetesEvidence(eye.reader, eye.clock, recent=eye.recent)]).collect(inquiry(facts.target), {})
    assert {"Deployment", "ReplicaSet", "Pod", "Event"} <= {each.split(" ")[0] for each in eye.reader.reads}
    assert len(eye.reader.reads) == len(set(eye.reader.reads))


# --- light looks ---------------------------------------------------------------------------------------------------------


async def test_while_verifying_two_objects_are_read() -> None:
    eye = Eye()
    full = await eye.look()
    light = await eye.look(LIGHT)
    assert [each.split(" ")[0] for each in eye.reader.reads] == ["Deployment", "Pod"]
    assert (light.light, full.light) == (True, False)
    assert light.workload == full.workload


async def test_a_light_look_sees_the_counts_of_now_and_tells_the_hazards_of_before() -> None:
    eye = Eye(other("HorizontalPodAutoscaler", "h", spec={"scaleTargetRef": {"kind": "Deployment", "name": "web"}}))
    await eye.look()
    eye.reader.objects = [each for each in eye.reader.objects if each["metadata"]["name"] not in ("web-2-a", "h")]
    eye.web["status"]["availableReplicas"] = 2
    seen = (await eye.look(LIGHT)).workload
    assert seen is not None
    assert (seen.available, seen.pods.total, Hazard.hpa in {each.hazard for each in seen.dangers}) == (2, 7, True)


async def test_without_a_full_look_before_it_a_light_look_is_full() -> None:
    assert not (await Eye().look(LIGHT)).light


async def test_once_somebody_changed_the_object_the_next_look_is_full() -> None:
    eye = Eye()
    await eye.look()
    eye.web["metadata"]["generation"] = eye.web["status"]["observedGeneration"] = 5
    assert not (await eye.look(LIGHT)).light


async def test_a_pod_of_unknown_descent_makes_a_light_look_full() -> None:
    eye = Eye()
    await eye.look()
    eye.reader.objects.append(pod("web-3-a", owner="web-3"))
    assert not (await eye.look(LIGHT)).light


@pytest.mark.parametrize("look", [LOOK, LIGHT])
async def test_the_pod_that_was_evicted_is_looked_for_by_uid(look: Look) -> None:
    eye = Eye()
    await eye.look()
    for uid, there in (("uid-web-2-a", True), ("uid-of-the-one-before", False)):
        seen = (await eye.look(replace(look, pod=uid))).workload
        assert seen is not None
        assert seen.pod_present is there


async def test_a_pod_on_its_way_out_is_still_there() -> None:
    eye = Eye()
    next(each for each in eye.reader.objects if each["metadata"]["name"] == "web-2-a")["metadata"]["deletionTimestamp"] = ago(seconds=1)
    seen = (await eye.look(replace(LOOK, pod="uid-web-2-a"))).workload
    assert seen is not None
    assert seen.pod_present is True


# --- the API's own health ------------------------------------------------------------------------------------------------


async def test_an_unwell_api_is_asked_no_more_than_who_it_is_about() -> None:
    eye = Eye(health=lambda: "4 of the last 12 calls failed")
    facts = await eye.look()
    assert (facts.trouble, facts.trouble_detail, facts.workload) == (Trouble.api_unhealthy, "4 of the last 12 calls failed", None)
    assert (facts.target is not None, len(eye.reader.reads)) == (True, 1)


async def test_facts_read_while_the_api_fell_ill_are_dropped() -> None:
    answers = iter(["", "its clock is 9 s from ours"])
    facts = await Eye(health=lambda: next(answers)).look()
    assert (facts.trouble, facts.workload) == (Trouble.api_unhealthy, None)


async def test_another_clusters_reference_costs_nothing() -> None:
    eye = Eye()
    await eye.look(replace(LOOK, ref=TargetRef("kubernetes", "other", "shop", "Deployment", "web")))
    assert eye.reader.reads == []
