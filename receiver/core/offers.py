"""What a person is asked before an action in approve mode, and what their yes is bound to.

Law: a yes is for one plan (action, live object, generation, parameters, rule version), for one use, for a short time; any change of the
plan ends it, and nothing that ended comes back. An offer is a row of the ledger: `shadow` while it waits, `withdrawn` when it is over.
Called by the bounds (may it be asked for, or run?), the ladder (is it still the plan?) and the plan (is its time over?).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from receiver.core.ask import Ask, ask
from receiver.core.case import Attempt, AttemptState, Because, Case, Permit, Refusal
from receiver.core.escalation import deadline, urgent


def asked_for(asked: Ask) -> Refusal | None:
    """None: it may be asked for, or a person has said yes."""
    offers = asked.offers
    denied = next((each for each in offers if each.denied_by), None)
    if denied is not None:
        return asked.refuse(Because.denied, f"{denied.denied_by} said no to {denied.id}")
    last = offers[-1] if offers else None
    if last is not None and last.state is AttemptState.shadow:
        text = f"{last.id} waits for a yes (receiver approve {asked.case.incident.id})"
        return None if asked.approved else asked.refuse(Because.needs_approval, text)
    if len(offers) >= asked.bounds.offers:
        return asked.refuse(Because.offered_too_often, f"it was asked for {len(offers)} times, {asked.bounds.offers} are allowed")
    return None


def answered_until(asked: Ask) -> datetime:
    """How long a yes may be given: counted from when somebody hears of it. Where nobody was called yet and the page keeps its time (P3 and
    P4), that is the page."""
    case = asked.case
    quiet = not case.raises and not urgent(case)
    heard = max(asked.now, deadline(case)) if quiet else asked.now
    return heard + asked.bounds.offer_valid


def holds_for(offer: Attempt, case: Case) -> timedelta:
    """How long a yes to it may be used, from when it is given."""
    if offer.rung >= len(case.rule.remediate):
        return case.policy.bounds.offer_valid
    return ask(case, offer.rung, offer.started_at).bounds.offer_valid


def waiting(case: Case) -> tuple[Attempt, ...]:
    """Offers that are neither used nor over."""
    return tuple(each for each in case.own_attempts if each.offer and each.state is AttemptState.shadow)


def changed(offer: Attempt, permit: Permit) -> str:
    """Not empty: what is another plan now than the one that was asked for."""
    was, now = offer.parameters, permit.parameters
    pairs = {
        "target": (offer.target.uid, permit.target.uid),
        "rule": (offer.rule, permit.rule),
        "rules": (offer.ruleset_hash, permit.ruleset_hash),
        "generation": (offer.before.generation, permit.before.generation),
        "deployment": (offer.before.deployment, permit.before.deployment),
        "template": (offer.before.template_hash, permit.before.template_hash),
        "replicas": (was.replicas, now.replicas),
        "revision": ((was.revision, was.template_hash), (now.revision, now.template_hash)),
        "pod": (was.pod_uid, now.pod_uid),
    }
    return ", ".join(f"{name} {before or 'none'} -> {after or 'none'}" for name, (before, after) in pairs.items() if before != after)


def over(offer: Attempt, case: Case, now: datetime) -> tuple[Because, str] | None:
    """Why it ends without having been used; None: it waits on."""
    if not case.firing:
        return Because.not_firing, "no alert fires any more"
    if offer.expires_at is not None and now < offer.expires_at:
        return None
    if offer.approved_by:
        return Because.offer_expired, f"{offer.approved_by} approved it, and it could not be run in time"
    return Because.offer_expired, "nobody answered in time"


def withdrawn(offer: Attempt, detail: str, now: datetime) -> Attempt:
    """As it is stored when it is over."""
    return replace(offer, state=AttemptState.withdrawn, ended_at=now, detail=detail[:256])
