"""How every Kubernetes action runs: check the permit, prepare the change, ask the server by a dry run, send it once, say what came of it.

Law: `rejected` is said only where nothing was changed and nothing can land late; any doubt about a call that left is `unknown`, and it is
never sent again. A subclass says what its change is. Called by the responder, under a time limit of its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from receiver.clients import kubernetes_objects as objects
from receiver.clients.errors import ClientError, ErrorKind, plain
from receiver.clients.kubernetes import Kubernetes, Object, Patch, PatchType
from receiver.clients.kubernetes_changes import Change
from receiver.core.case import Permit, Verb
from receiver.ports import Clock, Outcome, OutcomeKind, Permission

PLATFORM = "kubernetes"
DEPLOYMENT, STATEFUL_SET, DAEMON_SET, NODE = "Deployment", "StatefulSet", "DaemonSet", "Node"
PLURALS: Mapping[str, str] = {DEPLOYMENT: "deployments", STATEFUL_SET: "statefulsets", DAEMON_SET: "daemonsets"}
"""Of the workloads."""

Rights = Mapping[str, tuple[Permission, ...]]
"""Kind of the target → what is needed to act on it."""

_RETRYABLE = frozenset(
    {
        ErrorKind.conflict,
        ErrorKind.throttled,
        ErrorKind.budget,
        ErrorKind.unwell,
        ErrorKind.unavailable,
        ErrorKind.unreachable,
        ErrorKind.timeout,
    }
)
"""Another permit, from fresh facts, may fare better. The rest (403, 404, 422, held) will not change by itself."""


class Refused(Exception):
    """The action will not do it: nothing was sent."""

    def __init__(self, text: str, *, retryable: bool = False) -> None:
        super().__init__(text)
        self.retryable = retryable


class KubernetesAction(ABC):
    """One verb on some kinds of object. Implements `receiver.ports.Action`."""

    name: str
    verb: Verb
    rights: ClassVar[Rights]
    """Its keys are the kinds that it acts on."""
    permissions: tuple[Permission, ...]
    """The union of `rights`."""
    identity: str = "base"

    def __init_subclass__(cls) -> None:
        cls.permissions = tuple(dict.fromkeys(each for rights in cls.rights.values() for each in rights))

    def __init__(self, kubernetes: Kubernetes, *, clock: Clock) -> None:
        self._kubernetes = kubernetes
        self._clock = clock

    @abstractmethod
    async def change(self, permit: Permit) -> Change:
        """The one change, absolute and guarded by uid. Reads only; Refused or ClientError when it is not to be done."""

    @abstractmethod
    def done(self, permit: Permit, answer: Object) -> str:
        """What the answer says of the change, in one sentence."""

    def odd(self, permit: Permit, answer: Object) -> str:
        """Not empty: the answer is not about what was permitted."""
        found = objects.uid(answer)
        return "" if found == permit.target.uid else f"another object now: uid {found!r}, permitted {permit.target.uid}"

    async def run(self, permit: Permit) -> Outcome:
        """One effect at most. Never raises but for cancellation."""
        try:
            change = await self._prepared(permit)
        except Refused as refused:
            return Outcome(OutcomeKind.rejected, plain(str(refused)), retryable=refused.retryable)
        except ClientError as error:
            return Outcome(OutcomeKind.rejected, error.text, retryable=error.kind in _RETRYABLE)
        except Exception as error:  # boundary: a fault before anything was sent refuses this action and nothing else
            return Outcome(OutcomeKind.rejected, f"{self.name} failed before anything was sent: {type(error).__name__}")
        try:
            answer = await self._kubernetes.write(change)
            return self._judged(permit, answer)
        except ClientError as error:
            kind = OutcomeKind.unknown if error.sent else OutcomeKind.rejected
            return Outcome(kind, error.text, retryable=not error.sent and error.kind in _RETRYABLE)
        except Exception as error:  # boundary: a fault while the call was out leaves its outcome open
            return Outcome(OutcomeKind.unknown, f"{self.name} failed while the call was out: {type(error).__name__}")

    async def _prepared(self, permit: Permit) -> Change:
        """Everything that changes nothing."""
        self._check(permit)
        change = await self.change(permit)
        odd = self.odd(permit, await self._kubernetes.write(change, dry_run=True))
        if odd:
            raise Refused(f"{permit.target.ref.key} is {odd}")
        return change

    def _check(self, permit: Permit) -> None:
        ref, now = permit.target.ref, self._clock.now()
        if permit.verb is not self.verb or permit.action != self.name:
            raise Refused(f"the permit is for {permit.action} ({permit.verb}), not for {self.name}")
        if ref.platform != PLATFORM or ref.kind not in self.rights:
            raise Refused(f"{self.name} acts on {', '.join(self.rights)} of Kubernetes only, not on {ref.key}")
        if not (permit.target.uid and permit.attempt_id and permit.before.resource_version):
            raise Refused("the permit lacks the target's uid, its resourceVersion or the attempt's id")
        if permit.shadow:
            raise Refused(f"the permit is of mode {permit.mode}: only recorded, never run")
        if now > permit.expires_at:
            raise Refused(f"the permit ended at {permit.expires_at:%H:%M:%S}, it is {now:%H:%M:%S}", retryable=True)

    def _judged(self, permit: Permit, answer: Object) -> Outcome:
        odd = self.odd(permit, answer)
        if odd:
            return Outcome(OutcomeKind.unknown, plain(f"the API server answered with {odd}"))
        return Outcome(OutcomeKind.applied, plain(self.done(permit, answer)))

    async def permitted(self, permit: Permit) -> Object:
        """The target as it is now; Refused when it is another object under the same name."""
        ref = permit.target.ref
        found = await self._kubernetes.get(ref.kind, ref.namespace, ref.name)
        if objects.uid(found) != permit.target.uid:
            raise Refused(f"{ref.key} is another object now: uid {objects.uid(found)}, permitted {permit.target.uid}")
        return found


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
        field_manager=field_manager(permit),
        subresource=subresource,
        not_after=permit.expires_at,
    )


def field_manager(permit: Permit) -> str:
    """Whose change it is, in the object's `managedFields` and in the audit log of the API server."""
    return f"{objects.FIELD_MANAGER}{permit.attempt_id}"


def pointer(*parts: str) -> str:
    """RFC 6901."""
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)


def without_rollout(found: Object) -> str:
    """Why a new template would replace no pod; empty: it would. Paused Deployments, OnDelete, and a partition above every ordinal."""
    spec = found.get("spec") or {}
    if spec.get("paused") is True:
        return "it is paused: kubectl rollout resume comes first"
    strategy = spec.get("updateStrategy") or {}
    if strategy.get("type") == "OnDelete":
        return "its updateStrategy is OnDelete: no pod would take the template"
    partition = (strategy.get("rollingUpdate") or {}).get("partition") or 0
    if partition and partition >= spec.get("replicas", 1):
        return f"its partition is {partition}: no pod would take the template"
    return ""
