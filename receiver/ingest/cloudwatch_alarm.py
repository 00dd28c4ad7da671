"""An alarm as CloudWatch tells SNS (https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Notify_Users_Alarm_Changes.html).

Law: only a name or an ARN and the new state are required, because shapes differ by year and kind: metric, metric math, anomaly, composite,
one message a contributor. What else is missing, or of another type than today's, is left out. Called by `cloudwatch`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from receiver.ingest.cloudwatch_words import Metric, Statement, arn_of, mapping, moment, state_of, text, texts
from receiver.ingest.statement import Unreadable

MOST_CHILDREN = 10


def statement(told: Mapping[str, object], *, topic: str = "", sent_at: str = "") -> Statement:
    """`topic` and `sent_at` of its envelope stand in for the ARN and the date that old messages lack. Raises `Unreadable`."""
    name, arn = text(told.get("AlarmName")), text(told.get("AlarmArn"))
    if not name and not arn:
        raise Unreadable("AlarmName", "neither it nor AlarmArn names the alarm")
    trigger = mapping(told.get("Trigger"))
    doubt = ""
    if not arn:
        arn, doubt = _made_up(told, name, topic), "it tells no AlarmArn; made up of its parts"
    return Statement(
        arn=arn,
        state=state_of(told.get("NewStateValue")),
        name=name,
        at=moment(told.get("StateChangeTime")) or moment(sent_at),
        contributor=text(told.get("AlarmContributorId")),
        attributes=texts(told.get("AlarmContributorAttributes")),
        metrics=tuple(_metrics(trigger)),
        texts={
            "summary": text(told.get("NewStateReason")),
            "description": text(told.get("AlarmDescription")),
            "previous_state": text(told.get("OldStateValue")),
            "threshold": _threshold(trigger),
            "alarm_rule": text(told.get("AlarmRule")),
            "triggered_by": _children(told.get("TriggeringChildren")),
        },
        doubt=doubt,
    )


def _made_up(told: Mapping[str, object], name: str, topic: str) -> str:
    """An alarm tells topics of its own region only; without one the region's display name has to do, and no ARN is found in it."""
    parts = topic.split(":")
    partition, region = (parts[1], parts[3]) if len(parts) == 6 else ("aws", text(told.get("Region")))
    return arn_of(partition, region, text(told.get("AWSAccountId")), name)


def _metrics(trigger: Mapping[str, object]) -> Iterator[Metric]:
    """One at the top, or one a query of metric math; an expression has none of its own."""
    yield _metric(trigger)
    queries = trigger.get("Metrics")
    for query in queries if isinstance(queries, list) else ():
        yield _metric(mapping(mapping(mapping(query).get("MetricStat")).get("Metric")))


def _metric(told: Mapping[str, object]) -> Metric:
    pairs = told.get("Dimensions")
    listed = [mapping(each) for each in pairs] if isinstance(pairs, list) else []
    dimensions = {text(each.get("name")): text(each.get("value")) for each in listed if text(each.get("name"))}
    return Metric(text(told.get("MetricName")), text(told.get("Namespace")), dimensions)


def _threshold(trigger: Mapping[str, object]) -> str:
    """`CPUUtilization GreaterThanThreshold 50.0 (AVERAGE, 3 of 5 periods of 60 s)`, as far as it is told."""
    operator, limit = text(trigger.get("ComparisonOperator")), _number(trigger.get("Threshold"))
    if not operator:
        return ""
    points, periods = _number(trigger.get("DatapointsToAlarm")), _number(trigger.get("EvaluationPeriods"))
    statistic = text(trigger.get("Statistic")) or text(trigger.get("ExtendedStatistic"))
    window = f"{points or periods} of {periods} periods of {_number(trigger.get('Period'))} s" if periods else ""
    more = ", ".join(each for each in (statistic, window) if each)
    head = " ".join(each for each in (text(trigger.get("MetricName")), operator, limit) if each)
    return f"{head} ({more})" if more else head


def _number(value: object) -> str:
    return f"{value}" if isinstance(value, int | float) and not isinstance(value, bool) else ""


def _children(value: object) -> str:
    """The names of the alarms that set a composite one off."""
    listed = [mapping(each) for each in value] if isinstance(value, list) else []
    return ", ".join(arn.rpartition(":alarm:")[2] for each in listed[:MOST_CHILDREN] if (arn := text(each.get("Arn"))))
