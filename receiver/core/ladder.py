"""How far a rule's ladder may be climbed now: the next rung's step, a time to wait for, or nothing more.

Owns the order of rungs and what "hopeless" means (nothing that is allowed here before the page is due). Pure; called by the plan only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from receiver.core.ask import ask
from receiver.core.bounds import check_with_look, refused_without_look
from receiver.core.case import (
    AskApproval,
    Attempt,
    AttemptState,
    Because,
    Case,
    Judge,
    Permit,
    Refusal,
    Remediate,
    Shadow,
    Verdict,
)
from receiver.core.escalation import deadline
from receiver.core.facts import Look
from receiver.core.looks import look
from receiver.core.model import Mode
from receiver.core.offers import changed, waiting, withdrawn
from receiver.core.verify import taken_back

HELD_EVERY = timedelta(seconds=60)
"""How often a dependency that holds an incident back is asked about: nothing else says that it is up again."""


@dataclass(frozen=True, slots=True)
class Ladder:
    """What the ladder says now."""

    because: Because
    step: Look | Remediate | Shadow | AskApproval | Judge | None = None
    detail: str = ""
    refusals: tuple[Refusal, ...] = ()
    until: datetime | None = None
    """When it may say something else."""
    hopeless: bool = False
    """Nothing that it could still do ends before the page is due."""


def climb(case: Case, now: datetime) -> Ladder:
    """The first rung that may run; else why none may."""
    standing = _standing(case)
    if standing is not None:
        return standing
    if not case.rule.remediate:
        return Ladder(Because.no_action_listed, hopeless=True)
    return _rungs(case, now)


def _standing(case: Case) -> Ladder | None:
    """What already stands in the ledger decides before any rung is asked."""
    if case.incident.acked_at is not None and not any(each.approved_by for each in waiting(case)):
        return Ladder(Because.acknowledged, hopeless=True, detail=f"acknowledged by {case.incident.acked_by}")
    attempts = [each for each in case.own_attempts if not each.reverts]
    busy = [each for each in attempts if each.open]
    if busy:
        return _busy(busy[-1])
    done = [each for each in attempts if each.state in (AttemptState.applied, AttemptState.abandoned)]
    last = done[-1] if done else None
    if last is not None and last.verdict is Verdict.cured and not fired_since(case, last):
        return Ladder(Because.verified, detail=last.verdict_detail)
    if last is not None and last.state is AttemptState.abandoned:
        return Ladder(Because.outcome_unknown, hopeless=True, detail=last.detail)
    if last is not None and _undone(case, last):
        return Ladder(Because.undone_by_others, hopeless=True, detail=last.verdict_detail)
    if not case.firing:
        hurt = last is not None and last.verdict is not Verdict.cured
        return Ladder(Because.not_cured if hurt else Because.resolved_itself, hopeless=hurt)
    return None


def _busy(attempt: Attempt) -> Ladder:
    if attempt.state is not AttemptState.applied:
        return Ladder(Because.outcome_unknown, hopeless=True, detail=attempt.detail)
    if attempt.verdict is Verdict.cannot_tell:
        return Ladder(Because.cannot_tell, hopeless=True, detail=attempt.verdict_detail)
    return Ladder(Because.settling)


def _undone(case: Case, attempt: Attempt) -> bool:
    """Somebody took our change back: noticed, never fought."""
    if attempt.verdict is not Verdict.failed:
        return False
    facts = case.newest_facts(attempt.on)
    return facts is not None and facts.workload is not None and bool(taken_back(attempt, facts.workload))


def fired_since(case: Case, attempt: Attempt) -> bool:
    """An alert began, fired again, or was first heard of, after the attempt was judged."""
    judged = attempt.verdict_at or attempt.started_at
    return any(
        each.firing and (max(each.alert.starts_at, *each.flaps[-1:], judged) > judged or each.first_at >= judged) for each in case.alerts
    )


def _rungs(case: Case, now: datetime) -> Ladder:
    refusals: list[Refusal] = []
    waits: list[datetime] = []
    asked_again: list[datetime] = []
    due = deadline(case)
    for index in range(len(case.rule.remediate)):
        found = _rung(case, index, now)
        if isinstance(found, Look):
            return Ladder(Because.need_facts, step=found, refusals=tuple(refusals))
        if isinstance(found, Permit):
            return _permitted(case, found, tuple(refusals), now)
        refusals += found
        if any(each.because is Because.needs_approval for each in found):  # a person decides about this one first
            return Ladder(Because.needs_approval, detail=found[-1].detail, refusals=tuple(refusals), hopeless=True)
        if _held(found) and (facts := case.newest_facts(case.rule.remediate[index].on)) is not None:
            asked_again.append(facts.at + HELD_EVERY)
        ends = retry_at(found)
        if ends is not None:
            waits.append(ends)
            if ends <= due:
                break
    held = _held(refusals)
    if held is not None and not any(each <= due for each in waits):
        until = min([*waits, *asked_again], default=None) if case.policy.can_look else None
        return Ladder(Because.dependency_down, detail=held.detail, refusals=tuple(refusals), until=until, hopeless=True)
    if waits:
        until = min(waits)
        return Ladder(Because.waiting_bound, refusals=tuple(refusals), until=until, hopeless=until > due)
    return Ladder(_ended(refusals), refusals=tuple(refusals), hopeless=True)


def _rung(case: Case, index: int, now: datetime) -> Look | Permit | tuple[Refusal, ...]:
    """Cheap bounds first; then a look if the facts are missing, old, or a second one is due; then the rest."""
    early = refused_without_look(case, index, now)
    if early:
        return early
    asked = ask(case, index, now)
    unseen = asked.facts is None or (asked.approved is not None and asked.facts.at < (asked.approved.approved_at or now))
    if unseen and case.policy.can_look:  # a yes is held against what stands after it
        return look(case, now, on=asked.rung.on)
    found = check_with_look(case, index, now)
    if isinstance(found, Permit):
        return found
    if _held(found) is not None:
        again = asked.facts is not None and now - asked.facts.at >= HELD_EVERY and case.policy.can_look
        return look(case, now, on=asked.rung.on, light=True) if again else _without_stale(found)
    ends = retry_at(found)
    if ends is not None and ends <= now and case.policy.can_look:
        return look(case, now, on=asked.rung.on)
    return found


def _held(refusals: Sequence[Refusal]) -> Refusal | None:
    return next((each for each in refusals if each.because is Because.dependency_down), None)


def _without_stale(refusals: tuple[Refusal, ...]) -> tuple[Refusal, ...]:
    """While it is held back, old or light facts forbid nothing that is not forbidden already."""
    return tuple(each for each in refusals if each.because is not Because.stale_facts)


def _permitted(case: Case, permit: Permit, refusals: tuple[Refusal, ...], now: datetime) -> Ladder:
    """What is allowed is run, asked for or only said; a yes to another plan than this one ends."""
    offer = next((each for each in case.own_attempts if permit.approval and each.id == permit.approval), None)
    other = changed(offer, permit) if offer is not None else ""
    if offer is not None and other:
        detail = f"the plan changed since it was asked for: {other}"
        return Ladder(Because.plan_changed, step=Judge(withdrawn(offer, detail, now)), detail=detail, refusals=refusals)
    return Ladder(_why(permit), step=_step(permit), refusals=refusals)


def retry_at(refusals: tuple[Refusal, ...]) -> datetime | None:
    """When all of them have ended; None when one of them does not end by waiting."""
    times = [each.retry_at for each in refusals]
    known = [each for each in times if each is not None]
    return max(known) if len(known) == len(times) and known else None


def _step(permit: Permit) -> Remediate | Shadow | AskApproval:
    if not permit.shadow:
        return Remediate(permit)
    return AskApproval(permit) if permit.mode is Mode.approve else Shadow(permit)


def _why(permit: Permit) -> Because:
    if permit.approval:
        return Because.approved
    return {Mode.auto: Because.allowed, Mode.approve: Because.needs_approval, Mode.observe: Because.would_act}[permit.mode]


def _ended(refusals: list[Refusal]) -> Because:
    """One word for a ladder with no rung left: the one that a person can do most with."""
    said = {each.because for each in refusals}
    for word in (Because.needs_approval, Because.observe_mode):
        if word in said:
            return word
    return Because.ladder_ended if said & {Because.kind_once, Because.incident_budget} else Because.all_refused
