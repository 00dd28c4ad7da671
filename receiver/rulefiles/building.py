"""Checked entries to the frozen values of the core. Decides nothing: what is wrong was said before. Called by `loading`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from receiver.core.model import (
    NO_APPROVAL,
    Approval,
    Bounds,
    Breadth,
    BreadthKind,
    Dependency,
    Heartbeat,
    Level,
    NamedQuery,
    Precondition,
    Remediation,
    Rule,
    Service,
    Suggested,
    TargetRef,
    Verification,
)
from receiver.core.rules import DEFAULT_NAME
from receiver.rulefiles.schema import (
    ApprovalEntry,
    BreadthEntry,
    DefaultEntry,
    DependencyEntry,
    RemediationEntry,
    RuleEntry,
    ServiceEntry,
    TargetEntry,
    Urgency,
    UrgencyEntry,
    VerifyEntry,
)

BoundValues = Mapping[str, Any]
"""Read by `judging.check_bounds`: values of the fields of `Bounds`."""


def build_rule(entry: RuleEntry, *, bounds: Sequence[BoundValues], policy: Bounds, file: str, line: int) -> Rule:
    """`bounds` are those of the rungs, in order."""
    urgency, label, levels = _urgency(entry.urgency)
    return Rule(
        name=entry.name,
        matchers=tuple(each for one in entry.match for each in one),
        symptom=entry.symptom,
        impact=entry.impact,
        urgency=urgency,
        urgency_label=label,
        urgency_map=levels,
        breadth=_breadth(entry.breadth),
        mode=entry.mode,
        page_only=entry.page_only,
        remediate=tuple(_rung(rung, values, policy) for rung, values in zip(entry.remediate, bounds, strict=True)),
        suggest=tuple(Suggested(each.name, each.values) for each in entry.suggest),
        evidence=tuple(NamedQuery(each.name, each.query) for each in entry.evidence),
        verify=_verification(entry.verify),
        page_after=_page_after(entry),
        heartbeat=Heartbeat(entry.heartbeat.every, entry.heartbeat.armed) if entry.heartbeat else None,
        ignore=entry.ignore,
        file=file,
        line=line,
    )


def build_default(entry: DefaultEntry, *, file: str, line: int) -> Rule:
    """The rule of alerts that no rule matches."""
    urgency, label, levels = _urgency(entry.urgency)
    return Rule(
        name=DEFAULT_NAME,
        impact=entry.impact,
        urgency=urgency,
        urgency_label=label,
        urgency_map=levels,
        breadth=_breadth(entry.breadth),
        page_after=_page_after(entry),
        file=file,
        line=line,
        is_default=True,
    )


def build_dependency(entry: DependencyEntry) -> Dependency:
    """As it is asked for."""
    return Dependency(
        name=entry.name, query=entry.query, below=entry.below, above=entry.above, status=entry.status or "", contact=entry.contact
    )


def build_service(
    entry: ServiceEntry, *, bounds: BoundValues, policy: Bounds, cluster: str, dependencies: Mapping[str, Dependency]
) -> Service:
    """Targets that name no cluster are in ours."""
    return Service(
        name=entry.name,
        targets=tuple(target_ref(each, cluster) for each in entry.targets),
        labels=entry.labels,
        impact=entry.impact,
        tags=entry.tags,
        links=entry.links,
        probe=entry.probe or "",
        bounds=_tightened(bounds, policy),
        depends_on=tuple(dependencies[each] for each in entry.depends_on if each in dependencies),
        values=entry.values,
    )


def target_ref(entry: TargetEntry, cluster: str) -> TargetRef:
    """The ECS cluster stands where Kubernetes has the namespace."""
    if entry.kubernetes is not None:
        named = entry.kubernetes
        return TargetRef("kubernetes", named.cluster or cluster, named.namespace, named.kind, named.name)
    assert entry.ecs is not None  # noqa: S101 - the model has exactly one
    return TargetRef("ecs", cluster, entry.ecs.cluster, "Service", entry.ecs.service)


def _rung(entry: RemediationEntry, bounds: BoundValues, policy: Bounds) -> Remediation:
    return Remediation(
        entry.action, entry.on, entry.mode, entry.step, entry.max, _tightened(bounds, policy), approval=_approval(entry.approval)
    )


def _approval(entry: ApprovalEntry | None) -> Approval:
    if entry is None:
        return NO_APPROVAL
    return Approval(entry.role, tuple(Precondition(each.name, each.text, each.age) for each in entry.preconditions))


def _tightened(bounds: BoundValues, policy: Bounds) -> Bounds | None:
    return replace(policy, **bounds) if bounds else None


def _urgency(entry: Urgency | None) -> tuple[Level | None, str, Mapping[str, Level]]:
    if isinstance(entry, UrgencyEntry):
        return None, entry.label, entry.map
    return entry, "", {}


def _breadth(entry: BreadthEntry | None) -> Breadth | None:
    if entry is None:
        return None
    kind = BreadthKind.query if entry.query else BreadthKind.targets if entry.targets else BreadthKind.replicas
    return Breadth(kind, entry.query, entry.medium, entry.high)


def _verification(entry: VerifyEntry | None) -> Verification | None:
    if entry is None:
        return None
    return Verification(
        query=entry.query,
        below=entry.below,
        above=entry.above,
        probe=entry.probe,
        rollout=entry.rollout,
        alarm=entry.alarm,
        settle=entry.settle,
        stable=entry.stable,
        every=entry.every,
    )


def _page_after(entry: RuleEntry | DefaultEntry) -> timedelta | None:
    return entry.page.after if entry.page else None
