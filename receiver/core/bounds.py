"""May this action run now? The only place that makes a `Permit`.

Law: doubt refuses. A bound that raises, a missing label, an unreadable ledger, facts that are not fresh: a refusal, never a permit. The
bounds are two tables: those that need no look, and those that do; the plan asks for a look only when the first table says yes. Adding
one is a function and a row.
"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime

from receiver.core import budgets, verbs
from receiver.core.ask import Ask, ask, short
from receiver.core.case import Attempt, AttemptState, Because, Case, HoldKind, Parameters, Permit, Refusal, Verb
from receiver.core.classify import odd_form
from receiver.core.confirmation import one_target, symptom_confirmed
from receiver.core.dependencies import dependencies
from receiver.core.facts import Trouble
from receiver.core.looks import AGE
from receiver.core.model import Mode
from receiver.core.offers import answered_until, asked_for
from receiver.core.places import allowed_namespace, rights
from receiver.core.verbs import PARAMETERS, VERB_BOUNDS, Bound
from receiver.core.verify import measured
from receiver.core.waits import ACTIONS_FILE, hold

PASSING = frozenset({Trouble.timeout, Trouble.unreadable, Trouble.api_unhealthy})
"""Troubles of a look that may be over at the next one."""


def check(case: Case, index: int, now: datetime) -> Permit | tuple[Refusal, ...]:
    """The permit for rung `index`, or every reason why not. `need_look` tells the same question before the facts are there."""
    return refused_without_look(case, index, now) or check_with_look(case, index, now)


def check_with_look(case: Case, index: int, now: datetime) -> Permit | tuple[Refusal, ...]:
    """As `check`, for a caller that has just had no refusal of `refused_without_look`."""
    asked = ask(case, index, now)
    own = VERB_BOUNDS.get(asked.verb, ()) if asked.verb else ()
    of_object = OF_NODE if asked.verb is not None and asked.verb.of_node else OF_TARGET
    return _all(WITH_FACTS, asked) or _all((*of_object, *own), asked) or _permit(asked)


def refused_without_look(case: Case, index: int, now: datetime) -> tuple[Refusal, ...]:
    """What stands against rung `index` whatever the target looks like."""
    return _all(WITHOUT_FACTS, ask(case, index, now))


def _all(table: tuple[Bound, ...], asked: Ask) -> tuple[Refusal, ...]:
    found = [_safely(each, asked) for each in table]
    return tuple(each for each in found if each is not None)


def _safely(bound: Bound, asked: Ask) -> Refusal | None:
    try:
        return bound(asked)
    except Exception as fault:  # boundary: a bound that fails refuses
        return asked.refuse(Because.bound_failed, f"bound {bound.__name__} failed: {type(fault).__name__}")


def _permit(asked: Ask) -> Permit:
    facts, target = asked.found
    verb = asked.verb or Verb.scale  # the table has refused an unknown verb
    case, approved = asked.case, asked.approved
    return Permit(
        attempt_id=next_id(case),
        incident_id=case.incident.id,
        action=asked.rung.action,
        verb=verb,
        target=target,
        parameters=PARAMETERS[verb](asked),
        before=measured(facts),
        at=asked.now,
        expires_at=facts.at + asked.bounds.facts_fresh,
        seen=case.seen,
        rung=asked.index,
        rule=case.rule.name,
        ruleset_hash=case.ruleset_hash or case.incident.ruleset_hash,
        mode=asked.mode,
        on=asked.rung.on,
        approval=approved.id if approved and asked.mode is Mode.approve else "",
        approved_by=approved.approved_by if approved and asked.mode is Mode.approve else "",
        needs=asked.rung.approval,
        ages=_ages(asked),
        offered_until=answered_until(asked) if asked.mode is Mode.approve and not approved else None,
        lease_until=asked.now + asked.bounds.scale_lease if verb in (Verb.scale, Verb.cordon) else None,
    )


def _ages(asked: Ask) -> dict[str, float]:
    """Of the rung's preconditions, as far as the newest look could tell."""
    facts, found = asked.facts, {}
    for each in asked.rung.approval.preconditions:
        sample = facts.sample(AGE + each.name) if facts is not None else None
        if sample is not None and sample.value is not None:
            found[each.name] = sample.value
    return found


def next_id(case: Case) -> str:
    """`<installation>-<incident>-<n>`: never used twice, since the ledger is append-only."""
    return f"{case.policy.installation}-{case.incident.id}-{len(case.own_attempts) + 1}"


# --- without a look ------------------------------------------------------------------------------------------------------


def known(asked: Ask) -> Refusal | None:
    """The action is wired, and the service that the rung names exists."""
    if asked.verb is None or asked.rung.action not in asked.case.policy.actions:
        allowed = ", ".join(sorted(asked.case.policy.actions)) or "none"
        return asked.refuse(Because.unknown_action, f"action {asked.rung.action} is not available here; available: {allowed}")
    if asked.rung.on and asked.rung.on not in asked.case.services:
        return asked.refuse(Because.unknown_service, f"service {asked.rung.on} is not in the catalogue")
    return None


def ledger_readable(asked: Ask) -> Refusal | None:
    """Without the history nothing can be bounded."""
    return None if asked.case.ledger_readable else asked.refuse(Because.bound_failed, "the ledger could not be read")


def kill_switch(asked: Ask) -> Refusal | None:
    """Refuses everything, at once, everywhere."""
    if not asked.case.policy.actions_file_ok:
        return asked.refuse(Because.kill_switch, "actions_file does not hold the word allowed, or cannot be read", waits_on=ACTIONS_FILE)
    for each in asked.case.holds:
        if each.kind is HoldKind.kill_switch and each.holds(asked.now):
            detail = f"kill switch set by {each.by}: {each.reason}"
            return asked.refuse(Because.kill_switch, detail, retry_at=each.until, waits_on=hold(each.scope))
    return None


def frozen(asked: Ask) -> Refusal | None:
    """A freeze of one of the scopes that this action falls under."""
    scopes = {"", f"rule:{asked.case.rule.name}", f"service:{asked.rung.on or asked.case.incident.service}"}
    if asked.target is not None:
        scopes |= {f"namespace:{asked.target.namespace}", f"target:{asked.target.ref.key}"}
    for each in asked.case.holds:
        if each.kind is not HoldKind.kill_switch and each.holds(asked.now) and each.scope in scopes:
            detail = f"frozen ({each.scope or 'everywhere'}) by {each.by}: {each.reason}"
            return asked.refuse(Because.frozen, detail, retry_at=each.until, waits_on=hold(each.scope))
    return None


def mode(asked: Ask) -> Refusal | None:
    """Observe speaks once for each rung; approve asks, and waits for a person."""
    if asked.mode is Mode.approve:
        return asked_for(asked)
    if asked.mode is Mode.auto:
        return None
    for each in asked.case.own_attempts:
        if each.state is AttemptState.shadow and (each.action, each.on) == (asked.rung.action, asked.rung.on):
            return asked.refuse(Because.observe_mode, f"mode is {asked.mode}: {each.id} says what would be done")
    return None


def page_only(asked: Ask) -> Refusal | None:
    """Data and security never; nor where a rule, an alert's source, a foreign cluster or an unknown payload forbids it."""
    incident = asked.case.incident
    if incident.symptom.untouchable:
        return asked.refuse(Because.untouchable_symptom, f"symptom {incident.symptom} is never acted on: it would destroy evidence")
    if incident.no_action or asked.case.rule.page_only:
        return asked.refuse(Because.page_only, incident.no_action or f"rule {asked.case.rule.name} only pages")
    told = next((each.alert.page_only for each in asked.case.alerts if each.alert.page_only), "")
    return asked.refuse(Because.page_only, f"an alert is for people only: {told}") if told else None


def trusted_shape(asked: Ask) -> Refusal | None:
    """What came in an odd form (an unknown version, an absurd time) is paged, never acted on."""
    odd = next((each.alert for each in asked.case.alerts if not each.alert.trusted_shape), None)
    return None if odd is None else asked.refuse(Because.odd_version, "an alert came in a form that is not trusted" + odd_form(odd))


def own_cluster(asked: Ask) -> Refusal | None:
    """An alert that names another cluster is not about anything that we may touch."""
    for each in asked.case.alerts:
        named = each.alert.labels.get("cluster", "")
        if named and named != asked.case.policy.cluster:
            return asked.refuse(Because.foreign_cluster, f"the alert's label cluster is not ours ({asked.case.policy.cluster})")
    return None


def boot_hold(asked: Ask) -> Refusal | None:
    """Inhibitions and silences may not be in force right after a start."""
    started = asked.case.policy.started_at
    if started is None:
        return asked.refuse(Because.boot_hold, "the time of the start is unknown")
    return asked.until(started + asked.bounds.boot_hold, Because.boot_hold, f"started {short(asked.now - started)} ago")


def acknowledged(asked: Ask) -> Refusal | None:
    """Somebody is on it; whoever approved is as well."""
    incident = asked.case.incident
    held = incident.acked_at is not None and asked.approved is None
    return asked.refuse(Because.acknowledged, f"acknowledged by {incident.acked_by}") if held else None


def firing(asked: Ask) -> Refusal | None:
    """Nothing is done for an alert that is over."""
    return None if asked.case.firing else asked.refuse(Because.not_firing, "no alert of it fires any more")


def alert_age(asked: Ask) -> Refusal | None:
    """Old enough to be more than a blip, young enough to be the same story."""
    starts = [each.since for each in asked.case.alerts if each.firing]
    if not starts:
        return None
    oldest, newest = min(starts), max(starts)
    if asked.now - newest > asked.bounds.alert_too_old:
        detail = f"it has fired for {short(asked.now - newest)}, more than {short(asked.bounds.alert_too_old)}"
        return asked.refuse(Because.alert_too_old, detail)
    detail = f"it has fired for {short(asked.now - oldest)}"
    return asked.until(oldest + asked.bounds.alert_age, Because.alert_too_young, detail)


def storm(asked: Ask) -> Refusal | None:
    """Too much is alight at once for any single cure to be right."""
    gate = asked.case.storm
    return asked.refuse(Because.storm, f"the storm gate is shut: {gate.detail}") if gate.shut else None


def sources_may_aim(asked: Ask) -> Refusal | None:
    """A source with no namespaces of its own starts nothing."""
    for source in {each.alert.source for each in asked.case.alerts if each.firing}:
        if not asked.case.policy.source_namespaces.get(source):
            return asked.refuse(Because.namespace_not_allowed, f"source {source} lists no namespaces")
    return None


# --- with a look ---------------------------------------------------------------------------------------------------------


def resolved(asked: Ask) -> Refusal | None:
    """The target is one live object, read just now."""
    facts = asked.facts
    if facts is None:
        return asked.refuse(Because.no_target, "the target was not looked at yet")
    seen = facts.node if asked.verb is not None and asked.verb.of_node else facts.workload
    if facts.trouble is not None or facts.target is None or seen is None:
        passing = facts.trouble in PASSING or (facts.trouble is None and facts.workload is None and facts.node is None)
        detail = f"{facts.trouble or 'no state'}: {facts.trouble_detail}".rstrip(": ")
        return asked.refuse(Because.no_target, detail, retry_at=facts.at + asked.bounds.facts_fresh if passing else None)
    platform = asked.rung.action.partition(".")[0]
    if facts.target.ref.platform != platform:
        return asked.refuse(Because.no_target, f"it acts on {platform}, the target is {facts.target.ref.key}")
    bound = asked.case.incident.target
    if not asked.rung.on and bound is not None and bound.uid != facts.target.uid:
        return asked.refuse(Because.no_target, "the object was replaced since the incident began (another uid)")
    return None


def fresh(asked: Ask) -> Refusal | None:
    """Facts older than this may describe another world; those of a light look leave out what forbids."""
    if asked.facts is not None and asked.facts.light:
        return asked.refuse(Because.stale_facts, "the newest look saw the counts only", retry_at=asked.now)
    if asked.facts is None or asked.now - asked.facts.at <= asked.bounds.facts_fresh:
        return None
    return asked.refuse(Because.stale_facts, f"the newest look is {short(asked.now - asked.facts.at)} old", retry_at=asked.now)


WITHOUT_FACTS: tuple[Bound, ...] = (
    known,
    rights,
    ledger_readable,
    kill_switch,
    page_only,
    trusted_shape,
    own_cluster,
    sources_may_aim,
    acknowledged,
    firing,
    mode,
    frozen,
    storm,
    boot_hold,
    alert_age,
    budgets.incident_budget,
    budgets.kind_once,
    budgets.rejected_too_often,
    budgets.global_busy,
    budgets.global_budget,
    budgets.breaker,
)


WITH_FACTS: tuple[Bound, ...] = (resolved, fresh, dependencies)


# --- of the target -------------------------------------------------------------------------------------------------------


OF_TARGET: tuple[Bound, ...] = (
    allowed_namespace,
    rights,
    one_target,
    frozen,
    verbs.hazards,
    verbs.someone_else,
    symptom_confirmed,
    budgets.target_busy,
    budgets.cooldown,
    budgets.target_day,
    budgets.namespace_busy,
    budgets.namespace_budget,
    budgets.flapping,
)


OF_NODE: tuple[Bound, ...] = (
    rights,
    frozen,
    verbs.hazards,
    verbs.someone_else,
    symptom_confirmed,
    budgets.target_busy,
    budgets.cooldown,
    budgets.target_day,
    budgets.namespace_busy,
    budgets.namespace_budget,
    budgets.flapping,
)


# --- taking back ---------------------------------------------------------------------------------------------------------


def check_revert(case: Case, attempt: Attempt, now: datetime) -> Permit | Refusal | Attempt:
    """May the temporary change `attempt` be taken back (a scale by one step)? An Attempt: it is over, nothing more to take back.

    What stands must still be ours: what a person or an HPA set since then is never touched.
    """
    if attempt.rung >= len(case.rule.remediate):
        return replace(attempt, reverted=True, verdict_detail="the rule changed: it is left to people")
    asked = replace(ask(case, attempt.rung, now), facts=case.newest_facts(attempt.on))
    for bound in (ledger_readable, kill_switch, frozen, still_acting, resolved, fresh):
        refusal = _safely(bound, asked)
        if refusal is not None:
            return refusal
    return _uncordon(asked, attempt) if attempt.verb.of_node else _scale_back(asked, attempt)


def still_acting(asked: Ask) -> Refusal | None:
    """Lowered to observe, nothing is touched any more, not even to tidy up."""
    if asked.case.policy.mode is Mode.observe:
        return asked.refuse(Because.mode_ceiling, "the configured mode is observe: taking back is left to people")
    return None


def _scale_back(asked: Ask, attempt: Attempt) -> Permit | Attempt:
    seen = asked.live[2]
    ours, present = _last_value(asked.case, attempt), seen.replicas
    if present <= attempt.before.replicas:
        return replace(attempt, reverted=True)
    by_hpa = any(each.hazard.value in ("hpa", "keda", "autoscaling") for each in seen.dangers)
    if present != ours or by_hpa:
        return replace(attempt, reverted=True, verdict_detail=f"not taken back: replicas are {present}, not our {ours}; somebody took over")
    down = max(1, math.floor(present * asked.bounds.scale_down_share))
    return _revert_permit(asked, attempt, Parameters(replicas=max(attempt.before.replicas, present - down)))


def _uncordon(asked: Ask, attempt: Attempt) -> Permit | Refusal | Attempt:
    node = asked.node
    if not (node.unschedulable and node.ours):
        return replace(attempt, reverted=True, verdict_detail="not taken back: it is not cordoned by us any more")
    return verbs.may_uncordon(asked) or _revert_permit(asked, attempt, Parameters())


def _last_value(case: Case, attempt: Attempt) -> int | None:
    """What we set last: by the scale itself, or by the newest step back."""
    steps = [each for each in case.own_attempts if each.reverts == attempt.id and each.state is AttemptState.applied]
    return (steps[-1] if steps else attempt).parameters.replicas


def _revert_permit(asked: Ask, attempt: Attempt, parameters: Parameters) -> Permit:
    facts, _ = asked.found
    back = Verb.uncordon if attempt.verb is Verb.cordon else attempt.verb
    return Permit(
        attempt_id=next_id(asked.case),
        incident_id=asked.case.incident.id,
        action=attempt.action if back is attempt.verb else attempt.action.replace(attempt.verb.value, back.value),
        verb=back,
        target=attempt.target,
        parameters=parameters,
        before=measured(facts),
        at=asked.now,
        expires_at=facts.at + asked.bounds.facts_fresh,
        seen=asked.case.seen,
        rung=attempt.rung,
        rule=attempt.rule,
        ruleset_hash=asked.case.ruleset_hash or asked.case.incident.ruleset_hash,
        mode=Mode.auto,
        on=attempt.on,
        reverts=attempt.id,
    )
