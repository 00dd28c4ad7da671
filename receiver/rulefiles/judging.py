"""What a rule means beside the others: unknown actions and services, bounds that loosen, cures that nobody could prove.

Law: every finding names the value, what is allowed, and its path; a rule that may act is checked until no doubt is left, a rule that only
pages is left alone. Each check is one function of a table; `loading` runs them all over every entry.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import product
from typing import Any

from receiver.core.case import Policy, Verb
from receiver.core.model import Level, Symptom
from receiver.core.prepared import KEYS, RECIPES
from receiver.core.rules import RESERVED_NAMES, Matrix
from receiver.core.tighten import loosens
from receiver.rulefiles.promql import PLACEHOLDERS, compares, unknown_placeholders
from receiver.rulefiles.schema import DefaultEntry, DependencyEntry, RemediationEntry, RuleEntry, ServiceEntry, UrgencyEntry, VerifyEntry
from receiver.yamlfile import Document, Path, Problem, check_fields, show_duration

Finding = tuple[Path, str]
"""Path inside the entry, and what is wrong there."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an entry is held against."""

    policy: Policy
    actions: Collection[str]
    matrix: Matrix
    services: Mapping[str, ServiceEntry]
    broken_services: Collection[str] = field(default_factory=frozenset)
    """Names of services that are at fault themselves: what is said of them may be incomplete."""


def judge_rule(rule: RuleEntry, broken: Collection[Path], around: Surroundings) -> list[Finding]:
    """All that is wrong with a rule whose single values are well; what is at a path of `broken` is known to be at fault and left out."""
    found = [each for check in _ALONE for each in check(rule)]
    found += [each for check in _AMONG for each in check(rule, around)]
    return [each for each in found if not _speaks_of(each, broken)]


def judge_default(entry: DefaultEntry, broken: Collection[Path], around: Surroundings) -> list[Finding]:
    """The default classifies and pages; it never acts."""
    found: list[Finding] = []
    if entry.impact is None:
        found.append((("impact",), f"key 'impact' is missing; allowed: {_levels()}"))
    if entry.urgency is None:
        found.append((("urgency",), f"key 'urgency' is missing; allowed: {_levels()}, or {{label: severity, map: {{critical: high}}}}"))
    if entry.remediate:
        found.append((("remediate",), "the default never acts: an unmatched alert is not understood; leave it empty, write a rule"))
    found.extend(_breadth(entry))
    found.extend(_page(entry, around))
    return [each for each in found if not _speaks_of(each, broken)]


def judge_service(entry: ServiceEntry) -> list[Finding]:
    """A service must have a name and say how it is met."""
    found: list[Finding] = [] if entry.name else [((), "key 'name' is missing")]
    if not entry.targets and not entry.labels:
        found.append(((), "a service needs targets: or labels:, else nothing ever names it"))
    found += _values(("values",), entry.values, KEYS)
    return found


def judge_dependency(entry: DependencyEntry) -> list[Finding]:
    """A dependency says how it is known to be up."""
    found: list[Finding] = [] if entry.name else [((), "key 'name' is missing")]
    if bool(entry.query) is bool(entry.status):
        found.append(((), "a dependency names exactly one way to ask it; allowed: query: with below: or above:, or status:"))
    if entry.query and entry.below is None and entry.above is None:
        found.append((("query",), "gives a value that the receiver compares: below: or above: (while it is up) is missing"))
    found += [(("query",), f"{each} has no meaning here: a dependency has no target") for each in unknown_placeholders(entry.query, ())]
    return found


def judge_depends_on(entry: ServiceEntry, known: Collection[str], broken: Collection[str]) -> list[Finding]:
    """Every dependency that a service names is in a catalogue file."""
    names = ", ".join(sorted({*known, *broken} - {""})) or "no file lists any under dependencies:"
    return [
        (("depends_on", at), f"{each[:80]!r} is no dependency; allowed: {names}")
        for at, each in enumerate(entry.depends_on)
        if each not in known and each not in broken
    ]


ECS = "ecs."
"""How the names of its actions begin."""
CONFIGURED_ONLY = frozenset(
    {"known_good_for", "call_timeout", "storm_targets", "storm_share", "storm_namespace", "storm_window", "storm_quiet"}
)
"""Bounds that are not looked up for each rung: a value in a rule would have no effect, so it is refused."""


def check_bounds(document: Document, path: Path, raw: Mapping[str, Any], policy: Policy) -> tuple[dict[str, Any], list[Problem]]:
    """Bounds of a rung or service: known, well written, and no looser than the policy's."""
    values, found = check_fields(policy.bounds, document, path, raw)
    for name, value in values.items():
        if name in CONFIGURED_ONLY:
            text = f"holds for everything at once and is read from the configuration only (bounds.{name}); leave it out here"
            found.append(document.problem((*path, name), text))
        elif loosens(policy.bounds, name, value):
            now = getattr(policy.bounds, name)
            text = (
                f"{_shown(value)} loosens the policy's {_shown(now)}; a rule may only tighten (change bounds.{name} in the configuration)"
            )
            found.append(document.problem((*path, name), text))
    return values, found


def _speaks_of(finding: Finding, broken: Collection[Path]) -> bool:
    """The finding is about a value that was left out, or may be owed to one that was."""
    path, _ = finding
    return any(each[: len(path)] == path or path[: len(each)] == each for each in broken)


# --- the checks, in the order of a rule's keys ---------------------------------------------------------------------------


def _name(rule: RuleEntry) -> Iterator[Finding]:
    if not rule.name:
        yield ("name",), "key 'name' is missing"
    if rule.name in RESERVED_NAMES:
        yield ("name",), f"{rule.name!r} is reserved; choose another name"


def _match(rule: RuleEntry) -> Iterator[Finding]:
    if not rule.match:
        yield ("match",), "key 'match' is missing: a rule without matchers would meet every alert; that is what default: is for"


def _one_purpose(rule: RuleEntry) -> Iterator[Finding]:
    quiet = [name for name in ("ignore", "heartbeat") if getattr(rule, name)]
    if len(quiet) == 2:
        yield ("ignore",), "ignore: and heartbeat: exclude each other"
    if quiet and (rule.remediate or rule.page_only or rule.page or rule.verify):
        yield (quiet[0],), f"{quiet[0]}: makes no incident, so remediate:, verify:, page: and page_only: mean nothing beside it"
    if rule.page_only and rule.remediate:
        yield ("page_only",), "page_only: true forbids remediate:; keep one of them"
    if rule.symptom.untouchable and rule.remediate:
        yield ("remediate",), f"symptom {rule.symptom.value} is never remediated: acting would destroy evidence or data"


def _ladder(rule: RuleEntry, around: Surroundings) -> Iterator[Finding]:
    seen: set[tuple[str, str]] = set()
    for at, rung in enumerate(rule.remediate):
        path: Path = ("remediate", at)
        if not rung.action:
            yield (*path, "action"), "key 'action' is missing"
        elif rung.action not in around.actions:
            known = ", ".join(sorted(around.actions)) or "none is built in"
            yield (*path, "action"), f"{rung.action[:80]!r} is not an action; allowed: {known}"
        if rung.on and rung.on not in around.services and rung.on not in around.broken_services:
            known = ", ".join(sorted({*around.services, *around.broken_services} - {""})) or "the catalogue is empty"
            yield (*path, "on"), f"{rung.on[:80]!r} is no service of the catalogue; allowed: {known}"
        if (rung.action, rung.on) in seen:
            yield (*path, "action"), f"{rung.action!r} is listed twice; an action runs once an incident and target"
        seen.add((rung.action, rung.on))
        yield from _amounts(rung, path, around)
        yield from _preconditions(rung, path)


def _preconditions(rung: RemediationEntry, path: Path) -> Iterator[Finding]:
    listed = rung.approval.preconditions if rung.approval else ()
    for at, each in enumerate(listed):
        if each.name in {other.name for other in listed[:at]}:
            yield (*path, "approval", "preconditions", at, "name"), f"{each.name!r} is listed twice"
        yield from _placeholders((*path, "approval", "preconditions", at, "age"), each.age)


def _suggest(rule: RuleEntry) -> Iterator[Finding]:
    if rule.suggest and (rule.ignore or rule.heartbeat):
        yield ("suggest",), "makes no incident, so there is nobody to suggest anything to; leave it out"
    for at, each in enumerate(rule.suggest):
        path: Path = ("suggest", at)
        if not each.name:
            yield path, "key 'name' is missing"
        elif each.name not in RECIPES:
            yield path, f"{each.name[:80]!r} is no prepared command; allowed: {', '.join(sorted(RECIPES))}"
        else:
            yield from _values((*path, "values"), each.values, RECIPES[each.name].keys)


def _evidence(rule: RuleEntry) -> Iterator[Finding]:
    if rule.evidence and (rule.ignore or rule.heartbeat):
        yield ("evidence",), "makes no incident, so there is no page to show figures on; leave it out"
    for at, each in enumerate(rule.evidence):
        for key in ("name", "query"):
            if not getattr(each, key):
                yield ("evidence", at), f"key {key!r} is missing"
        if each.name and each.name in {other.name for other in rule.evidence[:at]}:
            yield ("evidence", at, "name"), f"{each.name!r} is listed twice"
        yield from _placeholders(("evidence", at, "query"), each.query)


def _values(path: Path, values: Mapping[str, str], known: Collection[str]) -> Iterator[Finding]:
    for name, value in values.items():
        if name not in known:
            yield (*path, name), f"unknown key {name[:80]!r}; allowed: {', '.join(sorted(known)) or 'none'}"
        elif not KEYS[name].fits(value):
            yield (*path, name), f"{value[:80]!r} does not fit ({KEYS[name].means}, {KEYS[name].pattern.pattern}); see docs/prepared.md"


def _amounts(rung: RemediationEntry, path: Path, around: Surroundings) -> Iterator[Finding]:
    if rung.action and not _scales(rung):
        for key in ("step", "max"):
            if getattr(rung, key):
                yield (*path, key), f"{key}: belongs to a scale action, {rung.action[:80]!r} has no use for it"
        return
    bounds = around.policy.bounds
    if rung.step.endswith("%") and int(rung.step[:-1]) / 100 > bounds.scale_step:
        yield (*path, "step"), f"{rung.step!r} loosens the policy's {bounds.scale_step:.0%}; a rule may only tighten (bounds.scale_step)"
    if rung.step.isdigit() and int(rung.step) > bounds.scale_step_max:
        yield (
            (*path, "step"),
            f"{rung.step!r} loosens the policy's {bounds.scale_step_max}; a rule may only tighten (bounds.scale_step_max)",
        )


def _proof(rule: RuleEntry, around: Surroundings) -> Iterator[Finding]:
    verify = rule.verify
    if verify is None:
        if rule.remediate:
            yield ("verify",), "key 'verify' is missing: a rule that acts says how its cure is proved; give query:, probe: or rollout:"
        return
    if not (verify.query or verify.probe or verify.rollout):
        yield ("verify",), "names no proof; give query: with below: or above:, probe: true, or rollout: true"
    elif rule.symptom is Symptom.saturation and any(_scales(each) and not _told(each, verify) for each in rule.remediate):
        also = ", or alarm: true" if any(each.action.startswith(ECS) for each in rule.remediate) else ""
        yield ("verify",), f"new pods do not prove that a saturation is over; give query: with below: or above:, or probe: true{also}"
    if verify.settle > around.policy.bounds.verify_timeout:
        limit = show_duration(around.policy.bounds.verify_timeout)
        yield (
            ("verify", "settle"),
            f"{show_duration(verify.settle)} is longer than the whole verification may take ({limit}, bounds.verify_timeout)",
        )


def _told(rung: RemediationEntry, verify: VerifyEntry) -> bool:
    """Something tells whether the load is borne. CloudWatch's OK is a measurement; where nothing was measured it says so."""
    return bool(verify.query or verify.probe or (verify.alarm and rung.action.startswith(ECS)))


def _query(rule: RuleEntry) -> Iterator[Finding]:
    verify = rule.verify
    if verify is None:
        return
    limits = [name for name in ("below", "above") if getattr(verify, name) is not None]
    if limits and not verify.query:
        yield ("verify", limits[0]), f"{limits[0]}: needs a query: to compare with"
    if verify.query and not limits:
        inside = "compares inside PromQL, so a healthy service would answer with nothing; write one that " if compares(verify.query) else ""
        yield ("verify", "below"), f"the query {inside}gives a value that the receiver compares: below: or above: is missing"
    if verify.below is not None and verify.above is not None and verify.above >= verify.below:
        yield ("verify", "above"), f"no value is above {verify.above:g} and below {verify.below:g}"
    yield from _placeholders(("verify", "query"), verify.query)


def _probe(rule: RuleEntry, around: Surroundings) -> Iterator[Finding]:
    """Which service an alert will mean is known here only where the matchers pin its selector; else at least one must have a probe."""
    if rule.verify is None or not rule.verify.probe or around.broken_services:
        return
    pinned = {(each.name, each.value) for line in rule.match for each in line if each.op == "="}
    meant = [each for each in around.services.values() if each.labels and set(each.labels.items()) <= pinned]
    for service in meant:
        if service.probe is None:
            yield ("verify", "probe"), f"service {service.name!r} has no probe: address in the catalogue; give it one"
    if not meant and not any(each.probe for each in around.services.values()):
        yield ("verify", "probe"), "no service of the catalogue has a probe: address; give the service one"


def _breadth(entry: RuleEntry | DefaultEntry) -> Iterator[Finding]:
    breadth = entry.breadth
    if breadth is None:
        return
    if [bool(breadth.replicas), bool(breadth.targets), bool(breadth.query)].count(True) != 1:
        yield ("breadth",), "names exactly one share; allowed: replicas: true, targets: true, or query:"
    if not 0 < breadth.medium < breadth.high:
        yield ("breadth",), f"medium ({breadth.medium:.0%}) must be above 0% and below high ({breadth.high:.0%})"
    yield from _placeholders(("breadth", "query"), breadth.query)


def _placeholders(path: Path, query: str) -> Iterator[Finding]:
    for each in unknown_placeholders(query):
        yield path, f"{each} is not a placeholder; allowed: {', '.join('$' + name for name in PLACEHOLDERS)}"


def _page(entry: RuleEntry | DefaultEntry, around: Surroundings) -> Iterator[Finding]:
    if entry.page is None:
        return
    reachable = {around.matrix[impact][urgency] for impact, urgency in product(_impacts(entry), _urgencies(entry))}
    latest = max(around.policy.page_after[each] for each in reachable)
    if entry.page.after > latest:
        asked, allowed = show_duration(entry.page.after), show_duration(latest)
        where = ", ".join(around.policy.naming.show(each) for each in sorted(reachable))
        yield (
            ("page", "after"),
            f"{asked} is later than the policy's {allowed} for the priorities this rule can have ({where}); only earlier is allowed",
        )


def _impacts(entry: RuleEntry | DefaultEntry) -> list[Level]:
    least = entry.impact
    if least is None or isinstance(entry, DefaultEntry):
        return list(Level)
    return [least, *(each for each in Level if entry.breadth is not None and each.rank > least.rank)]


def _urgencies(entry: RuleEntry | DefaultEntry) -> list[Level]:
    """Trend may raise what is stated."""
    if entry.urgency is None or isinstance(entry.urgency, UrgencyEntry):
        return list(Level)
    return [entry.urgency, entry.urgency.raised()]


def _scales(rung: RemediationEntry) -> bool:
    return Verb.of(rung.action) is Verb.scale


def _levels() -> str:
    return ", ".join(Level)


def _shown(value: timedelta | float) -> str:
    return show_duration(value) if isinstance(value, timedelta) else f"{value:g}"


_ALONE: tuple[Callable[[RuleEntry], Iterator[Finding]], ...] = (_name, _match, _one_purpose, _suggest, _evidence, _query, _breadth)
_AMONG: tuple[Callable[[RuleEntry, Surroundings], Iterator[Finding]], ...] = (_ladder, _proof, _probe, _page)
