"""Decision → the dated sentence of timeline and log, whatever step and reason."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import assert_never

from receiver.core.case import (
    Announce,
    AskApproval,
    Attempt,
    AttemptState,
    Because,
    Case,
    Close,
    Decision,
    Judge,
    Page,
    Refusal,
    Remediate,
    Revert,
    Shadow,
    Verdict,
    Wait,
)
from receiver.core.facts import Look
from receiver.core.wording.because import because_text
from receiver.core.wording.commands import of_permit
from receiver.core.wording.details import detail_text
from receiver.core.wording.say import Tongue, clean, doing, shown, stamp, target_ref, tongue

LONGEST = 1_500
"""Characters of one sentence with all its refusals."""
MOST_REFUSALS = 6

VERDICTS = {
    Verdict.cured: ("cured", "guéri"),
    Verdict.not_yet: ("not cured yet", "pas encore guéri"),
    Verdict.failed: ("not cured", "pas guéri"),
    Verdict.cannot_tell: ("cannot tell", "indéterminé"),
    Verdict.deadline: ("not cured in its time", "pas guéri dans le délai"),
    Verdict.closed: ("closed by a person first", "clos avant par une personne"),
}
STATES = {
    AttemptState.intent: ("about to run", "sur le point d'être exécutée"),
    AttemptState.applied: ("applied", "appliquée"),
    AttemptState.rejected: ("not applied", "non appliquée"),
    AttemptState.unknown: ("outcome unknown", "issue inconnue"),
    AttemptState.abandoned: ("given up: nobody can know", "abandonnée : impossible de savoir"),
    AttemptState.shadow: ("only said", "seulement annoncée"),
    AttemptState.withdrawn: ("no longer asked for", "plus demandée"),
}


def sentence(decision: Decision, case: Case) -> str:
    """In the installation's language, on one line. Total over every decision."""
    say = tongue(case)
    refused = refusals_text(decision.refusals, say)
    text = _step(decision, case, say)
    return clean(short_ids(f"{text}. {refused}" if refused else text, case), limit=LONGEST)


def _step(decision: Decision, case: Case, say: Tongue) -> str:
    step, why = decision.step, why_text(decision, say)
    match step:
        case Remediate() | Revert() | Shadow() | AskApproval():
            return _run(step, why, say)
        case Look():
            return _look(step, case, why, say)
        case Judge(attempt):
            return judged(attempt, say)
        case Page():
            return _page(step, case, why, say)
        case Announce(text):
            return text
        case Wait(until):
            return _wait(until, why, say)
        case Close():
            return say(f"closed: {why}", f"clos : {why}")
        case _:
            assert_never(step)


def _run(step: Remediate | Revert | Shadow | AskApproval, why: str, say: Tongue) -> str:
    what, command = doing(step.permit, say), of_permit(step.permit).command
    match step:
        case Remediate():
            return say(f"runs {what}: {why}", f"exécute {what} : {why}")
        case Revert():
            return say(f"takes back, by {what}: {why}", f"revient en arrière, par {what} : {why}")
        case Shadow():
            return say(f"would run {what} ({why}); by hand: {command}", f"exécuterait {what} ({why}) ; à la main : {command}")
        case AskApproval():
            return say(f"asks to run {what} ({why}); by hand: {command}", f"demande à exécuter {what} ({why}) ; à la main : {command}")
        case _:
            assert_never(step)


def short_ids(text: str, case: Case) -> str:
    """Attempts as `#7-1`: the installation's 32 digits tell a person nothing."""
    return text.replace(f"{case.policy.installation}-", "#") if case.policy.installation else text


def why_text(decision: Decision, say: Tongue) -> str:
    """The reason with its detail."""
    text = because_text(decision.because, say.locale)
    return f"{text} ({detail_text(clean(decision.detail), say.locale)})" if decision.detail else text


def _look(step: Look, case: Case, why: str, say: Tongue) -> str:
    ref = step.ref or (None if step.on else target_ref(case))
    where = step.on or (shown(ref) if ref is not None else say("what the alerts name", "ce que nomment les alertes"))
    return say(f"looks at {where}: {why}", f"observe {where} : {why}")


def judged(attempt: Attempt, say: Tongue) -> str:
    """What became of an attempt, or what verification found."""
    what = doing(attempt, say)
    if attempt.reverted and attempt.verdict is not None and attempt.verdict.final:
        text, detail = say("taken back, or left as it is", "annulée, ou laissée telle quelle"), attempt.verdict_detail
    elif attempt.verdict is not None and attempt.state is AttemptState.applied:
        text, detail = say(*VERDICTS[attempt.verdict]), attempt.verdict_detail
    else:
        text, detail = say(*STATES[attempt.state]), attempt.detail
    return f"{what}{say.colon}{text}{f' ({clean(detail)})' if detail else ''}"


def _page(step: Page, case: Case, why: str, say: Tongue) -> str:
    priority = case.policy.naming.show(step.raised.priority)
    if step.raised.shared:
        names = clean(step.raised.dependency)
        return say(f"joins the page about {names} as {priority}: {why}", f"rejoint l'appel au sujet de {names} en {priority} : {why}")
    if step.raised.by_storm:
        return say(f"joins the storm's page as {priority}: {why}", f"rejoint l'appel de la tempête en {priority} : {why}")
    again = say(f" (call {step.raised.n})", f" (appel n° {step.raised.n})") if step.raised.n > 1 else ""
    return say(f"calls a person, {priority}{again}: {why}", f"appelle une personne, {priority}{again} : {why}")


def _wait(until: datetime | None, why: str, say: Tongue) -> str:
    if until is None:
        return say(f"rests: {why}", f"au repos : {why}")
    return say(f"waits until {stamp(until)}: {why}", f"attend jusqu'à {stamp(until)} : {why}")


def refusals_text(refusals: Sequence[Refusal], say: Tongue) -> str:
    """All of them on one line; empty when there are none."""
    if not refusals:
        return ""
    worth = telling(refusals)
    told = "; ".join(refusal_text(each, say) for each in worth[:MOST_REFUSALS])
    left = len(worth) - MOST_REFUSALS
    more = say(f"; and {left} more", f" ; et {left} de plus") if left > 0 else ""
    return f"{say('Refused', 'Refus')}{say.colon}{told}{more}"


def telling(refusals: Sequence[Refusal]) -> list[Refusal]:
    """Without those that another one explains: what was only said (observe, approve) was of course "already tried"."""
    said = {each.action for each in refusals if each.because in (Because.observe_mode, Because.needs_approval)}
    return [each for each in refusals if not (each.because is Because.kind_once and each.action in said)]


def refusal_text(refusal: Refusal, say: Tongue) -> str:
    """`kubernetes.scale, cooldown: too soon after … (detail), until 12:10:00 UTC`."""
    until = ""
    if refusal.retry_at is not None:
        until = say(f", until {stamp(refusal.retry_at)}", f", jusqu'à {stamp(refusal.retry_at)}")
    detail = f" ({detail_text(clean(refusal.detail), say.locale)})" if refusal.detail else ""
    text = because_text(refusal.because, say.locale)
    return f"{clean(refusal.action)}, {refusal.because.value}{say.colon}{text}{detail}{until}"
