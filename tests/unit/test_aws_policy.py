"""The shipped IAM policy is what the code declares, and what the code declares is what it calls: nothing less, nothing more."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from receiver import aws_policy
from receiver.aws_policy import CONSENT, TO_FILL_IN, declared, features, policy, rights, text
from receiver.clients.aws import CHANGES, OWN, AwsAccount, Place
from receiver.clients.aws_access import AwsAccess
from receiver.clients.cloudwatch import CloudWatch
from receiver.clients.sns import Subscriptions
from receiver.clients.sqs import Queue
from receiver.core.case import Parameters
from receiver.ingest.cloudwatch_list import CloudWatchList
from receiver.ingest.sqs import Pull, QueuePuller
from receiver.ingest.sqs_source import QueueSource
from receiver.observe import ECS_OBSERVERS
from receiver.observe.ecs import EcsObserver
from receiver.observe.evidence import ECS_EVIDENCE, AlarmEvidence, CloudTrailChanges, EcsEvidence, EcsLogs, EvidenceRunner
from receiver.ports import Permission
from receiver.remediate import ECS_ACTIONS
from receiver.telemetry.metrics import Metrics
from tests.fakes.aws_policy import FILE, granted, right
from tests.fakes.canned_aws import Canned
from tests.fakes.clock import FakeClock
from tests.fakes.sns import TOKEN, TOPIC
from tests.kits.ecs_ground import BACK, COUNT, DEPLOY, EcsGround, credentials, serving
from tests.unit.ingest.test_cloudwatch_list import GROUPED, NOW, REGION, alarm, of
from tests.unit.ingest.test_sqs import Inbox
from tests.unit.observe.objects import inquiry
from tests.unit.observe.test_evidence_alarm import CPU
from tests.unit.observe.test_evidence_alarm import alert as alarm_alert
from tests.unit.observe.test_evidence_alarm import asked as asked_of
from tests.unit.observe.test_evidence_ecs import LOGGED, canned, pieces

DOCS = Path(__file__).parents[2] / "docs" / "aws.md"
MANAGED_LIMIT = 6144
"""Characters of a managed policy, white space aside: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""
GROUP = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/web/0123456789abcdef"
OTHER = AwsAccount("444455556666", "arn:aws:iam::444455556666:role/receiver")


# --- the file --------------------------------------------------------------------------------------------------------------


def test_the_committed_policy_is_the_generated_one() -> None:
    assert FILE.read_text(encoding="utf-8") == text(), "make aws-policy"


def test_each_right_is_granted_once_and_each_is_declared() -> None:
    listed = [action for each in policy()["Statement"] for action in each["Action"]]
    assert sorted(listed) == sorted(declared())


def test_everything_that_declares_is_in_it() -> None:
    declaring: tuple[Any, ...] = (
        AwsAccess,
        CloudWatchList,
        QueuePuller,
        Subscriptions,
        *ECS_OBSERVERS,
        *ECS_ACTIONS.values(),
        *ECS_EVIDENCE,
    )
    assert {each for one in declaring for each in one.permissions} == {each for found in features().values() for each in found}


def test_what_changes_something_is_named_here() -> None:
    reading = re.compile(r"[a-z0-9-]+:(Describe|List|Get|Lookup|Filter)[A-Za-z]+")
    assert {each for each in declared() if not reading.fullmatch(each)} == {
        "ecs:UpdateService",
        "ecs:StopServiceDeployment",
        "sns:ConfirmSubscription",
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:ChangeMessageVisibility",
        "sts:AssumeRole",
    }


def test_a_service_is_changed_only_where_its_tag_consents() -> None:
    (statement,) = (each for each in policy()["Statement"] if "ecs:UpdateService" in each["Action"])
    assert statement["Condition"] == CONSENT == {"StringEquals": {"aws:ResourceTag/remediator": "enabled"}}
    assert statement["Action"] == ["ecs:UpdateService"]


def test_no_change_is_granted_on_everything() -> None:
    wide = {action for each in policy()["Statement"] if each["Resource"] == "*" for action in each["Action"]}
    assert not [each for each in wide if not re.search(r":(Describe|List|Get|Lookup)", each)]
    assert not [each for each in declared() if "*" in each]


def test_only_words_to_fill_in_stand_in_capitals_and_the_page_tells_them() -> None:
    found = set(re.findall(r"\b[A-Z][A-Z_]+\b", json.dumps([(each["Resource"], each.get("Condition")) for each in policy()["Statement"]])))
    assert found == set(TO_FILL_IN)
    page = DOCS.read_text(encoding="utf-8")
    assert [each for each in TO_FILL_IN if f"`{each}`" not in page] == []


def test_it_fits_into_one_managed_policy() -> None:
    assert len(re.sub(r"\s", "", text())) < MANAGED_LIMIT


def test_the_page_tells_every_statement() -> None:
    section = DOCS.read_text(encoding="utf-8").partition("\n## The policy\n")[2].partition("\n## ")[0]
    told = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert told == [each["Sid"] for each in policy()["Statement"]]


def test_the_client_lets_nothing_through_that_nobody_declares() -> None:
    assert {right(*each) for each in CHANGES | OWN} <= declared()


# --- the calls -------------------------------------------------------------------------------------------------------------


def of_permissions(permissions: tuple[Permission, ...]) -> set[str]:
    return {each for permission in permissions for each in rights(permission)}


@pytest.fixture
async def ground(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[EcsGround]:
    credentials(monkeypatch)
    async with serving(OTHER) as found:
        yield found


def seen(ground: EcsGround) -> set[str]:
    """On the wire."""
    return {right(each.service, each.operation) for each in ground.server.calls}


async def test_a_look_calls_what_it_declares(ground: EcsGround) -> None:
    ground.service.target_group = GROUP
    await ground.look()
    ground.world.deploy(ground.service, ground.bad, finish=False)
    await ground.look()
    assert seen(ground) == of_permissions(EcsObserver.permissions)


async def back(ground: EcsGround, *, finish: bool) -> None:
    ground.world.broken |= set() if finish else {ground.bad}
    ground.world.deploy(ground.service, ground.bad, finish=finish)
    ground.later(timedelta(minutes=2))
    permit = await ground.back()
    ground.server.calls.clear()
    await ground.run(permit)


async def test_going_back_calls_what_it_declares(ground: EcsGround) -> None:
    await back(ground, finish=False)
    found = seen(ground)
    ground.world.broken.clear()
    ground.world.finish(ground.service)
    await back(ground, finish=True)
    assert found | seen(ground) == of_permissions(ECS_ACTIONS[BACK].permissions)


@pytest.mark.parametrize("name", [COUNT, DEPLOY])
async def test_an_action_calls_what_it_declares(ground: EcsGround, name: str) -> None:
    permit = await ground.permit(name, Parameters(replicas=6) if name == COUNT else Parameters(restarted_at=ground.clock.now()))
    ground.server.calls.clear()
    await ground.run(permit)
    assert seen(ground) == of_permissions(ECS_ACTIONS[name].permissions)


async def test_a_role_is_taken_by_what_is_declared(ground: EcsGround) -> None:
    calls = ground.server.calls
    with suppress(Exception):
        await ground.aws.ask(Place("ecs", OTHER.id, "eu-west-1"), "list_tasks", {"cluster": "x", "serviceName": "y"})
    assert {right(each.service, each.operation) for each in calls if each.service == "sts"} == of_permissions(AwsAccess.permissions)


def asked(aws: Canned) -> set[str]:
    return {right(place.service, operation) for place, operation, _ in aws.asked}


async def test_evidence_calls_what_it_declares() -> None:
    aws, ecs, target = canned(loadBalancers=[{"targetGroupArn": GROUP}])
    aws.answers["ecs", "list_tasks"] = {"taskArns": ["t1"]}
    aws.answers["ecs", "describe_tasks"] = {"tasks": [{"containerInstanceArn": "ci-1"}]}
    aws.answers["ecs", "describe_container_instances"] = {"containerInstances": [{"ec2InstanceId": "i-1"}]}
    await pieces(target, EcsEvidence(ecs, FakeClock()))
    assert asked(aws) == of_permissions(EcsEvidence.permissions)


async def test_log_lines_are_read_by_what_is_declared() -> None:
    aws, ecs, target = canned()
    aws.answers["ecs", "describe_task_definition"] = {
        "taskDefinition": {"containerDefinitions": [{"name": "app", "logConfiguration": LOGGED}]}
    }
    await pieces(target, EcsLogs(ecs, FakeClock()))
    assert asked(aws) == of_permissions(EcsLogs.permissions)


async def test_changes_are_looked_up_by_what_is_declared() -> None:
    aws, ecs, target = canned()
    clock = FakeClock()
    await CloudTrailChanges(ecs, clock).changes(inquiry(target), clock.now() - timedelta(days=1))
    assert asked(aws) == of_permissions(CloudTrailChanges.permissions)


async def test_an_alarms_metric_is_read_by_what_is_declared() -> None:
    aws = Canned({("cloudwatch", "describe_alarms"): {"MetricAlarms": [CPU]}})
    collector = AlarmEvidence(aws, [("", REGION)], FakeClock())
    await EvidenceRunner([collector]).collect(asked_of(alarm_alert(region=REGION, dimension_InstanceId="i-1")), {})
    assert asked(aws) == of_permissions(AlarmEvidence.permissions)


@dataclass
class Calls:
    """One service; `answers` by operation, the last one for ever."""

    service: str
    answer: Callable[[str], Awaitable[Mapping[str, Any]]]
    made: set[str] = field(default_factory=set)

    async def __call__(self, operation: str, parameters: Mapping[str, object], *, limit: timedelta) -> Mapping[str, Any]:
        self.made.add(right(self.service, operation))
        return await self.answer(operation)


async def test_alarms_are_listed_by_what_is_declared() -> None:
    listed = of(alarm("many", Metrics=GROUPED))
    listed.contributors["many"] = []
    await CloudWatchList(CloudWatch(listed), region=REGION).ask(NOW, {})
    assert {right("cloudwatch", operation) for operation, _ in listed.asked} == of_permissions(CloudWatchList.permissions)


async def test_a_subscription_is_confirmed_by_what_is_declared() -> None:
    async def answer(_: str) -> Mapping[str, Any]:
        return {}

    calls = Calls("sns", answer)
    await Subscriptions(lambda _: calls).confirm(TOPIC, TOKEN)
    assert calls.made == of_permissions(Subscriptions.permissions)


async def test_a_queue_is_pulled_by_what_is_declared() -> None:
    told = {"AlarmName": "a", "AlarmArn": "arn:aws:cloudwatch:eu-west-1:111122223333:alarm:a", "NewStateValue": "ALARM"}
    messages = [{"MessageId": str(n), "ReceiptHandle": str(n), "Body": body} for n, body in enumerate((json.dumps(told), "no alarm"))]

    async def answer(operation: str) -> Mapping[str, Any]:
        if operation == "receive_message" and not messages:
            await asyncio.Event().wait()
        return {"Messages": [messages.pop()]} if operation == "receive_message" else {}

    calls, inbox = Calls("sqs", answer), Inbox()
    inbox.open.set()
    queue = Queue(calls, "https://sqs.eu-west-1.amazonaws.com/111122223333/alarms", visibility=timedelta(seconds=60))
    puller = QueuePuller(queue, QueueSource(), intake=inbox, clock=FakeClock(), metrics=Metrics(version="test"), pull=Pull(receives=1))
    for _ in range(2):
        await puller._settle(await queue.receive())
    assert calls.made == of_permissions(QueuePuller.permissions)


def test_what_is_granted_is_what_our_servers_let_through() -> None:
    assert granted() == aws_policy.declared()
