"""What the rooms need of each other, as protocols. Wired in `app.py`; implemented in the rooms; proved by the kits in `tests/kits/`.

Law: an edge never lets a vendor's exception out; it answers with one of these values. Every call that leaves the process has a time
limit of its own. Implementations are safe to call from several tasks of one loop.
Not split: the ports are read as one list of what the rooms ask of each other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from receiver.core.case import Attempt, Dependent, Hold, Permit, Raise, Standing, Storm
from receiver.core.facts import Changed, Facts, Look
from receiver.core.model import Alert, AlertRecord, Batch, Incident, Rule, Target
from receiver.core.model import Refusal as ParseRefusal
from receiver.core.page import PageText


class Clock(Protocol):
    """The only way to ask for the time."""

    def now(self) -> datetime:
        """Aware UTC wall clock: for records and due times."""
        ...

    def monotonic(self) -> float:
        """Seconds, never backwards: for durations."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Cancellable."""
        ...


# --- in ------------------------------------------------------------------------------------------------------------------


class Source(Protocol):
    """One sender's format."""

    name: str

    def parse(self, body: bytes, received_at: datetime) -> Batch | ParseRefusal:
        """Pure and total: whatever the bytes, one of the two, never an exception."""
        ...


@dataclass(frozen=True, slots=True)
class Delivery:
    """One accepted request: the raw body, and what it says."""

    source: str
    received_at: datetime
    body: bytes
    batch: Batch


class NotDurable(Exception):
    """The delivery could not be stored now. The sender is answered 503 with Retry-After; nothing was promised."""

    def __init__(self, reason: str, *, retry_after: timedelta = timedelta(seconds=5)) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after


class Intake(Protocol):
    """The way in for every source."""

    async def accept(self, delivery: Delivery) -> None:
        """Returns when the delivery is committed; raises NotDurable otherwise. Bounded: never queues without limit."""
        ...

    def report(self, trouble: OwnTrouble) -> None:
        """Opens (or keeps open) an incident about ourselves. Never blocks, never raises; one open per kind and subject."""
        ...


class TroubleKind(StrEnum):
    """Our own troubles (`house.md` 6.15)."""

    heartbeat_overdue = "heartbeat_overdue"
    quarantine = "quarantine"
    odd_version = "odd_version"
    refused_delivery = "refused_delivery"
    """Good credentials, a delivery that we answer with 400, 403, 413 or 415: the sender drops it silently."""
    unauthorized = "unauthorized"
    """Nothing but 401 on a source for five minutes: a rotated token would lose every alert."""
    door_full = "door_full"
    """Large deliveries have found no room on a source for minutes: those whose sender does not come back are lost."""
    worker_failed = "worker_failed"
    rules_broken = "rules_broken"
    storm = "storm"
    notifier_refused = "notifier_refused"
    overdue_incident = "overdue_incident"
    unreachable_source = "unreachable_source"
    """A queue that we pull from, or a sender that we ask what fires, has not answered for minutes."""
    poison_message = "poison_message"
    """A message of a queue that cannot be read, or that comes back again and again."""
    subscription = "subscription"
    """A topic of SNS whose subscription waits to be confirmed, or was taken away: its alarms do not come."""
    rights_missing = "rights_missing"
    """Something may not be looked at: no target can be judged. An action that may not be done is only refused."""


@dataclass(frozen=True, slots=True)
class OwnTrouble:
    """Something wrong with ourselves or with what reaches us."""

    kind: TroubleKind
    subject: str
    """The source, heartbeat, worker or incident that it is about: from configuration, never from an alert's text."""
    detail: str
    over: bool = False
    """True: it has passed."""
    anew: bool = False
    """True: it began again now, also where it is known already: it may ask for a human once more."""


# --- looking and acting --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Permission:
    """One right on the outside that an action or observer needs; `deploy/` grants exactly their union."""

    platform: str
    """`kubernetes` or `aws`."""
    group: str
    """API group, empty for core; of AWS the service's prefix in IAM, as `ecs`."""
    resource: str
    """As `deployments/scale`; of AWS what the statement names: `service`, `service-deployment`, or `*` where IAM knows no resource."""
    verbs: tuple[str, ...]
    """As `patch`; of AWS the actions, as `UpdateService`."""
    identity: str = "base"
    """`base` or `undo`."""


class RightState(StrEnum):
    """What is wrong with one right."""

    missing = "missing"
    """Needed by an action that a rule names, or by a look."""
    off = "off"
    """Needed only by actions that no rule names, or by the evidence of a page only: left out on purpose, perhaps."""
    excess = "excess"
    """Needed by nobody."""
    grave = "grave"
    """Needed by nobody, and it changes things, reads secrets or opens a shell."""
    unanswered = "unanswered"
    """The platform did not say."""


@dataclass(frozen=True, slots=True)
class RightFinding:
    """One line of the self-check of our rights."""

    state: RightState
    identity: str
    namespace: str
    """Empty: the whole cluster."""
    right: str
    """As `patch deployments.apps`; when unanswered the reason."""
    needed_by: str = ""


@dataclass(frozen=True, slots=True)
class RightsReport:
    """What the platform said last. No findings and a date: exactly the rights that are needed."""

    at: datetime | None = None
    """None: it was not asked yet, or there is no platform."""
    findings: tuple[RightFinding, ...] = ()


class Observer(Protocol):
    """Carries out looks. One a platform or kind of question; each fills its part of the facts."""

    name: str
    permissions: tuple[Permission, ...]

    async def look(self, look: Look, facts: Facts) -> Facts:
        """`facts` as the observers before it left them, completed. Never raises: what could not be read is a trouble or a sample state."""
        ...


@dataclass(frozen=True, slots=True)
class Inquiry:
    """What evidence is wanted of: an incident, as its page knows it."""

    incident: Incident
    target: Target | None
    """Bound, or as the newest look found it."""
    at: datetime
    rule: Rule
    service: str = ""
    """Name in the catalogue, for `$service`."""
    subjects: tuple[str, ...] = ()
    """Names under which others may have told of a change of it: services of the catalogue, and the target's key."""
    alerts: tuple[Alert, ...] = ()
    unbound: str = ""
    """Where `target` is None: why, as the newest look found."""


Piece = Callable[[], Awaitable[Sequence[str]]]
"""Reads one piece of evidence: its lines, the most useful first. Raises ClientError where it cannot be read."""


class Collector(Protocol):
    """Collects evidence for a page. One a platform or kind of question; reads only."""

    name: str
    permissions: tuple[Permission, ...]

    def pieces(self, inquiry: Inquiry) -> Mapping[str, Piece]:
        """Title → how to read it, the most useful first; empty: it has nothing to say of such an incident. They are read side by side."""
        ...


class OutcomeKind(StrEnum):
    """What became of one mutating call."""

    applied = "applied"
    rejected = "rejected"
    """Proven: nothing was changed, and nothing can land late."""
    unknown = "unknown"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer of an action's run."""

    kind: OutcomeKind
    detail: str
    """At most 256 characters, no secrets."""
    retryable: bool = False
    """A rejection that another permit may survive (409, 429): never re-sent by the action itself."""
    made: str = ""
    """As `Attempt.made`."""


class Action(Protocol):
    """One verb on one platform."""

    name: str
    """As `kubernetes.scale`."""
    permissions: tuple[Permission, ...]

    async def run(self, permit: Permit) -> Outcome:
        """One effect at most, exactly as permitted. Server dry-run first. Never raises but for cancellation; a doubt is `unknown`."""
        ...


class KillSwitch(Protocol):
    """Asked right before every mutating call, inside the client."""

    async def refuses(self) -> str:
        """Empty: acting is allowed. Otherwise why not. Unreadable counts as no."""
        ...


# --- telling -------------------------------------------------------------------------------------------------------------


class MessageKind(StrEnum):
    """What a destination is asked to do with the dedup key."""

    trigger = "trigger"
    resolve = "resolve"
    update = "update"


@dataclass(frozen=True, slots=True)
class Message:
    """One row of the outbox."""

    destination: str
    """Name of a notifier, as `pagerduty`, `log`."""
    kind: MessageKind
    dedup_key: str
    incident_id: int
    text: PageText
    raise_n: int = 0
    id: int = 0
    tries: int = 0
    created_at: datetime | None = None


class DeliveryKind(StrEnum):
    """What became of one message."""

    accepted = "accepted"
    retry = "retry"
    refused = "refused"
    """Never again in this form: a second destination must take it at once."""


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """The answer of a notifier."""

    kind: DeliveryKind
    detail: str = ""
    retry_after: timedelta | None = None
    pages: bool = True
    """False: who took it can wake nobody, so nobody was paged by it."""


class Notifier(Protocol):
    """One destination."""

    name: str
    pages: bool
    """True: it can wake a person, so an accepted trigger counts as paged."""

    async def deliver(self, message: Message) -> DeliveryResult:
        """One try, under a time limit. Never raises but for cancellation."""
        ...


# --- the store -----------------------------------------------------------------------------------------------------------


class VersionConflict(Exception):
    """The incident was changed since it was read: load again, decide again."""


class StalePermit(Exception):
    """The ledger or the holds moved since the permit was decided, or the target has an open attempt: decide again."""


class StoreUnavailable(Exception):
    """The database did not answer, is full or is locked. Nothing was written."""


@dataclass(frozen=True, slots=True)
class StoredDelivery:
    """An inbox row that is not folded yet."""

    id: int
    source: str
    received_at: datetime
    body: bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """One dated sentence of an incident's timeline. The store chains them by hash, per incident."""

    at: datetime
    because: str
    text: str
    actor: str = "receiver"
    data: Mapping[str, object] = field(default_factory=dict)
    """JSON values only; evidence such as a decision's refusals or a matrix trace."""


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """A timeline row as read back."""

    seq: int
    entry: Entry
    hash: str


@dataclass(frozen=True, slots=True)
class OpenIncident:
    """An open incident with the records of the fingerprints that were asked for."""

    incident: Incident
    records: Mapping[tuple[str, str], AlertRecord]
    """By (source, fingerprint)."""


@dataclass(frozen=True, slots=True)
class FoldedIncident:
    """What folding makes of one incident: new (id 0) or changed."""

    incident: Incident
    records: tuple[AlertRecord, ...]
    """Only those that are new or changed."""
    aliases: tuple[str, ...]
    """Provisional keys to add; unique among open incidents."""
    entries: tuple[Entry, ...]
    wake_at: datetime | None
    """When the agenda is to look at it; None: no news, leave its date."""


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Something that could not be read or folded, kept for a person."""

    source: str
    at: datetime
    reason: str
    path: str
    raw: str
    delivery_id: int | None = None


@dataclass(frozen=True, slots=True)
class Fold:
    """One batch of folding, committed at once or not at all."""

    incidents: tuple[FoldedIncident, ...]
    folded: tuple[int, ...]
    """Inbox ids that are done."""
    quarantined: tuple[Quarantined, ...] = ()
    quarantined_deliveries: tuple[int, ...] = ()
    """Inbox ids that could not be folded at all."""
    beats: tuple[tuple[str, str, datetime], ...] = ()
    """(source, rule name, when) of heartbeats."""


class FoldStore(Protocol):
    """What intake and folder need."""

    async def append(self, deliveries: Sequence[Delivery]) -> list[int]:
        """Commits all in one transaction and returns their inbox ids in order; raises StoreUnavailable, then none is stored."""
        ...

    async def unfolded(self, *, after: int, limit: int) -> list[StoredDelivery]:
        """Inbox rows not yet folded, oldest first."""
        ...

    async def backlog(self) -> int:
        """How many inbox rows are not folded."""
        ...

    async def ping(self) -> None:
        """Raises StoreUnavailable when the database does not take a trivial write."""
        ...

    async def open_incidents(self, keys: Collection[str], identities: Collection[tuple[str, str]]) -> dict[str, OpenIncident]:
        """Key → open incident, for each alias or group key given that has one; and, under `alert:<source>:<fingerprint>`, the open
        incident that already holds that alert."""
        ...

    async def newest_closed(self, keys: Collection[str]) -> dict[str, int]:
        """Key → id of the newest closed incident of that key: its `previous_id`."""
        ...

    async def commit_fold(self, fold: Fold) -> list[int]:
        """Returns the incidents' ids in order. VersionConflict: somebody else changed one; nothing was written."""
        ...


@dataclass(frozen=True, slots=True)
class Listing:
    """What one sender says of its alerts when it is asked: all of it, or `ListingFailed`."""

    firing: tuple[Alert, ...]
    """They fire now, and are not held back."""
    over: tuple[Alert, ...] = ()
    """It says explicitly that these are over."""
    held_back: frozenset[str] = frozenset()
    """Fingerprints of what it knows and says neither of: silenced, inhibited, muted, not processed yet, without data."""
    foreign: int = 0
    """Alerts that it lists and that are not ours."""
    unasked: str = ""
    """Why of some of them no more could be learnt, in one line: those are held back, the others stand. Empty: all was told."""


class ListingFailed(Exception):
    """No answer, a partial or an unreadable one. Nothing may be concluded."""


class FiringList(Protocol):
    """A sender that can be asked what is firing."""

    name: str
    """As `alertmanager`: for metrics and troubles."""
    source: str
    """That its alerts bear, so that they are the same alerts as those that it delivers."""

    def covers(self, alert: Alert) -> bool:
        """Whether it could list this alert of its source: of what it does not cover, absence means nothing at all."""
        ...

    async def ask(self, now: datetime, held: Mapping[str, AlertRecord]) -> Listing:
        """`held`: what open incidents know of its source, by fingerprint. Under a time limit of its own. Raises ListingFailed, and nothing
        else but for cancellation."""
        ...


class FoundStore(Protocol):
    """What reconciling needs."""

    async def held(self, source: str, *, after: str, limit: int) -> list[AlertRecord]:
        """Records of open incidents with a fingerprint above `after`, by fingerprint."""
        ...

    async def newest_closed(self, keys: Collection[str]) -> dict[str, int]:
        """As `FoldStore.newest_closed`."""
        ...

    async def load(self, incident_id: int) -> CaseRows | None:
        """As `CaseStore.load`."""
        ...


@dataclass(frozen=True, slots=True)
class Change:
    """What one step writes, in one commit: state, proof, and what is to be told."""

    incident: Incident
    """With the version that was read; the store writes version + 1."""
    entries: tuple[Entry, ...] = ()
    facts: Facts | None = None
    attempt: Attempt | None = None
    """Its new state or verdict, by id. The ledger sequence moves with it."""
    raised: Raise | None = None
    messages: tuple[Message, ...] = ()
    wake_at: datetime | None = None
    """When the agenda looks again; None: not by date."""
    waits_on: tuple[str, ...] = ()
    """What ends the wait before that date (`core/waits.py`)."""
    seen: int = 0
    """With `waits_on`: the ledger-and-holds sequence that was decided on. Where it has moved, the agenda looks again at once: what is
    waited on may be over."""
    standing: Standing | None = None
    """A prepared command that was done or undone, by its name."""


@dataclass(frozen=True, slots=True)
class CaseRows:
    """What the store contributes to a Case, read in one transaction."""

    incident: Incident
    alerts: tuple[AlertRecord, ...]
    attempts: tuple[Attempt, ...]
    """This incident's and those of the ones merged into it; and of the last 24 h those of its target, of its namespace and all others;
    and every open one. Oldest first."""
    holds: tuple[Hold, ...]
    facts: tuple[Facts, ...]
    """The last 12, oldest first."""
    raises: tuple[Raise, ...]
    seen: int
    standing: tuple[Standing, ...] = ()
    """Oldest first."""
    merged: tuple[int, ...] = ()
    """Incidents that were merged into it, also by way of another."""


@dataclass(frozen=True, slots=True)
class Adopted:
    """What binding a target came to."""

    survivor_id: int
    merged_id: int | None = None
    """The incident that was folded into the survivor, where two keys turned out to be one target."""


class CaseStore(Protocol):
    """What the responder needs."""

    async def load(self, incident_id: int) -> CaseRows | None:
        """None: no such incident. Merged and closed ones are returned too (their `open` is False)."""
        ...

    async def save(self, change: Change) -> int:
        """Commits and returns the incident's new version. VersionConflict: load again. The end of an attempt moves the dates of those
        that wait on it forward to now (the most urgent, at most `waits.MOST_WOKEN`)."""
        ...

    async def begin_attempt(self, permit: Permit, *, incident: Incident, entries: Sequence[Entry], shadow: bool) -> Attempt:
        """Commits the intent, before the call. StalePermit when the sequence moved since `permit.seen`, the kill switch is on, or
        the target has an open attempt; VersionConflict when the incident moved. A shadow is recorded as such and blocks nothing."""
        ...

    async def adopt_target(self, incident: Incident, target: Target, *, at: datetime) -> Adopted:
        """Binds the uid, moves the group key to it (but for data and security), keeps every provisional key as an alias, and merges
        with the open incident that already holds this uid: the higher priority survives, then the older; one with an open attempt is
        never merged away (two such: both stay, the newer keeps its provisional key). VersionConflict when one of them moved."""
        ...

    async def dependents(self) -> tuple[Dependent, ...]:
        """Open incidents whose last raise names a dependency, the most urgent first, then the oldest; at most 500."""
        ...

    async def forget_alias(self, incident_id: int) -> None:
        """Frees the keys of an incident that was closed; called by `save` itself, exposed for repair."""
        ...


@dataclass(frozen=True, slots=True)
class Claim:
    """A lease on a row; `fence` grows with each claim, and a write with an older fence does nothing."""

    id: int
    """Incident id (agenda) or outbox id."""
    fence: int
    due: datetime


class AgendaStore(Protocol):
    """Which incident is to be looked at, when, by whom."""

    async def due(self, *, now: datetime, owner: str, lease: timedelta, limit: int) -> list[Claim]:
        """Claims open incidents whose date has come and which nobody holds a living lease on, most urgent first."""
        ...

    async def keep(self, claim: Claim, *, owner: str, now: datetime, lease: timedelta) -> bool:
        """Renews; False when the lease was lost to another owner."""
        ...

    async def let_go(self, claim: Claim, *, owner: str) -> None:
        """Frees the claim; the row's date stays as the last `save` wrote it."""
        ...

    async def next_due(self) -> datetime | None:
        """The earliest date on the agenda."""
        ...

    async def wake(self, incident_id: int, *, at: datetime) -> None:
        """Moves the date forward to `at`, never back."""
        ...

    async def wake_waiting(self, on: str, *, at: datetime) -> None:
        """Moves the dates of the incidents that wait on it (`core/waits.py`) forward to `at`, never back."""
        ...

    async def re_enter(self, *, now: datetime) -> int:
        """After a start: every open incident without a date gets `now`; returns how many."""
        ...


@dataclass(frozen=True, slots=True)
class ClaimedMessage:
    """A message to deliver now."""

    claim: Claim
    message: Message


class OutboxStore(Protocol):
    """Pages and messages that are to be delivered."""

    async def claim_messages(self, destination: str, *, now: datetime, owner: str, lease: timedelta, limit: int) -> list[ClaimedMessage]:
        """Due ones, triggers before the rest, never a resolve before its own key's trigger was settled; in order within a dedup key."""
        ...

    async def settle_message(self, claim: Claim, result: DeliveryResult, *, owner: str, now: datetime, next_at: datetime | None) -> None:
        """Records the try. An accepted trigger dates its Raise. A refused one stays visible with its detail."""
        ...

    async def add_messages(self, messages: Sequence[Message], *, now: datetime) -> None:
        """For the second destination of a refused page."""
        ...

    async def next_message_due(self, destination: str) -> datetime | None:
        """The earliest date in the outbox of that destination."""
        ...


@dataclass(frozen=True, slots=True)
class Overdue:
    """An open incident that nobody is coming for, or whose next step is late."""

    incident_id: int
    detail: str


@dataclass(frozen=True, slots=True)
class Beat:
    """A heartbeat as remembered."""

    source: str
    rule: str
    last_at: datetime


class WatchStore(Protocol):
    """What the auditor, the storm gate and health need."""

    async def overdue(self, *, now: datetime, grace: timedelta) -> list[Overdue]:
        """Open incidents neither paged (a raise that a pager accepted, or one by storm) nor with a future date; also outbox triggers
        older than grace."""
        ...

    async def joined_storm(self) -> bool:
        """An open incident has no page but the storm's."""
        ...

    async def beats(self) -> list[Beat]:
        """All heartbeats remembered."""
        ...

    async def arm(self, source: str, rule: str, *, at: datetime) -> None:
        """Remembers `at` as the last beat where none is known."""
        ...

    async def storm_counts(self, *, since: datetime) -> StormCounts:
        """Distinct targets (or provisional keys) of incidents with an alert first accepted since then."""
        ...

    async def gauges(self) -> Mapping[str, Mapping[str, float]]:
        """Figures for /metrics in O(open rows): `incidents_open` by priority, `inbox_backlog`, `outbox_pending` and
        `outbox_oldest_age_seconds` by destination, `attempts_open`."""
        ...


@dataclass(frozen=True, slots=True)
class StormCounts:
    """The input of the storm gate."""

    targets: int
    by_namespace: Mapping[str, int]
    truncated: bool
    p1_pages_last_minute: int = 0
    catalogued: int = 0
    """Those of `targets` that a service of the catalogue stands for."""


class StormGate(Protocol):
    """Reads the counts at most once a second and keeps when it was shut."""

    async def storm(self) -> Storm:
        """The gate as it stands now."""
        ...

    def grant(self) -> bool:
        """One more P1 may page singly while it is shut; False: the minute's are spent, it joins the storm's page."""
        ...


# --- people --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class IncidentFilter:
    """What a list shows. `before` pages backwards by id."""

    open: bool | None = None
    priority: str = ""
    service: str = ""
    limit: int = 50
    before: int | None = None


@dataclass(frozen=True, slots=True)
class IncidentView:
    """Everything about one incident, for a page of it."""

    rows: CaseRows
    timeline: tuple[StoredEntry, ...]
    messages: tuple[Message, ...]
    message_states: tuple[str, ...]
    chain_intact: bool
    next_due: datetime | None


class ViewStore(Protocol):
    """What API and console read."""

    async def incidents(self, wanted: IncidentFilter) -> list[Incident]:
        """Newest first, at most `limit` (1 to 1,000)."""
        ...

    async def view(self, incident_id: int) -> IncidentView | None:
        """None: no such incident."""
        ...

    async def holds(self) -> list[Hold]:
        """In force now or later; thawed ones are not listed."""
        ...

    async def quarantine(self, *, limit: int) -> list[Quarantined]:
        """Newest first."""
        ...

    async def add_hold(self, hold: Hold) -> Hold:
        """Stores it (its id is ignored) and moves the ledger-and-holds sequence."""
        ...

    async def end_hold(self, hold_id: int, *, at: datetime, by: str) -> bool:
        """False: no such hold in force. Moves the sequence, and the agenda looks at once at what it held."""
        ...

    async def kill_switch_on(self) -> bool:
        """A hold of kind kill_switch is in force. Raises StoreUnavailable when it cannot tell."""
        ...

    async def installation(self) -> str:
        """The random id made by the first migration."""
        ...

    async def ping(self) -> None:
        """Raises StoreUnavailable when the database does not take a trivial write."""
        ...


@dataclass(frozen=True, slots=True)
class ToldChange:
    """A change of a service or target that somebody told us of."""

    subject: str
    """A service of the catalogue, or the key of a target."""
    changed: Changed
    told_at: datetime
    told_by: str
    """Name of the token."""
    id: int = 0


class ChangeStore(Protocol):
    """Changes that were told, for a while."""

    async def tell(self, change: ToldChange) -> ToldChange:
        """Stores it. The same one told again (all of it but when and by whom it was told) changes nothing and answers the first."""
        ...

    async def told(self, subjects: Collection[str], *, since: datetime, limit: int) -> list[ToldChange]:
        """Of these subjects, the newest first; no subjects: of all."""
        ...


class ChangeLog(Protocol):
    """The door for who tells of changes."""

    async def tell(self, *, subject: str, what: str, who: str, at: datetime | None, link: str, by: str) -> ToldChange:
        """`at` None: now. Raises CommandRefused. The same twice is one."""
        ...

    async def told(self, subject: str, *, limit: int) -> Sequence[ToldChange]:
        """The newest first; an empty subject: of all."""
        ...

    def doubt(self, subject: str) -> str:
        """Why no page may show it, though it is taken; empty: no reason."""
        ...


class CommandRefused(Exception):
    """A person's command cannot be done: says thing, value, what is allowed, what to do."""

    def __init__(self, text: str, *, missing: bool = False) -> None:
        super().__init__(text)
        self.missing = missing
        """True: there is no such thing (404), False: not now, or not so (409)."""


class Commands(Protocol):
    """What a person may do: one door for API, CLI, chat and console."""

    async def ack(self, incident_id: int, *, by: str) -> Incident:
        """Somebody is on it: nothing new is started. Twice changes nothing."""
        ...

    async def resolve(self, incident_id: int, *, by: str, note: str = "", leave: bool = False) -> Incident:
        """Closes it whatever its alerts say. Refused when it is closed, or while a temporary change of ours stands: `leave` makes
        that change the person's."""
        ...

    async def approve(self, incident_id: int, attempt_id: str, *, by: str, roles: Collection[str], ticked: Collection[str]) -> Attempt:
        """A yes to one offer: bound to its plan, for one use, until it expires. Answers the offer."""
        ...

    async def deny(self, incident_id: int, attempt_id: str, *, by: str, reason: str = "") -> Attempt:
        """A no: the action is not asked for again in this incident."""
        ...

    async def did(self, incident_id: int, name: str, *, by: str, note: str = "") -> Standing:
        """A person ran a prepared command. What has a reverse keeps the incident open until it is undone. Twice changes nothing. One
        with gaps is refused without a note that says what filled them."""
        ...

    async def undid(self, incident_id: int, name: str, *, by: str) -> Standing:
        """A person took it back."""
        ...

    async def freeze(self, *, scope: str, reason: str, by: str, until: datetime | None) -> Hold:
        """Holds actions of a scope; an empty scope is the kill switch."""
        ...

    async def doubt(self, scope: str) -> str:
        """Why a freeze of this scope may hold nothing, though it is taken; empty: no reason."""
        ...

    async def thaw(self, hold_id: int, *, by: str) -> None:
        """Ends a freeze or the kill switch."""
        ...

    async def note(self, incident_id: int, *, by: str, text: str) -> None:
        """A dated sentence by a person."""
        ...
