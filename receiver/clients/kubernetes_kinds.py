"""The kinds that we read or write, and the URL path of each.

Law: a path is built from this table and from names that are valid RFC 1123 names, nothing else: alert labels end up here. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from receiver.clients.errors import ClientError, ErrorKind

# https://kubernetes.io/docs/concepts/overview/working-with-objects/names/: label 63 characters, subdomain 253.
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_SUBDOMAIN_LIMIT = 253
_SUBRESOURCE = re.compile(r"[a-z]{0,32}")


@dataclass(frozen=True, slots=True)
class Kind:
    """One resource of the API."""

    name: str
    group: str
    """Empty for core."""
    version: str
    plural: str
    namespaced: bool = True
    optional: bool = False
    """A custom resource that may not be installed, or not be granted: listing it then finds none."""
    aside: bool = False
    """Served by somebody behind the API server: how it answers says nothing of the API's health."""

    def path(self, namespace: str, name: str = "", subresource: str = "") -> str:
        """`/apis/apps/v1/namespaces/shop/deployments/web/scale`; a ClientError of kind `invalid` for a name that is none."""
        parts = ["/api", self.version] if not self.group else ["/apis", self.group, self.version]
        if self.namespaced:
            parts += ["namespaces", valid_namespace(namespace)]
        parts.append(self.plural)
        if name:
            parts.append(valid_name(name))
        if subresource and _SUBRESOURCE.fullmatch(subresource):
            parts.append(subresource)
        return "/".join(parts)


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("Deployment", "apps", "v1", "deployments"),
        Kind("ReplicaSet", "apps", "v1", "replicasets"),
        Kind("StatefulSet", "apps", "v1", "statefulsets"),
        Kind("DaemonSet", "apps", "v1", "daemonsets"),
        Kind("ControllerRevision", "apps", "v1", "controllerrevisions"),
        Kind("Pod", "", "v1", "pods"),
        Kind("Service", "", "v1", "services"),
        Kind("EndpointSlice", "discovery.k8s.io", "v1", "endpointslices"),
        Kind("PodMetrics", "metrics.k8s.io", "v1beta1", "pods", aside=True),
        Kind("Event", "", "v1", "events"),
        Kind("ResourceQuota", "", "v1", "resourcequotas"),
        Kind("LimitRange", "", "v1", "limitranges"),
        Kind("Namespace", "", "v1", "namespaces", namespaced=False),
        Kind("Node", "", "v1", "nodes", namespaced=False),
        Kind("HorizontalPodAutoscaler", "autoscaling", "v2", "horizontalpodautoscalers"),
        Kind("PodDisruptionBudget", "policy", "v1", "poddisruptionbudgets"),
        Kind("Rollout", "argoproj.io", "v1alpha1", "rollouts", optional=True),
        Kind("Canary", "flagger.app", "v1beta1", "canaries", optional=True),
        Kind("ScaledObject", "keda.sh", "v1alpha1", "scaledobjects", optional=True),
        Kind("VerticalPodAutoscaler", "autoscaling.k8s.io", "v1", "verticalpodautoscalers", optional=True),
    )
}


def kind_named(name: str) -> Kind:
    """The kind; a ClientError of kind `invalid` names those that there are."""
    try:
        return KINDS[name]
    except KeyError:
        raise ClientError(ErrorKind.invalid, f"kind {name[:64]!r} is none of {', '.join(KINDS)}") from None


def valid_namespace(text: str) -> str:
    """The same text; ClientError when it is no RFC 1123 label."""
    if not _LABEL.fullmatch(text):
        raise ClientError(ErrorKind.invalid, f"namespace {text[:64]!r} is no RFC 1123 label (a-z, 0-9 and -, at most 63 characters)")
    return text


def valid_name(text: str) -> str:
    """The same text; ClientError when it is no RFC 1123 subdomain."""
    if len(text) > _SUBDOMAIN_LIMIT or not _SUBDOMAIN.fullmatch(text):
        raise ClientError(ErrorKind.invalid, f"name {text[:64]!r} is no RFC 1123 name (a-z, 0-9, - and ., at most 253 characters)")
    return text
