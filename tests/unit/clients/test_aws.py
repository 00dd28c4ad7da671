"""The client of AWS: sent once, translated once, and in whose name."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta

import aiohttp
import pytest
from botocore.exceptions import ClientError as VendorError
from botocore.exceptions import EndpointConnectionError
from structlog.testing import capture_logs

from receiver.clients.aws import Asks, Aws, AwsAccount, AwsConfig, Place
from receiver.clients.aws_access import session_named
from receiver.clients.aws_errors import translated
from receiver.clients.errors import ClientError, ErrorKind
from tests.fakes.ecs_server import Fault
from tests.fakes.ecs_world import REGION
from tests.kits.ecs_ground import CLUSTER, NAME, EcsGround, Switch, credentials, serving

ECS = Place("ecs")
OTHER = AwsAccount("444455556666", "arn:aws:iam::444455556666:role/receiver", "outside-7")
UPDATE = {"cluster": CLUSTER, "service": NAME, "desiredCount": 5}
READ = {"cluster": CLUSTER, "services": [NAME]}


@pytest.fixture
async def ground(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[EcsGround]:
    credentials(monkeypatch)
    async with serving(OTHER) as found:
        found.server.external_ids[OTHER.id] = OTHER.external_id
        yield found


async def changed(ground: EcsGround, *, place: Place = ECS) -> ClientError:
    with pytest.raises(ClientError) as caught:
        await ground.aws.change(place, "update_service", UPDATE, action_id="0a1b2c3d-7-1")
    return caught.value


async def test_a_change_is_answered_without_metadata(ground: EcsGround) -> None:
    answer = await ground.aws.change(ECS, "update_service", UPDATE, action_id="0a1b2c3d-7-1")
    assert answer["service"]["desiredCount"] == 5
    assert set(answer) == {"service"}


@pytest.mark.parametrize(
    "fault,kind,sent",
    [
        (Fault.lost_before, ErrorKind.unreachable, True),
        (Fault.lost_after, ErrorKind.unreachable, True),
        (Fault.hang_before, ErrorKind.timeout, True),
        (Fault.hang_after, ErrorKind.timeout, True),
        (Fault.fail_before, ErrorKind.unavailable, True),
        (Fault.fail_after, ErrorKind.unavailable, True),
        (Fault.throttle, ErrorKind.throttled, False),
        (Fault.denied, ErrorKind.forbidden, False),
    ],
)
async def test_fact_2_a_change_leaves_once_whatever_happens_to_it(ground: EcsGround, fault: Fault, kind: ErrorKind, sent: bool) -> None:
    ground.faults("UpdateService", fault)
    error = await changed(ground)
    assert (error.kind, error.sent) == (kind, sent)
    assert len(ground.server.changes) == 1


async def test_a_change_that_found_no_connection_was_not_sent(ground: EcsGround) -> None:
    aws = Aws(AwsConfig(region=REGION, endpoint_url="http://127.0.0.1:9"), clock=ground.clock, kill_switch=Switch())
    with pytest.raises(ClientError) as caught:
        await aws.change(ECS, "update_service", UPDATE, action_id="a-1")
    await aws.close()
    assert (caught.value.kind, caught.value.sent) == (ErrorKind.unreachable, False)


async def test_a_read_is_tried_twice_and_no_more(ground: EcsGround) -> None:
    ground.server.faults["DescribeServices"] = [Fault.fail_before]
    assert (await ground.aws.ask(ECS, "describe_services", READ))["services"]
    ground.server.calls.clear()
    ground.server.always["DescribeServices"] = Fault.fail_before
    with pytest.raises(ClientError, match="unavailable"):
        await ground.aws.ask(ECS, "describe_services", READ)
    assert len(ground.server.calls) == 2


async def test_a_read_ends_at_its_limit(ground: EcsGround) -> None:
    ground.server.always["DescribeServices"] = Fault.hang_before
    with pytest.raises(ClientError, match="timeout"):
        await ground.aws.ask(ECS, "describe_services", READ, limit=timedelta(seconds=0.2))


async def test_the_kill_switch_stops_a_change_and_no_read(ground: EcsGround) -> None:
    ground.aws = Aws(ground.aws.config, clock=ground.clock, kill_switch=Switch("drill"))
    error = await changed(ground)
    assert (error.kind, error.sent, error.text) == (ErrorKind.held, False, "kill switch: drill")
    assert ground.server.changes == []
    assert await ground.aws.ask(ECS, "describe_services", READ)
    await ground.aws.close()


async def test_a_change_is_not_sent_after_its_permit(ground: EcsGround) -> None:
    with pytest.raises(ClientError, match="the permit ended") as caught:
        await ground.aws.change(ECS, "update_service", UPDATE, action_id="a-1", not_after=ground.clock.now() - timedelta(seconds=1))
    assert (caught.value.kind, ground.server.changes) == (ErrorKind.held, [])


async def test_nothing_is_changed_by_an_api_that_is_unwell(ground: EcsGround) -> None:
    ground.world.now = lambda: ground.clock.now() + timedelta(minutes=1)
    await ground.aws.ask(ECS, "describe_services", READ)
    assert (await changed(ground)).kind is ErrorKind.unwell
    assert ground.server.changes == []


@pytest.mark.parametrize("operation", ["delete_service", "register_task_definition", "run_task", "execute_command"])
async def test_what_is_not_on_the_list_is_neither_asked_nor_changed(ground: EcsGround, operation: str) -> None:
    with pytest.raises(ClientError, match="held"):
        await ground.aws.change(ECS, operation, {}, action_id="a-1")
    with pytest.raises(ClientError, match="held"):
        await ground.aws.ask(ECS, operation, {})
    assert ground.server.calls == []


async def test_a_change_cannot_be_asked(ground: EcsGround) -> None:
    with pytest.raises(ClientError, match="held"):
        await ground.aws.ask(ECS, "update_service", UPDATE)
    assert ground.server.calls == []


async def test_a_last_look_may_ask_and_nothing_else(ground: EcsGround) -> None:
    async def look(ask: Asks) -> None:
        await ask("update_service", UPDATE)

    with pytest.raises(ClientError, match="held"):
        await ground.aws.change(ECS, "update_service", UPDATE, action_id="a-1", last_look=look)
    assert ground.server.changes == []


async def test_a_role_is_taken_in_the_name_of_the_attempt(ground: EcsGround) -> None:
    world = ground.server.worlds[OTHER.id]
    world.create(CLUSTER, NAME, world.register("web", "shop:1"))
    at = Place("ecs", account=OTHER.id)
    await ground.aws.ask(at, "describe_services", READ)
    await ground.aws.change(at, "update_service", UPDATE, action_id="0a1b2c3d-7-1")
    told = [(each.operation, each.session, each.account) for each in ground.server.calls if each.service == "ecs"]
    assert told == [("DescribeServices", "receiver", OTHER.id), ("UpdateService", "0a1b2c3d-7-1", OTHER.id)]


async def test_a_role_that_is_refused_sends_nothing(ground: EcsGround) -> None:
    ground.server.external_ids[OTHER.id] = "another"
    error = await changed(ground, place=Place("ecs", account=OTHER.id))
    assert (error.kind, error.sent, ground.server.changes) == (ErrorKind.forbidden, False, [])


async def test_an_account_that_is_not_configured_is_not_reached(ground: EcsGround) -> None:
    error = await changed(ground, place=Place("ecs", account="999999999999"))
    assert (error.kind, ground.server.calls) == (ErrorKind.held, [])


async def test_without_credentials_nothing_is_sent(ground: EcsGround, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    ground.aws = Aws(ground.aws.config, clock=ground.clock, kill_switch=Switch())
    error = await changed(ground)
    assert (error.kind, error.sent, ground.server.calls) == (ErrorKind.unauthorized, False, [])


async def test_each_change_leaves_an_audit_line(ground: EcsGround) -> None:
    ground.server.faults["UpdateService"] = [Fault.fail_before]
    with capture_logs() as logs:
        await changed(ground)
        await ground.aws.change(ECS, "update_service", UPDATE, action_id="0a1b2c3d-7-2")
    told = [(each["action_id"], each["operation"], each["outcome"]) for each in logs if each["event"] == "aws_change"]
    assert told == [
        ("0a1b2c3d-7-1", "update_service", "unavailable sent=True"),
        ("0a1b2c3d-7-2", "update_service", "applied"),
    ]


async def test_a_closed_client_says_so(ground: EcsGround) -> None:
    await ground.aws.close()
    assert (await changed(ground)).kind is ErrorKind.unreachable


async def test_calls_are_asks_at_one_place(ground: EcsGround) -> None:
    answer = await ground.aws.calls(ECS)("describe_services", READ, limit=timedelta(seconds=2))
    assert answer["services"][0]["serviceName"] == NAME


def test_a_refused_signature_is_told_without_its_request() -> None:
    said = {
        "Error": {"Code": "SignatureDoesNotMatch", "Message": "x-amz-security-token:IQoJb3Jp"},
        "ResponseMetadata": {"HTTPStatusCode": 403},
    }
    error = translated(VendorError(said, "UpdateService"), "ecs update_service")
    assert (error.kind, error.sent) == (ErrorKind.unauthorized, False)
    assert "IQoJ" not in str(error)


@pytest.mark.parametrize("name,wanted", [("0a1b2c3d-7-1", "0a1b2c3d-7-1"), ("é/x y", "--x-y"), ("a", "a-"), ("x" * 99, "x" * 64)])
def test_a_session_name_is_one_that_sts_takes(name: str, wanted: str) -> None:
    assert session_named(name) == wanted


def test_the_sdk_is_not_imported_before_the_first_call() -> None:
    script = (
        "import sys, receiver.app, receiver.wiring_ecs; sys.exit(any(each.startswith(('aiobotocore', 'botocore')) for each in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_a_connection_that_was_reset_is_told_from_one_that_was_refused() -> None:
    """aiobotocore has one error for both."""
    reset = EndpointConnectionError(endpoint_url="http://x", error=aiohttp.ClientOSError(104, "Connection reset by peer"))
    nowhere = EndpointConnectionError(endpoint_url="http://x", error=socket.gaierror(-2, "Name or service not known"))
    assert [translated(each, "ecs update_service").sent for each in (reset, nowhere)] == [True, False]
