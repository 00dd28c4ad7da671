"""What the platform does not let us do is refused, with its reason; what it has not said yet is waited for."""

from __future__ import annotations

from typing import Any

from receiver.core.bounds import check, refused_without_look
from receiver.core.case import Because, Case, Lack, Permit, Refusal, Verb
from receiver.core.places import RIGHTS_WAIT
from tests.fakes.cases import T0, case, policy, rule, rung, twice

NAME = rung(Verb.restart).action
NO = Lack("identity base may not patch deployments.apps in namespace shop")
SILENT = Lack("the API server has not said yet which rights we have", passing=True)


def lacking(lack: Lack, namespace: str, action: str = NAME) -> Case:
    settings: Any = {(action, namespace): lack}
    return case(policy=policy(lacking=settings), rule=rule(rung(Verb.restart)), facts=twice())


def refusals(found: Case) -> list[Refusal]:
    answer = check(found, 0, T0)
    return [] if isinstance(answer, Permit) else [each for each in answer if each.because is Because.no_rights]


def test_without_a_lack_it_is_permitted() -> None:
    assert isinstance(check(case(rule=rule(rung(Verb.restart)), facts=twice()), 0, T0), Permit)


def test_an_action_that_lacks_rights_is_refused_with_the_reason() -> None:
    (refusal,) = refusals(lacking(NO, "shop"))
    assert (refusal.detail, refusal.retry_at) == (NO.detail, None)


def test_one_that_lacks_them_everywhere_needs_no_look() -> None:
    found = refused_without_look(lacking(NO, ""), 0, T0)
    assert Because.no_rights in [each.because for each in found]


def test_an_answer_that_is_not_there_yet_is_waited_for() -> None:
    (refusal,) = refusals(lacking(SILENT, ""))
    assert refusal.retry_at == T0 + RIGHTS_WAIT


def test_lacks_of_other_namespaces_and_actions_refuse_nothing() -> None:
    assert isinstance(check(lacking(NO, "till"), 0, T0), Permit)
    assert isinstance(check(lacking(NO, "shop", "kubernetes.scale"), 0, T0), Permit)
