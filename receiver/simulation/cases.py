"""What may stand in a file of rule tests; `rules/tests/README.md` explains it to people.

Shapes only: `running` plays them. Every key is known, times are durations since the case began, and what is not said has the value of a
healthy workload.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SkipValidation

from receiver.core.case import AttemptState, Because, Verdict
from receiver.core.facts import Hazard, RolloutState, SampleState, Trouble
from receiver.core.model import Mode, Naming
from receiver.rulefiles.schema import ServiceEntry
from receiver.yamlfile import Duration, Flag, Strict, Whole

Count = Annotated[Whole, Field(ge=0, le=100_000)]

ALL = "*"
"""Of `resolved: all`."""


def _read_resolved(value: object) -> object:
    if value == "all":
        return (ALL,)
    if isinstance(value, str):
        raise ValueError(f"{value[:80]!r} is not all and no list; write all, or [KubePodCrashLooping]")
    return value


def _read_sample(value: object) -> SampleState | float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and value in [each.value for each in SampleState if each is not SampleState.value]:
        return SampleState(value)
    raise ValueError("is no sample; write a number, or one of empty, not_finite, ambiguous, timeout, error")


Resolved = Annotated[tuple[str, ...], BeforeValidator(_read_resolved)]
Sampled = Annotated[SkipValidation[SampleState | float], BeforeValidator(_read_sample)]


class PodsEntry(Strict):
    """The pods of a workload."""

    total: Count | None = None
    ready: Count | None = None
    newest_age: Duration | None = None
    unschedulable: Count = 0
    restarts: Count = 0
    waiting: dict[str, Count] = Field(default_factory=dict)
    terminated: dict[str, Count] = Field(default_factory=dict)
    alike: Flag = False


class UndoEntry(Strict):
    """Where an undo would go."""

    revision: str = "1"
    template: str = "good"
    known_good: Flag = True
    because: str = "its ReplicaSet still has an available pod"
    differences: tuple[str, ...] = ("image web: app:2 -> app:1",)
    refusal: str = ""


class ForeignEntry(Strict):
    """A change by somebody else."""

    age: Duration
    manager: str = "kubectl"
    after_revision: Flag = True


class VictimEntry(Strict):
    """The one pod whose eviction could help."""

    name: str
    age: Duration = timedelta(hours=1)
    reason: str = "CrashLoopBackOff"
    ready: Flag = False
    stuck: Flag = False
    allowed: Count | None = None
    """Disruptions that its budgets still allow; none: no budget selects it."""


class WorkloadEntry(Strict):
    """A workload as looks see it from now on; keys that are not given keep what they had."""

    namespace: str = ""
    kind: str = "Deployment"
    trouble: Trouble | None = None
    replicas: Count = 1
    current: Count | None = None
    updated: Count | None = None
    ready: Count | None = None
    available: Count | None = None
    rollout: RolloutState = RolloutState.complete
    rollout_detail: str = ""
    revision: str = "1"
    revision_age: Duration = timedelta(days=7)
    template: str = "present"
    recreate: Flag = False
    max_unavailable: Count = 0
    max_surge: Count = 1
    pods: PodsEntry = PodsEntry()
    hazards: dict[Hazard, tuple[str, ...]] = Field(default_factory=dict)
    """Hazard to the verbs that it refuses; an empty list: all."""
    undo: UndoEntry | None = None
    foreign: ForeignEntry | None = None
    max_replicas: Count | None = None
    victim: VictimEntry | None = None


class NodeEntry(Strict):
    """A node as looks see it from now on, and the cluster around it; keys that are not given keep what they had."""

    trouble: Trouble | None = None
    ready: Flag = True
    unschedulable: Flag = False
    ours: Flag = False
    """We cordoned it."""
    detail: str = ""
    """What its conditions say against it."""
    control_plane: Flag = False
    nodes: Count = 20
    schedulable: Count | None = None
    cordoned: Count | None = None
    pending: Count = 0
    versions: tuple[str, ...] = ("v1.34.4",)
    hazards: dict[Hazard, tuple[str, ...]] = Field(default_factory=dict)
    foreign: ForeignEntry | None = None


class FreezeEntry(Strict):
    """Holds actions from now on."""

    scope: str = ""
    reason: str = "by the test"
    until: Duration | None = None


class EventEntry(Strict):
    """What happens at one moment."""

    alerts: tuple[dict[str, str], ...] = ()
    since: Duration = timedelta(0)
    """How long the alerts have been firing already."""
    source: str = "alertmanager"
    resolved: Resolved = ()
    """`all`, or alertnames whose alerts are over."""
    workloads: dict[str, WorkloadEntry] = Field(default_factory=dict)
    nodes: dict[str, NodeEntry] = Field(default_factory=dict)
    samples: dict[Literal["verify", "probe", "breadth"], Sampled] = Field(default_factory=dict)
    ack: str = ""
    approve: str = ""
    """Who says yes to every offer that waits."""
    freeze: FreezeEntry | None = None
    thaw: str | None = None
    """Ends every freeze of this scope."""
    storm: str | None = None
    """Shuts the storm gate, for this reason; empty: opens it."""


class EffectEntry(EventEntry):
    """What an action comes to."""

    outcome: Literal[AttemptState.applied, AttemptState.rejected, AttemptState.unknown] = AttemptState.applied
    detail: str = ""
    after: Duration = timedelta(seconds=30)
    """How long the cure takes; the change itself lands at once."""


class PolicyEntry(Strict):
    """What the configuration says."""

    mode: Mode = Mode.auto
    priorities: Naming = Naming.p1_p4
    page_after: dict[str, Duration] = Field(default_factory=dict)
    bounds: dict[str, Any] = Field(default_factory=dict)
    namespaces: tuple[str, ...] | None = None
    """None: those of the alerts."""
    undo_identity: Flag = True
    nodes: Flag = False
    """Nodes may be cordoned and uncordoned."""
    cluster: str = "default"


class StepEntry(Strict):
    """A step that is told of; what is not given may be anything."""

    step: Literal["remediate", "shadow", "ask_approval", "revert", "judge", "page", "close"]
    at: Duration | None = None
    because: Because | None = None
    action: str | None = None
    verdict: Verdict | None = None


class PageEntry(Strict):
    """One asking for a person."""

    at: Duration | None = None
    priority: str | None = None
    because: Because | None = None


class ExpectEntry(Strict):
    """What must come out; what is not given may be anything."""

    incidents: Count | None = None
    priority: str | None = None
    rule: str | None = None
    service: str | None = None
    steps: tuple[StepEntry, ...] | None = None
    pages: tuple[PageEntry, ...] | None = None
    refusals: dict[str, tuple[Because, ...]] = Field(default_factory=dict)
    """Action to reasons that must have been given, among others, for refusing it."""
    no_action: str | None = None
    """A part of why nothing may be done; empty: nothing forbids it."""
    closed: Flag | None = None


class CaseEntry(Strict):
    """One test."""

    name: Annotated[str, Field(min_length=1)]
    services: tuple[ServiceEntry, ...] = ()
    policy: PolicyEntry = PolicyEntry()
    promote: dict[str, Mode] = Field(default_factory=dict)
    """Rule to the mode that each of its actions has here: what a promotion would do."""
    at: dict[Duration, EventEntry] = Field(min_length=1)
    effects: dict[str, EffectEntry] = Field(default_factory=dict)
    until: Duration = timedelta(hours=3)
    expect: ExpectEntry


class FileEntry(Strict):
    """The top of a file of rule tests."""

    apiVersion: Literal["receiver/v1"]  # noqa: N815 - as Kubernetes spells it
    kind: Literal["RuleTests"]
    rules: tuple[str, ...] = ("..",)
    """Files and directories, from the test file's own directory."""
    workloads: dict[str, WorkloadEntry] = Field(default_factory=dict)
    """As every case of the file finds them."""
    nodes: dict[str, NodeEntry] = Field(default_factory=dict)
    cases: Annotated[list[Any], Field(min_length=1)]
