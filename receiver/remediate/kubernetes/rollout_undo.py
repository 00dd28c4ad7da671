"""`kubernetes.rollout_undo`: back to the pod template that the permit names by its hash.

Law: unlike `kubectl rollout undo` it chooses nothing itself (the second-highest revision may be a mere restart, or the bad version), it
keeps the object's annotations, and it writes no mark into the template: the old ReplicaSet is used again, with the pods it still has.
Runs with the identity `undo`, the only one that may change a pod's spec. Source: `remediation.md` 1.2.
"""

from __future__ import annotations

from receiver.clients import kubernetes_objects as objects
from receiver.clients.kubernetes import Object, Patch, PatchType
from receiver.core.case import Permit, Verb
from receiver.ports import Permission
from receiver.remediate.kubernetes.carry_out import DEPLOYMENT, PLATFORM, KubernetesAction, Refused, patch_of

REPLICA_SET = "ReplicaSet"
UNDO = "undo"


class RolloutUndo(KubernetesAction):
    """A repeat of the same permit changes nothing: the generation that it tests for is gone."""

    name: str = "kubernetes.rollout_undo"
    verb: Verb = Verb.undo
    identity: str = UNDO
    permissions: tuple[Permission, ...] = (
        Permission(PLATFORM, "apps", "deployments", ("get", "patch"), UNDO),
        Permission(PLATFORM, "apps", "replicasets", ("get",), UNDO),
    )

    async def patch(self, permit: Permit) -> Patch:
        """JSON patch of the whole template, from the ReplicaSet as it is now."""
        ref, wanted = permit.target.ref, permit.parameters
        if not (wanted.replica_set and wanted.template_hash):
            raise Refused("a permit to undo names a ReplicaSet and the hash of its template, this one does not")
        deployment = await self._kubernetes.get(DEPLOYMENT, ref.namespace, ref.name)
        _check_deployment(deployment, permit)
        replica_set = await self._kubernetes.get(REPLICA_SET, ref.namespace, wanted.replica_set)
        _check_replica_set(replica_set, permit)
        return patch_of(permit, _operations(deployment, replica_set, permit), patch_type=PatchType.json)

    def done(self, permit: Permit, answer: Object) -> str:
        """Names both revisions."""
        wanted = permit.parameters
        return (
            f"template of {wanted.replica_set} (revision {wanted.revision or 'unknown'}) restored over revision "
            f"{permit.before.revision or 'unknown'}, generation {permit.before.generation} -> {objects.generation(answer)}"
        )


def _check_deployment(deployment: Object, permit: Permit) -> None:
    key = permit.target.ref.key
    if objects.uid(deployment) != permit.target.uid:
        raise Refused(f"{key} is another object now: uid {objects.uid(deployment)}, permitted {permit.target.uid}")
    if objects.generation(deployment) != permit.before.generation:
        text = f"{key} was changed since: generation {objects.generation(deployment)}, permitted {permit.before.generation}"
        raise Refused(text, retryable=True)
    if objects.observed_generation(deployment) < objects.generation(deployment):
        raise Refused(f"the controller has not seen the newest template of {key} yet", retryable=True)
    if (deployment.get("spec") or {}).get("paused") is True:
        raise Refused(f"{key} is paused: kubectl rollout resume comes first")
    if objects.template_hash(objects.template(deployment)) == permit.parameters.template_hash:
        raise Refused(f"{key} has the wanted template already")


def _check_replica_set(replica_set: Object, permit: Permit) -> None:
    wanted, owner = permit.parameters, objects.controller(replica_set)
    if owner is None or owner[2] != permit.target.uid:
        raise Refused(f"ReplicaSet {wanted.replica_set} is not controlled by the permitted Deployment")
    found = objects.template_hash(objects.template(replica_set))
    if found != wanted.template_hash:
        raise Refused(f"ReplicaSet {wanted.replica_set} holds template {found}, permitted {wanted.template_hash}")


def _operations(deployment: Object, replica_set: Object, permit: Permit) -> list[Object]:
    made = {"op": "add", "path": "/metadata/annotations", "value": {}}
    has_annotations = isinstance(objects.metadata(deployment).get("annotations"), dict)
    return [
        {"op": "test", "path": "/metadata/uid", "value": permit.target.uid},
        {"op": "test", "path": "/metadata/generation", "value": permit.before.generation},
        {"op": "replace", "path": "/spec/template", "value": objects.restorable_template(replica_set)},
        *(() if has_annotations else (made,)),
        {"op": "add", "path": _pointer("metadata", "annotations", objects.LAST_ACTION), "value": _marks(deployment, permit)},
    ]


def _marks(deployment: Object, permit: Permit) -> str:
    return objects.last_actions_with(deployment, permit.attempt_id)


def _pointer(*parts: str) -> str:
    """RFC 6901."""
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)
