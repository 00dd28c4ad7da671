"""What a page shows of a node: its conditions, taints and cordon, the pods on it, its newest events."""

from __future__ import annotations

from typing import Any

from receiver.clients.errors import ClientError, ErrorKind
from receiver.core.facts import Evidence
from receiver.core.model import Target, TargetRef
from receiver.observe.evidence import EvidenceRunner, NodeEvidence
from tests.fakes.clock import FakeClock
from tests.fakes.kubernetes_reader import FakeReader
from tests.unit.observe.objects import Object, ago, crashing, inquiry, node, pod

TARGET = Target(TargetRef("kubernetes", "default", "", "Node", "n1"), "uid-n1")
TAINT = {"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"}


def on(found: Object, name: str = "n1", *, namespace: str = "shop") -> Object:
    found["spec"]["nodeName"] = name
    found["metadata"]["namespace"] = namespace
    return found


def event(name: str, *, about: str = "n1", seen: str, message: str = "m", **more: Any) -> Object:
    return {
        "kind": "Event", "metadata": {"name": name, "namespace": "default"},
        "involvedObject": {"kind": "Node", "name": about, "uid": about},
        "type": "Warning", "reason": "NodeNotReady", "message": message, "lastTimestamp": seen,
    } | more  # fmt: skip


def sick(*more: Object, **spec: Any) -> FakeReader:
    found = node("n1", ready=False, conditions={"MemoryPressure": "True", "DiskPressure": "False"}, **spec)
    found["status"]["conditions"][0] |= {"reason": "NodeStatusUnknown", "message": "Kubelet stopped posting node status."}
    return FakeReader(found, *more)


async def collected(reader: FakeReader, *namespaces: str) -> dict[str, tuple[str, ...]]:
    evidence = NodeEvidence(reader, FakeClock(), namespaces=namespaces or ("shop", "default"))
    found: dict[str, Evidence] = {}
    await EvidenceRunner([evidence]).collect(inquiry(TARGET), found)
    return {title: each.lines or (each.missing,) for title, each in found.items()}


async def test_what_speaks_against_the_node_comes_first() -> None:
    lines = (await collected(sick(taints=[TAINT, {"key": "gpu", "value": "yes", "effect": "NoSchedule"}])))["node"]
    assert lines == (
        "Ready False for 4 min: NodeStatusUnknown, Kubelet stopped posting node status.",
        "MemoryPressure True for 4 min",
        "DiskPressure False for 4 min",
        "taints: node.kubernetes.io/not-ready:NoExecute, gpu=yes:NoSchedule",
        "not cordoned, kubelet v1.34.4",
    )


async def test_whose_cordon_it_is_is_told() -> None:
    marked = sick(unschedulable=True)
    marked.objects[0]["metadata"]["annotations"] = {"alert-receiver.internal/cordoned": "i-1-1"}
    assert (await collected(marked))["node"][-1].startswith("cordoned by us (i-1-1)")
    assert (await collected(sick(unschedulable=True)))["node"][-1].startswith("cordoned, not by us")


async def test_the_pods_on_it_are_counted_by_state_and_the_unwell_named() -> None:
    going = on(pod("web-1-c"))
    going["metadata"]["deletionTimestamp"] = ago(minutes=1)
    pods = (on(crashing("web-2-a")), on(pod("web-1-a")), on(pod("web-1-b"), "n2"), going, on(pod("db-0"), namespace="default"))
    lines = (await collected(sick(*pods)))["pods"]
    assert lines[0] == "4 in namespaces default, shop: 2 ready, 1 not ready, 1 terminating"
    assert lines[1].startswith("shop/web-2-a: Running, not ready, CrashLoopBackOff")
    assert [each.partition(":")[0] for each in lines[2:]] == ["shop/web-1-c", "default/db-0", "shop/web-1-a"]


async def test_a_full_node_takes_no_more_lines_than_any_other() -> None:
    lines = (await collected(sick(*(on(pod(f"web-{each:03}")) for each in range(200)))))["pods"]
    assert (len(lines), lines[-1]) == (12, "and 190 more")


async def test_the_newest_events_of_the_node_are_shown() -> None:
    many = [event(f"e{each}", seen=ago(minutes=60 - each), message=f"number {each}") for each in range(50)]
    lines = (await collected(sick(*many, event("x", about="n2", seen=ago(seconds=1)))))["events"]
    assert (len(lines), lines[0]) == (20, "11 min ago Warning NodeNotReady Node n1: number 49")


async def test_only_namespaces_that_are_ours_are_read() -> None:
    reader = sick(on(pod("db-0"), namespace="default"), event("e", seen=ago(minutes=1)))
    found = await collected(reader, "shop")
    assert found["pods"] == ("0 in namespaces shop",)
    assert found["events"] == ("not read: a node's events are in namespace default, which is not among ours",)
    assert not [each for each in reader.reads if " default " in each]


async def test_what_cannot_be_read_of_a_node_says_so() -> None:
    reader = sick()
    reader.broken["Pod"] = ClientError(ErrorKind.forbidden, "403")
    found = await collected(reader)
    assert found["pods"] == ("could not be read: forbidden (403)",)
    assert found["node"][0].startswith("Ready False")


async def test_another_node_under_that_name_is_not_described() -> None:
    reader = sick()
    reader.objects[0]["metadata"]["uid"] = "uid-new"
    assert (await collected(reader))["node"] == ("another object has that name now",)
