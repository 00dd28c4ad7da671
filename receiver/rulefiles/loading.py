"""Rule files to one `RuleSet`, or every problem of all of them.

Law: all or nothing. A rule set is made only when not one problem was found, so a broken file can never thin out the rules; every entry is
checked by itself, so one fault never hides another. Several files merge in name order; `matrix:` and `default:` stand in one of them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

from receiver.core.case import Policy
from receiver.core.model import Dependency, Rule, Service
from receiver.core.rules import DEFAULT_MATRIX, Matrix, RuleSet
from receiver.rulefiles.building import build_default, build_dependency, build_rule, build_service, target_ref
from receiver.rulefiles.finding import find_files
from receiver.rulefiles.judging import (
    Surroundings,
    check_bounds,
    judge_default,
    judge_dependency,
    judge_depends_on,
    judge_rule,
    judge_service,
)
from receiver.rulefiles.matrix import read_matrix
from receiver.rulefiles.schema import DefaultEntry, DependencyEntry, FileEntry, RuleEntry, ServiceEntry
from receiver.yamlfile import Document, Path, Problem, check_model, check_partly, read_file

_SECTIONS: Mapping[str, type] = {"matrix": dict, "dependencies": list, "services": list, "rules": list, "default": dict}


class RulesRefused(Exception):
    """The rule files were not loaded; `problems` are all of them, in the order of the files."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def load(paths: Iterable[str | FilePath], *, known_actions: Collection[str], policy: Policy | None = None) -> RuleSet:
    """The rule set of these files and directories; raises RulesRefused with every problem.

    `known_actions` are the names that exist. Of the policy count bounds (a rule may only tighten them), page_after, naming and cluster.
    """
    ruleset, problems = _read(paths, known_actions, policy or Policy())
    if ruleset is None:
        raise RulesRefused(problems)
    return ruleset


def check(paths: Iterable[str | FilePath], *, known_actions: Collection[str], policy: Policy | None = None) -> list[Problem]:
    """Every problem of these files; empty when `load` would take them."""
    return _read(paths, known_actions, policy or Policy())[1]


def _read(paths: Iterable[str | FilePath], actions: Collection[str], policy: Policy) -> tuple[RuleSet | None, list[Problem]]:
    files, problems = find_files(paths)
    unread = bool(problems)
    documents: list[Document] = []
    for path in files:
        document, faults = read_file(path)
        problems += faults
        documents.append(document)
    merging = _Merging(frozenset(actions), policy, problems, unread=unread)
    ruleset = merging.merge(documents)
    found = sorted(set(merging.problems))
    return (None, found) if found else (ruleset, [])


@dataclass(slots=True)
class _Entry:
    """One section or entry of a file, with its place."""

    document: Document
    path: Path
    raw: Any

    @property
    def place(self) -> str:
        line, _ = self.document.values.get(self.path, (0, 0))
        return f"{self.document.file}:{line}"

    def problem(self, message: str, path: Path = ()) -> Problem:
        return self.document.problem((*self.path, *path), message)


@dataclass(slots=True)
class _Merging:
    """The work on one set of files; `problems` grows."""

    actions: frozenset[str]
    policy: Policy
    problems: list[Problem]
    sections: dict[str, list[_Entry]] = field(default_factory=lambda: {name: [] for name in _SECTIONS})
    unread: bool = False
    """A file, or a section that must stand somewhere, could not be looked into: what is missing may be there."""
    entries: dict[str, ServiceEntry] = field(default_factory=dict)
    broken_services: set[str] = field(default_factory=set)

    def merge(self, documents: Iterable[Document]) -> RuleSet | None:
        for document in documents:
            self._split(document)
        matrix = self._matrix()
        services = self._services()
        around = Surroundings(self.policy, self.actions, matrix, self.entries, self.broken_services)
        rules = self._rules(around)
        default = self._default(around)
        if self.problems or default is None:
            return None
        return RuleSet(
            rules=tuple(rules),
            default=default,
            matrix=matrix,
            services={each.name: each for each in services},
            naming=self.policy.naming,
            cluster=self.policy.cluster,
            hash=self._hash(),
        )

    def _split(self, document: Document) -> None:
        if document.content is None:
            if document.values or not any(each.file == document.file for each in self.problems):
                self.problems.append(document.problem((), "is empty; a rule file begins with apiVersion: receiver/v1 and kind: Rules"))
            self.unread = True
            return
        _, found = check_model(FileEntry, document)
        self.problems += found
        broken = _broken_sections(document.content)
        self.unread = self.unread or "default" in broken
        for name in self.sections.keys() - broken:
            raw = document.content.get(name)
            if isinstance(raw, list):
                self.sections[name] += [_Entry(document, (name, at), each) for at, each in enumerate(raw)]
            elif raw is not None:
                self.sections[name].append(_Entry(document, (name,), raw))

    def _once(self, name: str) -> _Entry | None:
        """A section that may stand in one file only."""
        found = self.sections[name]
        for each in found[1:]:
            self.problems.append(each.problem(f"{name}: is already given in {found[0].place}; keep one of them"))
        return found[0] if found else None

    def _matrix(self) -> Matrix:
        entry = self._once("matrix")
        if entry is None:
            return DEFAULT_MATRIX
        cells, found = read_matrix(entry.raw, self.policy.naming)
        self.problems += [entry.problem(text, path) for path, text in found]
        return DEFAULT_MATRIX if found else cells

    def _dependencies(self) -> tuple[dict[str, Dependency], set[str]]:
        """Those that are well, and the names of those that are not."""
        built: dict[str, Dependency] = {}
        broken_names: set[str] = set()
        names: dict[object, str] = {}
        for at in self.sections["dependencies"]:
            entry, found, broken = check_partly(DependencyEntry, at.document, at.path, at.raw)
            before = len(self.problems)
            self.problems += found
            if entry is None:
                continue
            self.problems += [at.problem(text, path) for path, text in judge_dependency(entry) if not broken]
            self._unique(at, names, entry.name, ("name",), f"dependency {entry.name!r}")
            if len(self.problems) == before:
                built[entry.name] = build_dependency(entry)
            else:
                broken_names.add(entry.name)
        return built, broken_names

    def _services(self) -> list[Service]:
        dependencies, broken_dependencies = self._dependencies()
        built: list[Service] = []
        names: dict[object, str] = {}
        for at in self.sections["services"]:
            entry, found, broken = check_partly(ServiceEntry, at.document, at.path, at.raw)
            before = len(self.problems)
            self.problems += found
            if entry is None:
                continue
            self.problems += [at.problem(text, path) for path, text in judge_service(entry) if not broken]
            self.problems += [at.problem(text, path) for path, text in judge_depends_on(entry, dependencies, broken_dependencies)]
            bounds, found = check_bounds(at.document, (*at.path, "bounds"), entry.bounds, self.policy)
            self.problems += found
            self._unique(at, names, entry.name, ("name",), f"service {entry.name!r}")
            for nth, target in enumerate(entry.targets):
                ref = target_ref(target, self.policy.cluster)
                self._unique(at, names, ref, ("targets", nth), f"target {ref.key}")
            if len(self.problems) == before:
                self.entries[entry.name] = entry
                built.append(
                    build_service(entry, bounds=bounds, policy=self.policy.bounds, cluster=self.policy.cluster, dependencies=dependencies)
                )
            else:
                self.broken_services.add(entry.name)
        return built

    def _rules(self, around: Surroundings) -> list[Rule]:
        built: list[Rule] = []
        names: dict[object, str] = {}
        for at in self.sections["rules"]:
            entry, found, broken = check_partly(RuleEntry, at.document, at.path, at.raw)
            self.problems += found
            if entry is None:
                continue
            self.problems += [at.problem(text, path) for path, text in judge_rule(entry, broken, around)]
            bounds = []
            for nth, rung in enumerate(entry.remediate):
                values, found = check_bounds(at.document, (*at.path, "remediate", nth, "bounds"), rung.bounds, self.policy)
                self.problems += found
                bounds.append(values)
            self._unique(at, names, entry.name, ("name",), f"rule {entry.name!r}")
            line, _ = at.document.values.get(at.path, (0, 0))
            built.append(build_rule(entry, bounds=bounds, policy=self.policy.bounds, file=at.document.file, line=line))
        return built

    def _unique(self, at: _Entry, known: dict[object, str], value: object, path: Path, words: str) -> None:
        if not value:
            return
        if value in known:
            self.problems.append(at.problem(f"{words} is already in {known[value]}", path))
        known.setdefault(value, at.place)

    def _default(self, around: Surroundings) -> Rule | None:
        at = self._once("default")
        if at is None:
            if not self.unread:
                text = (
                    "no file holds default: (what an unmatched alert gets); write default: {impact: medium, urgency: medium, remediate: []}"
                )
                self.problems.append(Problem("rules", 0, 0, text))
            return None
        entry, found, broken = check_partly(DefaultEntry, at.document, at.path, at.raw)
        self.problems += found
        if entry is None:
            return None
        self.problems += [at.problem(text, path) for path, text in judge_default(entry, broken, around)]
        line, _ = at.document.values.get(at.path, (0, 0))
        return build_default(entry, file=at.document.file, line=line)

    def _hash(self) -> str:
        """Of what the files say, not how: comments, layout and file names change nothing."""
        content: dict[str, Any] = {name: [each.raw for each in entries] for name, entries in self.sections.items()}
        text = json.dumps([content, self.policy.naming.value], sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def _broken_sections(content: object) -> set[str]:
    """Those whose shape is wrong: reported with the top of the file, and not looked into."""
    if not isinstance(content, dict):
        return set(_SECTIONS)
    return {name for name, shape in _SECTIONS.items() if content.get(name) is not None and not isinstance(content[name], shape)}
