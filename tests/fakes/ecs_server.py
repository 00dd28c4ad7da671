"""The AWS APIs that ECS work needs, over HTTP: ECS and Application Auto Scaling (JSON 1.1), ELBv2 and STS (query).

It denies what the shipped IAM policy does not grant, writes down every call as it came, and fails as it is told: answers lost before or
after the call was carried out, hangs, 500, throttling. One world an account; who calls is read from the access key that AssumeRole gave.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime
from enum import StrEnum
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from aiohttp import web

from tests.fakes.aws_policy import called, granted
from tests.fakes.ecs_world import EcsError, EcsWorld, Object, Service, Task

JSON_11 = "application/x-amz-json-1.1"
JSON_SERVICES = ("ecs", "application-autoscaling", "cloudtrail", "logs")


class Fault(StrEnum):
    """What happens to a call."""

    lost_before = "lost_before"
    """The connection is cut; nothing was done."""
    lost_after = "lost_after"
    """Done, and the connection is cut."""
    hang_before = "hang_before"
    """No answer, ever; nothing was done."""
    hang_after = "hang_after"
    fail_before = "fail_before"
    """500."""
    fail_after = "fail_after"
    throttle = "throttle"
    denied = "denied"


@dataclass(frozen=True)
class Call:
    """One request as it came."""

    service: str
    operation: str
    asked: Object
    session: str
    """Session name of the role, or empty."""
    account: str


@dataclass
class EcsServer:
    """Its worlds by account; the first is the default credentials'."""

    worlds: dict[str, EcsWorld]
    url: str = ""
    calls: list[Call] = field(default_factory=list)
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    """Operation → what happens to the next calls of it, one each."""
    always: dict[str, Fault] = field(default_factory=dict)
    external_ids: dict[str, str] = field(default_factory=dict)
    """Account → what AssumeRole must be given."""
    before: Callable[[Call], None] = lambda _: None
    """Runs before each call is carried out, and may change the world."""
    _sessions: dict[str, tuple[str, str]] = field(default_factory=dict)
    _released: asyncio.Event = field(default_factory=asyncio.Event)

    def made(self, operation: str) -> list[Object]:
        """Parameters of every call of it."""
        return [each.asked for each in self.calls if each.operation == operation]

    @property
    def changes(self) -> list[Call]:
        """All that may change a service."""
        return [each for each in self.calls if each.operation in ("UpdateService", "StopServiceDeployment")]

    @property
    def home(self) -> str:
        return next(iter(self.worlds))

    # --- the wire

    async def handle(self, request: web.Request) -> web.StreamResponse:
        answer = await self._handle(request)
        now = next(iter(self.worlds.values())).now()
        answer.headers["Date"] = format_datetime(now, usegmt=True)
        return answer

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        service, operation, asked = await _read(request)
        session, account = self._sessions.get(_access_key(request), ("", self.home))
        call = Call(service, operation, asked, session, account)
        self.calls.append(call)
        self.before(call)
        if f"{service}:{operation}" not in granted():
            return _refused(service, EcsError("AccessDeniedException", f"not authorized to perform: {service}:{operation}"))
        fault = self.faults.get(operation, []).pop(0) if self.faults.get(operation) else self.always.get(operation)
        if fault in (Fault.throttle, Fault.denied):
            code = "ThrottlingException" if fault is Fault.throttle else "AccessDeniedException"
            return _refused(service, EcsError(code, f"{operation}: {code}"))
        if fault is not None and fault.value.endswith("_before"):
            return await self._fail(request, service, fault)
        try:
            answer = OPERATIONS[service, operation](self, self.worlds[account], asked)
        except KeyError:
            return _refused(service, EcsError("UnknownOperationException", f"{service} {operation}"))
        except EcsError as no:
            return _refused(service, no)
        if fault is not None:
            return await self._fail(request, service, fault)
        return _answered(service, operation, answer)

    async def _fail(self, request: web.Request, service: str, fault: Fault) -> web.StreamResponse:
        if fault.value.startswith("fail"):
            return _refused(service, EcsError("ServerException", "Service Unavailable", status=500))
        if fault.value.startswith("hang"):
            await self._released.wait()
        if request.transport is not None:
            request.transport.abort() if fault.value.startswith("lost") else request.transport.close()
        return web.Response()

    def assume(self, asked: Object) -> Object:
        """AssumeRole."""
        account, name = asked["RoleArn"].split(":")[4], asked["RoleSessionName"]
        if account not in self.worlds or asked.get("ExternalId", "") != self.external_ids.get(account, ""):
            raise EcsError("AccessDenied", "not authorized to perform: sts:AssumeRole", status=403)
        key = f"ASIA{len(self._sessions):016d}"
        self._sessions[key] = (name, account)
        ends = self.worlds[account].now() + timedelta(days=3650)
        return {
            "Credentials": {"AccessKeyId": key, "SecretAccessKey": "s" * 40, "SessionToken": "t" * 64, "Expiration": ends.isoformat()},
            "AssumedRoleUser": {"AssumedRoleId": f"AROA:{name}", "Arn": f"arn:aws:sts::{account}:assumed-role/receiver/{name}"},
        }


@asynccontextmanager
async def ecs_server(*worlds: EcsWorld) -> AsyncIterator[EcsServer]:
    """Listens on loopback until the end of the block."""
    server = EcsServer({each.account: each for each in worlds})
    app = web.Application()
    app.router.add_post("/{any:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    server.url = f"http://{host}:{port}"
    try:
        yield server
    finally:
        server._released.set()
        await runner.cleanup()


async def _read(request: web.Request) -> tuple[str, str, Object]:
    body = await request.read()
    asked: Object = json.loads(body) if "X-Amz-Target" in request.headers else dict(parse_qsl(body.decode(errors="replace")))
    service, operation = called(request.headers, request.path, asked)
    return service, operation, asked


def _access_key(request: web.Request) -> str:
    return request.headers.get("Authorization", "").partition("Credential=")[2].partition("/")[0]


def _answered(service: str, operation: str, answer: Object) -> web.Response:
    if service in JSON_SERVICES:
        return web.json_response(answer, dumps=lambda each: json.dumps(each, default=_plain), content_type=JSON_11)
    inner = _xml(answer)
    return web.Response(
        text=f"<{operation}Response><{operation}Result>{inner}</{operation}Result></{operation}Response>", content_type="text/xml"
    )


def _refused(service: str, no: EcsError) -> web.Response:
    if service in JSON_SERVICES:
        return web.json_response({"__type": no.code, "message": str(no)}, status=no.status, content_type=JSON_11)
    text = f"<ErrorResponse><Error><Type>Sender</Type><Code>{no.code}</Code><Message>{escape(str(no))}</Message></Error></ErrorResponse>"
    return web.Response(text=text, status=no.status, content_type="text/xml")


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.timestamp()
    raise TypeError(type(value).__name__)


def _xml(value: object) -> str:
    if isinstance(value, Mapping):
        return "".join(f"<{key}>{_xml(each)}</{key}>" for key, each in value.items())
    if isinstance(value, list):
        return "".join(f"<member>{_xml(each)}</member>" for each in value)
    return escape(str(value))


# --- operations ----------------------------------------------------------------------------------------------------------


def _describe_services(_: EcsServer, world: EcsWorld, asked: Object) -> Object:
    cluster = asked.get("cluster", "default").rpartition("/")[2]
    if not any(each == cluster for each, _ in world.services):
        raise EcsError("ClusterNotFoundException", "Cluster not found.")
    found, missing = [], []
    for named in asked["services"]:
        service = world.services.get((cluster, named.rpartition("/")[2]))
        if service is None:
            arn = f"arn:aws:ecs:{world.region}:{world.account}:service/{cluster}/{named}"
            missing.append({"arn": arn, "reason": "MISSING"})
            continue
        told = world.told(service)
        if "TAGS" in asked.get("include", []):
            told["tags"] = [{"key": key, "value": value} for key, value in service.tags.items()]
        found.append(told)
    return {"services": found, "failures": missing}


def _list_deployments(_: EcsServer, world: EcsWorld, asked: Object) -> Object:
    service = world.service(asked.get("cluster", "default"), asked["service"])
    wanted = asked.get("status")
    told = [
        {
            "serviceDeploymentArn": each.arn,
            "serviceArn": service.arn,
            "clusterArn": f"arn:aws:ecs:{world.region}:{world.account}:cluster/{service.cluster}",
            "createdAt": each.created_at,
            "startedAt": each.created_at,
            "targetServiceRevisionArn": each.revision,
            "status": each.status,
            **({"finishedAt": each.finished_at} if each.finished_at else {}),
        }
        for each in reversed(service.history)
        if wanted is None or each.status in wanted
    ]
    return {"serviceDeployments": told[: asked.get("maxResults", 100)]}


def _describe_deployments(_: EcsServer, world: EcsWorld, asked: Object) -> Object:
    known = {each.arn: (service, each) for service in world.services.values() for each in service.history}
    told, missing = [], []
    for arn in asked["serviceDeploymentArns"]:
        if arn not in known:
            missing.append({"arn": arn, "reason": "MISSING"})
            continue
        service, each = known[arn]
        source = [{"arn": each.source, "requestedTaskCount": service.desired}] if each.source else []
        back = next((other for other in service.past if other.rollback and other.arn == arn), None)
        rollback = {"rollback": {"startedAt": back.created_at, "serviceRevisionArn": back.revision}} if back is not None else {}
        told.append(
            {
                "serviceDeploymentArn": each.arn,
                "serviceArn": service.arn,
                "createdAt": each.created_at,
                "sourceServiceRevisions": source,
                "targetServiceRevision": {"arn": each.revision, "requestedTaskCount": service.desired, "runningTaskCount": each.running},
                "status": each.status,
                "deploymentConfiguration": world.told(service)["deploymentConfiguration"],
                **rollback,
            }
        )
    return {"serviceDeployments": told, "failures": missing}


def _describe_revisions(_: EcsServer, world: EcsWorld, asked: Object) -> Object:
    known = {each.revision: (service, each) for service in world.services.values() for each in service.past}
    told = []
    for arn in asked["serviceRevisionArns"]:
        if arn in known:
            service, each = known[arn]
            image = world.definitions[each.task_definition]["containerDefinitions"][0]["image"]
            images = [{"containerName": "app", "image": image, "imageDigest": world.pinned[arn]}]
            told.append(
                {"serviceRevisionArn": arn, "serviceArn": service.arn, "taskDefinition": each.task_definition, "containerImages": images}
            )
    return {
        "serviceRevisions": told,
        "failures": [{"arn": each, "reason": "MISSING"} for each in asked["serviceRevisionArns"] if each not in known],
    }


def _list_tasks(_: EcsServer, world: EcsWorld, asked: Object) -> Object:
    service = world.service(asked.get("cluster", "default"), asked["serviceName"])
    stopped = asked.get("desiredStatus", "RUNNING") == "STOPPED"
    return {"taskArns": [each.arn for each in service.tasks if each.stopped is stopped][: asked.get("maxResults", 100)]}


def _describe_tasks(_: EcsServer, world: EcsWorld, asked: Object) -> Object:
    known = {each.arn: (service, each) for service in world.services.values() for each in service.tasks}
    told = []
    for arn in asked["tasks"]:
        service, task = known[arn]
        status = "STOPPED" if task.stopped else "RUNNING"
        container: Object = {"name": "app", "lastStatus": status}
        if task.exit_code is not None:
            container["exitCode"] = task.exit_code
        one = {"taskArn": arn, "taskDefinitionArn": task.task_definition, "lastStatus": status, "desiredStatus": status}
        address = {"type": "ElasticNetworkInterface", "details": [{"name": "privateIPv4Address", "value": _address(task)}]}
        one |= {
            "attachments": [address],
            "group": f"service:{service.name}",
            "createdAt": task.created_at,
            "startedBy": task.deployment,
            "containers": [container],
        }
        told.append(
            one
            | ({"stopCode": "EssentialContainerExited", "stoppedReason": task.reason, "stoppedAt": task.created_at} if task.stopped else {})
        )
    return {"tasks": told, "failures": []}


def _scalable(_: EcsServer, world: EcsWorld, asked: Object) -> Object:
    wanted = asked.get("ResourceIds")
    return {"ScalableTargets": [each for each in world.scalable if wanted is None or each["ResourceId"] in wanted]}


def _target_health(_: EcsServer, world: EcsWorld, asked: Object) -> Object:
    arn = asked["TargetGroupArn"]
    services = [each for each in world.services.values() if each.target_group == arn]
    if not services:
        raise EcsError("TargetGroupNotFound", f"One or more target groups not found: {arn}")
    sick = world.sick_targets.get(arn, 0)
    running = [task for each in services for task in each.tasks if not task.stopped]
    return {"TargetHealthDescriptions": [_target(task, n < sick) for n, task in enumerate(running)]}


def _target(task: Task, sick: bool) -> Object:
    state = {"State": "unhealthy", "Reason": "Target.FailedHealthChecks"} if sick else {"State": "healthy"}
    return {"Target": {"Id": _address(task), "Port": 80}, "HealthCheckPort": "80", "TargetHealth": state}


def _address(task: Task) -> str:
    """Its own, as in network mode awsvpc."""
    number = int(task.arn.rpartition("/")[2], 16)
    return f"10.0.{number // 250}.{number % 250 + 1}"


def scalable_target(service: Service, *, least: int = 1, most: int = 10) -> Object:
    """As RegisterScalableTarget leaves it."""
    return {
        "ServiceNamespace": "ecs",
        "ResourceId": f"service/{service.cluster}/{service.name}",
        "ScalableDimension": "ecs:service:DesiredCount",
        "MinCapacity": least,
        "MaxCapacity": most,
        "RoleARN": "arn:aws:iam::111122223333:role/aws-service-role/ecs.application-autoscaling.amazonaws.com/AWSServiceRole",
        "CreationTime": service.created_at,
    }


OPERATIONS: Mapping[tuple[str, str], Callable[[EcsServer, EcsWorld, Object], Object]] = {
    ("ecs", "DescribeServices"): _describe_services,
    ("ecs", "UpdateService"): lambda _, world, asked: world.update(asked),
    ("ecs", "StopServiceDeployment"): lambda _, world, asked: world.stop(asked),
    ("ecs", "DescribeTaskDefinition"): lambda _, world, asked: world.definition(asked["taskDefinition"]),
    ("ecs", "ListServiceDeployments"): _list_deployments,
    ("ecs", "DescribeServiceDeployments"): _describe_deployments,
    ("ecs", "DescribeServiceRevisions"): _describe_revisions,
    ("ecs", "ListTasks"): _list_tasks,
    ("ecs", "DescribeTasks"): _describe_tasks,
    ("application-autoscaling", "DescribeScalableTargets"): _scalable,
    ("elasticloadbalancing", "DescribeTargetHealth"): _target_health,
    ("sts", "AssumeRole"): lambda server, _, asked: server.assume(asked),
}
