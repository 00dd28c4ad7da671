"""Which rule an alert meets, and which service is meant."""

from __future__ import annotations

import timeit
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.core.facts import Hint
from receiver.core.model import Bounds, Level, Priority, Rule, Service, TargetRef
from receiver.core.predicate import SUBJECT_LIMIT, matcher
from receiver.core.rules import DEFAULT_MATRIX, OWN_RULE, RuleSet

DEFAULT = Rule(name="default", impact=Level.medium, urgency=Level.medium, is_default=True)
WEB = TargetRef("kubernetes", "default", "shop", "Deployment", "web")


def rule(name: str, *conditions: tuple[str, str, str]) -> Rule:
    return Rule(name=name, matchers=tuple(matcher(*each) for each in conditions))


def ruleset(*rules: Rule, services: tuple[Service, ...] = ()) -> RuleSet:
    return RuleSet(rules, DEFAULT, services={each.name: each for each in services})


def linear(rules: RuleSet, labels: Mapping[str, str]) -> str:
    """What the index must come to: the first rule all of whose matchers hold."""
    return next((each.name for each in rules.rules if all(one.matches(labels) for one in each.matchers)), "default")


names = st.sampled_from(["A", "B", "C", "", "D" * SUBJECT_LIMIT, "D" * (SUBJECT_LIMIT + 1)])
conditions = st.one_of(
    st.tuples(st.sampled_from(["alertname", "job"]), st.sampled_from(["=", "!="]), names),
    st.tuples(
        st.sampled_from(["alertname", "job"]), st.sampled_from(["=~", "!~"]), st.sampled_from(["A|B", "B|C|D", "A", ".*", "[AB]", "", "D+"])
    ),
)


@given(
    rules=st.lists(st.lists(conditions, min_size=1, max_size=3), max_size=8),
    labels=st.dictionaries(st.sampled_from(["alertname", "job"]), names),
)
def test_the_index_finds_what_trying_every_rule_in_order_finds(rules: list[list[tuple[str, str, str]]], labels: dict[str, str]) -> None:
    indexed = ruleset(*(rule(f"r{at}", *each) for at, each in enumerate(rules)))
    assert indexed.rule_for(labels).name == linear(indexed, labels)


def test_the_first_rule_that_matches_wins() -> None:
    rules = ruleset(rule("open", ("job", "=~", ".+")), rule("named", ("alertname", "=", "A")))
    assert rules.rule_for({"alertname": "A", "job": "x"}).name == "open"
    assert rules.rule_for({"alertname": "A"}).name == "named"


def test_an_alert_that_no_rule_matches_gets_the_default() -> None:
    assert ruleset(rule("a", ("alertname", "=", "A"))).rule_for({"alertname": "B"}) is DEFAULT
    assert ruleset().rule_for({}) is DEFAULT


def test_no_rule_of_a_file_can_hide_our_own_troubles() -> None:
    rules = ruleset(rule("everything", ("alertname", "=~", ".*")))
    own = rules.rule_for({"alertname": "ReceiverTrouble", "kind": "quarantine", "subject": "alertmanager"})
    assert own is OWN_RULE
    assert own.page_only
    assert rules.priority(own.impact or Level.low, own.urgency or Level.low) is Priority.p2


def test_a_rule_is_found_by_name_and_a_forgotten_one_is_the_default() -> None:
    known = rule("a", ("alertname", "=", "A"))
    assert ruleset(known).rule("a") is known
    assert ruleset(known).rule(OWN_RULE.name) is OWN_RULE
    assert ruleset(known).rule("of last week") is DEFAULT


@pytest.mark.parametrize("impact", Level)
@pytest.mark.parametrize("urgency", Level)
def test_the_default_matrix_is_that_of_the_runbooks(impact: Level, urgency: Level) -> None:
    cells = {  # severity-matrix-and-process.md: rows are urgency, columns impact
        Level.high: {Level.low: "P3", Level.medium: "P2", Level.high: "P1"},
        Level.medium: {Level.low: "P4", Level.medium: "P3", Level.high: "P2"},
        Level.low: {Level.low: "P4", Level.medium: "P4", Level.high: "P3"},
    }
    assert DEFAULT_MATRIX[impact][urgency].value == cells[urgency][impact]


# --- services ------------------------------------------------------------------------------------------------------------


def test_a_service_is_met_by_the_target_that_the_labels_name() -> None:
    rules = ruleset(services=(Service("checkout", targets=(WEB,)),))
    found = rules.service_for({}, Hint(namespace="shop", kind="Deployment", name="web"))
    assert found is not None
    assert found.name == "checkout"
    assert rules.service_for({}, Hint(namespace="shop", kind="StatefulSet", name="web")) is None
    assert rules.service_for({}, Hint(cluster="elsewhere", namespace="shop", kind="Deployment", name="web")) is None
    assert rules.service_of(WEB) is found


def test_a_service_is_met_by_all_labels_of_its_selector() -> None:
    rules = ruleset(services=(Service("checkout", labels={"team": "shop", "app": "web"}),))
    assert rules.service_for({"app": "web", "team": "shop", "x": "y"}, Hint()) is not None
    assert rules.service_for({"app": "web"}, Hint()) is None


def test_a_target_says_more_than_a_label() -> None:
    rules = ruleset(services=(Service("a", labels={"app": "web"}), Service("b", targets=(WEB,))))
    found = rules.service_for({"app": "web"}, Hint(namespace="shop", kind="Deployment", name="web"))
    assert found is not None
    assert found.name == "b"


def test_two_services_that_fit_alike_are_none() -> None:
    one, other = Service("a", targets=(WEB,), labels={"app": "x"}), Service("b", targets=(WEB,), labels={"app": "x"})
    rules = ruleset(services=(one, other))
    assert rules.service_of(WEB) is None
    assert rules.service_for({"app": "x"}, Hint()) is None
    assert rules.service_for({}, Hint(namespace="shop", kind="Deployment", name="web")) is None


def test_a_service_without_selector_is_not_met_by_labels() -> None:
    assert ruleset(services=(Service("a", bounds=Bounds()),)).service_for({"app": "x"}, Hint()) is None


@pytest.mark.bench
def test_one_alert_against_300_rules(capsys: pytest.CaptureFixture[str]) -> None:
    rules = ruleset(*(rule(f"r{at}", ("alertname", "=~", f"A{at}|B{at}|C{at}"), ("namespace", "=~", "shop.*")) for at in range(300)))
    labels = {"alertname": "B299", "namespace": "shop-eu", "pod": "web-1", "severity": "critical"}
    runs = 2000
    seconds = timeit.timeit(lambda: rules.rule_for(labels), number=runs) / runs
    with capsys.disabled():
        print(f"\none alert against 300 rules: {seconds * 1e6:.1f} us (goal: 100)")
    assert rules.rule_for(labels).name == "r299"
