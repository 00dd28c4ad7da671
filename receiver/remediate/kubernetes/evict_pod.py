"""`kubernetes.evict_pod`: ask the API server to let one pod go, as the disruption budgets over it allow.

Law: the pod is named by name and uid, and belongs to the permitted workload through every owner in between; another pod that took its name
is safe. Never a delete: that would pass the budgets by. A repeat finds the pod gone. Source: `remediation.md` 0 (1) and 2.5.
"""

from __future__ import annotations

from typing import ClassVar

from receiver.clients import kubernetes_objects as objects
from receiver.clients.errors import ClientError, ErrorKind
from receiver.clients.kubernetes import Eviction, Object
from receiver.core.case import Permit, Verb
from receiver.ports import Permission
from receiver.remediate.kubernetes.carry_out import DEPLOYMENT, PLATFORM, PLURALS, KubernetesAction, Refused, Rights, field_manager
from receiver.remediate.kubernetes.rollout_undo import REPLICA_SET

POD = "Pod"


def _rights(kind: str) -> tuple[Permission, ...]:
    sets = (Permission(PLATFORM, "apps", "replicasets", ("get",)),) if kind == DEPLOYMENT else ()
    return (
        Permission(PLATFORM, "apps", PLURALS[kind], ("get",)),
        *sets,
        Permission(PLATFORM, "", "pods", ("get",)),
        Permission(PLATFORM, "", "pods/eviction", ("create",)),
    )


class EvictPod(KubernetesAction):
    """Leaves no mark on the workload: that the pod is gone is the proof."""

    name: str = "kubernetes.evict_pod"
    verb: Verb = Verb.evict
    rights: ClassVar[Rights] = {kind: _rights(kind) for kind in PLURALS}

    async def change(self, permit: Permit) -> Eviction:
        """The eviction, with the pod's uid as its precondition."""
        ref, wanted = permit.target.ref, permit.parameters
        if not (wanted.pod and wanted.pod_uid):
            raise Refused("a permit to evict names a pod and its uid, this one does not")
        await self.permitted(permit)
        pod = await self._pod(permit)
        await self._check_owner(pod, permit)
        return Eviction(ref.namespace, wanted.pod, wanted.pod_uid, field_manager(permit), permit.expires_at)

    async def _pod(self, permit: Permit) -> Object:
        wanted = permit.parameters
        try:
            pod = await self._kubernetes.get(POD, permit.target.namespace, wanted.pod)
        except ClientError as error:
            if error.kind is ErrorKind.not_found:
                raise Refused(f"pod {wanted.pod} is not found: 404, it is gone already") from error
            raise
        if objects.uid(pod) != wanted.pod_uid:
            raise Refused(f"pod {wanted.pod} is another pod now: uid {objects.uid(pod)}, permitted {wanted.pod_uid}")
        if objects.metadata(pod).get("deletionTimestamp"):
            raise Refused(f"pod {wanted.pod} is being deleted already")
        return pod

    async def _check_owner(self, pod: Object, permit: Permit) -> None:
        """By uid, through the ReplicaSet where there is one."""
        owner = objects.controller(pod)
        if owner is not None and owner[0] == REPLICA_SET and permit.target.ref.kind == DEPLOYMENT:
            replica_set = await self._kubernetes.get(REPLICA_SET, permit.target.namespace, owner[1])
            owner = objects.controller(replica_set) if objects.uid(replica_set) == owner[2] else None
        if owner is None or owner[2] != permit.target.uid:
            raise Refused(f"pod {permit.parameters.pod} does not belong to {permit.target.ref.key}")

    def odd(self, permit: Permit, answer: Object) -> str:
        """The answer to an eviction is a Status."""
        return "" if answer.get("status") == "Success" else f"pod {permit.parameters.pod}: the answer is no success"

    def done(self, permit: Permit, _: Object) -> str:
        """The pod goes within its grace period; its controller makes another."""
        return f"pod {permit.parameters.pod} ({permit.parameters.pod_uid}) evicted"
