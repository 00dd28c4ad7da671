"""`kubernetes.rollout_restart`: new pods of the same program, as `kubectl rollout restart` makes them.

Law: time and id come from the intent, so the same permit is the same patch: sent again it makes no new revision. Where no pod would be
replaced (paused, OnDelete, which kubectl and the API server accept silently) it is refused.
"""

from __future__ import annotations

from typing import ClassVar

from receiver.clients import kubernetes_objects as objects
from receiver.clients.kubernetes import Object, Patch
from receiver.core.case import Permit, Verb
from receiver.ports import Permission
from receiver.remediate.kubernetes.carry_out import PLATFORM, PLURALS, KubernetesAction, Refused, Rights, merge_patch, without_rollout


class RolloutRestart(KubernetesAction):
    """Both annotations stand in the template: the revision that they make keeps them for ever."""

    name: str = "kubernetes.rollout_restart"
    verb: Verb = Verb.restart
    rights: ClassVar[Rights] = {kind: (Permission(PLATFORM, "apps", plural, ("get", "patch")),) for kind, plural in PLURALS.items()}

    async def change(self, permit: Permit) -> Patch:
        """Merge patch of two template annotations."""
        moment = permit.parameters.restarted_at
        if moment is None:
            raise Refused("a permit to restart names the time of its intent, this one none")
        idle = without_rollout(await self.permitted(permit))
        if idle:
            raise Refused(f"{permit.target.ref.key} would not restart: {idle}")
        marks = {objects.RESTARTED_AT: objects.timestamp(moment), objects.ATTEMPT: permit.attempt_id}
        return merge_patch(permit, {"template": {"metadata": {"annotations": marks}}})

    def done(self, permit: Permit, answer: Object) -> str:
        """The generation tells whether anything rolls."""
        moment = permit.parameters.restarted_at
        stamp = objects.timestamp(moment) if moment else ""
        return f"restartedAt {stamp}, generation {permit.before.generation} -> {objects.generation(answer)}"
