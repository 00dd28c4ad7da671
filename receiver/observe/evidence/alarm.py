"""What a CloudWatch alarm watches: its metric as a sparkline against its threshold, and EC2's status checks where it watches an instance.

Law: an alert names the alarm and no more. What is asked comes from the alarm's definition as CloudWatch holds it, and only in accounts and
Regions of our configuration; an alarm of that name with another ARN is not it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from receiver.clients.aws import Place
from receiver.clients.ecs import Object, utc
from receiver.clients.errors import ClientError
from receiver.observe.evidence.instances import check_lines
from receiver.observe.evidence.pieces import NotThere, Once, sparkline
from receiver.observe.lines import age
from receiver.observe.reader import together
from receiver.ports import Clock, Inquiry, Permission, Piece

AWS, SOURCE = "aws", "cloudwatch"
KINDS = ("MetricAlarm", "CompositeAlarm")
ALARMS, SERIES, INSTANCES = 3, 5, 20
WINDOW, POINTS = timedelta(hours=1), 12
"""Of the metric: an hour, or as many of the alarm's own periods where those are long."""
PERIOD = 60
INSTANCE = "InstanceId"


class Asking(Protocol):
    """The part of `receiver.clients.aws.Aws` that is needed."""

    async def ask(self, place: Place, operation: str, parameters: Mapping[str, object]) -> Object:
        """Raises ClientError."""
        ...


@dataclass(frozen=True, slots=True)
class _Named:
    """One alarm, as the alert names it."""

    arn: str
    name: str
    account: str
    region: str


class AlarmEvidence:
    """Collects for the alarms of an incident."""

    name = "cloudwatch.alarm"
    permissions: tuple[Permission, ...] = (
        Permission(AWS, "cloudwatch", "*", ("DescribeAlarms", "GetMetricData")),
        Permission(AWS, "ec2", "*", ("DescribeInstanceStatus",)),
    )

    def __init__(self, aws: Asking, places: Collection[tuple[str, str]], clock: Clock, *, account: str = "") -> None:
        """`places`: accounts and Regions that may be asked; an empty account is that of the default credentials, which is `account` where
        that is told."""
        self._aws = aws
        self._places = frozenset(places)
        self._clock = clock
        self._account = account

    def pieces(self, inquiry: Inquiry) -> Mapping[str, Piece]:
        """As Collector."""
        named, foreign = self._named(inquiry)
        if not named and not foreign:
            return {}
        pages = [self._page(each) for each in named]
        instances = any(f"dimension_{INSTANCE}" in each.labels for each in inquiry.alerts)
        checks: dict[str, Piece] = {"checks": lambda: _joined(each.checks() for each in pages)} if instances and pages else {}
        return {"alarm": lambda: _joined([*(each.metric() for each in pages), *(_foreign(each) for each in foreign)]), **checks}

    def _page(self, named: _Named) -> _Page:
        return _Page(self._aws, named, self._clock, Once(lambda: self._definition(named)))

    def _named(self, inquiry: Inquiry) -> tuple[list[_Named], list[_Named]]:
        """Each once: those that may be asked for, and those that are of places that are not ours."""
        ours: dict[_Named, None] = {}
        foreign: dict[_Named, None] = {}
        for each in inquiry.alerts:
            arn, region, account = (each.labels.get(name, "") for name in ("alarm_arn", "region", "account_id"))
            if each.source != SOURCE or not arn:
                continue
            default = "" if self._account in ("", account) else account
            own = next((own for own in (account, default) if (own, region) in self._places), None)
            kept, of = (foreign, account) if own is None else (ours, own)
            kept[_Named(arn, arn.partition(":alarm:")[2], of, region)] = None
        return list(ours)[:ALARMS], list(foreign)[:ALARMS]

    async def _definition(self, named: _Named) -> Object:
        asked = {"AlarmNames": [named.name], "AlarmTypes": list(KINDS)}
        answer = await self._aws.ask(Place("cloudwatch", named.account, named.region), "describe_alarms", asked)
        listed = (*(answer.get("MetricAlarms") or ()), *(answer.get("CompositeAlarms") or ()))
        return next((each for each in listed if each.get("AlarmArn") == named.arn), {})


@dataclass(frozen=True, slots=True)
class _Page:
    """The pieces of one alarm."""

    aws: Asking
    named: _Named
    clock: Clock
    definition: Once[Object]

    async def metric(self) -> Sequence[str]:
        """Its state and reason, then each of its series."""
        alarm, now = await self._alarm(), self.clock.now()
        head = _head(alarm, now)
        queries = _queries(alarm)
        if not queries:
            rule = alarm.get("AlarmRule")
            return [head, f"  combines other alarms: {rule}" if rule else "  names no metric"]
        span = max(WINDOW, timedelta(seconds=POINTS * _period(queries)))
        asked = {"MetricDataQueries": queries, "StartTime": now - span, "EndTime": now, "ScanBy": "TimestampAscending"}
        answer = await self.aws.ask(Place("cloudwatch", self.named.account, self.named.region), "get_metric_data", asked)
        lines = [_series(each, span) for each in (answer.get("MetricDataResults") or ())[:SERIES]]
        return [head, *lines, *([f"  alarm from {_threshold(alarm)}"] if "ComparisonOperator" in alarm else [])]

    async def checks(self) -> Sequence[str]:
        """EC2's own, of the instances that it watches."""
        ids = _instances(await self._alarm())
        if not ids:
            return []
        asked = {"InstanceIds": ids, "IncludeAllInstances": True}
        answer = await self.aws.ask(Place("ec2", self.named.account, self.named.region), "describe_instance_status", asked)
        return check_lines(answer.get("InstanceStatuses") or (), len(ids))

    async def _alarm(self) -> Object:
        found = await self.definition()
        if not found:
            raise NotThere(self._unknown())
        return found

    def _unknown(self) -> str:
        """An alarm may be of another account than the default credentials are: which those are is not told by the configuration."""
        of = self.named.arn.split(":")[4:5]
        if self.named.account or not of or not of[0]:
            return "CloudWatch does not know the alarm any more"
        return f"CloudWatch does not know the alarm; it is of account {of[0]}: either it is gone, or that account is not among ours"


async def _foreign(named: _Named) -> Sequence[str]:
    where = " in ".join(each for each in (f"account {named.account}" if named.account else "", named.region) if each)
    raise NotThere(f"not asked: {where or 'its place'} is not among the accounts and Regions of the configuration ({named.name})")


async def _joined(pieces: Iterable[Coroutine[Any, Any, Sequence[str]]]) -> list[str]:
    """Of all alarms; those that cannot be read are told after the others, and where there are no others, the first one's reason is all."""
    read = await together(*(_tried(each) for each in pieces))
    failed = [each for each in read if isinstance(each, Exception)]
    if len(failed) == len(read):
        raise failed[0]
    told = [line for each in read if not isinstance(each, Exception) for line in each]
    return [*told, *(f"one alarm could not be read: {each}" for each in failed)]


async def _tried(piece: Awaitable[Sequence[str]]) -> Sequence[str] | ClientError | NotThere:
    try:
        return await piece
    except (ClientError, NotThere) as error:
        return error


def _head(alarm: Object, now: datetime) -> str:
    since = utc(alarm.get("StateTransitionedTimestamp")) or utc(alarm.get("StateUpdatedTimestamp"))
    held = f" since {age(since, now)}" if since else ""
    return f"{alarm.get('AlarmName')}: {alarm.get('StateValue')}{held}: {alarm.get('StateReason', '')}"


def _queries(alarm: Object) -> list[Mapping[str, Any]]:
    """As GetMetricData takes them: an alarm has one metric of its own, or such queries already."""
    if alarm.get("Metrics"):
        return list(alarm["Metrics"])
    if not alarm.get("MetricName"):
        return []
    metric = {key: alarm[key] for key in ("Namespace", "MetricName", "Dimensions") if alarm.get(key)}
    wanted = {"Metric": metric, "Period": alarm.get("Period") or PERIOD, "Stat": alarm.get("ExtendedStatistic") or alarm.get("Statistic")}
    unit = {"Unit": alarm["Unit"]} if alarm.get("Unit") else {}
    return [{"Id": "m0", "MetricStat": wanted | unit, "Label": f"{alarm['MetricName']} ({wanted['Stat']})"}]


def _period(queries: Sequence[Mapping[str, Any]]) -> int:
    return max((int((each.get("MetricStat") or each).get("Period") or PERIOD) for each in queries), default=PERIOD)


def _series(found: Object, span: timedelta) -> str:
    values = [float(each) for each in found.get("Values") or ()]
    label, hours = found.get("Label") or found.get("Id"), f"{span.total_seconds() / 3600:g} h"
    if not values:
        return f"  {label}: no data in the last {hours}"
    return f"  {label}: {sparkline(values)} now {values[-1]:.6g}, {min(values):.6g} to {max(values):.6g} in the last {hours}"


def _threshold(alarm: Object) -> str:
    most = f" {alarm['Threshold']:.6g}" if isinstance(alarm.get("Threshold"), int | float) else ""
    periods = alarm.get("EvaluationPeriods", "?")
    return f"{alarm['ComparisonOperator']}{most}, {alarm.get('DatapointsToAlarm') or periods} of {periods} periods"


def _instances(alarm: Object) -> list[str]:
    """Of all its metrics, each once."""
    metrics = [alarm, *((each.get("MetricStat") or {}).get("Metric") or {} for each in alarm.get("Metrics") or ())]
    named = [each for metric in metrics for each in metric.get("Dimensions") or () if each.get("Name") == INSTANCE]
    return list(dict.fromkeys(str(each["Value"]) for each in named))[:INSTANCES]
