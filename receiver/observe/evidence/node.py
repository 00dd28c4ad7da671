"""What a page shows of a node: its conditions, taints and cordon, the pods on it, its newest events.

Law: only what `NodeObserver` may read: nodes, and pods and events of the namespaces that are ours. The API server keeps the events about
nodes, which have no namespace, in `default`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from receiver.clients.kubernetes_objects import Object, cordoned_by, parse_time, uid, unschedulable
from receiver.core.model import Target
from receiver.observe import nodes
from receiver.observe.evidence.pieces import NotThere
from receiver.observe.lines import STATES, age, event_lines, pod_lines, pod_state
from receiver.observe.reader import PLATFORM, Reader, together
from receiver.observe.resolve import NODE
from receiver.ports import Clock, Inquiry, Permission, Piece

CONDITIONS, TAINTS = 8, 10
NAMESPACES = 10
"""One list of pods each."""
OF_NODES = "default"
# client-go tools/record: an event about an object without a namespace is made in metav1.NamespaceDefault.
NOT_OURS = f"not read: a node's events are in namespace {OF_NODES}, which is not among ours"


class NodeEvidence:
    """Collects for the node that an incident is bound to."""

    name = "kubernetes.node_evidence"
    permissions: tuple[Permission, ...] = (
        Permission(PLATFORM, "", "nodes", ("get",)),
        Permission(PLATFORM, "", "pods", ("list",)),
        Permission(PLATFORM, "", "events", ("list",)),
    )

    def __init__(self, reader: Reader, clock: Clock, *, namespaces: Collection[str]) -> None:
        """`namespaces`: ours; of its pods and events those in them are shown."""
        self._reader = reader
        self._clock = clock
        self._namespaces = frozenset(namespaces)

    def pieces(self, inquiry: Inquiry) -> Mapping[str, Piece]:
        """As Collector."""
        target = inquiry.target
        if target is None or target.ref.platform != PLATFORM or target.ref.kind != NODE:
            return {}
        return {
            "node": lambda: self._node(target),
            "pods": lambda: self._pods(target.ref.name),
            "events": lambda: self._events(target.ref.name),
        }

    async def _node(self, target: Target) -> Sequence[str]:
        node = await self._reader.get(NODE, "", target.ref.name)
        if uid(node) != target.uid:
            raise NotThere("another object has that name now")
        return node_lines(node, self._clock.now())

    async def _pods(self, node: str) -> Sequence[str]:
        read = sorted(self._namespaces)[:NAMESPACES]
        lists = await together(*(self._reader.list("Pod", each, field_selector=f"spec.nodeName={node}") for each in read))
        on_it = [each for pods in lists for each in pods]
        return (_count(on_it, read, len(self._namespaces)), *pod_lines(on_it, self._clock.now(), on_node=True))

    async def _events(self, node: str) -> Sequence[str]:
        """By name: a kubelet writes the node's name for its uid."""
        if OF_NODES not in self._namespaces:
            raise NotThere(NOT_OURS)
        selector = f"involvedObject.kind={NODE},involvedObject.name={node}"
        return event_lines(await self._reader.list("Event", OF_NODES, field_selector=selector), self._clock.now())


def node_lines(node: Object, now: datetime) -> tuple[str, ...]:
    """What speaks against it first."""
    conditions = sorted((node.get("status") or {}).get("conditions") or (), key=nodes.sound)
    taints = [_taint(each) for each in (node.get("spec") or {}).get("taints") or ()]
    more = [f"and {len(taints) - TAINTS} more"] if len(taints) > TAINTS else []
    return (
        *(_condition(each, now) for each in conditions[:CONDITIONS]),
        f"taints: {', '.join([*taints[:TAINTS], *more]) or 'none'}",
        f"{_cordon(node)}, kubelet {', '.join(nodes.versions([node])) or 'unknown'}",
    )


def _condition(condition: Object, now: datetime) -> str:
    since = parse_time(condition.get("lastTransitionTime"))
    head = f"{condition.get('type')} {condition.get('status')}" + (f" for {age(since, now)}" if since else "")
    why = ", ".join(str(condition[key]) for key in ("reason", "message") if condition.get(key))
    return f"{head}: {why}" if why else head


def _taint(taint: Object) -> str:
    value = f"={taint['value']}" if taint.get("value") else ""
    return f"{taint.get('key')}{value}:{taint.get('effect')}"


def _cordon(node: Object) -> str:
    if not unschedulable(node):
        return "not cordoned"
    ours = cordoned_by(node)
    return f"cordoned by us ({ours})" if ours else "cordoned, not by us"


def _count(pods: Iterable[Object], read: Sequence[str], of: int) -> str:
    states = Counter(map(pod_state, pods))
    shown = ", ".join(f"{states[each]} {each}" for each in sorted(states, key=_telling))
    where = f"namespaces {', '.join(read)}" + (f" and {of - len(read)} that were not read" if of > len(read) else "")
    return f"{states.total()} in {where}" + (f": {shown}" if shown else "")


def _telling(state: str) -> int:
    """`ready` before what is not: a count begins with what is well."""
    return -1 if state == "ready" else STATES.index(state)
