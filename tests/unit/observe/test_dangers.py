"""Every hazard: what shows it, which verbs it refuses or asks a person about, and that a sound workload has none."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from receiver.core.facts import TOLD, Danger, Hazard
from receiver.observe import dangers as table
from receiver.observe.live import Live
from receiver.observe.scope import OptIn, Scope
from tests.unit.observe.objects import (
    SCOPE,
    Object,
    ago,
    controller_revision,
    crashing,
    daemon_set,
    deployment,
    homeless,
    killed,
    live,
    managed,
    member,
    namespace,
    node,
    other,
    pod,
    replica_set,
    stateful_set,
    template,
    three_pods,
)

SCALE, RESTART, UNDO, EVICT = "scale", "rollout_restart", "rollout_undo", "evict_pod"
ALL: tuple[str, ...] = ()
AIM = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
P = "alert-receiver.internal/"


def dangers(found: Live, scope: Scope = SCOPE) -> tuple[Danger, ...]:
    return table.dangers(found, scope, unready_for=timedelta(minutes=2))


def changed(change: Callable[[Object], object]) -> Live:
    found = deployment()
    change(found)
    return live(found)


def noted(obj: Object, **notes: str) -> Object:
    obj["metadata"]["annotations"] |= notes
    return obj


def told(**notes: str) -> Live:
    return live(noted(deployment(), **{P + key: value for key, value in notes.items()}))


def owned_by(kind: str) -> Live:
    owner = {"kind": kind, "name": "boss", "uid": "u", "controller": True}
    return changed(lambda found: found["metadata"].update(ownerReferences=[owner]))


def hpa(name: str = "web", **meta: Any) -> Object:
    return other("HorizontalPodAutoscaler", name, spec={"scaleTargetRef": AIM, "minReplicas": 2, "maxReplicas": 9}, **meta)


def quota(hard: dict[str, str], used: dict[str, str]) -> Object:
    return other("ResourceQuota", "small", status={"hard": hard, "used": used})


def pdb(healthy: int, wanted: int, **spec: Any) -> Object:
    status = {"currentHealthy": healthy, "desiredHealthy": wanted, "observedGeneration": 1}
    return other("PodDisruptionBudget", "web", spec={"selector": {"matchLabels": {"app": "web"}}} | spec, status=status, generation=1)


TOP = {"conditions": [{"type": "ScalingLimited", "status": "True", "reason": "TooManyReplicas"}]}
BLIND = {"conditions": [{"type": "ScalingActive", "status": "False", "reason": "FailedGetResourceMetric", "message": "no metrics"}]}
FLUX = "kustomize.toolkit.fluxcd.io/"


def scaled_object(**notes: str) -> Object:
    return other("ScaledObject", "so", spec={"scaleTargetRef": {"name": "web"}}, annotations=notes)


def flux(**notes: str) -> Object:
    found = noted(deployment(), **notes)
    found["metadata"]["labels"] |= {f"{FLUX}name": "apps", f"{FLUX}namespace": "flux-system"}
    return found


def helm_release() -> Object:
    found = noted(deployment(), **{"meta.helm.sh/release-name": "shop", "meta.helm.sh/release-namespace": "shop"})
    found["metadata"]["labels"]["app.kubernetes.io/managed-by"] = "Helm"
    return found


def probe_failed(message: str, *, about: str = "uid-web-1-r") -> Object:
    return other("Event", "e", uid="e") | {"reason": "Unhealthy", "message": message, "involvedObject": {"kind": "Pod", "uid": about}}


def restarted(last_words: str = "") -> Object:
    """Ready again after a long life; `last_words` is what its container left."""
    found = pod("web-1-r")
    end = {"reason": "Error", "exitCode": 143, "startedAt": ago(hours=9), "finishedAt": ago(minutes=3), "message": last_words}
    found["status"]["containerStatuses"][0] |= {"restartCount": 1, "lastState": {"terminated": end}}
    return found


def sized(**requests: str) -> Object:
    found = deployment()
    found["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": requests}
    return found


def limit_range(kind: str, **bounds: dict[str, str]) -> Object:
    return other("LimitRange", "limits", spec={"limits": [{"type": kind} | bounds]})


def revision_one(kind: str = "StatefulSet") -> Object:
    return controller_revision(template(), 1, made=ago(days=1), kind=kind)


def asking(**requests: str) -> list[Object]:
    pods = three_pods()
    for each in pods:
        each["spec"]["containers"][0]["resources"] = {"requests": requests}
    return pods


def test_a_sound_deployment_has_none() -> None:
    assert dangers(live()) == ()


STUCK = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out"}
KEDA: Object = {"ownerReferences": [{"kind": "ScaledObject", "name": "web", "uid": "u", "controller": True}]}

ROWS = [
    (live(None, hpa()), Hazard.hpa, (SCALE,), "HorizontalPodAutoscaler web"),
    (live(None, hpa(**KEDA)), Hazard.keda, (SCALE,), "web"),
    (live(None, hpa("keda-hpa-web")), Hazard.keda, (SCALE,), "keda-hpa-web"),
    (live(None, other("ScaledObject", "so", spec={"scaleTargetRef": {"name": "web"}})), Hazard.keda, (SCALE,), "ScaledObject so"),
    (told(), None, ALL, ""),
    (live(noted(deployment(), **{"argocd.argoproj.io/tracking-id": "a:apps/Deployment:shop/web"})), Hazard.gitops, (SCALE, UNDO), "argocd"),
    (changed(lambda d: d["metadata"]["labels"].update({"argocd.argoproj.io/instance": "a"})), Hazard.gitops, (SCALE, UNDO), "argocd"),
    (
        changed(lambda d: d["metadata"]["labels"].update({"kustomize.toolkit.fluxcd.io/name": "a"})),
        Hazard.gitops,
        (SCALE, UNDO),
        "kustomize",
    ),
    (changed(lambda d: d["metadata"]["labels"].update({"helm.toolkit.fluxcd.io/name": "a"})), Hazard.gitops, (SCALE, UNDO), "helm"),
    (live(managed(deployment(), "kustomize-controller", at=ago(days=1))), Hazard.gitops, (SCALE, UNDO), "kustomize-controller"),
    (changed(lambda d: d["metadata"]["labels"].update({"app.kubernetes.io/instance": "a"})), None, ALL, ""),
    (owned_by("Kafka"), Hazard.operator, (SCALE, RESTART, UNDO), "Kafka boss"),
    (owned_by("Canary"), Hazard.flagger, ALL, "Canary boss"),
    (owned_by("Rollout"), Hazard.rollouts, ALL, "Rollout boss"),
    (live(None, other("Canary", "c", spec={"targetRef": AIM})), Hazard.flagger, ALL, "Canary c"),
    (live(None, other("Rollout", "r", spec={"workloadRef": AIM})), Hazard.rollouts, ALL, "Rollout r"),
    (changed(lambda d: d["spec"].update(paused=True)), Hazard.paused, (RESTART, UNDO), "web is paused"),
    (live(deployment(updatedReplicas=1)), Hazard.rollout_in_progress, (SCALE, RESTART, EVICT), "progressing"),
    (live(deployment(updatedReplicas=1, conditions=[STUCK])), Hazard.rollout_in_progress, (SCALE, RESTART, EVICT), "stuck"),
    (live(deployment(observedGeneration=3)), Hazard.not_observed, ALL, "generation 4"),
    (live(None, quota({"pods": "4"}, {"pods": "3"})), Hazard.quota, (SCALE,), "small has no room: pods 3 of 4 used, 2 more"),
    (live(None, quota({"pods": "3"}, {"pods": "3"})), Hazard.quota, (SCALE, RESTART), "small"),
    (live(None, quota({"pods": "5"}, {"pods": "3"})), None, ALL, ""),
    (
        live(None, quota({"requests.cpu": "2"}, {"requests.cpu": "1500m"}), pods=asking(cpu="500m")),
        Hazard.quota,
        (SCALE,),
        "requests.cpu 1.5 of 2 used, 2 more pods need 1",
    ),
    (live(None, quota({"memory": "4Gi"}, {"memory": "3Gi"}), pods=asking(memory="512Mi")), None, ALL, ""),
    (live(None, quota({"pods": "many"}, {})), Hazard.quota, (SCALE, RESTART), "cannot be read"),
    (live(pods=[*three_pods(), homeless()]), Hazard.unschedulable, (SCALE, RESTART), "web-1-x"),
    (live(None, pdb(2, 3)), Hazard.pdb, (RESTART,), "wants 3 healthy of now 2"),
    (live(None, pdb(3, 3)), None, ALL, ""),
    (live(deployment(replicas=4), pdb(4, 4), pods=[pod()]), Hazard.pdb, (RESTART,), "a restart takes 1"),
    (live(deployment(available=0), pdb(0, 2), pods=[pod(ready=False)]), None, ALL, ""),
    (live(None, pdb(2, 3, selector={"matchLabels": {"app": "other"}})), None, ALL, ""),
    (live(None, pdb(2, 3, selector={})), Hazard.pdb, (RESTART,), "PodDisruptionBudget web"),
    (live(deployment(replicas=1)), Hazard.singleton, (RESTART,), "one replica"),
    (live(deployment(replicas=0)), Hazard.singleton, ALL, "scaled to 0"),
    (changed(lambda d: d["spec"].update(strategy={"type": "Recreate"})), Hazard.singleton, (RESTART,), "Recreate"),
    (live(pods=[pod(), crashing("web-1-z", reason="ImagePullBackOff")]), Hazard.image_pull, (RESTART,), "web-1-z: ImagePullBackOff"),
    (live(pods=[pod(), crashing("web-1-z")]), Hazard.config_error, (RESTART,), "web-1-z: CrashLoopBackOff"),
    (live(pods=[crashing("z", reason="CreateContainerConfigError")]), Hazard.config_error, (RESTART,), "CreateContainerConfigError"),
    (live(pods=[killed(lived=timedelta(minutes=3))]), Hazard.oom_early, (RESTART,), "web-1-a"),
    (live(pods=[killed(lived=timedelta(hours=3))]), None, ALL, ""),
    (
        changed(lambda d: d["spec"]["template"]["spec"].update(priorityClassName="system-node-critical")),
        Hazard.system_priority,
        ALL,
        "system",
    ),
    (
        changed(
            lambda d: d["spec"]["template"]["spec"].update(volumes=[{"name": "d", "persistentVolumeClaim": {"claimName": "web-data"}}])
        ),
        Hazard.stateful,
        ALL,
        "claim web-data",
    ),
    (live(deployment(template("registry:5000/bitnami/postgresql:16@sha256:ab"))), Hazard.stateful, ALL, "postgresql"),
    (live(deployment(name="orders-redis")), Hazard.stateful, ALL, "redis"),
    (live(deployment(name="kafka-consumer")), None, ALL, ""),
    (
        live(deployment(template(annotations={"karpenter.sh/do-not-disrupt": "true"}))),
        Hazard.do_not_disrupt,
        (RESTART, EVICT),
        "karpenter.sh/do-not-disrupt",
    ),
    (changed(lambda d: d["metadata"]["labels"].update(migration="true")), Hazard.migrating, ALL, "migration"),
    (live(noted(deployment(), **{f"{P}enabled": "false"}), of=namespace(**{f"{P}enabled": "true"})), Hazard.opted_out, ALL, "web carries"),
    (live(of=namespace(**{f"{P}enabled": "false"})), Hazard.opted_out, ALL, "namespace shop"),
    (told(undo="never"), Hazard.opted_out, (UNDO,), "never"),
    (told(**{"disabled-until": "2026-11-20T12:00:01Z"}), Hazard.opted_out, ALL, "disabled-until"),
    (told(**{"disabled-until": "2026-11-20T11:59:59Z"}), None, ALL, ""),
    (told(**{"disabled-until": "tomorrow"}), Hazard.opted_out, ALL, "tomorrow"),
    (told(allow="restart, scale"), Hazard.verb_not_allowed, (UNDO, EVICT), "restart, scale"),
    (told(allow="everything"), Hazard.verb_not_allowed, (SCALE, RESTART, UNDO, EVICT), "everything"),
    (told(allow="scale,restart,undo,evict"), None, ALL, ""),
    (told(**{"max-replicas": "lots"}), Hazard.max_unknown, (SCALE,), "lots"),
    (live(None, hpa(status=TOP)), Hazard.hpa, (SCALE,), "at its maximum"),
    (live(None, hpa(status=BLIND)), Hazard.hpa, (SCALE,), "does not scale now: FailedGetResourceMetric"),
    (live(None, scaled_object(**{"autoscaling.keda.sh/paused-replicas": "0"})), Hazard.keda, (SCALE,), "paused on purpose"),
    (live(flux(**{f"{FLUX}reconcile": "disabled"})), Hazard.gitops, TOLD, "reconcile: disabled"),
    (live(flux(**{f"{FLUX}ssa": "Ignore"})), Hazard.gitops, TOLD, "ssa: Ignore"),
    (live(flux(**{f"{FLUX}ssa": "Merge"})), Hazard.gitops, (SCALE, UNDO), "kustomize"),
    (live(managed(flux(**{f"{FLUX}reconcile": "disabled"}), "argocd-controller", at=ago(days=1))), Hazard.gitops, (SCALE, UNDO), "argocd"),
    (live(helm_release()), Hazard.helm, TOLD, "release shop is live in Helm's books (app:1)"),
    (live(None, probe_failed("Liveness probe failed: timeout"), pods=[pod(), restarted()]), Hazard.probes_fail, (RESTART,), "web-1-r"),
    (live(None, probe_failed("Readiness probe failed: timeout"), pods=[pod(), restarted()]), None, ALL, ""),
    (live(None, probe_failed("Liveness probe failed", about="uid-other"), pods=[pod(), restarted()]), None, ALL, ""),
    (live(None, probe_failed("Liveness probe failed: once"), pods=[pod(), pod("web-1-r")]), None, ALL, ""),
    (live(pods=[pod(), restarted("FATAL: remaining connection slots are reserved")]), Hazard.connections, (SCALE,), "web-1-r says"),
    (live(pods=[pod(), restarted("Error 1040: Too many connections")]), Hazard.connections, (SCALE,), "Too many connections"),
    (live(None, probe_failed("Readiness probe failed: too many clients"), pods=[restarted()]), Hazard.connections, (SCALE,), "clients"),
    (live(pods=[pod(), restarted("many connections, all well")]), None, ALL, ""),
    (
        live(deployment(), *(homeless(f"other-{each}") for each in range(6))),
        Hazard.unschedulable,
        (SCALE, RESTART),
        "6 pods of the namespace",
    ),
    (live(deployment(), *(homeless(f"other-{each}") for each in range(5))), None, ALL, ""),
    (live(None, node("n1"), node("n2", conditions={"DiskPressure": "True"})), Hazard.unschedulable, (SCALE, RESTART), "n2 (DiskPressure)"),
    (live(None, node("n1"), node("n2", ready=False)), Hazard.unschedulable, (SCALE, RESTART), "n2 (NotReady for 4m)"),
    (live(None, node("n1"), node("n2")), None, ALL, ""),
    (live(None, node("n1", unschedulable=True), node("n2")), None, ALL, ""),
    (
        live(None, node("n1", unschedulable=True), node("n2", unschedulable=True), node("n3")),
        Hazard.nodes_in_motion,
        (RESTART, EVICT),
        "2 of 3 nodes",
    ),
    (live(None, node("n1"), node("n2", version="v1.35.1")), Hazard.nodes_in_motion, (RESTART, EVICT), "v1.34.4, v1.35.1"),
    (live(sized(cpu="2"), limit_range("Container", max={"cpu": "1"})), Hazard.quota, (SCALE, RESTART), "cpu 2 is above its maximum 1"),
    (live(sized(cpu="50m"), limit_range("Pod", min={"cpu": "100m"})), Hazard.quota, (SCALE, RESTART), "below its minimum 100m"),
    (live(sized(cpu="500m"), limit_range("Container", max={"cpu": "1"}, min={"cpu": "100m"})), None, ALL, ""),
    (live(sized(cpu="2"), limit_range("PersistentVolumeClaim", max={"cpu": "1"})), None, ALL, ""),
    (live(sized(cpu="2"), limit_range("Pod", max={"cpu": "lots"})), Hazard.quota, (SCALE, RESTART), "cannot be read"),
    (
        live(deployment(), pdb(2, 1), pdb(2, 1), pods=[pod(), crashing("web-1-z")]),
        Hazard.pdb,
        (EVICT,),
        "2 PodDisruptionBudgets select web-1-z",
    ),
    (changed(lambda d: d["spec"].update(minReadySeconds=30)), Hazard.stateful, ALL, "minReadySeconds 30"),
    (live(stateful_set(), revision_one()), Hazard.stateful, ALL, "StatefulSet web keeps"),
    (live(stateful_set(updateStrategy={"type": "OnDelete"}), revision_one()), Hazard.partitioned, (RESTART, UNDO), "OnDelete"),
    (
        live(stateful_set(updateStrategy={"rollingUpdate": {"partition": 2}}), revision_one()),
        Hazard.partitioned,
        (RESTART, UNDO),
        "partition 2",
    ),
    (live(stateful_set(replicas=1), revision_one(), pods=[pod()]), Hazard.singleton, (RESTART,), "StatefulSet web has one replica"),
    (live(daemon_set(), revision_one("DaemonSet")), Hazard.per_node, (SCALE,), "DaemonSet web"),
    (live(daemon_set(updateStrategy={"type": "OnDelete"}), revision_one("DaemonSet")), Hazard.partitioned, (RESTART, UNDO), "OnDelete"),
    (live(daemon_set(wanted=0), revision_one("DaemonSet"), pods=[]), Hazard.singleton, ALL, "no node wants it"),
]

ASKING = {Hazard.stateful, Hazard.migrating, Hazard.do_not_disrupt, Hazard.nodes_in_motion}
"""A person decides; the others refuse. So does a restart of the only replica."""


ALWAYS = {"StatefulSet": Hazard.stateful, "DaemonSet": Hazard.per_node}
"""Each of that kind has it."""
COMPANIONS = {Hazard.image_pull, Hazard.config_error, Hazard.unschedulable}
"""Of another hazard's row: a pod is unwell, or a node."""
ECS_ONLY = {Hazard.autoscaling, Hazard.circuit_breaker, Hazard.deployment_controller, Hazard.not_active}


@pytest.mark.parametrize("found,hazard,verbs,said", ROWS)
def test_each_hazard_is_seen_alone_and_refuses_its_verbs(found: Live, hazard: Hazard | None, verbs: tuple[str, ...], said: str) -> None:
    ignored = {Hazard.rollout_in_progress, ALWAYS.get(found.kind), *(COMPANIONS if hazard in (Hazard.pdb, Hazard.nodes_in_motion) else ())}
    seen = [each for each in dangers(found) if each.hazard is hazard or each.hazard not in ignored]
    if hazard is None:
        assert seen == []
    else:
        assert [(each.hazard, each.verbs) for each in seen] == [(hazard, verbs)]
        assert said in seen[0].detail
        only_one = hazard is Hazard.singleton and verbs == (RESTART,)
        assert seen[0].asks is (hazard in ASKING or only_one)


def test_every_hazard_has_a_row_that_shows_it() -> None:
    elsewhere = {Hazard.system_namespace, Hazard.not_opted_in, *ECS_ONLY}
    assert {row[1] for row in ROWS if row[1]} == set(Hazard) - elsewhere


def test_another_workloads_autoscaler_is_no_hazard() -> None:
    for aim in (AIM | {"name": "other"}, AIM | {"kind": "StatefulSet"}, AIM | {"apiVersion": "acme.example/v1"}):
        stranger = other("HorizontalPodAutoscaler", "x", spec={"scaleTargetRef": aim})
        assert dangers(live(None, stranger)) == ()


def test_without_the_owners_yes_nothing_is_done() -> None:
    silent = deployment()
    silent["metadata"]["annotations"].pop(f"{P}enabled")
    assert dangers(live(silent)) == (Danger(Hazard.not_opted_in, f'neither web nor namespace shop carries {P}enabled: "true"'),)


def test_the_namespaces_yes_is_enough() -> None:
    silent = deployment()
    silent["metadata"]["annotations"].pop(f"{P}enabled")
    assert dangers(live(silent, of=namespace(**{f"{P}enabled": "true"}))) == ()


def test_where_the_allow_list_is_the_consent_an_opt_out_still_wins() -> None:
    lax = replace(SCOPE, opt_in=OptIn.namespace)
    silent, unwilling = deployment(), deployment()
    silent["metadata"]["annotations"].pop(f"{P}enabled")
    unwilling["metadata"]["annotations"][f"{P}enabled"] = "no"
    assert dangers(live(silent), lax) == ()
    assert [each.hazard for each in dangers(live(unwilling), lax)] == [Hazard.opted_out]


@pytest.mark.parametrize("where", ["kube-system", "receiver"])
def test_a_system_namespace_is_a_hazard_even_when_it_is_on_the_list(where: str) -> None:
    moved = copy.deepcopy(deployment())
    moved["metadata"]["namespace"] = where
    scope = replace(SCOPE, namespaces=frozenset({where}))
    assert Danger(Hazard.system_namespace, f"namespace {where} is never acted in") in dangers(live(moved), scope)


def test_a_rollout_is_only_shown() -> None:
    found = live()
    assert Danger(Hazard.rollouts, "Rollout web: its own controller aborts and undoes it") in dangers(
        replace(found, ref=replace(found.ref, kind="Rollout"))
    )


def test_the_ordinal_that_a_rollout_waits_for_may_be_removed() -> None:
    """Everything else waits until it is over."""
    found = stateful_set(ready=2)
    found["status"] |= {"updatedReplicas": 2, "updateRevision": "web-1"}
    pods = [member("web-0", "web-1"), member("web-1", "web-1"), member("web-2", "web-2", crash=True)]
    seen = {each.hazard: each.verbs for each in dangers(live(found, revision_one(), pods=pods))}
    assert seen[Hazard.rollout_in_progress] == (SCALE, RESTART)


def test_a_vertical_autoscaler_is_left_to_work_once_memory_kills() -> None:
    vpa = other("VerticalPodAutoscaler", "v", spec={"targetRef": AIM, "updatePolicy": {"updateMode": "Auto"}})
    seen = dangers(live(None, vpa, pods=[killed(lived=timedelta(minutes=3))]))
    assert [each.verbs for each in seen] == [(RESTART,), (SCALE, RESTART)]


def test_a_quota_for_jobs_does_not_concern_a_service() -> None:
    jobs = quota({"pods": "0"}, {"pods": "0"})
    jobs["spec"] = {"scopes": ["Terminating"]}
    assert dangers(live(None, jobs)) == ()


def test_what_a_limit_range_filled_in_counts_against_the_quota() -> None:
    """The template says nothing of cpu; the admitted pods do."""
    found = live(
        deployment(),
        replica_set(template(), revision=1, made=ago(hours=3), available=3),
        quota({"limits.cpu": "4"}, {"limits.cpu": "3"}),
        pods=[each | {"spec": {"containers": [{"name": "app", "resources": {"limits": {"cpu": "1"}}}]}} for each in three_pods()],
    )
    assert [each.verbs for each in dangers(found)] == [(SCALE,)]
