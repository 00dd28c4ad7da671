"""CloudWatch's alarms in every form that they come in: which alert comes out, and that it is the same one each way."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.core.model import NOTE, Alert, Batch, Refusal
from receiver.ingest.cloudwatch import ALERT_SOURCE, FORMS, CloudWatchSource, identity
from receiver.ingest.cloudwatch_forms import Form, open_body
from tests.fakes import sns
from tests.kits.source_kit import BODIES, HOSTILE, NOT_JSON, NOW, assert_fit_for_every_store, mutated, with_each_text_replaced

ALARMS, EVENTS = BODIES / "cloudwatch", BODIES / "eventbridge"
ARN = "arn:aws:cloudwatch:eu-west-1:111122223333:alarm:cpu"
SOURCE = CloudWatchSource("sqs")
AT = datetime(2026, 11, 20, 12, 0, 0, 401_000, tzinfo=UTC)

BOMB = '{"a":' * 20_000 + "1" + "}" * 20_000
REFUSED = {"describe_alarms_composite_recorded", "describe_alarms_metric_recorded", "keep_mock_alarm_types", "lambda_action_single_metric"}
REFUSED |= {"lambda_sns_metric_math", "lambda_sns_ok_transition", "lambda_sns_single_metric"}
"""Answers of an API, or what a Lambda function is called with: no such thing is sent to a webhook or a queue."""
SILENT = {"sns_http_subscription_confirmation", "configuration_change_update_native"}
"""They say nothing about an alarm's state."""
SAMPLES = sorted([*ALARMS.rglob("*.json"), *EVENTS.glob("*.json")])


def read(body: bytes, *, source: CloudWatchSource = SOURCE) -> Batch:
    batch = source.parse(body, NOW)
    assert isinstance(batch, Batch), batch
    return batch


def only(body: bytes | str, *, source: CloudWatchSource = SOURCE) -> Alert:
    batch = read(body if isinstance(body, bytes) else body.encode(), source=source)
    assert batch.usable, batch.rejected
    (alert,) = batch.alerts
    return alert


def event(value: str = "ALARM", *, at: datetime = AT, kind: str = "CloudWatch Alarm State Change", **detail: Any) -> str:
    metric = {"name": "CPUUtilization", "namespace": "AWS/ECS", "dimensions": {"ServiceName": "web", "ClusterName": "shop"}}
    return json.dumps(
        {
            "version": "0",
            "id": "c4c1c1c9-6542-e61b-6ef0-8c4d36933a92",
            "detail-type": kind,
            "source": "aws.cloudwatch",
            "account": "111122223333",
            "time": "2026-11-20T12:05:00Z",
            "region": "eu-west-1",
            "resources": [ARN],
            "detail": {
                "alarmName": "cpu",
                "state": {
                    "value": value,
                    "reason": "Threshold Crossed",
                    "timestamp": f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}+0000",
                },
                "configuration": {
                    "metrics": [{"id": "m", "metricStat": {"metric": metric, "period": 60, "stat": "Average"}, "returnData": True}]
                },
                **detail,
            },
        }
    )


def enveloped(text: str) -> bytes:
    return json.dumps(sns.message(text)).encode()


# --- every sample --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_every_sample_is_read_or_refused_as_it_should_be(path: Path) -> None:
    read_as = SOURCE.parse(path.read_bytes(), NOW)
    if path.stem in REFUSED:
        assert read_as == Refusal("body", "neither an envelope of SNS, nor an alarm of CloudWatch, nor an event of EventBridge")
        return
    assert isinstance(read_as, Batch)
    assert read_as.usable
    assert not read_as.rejected
    assert len(read_as.alerts) == (0 if path.stem in SILENT else 1)


@pytest.mark.parametrize("path", [each for each in SAMPLES if each.stem not in REFUSED | SILENT], ids=lambda path: path.stem)
def test_every_alarm_is_named_dated_and_found_again(path: Path) -> None:
    alert = only(path.read_bytes())
    assert alert.source == ALERT_SOURCE
    assert alert.fingerprint == identity(alert.labels["alarm_arn"], alert.labels.get("alarm_contributor", ""))
    assert alert.labels["alarm_arn"].endswith(":" + alert.name)
    assert alert.starts_at < NOW - timedelta(days=1)
    assert alert.ordered
    assert alert.trusted_shape is (path.stem != "sns_http_alarm")


@pytest.mark.parametrize("name", sorted({each.name for each in ALARMS.glob("*.json")}))
def test_what_is_kept_of_an_envelope_says_the_same_and_holds_no_secret(name: str) -> None:
    batch = read((ALARMS / name).read_bytes())
    if batch.kept is None:
        return
    assert read(batch.kept) == batch
    assert all(word not in batch.kept for word in (b"UnsubscribeURL", b"Signature", b"SigningCertURL", b"EXAMPLE"))


# --- one identity, whichever way -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["ALARM", "OK", "INSUFFICIENT_DATA"])
def test_one_transition_is_one_statement_over_sns_sqs_and_eventbridge(state: str) -> None:
    bare = sns.alarm(state, at=AT)
    ways = [
        only(enveloped(bare), source=CloudWatchSource("sns")),
        only(bare),
        only(event(state), source=CloudWatchSource("eventbridge")),
        only(enveloped(event(state))),
    ]
    assert len({(each.source, each.fingerprint, each.starts_at, each.ends_at, each.unproven, str(each.labels)) for each in ways}) == 1


def test_region_and_account_come_from_the_arn_alone() -> None:
    alert = only(sns.alarm(Region="Mars", AWSAccountId="999999999999"))
    assert (alert.labels["region"], alert.labels["account_id"]) == ("eu-west-1", "111122223333")


def test_each_contributor_is_an_alert_of_its_own() -> None:
    a, b = (only((ALARMS / f"contributor_{each}_alarm.json").read_bytes()) for each in "ab")
    assert a.labels["alarm_arn"] == b.labels["alarm_arn"]
    assert a.fingerprint != b.fingerprint
    assert (a.labels["dimension_Team"], b.labels["dimension_Team"]) == ("a", "b")


def test_a_contributor_is_the_same_over_sns_and_eventbridge() -> None:
    told = only((ALARMS / "contributor_b_alarm.json").read_bytes())
    also = only((EVENTS / "contributor_state_change_alarm_native.json").read_bytes())
    assert (told.fingerprint, told.starts_at, told.labels) == (also.fingerprint, also.starts_at, also.labels)


def test_an_old_message_without_its_arn_is_named_by_its_topic_and_only_paged() -> None:
    old = json.loads(sns.alarm())
    del old["AlarmArn"]
    alert = only(enveloped(json.dumps(old)))
    assert alert.fingerprint == identity(ARN)
    assert not alert.trusted_shape
    assert "AlarmArn" in alert.annotations[NOTE]


# --- states --------------------------------------------------------------------------------------------------------------


def test_ok_is_over_and_alarm_fires() -> None:
    fires, over = only(sns.alarm(at=AT)), only(sns.alarm("OK", at=AT + timedelta(minutes=3)))
    assert (fires.starts_at, fires.ends_at) == (AT, None)
    assert (over.starts_at, over.ends_at, over.unproven) == (AT + timedelta(minutes=3), AT + timedelta(minutes=3), "")


def test_insufficient_data_is_no_recovery() -> None:
    assert only(sns.alarm("INSUFFICIENT_DATA")).unproven == "INSUFFICIENT_DATA: its metric has no data"


@pytest.mark.parametrize("state", ["alarm", "Ok", "", "UNKNOWN", None, 3, ["ALARM"]])
def test_a_state_that_is_none_is_kept_for_a_person(state: object) -> None:
    for body in (sns.alarm(NewStateValue=state), event(state={"value": state, "timestamp": "2026-11-20T12:00:00.000+0000"})):
        batch = read(body.encode())
        assert not batch.usable
        assert "INSUFFICIENT_DATA" in batch.rejected[0].reason


def test_the_deletion_of_a_firing_alarm_is_a_note() -> None:
    deleted = only((EVENTS / "configuration_change_delete_native.json").read_bytes())
    assert deleted.unproven == "the alarm was deleted while it was in ALARM"
    assert deleted.ends_at is not None


@pytest.mark.parametrize(
    ("operation", "value"), [("create", "ALARM"), ("update", "ALARM"), ("delete", "OK"), ("delete", "INSUFFICIENT_DATA")]
)
def test_another_change_of_configuration_says_nothing(operation: str, value: str) -> None:
    changed = event(value, kind="CloudWatch Alarm Configuration Change", operation=operation)
    assert read(changed.encode()) == Batch(alerts=())


@pytest.mark.parametrize(
    "told", ["a deployment is done", "", "[1, 2]", "[{", '{"deploy": "done"}', '{"deploy": {"a": 1, "a": 2}}', "null", '"{"', "a {", "NaN"]
)
def test_another_message_of_the_topic_says_nothing(told: str) -> None:
    batch = read(enveloped(told))
    assert (batch.alerts, batch.usable, batch.rejected) == ((), True, ())


UNDECODED = {
    "repeated": '{"AlarmName": "a", "AlarmName": "b"}',
    "nan": sns.alarm().replace('"cpu"', "NaN", 1),
    "cut": sns.alarm()[:-20],
    "only the beginning": " \n\t{",
    "after a mark": "\ufeff" + sns.alarm(),
    "deep": '{"AlarmName": "a", "Trigger": ' + "[" * 40 + "]" * 40 + "}",
    "bomb": BOMB,
    "surrogate": '{"AlarmName": "\ud800"',
}


@pytest.mark.parametrize("told", UNDECODED.values(), ids=UNDECODED)
@pytest.mark.parametrize("way", ["sns", "sqs"])
def test_a_message_that_begins_as_an_alarm_and_cannot_be_decoded_is_kept_for_a_person(told: str, way: str) -> None:
    source = CloudWatchSource(way)
    batch = read(enveloped(told), source=source)
    (why,) = batch.rejected
    assert (batch.alerts, batch.usable, why.path) == ((), False, "Message")
    assert why.reason
    assert why.raw.replace("\ufffd", "?")[:20] == told.replace("\ud800", "???")[:20]
    assert len(why.raw) <= 4096
    assert batch.kept is not None
    assert read(batch.kept, source=source) == batch
    assert_fit_for_every_store(batch)


def test_an_event_of_another_service_says_nothing() -> None:
    changed = {**json.loads(event()), "source": "aws.ecs", "detail-type": "ECS Deployment State Change"}
    assert read(json.dumps(changed).encode()).alerts == ()
    assert read(json.dumps({**json.loads(event()), "source": "my.app"}).encode()).alerts == ()


@pytest.mark.parametrize("state", ["ALARM", "OK", "INSUFFICIENT_DATA"])
def test_the_whole_of_an_alarm_that_groups_says_nothing_beside_its_contributors(state: str) -> None:
    contributor = json.loads((EVENTS / "contributor_state_change_alarm_native.json").read_bytes())
    whole = {**contributor, "detail-type": "CloudWatch Alarm State Change"}
    whole["detail"] = {name: each for name, each in contributor["detail"].items() if name != "alarmContributor"}
    whole["detail"]["state"] = {**contributor["detail"]["state"], "value": state}
    assert read(json.dumps(whole).encode()) == Batch(alerts=())
    assert only(json.dumps(contributor)).labels["alarm_contributor"] == "2868f7dcc58a8caf"


@pytest.mark.parametrize(
    "metrics",
    [
        [{"id": "q", "expression": "SELECT MAX(Load) FROM Fleet", "returnData": True}],
        [{"id": "q", "expression": "SUM(SEARCH('group by', 'Sum'))", "returnData": True}],
        [
            {"id": "q", "expression": "SELECT MAX(Load) FROM Fleet GROUP BY Team", "returnData": False},
            {"id": "e", "expression": "MAX(q)", "returnData": True},
        ],
        [{"id": "q", "expression": 3, "returnData": True}, None],
        "GROUP BY",
    ],
    ids=["no groups", "no query", "an expression over groups", "odd", "text"],
)
def test_an_event_that_does_not_tell_that_its_alarm_groups_is_an_alert(metrics: object) -> None:
    assert only(event(configuration={"metrics": metrics})).ends_at is None


def test_an_undated_statement_is_paged_and_orders_nothing() -> None:
    alert = only(sns.alarm(StateChangeTime="yesterday"))
    assert (alert.starts_at, alert.trusted_shape, alert.ordered) == (NOW, False, False)


# --- what a rule needs ---------------------------------------------------------------------------------------------------


def test_labels_name_the_metric_and_its_dimensions() -> None:
    assert only(sns.alarm()).labels == {
        "alertname": "cpu",
        "alarm_arn": ARN,
        "region": "eu-west-1",
        "account_id": "111122223333",
        "metric_name": "CPUUtilization",
        "metric_namespace": "AWS/ECS",
        "dimension_ClusterName": "shop",
        "dimension_ServiceName": "web",
    }


def test_no_dimension_becomes_a_label_that_aims_at_kubernetes() -> None:
    names = ("namespace", "cluster", "pod", "deployment", "alertname", "severity", "alarm_arn")
    trigger = {"Dimensions": [{"name": name, "value": "evil"} for name in names]}
    labels = only(sns.alarm(Trigger=trigger)).labels
    assert {name for name, value in labels.items() if value == "evil"} == {f"dimension_{name}" for name in names}


def test_metrics_that_differ_in_a_dimension_name_none() -> None:
    def query(service: str) -> dict[str, Any]:
        pairs = [{"name": "ClusterName", "value": "shop"}, {"name": "ServiceName", "value": service}]
        return {"Id": service, "MetricStat": {"Metric": {"MetricName": "CPU", "Namespace": "AWS/ECS", "Dimensions": pairs}}}

    labels = only(sns.alarm(Trigger={"Metrics": [query("web"), query("api"), {"Id": "e", "Expression": "web/api"}]})).labels
    assert labels["dimension_ClusterName"] == "shop"
    assert "dimension_ServiceName" not in labels


def test_a_page_reads_why_and_what_for() -> None:
    told = only((ALARMS / "sqs_body_raw_delivery_message.json").read_bytes()).annotations
    assert told["summary"].startswith("Threshold Crossed: 1 datapoint")
    assert told["description"] == "Alarm when ERROR appears in logs"
    assert told["threshold"] == "ErrorCount GreaterThanOrEqualToThreshold 1.0 (SUM, 1 of 1 periods of 60 s)"


def test_a_composite_alarm_names_what_set_it_off() -> None:
    told = only((ALARMS / "composite.json").read_bytes()).annotations
    assert told["triggered_by"] == "stackd-native-cw-sns-4b229becf207-child"
    assert told["alarm_rule"] == 'ALARM("stackd-native-cw-sns-4b229becf207-child")'


def test_the_address_leads_to_the_alarm_whatever_it_is_called() -> None:
    name = "a/b?c#d e\u202e"
    alert = only(sns.alarm(AlarmName=name, AlarmArn=f"arn:aws:cloudwatch:eu-west-1:111122223333:alarm:{name}"))
    head = "https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1#alarmsV2:alarm/"
    assert alert.generator_url == head + "a%2Fb%3Fc%23d%20e%E2%80%AE"


# --- ways, and strangers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(FORMS))
def test_a_way_brings_its_own_forms_only(name: str) -> None:
    bodies = {Form.envelope: enveloped(sns.alarm()), Form.alarm: sns.alarm().encode(), Form.event: event().encode()}
    taken = {form for form, body in bodies.items() if isinstance(CloudWatchSource(name).parse(body, NOW), Batch)}
    assert taken == FORMS[name]


@pytest.mark.parametrize("change", [{"detail": "text"}, {"detail-type": 3}, {"source": None}])
def test_what_a_transformer_broke_is_refused_by_name(change: dict[str, Any]) -> None:
    refusal = SOURCE.parse(json.dumps({**json.loads(event()), **change}).encode(), NOW)
    assert isinstance(refusal, Refusal)
    assert refusal.path in change


@pytest.mark.parametrize("body", NOT_JSON, ids=range(len(NOT_JSON)))
def test_what_is_no_json_is_refused(body: bytes) -> None:
    assert isinstance(open_body(body), Refusal)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("make", [lambda: sns.alarm().encode(), lambda: event().encode(), lambda: enveloped(sns.alarm())], ids=list(Form))
def test_hostile_text_is_data(text: str, make: Callable[[], bytes]) -> None:
    for body in with_each_text_replaced(make(), text):
        assert_fit_for_every_store(SOURCE.parse(body, NOW))


@pytest.mark.parametrize(
    "name", ["Trigger", "AlarmContributorAttributes", "TriggeringChildren", "OKActions", "StateChangeTime", "AlarmRule"]
)
@pytest.mark.parametrize("value", [None, 0, -1.5, "", "x", [], [None], [[]], {}, {"Metrics": [None, {"MetricStat": 3}]}, True], ids=str)
def test_a_field_of_another_type_costs_no_alarm(name: str, value: object) -> None:
    changes: dict[str, Any] = {name: value}
    assert only(sns.alarm(**changes)).fingerprint == identity(ARN)


def test_a_damaged_body_never_raises(rng: random.Random) -> None:
    bodies = [each.read_bytes() for each in SAMPLES if each.stat().st_size < 4000]
    for _ in range(3000):
        assert_fit_for_every_store(SOURCE.parse(mutated(rng.choice(bodies), rng), NOW))


_ANY = st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=8), lambda each: st.lists(each, max_size=3), max_leaves=4)


@given(st.dictionaries(st.sampled_from(sorted(json.loads(sns.alarm()))), _ANY))
def test_no_alarm_makes_it_raise(changes: dict[str, Any]) -> None:
    for body in (sns.alarm(**changes).encode(), enveloped(sns.alarm(**changes)), json.dumps({**json.loads(event()), **changes}).encode()):
        assert_fit_for_every_store(SOURCE.parse(body, NOW))


@given(st.binary(max_size=200))
def test_no_bytes_make_it_raise(body: bytes) -> None:
    assert isinstance(SOURCE.parse(body, NOW), Batch | Refusal)
