"""Which rights our identities lack, and which they have beyond need: what is declared held against what the API server says. Pure.

Law: a lack is said only where the list was complete or the single question was answered no. Called by `rights_check.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from receiver.clients.kubernetes_rights import ANY, Held, Right
from receiver.ports import Permission, RightFinding, RightState

PLATFORM = "kubernetes"
CLUSTER = ""
"""The place of what lies in no namespace."""
CLUSTER_WIDE = frozenset({("", "nodes")})
BASE, UNDO, NODES = "base", "undo", "nodes"
ACCOUNTS: Mapping[str, str] = {BASE: BASE, NODES: BASE, UNDO: UNDO}
"""Identity of a permission → whose credentials it means: nodes are touched by the base identity."""
LOOKS = "looks"
"""Needed by the observers."""
EVIDENCE = "evidence"
"""Needed by the evidence of a page only: without it a page says less, and nothing else is amiss."""

READING = frozenset({"get", "list", "watch"})
GRAVE_GROUPS = frozenset({ANY, "", "apps", "batch", "autoscaling", "policy", "rbac.authorization.k8s.io", "admissionregistration.k8s.io"})
GRAVE_READS = frozenset({ANY, "secrets", "pods/exec", "pods/attach", "pods/portforward", "pods/proxy", "services/proxy", "nodes/proxy"})
"""A connection to a pod is a `get` as well."""
GRAVE_VERBS = frozenset({ANY, "impersonate", "bind", "escalate"})

# What Kubernetes grants to everybody who is authenticated, or to every service account.
# https://kubernetes.io/docs/reference/access-authn-authz/rbac/#default-roles-and-role-bindings
OF_EVERYBODY = frozenset(
    {
        *(Right("authorization.k8s.io", each, "create") for each in ("selfsubjectaccessreviews", "selfsubjectrulesreviews")),
        Right("authentication.k8s.io", "selfsubjectreviews", "create"),
        *(Right("certificates.k8s.io", "clustertrustbundles", each) for each in READING),
    }
)


@dataclass(frozen=True, slots=True)
class Needs:
    """Who needs what: wired actions by name, everything that only looks, and what is collected for pages."""

    actions: Mapping[str, tuple[Permission, ...]] = field(default_factory=dict)
    looks: tuple[Permission, ...] = ()
    evidence: tuple[Permission, ...] = ()

    def by_right(self, account: str, *, wide: bool) -> Mapping[Right, tuple[str, ...]]:
        """Right → who needs it, of one account, in the whole cluster or in each namespace."""
        found: dict[Right, tuple[str, ...]] = {}
        for name, permissions in (*self.actions.items(), (LOOKS, self.looks), (EVIDENCE, self.evidence)):
            for right in rights_of(permissions, account):
                if ((right.group, right.resource) in CLUSTER_WIDE) is wide:
                    found[right] = (*found.get(right, ()), name)
        return found


def rights_of(permissions: Iterable[Permission], account: str) -> Iterator[Right]:
    """One by one."""
    for each in permissions:
        if each.platform == PLATFORM and ACCOUNTS.get(each.identity) == account:
            for verb in each.verbs:
                yield Right(each.group, each.resource, verb)


def missing(
    needed: Mapping[Right, tuple[str, ...]], lacked: Collection[Right], *, account: str, place: str, listed: Collection[str]
) -> list[RightFinding]:
    """Of what is needed; `listed` are the actions that rules name."""
    found = []
    for right in sorted(lacked):
        who = needed[right]
        state = RightState.missing if LOOKS in who or any(each in listed for each in who) else RightState.off
        found.append(RightFinding(state, account, place, str(right), ", ".join(who)))
    return found


def beyond(held: Held, needs: Needs, *, account: str, place: str) -> list[RightFinding]:
    """Of what is held; a right on named objects only counts as well."""
    needed = {*needs.by_right(account, wide=False), *needs.by_right(account, wide=True), *OF_EVERYBODY}
    return [
        RightFinding(RightState.grave if grave(each) else RightState.excess, account, place, str(each))
        for each in sorted(held.rights | held.named)
        if each not in needed
    ]


def grave(right: Right) -> bool:
    """It could do harm by itself."""
    if right.group not in GRAVE_GROUPS:
        return False
    return right.verb in GRAVE_VERBS or right.verb not in READING or right.resource in GRAVE_READS
