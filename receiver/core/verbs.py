"""What each verb adds: its own bounds, and its absolute parameters.

Sizes come from our configuration and the live object only. A new verb is one entry in `VERB_BOUNDS` and one in `PARAMETERS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import timedelta

from receiver.core.ask import Ask, short
from receiver.core.case import Attempt, AttemptState, Because, Parameters, Refusal, Verb
from receiver.core.facts import Workload
from receiver.core.model import Mode

DISRUPTION_WAIT = timedelta(seconds=60)
"""A budget that allows nothing now may do so a minute later."""
ROLLOUT_SLACK = timedelta(seconds=60)
"""An alert that began a little before the new revision was created may still be its fault: clocks and scrapes differ."""


def hazards(ask: Ask) -> Refusal | None:
    """A danger in the live object that forbids this verb: the first, with the others named."""
    seen = [each for each in ask.state.dangers if not each.asks and (not each.verbs or ask.verb in each.verbs)]
    if not seen:
        return None
    return ask.refuse(Because.hazard, "; ".join(f"{each.hazard.value}: {each.detail}" for each in seen))


def someone_else(ask: Ask) -> Refusal | None:
    """A person or a pipeline is on it. For an undo only what came after the rollout counts: the bad rollout is foreign too."""
    foreign = ask.state.foreign
    if foreign is None or (ask.verb is Verb.undo and not foreign.after_revision) or _made_by_us(ask):
        return None
    detail = f"{foreign.manager} changed it {short(ask.now - foreign.at)} ago"
    return ask.until(foreign.at + ask.bounds.someone_else, Because.someone_else, detail)


def _made_by_us(ask: Ask) -> bool:
    """An ECS service does not tell who deployed it; what we made ourselves the ledger knows."""
    deployment = ask.workload.deployment if ask.workload is not None else ""
    return bool(deployment) and any(each.made == deployment for each in ask.case.attempts)


# --- scale ---------------------------------------------------------------------------------------------------------------


def has_replicas(ask: Ask) -> Refusal | None:
    """A workload at zero is at zero on purpose."""
    if _seen(ask).replicas < 1:
        return ask.refuse(Because.too_few_replicas, "it is scaled to 0; only a person starts it again")
    return None


def has_room(ask: Ask) -> Refusal | None:
    """The next count is above the present one and below every ceiling."""
    seen = _seen(ask)
    if scale_to(ask) <= seen.replicas:
        return ask.refuse(Because.at_maximum, f"{seen.replicas} replicas already; ceilings: {_ceiling_text(ask)}")
    return None


def scale_to(ask: Ask) -> int:
    """The absolute count that one scale-up asks for."""
    now = _seen(ask).replicas
    return min(now + _step(ask, now), *_ceilings(ask).values())


def _step(ask: Ask, now: int) -> int:
    most = max(1, min(math.ceil(now * ask.bounds.scale_step), ask.bounds.scale_step_max))
    wish = ask.rung.step
    if not wish:
        return most
    asked = math.ceil(now * float(wish[:-1]) / 100) if wish.endswith("%") else int(wish)
    return max(1, min(asked, most))


def _ceilings(ask: Ask) -> Mapping[str, int]:
    seen = _seen(ask)
    before = seen.baseline if seen.baseline is not None else _before_incident(ask, seen)
    found = {f"{ask.bounds.scale_factor:g} x the {before} before the incident": math.floor(before * ask.bounds.scale_factor)}
    if ask.rung.max is not None:
        found["the rule's max"] = ask.rung.max
    if seen.max_replicas is not None:
        found["the workload's annotation"] = seen.max_replicas
    return found


def _before_incident(ask: Ask, seen: Workload) -> int:
    """The count before our own standing scale-ups of this target, else the present one."""
    for each in ask.case.attempts:
        ours = ask.target is not None and each.target.uid == ask.target.uid and each.verb is Verb.scale
        if ours and each.state is AttemptState.applied and not each.reverts and not each.reverted:
            return each.before.replicas
    return seen.replicas


def _ceiling_text(ask: Ask) -> str:
    return ", ".join(f"{limit} ({name})" for name, limit in _ceilings(ask).items())


# --- restart -------------------------------------------------------------------------------------------------------------


def restart_is_rolling(ask: Ask) -> Refusal | None:
    """A restart must leave most of the service standing; where it cannot (one replica, Recreate), `ask` has made it a person's decision."""
    seen = _seen(ask)
    few = seen.replicas < ask.bounds.restart_min_replicas
    if seen.replicas < 1 or (few and ask.mode is Mode.auto):
        return ask.refuse(Because.too_few_replicas, f"{seen.replicas} replicas, a restart needs {ask.bounds.restart_min_replicas}")
    if ask.mode is not Mode.auto and (few or seen.recreate):
        return None
    if seen.recreate or seen.max_unavailable / seen.replicas >= ask.bounds.restart_max_unavailable:
        taken = "all" if seen.recreate else str(seen.max_unavailable)
        return ask.refuse(Because.too_much_unavailable, f"its strategy takes {taken} of {seen.replicas} pods down at once")
    return None


def restart_may_help(ask: Ask) -> Refusal | None:
    """Half of it still stands, or all of it is down alike; in between the restart itself would be the outage."""
    seen = _seen(ask)
    share = seen.available / seen.replicas if seen.replicas else 0.0
    if share >= ask.bounds.restart_min_available or (seen.available == 0 and seen.pods.alike):
        return None
    return ask.refuse(Because.too_much_unavailable, f"{seen.available} of {seen.replicas} available, and not all pods in the same state")


def restarts_apart(ask: Ask) -> Refusal | None:
    """Restarts of one namespace come one after the other: caches and connections are made anew by each."""
    times = [
        each.started_at
        for each in ask.ledger
        if each.verb is Verb.restart and ask.target is not None and each.target.namespace == ask.target.namespace
    ]
    if not times:
        return None
    detail = f"a restart in this namespace was {short(ask.now - times[-1])} ago, {short(ask.bounds.restart_gap)} must pass"
    return ask.until(times[-1] + ask.bounds.restart_gap, Because.restart_too_soon, detail)


def not_both(ask: Ask) -> Refusal | None:
    """Never an undo and a restart of one target in one incident: either replaces all pods, and the second would hide what the first did."""
    other = Verb.undo if ask.verb is Verb.restart else Verb.restart
    for each in ask.case.tried:
        if each.verb is other and each.counts and ask.target is not None and each.target.uid == ask.target.uid:
            return ask.refuse(Because.undo_and_restart, f"attempt {each.id} ({each.action}) has replaced its pods already")
    return None


def pods_are_grown(ask: Ask) -> Refusal | None:
    """A restart during start-up never helps."""
    newest = _seen(ask).pods.newest_at
    if newest is None:
        return None
    ready = newest + ask.bounds.restart_newest_pod
    return ask.until(ready, Because.pods_too_young, f"its newest pod is {short(ask.now - newest)} old")


# --- evict ---------------------------------------------------------------------------------------------------------------


def has_victim(ask: Ask) -> Refusal | None:
    """One bad pod of many, old enough to have had its chance; the only pod of a workload is no candidate."""
    seen, victim = _seen(ask), _seen(ask).victim
    if victim is None:
        return ask.refuse(Because.hazard, "no pod of it is one that an eviction could cure")
    if seen.pods.total < 2 and not victim.stuck:
        return ask.refuse(Because.too_few_replicas, f"pod {victim.name} is the only one")
    bad = max(0, seen.pods.total - seen.pods.ready - (not victim.ready))
    most = max(1, math.floor(seen.pods.total * ask.bounds.evict_share))
    if bad >= most and not victim.stuck and bad:
        return ask.refuse(Because.too_much_unavailable, f"{bad} pods beside {victim.name} are not ready: this is no single bad pod")
    return ask.until(victim.created_at + ask.bounds.evict_pod_age, Because.pod_too_young, f"pod {victim.name} is young")


def evictions_apart(ask: Ask) -> Refusal | None:
    """One pod, then a look at what it brought."""
    times = [each.started_at for each in ask.ledger if each.verb is Verb.evict and ask.target and each.target.uid == ask.target.uid]
    if not times:
        return None
    detail = f"a pod of it was evicted {short(ask.now - times[-1])} ago"
    return ask.until(times[-1] + ask.bounds.evict_gap, Because.evicted_lately, detail)


def budget_allows(ask: Ask) -> Refusal | None:
    """The API server refuses an eviction that a PodDisruptionBudget forbids; asking it is only worth while when the budget says yes."""
    victim = _seen(ask).victim
    if victim is None or victim.allowed is None or victim.allowed > 0:
        return None
    again = ask.now + DISRUPTION_WAIT
    return ask.refuse(Because.disruption_budget, f"a PodDisruptionBudget allows no disruption of {victim.name} now", retry_at=again)


# --- nodes ---------------------------------------------------------------------------------------------------------------


def nodes_allowed(ask: Ask) -> Refusal | None:
    """Shipped off."""
    return None if ask.case.policy.nodes else ask.refuse(Because.nodes_not_allowed, "kubernetes.nodes is not set to true")


def may_cordon(ask: Ask) -> Refusal | None:
    """One sick worker of a fleet that can do without it."""
    node = ask.node
    if node.control_plane:
        return ask.refuse(Because.nodes_not_allowed, "it is a node of the control plane")
    if node.unschedulable:
        return ask.refuse(Because.at_maximum, "it is cordoned already")
    most = max(1, math.floor(node.nodes * ask.bounds.cordon_share))
    if node.cordoned >= most:
        return ask.refuse(Because.too_few_nodes, f"{node.cordoned} of {node.nodes} nodes are cordoned, {most} may be")
    left = node.schedulable - int(node.ready)
    if not node.nodes or left / node.nodes < ask.bounds.cordon_ready:
        wanted = f"{ask.bounds.cordon_ready:.0%}"
        return ask.refuse(Because.too_few_nodes, f"{left} of {node.nodes} nodes would take pods, {wanted} must")
    if node.pending:
        return ask.refuse(Because.too_few_nodes, f"{node.pending} pods wait for a node already")
    return None


def may_uncordon(ask: Ask) -> Refusal | None:
    """Only what we cordoned ourselves, and only a node that is well."""
    node = ask.node
    if not (node.unschedulable and node.ours):
        return ask.refuse(Because.not_ours, "it is not cordoned by us" if node.unschedulable else "it is not cordoned")
    if not node.ready or node.detail:
        return ask.refuse(Because.hazard, f"the node is not well: {node.detail or 'not ready'}")
    return None


# --- undo ----------------------------------------------------------------------------------------------------------------


def undo_identity(ask: Ask) -> Refusal | None:
    """Undo runs with a second identity; without one it is refused. ECS's has the role of all changes."""
    if ask.case.policy.undo_identity or ask.found[1].ref.platform != "kubernetes":
        return None
    return ask.refuse(Because.no_undo_identity, "kubernetes.undo_token_file is not set")


def undo_has_aim(ask: Ask) -> Refusal | None:
    """There is a materially different revision, and it is known good."""
    plan = _seen(ask).undo
    if plan.refusal:
        return ask.refuse(Because.nothing_to_undo, plan.refusal)
    if not plan.known_good:
        return ask.refuse(Because.not_known_good, f"revision {plan.revision} was never seen healthy: {plan.known_good_because}")
    return None


def undo_has_cause(ask: Ask) -> Refusal | None:
    """The rollout is young, and the symptom began after it."""
    since = _seen(ask).program_at or _seen(ask).revision_at
    if since is None:
        return ask.refuse(Because.rollout_too_old, "the age of the present revision is unknown")
    age = ask.now - since
    if age > ask.bounds.rollout_younger_than:
        return ask.refuse(
            Because.rollout_too_old, f"the rollout is {short(age)} old, at most {short(ask.bounds.rollout_younger_than)} is allowed"
        )
    known = [each for each in ask.case.alerts if each.firing]
    began = min([ask.case.incident.accepted_at, *(at for each in known for at in (each.alert.starts_at, each.first_at))])
    if began < since - ROLLOUT_SLACK:
        return ask.refuse(Because.symptom_before_rollout, f"the alert began {short(since - began)} before the rollout")
    return None


def undo_once(ask: Ask) -> Refusal | None:
    """Never to a template that was rolled away from, once for each bad one, and never on from what an undo brought back: an undo of
    an undo is the bad version, or an older one than anybody asked for."""
    plan, present = _seen(ask).undo, _seen(ask).template_hash
    for each in _undos(ask):
        if each.before.template_hash == plan.template_hash:
            return ask.refuse(Because.already_undone, f"revision {plan.revision} is known bad: attempt {each.id} rolled away from it")
        if each.before.template_hash == present:
            return ask.refuse(Because.already_undone, f"attempt {each.id} has rolled away from this very template already")
        if present and each.parameters.template_hash == present:
            return ask.refuse(Because.already_undone, f"attempt {each.id} has brought the present revision back: nothing older is tried")
    return None


def evict_parameters(ask: Ask) -> Parameters:
    """The pod by uid: another pod under its name is safe."""
    victim = _seen(ask).victim
    if victim is None:
        raise LookupError("no victim was seen")
    return Parameters(pod=victim.name, pod_uid=victim.uid)


def node_parameters(_: Ask) -> Parameters:
    """The verb says it all."""
    return Parameters()


def _undos(ask: Ask) -> list[Attempt]:
    mine = [each for each in ask.case.attempts if each.counts and each.verb is Verb.undo]
    return [each for each in mine if ask.target is not None and each.target.uid == ask.target.uid]


def _seen(ask: Ask) -> Workload:
    return ask.live[2]


def scale_parameters(ask: Ask) -> Parameters:
    """The absolute count."""
    return Parameters(replicas=scale_to(ask))


def restart_parameters(ask: Ask) -> Parameters:
    """The time comes from the intent: the same patch again changes nothing."""
    return Parameters(restarted_at=ask.now.replace(microsecond=0))


def undo_parameters(ask: Ask) -> Parameters:
    """The whole template by value, named by the ReplicaSet that holds it."""
    plan = _seen(ask).undo
    return Parameters(revision=plan.revision, template_hash=plan.template_hash, replica_set=plan.replica_set)


Bound = Callable[[Ask], Refusal | None]

VERB_BOUNDS: Mapping[Verb, tuple[Bound, ...]] = {
    Verb.scale: (has_replicas, has_room),
    Verb.restart: (restart_is_rolling, restart_may_help, pods_are_grown, restarts_apart, not_both),
    Verb.undo: (undo_identity, has_replicas, undo_has_aim, undo_has_cause, undo_once, not_both),
    Verb.evict: (has_victim, evictions_apart, budget_allows),
    Verb.cordon: (nodes_allowed, may_cordon),
    Verb.uncordon: (nodes_allowed, may_uncordon),
}
PARAMETERS: Mapping[Verb, Callable[[Ask], Parameters]] = {
    Verb.scale: scale_parameters,
    Verb.restart: restart_parameters,
    Verb.undo: undo_parameters,
    Verb.evict: evict_parameters,
    Verb.cordon: node_parameters,
    Verb.uncordon: node_parameters,
}
