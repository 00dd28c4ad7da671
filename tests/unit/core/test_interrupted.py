"""One remediation from the first look to the close, cut off at every step and point: at most one effect, and somebody is coming."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from receiver.core.case import AttemptState, Because, Close, Page, Remediate, Verb, Verdict, Wait
from receiver.core.model import Mode, Priority, Rule, Symptom, Verification
from tests.fakes import cases as c
from tests.fakes.world import CUTS, World

RULES = {
    "restart": c.rule(c.rung(Verb.restart)),
    "undo": c.rule(c.rung(Verb.undo)),
    "scale": c.rule(c.rung(Verb.scale, max=6)),
    "undo then restart": c.rule(c.rung(Verb.undo), c.rung(Verb.restart)),
}


def world(rule: Rule, priority: Priority = Priority.p2, *, cures: bool = True, cut: tuple[int, str] | None = None) -> World:
    fresh = c.case(incident=c.incident(priority, age=0, target=None), alerts=(c.record(age=0),), rule=rule, facts=())
    return World(fresh, cures=cures, cut=cut)


def promised(ran: World) -> None:
    done = [(each.action, each.reverts) for each in ran.effects if not each.reverts]
    assert len(done) == len(set(done)), f"the same action twice: {done}"
    assert not ran.case.incident.open or ran.case.raises, "open, and nobody was asked"
    for each in ran.steps:
        assert not isinstance(each.step, Wait) or each.step.until is not None or ran.case.raises


@pytest.mark.parametrize("priority", [Priority.p1, Priority.p2, Priority.p3])
@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("cures", [True, False])
def test_a_run_cut_off_anywhere_keeps_its_promises(name: str, priority: Priority, cures: bool) -> None:
    whole = world(RULES[name], priority, cures=cures)
    whole.run()
    promised(whole)
    acting = [number for number, each in enumerate(whole.steps) if isinstance(each.step, Remediate)]
    assert acting, f"nothing was ever done: {[each.because.value for each in whole.steps]}"
    for number in acting:
        for point in CUTS:
            ran = world(RULES[name], priority, cures=cures, cut=(number, point))
            ran.run()
            promised(ran)


def test_a_cured_p2_closes_without_a_page() -> None:
    ran = world(RULES["undo"])
    ran.run()
    assert not ran.case.incident.open
    assert not ran.case.raises
    assert [each.verdict for each in ran.case.attempts] == [Verdict.cured]


def test_a_p1_is_paged_at_once_and_cured_all_the_same() -> None:
    ran = world(RULES["undo"], Priority.p1)
    ran.run()
    pages = [number for number, each in enumerate(ran.steps) if isinstance(each.step, Page)]
    acts = [number for number, each in enumerate(ran.steps) if isinstance(each.step, Remediate)]
    assert pages[0] < acts[0]
    assert isinstance(ran.steps[-1].step, Close)
    assert ran.steps[pages[0]].because is Because.priority_one


def test_an_action_that_does_not_help_pages() -> None:
    ran = world(RULES["undo"], cures=False)
    ran.run()
    assert ran.case.incident.open
    assert len(ran.case.raises) == 1


def test_an_intent_without_an_outcome_is_paged_and_never_sent_again() -> None:
    first = world(RULES["undo"])
    first.run()
    number = next(number for number, each in enumerate(first.steps) if isinstance(each.step, Remediate))
    ran = world(RULES["undo"], cut=(number, "before_record"))
    ran.run()
    assert len(ran.effects) == 1
    assert [each.state for each in ran.case.attempts] == [AttemptState.applied]
    assert ran.case.raises[0].because is Because.outcome_unknown


def test_a_scale_is_taken_back_step_by_step_when_its_lease_ends() -> None:
    ran = world(RULES["scale"])
    ran.run()
    assert ran.replicas == 3
    assert [each.parameters.replicas for each in ran.effects] == [5, 4, 3]
    taken = ran.effects[1:]
    assert all(each.reverts == ran.effects[0].attempt_id for each in taken)
    assert taken[1].at - taken[0].at >= timedelta(minutes=5)
    assert not ran.case.incident.open


def test_observe_mode_touches_nothing_and_says_what_it_would_do() -> None:
    watching = c.rule(replace(c.rung(), mode=None), mode=Mode.observe)
    ran = world(watching)
    ran.run()
    assert not ran.effects
    assert [each.state for each in ran.case.attempts] == [AttemptState.shadow]
    assert [each.because for each in ran.case.raises] == [Because.observe_mode]


def test_a_symptom_that_the_api_does_not_show_starts_nothing() -> None:
    ran = world(RULES["restart"])
    ran.healthy = True
    ran.run()
    assert not ran.effects
    assert ran.case.raises


def test_saturation_needs_its_query() -> None:
    by_query = c.rule(c.rung(Verb.scale, max=6), symptom=Symptom.saturation, verify=Verification(query="x", below=0.5))
    ran = world(by_query)
    ran.healthy = True
    ran.case = replace(ran.case, incident=replace(ran.case.incident, symptom=Symptom.saturation))
    ran.run()
    assert not ran.effects, "no sample came back: cannot tell, so nothing may be done"
