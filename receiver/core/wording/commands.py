"""The exact next command for a person: what an attempt would have run, else what the ladder still holds, else the best look.

Law: never a command that destroys evidence (data, security, page only), that a hazard of the live target forbids, or that was tried
already. Every part is quoted for a shell, and every change carries its reverse. Called by pages, sentences, console and CLI.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from receiver.core.ask import Ask, ask
from receiver.core.case import (
    AskApproval,
    Attempt,
    AttemptState,
    Before,
    Case,
    Decision,
    Parameters,
    Permit,
    Remediate,
    Revert,
    Shadow,
    Verb,
)
from receiver.core.facts import Hazard, Hint
from receiver.core.ladder import climb
from receiver.core.looks import hints
from receiver.core.model import OWN_SOURCE, Target, TargetRef
from receiver.core.offers import waiting
from receiver.core.plan import stuck_revert, temporary
from receiver.core.prepared.shell import run
from receiver.core.verbs import PARAMETERS, VERB_BOUNDS, someone_else, undo_identity
from receiver.core.wording import ecs_commands
from receiver.core.wording.say import target_ref

CONSENT = frozenset({Hazard.not_opted_in, Hazard.opted_out, Hazard.verb_not_allowed, Hazard.system_namespace})
"""Hazards that bind a machine, not a person: the owner has not let us act. The others would make the command itself useless or harmful."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A command line, and the one that takes it back (empty: it changes nothing, or cannot be taken back)."""

    command: str
    reverse: str = ""
    changes: bool = False
    """False: it only looks."""


def next_command(case: Case, decision: Decision, *, now: datetime) -> str:
    """The command line alone."""
    return suggest(case, decision, now=now).command


def suggest(case: Case, decision: Decision, *, now: datetime) -> Suggestion:
    """Total: there is always something to look at."""
    step = decision.step
    if isinstance(step, Remediate | Shadow | Revert):
        return of_permit(step.permit)
    if isinstance(step, AskApproval):
        return _yes(case)
    return _taking_back(case) or _asked_for(case) or _prepared(case) or _ladder(case, now) or _look(case)


def of_permit(run: Permit | Attempt) -> Suggestion:
    """What a person would type to do the same."""
    return _change(run.target, run.verb, run.parameters, run.before)


def _taking_back(case: Case) -> Suggestion | None:
    """Our own temporary scale that could not be taken back."""
    for attempt in case.own_attempts:
        if temporary(attempt) and stuck_revert(case, attempt):
            return Suggestion(of_permit(attempt).reverse, changes=True)
    return None


def _asked_for(case: Case) -> Suggestion | None:
    """An offer that nobody answered yet; what it would run stands beside it, among the prepared."""
    return _yes(case) if any(not each.approved_by for each in waiting(case)) else None


def _yes(case: Case) -> Suggestion:
    id_ = str(case.incident.id)
    return Suggestion(ours("approve", id_), ours("deny", id_), changes=True)


def _prepared(case: Case) -> Suggestion | None:
    """What observe would have run, or approve asks for, while it is still worth running."""
    if not case.firing or case.incident.no_action:
        return None
    shadows = [each for each in case.own_attempts if each.state is AttemptState.shadow]
    done = {(each.action, each.on) for each in case.own_attempts if each.counts}
    return next((of_permit(each) for each in reversed(shadows) if (each.action, each.on) not in done), None)


def _look(case: Case) -> Suggestion:
    return Suggestion(look_command(case))


def _ladder(case: Case, now: datetime) -> Suggestion | None:
    """The first rung that was not tried and that the live target does not speak against. Bounds that limit us, as cooldown or budget, do
    not limit a person; but nobody should do by hand what we are doing at the same moment."""
    if not case.firing or case.incident.no_action or case.rule.page_only or case.incident.symptom.untouchable:
        return None
    if any(each.open for each in case.own_attempts) or isinstance(climb(case, now).step, Remediate):
        return None
    for index in range(len(case.rule.remediate)):
        asked = ask(case, index, now)
        if _sensible(asked):
            verb = asked.verb or Verb.restart  # sensible only with a verb
            _, target, workload = asked.live
            before = Before(replicas=workload.replicas, revision=workload.revision, template_hash=workload.template_hash)
            return _change(target, verb, PARAMETERS[verb](asked), before)
    return None


def _sensible(asked: Ask) -> bool:
    if asked.verb is None or asked.target is None or asked.workload is None:
        return False
    tried = {(each.action, each.on) for each in asked.case.own_attempts if each.counts}
    if (asked.rung.action, asked.rung.on) in tried:
        return False
    if any(each.hazard not in CONSENT and (not each.verbs or asked.verb in each.verbs) for each in asked.workload.dangers):
        return False
    against = (someone_else, *(each for each in VERB_BOUNDS[asked.verb] if each is not undo_identity))
    return all(bound(asked) is None for bound in against)


def _change(target: Target, verb: Verb, to: Parameters, before: Before) -> Suggestion:
    ref = target.ref
    if ref.platform == "ecs":
        return Suggestion(*ecs_commands.change(target, verb, to, before), changes=True)
    if verb is Verb.scale:
        return Suggestion(_scale(ref, to.replicas), _scale(ref, before.replicas) if before.replicas else "", changes=True)
    if verb is Verb.undo:
        back = _undo(ref, before.revision) if before.revision else ""
        return Suggestion(_undo(ref, to.revision), back, changes=True)
    if verb is Verb.evict:
        # kubectl has no verb for one eviction, and a delete asks no budget
        raw = f"/api/v1/namespaces/{ref.namespace}/pods/{to.pod}/eviction"
        body = f'{{"apiVersion":"policy/v1","kind":"Eviction","metadata":{{"name":"{to.pod}","namespace":"{ref.namespace}"}}}}'
        return Suggestion(f"{run('echo', body)} | {run('kubectl', 'create', '--raw', raw, '-f', '-')}", changes=True)
    if verb.of_node:
        to_it, back = ("cordon", "uncordon") if verb is Verb.cordon else ("uncordon", "cordon")
        return Suggestion(run("kubectl", to_it, ref.name), run("kubectl", back, ref.name), changes=True)
    return Suggestion(kubectl(ref.namespace, "rollout", "restart", _object(ref)), changes=True)


def _scale(ref: TargetRef, replicas: int | None) -> str:
    return kubectl(ref.namespace, "scale", _object(ref), f"--replicas={replicas}")


def _undo(ref: TargetRef, revision: str) -> str:
    aim = [f"--to-revision={revision}"] if revision else []
    return kubectl(ref.namespace, "rollout", "undo", _object(ref), *aim)


def look_command(case: Case) -> str:
    """Changes nothing: the object, else the pod, else the namespace's events, else what we know ourselves."""
    ref = target_ref(case)
    if case.incident.source == OWN_SOURCE:
        return ours("show", str(case.incident.id))
    if ref is not None and ref.platform == "kubernetes":
        return kubectl(ref.namespace, "describe", _object(ref))
    if ref is not None and ref.platform == "ecs":
        uid = case.incident.target.uid if case.incident.target is not None else ""
        return ecs_commands.look(ref.namespace, ref.name, region=ecs_commands.region_of(uid))
    named = next((each for each in hints(case) if each.namespace), None) or next(iter(_namespaces(case)), None)
    if named is None:
        return ours("show", str(case.incident.id))
    if named.platform == "ecs":
        return ecs_commands.look(named.namespace, named.name, region=named.region)
    if named.pod:
        return kubectl(named.namespace, "describe", f"pod/{named.pod}")
    return kubectl(named.namespace, "get", "events", "--sort-by=.lastTimestamp")


def _namespaces(case: Case) -> list[Hint]:
    from_labels = (each.alert.labels.get("namespace", "") for each in case.alerts)
    return [Hint(namespace=each) for each in from_labels if each.replace("-", "").isalnum() and each.isascii() and len(each) <= 63]


def _object(ref: TargetRef) -> str:
    return f"{ref.kind.lower()}/{ref.name}"


def kubectl(namespace: str, *words: str) -> str:
    """Quoted for a POSIX shell. A node has no namespace."""
    return run("kubectl", *(("-n", namespace) if namespace else ()), *words)


def ours(*words: str) -> str:
    """A command of our own CLI."""
    return run("receiver", *words)
