"""What a page shows of a node: its conditions, taints and cordon, the pods on it, its newest events. Called by `evidence.py`.

Law: only what `NodeObserver` may read: nodes, and pods and events of the namespaces that are ours. The API server keeps the events about
nodes, which have no namespace, in `default`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from receiver.clients.errors import plain
from receiver.clients.kubernetes_objects import Object, cordoned_by, parse_time, uid, unschedulable
from receiver.core.model import Target
from receiver.observe import nodes
from receiver.observe.lines import STATES, age, event_lines, pod_lines, pod_state
from receiver.observe.reader import Reader, together
from receiver.observe.resolve import NODE

TITLES = ("node", "pods", "events")
CONDITIONS, TAINTS = 8, 10
NAMESPACES = 10
"""One list of pods each."""
OF_NODES = "default"
# client-go tools/record: an event about an object without a namespace is made in metav1.NamespaceDefault.
NOT_OURS = f"not read: a node's events are in namespace {OF_NODES}, which is not among ours"


async def fill_node(
    found: dict[str, tuple[str, ...]], reader: Reader, target: Target, *, namespaces: Collection[str], now: datetime
) -> None:
    """Section by section, so that a time limit keeps those that are done."""
    name = target.ref.name
    node = await reader.get(NODE, "", name)
    same = uid(node) == target.uid
    found["node"] = node_lines(node, now) if same else ("another object has that name now",)
    read = sorted(namespaces)[:NAMESPACES]
    lists = await together(*(reader.list("Pod", each, field_selector=f"spec.nodeName={name}") for each in read))
    on_it = [each for pods in lists for each in pods]
    found["pods"] = (_count(on_it, read, len(namespaces)), *pod_lines(on_it, now, on_node=True))
    found["events"] = await _events(reader, name, now) if OF_NODES in namespaces else (NOT_OURS,)


def node_lines(node: Object, now: datetime) -> tuple[str, ...]:
    """What speaks against it first."""
    conditions = sorted((node.get("status") or {}).get("conditions") or (), key=nodes.sound)
    taints = [_taint(each) for each in (node.get("spec") or {}).get("taints") or ()]
    more = [f"and {len(taints) - TAINTS} more"] if len(taints) > TAINTS else []
    return (
        *(_condition(each, now) for each in conditions[:CONDITIONS]),
        plain(f"taints: {', '.join([*taints[:TAINTS], *more]) or 'none'}"),
        plain(f"{_cordon(node)}, kubelet {', '.join(nodes.versions([node])) or 'unknown'}"),
    )


def _condition(condition: Object, now: datetime) -> str:
    since = parse_time(condition.get("lastTransitionTime"))
    head = f"{condition.get('type')} {condition.get('status')}" + (f" for {age(since, now)}" if since else "")
    why = ", ".join(str(condition[key]) for key in ("reason", "message") if condition.get(key))
    return plain(f"{head}: {why}" if why else head)


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
    return plain(f"{states.total()} in {where}" + (f": {shown}" if shown else ""))


def _telling(state: str) -> int:
    """`ready` before what is not: a count begins with what is well."""
    return -1 if state == "ready" else STATES.index(state)


async def _events(reader: Reader, name: str, now: datetime) -> tuple[str, ...]:
    """By name: a kubelet writes the node's name for its uid."""
    return event_lines(await reader.list("Event", OF_NODES, field_selector=f"involvedObject.kind={NODE},involvedObject.name={name}"), now)
