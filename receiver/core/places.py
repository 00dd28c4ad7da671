"""Where we may act at all: the namespaces of configuration and sources, and what the platform has said of our identity.

Pure; two bounds like the others, in a module of their own.
"""

from __future__ import annotations

from datetime import timedelta

from receiver.core.ask import Ask
from receiver.core.case import Because, Refusal
from receiver.core.facts import SYSTEM_NAMESPACES

RIGHTS_WAIT = timedelta(seconds=15)
"""Until a platform that has not answered is asked again."""


def rights(asked: Ask) -> Refusal | None:
    """The platform has said that our identity may; asked at the start and every few minutes, here only remembered."""
    namespace = asked.target.namespace if asked.target is not None else ""
    for place in ("", namespace):
        lack = asked.case.policy.lacking.get((asked.rung.action, place))
        if lack is not None:
            again = asked.now + RIGHTS_WAIT if lack.passing else None
            return asked.refuse(Because.no_rights, lack.detail, retry_at=again)
    return None


def allowed_namespace(asked: Ask) -> Refusal | None:
    """On the platform's list, on every firing source's list, and no system namespace."""
    namespace, place, policy = asked.live[1].namespace, asked.live[1].place, asked.case.policy
    lists = {"kubernetes.namespaces" if place == namespace else "ecs.services": policy.namespaces}
    for source in sorted({each.alert.source for each in asked.case.alerts if each.firing}):
        lists[f"sources.{source}.namespaces"] = policy.source_namespaces.get(source, frozenset())
    refusing = [name for name, allowed in lists.items() if place not in allowed]
    if place in SYSTEM_NAMESPACES:
        refusing.insert(0, "the list of system namespaces")
    if refusing:
        return asked.refuse(Because.namespace_not_allowed, f"namespace {namespace} is refused by {', '.join(refusing)}")
    return None
