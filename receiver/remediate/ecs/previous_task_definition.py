"""`ecs.previous_task_definition`: back to the task definition that the permit names by its whole ARN.

Law: it chooses nothing itself. A deployment in flight is stopped (ROLLBACK), and ECS goes back to the revision that it came from; else the
service is given the task definition, which must be ACTIVE still. Source: `remediation.md` 6.
"""

from __future__ import annotations

from receiver.clients.ecs import Object, ServiceAt, at_rest, primary, short
from receiver.core.case import Permit, Verb
from receiver.ports import Permission
from receiver.remediate.ecs.carry_out import (
    AWS,
    READS,
    STOP_DEPLOYMENT,
    UPDATE_SERVICE,
    UPDATES,
    Change,
    Done,
    EcsAction,
    Odd,
    Refused,
    answered,
    named,
)

IN_FLIGHT = frozenset({"PENDING", "IN_PROGRESS"})


class PreviousTaskDefinition(EcsAction):
    """A repeat of the same permit is refused: the service has another task definition, or its deployment is being rolled back."""

    name: str = "ecs.previous_task_definition"
    verb: Verb = Verb.undo
    permissions: tuple[Permission, ...] = (
        READS,
        UPDATES,
        Permission(AWS, "ecs", "service-deployment", ("DescribeServiceDeployments", "StopServiceDeployment")),
        Permission(AWS, "ecs", "*", ("DescribeTaskDefinition",)),
    )

    async def change(self, permit: Permit, at: ServiceAt) -> Change:
        """A stop, or the whole ARN."""
        wanted = permit.parameters
        if not wanted.template_hash.startswith("arn:"):
            raise Refused("a permit to go back names the whole ARN of a task definition, this one does not")
        if wanted.replica_set:
            status = (await self._ecs.deployment(at, wanted.replica_set)).get("status")
            if status not in IN_FLIGHT:
                raise Refused(f"service deployment {wanted.replica_set} is {status}: there is nothing to stop", retryable=True)
            return Change(STOP_DEPLOYMENT, {"serviceDeploymentArn": wanted.replica_set, "stopType": "ROLLBACK"})
        status = (await self._ecs.definition(at, wanted.template_hash)).get("status")
        if status != "ACTIVE":
            raise Refused(f"task definition {short(wanted.template_hash)} is {status}: it cannot be set")
        return Change(UPDATE_SERVICE, {**named(permit), "taskDefinition": wanted.template_hash})

    def fits(self, permit: Permit, service: Object) -> str:
        """Only what failed, or is in flight and is to be stopped, may be unfinished."""
        failed = primary(service).get("rolloutState") == "FAILED"
        return "" if permit.parameters.replica_set or failed or at_rest(service) else "a deployment is under way"

    def done(self, permit: Permit, answer: Object) -> Done:
        """Names both."""
        wanted = permit.parameters
        if wanted.replica_set:
            if answer.get("serviceDeploymentArn") != wanted.replica_set:
                raise Odd(f"the answer is about service deployment {answer.get('serviceDeploymentArn')}")
            return Done(f"service deployment {wanted.replica_set.rpartition('/')[2]} is being rolled back to {wanted.revision}")
        newest = primary(answered(permit, answer))
        if newest.get("taskDefinition") != wanted.template_hash:
            raise Odd(f"the PRIMARY deployment of the answer is of {newest.get('taskDefinition')}")
        made = str(newest.get("id") or "")
        return Done(f"task definition {permit.before.revision} -> {wanted.revision}, deployment {made}", made)
