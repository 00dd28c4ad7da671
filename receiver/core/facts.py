"""What the edges saw, dated; also that they could not see, and why.

A look (`Look`) asks; `Facts` answers. Platform-neutral: Kubernetes and ECS fill the same values, so that bounds and verification
stay one piece of pure code. Facts are stored, so every decision can be replayed from them.
Not split: these are the answers of one reading, and half of the lines are their documentation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from receiver.core.model import Target, TargetRef


class Want(StrEnum):
    """What a look should bring."""

    target = "target"
    """Resolve the hints to one live object."""
    workload = "workload"
    """Its state, hazards and marks."""
    verify = "verify"
    """The samples of the rule's verification (query, probe)."""
    breadth = "breadth"
    """The share named by the rule."""


@dataclass(frozen=True, slots=True)
class Hint:
    """What one alert's labels say about its target; nothing is trusted until the API confirms it."""

    cluster: str = ""
    namespace: str = ""
    kind: str = ""
    """`Deployment`, `ReplicaSet`, … where a label names a workload."""
    name: str = ""
    pod: str = ""
    service: str = ""
    """A Kubernetes Service."""
    hpa: str = ""
    node: str = ""
    """A node, where nothing else is named: an alert about a pod often tells its node too."""
    platform: str = "kubernetes"
    """`ecs`: `namespace` is the ECS cluster, `kind` is `Service`, `name` the service."""
    account: str = ""
    """AWS account and region that the alert comes from. A service of that name in another one is another service."""
    region: str = ""

    @property
    def empty(self) -> bool:
        """Names nothing that could be looked up."""
        return not (self.name or self.pod or self.service or self.hpa or self.node)


@dataclass(frozen=True, slots=True)
class Question:
    """One query or probe of a verification or breadth, placeholders not yet filled."""

    name: str
    """`verify`, `probe`, `breadth`, `dependency:<name>` or `age:<precondition>`."""
    query: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """One reading of the outside, under a time limit."""

    wants: frozenset[Want]
    limit: timedelta
    hints: tuple[Hint, ...] = ()
    """From the alerts, used while no target is bound and the catalogue names none."""
    ref: TargetRef | None = None
    """Named by the catalogue or by an earlier look; wins over hints."""
    uid: str = ""
    """Of the bound target: another uid under the same name is another object."""
    on: str = ""
    """Service of the catalogue, where the look is for a rung with `on:`."""
    service: str = ""
    """Name of the catalogue's service, for `$service`."""
    pod: str = ""
    """Uid of a pod of it: is it still there?"""
    light: bool = False
    """Only the object and its pods: enough to verify. What was known of the rest is told again."""
    questions: tuple[Question, ...] = ()


class Trouble(StrEnum):
    """Why a look brought no target or no state."""

    no_labels = "no_labels"
    not_found = "not_found"
    ambiguous = "ambiguous"
    """The alerts of one incident point at different objects, or one alert at several."""
    unsupported_kind = "unsupported_kind"
    foreign_cluster = "foreign_cluster"
    namespace_not_allowed = "namespace_not_allowed"
    exporter = "exporter"
    """The labels resolve to the metrics exporter itself."""
    replaced = "replaced"
    """Same name, another uid: deleted and made again."""
    forbidden = "forbidden"
    timeout = "timeout"
    unreadable = "unreadable"
    no_observer = "no_observer"
    """No platform is configured that could look."""
    api_unhealthy = "api_unhealthy"
    """The platform's API answers too slowly, with too many errors, or its clock is not ours: what it says may be old."""


class Hazard(StrEnum):
    """A reason in the live object for which some verbs are refused (`remediation.md` 3)."""

    hpa = "hpa"
    keda = "keda"
    gitops = "gitops"
    operator = "operator"
    rollouts = "rollouts"
    """Argo Rollouts owns it."""
    flagger = "flagger"
    paused = "paused"
    rollout_in_progress = "rollout_in_progress"
    quota = "quota"
    unschedulable = "unschedulable"
    pdb = "pdb"
    singleton = "singleton"
    image_pull = "image_pull"
    config_error = "config_error"
    """Pods wait in CrashLoopBackOff or CreateContainerConfigError: kubelet restarts them already."""
    oom_early = "oom_early"
    system_namespace = "system_namespace"
    system_priority = "system_priority"
    not_opted_in = "not_opted_in"
    opted_out = "opted_out"
    verb_not_allowed = "verb_not_allowed"
    max_unknown = "max_unknown"
    stateful = "stateful"
    migrating = "migrating"
    not_observed = "not_observed"
    do_not_disrupt = "do_not_disrupt"
    helm = "helm"
    """A release of Helm: its books say otherwise after an undo."""
    probes_fail = "probes_fail"
    """Liveness probes kill pods while it is slow: a restart makes it worse."""
    connections = "connections"
    """Too many connections to a database: more pods make it worse."""
    nodes_in_motion = "nodes_in_motion"
    """A cluster upgrade or a drain is under way."""
    partitioned = "partitioned"
    """A StatefulSet's partition, or OnDelete: a new template would not reach all pods."""
    per_node = "per_node"
    """A DaemonSet, or an ECS service of the strategy DAEMON: its count is that of its nodes."""
    autoscaling = "autoscaling"
    """ECS: Application Auto Scaling sets the desired count."""
    circuit_breaker = "circuit_breaker"
    """ECS: a deployment is under way that ECS itself rolls back when it fails."""
    deployment_controller = "deployment_controller"
    """ECS: somebody else than ECS's rolling update deploys it (CodeDeploy, EXTERNAL, blue/green)."""
    not_active = "not_active"
    """ECS: the service is being deleted, or is."""


TOLD = ("none",)
"""As `Danger.verbs`: it concerns no verb, it is only told."""


@dataclass(frozen=True, slots=True)
class Danger:
    """A hazard that was seen, and what showed it."""

    hazard: Hazard
    detail: str
    verbs: tuple[str, ...] = ()
    """The verbs (`scale`, `rollout_restart`, …) that it concerns; empty: all."""
    asks: bool = False
    """True: it does not refuse, it asks a person first (the mode is approve at most)."""


@dataclass(frozen=True, slots=True)
class Pods:
    """The pods of a workload, counted."""

    total: int = 0
    ready: int = 0
    newest_at: datetime | None = None
    unschedulable: int = 0
    restarts: int = 0
    """Container restarts, summed over the pods of the current revision."""
    waiting: Mapping[str, int] = field(default_factory=dict)
    """Reason → pods, as `CrashLoopBackOff: 2`."""
    terminated: Mapping[str, int] = field(default_factory=dict)
    """Last termination, as `OOMKilled: 1` or `exit 1: 2`."""
    alike: bool = False
    """All pods are in one and the same failed state."""


@dataclass(frozen=True, slots=True)
class Victim:
    """The one pod whose eviction could help: of several, the one that does the least good."""

    name: str
    uid: str
    created_at: datetime
    reason: str
    """As `CrashLoopBackOff`, `not ready for 12m`, `stuck on revision web-6d5f`."""
    ready: bool = False
    stuck: bool = False
    """A StatefulSet's ordinal that stays on a revision that was rolled away from (`remediation.md` 1.3)."""
    allowed: int | None = None
    """Disruptions that the budgets over it still allow; None: no budget selects it."""


class RolloutState(StrEnum):
    """The controller's own reading."""

    complete = "complete"
    progressing = "progressing"
    stuck = "stuck"
    """Its deadline passed, or it cannot create pods."""


@dataclass(frozen=True, slots=True)
class UndoPlan:
    """Where an undo would go, or why it may not."""

    revision: str = ""
    template_hash: str = ""
    """Of the template that it would restore."""
    replica_set: str = ""
    """The object that holds it: a ReplicaSet, or for StatefulSets and DaemonSets a ControllerRevision."""
    known_good: bool = False
    known_good_because: str = ""
    differences: tuple[str, ...] = ()
    """Material differences, as `image web: app:2 -> app:1`."""
    refusal: str = ""
    """Not empty: there is nothing to undo to, and this is why."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """A change of the object by somebody else."""

    at: datetime
    manager: str
    after_revision: bool
    """Later than the current revision's rollout (the bad rollout itself is a foreign change too)."""


@dataclass(frozen=True, slots=True)
class Workload:
    """A live workload as one read saw it. Counts are pods."""

    resource_version: str
    generation: int
    replicas: int
    """Asked for."""
    current: int
    updated: int
    ready: int
    available: int
    rollout: RolloutState
    rollout_detail: str = ""
    kind: str = "Deployment"
    revision: str = ""
    revision_at: datetime | None = None
    """When the current revision was created."""
    program_at: datetime | None = None
    """When the current program began to stand: a mere restart makes a new revision of the same one."""
    template_hash: str = ""
    recreate: bool = False
    max_unavailable: int = 0
    """Pods that a rollout may take down at once, resolved from percent."""
    max_surge: int = 0
    pods: Pods = Pods()
    dangers: tuple[Danger, ...] = ()
    undo: UndoPlan = UndoPlan(refusal="not looked at")
    foreign: Foreign | None = None
    """The newest foreign change."""
    marks: tuple[str, ...] = ()
    """Attempt ids of ours found on the object."""
    baseline: int | None = None
    """Count before our own temporary scale, where one stands."""
    max_replicas: int | None = None
    """The owner's annotation."""
    images: tuple[str, ...] = ()
    victim: Victim | None = None
    pod_present: bool | None = None
    """The pod that the look asked about is still there; None: it asked about none."""
    ordered: bool = False
    """A StatefulSet whose pods start one after the other (OrderedReady)."""
    deployment: str = ""
    """ECS: the id of the PRIMARY deployment, made at `revision_at`; each new one has another. Empty elsewhere."""
    rolling_back: bool = False
    """ECS: its newest service deployment is being rolled back."""

    @property
    def healthy(self) -> bool:
        """Rolled out, everything asked for is available, nothing waits in a loop."""
        return self.rollout is RolloutState.complete and self.available >= self.replicas and not self.pods.waiting


@dataclass(frozen=True, slots=True)
class Node:
    """A node as one read saw it, and what the cluster could bear."""

    resource_version: str
    ready: bool
    unschedulable: bool
    ours: bool
    """It carries our mark: we cordoned it."""
    detail: str = ""
    """Conditions that speak against it, as `MemoryPressure; NotReady for 4m`."""
    control_plane: bool = False
    nodes: int = 0
    schedulable: int = 0
    """Ready and not cordoned, this one included."""
    cordoned: int = 0
    pending: int = 0
    """Pods of the cluster that no node takes."""
    versions: tuple[str, ...] = ()
    """Kubelet versions in the cluster: two of them mean an upgrade."""
    marks: tuple[str, ...] = ()
    foreign: Foreign | None = None
    dangers: tuple[Danger, ...] = ()


class SampleState(StrEnum):
    """What became of a question."""

    value = "value"
    empty = "empty"
    not_finite = "not_finite"
    ambiguous = "ambiguous"
    """More than one series."""
    timeout = "timeout"
    error = "error"


@dataclass(frozen=True, slots=True)
class Sample:
    """One answer to a question. For a probe the value is 1 (2xx) or 0."""

    name: str
    state: SampleState
    value: float | None = None
    detail: str = ""
    """The query or address with its placeholders filled, and what came back, at most 256 characters."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What one look saw."""

    at: datetime
    """When it began: everything in it is at least this new."""
    on: str = ""
    """As in the look."""
    target: Target | None = None
    trouble: Trouble | None = None
    trouble_detail: str = ""
    workload: Workload | None = None
    node: Node | None = None
    light: bool = False
    """By a light look: hazards, history and undo plan are as an earlier look saw them. Proves or disproves; permits nothing."""
    samples: tuple[Sample, ...] = ()
    chain: tuple[str, ...] = ()
    """How the target was found: `pod shop/web-1 (uid) -> ReplicaSet … -> Deployment …`."""

    def sample(self, name: str) -> Sample | None:
        """The answer to the question of that name."""
        return next((each for each in self.samples if each.name == name), None)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a person wants to read first on a page: collected at page time, each line under a limit."""

    title: str
    lines: tuple[str, ...]
    missing: str = ""
    """Not empty: there is nothing of it, and this is why."""


@dataclass(frozen=True, slots=True)
class Changed:
    """Something that somebody changed: a deploy that a pipeline told us of, a new revision, a call of a vendor's API."""

    at: datetime
    what: str
    by: str = ""
    origin: str = ""
    """Who says so, as `told`, `kubernetes`, `cloudtrail`."""
    link: str = ""


SYSTEM_NAMESPACES = frozenset(
    {"kube-system", "kube-public", "kube-node-lease", "argocd", "flux-system", "monitoring", "cert-manager", "gatekeeper-system"}
)
"""Never acted in: a hard list in code, not configuration. Our own namespace is added at start."""
