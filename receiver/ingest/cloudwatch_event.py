"""An event of EventBridge about an alarm (https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html).

Law: the detail-type decides, never the state alone: a change of an alarm's configuration bears `"ALARM"` too, and is no alarm. Of those
only the deletion of a firing alarm is worth a word: it will never say that it is over, and being deleted is no recovery. Of an alarm that
groups each contributor has events of its own; its state as a whole would be a second incident beside them. Called by `cloudwatch`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from receiver.core.model import Refusal
from receiver.ingest.cloudwatch_words import AlarmState, Metric, Statement, arn_of, mapping, moment, state_of, text, texts
from receiver.ingest.jsonbody import kind

SOURCE = "aws.cloudwatch"
_GROUP_BY = re.compile(r"\bGROUP\s+BY\b", re.ASCII)
"""https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-metrics-insights-querylanguage.html"""
DELETED = "the alarm was deleted while it was in ALARM"


def misshapen(told: Mapping[str, object]) -> Refusal | None:
    """What an input transformer made of it that we cannot take for an event."""
    for name in ("detail-type", "source"):
        if not isinstance(told.get(name), str):
            return Refusal(name, f"a string was expected, found {kind(told.get(name))}")
    if not isinstance(told.get("detail"), dict):
        return Refusal("detail", f"an object was expected, found {kind(told.get('detail'))}")
    return None


def statement(told: Mapping[str, object]) -> Statement | None:
    """None: it says nothing about the state of an alarm. Needs one that is not `misshapen`. Raises `Unreadable`."""
    if told["source"] != SOURCE:
        return None
    detail = mapping(told["detail"])
    match told["detail-type"]:
        case "CloudWatch Alarm State Change":
            return None if _groups(mapping(detail.get("configuration")).get("metrics")) else _changed(told, detail)
        case "CloudWatch Alarm Contributor State Change":
            return _changed(told, detail, contributor=mapping(detail.get("alarmContributor")))
        case "CloudWatch Alarm Configuration Change":
            deleted = detail.get("operation") == "delete" and mapping(detail.get("state")).get("value") == AlarmState.alarm
            return _changed(told, detail, ended=DELETED) if deleted else None
    return None


def _changed(
    told: Mapping[str, object], detail: Mapping[str, object], *, contributor: Mapping[str, object] | None = None, ended: str = ""
) -> Statement:
    name, state, configuration = text(detail.get("alarmName")), mapping(detail.get("state")), mapping(detail.get("configuration"))
    arn, doubt = _arn(told, name)
    who = contributor or {}
    if contributor is not None and not text(who.get("id")):
        doubt = "it does not name its contributor"
    return Statement(
        arn=arn,
        state=state_of(state.get("value")),
        name=name,
        at=moment(told.get("time") if ended else state.get("timestamp")),
        contributor=text(who.get("id")),
        attributes=texts(who.get("attributes")),
        metrics=tuple(_metrics(configuration.get("metrics"))),
        texts={
            "summary": text(state.get("reason")),
            "description": text(configuration.get("description")),
            "previous_state": text(mapping(detail.get("previousState")).get("value")),
            "alarm_rule": text(configuration.get("alarmRule")),
        },
        ended=ended,
        doubt=doubt,
    )


def _groups(queries: object) -> bool:
    """Whether the query that the alarm watches tells that it has contributors. One that only feeds an expression has none: what the
    expression comes to is one series."""
    for query in queries if isinstance(queries, list) else ():
        expression = text(mapping(query).get("expression")).upper().lstrip()
        if mapping(query).get("returnData") is True and expression.startswith("SELECT") and _GROUP_BY.search(expression):
            return True
    return False


def _arn(told: Mapping[str, object], name: str) -> tuple[str, str]:
    """The ARN, and what is odd about it."""
    resources = told.get("resources")
    found = next((each for each in resources if isinstance(each, str) and ":alarm:" in each), "") if isinstance(resources, list) else ""
    if found:
        return found, ""
    return arn_of("aws", text(told.get("region")), text(told.get("account")), name), "it tells no ARN; made up of its parts"


def _metrics(queries: object) -> Iterator[Metric]:
    """An expression has none of its own."""
    for query in queries if isinstance(queries, list) else ():
        metric = mapping(mapping(mapping(query).get("metricStat")).get("metric"))
        yield Metric(text(metric.get("name")), text(metric.get("namespace")), texts(metric.get("dimensions")))
