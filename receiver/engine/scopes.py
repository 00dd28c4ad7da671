"""What may be frozen: `namespace:NAME`, `service:NAME`, `rule:NAME`, `target:KEY`, or everything.

Law: a freeze that can hold nothing is no freeze: a name that nobody has is refused and the nearest ones are named. A namespace is taken
all the same, since rights may come before the list does, but with a doubt. Called by `commands`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection

from receiver.core.case import Policy
from receiver.core.rules import RuleSet
from receiver.ports import CommandRefused

SCOPE = re.compile(r"(namespace|service|rule|target):[A-Za-z0-9._/-]{1,300}")
TARGET = re.compile(r"kubernetes/[^/]+/[^/]*/[A-Z][A-Za-z]*/[^/]+")
"""As `TargetRef.key` writes it; a node has no namespace."""
NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
"""A DNS-1123 label (https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-label-names)."""
NAMED = 100
"""Characters of the names that a refusal lists."""
SHOWN = 64


def check(scope: str, ruleset: RuleSet) -> None:
    """Raises `CommandRefused` for what can hold nothing."""
    if not scope:
        return
    if not SCOPE.fullmatch(scope):
        raise CommandRefused(
            f"scope {scope[:SHOWN]!r} is not known; use namespace:NAME, service:NAME, rule:NAME, target:KEY, or none for everything"
        )
    kind, _, name = scope.partition(":")
    if kind == "target" and not TARGET.fullmatch(name):
        raise CommandRefused(f"target {name[:SHOWN]!r} is no key; write kubernetes/CLUSTER/NAMESPACE/KIND/NAME, as `receiver show` does")
    if kind == "namespace" and not NAMESPACE.fullmatch(name):
        allowed = "1 to 63 of a-z, 0-9 and '-', with a letter or digit at both ends"
        raise CommandRefused(f"namespace {name[:SHOWN]!r} can be none, so nothing would be held; allowed: {allowed}")
    known = {"service": set(ruleset.services), "rule": {each.name for each in (*ruleset.rules, ruleset.default)}}.get(kind)
    if known is not None and name not in known:
        raise CommandRefused(f"{kind} {name[:SHOWN]!r} does not exist, so nothing would be held; known: {_near(name, known)}")


def doubt(scope: str, policy: Policy) -> str:
    """Why a freeze that was taken may hold nothing; empty: no reason."""
    kind, _, name = scope.partition(":")
    namespace = {"namespace": name, "target": name.split("/")[2] if name.count("/") > 1 else ""}.get(kind, "")
    if not namespace or namespace in policy.namespaces:
        return ""
    listed = _near(namespace, policy.namespaces)
    return f"namespace {namespace[:SHOWN]!r} is not in kubernetes.namespaces, nothing acts there; listed: {listed}"


def _near(name: str, known: Collection[str]) -> str:
    """The nearest first, as many as there is room for."""
    near = difflib.get_close_matches(name[:SHOWN], sorted(known), n=5)
    names = [*near, *(each for each in sorted(known) if each not in near)]
    told: list[str] = []
    left = NAMED
    for each in names:
        left -= len(each) + 2
        if left < 0:
            return f"{', '.join(told)} and {len(names) - len(told)} more" if told else each[:NAMED]
        told.append(each)
    return ", ".join(told) or "none"
