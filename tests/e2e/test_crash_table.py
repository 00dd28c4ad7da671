"""The crash table of one remediation: what may befall its only mutating call, and a death of ours around it. One effect at most, and
nobody is left waiting: the incident ends verified, or a person is called.

The rows of kill -9 at each named point stand in `test_crashes.py`, evictions and StatefulSets in `test_crash_table_of_pods.py`; two
receivers and lost leases in the walk of `tests/unit/core/test_two_receivers.py`.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.e2e.faults import BRIEF, CALM, FAULTS, inject
from tests.e2e.scene import Scene, undo_rules
from tests.real import workloads
from tests.real.apiproxy import ApiProxy, Hold, Seen
from tests.real.processes import eventually

pytestmark = pytest.mark.e2e

SCALE_RULES = """
apiVersion: receiver/v1
kind: Rules
rules:
  - name: saturated
    match: ['alertname="KubePodCrashLooping"']
    symptom: latency
    impact: high
    urgency: medium
    mode: auto
    remediate:
      - {action: kubernetes.scale}
    verify: {rollout: true, settle: 1s, stable: 2s}
default: {impact: medium, urgency: medium, remediate: []}
"""
RESTART_RULES = SCALE_RULES.replace("kubernetes.scale", "kubernetes.rollout_restart")
RULES = {"undo": undo_rules(), "restart": RESTART_RULES, "scale": SCALE_RULES}


def real(seen: Seen) -> bool:
    """The mutation itself, not its dry run."""
    return seen.mutates and "/deployments/" in seen.path


def effects(proxy: ApiProxy) -> list[Seen]:
    """Mutations that the server took."""
    return [each for each in proxy.mutations() if real(each) and (each.status or 999) < 300]


async def _alight(scene: Scene, verb: str, **changes: Any) -> None:
    await scene.deploy("app:1")
    await scene.start(RULES[verb], alertmanager=None, **changes)
    if verb == "undo":
        await scene.release("app:crash-2")
        await eventually(lambda: _crashing(scene), within=30, what="a crash-looping pod")
    assert await scene.post()


async def _crashing(scene: Scene) -> bool:
    return bool((await scene.deployment())["status"].get("unavailableReplicas"))


async def _somebody_came(scene: Scene, proxy: ApiProxy) -> None:
    """Paged, or applied, and then verified and closed once the alert is over."""

    async def found() -> bool:
        attempts = (await scene.get(f"/api/v1/incidents/{(await scene.incidents())[0]['id']}"))["attempts"]
        return bool(scene.pagerduty.incidents) or any(each["verdict"] == "cured" for each in attempts)

    await eventually(found, within=90, what="a page or a cure", every=0.3)
    assert len(effects(proxy)) <= 1
    if not scene.pagerduty.incidents:
        await scene.post(resolved=True)
        await scene.closed(within=60)
    assert len(effects(proxy)) <= (1 if not _scaled(proxy) else 3)


def _scaled(proxy: ApiProxy) -> bool:
    """Taking back a scale is a mutation of its own."""
    return any(each.path.endswith("/scale") for each in effects(proxy))


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("verb", RULES)
async def test_whatever_befalls_the_call_there_is_one_effect_at_most_and_somebody_comes(
    watched: tuple[Scene, ApiProxy], verb: str, fault: str
) -> None:
    scene, proxy = watched
    met = inject(proxy, real, fault)
    await _alight(scene, verb, page_after={"P2": "40s"}, bounds=BRIEF)
    await eventually(lambda: met.fired, within=60, what="the call")
    await _somebody_came(scene, proxy)


async def test_a_target_that_is_deleted_meanwhile_is_given_up_and_a_person_is_called(watched: tuple[Scene, ApiProxy]) -> None:
    scene, proxy = watched
    hold = Hold()
    proxy.after(real, hold)
    await _alight(scene, "restart", bounds=CALM)
    await asyncio.wait_for(hold.reached.wait(), 60)
    await scene.api.delete(workloads.path(scene.namespace, "web"))
    await scene.deploy("app:1")
    hold.release()
    incident = await scene.pagerduty.waits_for(lambda it: it.incidents and it.incidents[0], within=60)
    assert "gone" in str(incident.triggers[0]) or "another object" in str(incident.triggers[0])
    assert len(effects(proxy)) == 1


async def test_a_temporary_scale_is_taken_back_after_our_death(watched: tuple[Scene, ApiProxy]) -> None:
    scene, proxy = watched
    await _alight(scene, "scale", bounds=BRIEF)
    await eventually(lambda: _replicas(scene, 5), within=60, what="the scale-up")
    assert await scene.post(resolved=True)
    assert scene.receiver is not None
    scene.receiver.kill()
    await scene.receiver.ended(within=10)
    await scene.start_receiver()
    await eventually(lambda: _replicas(scene, 3), within=60, what="the baseline")
    await scene.closed(within=60)
    assert [each.json["spec"]["replicas"] for each in effects(proxy)] == [5, 4, 3]


async def test_a_scale_that_a_person_changed_meanwhile_is_theirs(watched: tuple[Scene, ApiProxy]) -> None:
    scene, proxy = watched
    await _alight(scene, "scale", bounds=BRIEF)
    await eventually(lambda: _replicas(scene, 5), within=60, what="the scale-up")
    await scene.api.patch(workloads.path(scene.namespace, "web") + "/scale", {"spec": {"replicas": 7}})
    incident = await scene.pagerduty.waits_for(lambda it: it.incidents and it.incidents[0], within=60)
    assert "undone" in str(incident.triggers[-1])
    assert await _replicas(scene, 7)
    assert len(effects(proxy)) == 1


async def _replicas(scene: Scene, count: int) -> bool:
    return bool((await scene.deployment())["spec"]["replicas"] == count)
