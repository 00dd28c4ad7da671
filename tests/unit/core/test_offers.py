"""Approve mode: a yes is for one plan, one use, a short time; and while a person is asked, the ladder waits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from receiver.core.bounds import check
from receiver.core.case import AskApproval, Attempt, AttemptState, Because, Case, Judge, Page, Parameters, Permit, Remediate, Verb, Wait
from receiver.core.facts import Danger, Hazard
from receiver.core.model import Approval, Mode, Precondition, Priority, Target, TargetRef
from receiver.core.plan import decide
from tests.fakes.cases import (
    INSTALLATION,
    T0,
    attempt,
    case,
    facts,
    incident,
    policy,
    record,
    rule,
    rung,
    sample,
    seconds,
    twice,
    workload,
)

UNDO = rung(Verb.undo, mode=Mode.approve)


def undo(**changes: Any) -> Case:
    """The rollout is ten minutes old, the symptom younger: an undo is asked for."""
    return case(rule=rule(UNDO), **changes)


def offered(**changes: Any) -> Attempt:
    """What `undo()` asks for, thirty seconds ago."""
    asked = check(undo(), 0, T0)
    assert isinstance(asked, Permit)
    offer = Attempt.begun(asked, AttemptState.shadow, T0 - seconds(30))
    return replace(offer, **{"expires_at": T0 + seconds(800), **changes})


def approved(**changes: Any) -> Attempt:
    return offered(**{"approved_by": "camille", "approved_at": T0 - seconds(1), **changes})


def test_an_undo_is_asked_for_with_all_that_a_yes_is_bound_to() -> None:
    step = decide(undo(ruleset_hash="rules-1"), T0).step
    assert isinstance(step, AskApproval)
    offer = Attempt.begun(step.permit, AttemptState.shadow, T0)
    assert (offer.target.uid, offer.before.generation, offer.ruleset_hash) == ("uid-web", 5, "rules-1")
    assert offer.parameters.template_hash == "good"
    assert offer.expires_at == T0 + policy().bounds.offer_valid


@pytest.mark.parametrize("priority,late", [(Priority.p1, 0), (Priority.p2, 0), (Priority.p3, 15 * 60)])
def test_the_time_for_a_yes_counts_from_when_somebody_hears_of_it(priority: Priority, late: int) -> None:
    young = incident(priority, accepted_at=T0)
    permit = check(undo(incident=young), 0, T0)
    assert isinstance(permit, Permit)
    assert permit.offered_until == T0 + seconds(late) + policy().bounds.offer_valid


def test_what_is_asked_after_the_page_counts_from_then() -> None:
    permit = check(undo(incident=incident(Priority.p3, accepted_at=T0), raises=_raised()), 0, T0)
    assert isinstance(permit, Permit)
    assert permit.offered_until == T0 + policy().bounds.offer_valid


def test_without_an_answer_a_person_is_called_and_nothing_runs() -> None:
    decision = decide(undo(attempts=(offered(),)), T0)
    assert isinstance(decision.step, Page)
    assert decision.because is Because.needs_approval


def test_while_a_person_is_asked_the_next_rung_waits() -> None:
    asking = case(rule=rule(UNDO, rung(Verb.restart)), attempts=(offered(),), incident=incident(Priority.p3))
    assert isinstance(decide(asking, T0).step, Wait)


def test_what_was_approved_runs_once_as_it_was_asked_for() -> None:
    decision = decide(undo(attempts=(approved(),)), T0)
    assert isinstance(decision.step, Remediate)
    permit = decision.step.permit
    assert (permit.approval, permit.approved_by, permit.shadow) == (offered().id, "camille", False)
    assert decision.because is Because.approved


def test_a_used_yes_is_never_replayed() -> None:
    used = approved(state=AttemptState.withdrawn, detail="used by 2")
    ran = replace(attempt(Verb.undo, state=AttemptState.rejected, age=20), id="2", mode=Mode.approve, approval=used.id)
    step = decide(undo(attempts=(used, ran)), T0).step
    assert isinstance(step, AskApproval)


CHANGES: dict[str, dict[str, Any]] = {
    "the object was changed": {"facts": twice(workload=workload(generation=6))},
    "another template stands": {"facts": twice(workload=workload(template_hash="worse"))},
    "the rules were changed": {"ruleset_hash": "rules-2"},
    "the undo would go elsewhere": {"facts": twice(workload=workload(undo=replace(workload().undo, template_hash="older", revision="0")))},
}


@pytest.mark.parametrize("change", CHANGES)
def test_any_change_of_the_plan_ends_a_yes(change: str) -> None:
    decision = decide(undo(attempts=(approved(ruleset_hash="h"),), **CHANGES[change]), T0)
    assert isinstance(decision.step, Judge)
    assert decision.step.attempt.state is AttemptState.withdrawn
    assert decision.because is Because.plan_changed


def test_an_ended_yes_is_not_taken_up_again_when_the_plan_is_the_old_one_again() -> None:
    ended = approved(state=AttemptState.withdrawn, detail="the plan changed")
    assert not isinstance(decide(undo(attempts=(ended,)), T0).step, Remediate)


@pytest.mark.parametrize("found", [offered(expires_at=T0), approved(expires_at=T0)])
def test_question_and_yes_end_with_their_time(found: Attempt) -> None:
    decision = decide(undo(attempts=(found,), raises=_raised()), T0)
    assert isinstance(decision.step, Judge)
    assert decision.because is Because.offer_expired


def test_a_question_whose_alert_is_over_is_withdrawn() -> None:
    over = undo(attempts=(offered(),), alerts=(record(resolved_at=T0 - seconds(5)),))
    assert decide(over, T0).because is Because.not_firing


def test_a_no_is_for_the_whole_incident() -> None:
    denied = offered(state=AttemptState.withdrawn, denied_by="camille")
    refusals = check(undo(attempts=(denied,)), 0, T0)
    assert [each.because for each in refusals] == [Because.denied]  # type: ignore[union-attr]


def test_nobody_is_asked_for_ever() -> None:
    ended = tuple(replace(offered(state=AttemptState.withdrawn), id=f"{INSTALLATION}-7-{n}") for n in range(4))
    refusals = check(undo(attempts=ended), 0, T0)
    assert [each.because for each in refusals] == [Because.offered_too_often]  # type: ignore[union-attr]


def test_whoever_approved_is_on_it_as_well() -> None:
    acked = incident(acked_at=T0 - seconds(20), acked_by="camille")
    assert isinstance(decide(undo(incident=acked, attempts=(approved(),)), T0).step, Remediate)
    assert not isinstance(decide(undo(incident=acked, attempts=(offered(),)), T0).step, Remediate)


@pytest.mark.parametrize(
    "held",
    [{"policy": policy(actions_file_ok=False)}, {"policy": policy(mode=Mode.observe)}, {"policy": policy(namespaces=frozenset())}],
    ids=["kill switch", "observe", "namespace"],
)
def test_a_yes_lifts_no_bound(held: dict[str, Any]) -> None:
    assert not isinstance(decide(undo(attempts=(approved(),), **held), T0).step, Remediate)


@pytest.mark.parametrize("verb", [Verb.scale, Verb.restart, Verb.undo, Verb.evict])
def test_a_statefulset_is_never_touched_without_a_yes(verb: Verb) -> None:
    target = Target(TargetRef("kubernetes", "default", "shop", "StatefulSet", "db"), "uid-web")
    asked = case(rule=rule(rung(verb, mode=Mode.auto)), facts=(facts(-15, target=target), facts(target=target)))
    assert not isinstance(decide(asked, T0).step, Remediate)


def test_a_workload_in_migration_asks_even_where_the_rung_says_auto() -> None:
    migrating = workload(dangers=(Danger(Hazard.migrating, "label migration", (), asks=True),))
    asked = case(rule=rule(rung(Verb.undo, mode=Mode.auto)), facts=twice(workload=migrating))
    assert isinstance(decide(asked, T0).step, AskApproval)


def test_who_may_approve_and_what_they_must_have_checked_goes_with_the_question() -> None:
    needs = Approval("ic", (Precondition("backup", "a backup of today exists", "time() - backup"),))
    asked = case(rule=rule(rung(Verb.undo, mode=Mode.approve, approval=needs)), facts=twice(samples=(sample(7200, "age:backup"),)))
    step = decide(asked, T0).step
    assert isinstance(step, AskApproval)
    assert step.permit.needs == needs
    assert step.permit.ages == {"backup": 7200}


def test_an_offer_spends_no_budget() -> None:
    ended = offered(state=AttemptState.withdrawn, action="kubernetes.rollout_restart", verb=Verb.restart, parameters=Parameters())
    assert isinstance(decide(case(attempts=(ended,)), T0).step, Remediate)


def _raised() -> tuple[Any, ...]:
    step = decide(undo(attempts=(offered(),)), T0).step
    assert isinstance(step, Page)
    return (step.raised,)
