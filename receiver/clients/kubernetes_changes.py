"""What may be sent to a Kubernetes API server: a read, a review of our own rights, the patch of one object, the eviction of one pod.

Law: no PUT and no DELETE. aiohttp sends either a second time by itself when a kept-alive connection drops, and a DELETE with a body ignores
`dryRun` in its query (`remediation.md` 0). A PATCH or POST leaves once. Pure; used by `clients/kubernetes.py`, filled in by the actions.
"""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from receiver.clients.errors import ClientError, ErrorKind
from receiver.clients.kubernetes_access import KubernetesConfig
from receiver.clients.kubernetes_kinds import kind_named, valid_name
from receiver.core.facts import SYSTEM_NAMESPACES

Object = dict[str, Any]

FIELD_MANAGER_BYTES = 128  # the API server refuses longer ones
WRITTEN = frozenset({"Deployment", "StatefulSet", "DaemonSet", "Node"})
"""The only kinds that are ever patched; a pod is only ever evicted."""
NODE = "Node"
REVIEWS = "/apis/authorization.k8s.io/v1"
_REVIEWS = {"selfsubjectrulesreviews": "SelfSubjectRulesReview", "selfsubjectaccessreviews": "SelfSubjectAccessReview"}


class Method(StrEnum):
    """The HTTP methods that there are."""

    get = "GET"
    patch = "PATCH"
    post = "POST"
    """For evictions; and for reviews, which store nothing."""


class PatchType(StrEnum):
    """How a patch's body is meant; always said explicitly, the library's default depends on the body."""

    merge = "application/merge-patch+json"
    json = "application/json-patch+json"
    strategic = "application/strategic-merge-patch+json"


@dataclass(frozen=True, slots=True)
class Patch:
    """One change of one object."""

    kind: str
    namespace: str
    """Empty for a node."""
    name: str
    body: Object | builtins.list[Object]
    patch_type: PatchType
    field_manager: str
    subresource: str = ""
    not_after: datetime | None = None
    """Not sent later than this."""


@dataclass(frozen=True, slots=True)
class Eviction:
    """The end of one pod, as its disruption budgets allow."""

    namespace: str
    name: str
    uid: str
    """Of the pod: another one under its name is safe."""
    field_manager: str
    not_after: datetime | None = None
    kind: str = "Pod"
    subresource: str = "eviction"


Change = Patch | Eviction


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, ready to go."""

    method: Method
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: object = None
    content_type: str = ""
    aside: bool = False
    """Answered by a kubelet or an aggregated API: says nothing of the API server's health."""
    text: bool = False
    """The answer is plain text, no JSON."""

    @property
    def what(self) -> str:
        """As `PATCH /apis/apps/v1/…`, for texts."""
        return f"{self.method.value} {self.path}"


@dataclass(frozen=True, slots=True)
class LogWanted:
    """Which part of a pod's log. https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#get-read-log-of-the-specified-pod"""

    container: str
    lines: int
    bytes: int
    """At most so many, counted from the oldest of those lines."""
    seconds: int | None = None
    """Only what was written within the last so many."""
    previous: bool = False
    """Of the container's last run."""

    @property
    def query(self) -> tuple[tuple[str, str], ...]:
        """As the API server reads it."""
        found = [("container", valid_name(self.container)), ("tailLines", str(self.lines)), ("limitBytes", str(self.bytes))]
        found += [("sinceSeconds", str(self.seconds))] if self.seconds else []
        return (*found, *((("previous", "true"),) if self.previous else ()))


def request_of(change: Change, config: KubernetesConfig, *, dry_run: bool) -> Request:
    """The request; ClientError of kind `held` for what we never write to, `invalid` for what cannot be named."""
    _check_place(change, config)
    if not 0 < len(change.field_manager.encode()) <= FIELD_MANAGER_BYTES:
        raise ClientError(ErrorKind.invalid, f"field manager {change.field_manager[:64]!r} must have 1 to {FIELD_MANAGER_BYTES} bytes")
    path = kind_named(change.kind).path(change.namespace, valid_name(change.name), change.subresource)
    # Strict: otherwise a misspelt field is accepted and does nothing.
    query = [("fieldManager", change.field_manager), ("fieldValidation", "Strict")]
    if dry_run:
        query.append(("dryRun", "All"))
    if isinstance(change, Eviction):
        return Request(Method.post, path, tuple(query), _eviction(change, dry_run=dry_run), "application/json")
    return Request(Method.patch, path, tuple(query), change.body, change.patch_type.value)


def review_of(resource: str, spec: Mapping[str, object]) -> Request:
    """A question about rights: answered in the same breath, never stored."""
    body = {"apiVersion": REVIEWS.removeprefix("/apis/"), "kind": _REVIEWS[resource], "spec": dict(spec)}
    return Request(Method.post, f"{REVIEWS}/{resource}", body=body, content_type="application/json")


def _check_place(change: Change, config: KubernetesConfig) -> None:
    if isinstance(change, Patch) and change.kind not in WRITTEN:
        raise ClientError(ErrorKind.held, f"a {change.kind[:64]} is never written to; only {', '.join(sorted(WRITTEN))}")
    if change.kind == NODE:
        if not config.nodes or change.namespace:
            raise ClientError(ErrorKind.held, "nodes are not written to: kubernetes.nodes is not set to true")
        return
    if change.namespace not in config.namespaces or change.namespace in SYSTEM_NAMESPACES:
        raise ClientError(ErrorKind.held, f"namespace {change.namespace[:64]!r} is not on the allow-list of namespaces to act in")


def _eviction(change: Eviction, *, dry_run: bool) -> Object:
    """The options stand in the body, `dryRun` too: it is the only place where nothing can be overlooked."""
    if not change.uid:
        raise ClientError(ErrorKind.invalid, f"an eviction of pod {change.name} must name its uid")
    options: Object = {"preconditions": {"uid": change.uid}} | ({"dryRun": ["All"]} if dry_run else {})
    return {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": change.name, "namespace": change.namespace},
        "deleteOptions": options,
    }
