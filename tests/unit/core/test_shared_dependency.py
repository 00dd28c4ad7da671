"""One dependency that is down and several incidents: whose page speaks for whom, and what `decide` must never say of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from receiver.core.case import Attempt, Because, Case, Decision, Dependent, Page, Raise, Remediate, Storm, Verb, Verdict, Wait
from receiver.core.dependents import recovers_until, shared_page, waiting_with
from receiver.core.escalation import deadline, dedup_key
from receiver.core.facts import Facts, Look, SampleState
from receiver.core.model import Dependency, Priority, Rule, Service
from receiver.core.page import PageText
from receiver.core.plan import decide
from receiver.core.wording import page_text, sentence
from tests.fakes import cases as c
from tests.unit.core.test_walk import PROMISES

NOW = c.T0
DATABASE = Dependency("payments-db", query="up", above=0.5, contact="dba@example.com")
CACHE = Dependency("cache", query="up2", above=0.5)
SHOP = Service("checkout", depends_on=(DATABASE, CACHE))
MINUTE = timedelta(minutes=1)


def said(at: float, value: float | None, *, name: str = "payments-db") -> Facts:
    state = SampleState.value if value is not None else SampleState.timeout
    return c.facts(at, samples=(c.sample(value, f"dependency:{name}", state), c.sample(1, "dependency:cache")))


def other(**changes: object) -> Dependent:
    base = Dependent(3, "payments-db", Priority.p2, "Orders fail", joined=False, at=NOW - MINUTE)
    return replace(base, **changes)  # type: ignore[arg-type]


def joined(*, age: float = 100, **changes: object) -> Raise:
    at = NOW - c.seconds(age)
    base = Raise(1, at, Priority.p2, Because.dependency_down, dedup_key(c.INSTALLATION, 7, 1), at, by_storm=True, dependency="payments-db")
    return replace(base, **changes)  # type: ignore[arg-type]


def held(*dependents: Dependent, priority: Priority = Priority.p2, facts: tuple[Facts, ...] = (said(0, 0),), **changes: object) -> Case:
    asked = c.case(
        incident=c.incident(priority, service="checkout"), services={"checkout": SHOP}, facts=facts, dependents=dependents, **changes
    )
    return replace(asked, policy=replace(asked.policy, bounds=c.loose()))


def paged(case: Case) -> Raise:
    step = decide(case, NOW).step
    assert isinstance(step, Page), step
    return step.raised


# --- the first one, and those that join ----------------------------------------------------------------------------------


def test_the_first_one_pages_at_once_and_names_the_dependency() -> None:
    raised = paged(held())
    assert (raised.because, raised.dependency, raised.by_storm) == (Because.dependency_down, "payments-db", False)


def test_the_next_one_joins_its_page() -> None:
    raised = paged(held(other()))
    assert (raised.dependency, raised.shared) == ("payments-db", True)


def test_a_p3_joins_at_once_where_somebody_pages_and_keeps_its_time_where_nobody_does() -> None:
    assert paged(held(other(), priority=Priority.p3)).shared
    assert isinstance(decide(held(priority=Priority.p3), NOW).step, Wait)


@pytest.mark.parametrize(
    ("case", "why"),
    [
        (held(other(priority=Priority.p1), priority=Priority.p1), "a P1 joins nothing"),
        (held(other(priority=Priority.p3)), "the page is less urgent"),
        (held(other(joined=True)), "that one only joined"),
        (held(other(incident_id=7)), "it is its own"),
        (held(other(dependency="cache")), "that page is about something else"),
        (held(other(at=NOW - 6 * MINUTE, accepted=False)), "nobody took that page"),
        (held(other(at=NOW - timedelta(hours=1))), "that page is old, and joining wakes nobody"),
        (held(other(), facts=(said(0, None),)), "nobody knows that it is down"),
        (held(other(), facts=(said(-301, 0), said(0, None))), "nobody has known for long"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_in_doubt_it_pages_by_itself(case: Case, why: str) -> None:
    assert not paged(case).by_storm, why


def test_what_a_person_has_to_take_back_is_paged_by_itself() -> None:
    stuck = c.attempt(Verb.scale, age=9000, verdict=Verdict.cured, verdict_at=NOW - c.seconds(8000), lease_until=NOW - c.seconds(3700))
    raised = paged(held(other(), attempts=(stuck,)))
    assert (raised.because, raised.by_storm, raised.dependency) == (Because.lease_ended, False, "")


def test_a_storm_comes_before_a_dependency() -> None:
    raised = paged(held(other(), storm=Storm(shut=True, detail="5 targets")))
    assert (raised.by_storm, raised.dependency) == (True, "")


# --- as long as the page speaks for it -----------------------------------------------------------------------------------


def test_while_the_page_speaks_for_it_the_dependency_is_asked_about_each_minute() -> None:
    step = decide(held(other(), raises=(joined(),)), NOW).step
    assert isinstance(step, Wait)
    assert step.until == NOW + MINUTE
    again = decide(held(other(), raises=(joined(),), facts=(said(-60, 0),)), NOW).step
    assert isinstance(again, Look)
    assert again.light


@pytest.mark.parametrize("left", [(), (other(joined=True),)], ids=["closed", "joined another"])
def test_when_that_page_is_gone_it_pages_by_itself_and_speaks_for_the_rest(left: tuple[Dependent, ...]) -> None:
    raised = paged(held(*left, raises=(joined(),)))
    assert (raised.n, raised.dependency, raised.by_storm) == (2, "payments-db", False)


def test_a_rise_to_p1_calls_a_person_whatever_it_joined() -> None:
    raised = paged(held(other(), priority=Priority.p1, raises=(joined(),)))
    assert (raised.because, raised.by_storm) == (Because.priority_rose, False)


def test_when_it_is_up_again_it_acts_by_itself() -> None:
    back = (said(-75, 0), said(-15, 1), said(0, 1))
    assert isinstance(decide(held(other(), raises=(joined(),), facts=back), NOW).step, Remediate)


def test_when_it_is_up_again_and_nothing_may_be_done_it_pages_by_itself_two_minutes_later() -> None:
    back = held(other(), facts=(said(-75, 0), said(-15, 1), said(0, 1)), rule=c.rule(c.rung(), page_only=True), raises=(joined(),))
    assert isinstance(decide(back, NOW).step, Wait)
    later = replace(back, facts=(said(-181, 0), said(-121, 1), said(-106, 1)))
    assert not paged(later).by_storm


def test_without_a_sight_of_the_change_nothing_is_waited_for() -> None:
    assert recovers_until(held(raises=(joined(),), facts=(said(-15, 1), said(0, 1)))) is None


def test_what_was_acknowledged_is_not_called_for_again() -> None:
    case = held(raises=(joined(),))
    assert isinstance(decide(replace(case, incident=replace(case.incident, acked_at=NOW, acked_by="ada")), NOW).step, Wait)


def test_after_a_storm_the_dependency_is_asked_about_before_anybody_is_called() -> None:
    stale = held(other(), raises=(joined(dependency=""),), facts=(said(-900, 0),))
    assert isinstance(decide(stale, NOW).step, Look)
    assert paged(replace(stale, facts=(said(0, 0),))).shared


# --- what is said --------------------------------------------------------------------------------------------------------


def told(*others: Dependent, locale: str = "en") -> PageText:
    leader = replace(joined(), by_storm=False)
    case = held(*others, raises=(leader,))
    case = replace(case, policy=replace(case.policy, locale=locale))
    decision = decide(replace(case, raises=()), NOW)
    return page_text(case, decision, evidence=(), now=NOW)


def test_the_page_says_what_is_down_whom_to_ask_and_who_waits() -> None:
    page = told(*(other(incident_id=number, title=f"Orders fail {number}", joined=True) for number in (3, 4)))
    assert "payments-db is down" in page.summary
    assert "dba@example.com" in page.summary
    assert "3 incidents wait on payments-db" in page.summary
    assert page.details["wait on it"] == [
        "3 incidents wait on payments-db, this one included",
        "#3 P2 Orders fail 3",
        "#4 P2 Orders fail 4",
    ]


def test_the_list_of_those_that_wait_is_bounded_and_their_titles_are_cleaned() -> None:
    many = (other(incident_id=100 + number, title="\x1b[31m" + "x" * 900, joined=True) for number in range(400))
    lines = told(*many).details["wait on it"]
    assert len(lines) == 14
    assert lines[-1] == "and 388 more"
    assert all(len(line) < 150 and line.isprintable() for line in lines)


def test_one_alone_speaks_of_nobody_else() -> None:
    assert "wait on it" not in told().details


def test_it_is_told_in_french_too() -> None:
    page = told(other(joined=True), locale="fr")
    assert "2 incidents attendent payments-db" in page.summary
    assert "la dépendance payments-db est en panne" in str(page.details["dépend de"])


def test_the_timeline_says_which_page_it_joined() -> None:
    case = held(other())
    assert "joins the page about payments-db" in sentence(decide(case, NOW), case)


def test_only_those_that_joined_wait_with_it() -> None:
    leader = replace(joined(), by_storm=False)
    case = held(other(joined=True), other(incident_id=4), other(incident_id=5, joined=True, dependency="cache"), raises=(leader,))
    assert [each.incident_id for each in waiting_with(case)] == [3]


# --- the walk ------------------------------------------------------------------------------------------------------------

FACTS: dict[str, tuple[Facts, ...]] = {
    "never": (),
    "down": (said(-15, 0), said(0, 0)),
    "down, a minute ago": (said(-60, 0),),
    "down, long ago": (said(-900, 0),),
    "down, then silent": (said(-60, 0), said(0, None)),
    "silent": (said(0, None),),
    "just up": (said(-75, 0), said(-15, 1), said(0, 1)),
    "up for long": (said(-400, 0), said(-300, 1), said(0, 1)),
    "up": (said(-15, 1), said(0, 1)),
}
DEPENDENTS: dict[str, tuple[Dependent, ...]] = {
    "nobody": (),
    "a P1's page": (other(priority=Priority.p1),),
    "a P3's page": (other(priority=Priority.p3),),
    "an untaken page": (other(at=NOW - 6 * MINUTE, accepted=False),),
    "an old page": (other(at=NOW - timedelta(hours=2)),),
    "one that joined": (other(joined=True),),
}
RAISES: dict[str, tuple[Raise, ...]] = {
    "none": (),
    "joined": (joined(),),
    "joined as P3": (joined(priority=Priority.p3),),
    "leads": (joined(by_storm=False),),
    "storm": (joined(dependency=""),),
}
RULES: dict[str, Rule] = {"none": c.rule(), "restart": c.rule(c.rung()), "page only": c.rule(c.rung(), page_only=True)}
ATTEMPTS: dict[str, tuple[Attempt, ...]] = {
    "none": (),
    "applied": (c.attempt(),),
    "cured": (c.attempt(age=200, verdict=Verdict.cured, verdict_at=NOW - c.seconds(20)),),
    "failed": (c.attempt(age=700, verdict=Verdict.failed, verdict_at=NOW - c.seconds(20)),),
}
ALERTS = {"firing": (c.record(),), "resolved": (c.record(resolved_at=NOW),)}
STORMS = {"calm": Storm(), "storm": Storm(shut=True, detail="test")}
AGES = {"150 s": 150.0, "two hours": 7200.0}


def states() -> Iterator[tuple[str, Case]]:
    """About 34,000: a storm is walked with a firing alert and no attempt, what is resolved while it is young."""
    for priority, facts, dependents, raises, rule, attempts, alerts, storm, age in itertools.product(
        (Priority.p1, Priority.p2, Priority.p3), FACTS, DEPENDENTS, RAISES, RULES, ATTEMPTS, ALERTS, STORMS, AGES
    ):
        if (storm != "calm" and (attempts != "none" or alerts != "firing")) or (alerts != "firing" and age != "150 s"):
            continue
        case = held(
            *DEPENDENTS[dependents],
            facts=FACTS[facts],
            raises=RAISES[raises],
            rule=RULES[rule],
            attempts=ATTEMPTS[attempts],
            alerts=ALERTS[alerts],
            storm=STORMS[storm],
        )
        incident = c.incident(priority, age=AGES[age], service="checkout")
        name = f"{priority} / {facts} / {dependents} / {raises} / {rule} / {attempts} / {alerts} / {storm} / {age}"
        yield name, replace(case, incident=incident)


def joins_only_what_speaks(case: Case, decision: Decision) -> str:
    step = decision.step
    if not isinstance(step, Page) or not step.raised.shared:
        return ""
    if case.incident.priority is Priority.p1:
        return "a P1 joined"
    speaks = [each for each in case.dependents if not each.joined and not case.incident.priority.above(each.priority) and each.accepted]
    return "" if speaks else "it joined a page that does not speak for it"


def who_joined_is_never_forgotten(case: Case, decision: Decision) -> str:
    """It waits for a minute at most, but for a cure that is proved, a recovery that was seen, or the time that its page has."""
    step = decision.step
    if not case.raises or not case.raises[-1].shared or not case.firing or not isinstance(step, Wait):
        return ""
    cured = any(each.verdict is Verdict.cured for each in case.own_attempts)
    if step.until is None or (step.until > max(NOW + MINUTE, deadline(case), recovers_until(case) or NOW) and not cured):
        return "nobody looks at it within a minute, or when its page would be due"
    spoken = any(not each.joined and not case.incident.priority.above(each.priority) for each in case.dependents)
    busy = cured or any(each.open for each in case.own_attempts) or recovers_until(case) is not None
    early = case.incident.priority is Priority.p3 and deadline(case) > NOW
    return "nobody speaks for it, and it waits" if not (spoken or busy or early) else ""


def nothing_is_done_while_it_is_down(case: Case, decision: Decision) -> str:
    return "it acts without its dependency" if isinstance(decision.step, Remediate) and shared_page(case, NOW)[0] else ""


def a_page_is_not_raised_twice_in_a_breath(case: Case, decision: Decision) -> str:
    """What was raised this very moment is not raised again for the same reason."""
    if not isinstance(decision.step, Page):
        return ""
    raised = replace(decision.step.raised, accepted_at=NOW)
    speaks = Dependent(7, raised.dependency, raised.priority, "t", joined=raised.by_storm, at=NOW)
    after = replace(case, raises=(*case.raises, raised), dependents=(*case.dependents, *((speaks,) if raised.dependency else ())))
    return "the same page again" if isinstance(decide(after, NOW).step, Page) else ""


@pytest.mark.timeout(180)
def test_no_small_state_of_a_shared_dependency_breaks_a_promise() -> None:
    broken: dict[str, str] = {}
    seen = {"joined": 0, "led": 0}
    promises = (
        *PROMISES,
        joins_only_what_speaks,
        who_joined_is_never_forgotten,
        nothing_is_done_while_it_is_down,
        a_page_is_not_raised_twice_in_a_breath,
    )
    for name, case in states():
        decision = decide(case, NOW)
        if isinstance(decision.step, Page) and decision.step.raised.dependency:
            seen["joined" if decision.step.raised.by_storm else "led"] += 1
        for promise in promises:
            text = promise(case, decision)
            if text and text not in broken:
                broken[text] = f"{name}\n  -> {decision}"
    assert not broken, "\n".join(f"{text}: {where}" for text, where in broken.items())
    assert all(seen.values()), seen
