"""One reading of an ECS service and what stands around it: raw, complete or not at all. The service itself was read first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from receiver.clients.ecs import Ecs, Object, ServiceAt, utc

BEHIND = 10
"""Service deployments whose revisions are asked for: further back nothing is known good any more."""
IN_FLIGHT = frozenset({"PENDING", "IN_PROGRESS"})
ROLLING_BACK = frozenset({"ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS"})


@dataclass(frozen=True, slots=True)
class Step:
    """One service deployment, and what it was to bring."""

    arn: str
    status: str
    created_at: datetime | None
    finished_at: datetime | None
    revision: str
    """ARN of its service revision."""
    task_definition: str
    """ARN; empty when the revision is gone."""
    digests: Mapping[str, str] = field(default_factory=dict)
    """Container → digest of the image that the revision is pinned to."""

    @property
    def rolled_back(self) -> bool:
        """Or is being, or should have been. No service deployment of its own tells of that: what stood before it stands again."""
        return self.status.startswith("ROLLBACK_")


@dataclass(frozen=True, slots=True)
class Reading:
    """Raw answers, and the history joined from two of them."""

    service: Object
    targets: Mapping[str, Sequence[Object]] = field(default_factory=dict)
    """Target group → health of its targets."""
    running: Sequence[Object] = ()
    stopped: Sequence[Object] = ()
    scalable: Sequence[Object] = ()
    history: Sequence[Step] = ()
    """Newest first."""
    source: str = ""
    """ARN of the revision that the deployment in flight came from."""
    definitions: Mapping[str, Object] = field(default_factory=dict)
    """ARN → task definition: the present one, and the one that an undo would restore."""


async def read_light(ecs: Ecs, at: ServiceAt, service: Object) -> Reading:
    """The service and the health of its targets; where it has some, its tasks as well: they tell which targets are its own."""
    targets = await _targets(ecs, at, service)
    return Reading(service=service, targets=targets, running=await ecs.tasks(at) if targets else ())


async def read_all(ecs: Ecs, at: ServiceAt, service: Object) -> Reading:
    """Everything that a permit may depend on."""
    targets = await _targets(ecs, at, service)
    scalable = await ecs.scalable(at)
    history, source = await _history(ecs, at)
    present = str(service.get("taskDefinition") or "")
    wanted = [present, _aim(history, source, present)]
    return Reading(
        service=service,
        targets=targets,
        running=await ecs.tasks(at),
        stopped=await ecs.tasks(at, stopped=True),
        scalable=scalable,
        history=history,
        source=source,
        definitions={each: await ecs.definition(at, each) for each in dict.fromkeys(wanted) if each},
    )


def aim(reading: Reading) -> Step | None:
    """The step that an undo would go back to: where one is in flight the one it came from, else the last SUCCESSFUL one of another
    task definition. After a rollback none: it was the undo."""
    return _aim_step(reading.history, reading.source, str(reading.service.get("taskDefinition") or ""))


def _aim_step(history: Sequence[Step], source: str, present: str) -> Step | None:
    good = [each for each in history if each.status == "SUCCESSFUL" and each.task_definition]
    if not history or history[0].rolled_back:
        return None
    if history[0].status in IN_FLIGHT:
        return next((each for each in good if each.revision == source), None)
    return next((each for each in good if each.task_definition != present), None)


def _aim(history: Sequence[Step], source: str, present: str) -> str:
    found = _aim_step(history, source, present)
    return found.task_definition if found is not None else ""


async def _targets(ecs: Ecs, at: ServiceAt, service: Object) -> dict[str, Sequence[Object]]:
    groups = [str(each["targetGroupArn"]) for each in service.get("loadBalancers") or () if each.get("targetGroupArn")]
    return {each: await ecs.target_health(at, each) for each in dict.fromkeys(groups)}


async def _history(ecs: Ecs, at: ServiceAt) -> tuple[list[Step], str]:
    listed = (await ecs.history(at))[:BEHIND]
    source = ""
    if listed and listed[0].get("status") in IN_FLIGHT:
        told = await ecs.deployment(at, str(listed[0].get("serviceDeploymentArn")))
        sources = [str(each.get("arn")) for each in told.get("sourceServiceRevisions") or ()]
        source = sources[0] if len(sources) == 1 else ""
    revisions = await ecs.revisions(at, [str(each.get("targetServiceRevisionArn")) for each in listed])
    return [_step(each, revisions.get(str(each.get("targetServiceRevisionArn")), {})) for each in listed], source


def _step(listed: Object, revision: Object) -> Step:
    images = revision.get("containerImages") or ()
    return Step(
        arn=str(listed.get("serviceDeploymentArn")),
        status=str(listed.get("status")),
        created_at=utc(listed.get("createdAt")),
        finished_at=utc(listed.get("finishedAt")),
        revision=str(listed.get("targetServiceRevisionArn")),
        task_definition=str(revision.get("taskDefinition") or ""),
        digests={str(each.get("containerName")): str(each.get("imageDigest") or "") for each in images},
    )
