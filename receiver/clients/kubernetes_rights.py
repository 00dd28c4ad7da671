"""What an identity may do, as the API server itself says it: SelfSubjectRulesReview, and SelfSubjectAccessReview for a single right.

Law: asking needs no right of its own (`system:basic-user` grants both reviews to everybody who is authenticated) and stores nothing. Some
authorizers cannot list what they allow and say `incomplete`: then a list proves no lack, only the single question does. Used by the
self-check of the rights.
Source: https://kubernetes.io/docs/reference/access-authn-authz/authorization/#checking-api-access
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from receiver.clients.errors import ClientError, ErrorKind

Object = dict[str, Any]

ANY = "*"
MOST = 5_000
"""Rights of one answer; ours has about fifty. More are no list but a fault."""


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """One verb on one resource; each part may be `*` where it was granted so."""

    group: str
    resource: str
    verb: str

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}" + (f".{self.group}" if self.group else "")

    def covers(self, wanted: Right) -> bool:
        """As RBAC matches: `*` is everything, `*/scale` that subresource of everything."""
        _, _, subresource = wanted.resource.partition("/")
        return (
            self.group in (ANY, wanted.group)
            and self.verb in (ANY, wanted.verb)
            and (self.resource in (ANY, wanted.resource) or bool(subresource and self.resource == f"{ANY}/{subresource}"))
        )


@dataclass(frozen=True, slots=True)
class Held:
    """What one identity may do in one namespace."""

    rights: frozenset[Right]
    """On every object."""
    named: frozenset[Right] = frozenset()
    """On single objects by name only."""
    complete: bool = True
    """False: there may be more."""

    def covers(self, wanted: Right) -> bool:
        """It is granted, on every object."""
        return any(each.covers(wanted) for each in self.rights)


class Reviewer(Protocol):
    """Whoever can ask, as `Kubernetes`."""

    async def review(self, resource: str, spec: Mapping[str, object]) -> Object:
        """The status of the review."""
        ...


async def held(client: Reviewer, namespace: str) -> Held:
    """All rights in that namespace, those granted in the whole cluster included."""
    status = await client.review("selfsubjectrulesreviews", {"namespace": namespace})
    found: tuple[set[Right], set[Right]] = set(), set()
    for right, named in _rights(status):
        found[named].add(right)
        if len(found[0]) + len(found[1]) > MOST:
            raise ClientError(ErrorKind.bad_answer, f"more than {MOST} rights in namespace {namespace}")
    return Held(frozenset(found[0]), frozenset(found[1]), complete=status.get("incomplete") is not True)


async def allowed(client: Reviewer, namespace: str, right: Right) -> bool:
    """That one right; an empty namespace asks for the whole cluster."""
    resource, _, subresource = right.resource.partition("/")
    attributes = {"group": right.group, "resource": resource, "subresource": subresource, "verb": right.verb, "namespace": namespace}
    wanted = {key: value for key, value in attributes.items() if value}
    status = await client.review("selfsubjectaccessreviews", {"resourceAttributes": wanted})
    return status.get("allowed") is True


def _rights(status: Mapping[str, Any]) -> Iterator[tuple[Right, bool]]:
    """Each, and whether it holds for named objects only."""
    for rule in _list(status, "resourceRules"):
        if not isinstance(rule, Mapping):
            continue
        named = bool(rule.get("resourceNames"))
        for group in _list(rule, "apiGroups"):
            for resource in _list(rule, "resources"):
                for verb in _list(rule, "verbs"):
                    yield Right(str(group), str(resource), str(verb)), named


def _list(found: Mapping[str, Any], key: str) -> list[Any]:
    value = found.get(key)
    return value if isinstance(value, list) else []
