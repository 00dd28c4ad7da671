"""The exhaustive walk: every small state of a case, and what `decide` must never say of it (`house.md` 4)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from receiver.core.bounds import check
from receiver.core.case import (
    AskApproval,
    Attempt,
    AttemptState,
    Because,
    Case,
    Close,
    Decision,
    Hold,
    HoldKind,
    Page,
    Permit,
    Raise,
    Remediate,
    Revert,
    Shadow,
    Storm,
    Verb,
    Verdict,
    Wait,
)
from receiver.core.escalation import deadline, dedup_key, urgent
from receiver.core.facts import Danger, Facts, Hazard, Look, Trouble
from receiver.core.model import AlertRecord, Mode, Priority, Rule
from receiver.core.plan import decide
from tests.fakes import cases as c

NOW = c.T0
POLICY = c.policy()

RULES: dict[str, Rule] = {
    "none": c.rule(),
    "restart": c.rule(c.rung()),
    "undo": c.rule(c.rung(Verb.undo)),
    "scale": c.rule(c.rung(Verb.scale, max=6)),
    "ladder": c.rule(c.rung(Verb.undo), c.rung(Verb.restart)),
    "observe": c.rule(c.rung(mode=None), mode=Mode.observe),
    "approve": c.rule(c.rung(Verb.undo, mode=None)),
    "page_only": c.rule(c.rung(), page_only=True),
}
FACTS: dict[str, tuple[Facts, ...]] = {
    "never looked": (),
    "twice sick": c.twice(),
    "sick once": (c.facts(),),
    "sick, old": c.twice(-120),
    "healthy": (c.facts(-15, workload=c.workload(**c.HEALTHY)), c.facts(workload=c.workload(**c.HEALTHY))),
    "scaled by us": (c.facts(workload=c.workload(**{**c.HEALTHY, "replicas": 5, "available": 5, "ready": 5})),),
    "marked": c.twice(workload=c.workload(marks=(c.attempt().id,), **c.HEALTHY)),
    "hazard": c.twice(workload=c.workload(dangers=(Danger(Hazard.operator, "owned"),))),
    "time-out": (Facts(NOW, trouble=Trouble.timeout),),
    "ambiguous": (Facts(NOW, trouble=Trouble.ambiguous),),
    "replaced": (Facts(NOW, trouble=Trouble.replaced),),
}
ATTEMPTS: dict[str, tuple[Attempt, ...]] = {
    "none": (),
    "intent": (c.attempt(state=AttemptState.intent),),
    "unknown": (c.attempt(state=AttemptState.unknown),),
    "unknown, old": (c.attempt(state=AttemptState.unknown, age=3600),),
    "rejected": (c.attempt(state=AttemptState.rejected),),
    "abandoned": (c.attempt(state=AttemptState.abandoned),),
    "shadow": (c.attempt(state=AttemptState.shadow, mode=Mode.observe),),
    "applied": (c.attempt(),),
    "applied, settled": (c.attempt(age=200),),
    "not yet": (c.attempt(age=200, verdict=Verdict.not_yet, verdict_at=NOW - c.seconds(20)),),
    "cannot tell": (c.attempt(age=200, verdict=Verdict.cannot_tell, verdict_at=NOW - c.seconds(20)),),
    "cured": (c.attempt(age=200, verdict=Verdict.cured, verdict_at=NOW - c.seconds(20)),),
    "cured long ago": (c.attempt(age=2000, verdict=Verdict.cured, verdict_at=NOW - c.seconds(1000)),),
    "failed": (c.attempt(age=700, verdict=Verdict.failed, verdict_at=NOW - c.seconds(20)),),
    "scale, cured, lease over": (c.attempt(Verb.scale, age=4000, verdict=Verdict.cured, verdict_at=NOW - c.seconds(900), lease_until=NOW),),
    "another incident's": (c.attempt(incident_id=8, id="x-8-1"),),
}
ALERTS: dict[str, tuple[AlertRecord, ...]] = {
    "firing": (c.record(),),
    "resolved now": (c.record(resolved_at=NOW),),
    "resolved long ago": (c.record(age=2000, resolved_at=NOW - c.seconds(1000)),),
    "one of two": (c.record(), c.record("Other", resolved_at=NOW)),
    "one for people only": (c.record(), c.people_only("Other")),
}
HOLDS: dict[str, dict[str, object]] = {
    "none": {},
    "kill switch": {"holds": (Hold(1, HoldKind.kill_switch, "", "test", "me", NOW - timedelta(hours=1)),)},
    "frozen": {"holds": (Hold(1, HoldKind.freeze, "namespace:shop", "test", "me", NOW - timedelta(hours=1), NOW + timedelta(minutes=1)),)},
    "acked": {"acked": True},
    "storm": {"storm": Storm(shut=True, detail="test")},
}


def raised(**changes: object) -> Raise:
    at = NOW - c.seconds(100)
    return replace(Raise(1, at, Priority.p2, Because.deadline, dedup_key(c.INSTALLATION, 7, 1), at), **changes)  # type: ignore[arg-type]


RAISES = {"none": (), "raised": (raised(),), "by storm": (raised(by_storm=True),)}
ACCEPTED = {"150 s ago": 150.0, "two hours ago": 7200.0}


def states() -> Iterator[tuple[str, Case]]:
    """About 100,000. A hold is one row of a table of independent bounds: it is walked with a firing alert and no page only."""
    tables = (Priority, RULES, FACTS, ATTEMPTS, ALERTS, HOLDS, RAISES, ACCEPTED)
    for priority, rule, facts, attempts, alerts, holds, raises, accepted in itertools.product(*tables):
        if priority is Priority.p4 or (holds != "none" and (alerts != "firing" or raises != "none")):
            continue
        held = dict(HOLDS[holds])
        acked = {"acked_at": NOW, "acked_by": "me"} if held.pop("acked", False) else {}
        case = Case(
            incident=c.incident(priority, age=ACCEPTED[accepted], **acked),
            alerts=ALERTS[alerts],
            rule=RULES[rule],
            policy=POLICY,
            attempts=ATTEMPTS[attempts],
            facts=FACTS[facts],
            raises=RAISES[raises],
            seen=1,
        )
        yield f"{priority} {rule} / {facts} / {attempts} / {alerts} / {holds} / {raises} / {accepted}", replace(case, **held)  # type: ignore[arg-type]


def wrong(case: Case, decision: Decision) -> str:
    """Which promise this decision breaks; empty: none."""
    for promise in PROMISES:
        text = promise(case, decision)
        if text:
            return text
    return ""


def somebody_is_coming(case: Case, decision: Decision) -> str:
    step = decision.step
    if isinstance(step, Wait) and step.until is None and not case.raises:
        return "an incident that is not paged rests without a date"
    if isinstance(step, Wait) and step.until is not None and step.until <= NOW:
        return "a wait that is over already"
    return ""


def a_due_page_is_sent(case: Case, decision: Decision) -> str:
    late = deadline(case) + c.seconds(5) < NOW
    done = [each for each in case.own_attempts if each.state is AttemptState.applied]
    cured = bool(done) and done[-1].verdict is Verdict.cured
    over = not case.firing and not any(each.state not in (AttemptState.shadow, AttemptState.rejected) for each in case.own_attempts)
    if late and not (case.raises or case.incident.acked_at or cured or over) and not isinstance(decision.step, Page):
        return "the page is due and not sent"
    return ""


def hopeless_is_paged_at_once(case: Case, decision: Decision) -> str:
    """P1 and P2 wait for nothing that will not come; only the very first look may go before."""
    if case.raises or case.incident.acked_at or not case.firing or not urgent(case) or case.own_attempts:
        return ""
    hopeless = not case.rule.remediate or case.storm.shut or case.rule.page_only
    first_look = not case.facts and isinstance(decision.step, Look)
    return "" if not hopeless or isinstance(decision.step, Page) or first_look else "hopeless, and nobody asked"


def nothing_new_when_held(case: Case, decision: Decision) -> str:
    acts = isinstance(decision.step, Remediate | Revert)
    held = bool(case.holds) or (isinstance(decision.step, Remediate) and (case.storm.shut or case.incident.acked_at is not None))
    return "it acts although held" if acts and held else ""


def acts_only_when_allowed(case: Case, decision: Decision) -> str:
    step = decision.step
    if not isinstance(step, Remediate):
        return ""
    if any(each.open for each in case.attempts):
        return "it acts beside an open attempt"
    if any(each.counts and each.action == step.permit.action for each in case.own_attempts):
        return "the same action twice in one incident"
    if not case.firing or case.rule.page_only or step.permit.mode is not Mode.auto:
        return "it acts without leave"
    newest = case.newest_facts()
    if newest is None or NOW - newest.at > c.seconds(15) or newest.workload is None or newest.workload.dangers:
        return "it acts on doubtful facts"
    if step.permit.target != newest.target or step.permit.before.resource_version != newest.workload.resource_version:
        return "the permit is for something else"
    return ""


def people_only_is_never_acted_on(case: Case, decision: Decision) -> str:
    """Whatever the rule says: not done, not said, not asked for."""
    acts = isinstance(decision.step, Remediate | Shadow | AskApproval)
    return "it acts on what is for people only" if acts and any(each.alert.page_only for each in case.alerts) else ""


def shadows_only_say(case: Case, decision: Decision) -> str:
    step = decision.step
    if isinstance(step, Shadow | AskApproval) and step.permit.mode is Mode.auto:
        return "an automatic permit was only said"
    return ""


def closes_only_what_is_over(case: Case, decision: Decision) -> str:
    if not isinstance(decision.step, Close):
        return ""
    if case.firing or any(each.open for each in case.own_attempts):
        return "it closes what is not over"
    return ""


def every_decision_has_a_because(case: Case, decision: Decision) -> str:
    return "" if decision.because in set(Because) else "no because"


def a_page_has_a_new_key(case: Case, decision: Decision) -> str:
    step = decision.step
    if isinstance(step, Page) and step.raised.dedup_key in {each.dedup_key for each in case.raises}:
        return "a raise reuses a key"
    return ""


PROMISES = (
    somebody_is_coming,
    a_due_page_is_sent,
    hopeless_is_paged_at_once,
    nothing_new_when_held,
    acts_only_when_allowed,
    people_only_is_never_acted_on,
    shadows_only_say,
    closes_only_what_is_over,
    every_decision_has_a_because,
    a_page_has_a_new_key,
)


@pytest.mark.timeout(300)
def test_no_small_state_breaks_a_promise() -> None:
    broken: dict[str, str] = {}
    kinds: dict[str, int] = {}
    for name, case in states():
        decision = decide(case, NOW)
        kinds[type(decision.step).__name__] = kinds.get(type(decision.step).__name__, 0) + 1
        text = wrong(case, decision)
        if text and text not in broken:
            broken[text] = f"{name}\n  -> {decision}"
    assert not broken, "\n".join(f"{text}: {where}" for text, where in broken.items())
    assert set(kinds) >= {"Look", "Remediate", "Shadow", "AskApproval", "Judge", "Revert", "Page", "Wait", "Close"}, kinds


def test_a_permit_needs_every_bound() -> None:
    """The walk is not vacuous: the open case gets its permit."""
    assert isinstance(check(c.case(), 0, NOW), Permit)
    assert isinstance(decide(c.case(), NOW).step, Remediate)
