"""Rule tests: read a file, play each case, compare what came out with what was expected.

Law: a failure says what was expected and shows what happened in the notation of the test, ready to be pasted after judging it. A file
that cannot be read fails as a case of its own; nothing is skipped. Called by `receiver test` and by our own tests.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from receiver.core.case import AttemptState, Hold, HoldKind, Permit, Policy, Storm
from receiver.core.dedup import fingerprint, hint
from receiver.core.model import Alert, Bounds, Priority
from receiver.core.rules import RuleSet
from receiver.rulefiles import RulesRefused, load
from receiver.rulefiles.building import build_service
from receiver.simulation.cases import ALL, CaseEntry, EffectEntry, EventEntry, FileEntry, PolicyEntry
from receiver.simulation.expecting import Told, compare, told
from receiver.simulation.loop import Simulation
from receiver.simulation.scene import Scene
from receiver.yamlfile import Document, Problem, check_fields, check_model, read_file

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
"""Moment 0s of every case: a Monday morning."""
STARTED_BEFORE = timedelta(hours=1)
"""The receiver runs for so long already: no boot hold."""


@dataclass(frozen=True, slots=True)
class CaseResult:
    """One case, and what was not as expected; no failures: it passed."""

    name: str
    file: str
    line: int
    failures: tuple[str, ...]
    told: tuple[Told, ...] = ()

    @property
    def passed(self) -> bool:
        """As expected in every point."""
        return not self.failures


def run_files(paths: Iterable[str | Path], *, known_actions: Collection[str]) -> list[CaseResult]:
    """Every case of these files, and of the `*.yaml` of these directories in name order."""
    files = [file for path in map(Path, paths) for file in (sorted(path.glob("*.yaml")) if path.is_dir() else [path])]
    return [result for file in files for result in _run_file(file, frozenset(known_actions))]


def _run_file(path: Path, actions: frozenset[str]) -> Iterator[CaseResult]:
    document, problems = read_file(path)
    entry, found = check_model(FileEntry, document) if document.content is not None else (None, [])
    if problems or entry is None:
        yield _broken(str(path), document, problems + found)
        return
    for at, raw in enumerate(entry.cases):
        case, found = check_model(CaseEntry, document, ("cases", at), raw)
        line, _ = document.values.get(("cases", at), (0, 0))
        if case is None:
            yield CaseResult(f"case {at + 1}", str(path), line, tuple(map(str, found)))
            continue
        try:
            play = _Play(case, _policy(case, document, at), rules=[path.parent / each for each in entry.rules], actions=actions)
        except RulesRefused as refused:
            yield CaseResult(case.name, str(path), line, tuple(map(str, refused.problems)))
            continue
        simulation = play.run(entry)
        yield CaseResult(case.name, str(path), line, compare(case.expect, simulation, START), told(simulation, START))


def _broken(file: str, document: Document, problems: list[Problem]) -> CaseResult:
    found = problems or [document.problem((), "is empty; a file of rule tests begins with apiVersion: receiver/v1 and kind: RuleTests")]
    return CaseResult("the file", file, 0, tuple(map(str, found)))


def _policy(case: CaseEntry, document: Document, at: int) -> Policy:
    entry: PolicyEntry = case.policy
    bounds, problems = check_fields(Bounds(), document, ("cases", at, "policy", "bounds"), entry.bounds)
    page_after: dict[Priority, timedelta] = {}
    for key, after in entry.page_after.items():
        priority = entry.priorities.read(key)
        if priority is None:
            problems.append(
                document.problem(
                    ("cases", at, "policy", "page_after", key), f"{key[:80]!r} is not a priority in the naming {entry.priorities.value}"
                )
            )
        else:
            page_after[priority] = after
    if problems:
        raise RulesRefused(problems)
    named = {labels["namespace"] for event in case.at.values() for labels in event.alerts if "namespace" in labels}
    named |= {f"ecs/{each.namespace}" for event in case.at.values() for each in map(hint, event.alerts) if each.platform == "ecs"}
    namespaces = frozenset(named if entry.namespaces is None else entry.namespaces)
    return Policy(
        mode=entry.mode,
        bounds=replace(Bounds(), **bounds),
        page_after={**Policy().page_after, **page_after},
        cluster=entry.cluster,
        namespaces=namespaces,
        source_namespaces={event.source: namespaces for event in case.at.values()},
        started_at=START - STARTED_BEFORE,
        undo_identity=entry.undo_identity,
        nodes=entry.nodes,
        can_look=True,
        naming=entry.priorities,
        installation="test",
    )


class _Play:
    """One case, played from its first event to its end."""

    def __init__(self, case: CaseEntry, policy: Policy, *, rules: list[Path], actions: frozenset[str]) -> None:
        self._case = case
        self._queue: list[tuple[datetime, int, EventEntry]] = []
        self._order = count()
        ruleset = _promoted(load(rules, known_actions=actions, policy=policy), case.promote)
        services = [build_service(each, bounds={}, policy=policy.bounds, cluster=policy.cluster, dependencies={}) for each in case.services]
        ruleset = replace(ruleset, services={**ruleset.services, **{each.name: each for each in services}})
        self._scene = Scene(cluster=policy.cluster, acted=self._acted)
        self.simulation = Simulation(ruleset, replace(policy, actions=actions), self._scene)
        for after, event in case.at.items():
            self._schedule(START + after, event)

    def run(self, file: FileEntry) -> Simulation:
        """Plays event after event and wake after wake, up to the case's end; what the file says is there from the beginning."""
        self._scene.change(file, {}, START)
        end = START + self._case.until
        while (now := self._next()) is not None and now <= end:
            while self._queue and self._queue[0][0] <= now:
                self._happen(heapq.heappop(self._queue)[2], now)
            self.simulation.advance_to(now)
        return self.simulation

    def _next(self) -> datetime | None:
        times = [self._queue[0][0]] if self._queue else []
        wake = self.simulation.next_wake()
        return min([*times, wake] if wake is not None else times, default=None)

    def _schedule(self, at: datetime, event: EventEntry) -> None:
        heapq.heappush(self._queue, (at, next(self._order), event))

    def _acted(self, permit: Permit, now: datetime) -> tuple[AttemptState, str]:
        effect: EffectEntry | None = self._case.effects.get(permit.action) if not permit.reverts else None
        if effect is None:
            return AttemptState.applied, "done"
        if effect.outcome is not AttemptState.rejected:
            self._schedule(now + effect.after, effect)
        return effect.outcome, effect.detail or effect.outcome.value

    def _happen(self, event: EventEntry, now: datetime) -> None:
        self._scene.change(event, event.samples, now)
        simulation = self.simulation
        for alert in simulation.firing:
            if ALL in event.resolved or alert.name in event.resolved:
                simulation.tell(replace(alert, ends_at=now, received_at=now))
        for labels in event.alerts:
            simulation.tell(_alert(event.source, labels, now - event.since, now))
        if event.ack:
            simulation.acknowledge(event.ack, now)
        if event.approve:
            simulation.approve(event.approve, now)
        if event.freeze is not None:
            until = None if event.freeze.until is None else now + event.freeze.until
            hold = Hold(len(simulation.holds) + 1, HoldKind.freeze, event.freeze.scope, event.freeze.reason, "test", now, until)
            simulation.freeze(hold)
        if event.thaw is not None:
            simulation.thaw(event.thaw, now)
        if event.storm is not None:
            simulation.storm = Storm(shut=bool(event.storm), detail=event.storm, since=now)


def _alert(source: str, labels: Mapping[str, str], starts_at: datetime, now: datetime) -> Alert:
    return Alert(source, fingerprint(source, labels), labels, {}, starts_at, None, now)


def _promoted(ruleset: RuleSet, promote: Mapping[str, Any]) -> RuleSet:
    """Every action of the named rules at the mode that is asked for."""
    known = {each.name for each in ruleset.rules}
    unknown = [name for name in promote if name not in known]
    if unknown:
        raise RulesRefused([Problem("promote", 0, 0, f"{unknown[0][:80]!r} is no rule; allowed: {', '.join(sorted(known))}")])
    rules = tuple(
        replace(rule, mode=mode, remediate=tuple(replace(rung, mode=mode) for rung in rule.remediate))
        if (mode := promote.get(rule.name)) is not None
        else rule
        for rule in ruleset.rules
    )
    return replace(ruleset, rules=rules)
