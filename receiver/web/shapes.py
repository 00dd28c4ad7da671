"""The JSON that goes out and comes in, as pydantic models: what the OpenAPI document says is what is sent.

Additions only within /api/v1. Priorities are in the configured naming, times RFC 3339 in UTC, quantities carry their unit in the name.
Not split: one vocabulary, read as one document; half of the lines say what a name means.
"""

from __future__ import annotations

from datetime import UTC
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator


class Shape(BaseModel):
    """Closed: no key but those named."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ErrorDetail(Shape):
    """What went wrong."""

    code: str
    message: str


class ErrorAnswer(Shape):
    """Every answer of 400 and above."""

    error: ErrorDetail


class Incident(Shape):
    """One problem, as lists show it."""

    id: int
    version: int
    open: bool
    priority: str
    impact: str
    urgency: str
    title: str
    symptom: str
    source: str
    service: str
    rule: str
    target: str
    """`kubernetes/cluster/namespace/kind/name`, empty while none is known."""
    accepted_at: AwareDatetime
    phases: dict[str, AwareDatetime]
    no_action: str
    acked_at: AwareDatetime | None
    acked_by: str
    closed_at: AwareDatetime | None
    closed_by: str
    previous_id: int | None
    merged_into: int | None


class StormGate(Shape):
    """Shut: so much is alight that nothing acts, and pages are gathered."""

    detail: str
    since: AwareDatetime | None


class Incidents(Shape):
    """Newest first."""

    incidents: list[Incident]
    next_before: int | None
    """Give it as `before` to see older ones; null: there are none."""
    storm: StormGate | None
    """Null: it is open."""


class Alert(Shape):
    """One alert of an incident."""

    name: str
    source: str
    fingerprint: str
    rule: str
    firing: bool
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: AwareDatetime
    first_at: AwareDatetime
    resolved_at: AwareDatetime | None
    times: int
    flaps: int
    generator_url: str


class Side(Shape):
    """The target before or after an attempt."""

    replicas: int
    available: int
    ready: int
    revision: str
    restarts: int
    waiting: dict[str, int]
    samples: dict[str, float]
    images: list[str]


class Precondition(Shape):
    """What who approves must have checked."""

    name: str
    text: str
    age_seconds: float | None
    """Null: not known."""


class Ask(Shape):
    """What an offer asks of a person."""

    until: AwareDatetime
    role: str
    """Empty: whoever may operate."""
    preconditions: list[Precondition]


class Attempt(Shape):
    """One run of an action."""

    id: str
    action: str
    target: str
    mode: str
    state: str
    uid: str
    """Of the live object that it was decided on."""
    generation: int
    """Of that object then; 0: it has none."""
    pod: str
    """Of an eviction."""
    wanted: str
    """What it was to do, as `3 -> 5 replicas`."""
    before: Side
    after: Side | None
    started_at: AwareDatetime
    ended_at: AwareDatetime | None
    detail: str
    verdict: str
    verdict_at: AwareDatetime | None
    verdict_detail: str
    lease_until: AwareDatetime | None
    reverts: str
    reverted: bool
    approval: str
    """The offer that allowed it."""
    approved_by: str
    ask: Ask | None
    """Of an offer that waits for a yes."""


class Refusal(Shape):
    """A bound's no."""

    action: str
    because: str
    detail: str


class Reason(Shape):
    """One line of the trace of a priority."""

    axis: str
    level: str
    by: str
    detail: str


class Sample(Shape):
    """One measured answer."""

    name: str
    state: str
    value: float | None
    detail: str


class Facts(Shape):
    """What the newest look at the target saw."""

    at: AwareDatetime
    target: str
    trouble: str
    chain: list[str]
    workload: dict[str, Any] | None
    dangers: list[str]
    samples: list[Sample]


class Page(Shape):
    """One message to a destination."""

    destination: str
    kind: str
    state: str
    tries: int
    raise_n: int
    created_at: AwareDatetime | None
    summary: str
    details: dict[str, str | list[str]]
    links: list[tuple[str, str]]


class Hold(Shape):
    """A freeze of a scope; an empty scope is the kill switch."""

    id: int
    kind: str
    scope: str
    reason: str
    by: str
    since: AwareDatetime
    until: AwareDatetime | None


class Frozen(Hold):
    """A hold that was just made."""

    warning: str
    """Why it may hold nothing; empty: no reason."""


class Prepared(Shape):
    """Command lines for a person, never run by the receiver."""

    name: str
    """What `did` takes."""
    title: str
    commands: list[str]
    """Each stands alone. One with a gap (`<<<QUEUE: …>>>`) does not parse."""
    reverse: list[str]
    no_reverse: str
    """Why there is none."""
    gaps: list[str]
    notes: list[str]
    changes: bool


class Standing(Shape):
    """A prepared command that a person ran."""

    name: str
    title: str
    commands: list[str]
    reverse: list[str]
    open: bool
    """Still to be taken back: the incident does not close by itself."""
    done_at: AwareDatetime
    done_by: str
    undone_at: AwareDatetime | None
    undone_by: str
    left: bool
    """Not taken back, but left as it is."""


class Evidence(Shape):
    """One piece that was collected for a page."""

    title: str
    lines: list[str]
    missing: str
    """Not empty: there is nothing of it, and this is why."""


class IncidentDetail(Shape):
    """Everything about one incident but its timeline."""

    incident: Incident
    trace: list[Reason]
    alerts: list[Alert]
    attempts: list[Attempt]
    refusals: list[Refusal]
    """Of the newest decision that had any."""
    facts: Facts | None
    pages: list[Page]
    holds: list[Hold]
    """In force now, everywhere."""
    next_due: AwareDatetime | None
    """When it is looked at again."""
    next_commands: list[str]
    """What a person may run next."""
    next_reverse: list[str]
    """What takes that back; never to be run together with it."""
    prepared: list[Prepared]
    """What the rule suggests to people; empty once it is closed."""
    standing: list[Standing]
    """What people ran by hand, also what was taken back."""
    evidence: list[Evidence]
    """Of its newest page: what was collected, and what was not."""
    advice: list[str]
    """Of an incident about ourselves: what it means, and what to do."""
    chain_intact: bool
    """The timeline is as it was written."""


class TimelineEntry(Shape):
    """One dated sentence."""

    seq: int
    at: AwareDatetime
    because: str
    text: str
    actor: str
    data: dict[str, Any]
    hash: str


class Timeline(Shape):
    """Oldest first."""

    incident: int
    chain_intact: bool
    entries: list[TimelineEntry]


class Holds(Shape):
    """In force now or later."""

    holds: list[Hold]


class Quarantined(Shape):
    """Something that could not be read, kept for a person."""

    source: str
    at: AwareDatetime
    reason: str
    path: str
    raw: str


class Quarantine(Shape):
    """Newest first."""

    quarantine: list[Quarantined]


class Right(Shape):
    """One right that is missing or too many."""

    state: str
    identity: str
    namespace: str
    right: str
    needed_by: str


class Rights(Shape):
    """What the platform said of our rights; `at` is null while it was not asked."""

    at: AwareDatetime | None
    findings: list[Right]


class Whoami(Shape):
    """Of the token that asks."""

    name: str
    scope: str


class Change(Shape):
    """A change outside that somebody told us of."""

    id: int
    subject: str
    """A service of the catalogue, or the key of a target."""
    at: AwareDatetime
    what: str
    who: str
    link: str
    told_at: AwareDatetime
    told_by: str
    """Name of the token."""


class ToldChange(Change):
    """As it was stored."""

    warning: str
    """Not empty: why no page may show it."""


class Changes(Shape):
    """Newest first."""

    changes: list[Change]


class Done(Shape):
    """It was done."""

    done: bool = True


# --- in ------------------------------------------------------------------------------------------------------------------


def _utc(value: AwareDatetime) -> AwareDatetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("is beyond the calendar") from None


Moment = Annotated[AwareDatetime, AfterValidator(_utc)]


class Nothing(Shape):
    """`{}`."""


class ResolveBody(Shape):
    """Closing."""

    note: Annotated[str, Field(max_length=1000)] = ""
    leave: bool = False
    """A temporary change of ours that still stands becomes the person's."""


class ApproveBody(Shape):
    """A yes to one offer."""

    attempt: Annotated[str, Field(min_length=1, max_length=128)]
    """Its id: a yes is for what was seen, not for whatever is asked by now."""
    ticked: list[Annotated[str, Field(max_length=100)]] = []
    """The preconditions that were checked."""


class DenyBody(Shape):
    """A no to one offer, and to the action for this incident."""

    attempt: Annotated[str, Field(min_length=1, max_length=128)]
    reason: Annotated[str, Field(max_length=1000)] = ""


class ByHandBody(Shape):
    """A prepared command by name."""

    name: Annotated[str, Field(min_length=1, max_length=100)]


class ChangeBody(Shape):
    """A change: of a service or of a target, one of the two."""

    service: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")] | None = None
    target: Annotated[str, Field(min_length=1, max_length=900, pattern=r"^[^/]+(/[^/]*){3}/[^/]+$")] | None = None
    """`kubernetes/CLUSTER/NAMESPACE/KIND/NAME`."""
    what: Annotated[str, Field(min_length=1, max_length=1000)]
    who: Annotated[str, Field(max_length=200)] = ""
    at: Moment | None = None
    """Null: now."""
    link: Annotated[str, Field(max_length=2048, pattern=r"^(https?://[^\s]+)?$")] = ""

    @model_validator(mode="after")
    def _one_subject(self) -> ChangeBody:
        if (self.service is None) is (self.target is None):
            raise ValueError("names a service or a target, one of the two")
        return self


class DidBody(ByHandBody):
    """A prepared command that was run."""

    note: Annotated[str, Field(max_length=1000)] = ""
    """What filled its gaps: needed where it has some."""


class NoteBody(Shape):
    """A sentence for the timeline."""

    text: Annotated[str, Field(min_length=1, max_length=4096)]


class FreezeBody(Shape):
    """Holding actions."""

    scope: Annotated[str, Field(max_length=320)]
    """`namespace:NAME`, `service:NAME`, `rule:NAME`, `target:KEY`; empty is the kill switch."""
    reason: Annotated[str, Field(min_length=1, max_length=1000)]
    until: Moment | None = None
    """Null: until thawed."""
