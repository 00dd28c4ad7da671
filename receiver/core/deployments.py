"""What an ECS service shows of an attempt: did it take effect, does it stand, is it rolled out?

ECS has neither marks nor compare-and-set. What tells is the PRIMARY deployment's id, when it was made, and the values that were set.
`DescribeServices` may answer with yesterday's truth for a while, so that one good look proves nothing: two must agree. Pure; the part of
`core/verify.py` that is about ECS. Source: `remediation.md` 6 and 7.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from receiver.core.case import Attempt, AttemptState, Verb, Verdict
from receiver.core.facts import Facts, RolloutState, Workload
from receiver.core.model import Bounds

CLOCKS = timedelta(seconds=5)
"""A deployment that seems so much older than our intent may still be of it: two clocks."""
FAILED_TASKS = "failed tasks"
"""As `Pods.waiting`: tasks of the present deployment that failed in a row; 0 again once one runs."""
HOPELESS = 3
"""So many in a row: ECS's own circuit breaker never gives up sooner."""


def of_ecs(attempt: Attempt) -> bool:
    """Its target is an ECS service."""
    return attempt.target.ref.platform == "ecs"


def taken_back(attempt: Attempt, seen: Workload) -> str:
    """Not empty: what we set no longer stands."""
    wanted = attempt.parameters
    if attempt.verb is Verb.scale:
        if seen.replicas == wanted.replicas:
            return ""
        return f"the desired count is {seen.replicas}, not the {wanted.replicas} that was set: undone"
    if seen.replicas < 1:
        return "the desired count is 0: somebody stopped it"
    if attempt.made and seen.deployment != attempt.made:
        return f"deployment {seen.deployment} has taken the place of ours ({attempt.made}): undone"
    if attempt.verb is Verb.undo and seen.template_hash != wanted.template_hash and not _awaited(attempt, seen):
        return f"the task definition is {seen.template_hash}, not {wanted.template_hash}: undone"
    return ""


def not_cured(attempt: Attempt, seen: Workload, counts: str) -> tuple[Verdict, str] | None:
    """What speaks against a cure here and nowhere else; None: nothing."""
    if attempt.verb is Verb.undo and seen.template_hash != attempt.parameters.template_hash:
        return Verdict.not_yet, f"the rollback was asked for and has not begun, {counts}"
    failed = seen.pods.waiting.get(FAILED_TASKS, 0)
    if attempt.verb is not Verb.scale and failed >= HOPELESS:
        return Verdict.failed, f"{failed} tasks of deployment {seen.deployment} failed in a row, {counts}"
    if seen.rollout is RolloutState.complete and seen.available >= seen.replicas and not _seen_before(attempt, seen):
        return Verdict.not_yet, f"rollout complete, a second look has to agree, {counts}"
    return None


def settled(attempt: Attempt, seen: Workload, *, at: datetime, bounds: Bounds) -> tuple[AttemptState, str] | None:
    """What became of an attempt whose outcome is unknown, by a look at `at`; None: cannot be said yet."""
    if applied := _applied(attempt, seen):
        return AttemptState.applied, applied
    if other := _changed(attempt, seen):
        return AttemptState.abandoned, f"{other}: whether ours was in between cannot be told"
    if at < attempt.started_at + bounds.late_landing:
        return None
    if attempt.verb is Verb.restart:  # no value tells it from one that came to nothing; never asked for twice
        return AttemptState.abandoned, "no new deployment was made, and the call is not repeated"
    return AttemptState.rejected, "not applied, and older than any request lives"


def made(attempt: Attempt, state: AttemptState, facts: Facts) -> str:
    """The deployment that an attempt which was settled by looking has made."""
    of_ours = of_ecs(attempt) and state is AttemptState.applied and attempt.verb is not Verb.scale
    return facts.workload.deployment if of_ours and facts.workload is not None and not _awaited(attempt, facts.workload) else ""


def _applied(attempt: Attempt, seen: Workload) -> str:
    before, wanted = attempt.before, attempt.parameters
    if attempt.verb is Verb.scale:
        return "the service has the desired count that was set" if seen.replicas == wanted.replicas != before.replicas else ""
    if attempt.verb is Verb.undo:
        if seen.template_hash == wanted.template_hash:
            return "the service has the task definition that was set"
        return "the deployment is being rolled back" if _awaited(attempt, seen) and seen.rolling_back else ""
    young = seen.revision_at is not None and seen.revision_at >= attempt.started_at - CLOCKS
    ours = seen.deployment != before.deployment and young and seen.template_hash == before.template_hash
    return f"deployment {seen.deployment} of the same task definition was made since" if ours else ""


def _changed(attempt: Attempt, seen: Workload) -> str:
    before = attempt.before
    if seen.deployment != before.deployment:
        return f"deployment {seen.deployment} has taken the place of {before.deployment}"
    if attempt.verb is Verb.scale and seen.replicas != before.replicas:
        return f"the desired count is {seen.replicas}, it was {before.replicas}"
    return ""


def _awaited(attempt: Attempt, seen: Workload) -> bool:
    """A deployment in flight was to be stopped, and is still the newest."""
    return bool(attempt.parameters.replica_set) and seen.deployment == attempt.before.deployment


def _seen_before(attempt: Attempt, seen: Workload) -> bool:
    last = attempt.after
    return last is not None and last.complete and (last.deployment, last.replicas) == (seen.deployment, seen.replicas)
