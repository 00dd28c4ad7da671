"""What came out of a simulation, and whether it is what was expected.

Owns which decisions are told (those that do, ask or end something; looks and waits are how it got there). Called by `running`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from receiver.core.case import (
    AskApproval,
    Attempt,
    AttemptState,
    Because,
    Close,
    Decision,
    Judge,
    Page,
    Permit,
    Remediate,
    Revert,
    Shadow,
    Verdict,
)
from receiver.core.model import Incident, Naming
from receiver.simulation.cases import ExpectEntry, PageEntry, StepEntry
from receiver.simulation.loop import Moment, Simulation
from receiver.yamlfile import show_duration


@dataclass(frozen=True, slots=True)
class Told:
    """One decision as a test speaks of it."""

    at: timedelta
    """Since the case began."""
    step: str
    because: Because
    incident: int
    action: str = ""
    verdict: Verdict | None = None
    priority: str = ""
    """Of a page, in the policy's naming."""
    detail: str = ""

    def __str__(self) -> str:
        parts = [f"at: {show_duration(self.at)}", f"step: {self.step}", f"because: {self.because.value}"]
        parts += [f"action: {self.action}"] if self.action else []
        parts += [f"verdict: {self.verdict.value}"] if self.verdict else []
        return "{" + ", ".join(parts) + "}"


def told(simulation: Simulation, start: datetime) -> tuple[Told, ...]:
    """The decisions that do, ask or end something, in order; a verdict only when it is final."""
    naming = simulation.policy.naming
    return tuple(each for moment in simulation.moments if (each := _told(moment, start, naming)) is not None)


def _told(moment: Moment, start: datetime, naming: Naming) -> Told | None:
    decision, incident = moment.decision, moment.case.incident
    at = moment.at - start
    match decision.step:
        case Remediate(permit):
            return _acting("remediate", permit, at, decision)
        case Shadow(permit):
            return _acting("shadow", permit, at, decision)
        case AskApproval(permit):
            return _acting("ask_approval", permit, at, decision)
        case Revert(permit):
            return _acting("revert", permit, at, decision)
        case Judge(attempt) if _final(attempt) and not _final(_before(moment, attempt)):
            return Told(at, "judge", decision.because, incident.id, attempt.action, attempt.verdict, detail=decision.detail)
        case Page(raised):
            return Told(at, "page", decision.because, incident.id, priority=naming.show(raised.priority), detail=decision.detail)
        case Close():
            return Told(at, "close", decision.because, incident.id)
    return None


def _before(moment: Moment, attempt: Attempt) -> Attempt:
    return next((each for each in moment.case.attempts if each.id == attempt.id), attempt)


def _final(attempt: Attempt) -> bool:
    return attempt.state is AttemptState.abandoned or (attempt.verdict is not None and attempt.verdict.final)


def _acting(step: str, permit: Permit, at: timedelta, decision: Decision) -> Told:
    return Told(at, step, decision.because, permit.incident_id, permit.action, detail=decision.detail)


def compare(expect: ExpectEntry, simulation: Simulation, start: datetime) -> tuple[str, ...]:
    """Every point that differs, in words; empty: as expected."""
    happened = told(simulation, start)
    found = [*_about_incident(expect, simulation)]
    if expect.steps is not None and not _same(expect.steps, happened):
        found.append(_differs("steps", expect.steps, happened))
    pages = tuple(each for each in happened if each.step == "page")
    if expect.pages is not None and not _same(expect.pages, pages):
        found.append(_differs("pages", expect.pages, pages))
    found.extend(_refusals(expect, simulation))
    return tuple(found)


def _about_incident(expect: ExpectEntry, simulation: Simulation) -> Iterator[str]:
    incidents = simulation.incidents
    if expect.incidents is not None and len(incidents) != expect.incidents:
        yield f"incidents: expected {expect.incidents}, got {len(incidents)}"
    wanted = {"priority": expect.priority, "rule": expect.rule, "service": expect.service, "closed": expect.closed}
    first = min(incidents, key=lambda each: (each.priority.rank, each.id), default=None)
    if first is None:
        if any(each is not None for each in wanted.values()) or expect.no_action is not None:
            yield "no incident was made"
        return
    for name, value in wanted.items():
        got = _point(name, first, simulation.policy.naming)
        if value is not None and got != value:
            yield f"{name}: expected {value}, got {got}{_why(name, first)}"
    if expect.no_action is not None and (expect.no_action not in first.no_action or (not expect.no_action and first.no_action)):
        yield f"no_action: expected {expect.no_action!r}, got {first.no_action!r}"


def _point(name: str, incident: Incident, naming: Naming) -> str | bool:
    points: dict[str, str | bool] = {
        "priority": naming.show(incident.priority),
        "rule": incident.rule,
        "service": incident.service,
        "closed": not incident.open,
    }
    return points[name]


def _why(name: str, incident: Incident) -> str:
    if name != "priority":
        return ""
    return (
        " (" + "; ".join(f"{each.axis} {each.level.value}: {each.by.value}, {each.detail}" for each in incident.classification.trace) + ")"
    )


def _same(expected: Sequence[StepEntry | PageEntry], happened: tuple[Told, ...]) -> bool:
    return len(expected) == len(happened) and all(_fits(wanted, got) for wanted, got in zip(expected, happened, strict=True))


def _fits(wanted: StepEntry | PageEntry, got: Told) -> bool:
    """What is not given may be anything."""
    points = ((name, getattr(wanted, name)) for name in type(wanted).model_fields)
    return all(value is None or getattr(got, name) == value for name, value in points)


def _differs(what: str, expected: Sequence[StepEntry | PageEntry], happened: tuple[Told, ...]) -> str:
    asked = "".join(f"\n    - {_written(each)}" for each in expected) or " none"
    got = "".join(f"\n    - {each}{f'  # {each.detail}' if each.detail else ''}" for each in happened) or " none"
    return f"{what}:\n  expected:{asked}\n  got:{got}"


def _written(entry: StepEntry | PageEntry) -> str:
    given = {name: getattr(entry, name) for name in type(entry).model_fields if getattr(entry, name) is not None}
    return (
        "{" + ", ".join(f"{name}: {show_duration(value) if isinstance(value, timedelta) else value}" for name, value in given.items()) + "}"
    )


def _refusals(expect: ExpectEntry, simulation: Simulation) -> Iterator[str]:
    given: dict[str, set[Because]] = {}
    for moment in simulation.moments:
        for each in moment.decision.refusals:
            given.setdefault(each.action, set()).add(each.because)
    for action, reasons in expect.refusals.items():
        missing = [each.value for each in reasons if each not in given.get(action, set())]
        if missing:
            got = ", ".join(sorted(each.value for each in given.get(action, set()))) or "none"
            yield f"refusals of {action}: expected {', '.join(missing)}, got {got}"
