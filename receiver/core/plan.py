"""`decide`: the next single step for a case, and why.

Law: an open incident is paged, or has a dated next step. The order of the questions is the order of safety: somebody asked for in
time, then what is unknown, then what is unproven, then what must be taken back, then the end, and only then something new. Pure: the
same case and time give the same decision, so a crash needs no recovery code. Called by the responder, `explain` and the simulation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from receiver.core.ask import ask
from receiver.core.bounds import check_revert
from receiver.core.case import (
    Attempt,
    AttemptState,
    Because,
    Case,
    Close,
    Decision,
    Judge,
    Page,
    Permit,
    Refusal,
    Revert,
    Verb,
    Verdict,
    Wait,
)
from receiver.core.dependents import asks_first, recovers_until, shared_page, spoken_for
from receiver.core.deployments import made
from receiver.core.escalation import AGAIN_AFTER, STORM_AGAIN_AFTER, acked, deadline, is_storm, next_raise, raise_again, urgent
from receiver.core.facts import Facts, Look
from receiver.core.ladder import Ladder, climb
from receiver.core.looks import PAGE_WAITS, can_look, look
from receiver.core.model import Bounds, Priority
from receiver.core.offers import over, waiting, withdrawn
from receiver.core.verify import GONE, ROLLOUT_ONLY, after, judge, settle

LOOK_AGAIN = timedelta(seconds=15)
"""Between two looks at an unknown outcome or an unreadable target."""
NEVER_LATER = timedelta(minutes=15)
"""The longest wait of an incident that is not paged: also a safety net, should no other date exist."""
STORM_CHECK = timedelta(seconds=60)
REVERT_REJECTIONS = 3
REVERT_HELD = timedelta(hours=1)
"""A temporary change that should be over for so long is a person's."""

Found = Decision | datetime | None
"""A step, or when there may be one, or nothing from this question."""


def decide(case: Case, now: datetime) -> Decision:
    """Total over every case: a decision, never an exception."""
    if not case.incident.open:
        return Decision(Wait(None), Because.merged if case.incident.merged_into else Because.closed_by_person)
    ladder = climb(case, now)
    waits: list[datetime] = []
    for question in QUESTIONS:
        found = question(case, ladder, now)
        if isinstance(found, Decision):
            return found
        if found is not None:
            waits.append(found)
    return _wait(case, ladder, waits, now)


# --- somebody is coming --------------------------------------------------------------------------------------------------


def _first_look(case: Case, _: Ladder, now: datetime) -> Found:
    """Before anything else one look, so that even the first page says what was seen; a page that is due waits 5 s for it at most."""
    if case.facts or case.raises or not case.firing or not can_look(case) or now > deadline(case) + PAGE_WAITS:
        return None
    return Decision(look(case, now), Because.need_target)


def _ring(case: Case, ladder: Ladder, now: datetime) -> Found:
    """The page that is due now, or when one will be."""
    if case.raises:
        again = raise_again(case, now) or _left_standing(case, now)
        if again is None and case.raises[-1].shared:
            return _shared(case, ladder, now)
        if again is Because.storm_opened and isinstance(ladder.step, Look) and asks_first(case, now):
            return None
        return _page(case, ladder, again, now) if again else _next_raise_date(case, now)
    if acked(case, now):
        return now + NEVER_LATER
    due = _due(case, ladder, now)
    if due is None:
        return None
    at, why = due
    return _page(case, ladder, why, now) if at <= now else at


def _shared(case: Case, ladder: Ladder, now: datetime) -> Found:
    """It rests on another's page about the dependency. Once that page does not speak for it any more, it is handled as if it had none."""
    if spoken_for(case, now):
        return now + STORM_CHECK
    if isinstance(ladder.step, Look) and asks_first(case, now):
        return None
    due = None if acked(case, now) else _due(case, ladder, now)
    if due is None:
        return now + STORM_CHECK
    at, why = due
    at = max(at, recovers_until(case) or at)
    return _page(case, ladder, why, now) if at <= now else at


def _left_standing(case: Case, now: datetime) -> Because | None:
    """What we could not take back is a person's: told once, also to whoever was paged before it came to that."""
    if any(each.because is Because.lease_ended for each in case.raises):
        return None
    return Because.lease_ended if any(temporary(each) and _given_up(case, each, now) for each in case.own_attempts) else None


def _given_up(case: Case, attempt: Attempt, now: datetime) -> bool:
    return stuck_revert(case, attempt) or _overdue(attempt, now)


def _due(case: Case, ladder: Ladder, now: datetime) -> tuple[datetime, Because] | None:
    """When the first page is due, and what it will say; None: nobody needs to be asked as things stand."""
    last = _last_done(case)
    if left := _left_standing(case, now):
        return now, left
    if ladder.because is Because.verified and last is not None:
        holds = (last.verdict_at or now) + _stable(case)
        return (holds, Because.still_firing) if case.firing else None
    if ladder.because is Because.resolved_itself:
        return None
    if ladder.hopeless and urgent(case):
        return now, _priority_one(case) or ladder.because
    if ladder.because is Because.dependency_down and shared_page(case, now)[1]:  # wakes nobody, and stands on that page at once
        return now, ladder.because
    late = deadline(case)
    return late, _priority_one(case) or (ladder.because if ladder.hopeless else Because.deadline)


def _priority_one(case: Case) -> Because | None:
    return Because.priority_one if case.incident.priority is Priority.p1 and not case.own_attempts else None


def _page(case: Case, ladder: Ladder, why: Because, now: datetime) -> Decision:
    held = ladder.because is Because.dependency_down and why is not Because.lease_ended
    dependency, joins = shared_page(case, now) if held else ("", False)
    return Decision(Page(next_raise(case, why, now, dependency=dependency, joins=joins)), why, ladder.detail, ladder.refusals)


def _next_raise_date(case: Case, now: datetime) -> datetime | None:
    """A firing that is newer than the last raise asks again when its gap is over; a storm's end is looked for by the minute."""
    last = case.raises[-1]
    if last.by_storm:
        return now + STORM_CHECK
    if any(each.firing and each.alert.starts_at > last.newest_start for each in case.alerts):
        return last.at + (STORM_AGAIN_AFTER if is_storm(case) else AGAIN_AFTER)
    return None


# --- what is unknown, what is unproven -----------------------------------------------------------------------------------


def _unknown(case: Case, _: Ladder, now: datetime) -> Found:
    """An intent without an outcome is never sent again: it is looked at until the object tells, or time does."""
    for attempt in case.own_attempts:
        if attempt.state is AttemptState.intent:
            doubt = replace(attempt, state=AttemptState.unknown, ended_at=now, detail="no answer was recorded")
            return Decision(Judge(doubt), Because.outcome_unknown)
        if attempt.state is AttemptState.unknown:
            return _look_at_unknown(case, attempt, now)
    return None


def _look_at_unknown(case: Case, attempt: Attempt, now: datetime) -> Found:
    facts = case.newest_facts(attempt.on)
    asked_at = attempt.ended_at or attempt.started_at
    if facts is None or facts.at < asked_at:
        return Decision(look(case, now, on=attempt.on), Because.outcome_unknown)
    known = settle(attempt, facts, now=now, bounds=_bounds(case, attempt))
    if known is not None:
        state, detail = known
        found = replace(attempt, state=state, detail=detail, made=attempt.made or made(attempt, state, facts))
        return Decision(Judge(found), Because.outcome_unknown, detail)
    if now - facts.at >= LOOK_AGAIN:
        return Decision(look(case, now, on=attempt.on), Because.outcome_unknown)
    return facts.at + LOOK_AGAIN


def _verify(case: Case, _: Ladder, now: datetime) -> Found:
    """An applied attempt is looked at after its settle time, then again and again until its verdict is final."""
    for attempt in case.own_attempts:
        if attempt.state is AttemptState.applied and attempt.open:
            return _verify_one(case, attempt, now)
    return None


def _verify_one(case: Case, attempt: Attempt, now: datetime) -> Found:
    verification = case.rule.verify or ROLLOUT_ONLY
    applied = attempt.ended_at or attempt.started_at
    due = attempt.verdict_at + verification.every if attempt.verdict_at else applied + verification.settle
    if now < due:
        return due
    facts = case.newest_facts(attempt.on)
    if facts is None or facts.at < due:
        return Decision(look(case, now, on=attempt.on, light=True), Because.need_verification)
    return _judged(case, attempt, facts, now)


def _judged(case: Case, attempt: Attempt, facts: Facts, now: datetime) -> Decision:
    if facts.trouble in GONE:
        detail = f"target is gone: {facts.trouble_detail or facts.trouble}"
        return Decision(Judge(replace(attempt, state=AttemptState.abandoned, detail=detail)), Because.cannot_tell, detail)
    verification = case.rule.verify or ROLLOUT_ONLY
    verdict, detail = judge(attempt, facts, verification, now=now, bounds=_bounds(case, attempt), firing=case.firing)
    judged = replace(attempt, verdict=verdict, verdict_at=now, verdict_detail=detail, after=after(attempt, facts))
    because = {Verdict.cured: Because.verified, Verdict.cannot_tell: Because.cannot_tell}.get(verdict, Because.not_cured)
    return Decision(Judge(judged), because, detail)


def _offers(case: Case, _: Ladder, now: datetime) -> Found:
    """What was asked for and not answered in time is asked for no longer."""
    dates: list[datetime] = []
    for offer in waiting(case):
        ended = over(offer, case, now)
        if ended is not None:
            return Decision(Judge(withdrawn(offer, ended[1], now)), *ended)
        dates.append(offer.expires_at or now)
    return min(dates, default=None)


# --- taking back ---------------------------------------------------------------------------------------------------------


def _take_back(case: Case, _: Ladder, now: datetime) -> Found:
    """A temporary scale is reverted when its lease ends, or at once when it did not help; step by step, by compare and set."""
    attempts = case.own_attempts
    if any(each.open for each in attempts):
        return None
    for attempt in attempts:
        if temporary(attempt) and not stuck_revert(case, attempt):
            return _take_back_one(case, attempt, now)
    return None


def temporary(attempt: Attempt) -> bool:
    """A scale-up or cordon of ours that still stands."""
    ours = attempt.verb in (Verb.scale, Verb.cordon) and attempt.state is AttemptState.applied
    return ours and not attempt.reverts and not attempt.reverted


def stuck_revert(case: Case, attempt: Attempt) -> bool:
    """Taking it back was rejected so often that a person must."""
    tries = [each for each in case.own_attempts if each.reverts == attempt.id and each.state is not AttemptState.applied]
    return len(tries) >= REVERT_REJECTIONS


def _overdue(attempt: Attempt, now: datetime) -> bool:
    """Held back (freeze, kill switch, mode, a node that stays sick) for so long that a person must know."""
    return attempt.lease_until is not None and attempt.verdict is Verdict.cured and now - attempt.lease_until > REVERT_HELD


def _take_back_one(case: Case, attempt: Attempt, now: datetime) -> Found:
    bounds = _bounds(case, attempt)
    ended = attempt.lease_until if attempt.verdict is Verdict.cured else attempt.verdict_at
    steps = [each.started_at for each in case.own_attempts if each.reverts == attempt.id]
    due = max(ended or now, *(each + bounds.scale_down_every for each in steps)) if steps else ended or now
    if attempt.verb.of_node and case.firing:  # a node is given back when it is well
        return None
    if now < due:
        return due
    if case.firing and attempt.verdict is Verdict.cured and not steps and attempt.extended < bounds.scale_extensions:
        longer = replace(attempt, lease_until=now + bounds.scale_lease, extended=attempt.extended + 1)
        return Decision(Judge(longer), Because.lease_extended, f"extension {longer.extended} of {bounds.scale_extensions}: it still fires")
    facts = case.newest_facts(attempt.on)
    if facts is None or facts.light or now - facts.at > bounds.facts_fresh:
        return Decision(look(case, now, on=attempt.on), Because.lease_ended)
    found = check_revert(case, attempt, now)
    if isinstance(found, Permit):
        return Decision(Revert(found), Because.lease_ended)
    if isinstance(found, Refusal):
        return max(found.retry_at or now + STORM_CHECK, now + LOOK_AGAIN)
    return Decision(Judge(found), Because.lease_ended, found.verdict_detail)


# --- the end -------------------------------------------------------------------------------------------------------------


def _close(case: Case, _: Ladder, now: datetime) -> Found:
    """Explicitly resolved for the stability window, and nothing of ours is left standing or unproven."""
    if case.firing or any(each.open or temporary(each) for each in case.own_attempts):
        return None
    if case.incident.acked_at is None and any(_unproven(each) for each in case.own_attempts):
        return None
    over = max((each.resolved_at for each in case.alerts if each.resolved_at), default=case.incident.accepted_at)
    at = over + _stable(case)
    if now < at:
        return at
    if by_hand(case):
        return now + NEVER_LATER
    return Decision(Close(), Because.stable if _last_done(case) else Because.resolved_itself)


def by_hand(case: Case) -> bool:
    """A person's change still stands: the incident stays open until somebody says that it was taken back."""
    return any(each.open for each in case.standing)


def _unproven(attempt: Attempt) -> bool:
    """Applied and not cured: a person has to say that it is over. Reverts prove themselves by their effect."""
    return attempt.state is AttemptState.applied and not attempt.reverts and attempt.verdict is not Verdict.cured


# --- something new, or nothing -------------------------------------------------------------------------------------------


def _climb(_: Case, ladder: Ladder, __: datetime) -> Found:
    """The ladder's own step."""
    if ladder.step is None:
        return ladder.until
    return Decision(ladder.step, ladder.because, ladder.detail, ladder.refusals)


def _wait(case: Case, ladder: Ladder, waits: list[datetime], now: datetime) -> Decision:
    """Until the earliest date of any question. Without one only a paged incident rests; any other is looked at again."""
    ahead = [each for each in waits if each > now]
    if ahead:
        return Decision(Wait(min(ahead)), _resting(case, ladder), ladder.detail, ladder.refusals)
    if case.raises and not waits:
        return Decision(Wait(None), Because.waiting_person, ladder.detail, ladder.refusals)
    return Decision(Wait(now + LOOK_AGAIN), _resting(case, ladder), ladder.detail, ladder.refusals)


def _resting(case: Case, ladder: Ladder) -> Because:
    if not case.firing and by_hand(case):
        return Because.waiting_reverse
    if ladder.because in (Because.verified, Because.resolved_itself):
        return Because.waiting_stability
    if ladder.because in (Because.settling, Because.waiting_bound, Because.outcome_unknown):
        return ladder.because
    return Because.waiting_person if case.raises else Because.waiting_page


QUESTIONS: tuple[Callable[[Case, Ladder, datetime], Found], ...] = (
    _first_look,
    _ring,
    _unknown,
    _verify,
    _offers,
    _take_back,
    _close,
    _climb,
)


def _last_done(case: Case) -> Attempt | None:
    done = [each for each in case.own_attempts if each.state is AttemptState.applied and not each.reverts]
    return done[-1] if done else None


def _stable(case: Case) -> timedelta:
    return (case.rule.verify or ROLLOUT_ONLY).stable


def _bounds(case: Case, attempt: Attempt) -> Bounds:
    """Of the attempt's rung; the policy's where the rule has changed since."""
    if attempt.rung >= len(case.rule.remediate):
        return case.policy.bounds
    return ask(case, attempt.rung, attempt.started_at).bounds
