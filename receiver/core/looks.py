"""Which look a decision lacks: where to look, what for, and for how long at most.

Owns the building of `Look` values from a case; a look is a step like any other. Called by the ladder and the plan.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from receiver.core.case import Case, Verb
from receiver.core.dedup import hint
from receiver.core.escalation import deadline
from receiver.core.facts import Hint, Look, Question, Want
from receiver.core.model import BreadthKind, Rule, Service, TargetRef
from receiver.core.rules import RuleSet

LONGEST = timedelta(seconds=10)
PAGE_WAITS = timedelta(seconds=5)
"""A page that is due waits at most so long for a running look."""
SHORTEST = timedelta(seconds=1)
DEPENDENCY, AGE = "dependency:", "age:"
"""How questions about a dependency, and about the age of a precondition, are named."""
NO_PROMETHEUS = "no Prometheus is configured (prometheus.url)"
"""What is said to a question in PromQL that nobody can be asked."""
MOST_HINTS = 20
"""Alerts of one incident whose targets are compared."""


def look(case: Case, now: datetime, *, on: str = "", light: bool = False) -> Look:
    """At the incident's own target, or at that of the service `on`."""
    service = case.services.get(on or case.incident.service)
    bound = None if on else case.incident.target
    questions = _questions(case, service)
    wants = {Want.target, Want.workload} | {Want.breadth if each.name == "breadth" else Want.verify for each in questions}
    return Look(
        wants=frozenset(wants),
        limit=_limit(case, now),
        hints=() if on else hints(case),
        ref=bound.ref if bound else _catalogued(service, hints(case) if not on else ()),
        uid=bound.uid if bound else "",
        on=on,
        service=service.name if service else "",
        pod=_pod(case, on),
        light=light,
        questions=questions,
    )


def _pod(case: Case, on: str) -> str:
    """The pod that was evicted last: whether it is gone is the proof."""
    evicted = [each.parameters.pod_uid for each in case.own_attempts if each.verb is Verb.evict and each.on == on]
    return evicted[-1] if evicted else ""


def can_look(case: Case) -> bool:
    """A platform is configured, and something names a target there."""
    if not case.policy.can_look:
        return False
    return (
        case.incident.target is not None
        or _catalogued(case.services.get(case.incident.service), hints(case)) is not None
        or bool(hints(case))
    )


def hints(case: Case) -> tuple[Hint, ...]:
    """What the firing alerts say about their target, each once."""
    found = dict.fromkeys(hint(each.alert.labels) for each in case.alerts if each.firing)
    return tuple(each for each in found if not each.empty)[:MOST_HINTS]


def _catalogued(service: Service | None, named: tuple[Hint, ...]) -> TargetRef | None:
    """The catalogue's only target; where it lists several, the alerts' labels choose (by a look), so none."""
    if service is None or len(service.targets) != 1:
        return None
    ref = service.targets[0]
    contradicted = any(each.name and (each.kind, each.name) != (ref.kind, ref.name) for each in named)
    return None if contradicted else ref


def _questions(case: Case, service: Service | None) -> tuple[Question, ...]:
    found: list[Question] = []
    verify, breadth = case.rule.verify, case.rule.breadth
    if verify is not None and verify.query:
        found.append(Question("verify", query=verify.query))
    if verify is not None and verify.probe and service is not None:
        found.append(Question("probe", url=service.probe))
    if breadth is not None and breadth.kind is BreadthKind.query:
        found.append(Question("breadth", query=breadth.query))
    found += [Question(DEPENDENCY + each.name, query=each.query, url=each.status) for each in (service.depends_on if service else ())]
    ages = {each.name: each.age for rung in case.rule.remediate for each in rung.approval.preconditions if each.age}
    found += [Question(AGE + name, query=query) for name, query in ages.items()]
    return tuple(found)


def asks_prometheus(rules: RuleSet) -> tuple[str, ...]:
    """What can be told by PromQL only, as `rule errors (verify)`: of rules that act, of a breadth, and of the catalogue."""
    found = [f"rule {each.name} ({', '.join(asked)})" for each in (*rules.rules, rules.default) if (asked := _asked(each))]
    named = {each.name for service in rules.services.values() for each in service.depends_on if each.query}
    return (*found, *(f"dependency {each}" for each in sorted(named)))


def _asked(rule: Rule) -> list[str]:
    acts = [each for each in rule.remediate if not rule.page_only]
    asked = {
        "verify": bool(acts and rule.verify is not None and rule.verify.query),
        "breadth": rule.breadth is not None and rule.breadth.kind is BreadthKind.query,
        "age of a precondition": any(each.age for rung in acts for each in rung.approval.preconditions),
    }
    return [name for name, yes in asked.items() if yes]


def _limit(case: Case, now: datetime) -> timedelta:
    """No longer than a page that will be due can wait."""
    if case.raises:
        return LONGEST
    return max(SHORTEST, min(LONGEST, deadline(case) + PAGE_WAITS - now))
