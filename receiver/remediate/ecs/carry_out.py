"""How every ECS action runs: check the permit, read the service again right before the call, send the call once, say what came of it.

Law: ECS has no precondition, no dry run and no idempotency token. So what the permit rests on (the PRIMARY deployment, the count, the task
definition) is compared by us when credentials and client are there, at most `FRESH` before the call; it leaves once; and any doubt about it
is `unknown`, which is decided by looking, never by sending again. A subclass says what its change is. Called by the responder, under a
time limit of its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from receiver.clients import ecs as aws_ecs
from receiver.clients.ecs import Ecs, Object, ServiceAt
from receiver.clients.errors import ClientError, ErrorKind, plain
from receiver.core.case import Permit, Verb
from receiver.ports import Clock, Outcome, OutcomeKind, Permission

UPDATE_SERVICE, STOP_DEPLOYMENT = "update_service", "stop_service_deployment"
AWS = "aws"
READS = Permission(AWS, "ecs", "service", ("DescribeServices",))
UPDATES = Permission(AWS, "ecs", "service", ("UpdateService",))

_RETRYABLE = frozenset(
    {
        ErrorKind.conflict,
        ErrorKind.throttled,
        ErrorKind.unwell,
        ErrorKind.unavailable,
        ErrorKind.unreachable,
        ErrorKind.timeout,
    }
)
"""Another permit, from fresh facts, may fare better."""


class Refused(ClientError):
    """The action will not do it: nothing was sent."""

    def __init__(self, text: str, *, retryable: bool = False) -> None:
        super().__init__(ErrorKind.conflict if retryable else ErrorKind.held, text)


@dataclass(frozen=True, slots=True)
class Change:
    """One call."""

    operation: str
    asked: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Done:
    """What an answer says."""

    detail: str
    made: str = ""
    """The deployment that it made."""


class Odd(Exception):
    """The answer is not about what was asked for: nobody knows."""


class EcsAction(ABC):
    """One verb on services. Implements `receiver.ports.Action`."""

    name: str
    verb: Verb
    permissions: tuple[Permission, ...]

    def __init__(self, ecs: Ecs, *, clock: Clock) -> None:
        self._ecs = ecs
        self._clock = clock

    @abstractmethod
    async def change(self, permit: Permit, at: ServiceAt) -> Change:
        """The one call, in absolute values. Reads what else it rests on; Refused or ClientError when it is not to be sent."""

    @abstractmethod
    def done(self, permit: Permit, answer: Object) -> Done:
        """Odd when the answer does not show what was asked for."""

    def fits(self, permit: Permit, service: Object) -> str:  # noqa: ARG002 - a subclass asks it
        """Not empty: why the service, as read a moment ago, is not to be changed so."""
        return "" if aws_ecs.at_rest(service) else "a deployment is under way"

    async def run(self, permit: Permit) -> Outcome:
        """One effect at most. Never raises but for cancellation."""
        try:
            at, change = await self._prepared(permit)
        except ClientError as error:
            return Outcome(OutcomeKind.rejected, error.text, retryable=error.kind in _RETRYABLE)
        except Exception as error:  # boundary: a fault before anything was sent refuses this action and nothing else
            return Outcome(OutcomeKind.rejected, f"{self.name} failed before anything was sent: {type(error).__name__}")
        return await self._sent(permit, at, change)

    async def _sent(self, permit: Permit, at: ServiceAt, change: Change) -> Outcome:
        try:
            answer = await self._ecs.change(
                at,
                change.operation,
                change.asked,
                action_id=permit.attempt_id,
                not_after=permit.expires_at,
                compare=partial(self._compare, permit),
            )
            done = self.done(permit, answer)
            return Outcome(OutcomeKind.applied, plain(done.detail), made=done.made)
        except Odd as odd:
            return Outcome(OutcomeKind.unknown, plain(str(odd)))
        except ClientError as error:
            kind = OutcomeKind.unknown if error.sent else OutcomeKind.rejected
            return Outcome(kind, error.text, retryable=not error.sent and error.kind in _RETRYABLE)
        except Exception as error:  # boundary: a fault while the call was out leaves its outcome open
            return Outcome(OutcomeKind.unknown, f"{self.name} failed while the call was out: {type(error).__name__}")

    async def _prepared(self, permit: Permit) -> tuple[ServiceAt, Change]:
        """All that is read but the service itself, which comes last of all."""
        at = self._checked(permit)
        return at, await self.change(permit, at)

    def _checked(self, permit: Permit) -> ServiceAt:
        ref, now = permit.target.ref, self._clock.now()
        if permit.verb is not self.verb or permit.action != self.name:
            raise Refused(f"the permit is for {permit.action} ({permit.verb}), not for {self.name}")
        if (ref.platform, ref.kind) != (aws_ecs.PLATFORM, aws_ecs.KIND):
            raise Refused(f"{self.name} acts on services of ECS only, not on {ref.key}")
        if not (permit.target.uid and permit.attempt_id and permit.before.deployment):
            raise Refused("the permit lacks the target's uid, its deployment or the attempt's id")
        if permit.shadow:
            raise Refused(f"the permit is of mode {permit.mode}: only recorded, never run")
        if now > permit.expires_at:
            raise Refused(f"the permit ended at {permit.expires_at:%H:%M:%S}, it is {now:%H:%M:%S}", retryable=True)
        at = self._ecs.of_uid(ref.namespace, ref.name, permit.target.uid)
        if at is None:
            raise Refused(f"{ref.namespace}/{ref.name} is not among ecs.services")
        return at

    def _compare(self, permit: Permit, service: Object) -> None:
        """The service is still the one, and as, the permit was given for."""
        key, before = permit.target.ref.key, permit.before
        if aws_ecs.uid(service) != permit.target.uid:
            raise Refused(f"{key} is another service now: {aws_ecs.uid(service)}, permitted {permit.target.uid}")
        if service.get("status") != "ACTIVE" or aws_ecs.controller(service) != "ECS" or aws_ecs.strategy(service) != "ROLLING":
            raise Refused(f"{key} is {service.get('status')}, deployed by {aws_ecs.controller(service)} ({aws_ecs.strategy(service)})")
        seen = (aws_ecs.primary(service).get("id"), service.get("desiredCount"), service.get("taskDefinition"))
        permitted = (before.deployment, before.replicas, before.template_hash)
        if seen != permitted:
            raise Refused(f"{key} was changed since: {seen} instead of {permitted}", retryable=True)
        if unfit := self.fits(permit, service):
            raise Refused(f"{key}: {unfit}", retryable=True)


def named(permit: Permit) -> dict[str, object]:
    """Which service: the part that every UpdateService has."""
    return {"cluster": permit.target.ref.namespace, "service": permit.target.ref.name}


def answered(permit: Permit, answer: Object) -> Object:
    """The service of an answer; Odd when it is not the permitted one."""
    service: Object = answer.get("service") or {}
    if aws_ecs.uid(service) != permit.target.uid:
        raise Odd(f"the answer is about {aws_ecs.uid(service)!r}, permitted {permit.target.uid}")
    return service
