"""The crash table of evictions, and of restarts and undos of StatefulSets, which a person approves: whatever befalls the call or us, one
mutation at most, no well pod is touched, and it ends verified."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.faults import BRIEF, FAULTS, POINTS, inject
from tests.e2e.scene import EVICT_RULES, Scene, undo_rules
from tests.real import workloads
from tests.real.apiproxy import ApiProxy, Hold, Seen
from tests.real.kube_api import Object
from tests.real.processes import eventually

pytestmark = pytest.mark.e2e

Watched = tuple[Scene, ApiProxy]
BOUNDS = BRIEF | {"evict_pod_age": "0s"}
RESTART_RULES = EVICT_RULES.replace("evict_pod", "rollout_restart").replace("symptom: crash", "symptom: latency")
SOME = ("hang before", "answer lost", "409", "500 before", "500 after")
"""One of each sort: the other answers are classified by the same code, and stand in the table of Deployments and in that of evictions."""


def of_pod(seen: Seen) -> bool:
    return seen.mutates and seen.path.endswith("/eviction")


def of_set(seen: Seen) -> bool:
    return seen.mutates and "/statefulsets/" in seen.path


@dataclass(frozen=True)
class Verb:
    """What it is, and how it is brought about."""

    rules: str
    kind: str
    real: Callable[[Seen], bool]
    bad_release: bool = False


EVICT = Verb(EVICT_RULES, "Deployment", of_pod)
SETS = {
    "restart": Verb(RESTART_RULES, "StatefulSet", of_set),
    "undo": Verb(undo_rules(), "StatefulSet", of_set, bad_release=True),
}


async def alight(scene: Scene, verb: Verb, *, point: str = "") -> Object | None:
    """Deployed, ill, told; the pod that is ill, where it is one."""
    spec: dict[str, Any] = {"podManagementPolicy": "Parallel"} if verb.kind == "StatefulSet" else {}
    await scene.deploy("app:1", kind=verb.kind, replicas=4, **spec)
    await scene.start(verb.rules, alertmanager=None, point=point, bounds=BOUNDS, page_after={"P2": "40s"})
    ill = None
    if verb is EVICT:
        ill = (await workloads.pods(scene.api, scene.namespace, "web"))[1]
        await scene.fall_ill(ill)
    if verb.bad_release:
        await workloads.set_image(scene.api, scene.namespace, "web", "app:crash-2", kind=verb.kind)
        await eventually(lambda: crashing(scene), within=60, what="a crash-looping pod")
    await eventually(lambda: scene.post(kind=verb.kind.lower()), within=30, what="the alert taken")
    return ill


async def crashing(scene: Scene) -> bool:
    """Also its controller has noted the release."""
    found = await scene.api.get(workloads.path(scene.namespace, "web", kind="StatefulSet"))
    seen = found["status"].get("observedGeneration", 0) >= found["metadata"]["generation"]
    pods = await workloads.pods(scene.api, scene.namespace, "web")
    return bool(seen and any(each["restartCount"] for pod in pods for each in pod["status"].get("containerStatuses", ())))


async def attempts(scene: Scene) -> list[dict[str, Any]]:
    found = await scene.incidents()
    return list((await scene.get(f"/api/v1/incidents/{found[0]['id']}"))["attempts"]) if found else []


async def approved(scene: Scene) -> bool:
    """A yes to what is asked now."""
    offer = next((each for each in await attempts(scene) if each["ask"]), None)
    return offer is not None and await scene.approve((await scene.incidents())[0]["id"], offer["id"])


def effects(proxy: ApiProxy, verb: Verb) -> list[Seen]:
    """Mutations that the server took."""
    return [each for each in proxy.mutations() if verb.real(each) and (each.status or 999) < 300]


async def cured(scene: Scene) -> None:
    """Whether it landed is found out first; where it did not, it is tried again, by a permit of its own.

    A person goes on saying yes where one is asked, so that a receiver that would do it twice does.
    """

    async def found() -> bool:
        await approved(scene)
        return any(each["verdict"] == "cured" for each in await attempts(scene))

    await eventually(found, within=120, what="a cure", every=0.3)


async def closed(scene: Scene, verb: Verb) -> None:
    """The alert is over: from here on nothing more can come."""
    assert await scene.post(resolved=True, kind=verb.kind.lower())
    await scene.closed(within=60)


async def well_pods(scene: Scene, ill: Object) -> set[str]:
    return {each["metadata"]["uid"] for each in await workloads.pods(scene.api, scene.namespace, "web")} - {ill["metadata"]["uid"]}


async def killed_at(scene: Scene, point: str) -> None:
    assert scene.receiver is not None
    assert await scene.receiver.ended(within=60) == -9, point
    await scene.start_receiver()


# --- evictions -----------------------------------------------------------------------------------------------------------


async def _one_pod_at_most(scene: Scene, proxy: ApiProxy, ill: Object, well: set[str]) -> None:
    assert len(effects(proxy, EVICT)) <= 1
    assert {each.path.split("/")[-2] for each in proxy.mutations() if of_pod(each)} == {ill["metadata"]["name"]}
    assert well <= await well_pods(scene, ill)


@pytest.mark.parametrize("fault", FAULTS)
async def test_whatever_befalls_an_eviction_one_pod_goes_and_it_is_verified(watched: Watched, fault: str) -> None:
    scene, proxy = watched
    met = inject(proxy, of_pod, fault)
    ill = await alight(scene, EVICT)
    assert ill is not None
    well = await well_pods(scene, ill)
    await eventually(lambda: met.fired, within=60, what="the call")
    await cured(scene)
    await closed(scene, EVICT)
    await _one_pod_at_most(scene, proxy, ill, well)


@pytest.mark.parametrize("point", POINTS)
async def test_a_kill_around_an_eviction_costs_one_pod_at_most_and_loses_nothing(watched: Watched, point: str) -> None:
    scene, proxy = watched
    ill = await alight(scene, EVICT, point=point)
    assert ill is not None
    await killed_at(scene, point)
    well = await well_pods(scene, ill)
    await cured(scene)
    await closed(scene, EVICT)
    await _one_pod_at_most(scene, proxy, ill, well)
    assert len(effects(proxy, EVICT)) == 1
    if point in ("intent.after", "record.before"):
        assert "not known" in str(scene.pagerduty.incidents[0].triggers)


async def test_a_kill_while_the_answer_to_an_eviction_is_held_is_looked_at_and_never_repeated(watched: Watched) -> None:
    scene, proxy = watched
    hold = Hold()
    proxy.after(of_pod, hold)
    ill = await alight(scene, EVICT)
    assert ill is not None
    await asyncio.wait_for(hold.reached.wait(), 60)
    assert scene.receiver is not None
    scene.receiver.kill()
    await scene.receiver.ended(within=10)
    proxy.clear()
    await scene.start_receiver()
    await cured(scene)
    assert len([each for each in proxy.mutations() if of_pod(each)]) == 1
    assert scene.pagerduty.incidents


# --- StatefulSets --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", SOME)
@pytest.mark.parametrize("verb", SETS)
async def test_whatever_befalls_the_call_a_stateful_set_is_changed_once_at_most(watched: Watched, verb: str, fault: str) -> None:
    scene, proxy = watched
    met = inject(proxy, of_set, fault)
    await alight(scene, SETS[verb])
    await eventually(lambda: scene.pagerduty.incidents, within=60, what="the page that asks")
    await eventually(lambda: approved(scene), within=60, what="an offer")
    await eventually(lambda: met.fired, within=60, what="the call")
    await cured(scene)
    await closed(scene, SETS[verb])
    assert len(effects(proxy, SETS[verb])) <= 1


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("verb", SETS)
async def test_a_kill_around_a_change_of_a_stateful_set_has_one_effect_and_loses_nothing(watched: Watched, verb: str, point: str) -> None:
    scene, proxy = watched
    await alight(scene, SETS[verb], point=point)
    await eventually(lambda: scene.pagerduty.incidents, within=60, what="the page that asks")
    await eventually(lambda: approved(scene), within=60, what="an offer")
    await killed_at(scene, point)
    await cured(scene)
    await closed(scene, SETS[verb])
    assert len(effects(proxy, SETS[verb])) == 1
