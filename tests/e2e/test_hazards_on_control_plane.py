"""Every row of the hazards table (`remediation.md` 3) on a real API server and its controllers: what shows it, and what it forbids.

Rows that are no state of one object stand elsewhere: what resolves to no workload of ours and nodes in `test_places_on_control_plane.py`,
dependency outage, thundering restarts, flapping and somebody else's hands in `test_bounds_on_control_plane.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import pytest

from receiver.clock import SystemClock
from receiver.core.facts import TOLD, Evidence, Facts, Hazard, Hint, Look, Node, RolloutState, Trouble, Workload
from receiver.observe import Recent
from receiver.observe.evidence import EvidenceRunner, KubernetesEvidence, KubernetesLogs, NodeEvidence
from tests.e2e import hazards as h
from tests.e2e.conftest import Deploy
from tests.e2e.hazards import AIM, Arrange, Stage, beside, budget, cordon, custom, deployed, hpa, patched, plain, released
from tests.e2e.looker import LOOK, Watcher, watcher_of
from tests.real import workloads
from tests.real.apiproxy import ApiProxy
from tests.real.kube_api import Object
from tests.real.kubernetes import ControlPlane
from tests.real.processes import eventually
from tests.unit.observe.objects import inquiry

pytestmark = pytest.mark.e2e

SCALE, RESTART, UNDO, EVICT = "scale", "rollout_restart", "rollout_undo", "evict_pod"
ALL: tuple[str, ...] = ()
FLUX = "kustomize.toolkit.fluxcd.io/"
P = "alert-receiver.internal/"


@pytest.fixture(scope="module")
def custom_kinds(control_plane: ControlPlane) -> Iterator[None]:
    asyncio.run(h.install(control_plane.admin))
    yield
    asyncio.run(h.uninstall(control_plane.admin))


@pytest.fixture
def stage(control_plane: ControlPlane, custom_kinds: None, watcher: Watcher, deploy: Deploy) -> Stage:
    return Stage(control_plane, watcher, deploy)


def template(**spec: object) -> Object:
    return {"spec": {"template": {"spec": spec}}}


def noted(**annotations: str) -> Arrange:
    return deployed(annotations=annotations)


ROWS: dict[str, tuple[Arrange, Hazard, tuple[str, ...], str]] = {
    "hpa": (beside(hpa()), Hazard.hpa, (SCALE,), "HorizontalPodAutoscaler web owns the count (3 to 9"),
    "hpa without metrics": (beside(hpa()), Hazard.hpa, (SCALE,), "it does not scale now: FailedGetResourceMetric"),
    "hpa at its maximum": (h.hpa_at_its_maximum, Hazard.hpa, (SCALE,), "it is at its maximum"),
    "keda by its autoscaler": (beside(hpa("keda-hpa-web")), Hazard.keda, (SCALE,), "of KEDA keda-hpa-web"),
    "keda paused": (
        beside(custom("ScaledObject", {"scaleTargetRef": {"name": "web"}}, **{"autoscaling.keda.sh/paused-replicas": "3"})),
        Hazard.keda,
        (SCALE,),
        "ScaledObject web owns the count, paused on purpose",
    ),
    "vertical autoscaler": (h.memory_kills, Hazard.oom_early, (SCALE, RESTART), "VerticalPodAutoscaler web sizes it"),
    "disruption budget": (beside(budget(minAvailable=4)), Hazard.pdb, (RESTART,), "wants 4 healthy of now 3"),
    "two disruption budgets": (h.two_budgets_over_a_crashing_pod, Hazard.pdb, (EVICT,), "2 PodDisruptionBudgets select"),
    "argo cd tracking": (
        noted(**{"argocd.argoproj.io/tracking-id": "a:apps/x:y/web"}),
        Hazard.gitops,
        (SCALE, UNDO),
        "tracking-id",
    ),
    "argo cd label": (deployed(labels={"argocd.argoproj.io/instance": "shop"}), Hazard.gitops, (SCALE, UNDO), "instance=shop"),
    "argo cd manager": (
        patched({"spec": {"minReadySeconds": 0, "progressDeadlineSeconds": 300}}, manager="argocd-controller"),
        Hazard.gitops,
        (SCALE, UNDO),
        "manager argocd-controller",
    ),
    "flux": (deployed(labels={FLUX + "name": "apps", FLUX + "namespace": "flux-system"}), Hazard.gitops, (SCALE, UNDO), "name=apps"),
    "flux helm release": (deployed(labels={"helm.toolkit.fluxcd.io/name": "web"}), Hazard.gitops, (SCALE, UNDO), "helm.toolkit"),
    "flux, reconcile disabled": (
        deployed(labels={FLUX + "name": "apps"}, annotations={FLUX + "reconcile": "disabled"}),
        Hazard.gitops,
        TOLD,
        "Flux leaves it alone (reconcile: disabled)",
    ),
    "flux, ssa Ignore": (
        deployed(labels={FLUX + "name": "apps"}, annotations={FLUX + "ssa": "Ignore"}),
        Hazard.gitops,
        TOLD,
        "ssa: Ignore",
    ),
    "helm": (
        deployed(labels={"app.kubernetes.io/managed-by": "Helm"}, annotations={"meta.helm.sh/release-name": "shop"}),
        Hazard.helm,
        TOLD,
        "release shop is live in Helm's books (app:good)",
    ),
    "operator": (h.owned_by_an_operator, Hazard.operator, (SCALE, RESTART, UNDO), "ConfigMap boss controls it"),
    "argo rollouts": (beside(custom("Rollout", {"workloadRef": AIM})), Hazard.rollouts, ALL, "Rollout web refers to it"),
    "flagger": (beside(custom("Canary", {"targetRef": AIM})), Hazard.flagger, ALL, "Canary web stands over it"),
    "flagger primary": (h.primary_of_a_canary, Hazard.flagger, ALL, "Canary shop controls it"),
    "paused": (patched({"spec": {"paused": True}}), Hazard.paused, (RESTART, UNDO), "web is paused"),
    "rollout in progress": (released("app:slow300"), Hazard.rollout_in_progress, (SCALE, RESTART, EVICT), "progressing"),
    "quota": (beside(plain("ResourceQuota", {"hard": {"pods": "3"}})), Hazard.quota, (SCALE, RESTART), "pods 3 of 3 used"),
    "limit range": (
        h.limited,
        Hazard.quota,
        (SCALE, RESTART),
        "LimitRange web admits no new pods",
    ),
    "unschedulable": (h.too_large, Hazard.unschedulable, (SCALE, RESTART), "2 pods cannot be scheduled"),
    "unschedulable crowd": (h.crowded, Hazard.unschedulable, (SCALE, RESTART), "6 pods of the namespace cannot be scheduled"),
    "image pull": (released("app:nopull"), Hazard.image_pull, (RESTART,), "ImagePullBackOff"),
    "crash loop by configuration": (released("app:crash"), Hazard.config_error, (RESTART,), "CrashLoopBackOff"),
    "out of memory soon": (released("app:oom"), Hazard.oom_early, (RESTART,), "killed for memory"),
    "liveness probes kill": (h.probes_kill, Hazard.probes_fail, (RESTART,), "probes kill 1 pods"),
    "connections, by a probe": (h.database_is_full, Hazard.connections, (SCALE,), "too many clients"),
    "connections, by last words": (h.its_last_words, Hazard.connections, (SCALE,), "Too many connections"),
    "system priority": (
        patched(template(priorityClassName="system-cluster-critical")),
        Hazard.system_priority,
        ALL,
        "priorityClassName system-cluster-critical",
    ),
    "scaled to zero": (h.scaled_to_zero, Hazard.singleton, ALL, "scaled to 0"),
    "not opted in": (patched({"metadata": {"annotations": {P + "enabled": None}}}), Hazard.not_opted_in, ALL, "neither web nor"),
    "most that is no number": (noted(**{P + "max-replicas": "many"}), Hazard.max_unknown, (SCALE,), "'many', which is no number"),
    "opted out": (noted(**{P + "enabled": "false"}), Hazard.opted_out, ALL, "enabled"),
    "disabled until": (noted(**{P + "disabled-until": "2999-01-01T00:00:00Z"}), Hazard.opted_out, ALL, "2999"),
    "undo never": (noted(**{P + "undo": "never"}), Hazard.opted_out, (UNDO,), "never"),
    "only some verbs": (noted(**{P + "allow": "restart"}), Hazard.verb_not_allowed, (SCALE, UNDO, EVICT), "restart"),
    "partition": (
        deployed(kind="StatefulSet", updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}),
        Hazard.partitioned,
        (RESTART, UNDO),
        "partition 1",
    ),
    "on delete": (deployed(kind="DaemonSet", updateStrategy={"type": "OnDelete"}), Hazard.partitioned, (RESTART, UNDO), "OnDelete"),
    "one for each node": (deployed(kind="DaemonSet"), Hazard.per_node, (SCALE,), "that of its nodes"),
}
"""These refuse their verbs."""

CLAIM = {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "web-data"}}]}
ASKING: dict[str, tuple[Arrange, Hazard, tuple[str, ...], str]] = {
    "stateful set": (deployed(kind="StatefulSet"), Hazard.stateful, ALL, "StatefulSet web"),
    "volume claim": (patched(template(**CLAIM)), Hazard.stateful, ALL, "claim web-data"),
    "database": (deployed("docker.io/library/postgres:16"), Hazard.stateful, ALL, "postgres"),
    "min ready seconds": (deployed(minReadySeconds=1), Hazard.stateful, ALL, "minReadySeconds 1"),
    "migrating": (deployed(labels={"migration": "true"}), Hazard.migrating, ALL, "migration"),
    "one replica": (deployed(replicas=1), Hazard.singleton, (RESTART,), "one replica"),
    "recreate": (deployed(strategy={"type": "Recreate"}), Hazard.singleton, (RESTART,), "Recreate"),
    "do not disrupt": (
        patched({"spec": {"template": {"metadata": {"annotations": {"karpenter.sh/do-not-disrupt": "true"}}}}}),
        Hazard.do_not_disrupt,
        (RESTART, EVICT),
        "karpenter.sh/do-not-disrupt",
    ),
    "safe to evict": (
        patched({"spec": {"template": {"metadata": {"annotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}}}}}),
        Hazard.do_not_disrupt,
        (RESTART, EVICT),
        "cluster-autoscaler.kubernetes.io/safe-to-evict=false",
    ),
}
"""These ask a person first."""


async def _shown(stage: Stage, row: tuple[Arrange, Hazard, tuple[str, ...], str], *, asks: bool) -> None:
    arrange, hazard, verbs, said = row
    await arrange(stage)
    kind = await _kind(stage)

    def wanted(seen: Workload) -> bool:
        return any((each.hazard, each.verbs, each.asks) == (hazard, verbs, asks) and said in each.detail for each in seen.dangers)

    await stage.watcher.until(wanted, f"{hazard}: {said}", kind=kind)


async def _kind(stage: Stage) -> str:
    for kind, plural in workloads.PLURALS.items():
        if await stage.admin.items(f"/apis/apps/v1/namespaces/{stage.namespace}/{plural}"):
            return kind
    raise LookupError("nothing was deployed")


@pytest.mark.parametrize("row", ROWS)
async def test_a_hazard_refuses_its_verbs_and_is_named(stage: Stage, row: str) -> None:
    await _shown(stage, ROWS[row], asks=False)


@pytest.mark.parametrize("row", ASKING)
async def test_what_a_person_decides_about_is_named_and_refuses_nothing(stage: Stage, row: str) -> None:
    await _shown(stage, ASKING[row], asks=True)


async def test_a_slow_leak_of_more_than_an_hour_bears_a_restart(stage: Stage) -> None:
    """Killed for memory, but two hours after its start: a restart buys time."""
    await h.slow_leak(stage)
    found = await stage.watcher.until(lambda seen: "OOMKilled" in seen.pods.terminated, "the kill")
    assert found.dangers == ()


async def test_the_owners_most_is_read_from_the_object(stage: Stage) -> None:
    """Where more pods would ask a database for more connections than it has."""
    await stage.deploy(annotations={P + "max-replicas": "5"})
    assert (await stage.watcher.workload()).max_replicas == 5


async def test_the_workload_of_an_argo_rollout_is_bound_and_bears_no_verb(stage: Stage) -> None:
    """Its pods' ReplicaSet is controlled by it, not by a Deployment."""
    pod = await h.pod_of_a_rollout(stage)
    facts = await stage.watcher.look(stage.watcher.hint(pod=pod))
    assert (facts.target is not None and facts.target.ref.kind, facts.trouble) == ("Rollout", None), facts.trouble_detail
    assert facts.workload is not None
    assert (Hazard.rollouts, ALL) in {(each.hazard, each.verbs) for each in facts.workload.dangers}


async def test_with_all_custom_kinds_installed_a_sound_deployment_has_no_hazard(stage: Stage) -> None:
    await stage.deploy()
    assert (await stage.watcher.until(lambda seen: seen.pods.ready == 3, "three ready pods")).dangers == ()


async def test_somebody_is_on_it_and_is_named(stage: Stage) -> None:
    await stage.deploy()
    await asyncio.sleep(1.1)  # managedFields count whole seconds
    await stage.patch({"metadata": {"labels": {"touched": "yes"}}}, manager="kubectl-edit")
    foreign = (await stage.watcher.workload()).foreign
    assert foreign is not None
    assert foreign.manager == "kubectl-edit"


# --- StatefulSets and DaemonSets -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet"])
async def test_a_bad_release_of_another_kind_has_a_known_good_way_back(stage: Stage, kind: str) -> None:
    await released("app:crash", kind=kind)(stage)

    def failed(seen: Workload) -> bool:
        return seen.pods.restarts > 0 and seen.available == 2 and not seen.undo.refusal

    found = await stage.watcher.until(failed, "a restart", kind=kind)
    assert (found.kind, found.rollout, found.replicas) == (kind, RolloutState.progressing, 3)
    assert (found.revision, found.undo.revision, found.undo.known_good) == ("2", "1", True)
    assert found.undo.differences == ("image app: app:crash -> app:good",)
    assert found.victim is not None
    assert (found.victim.reason, found.victim.stuck) == ("CrashLoopBackOff", False)


@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet"])
async def test_a_restart_of_another_kind_is_no_step_back(stage: Stage, kind: str) -> None:
    await released("app:good2", kind=kind)(stage)
    path = workloads.path(stage.namespace, "web", kind=kind)
    await stage.admin.until(path, workloads.done(kind))
    before = await stage.watcher.workload(kind)
    stamp = {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}
    await stage.patch({"spec": {"template": {"metadata": {"annotations": stamp}}}}, kind=kind)
    after = await stage.watcher.until(lambda seen: seen.revision == "3" and not seen.undo.refusal, "the third revision", kind=kind)
    assert (after.undo.revision, after.template_hash == before.template_hash) == ("1", True)


async def test_the_stuck_ordinal_is_found_after_an_undo(stage: Stage) -> None:
    """Fact 9; and it may be removed although the rollout is not over."""
    await h.stuck_after_an_undo(stage)
    found = await stage.watcher.until(lambda seen: seen.victim is not None and seen.victim.stuck, "a stuck ordinal", kind="StatefulSet")
    assert found.victim is not None
    assert (found.victim.name, found.ordered, found.victim.reason.startswith("stuck on revision web-")) == ("web-2", True, True)
    assert {each.hazard: each.verbs for each in found.dangers}[Hazard.rollout_in_progress] == (SCALE, RESTART)


async def test_a_parallel_stateful_set_recovers_by_itself(stage: Stage) -> None:
    await released("app:crash", kind="StatefulSet", podManagementPolicy="Parallel")(stage)
    await stage.watcher.until(lambda seen: seen.pods.restarts > 0, "a restart", kind="StatefulSet")
    await workloads.set_image(stage.admin, stage.namespace, "web", "app:good", kind="StatefulSet")
    found = await stage.watcher.until(lambda seen: seen.healthy, "recovery", kind="StatefulSet")
    assert (found.victim, found.ordered) == (None, False)


@pytest.mark.parametrize("manager", ["kubectl", "receiver:i-7-1"])
async def test_who_scaled_a_stateful_set_is_told_from_its_managed_fields(stage: Stage, manager: str) -> None:
    await stage.deploy(kind="StatefulSet")
    await asyncio.sleep(1.1)
    path = workloads.path(stage.namespace, "web", kind="StatefulSet")
    await stage.admin.patch(f"{path}/scale", {"spec": {"replicas": 4}}, fieldManager=manager)
    found = await stage.watcher.until(lambda seen: seen.updated == 4, "the scale", kind="StatefulSet")
    assert found.foreign is not None
    assert (found.foreign.manager == "kubectl", "i-7-1" in found.marks) == (manager == "kubectl", manager != "kubectl")


# --- one bad pod ---------------------------------------------------------------------------------------------------------


async def test_the_one_sick_pod_is_the_victim_with_its_budget(stage: Stage) -> None:
    await stage.deploy()
    await stage.beside(budget(minAvailable=2))
    sick = (await stage.pods())[1]
    path = f"/api/v1/namespaces/{stage.namespace}/pods/{sick['metadata']['name']}"
    waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
    conditions = [each | {"status": "False"} if each["type"] == "Ready" else each for each in sick["status"]["conditions"]]
    containers = [sick["status"]["containerStatuses"][0] | {"ready": False, "state": waiting}]
    await stage.admin.patch(
        f"{path}/status",
        {"status": {"conditions": conditions, "containerStatuses": containers}},
        content_type="application/strategic-merge-patch+json",
    )
    found = await stage.watcher.until(lambda seen: seen.victim is not None and seen.victim.allowed == 1, "a victim")
    assert found.victim is not None
    assert (found.victim.uid, found.victim.reason) == (sick["metadata"]["uid"], "CrashLoopBackOff")


async def test_a_pod_that_was_removed_is_present_no_more(stage: Stage) -> None:
    await stage.deploy()
    pod = (await stage.pods())[0]["metadata"]
    look = Look(LOOK, timedelta(seconds=10), ref=stage.watcher.asked().ref, pod=pod["uid"])
    runner = stage.watcher.runner()

    async def present() -> bool | None:
        seen = (await runner.look(look)).workload
        return seen.pod_present if seen is not None else None

    assert await present() is True
    await stage.admin.delete(f"/api/v1/namespaces/{stage.namespace}/pods/{pod['name']}", {"preconditions": {"uid": pod["uid"]}})

    async def gone() -> bool:
        return await present() is False

    await eventually(gone, what="the pod's end")


# --- nodes ---------------------------------------------------------------------------------------------------------------


async def test_a_node_is_described_and_our_cordon_is_told_from_a_persons(stage: Stage) -> None:
    try:
        await cordon(stage.admin, "node-3", wanted=True)
        by_hand = await _node(stage, "node-3")
        await cordon(stage.admin, "node-3", wanted=True, annotation="i-7-1")
        by_us = await _node(stage, "node-3")
    finally:
        await cordon(stage.admin, "node-3", wanted=False, annotation="i-7-1")
    assert (by_hand.ready, by_hand.unschedulable, by_hand.ours, by_us.ours) == (True, True, False, True)
    assert (by_us.nodes, by_us.schedulable, by_us.cordoned, by_us.versions) == (3, 2, 1, ("v1.34.4",))
    assert by_hand.foreign is not None
    assert by_hand.foreign.manager == "kubectl-cordon"


async def test_nodes_in_motion_bear_no_action_on_nodes_and_ask_about_pods(stage: Stage) -> None:
    await stage.deploy()
    try:
        for each in ("node-2", "node-3"):
            await cordon(stage.admin, each, wanted=True)
        node = await _node(stage, "node-1")
        facts = await stage.watcher.runner(nodes=True).look(stage.watcher.asked())
    finally:
        for each in ("node-2", "node-3"):
            await cordon(stage.admin, each, wanted=False)
    assert [(each.hazard, each.verbs, each.asks) for each in node.dangers] == [(Hazard.nodes_in_motion, ("cordon", "uncordon"), False)]
    assert facts.workload is not None
    assert [(each.hazard, each.verbs, each.asks) for each in facts.workload.dangers] == [(Hazard.nodes_in_motion, (RESTART, EVICT), True)]


async def test_a_node_that_is_not_ready_leaves_no_room_to_scale(stage: Stage) -> None:
    await stage.deploy()
    stage.plane.kubelet.node_ready("node-3", False)
    try:
        await eventually(lambda: _says(stage, "NotReady"), what="a node that is not ready")
        facts = await stage.watcher.runner(nodes=True).look(stage.watcher.asked())
    finally:
        stage.plane.kubelet.node_ready("node-3", True)
        await eventually(lambda: _says(stage, ""), what="the node's return")
    assert facts.workload is not None
    assert [(each.hazard, each.verbs) for each in facts.workload.dangers] == [(Hazard.unschedulable, (SCALE, RESTART))]


async def _says(stage: Stage, wanted: str) -> bool:
    detail = (await _node(stage, "node-3")).detail
    return wanted in detail if wanted else not detail


async def test_without_leave_a_node_is_no_target(stage: Stage) -> None:
    assert (await stage.watcher.look(Hint(node="node-1"))).trouble is Trouble.unsupported_kind


async def test_the_page_of_a_node_tells_its_conditions_and_its_pods(stage: Stage) -> None:
    await stage.deploy()
    where = (await stage.pods())[0]["spec"]["nodeName"]
    try:
        await cordon(stage.admin, where, wanted=True)
        facts = await stage.watcher.runner(nodes=True).look(Look(LOOK, timedelta(seconds=10), hints=(Hint(node=where),)))
        evidence = NodeEvidence(stage.watcher.client, SystemClock(), namespaces={stage.namespace})
        pieces = dict[str, Evidence]()
        await EvidenceRunner([evidence]).collect(inquiry(facts.target), pieces)
        found = {title: each.lines for title, each in pieces.items()}
    finally:
        await cordon(stage.admin, where, wanted=False)
    assert found["node"][0].startswith("Ready True")
    assert found["node"][-2].startswith("taints: ")
    assert found["node"][-1].startswith("cordoned, not by us")
    assert any(each.startswith(f"{stage.namespace}/web-") for each in found["pods"])


async def _node(stage: Stage, name: str) -> Node:
    facts = await stage.watcher.runner(nodes=True).look(Look(LOOK, timedelta(seconds=10), hints=(Hint(node=name),)))
    assert facts.node is not None, (facts.trouble, facts.trouble_detail)
    return facts.node


# --- what it costs -------------------------------------------------------------------------------------------------------


async def test_until_the_first_action_25_requests_are_enough_and_a_poll_takes_two(
    stage: Stage, control_plane: ControlPlane, api_proxy: ApiProxy
) -> None:
    """Found by its crashing pods, paged at once with evidence beside it, confirmed by a second look."""
    await released("app:crash")(stage)
    await stage.watcher.until(lambda seen: seen.pods.restarts > 0, "a restart")
    proxied = await watcher_of(control_plane, stage.namespace, server=api_proxy.url)
    hints = tuple(stage.watcher.hint(pod=each["metadata"]["name"]) for each in await stage.pods())
    recent, asked = Recent(), proxied.asked()
    runner = proxied.runner(recent=recent)
    collectors = [each(proxied.client, SystemClock(), recent=recent) for each in (KubernetesEvidence, KubernetesLogs)]
    costs: list[int] = []

    async def counted(look: Look) -> Facts:
        before = len(api_proxy.requests)
        facts = await runner.look(look)
        costs.append(len(api_proxy.requests) - before)
        assert facts.workload is not None
        return facts

    first = await counted(Look(LOOK, timedelta(seconds=10), hints=hints))
    before = len(api_proxy.requests)
    await EvidenceRunner(collectors).collect(inquiry(first.target), {})
    page = len(api_proxy.requests) - before
    await counted(asked)
    await counted(Look(LOOK, timedelta(seconds=10), ref=asked.ref, light=True))
    await proxied.client.close()
    print(f"requests: first look {costs[0]}, page {page}, second look {costs[1]}, a poll while verifying {costs[2]}")
    assert costs[0] + costs[1] <= 25
    assert page <= 16  # nothing waits for them: events, endpoints, autoscalers, quotas, consumption, logs
    assert costs[2] == 2
