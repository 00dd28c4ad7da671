"""Workloads for the tests, and what it means that one is done."""

from collections.abc import Callable
from typing import Any

from tests.real.kube_api import KubeApi, Object

PLURALS = {"Deployment": "deployments", "StatefulSet": "statefulsets", "DaemonSet": "daemonsets"}


def deployment(name: str, image: str, *, replicas: int = 3, labels: dict[str, str] | None = None, **spec: Any) -> Object:
    """An apps/v1 Deployment of one container named `app`; `spec` adds to or replaces fields of its spec."""
    selector = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": selector | (labels or {})},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": selector},
            "template": {
                "metadata": {"labels": selector | (labels or {})},
                "spec": {"terminationGracePeriodSeconds": 1, "containers": [{"name": "app", "image": image}]},
            },
        }
        | spec,
    }


def workload(kind: str, name: str, image: str, *, replicas: int = 3, **spec: Any) -> Object:
    """As `deployment`, of any of the three kinds; a DaemonSet has no count."""
    made = deployment(name, image, replicas=replicas, **spec)
    if kind == "StatefulSet":
        made["spec"]["serviceName"] = name
    if kind == "DaemonSet":
        del made["spec"]["replicas"]
    return made | {"kind": kind}


def path(namespace: str, name: str, *, kind: str = "Deployment") -> str:
    return f"/apis/apps/v1/namespaces/{namespace}/{PLURALS[kind]}/{name}"


def complete(found: Object) -> bool:
    """The controller's own definition, stricter than that of `kubectl rollout status`."""
    wanted, status = found["spec"]["replicas"], found.get("status", {})
    if status.get("observedGeneration", 0) < found["metadata"]["generation"]:
        return False
    return all(status.get(count, 0) == wanted for count in ("replicas", "updatedReplicas", "availableReplicas"))


def done(kind: str) -> Callable[[Object], bool]:
    """Rolled out, and its controller has written its last word about it."""
    return {"Deployment": _deployment_done, "StatefulSet": _stateful_set_done, "DaemonSet": _daemon_set_done}[kind]


def _deployment_done(found: Object) -> bool:
    conditions = {each["type"]: each for each in found.get("status", {}).get("conditions", ())}
    progressing = conditions.get("Progressing")
    return complete(found) and (progressing is None or progressing.get("reason") == "NewReplicaSetAvailable")


def _stateful_set_done(found: Object) -> bool:
    """`currentRevision` is moved on only when every pod is of the new one."""
    status = found.get("status", {})
    counts = all(status.get(count, 0) == found["spec"]["replicas"] for count in ("replicas", "readyReplicas", "availableReplicas"))
    return _seen(found) and counts and status.get("currentRevision") == status.get("updateRevision")


def _daemon_set_done(found: Object) -> bool:
    status = found.get("status", {})
    wanted = status.get("desiredNumberScheduled", 0)
    return _seen(found) and wanted > 0 and all(status.get(count, 0) == wanted for count in ("updatedNumberScheduled", "numberAvailable"))


def _seen(found: Object) -> bool:
    return int(found.get("status", {}).get("observedGeneration", 0)) >= int(found["metadata"]["generation"])


async def deploy(api: KubeApi, namespace: str, manifest: Object, *, within: float = 60.0) -> Object:
    """Applies a workload and waits until it is complete."""
    await api.apply(manifest, namespace=namespace)
    kind = manifest["kind"]
    wanted = complete if kind == "Deployment" else done(kind)
    return await api.until(path(namespace, manifest["metadata"]["name"], kind=kind), wanted, within=within)


async def set_image(api: KubeApi, namespace: str, name: str, image: str, *, kind: str = "Deployment") -> Object:
    """What a release does; waits for nothing."""
    template = {"spec": {"containers": [{"name": "app", "image": image}]}}
    content_type = "application/strategic-merge-patch+json"
    return await api.patch(path(namespace, name, kind=kind), {"spec": {"template": template}}, content_type=content_type)


async def pods(api: KubeApi, namespace: str, name: str) -> list[Object]:
    """Its pods, those being deleted too."""
    return await api.items(f"/api/v1/namespaces/{namespace}/pods", labelSelector=f"app={name}")
