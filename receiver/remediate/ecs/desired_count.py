"""`ecs.desired_count`: so many tasks, for a time. The lease, and the steps back, are the ones of every scale (`core/bounds.py`).

Law: the count alone is sent, which starts no deployment; and never where Application Auto Scaling keeps it, also not when it began to a
moment ago.
"""

from __future__ import annotations

from receiver.clients.ecs import Object, ServiceAt
from receiver.core.case import Permit, Verb
from receiver.ports import Permission
from receiver.remediate.ecs.carry_out import AWS, READS, UPDATE_SERVICE, UPDATES, Change, Done, EcsAction, Odd, Refused, answered, named


class DesiredCount(EcsAction):
    """A repeat of the same permit is refused: the count is not the one that it rests on any more."""

    name: str = "ecs.desired_count"
    verb: Verb = Verb.scale
    permissions: tuple[Permission, ...] = (
        READS,
        UPDATES,
        Permission(AWS, "application-autoscaling", "*", ("DescribeScalableTargets",)),
    )

    async def change(self, permit: Permit, at: ServiceAt) -> Change:
        """The absolute count."""
        wanted = permit.parameters.replicas
        if wanted is None or wanted < 1:
            raise Refused(f"a permit to set the desired count names one of at least 1, this one {wanted}")
        if await self._ecs.scalable(at):
            raise Refused("Application Auto Scaling keeps its count")
        return Change(UPDATE_SERVICE, {**named(permit), "desiredCount": wanted})

    def fits(self, permit: Permit, service: Object) -> str:
        """A DAEMON has no count."""
        return super().fits(permit, service) or ("" if service.get("schedulingStrategy") != "DAEMON" else "its strategy is DAEMON")

    def done(self, permit: Permit, answer: Object) -> Done:
        """Both counts."""
        found = answered(permit, answer).get("desiredCount")
        if found != permit.parameters.replicas:
            raise Odd(f"the answer tells a desired count of {found}, asked for were {permit.parameters.replicas}")
        return Done(f"desired count {permit.before.replicas} -> {found}")
