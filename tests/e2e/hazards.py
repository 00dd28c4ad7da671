"""What a hazard is made of on a real API server: manifests, and one way each to bring it about."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from tests.e2e.conftest import Deploy
from tests.e2e.looker import Watcher
from tests.real import workloads
from tests.real.kube_api import STRATEGIC, ApiError, KubeApi, Object
from tests.real.kubernetes import ControlPlane
from tests.real.processes import eventually

AIM = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
SELECTOR = {"selector": {"matchLabels": {"app": "web"}}}
CUSTOM = {
    "Rollout": ("argoproj.io", "v1alpha1", "rollouts"),
    "Canary": ("flagger.app", "v1beta1", "canaries"),
    "ScaledObject": ("keda.sh", "v1alpha1", "scaledobjects"),
    "VerticalPodAutoscaler": ("autoscaling.k8s.io", "v1", "verticalpodautoscalers"),
}
"""Kinds whose CustomResourceDefinitions the tests install."""


@dataclass(frozen=True)
class Stage:
    """Where a row of the table is brought about."""

    plane: ControlPlane
    watcher: Watcher
    deploy: Deploy

    @property
    def admin(self) -> KubeApi:
        return self.plane.admin

    @property
    def namespace(self) -> str:
        return self.watcher.namespace

    async def patch(self, body: Object, *, kind: str = "Deployment", manager: str = "real-tests") -> None:
        await self.admin.patch(workloads.path(self.namespace, "web", kind=kind), body, fieldManager=manager)

    async def beside(self, *manifests: Object) -> None:
        await self.admin.apply(manifests, namespace=self.namespace)

    async def pods(self) -> list[Object]:
        return await workloads.pods(self.admin, self.namespace, "web")

    async def event(self, pod: Object, message: str) -> None:
        """As kubelet reports a failed probe."""
        meta = pod["metadata"]
        about = {"kind": "Pod", "namespace": self.namespace, "name": meta["name"], "uid": meta["uid"], "apiVersion": "v1"}
        body: Object = {
            "apiVersion": "v1", "kind": "Event", "metadata": {"name": f"{meta['name']}.1", "namespace": self.namespace},
            "involvedObject": about, "reason": "Unhealthy", "type": "Warning", "message": message, "count": 3,
        }  # fmt: skip
        await self.admin.post(f"/api/v1/namespaces/{self.namespace}/events", body)


Arrange = Callable[[Stage], Awaitable[object]]


def deployed(image: str = "app:good", **given: object) -> Arrange:
    """A complete workload, made as told."""

    async def arranged(stage: Stage) -> None:
        await stage.deploy(image, **given)

    return arranged


def released(image: str, **given: object) -> Arrange:
    """A sound workload, then another image."""

    async def arranged(stage: Stage) -> None:
        await stage.deploy(**given)
        await workloads.set_image(stage.admin, stage.namespace, "web", image, kind=str(given.get("kind", "Deployment")))

    return arranged


def beside(*manifests: Object) -> Arrange:
    """A sound Deployment, and these in its namespace."""

    async def arranged(stage: Stage) -> None:
        await stage.deploy()
        await stage.beside(*manifests)

    return arranged


def patched(body: Object, *, manager: str = "real-tests") -> Arrange:
    """A sound Deployment, changed."""

    async def arranged(stage: Stage) -> None:
        await stage.deploy()
        await stage.patch(body, manager=manager)

    return arranged


def custom(kind: str, spec: Object, **annotations: str) -> Object:
    group, version, _ = CUSTOM[kind]
    return {"apiVersion": f"{group}/{version}", "kind": kind, "metadata": {"name": "web", "annotations": annotations}, "spec": spec}


def hpa(name: str = "web", *, most: int = 9) -> Object:
    spec = {"scaleTargetRef": AIM, "minReplicas": 3, "maxReplicas": most}
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": name}, "spec": spec}


def budget(name: str = "web", **spec: object) -> Object:
    return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name}, "spec": SELECTOR | spec}


def plain(kind: str, spec: Object) -> Object:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": "web"}, "spec": spec}


async def hpa_at_its_maximum(stage: Stage) -> None:
    """Its controller writes the status every 15 s; without metrics it never says so by itself."""
    await stage.deploy()
    await stage.beside(hpa(most=3))
    path = f"/apis/autoscaling/v2/namespaces/{stage.namespace}/horizontalpodautoscalers/web"
    limited = {"type": "ScalingLimited", "status": "True", "reason": "TooManyReplicas", "message": "at most 3"}
    await stage.admin.until(path, lambda found: bool(found.get("status", {}).get("conditions")))
    await stage.admin.patch(f"{path}/status", {"status": {"currentReplicas": 3, "desiredReplicas": 3, "conditions": [limited]}})


async def owned_by_an_operator(stage: Stage) -> None:
    """The owner is there: otherwise the garbage collector takes the Deployment."""
    made = await stage.admin.post(
        f"/api/v1/namespaces/{stage.namespace}/configmaps",
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "boss", "namespace": stage.namespace}},
    )
    await stage.deploy()
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "boss", "uid": made["metadata"]["uid"], "controller": True}
    await stage.patch({"metadata": {"ownerReferences": [owner]}})


async def primary_of_a_canary(stage: Stage) -> None:
    """What Flagger makes of a Deployment `shop`: its own copy, which it controls."""
    spec = {"targetRef": AIM | {"name": "shop"}}
    (made,) = await stage.admin.apply(_named("shop", custom("Canary", spec)), namespace=stage.namespace)
    await stage.deploy()
    await stage.patch({"metadata": {"ownerReferences": [_controlled_by(made)]}})


async def pod_of_a_rollout(stage: Stage) -> str:
    """As Argo's controller makes it: Rollout, ReplicaSet, pod. The pod's name."""
    template = workloads.deployment("web", "app:good")["spec"]["template"]
    spec = {"replicas": 1, **SELECTOR, "template": template}
    (rollout,) = await stage.admin.apply(custom("Rollout", spec), namespace=stage.namespace)
    owned = {"name": "web-1", "labels": {"app": "web"}, "ownerReferences": [_controlled_by(rollout)]}
    await stage.beside({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": owned, "spec": spec})
    pods = await eventually(stage.pods, what="a pod of the Rollout")
    return str(pods[0]["metadata"]["name"])


def _named(name: str, manifest: Object) -> Object:
    return manifest | {"metadata": manifest["metadata"] | {"name": name}}


def _controlled_by(owner: Object) -> Object:
    return {key: owner[key] for key in ("apiVersion", "kind")} | {
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
    }


async def limited(stage: Stage) -> None:
    """Less than it asks for is allowed since."""
    await stage.deploy()
    container = {"name": "app", "image": "app:good", "resources": {"requests": {"cpu": "100m"}}}
    await stage.patch({"spec": {"template": {"spec": {"containers": [container]}}}})
    await stage.beside(plain("LimitRange", {"limits": [{"type": "Container", "min": {"cpu": "200m"}}]}))


async def crowded(stage: Stage) -> None:
    """Six pods of somebody else that no node takes."""
    await stage.deploy()
    giant = workloads.deployment("giant", "app:good", replicas=6)
    giant["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "1000"}}
    await stage.beside(giant)


async def too_large(stage: Stage) -> None:
    giant = workloads.deployment("web", "app:good", replicas=2)
    giant["metadata"]["annotations"] = {"alert-receiver.internal/enabled": "true"}
    giant["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "1000"}}
    await stage.beside(giant)


async def memory_kills(stage: Stage) -> None:
    await released("app:oom")(stage)
    spec = {"targetRef": AIM, "updatePolicy": {"updateMode": "Auto"}}
    await stage.beside(custom("VerticalPodAutoscaler", spec))


async def probes_kill(stage: Stage) -> None:
    await released("app:crash")(stage)
    pod = await eventually(lambda: _restarted(stage), what="a restarted pod")
    await stage.event(pod, "Liveness probe failed: HTTP probe failed with statuscode: 503")


async def database_is_full(stage: Stage) -> None:
    """Its readiness probe says why."""
    image = f"app:full-{stage.namespace}"
    await stage.deploy(image)
    stage.plane.kubelet.sick(image, new_pods=True)
    pod = (await stage.pods())[0]
    await stage.event(pod, "Readiness probe failed: FATAL: sorry, too many clients already")


async def its_last_words(stage: Stage) -> None:
    """What its container wrote to the termination log."""
    await stage.deploy()
    await _ended(stage, {"exitCode": 1, "reason": "Error", "message": "django.db.utils.OperationalError: (1040, 'Too many connections')"})


async def slow_leak(stage: Stage) -> None:
    """Killed for memory two hours after its start, and well again."""
    await stage.deploy()
    times = {"startedAt": "2026-01-01T08:00:00Z", "finishedAt": "2026-01-01T10:00:00Z"}
    await _ended(stage, {"exitCode": 137, "reason": "OOMKilled", **times})


async def _ended(stage: Stage, ended: Object) -> None:
    """How the container of one pod ended before the present one."""
    pod = (await stage.pods())[0]
    status = {"containerStatuses": [pod["status"]["containerStatuses"][0] | {"restartCount": 1, "lastState": {"terminated": ended}}]}
    path = f"/api/v1/namespaces/{stage.namespace}/pods/{pod['metadata']['name']}/status"
    await stage.admin.patch(path, {"status": status}, content_type=STRATEGIC)


async def _restarted(stage: Stage) -> Object | None:
    found = [each for each in await stage.pods() if any(of["restartCount"] for of in each["status"].get("containerStatuses", ()))]
    return found[0] if found else None


async def two_budgets_over_a_crashing_pod(stage: Stage) -> None:
    await released("app:crash")(stage)
    await stage.beside(budget("one", minAvailable=1), budget("two", minAvailable=1))


async def stuck_after_an_undo(stage: Stage) -> None:
    """Fact 9: the crash-looping ordinal of an OrderedReady StatefulSet stays on the revision that was rolled away from."""
    await released("app:crash", kind="StatefulSet")(stage)
    await eventually(lambda: _restarted(stage), what="a restarted ordinal")
    await workloads.set_image(stage.admin, stage.namespace, "web", "app:good", kind="StatefulSet")


async def scaled_to_zero(stage: Stage) -> None:
    await stage.deploy()
    await stage.admin.patch(f"{workloads.path(stage.namespace, 'web')}/scale", {"spec": {"replicas": 0}})
    await eventually(lambda: _no_pods(stage), what="no pods")


async def _no_pods(stage: Stage) -> bool:
    return not await stage.pods()


async def install(admin: KubeApi) -> None:
    """The custom kinds, as far as they are missing."""
    for kind, (group, version, plural) in CUSTOM.items():
        schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
        definition: Object = {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {
                "name": f"{plural}.{group}",
                # autoscaling.k8s.io is a protected group
                "annotations": {"api-approved.kubernetes.io": "unapproved, for tests"},
            },
            "spec": {
                "group": group,
                "scope": "Namespaced",
                "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
                "versions": [{"name": version, "served": True, "storage": True, "schema": schema}],
            },
        }
        await admin.apply(definition)
        await admin.until(f"/apis/{group}/{version}", partial(_serves, plural))


async def uninstall(admin: KubeApi) -> None:
    """As other tests expect it: not there."""
    for group, _, plural in CUSTOM.values():
        try:
            await admin.delete(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{plural}.{group}")
        except ApiError as error:
            if error.status != 404:
                raise


def _serves(plural: str, found: Object) -> bool:
    return any(each["name"] == plural for each in found.get("resources", ()))


async def cordon(admin: KubeApi, name: str, *, wanted: bool, annotation: str = "") -> None:
    change: Object = {"spec": {"unschedulable": wanted or None}}
    if annotation:
        change["metadata"] = {"annotations": {"alert-receiver.internal/cordoned": annotation if wanted else None}}
    await admin.patch(f"/api/v1/nodes/{name}", change, fieldManager="kubectl-cordon")
