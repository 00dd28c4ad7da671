"""Everything a decision may depend on (`Case`), and everything it may say (`Decision`).

A `Permit` is the bounds' yes and is made in `core/bounds.py` only; a test proves it. An `Attempt` is one run of an action in the
ledger, written before the call. Nothing here has behaviour beyond reading itself.
Not split: a decision's input and output are read together, and every room imports both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache, cached_property

from receiver.core.facts import Facts, Look
from receiver.core.model import NO_APPROVAL, AlertRecord, Approval, Bounds, Incident, Mode, Naming, Priority, Rule, Service, Target


class Because(StrEnum):
    """Why a step was chosen or refused. The same word stands in timeline, log, metric label and page."""

    # steps
    need_target = "need_target"
    need_facts = "need_facts"
    need_confirmation = "need_confirmation"
    need_verification = "need_verification"
    outcome_unknown = "outcome_unknown"
    allowed = "allowed"
    would_act = "would_act"
    settling = "settling"
    verified = "verified"
    not_cured = "not_cured"
    cannot_tell = "cannot_tell"
    lease_ended = "lease_ended"
    lease_extended = "lease_extended"
    approved = "approved"
    deadline = "deadline"
    no_action_listed = "no_action_listed"
    ladder_ended = "ladder_ended"
    all_refused = "all_refused"
    needs_approval = "needs_approval"
    observe_mode = "observe_mode"
    priority_one = "priority_one"
    priority_rose = "priority_rose"
    fires_again = "fires_again"
    still_firing = "still_firing"
    undone_by_others = "undone_by_others"
    storm_opened = "storm_opened"
    stable = "stable"
    resolved_itself = "resolved_itself"
    closed_by_person = "closed_by_person"
    merged = "merged"
    waiting_stability = "waiting_stability"
    waiting_page = "waiting_page"
    waiting_bound = "waiting_bound"
    waiting_person = "waiting_person"
    waiting_reverse = "waiting_reverse"
    heartbeat = "heartbeat"
    # refusals by the bounds
    page_only = "page_only"
    mode_ceiling = "mode_ceiling"
    kill_switch = "kill_switch"
    frozen = "frozen"
    boot_hold = "boot_hold"
    acknowledged = "acknowledged"
    not_firing = "not_firing"
    alert_too_young = "alert_too_young"
    alert_too_old = "alert_too_old"
    not_confirmed = "not_confirmed"
    stale_facts = "stale_facts"
    no_target = "no_target"
    foreign_cluster = "foreign_cluster"
    namespace_not_allowed = "namespace_not_allowed"
    odd_version = "odd_version"
    untouchable_symptom = "untouchable_symptom"
    target_busy = "target_busy"
    cooldown = "cooldown"
    incident_budget = "incident_budget"
    kind_once = "kind_once"
    rejected_too_often = "rejected_too_often"
    target_budget = "target_budget"
    namespace_budget = "namespace_budget"
    namespace_busy = "namespace_busy"
    global_budget = "global_budget"
    global_busy = "global_busy"
    storm = "storm"
    breaker = "breaker"
    someone_else = "someone_else"
    flapping = "flapping"
    hazard = "hazard"
    unknown_action = "unknown_action"
    unknown_service = "unknown_service"
    no_undo_identity = "no_undo_identity"
    no_rights = "no_rights"
    nothing_to_undo = "nothing_to_undo"
    rollout_too_old = "rollout_too_old"
    symptom_before_rollout = "symptom_before_rollout"
    not_known_good = "not_known_good"
    already_undone = "already_undone"
    at_maximum = "at_maximum"
    restart_too_soon = "restart_too_soon"
    undo_and_restart = "undo_and_restart"
    pod_too_young = "pod_too_young"
    evicted_lately = "evicted_lately"
    disruption_budget = "disruption_budget"
    nodes_not_allowed = "nodes_not_allowed"
    too_few_nodes = "too_few_nodes"
    not_ours = "not_ours"
    dependency_down = "dependency_down"
    plan_changed = "plan_changed"
    offer_expired = "offer_expired"
    denied = "denied"
    offered_too_often = "offered_too_often"
    too_few_replicas = "too_few_replicas"
    pods_too_young = "pods_too_young"
    too_much_unavailable = "too_much_unavailable"
    bound_failed = "bound_failed"
    """A bound raised: doubt refuses."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The bounds' no."""

    because: Because
    action: str
    detail: str
    retry_at: datetime | None = None
    """When it may be otherwise; None: not by waiting."""
    waits_on: str = ""
    """What ends it before then (`core/waits.py`)."""


class Verb(StrEnum):
    """What an action does to its target."""

    scale = "scale"
    restart = "rollout_restart"
    undo = "rollout_undo"
    evict = "evict_pod"
    cordon = "cordon"
    uncordon = "uncordon"

    @classmethod
    @cache
    def of(cls, action: str) -> Verb | None:
        """Of `kubernetes.scale` or `ecs.desired_count`; None when the name is none that we know."""
        platform, _, name = action.rpartition(".")
        return ECS_VERBS.get(name) if platform == "ecs" else next((each for each in cls if each.value == name), None)

    @property
    def of_node(self) -> bool:
        """Its target is a node, not a workload."""
        return self in (Verb.cordon, Verb.uncordon)


ECS_VERBS: Mapping[str, Verb] = {
    "desired_count": Verb.scale,
    "new_deployment": Verb.restart,
    "previous_task_definition": Verb.undo,
}
"""What the actions on ECS are called, in ECS's own words; their bounds are those of the verbs."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """Absolute values, never deltas: a repeat of the same parameters changes nothing."""

    replicas: int | None = None
    restarted_at: datetime | None = None
    revision: str = ""
    template_hash: str = ""
    """Of the template that is to stand afterwards; of an ECS service the whole ARN of its task definition."""
    replica_set: str = ""
    """The ReplicaSet or ControllerRevision that holds it; of an ECS service the service deployment in flight that is to be stopped."""
    pod: str = ""
    pod_uid: str = ""


@dataclass(frozen=True, slots=True)
class Before:
    """What the target was like when the permit was given: the proof's left side, and a revert's aim."""

    replicas: int = 0
    available: int = 0
    ready: int = 0
    revision: str = ""
    template_hash: str = ""
    resource_version: str = ""
    generation: int = 0
    restarts: int = 0
    still_since: datetime | None = None
    """Of the side after: since when that number of restarts stands."""
    waiting: Mapping[str, int] = field(default_factory=dict)
    samples: Mapping[str, float] = field(default_factory=dict)
    images: tuple[str, ...] = ()
    deployment: str = ""
    """ECS: the PRIMARY deployment."""
    complete: bool = False
    """Rolled out, and all that is asked for is available."""


@dataclass(frozen=True, slots=True)
class Permit:
    """The bounds' yes: one action, one live object, absolute parameters, one use, a short life.

    Made in `core/bounds.py` only. `seen` is the ledger-and-holds sequence that it was decided on: the store refuses to begin the
    attempt when that has moved.
    """

    attempt_id: str
    incident_id: int
    action: str
    verb: Verb
    target: Target
    parameters: Parameters
    before: Before
    at: datetime
    expires_at: datetime
    seen: int
    rung: int
    """Index in the rule's ladder."""
    rule: str
    ruleset_hash: str
    mode: Mode
    on: str = ""
    reverts: str = ""
    """Attempt id that this one takes back."""
    lease_until: datetime | None = None
    """A scale-up is reverted then."""
    approval: str = ""
    """The offer (attempt id) that a person approved; used up by this permit."""
    approved_by: str = ""
    needs: Approval = NO_APPROVAL
    """Of an offer: who may approve it."""
    ages: Mapping[str, float] = field(default_factory=dict)
    """Of an offer: precondition → its age in seconds, where it is known."""
    offered_until: datetime | None = None
    """Of an offer."""

    @property
    def shadow(self) -> bool:
        """Only recorded, never run."""
        return self.mode is Mode.observe or (self.mode is Mode.approve and not self.approval)


class AttemptState(StrEnum):
    """`intent -> applied | rejected | unknown`; `unknown -> applied | rejected | abandoned`."""

    intent = "intent"
    applied = "applied"
    rejected = "rejected"
    """Proven not applied, and unable to land late."""
    unknown = "unknown"
    """Sent, perhaps. Looked at, never repeated."""
    abandoned = "abandoned"
    """Nobody will ever know, or the target is gone: a person was paged."""
    shadow = "shadow"
    """What would have been done (observe), or is asked for (approve: an offer)."""
    withdrawn = "withdrawn"
    """An offer that is over: used, denied, expired, or its plan changed. `detail` says which."""


class Verdict(StrEnum):
    """What verification found."""

    cured = "cured"
    not_yet = "not_yet"
    failed = "failed"
    cannot_tell = "cannot_tell"
    deadline = "deadline"
    """Never cured in its time."""
    closed = "closed"
    """A person closed the incident first."""

    @property
    def final(self) -> bool:
        """Nothing more is looked at."""
        return self not in (Verdict.not_yet, Verdict.cannot_tell)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of an action, as the ledger has it."""

    id: str
    """`<installation>-<incident>-<n>`."""
    incident_id: int
    action: str
    verb: Verb
    target: Target
    parameters: Parameters
    before: Before
    state: AttemptState
    started_at: datetime
    """When the intent was committed."""
    rung: int
    rule: str
    mode: Mode
    on: str = ""
    reverts: str = ""
    lease_until: datetime | None = None
    ended_at: datetime | None = None
    """When the state left intent."""
    detail: str = ""
    """What the call answered, or why it is abandoned. No secrets, at most 256 characters."""
    made: str = ""
    """What it made, where that has an identity: the deployment of an ECS service."""
    verdict: Verdict | None = None
    verdict_at: datetime | None = None
    verdict_detail: str = ""
    after: Before | None = None
    """The proof's right side, from the last look."""
    reverted: bool = False
    """Taken back, or given up because somebody else took over."""
    extended: int = 0
    """How often its lease was extended."""
    ruleset_hash: str = ""
    approval: str = ""
    """The offer that allowed it."""
    approved_by: str = ""
    approved_at: datetime | None = None
    """Of an offer: a person said yes."""
    denied_by: str = ""
    """Of an offer: a person said no."""
    expires_at: datetime | None = None
    """Of an offer: not approved until then, it is over; approved, it may be used until then."""
    ticked: tuple[str, ...] = ()
    """Of an offer: the preconditions that its approver had checked."""
    needs: Approval = NO_APPROVAL
    ages: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def begun(cls, permit: Permit, state: AttemptState, at: datetime) -> Attempt:
        """What a permit begins: an intent, or a shadow (for an approval: an offer)."""
        return cls(
            id=permit.attempt_id,
            incident_id=permit.incident_id,
            action=permit.action,
            verb=permit.verb,
            target=permit.target,
            parameters=permit.parameters,
            before=permit.before,
            state=state,
            started_at=at,
            rung=permit.rung,
            rule=permit.rule,
            mode=permit.mode,
            on=permit.on,
            reverts=permit.reverts,
            lease_until=permit.lease_until,
            ruleset_hash=permit.ruleset_hash,
            approval=permit.approval,
            approved_by=permit.approved_by,
            needs=permit.needs,
            ages=permit.ages,
            expires_at=permit.offered_until,
        )

    @property
    def open(self) -> bool:
        """Blocks its target: not a shadow, and intent, unknown, or applied without a final verdict."""
        if self.state is AttemptState.applied:
            return self.verdict is None or not self.verdict.final
        return self.state in (AttemptState.intent, AttemptState.unknown)

    @property
    def counts(self) -> bool:
        """Spends budget: shadows, offers and rejected ones do not."""
        return self.state not in (AttemptState.shadow, AttemptState.withdrawn, AttemptState.rejected)

    @property
    def offer(self) -> bool:
        """Asks a person, or asked."""
        return self.mode is Mode.approve and self.state in (AttemptState.shadow, AttemptState.withdrawn)


class HoldKind(StrEnum):
    """Why actions are held."""

    freeze = "freeze"
    kill_switch = "kill_switch"
    maintenance = "maintenance"


@dataclass(frozen=True, slots=True)
class Hold:
    """A freeze of a scope, or the kill switch (scope empty)."""

    id: int
    kind: HoldKind
    scope: str
    """`""` everywhere, `namespace:shop`, `service:checkout`, `rule:name`, `target:<key>`."""
    reason: str
    by: str
    since: datetime
    until: datetime | None = None

    def holds(self, now: datetime) -> bool:
        """Still in force."""
        return self.until is None or self.until > now


@dataclass(frozen=True, slots=True)
class Storm:
    """The aggregate gate: too much is alight at once for any single cure to be right."""

    shut: bool = False
    detail: str = ""
    since: datetime | None = None
    quiet_since: datetime | None = None
    p1_pages_last_minute: int = 0


@dataclass(frozen=True, slots=True)
class Raise:
    """One asking for a human's attention."""

    n: int
    """1 for the incident's first."""
    at: datetime
    priority: Priority
    because: Because
    dedup_key: str
    newest_start: datetime
    """The newest startsAt that it spoke of: a later one, an hour on, asks again."""
    by_storm: bool = False
    """Joined another page instead of one of its own: the storm's, or, with `dependency`, that of another incident about it."""
    accepted_at: datetime | None = None
    """When a destination took the trigger."""
    dependency: str = ""
    """What held the incident back, down, when it was raised."""

    @property
    def shared(self) -> bool:
        """It rests on the page of another incident that the same dependency holds back."""
        return self.by_storm and bool(self.dependency)


@dataclass(frozen=True, slots=True)
class Dependent:
    """An open incident whose last raise names the dependency that holds it back."""

    incident_id: int
    dependency: str
    priority: Priority
    title: str
    joined: bool
    """It rests on another one's page; False: its page speaks for the others."""
    at: datetime
    """Of the raise."""
    accepted: bool = True
    """A destination took the page."""
    firing: bool = True
    """Of who does not rest on another's page: an alert of it fires."""
    acked_at: datetime | None = None
    """Somebody has taken it: who joins later wakes nobody."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A prepared command that a person marked as done, as it stood then."""

    name: str
    """In its incident; one of a name."""
    title: str
    commands: tuple[str, ...]
    reverse: tuple[str, ...]
    """Empty: it cannot, or need not, be taken back."""
    done_at: datetime
    done_by: str
    undone_at: datetime | None = None
    undone_by: str = ""
    left: bool = False
    """Not taken back: a person closed the incident and left it as it is."""

    @property
    def open(self) -> bool:
        """Still to be taken back."""
        return bool(self.reverse) and self.undone_at is None


@dataclass(frozen=True, slots=True)
class Lack:
    """What the platform does not let an action do."""

    detail: str
    passing: bool = False
    """True: it has not said so, it has not answered yet."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What configuration and start-up say to a decision."""

    mode: Mode = Mode.observe
    bounds: Bounds = field(default_factory=Bounds)
    page_after: Mapping[Priority, timedelta] = field(
        default_factory=lambda: {
            Priority.p1: timedelta(0),
            Priority.p2: timedelta(minutes=5),
            Priority.p3: timedelta(minutes=15),
            Priority.p4: timedelta(minutes=60),
        }
    )
    cluster: str = "default"
    namespaces: frozenset[str] = frozenset()
    """Where the platform may be written to."""
    source_namespaces: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Source → namespaces that its credential may aim at; a source that is absent may aim nowhere."""
    started_at: datetime | None = None
    undo_identity: bool = False
    nodes: bool = False
    """Nodes may be cordoned and uncordoned."""
    actions: frozenset[str] = frozenset()
    """Actions that are wired and permitted; others are refused."""
    can_look: bool = False
    """A platform is configured: targets can be resolved."""
    lacking: Mapping[tuple[str, str], Lack] = field(default_factory=dict)
    """(action, namespace) that our identities may not; an empty namespace: nowhere. What is absent may go ahead."""
    actions_file_ok: bool = True
    """False: `actions_file` is set and does not hold the word `allowed`."""
    naming: Naming = Naming.p1_p4
    installation: str = ""
    locale: str = "en"


@dataclass(frozen=True)
class Case:
    """A frozen snapshot of all that a decision may depend on. Without slots: what is derived from it is kept with it."""

    incident: Incident
    alerts: tuple[AlertRecord, ...]
    rule: Rule
    policy: Policy
    services: Mapping[str, Service] = field(default_factory=dict)
    attempts: tuple[Attempt, ...] = ()
    """All that bounds need, oldest first: this incident's, this target's, this namespace's, the global ones, 24 h back, and
    every open one."""
    holds: tuple[Hold, ...] = ()
    storm: Storm = Storm()
    facts: tuple[Facts, ...] = ()
    """Newest last, at most a dozen."""
    raises: tuple[Raise, ...] = ()
    seen: int = 0
    """The ledger-and-holds sequence at the time of the snapshot."""
    ledger_readable: bool = True
    ruleset_hash: str = ""
    """Of the rules as they are now."""
    standing: tuple[Standing, ...] = ()
    """Prepared commands that people ran for this incident, oldest first; also those that were taken back."""
    merged: frozenset[int] = frozenset()
    """Incidents that were merged into this one: what was tried for them was tried for it."""
    dependents: tuple[Dependent, ...] = ()
    """Where the service rests on something: all that a dependency holds back, this one too, the most urgent first, then the oldest."""

    @cached_property
    def own_attempts(self) -> tuple[Attempt, ...]:
        """This incident's, oldest first."""
        return tuple(each for each in self.attempts if each.incident_id == self.incident.id)

    @cached_property
    def tried(self) -> tuple[Attempt, ...]:
        """This incident's, and those of the ones merged into it, oldest first."""
        return tuple(each for each in self.attempts if self.tried_for(each))

    def tried_for(self, attempt: Attempt) -> bool:
        """For this incident, or for one that was merged into it."""
        return attempt.incident_id == self.incident.id or attempt.incident_id in self.merged

    @cached_property
    def firing(self) -> bool:
        """At least one alert is not explicitly resolved."""
        return any(each.firing for each in self.alerts)

    def newest_facts(self, on: str = "") -> Facts | None:
        """The last look at the incident's target, or at that of the service `on`."""
        return next((each for each in reversed(self.facts) if each.on == on), None)


# What a decision may say. Each carries its `Because` in the Decision around it.


@dataclass(frozen=True, slots=True)
class Remediate:
    """Run this action now."""

    permit: Permit


@dataclass(frozen=True, slots=True)
class Shadow:
    """Record what would be done (observe), or what is asked for (approve)."""

    permit: Permit


@dataclass(frozen=True, slots=True)
class Judge:
    """Write down what verification, or a look at an unknown outcome, found."""

    attempt: Attempt
    """As it is to be stored."""


@dataclass(frozen=True, slots=True)
class Revert:
    """Take a temporary change back, as a permitted attempt of its own."""

    permit: Permit


@dataclass(frozen=True, slots=True)
class AskApproval:
    """Ask a person before acting (the page carries the command until approvals have a door of their own)."""

    permit: Permit


@dataclass(frozen=True, slots=True)
class Page:
    """Ask for a human."""

    raised: Raise


@dataclass(frozen=True, slots=True)
class Announce:
    """Tell, without asking: an update for chat."""

    text: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do until then; None only for an incident that is paged."""

    until: datetime | None


@dataclass(frozen=True, slots=True)
class Close:
    """The incident is over."""


Step = Look | Remediate | Shadow | Judge | Revert | AskApproval | Page | Announce | Wait | Close


@dataclass(frozen=True, slots=True)
class Decision:
    """The next single step and why."""

    step: Step
    because: Because
    detail: str = ""
    refusals: tuple[Refusal, ...] = ()
    """Why each rung of the ladder may not run now."""
