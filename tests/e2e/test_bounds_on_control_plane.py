"""Rows of the hazards table (`remediation.md` 3) that are no state of one object, by the whole receiver on a real control plane: what the
proxy before the API server saw of it, and whom it called."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.e2e.faults import CALM
from tests.e2e.scene import BOUNDS, EVICT_RULES, Scene
from tests.real import workloads
from tests.real.apiproxy import ApiProxy, Seen
from tests.real.processes import eventually

pytestmark = pytest.mark.e2e

Watched = tuple[Scene, ApiProxy]
RESTART_RULES = EVICT_RULES.replace("evict_pod", "rollout_restart").replace("symptom: crash", "symptom: latency")


def changes(proxy: ApiProxy) -> list[Seen]:
    return [each for each in proxy.mutations() if "/apps/v1/" in each.path]


async def refused(scene: Scene, because: str, *, count: int = 1) -> list[dict[str, Any]]:
    """So many incidents, once each of them is refused its action for that reason."""

    async def found() -> list[dict[str, Any]]:
        seen = [await scene.get(f"/api/v1/incidents/{each['id']}") for each in await scene.incidents()]
        return [each for each in seen if because in {no["because"] for no in each["refusals"]}]

    async def enough() -> bool:
        return len(await found()) >= count

    await eventually(enough, within=60, what=f"{count} refused: {because}", every=0.3)
    return await found()


def said(found: dict[str, Any], because: str) -> str:
    return next(str(each["detail"]) for each in found["refusals"] if each["because"] == because)


async def test_a_dependency_outage_moves_nothing_and_calls_once(watched: Watched) -> None:
    """Three workloads of one namespace at once: their cause is in none of them."""
    scene, proxy = watched
    names = ("web", "api", "cart")
    for each in names:
        await scene.deploy(name=each)
    await scene.start(RESTART_RULES, alertmanager=None, bounds=CALM, page_after={"P2": "2s"})
    assert await scene.post(*names)
    found = await refused(scene, "storm", count=3)
    assert all("storm gate is shut" in said(each, "storm") for each in found)
    await scene.pagerduty.waits_for(lambda it: it.incidents, within=60)
    await eventually(lambda: _joined(scene, len(names)), within=60, what="all three on the storm's page")
    assert len(scene.pagerduty.incidents) == 1
    assert changes(proxy) == []


async def _joined(scene: Scene, count: int) -> bool:
    told = [await scene.get(f"/api/v1/incidents/{each['id']}/timeline") for each in await scene.incidents()]
    return sum("joins the storm's page" in str(each) for each in told) == count


async def test_restarts_of_one_namespace_come_one_after_the_other(watched: Watched) -> None:
    """The second waits for a minute after the first, though that has long been verified."""
    scene, proxy = watched
    for each in ("web", "api"):
        await scene.deploy(name=each)
    await scene.start(RESTART_RULES, alertmanager=None, bounds=CALM, page_after={"P2": "5m"})
    assert await scene.post("web", "api")
    (second,) = await refused(scene, "restart_too_soon")
    assert "a restart in this namespace was" in said(second, "restart_too_soon")
    assert len(changes(proxy)) == 1


async def test_what_flaps_is_left_to_a_person(watched: Watched) -> None:
    """Three times in a row it fired and was over, before anything was confirmed."""
    scene, proxy = watched
    await scene.deploy()
    await scene.start(RESTART_RULES, alertmanager=None, bounds=CALM | {"confirm_gap": "10s"}, page_after={"P2": "2s"})
    for _ in range(3):
        assert await scene.post()
        assert await scene.post(resolved=True)
        scene.since = datetime.now(UTC)
    assert await scene.post()
    (found,) = await refused(scene, "flapping")
    assert "fired and resolved 3 times within an hour" in said(found, "flapping")
    await scene.pagerduty.waits_for(lambda it: it.incidents, within=60)
    assert changes(proxy) == []


LATE = "the-kubectl"
"""Times have whole seconds: within the second of the deployment this name counts as the later one."""
Touch = Callable[[Scene], Awaitable[object]]


async def _edits(scene: Scene) -> None:
    await scene.api.patch(workloads.path(scene.namespace, "web"), {"metadata": {"labels": {"tier": "front"}}}, fieldManager=f"{LATE}-edit")


async def _scales(scene: Scene) -> None:
    path = f"{workloads.path(scene.namespace, 'web')}/scale"
    await scene.api.patch(path, {"spec": {"replicas": 4}}, fieldManager=f"{LATE}-scale")
    await scene.api.until(workloads.path(scene.namespace, "web"), workloads.complete)


@pytest.mark.parametrize("touch, who", [(_edits, f"{LATE}-edit"), (_scales, f"{LATE}-scale")])
async def test_while_somebody_is_on_it_hands_stay_off(watched: Watched, touch: Touch, who: str) -> None:
    """With the window as shipped."""
    scene, proxy = watched
    await scene.deploy()
    await touch(scene)
    await scene.start(RESTART_RULES, alertmanager=None, bounds=BOUNDS, page_after={"P2": "2s"})
    assert await scene.post()
    (found,) = await refused(scene, "someone_else")
    assert said(found, "someone_else").startswith(f"{who} changed it")
    await scene.pagerduty.waits_for(lambda it: it.incidents, within=60)
    assert changes(proxy) == []
