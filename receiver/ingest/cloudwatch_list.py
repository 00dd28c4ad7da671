"""What CloudWatch says of its alarms when it is asked, as the alerts that it delivers.

Law: OK is over, ALARM fires; INSUFFICIENT_DATA, an evaluation that fails, and actions that are off or suppressed are neither. An alarm is
known by its ARN: what one kind's list says tells nothing of the other kind. A contributor that is not listed is absent, and over only when
its whole alarm is OK; an alarm whose contributors cannot be asked is held back alone. Asked by `engine.reconcile`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from receiver.clients.cloudwatch import CloudWatch, Raw
from receiver.clients.errors import ClientError, ErrorKind, plain
from receiver.core.model import Alert, AlertRecord
from receiver.ingest.cloudwatch_words import ALERT_SOURCE, AlarmState, Metric, Statement, alert_of, identity, mapping, text, texts
from receiver.ingest.statement import Unreadable
from receiver.ports import Listing, ListingFailed, Permission

_ITS_OWN = frozenset({ErrorKind.not_found, ErrorKind.forbidden, ErrorKind.invalid, ErrorKind.bad_answer})
"""Faults of one question. After another one the API is not asked about the next alarm."""


class CloudWatchList:
    """Implements `receiver.ports.FiringList`, for one account and region."""

    source = ALERT_SOURCE
    permissions = (Permission("aws", "cloudwatch", "*", ("DescribeAlarms", "DescribeAlarmContributors")),)
    """Of composite alarms IAM knows no resource."""

    def __init__(self, client: CloudWatch, *, region: str, account: str = "", topics: Collection[str] = (), silent: bool = False) -> None:
        """`account` may be empty where there is one only. `topics`: alarms that tell one of these when they fire are ours; empty: all that
        tell anybody. `silent`: all, whomever they tell, since EventBridge sends what has no actions too."""
        self.name = self.named(region, account)
        self._client = client
        self._region = region
        self._account = account
        self._topics = frozenset(topics)
        self._silent = silent

    @staticmethod
    def named(region: str, account: str = "") -> str:
        """Of the list of one account and region."""
        return " ".join(each for each in (ALERT_SOURCE, account, region) if each)

    def covers(self, alert: Alert) -> bool:
        """Of its account and region."""
        return alert.labels.get("region") == self._region and self._account in ("", alert.labels.get("account_id"))

    async def ask(self, now: datetime, held: Mapping[str, AlertRecord]) -> Listing:
        """All alarms of both kinds, and the contributors of those that have some."""
        try:
            found = await self._client.alarms()
        except ClientError as no:
            raise ListingFailed(str(no)) from no
        alarms = (*found.metric, *found.composite)
        asked = await self._contributors([each for each in alarms if self._fires(each) and _has_contributors(each)])
        return await asyncio.to_thread(self._listing, alarms, asked, _Found(now, held))

    async def _contributors(self, grouped: Sequence[Raw]) -> _Contributors:
        """Of each of these alarms, as far as they can be asked."""
        found = _Contributors({})
        for each in grouped:
            name = text(each.get("AlarmName"))
            try:
                found.of[id(each)] = await self._client.contributors(name)
            except ClientError as no:
                found.of[id(each)] = None
                if no.kind is not ErrorKind.not_found:  # deleted since it was listed
                    found.unasked = found.unasked or f"contributors of {plain(name, limit=100)}: {no}"
                if no.kind not in _ITS_OWN:
                    found.of |= {id(other): None for other in grouped if id(other) not in found.of}
                    break
        return found

    def _listing(self, alarms: Iterable[Raw], asked: _Contributors, found: _Found) -> Listing:
        for each in alarms:
            if id(each) not in asked.of:
                found.alarm(each, fires=self._fires(each))
            elif (listed := asked.of[id(each)]) is not None:
                found.contributors(each, listed)
            else:
                found.hold_back(each)
        return replace(found.listing(), unasked=asked.unasked)

    def _fires(self, alarm: Raw) -> bool:
        """It fires, and CloudWatch would tell us."""
        if alarm.get("StateValue") != AlarmState.alarm or alarm.get("ActionsSuppressedBy"):
            return False
        if self._silent:
            return True
        actions = alarm.get("AlarmActions") or ()
        told = self._topics.intersection(actions) if self._topics else actions
        return alarm.get("ActionsEnabled") is True and bool(told)


@dataclass(slots=True)
class _Contributors:
    """What was said of them."""

    of: dict[int, tuple[Raw, ...] | None]
    """By the `id()` of the alarm; None: it could not be asked."""
    unasked: str = ""
    """Why, of the first; empty: all that there are were asked."""


class _Found:
    """The listing while it is made."""

    def __init__(self, now: datetime, held: Mapping[str, AlertRecord]) -> None:
        self._now = now
        self._firing: list[Alert] = []
        self._over: list[Alert] = []
        self._held_back: set[str] = set()
        self._contributors: dict[str, list[Mapping[str, str]]] = {}
        for each in held.values():
            if each.firing and (arn := each.alert.labels.get("alarm_arn")) and each.alert.labels.get("alarm_contributor"):
                self._contributors.setdefault(arn, []).append(each.alert.labels)

    def alarm(self, alarm: Raw, *, fires: bool) -> None:
        """One without contributors that fire."""
        known = self._known(alarm)
        if fires:
            self._add(self._firing, _statement(alarm))
        elif alarm.get("StateValue") == AlarmState.ok and not alarm.get("EvaluationState"):
            self._add(self._over, _statement(alarm))
            for labels in known:
                self._add(self._over, _statement(alarm, contributor=labels["alarm_contributor"]))
        else:
            self.hold_back(alarm)

    def hold_back(self, alarm: Raw) -> None:
        """With the contributors that we know."""
        arn = text(alarm.get("AlarmArn"))
        self._held_back |= {identity(arn), *(identity(arn, labels["alarm_contributor"]) for labels in self._known(alarm))}

    def contributors(self, alarm: Raw, listed: Iterable[Raw]) -> None:
        """Each fires on its own; the alarm as a whole is told by nobody."""
        self._held_back.add(identity(text(alarm.get("AlarmArn"))))
        for each in listed:
            self._add(
                self._firing,
                _statement(
                    alarm,
                    contributor=text(each.get("ContributorId")),
                    attributes=texts(each.get("ContributorAttributes")),
                    reason=text(each.get("StateReason")),
                    at=_moment(each, "StateTransitionedTimestamp"),
                ),
            )

    def listing(self) -> Listing:
        """What it came to."""
        return Listing(tuple(self._firing), tuple(self._over), frozenset(self._held_back))

    def _known(self, alarm: Raw) -> Sequence[Mapping[str, str]]:
        return self._contributors.get(text(alarm.get("AlarmArn")), ())

    def _add(self, where: list[Alert], said: Statement | None) -> None:
        """An alarm that cannot be read says nothing."""
        if said is None:
            return
        try:
            where.append(alert_of(said, self._now))
        except Unreadable:
            self._held_back.add(identity(said.arn, said.contributor))


def _statement(
    alarm: Raw, *, contributor: str = "", attributes: Mapping[str, str] | None = None, reason: str = "", at: datetime | None = None
) -> Statement | None:
    """As the alarm's own messages would have told it. None: it has no ARN or no known state."""
    arn, state = text(alarm.get("AlarmArn")), text(alarm.get("StateValue"))
    if not arn or state not in tuple(AlarmState):
        return None
    changed = _moment(alarm, "StateTransitionedTimestamp") or _moment(alarm, "StateUpdatedTimestamp")
    return Statement(
        arn=arn,
        state=AlarmState(state),
        name=text(alarm.get("AlarmName")),
        at=at or changed,
        contributor=contributor,
        attributes=attributes or {},
        metrics=tuple(_metrics(alarm)),
        texts={
            "summary": reason or text(alarm.get("StateReason")),
            "description": text(alarm.get("AlarmDescription")),
            "alarm_rule": text(alarm.get("AlarmRule")),
        },
    )


def _metrics(alarm: Raw) -> Iterator[Metric]:
    """One at the top, or one a query of metric math; an expression has none of its own."""
    yield _metric(alarm)
    queries = alarm.get("Metrics")
    for query in queries if isinstance(queries, list) else ():
        yield _metric(mapping(mapping(mapping(query).get("MetricStat")).get("Metric")))


def _metric(told: Mapping[str, object]) -> Metric:
    pairs = told.get("Dimensions")
    listed = [mapping(each) for each in pairs] if isinstance(pairs, list) else []
    dimensions = {text(each.get("Name")): text(each.get("Value")) for each in listed if text(each.get("Name"))}
    return Metric(text(told.get("MetricName")), text(told.get("Namespace")), dimensions)


def _has_contributors(alarm: Raw) -> bool:
    """A query of Metrics Insights that groups: one alarm over several series, each of which fires and ends on its own."""
    queries = alarm.get("Metrics")
    texts_of = [text(mapping(each).get("Expression")).upper() for each in queries] if isinstance(queries, list) else []
    return any(each.lstrip().startswith("SELECT") and "GROUP BY" in each for each in texts_of)


def _moment(told: Raw, name: str) -> datetime | None:
    found = told.get(name)
    return found.astimezone(UTC) if isinstance(found, datetime) and found.tzinfo is not None else None
