"""What may stand in a rule file: one pydantic model a section, every key known.

Owns shapes and notations of single values; what they mean together is `judging`'s. Every key of a rule and of a service has a default
here, so that one fault does not hide the others; `judging` says which may not be left out.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, SkipValidation, Tag, model_validator

from receiver.core.model import Level, Mode, Symptom
from receiver.core.predicate import Matcher, parse_matchers
from receiver.yamlfile import BRANCH, Address, Duration, Flag, Number, Share, Strict, Whole

HEARTBEAT_EVERY = timedelta(minutes=5)
"""Of `heartbeat: true`: Alertmanager repeats a group at its group_interval at the soonest, 5 min by default."""

# RFC 1123, as Kubernetes checks names: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
_DNS_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_DNS_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)
_ECS_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}", re.ASCII)
_STEP = re.compile(r"[1-9][0-9]{0,3}|[1-9][0-9]{0,2}%", re.ASCII)


def _named(pattern: re.Pattern[str], words: str) -> AfterValidator:
    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise ValueError(f"{value[:80]!r} is not {words}")
        return value

    return AfterValidator(check)


Name = Annotated[str, _named(_NAME, "a name: letters, digits, '.', '_' and '-', at most 100")]
Namespace = Annotated[str, _named(_DNS_LABEL, "an RFC 1123 label: lower case letters, digits and '-', at most 63")]
ObjectName = Annotated[str, _named(_DNS_NAME, "an RFC 1123 name: lower case letters, digits, '-' and '.', at most 253")]
EcsName = Annotated[str, _named(_ECS_NAME, "a name of ECS: letters, digits, '_' and '-', at most 255")]
Text = Annotated[str, Field(min_length=1, max_length=253)]


def _read_matchers(value: object) -> tuple[Matcher, ...]:
    if not isinstance(value, str):
        raise ValueError("is not a matcher; write it in quotes, as 'alertname=~\"KubePodCrashLooping|KubeContainerWaiting\"'")
    return parse_matchers(value)


Matchers = Annotated[SkipValidation[tuple[Matcher, ...]], BeforeValidator(_read_matchers)]
"""One line of `match`: one or more Alertmanager matchers."""


def _read_step(value: object) -> str:
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if not _STEP.fullmatch(text):
        raise ValueError("is not a step; write a count as 2, or a share of the present count as 50%")
    return text


class KubernetesTarget(Strict):
    """A workload by name."""

    namespace: Namespace
    kind: Literal["Deployment", "StatefulSet", "DaemonSet"]
    name: ObjectName
    cluster: str = ""
    """Empty: ours."""


class EcsTarget(Strict):
    """An ECS service by name."""

    cluster: EcsName
    service: EcsName


class TargetEntry(Strict):
    """Exactly one platform."""

    kubernetes: KubernetesTarget | None = None
    ecs: EcsTarget | None = None

    @model_validator(mode="after")
    def _one(self) -> TargetEntry:
        if (self.kubernetes is None) is (self.ecs is None):
            raise ValueError("a target names exactly one platform; allowed: kubernetes, ecs")
        return self


class ServiceEntry(Strict):
    """One entry of the catalogue."""

    name: Name = ""
    targets: tuple[TargetEntry, ...] = ()
    labels: dict[Text, Text] = Field(default_factory=dict)
    impact: Level | None = None
    tags: tuple[Name, ...] = ()
    links: dict[Name, Address] = Field(default_factory=dict)
    probe: Address | None = None
    bounds: dict[str, Any] = Field(default_factory=dict)
    depends_on: tuple[Name, ...] = ()
    values: dict[str, str] = Field(default_factory=dict)


class DependencyEntry(Strict):
    """What services rest on: a query with a limit, or a status address."""

    name: Name = ""
    query: Annotated[str, Field(max_length=4096)] = ""
    below: Annotated[Number, Field(allow_inf_nan=False)] | None = None
    above: Annotated[Number, Field(allow_inf_nan=False)] | None = None
    status: Address | None = None
    contact: Annotated[str, Field(max_length=253)] = ""


class PreconditionEntry(Strict):
    """What who approves must have checked."""

    name: Name
    text: Text
    age: Annotated[str, Field(max_length=4096)] = ""


class ApprovalEntry(Strict):
    """Who may approve a rung, and after what."""

    role: Annotated[str, Field(max_length=100)] = ""
    preconditions: tuple[PreconditionEntry, ...] = ()


class RemediationEntry(Strict):
    """One rung of the ladder."""

    action: str = ""
    on: str = ""
    mode: Mode | None = None
    step: Annotated[str, BeforeValidator(_read_step)] = ""
    max: Annotated[Whole, Field(ge=1, le=10_000)] | None = None
    bounds: dict[str, Any] = Field(default_factory=dict)
    approval: ApprovalEntry | None = None


class SuggestEntry(Strict):
    """A prepared command for people."""

    name: str = ""
    values: dict[str, str] = Field(default_factory=dict)


class QueryEntry(Strict):
    """A figure for the page."""

    name: Name = ""
    query: Annotated[str, Field(max_length=4096)] = ""


class VerifyEntry(Strict):
    """How a cure is proved."""

    query: Annotated[str, Field(max_length=4096)] = ""
    below: Annotated[Number, Field(allow_inf_nan=False)] | None = None
    above: Annotated[Number, Field(allow_inf_nan=False)] | None = None
    probe: Flag = False
    rollout: Flag = False
    alarm: Flag = False
    settle: Duration = timedelta(minutes=2)
    stable: Duration = timedelta(minutes=15)
    every: Annotated[Duration, Field(ge=timedelta(seconds=1))] = timedelta(seconds=15)


class BreadthEntry(Strict):
    """What share raises the impact, and from where on."""

    replicas: Flag = False
    targets: Flag = False
    query: Annotated[str, Field(max_length=4096)] = ""
    medium: Share = 0.20
    high: Share = 0.50


class HeartbeatEntry(Strict):
    """The expected gap between two signs of life."""

    every: Annotated[Duration, Field(ge=timedelta(seconds=1))] = HEARTBEAT_EVERY
    armed: Flag = False


class PageEntry(Strict):
    """When a page is due at the latest."""

    after: Duration


class UrgencyEntry(Strict):
    """Urgency from a label."""

    label: Text
    map: Annotated[dict[str, Level], Field(min_length=1)]


def _urgency_branch(value: object) -> str:
    return BRANCH + "map" if isinstance(value, dict | UrgencyEntry) else BRANCH + "level"


Urgency = Annotated[Annotated[Level, Tag(BRANCH + "level")] | Annotated[UrgencyEntry, Tag(BRANCH + "map")], Discriminator(_urgency_branch)]


def _suggested(value: object) -> object:
    return [{"name": each} if isinstance(each, str) else each for each in value] if isinstance(value, list) else value


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _heartbeat(value: object) -> object:
    return {} if value is True else None if value is False else value


class RuleEntry(Strict):
    """One rule."""

    name: Name = ""
    match: Annotated[tuple[Matchers, ...], BeforeValidator(_listed)] = ()
    symptom: Symptom = Symptom.other
    impact: Level | None = None
    urgency: Urgency | None = None
    breadth: BreadthEntry | None = None
    mode: Mode = Mode.observe
    page_only: Flag = False
    remediate: tuple[RemediationEntry, ...] = ()
    suggest: Annotated[tuple[SuggestEntry, ...], BeforeValidator(_suggested)] = ()
    evidence: Annotated[tuple[QueryEntry, ...], Field(max_length=10)] = ()
    verify: VerifyEntry | None = None
    page: PageEntry | None = None
    heartbeat: Annotated[HeartbeatEntry | None, BeforeValidator(_heartbeat)] = None
    ignore: Flag = False


class DefaultEntry(Strict):
    """What an alert gets that no rule matches."""

    impact: Level | None = None
    urgency: Urgency | None = None
    breadth: BreadthEntry | None = None
    remediate: tuple[RemediationEntry, ...] = ()
    page: PageEntry | None = None


class FileEntry(Strict):
    """The top of a file; its sections are checked one entry at a time."""

    apiVersion: Literal["receiver/v1"]  # noqa: N815 - as Kubernetes spells it
    kind: Literal["Rules"]
    matrix: dict[str, Any] | None = None
    services: list[Any] = Field(default_factory=list)
    dependencies: list[Any] = Field(default_factory=list)
    rules: list[Any] = Field(default_factory=list)
    default: dict[str, Any] | None = None
