"""What a page shows of an ECS service: over our own servers where the SDK is asked, over canned answers where only reading is."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from receiver.clients.aws import Aws, AwsConfig
from receiver.clients.ecs import Ecs, ServiceAt, uid
from receiver.clients.errors import ClientError, ErrorKind
from receiver.core.facts import Evidence
from receiver.core.model import Alert, Target
from receiver.observe.evidence import ChangesEvidence, CloudTrailChanges, EcsEvidence, EcsLogs, EvidenceRunner
from receiver.observe.evidence.ecs_logs import PATTERN
from receiver.observe.evidence.patterns import TROUBLES
from receiver.ports import Collector
from tests.fakes.canned_aws import Canned
from tests.fakes.clock import START, FakeClock
from tests.fakes.cloudtrail_server import Trail, trail_server
from tests.fakes.ecs_world import REGION, Task
from tests.kits.ecs_ground import CLUSTER, NAME, REF, EcsGround, Switch, credentials, serving
from tests.unit.observe.objects import inquiry

MINUTE = timedelta(minutes=1)


async def pieces(target: Target | None, *collectors: Collector) -> dict[str, Evidence]:
    found: dict[str, Evidence] = {}
    await EvidenceRunner(collectors).collect(inquiry(target), found)
    return found


# --- over the SDK ------------------------------------------------------------------------------------------------------------


@pytest.fixture
async def ground(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[EcsGround]:
    credentials(monkeypatch)
    async with serving() as found:
        yield found


@pytest.fixture
async def trail(ground: EcsGround) -> AsyncIterator[Trail]:
    async with trail_server() as found:
        yield found


async def bound(ground: EcsGround) -> Target:
    facts = await ground.look()
    assert facts.target is not None
    return facts.target


async def test_tasks_events_and_deployments_are_told(ground: EcsGround) -> None:
    service, now = ground.service, ground.clock.now()
    service.tasks.append(Task(f"arn:aws:ecs:{REGION}:1:task/x/dead", service.past[-1].id, ground.bad, now - 3 * MINUTE, stopped=True))
    service.tasks[-1].exit_code, service.tasks[-1].reason = 137, "Essential container in task exited"
    service.events.append((now - MINUTE, "(service web) has started 1 tasks, password=hunter2"))
    found = await pieces(await bound(ground), EcsEvidence(ground.ecs, ground.clock))
    assert found["tasks"].lines[0].endswith("running, 0 pending")
    assert "EssentialContainerExited: Essential container in task exited; app exit 137" in found["tasks"].lines[1]
    assert "60 s ago (service web) has started 1 tasks, password=***" in found["events"].lines
    assert found["revisions"].lines[0].startswith("PRIMARY web:")
    assert found["instances"].lines == ("its tasks run on no instances of ours (Fargate)",)


async def test_a_service_outside_of_the_allow_list_is_not_looked_at(ground: EcsGround) -> None:
    target = await bound(ground)
    ground.server.calls.clear()
    stranger = Ecs(ground.aws, [ServiceAt("other", "web")])
    changes = ChangesEvidence([CloudTrailChanges(stranger, ground.clock)], ground.clock)
    found = await pieces(target, EcsEvidence(stranger, ground.clock), EcsLogs(stranger, ground.clock), changes)
    why = f"not asked: the service {CLUSTER}/{NAME} is not among ecs.services"
    assert {title: each.missing for title, each in found.items()} == {
        "tasks": f"{why}; nor were events, revisions, targets, instances and metrics",
        "log": why,
        "changes": f"could not be read: held ({why})",
    }
    assert ground.server.calls == []


@pytest.mark.parametrize("unbound", ["", "namespace_not_allowed: not among ecs.services"])
async def test_a_service_that_was_not_found_is_named_as_not_asked(unbound: str) -> None:
    aws, ecs, _ = canned()
    labels = {"dimension_ClusterName": CLUSTER, "dimension_ServiceName": NAME}
    alert = Alert("cloudwatch", "f", labels, {}, START, None, START)
    about = replace(inquiry(), target=None, alerts=(alert,), unbound=unbound)
    found: dict[str, Evidence] = {}
    await EvidenceRunner([EcsEvidence(ecs, FakeClock()), EcsLogs(ecs, FakeClock())]).collect(about, found)
    why = f"not asked: the service {CLUSTER}/{NAME} could not be resolved ({unbound or 'no look has found it yet'})"
    assert [(title, each.missing.partition(";")[0]) for title, each in found.items()] == [("tasks", why), ("log", why)]
    assert aws.asked == []


def test_an_incident_that_names_no_service_has_no_pieces_of_one() -> None:
    _, ecs, _ = canned()
    about = replace(inquiry(), target=None)
    assert EcsEvidence(ecs, FakeClock()).pieces(about) == EcsLogs(ecs, FakeClock()).pieces(about) == {}


def changes_of(ground: EcsGround, trail: Trail) -> tuple[Aws, ChangesEvidence]:
    config = AwsConfig(region=REGION, endpoint_url=ground.server.url, endpoints={"cloudtrail": trail.url})
    aws = Aws(config, clock=ground.clock, kill_switch=Switch())
    return aws, ChangesEvidence([CloudTrailChanges(Ecs(aws, ground.ecs.services), ground.clock)], ground.clock)


async def told(ground: EcsGround, trail: Trail) -> Evidence:
    aws, collector = changes_of(ground, trail)
    found = await pieces(await bound(ground), collector)
    await aws.close()
    return found["changes"]


async def test_who_updated_the_service_and_registered_its_program_is_told(ground: EcsGround, trail: Trail) -> None:
    now = ground.clock.now()
    family = ground.good.rpartition("/")[2].partition(":")[0]
    trail.record("UpdateService", now - 10 * MINUTE, {"service": NAME, "cluster": CLUSTER, "taskDefinition": "web:9"}, by="ci")
    trail.record("UpdateService", now - 20 * MINUTE, {"service": "other", "cluster": CLUSTER, "desiredCount": 0})
    trail.record("UpdateService", now - 2000 * MINUTE, {"service": NAME, "cluster": CLUSTER})
    made = {"taskDefinition": {"revision": 9}}
    trail.record("RegisterTaskDefinition", now - 15 * MINUTE, {"family": family}, responseElements=made)
    trail.record("RegisterTaskDefinition", now - 15 * MINUTE, {"family": "another"})
    found = await told(ground, trail)
    assert found.lines == (
        "10 min ago (cloudtrail) by ci: UpdateService taskDefinition web:9",
        f"15 min ago (cloudtrail) by ann: RegisterTaskDefinition {family}:9",
    )
    assert [each["LookupAttributes"][0]["AttributeValue"] for each in trail.asked] == ["UpdateService", "RegisterTaskDefinition"]


async def test_records_are_paged_up_to_a_bound(ground: EcsGround, trail: Trail) -> None:
    trail.page = 1
    for number in range(9):
        asked = {"service": NAME, "cluster": f"arn:aws:ecs:{REGION}:1:cluster/{CLUSTER}", "desiredCount": number}
        trail.record("UpdateService", ground.clock.now() - (number + 3) * MINUTE, asked)
    lines = (await told(ground, trail)).lines
    assert len(lines) == 4
    assert lines[-1].startswith("5 min ago (cloudtrail): only the newest 3 UpdateService of the whole Region were read, back to 2026-")


async def test_what_others_updated_since_never_passes_for_no_change(ground: EcsGround, trail: Trail) -> None:
    for number in range(160):
        trail.record("UpdateService", ground.clock.now() - (number + 3) * MINUTE, {"service": "other", "cluster": CLUSTER})
    trail.record("UpdateService", ground.clock.now() - 200 * MINUTE, {"service": NAME, "cluster": CLUSTER})
    (line,) = (await told(ground, trail)).lines
    assert "only the newest 150 UpdateService of the whole Region were read, back to" in line


async def test_a_refused_call_is_told_as_refused_and_nonsense_is_passed_over(ground: EcsGround, trail: Trail) -> None:
    trail.record("UpdateService", ground.clock.now() - 3 * MINUTE, {"service": NAME, "cluster": CLUSTER}, errorCode="AccessDenied")
    trail.record("UpdateService", ground.clock.now() - 4 * MINUTE, {"service": NAME, "cluster": CLUSTER})
    trail.records[-1]["CloudTrailEvent"] = "{" * 50
    assert (await told(ground, trail)).lines == ("3 min ago (cloudtrail) by ann: UpdateService (refused: AccessDenied)",)


async def test_no_right_to_look_is_a_reason(ground: EcsGround, trail: Trail) -> None:
    trail.denied = True
    assert (await told(ground, trail)).missing.startswith("could not be read: forbidden")


# --- over canned answers -----------------------------------------------------------------------------------------------------


ARN = f"arn:aws:ecs:{REGION}:111122223333:service/{CLUSTER}/{NAME}"
SERVICE = {"serviceArn": ARN, "createdAt": START, "status": "ACTIVE", "taskDefinition": "arn:x:task-definition/web:4"}
LOGGED = {"logDriver": "awslogs", "options": {"awslogs-group": "/ecs/web", "awslogs-stream-prefix": "ecs"}}


def canned(**more: Any) -> tuple[Canned, Ecs, Target]:
    aws = Canned({("ecs", "describe_services"): {"services": [SERVICE | more]}})
    return aws, Ecs(aws, [ServiceAt(CLUSTER, NAME, "111122223333", REGION)]), Target(REF, uid(SERVICE))  # type: ignore[arg-type]  # the part of it that is asked


async def test_target_health_tells_who_is_out_and_why() -> None:
    aws, ecs, target = canned(loadBalancers=[{"targetGroupArn": "arn:aws:elb:x:1:targetgroup/web/abc"}])
    sick = {
        "Target": {"Id": "10.0.0.2", "Port": 80},
        "TargetHealth": {"State": "unhealthy", "Reason": "Target.Timeout", "Description": "timed out"},
    }
    well = {"Target": {"Id": "10.0.0.1", "Port": 80}, "TargetHealth": {"State": "healthy"}}
    aws.answers["elbv2", "describe_target_health"] = {"TargetHealthDescriptions": [well, sick]}
    found = await pieces(target, EcsEvidence(ecs, FakeClock()))
    assert found["targets"].lines == ("web: 1 of 2 healthy", "10.0.0.2:80 unhealthy: Target.Timeout timed out")


async def test_instances_that_fail_their_checks_are_named() -> None:
    aws, ecs, target = canned()
    aws.answers["ecs", "list_tasks"] = {"taskArns": ["t1"]}
    aws.answers["ecs", "describe_tasks"] = {"tasks": [{"containerInstanceArn": "ci-1"}, {"containerInstanceArn": "ci-2"}]}
    aws.answers["ecs", "describe_container_instances"] = {"containerInstances": [{"ec2InstanceId": "i-1"}, {"ec2InstanceId": "i-2"}]}
    ok, bad = {"Status": "ok"}, {"Status": "impaired"}
    aws.answers["ec2", "describe_instance_status"] = {
        "InstanceStatuses": [
            {"InstanceId": "i-1", "InstanceState": {"Name": "running"}, "InstanceStatus": ok, "SystemStatus": ok},
            {"InstanceId": "i-2", "InstanceState": {"Name": "running"}, "InstanceStatus": ok, "SystemStatus": bad},
        ]
    }
    found = await pieces(target, EcsEvidence(ecs, FakeClock()))
    assert found["instances"].lines == ("1 of 2 instances pass their status checks", "i-2: running, instance ok, system impaired")


async def test_an_hour_of_metrics_is_a_sparkline() -> None:
    aws, ecs, target = canned()
    aws.answers["cloudwatch", "get_metric_data"] = {
        "MetricDataResults": [{"Id": "m0", "Values": [0.0, 50.0, 100.0]}, {"Id": "m1", "Values": [], "StatusCode": "Complete"}]
    }
    found = await pieces(target, EcsEvidence(ecs, FakeClock()))
    assert found["metrics"].lines == (
        "CPUUtilization: ▁▅█ now 100.0 %, 0.0 to 100.0 % in the last hour",
        "MemoryUtilization: no data in the last hour (Complete)",
    )


def logging(*pages: dict[str, Any]) -> tuple[Canned, Ecs, Target]:
    aws, ecs, target = canned()
    definition = {"containerDefinitions": [{"name": "app", "logConfiguration": LOGGED}]}
    aws.answers["ecs", "describe_task_definition"] = {"taskDefinition": definition}
    left = list(pages)
    aws.answers["logs", "filter_log_events"] = lambda _: left.pop(0) if left else {"events": []}
    return aws, ecs, target


def logged(*lines: tuple[float, str], page: int = 2) -> tuple[Canned, Ecs, Target]:
    """Lines of so many seconds ago, oldest first in pages, through the filter as CloudWatch applies it."""
    aws, ecs, target = logging()
    events = [line(text, at=_ms(START - timedelta(seconds=ago))) for ago, text in sorted(lines, reverse=True)]

    def read(asked: Mapping[str, Any]) -> dict[str, Any]:
        terms = [each.strip('?"') for each in re.findall(r'\?(?:"[^"]+"|\S+)', asked.get("filterPattern", ""))]
        found = [
            each
            for each in events
            if asked["startTime"] <= each["timestamp"] <= asked["endTime"] and (not terms or any(term in each["message"] for term in terms))
        ]
        at = int(asked.get("nextToken", "0"))
        return {"events": found[at : at + page], **({"nextToken": str(at + page)} if at + page < len(found) else {})}

    aws.answers["logs", "filter_log_events"] = read
    return aws, ecs, target


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


async def log_of(ground: tuple[Canned, Ecs, Target]) -> tuple[str, ...]:
    _, ecs, target = ground
    return (await pieces(target, EcsLogs(ecs, FakeClock())))["log"].lines


def line(message: str, at: int = 1) -> dict[str, Any]:
    return {"logStreamName": "ecs/app/0123456789abcdef", "timestamp": at, "message": message}


async def test_an_empty_page_with_a_token_is_paged_on() -> None:
    aws, ecs, target = logging({"events": [], "nextToken": "a"}, {"events": [line("ERROR one token=x"), line("ERROR two")]})
    found = await pieces(target, EcsLogs(ecs, FakeClock()))
    assert found["log"].lines == ("1x 0123456789ab: ERROR two", "1x 0123456789ab: ERROR one token=***")
    first, second, *_ = [asked for _, operation, asked in aws.asked if operation == "filter_log_events"]
    assert (first["logGroupName"], first["logStreamNamePrefix"], second["nextToken"]) == ("/ecs/web", "ecs/app/", "a")


async def test_paging_ends_at_a_bound_and_says_so() -> None:
    aws, ecs, target = logging()
    aws.answers["logs", "filter_log_events"] = {"events": [], "nextToken": "more"}
    found = await pieces(target, EcsLogs(ecs, FakeClock()))
    assert found["log"].lines == (
        "no line of the last 5 min matches a word of trouble",
        "there is more: of /ecs/web not all of the last 15 s was read",
    )
    assert len([each for _, each, _ in aws.asked if each == "filter_log_events"]) == 10 + 4


async def test_the_newest_lines_are_read_before_the_older_ones() -> None:
    lines = await log_of(logged(*((200 + number, f"ERROR old {number}") for number in range(40)), (2, "FATAL new"), (30, "panic: half")))
    assert {"1x 0123456789ab: FATAL new", "1x 0123456789ab: panic: half"} <= set(lines)
    assert lines[-1] == "there is more: of /ecs/web not all of the last 5 min was read"


async def test_enough_lines_of_the_last_seconds_are_enough() -> None:
    lines = await log_of(logged(*((number / 100, "ERROR new") for number in range(600)), (100, "ERROR old and another"), page=100))
    assert lines == ("500x 0123456789ab: ERROR new", "there is more: of /ecs/web only the last 15 s was read")


async def test_a_log_full_of_lines_without_trouble_is_not_said_to_be_empty() -> None:
    lines = await log_of(logged(*((number, f"served {number}") for number in range(200)), page=50))
    assert lines[0] == "no line of the last 5 min matches a word of trouble; of its newest:"
    assert lines[1:] == tuple(f"0123456789ab: served {number}" for number in (4, 3, 2, 1, 0))
    assert await log_of(logged()) == ("no lines in the last 5 min",)


@pytest.mark.parametrize("form", [str.lower, str.capitalize, str.upper])
@pytest.mark.parametrize("word", TROUBLES)
def test_every_word_of_trouble_comes_through_the_filter(word: str, form: Callable[[str], str]) -> None:
    assert any(term.strip('?"') in form(word) for term in re.findall(r'\?(?:"[^"]+"|\S+)', PATTERN))
    assert len(PATTERN) <= 1_024


async def test_a_program_without_a_log_group_has_no_log() -> None:
    aws, ecs, target = logging()
    aws.answers["ecs", "describe_task_definition"] = {"taskDefinition": {"containerDefinitions": [{"name": "app"}]}}
    assert (await pieces(target, EcsLogs(ecs, FakeClock())))["log"].missing == "its task definition names no log group (awslogs)"


async def test_one_api_that_fails_hides_no_other() -> None:
    aws, ecs, target = canned()
    aws.answers["cloudwatch", "get_metric_data"] = ClientError(ErrorKind.forbidden, "no")
    found = await pieces(target, EcsEvidence(ecs, FakeClock()))
    assert found["metrics"].missing == "could not be read: forbidden (no)"
    assert found["targets"].lines == ("no target group before it",)
