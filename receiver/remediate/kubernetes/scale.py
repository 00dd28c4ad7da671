"""`kubernetes.scale`: set the count of a Deployment or StatefulSet, up for a while or back down.

Law: an absolute count from the permit, never below one. Needs the subresource `scale` only; the attempt's id is the field manager, since a
Scale keeps no annotations. A revert is the same action with a permit that names what it takes back.
"""

from __future__ import annotations

from typing import ClassVar

from receiver.clients.kubernetes import Object, Patch
from receiver.core.case import Permit, Verb
from receiver.ports import Permission
from receiver.remediate.kubernetes.carry_out import (
    DEPLOYMENT,
    PLATFORM,
    PLURALS,
    STATEFUL_SET,
    KubernetesAction,
    Refused,
    Rights,
    merge_patch,
)


class Scale(KubernetesAction):
    """A repeat of the same permit changes nothing: its resourceVersion is gone."""

    name: str = "kubernetes.scale"
    verb: Verb = Verb.scale
    rights: ClassVar[Rights] = {
        kind: (Permission(PLATFORM, "apps", f"{PLURALS[kind]}/scale", ("patch",)),) for kind in (DEPLOYMENT, STATEFUL_SET)
    }

    async def change(self, permit: Permit) -> Patch:
        """Merge patch on `/scale`."""
        replicas = permit.parameters.replicas
        if replicas is None or replicas < 1:
            raise Refused(f"a permit to scale names a count of at least 1, not {replicas}")
        return merge_patch(permit, {"replicas": replicas}, subresource="scale")

    def done(self, permit: Permit, answer: Object) -> str:
        """A Scale leaves out a count of 0."""
        stands = (answer.get("spec") or {}).get("replicas", 0)
        back = f", taking back {permit.reverts}" if permit.reverts else ""
        other = (
            "" if stands == permit.parameters.replicas else f" (asked for {permit.parameters.replicas}: an admission webhook changed it)"
        )
        return f"replicas {permit.before.replicas} -> {stands}{other}{back}"
