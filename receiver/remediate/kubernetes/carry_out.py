"""How every Kubernetes action runs: check the permit, prepare the patch, ask the server by a dry run, send it once, say what came of it.

Law: `rejected` is said only where nothing was changed and nothing can land late; any doubt about a call that left is `unknown`, and it is
never sent again. A subclass says what its patch is. Called by the responder, under a time limit of its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from receiver.clients import kubernetes_objects as objects
from receiver.clients.errors import ClientError, ErrorKind, plain
from receiver.clients.kubernetes import Kubernetes, Object, Patch, PatchType
from receiver.core.case import Permit, Verb
from receiver.ports import Clock, Outcome, OutcomeKind, Permission

PLATFORM = "kubernetes"
DEPLOYMENT = "Deployment"

_RETRYABLE = frozenset({ErrorKind.conflict, ErrorKind.throttled, ErrorKind.unavailable, ErrorKind.unreachable, ErrorKind.timeout})
"""Another permit, from fresh facts, may fare better. The rest (403, 404, 422, held) will not change by itself."""


class Refused(Exception):
    """The action will not do it: nothing was sent."""

    def __init__(self, text: str, *, retryable: bool = False) -> None:
        super().__init__(text)
        self.retryable = retryable


class KubernetesAction(ABC):
    """One verb on a Deployment. Implements `receiver.ports.Action`."""

    name: str
    verb: Verb
    permissions: tuple[Permission, ...]
    identity: str = "base"

    def __init__(self, kubernetes: Kubernetes, *, clock: Clock) -> None:
        self._kubernetes = kubernetes
        self._clock = clock

    @abstractmethod
    async def patch(self, permit: Permit) -> Patch:
        """The one change, absolute and guarded by uid and version. Reads only; Refused or ClientError when it is not to be done."""

    @abstractmethod
    def done(self, permit: Permit, answer: Object) -> str:
        """What the answer says of the change, in one sentence."""

    async def run(self, permit: Permit) -> Outcome:
        """One effect at most. Never raises but for cancellation."""
        try:
            patch = await self._prepared(permit)
        except Refused as refused:
            return Outcome(OutcomeKind.rejected, plain(str(refused)), retryable=refused.retryable)
        except ClientError as error:
            return Outcome(OutcomeKind.rejected, error.text, retryable=error.kind in _RETRYABLE)
        except Exception as error:  # boundary: a fault before anything was sent refuses this action and nothing else
            return Outcome(OutcomeKind.rejected, f"{self.name} failed before anything was sent: {type(error).__name__}")
        try:
            answer = await self._kubernetes.patch(patch)
            return self._judged(permit, answer)
        except ClientError as error:
            kind = OutcomeKind.unknown if error.sent else OutcomeKind.rejected
            return Outcome(kind, error.text, retryable=not error.sent and error.kind in _RETRYABLE)
        except Exception as error:  # boundary: a fault while the call was out leaves its outcome open
            return Outcome(OutcomeKind.unknown, f"{self.name} failed while the call was out: {type(error).__name__}")

    async def _prepared(self, permit: Permit) -> Patch:
        """Everything that changes nothing."""
        self._check(permit)
        patch = await self.patch(permit)
        answer = await self._kubernetes.patch(patch, dry_run=True)
        if objects.uid(answer) != permit.target.uid:
            raise Refused(f"{permit.target.ref.key} is another object now: uid {objects.uid(answer)}, permitted {permit.target.uid}")
        return patch

    def _check(self, permit: Permit) -> None:
        ref, now = permit.target.ref, self._clock.now()
        if permit.verb is not self.verb or permit.action != self.name:
            raise Refused(f"the permit is for {permit.action} ({permit.verb}), not for {self.name}")
        if ref.platform != PLATFORM or ref.kind != DEPLOYMENT:
            raise Refused(f"{self.name} acts on Deployments of Kubernetes only, not on {ref.key}")
        if not (permit.target.uid and permit.attempt_id and permit.before.resource_version):
            raise Refused("the permit lacks the target's uid, its resourceVersion or the attempt's id")
        if permit.shadow:
            raise Refused(f"the permit is of mode {permit.mode}: only recorded, never run")
        if now > permit.expires_at:
            raise Refused(f"the permit ended at {permit.expires_at:%H:%M:%S}, it is {now:%H:%M:%S}", retryable=True)

    def _judged(self, permit: Permit, answer: Object) -> Outcome:
        if objects.uid(answer) != permit.target.uid:
            return Outcome(OutcomeKind.unknown, plain(f"the API server answered with another object: uid {objects.uid(answer)!r}"))
        return Outcome(OutcomeKind.applied, plain(self.done(permit, answer)))


def merge_patch(permit: Permit, spec: Object, *, subresource: str = "") -> Patch:
    """A merge patch of `spec` that the server refuses (409, or 422 for the uid) when the object is not the one that was permitted."""
    guard = {"uid": permit.target.uid, "resourceVersion": permit.before.resource_version}
    return patch_of(permit, {"metadata": guard, "spec": spec}, patch_type=PatchType.merge, subresource=subresource)


def patch_of(permit: Permit, body: Object | list[Object], *, patch_type: PatchType, subresource: str = "") -> Patch:
    """A patch of the permitted object, in the attempt's name, until the permit's end."""
    ref = permit.target.ref
    return Patch(
        kind=ref.kind,
        namespace=ref.namespace,
        name=ref.name,
        body=body,
        patch_type=patch_type,
        field_manager=f"{objects.FIELD_MANAGER}{permit.attempt_id}",
        subresource=subresource,
        not_after=permit.expires_at,
    )
