"""`kubernetes.rollout_undo`: back to the pod template that the permit names by its hash.

Law: unlike `kubectl rollout undo` it chooses nothing itself (the second-highest revision may be a mere restart, or the bad version), it
keeps the object's annotations, and it writes no mark into the template: the old revision is used again, with the pods it still has.
Runs with the identity `undo`, the only one that may change a pod's spec. Source: `remediation.md` 1.2 and 1.3.
"""

from __future__ import annotations

from typing import ClassVar

from receiver.clients import kubernetes_objects as objects
from receiver.clients.kubernetes import Object, Patch, PatchType
from receiver.core.case import Permit, Verb
from receiver.ports import Permission
from receiver.remediate.kubernetes.carry_out import (
    DAEMON_SET,
    DEPLOYMENT,
    PLATFORM,
    PLURALS,
    STATEFUL_SET,
    KubernetesAction,
    Refused,
    Rights,
    patch_of,
    pointer,
    without_rollout,
)

REPLICA_SET, CONTROLLER_REVISION = "ReplicaSet", "ControllerRevision"
UNDO = "undo"
HISTORY = {DEPLOYMENT: REPLICA_SET, STATEFUL_SET: CONTROLLER_REVISION, DAEMON_SET: CONTROLLER_REVISION}
"""The kind of object that keeps each revision's template."""


def _rights(kind: str) -> tuple[Permission, ...]:
    history = "replicasets" if HISTORY[kind] == REPLICA_SET else "controllerrevisions"
    return Permission(PLATFORM, "apps", PLURALS[kind], ("get", "patch"), UNDO), Permission(PLATFORM, "apps", history, ("get",), UNDO)


class RolloutUndo(KubernetesAction):
    """A repeat of the same permit changes nothing: the generation that it asks for is gone."""

    name: str = "kubernetes.rollout_undo"
    verb: Verb = Verb.undo
    identity: str = UNDO
    rights: ClassVar[Rights] = {kind: _rights(kind) for kind in HISTORY}

    async def change(self, permit: Permit) -> Patch:
        """The whole template, from the revision as it is now."""
        ref, wanted = permit.target.ref, permit.parameters
        if not (wanted.replica_set and wanted.template_hash):
            raise Refused(f"a permit to undo names a {HISTORY[ref.kind]} and the hash of its template, this one does not")
        found = await self.permitted(permit)
        _check_workload(found, permit)
        revision = await self._kubernetes.get(HISTORY[ref.kind], ref.namespace, wanted.replica_set)
        if ref.kind == DEPLOYMENT:
            _check_revision(revision, objects.template(revision), permit)
            return patch_of(permit, _operations(found, revision, permit), patch_type=PatchType.json)
        _check_revision(revision, objects.revision_template(revision), permit)
        return patch_of(permit, _replacement(found, revision, permit), patch_type=PatchType.strategic)

    def done(self, permit: Permit, answer: Object) -> str:
        """Names both revisions."""
        wanted = permit.parameters
        return (
            f"template of {wanted.replica_set} (revision {wanted.revision or 'unknown'}) restored over revision "
            f"{permit.before.revision or 'unknown'}, generation {permit.before.generation} -> {objects.generation(answer)}"
        )


def _check_workload(found: Object, permit: Permit) -> None:
    key = permit.target.ref.key
    if objects.generation(found) != permit.before.generation:
        text = f"{key} was changed since: generation {objects.generation(found)}, permitted {permit.before.generation}"
        raise Refused(text, retryable=True)
    if objects.observed_generation(found) < objects.generation(found):
        raise Refused(f"the controller has not seen the newest template of {key} yet", retryable=True)
    idle = without_rollout(found)
    if idle:
        raise Refused(f"{key} would not roll back: {idle}")
    if objects.template_hash(objects.template(found)) == permit.parameters.template_hash:
        raise Refused(f"{key} has the wanted template already")


def _check_revision(revision: Object, template: Object, permit: Permit) -> None:
    wanted, owner = permit.parameters, objects.controller(revision)
    what = f"{HISTORY[permit.target.ref.kind]} {wanted.replica_set}"
    if owner is None or owner[2] != permit.target.uid:
        raise Refused(f"{what} is not controlled by the permitted {permit.target.ref.kind}")
    found = objects.template_hash(template)
    if found != wanted.template_hash:
        raise Refused(f"{what} holds template {found}, permitted {wanted.template_hash}")


def _operations(deployment: Object, replica_set: Object, permit: Permit) -> list[Object]:
    made = {"op": "add", "path": "/metadata/annotations", "value": {}}
    has_annotations = isinstance(objects.metadata(deployment).get("annotations"), dict)
    return [
        {"op": "test", "path": "/metadata/uid", "value": permit.target.uid},
        {"op": "test", "path": "/metadata/generation", "value": permit.before.generation},
        {"op": "replace", "path": "/spec/template", "value": objects.restorable_template(replica_set)},
        *(() if has_annotations else (made,)),
        {"op": "add", "path": pointer("metadata", "annotations", objects.LAST_ACTION), "value": _marks(deployment, permit)},
    ]


def _replacement(found: Object, revision: Object, permit: Permit) -> Object:
    """The revision's `data` as it stands: a strategic merge patch that replaces the template whole.

    Bound to the version that was read just now: a failing rollout writes status all the time, so the permit's own would rarely hold; what
    the permit rests on is the generation, and that was compared. Source: `remediation.md` 1.3.
    """
    data = revision.get("data") or {}
    spec = data.get("spec") or {}
    if set(data) != {"spec"} or set(spec) != {"template"} or spec["template"].get(objects.PATCH_DIRECTIVE) != "replace":
        raise Refused(f"{CONTROLLER_REVISION} {permit.parameters.replica_set} holds more, or less, than a whole template")
    guard = {
        "uid": permit.target.uid,
        "resourceVersion": objects.resource_version(found),
        "annotations": {objects.LAST_ACTION: _marks(found, permit)},
    }
    return {"metadata": guard, **data}


def _marks(found: Object, permit: Permit) -> str:
    return objects.last_actions_with(found, permit.attempt_id)
