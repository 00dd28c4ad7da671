"""`RuleSet`: which rule does this alert meet, and which service of the catalogue is meant?

Law: the first rule that matches wins, rules stand in file order; an index may only skip what cannot match. A service is named only when
the answer is unambiguous. Made by `rulefiles`, read by the folder, the responder and the judgements of the core.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from receiver.core.facts import Hint
from receiver.core.model import Level, Naming, Priority, Rule, Service, Symptom, TargetRef
from receiver.core.predicate import SUBJECT_LIMIT, Matcher, matcher

Matrix = Mapping[Level, Mapping[Level, Priority]]
"""Impact, then urgency, to priority."""

DEFAULT_MATRIX: Matrix = MappingProxyType(
    {
        Level.high: MappingProxyType({Level.high: Priority.p1, Level.medium: Priority.p2, Level.low: Priority.p3}),
        Level.medium: MappingProxyType({Level.high: Priority.p2, Level.medium: Priority.p3, Level.low: Priority.p4}),
        Level.low: MappingProxyType({Level.high: Priority.p3, Level.medium: Priority.p4, Level.low: Priority.p4}),
    }
)
"""The nine cells of the runbooks (severity-matrix-and-process.md)."""

OWN_ALERTNAME = "ReceiverTrouble"
OWN_RULE = Rule(
    name="receiver-trouble",
    matchers=(matcher("alertname", "=", OWN_ALERTNAME),),
    symptom=Symptom.other,
    impact=Level.high,
    urgency=Level.medium,
    page_only=True,
)
"""What our own troubles meet (`house.md` 6.15): asked before every rule of the files, so none of them can hide or ignore it."""

DEFAULT_NAME = "default"
RESERVED_NAMES = frozenset({OWN_RULE.name, DEFAULT_NAME})
"""No rule of a file may be called so."""


@dataclass(frozen=True, slots=True)
class RuleSet:
    """All rule files, loaded and merged."""

    rules: tuple[Rule, ...]
    default: Rule
    """What an alert gets that no rule matches."""
    matrix: Matrix = field(default_factory=lambda: DEFAULT_MATRIX)
    services: Mapping[str, Service] = field(default_factory=dict)
    naming: Naming = Naming.p1_p4
    cluster: str = "default"
    """Ours: what an alert means that names no cluster."""
    hash: str = ""
    """SHA-256 of the normalized content: written into every incident, attempt and permit."""
    _index: _Index = field(init=False, repr=False, compare=False)
    _names: Mapping[str, Rule] = field(init=False, repr=False, compare=False)
    _catalogue: _Catalogue = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_index", _Index.of(self.rules))
        object.__setattr__(self, "_names", {each.name: each for each in reversed((OWN_RULE, *self.rules))})
        object.__setattr__(self, "_catalogue", _Catalogue.of(self.services.values()))

    def rule_for(self, labels: Mapping[str, str]) -> Rule:
        """The first rule that matches, else the default. Total: whatever the labels hold."""
        if labels.get("alertname") == OWN_ALERTNAME:
            return OWN_RULE
        return self._index.first(labels) or self.default

    def rule(self, name: str) -> Rule:
        """By name, as an incident remembers it; the default when these files do not hold it any more."""
        return self._names.get(name, self.default)

    def priority(self, impact: Level, urgency: Level) -> Priority:
        """The cell of the matrix."""
        return self.matrix[impact][urgency]

    def service_for(self, labels: Mapping[str, str], hint: Hint) -> Service | None:
        """The service whose target the hint names, else the one whose label selector the alert meets; None when it is not exactly one."""
        if hint.name and hint.kind and hint.namespace:
            ref = TargetRef(hint.platform, hint.cluster or self.cluster, hint.namespace, hint.kind, hint.name)
            if found := self._catalogue.by_target.get(ref):
                return _only(found)
        return _only(self._catalogue.selected_by(labels))

    def service_of(self, ref: TargetRef) -> Service | None:
        """The service that lists this target; None when none or several do."""
        return _only(self._catalogue.by_target.get(ref, ()))

    @property
    def heartbeats(self) -> tuple[Rule, ...]:
        """Rules whose silence is the incident."""
        return tuple(each for each in self.rules if each.heartbeat is not None)


def _only(found: tuple[Service, ...]) -> Service | None:
    return found[0] if len(found) == 1 else None


@dataclass(frozen=True, slots=True)
class _Entry:
    """A rule with its place, and its matchers in the order of their cost: a comparison before a regular expression."""

    place: int
    rule: Rule
    matchers: tuple[Matcher, ...]

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all(each.matches(labels) for each in self.matchers)


@dataclass(frozen=True, slots=True)
class _Index:
    """Rules by the literal values of `alertname` that they can match; trying 300 RE2 matches in turn took 1.6 ms an alert."""

    named: Mapping[str, tuple[_Entry, ...]]
    unnamed: tuple[_Entry, ...]
    """Rules that any alertname may meet."""
    all: tuple[_Entry, ...]

    @classmethod
    def of(cls, rules: tuple[Rule, ...]) -> _Index:
        entries = tuple(
            _Entry(place, rule, tuple(sorted(rule.matchers, key=lambda each: each.op in ("=~", "!~")))) for place, rule in enumerate(rules)
        )
        named: dict[str, list[_Entry]] = {}
        unnamed: list[_Entry] = []
        for entry in entries:
            names = _alertnames(entry.rule)
            if names is None:
                unnamed.append(entry)
            for name in names or ():
                named.setdefault(name, []).append(entry)
        return cls({name: tuple(each) for name, each in named.items()}, tuple(unnamed), entries)

    def first(self, labels: Mapping[str, str]) -> Rule | None:
        name = labels.get("alertname", "")
        if len(name) >= SUBJECT_LIMIT:  # a regular expression sees a shorter text than the index would
            found = next((each for each in self.all if each.matches(labels)), None)
            return found.rule if found else None
        by_name = next((each for each in self.named.get(name, ()) if each.matches(labels)), None)
        last = by_name.place if by_name else len(self.all)
        for each in self.unnamed:
            if each.place > last:
                break
            if each.matches(labels):
                return each.rule
        return by_name.rule if by_name else None


def _alertnames(rule: Rule) -> frozenset[str] | None:
    """The only alertnames that the rule can match; None when any may."""
    closed = [each.literals for each in rule.matchers if each.name == "alertname" and each.literals is not None]
    return frozenset.intersection(*closed) if closed else None


@dataclass(frozen=True, slots=True)
class _Catalogue:
    """Services by target, and by one pair of their label selector."""

    by_target: Mapping[TargetRef, tuple[Service, ...]]
    by_label: Mapping[tuple[str, str], tuple[Service, ...]]

    @classmethod
    def of(cls, services: Iterable[Service]) -> _Catalogue:
        by_target: dict[TargetRef, tuple[Service, ...]] = {}
        by_label: dict[tuple[str, str], tuple[Service, ...]] = {}
        for service in services:
            for ref in dict.fromkeys(service.targets):
                by_target[ref] = (*by_target.get(ref, ()), service)
            for pair in list(service.labels.items())[:1]:
                by_label[pair] = (*by_label.get(pair, ()), service)
        return cls(by_target, by_label)

    def selected_by(self, labels: Mapping[str, str]) -> tuple[Service, ...]:
        """Services all of whose selector's labels the alert carries."""
        candidates = [service for pair in labels.items() for service in self.by_label.get(pair, ())]
        return tuple(each for each in candidates if all(labels.get(name) == value for name, value in each.labels.items()))
