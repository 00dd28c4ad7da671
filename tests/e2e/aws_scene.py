"""The whole road on AWS: CloudWatch's alarm → SNS → SQS (moto's server) → receiver → Amazon ECS (our own server), and our PagerDuty.

An `AwsScene` is one test's: its own account, servers, configuration, database. Each time that the service is described, its rollouts move
by one step. Windows are short, everything else is as shipped.
"""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp

from receiver.clock import SystemClock
from tests.e2e.scene import BOUNDS
from tests.fakes.ecs_server import Call, ecs_server
from tests.fakes.ecs_world import EcsWorld
from tests.fakes.pagerduty import PagerDutyServer
from tests.real.moto import ACCOUNT, REGION, Moto
from tests.real.processes import Process, eventually, free_port

CLUSTER, NAME = "app-cluster", "web"
ALARM = "web-tasks-low"
ALARM_ARN = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:"
DIMENSIONS = {"ClusterName": CLUSTER, "ServiceName": NAME}
RULES = """
apiVersion: receiver/v1
kind: Rules
services:
  - name: storefront
    targets: [{ecs: {cluster: app-cluster, service: web}}]
    labels: {service: storefront}
rules:
  - name: tasks-low
    match: ['alertname="web-tasks-low"']
    symptom: crash
    impact: high
    urgency: medium
    mode: auto
    remediate:
      - {action: ecs.previous_task_definition, mode: auto}
    verify: {rollout: true, settle: 1s, stable: 3s}
  - name: many-errors
    match: ['alertname="StorefrontErrors"']
    symptom: errors
    impact: high
    urgency: medium
default: {impact: medium, urgency: medium, remediate: []}
"""


class AwsScene:
    """`async with AwsScene(...) as scene: await scene.start()`."""

    def __init__(self, moto: Moto, directory: Path) -> None:
        self.moto = moto
        self.directory = directory
        self.pagerduty = PagerDutyServer()
        self.token, self.admin_token = secrets.token_hex(20), secrets.token_hex(20)
        self.port = free_port()
        self.world = EcsWorld(SystemClock().now, account=ACCOUNT, region=REGION)
        self.good, self.bad = self.world.register(NAME, "shop:1"), self.world.register(NAME, "shop:2")
        self.service = self.world.create(CLUSTER, NAME, self.good, desired=3)
        self.world.old(self.service, timedelta(days=2))
        self.moves: list[Callable[[], None]] = [self.world.tick]
        self.topic = self.queue = ""
        arguments: list[str | Path] = [sys.executable, "-m", "tests.e2e.victim", directory / "config.json"]
        self._receiver = Process("receiver", arguments, log=directory / "receiver.log")
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> AwsScene:
        self.pagerduty.__enter__()
        self.server = await self._stack.enter_async_context(ecs_server(self.world))
        self.server.before = self._before
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._receiver.stop()
        await self._stack.aclose()
        self.pagerduty.__exit__()

    def _before(self, call: Call) -> None:
        for each in self.moves if call.operation == "DescribeServices" else ():
            each()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self, **changes: Any) -> None:
        """The topic, the queue that it tells, and the receiver."""
        async with self.moto.client("sns") as sns, self.moto.client("sqs") as sqs:
            self.topic = (await sns.create_topic(Name="ops"))["TopicArn"]
            self.queue = (await sqs.create_queue(QueueName="alarms"))["QueueUrl"]
            await sns.subscribe(TopicArn=self.topic, Protocol="sqs", Endpoint=f"arn:aws:sqs:{REGION}:{ACCOUNT}:alarms")
        self._configure(changes)
        self._receiver.start()
        await self._receiver.ready(f"{self.url}/readyz")

    def _configure(self, changes: Mapping[str, Any]) -> None:
        files = {"rules.yaml": RULES, "token": self.token, "admin": self.admin_token, "key": self.pagerduty.key}
        for name, text in files.items():
            (self.directory / name).touch(mode=0o600)
            (self.directory / name).write_text(text)
        queue = {"queue_url": self.queue, "region": REGION, "topics": [self.topic], "accounts": [ACCOUNT], "clusters": [CLUSTER]}
        settings = {
            "listen": f"127.0.0.1:{self.port}",
            "store": f"sqlite:///{self.directory}/receiver.db",
            "rules": [str(self.directory / "rules.yaml")],
            "mode": "auto",
            "locale": "en",
            "bounds": BOUNDS,
            "page_after": {"P2": "60s"},
            "api": {"tokens": [{"name": "admin", "scope": "admin", "token_file": str(self.directory / "admin")}]},
            "sources": {
                "sqs": {**queue, "endpoint_url": self.moto.url},
                "alertmanager": {"token_file": str(self.directory / "token"), "clusters": [CLUSTER]},
            },
            "cloudwatch": {"regions": [REGION], "endpoint_url": self.moto.url},
            "ecs": {"region": REGION, "services": [f"{CLUSTER}/{NAME}"], "endpoint_url": self.server.url},
            "aws": {"endpoint_url": self.server.url},
            "pagerduty": {"routing_key_file": str(self.directory / "key"), "events_url": self.pagerduty.url},
            **changes,
        }
        (self.directory / "config.json").write_text(json.dumps(settings, indent=1))

    # --- what a test does and asks ---

    async def alarm(self, state: str) -> None:
        """CloudWatch tells the topic."""
        async with self.moto.client("sns") as sns:
            await sns.publish(TopicArn=self.topic, Message=json.dumps(message(ALARM, state)), Subject=f'{state}: "{ALARM}"')

    async def alert(self, labels: Mapping[str, str]) -> None:
        """As Alertmanager tells it."""
        one = {"status": "firing", "labels": labels, "startsAt": datetime.now(UTC).isoformat(), "endsAt": "0001-01-01T00:00:00Z"}
        await self._call("POST", "/webhook/alertmanager", self.token, {"version": "4", "alerts": [one]})

    async def incidents(self) -> list[dict[str, Any]]:
        return list((await self._call("GET", "/api/v1/incidents", self.admin_token))["incidents"])

    async def incident(self, number: int) -> dict[str, Any]:
        """With its timeline, alerts and attempts."""
        found: dict[str, Any] = await self._call("GET", f"/api/v1/incidents/{number}", self.admin_token)
        return found

    async def closed(self, *, within: float = 90) -> dict[str, Any]:
        """The one incident, once it is closed."""

        async def look() -> dict[str, Any] | None:
            found = [each for each in await self.incidents() if not each["open"]]
            return found[0] if found else None

        return await eventually(look, within=within, what="a closed incident", every=0.3)

    async def _call(self, method: str, path: str, token: str, body: object = None) -> Any:
        headers = {"Authorization": f"Bearer {token}"}
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session,
            session.request(method, self.url + path, headers=headers, json=body) as answer,
        ):
            assert answer.status == 200, f"{path}: {answer.status} {await answer.text()}"
            return await answer.json(content_type=None)


def message(name: str, state: str) -> dict[str, Any]:
    """As CloudWatch tells SNS of a metric alarm on the service."""
    dimensions = [{"name": key, "value": value} for key, value in DIMENSIONS.items()]
    return {
        "AlarmName": name,
        "AlarmArn": ALARM_ARN + name,
        "AWSAccountId": ACCOUNT,
        "NewStateValue": state,
        "OldStateValue": "OK" if state == "ALARM" else "ALARM",
        "NewStateReason": "Threshold Crossed: 1 datapoint was less than the threshold",
        "StateChangeTime": datetime.now(UTC).isoformat(),
        "Trigger": {"MetricName": "RunningTaskCount", "Namespace": "ECS/ContainerInsights", "Dimensions": dimensions},
    }
