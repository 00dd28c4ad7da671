"""The nouns of alerts, rules and incidents, as frozen values.

Owns no behaviour beyond what a value can say about itself. Everybody imports it; it imports nothing of ours.
Times are aware UTC datetimes; durations are timedeltas; a mapping handed to a value is never changed afterwards.
Not split: these are the nouns of one glossary, and half of the lines are their documentation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self

from receiver.core.predicate import Matcher


class Level(StrEnum):
    """How much is hurt (impact) or how soon it hurts (urgency)."""

    low = "low"
    medium = "medium"
    high = "high"

    @property
    def rank(self) -> int:
        """0 for low, 2 for high."""
        return ("low", "medium", "high").index(self.value)

    def raised(self) -> Level:
        """One level up; high stays high."""
        return (Level.medium, Level.high, Level.high)[self.rank]


class Priority(StrEnum):
    """What a human is asked for. Always stored as P1-P4; P0-P3 is only a way of showing it."""

    p1 = "P1"
    p2 = "P2"
    p3 = "P3"
    p4 = "P4"

    @property
    def rank(self) -> int:
        """1 is the most urgent."""
        return int(self.value[1])

    def above(self, other: Priority) -> bool:
        """More urgent than `other`."""
        return self.rank < other.rank


class Naming(StrEnum):
    """How priorities are shown and read."""

    p1_p4 = "P1-P4"
    p0_p3 = "P0-P3"

    def show(self, priority: Priority) -> str:
        """Our P1 in this naming: `P1`, or `P0` where a team counts from zero."""
        return priority.value if self is Naming.p1_p4 else f"P{priority.rank - 1}"

    def read(self, text: str) -> Priority | None:
        """The priority that a person of this naming means by `text`; None when it names none."""
        names = {self.show(each): each for each in Priority}
        return names.get(text.strip().upper())


class Symptom(StrEnum):
    """What kind of harm an alert speaks of: a closed list, named by the rule."""

    crash = "crash"
    saturation = "saturation"
    errors = "errors"
    latency = "latency"
    unavailable = "unavailable"
    data = "data"
    security = "security"
    other = "other"

    @property
    def untouchable(self) -> bool:
        """Never remediated, and never folded with another symptom of the same target: acting destroys evidence."""
        return self in (Symptom.data, Symptom.security)


class Mode(StrEnum):
    """How far a rule may go: say what it would do, ask, or act."""

    observe = "observe"
    approve = "approve"
    auto = "auto"

    @property
    def rank(self) -> int:
        """0 for observe, 2 for auto."""
        return ("observe", "approve", "auto").index(self.value)

    def capped(self, ceiling: Mode) -> Mode:
        """The lower of the two."""
        return self if self.rank <= ceiling.rank else ceiling


OWN_SOURCE = "receiver"
"""The source of the incidents that we open about ourselves."""
NOTE = "receiver_note"
"""The annotation in which we say what was odd about an alert."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One statement by a source that something is wrong, or no longer wrong."""

    source: str
    fingerprint: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: datetime
    ends_at: datetime | None
    """None while firing."""
    received_at: datetime
    generator_url: str = ""
    trusted_shape: bool = True
    """False: it came in an odd form (an unknown version, an absurd time, a word that is not ours). Paged, never acted on."""
    truncated: bool = False
    """The sender left out members of its group: never conclude anything from what is absent."""
    found: bool = False
    """We asked its sender, and this is the answer at `received_at`: nobody delivered it."""
    page_only: str = ""
    """Why nothing may ever be done about it, whatever a rule says: it speaks of missing data, or its source only pages. Empty: bounds
    decide."""
    unproven: str = ""
    """Why its end is no recovery (no data, a paused rule): the sender ends it, and it stays open. Empty: an end is an end."""
    ordered: bool = False
    """It tells one change, which its sender dates by `starts_at` (an end, too), and never repeats: what is not newer than the last one
    heard of this alert says nothing, also when that one closed its incident, or came first."""

    @property
    def name(self) -> str:
        """The label `alertname`, or an empty string."""
        return self.labels.get("alertname", "")

    def firing(self, now: datetime) -> bool:
        """Derived from the times, never stored."""
        return self.ends_at is None or self.ends_at > now


@dataclass(frozen=True, slots=True)
class Rejected:
    """One element of a delivery that is no alert: kept for a person to read."""

    path: str
    """Where in the body, as `alerts[3].labels`."""
    reason: str
    raw: str
    """The element as text, repaired for storage (no NUL, no lone surrogate), at most 4,096 characters."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What one delivery says."""

    alerts: Sequence[Alert]
    """Perhaps built only when first looked at; its length is known before."""
    rejected: tuple[Rejected, ...] = ()
    truncated: int = 0
    """How many alerts the sender says it left out."""
    odd_version: str | None = None
    """The payload's version where it is not one we know."""
    usable: bool = True
    """False: nothing in it could be read as an alert (kept, paged, answered 422)."""
    kept: bytes | None = None
    """The body without what is not worth storing; None: as it came."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A body that is no delivery at all: answered 400, naming the path."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class TargetRef:
    """A workload named by our configuration, not yet looked up."""

    platform: str
    cluster: str
    namespace: str
    kind: str
    name: str

    @property
    def key(self) -> str:
        """Stable text identity, for keys and sentences: `kubernetes/default/shop/Deployment/checkout`."""
        return f"{self.platform}/{self.cluster}/{self.namespace}/{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class Target:
    """A live object, known by uid."""

    ref: TargetRef
    uid: str

    @property
    def namespace(self) -> str:
        """The namespace, or for ECS the cluster's name."""
        return self.ref.namespace

    @property
    def place(self) -> str:
        """Where it stands, as configuration lists it: `shop`, or for ECS `ecs/app-cluster`."""
        return self.namespace if self.ref.platform == "kubernetes" else f"{self.ref.platform}/{self.namespace}"


@dataclass(frozen=True, slots=True)
class Bounds:
    """Every number that limits an action. The defaults are the product's; a rule may only tighten them.

    `remediation.md` 5.2 gives the reason of each. Durations of zero switch a waiting bound off (tests only).
    """

    alert_age: timedelta = timedelta(minutes=2)
    """An alert must have fired this long before anything acts on it."""
    alert_too_old: timedelta = timedelta(minutes=60)
    """Longer than this since the alert began: the story is no longer fresh, a person decides."""
    confirm_gap: timedelta = timedelta(seconds=15)
    """The symptom must be seen in two looks at least this far apart."""
    facts_fresh: timedelta = timedelta(seconds=15)
    """A permit rests on facts of at most this age."""
    boot_hold: timedelta = timedelta(seconds=60)
    """Nothing acts so soon after a start: inhibitions and silences may not be in force yet."""
    cooldown: timedelta = timedelta(minutes=10)
    """Between two attempts on a target; doubles with each, up to `cooldown_max`."""
    cooldown_max: timedelta = timedelta(hours=4)
    cooldown_reset: timedelta = timedelta(hours=6)
    """Without an attempt for so long, the doubling starts again."""
    incident_actions: int = 2
    """Attempts an incident, each kind once."""
    incident_rejections: int = 3
    """Rejected attempts an incident and action."""
    target_day: int = 4
    """Attempts a target in 24 hours; then it is left to people."""
    namespace_concurrency: int = 1
    namespace_bucket: int = 3
    namespace_refill: timedelta = timedelta(minutes=10)
    """One token every so long."""
    global_concurrency: int = 2
    global_bucket: int = 5
    global_refill: timedelta = timedelta(minutes=3)
    storm_targets: int = 5
    """Distinct targets alerting within `storm_window` that shut the gate."""
    storm_share: float = 0.20
    """Share of the catalogue's workloads that shuts it (at least 3)."""
    storm_namespace: int = 3
    storm_window: timedelta = timedelta(minutes=5)
    storm_quiet: timedelta = timedelta(minutes=10)
    """It opens after so long without a reason to be shut."""
    breaker_row: int = 3
    """Failed verifications in a row that open the breaker."""
    breaker_share: float = 0.30
    """Share of the last ten that opens it."""
    breaker_open: timedelta = timedelta(minutes=60)
    someone_else: timedelta = timedelta(minutes=15)
    """A foreign change younger than this: hands off."""
    rollout_younger_than: timedelta = timedelta(minutes=60)
    """Undo only a rollout of at most this age."""
    known_good_for: timedelta = timedelta(minutes=30)
    """A revision is known good when its successor came at least so long after it."""
    scale_step: float = 0.50
    """Share of the present count added by one scale (at least 1, at most `scale_step_max`)."""
    scale_step_max: int = 10
    scale_factor: float = 2.0
    """Never above so many times the count before the incident."""
    scale_lease: timedelta = timedelta(minutes=60)
    """A scale-up is temporary: reverted after this."""
    scale_down_share: float = 0.25
    """A revert goes down by at most this share each `scale_down_every`."""
    scale_down_every: timedelta = timedelta(minutes=5)
    restart_min_replicas: int = 2
    restart_max_unavailable: float = 0.50
    restart_min_available: float = 0.50
    restart_newest_pod: timedelta = timedelta(minutes=10)
    """The newest pod must be at least this old: a restart during start-up never helps."""
    call_timeout: timedelta = timedelta(seconds=15)
    """Time limit of one mutating call."""
    late_landing: timedelta = timedelta(seconds=90)
    """A call that was sent and not answered may still land for so long (2 x timeout, the API server's limit is 60 s)."""
    scale_extensions: int = 2
    """So often a lease is extended while the alert still fires."""
    restart_gap: timedelta = timedelta(seconds=60)
    """Between two restarts in one namespace."""
    evict_gap: timedelta = timedelta(minutes=5)
    """Between two evictions on one target."""
    evict_share: float = 0.10
    """Share of the pods that may be not ready beside the one that is evicted (at least 1)."""
    evict_pod_age: timedelta = timedelta(minutes=2)
    """A pod must be at least this old: a younger one has not had its chance."""
    cordon_share: float = 0.05
    """Share of the nodes that may be cordoned by us (at least 1)."""
    cordon_ready: float = 0.70
    """Share of the nodes that must stay ready and schedulable."""
    offer_valid: timedelta = timedelta(minutes=15)
    """How long a person may approve what was asked for, and how long the approval holds."""
    offers: int = 4
    """So often an incident asks for one action."""
    verify_timeout: timedelta = timedelta(minutes=11)
    """From applied to the end of verification: progressDeadlineSeconds (600) + 60 s."""
    deployment_timeout: timedelta = timedelta(minutes=30)
    """As `verify_timeout`, of an ECS service: draining and the health check's grace take longer than a rollout's."""
    flaps: int = 3
    """Fire-and-resolve cycles within an hour that end automatic attempts."""


@dataclass(frozen=True, slots=True)
class Verification:
    """How a cure is proved. At least one of query, probe, rollout; all that are named must hold."""

    query: str = ""
    """PromQL, with `$namespace $workload $service $cluster` from the resolved target only."""
    below: float | None = None
    above: float | None = None
    probe: bool = False
    """GET the catalogue's probe address: 2xx is well."""
    rollout: bool = False
    """The rollout's own health: complete, all pods ready, no new restarts."""
    alarm: bool = False
    """Every alert of the incident is over, by its sender's own word."""
    settle: timedelta = timedelta(minutes=2)
    """Wait before the first look after an action."""
    stable: timedelta = timedelta(minutes=15)
    """How long the cure must hold before the incident closes."""
    every: timedelta = timedelta(seconds=15)
    """Between two looks while it is not yet cured."""


@dataclass(frozen=True, slots=True)
class Precondition:
    """What a person must tick before approving."""

    name: str
    """As `backup`."""
    text: str
    """As `a backup of today exists`."""
    age: str = ""
    """PromQL that gives its age in seconds, shown beside it; empty: no age is known."""


@dataclass(frozen=True, slots=True)
class Approval:
    """Who may approve a rung, and what they must have checked."""

    role: str = ""
    """As `ic`; empty: whoever may operate."""
    preconditions: tuple[Precondition, ...] = ()


NO_APPROVAL = Approval()
"""Nothing beyond the right to operate."""


@dataclass(frozen=True, slots=True)
class Remediation:
    """One rung of a rule's ladder."""

    action: str
    """As `kubernetes.scale`."""
    on: str = ""
    """A service of the catalogue to act on instead of the incident's own target."""
    mode: Mode | None = None
    """Of this action; None: the rule's, but undo then only asks."""
    step: str = ""
    """How much a scale adds: `2` or `50%`; empty: the bound's."""
    max: int | None = None
    """The highest count a scale may reach: a ceiling, never a target."""
    bounds: Bounds | None = None
    """The bounds of this rung, already tightened; None: the policy's."""
    approval: Approval = NO_APPROVAL


class BreadthKind(StrEnum):
    """What a share is a share of."""

    replicas = "replicas"
    targets = "targets"
    query = "query"


@dataclass(frozen=True, slots=True)
class Breadth:
    """How a look may raise the impact: a share of what is hurt against two thresholds."""

    kind: BreadthKind
    query: str = ""
    medium: float = 0.20
    high: float = 0.50


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A rule whose firing is good news: silence is the incident."""

    every: timedelta
    """Expected gap; overdue after three of them."""
    armed: bool = False
    """True: overdue counts from the start even before the first beat."""


@dataclass(frozen=True, slots=True)
class Suggested:
    """A prepared command that a rule names for people; never run by us."""

    name: str
    """As `raise_limits`."""
    values: Mapping[str, str] = field(default_factory=dict)
    """Before those of the catalogue."""


@dataclass(frozen=True, slots=True)
class NamedQuery:
    """A figure that a page of this rule shows."""

    name: str
    query: str
    """PromQL, with the placeholders of a verification."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of the rule files, loaded and checked."""

    name: str
    matchers: tuple[Matcher, ...] = ()
    """All must hold."""
    symptom: Symptom = Symptom.other
    impact: Level | None = None
    urgency: Level | None = None
    urgency_label: str = ""
    """Read urgency from this label through `urgency_map`."""
    urgency_map: Mapping[str, Level] = field(default_factory=dict)
    breadth: Breadth | None = None
    mode: Mode = Mode.observe
    page_only: bool = False
    remediate: tuple[Remediation, ...] = ()
    suggest: tuple[Suggested, ...] = ()
    """For people, the most useful first."""
    evidence: tuple[NamedQuery, ...] = ()
    """For people: figures, asked when a page is due."""
    verify: Verification | None = None
    page_after: timedelta | None = None
    """Earlier than the policy's; never later."""
    heartbeat: Heartbeat | None = None
    ignore: bool = False
    """Says nothing to us (InfoInhibitor): counted, dropped."""
    file: str = ""
    line: int = 0
    is_default: bool = False


@dataclass(frozen=True, slots=True)
class Dependency:
    """What services rest on: down means that no action on them can help. Query or status, or both."""

    name: str
    query: str = ""
    """PromQL without placeholders; compared by us."""
    below: float | None = None
    """Up while the value is below."""
    above: float | None = None
    status: str = ""
    """A provider's status address: 2xx is up (a JSON body with `status.indicator` other than `none` is down)."""
    contact: str = ""
    """The support contact, for the page."""


@dataclass(frozen=True, slots=True)
class Service:
    """The catalogue's entry: what a target means to people."""

    name: str
    targets: tuple[TargetRef, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    """Alert labels that name this service (`service`, `job`, `app`), beside its targets."""
    impact: Level | None = None
    tags: tuple[str, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)
    probe: str = ""
    bounds: Bounds | None = None
    depends_on: tuple[Dependency, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict)
    """What prepared commands are filled with."""


class Input(StrEnum):
    """What said so: the origin of an impact or urgency."""

    rule = "rule"
    catalogue = "catalogue"
    tag = "tag"
    breadth = "breadth"
    label = "label"
    trend = "trend"
    default = "default"


@dataclass(frozen=True, slots=True)
class Reason:
    """One line of the trace: `impact high: catalogue (service checkout)`."""

    axis: str
    level: Level
    by: Input
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Classification:
    """Impact, urgency, the matrix cell that they meet in, and what said so."""

    impact: Level
    urgency: Level
    priority: Priority
    trace: tuple[Reason, ...] = ()


class Phase(StrEnum):
    """Where an incident is in the runbooks' life cycle; each is dated as it happens."""

    detected = "detected"
    triaged = "triaged"
    investigating = "investigating"
    mitigated = "mitigated"
    resolved = "resolved"
    reviewed = "reviewed"


@dataclass(frozen=True, slots=True)
class AlertRecord:
    """An alert as an incident remembers it: the newest statement, and how often it changed its mind."""

    alert: Alert
    rule: str
    first_at: datetime
    """When it was first accepted into this incident."""
    resolved_at: datetime | None = None
    """When we accepted the explicit statement that it is over; None while firing."""
    times: int = 1
    """Deliveries that spoke of it."""
    flaps: tuple[datetime, ...] = ()
    """When it re-fired after a resolve, newest last, at most 20."""

    @property
    def firing(self) -> bool:
        """Not explicitly resolved. Absence is never a resolution."""
        return self.resolved_at is None

    @property
    def since(self) -> datetime:
        """When the present episode began: what fired an hour ago and again just now is young."""
        return self.flaps[-1] if self.flaps else min(self.alert.starts_at, self.first_at)


@dataclass(frozen=True, slots=True)
class Incident:
    """Our record of one problem."""

    id: int
    """0 until stored."""
    version: int
    """Written with every change; a writer that read an older one is refused."""
    group_key: str
    symptom: Symptom
    source: str
    title: str
    rule: str
    ruleset_hash: str
    classification: Classification
    accepted_at: datetime
    """When we answered 2xx for its first alert: page deadlines count from here."""
    service: str = ""
    """Name in the catalogue."""
    target: Target | None = None
    """Bound by the first look that resolved it."""
    open: bool = True
    phases: Mapping[str, datetime] = field(default_factory=dict)
    no_action: str = ""
    """Why nothing may ever be done here (page-only rule met, foreign cluster, odd version); empty: bounds decide."""
    acked_at: datetime | None = None
    acked_by: str = ""
    closed_at: datetime | None = None
    closed_by: str = ""
    previous_id: int | None = None
    merged_into: int | None = None

    @property
    def priority(self) -> Priority:
        """Of its classification."""
        return self.classification.priority

    def in_phase(self, phase: Phase, at: datetime) -> Self:
        """Dates a phase, once: a later call changes nothing."""
        if phase.value in self.phases:
            return self
        return replace(self, phases={**self.phases, phase.value: at})
