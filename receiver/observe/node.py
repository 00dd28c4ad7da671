"""A live node as facts: its conditions, whose cordon it is, and what the cluster could bear. Only where nodes may be read.

Law: as for workloads: complete or not at all. Pods that wait are counted in the namespaces that we may read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from receiver.clients.errors import ClientError, plain
from receiver.clients.kubernetes_objects import Object, attempt_marks, cordoned_by, resource_version, uid, unschedulable
from receiver.core.case import Verb
from receiver.core.facts import Danger, Facts, Hazard, Look, Node, Trouble, Want
from receiver.observe import nodes, pods
from receiver.observe.live import PENDING
from receiver.observe.ownership import newest_of_node
from receiver.observe.reader import PLATFORM, Reader, together, trouble_of
from receiver.observe.readings import Readings
from receiver.observe.resolve import NODE
from receiver.observe.scope import Scope
from receiver.ports import Permission

CORDON, UNCORDON = Verb.cordon.value, Verb.uncordon.value


class NodeObserver:
    """Fills `node`, or `trouble`."""

    name = "kubernetes.node"
    permissions: tuple[Permission, ...] = (
        Permission(PLATFORM, "", "nodes", ("get", "list")),
        Permission(PLATFORM, "", "pods", ("list",)),
    )

    def __init__(self, readings: Readings, scope: Scope, *, health: Callable[[], str] | None = None) -> None:
        self._readings = readings
        self._scope = scope
        self._health = health or (lambda: "")

    async def look(self, look: Look, facts: Facts) -> Facts:
        """Needs the target that the observer before it found."""
        target = facts.target
        if target is None or target.ref.platform != PLATFORM or target.ref.kind != NODE or Want.workload not in look.wants:
            return facts
        sick = self._health()
        if sick:
            return replace(facts, trouble=Trouble.api_unhealthy, trouble_detail=plain(sick))
        reader = self._readings.resume(look, facts.at)
        self._readings.renew(NODE, "")  # how many may be cordoned rests on it
        try:
            node = await reader.get(NODE, "", target.ref.name)
            cluster = await reader.list(NODE, "")
            waiting = await self._waiting(reader)
        except ClientError as error:
            return replace(facts, trouble=trouble_of(error), trouble_detail=error.text)
        sick = self._health()
        if sick:  # what was just read may be old
            return replace(facts, trouble=Trouble.api_unhealthy, trouble_detail=plain(sick))
        if uid(node) != target.uid:
            return replace(facts, trouble=Trouble.replaced, trouble_detail=f"{target.ref.key} is another object now")
        return replace(facts, node=describe(node, cluster, waiting, at=facts.at))

    async def _waiting(self, reader: Reader) -> int:
        lists = await together(*(reader.list("Pod", each, field_selector=PENDING) for each in sorted(self._scope.namespaces)))
        return sum(pods.living(each) and pods.unschedulable(each) for found in lists for each in found)


def describe(node: Object, cluster: Sequence[Object], waiting: int, *, at: datetime) -> Node:
    """The facts of one reading."""
    all_nodes = [node, *(each for each in cluster if uid(each) != uid(node))]
    return Node(
        resource_version=resource_version(node),
        ready=nodes.ready(node),
        unschedulable=unschedulable(node),
        ours=bool(cordoned_by(node)),
        detail=plain(nodes.against(node, at)),
        control_plane=nodes.control_plane(node),
        nodes=len(all_nodes),
        schedulable=sum(nodes.ready(each) and not unschedulable(each) for each in all_nodes),
        cordoned=sum(map(unschedulable, all_nodes)),
        pending=waiting,
        versions=nodes.versions(all_nodes),
        marks=attempt_marks(node),
        foreign=newest_of_node(node),
        dangers=tuple(_dangers(all_nodes)),
    )


def _dangers(all_nodes: Sequence[Object]) -> Iterator[Danger]:
    moving = nodes.in_motion(all_nodes)
    if moving:
        yield Danger(Hazard.nodes_in_motion, plain(moving), (CORDON, UNCORDON))
