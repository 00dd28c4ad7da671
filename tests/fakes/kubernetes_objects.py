"""How the fake API server stores: objects by path, resourceVersion, generation, patches, and a rollout controller that needs no time.

Law: whatever an action's kit finds on the real control plane, it finds here; what no kit asks for is not imitated.
"""

from __future__ import annotations

import copy
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

import jsonpatch

Object = dict[str, Any]
Key = tuple[str, str, str]
"""Plural, namespace, name."""

MERGE, JSON_PATCH = "application/merge-patch+json", "application/json-patch+json"
HASH = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"
NOW = "2026-11-20T10:00:00Z"

_DEPLOYMENT_SPEC = {
    "minReadySeconds", "paused", "progressDeadlineSeconds", "replicas", "revisionHistoryLimit", "selector", "strategy", "template",
}  # fmt: skip


class Refusal(Exception):
    """An answer of the API server that is no success."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.body: Object = {
            "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status, "reason": reason, "message": message,
        }  # fmt: skip


@dataclass
class Change:
    """A PATCH as it came in."""

    content_type: str
    body: Any
    manager: str
    dry_run: bool
    strict: bool


@dataclass
class Objects:
    """All objects of the fake cluster. `controlling` False: the controller sees nothing, as if it were stopped."""

    stored: dict[Key, Object] = field(default_factory=dict)
    controlling: bool = True
    _version: int = 100
    _uids: int = 0

    def get(self, key: Key) -> Object:
        if key not in self.stored:
            raise Refusal(404, "NotFound", f'{key[0]} "{key[2]}" not found')
        return self.stored[key]

    def create(self, key: Key, given: Object) -> Object:
        if key in self.stored:
            raise Refusal(409, "AlreadyExists", f'{key[0]} "{key[2]}" already exists')
        made = copy.deepcopy(given)
        self._uids += 1
        made["metadata"] = {
            "uid": f"00000000-0000-4000-8000-{self._uids:012d}", "creationTimestamp": NOW, "generation": 1,
        } | made.get("metadata", {}) | {"namespace": key[1], "name": key[2]}  # fmt: skip
        self._store(key, made)
        self.control(key)
        return self.stored[key]

    def delete(self, key: Key) -> None:
        gone = self.get(key)
        del self.stored[key]
        for other in [each for each, found in self.stored.items() if _owner(found) == gone["metadata"]["uid"]]:
            del self.stored[other]

    def patch(self, key: Key, change: Change) -> Object:
        """The object afterwards; stored unless it is a dry run or nothing changed."""
        before = self.get(key)
        after = patched(before, change)
        self._check(before, after)
        if change.strict and key[0] == "deployments" and (unknown := sorted(set(after["spec"]) - _DEPLOYMENT_SPEC)):
            raise Refusal(400, "BadRequest", f'strict decoding error: unknown field "spec.{unknown[0]}"')
        return self._accept(key, before, after, change, subresource="")

    def scale(self, key: Key) -> Object:
        """The Scale of a Deployment: a count of zero is left out."""
        found = self.get(key)
        replicas = found["spec"].get("replicas", 1)
        kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
        return {
            "kind": "Scale",
            "apiVersion": "autoscaling/v1",
            "metadata": {name: found["metadata"][name] for name in kept},
            "spec": {"replicas": replicas} if replicas else {},
            "status": {"replicas": found.get("status", {}).get("replicas", 0)},
        }

    def patch_scale(self, key: Key, change: Change) -> Object:
        found, view = self.get(key), self.scale(key)
        after = patched(view, change)
        if after["metadata"].get("uid") != found["metadata"]["uid"]:
            raise Refusal(409, "Conflict", "Precondition failed: UID in precondition differs from UID in object meta")
        self._check(view, after)
        if change.strict and (unknown := sorted(set(after["spec"]) - {"replicas"})):
            raise Refusal(400, "BadRequest", f'strict decoding error: unknown field "spec.{unknown[0]}"')
        replicas = after["spec"].get("replicas", 0)
        if not isinstance(replicas, int) or replicas < 0:
            raise Refusal(422, "Invalid", f"spec.replicas: Invalid value: {replicas}: must be greater than or equal to 0")
        scaled = copy.deepcopy(found)
        scaled["spec"]["replicas"] = replicas
        stored = self._accept(key, found, scaled, change, subresource="scale")
        return (
            self.scale(key)
            if not change.dry_run
            else after | {"metadata": view["metadata"], "spec": {"replicas": stored["spec"]["replicas"]}}
        )

    # --- what the API server's strategies do

    def _check(self, before: Object, after: Object) -> None:
        old, new = before["metadata"], after["metadata"]
        if new.get("resourceVersion") != old["resourceVersion"]:
            raise Refusal(409, "Conflict", "the object has been modified; please apply your changes to the latest version and try again")
        if new.get("uid") != old["uid"]:
            raise Refusal(422, "Invalid", f'metadata.uid: Invalid value: "{new.get("uid")}": field is immutable')
        if (new.get("name"), new.get("namespace")) != (old["name"], old["namespace"]):
            raise Refusal(400, "BadRequest", "the name of the object does not match the name on the URL")

    def _accept(self, key: Key, before: Object, after: Object, change: Change, *, subresource: str) -> Object:
        after["metadata"].pop("managedFields", None)
        if _without_managers(before) == after:
            return before
        after["metadata"]["managedFields"] = _managers(before, change.manager, subresource)
        if _raises_generation(key, before, after):
            after["metadata"]["generation"] = before["metadata"]["generation"] + 1
        if change.dry_run:
            return after
        self._store(key, after)
        answer = copy.deepcopy(after)  # the controller moves on after the answer
        self.control(key)
        return answer

    def _store(self, key: Key, found: Object) -> None:
        self._version += 1
        found["metadata"]["resourceVersion"] = str(self._version)
        self.stored[key] = found

    # --- what the Deployment controller does, at once

    def control(self, key: Key) -> None:
        """New or re-used ReplicaSet, revisions, counts. Pods of an image whose tag begins with `crash` never become ready."""
        if key[0] != "deployments" or not self.controlling:
            return
        deployment = self.stored[key]
        if not deployment["spec"].get("paused"):
            self._roll(key, deployment)
        wanted, ready = deployment["spec"].get("replicas", 1), not _crashes(deployment["spec"]["template"])
        deployment["status"] = {
            "observedGeneration": deployment["metadata"]["generation"],
            "replicas": wanted,
            "updatedReplicas": wanted if ready else 1,
        } | ({"readyReplicas": wanted, "availableReplicas": wanted} if ready else {})  # fmt: skip
        self._store(key, deployment)

    def replica_sets(self, deployment: Object) -> list[Object]:
        """Owned by it, lowest revision first."""
        owned = [found for key, found in self.stored.items() if key[0] == "replicasets" and _owner(found) == deployment["metadata"]["uid"]]
        return sorted(owned, key=_revision)

    def _roll(self, key: Key, deployment: Object) -> None:
        template, owned = deployment["spec"]["template"], self.replica_sets(deployment)
        newest = max((_revision(each) for each in owned), default=0)
        current = next((each for each in owned if _hashless(each["spec"]["template"]) == _hashless(template)), None)
        if current is None:
            current = self._new_replica_set(key, deployment)
        marks = current["metadata"].setdefault("annotations", {})
        if not newest or _revision(current) != newest:
            if _revision(current):
                marks[HISTORY] = ",".join(filter(None, (marks.get(HISTORY), marks[REVISION])))
            marks[REVISION] = str(newest + 1)
        for each in self.replica_sets(deployment):
            each["spec"]["replicas"] = deployment["spec"].get("replicas", 1) if each is current else 0
        deployment["metadata"].setdefault("annotations", {})[REVISION] = marks[REVISION]

    def _new_replica_set(self, key: Key, deployment: Object) -> Object:
        template = copy.deepcopy(deployment["spec"]["template"])
        digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:10]
        template.setdefault("metadata", {}).setdefault("labels", {})[HASH] = digest
        copied = {
            name: value for name, value in deployment["metadata"].get("annotations", {}).items() if not name.startswith("deployment.")
        }
        owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": key[2], "uid": deployment["metadata"]["uid"], "controller": True}
        labels = dict(template["metadata"]["labels"])
        made = {
            "metadata": {"ownerReferences": [owner], "annotations": copied, "labels": labels},
            "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": template},
        }
        return self.create(("replicasets", key[1], f"{key[2]}-{digest}"), made)


def patched(before: Object, change: Change) -> Object:
    """A changed copy."""
    if change.content_type == MERGE:
        merged = merge(copy.deepcopy(before), change.body)
        assert isinstance(merged, dict)
        return merged
    if change.content_type != JSON_PATCH:
        raise Refusal(415, "UnsupportedMediaType", f"the fake does not speak {change.content_type}")
    try:
        after: Object = jsonpatch.JsonPatch(change.body).apply(before)
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as error:
        raise Refusal(422, "Invalid", "the server rejected our request due to an error in our request") from error
    return after


def merge(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    merged = target if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value)
    return merged


def _raises_generation(key: Key, before: Object, after: Object) -> bool:
    """Deployments: by annotations of the object too, but for the controller's own writes."""
    same_marks = before["metadata"].get("annotations") == after["metadata"].get("annotations")
    return before.get("spec") != after.get("spec") or (key[0] == "deployments" and not same_marks)


def _managers(before: Object, manager: str, subresource: str) -> list[Object]:
    """Who writes `/scale` next owns the count: the entry of the one before goes."""
    old = [each for each in before["metadata"].get("managedFields", ()) if not (subresource and each.get("subresource") == subresource)]
    entry = {"manager": manager, "operation": "Update", "apiVersion": "apps/v1", "time": NOW}
    return [*old, entry | ({"subresource": subresource} if subresource else {})]


def _without_managers(found: Object) -> Object:
    return found | {"metadata": {name: value for name, value in found["metadata"].items() if name != "managedFields"}}


def _owner(found: Object) -> str:
    return next((str(each["uid"]) for each in found["metadata"].get("ownerReferences", ()) if each.get("controller")), "")


def _revision(found: Object) -> int:
    return int(found["metadata"].get("annotations", {}).get(REVISION, 0))


def _hashless(template: Object) -> Object:
    meta = template.get("metadata", {})
    labels = {name: value for name, value in meta.get("labels", {}).items() if name != HASH}
    return template | {"metadata": meta | {"labels": labels}}


def _crashes(template: Object) -> bool:
    return any(each.get("image", "").partition(":")[2].startswith("crash") for each in template["spec"]["containers"])
