"""Prepared commands on the page, and those that a person ran: whole or not at all, and what stands keeps the incident open."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.core.case import Because, Case, Close, Decision, Page, Raise, Standing, Wait
from receiver.core.facts import Danger, Hazard
from receiver.core.model import Alert, Priority, Rule, Service, Suggested
from receiver.core.plan import NEVER_LATER, by_hand, decide
from receiver.core.wording import page_text
from receiver.core.wording.by_hand import MOST_CHARACTERS, SHOWN, named, standing, suggested, suggested_lines
from receiver.core.wording.say import tongue
from tests.fakes import cases as c

CHECKOUT = Service("checkout", (c.REF,), values={"configmap": "web-config", "queue": "dead_letter", "broker_pod": "rabbitmq-0"})
PAGED = Decision(Page(Raise(1, c.T0, Priority.p2, Because.deadline, "key", c.T0)), Because.deadline)


def suggesting(*names: str | Suggested, **changes: object) -> Case:
    """The crash of `shop/web`, whose rule suggests these."""
    listed = tuple(Suggested(each) if isinstance(each, str) else each for each in names)
    base = c.case(rule=c.rule(c.rung(), suggest=listed), incident=c.incident(service="checkout"), services={"checkout": CHECKOUT})
    return replace(base, **changes)  # type: ignore[arg-type]  # fields of a Case, by name


def lines(case: Case) -> list[str]:
    return suggested_lines(case, tongue(case), c.T0)


def commands(case: Case) -> list[str]:
    """Those that the page shows whole."""
    return [each.removeprefix("  $ ") for each in lines(case) if each.startswith("  $ ")]


# --- what is suggested ---------------------------------------------------------------------------------------------------


def test_the_target_and_the_catalogue_fill_a_command() -> None:
    (events, purge) = suggested(suggesting("recent_events", "purge_queue"), c.T0)
    assert events.commands == ("kubectl -n shop get events --sort-by=.lastTimestamp | tail -n 20",)
    assert purge.commands[-1].endswith("-n shop exec rabbitmq-0 -- rabbitmqctl purge_queue --vhost / dead_letter")
    assert purge.gaps == ()


def test_the_rule_speaks_before_the_catalogue_and_one_named_twice_has_two_names() -> None:
    first, second = suggested(suggesting("purge_queue", Suggested("purge_queue", {"queue": "mail"})), c.T0)
    assert (first.name, second.name) == ("purge_queue", "purge_queue-2")
    assert second.commands[-1].endswith(" mail")


def test_a_name_that_the_table_has_lost_is_left_out() -> None:
    assert [each.name for each in suggested(suggesting("gone_by_now", "recent_events"), c.T0)] == ["recent_events"]


def test_who_would_take_the_change_back_is_said() -> None:
    owned = c.workload(dangers=(Danger(Hazard.gitops, "Argo CD"), Danger(Hazard.hpa, "web")))
    (limits,) = suggested(suggesting("raise_limits", facts=c.twice(workload=owned)), c.T0)
    told = " ".join(limits.notes)
    assert "Argo CD" in told
    assert "hpa" not in told


@given(labels=st.dictionaries(st.sampled_from(["namespace", "deployment", "pod", "queue", "service", "node"]), st.text(min_size=3)))
def test_nothing_of_an_alert_enters_a_line(labels: dict[str, str]) -> None:
    marked = {name: f"INTRUDER{value}" for name, value in labels.items()}
    alert = Alert("alertmanager", "fp", {"alertname": "X", **marked}, marked, c.T0, None, c.T0)
    names = ("purge_queue", "raise_limits", "drain_node", "read_only", "recent_events", "kill_queries")
    case = suggesting(*names, alerts=(replace(c.record(), alert=alert),))
    assert not any("INTRUDER" in line for each in suggested(case, c.T0) for line in (*each.commands, *each.reverse, *each.notes))


def test_a_name_that_the_rule_does_not_suggest_is_found_in_the_table() -> None:
    found = named(suggesting("recent_events"), "raise_limits", c.T0)
    assert found is not None
    assert "set resources deployment/web" in found.commands[0]
    assert named(suggesting(), "rm -rf /", c.T0) is None


# --- on the page ---------------------------------------------------------------------------------------------------------


def test_a_page_shows_the_first_three_whole_and_how_many_more_there_are() -> None:
    names = ("recent_events", "purge_queue", "read_only", "debug_log", "vacuum")
    case = suggesting(*names)
    whole = [line for each in suggested(case, c.T0)[:SHOWN] for line in each.commands]
    assert commands(case) == whole
    assert lines(case)[-1] == "2 more: receiver show 7, or the console"


def test_with_three_or_fewer_nothing_more_is_promised() -> None:
    assert not any("more:" in each for each in lines(suggesting("recent_events", "purge_queue", "read_only")))
    assert lines(suggesting()) == []


def test_each_says_how_it_is_taken_back_or_why_it_is_not() -> None:
    told = lines(suggesting("read_only", "purge_queue"))
    assert any(each.startswith("  back: kubectl -n shop patch configmap/web-config") for each in told)
    assert any(each.startswith("  back: none: purged messages are gone") for each in told)


def test_a_command_that_would_make_the_page_too_long_is_not_shown_at_all() -> None:
    long = Suggested("set_env", {"variable": "X", "value": "'" * 1_000})  # each is five characters once it is quoted
    case = suggesting(*[long] * 3)
    (whole,) = suggested(case, c.T0)[0].commands
    assert commands(case) == [whole]
    assert sum(map(len, lines(case))) <= MOST_CHARACTERS + 100
    assert lines(case)[-1] == "2 more: receiver show 7, or the console"


def test_a_gap_of_the_catalogue_is_marked_where_it_is() -> None:
    (line,) = commands(suggesting("purge_queue", services={"checkout": replace(CHECKOUT, values={"broker_pod": "rabbitmq-0"})}))[-1:]
    assert "<<<QUEUE: not in the catalogue, set services.checkout.values.queue>>>" in line


def test_without_a_target_only_the_name_and_what_is_missing_are_shown() -> None:
    case = suggesting("raise_limits", "purge_queue", incident=c.incident(target=None, service=""), services={}, facts=())
    assert commands(case) == []
    assert lines(case)[0].startswith("raise_limits: Raise the limits (NAMESPACE: the target is not known yet; WORKLOAD: ")


@pytest.mark.parametrize("locale,section", [("en", "by hand"), ("fr", "à la main")])
def test_they_are_a_section_of_the_page(locale: str, section: str) -> None:
    case = suggesting("recent_events", policy=c.policy(locale=locale))
    text = page_text(case, PAGED, evidence=(), now=c.T0)
    assert "  $ kubectl -n shop get events --sort-by=.lastTimestamp | tail -n 20" in text.details[section]


# --- what a person ran ---------------------------------------------------------------------------------------------------


def ran(case: Case, name: str) -> Standing:
    found = named(case, name, c.T0)
    assert found is not None
    return standing(found, at=c.T0, by="ada")


def over(*stands: Standing, **changes: object) -> Case:
    """Nothing fires any more since half an hour, and nothing was tried."""
    start = suggesting("read_only", alerts=(c.record(age=3_600, resolved_at=c.T0 - c.seconds(1_800)),), standing=stands)
    return replace(start, incident=c.incident(age=3_600, service="checkout"), **changes)  # type: ignore[arg-type]  # as above


def test_what_has_a_reverse_holds_the_incident_open() -> None:
    case = over(ran(suggesting(), "read_only"))
    decision = decide(case, c.T0)
    assert isinstance(decision.step, Wait)
    assert decision.because is Because.waiting_reverse
    assert decision.step.until is not None
    assert decision.step.until <= c.T0 + NEVER_LATER


def test_once_it_is_taken_back_the_incident_closes() -> None:
    back = replace(ran(suggesting(), "read_only"), undone_at=c.T0, undone_by="ada")
    assert isinstance(decide(over(back), c.T0).step, Close)


def test_what_cannot_be_taken_back_holds_nothing_open() -> None:
    done = ran(suggesting(), "purge_queue")
    assert not done.open
    assert isinstance(decide(over(done), c.T0).step, Close)


def test_one_that_was_taken_back_does_not_speak_for_another() -> None:
    case = over(replace(ran(suggesting(), "read_only"), undone_at=c.T0), ran(suggesting(), "drain_node"))
    assert by_hand(case)
    assert decide(case, c.T0).because is Because.waiting_reverse


def test_while_it_fires_the_incident_rests_for_its_own_reason() -> None:
    case = suggesting("read_only", standing=(ran(suggesting(), "read_only"),), rule=Rule("none", suggest=(Suggested("read_only"),)))
    assert decide(case, c.T0).because is not Because.waiting_reverse


def test_a_page_says_what_is_still_to_be_taken_back_and_by_whom_it_was_done() -> None:
    done = ran(suggesting(), "read_only")
    gone = replace(ran(suggesting(), "drain_node"), undone_at=c.T0)
    told = page_text(suggesting(standing=(done, gone)), PAGED, evidence=(), now=c.T0).details["still to take back"]
    assert told == [
        "read_only, since 2026-11-20 12:00:00 UTC, by ada: Read-only mode by ConfigMap",
        f"  $ {done.reverse[0]}",
        "  then: receiver undid 7 read_only",
    ]
