"""One alert from end to end, on real servers: Prometheus rule → Alertmanager → receiver → a real Deployment, and our PagerDuty."""

from __future__ import annotations

import pytest

from tests.e2e.scene import Scene, undo_rules
from tests.fakes.pagerduty import PagerDutyServer
from tests.real import workloads
from tests.real.processes import eventually

pytestmark = pytest.mark.e2e


def told(pagerduty: PagerDutyServer) -> str:
    """Everything that the newest page says."""
    incident = pagerduty.incidents[-1]
    return f"{incident.summary}\n{incident.details}"


async def test_a_crash_looping_release_is_undone_verified_and_closed_without_a_page(scene: Scene, alertmanager_version: str) -> None:
    await scene.deploy("app:1")
    await scene.start(undo_rules(), alertmanager=alertmanager_version)
    await scene.release("app:crash-2")
    await eventually(lambda: _is(scene, "app:1"), within=60, what="the old image back")
    closed = await scene.closed()
    assert workloads.complete(await scene.deployment())
    assert closed["priority"] == "P2"
    assert scene.pagerduty.incidents == []


async def _is(scene: Scene, image: str) -> bool:
    return await scene.image() == image


async def test_a_refusing_bound_leads_to_one_page_that_names_it_and_the_next_command(scene: Scene, alertmanager_version: str) -> None:
    await scene.deploy("app:1", annotations={})  # its owner did not opt in
    await scene.start(undo_rules(), alertmanager=None)
    await scene.release_seen("app:crash-2", "2")
    await scene.start_monitoring(alertmanager_version)
    await scene.pagerduty.waits_for(lambda it: it.incidents, within=60)
    text = told(scene.pagerduty)
    assert "opt" in text, text
    assert f"kubectl -n {scene.namespace} rollout undo deployment/web --to-revision=1" in text, text
    assert await scene.image() == "app:crash-2"
    assert len(scene.pagerduty.incidents) == 1


async def test_an_undo_that_does_not_help_is_paged_with_before_and_after(scene: Scene) -> None:
    await scene.deploy("app:1")
    await scene.start(undo_rules())
    await scene.release("app:crash-2")
    await eventually(lambda: _is(scene, "app:1"), within=60, what="the undo")
    scene.plane.kubelet.sick("app:1", new_pods=True)
    try:
        await scene.pagerduty.waits_for(lambda it: it.incidents and "rollout_undo" in str(it.incidents[-1].details), within=90)
    finally:
        scene.plane.kubelet.heal("app:1")
    text = told(scene.pagerduty)
    assert "revision 2" in text, text
    assert len(scene.pagerduty.incidents) == 1


async def test_observe_mode_touches_nothing_and_the_page_says_what_it_would_have_done(scene: Scene) -> None:
    await scene.deploy("app:1")
    await scene.start(undo_rules(), alertmanager=None, mode="observe")
    await scene.release_seen("app:crash-2", "2")
    await eventually(lambda: _settled(scene), within=30, what="the rollout stuck")
    await scene.start_monitoring()
    before = (await scene.deployment())["metadata"]["generation"]
    await scene.pagerduty.waits_for(lambda it: it.incidents, within=60)
    found = await scene.deployment()
    assert found["metadata"]["generation"] == before
    assert not [each for each in found["metadata"]["managedFields"] if each["manager"].startswith("receiver")]
    assert f"kubectl -n {scene.namespace} rollout undo deployment/web --to-revision=1" in told(scene.pagerduty)


async def _settled(scene: Scene) -> bool:
    return bool((await scene.deployment())["status"].get("unavailableReplicas"))


async def test_a_p1_is_paged_at_once_and_cured_all_the_same_then_resolved(scene: Scene, alertmanager_version: str) -> None:
    await scene.deploy("app:1")
    await scene.start(undo_rules(urgency="high"), alertmanager=alertmanager_version)
    await scene.release("app:crash-2")
    await scene.pagerduty.waits_for(lambda it: it.incidents, within=60)
    assert scene.pagerduty.incidents[0].severity == "critical"
    await eventually(lambda: _is(scene, "app:1"), within=60, what="the old image back")
    await scene.pagerduty.waits_for(lambda it: not it.open, within=90)
    assert len(scene.pagerduty.incidents) == 1
