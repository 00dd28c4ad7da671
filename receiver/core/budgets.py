"""Bounds that replay the ledger: cooldown, attempts, buckets, concurrency, breaker, flapping.

Nothing is counted anywhere else: the stored attempts are the only input, so a restart or a second replica cannot forget or overspend.
Each function answers None (allowed) or a refusal with the time at which it ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from receiver.core.ask import Ask, short
from receiver.core.case import Attempt, AttemptState, Because, Refusal, Verdict
from receiver.core.verify import verify_limit
from receiver.core.waits import ANY_ATTEMPT, in_namespace, on_target

DAY = timedelta(days=1)
HOLDS_FOR = timedelta(minutes=30)
"""An alert that fires again so soon after our success: the cure does not hold."""
LAST_VERDICTS = 10


def target_busy(ask: Ask) -> Refusal | None:
    """One action on a target until it is verified; also another incident's."""
    for each in ask.case.attempts:
        if each.open and ask.target is not None and each.target.uid == ask.target.uid:
            detail = f"attempt {each.id} ({each.action}) is open on it"
            return ask.refuse(Because.target_busy, detail, retry_at=_ends(ask, each), waits_on=on_target(ask.target.uid))
    return None


def cooldown(ask: Ask) -> Refusal | None:
    """Doubles with each attempt on the target; a quiet `cooldown_reset` starts it again."""
    times = [each.started_at for each in _on_target(ask)]
    if not times:
        return None
    row = 1
    for earlier, later in zip(reversed(times[:-1]), reversed(times), strict=False):
        if later - earlier >= ask.bounds.cooldown_reset:
            break
        row += 1
    wait = min(ask.bounds.cooldown * 2 ** min(row - 1, 30), ask.bounds.cooldown_max)
    return ask.until(
        times[-1] + wait, Because.cooldown, f"last attempt on this target {short(ask.now - times[-1])} ago, {short(wait)} must pass"
    )


def incident_budget(ask: Ask) -> Refusal | None:
    """So many actions an incident, then people."""
    done = len(_for_incident(ask))
    if done >= ask.bounds.incident_actions:
        return ask.refuse(
            Because.incident_budget, f"{done} actions were tried for this incident, {ask.bounds.incident_actions} are allowed"
        )
    return None


def kind_once(ask: Ask) -> Refusal | None:
    """Each action once an incident: a ladder, not a loop."""
    for each in _for_incident(ask):
        if (each.action, each.on) == (ask.rung.action, ask.rung.on):
            return ask.refuse(Because.kind_once, f"it was tried already ({each.id}: {each.verdict or each.state})")
    return None


def rejected_too_often(ask: Ask) -> Refusal | None:
    """Attempts that were proven not applied do not spend the budget, but they end too."""
    rejected = [
        each
        for each in ask.case.tried
        if each.state is AttemptState.rejected and (each.action, each.on) == (ask.rung.action, ask.rung.on) and not each.reverts
    ]
    if len(rejected) >= ask.bounds.incident_rejections:
        return ask.refuse(Because.rejected_too_often, f"rejected {len(rejected)} times: {rejected[-1].detail}")
    return None


def target_day(ask: Ask) -> Refusal | None:
    """A cure that is needed so often is a bug."""
    recent = [each for each in _on_target(ask) if each.started_at > ask.now - DAY]
    if len(recent) >= ask.bounds.target_day:
        return ask.refuse(Because.target_budget, f"{len(recent)} attempts on this target in 24 h, {ask.bounds.target_day} are allowed")
    return None


def namespace_busy(ask: Ask) -> Refusal | None:
    """Concurrency in one namespace."""
    running = [each for each in _open(ask) if ask.target and each.target.namespace == ask.target.namespace]
    if len(running) >= ask.bounds.namespace_concurrency:
        detail = f"{_open_attempts(running)} in this namespace"
        place = in_namespace(running[0].target.namespace)
        return ask.refuse(Because.namespace_busy, detail, retry_at=_ends(ask, running[0]), waits_on=place)
    return None


def _open_attempts(running: Sequence[Attempt]) -> str:
    return "1 attempt is open" if len(running) == 1 else f"{len(running)} attempts are open"


def global_busy(ask: Ask) -> Refusal | None:
    """Concurrency everywhere."""
    running = _open(ask)
    if len(running) >= ask.bounds.global_concurrency:
        return ask.refuse(Because.global_busy, _open_attempts(running), retry_at=_ends(ask, running[0]), waits_on=ANY_ATTEMPT)
    return None


def namespace_budget(ask: Ask) -> Refusal | None:
    """The namespace's bucket."""
    spent = [each.started_at for each in ask.ledger if ask.target and each.target.namespace == ask.target.namespace]
    ready = bucket_ready(spent, size=ask.bounds.namespace_bucket, refill=ask.bounds.namespace_refill, now=ask.now)
    detail = f"the namespace's {ask.bounds.namespace_bucket} tokens are spent, one comes back every {short(ask.bounds.namespace_refill)}"
    return ask.until(ready, Because.namespace_budget, detail)


def global_budget(ask: Ask) -> Refusal | None:
    """The bucket over everything: how much a wrong rule can touch before a person sees it."""
    ready = bucket_ready(
        [each.started_at for each in ask.ledger], size=ask.bounds.global_bucket, refill=ask.bounds.global_refill, now=ask.now
    )
    detail = f"all {ask.bounds.global_bucket} tokens are spent, one comes back every {short(ask.bounds.global_refill)}"
    return ask.until(ready, Because.global_budget, detail)


def bucket_ready(spent: Iterable[datetime], *, size: int, refill: timedelta, now: datetime) -> datetime:
    """When a token bucket that was full at the beginning has one again; `now` or earlier: it has one now."""
    if refill <= timedelta(0):
        return now
    tokens, since = float(size), None
    for moment in sorted(spent):
        if since is not None:
            tokens = min(float(size), tokens + (moment - since) / refill)
        tokens, since = tokens - 1, moment
    if since is None:
        return now
    missing = 1 - min(float(size), tokens + (now - since) / refill)
    return now + missing * refill


def breaker(ask: Ask) -> Refusal | None:
    """Failed verifications, not API errors, say that we do harm."""
    judged = sorted(
        (each for each in ask.case.attempts if _judged(each)),
        key=lambda each: each.verdict_at or each.started_at,
    )[-LAST_VERDICTS:]
    failed = [each for each in judged if each.verdict in (Verdict.failed, Verdict.deadline)]
    row = judged[-ask.bounds.breaker_row :]
    in_a_row = len(row) == ask.bounds.breaker_row and all(each in failed for each in row)
    share = len(judged) == LAST_VERDICTS and len(failed) / LAST_VERDICTS >= ask.bounds.breaker_share
    if not failed or not (in_a_row or share):
        return None
    opened = failed[-1].verdict_at or failed[-1].started_at
    detail = f"{len(failed)} of the last {len(judged)} verifications failed"
    return ask.until(opened + ask.bounds.breaker_open, Because.breaker, detail)


def _judged(attempt: Attempt) -> bool:
    """Verification has spoken about a cure: taking back is none, and a person who closes judges nothing."""
    verdict = attempt.verdict if attempt.state is AttemptState.applied and not attempt.reverts else None
    return verdict is not None and verdict.final and verdict is not Verdict.closed


def flapping(ask: Ask) -> Refusal | None:
    """The cure does not hold: fire-and-resolve cycles, or a firing soon after our success."""
    hour_ago = ask.now - timedelta(hours=1)
    cycles = max((sum(1 for at in each.flaps if at > hour_ago) for each in ask.case.alerts), default=0)
    if cycles >= ask.bounds.flaps:
        return ask.refuse(Because.flapping, f"it fired and resolved {cycles} times within an hour")
    for each in _on_target(ask):
        if each.verdict is Verdict.cured and each.verdict_at and ask.now - each.verdict_at < HOLDS_FOR:
            ago = short(ask.now - each.verdict_at)
            return ask.refuse(Because.flapping, f"attempt {each.id} cured it {ago} ago and it fires again: the cure does not hold")
    return None


def _for_incident(ask: Ask) -> list[Attempt]:
    """Also for those merged into it: a merge gives no fresh budget."""
    return [each for each in ask.ledger if ask.case.tried_for(each)]


def _on_target(ask: Ask) -> list[Attempt]:
    return [each for each in ask.ledger if ask.target is not None and each.target.uid == ask.target.uid]


def _open(ask: Ask) -> list[Attempt]:
    return [each for each in ask.case.attempts if each.open]


def _ends(ask: Ask, attempt: Attempt) -> datetime:
    """When an open attempt has its verdict at the latest (but at least one look later than now)."""
    latest = (attempt.ended_at or attempt.started_at) + verify_limit(attempt, ask.bounds)
    return max(latest, ask.now + timedelta(seconds=15))
