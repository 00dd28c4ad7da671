"""What is for people only, and ends that are no recovery: judged by the core, whatever rules and policies say."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from receiver.core.bounds import check
from receiver.core.case import Because, Case, Permit, Verb
from receiver.core.classify import no_action
from receiver.core.dedup import News, fold
from receiver.core.model import AlertRecord, Mode
from tests.fakes import cases as c

MINUTE = timedelta(minutes=1)


def why(asked: Case, rung: int = 0) -> list[Because]:
    found = check(asked, rung, c.T0)
    return [] if isinstance(found, Permit) else [each.because for each in found]


@pytest.mark.parametrize("verb", list(Verb))
@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("alerts", [(c.people_only(),), (c.record(), c.people_only("Other"))], ids=["alone", "beside another"])
def test_no_verb_and_no_mode_gets_a_permit_for_it(verb: Verb, mode: Mode, alerts: tuple[AlertRecord, ...]) -> None:
    """Also where its source is listed with namespaces, and the incident itself was not marked."""
    rule = c.rule(c.rung(verb, mode=mode), mode=mode)
    policy = c.policy(actions=frozenset({f"kubernetes.{verb.value}"}), nodes=True)
    assert Because.page_only in why(c.case(alerts=alerts, rule=rule, policy=policy))


def test_one_that_is_over_forbids_actions_as_well() -> None:
    over = replace(c.people_only("Other"), resolved_at=c.T0)
    assert why(c.case(alerts=(c.record(), over))) == [Because.page_only]


def test_an_incident_says_why_it_is_for_people_only() -> None:
    assert no_action([(c.rule(c.rung()), c.people_only().alert)], "default") == (
        "an alert is for people only: source generic/sentry only pages"
    )


def ended(record: AlertRecord, reason: str, *, after: timedelta = MINUTE) -> AlertRecord:
    """The statement that it is over, for this reason."""
    at = c.T0 + after
    return replace(record, alert=replace(record.alert, ends_at=at, received_at=at, unproven=reason, page_only="no data" if reason else ""))


def test_an_end_that_is_no_recovery_leaves_it_firing_and_says_why() -> None:
    known = c.record()
    found = fold(known, ended(known, "NoData").alert, rule="crash")
    assert found.record is not None
    assert (found.news, found.changed, found.record.firing) == (News.unproven, True, True)
    assert (found.record.alert.unproven, found.record.alert.page_only, found.record.alert.ends_at) == ("NoData", "no data", None)


def test_the_same_end_again_changes_nothing() -> None:
    known = c.record()
    first = fold(known, ended(known, "NoData").alert, rule="crash").record
    again = fold(first, ended(known, "NoData", after=2 * MINUTE).alert, rule="crash")
    assert (again.news, again.changed, again.record) == (News.repeated, False, first)


def test_a_recovery_after_it_resolves() -> None:
    known = c.record()
    doubtful = fold(known, ended(known, "NoData").alert, rule="crash").record
    found = fold(doubtful, ended(known, "", after=2 * MINUTE).alert, rule="crash")
    assert found.record is not None
    assert (found.news, found.record.firing) == (News.resolved, False)


def test_firing_after_it_is_firing_without_the_doubt_about_its_end() -> None:
    known = c.record()
    doubtful = fold(known, ended(known, "NoData").alert, rule="crash").record
    found = fold(doubtful, replace(known.alert, received_at=c.T0 + 2 * MINUTE), rule="crash")
    assert found.record is not None
    assert (found.record.firing, found.record.alert.unproven, found.record.alert.page_only) == (True, "", "no data")


def test_an_end_that_is_no_recovery_opens_nothing() -> None:
    found = fold(None, ended(c.record(), "Paused").alert, rule="crash")
    assert (found.news, found.record) == (News.unknown, None)


def test_what_is_over_stays_over() -> None:
    over = c.record(resolved_at=c.T0)
    found = fold(over, ended(over, "Updated").alert, rule="crash")
    assert (found.news, found.changed) == (News.stale, False)
