"""Every hazard of a Deployment: what shows it, which verbs it refuses, and that a sound Deployment has none."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from receiver.core.facts import Danger, Hazard
from receiver.observe.dangers import dangers
from receiver.observe.live import Live
from receiver.observe.scope import OptIn
from tests.unit.observe.objects import (
    SCOPE,
    Object,
    ago,
    crashing,
    deployment,
    homeless,
    killed,
    live,
    managed,
    namespace,
    other,
    pod,
    replica_set,
    template,
    three_pods,
)

SCALE, RESTART, UNDO = "scale", "rollout_restart", "rollout_undo"
ALL: tuple[str, ...] = ()
AIM = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
P = "alert-receiver.internal/"


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


def asking(**requests: str) -> list[Object]:
    pods = three_pods()
    for each in pods:
        each["spec"]["containers"][0]["resources"] = {"requests": requests}
    return pods


def test_a_sound_deployment_has_none() -> None:
    assert dangers(live(), SCOPE) == ()


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
    (owned_by("Kafka"), Hazard.operator, ALL, "Kafka boss"),
    (owned_by("Canary"), Hazard.flagger, ALL, "Canary boss"),
    (owned_by("Rollout"), Hazard.rollouts, ALL, "Rollout boss"),
    (live(None, other("Canary", "c", spec={"targetRef": AIM})), Hazard.flagger, ALL, "Canary c"),
    (live(None, other("Rollout", "r", spec={"workloadRef": AIM})), Hazard.rollouts, ALL, "Rollout r"),
    (changed(lambda d: d["spec"].update(paused=True)), Hazard.paused, (RESTART, UNDO), "web is paused"),
    (live(deployment(updatedReplicas=1)), Hazard.rollout_in_progress, (SCALE, RESTART), "progressing"),
    (live(deployment(updatedReplicas=1, conditions=[STUCK])), Hazard.rollout_in_progress, (SCALE, RESTART), "stuck"),
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
        (RESTART,),
        "karpenter.sh/do-not-disrupt",
    ),
    (changed(lambda d: d["metadata"]["labels"].update(migration="true")), Hazard.migrating, (UNDO,), "migration"),
    (live(noted(deployment(), **{f"{P}enabled": "false"}), of=namespace(**{f"{P}enabled": "true"})), Hazard.opted_out, ALL, "web carries"),
    (live(of=namespace(**{f"{P}enabled": "false"})), Hazard.opted_out, ALL, "namespace shop"),
    (told(undo="never"), Hazard.opted_out, (UNDO,), "never"),
    (told(**{"disabled-until": "2026-11-20T12:00:01Z"}), Hazard.opted_out, ALL, "disabled-until"),
    (told(**{"disabled-until": "2026-11-20T11:59:59Z"}), None, ALL, ""),
    (told(**{"disabled-until": "tomorrow"}), Hazard.opted_out, ALL, "tomorrow"),
    (told(allow="restart, scale"), Hazard.verb_not_allowed, (UNDO,), "restart, scale"),
    (told(allow="everything"), Hazard.verb_not_allowed, (SCALE, RESTART, UNDO), "everything"),
    (told(allow="scale,restart,undo"), None, ALL, ""),
    (told(**{"max-replicas": "lots"}), Hazard.max_unknown, (SCALE,), "lots"),
]


@pytest.mark.parametrize("found,hazard,verbs,said", ROWS)
def test_each_hazard_is_seen_alone_and_refuses_its_verbs(found: Live, hazard: Hazard | None, verbs: tuple[str, ...], said: str) -> None:
    seen = [each for each in dangers(found, SCOPE) if each.hazard is not Hazard.rollout_in_progress or hazard is each.hazard]
    if hazard is None:
        assert seen == []
    else:
        assert [(each.hazard, each.verbs) for each in seen] == [(hazard, verbs)]
        assert said in seen[0].detail


def test_every_hazard_has_a_row_that_shows_it() -> None:
    elsewhere = {Hazard.system_namespace, Hazard.not_opted_in}
    assert {row[1] for row in ROWS if row[1]} == set(Hazard) - elsewhere


def test_another_workloads_autoscaler_is_no_hazard() -> None:
    for aim in (AIM | {"name": "other"}, AIM | {"kind": "StatefulSet"}, AIM | {"apiVersion": "acme.example/v1"}):
        stranger = other("HorizontalPodAutoscaler", "x", spec={"scaleTargetRef": aim})
        assert dangers(live(None, stranger), SCOPE) == ()


def test_without_the_owners_yes_nothing_is_done() -> None:
    silent = deployment()
    silent["metadata"]["annotations"].pop(f"{P}enabled")
    assert dangers(live(silent), SCOPE) == (Danger(Hazard.not_opted_in, f'neither web nor namespace shop carries {P}enabled: "true"'),)


def test_the_namespaces_yes_is_enough() -> None:
    silent = deployment()
    silent["metadata"]["annotations"].pop(f"{P}enabled")
    assert dangers(live(silent, of=namespace(**{f"{P}enabled": "true"})), SCOPE) == ()


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


@pytest.mark.parametrize("kind,hazard", [("StatefulSet", Hazard.stateful), ("DaemonSet", Hazard.stateful), ("Rollout", Hazard.rollouts)])
def test_another_kind_refuses_everything(kind: str, hazard: Hazard) -> None:
    found = live()
    stranger = replace(found, ref=replace(found.ref, kind=kind))
    assert [(each.hazard, each.verbs) for each in dangers(stranger, SCOPE)] == [(hazard, ALL)]


def test_a_vertical_autoscaler_is_left_to_work_once_memory_kills() -> None:
    vpa = other("VerticalPodAutoscaler", "v", spec={"targetRef": AIM, "updatePolicy": {"updateMode": "Auto"}})
    seen = dangers(live(None, vpa, pods=[killed(lived=timedelta(minutes=3))]), SCOPE)
    assert [each.verbs for each in seen] == [(RESTART,), (SCALE, RESTART)]
    assert dangers(live(None, vpa), SCOPE) == ()


def test_a_quota_for_jobs_does_not_concern_a_service() -> None:
    jobs = quota({"pods": "0"}, {"pods": "0"})
    jobs["spec"] = {"scopes": ["Terminating"]}
    assert dangers(live(None, jobs), SCOPE) == ()


def test_what_a_limit_range_filled_in_counts_against_the_quota() -> None:
    """The template says nothing of cpu; the admitted pods do."""
    found = live(
        deployment(),
        replica_set(template(), revision=1, made=ago(hours=3), available=3),
        quota({"limits.cpu": "4"}, {"limits.cpu": "3"}),
        pods=[each | {"spec": {"containers": [{"name": "app", "resources": {"limits": {"cpu": "1"}}}]}} for each in three_pods()],
    )
    assert [each.verbs for each in dangers(found, SCOPE)] == [(SCALE,)]
