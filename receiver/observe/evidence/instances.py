"""EC2's status checks of instances, in lines. Shared by the evidence of services and of alarms; what asks for them is theirs."""

from __future__ import annotations

from collections.abc import Sequence

from receiver.clients.ecs import Object


def check_lines(found: Sequence[Object], asked: int) -> list[str]:
    """How many pass, and each that does not."""
    sick = [each for each in found if not _well(each)]
    lines = [f"{each.get('InstanceId')}: {_checks(each)}" for each in sick]
    silent = asked - len(found)
    gone = [f"{silent} instances are not known to EC2 any more"] if silent > 0 else []
    return [f"{len(found) - len(sick)} of {asked} instances pass their status checks", *lines, *gone]


def _well(found: Object) -> bool:
    return all((found.get(each) or {}).get("Status") == "ok" for each in ("InstanceStatus", "SystemStatus"))


def _checks(found: Object) -> str:
    state = (found.get("InstanceState") or {}).get("Name", "?")
    instance, system = ((found.get(each) or {}).get("Status", "?") for each in ("InstanceStatus", "SystemStatus"))
    events = "; ".join(str(each.get("Description")) for each in found.get("Events") or ())
    return f"{state}, instance {instance}, system {system}{f', {events}' if events else ''}"
