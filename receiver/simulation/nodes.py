"""The nodes of a scene: as the test describes them, changed by its events and by cordon and uncordon.

Law: as for workloads: an action changes exactly what it would change on a cluster. Used by `scene` only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from receiver.core.case import Permit, Verb
from receiver.core.facts import Danger, Facts, Foreign, Look, Node, Trouble
from receiver.core.model import Target, TargetRef
from receiver.simulation.cases import ForeignEntry, NodeEntry

NODE = "Node"


class Nodes:
    """By name."""

    def __init__(self, cluster: str) -> None:
        self._cluster = cluster
        self._states: dict[str, dict[str, Any]] = {}
        self._version = 1

    def change(self, nodes: Mapping[str, NodeEntry], now: datetime) -> None:
        """From now on looks see this; keys that an entry does not give keep what they had."""
        for name, entry in nodes.items():
            given = {key: getattr(entry, key) for key in entry.model_fields_set}
            if given.get("foreign") is not None:
                given["foreign"] = foreign(given["foreign"], now)
            self._states.setdefault(name, {}).update(given)
            self._version += 1

    def named(self, look: Look) -> str:
        """The node that the look is about: bound, or named by labels that name nothing else. Empty: none."""
        if look.ref is not None:
            return look.ref.name if look.ref.kind == NODE else ""
        hints = [each for each in look.hints if not each.empty]
        names = {each.node for each in hints}
        only_nodes = all(each.node and not (each.name or each.pod or each.service or each.hpa) for each in hints)
        return names.pop() if only_nodes and len(names) == 1 else ""

    def seen(self, name: str, facts: Facts) -> Facts:
        """The node, or why it was not seen."""
        state = self._states.get(name)
        if state is None:
            return replace(facts, trouble=Trouble.not_found, trouble_detail=f"the test has no node {name}")
        if state.get("trouble") is not None:
            return replace(facts, trouble=state["trouble"], trouble_detail="as the test has it")
        target = Target(TargetRef("kubernetes", self._cluster, "", NODE, name), hashlib.sha256(f"node {name}".encode()).hexdigest()[:12])
        return replace(facts, target=target, node=self._node(state), chain=(f"{NODE} {name}",))

    def land(self, permit: Permit) -> None:
        """The cordon with its mark, or both taken back."""
        cordon = permit.verb is Verb.cordon
        state = self._states.setdefault(permit.target.ref.name, {})
        state |= {"unschedulable": cordon, "ours": cordon, "marks": (*state.get("marks", ()), permit.attempt_id)}
        self._version += 1

    def _node(self, state: Mapping[str, Any]) -> Node:
        whole = {name: each.get_default(call_default_factory=True) for name, each in NodeEntry.model_fields.items()} | dict(state)
        out_of_it = whole["unschedulable"] or not whole["ready"]
        return Node(
            resource_version=str(self._version),
            ready=whole["ready"],
            unschedulable=whole["unschedulable"],
            ours=whole["ours"],
            detail=whole["detail"],
            control_plane=whole["control_plane"],
            nodes=whole["nodes"],
            schedulable=whole["nodes"] - int(out_of_it) if whole["schedulable"] is None else whole["schedulable"],
            cordoned=int(whole["unschedulable"]) if whole["cordoned"] is None else whole["cordoned"],
            pending=whole["pending"],
            versions=tuple(whole["versions"]),
            marks=whole.get("marks", ()),
            foreign=whole["foreign"],
            dangers=tuple(Danger(hazard, "as the test has it", verbs) for hazard, verbs in whole["hazards"].items()),
        )


def foreign(entry: ForeignEntry, now: datetime) -> Foreign:
    """With its age as a date, so that it grows with the virtual time."""
    return Foreign(now - entry.age, entry.manager, entry.after_revision)
