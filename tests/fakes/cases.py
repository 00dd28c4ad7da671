"""Cases for tests of the core: a crash-looping Deployment `shop/web`, everything else as the arguments say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from receiver.core.case import Attempt, AttemptState, Before, Case, Parameters, Policy, Verb
from receiver.core.facts import Facts, Pods, RolloutState, Sample, SampleState, UndoPlan, Workload
from receiver.core.model import (
    Alert,
    AlertRecord,
    Bounds,
    Classification,
    Incident,
    Level,
    Mode,
    Priority,
    Remediation,
    Rule,
    Symptom,
    Target,
    TargetRef,
    Verification,
)

T0 = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
INSTALLATION = "0123456789abcdef0123456789abcdef"
REF = TargetRef("kubernetes", "default", "shop", "Deployment", "web")
TARGET = Target(REF, "uid-web")
CELLS = {Priority.p1: (Level.high, Level.high), Priority.p2: (Level.high, Level.medium), Priority.p3: (Level.medium, Level.medium)}


def seconds(count: float) -> timedelta:
    """Short for tables."""
    return timedelta(seconds=count)


def policy(**changes: Any) -> Policy:
    """Everything allowed, started long ago."""
    base = Policy(
        mode=Mode.auto,
        namespaces=frozenset({"shop"}),
        source_namespaces={"alertmanager": frozenset({"shop"})},
        started_at=T0 - timedelta(hours=1),
        undo_identity=True,
        actions=frozenset({"kubernetes.scale", "kubernetes.rollout_restart", "kubernetes.rollout_undo"}),
        can_look=True,
        installation=INSTALLATION,
    )
    return replace(base, **changes)


def rung(verb: Verb = Verb.restart, **changes: Any) -> Remediation:
    """An action of its own mode auto."""
    return replace(Remediation(f"kubernetes.{verb.value}", mode=Mode.auto), **changes)


def rule(*rungs: Remediation, **changes: Any) -> Rule:
    """A crash rule in mode auto, verified by the rollout."""
    base = Rule("crash", symptom=Symptom.crash, mode=Mode.auto, remediate=rungs, verify=Verification(rollout=True))
    return replace(base, **changes)


def record(name: str = "KubePodCrashLooping", *, age: float = 150, resolved_at: datetime | None = None, **changes: Any) -> AlertRecord:
    """One alert that has fired for `age` seconds at T0."""
    labels = {"alertname": name, "namespace": "shop", "deployment": "web"}
    start = T0 - seconds(age)
    alert = Alert("alertmanager", f"fp-{name}", labels, {}, start, resolved_at, start)
    return replace(AlertRecord(alert, "crash", start, resolved_at), **changes)


def people_only(name: str = "Sentry") -> AlertRecord:
    """An alert about the same Deployment from a source that may only page, though the policy lists namespaces for it."""
    known = record(name)
    return replace(known, alert=replace(known.alert, page_only="source generic/sentry only pages"))


def incident(priority: Priority = Priority.p2, *, age: float = 150, **changes: Any) -> Incident:
    """Open, accepted `age` seconds before T0."""
    impact, urgency = CELLS.get(priority, (Level.low, Level.low))
    base = Incident(
        id=7,
        version=3,
        group_key="k",
        symptom=Symptom.crash,
        source="alertmanager",
        title="KubePodCrashLooping web",
        rule="crash",
        ruleset_hash="h",
        classification=Classification(impact, urgency, priority),
        accepted_at=T0 - seconds(age),
        target=TARGET,
    )
    return replace(base, **changes)


def workload(**changes: Any) -> Workload:
    """Three replicas, one down in a crash loop, its rollout stuck, the revision before known good."""
    base = Workload(
        resource_version="100",
        generation=5,
        replicas=3,
        current=4,
        updated=1,
        ready=2,
        available=2,
        rollout=RolloutState.stuck,
        revision="2",
        revision_at=T0 - timedelta(minutes=10),
        template_hash="bad",
        max_unavailable=1,
        max_surge=1,
        pods=Pods(total=4, ready=3, newest_at=T0 - timedelta(minutes=30), restarts=4, waiting={"CrashLoopBackOff": 1}),
        undo=UndoPlan(revision="1", template_hash="good", replica_set="web-1", known_good=True, differences=("image web: 2 -> 1",)),
    )
    return replace(base, **changes)


HEALTHY: Mapping[str, Any] = {
    "available": 3,
    "ready": 3,
    "updated": 3,
    "current": 3,
    "rollout": RolloutState.complete,
    "pods": Pods(total=3, ready=3, newest_at=T0 - timedelta(minutes=30)),
}


def facts(at: float = 0, **changes: Any) -> Facts:
    """A look `at` seconds after T0 (negative: before)."""
    load = changes.pop("workload", workload())
    return replace(Facts(T0 + seconds(at), target=TARGET, workload=load), **changes)


def twice(at: float = 0, **changes: Any) -> tuple[Facts, Facts]:
    """The symptom seen in two looks, 15 s apart."""
    return facts(at - 15, **changes), facts(at, **changes)


def attempt(verb: Verb = Verb.restart, *, state: AttemptState = AttemptState.applied, age: float = 60, **changes: Any) -> Attempt:
    """This incident's, begun `age` seconds before T0."""
    start = T0 - seconds(age)
    base = Attempt(
        id=f"{INSTALLATION}-7-1",
        incident_id=7,
        action=f"kubernetes.{verb.value}",
        verb=verb,
        target=TARGET,
        parameters=Parameters(replicas=5, template_hash="good", revision="1", restarted_at=start),
        before=Before(replicas=3, available=2, template_hash="bad", resource_version="99", generation=4),
        state=state,
        started_at=start,
        ended_at=start + seconds(1),
        rung=0,
        rule="crash",
        mode=Mode.auto,
    )
    return replace(base, **changes)


def case(**changes: Any) -> Case:
    """A restart that is allowed right now at T0: P2, confirmed twice."""
    base = Case(incident=incident(), alerts=(record(),), rule=rule(rung()), policy=policy(), facts=twice(), services={}, seen=11)
    return replace(base, **changes)


def sample(value: float | None, name: str = "verify", state: SampleState = SampleState.value) -> Sample:
    """An answer of a question."""
    return Sample(name, state, value)


def loose(**changes: Any) -> Bounds:
    """Bounds without waiting times."""
    nothing = timedelta(0)
    return replace(Bounds(alert_age=nothing, confirm_gap=nothing, boot_hold=nothing, cooldown=nothing), **changes)
