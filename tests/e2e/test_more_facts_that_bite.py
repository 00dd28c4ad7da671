"""Facts 7, 10 and 11 of `remediation.md` 0: each shown on a real control plane, beside what the product does about it. The others stand in
`test_facts_that_bite.py`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from receiver.clients import kubernetes_objects as objects
from receiver.core import verbs
from receiver.core.ask import ask
from receiver.core.case import Because, Parameters, Verb
from receiver.core.facts import Hazard, Workload
from receiver.ports import OutcomeKind, Permission
from tests.e2e.faults import BRIEF
from tests.e2e.looker import Watcher
from tests.e2e.scene import EVICT_RULES, Scene
from tests.fakes import cases as c
from tests.kits.action_ground import IMAGES, Ground, before
from tests.kits.action_traps import RESTART, SCALE, UNDO, image, run
from tests.real import workloads
from tests.real.apiproxy import ApiProxy
from tests.real.kube_api import APPLY, ApiError, Object
from tests.real.kubernetes import ControlPlane

pytestmark = pytest.mark.e2e

FIRST, SECOND = IMAGES
APPLIED = OutcomeKind.applied
SCALE_RULES = EVICT_RULES.replace("evict_pod", "scale").replace("symptom: crash", "symptom: latency")


@pytest_asyncio.fixture
async def ground(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> AsyncIterator[Ground]:
    """`web` with two revisions."""

    async def tokens(_: tuple[Permission, ...]) -> str:
        return control_plane.admin.access.token or ""

    made = Ground(control_plane.admin.access, namespace, tmp_path, tokens)
    try:
        await made.prepare()
        yield made
    finally:
        await made.close()


# --- fact 7: kubectl rollout undo ----------------------------------------------------------------------------------------


async def kubectls_choice(ground: Ground) -> str:
    """The image of the second-highest revision: what `kubectl rollout undo` goes to (`polymorphichelpers/rollback.go`)."""
    return image((await ground.revisions())[-2])


async def _known(watcher: Watcher, ground: Ground) -> Workload:
    """As the observers see it, once the controller has told all."""
    await ground.settled()
    return await watcher.until(lambda seen: not seen.undo.refusal, "a way back")


async def _aim(ground: Ground, plan: Workload) -> str:
    """The image that ours would go to."""
    return next(image(each) for each in await ground.revisions() if objects.name(each) == plan.undo.replica_set)


async def test_fact_7_after_a_restart_kubectls_undo_is_the_same_image_ours_is_not(ground: Ground, watcher: Watcher) -> None:
    assert (await run(ground, RESTART)).kind is APPLIED
    seen = await _known(watcher, ground)
    assert await kubectls_choice(ground) == SECOND == image(await ground.target())
    assert await _aim(ground, seen) == FIRST
    assert seen.undo.differences == (f"image app: {SECOND} -> {FIRST}",)


async def test_fact_7_a_second_undo_of_kubectl_is_the_bad_version_again_ours_is_refused(ground: Ground, watcher: Watcher) -> None:
    permit = await ground.permit(UNDO)
    rolled_away_from = objects.template_hash(objects.template(await ground.target()))
    assert (await run(ground, UNDO, permit)).kind is APPLIED
    seen = await _known(watcher, ground)
    assert image(await ground.target()) == FIRST
    assert await kubectls_choice(ground) == SECOND
    done = c.attempt(Verb.undo, before=replace(c.attempt().before, template_hash=rolled_away_from))
    case = c.case(facts=(c.facts(workload=seen),), rule=c.rule(c.rung(Verb.undo)), attempts=(done,))
    refusal = verbs.undo_once(ask(case, 0, c.T0))
    assert refusal is not None
    assert refusal.because is Because.already_undone
    assert "known bad" in refusal.detail


async def test_fact_7_before_the_controller_has_looked_kubectls_undo_goes_two_versions_back_ours_waits(
    ground: Ground, watcher: Watcher, control_plane: ControlPlane
) -> None:
    with control_plane.own.controller_manager.suspended():
        template = {"spec": {"containers": [{"name": "app", "image": "example.test/web:crash"}]}}
        await ground.api.patch(ground.path, {"spec": {"template": template}})
        assert await kubectls_choice(ground) == FIRST  # the version before the bad one is SECOND
        seen = await watcher.workload()
        outcome = await run(ground, UNDO)
    assert "not observed" in seen.undo.refusal
    assert (outcome.kind, outcome.retryable) == (OutcomeKind.rejected, True)
    assert await _aim(ground, await watcher.until(lambda found: not found.undo.refusal, "a way back")) == SECOND


# --- fact 10: a scale-up that finds no node ------------------------------------------------------------------------------


def one_for_each_node(nodes: int) -> dict[str, Any]:
    """As many pods as there are nodes, and no node takes a second one."""
    spread = {"labelSelector": {"matchLabels": {"app": "web"}}, "topologyKey": "kubernetes.io/hostname"}
    affinity = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [spread]}}
    container = {"name": "app", "image": "app:1"}
    spec = {"terminationGracePeriodSeconds": 1, "containers": [container], "affinity": affinity}
    template = {"metadata": {"labels": {"app": "web"}}, "spec": spec}
    return {"replicas": nodes, "template": template, "progressDeadlineSeconds": 1}


def _conditions(found: Object) -> dict[str, tuple[str, str]]:
    return {each["type"]: (each["status"], each["reason"]) for each in found["status"].get("conditions", ())}


async def test_fact_10_a_scale_up_without_room_makes_it_unavailable_and_ours_is_told_and_taken_back(
    watched: tuple[Scene, ApiProxy], watcher: Watcher, control_plane: ControlPlane
) -> None:
    """Every old pod stays well, and no deadline of a rollout ever passes: only the bounds can see what we did."""
    scene, proxy = watched
    nodes, path = len(control_plane.kubelet.nodes), workloads.path(scene.namespace, "web")
    manifest = workloads.workload("Deployment", "web", "app:1", **one_for_each_node(nodes))
    manifest["metadata"]["annotations"] = {"alert-receiver.internal/enabled": "true"}
    await workloads.deploy(scene.api, scene.namespace, manifest)
    await scene.start(SCALE_RULES, alertmanager=None, bounds=BRIEF | {"scale_lease": "8s"})
    assert await scene.post()
    found = await scene.api.until(path, lambda seen: _conditions(seen).get("Available", ("", ""))[0] == "False")
    assert _conditions(found)["Progressing"] == ("True", "NewReplicaSetAvailable")
    assert found["status"]["readyReplicas"] == nodes
    seen = await watcher.until(lambda seen: seen.pods.unschedulable > 0, "pods without a node")
    assert (Hazard.unschedulable, ("scale", "rollout_restart")) in {(each.hazard, each.verbs) for each in seen.dangers}
    await scene.pagerduty.waits_for(lambda it: it.incidents, within=90)
    await scene.api.until(path, lambda seen: bool(seen["spec"]["replicas"] == nodes))
    counts = [each.json["spec"]["replicas"] for each in proxy.mutations() if each.path.endswith("/scale")]
    assert max(counts) == counts[0]  # no second step up
    assert counts == sorted(counts, reverse=True)


# --- fact 11: server-side apply after us ---------------------------------------------------------------------------------


async def pipeline_applies(ground: Ground, *, replicas: int = 2) -> Object:
    """`kubectl apply --server-side` of what stands in the repository; not forced."""
    manifest = workloads.deployment(ground.name, SECOND, replicas=replicas)
    query = {"fieldManager": "pipeline", "force": "false"}
    return await ground.api.send("PATCH", ground.path, body=manifest, content_type=APPLY, query=query)


async def test_fact_11_our_scale_makes_a_server_side_apply_conflict_until_it_is_taken_back(ground: Ground) -> None:
    await pipeline_applies(ground)
    await ground.settled()
    up = await ground.permit(SCALE)
    assert (await run(ground, SCALE, up)).kind is APPLIED
    with pytest.raises(ApiError) as conflict:
        await pipeline_applies(ground)
    assert conflict.value.status == 409
    assert ".spec.replicas" in str(conflict.value)
    assert f"{objects.FIELD_MANAGER}{up.attempt_id}" in str(conflict.value)  # the pipeline's log names us and the attempt
    down = await ground.permit(SCALE, attempt_id="0a1b2c3d-7-2", reverts=up.attempt_id, parameters=Parameters(replicas=2))
    outcome = await run(ground, SCALE, replace(down, before=before(await ground.settled())))
    assert outcome.kind is APPLIED, outcome
    assert (await pipeline_applies(ground))["spec"]["replicas"] == 2


async def test_fact_11_a_client_side_apply_undoes_our_scale_silently_and_is_named(ground: Ground, watcher: Watcher) -> None:
    assert (await run(ground, SCALE)).kind is APPLIED
    await ground.settled()
    await ground.api.patch(ground.path, {"spec": {"replicas": 2}}, fieldManager="kubectl-client-side-apply")
    seen = await watcher.until(lambda found: found.replicas == 2, "the old count")
    assert seen.foreign is not None
    assert seen.foreign.manager == "kubectl-client-side-apply"


async def test_fact_11_a_restart_of_ours_conflicts_with_no_apply(ground: Ground) -> None:
    await pipeline_applies(ground)
    await ground.settled()
    assert (await run(ground, RESTART)).kind is APPLIED
    stamp = objects.template(await ground.target())["metadata"]["annotations"][objects.RESTARTED_AT]
    found = await pipeline_applies(ground)
    assert objects.template(found)["metadata"]["annotations"][objects.RESTARTED_AT] == stamp


async def test_fact_11_an_undo_of_ours_conflicts_in_the_image_and_says_who(ground: Ground) -> None:
    await pipeline_applies(ground)
    await ground.settled()
    permit = await ground.permit(UNDO)
    assert (await run(ground, UNDO, permit)).kind is APPLIED
    with pytest.raises(ApiError) as conflict:
        await pipeline_applies(ground)
    assert (conflict.value.status, ".image" in str(conflict.value)) == (409, True)
    assert f"{objects.FIELD_MANAGER}{permit.attempt_id}" in str(conflict.value)
