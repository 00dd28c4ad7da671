"""A world that follows a script: workloads as the test describes them, changed by its events and by the actions themselves.

Law: an action changes exactly what it would change on a cluster (the count, the template, the pod, our mark); whether that cures anything
is the script's to say. Ages become dates when they are set, so that they grow with the virtual time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from receiver.core.case import AttemptState, Permit, Verb
from receiver.core.facts import Danger, Facts, Look, Pods, RolloutState, Sample, SampleState, Trouble, UndoPlan, Victim, Workload
from receiver.core.model import Target, TargetRef
from receiver.simulation.cases import EventEntry, FileEntry, PodsEntry, UndoEntry, VictimEntry
from receiver.simulation.nodes import Nodes, foreign

GOOD_SINCE = timedelta(days=7)


class Scene:
    """Implements `loop.World`. `acted` is told of each permit and answers what the script makes of it."""

    def __init__(self, *, cluster: str, acted: Callable[[Permit, datetime], tuple[AttemptState, str]]) -> None:
        self._cluster = cluster
        self._acted = acted
        self._states: dict[str, dict[str, Any]] = {}
        self._nodes = Nodes(cluster)
        self._samples: dict[str, SampleState | float] = {}
        self._version = 1

    def change(self, seen: EventEntry | FileEntry, samples: Mapping[Any, SampleState | float], now: datetime) -> None:
        """From now on looks see this; keys that an entry does not give keep what they had."""
        self._nodes.change(seen.nodes, now)
        for name, entry in seen.workloads.items():
            given = {key: getattr(entry, key) for key in entry.model_fields_set}
            state = self._states.setdefault(name, {"revision_at": now - GOOD_SINCE})
            if "revision_age" in given:
                given["revision_at"] = now - given.pop("revision_age")
            if (pods := given.get("pods")) is not None:
                given["pods"] = {**state.get("pods", {}), **_pods(pods, now)}
            if given.get("foreign") is not None:
                given["foreign"] = foreign(given["foreign"], now)
            if given.get("victim") is not None:
                given["victim"] = _victim(given["victim"], now)
            state.update(given)
            self._version += 1
        self._samples.update(samples)

    def look(self, look: Look, now: datetime) -> Facts:
        """Resolves to a workload of the scene, or says why not."""
        samples = tuple(_sample(each.name, self._samples.get(each.name, SampleState.empty)) for each in look.questions)
        facts = Facts(at=now, on=look.on, samples=samples)
        node = self._nodes.named(look)
        if node:
            return self._nodes.seen(node, facts)
        name = self._resolve(look)
        if isinstance(name, Trouble):
            return replace(facts, trouble=name, trouble_detail="as the test has it")
        state = self._states.get(name)
        if state is None:
            return replace(facts, trouble=Trouble.not_found, trouble_detail=f"the test has no workload {name}")
        trouble: Trouble | None = state.get("trouble")
        target = Target(self._ref(name, state, look), hashlib.sha256(name.encode()).hexdigest()[:12])
        if trouble is not None:
            return replace(facts, trouble=trouble, trouble_detail="as the test has it")
        return replace(facts, target=target, workload=self._workload(state, look), chain=(f"{target.ref.kind} {target.namespace}/{name}",))

    def act(self, permit: Permit, now: datetime) -> tuple[AttemptState, str]:
        """The bare change, unless the script says that it was rejected."""
        outcome, detail = self._acted(permit, now)
        if outcome is not AttemptState.rejected:
            self._land(permit, now)
        return outcome, detail

    def _resolve(self, look: Look) -> str | Trouble:
        """By the name that the catalogue or a label gives; a pod belongs to the workload whose name it begins with."""
        if look.ref is not None:
            return look.ref.name
        if not look.hints:
            return Trouble.no_labels
        names = {each.name for each in look.hints if each.name}
        for each in look.hints:
            if not each.name and each.pod:
                owners = [name for name in self._states if each.pod.startswith(f"{name}-")]
                names.add(max(owners, key=len, default=each.pod))
        if len(names) > 1:
            return Trouble.ambiguous
        return names.pop() if names else Trouble.no_labels

    def _ref(self, name: str, state: Mapping[str, Any], look: Look) -> TargetRef:
        """Where the test does not say so, the workload is in the namespace that the look is for."""
        asked = look.ref.namespace if look.ref is not None else next((each.namespace for each in look.hints if each.namespace), "default")
        place = state.get("namespace") or asked
        if _of_ecs(look):
            return TargetRef("ecs", self._cluster, place, "Service", name)
        return TargetRef("kubernetes", self._cluster, place, state.get("kind", "Deployment"), name)

    def _workload(self, state: Mapping[str, Any], look: Look) -> Workload:
        replicas: int = state.get("replicas", 1)
        available: int = min(state.get("available", replicas), replicas) if state.get("available") is not None else replicas
        ready = _or(state.get("ready"), available)
        pods: dict[str, Any] = {"total": replicas, "ready": ready, **state.get("pods", {})}
        undo: UndoEntry | None = state.get("undo")
        return Workload(
            resource_version=str(self._version),
            generation=self._version,
            replicas=replicas,
            current=_or(state.get("current"), replicas),
            updated=_or(state.get("updated"), replicas),
            ready=ready,
            available=available,
            rollout=state.get("rollout", RolloutState.complete),
            rollout_detail=state.get("rollout_detail", ""),
            kind="Service" if _of_ecs(look) else state.get("kind", "Deployment"),
            deployment=f"ecs-svc/{state.get('deployment', 1)}" if _of_ecs(look) else "",
            revision=state.get("revision", "1"),
            revision_at=state["revision_at"],
            template_hash=state.get("template", "present"),
            recreate=state.get("recreate", False),
            max_unavailable=state.get("max_unavailable", 0),
            max_surge=state.get("max_surge", 1),
            pods=Pods(**pods),
            dangers=tuple(Danger(hazard, "as the test has it", verbs) for hazard, verbs in state.get("hazards", {}).items()),
            undo=_undo_plan(undo),
            foreign=state.get("foreign"),
            marks=tuple(state.get("marks", ())),
            max_replicas=state.get("max_replicas"),
            victim=state.get("victim"),
            pod_present=look.pod not in state.get("gone", ()) if look.pod else None,
        )

    def _land(self, permit: Permit, now: datetime) -> None:
        if permit.verb.of_node:
            self._nodes.land(permit)
            return
        state = self._states.setdefault(permit.target.ref.name, {"revision_at": now - GOOD_SINCE})
        state["marks"] = (*state.get("marks", ()), permit.attempt_id)
        if permit.verb is Verb.scale:
            state["replicas"] = permit.parameters.replicas
        elif permit.verb is Verb.undo:
            state["template"] = permit.parameters.template_hash
            state["revision_at"] = now
            state["deployment"] = state.get("deployment", 1) + 1
        elif permit.verb is Verb.restart and permit.target.ref.platform == "ecs":
            state["revision_at"] = now
            state["deployment"] = state.get("deployment", 1) + 1
        elif permit.verb is Verb.evict:
            state["gone"] = (*state.get("gone", ()), permit.parameters.pod_uid)
            state["victim"] = None
        self._version += 1


def _of_ecs(look: Look) -> bool:
    """As the observer of ECS: the catalogue's target, or what an alert's labels say."""
    return look.ref.platform == "ecs" if look.ref is not None else any(each.platform == "ecs" for each in look.hints)


def _or(value: int | None, otherwise: int) -> int:
    return otherwise if value is None else value


def _pods(entry: PodsEntry, now: datetime) -> dict[str, Any]:
    given = {key: getattr(entry, key) for key in entry.model_fields_set}
    if "newest_age" in given:
        age = given.pop("newest_age")
        given["newest_at"] = None if age is None else now - age
    return {key: value for key, value in given.items() if value is not None or key == "newest_at"}


def _victim(entry: VictimEntry, now: datetime) -> Victim:
    return Victim(
        name=entry.name,
        uid=hashlib.sha256(f"{entry.name} {now}".encode()).hexdigest()[:12],
        created_at=now - entry.age,
        reason=entry.reason,
        ready=entry.ready,
        stuck=entry.stuck,
        allowed=entry.allowed,
    )


def _undo_plan(entry: UndoEntry | None) -> UndoPlan:
    if entry is None:
        return UndoPlan(refusal="there is no other revision")
    return UndoPlan(
        revision=entry.revision,
        template_hash=entry.template,
        replica_set=f"rs-{entry.revision}",
        known_good=entry.known_good,
        known_good_because=entry.because,
        differences=entry.differences,
        refusal=entry.refusal,
    )


def _sample(name: str, value: SampleState | float) -> Sample:
    if isinstance(value, SampleState):
        return Sample(name, value, None, "as the test has it")
    return Sample(name, SampleState.value, value, f"{name} gives {value:g}")
