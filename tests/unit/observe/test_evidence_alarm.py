"""What a page shows of a CloudWatch alarm: its own metric, and the instances that it watches."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from receiver.clients.errors import ClientError, ErrorKind
from receiver.core.facts import Evidence
from receiver.core.model import Alert
from receiver.observe.evidence import AlarmEvidence, EvidenceRunner
from receiver.ports import Inquiry
from tests.fakes.canned_aws import Canned
from tests.fakes.clock import START, FakeClock
from tests.fakes.ecs_world import REGION
from tests.unit.observe.objects import inquiry

ACCOUNT = "111122223333"
ARN = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:"
CPU = {
    "AlarmName": "cpu", "AlarmArn": f"{ARN}cpu", "StateValue": "ALARM", "StateReason": "Threshold Crossed",
    "StateTransitionedTimestamp": START - timedelta(minutes=12), "Namespace": "AWS/EC2", "MetricName": "CPUUtilization",
    "Dimensions": [{"Name": "InstanceId", "Value": "i-1"}], "Period": 60, "Statistic": "Average", "Threshold": 80.0,
    "ComparisonOperator": "GreaterThanThreshold", "EvaluationPeriods": 5, "DatapointsToAlarm": 3,
}  # fmt: skip


def alert(name: str = "cpu", **labels: str) -> Alert:
    told = {"alertname": name, "alarm_arn": f"{ARN}{name}", "region": REGION, "account_id": ACCOUNT} | labels
    return Alert("cloudwatch", f"f-{name}", told, {}, START, None, START)


def asked(*alerts: Alert) -> Inquiry:
    return replace(inquiry(), alerts=alerts or (alert(),))


def aws(*alarms: dict[str, Any], **series: list[float]) -> Canned:
    found = [{"Id": name, "Label": name, "Values": values} for name, values in series.items()]
    known = {each["AlarmName"]: each for each in alarms}
    return Canned({
        ("cloudwatch", "describe_alarms"): lambda wanted: {"MetricAlarms": [known[each] for each in wanted["AlarmNames"] if each in known]},
        ("cloudwatch", "get_metric_data"): {"MetricDataResults": found},
    })  # fmt: skip


async def pieces(aws: Canned, about: Inquiry, places: tuple[tuple[str, str], ...] = (("", REGION),)) -> dict[str, Evidence]:
    found: dict[str, Evidence] = {}
    await EvidenceRunner([AlarmEvidence(aws, places, FakeClock())]).collect(about, found)
    return found


async def test_the_alarms_own_metric_is_a_sparkline_against_its_threshold() -> None:
    found = await pieces(client := aws(CPU, m0=[10.0, 50.0, 100.0]), asked())
    assert found["alarm"].lines == (
        "cpu: ALARM since 12 min: Threshold Crossed",
        "m0: ▁▅█ now 100, 10 to 100 in the last 1 h",
        "alarm from GreaterThanThreshold 80, 3 of 5 periods",
    )
    assert "checks" not in found
    query = client.asked[-1][2]
    assert query["EndTime"] == START
    assert query["StartTime"] == START - timedelta(hours=1)


async def test_an_alarm_with_long_periods_is_shown_over_a_dozen_of_them() -> None:
    found = await pieces(client := aws(CPU | {"Period": 3600}), asked())
    assert client.asked[-1][2]["StartTime"] == START - timedelta(hours=12)
    assert "m0" not in str(found["alarm"].lines)


async def test_expressions_are_asked_as_the_alarm_has_them() -> None:
    metrics = [{"Id": "e1", "Expression": "m1/m2"}, {"Id": "m1", "MetricStat": {"Metric": {}, "Period": 300, "Stat": "Sum"}}]
    shown = {key: CPU[key] for key in ("AlarmName", "AlarmArn", "StateValue")} | {"Metrics": metrics}
    await pieces(client := aws(shown, e1=[1.0]), asked())
    assert client.asked[-1][2]["MetricDataQueries"] == metrics


async def test_a_composite_alarm_shows_its_rule() -> None:
    composite = {"AlarmName": "all", "AlarmArn": f"{ARN}all", "StateValue": "ALARM", "AlarmRule": "ALARM(cpu) OR ALARM(disk)"}
    client = Canned({("cloudwatch", "describe_alarms"): {"CompositeAlarms": [composite]}})
    found = await pieces(client, asked(alert("all")))
    assert found["alarm"].lines[1] == "combines other alarms: ALARM(cpu) OR ALARM(disk)"


async def test_the_instances_that_it_watches_show_their_status_checks() -> None:
    client = aws(CPU)
    ok, bad = {"Status": "ok"}, {"Status": "impaired"}
    status = {"InstanceId": "i-1", "InstanceState": {"Name": "running"}, "InstanceStatus": bad, "SystemStatus": ok}
    client.answers["ec2", "describe_instance_status"] = {"InstanceStatuses": [status]}
    found = await pieces(client, asked(alert(dimension_InstanceId="i-of-the-sender")))
    assert found["checks"].lines == ("0 of 1 instances pass their status checks", "i-1: running, instance impaired, system ok")
    assert next(wanted for place, _, wanted in client.asked if place.service == "ec2")["InstanceIds"] == ["i-1"]


@pytest.mark.parametrize(
    "told",
    [
        alert(alarm_arn=""),
        replace(alert(), source="alertmanager"),
    ],
)
async def test_nothing_is_asked_of_an_alarm_that_is_not_ours(told: Alert) -> None:
    client = aws(CPU)
    assert await pieces(client, asked(told)) == {}
    assert client.asked == []


async def test_another_accounts_alarm_of_the_same_name_is_not_it() -> None:
    other = CPU | {"AlarmArn": "arn:aws:cloudwatch:eu-west-1:999999999999:alarm:cpu"}
    missing = (await pieces(aws(other), asked()))["alarm"].missing
    assert (
        missing == f"CloudWatch does not know the alarm; it is of account {ACCOUNT}: either it is gone, or that account is not among ours"
    )


@pytest.mark.parametrize(
    ("told", "where"),
    [
        (alert(region="us-east-1"), f"account {ACCOUNT} in us-east-1"),
        (alert(account_id="999999999999"), f"account 999999999999 in {REGION}"),
    ],
)
async def test_an_alarm_of_a_place_that_is_not_ours_is_named_and_not_asked_for(told: Alert, where: str) -> None:
    found: dict[str, Evidence] = {}
    client = aws(CPU, m0=[1.0])
    collector = AlarmEvidence(client, [("", REGION)], FakeClock(), account=ACCOUNT)
    await EvidenceRunner([collector]).collect(asked(told), found)
    assert found["alarm"].missing == f"not asked: {where} is not among the accounts and Regions of the configuration (cpu)"
    assert client.asked == []
    await EvidenceRunner([collector]).collect(asked(told, alert()), found)
    assert found["alarm"].lines[0].startswith("cpu: ALARM")
    assert found["alarm"].lines[-1].startswith(f"one alarm could not be read: not asked: {where}")


async def test_the_account_of_the_configuration_is_asked() -> None:
    await pieces(client := aws(CPU), asked(), ((ACCOUNT, REGION), ("", REGION)))
    assert {place.account for place, _, _ in client.asked} == {ACCOUNT}


async def test_one_alarm_that_cannot_be_read_hides_no_other() -> None:
    found = await pieces(aws(CPU, m0=[1.0]), asked(alert("gone"), alert("cpu")))
    assert found["alarm"].lines[0].startswith("cpu: ALARM")
    assert found["alarm"].lines[-1].startswith("one alarm could not be read: CloudWatch does not know the alarm; it is of account")


async def test_no_right_to_look_is_a_reason() -> None:
    client = Canned({("cloudwatch", "describe_alarms"): ClientError(ErrorKind.forbidden, "no")})
    assert (await pieces(client, asked()))["alarm"].missing == "could not be read: forbidden (no)"
