"""The controllers of the fake cluster: Deployments, StatefulSets and DaemonSets, with their revisions and pods. A rollout needs no time.

Law: revisions are numbered, used again and named as the real controllers do it; pods of an image whose tag begins with `crash` never
become ready. Every node of a DaemonSet is one of two.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.fakes.kubernetes_objects import Objects

Object = dict[str, Any]
Key = tuple[str, str, str]

HASH = "pod-template-hash"
REVISION_HASH = "controller-revision-hash"
REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"
NODES = 2
KINDS = {"deployments": "Deployment", "statefulsets": "StatefulSet", "daemonsets": "DaemonSet"}
WORKLOADS = frozenset(KINDS)


def control(objects: Objects, key: Key) -> None:
    """What its controller makes of the object as it stands now."""
    if key[0] == "deployments":
        _deployment(objects, key)
    elif key[0] in WORKLOADS:
        _numbered(objects, key)


def replica_sets(objects: Objects, deployment: Object) -> list[Object]:
    """Owned by it, lowest revision first."""
    return sorted((found for _, found in objects.owned(deployment, "replicasets")), key=_revision)


# --- Deployments


def _deployment(objects: Objects, key: Key) -> None:
    deployment = objects.stored[key]
    if not deployment["spec"].get("paused"):
        _roll(objects, key, deployment)
    for found in replica_sets(objects, deployment):
        named = [f"{found['metadata']['name']}-{number}" for number in range(found["spec"]["replicas"])]
        _pods(objects, key[1], owner=("ReplicaSet", found), template=found["spec"]["template"], names=named)
    wanted, ready = deployment["spec"].get("replicas", 1), not _crashes(deployment["spec"]["template"])
    deployment["status"] = {
        "observedGeneration": deployment["metadata"]["generation"],
        "replicas": wanted,
        "updatedReplicas": wanted if ready else 1,
    } | ({"readyReplicas": wanted, "availableReplicas": wanted} if ready else {})  # fmt: skip
    objects.store(key, deployment)


def _roll(objects: Objects, key: Key, deployment: Object) -> None:
    template, owned = deployment["spec"]["template"], replica_sets(objects, deployment)
    newest = max((_revision(each) for each in owned), default=0)
    current = next((each for each in owned if _hashless(each["spec"]["template"]) == _hashless(template)), None)
    if current is None:
        current = _new_replica_set(objects, key, deployment)
    marks = current["metadata"].setdefault("annotations", {})
    if not newest or _revision(current) != newest:
        if _revision(current):
            marks[HISTORY] = ",".join(filter(None, (marks.get(HISTORY), marks[REVISION])))
        marks[REVISION] = str(newest + 1)
    for each in replica_sets(objects, deployment):
        each["spec"]["replicas"] = deployment["spec"].get("replicas", 1) if each is current else 0
    deployment["metadata"].setdefault("annotations", {})[REVISION] = marks[REVISION]


def _new_replica_set(objects: Objects, key: Key, deployment: Object) -> Object:
    template = copy.deepcopy(deployment["spec"]["template"])
    digest = _digest(template)
    template.setdefault("metadata", {}).setdefault("labels", {})[HASH] = digest
    copied = {name: value for name, value in deployment["metadata"].get("annotations", {}).items() if not name.startswith("deployment.")}
    labels = dict(template["metadata"]["labels"])
    made = {
        "metadata": {"ownerReferences": [_owned_by("Deployment", deployment)], "annotations": copied, "labels": labels},
        "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": template},
    }
    return objects.create(("replicasets", key[1], f"{key[2]}-{digest}"), made)


# --- StatefulSets and DaemonSets


def _numbered(objects: Objects, key: Key) -> None:
    found = objects.stored[key]
    current = _controller_revision(objects, key, found)
    each_one = found["spec"].get("replicas", 1) if key[0] == "statefulsets" else NODES
    named = [f"{key[2]}-{number}" for number in range(each_one)]
    rolls = (found["spec"].get("updateStrategy") or {}).get("type") != "OnDelete"
    _pods(
        objects,
        key[1],
        owner=(KINDS[key[0]], found),
        template=found["spec"]["template"],
        names=named,
        labels={REVISION_HASH: current["metadata"]["name"]},
        outdated=lambda pod: rolls and pod["metadata"]["labels"][REVISION_HASH] != current["metadata"]["name"],
    )
    ready = 0 if _crashes(found["spec"]["template"]) else each_one
    seen = {"observedGeneration": found["metadata"]["generation"]}
    if key[0] == "statefulsets":
        name = current["metadata"]["name"]
        counts = {"replicas": each_one, "readyReplicas": ready, "availableReplicas": ready, "updatedReplicas": each_one}
        found["status"] = seen | counts | {"currentRevision": name, "updateRevision": name}
    else:
        counts = {"desiredNumberScheduled": each_one, "currentNumberScheduled": each_one, "updatedNumberScheduled": each_one}
        found["status"] = seen | counts | {"numberReady": ready, "numberAvailable": ready}
    objects.store(key, found)


def _controller_revision(objects: Objects, key: Key, found: Object) -> Object:
    """The one of the template that stands, made or numbered anew."""
    data = {"spec": {"template": {**copy.deepcopy(found["spec"]["template"]), "$patch": "replace"}}}
    history = [each for _, each in objects.owned(found, "controllerrevisions")]
    newest = max((each["revision"] for each in history), default=0)
    current = next((each for each in history if each["data"] == data), None)
    if current is None:
        labels = dict(found["spec"]["template"]["metadata"]["labels"])
        made = {"metadata": {"ownerReferences": [_owned_by(KINDS[key[0]], found)], "labels": labels}, "data": data, "revision": newest + 1}
        return objects.create(("controllerrevisions", key[1], f"{key[2]}-{_digest(data)}"), made)
    if current["revision"] != newest:
        current["revision"] = newest + 1
    return current


# --- pods


def _pods(
    objects: Objects,
    namespace: str,
    *,
    owner: tuple[str, Object],
    template: Object,
    names: Iterable[str],
    labels: dict[str, str] | None = None,
    outdated: Callable[[Object], bool] = lambda _: False,
) -> None:
    """Exactly these, of the present template."""
    kind, found = owner
    wanted = list(names)
    for key, pod in objects.owned(found, "pods"):
        if key[2] not in wanted or outdated(pod):
            del objects.stored[key]
    for name in wanted:
        if ("pods", namespace, name) not in objects.stored:
            marks = {**(template.get("metadata", {}).get("labels") or {}), **(labels or {})}
            made = {"metadata": {"labels": marks, "ownerReferences": [_owned_by(kind, found)]}, "spec": copy.deepcopy(template["spec"])}
            objects.create(("pods", namespace, name), made)


def _owned_by(kind: str, owner: Object) -> Object:
    meta = owner["metadata"]
    return {"apiVersion": "apps/v1", "kind": kind, "name": meta["name"], "uid": meta["uid"], "controller": True}


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:10]


def _revision(found: Object) -> int:
    return int(found["metadata"].get("annotations", {}).get(REVISION, 0))


def _hashless(template: Object) -> Object:
    meta = template.get("metadata", {})
    labels = {name: value for name, value in meta.get("labels", {}).items() if name != HASH}
    return template | {"metadata": meta | {"labels": labels}}


def _crashes(template: Object) -> bool:
    return any(each.get("image", "").partition(":")[2].startswith("crash") for each in template["spec"]["containers"])
