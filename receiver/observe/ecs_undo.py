"""Where a rollback of an ECS service would go, or why there is nothing to go back to (`remediation.md` 6).

Never "the revision before": it may not have run at all. While a deployment is in flight it is stopped, and ECS returns to the revision that
it came from; else the last SUCCESSFUL service deployment of another task definition tells the aim, by its whole ARN. What was gone back to
is never left for something older. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import dropwhile

from receiver.clients.ecs import Object, short
from receiver.core.facts import UndoPlan
from receiver.observe.ecs_reading import IN_FLIGHT, Reading, Step, aim

NOTED = frozenset(
    {
        "taskDefinitionArn",
        "family",
        "revision",
        "status",
        "requiresAttributes",
        "compatibilities",
        "registeredAt",
        "registeredBy",
        "deregisteredAt",
        "deleteRequestedAt",
        "containerDefinitions",
    }
)
"""Of a task definition: its names, what ECS notes or derives, and the containers, which are compared one by one. All the rest is material:
it is what RegisterTaskDefinition was asked for (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_TaskDefinition.html)."""
ORDERED = frozenset({"environmentFiles"})
"""Lists of structures whose order means something: the files are read from the top down, and may name one variable twice."""


def undo_plan(reading: Reading, *, known_good_for: timedelta) -> UndoPlan:
    """A refusal names what is in the way."""
    found = aim(reading)
    refusal = _refusal(reading, found)
    if refusal:
        return UndoPlan(refusal=refusal)
    assert found is not None  # noqa: S101 - refused above
    present, restored = (reading.definitions[each] for each in (str(reading.service["taskDefinition"]), found.task_definition))
    good, because = _known_good(found, reading, known_good_for)
    return UndoPlan(
        revision=short(found.task_definition),
        template_hash=found.task_definition,
        replica_set=reading.history[0].arn if _in_flight(reading) else "",
        known_good=good,
        known_good_because=because,
        differences=differences(present, restored),
    )


def differences(present: Object, restored: Object) -> tuple[str, ...]:
    """As `image app: shop:2 -> shop:1`, `cpu of the task`; a value that may be a secret is not told."""
    before, after = _containers(present), _containers(restored)
    found: list[str] = []
    for name in sorted({*before, *after}):
        one, other = before.get(name, {}), after.get(name, {})
        if one.get("image") != other.get("image"):
            found.append(f"image {name}: {one.get('image', 'none')} -> {other.get('image', 'none')}")
        if one and other:
            found += [f"{key} of {name}" for key in _changed(one, other) if key != "image"]
    return (*found, *(f"{key} of the task" for key in _changed(present, restored) if key not in NOTED))


def _changed(one: Object, other: Object) -> list[str]:
    return [key for key in sorted({*one, *other}) if _meant(key, one.get(key)) != _meant(key, other.get(key))]


def _meant(key: str, value: object) -> object:
    """ECS tells what is unset as empty, and structures in any order."""
    if value is None or value in ("", [], {}):
        return None
    if key not in ORDERED and isinstance(value, list) and all(isinstance(each, Mapping) for each in value):
        return sorted(json.dumps(each, sort_keys=True, default=str) for each in value)
    return value


def _refusal(reading: Reading, found: Step | None) -> str:
    newest = reading.history[0] if reading.history else None
    if newest is None:
        return "ECS tells of no service deployment"
    if newest.status not in IN_FLIGHT and newest.finished_at is None and newest.status != "SUCCESSFUL":
        return f"the newest service deployment is {newest.status}"
    return _gone_back(reading, newest) or _no_way(reading, found)


def _gone_back(reading: Reading, newest: Step) -> str:
    """The present task definition is no new one that could be undone: somebody, or ECS, has gone back to it."""
    present = str(reading.service.get("taskDefinition"))
    if newest.status == "ROLLBACK_SUCCESSFUL":
        return f"the newest service deployment was rolled back: {short(present)} is what ECS went back to"
    if newest.rolled_back:
        return f"the newest service deployment is {newest.status}"
    if newest.task_definition != present:
        return f"nothing shows that the newest service deployment brought {short(present)}"
    earlier = dropwhile(lambda each: each.task_definition == present, reading.history)
    if any((each.task_definition, each.status) == (present, "SUCCESSFUL") for each in earlier):
        return f"{short(present)} had stood before its newest service deployment: that one went back to it"
    return ""


def _no_way(reading: Reading, found: Step | None) -> str:
    if found is None:
        if _in_flight(reading):
            return "the revision that the deployment in flight came from was never deployed successfully"
        return "no successful service deployment had another task definition"
    present = str(reading.service.get("taskDefinition"))
    if found.task_definition == present:
        return f"the deployment in flight is of the task definition that it came from ({short(present)})"
    restored = reading.definitions.get(found.task_definition, {})
    if restored.get("status") != "ACTIVE":
        return f"task definition {short(found.task_definition)} is {restored.get('status', 'gone')}: it cannot be set"
    if not differences(reading.definitions.get(present, {}), restored):
        return f"{short(present)} and {short(found.task_definition)} ask for the same: {_same(reading, found)}"
    return "" if _in_flight(reading) else _moved_tag(reading, found)


def _same(reading: Reading, found: Step) -> str:
    """Two definitions with one moving tag, as `:latest`."""
    now = reading.history[0].digests
    moved = any(now.get(name) != digest for name, digest in found.digests.items())
    return "its tag points at another image now, and going back would not change that" if moved else "there is nothing to go back to"


def _moved_tag(reading: Reading, found: Step) -> str:
    """UpdateService asks the registry anew what a tag points at; ROLLBACK takes the revision that ECS has pinned."""
    now = reading.history[0].digests
    before = _containers(reading.definitions.get(str(reading.service.get("taskDefinition")), {}))
    wanted = _containers(reading.definitions.get(found.task_definition, {}))
    for name in sorted(wanted):
        image = str(wanted[name].get("image"))
        same_tag = before.get(name, {}).get("image") == image and "@" not in image
        if same_tag and now.get(name, "") != found.digests.get(name, ""):
            return (
                f"{image} of {name} points at another image now, and {short(found.task_definition)} asks for it by that tag: "
                "setting it would not bring the old image back"
            )
    return ""


def _known_good(found: Step, reading: Reading, known_good_for: timedelta) -> tuple[bool, str]:
    """It was SUCCESSFUL, and stood for a while before the next one came."""
    later = [each for each in reading.history if each.created_at and found.created_at and each.created_at > found.created_at]
    followed = min((each.created_at for each in later if each.created_at and each.task_definition != found.task_definition), default=None)
    since = _stood_since(found, reading)
    if since is None or followed is None:
        return False, "nothing shows how long it stood"
    stood = followed - since
    told = f"service deployment {found.arn.rpartition('/')[2]} was SUCCESSFUL and stood for {int(stood.total_seconds() // 60)} min"
    return stood >= known_good_for, told


def _stood_since(found: Step, reading: Reading) -> datetime | None:
    """When it was first complete: deployments that only replaced its tasks count with it."""
    since = found.finished_at
    for each in reading.history[reading.history.index(found) :]:
        if (each.task_definition, each.status) != (found.task_definition, "SUCCESSFUL"):
            break
        since = each.finished_at or since
    return since


def _in_flight(reading: Reading) -> bool:
    return bool(reading.history) and reading.history[0].status in IN_FLIGHT


def _containers(definition: Object) -> Mapping[str, Object]:
    return {str(each.get("name")): each for each in definition.get("containerDefinitions") or ()}
