"""What a person wants to read first of an ECS service: its tasks and why they stopped, events, deployments, targets, instances, metrics.

Law: as of `kubernetes.py`: each piece by itself, those that rest on the same answer share it. Only a service of the allow-list is looked
at. Everything that AWS answers is hostile text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from receiver.clients.ecs import PLATFORM, Ecs, Object, ServiceAt, short, utc
from receiver.core.dedup import hint
from receiver.observe.evidence.instances import check_lines
from receiver.observe.evidence.pieces import NotThere, Once, sparkline
from receiver.observe.lines import age
from receiver.ports import Clock, Inquiry, Permission, Piece

AWS = "aws"
EVENTS, TASKS, DEPLOYMENTS, TARGETS, INSTANCES = 20, 10, 5, 10, 20
WINDOW, PERIOD = timedelta(hours=1), timedelta(seconds=60)
"""Of metrics: an hour at a minute each, as the runbooks read them."""
METRICS = ("CPUUtilization", "MemoryUtilization")
"""https://docs.aws.amazon.com/AmazonECS/latest/developerguide/available-metrics.html, percent of what is reserved."""
_EPOCH = datetime.fromtimestamp(0, UTC)


class EcsEvidence:
    """Collects for the service that an incident is bound to."""

    name = "ecs.evidence"
    permissions: tuple[Permission, ...] = (
        Permission(AWS, "ecs", "service", ("DescribeServices", "ListServiceDeployments")),
        Permission(AWS, "ecs", "task", ("DescribeTasks",)),
        Permission(AWS, "ecs", "container-instance", ("ListTasks", "DescribeContainerInstances")),
        Permission(AWS, "elasticloadbalancing", "*", ("DescribeTargetHealth",)),
        Permission(AWS, "ec2", "*", ("DescribeInstanceStatus",)),
        Permission(AWS, "cloudwatch", "*", ("GetMetricData",)),
    )

    def __init__(self, ecs: Ecs, clock: Clock) -> None:
        self._ecs = ecs
        self._clock = clock

    def pieces(self, inquiry: Inquiry) -> Mapping[str, Piece]:
        """As Collector."""
        at = meant(self._ecs, inquiry)
        if not isinstance(at, ServiceAt):
            return {"tasks": not_asked(f"{at}; nor were events, revisions, targets, instances and metrics")} if at else {}
        ecs = self._ecs
        page = _Page(ecs, at, self._clock, Once(lambda: ecs.service(at)), Once(lambda: ecs.tasks(at)))
        return {
            "tasks": page.stopped,
            "events": page.events,
            "revisions": page.deployments,
            "targets": page.targets,
            "instances": page.instances,
            "metrics": page.metrics,
        }


def meant(ecs: Ecs, inquiry: Inquiry) -> ServiceAt | str | None:
    """The one of the allow-list that the incident is bound to; a text: it is about a service, and this is why it cannot be asked about."""
    target = inquiry.target
    if target is None:
        told = next((each for one in inquiry.alerts if (each := hint(one.labels)).platform == PLATFORM), None)
        why = inquiry.unbound or "no look has found it yet"
        return f"the service {told.namespace}/{told.name} could not be resolved ({why})" if told is not None else None
    if target.ref.platform != PLATFORM:
        return None
    found = ecs.of_uid(target.ref.namespace, target.ref.name, target.uid)
    return found or f"the service {target.ref.namespace}/{target.ref.name} is not among ecs.services"


def not_asked(why: str) -> Piece:
    """A piece that is missing for this reason."""

    async def missing() -> Sequence[str]:
        raise NotThere(f"not asked: {why}")

    return missing


@dataclass(frozen=True, slots=True)
class _Page:
    """The pieces of one page."""

    ecs: Ecs
    at: ServiceAt
    clock: Clock
    service: Once[Object]
    running: Once[list[Object]]

    async def stopped(self) -> Sequence[str]:
        """How many run, and why the newest stopped. ECS keeps stopped tasks for about an hour."""
        service, found, now = await self.service(), await self.ecs.tasks(self.at, stopped=True), self.clock.now()
        counts = ", ".join(f"{service.get(f'{each}Count', '?')} {each}" for each in ("desired", "running", "pending"))
        newest = sorted(found, key=lambda each: utc(each.get("stoppedAt")) or _EPOCH, reverse=True)
        lines = [_stopped(each, now) for each in newest[:TASKS]]
        return [counts, *lines, *([f"and {len(found) - TASKS} more that stopped"] if len(found) > TASKS else [])]

    async def events(self) -> Sequence[str]:
        """The newest first."""
        found, now = list((await self.service()).get("events") or ()), self.clock.now()
        ordered = sorted(found, key=lambda each: utc(each.get("createdAt")) or _EPOCH, reverse=True)
        return [f"{age(utc(each.get('createdAt')) or _EPOCH, now)} ago {each.get('message')}" for each in ordered[:EVENTS]]

    async def deployments(self) -> Sequence[str]:
        """Those under way or standing, and the newest of the history."""
        service, history, now = await self.service(), await self.ecs.history(self.at), self.clock.now()
        standing = [_deployment(each, now) for each in service.get("deployments") or ()]
        past = [f"{age(utc(each.get('createdAt')) or _EPOCH, now)} ago {each.get('status')}" for each in history[:DEPLOYMENTS]]
        return [*standing, *([f"service deployments, newest first: {', '.join(past)}"] if past else [])]

    async def targets(self) -> Sequence[str]:
        """Health as the load balancers see it."""
        groups = [str(each["targetGroupArn"]) for each in (await self.service()).get("loadBalancers") or () if each.get("targetGroupArn")]
        lines: list[str] = []
        for group in dict.fromkeys(groups):
            lines += _targets(group, await self.ecs.target_health(self.at, group))
        return lines or ["no target group before it"]

    async def instances(self) -> Sequence[str]:
        """EC2's status checks of the instances that its tasks run on."""
        arns = list(dict.fromkeys(str(each["containerInstanceArn"]) for each in await self.running() if each.get("containerInstanceArn")))
        if not arns:
            return ["its tasks run on no instances of ours (Fargate)"]
        asked = {"cluster": self.at.cluster, "containerInstances": arns[:INSTANCES]}
        held = (await self.ecs.ask(self.at, "ecs", "describe_container_instances", asked)).get("containerInstances") or ()
        ids = [str(each["ec2InstanceId"]) for each in held if each.get("ec2InstanceId")]
        checked = {"InstanceIds": ids, "IncludeAllInstances": True}
        found = (await self.ecs.ask(self.at, "ec2", "describe_instance_status", checked)).get("InstanceStatuses") or () if ids else ()
        return check_lines(found, len(ids))

    async def metrics(self) -> Sequence[str]:
        """An hour of each, oldest first."""
        now = self.clock.now()
        names = {f"m{number}": name for number, name in enumerate(METRICS)}
        asked = {
            "MetricDataQueries": [self._query(id_, name) for id_, name in names.items()],
            "StartTime": now - WINDOW,
            "EndTime": now,
            "ScanBy": "TimestampAscending",
        }
        found = (await self.ecs.ask(self.at, "cloudwatch", "get_metric_data", asked)).get("MetricDataResults") or ()
        return [_metric(names.get(str(each.get("Id")), "?"), each) for each in found]

    def _query(self, id_: str, name: str) -> Mapping[str, object]:
        dimensions = [{"Name": "ClusterName", "Value": self.at.cluster}, {"Name": "ServiceName", "Value": self.at.name}]
        metric = {"Namespace": "AWS/ECS", "MetricName": name, "Dimensions": dimensions}
        return {"Id": id_, "MetricStat": {"Metric": metric, "Period": int(PERIOD.total_seconds()), "Stat": "Average"}}


def _stopped(task: Object, now: datetime) -> str:
    ended = [
        f"{each.get('name')} exit {each.get('exitCode', '?')}{f' ({reason})' if (reason := each.get('reason')) else ''}"
        for each in task.get("containers") or ()
    ]
    head = f"stopped {age(utc(task.get('stoppedAt')) or _EPOCH, now)} ago, {short(str(task.get('taskDefinitionArn', '')))}"
    return f"{head}, {task.get('stopCode', '?')}: {task.get('stoppedReason', '?')}; {', '.join(ended)}"


def _deployment(found: Object, now: datetime) -> str:
    counts = f"{found.get('runningCount', 0)} of {found.get('desiredCount', 0)} running, {found.get('failedTasks', 0)} failed"
    made = age(utc(found.get("createdAt")) or _EPOCH, now)
    why = f" ({found['rolloutStateReason']})" if found.get("rolloutStateReason") else ""
    what = short(str(found.get("taskDefinition", "")))
    return f"{found.get('status')} {what}, made {made} ago, {found.get('rolloutState', '?')}{why}, {counts}"


def _targets(group: str, found: Sequence[Object]) -> list[str]:
    name = (group.split("/")[1:2] or [group])[0]
    sick = [each for each in found if (each.get("TargetHealth") or {}).get("State") != "healthy"]
    return [f"{name}: {len(found) - len(sick)} of {len(found)} healthy", *(_target(each) for each in sick[:TARGETS])]


def _target(found: Object) -> str:
    where, health = found.get("Target") or {}, found.get("TargetHealth") or {}
    return (
        f"{where.get('Id')}:{where.get('Port')} {health.get('State')}: {health.get('Reason', '')} {health.get('Description', '')}".strip()
    )


def _metric(name: str, found: Object) -> str:
    values = [float(each) for each in found.get("Values") or ()]
    if not values:
        return f"{name}: no data in the last hour ({found.get('StatusCode', '?')})"
    return f"{name}: {sparkline(values)} now {values[-1]:.1f} %, {min(values):.1f} to {max(values):.1f} % in the last hour"
