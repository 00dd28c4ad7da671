"""`kubernetes.cordon` and `kubernetes.uncordon`: a node takes no new pods, or takes them again. Pods that run on it are left alone.

Law: what we cordon carries our own annotation, and only what carries it is uncordoned: a node that a person, an autoscaler or an upgrade
cordoned is theirs. A JSON patch that tests the uid and the old values: kubelet and controllers write to a node all the time, so that its
resourceVersion would never hold, and a node has no generation. Wired only with `kubernetes.nodes: true`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from receiver.clients import kubernetes_objects as objects
from receiver.clients.kubernetes import Object, Patch, PatchType
from receiver.core.case import Permit, Verb
from receiver.ports import Permission
from receiver.remediate.kubernetes.carry_out import NODE, PLATFORM, KubernetesAction, Refused, Rights, patch_of, pointer

NODES = "nodes"
"""The rights that come with `kubernetes.nodes: true`: cluster-wide, apart from those of the namespaces."""
UNSCHEDULABLE = "/spec/unschedulable"
ANNOTATIONS = "/metadata/annotations"
CORDONED = pointer("metadata", "annotations", objects.CORDONED)
LAST_ACTION = pointer("metadata", "annotations", objects.LAST_ACTION)
RIGHTS: Rights = {NODE: (Permission(PLATFORM, "", "nodes", ("get", "patch"), NODES),)}

Operation = dict[str, Any]


class Cordon(KubernetesAction):
    """A repeat finds the node cordoned, and does nothing."""

    name: str = "kubernetes.cordon"
    verb: Verb = Verb.cordon
    identity: str = NODES
    rights: ClassVar[Rights] = RIGHTS

    async def change(self, permit: Permit) -> Patch:
        """Cordoned and marked in one patch, which fails on a node that somebody else cordoned in between."""
        node = await self.permitted(permit)
        if objects.unschedulable(node):
            by = objects.cordoned_by(node)
            raise Refused(f"{permit.target.ref.key} is cordoned already, by {by or 'somebody else'}")
        operations = [
            _test("/metadata/uid", permit.target.uid),
            _test(UNSCHEDULABLE, None),
            *_annotations(node),
            _add(UNSCHEDULABLE, True),
            _add(CORDONED, permit.attempt_id),
            _add(LAST_ACTION, objects.last_actions_with(node, permit.attempt_id)),
        ]
        return patch_of(permit, operations, patch_type=PatchType.json)

    def done(self, permit: Permit, answer: Object) -> str:
        """Says what stands."""
        other = "" if objects.cordoned_by(answer) == permit.attempt_id else " (an admission webhook took our mark away)"
        return f"unschedulable {str(objects.unschedulable(answer)).lower()}{other}"


class Uncordon(KubernetesAction):
    """A repeat finds no mark of ours, and does nothing."""

    name: str = "kubernetes.uncordon"
    verb: Verb = Verb.uncordon
    identity: str = NODES
    rights: ClassVar[Rights] = RIGHTS

    async def change(self, permit: Permit) -> Patch:
        """Takes back cordon and mark in one patch, which fails when either is no longer ours."""
        node, key = await self.permitted(permit), permit.target.ref.key
        by = objects.cordoned_by(node)
        if not (objects.unschedulable(node) and by):
            raise Refused(f"{key} is {'cordoned by somebody else' if objects.unschedulable(node) else 'not cordoned'}")
        if permit.reverts and by != permit.reverts:
            raise Refused(f"{key} is cordoned by {by}, not by {permit.reverts}")
        operations = [
            _test("/metadata/uid", permit.target.uid),
            _test(UNSCHEDULABLE, True),
            _test(CORDONED, by),
            {"op": "remove", "path": UNSCHEDULABLE},
            {"op": "remove", "path": CORDONED},
            _add(LAST_ACTION, objects.last_actions_with(node, permit.attempt_id)),
        ]
        return patch_of(permit, operations, patch_type=PatchType.json)

    def done(self, permit: Permit, answer: Object) -> str:
        """Says what stands."""
        back = f", taking back {permit.reverts}" if permit.reverts else ""
        return f"unschedulable {str(objects.unschedulable(answer)).lower()}{back}"


def _annotations(node: Mapping[str, Any]) -> list[Operation]:
    """Made where the node has none: a JSON patch cannot add below what is not there. The test keeps those that came in between."""
    if isinstance(objects.metadata(node).get("annotations"), dict):
        return []
    return [_test(ANNOTATIONS, None), _add(ANNOTATIONS, {})]


def _test(path: str, value: object) -> Operation:
    """`None`: the field is absent (evanphx/json-patch, which the API server uses, reads a test for null so)."""
    return {"op": "test", "path": path, "value": value}


def _add(path: str, value: object) -> Operation:
    return {"op": "add", "path": path, "value": value}
