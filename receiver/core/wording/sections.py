"""The parts of a page, each a few bounded lines: what fired, why this priority, what was found, seen, tried and refused.

Pure; put together by `pages`. Alert text enters through `clean` only.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from receiver.core.ask import ask
from receiver.core.case import Attempt, AttemptState, Because, Before, Case, Decision, Remediate
from receiver.core.facts import Facts, RolloutState, Workload
from receiver.core.ladder import climb
from receiver.core.model import AlertRecord, Classification, Incident, Input, Level, Mode, Naming, Reason
from receiver.core.wording.commands import of_permit, ours
from receiver.core.wording.details import detail_text
from receiver.core.wording.say import Tongue, began, clean, doing, gap, shown, some, stamp, target_ref
from receiver.core.wording.sentences import judged, refusal_text, telling

MOST_ALERTS = 8
MOST_LABELS = 16
MOST_LINES = 12
TEXTS = ("summary", "message", "description")
"""Annotations that say what an alert means, the best first."""

LEVELS = {
    "impact": {Level.low: "faible", Level.medium: "moyen", Level.high: "élevé"},
    "urgency": {Level.low: "faible", Level.medium: "moyenne", Level.high: "élevée"},
}
ROLLOUTS = {RolloutState.complete: "terminé", RolloutState.progressing: "en cours", RolloutState.stuck: "bloqué"}
INPUTS = {
    Input.rule: "règle",
    Input.catalogue: "catalogue",
    Input.tag: "étiquette du catalogue",
    Input.breadth: "étendue",
    Input.label: "label",
    Input.trend: "tendance",
    Input.default: "défaut",
}


def fired(case: Case, say: Tongue) -> list[str]:
    """The alerts, those that fire first; each with what it says and its labels."""
    ordered = sorted(case.alerts, key=lambda each: (not each.firing, each.first_at))
    lines = [line for each in ordered[:MOST_ALERTS] for line in _alert(each, say)]
    left = len(ordered) - MOST_ALERTS
    return [*lines, say(f"and {left} more alerts", f"et {left} alertes de plus")] if left > 0 else lines


def _alert(record: AlertRecord, say: Tongue) -> list[str]:
    alert = record.alert
    name = clean(alert.name, limit=100) or "(alertname missing)"
    over = "" if record.firing else say(" (over)", " (terminée)")
    said = next((each for each in TEXTS if alert.annotations.get(each)), "")
    text = clean(alert.annotations[said]) if said else ""
    more = clean(alert.annotations.get("description", "")) if said != "description" else ""
    head = f"{name}{over}, {say('since', 'depuis')} {stamp(alert.starts_at)}"
    labels = [f"{clean(key, limit=60)}={clean(value, limit=80)}" for key, value in sorted(alert.labels.items()) if key != "alertname"]
    lines = [f"{head}{say.colon}{text}" if text else head, *([f"  {more}"] if more else [])]
    return [*lines, "  " + some(labels, say, most=MOST_LABELS)] if labels else lines


def since(case: Case, say: Tongue, now: datetime) -> str:
    """When it began, and how long ago."""
    start = began(case)
    return say(f"{stamp(start)} ({gap(now - start, say)} ago)", f"{stamp(start)} (il y a {gap(now - start, say)})")


def priority(incident: Incident, shown_as: str, say: Tongue) -> list[str]:
    """The matrix cell, and what said so."""
    judged_as = incident.classification
    impact, urgency = level_text("impact", judged_as.impact, say), level_text("urgency", judged_as.urgency, say)
    cell = say(f"{shown_as} = impact {impact} × urgency {urgency}", f"{shown_as} = impact {impact} × urgence {urgency}")
    rule = say(f"rule {clean(incident.rule)}", f"règle {clean(incident.rule)}")
    return [f"{cell} ({rule})", *(reason_text(each, say) for each in judged_as.trace[:MOST_LINES])]


def level_text(axis: str, level: Level, say: Tongue) -> str:
    """`high`, `élevé` or `élevée`."""
    return say(level.value, LEVELS.get(axis, {}).get(level, level.value))


def reason_text(reason: Reason, say: Tongue) -> str:
    """One line of a trace."""
    cell, by, detail = reason_words(reason, say)
    return f"{cell}{say.colon}{by}{f' ({detail})' if detail else ''}"


def reason_words(reason: Reason, say: Tongue) -> tuple[str, str, str]:
    """`urgency high`, who says so, and the detail, each in the language."""
    axis = say(reason.axis, {"urgency": "urgence"}.get(reason.axis, reason.axis))
    cell = f"{axis} {level_text(reason.axis, reason.level, say)}"
    return cell, say(reason.by.value, INPUTS[reason.by]), detail_text(clean(reason.detail), say.locale)


def classified_text(judged_as: Classification, naming: Naming, locale: str) -> str:
    """The priority, and which input gave which cell."""
    say = Tongue(locale)
    trace = say("; ", " ; ").join(reason_text(each, say) for each in judged_as.trace[:MOST_LINES])
    return f"{naming.show(judged_as.priority)}{say.colon}{trace}"


def found(case: Case, say: Tongue) -> str:
    """How the target was found."""
    chain = next((each.chain for each in reversed(case.facts) if each.chain and not each.on), ())
    if chain:
        return clean(" → ".join(chain), limit=600)
    ref = target_ref(case)
    if ref is not None and case.incident.target is None:
        return say(f"{shown(ref)} (not confirmed by the API)", f"{shown(ref)} (non confirmé par l'API)")
    return shown(ref) if ref is not None else say("no workload could be named", "aucun workload n'a pu être nommé")


def seen(case: Case, say: Tongue) -> list[str]:
    """The newest look of each target; also that it could not see."""
    newest = {each.on: each for each in case.facts}
    return [line for each in newest.values() for line in _facts(each, say)][:MOST_LINES]


def _facts(facts: Facts, say: Tongue) -> list[str]:
    where = f"{clean(facts.on)} " if facts.on else ""
    head = f"{where}{say('at', 'à')} {stamp(facts.at)}{say.colon}"
    lines: list[str] = []
    if facts.trouble is not None:
        detail = f" ({clean(facts.trouble_detail)})" if facts.trouble_detail else ""
        lines.append(f"{head}{say('could not look', 'relevé impossible')}{say.colon}{facts.trouble.value}{detail}")
    if facts.workload is not None:
        lines += _workload(facts.workload, head, say)
    answers = (f"{clean(each.name)} = {f'{each.value:g}' if each.value is not None else each.state.value}" for each in facts.samples[:4])
    measured = [f"{text}{f' ({clean(each.detail)})' if each.detail else ''}" for text, each in zip(answers, facts.samples, strict=False)]
    return lines + measured


def _workload(load: Workload, head: str, say: Tongue) -> list[str]:
    rollout = say(load.rollout.value, ROLLOUTS[load.rollout])
    figures = say(
        f"{load.available} of {load.replicas} available, revision {load.revision or '?'}, rollout {rollout}",
        f"{load.available} sur {load.replicas} disponibles, révision {load.revision or '?'}, déploiement {rollout}",
    )
    detail = f" ({clean(load.rollout_detail)})" if load.rollout_detail else ""
    pods = [f"{clean(reason)}: {count}" for reason, count in sorted((*load.pods.waiting.items(), *load.pods.terminated.items()))]
    lines = [f"{head}{figures}{detail}"]
    if pods or load.pods.restarts:
        told = some(pods, say, most=6) or "-"
        lines.append(say(f"pods: {told}; {load.pods.restarts} restarts", f"pods : {told} ; {load.pods.restarts} redémarrages"))
    if load.images:
        lines.append(f"images{say.colon}{some([clean(each, limit=120) for each in load.images], say, most=4)}")
    if load.foreign is not None:
        who = clean(load.foreign.manager)
        at = stamp(load.foreign.at)
        lines.append(say(f"last changed by somebody else: {who}, {at}", f"dernière modification par un tiers : {who}, {at}"))
    return lines + [f"{each.hazard.value}{say.colon}{clean(each.detail)}" for each in load.dangers[:4]]


def tried(case: Case, say: Tongue) -> list[str]:
    """Every real attempt with its proof: before → after."""
    real = [each for each in case.own_attempts if each.state not in (AttemptState.shadow, AttemptState.withdrawn)]
    return [line for each in real[-5:] for line in _attempt(each, say)]


def _attempt(attempt: Attempt, say: Tongue) -> list[str]:
    back = say("taking back ", "retour arrière de ") if attempt.reverts else ""
    lines = [f"{stamp(attempt.started_at)} {back}{judged(attempt, say)}"]
    if attempt.after is not None:
        lines.append(f"  {say('before → after', 'avant → après')}{say.colon}{changes(attempt.before, attempt.after, say)}")
    elif attempt.state is not AttemptState.rejected:
        lines.append(f"  {say('before', 'avant')}{say.colon}{figures(attempt.before, say)}")
    return lines


def changes(before: Before, after: Before, say: Tongue) -> str:
    """`available 2/3 → 3/3; revision 5 → 4; restarts 7 → 0`."""
    left, right = _figures(before, say), _figures(after, say)
    names = list(dict.fromkeys((*left, *right)))
    return clean("; ".join(f"{name} {left.get(name, '-')} → {right.get(name, '-')}" for name in names), limit=600)


def figures(before: Before, say: Tongue) -> str:
    """One side alone."""
    return clean("; ".join(f"{name} {value}" for name, value in _figures(before, say).items()), limit=600)


def _figures(side: Before, say: Tongue) -> Mapping[str, str]:
    shown_: dict[str, str] = {}
    if side.resource_version:  # empty: the workload itself was not read
        shown_[say("available", "disponibles")] = f"{side.available}/{side.replicas}"
        shown_[say("revision", "révision")] = side.revision or "?"
        shown_[say("restarts", "redémarrages")] = str(side.restarts)
        waiting = ", ".join(f"{clean(reason)}: {count}" for reason, count in sorted(side.waiting.items()))
        shown_[say("waiting", "en attente")] = waiting or say("none", "aucun")
    return shown_ | {clean(name): f"{value:g}" for name, value in sorted(side.samples.items())}


def meanwhile(case: Case, say: Tongue, now: datetime) -> str:
    """What we go on doing by ourselves while the person reads; empty when that is nothing."""
    ladder, stop = climb(case, now), ours("ack", str(case.incident.id))
    if isinstance(ladder.step, Remediate):
        what = doing(ladder.step.permit, say)
        return say(f"the receiver runs {what} by itself ({stop} stops it)", f"le receiver exécute {what} de lui-même ({stop} l'arrête)")
    if ladder.because is Because.dependency_down and ladder.until is not None:
        return say(
            f"the receiver asks every minute whether it is up again, and goes on by itself then ({stop} stops it)",
            f"le receiver demande chaque minute si elle est rétablie, puis poursuit de lui-même ({stop} l'arrête)",
        )
    if ladder.until is None or not any(ask(case, index, now).mode is Mode.auto for index in range(len(case.rule.remediate))):
        return ""
    at = stamp(ladder.until)
    return say(
        f"the receiver tries again by itself at {at} ({stop} stops it)", f"le receiver réessaie de lui-même à {at} ({stop} l'arrête)"
    )


def prepared(case: Case, say: Tongue) -> list[str]:
    """What observe would have done, and what approve asks for."""
    shadows = [each for each in case.own_attempts if each.state is AttemptState.shadow]
    return [_shadow(each, say) for each in shadows[-4:]]


def _shadow(attempt: Attempt, say: Tongue) -> str:
    what, at, command = doing(attempt, say), stamp(attempt.started_at), of_permit(attempt).command
    if attempt.mode is Mode.approve:
        needs = _needs(attempt, say)
        return say(f"{at} needs approval{needs}: {what}; by hand: {command}", f"{at} à approuver{needs} : {what} ; à la main : {command}")
    return say(f"{at} would have run {what}; by hand: {command}", f"{at} aurait exécuté {what} ; à la main : {command}")


def _needs(offer: Attempt, say: Tongue) -> str:
    """` until 12:15Z, by ic, with backup (2.0 h old) checked`."""
    until = stamp(offer.expires_at) if offer.expires_at else ""
    parts = [say(f"until {until}", f"avant {until}")] if until else []
    if offer.needs.role:
        parts.append(say(f"by {offer.needs.role}", f"par {offer.needs.role}"))
    for each in offer.needs.preconditions:
        age = offer.ages.get(each.name)
        known = say("age unknown", "âge inconnu") if age is None else f"{age / 3600:.1f} h"
        parts.append(say(f"checked {clean(each.name)} ({known})", f"{clean(each.name)} vérifié ({known})"))
    return f" ({', '.join(parts)})" if parts else ""


def refused(decision: Decision, say: Tongue) -> list[str]:
    """One line a bound that says no."""
    return [refusal_text(each, say) for each in telling(decision.refusals)[:MOST_LINES]]
