"""`kubernetes.rollout_restart`: new pods of the same program, as `kubectl rollout restart` makes them.

Law: time and id come from the intent, so the same permit is the same patch: sent again it makes no new revision.
"""

from __future__ import annotations

from receiver.clients import kubernetes_objects as objects
from receiver.clients.kubernetes import Object, Patch
from receiver.core.case import Permit, Verb
from receiver.ports import Permission
from receiver.remediate.kubernetes.carry_out import PLATFORM, KubernetesAction, Refused, merge_patch


class RolloutRestart(KubernetesAction):
    """Both annotations stand in the template: the ReplicaSet that they make keeps them for ever."""

    name: str = "kubernetes.rollout_restart"
    verb: Verb = Verb.restart
    permissions: tuple[Permission, ...] = (Permission(PLATFORM, "apps", "deployments", ("patch",)),)

    async def patch(self, permit: Permit) -> Patch:
        """Merge patch of two template annotations."""
        moment = permit.parameters.restarted_at
        if moment is None:
            raise Refused("a permit to restart names the time of its intent, this one none")
        marks = {objects.RESTARTED_AT: objects.timestamp(moment), objects.ATTEMPT: permit.attempt_id}
        return merge_patch(permit, {"template": {"metadata": {"annotations": marks}}})

    def done(self, permit: Permit, answer: Object) -> str:
        """The generation tells whether anything rolls."""
        moment = permit.parameters.restarted_at
        stamp = objects.timestamp(moment) if moment else ""
        return f"restartedAt {stamp}, generation {permit.before.generation} -> {objects.generation(answer)}"
