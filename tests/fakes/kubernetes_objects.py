"""How the fake API server stores: objects by path, resourceVersion, generation, patches and evictions; controllers act at once.

Law: whatever an action's kit finds on the real control plane, it finds here; what no kit asks for is not imitated.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from typing import Any

import jsonpatch

from tests.fakes import kubernetes_controllers as controllers

Object = dict[str, Any]
Key = tuple[str, str, str]
"""Plural, namespace, name."""

MERGE, JSON_PATCH = "application/merge-patch+json", "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
DIRECTIVE = "$patch"
NOW = "2026-11-20T10:00:00Z"

_DEPLOYMENT_SPEC = {
    "minReadySeconds", "paused", "progressDeadlineSeconds", "replicas", "revisionHistoryLimit", "selector", "strategy", "template",
}  # fmt: skip


class Refusal(Exception):
    """An answer of the API server that is no success."""

    def __init__(self, status: int, reason: str, message: str, *, details: Object | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body: Object = {
            "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status, "reason": reason, "message": message,
        } | ({"details": details} if details else {})  # fmt: skip


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
        made = copy.deepcopy(given) | ({"spec": {}} if key[0] == "nodes" else {})
        self._uids += 1
        made["metadata"] = {
            "uid": f"00000000-0000-4000-8000-{self._uids:012d}", "creationTimestamp": NOW, "generation": 1,
        } | made.get("metadata", {}) | ({"namespace": key[1]} if key[1] else {}) | {"name": key[2]}  # fmt: skip
        self.store(key, made)
        self._control(key)
        return self.stored[key]

    def delete(self, key: Key) -> None:
        """With everything that it owns; a pod is made anew by its controller."""
        gone = self.get(key)
        del self.stored[key]
        for other in [each for each, found in self.stored.items() if owner_of(found) == gone["metadata"]["uid"]]:
            if other in self.stored:
                self.delete(other)
        if key[0] == "pods":
            self._control_all()

    def owned(self, owner: Object, plural: str) -> list[tuple[Key, Object]]:
        """Of that plural, controlled by it."""
        uid = owner["metadata"]["uid"]
        return [(key, found) for key, found in self.stored.items() if key[0] == plural and owner_of(found) == uid]

    def evict(self, key: Key, body: Object, *, dry_run: bool) -> Object:
        """As pkg/registry/core/pod/storage/eviction.go: options in the body, budgets asked, a Status answered."""
        pod, options = self.get(key), body.get("deleteOptions") or {}
        wanted = (options.get("preconditions") or {}).get("uid")
        budget = self._budget(pod)
        if wanted and wanted != pod["metadata"]["uid"]:
            raise Refusal(
                409, "Conflict", f"Precondition failed: UID in precondition: {wanted}, UID in object meta: {pod['metadata']['uid']}"
            )
        if not (dry_run or options.get("dryRun")):
            if budget is not None:
                budget["status"]["disruptionsAllowed"] -= 1
            self.delete(key)
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}

    def _budget(self, pod: Object) -> Object | None:
        labels = pod["metadata"].get("labels", {}).items()
        found = [
            each
            for key, each in self.stored.items()
            if key[0] == "poddisruptionbudgets" and each["spec"]["selector"]["matchLabels"].items() <= labels
        ]
        if len(found) > 1:
            several = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
            raise Refusal(500, "InternalError", several)
        if found and found[0]["status"]["disruptionsAllowed"] < 1:
            name = found[0]["metadata"]["name"]
            cause = {"reason": "DisruptionBudget", "message": f"The disruption budget {name} needs 2 healthy pods and has 2 currently"}
            text = "Cannot evict pod as it would violate the pod's disruption budget."
            raise Refusal(429, "TooManyRequests", text, details={"causes": [cause]})
        return found[0] if found else None

    def patch(self, key: Key, change: Change) -> Object:
        """The object afterwards; stored unless it is a dry run or nothing changed."""
        before = self.get(key)
        after = patched(before, change)
        self._check(before, after)
        if change.strict and key[0] == "deployments" and (unknown := sorted(set(after["spec"]) - _DEPLOYMENT_SPEC)):
            raise Refusal(400, "BadRequest", f'strict decoding error: unknown field "spec.{unknown[0]}"')
        if change.strict and DIRECTIVE in json.dumps(after.get("spec", {})):
            raise Refusal(400, "BadRequest", f'strict decoding error: unknown field "spec.template.{DIRECTIVE}"')
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
        if (new.get("name"), new.get("namespace")) != (old["name"], old.get("namespace")):
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
        self.store(key, after)
        answer = copy.deepcopy(after)  # the controller moves on after the answer
        self._control(key)
        return answer

    def _control(self, key: Key) -> None:
        if self.controlling:
            controllers.control(self, key)

    def _control_all(self) -> None:
        for key in [each for each in self.stored if each[0] in controllers.WORKLOADS]:
            self._control(key)

    def store(self, key: Key, found: Object) -> None:
        self._version += 1
        found["metadata"]["resourceVersion"] = str(self._version)
        self.stored[key] = found


def patched(before: Object, change: Change) -> Object:
    """A changed copy."""
    if change.content_type in (MERGE, STRATEGIC):
        merged = merge(copy.deepcopy(before), change.body, strategic=change.content_type == STRATEGIC)
        assert isinstance(merged, dict)
        return merged
    if change.content_type != JSON_PATCH:
        raise Refusal(415, "UnsupportedMediaType", f"the fake does not speak {change.content_type}")
    after = copy.deepcopy(before)
    try:
        for operation in change.body:
            after = _operated(after, operation)
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as error:
        raise Refusal(422, "Invalid", "the server rejected our request due to an error in our request") from error
    return after


def _operated(found: Object, operation: Object) -> Object:
    """One operation; as in evanphx/json-patch a test for null finds what is absent."""
    if operation["op"] == "test" and operation["value"] is None:
        if jsonpatch.JsonPointer(operation["path"]).resolve(found, None) is not None:
            raise jsonpatch.JsonPatchTestFailed(operation["path"])
        return found
    after: Object = jsonpatch.JsonPatch([operation]).apply(found)
    return after


def merge(target: Any, patch: Any, *, strategic: bool) -> Any:
    """RFC 7386; the strategic one knows `$patch: replace` besides, and merges no lists here."""
    if not isinstance(patch, dict):
        return patch
    if strategic and patch.get(DIRECTIVE) == "replace":
        return {name: value for name, value in patch.items() if name != DIRECTIVE}
    merged = target if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value, strategic=strategic)
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


def owner_of(found: Object) -> str:
    """The uid of what controls it."""
    return next((str(each["uid"]) for each in found["metadata"].get("ownerReferences", ()) if each.get("controller")), "")
