"""What CloudWatch says of its alarms when it is asked: both kinds, contributors, pages, and what is neither firing nor over."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from receiver.clients.cloudwatch import MOST_PAGES, CloudWatch
from receiver.clients.errors import ClientError, ErrorKind
from receiver.core.dedup import fold
from receiver.core.model import Alert, AlertRecord, Batch
from receiver.ingest.cloudwatch import CloudWatchSource
from receiver.ingest.cloudwatch_list import CloudWatchList
from receiver.ports import Listing, ListingFailed

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
BEFORE = NOW - timedelta(minutes=10)
REGION, ACCOUNT = "eu-west-1", "111122223333"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:ops"
ARN = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:"
GROUPED = [{"Id": "q", "Expression": 'SELECT MAX(Load) FROM "App" GROUP BY Team', "Period": 60}]


def alarm(name: str, state: str = "ALARM", at: datetime = BEFORE, **more: Any) -> dict[str, Any]:
    return {
        "AlarmName": name,
        "AlarmArn": ARN + name,
        "StateValue": state,
        "StateReason": "why",
        "StateTransitionedTimestamp": at,
        "StateUpdatedTimestamp": at + timedelta(minutes=5),
        "ActionsEnabled": True,
        "AlarmActions": [TOPIC],
        **more,
    }


def delivered(name: str, state: str = "ALARM", at: datetime = BEFORE, **more: Any) -> Alert:
    """As it comes by SNS."""
    told = {"AlarmName": name, "AlarmArn": ARN + name, "NewStateValue": state, "StateChangeTime": at.isoformat(), **more}
    batch = CloudWatchSource("sqs").parse(json.dumps(told).encode(), at)
    assert isinstance(batch, Batch)
    return batch.alerts[0]


def held(*alerts: Alert) -> dict[str, AlertRecord]:
    records = [fold(None, each, rule="r").record for each in alerts]
    return {each.alert.fingerprint: each for each in records if each is not None}


@dataclass
class Calls:
    """`pages` of describe_alarms, one after the other; `contributors` by alarm."""

    pages: list[dict[str, Any]] = field(default_factory=list)
    contributors: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    failing: str = ""
    refused: dict[str, ErrorKind] = field(default_factory=dict)
    """Alarm → why its contributors are not told."""
    endless: bool = False
    asked: list[tuple[str, Mapping[str, object]]] = field(default_factory=list)

    async def __call__(self, operation: str, parameters: Mapping[str, object], *, limit: timedelta) -> Mapping[str, Any]:
        self.asked.append((operation, parameters))
        if self.failing == operation and (operation != "describe_alarms" or parameters.get("NextToken")):
            raise ClientError(ErrorKind.throttled, "Rate exceeded")
        if operation == "describe_alarm_contributors":
            if (why := self.refused.get(str(parameters["AlarmName"]))) is not None:
                raise ClientError(why, f"not for you: {parameters['AlarmName']}")
            return {"AlarmContributors": self.contributors[str(parameters["AlarmName"])]}
        number = int(str(parameters.get("NextToken") or 0))
        if self.endless:
            return {"MetricAlarms": [], "NextToken": "1"}
        last = number + 1 >= len(self.pages)
        return {**self.pages[number], **({} if last else {"NextToken": str(number + 1)})}

    async def listing(self, *known: Alert, topics: tuple[str, ...] = (TOPIC,), silent: bool = False) -> Listing:
        return await CloudWatchList(CloudWatch(self), region=REGION, topics=topics, silent=silent).ask(NOW, held(*known))


def of(*metric: dict[str, Any], composite: tuple[dict[str, Any], ...] = ()) -> Calls:
    return Calls([{"MetricAlarms": list(metric), "CompositeAlarms": list(composite)}])


async def test_a_listed_alarm_is_the_alarm_that_would_be_delivered() -> None:
    watched: dict[str, Any] = {"MetricName": "CPUUtilization", "Namespace": "AWS/ECS"}
    listed = alarm("cpu", **watched, Dimensions=[{"Name": "ClusterName", "Value": "app"}])
    (found,) = (await of(listed).listing()).firing
    trigger: dict[str, Any] = {**watched, "Dimensions": [{"name": "ClusterName", "value": "app"}]}
    same = delivered("cpu", Trigger=trigger)
    assert (found.source, found.fingerprint, found.labels, found.starts_at) == (same.source, same.fingerprint, same.labels, same.starts_at)


async def test_both_kinds_are_asked_for_by_name() -> None:
    calls = of(alarm("m"), composite=(alarm("c"),))
    listing = await calls.listing()
    assert calls.asked[0][1]["AlarmTypes"] == ["MetricAlarm", "CompositeAlarm"]
    assert [each.name for each in listing.firing] == ["m", "c"]


async def test_metric_alarms_alone_do_not_end_a_composite_one() -> None:
    listing = await of(alarm("child", "OK")).listing(delivered("whole"), delivered("child"))
    assert [each.name for each in listing.over] == ["child"]


async def test_ok_is_over_since_the_change() -> None:
    (over,) = (await of(alarm("m", "OK")).listing()).over
    assert (over.starts_at, over.ends_at) == (BEFORE, BEFORE)


@pytest.mark.parametrize(
    "odd",
    [
        {"StateValue": "INSUFFICIENT_DATA"},
        {"StateValue": "A_NEW_WORD"},
        {"StateValue": "OK", "EvaluationState": "EVALUATION_FAILURE"},
        {"StateValue": "OK", "EvaluationState": "PARTIAL_DATA"},
        {"ActionsEnabled": False},
        {"ActionsSuppressedBy": "Alarm"},
        {"AlarmActions": []},
        {"AlarmActions": [f"{TOPIC}-of-others"]},
    ],
    ids=str,
)
async def test_what_is_neither_is_held_back(odd: dict[str, Any]) -> None:
    listing = await of(alarm("m") | odd).listing()
    assert (listing.firing, listing.over) == ((), ())
    assert listing.held_back == {delivered("m").fingerprint}


async def test_without_topics_all_that_tell_anybody_are_ours() -> None:
    listing = await of(alarm("m", AlarmActions=["arn:aws:lambda:x"]), alarm("silent", AlarmActions=[])).listing(topics=())
    assert [each.name for each in listing.firing] == ["m"]


@pytest.mark.parametrize("told", [{"AlarmActions": []}, {"ActionsEnabled": False}, {"AlarmActions": ["arn:aws:lambda:x"]}, {}], ids=str)
async def test_where_a_way_brings_what_tells_nobody_all_that_are_in_alarm_fire(told: dict[str, Any]) -> None:
    listing = await of(alarm("m") | told, alarm("fine", "OK"), alarm("dark", "INSUFFICIENT_DATA")).listing(topics=(), silent=True)
    assert [each.name for each in listing.firing] == ["m"]


async def test_an_alarm_that_is_suppressed_is_held_back_whichever_way_it_would_come() -> None:
    listing = await of(alarm("m", ActionsSuppressedBy="Alarm")).listing(topics=(), silent=True)
    assert listing.firing == ()
    assert listing.held_back == {delivered("m").fingerprint}


async def test_each_contributor_fires_on_its_own() -> None:
    calls = of(alarm("grouped", Metrics=GROUPED))
    one = {"ContributorId": "a1", "ContributorAttributes": {"Team": "a"}, "StateReason": "high", "StateTransitionedTimestamp": BEFORE}
    calls.contributors["grouped"] = [one]
    listing = await calls.listing(delivered("grouped", AlarmContributorId="b2"))
    (found,) = listing.firing
    assert found.fingerprint == delivered("grouped", AlarmContributorId="a1").fingerprint
    assert found.labels["dimension_Team"] == "a"
    assert listing.over == ()  # b2 is absent: not over


async def test_the_ok_of_the_whole_alarm_ends_every_contributor() -> None:
    known = [delivered("grouped", AlarmContributorId=each) for each in ("a1", "b2")]
    listing = await of(alarm("grouped", "OK", NOW, Metrics=GROUPED)).listing(*known)
    assert {each.fingerprint for each in known} < {each.fingerprint for each in listing.over}


async def test_all_pages_are_read() -> None:
    calls = Calls([{"MetricAlarms": [alarm(str(n))]} for n in range(3)])
    assert [each.name for each in (await calls.listing()).firing] == ["0", "1", "2"]


async def test_a_part_of_an_answer_is_none() -> None:
    calls = Calls([{"MetricAlarms": [alarm("a")]}, {"MetricAlarms": [alarm("grouped")]}], failing="describe_alarms")
    with pytest.raises(ListingFailed, match="Rate exceeded"):
        await calls.listing()


def grouped(*names: str, **refused: ErrorKind) -> Calls:
    calls = of(*(alarm(each, Metrics=GROUPED) for each in names), alarm("plain"))
    calls.refused = dict(refused)
    calls.contributors = {each: [{"ContributorId": "a1"}] for each in names}
    return calls


@pytest.mark.parametrize("why", [ErrorKind.forbidden, ErrorKind.not_found, ErrorKind.invalid, ErrorKind.throttled])
async def test_an_alarm_whose_contributors_are_not_told_is_held_back_alone(why: ErrorKind) -> None:
    known = delivered("secret", AlarmContributorId="b2")
    listing = await grouped("open", "secret", secret=why).listing(known)
    assert sorted(each.name for each in listing.firing) == ["open", "plain"]
    assert {delivered("secret").fingerprint, known.fingerprint} <= listing.held_back
    assert listing.over == ()


async def test_what_could_not_be_asked_is_told() -> None:
    assert "not for you: secret" in (await grouped("secret", secret=ErrorKind.forbidden).listing()).unasked
    assert (await grouped("open").listing()).unasked == ""


async def test_an_alarm_that_was_deleted_between_two_questions_is_no_trouble() -> None:
    assert (await grouped("gone", gone=ErrorKind.not_found).listing()).unasked == ""


async def test_an_api_that_is_away_is_not_asked_for_each_of_the_others() -> None:
    calls = grouped("away", "b", "c", away=ErrorKind.timeout)
    listing = await calls.listing()
    assert [parameters["AlarmName"] for operation, parameters in calls.asked if operation != "describe_alarms"] == ["away"]
    assert [each.name for each in listing.firing] == ["plain"]
    assert {delivered(each).fingerprint for each in ("away", "b", "c")} <= listing.held_back


async def test_pages_without_end_are_left() -> None:
    calls = Calls(endless=True)
    with pytest.raises(ListingFailed, match="pages"):
        await calls.listing()
    assert len(calls.asked) == MOST_PAGES


@pytest.mark.parametrize("odd", [{"MetricAlarms": {}}, {"MetricAlarms": [1]}, {"CompositeAlarms": "x"}])
async def test_an_answer_of_another_shape_is_none(odd: dict[str, Any]) -> None:
    with pytest.raises(ListingFailed):
        await Calls([odd]).listing()


async def test_an_alarm_without_its_parts_says_nothing() -> None:
    listing = await of(
        {}, {"AlarmArn": 7, "StateValue": "OK"}, {"StateValue": "ALARM", "ActionsEnabled": True, "AlarmActions": [TOPIC]}
    ).listing()
    assert (listing.firing, listing.over) == ((), ())


async def test_the_quota_of_an_account_is_read_whole() -> None:
    calls = Calls([{"MetricAlarms": [alarm(f"a{n}-{m}") for m in range(100)]} for n in range(50)])
    assert len((await calls.listing()).firing) == 5_000
