"""Amazon ECS as we use it: the services of our allow-list, what stands around each, and the few changes of one.

Law: raw answers in and out, with nothing dropped; a 200 that tells of failures is read here, so that a missing service is `not_found` and
never an empty answer. Only a service of the allow-list is looked at or changed. Used by the ECS observers, evidence and actions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from receiver.clients.aws import Asks, Aws, Place
from receiver.clients.errors import ClientError, ErrorKind

Object = Mapping[str, Any]

PLATFORM, KIND = "ecs", "Service"
"""Of a target."""
_PLAIN = re.compile(r"([A-Za-z0-9_-]{1,255})/([A-Za-z0-9_-]{1,255})", re.ASCII)
_ARN = re.compile(r"arn:aws[a-z-]*:ecs:([a-z0-9-]{1,32}):(\d{12}):service/(?:([A-Za-z0-9_-]{1,255})/)?([A-Za-z0-9_-]{1,255})", re.ASCII)
PAGES = 3
"""Of the history of deployments: three hundred of the last 90 days."""
AT_ONCE = 20
"""Revisions of one question; deployments too: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeServiceRevisions.html"""
TASKS = 100
"""Of one question, and all that are looked at."""


@dataclass(frozen=True, slots=True)
class ServiceAt:
    """A service by name, and where it is."""

    cluster: str
    name: str
    account: str = ""
    """Empty: that of the default credentials."""
    region: str = ""
    """Empty: the configured one."""

    @classmethod
    def parse(cls, text: str, *, region: str = "", account: str = "") -> ServiceAt | None:
        """`cluster/service`, or a service's whole ARN; None when it is neither."""
        if found := _PLAIN.fullmatch(text):
            return cls(found[1], found[2], account, region)
        if (found := _ARN.fullmatch(text)) and found[3]:
            return cls(found[3], found[4], found[2], found[1])
        return None

    @property
    def key(self) -> str:
        """`app-cluster/web`, with account and region where they are told."""
        return f"{self.cluster}/{self.name}" + (f" ({self.account or 'own account'}, {self.region})" if self.account else "")


class Ecs:
    """The services that are ours to look at and to act on."""

    def __init__(self, aws: Aws, services: Iterable[ServiceAt]) -> None:
        self.services = tuple(services)
        self._aws = aws

    def named(self, cluster: str, name: str, *, account: str = "", region: str = "") -> tuple[ServiceAt, ...]:
        """Those of the allow-list that may be meant; an account or region that is told must not be another one."""
        found = tuple(
            each
            for each in self.services
            if (each.cluster, each.name) == (cluster, name)
            and account in ("", each.account or account)
            and region in ("", each.region or self._aws.config.region)
        )
        exactly = tuple(each for each in found if account and each.account == account)
        return exactly or found

    def of_uid(self, cluster: str, name: str, uid: str) -> ServiceAt | None:
        """The one that the uid is of."""
        region, account = place_of(uid)
        found = self.named(cluster, name, account=account, region=region)
        return found[0] if len(found) == 1 else None

    def health(self, at: ServiceAt) -> str:
        """Empty: the API is well."""
        return self._aws.health(self._at(at))

    async def service(self, at: ServiceAt) -> Object:
        """With its tags. ClientError of kind `not_found` when there is none."""
        return _the_one(at, await self._aws.ask(self._at(at), "describe_services", _described(at)))

    async def history(self, at: ServiceAt) -> list[Object]:
        """Its service deployments, newest first."""
        found: list[Object] = []
        more: Mapping[str, object] = {}
        for _ in range(PAGES):
            asked = {"cluster": at.cluster, "service": at.name, "maxResults": 100, **more}
            answer = await self._aws.ask(self._at(at), "list_service_deployments", asked)
            found += answer.get("serviceDeployments") or []
            if not answer.get("nextToken"):
                break
            more = {"nextToken": answer["nextToken"]}
        return sorted(found, key=lambda each: utc(each.get("createdAt")) or datetime.min.replace(tzinfo=UTC), reverse=True)

    async def deployment(self, at: ServiceAt, arn: str) -> Object:
        """One service deployment, with the revisions that it came from."""
        answer = await self._aws.ask(self._at(at), "describe_service_deployments", {"serviceDeploymentArns": [arn]})
        found = answer.get("serviceDeployments") or []
        if not found:
            raise ClientError(ErrorKind.not_found, f"service deployment {arn} does not exist")
        one: Object = found[0]
        return one

    async def revisions(self, at: ServiceAt, arns: Sequence[str]) -> dict[str, Object]:
        """By ARN, at most twenty; what is gone is left out."""
        wanted = list(dict.fromkeys(arns))[:AT_ONCE]
        if not wanted:
            return {}
        answer = await self._aws.ask(self._at(at), "describe_service_revisions", {"serviceRevisionArns": wanted})
        return {str(each.get("serviceRevisionArn")): each for each in answer.get("serviceRevisions") or ()}

    async def definition(self, at: ServiceAt, arn: str) -> Object:
        """A task definition, also one that is INACTIVE."""
        answer = await self._aws.ask(self._at(at), "describe_task_definition", {"taskDefinition": arn})
        found: Object = answer.get("taskDefinition") or {}
        return found

    async def tasks(self, at: ServiceAt, *, stopped: bool = False) -> list[Object]:
        """Its tasks, at most a hundred; stopped ones are kept by ECS for about an hour."""
        status = "STOPPED" if stopped else "RUNNING"
        asked = {"cluster": at.cluster, "serviceName": at.name, "desiredStatus": status, "maxResults": TASKS}
        arns = (await self._aws.ask(self._at(at), "list_tasks", asked)).get("taskArns") or []
        if not arns:
            return []
        answer = await self._aws.ask(self._at(at), "describe_tasks", {"cluster": at.cluster, "tasks": arns})
        return list(answer.get("tasks") or ())

    async def scalable(self, at: ServiceAt) -> list[Object]:
        """What Application Auto Scaling has of its count."""
        asked = {"ServiceNamespace": "ecs", "ResourceIds": [f"service/{at.cluster}/{at.name}"]}
        answer = await self._aws.ask(self._at(at, "application-autoscaling"), "describe_scalable_targets", asked)
        return [each for each in answer.get("ScalableTargets") or () if each.get("ScalableDimension") == "ecs:service:DesiredCount"]

    async def target_health(self, at: ServiceAt, group: str) -> list[Object]:
        """Of every target of a target group."""
        answer = await self._aws.ask(self._at(at, "elbv2"), "describe_target_health", {"TargetGroupArn": group})
        return list(answer.get("TargetHealthDescriptions") or ())

    async def ask(self, at: ServiceAt, service: str, operation: str, asked: Mapping[str, object]) -> Object:
        """A read of what stands around it, in its account and region: `service` as the SDK names it."""
        return await self._aws.ask(self._at(at, service), operation, asked)

    async def change(
        self,
        at: ServiceAt,
        operation: str,
        asked: Mapping[str, object],
        *,
        action_id: str,
        not_after: datetime,
        compare: Callable[[Object], None],
    ) -> Object:
        """One change, sent once; see `Aws.change`. `compare` is given the service as it is when all is ready to leave, and raises
        ClientError when it is not to be changed."""
        if at not in self.services:
            raise ClientError(ErrorKind.held, f"{at.key} is not among ecs.services")

        async def look(ask: Asks) -> None:
            compare(_the_one(at, await ask("describe_services", _described(at))))

        return await self._aws.change(self._at(at), operation, asked, action_id=action_id, not_after=not_after, last_look=look)

    def _at(self, at: ServiceAt, service: str = "ecs") -> Place:
        return Place(service, at.account, at.region)


# --- reading -------------------------------------------------------------------------------------------------------------


def _described(at: ServiceAt) -> Mapping[str, object]:
    return {"cluster": at.cluster, "services": [at.name], "include": ["TAGS"]}


def _the_one(at: ServiceAt, answer: Object) -> Object:
    found = answer.get("services") or []
    if found:
        one: Object = found[0]
        return one
    reasons = ", ".join(str(each.get("reason")) for each in answer.get("failures") or ())
    raise ClientError(ErrorKind.not_found, f"ECS service {at.key} does not exist: {reasons or 'no answer about it'}")


def uid(service: Object) -> str:
    """What tells it from another one that had or will have its name: its ARN and when it was made."""
    made = utc(service.get("createdAt"))
    return f"{service.get('serviceArn', '')}@{made:%Y-%m-%dT%H:%M:%SZ}" if made else str(service.get("serviceArn", ""))


def place_of(found: str) -> tuple[str, str]:
    """Region and account of an ARN or uid; two empty strings when it is none."""
    parts = found.split(":")
    return (parts[3], parts[4]) if len(parts) >= 6 else ("", "")


def utc(moment: object) -> datetime | None:
    """The SDK answers in the zone of the machine."""
    return moment.astimezone(UTC) if isinstance(moment, datetime) else None


def primary(service: Object) -> Object:
    """The PRIMARY deployment; empty where there is none."""
    return next((each for each in service.get("deployments") or () if each.get("status") == "PRIMARY"), {})


def controller(service: Object) -> str:
    """Who deploys it: `ECS`, `CODE_DEPLOY`, `EXTERNAL`."""
    return str((service.get("deploymentController") or {}).get("type") or "ECS")


def strategy(service: Object) -> str:
    """`ROLLING`, or one of the others."""
    return str((service.get("deploymentConfiguration") or {}).get("strategy") or "ROLLING")


def tags(service: Object) -> dict[str, str]:
    """Key to value."""
    return {str(each.get("key")): str(each.get("value", "")) for each in service.get("tags") or ()}


def at_rest(service: Object) -> bool:
    """Exactly one deployment, and it is complete."""
    deployments = list(service.get("deployments") or ())
    return len(deployments) == 1 and deployments[0].get("rolloutState", "COMPLETED") == "COMPLETED"


def short(arn: str) -> str:
    """`web:42` of a task definition's ARN."""
    return arn.rpartition("/")[2]
