"""Facts against expectation: is the symptom there, did the change stay, is it cured?

The alert clearing alone proves nothing; neither does an empty vector, NaN or a time-out (= cannot tell). On ECS, and where a rule asks it,
an alert that still fires speaks against a cure. A question whose outcome is unknown is settled here too, from what stands on the object.
Pure; called by the bounds (confirmation) and the plan.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from receiver.core import deployments
from receiver.core.case import Attempt, AttemptState, Before, Verb, Verdict
from receiver.core.facts import Facts, Node, RolloutState, Sample, SampleState, Trouble, Workload
from receiver.core.model import Bounds, Symptom, Verification

ROLLOUT_ONLY = Verification(rollout=True)
"""What holds where a rule names no verification (the loader demands one wherever a rule acts)."""

STILL = timedelta(minutes=5)
"""Without a restart for so long nothing waits in kubelet's back-off, whose longest is 5 min."""

GONE = frozenset({Trouble.replaced, Trouble.not_found})


def measured(facts: Facts) -> Before:
    """The figures that a page shows as before or after."""
    seen = facts.workload
    samples = {each.name: each.value for each in facts.samples if each.value is not None}
    if seen is None:
        return Before(samples=samples, resource_version=facts.node.resource_version if facts.node else "")
    return Before(
        replicas=seen.replicas,
        available=seen.available,
        ready=seen.ready,
        revision=seen.revision,
        template_hash=seen.template_hash,
        resource_version=seen.resource_version,
        generation=seen.generation,
        restarts=seen.pods.restarts,
        waiting=dict(seen.pods.waiting),
        samples=samples,
        images=seen.images,
        deployment=seen.deployment,
        complete=seen.rollout is RolloutState.complete and seen.available >= seen.replicas,
    )


def confirmed(facts: Facts, symptom: Symptom, verification: Verification) -> bool:
    """The API itself, or the rule's own question, shows the harm that the alert speaks of.

    Crash and unavailable show in the workload. The others show in the query or probe; a rule that verifies by the rollout alone has
    nothing else to ask, so there the live target has to do.
    """
    if facts.node is not None:
        return not facts.node.ready or bool(facts.node.detail)
    if facts.workload is None:
        return False
    if symptom in (Symptom.crash, Symptom.unavailable) or not facts.workload.healthy:
        return not facts.workload.healthy
    answers = [each for each in (_query(facts, verification), _probe(facts, verification)) if each is not None]
    if not answers:
        return True
    return any(verdict is Verdict.failed for verdict, _ in answers)


def unanswered(facts: Facts, symptom: Symptom, verification: Verification) -> str:
    """Not empty: which question could have shown the symptom, and why it has no answer."""
    if facts.node is not None or symptom in (Symptom.crash, Symptom.unavailable):
        return ""
    answers = [each for each in (_query(facts, verification), _probe(facts, verification)) if each is not None]
    return next((detail for verdict, detail in answers if verdict is Verdict.cannot_tell), "")


def judge(
    attempt: Attempt, facts: Facts, verification: Verification, *, now: datetime, bounds: Bounds, firing: bool = False
) -> tuple[Verdict, str]:
    """What this look says of an applied attempt; not_yet and cannot_tell turn into deadline when its time is over. `firing`: an alert of
    the incident is."""
    verdict, detail = _look_at(attempt, facts, verification)
    alarm = verification.alarm or deployments.of_ecs(attempt)  # the counts of ECS alone do not show what its alarms watch
    if verdict is Verdict.cured and alarm and firing and not attempt.reverts:
        verdict, detail = Verdict.not_yet, f"{detail}; the alert still fires"
    late = now >= (attempt.ended_at or attempt.started_at) + verify_limit(attempt, bounds)
    if late and not verdict.final:
        return Verdict.deadline, detail
    return verdict, detail


def verify_limit(attempt: Attempt, bounds: Bounds) -> timedelta:
    """From applied to the end of verification."""
    return bounds.deployment_timeout if deployments.of_ecs(attempt) else bounds.verify_timeout


def after(attempt: Attempt, facts: Facts) -> Before:
    """As `measured`, with the time since when nothing restarted any more."""
    found, last = measured(facts), attempt.after
    still = last.still_since if last is not None and last.restarts == found.restarts else None
    return replace(found, still_since=still or facts.at)


def _look_at(attempt: Attempt, facts: Facts, verification: Verification) -> tuple[Verdict, str]:
    if attempt.verb.of_node:
        return _look_at_node(attempt, facts, verification)
    seen = facts.workload
    if seen is None:
        return Verdict.cannot_tell, f"could not look: {facts.trouble or 'no state'} {facts.trouble_detail}".strip()
    undone = taken_back(attempt, seen)
    if undone:
        return Verdict.failed, undone
    steps = [_rolled_out(attempt, seen, facts.at)]
    if not attempt.reverts:
        steps += [each for each in (_query(facts, verification), _probe(facts, verification)) if each is not None]
    return _worst(steps)


def _look_at_node(attempt: Attempt, facts: Facts, verification: Verification) -> tuple[Verdict, str]:
    node = facts.node
    if node is None:
        return Verdict.cannot_tell, f"could not look: {facts.trouble or 'no state'} {facts.trouble_detail}".strip()
    wanted = attempt.verb is Verb.cordon
    if node.unschedulable is not wanted:
        by = f" by {node.foreign.manager}" if node.foreign else ""
        return Verdict.failed, f"the node is {'' if node.unschedulable else 'not '}cordoned: undone{by}"
    stands = (Verdict.cured, "the node takes no new pods" if wanted else "the node takes pods")
    return _worst([stands, *(each for each in (_query(facts, verification),) if each is not None)])


def _worst(steps: list[tuple[Verdict, str]]) -> tuple[Verdict, str]:
    """The rollout's own failure is final; a measurement that is not good yet may still become so."""
    rollout = steps[0]
    if rollout[0] is Verdict.failed:
        return rollout
    rest = [(Verdict.not_yet if verdict is Verdict.failed else verdict, detail) for verdict, detail in steps]
    for wanted in (Verdict.cannot_tell, Verdict.not_yet):
        for verdict, detail in rest:
            if verdict is wanted:
                return verdict, detail
    return Verdict.cured, "; ".join(detail for _, detail in steps)


def taken_back(attempt: Attempt, seen: Workload) -> str:
    """Not empty: what we set no longer stands, and by whom it was changed."""
    if deployments.of_ecs(attempt):
        return deployments.taken_back(attempt, seen)
    by = f" by {seen.foreign.manager}" if seen.foreign else ""
    if attempt.verb is Verb.scale and seen.replicas != attempt.parameters.replicas:
        return f"replicas are {seen.replicas}, not the {attempt.parameters.replicas} that were set: undone{by}"
    if attempt.verb is Verb.undo and seen.template_hash != attempt.parameters.template_hash:
        return f"the template is no longer that of revision {attempt.parameters.revision}: undone{by}"
    if attempt.verb is Verb.restart and attempt.id not in seen.marks:
        return f"the restart's mark is gone from the template: undone{by}"
    return ""


def _rolled_out(attempt: Attempt, seen: Workload, at: datetime) -> tuple[Verdict, str]:
    counts = f"{seen.available} of {seen.replicas} available"
    if deployments.of_ecs(attempt) and (found := deployments.not_cured(attempt, seen, counts)) is not None:
        return found
    if attempt.verb is Verb.evict and seen.pod_present is not False:
        there = "is still there" if seen.pod_present else "was not looked for"
        return Verdict.not_yet, f"pod {attempt.parameters.pod} {there}, {counts}"
    if seen.rollout is RolloutState.stuck:
        return Verdict.failed, f"rollout is stuck ({seen.rollout_detail}), {counts}"
    if attempt.verb is Verb.scale and seen.pods.unschedulable:
        return Verdict.failed, f"{seen.pods.unschedulable} pods cannot be scheduled, {counts}"
    if seen.rollout is RolloutState.progressing or seen.available < seen.replicas:
        return Verdict.not_yet, f"rolling out, {counts}"
    if seen.pods.waiting:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in sorted(seen.pods.waiting.items()))
        return Verdict.not_yet, f"pods wait ({reasons}), {counts}"
    if attempt.verb is not Verb.scale and seen.pods.restarts:
        last = attempt.after
        still = last.still_since if last is not None and last.restarts == seen.pods.restarts else None
        if still is None or at - still < STILL:
            return Verdict.not_yet, f"{seen.pods.restarts} restarts, not all of them long ago, {counts}"
    return Verdict.cured, f"rollout complete, {counts}"


def _query(facts: Facts, verification: Verification) -> tuple[Verdict, str] | None:
    if not verification.query:
        return None
    sample = facts.sample("verify")
    if sample is None or sample.state is not SampleState.value or sample.value is None:
        return Verdict.cannot_tell, _unanswered("query", sample)
    good = (verification.below is None or sample.value < verification.below) and (
        verification.above is None or sample.value > verification.above
    )
    wanted = " and ".join(
        f"{word} {limit:g}" for word, limit in (("below", verification.below), ("above", verification.above)) if limit is not None
    )
    text = f"query gives {sample.value:g}, wanted {wanted}"
    return (Verdict.cured, text) if good else (Verdict.failed, text)


def _probe(facts: Facts, verification: Verification) -> tuple[Verdict, str] | None:
    if not verification.probe:
        return None
    sample = facts.sample("probe")
    if sample is None or sample.state is not SampleState.value:
        return Verdict.cannot_tell, _unanswered("probe", sample)
    return (Verdict.cured, "probe is well") if sample.value == 1 else (Verdict.failed, f"probe is not well: {sample.detail}")


def _unanswered(what: str, sample: Sample | None) -> str:
    return f"{what}: no answer" if sample is None else f"{what}: {sample.state} ({sample.detail})"


def settle(attempt: Attempt, facts: Facts, *, now: datetime, bounds: Bounds) -> tuple[AttemptState, str] | None:
    """What became of an attempt whose outcome is unknown; None: cannot be said yet.

    The id on the object proves applied. Its absence proves nothing by itself (an annotation can be lost), so the value is compared.
    Rejected needs proof that it cannot land late: the precondition that it carried no longer holds, or longer than any request lives.
    """
    if facts.trouble in GONE:
        return AttemptState.abandoned, f"target is gone: {facts.trouble_detail or facts.trouble}"
    seen = facts.node if attempt.verb.of_node else facts.workload
    if seen is None or facts.at < (attempt.ended_at or attempt.started_at):
        overdue = now >= attempt.started_at + bounds.late_landing + verify_limit(attempt, bounds)
        return (AttemptState.abandoned, "the target could not be read in time") if overdue else None
    if isinstance(seen, Workload) and deployments.of_ecs(attempt):
        return deployments.settled(attempt, seen, at=facts.at, bounds=bounds)
    if attempt.id in seen.marks or _stands(attempt, seen):
        marked = attempt.id in seen.marks
        return AttemptState.applied, "its mark is on the object" if marked else "the object has the value that it would have set"
    if isinstance(seen, Workload) and attempt.verb is not Verb.evict:
        if seen.generation != attempt.before.generation:
            return AttemptState.abandoned, "the object was changed since: whether ours was in between cannot be told"
        if attempt.verb is not Verb.undo and seen.resource_version != attempt.before.resource_version:
            return AttemptState.rejected, "not applied, and the version that it was bound to is gone: it cannot land late"
    if facts.at >= attempt.started_at + bounds.late_landing:
        return AttemptState.rejected, "not applied, and older than any request lives"
    return None


def reported(stored: Attempt, state: AttemptState, detail: str, *, at: datetime, closed: bool = False, made: str = "") -> Attempt:
    """The attempt once its own call has come back with `state`, however late: what was settled by looking meanwhile is not opened again.

    `closed`: a person closed the incident meanwhile, so nobody is left to judge it.
    """
    if made and not stored.made:
        stored = replace(stored, made=made)
    if stored.verdict is Verdict.closed and state is AttemptState.applied:  # a person closed it first: what was done stays known
        return replace(stored, state=state, ended_at=at, detail=detail)
    if stored.state not in (AttemptState.intent, AttemptState.unknown):
        if state is AttemptState.applied and stored.state is AttemptState.rejected:
            return replace(stored, state=AttemptState.abandoned, detail="it was taken for not applied, and then said to be")
        return stored
    done = replace(stored, state=state, ended_at=at, detail=detail)
    if not closed or not done.open:
        return done
    kept = state if state is AttemptState.applied else AttemptState.abandoned
    return replace(done, state=kept, verdict=Verdict.closed, verdict_at=at)


def _stands(attempt: Attempt, seen: Workload | Node) -> bool:
    if isinstance(seen, Node):
        return seen.unschedulable is (attempt.verb is Verb.cordon)
    if attempt.verb is Verb.evict:
        return seen.pod_present is False
    if attempt.verb is Verb.scale:
        return seen.replicas == attempt.parameters.replicas and attempt.before.replicas != attempt.parameters.replicas
    if attempt.verb is Verb.undo:
        return seen.template_hash == attempt.parameters.template_hash
    return False
