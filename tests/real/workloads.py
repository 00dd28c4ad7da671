"""Deployments for the tests, and what it means that one is done."""

from typing import Any

from tests.real.kube_api import KubeApi, Object


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


def path(namespace: str, name: str) -> str:
    return f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}"


def complete(found: Object) -> bool:
    """The controller's own definition, stricter than that of `kubectl rollout status`."""
    wanted, status = found["spec"]["replicas"], found.get("status", {})
    if status.get("observedGeneration", 0) < found["metadata"]["generation"]:
        return False
    return all(status.get(count, 0) == wanted for count in ("replicas", "updatedReplicas", "availableReplicas"))


async def deploy(api: KubeApi, namespace: str, manifest: Object, *, within: float = 60.0) -> Object:
    """Applies a Deployment and waits until it is complete."""
    await api.apply(manifest, namespace=namespace)
    return await api.until(path(namespace, manifest["metadata"]["name"]), complete, within=within)


async def set_image(api: KubeApi, namespace: str, name: str, image: str) -> Object:
    """What a release does; waits for nothing."""
    template = {"spec": {"containers": [{"name": "app", "image": image}]}}
    return await api.patch(path(namespace, name), {"spec": {"template": template}}, content_type="application/strategic-merge-patch+json")


async def pods(api: KubeApi, namespace: str, name: str) -> list[Object]:
    """Its pods, those being deleted too."""
    return await api.items(f"/api/v1/namespaces/{namespace}/pods", labelSelector=f"app={name}")
