"""How many tasks of a service a target group calls healthy. Pure.

A group may have targets of other services too: theirs say nothing of ours. A task with an address of its own (network mode awsvpc) is found
among the targets by it. Where nothing tells whose a target is (EC2 instances), each unhealthy one may be ours and is counted against us.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from receiver.clients.ecs import Object

ATTACHED = "privateIPv4Address"
"""Of a task's network interface: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Attachment.html"""
OF_CONTAINERS = ("privateIpv4Address", "ipv6Address")
"""https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_NetworkInterface.html"""


def healthy(targets: Sequence[Object], tasks: Sequence[Object], *, running: int) -> int:
    """Of `running` tasks. `tasks`: those that were read."""
    placed = [addresses(each) for each in tasks if each.get("lastStatus") == "RUNNING"]
    if len(placed) >= running and all(placed) and not any(_host(each).startswith("i-") for each in targets):
        return sum(1 for each in placed if _well(target for target in targets if _host(target) in each))
    well, unwell = (sum(1 for each in targets if _state(each) == state) for state in ("healthy", "unhealthy"))
    return max(0, min(well, running - unwell))


def addresses(task: Object) -> frozenset[str]:
    """Its own."""
    attached = [told for each in task.get("attachments") or () for told in each.get("details") or ()]
    found = {str(each.get("value")) for each in attached if each.get("name") == ATTACHED}
    for each in task.get("containers") or ():
        for interface in each.get("networkInterfaces") or ():
            found |= {str(interface[name]) for name in OF_CONTAINERS if interface.get(name)}
    return frozenset(found)


def _well(targets: Iterable[Object]) -> bool:
    """A task may be there with several ports."""
    states = {_state(each) for each in targets}
    return "healthy" in states and "unhealthy" not in states


def _host(target: Object) -> str:
    return str((target.get("Target") or {}).get("Id") or "")


def _state(target: Object) -> str:
    return str((target.get("TargetHealth") or {}).get("State") or "")
