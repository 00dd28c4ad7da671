"""Looks at real objects, with exactly the rights that the observers declare: chains, history, hazards, marks."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from receiver.clients.kubernetes_objects import template_hash
from receiver.clock import SystemClock
from receiver.core.facts import Evidence, Facts, Hazard, Hint, Look, RolloutState, Trouble, Workload
from receiver.core.model import Bounds
from receiver.observe import Eyes, LookRunner, Scope, observers
from receiver.observe.evidence import EvidenceRunner, KubernetesEvidence
from tests.e2e.conftest import Deploy
from tests.e2e.looker import LOOK, Watcher
from tests.real import workloads
from tests.real.kube_api import JSON_PATCH, KubeApi, Object
from tests.real.kubernetes import ControlPlane
from tests.real.processes import eventually
from tests.unit.observe.objects import inquiry

pytestmark = pytest.mark.e2e

RESTART = {"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}}}}}
GOOD, BAD = "app:good", "app:crash-2"


async def test_a_pod_leads_to_its_deployment_by_uid(watcher: Watcher, admin: KubeApi, deploy: Deploy) -> None:
    made = await deploy()
    pods = await workloads.pods(admin, watcher.namespace, "web")
    facts = await watcher.look(*(watcher.hint(pod=each["metadata"]["name"]) for each in pods))
    assert facts.target is not None
    assert (facts.target.ref.name, facts.target.uid) == ("web", made["metadata"]["uid"])
    assert [each.split(" ")[0] for each in facts.chain[0].split(" -> ")] == ["Pod", "ReplicaSet", "Deployment"]


async def test_a_service_before_two_deployments_is_ambiguous(watcher: Watcher, admin: KubeApi, deploy: Deploy) -> None:
    await deploy()
    other = workloads.deployment("api", GOOD, replicas=1, labels={"tier": "front"})
    await workloads.deploy(admin, watcher.namespace, other)
    spec = {"selector": {"app": "web"}, "ports": [{"port": 80}]}
    service: Object = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "front"}, "spec": spec}
    await admin.apply(service, namespace=watcher.namespace)
    facts = await watcher.look(watcher.hint(service="front"), watcher.hint(name="api"))
    assert (facts.trouble, facts.target) == (Trouble.ambiguous, None)
    assert (await watcher.look(watcher.hint(service="front"))).target is not None


async def test_a_sound_deployment_is_complete_and_without_hazards(watcher: Watcher, deploy: Deploy) -> None:
    made = await deploy()
    found = await watcher.until(lambda seen: seen.pods.ready == 3, "three ready pods")
    assert (found.rollout, found.available, found.dangers) == (RolloutState.complete, 3, ())
    assert (found.healthy, found.max_surge, found.max_unavailable, found.resource_version != "") == (True, 1, 0, True)
    assert found.template_hash == template_hash(made["spec"]["template"])


async def test_a_crash_looping_release_has_a_known_good_way_back(watcher: Watcher, admin: KubeApi, deploy: Deploy) -> None:
    good = await deploy()
    await workloads.set_image(admin, watcher.namespace, "web", BAD)
    # pods may run before their controller has written its own status: until then there is no way back, and that is right
    found = await watcher.until(lambda seen: seen.pods.restarts > 0 and not seen.undo.refusal, "a restart of an observed release")
    assert (found.rollout, dict(found.pods.waiting), found.available) == (RolloutState.progressing, {"CrashLoopBackOff": 1}, 3)
    assert (found.undo.revision, found.undo.known_good) == ("1", True)
    assert found.undo.differences == (f"image app: {BAD} -> {GOOD}",)
    assert found.undo.template_hash == template_hash(good["spec"]["template"])
    assert {each.hazard: each.verbs for each in found.dangers} == {
        Hazard.rollout_in_progress: ("scale", "rollout_restart", "evict_pod"),
        Hazard.config_error: ("rollout_restart",),
    }
    assert found.foreign is not None
    assert not found.foreign.after_revision


async def test_a_restart_is_no_step_back(watcher: Watcher, admin: KubeApi, deploy: Deploy) -> None:
    await deploy()
    await workloads.set_image(admin, watcher.namespace, "web", "app:good2")
    await admin.until(workloads.path(watcher.namespace, "web"), workloads.complete)
    before = await watcher.workload()
    await admin.patch(workloads.path(watcher.namespace, "web"), RESTART)
    await admin.until(workloads.path(watcher.namespace, "web"), workloads.complete)
    after = await watcher.until(partial(_at, "3"), "the third revision")
    assert (after.undo.revision, after.undo.differences) == ("1", ("image app: app:good2 -> app:good",))
    assert after.template_hash == before.template_hash


async def test_a_revision_used_again_is_dated_by_its_return(watcher: Watcher, admin: KubeApi, deploy: Deploy) -> None:
    await deploy()
    for revision, image in (("2", BAD), ("3", GOOD)):
        await workloads.set_image(admin, watcher.namespace, "web", image)
        await watcher.until(partial(_at, revision), f"revision {revision}")
    await admin.until(workloads.path(watcher.namespace, "web"), workloads.complete)
    found = await watcher.workload()
    bad = next(each for each in await _sets(admin, watcher.namespace) if each["spec"]["template"]["spec"]["containers"][0]["image"] == BAD)
    assert found.revision_at is not None
    assert found.revision_at.strftime("%Y-%m-%dT%H:%M:%SZ") >= bad["metadata"]["creationTimestamp"]
    assert (found.undo.revision, found.undo.known_good) == ("2", False)


def _at(revision: str, seen: Workload) -> bool:
    return seen.revision == revision and not seen.undo.refusal


async def _sets(admin: KubeApi, namespace: str) -> list[Object]:
    return await admin.items(f"/apis/apps/v1/namespaces/{namespace}/replicasets")


async def test_while_the_controller_sleeps_there_is_no_undo(
    watcher: Watcher, control_plane: ControlPlane, admin: KubeApi, deploy: Deploy
) -> None:
    await deploy()
    with control_plane.own.controller_manager.suspended():
        await workloads.set_image(admin, watcher.namespace, "web", BAD)
        found = await watcher.workload()
    assert "not observed" in found.undo.refusal
    assert Hazard.not_observed in {each.hazard for each in found.dangers}


async def test_pods_that_fail_on_a_finished_rollout_are_no_rollout(
    watcher: Watcher, control_plane: ControlPlane, deploy: Deploy, namespace: str
) -> None:
    """So that a restart of an old version may help."""
    image = f"app:sick-{namespace}"
    await deploy(image)
    control_plane.kubelet.sick(image)
    found = await watcher.until(lambda seen: seen.available == 0, "nothing available")
    assert (found.rollout, found.pods.alike, found.healthy, found.dangers) == (RolloutState.complete, True, False, ())


async def test_what_stands_around_a_deployment_is_a_hazard(watcher: Watcher, admin: KubeApi, deploy: Deploy) -> None:
    await deploy()
    for manifest in AROUND:
        await admin.apply(manifest, namespace=watcher.namespace)
    wanted = {Hazard.hpa, Hazard.pdb, Hazard.quota}
    found = await watcher.until(lambda seen: {each.hazard for each in seen.dangers} == wanted, "the three hazards")
    assert {each.hazard: each.verbs for each in found.dangers} == {
        Hazard.hpa: ("scale",),
        Hazard.quota: ("scale", "rollout_restart"),
        Hazard.pdb: ("rollout_restart",),
    }


AROUND: list[Object] = [
    {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web"},
        "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "minReplicas": 3, "maxReplicas": 9},
    },
    {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "web"},
        "spec": {"minAvailable": 4, "selector": {"matchLabels": {"app": "web"}}},
    },
    {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"}, "spec": {"hard": {"pods": "3"}}},
]


async def test_a_rollout_that_the_quota_stops_is_stuck(watcher: Watcher, admin: KubeApi, deploy: Deploy) -> None:
    await deploy()
    await admin.apply(AROUND[2], namespace=watcher.namespace)
    await watcher.until(lambda seen: any(each.hazard is Hazard.quota for each in seen.dangers), "the quota in force")
    await workloads.set_image(admin, watcher.namespace, "web", "app:good2")
    found = await watcher.until(lambda seen: seen.rollout is RolloutState.stuck, "a stuck rollout")
    assert "exceeded quota" in found.rollout_detail


async def test_more_pods_than_the_nodes_take_are_unschedulable(watcher: Watcher, admin: KubeApi, namespace: str) -> None:
    manifest = workloads.deployment("web", GOOD, replicas=1)
    manifest["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "1000"}}
    await admin.apply(manifest, namespace=namespace)
    found = await watcher.until(lambda seen: seen.pods.unschedulable == 1, "an unschedulable pod")
    assert Hazard.unschedulable in {each.hazard for each in found.dangers}


@pytest.mark.parametrize("place", ["scale", "annotation", "template"])
async def test_our_mark_is_found_after_a_patch(watcher: Watcher, admin: KubeApi, deploy: Deploy, place: str) -> None:
    await deploy()
    path, manager = workloads.path(watcher.namespace, "web"), {"fieldManager": "receiver:i-7-1"}
    if place == "scale":
        await admin.patch(f"{path}/scale", {"spec": {"replicas": 4}}, **manager)
    elif place == "template":
        note = {"alert-receiver.internal/attempt": "i-7-1"}
        await admin.patch(path, {"spec": {"template": {"metadata": {"annotations": note}}}}, fieldManager="somebody")
    else:
        change: Object = {"op": "add", "path": "/metadata/annotations/alert-receiver.internal~1last-action", "value": '["i-7-1"]'}
        await admin.patch(path, [change], content_type=JSON_PATCH, fieldManager="somebody")
    assert "i-7-1" in (await watcher.workload()).marks


async def test_our_own_scale_is_nobody_elses_change_and_a_persons_is(watcher: Watcher, admin: KubeApi, deploy: Deploy) -> None:
    await deploy()
    before, path = (await watcher.workload()).foreign, f"{workloads.path(watcher.namespace, 'web')}/scale"
    assert before is not None
    await asyncio.sleep(1.1)  # managedFields count whole seconds, on the API server's clock
    await admin.patch(path, {"spec": {"replicas": 4}}, fieldManager="receiver:i-7-1")
    assert (await watcher.until(lambda seen: seen.updated == 4, "our scale")).foreign == before
    await admin.patch(path, {"spec": {"replicas": 5}}, fieldManager="kubectl")
    found = (await watcher.until(lambda seen: seen.updated == 5, "their scale")).foreign
    assert found is not None
    assert found.manager == "kubectl"
    assert before.at < found.at < datetime.now(UTC)


async def test_an_object_made_again_is_another_one(watcher: Watcher, admin: KubeApi, deploy: Deploy) -> None:
    await deploy()
    bound = (await watcher.look()).target
    assert bound is not None
    path = workloads.path(watcher.namespace, "web")
    await admin.delete(path, {"propagationPolicy": "Background"})
    await deploy()
    runner = LookRunner(observers(Eyes(Scope("default", frozenset({watcher.namespace})), Bounds(), watcher.client)), SystemClock())
    facts = await runner.look(Look(LOOK, timedelta(seconds=10), ref=bound.ref, uid=bound.uid))
    assert (facts.trouble, facts.workload) == (Trouble.replaced, None)


async def test_a_namespace_that_may_not_be_read_is_forbidden(watcher: Watcher) -> None:
    scope = Scope("default", frozenset({"default"}))
    runner = LookRunner(observers(Eyes(scope, Bounds(), watcher.client)), SystemClock())
    facts = await runner.look(Look(LOOK, timedelta(seconds=10), hints=(Hint(namespace="default", name="web"),)))
    assert (facts.trouble, facts.target) == (Trouble.forbidden, None)


@pytest.mark.parametrize("plural", ["rollouts", "canaries", "scaledobjects"])
async def test_a_claim_that_may_not_be_read_is_not_taken_for_none(watcher: Watcher, admin: KubeApi, deploy: Deploy, plural: str) -> None:
    await deploy()
    role = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{watcher.namespace}/roles/looker-{watcher.namespace}"
    rules = [each for each in (await admin.get(role))["rules"] if plural not in each["resources"]]
    assert (await watcher.look()).trouble is None
    await admin.patch(role, {"rules": rules})
    last: list[Facts] = []

    async def refused() -> bool:
        last[:] = [await watcher.runner().look(watcher.asked())]
        return last[0].trouble is not None

    await eventually(refused, what="the right gone")
    assert (last[0].trouble, last[0].workload) == (Trouble.forbidden, None)
    assert plural in last[0].trouble_detail


async def test_a_page_shows_events_pods_and_revisions(watcher: Watcher, admin: KubeApi, deploy: Deploy) -> None:
    await deploy()
    await workloads.set_image(admin, watcher.namespace, "web", BAD)
    await watcher.until(lambda seen: seen.pods.restarts > 0 and _at("2", seen), "a restart of an observed release")
    facts, found, pieces = await watcher.look(), dict[str, tuple[str, ...]](), dict[str, Evidence]()

    async def told() -> bool:
        """Controllers send their events beside their work."""
        await EvidenceRunner([KubernetesEvidence(watcher.client, SystemClock())]).collect(inquiry(facts.target), pieces)
        found.update((title, each.lines) for title, each in pieces.items())
        return any("ScalingReplicaSet" in each for each in found["events"])

    await eventually(told, what="the controller's event")
    assert any("ScalingReplicaSet" in each for each in found["events"])
    assert "CrashLoopBackOff" in found["pods"][0]
    assert found["revisions"][0].startswith("2 (current)")
    assert BAD in found["revisions"][0]
    assert found["endpoints"] == ("no Service has a pod of it behind it",)
    assert found["autoscaling"] == ("no HorizontalPodAutoscaler aims at it",)
    assert found["quota"] == ("no ResourceQuota",)
    assert pieces["top"].missing == "the metrics API (metrics.k8s.io) is not there"
