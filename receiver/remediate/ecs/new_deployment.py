"""`ecs.new_deployment`: new tasks of the same task definition, as `--force-new-deployment` makes them.

Law: one call an attempt, and never a second for what came of it: each one replaces all tasks again. The PRIMARY deployment of the answer is
what the attempt made; by it, and by nothing else, it is judged.
"""

from __future__ import annotations

from receiver.clients.ecs import Object, ServiceAt, primary
from receiver.core.case import Permit, Verb
from receiver.ports import Permission
from receiver.remediate.ecs.carry_out import READS, UPDATE_SERVICE, UPDATES, Change, Done, EcsAction, Odd, answered, named


class NewDeployment(EcsAction):
    """A repeat of the same permit is refused: the deployment that it rests on is not PRIMARY any more."""

    name: str = "ecs.new_deployment"
    verb: Verb = Verb.restart
    permissions: tuple[Permission, ...] = (READS, UPDATES)

    async def change(self, permit: Permit, at: ServiceAt) -> Change:  # noqa: ARG002 - there is nothing else to read
        """Nothing else is passed: a bare call keeps the revision."""
        return Change(UPDATE_SERVICE, {**named(permit), "forceNewDeployment": True})

    def done(self, permit: Permit, answer: Object) -> Done:
        """The deployment that was made."""
        newest = primary(answered(permit, answer))
        made = str(newest.get("id") or "")
        if made in ("", permit.before.deployment) or newest.get("taskDefinition") != permit.before.template_hash:
            raise Odd(f"the answer tells no new deployment of the same task definition: PRIMARY is {made or 'none'}")
        return Done(f"deployment {permit.before.deployment} -> {made}", made)
