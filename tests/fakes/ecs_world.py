"""Amazon ECS as a value: services, deployments, task definitions, target groups. Time stands still; `tick` moves every rollout by one step.

What it says and refuses is after the API reference (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/) and `remediation.md` 6. A
rollout takes two ticks: tasks start, then old ones go. A task definition in `broken` never runs: each tick one more of its tasks fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any

Object = dict[str, Any]

ACCOUNT, REGION = "111122223333", "eu-west-1"
ENOUGH_FAILED = 3
"""Of `min(max(3, 0.5 x desired), 200)`: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-circuit-breaker.html"""


class EcsError(Exception):
    """What the API answers instead."""

    def __init__(self, code: str, message: str = "", *, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.status = code, status


@dataclass
class Deployment:
    """One of a service's `deployments`, and the service deployment behind it."""

    id: str
    arn: str
    revision: str
    """ARN of its service revision."""
    task_definition: str
    created_at: datetime
    source: str = ""
    """ARN of the service revision before."""
    status: str = "IN_PROGRESS"
    """Of the service deployment."""
    finished_at: datetime | None = None
    running: int = 0
    failed: int = 0
    rollback: bool = False
    """Part of the service deployment `arn`, which is being rolled back: it has none of its own."""


@dataclass
class Task:
    """A task of a service."""

    arn: str
    deployment: str
    task_definition: str
    created_at: datetime
    stopped: bool = False
    exit_code: int | None = None
    reason: str = ""


@dataclass
class Service:
    """A service; its newest deployment is the PRIMARY one."""

    name: str
    cluster: str
    arn: str
    created_at: datetime
    desired: int
    past: list[Deployment] = field(default_factory=list)
    """Oldest first; the last is PRIMARY."""
    tasks: list[Task] = field(default_factory=list)
    status: str = "ACTIVE"
    controller: str = "ECS"
    strategy: str = "ROLLING"
    scheduling: str = "REPLICA"
    breaker: bool = False
    """The circuit breaker, with rollback."""
    tags: dict[str, str] = field(default_factory=lambda: {"remediator": "enabled"})
    target_group: str = ""
    events: list[tuple[datetime, str]] = field(default_factory=list)

    @property
    def primary(self) -> Deployment:
        return self.past[-1]

    @property
    def history(self) -> list[Deployment]:
        """Its service deployments, oldest first. A rollback is none of its own, it is what becomes of the one that failed:
        https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Rollback.html"""
        return [each for each in self.past if not each.rollback]

    @property
    def running(self) -> int:
        return sum(each.running for each in self.past)


class EcsWorld:
    """One account and region."""

    def __init__(self, now: Callable[[], datetime], *, account: str = ACCOUNT, region: str = REGION) -> None:
        self.now = now
        self.account, self.region = account, region
        self.services: dict[tuple[str, str], Service] = {}
        self.definitions: dict[str, Object] = {}
        self.digests: dict[str, str] = {}
        """Image → what its tag points at just now."""
        self.pinned: dict[str, str] = {}
        """Service revision → digest."""
        self.broken: set[str] = set()
        self.scalable: list[Object] = []
        self.sick_targets: dict[str, int] = {}
        """Target group → how many of its targets are unhealthy."""
        self._numbers: Iterator[int] = count(9223370485812826009)
        self._short: Iterator[int] = count(1)

    # --- setting the scene

    def register(self, family: str, image: str, **more: Any) -> str:
        """A new revision; its ARN."""
        revision = 1 + sum(1 for each in self.definitions.values() if each["family"] == family)
        arn = f"arn:aws:ecs:{self.region}:{self.account}:task-definition/{family}:{revision}"
        container = {"name": "app", "image": image, "cpu": 256, "memory": 512, "essential": True, "environment": [], **more}
        self.definitions[arn] = {
            "taskDefinitionArn": arn,
            "family": family,
            "revision": revision,
            "status": "ACTIVE",
            "containerDefinitions": [container],
        }
        self.digests.setdefault(image, f"sha256:{image.encode().hex():0<64.64}")
        return arn

    def create(self, cluster: str, name: str, task_definition: str, *, desired: int = 2, **more: Any) -> Service:
        """A service whose first deployment is complete."""
        arn = f"arn:aws:ecs:{self.region}:{self.account}:service/{cluster}/{name}"
        service = Service(name, cluster, arn, self.now(), desired, **more)
        self.services[cluster, name] = service
        self._deploy(service, task_definition)
        self.finish(service)
        return service

    def deploy(self, service: Service, task_definition: str, *, finish: bool = True) -> Deployment:
        """As a pipeline does."""
        made = self._deploy(service, task_definition)
        if finish:
            self.finish(service)
        return made

    def finish(self, service: Service) -> None:
        """Its rollout, as if time had passed; where it never ends, some ticks of it."""
        for _ in range(6):
            self.tick()
            if service.primary.status != "IN_PROGRESS":
                break

    # --- time

    def tick(self) -> None:
        """One step of every rollout."""
        for service in self.services.values():
            if service.status == "ACTIVE":
                self._step(service)

    def _step(self, service: Service) -> None:
        primary = service.primary
        if primary.task_definition in self.broken:
            self._fail_one(service, primary)
            return
        primary.failed = 0
        if primary.running != service.desired:
            self._set_running(service, primary, service.desired)
            return
        for old in service.past[:-1]:
            self._set_running(service, old, 0)
        if primary.status in ("IN_PROGRESS", "ROLLBACK_IN_PROGRESS"):
            primary.status, primary.finished_at = "SUCCESSFUL", self.now()
            for each in service.past[:-1]:
                if each.status == "ROLLBACK_IN_PROGRESS":
                    each.status, each.finished_at = "ROLLBACK_SUCCESSFUL", self.now()
            service.events.append((self.now(), f"(service {service.name}) has reached a steady state."))

    def _fail_one(self, service: Service, primary: Deployment) -> None:
        self._set_running(service, primary, 0)
        primary.failed += 1
        service.tasks.append(
            Task(self._arn("task", service), primary.id, primary.task_definition, self.now(), stopped=True, exit_code=1, reason=CRASHED)
        )
        if service.breaker and primary.failed >= ENOUGH_FAILED and primary.status == "IN_PROGRESS":
            primary.status = "ROLLBACK_IN_PROGRESS"
            self._return(service, primary)

    def _set_running(self, service: Service, deployment: Deployment, wanted: int) -> None:
        mine = [each for each in service.tasks if each.deployment == deployment.id and not each.stopped]
        for each in mine[wanted:]:
            each.stopped, each.exit_code, each.reason = True, 143, "Scaling activity initiated by (deployment)"
        for _ in range(wanted - len(mine)):
            service.tasks.append(Task(self._arn("task", service), deployment.id, deployment.task_definition, self.now()))
        deployment.running = wanted

    def _return(self, service: Service, bad: Deployment) -> None:
        source = next((each for each in reversed(service.past) if each.revision == bad.source), None)
        if source is None:
            raise EcsError("InvalidParameterException", "There is no previous service revision to roll back to.")
        again = self._deploy(service, source.task_definition, revision=source.revision)
        again.arn, again.rollback = bad.arn, True

    def _deploy(self, service: Service, task_definition: str, *, revision: str = "") -> Deployment:
        source = next((each.revision for each in reversed(service.past) if each.status == "SUCCESSFUL"), "")
        for each in service.past:
            if each.status == "IN_PROGRESS":
                each.status, each.finished_at = "STOPPED", self.now()
        made = Deployment(
            id=f"ecs-svc/{next(self._numbers)}",
            arn=self._arn("service-deployment", service),
            revision=revision or self._arn("service-revision", service),
            task_definition=task_definition,
            created_at=self.now(),
            source=source,
        )
        image = self.definitions[task_definition]["containerDefinitions"][0]["image"]
        self.pinned.setdefault(made.revision, self.digests[image])
        service.past.append(made)
        return made

    def _arn(self, what: str, service: Service) -> str:
        path = (
            f"{service.cluster}/{next(self._short):032x}"
            if what == "task"
            else f"{service.cluster}/{service.name}/{next(self._short):016d}"
        )
        return f"arn:aws:ecs:{self.region}:{self.account}:{what}/{path}"

    # --- the API

    def service(self, cluster: str, name: str) -> Service:
        """By name or ARN; raises as the changing operations do."""
        cluster = cluster.rpartition("/")[2]
        if not any(each == cluster for each, _ in self.services):
            raise EcsError("ClusterNotFoundException", "Cluster not found.")
        found = self.services.get((cluster, name.rpartition("/")[2]))
        if found is None:
            raise EcsError("ServiceNotFoundException", "Service not found.")
        return found

    def update(self, asked: Object) -> Object:
        """UpdateService: a count alone makes no deployment."""
        service = self.service(asked.get("cluster", "default"), asked["service"])
        if service.status != "ACTIVE":
            raise EcsError("ServiceNotActiveException", "Service was not ACTIVE.")
        deploys = "taskDefinition" in asked or asked.get("forceNewDeployment", False)
        if deploys and service.controller != "ECS":
            raise EcsError(
                "InvalidParameterException", f"Unable to update task definition on services with a {service.controller} controller"
            )
        wanted = self._definition(asked["taskDefinition"]) if "taskDefinition" in asked else service.primary.task_definition
        if self.definitions[wanted]["status"] != "ACTIVE":
            raise EcsError("ClientException", "TaskDefinition is inactive")
        if "desiredCount" in asked:
            service.desired = asked["desiredCount"]
        if asked.get("forceNewDeployment") or wanted != service.primary.task_definition:
            self._deploy(service, wanted)
        return {"service": self.told(service)}

    def stop(self, asked: Object) -> Object:
        """StopServiceDeployment; only ROLLBACK is built."""
        arn = asked["serviceDeploymentArn"]
        for service in self.services.values():
            found = next((each for each in service.history if each.arn == arn), None)
            if found is None:
                continue
            if found.status != "IN_PROGRESS" or asked.get("stopType", "ROLLBACK") != "ROLLBACK":
                raise EcsError("ConflictException", f"The service deployment is {found.status}.")
            found.status = "ROLLBACK_IN_PROGRESS"
            self._return(service, found)
            return {"serviceDeploymentArn": arn}
        raise EcsError("ServiceDeploymentNotFoundException", "Service deployment not found.")

    def _definition(self, named: str) -> str:
        arn = named if named.startswith("arn:") else f"arn:aws:ecs:{self.region}:{self.account}:task-definition/{named}"
        if arn not in self.definitions:
            raise EcsError("ClientException", "Unable to describe task definition.")
        return arn

    def definition(self, named: str) -> Object:
        """DescribeTaskDefinition."""
        return {"taskDefinition": self.definitions[self._definition(named)]}

    def told(self, service: Service) -> Object:
        """As DescribeServices has it."""
        shown = [each for each in service.past[:-1] if each.running] if service.controller == "ECS" else []
        deployments = [self._told_deployment(service, each) for each in (*shown, service.primary)]
        deployments.reverse()
        balancers = [{"targetGroupArn": service.target_group, "containerName": "app", "containerPort": 80}] if service.target_group else []
        return {
            "serviceArn": service.arn,
            "serviceName": service.name,
            "clusterArn": f"arn:aws:ecs:{self.region}:{self.account}:cluster/{service.cluster}",
            "status": service.status,
            "desiredCount": service.desired,
            "runningCount": service.running,
            "pendingCount": max(0, service.desired - service.running),
            "launchType": "FARGATE",
            "loadBalancers": balancers,
            "taskDefinition": service.primary.task_definition,
            "deploymentConfiguration": {
                "deploymentCircuitBreaker": {"enable": service.breaker, "rollback": service.breaker},
                "maximumPercent": 200,
                "minimumHealthyPercent": 100,
                "strategy": service.strategy,
            },
            "deployments": deployments,
            "events": [{"id": str(n), "createdAt": at, "message": said} for n, (at, said) in reversed(list(enumerate(service.events)))],
            "createdAt": service.created_at,
            "schedulingStrategy": service.scheduling,
            "deploymentController": {"type": service.controller},
        }

    def _told_deployment(self, service: Service, each: Deployment) -> Object:
        primary = each is service.primary
        failed = "ROLLBACK" in each.status or (primary and each.status == "STOPPED")
        state = "COMPLETED" if each.status == "SUCCESSFUL" else "FAILED" if failed else "IN_PROGRESS"
        told: Object = {
            "id": each.id,
            "status": "PRIMARY" if primary else "ACTIVE",
            "taskDefinition": each.task_definition,
            "desiredCount": service.desired if primary else 0,
            "pendingCount": max(0, service.desired - each.running) if primary else 0,
            "runningCount": each.running,
            "failedTasks": each.failed,
            "createdAt": each.created_at,
            "updatedAt": each.created_at,
        }
        return told | (
            {"rolloutState": state, "rolloutStateReason": f"ECS deployment {each.id} {state}"} if service.controller == "ECS" else {}
        )

    def old(self, service: Service, by: timedelta) -> None:
        """All that there is of it was made so much earlier."""
        service.created_at -= by
        for each in service.past:
            each.created_at -= by
            each.finished_at = each.finished_at and each.finished_at - by
        for task in service.tasks:
            task.created_at -= by


CRASHED = "Essential container in task exited"
