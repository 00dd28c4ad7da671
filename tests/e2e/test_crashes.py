"""kill -9 at each named point of one remediation: at most one effect, nothing lost, and somebody is asked where doubt is left."""

from __future__ import annotations

import asyncio

import pytest

from tests.e2e.faults import POINTS
from tests.e2e.scene import Scene, undo_rules
from tests.real.apiproxy import ApiProxy, Hold, Seen
from tests.real.processes import eventually

pytestmark = pytest.mark.e2e


def effects(proxy: ApiProxy) -> list[Seen]:
    """Mutations of the Deployment that were not dry runs and that the server took."""
    return [each for each in proxy.mutations() if "/deployments/" in each.path and not each.dry_run and (each.status or 0) < 300]


async def _release(scene: Scene, *, point: str) -> None:
    await scene.deploy("app:1")
    await scene.start(undo_rules(), alertmanager=None, point=point)
    await scene.release("app:crash-2")
    await eventually(lambda: _crashing(scene), within=30, what="a crash-looping pod")
    if point:
        await eventually(scene.post, within=20, what="the alert taken")
    else:
        assert await scene.post()


async def _crashing(scene: Scene) -> bool:
    return bool((await scene.deployment())["status"].get("unavailableReplicas"))


async def _good_again(scene: Scene) -> bool:
    return await scene.image() == "app:1"


@pytest.mark.parametrize("point", POINTS)
async def test_a_kill_at_any_named_point_has_one_effect_at_most_and_loses_nothing(watched: tuple[Scene, ApiProxy], point: str) -> None:
    scene, proxy = watched
    await _release(scene, point=point)
    assert scene.receiver is not None
    assert await scene.receiver.ended(within=60) == -9
    await scene.start_receiver()
    await eventually(lambda: _good_again(scene), within=60, what="the undo, after the restart")
    if point in ("intent.after", "record.before"):
        await scene.pagerduty.waits_for(lambda it: it.incidents, within=30)
        assert "not known" in scene.pagerduty.incidents[0].summary, scene.pagerduty.incidents[0].summary
    await _verified(scene)
    assert len(effects(proxy)) == 1
    assert len(scene.pagerduty.incidents) <= 1


async def _verified(scene: Scene) -> None:
    """The incident rests on a verified cure: its alert is over, and it closes."""
    await scene.post(resolved=True)
    await scene.closed(within=60)


async def test_a_kill_while_the_answer_is_swallowed_is_looked_at_and_never_repeated(watched: tuple[Scene, ApiProxy]) -> None:
    scene, proxy = watched
    hold = Hold()
    proxy.after(lambda seen: seen.mutates and not seen.dry_run and "/deployments/" in seen.path, hold)
    await _release(scene, point="")
    await asyncio.wait_for(hold.reached.wait(), 60)
    assert scene.receiver is not None
    scene.receiver.kill()
    await scene.receiver.ended(within=10)
    proxy.clear()
    await scene.start_receiver()
    await scene.pagerduty.waits_for(lambda it: it.incidents, within=30)
    await _verified(scene)
    assert await _good_again(scene)
    assert len([each for each in proxy.mutations() if "/deployments/" in each.path and not each.dry_run]) == 1
