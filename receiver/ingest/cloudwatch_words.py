"""From the parts of one statement of CloudWatch to an `Alert`: identity, labels, texts, state. Shared by its two vocabularies.

Law: the same transition has the same identity and date whichever way it came (SNS, SQS, EventBridge, or asked for), because both come from
the alarm's ARN, its contributor and the date of the change alone. OK is over, ALARM fires, INSUFFICIENT_DATA is neither: it ends nothing.
Whatever is odd is paged and never acted on. Called by `cloudwatch_alarm`, `cloudwatch_event` and whoever lists alarms.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from urllib.parse import quote

import msgspec

from receiver.core.dedup import fingerprint
from receiver.core.model import Alert
from receiver.ingest.jsonbody import repaired
from receiver.ingest.statement import NAME_LIMIT, Reading, Status, Unreadable, build

ALERT_SOURCE = "cloudwatch"
"""Of its alerts, whichever way they came: else one alarm over two ways were two incidents."""
DIMENSION = "dimension_"
"""Before the name of a dimension, as YACE's series have it (https://github.com/prometheus-community/yet-another-cloudwatch-exporter)."""
MOST_DIMENSIONS = 60
TIME_LIMIT = 64

# https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatch.html: the name may hold anything.
_ARN = re.compile(r"arn:(aws[a-z-]*):cloudwatch:([a-z0-9-]{1,32}):([0-9]{12}):alarm:(.{1,1024})", re.ASCII | re.DOTALL)
_COMPACT_OFFSET = re.compile(r"[+-][0-9]{4}\Z", re.ASCII)
_UNFIT = re.compile(r"[^A-Za-z0-9_]", re.ASCII)


class AlarmState(StrEnum):
    """The three of https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricAlarm.html."""

    ok = "OK"
    alarm = "ALARM"
    no_data = "INSUFFICIENT_DATA"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric that an alarm watches."""

    name: str = ""
    namespace: str = ""
    dimensions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Statement:
    """What CloudWatch says of one alarm, or of one contributor to it."""

    arn: str
    state: AlarmState
    name: str = ""
    """Empty: the ARN's."""
    at: datetime | None = None
    """When it changed to that state; None: not told."""
    contributor: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """What tells the contributor from the others."""
    metrics: tuple[Metric, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    """Annotations."""
    ended: str = ""
    """Not empty: it is not the state that ends the alarm, but this (it was deleted), which is no recovery."""
    doubt: str = ""
    """What is odd about it."""


def identity(arn: str, contributor: str = "") -> str:
    """The fingerprint of an alarm, or of one contributor to it: the OK of one must not end another."""
    return fingerprint(ALERT_SOURCE, {"alarm_arn": arn, "contributor": contributor})


def arn_of(partition: str, region: str, account: str, name: str) -> str:
    """Where only the parts are told."""
    return f"arn:{partition}:cloudwatch:{region}:{account}:alarm:{name}"


def alert_of(said: Statement, received_at: datetime) -> Alert:
    """Raises `Unreadable`. An end bears its own date as its beginning: that is what orders it among the others."""
    said = replace(said, arn=repaired(said.arn), name=repaired(said.name))
    found = _ARN.fullmatch(said.arn)
    doubts = [said.doubt] if said.doubt else []
    if found is None:
        doubts.append("it has no ARN of an alarm")
    if said.at is None:
        doubts.append("it is not dated; read as of its arrival")
    status = Status.firing if said.state is AlarmState.alarm and not said.ended else Status.resolved
    reading = Reading(ALERT_SOURCE, frozenset(), received_at, doubt="; ".join(doubts))
    alert = build(
        reading,
        status,
        labels=_labels(said, found),
        annotations={name: repaired(each) for name, each in said.texts.items() if each},
        starts=said.at,
        ends=None if status is Status.firing else said.at,
        generator_url=_console(found),
    )
    return replace(alert, fingerprint=identity(said.arn, said.contributor), unproven=_unproven(said), ordered=said.at is not None)


def moment(value: object) -> datetime | None:
    """`2026-09-14T11:18:44.401+0000`, or RFC 3339; None: nothing that is one."""
    if not isinstance(value, str) or len(value) > TIME_LIMIT:
        return None
    text = f"{value[:-2]}:{value[-2:]}" if _COMPACT_OFFSET.search(value) else value
    try:
        return msgspec.convert(text, datetime).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def state_of(value: object) -> AlarmState:
    """Raises `Unreadable`: a state that we do not know is never read as one that we know."""
    if not isinstance(value, str) or value not in tuple(AlarmState):
        raise Unreadable("", f"its state is none of {', '.join(AlarmState)}")
    return AlarmState(value)


def text(value: object) -> str:
    """Empty where it is no text."""
    return value if isinstance(value, str) else ""


def mapping(value: object) -> Mapping[str, object]:
    """Empty where it is no object."""
    return value if isinstance(value, dict) else {}


def texts(value: object) -> dict[str, str]:
    """An object's texts."""
    return {name: each for name, each in mapping(value).items() if isinstance(each, str)}


def _unproven(said: Statement) -> str:
    if said.ended:
        return said.ended
    return f"{AlarmState.no_data}: its metric has no data" if said.state is AlarmState.no_data else ""


def _labels(said: Statement, found: re.Match[str] | None) -> dict[str, str]:
    """No `namespace`, `cluster` or `pod` among them: those are Kubernetes' words, and aim there."""
    labels = {"alertname": said.name or (found[4] if found is not None else ""), "alarm_arn": said.arn}
    if found is not None:
        labels |= {"region": found[2], "account_id": found[3]}
    if said.contributor:
        labels["alarm_contributor"] = said.contributor
    for label, values in (
        ("metric_name", [each.name for each in said.metrics]),
        ("metric_namespace", [each.namespace for each in said.metrics]),
    ):
        if (only := _only(values)) != "":
            labels[label] = only
    return {name: repaired(each) for name, each in (labels | _dimensions(said)).items()}


def _only(values: list[str]) -> str:
    """What all say that say something; empty where they differ."""
    told = {each for each in values if each}
    return told.pop() if len(told) == 1 else ""


def _dimensions(said: Statement) -> dict[str, str]:
    """Of all metrics and of the contributor. A dimension that two of them give different values says nothing about the whole."""
    told: dict[str, list[str]] = {}
    for dimensions in (*(each.dimensions for each in said.metrics), said.attributes):
        for name, value in dimensions.items():
            told.setdefault(_UNFIT.sub("_", name)[: NAME_LIMIT - len(DIMENSION)], []).append(value)
    single = {name: only for name, values in told.items() if (only := _only(values))}
    return {DIMENSION + name: single[name] for name in sorted(single)[:MOST_DIMENSIONS]}


def _console(found: re.Match[str] | None) -> str:
    """The alarm in AWS's console, which is elsewhere in other partitions."""
    if found is None or found[1] != "aws":
        return ""
    name = quote(repaired(found[4]), safe="")
    return f"https://{found[2]}.console.aws.amazon.com/cloudwatch/home?region={found[2]}#alarmsV2:alarm/{name}"
