"""Nodes: only where they may be read, and what speaks against a cordon."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from receiver.clients.errors import ClientError, ErrorKind
from receiver.core.facts import Facts, Hazard, Hint, Look, Node, Trouble, Want
from receiver.core.model import Bounds, TargetRef
from receiver.observe import Eyes, LookRunner, Scope, observers
from tests.fakes.clock import FakeClock
from tests.fakes.kubernetes_reader import FakeReader
from tests.unit.observe.objects import NOW, SCOPE, Object, ago, homeless, managed, node

WITH_NODES = replace(SCOPE, nodes=True)
SICK = "n1"


def cluster(*more: Object, **sick: str) -> FakeReader:
    return FakeReader(node(SICK, ready=False, conditions=sick), node("n2"), node("n3"), *more)


async def looked(reader: FakeReader, scope: Scope = WITH_NODES, hint: Hint | None = None, ref: TargetRef | None = None) -> Facts:
    runner = LookRunner(observers(Eyes(scope=scope, bounds=Bounds(), kubernetes=reader)), FakeClock())
    wants = frozenset({Want.target, Want.workload})
    return await runner.look(Look(wants, timedelta(seconds=5), hints=(hint or Hint(node=SICK),) if ref is None else (), ref=ref))


async def seen(reader: FakeReader) -> Node:
    facts = await looked(reader)
    assert facts.node is not None, facts.trouble_detail
    return facts.node


async def test_a_node_is_found_by_name_and_described() -> None:
    facts = await looked(cluster(MemoryPressure="True"))
    assert facts.target is not None
    assert (facts.target.ref.key, facts.target.uid, facts.trouble) == ("kubernetes/default//Node/n1", "uid-n1", None)
    assert facts.node == Node(
        resource_version="5", ready=False, unschedulable=False, ours=False, detail="MemoryPressure; NotReady for 4m",
        nodes=3, schedulable=2, versions=("v1.34.4",),
    )  # fmt: skip


async def test_without_leave_no_node_is_read() -> None:
    reader = cluster()
    facts = await looked(reader, SCOPE)
    assert (facts.trouble, facts.target, reader.reads) == (Trouble.unsupported_kind, None, [])
    assert facts.trouble_detail == "node n1: nodes are not read unless kubernetes.nodes is set to true"


@pytest.mark.parametrize(
    "hint,trouble", [(Hint(node="gone"), Trouble.not_found), (Hint(node=SICK, cluster="other"), Trouble.foreign_cluster)]
)
async def test_a_node_that_cannot_be_shown_is_a_trouble(hint: Hint, trouble: Trouble) -> None:
    assert (await looked(cluster(), hint=hint)).trouble is trouble


async def test_a_bound_node_is_read_again_by_its_reference() -> None:
    assert (await looked(cluster(), ref=TargetRef("kubernetes", "default", "", "Node", SICK))).node is not None


async def test_our_own_cordon_is_known_by_its_mark() -> None:
    marked = node("n1", unschedulable=True)
    marked["metadata"]["annotations"] = {"alert-receiver.internal/cordoned": "i-1-1", "alert-receiver.internal/last-action": '["i-1-1"]'}
    found = await seen(FakeReader(marked, node("n2", unschedulable=True)))
    assert (found.unschedulable, found.ours, found.cordoned, found.schedulable, found.marks) == (True, True, 2, 0, ("i-1-1",))
    assert not (await seen(FakeReader(node("n1", unschedulable=True)))).ours


@pytest.mark.parametrize("key", ["node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"])
async def test_the_control_plane_is_told_by_label_or_taint(key: str) -> None:
    labelled, tainted = node("n1"), node("n1", taints=[{"key": key, "effect": "NoSchedule"}])
    labelled["metadata"]["labels"][key] = ""
    assert (await seen(FakeReader(labelled))).control_plane
    assert (await seen(FakeReader(tainted))).control_plane
    assert not (await seen(FakeReader(node("n1")))).control_plane


async def test_pods_that_find_no_node_are_counted() -> None:
    assert (await seen(cluster(homeless("a"), homeless("b")))).pending == 2


async def test_a_cluster_under_upgrade_or_drain_bears_no_action_on_a_node() -> None:
    for moving in (cluster(node("n4", unschedulable=True)), FakeReader(node(SICK), node("n2", version="v1.35.0"))):
        assert [(each.hazard, each.verbs, each.asks) for each in (await seen(moving)).dangers] == [
            (Hazard.nodes_in_motion, ("cordon", "uncordon"), False)
        ]
    assert (await seen(cluster())).dangers == ()


async def test_who_changed_its_spec_is_named_and_label_writers_are_not() -> None:
    found = managed(node(SICK), "kubectl-cordon", at=ago(minutes=3), fields={"f:spec": {"f:unschedulable": {}}})
    managed(found, "calico-node", at=ago(minutes=1), fields={"f:metadata": {"f:annotations": {}}})
    foreign = (await seen(FakeReader(found))).foreign
    assert foreign is not None
    assert (foreign.manager, foreign.at) == ("kubectl-cordon", NOW - timedelta(minutes=3))


async def test_how_many_may_be_cordoned_rests_on_a_fresh_list() -> None:
    reader = cluster()
    runner = LookRunner(observers(Eyes(scope=WITH_NODES, bounds=Bounds(), kubernetes=reader)), FakeClock())
    look = Look(frozenset({Want.target, Want.workload}), timedelta(seconds=5), hints=(Hint(node=SICK),))
    await runner.look(look)
    reader.objects.append(node("n4", unschedulable=True))
    facts = await runner.look(look)
    assert facts.node is not None
    assert facts.node.cordoned == 1


async def test_a_cluster_that_cannot_be_listed_is_a_trouble() -> None:
    reader = cluster()
    reader.broken["Pod"] = ClientError(ErrorKind.forbidden, "may not")
    facts = await looked(reader)
    assert (facts.node, facts.trouble) == (None, Trouble.forbidden)
