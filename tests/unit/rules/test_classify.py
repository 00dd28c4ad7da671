"""Impact, urgency and priority: who says so, what raises it, and what an incident follows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from receiver.core.classify import breadth_of, classify, classify_incident, no_action, rising
from receiver.core.facts import Facts, Pods, RolloutState, Sample, SampleState, Trouble, Workload
from receiver.core.model import Alert, AlertRecord, Breadth, BreadthKind, Input, Level, Naming, Priority, Rule, Service, Symptom
from receiver.core.predicate import matcher
from receiver.core.rules import RuleSet

NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
DEFAULT = Rule(name="default", impact=Level.medium, urgency=Level.medium, is_default=True)
BY_REPLICAS = Breadth(BreadthKind.replicas)


def alert(name: str = "A", *, trusted: bool = True, **labels: str) -> Alert:
    return Alert(
        "alertmanager", f"{name}-{sorted(labels.items())}", {"alertname": name, **labels}, {}, NOW, None, NOW, trusted_shape=trusted
    )


def rule(name: str, **fields: object) -> Rule:
    return replace(Rule(name=name, matchers=(matcher("alertname", "=", name),)), **fields)  # type: ignore[arg-type] # names the fields


def ruleset(*rules: Rule, default: Rule = DEFAULT) -> RuleSet:
    return RuleSet(rules, default)


def record(of: Alert, *, first: timedelta = timedelta(0), resolved: timedelta | None = None) -> AlertRecord:
    return AlertRecord(of, "", NOW + first, None if resolved is None else NOW + resolved)


def facts(available: int = 2, replicas: int = 2, *samples: Sample, pods: Pods | None = None) -> Facts:
    seen = Workload("1", 1, replicas, replicas, replicas, available, available, RolloutState.complete, pods=pods or Pods())
    return Facts(NOW, workload=seen, samples=samples)


@pytest.mark.parametrize("naming", Naming)
@pytest.mark.parametrize("impact", Level)
@pytest.mark.parametrize("urgency", Level)
def test_each_cell_comes_from_its_impact_and_urgency(impact: Level, urgency: Level, naming: Naming) -> None:
    found = classify(alert(), rule("A", impact=impact, urgency=urgency), None, ruleset())
    number = {(2, 2): 1, (2, 1): 2, (1, 2): 2, (2, 0): 3, (1, 1): 3, (0, 2): 3}.get((impact.rank, urgency.rank), 4)
    assert found.priority.rank == number
    shown = naming.show(found.priority)
    assert shown == (f"P{number}" if naming is Naming.p1_p4 else f"P{number - 1}")
    assert naming.read(shown) is found.priority


@pytest.mark.parametrize(
    "of_rule,service,impact,by",
    [
        (Level.low, Service("s", impact=Level.high, tags=("revenue",)), Level.low, Input.rule),
        (None, Service("s", impact=Level.low, tags=("revenue",)), Level.high, Input.tag),
        (None, Service("s", impact=Level.high), Level.high, Input.catalogue),
        (None, Service("s"), Level.medium, Input.default),
        (None, None, Level.medium, Input.default),
    ],
)
def test_impact_is_the_rules_then_the_catalogues_then_the_defaults(
    of_rule: Level | None, service: Service | None, impact: Level, by: Input
) -> None:
    found = classify(alert(), rule("A", impact=of_rule), service, ruleset())
    assert found.impact is impact
    assert (found.trace[0].axis, found.trace[0].by) == ("impact", by)


@pytest.mark.parametrize(
    "fields,severity,urgency,by",
    [
        ({"urgency": Level.low}, "critical", Level.low, Input.rule),
        ({"urgency_label": "severity", "urgency_map": {"critical": Level.high}}, "critical", Level.high, Input.label),
        ({"urgency_label": "severity", "urgency_map": {"critical": Level.high}}, "odd", Level.medium, Input.default),
        ({}, "critical", Level.medium, Input.default),
    ],
)
def test_urgency_is_the_rules_or_a_labels_then_the_defaults(fields: dict[str, object], severity: str, urgency: Level, by: Input) -> None:
    found = classify(alert(severity=severity), rule("A", **fields), None, ruleset())
    assert found.urgency is urgency
    assert found.trace[-1].by is by


def test_the_default_may_read_urgency_from_a_label() -> None:
    default = replace(DEFAULT, urgency=None, urgency_label="severity", urgency_map={"critical": Level.high})
    assert classify(alert(severity="critical"), default, None, ruleset(default=default)).urgency is Level.high
    assert classify(alert(), default, None, ruleset(default=default)).urgency is Level.medium


@pytest.mark.parametrize(
    "stated,share,impact",
    [
        (Level.low, 0.19, Level.low),
        (Level.low, 0.20, Level.medium),
        (Level.medium, 0.49, Level.medium),
        (Level.medium, 0.50, Level.high),
        (Level.high, 0.0, Level.high),
    ],
)
def test_breadth_only_raises(stated: Level, share: float, impact: Level) -> None:
    found = classify(alert(), rule("A", impact=stated, breadth=BY_REPLICAS), None, ruleset(), breadth=share, breadth_detail="seen")
    assert found.impact is impact


def test_without_data_the_catalogues_impact_is_kept_and_the_trace_says_so() -> None:
    share, detail = breadth_of(Facts(NOW, trouble=Trouble.timeout), rule("A", breadth=BY_REPLICAS))
    found = classify(
        alert(), rule("A", breadth=BY_REPLICAS), Service("s", impact=Level.high), ruleset(), breadth=share, breadth_detail=detail
    )
    said = next(each for each in found.trace if each.by is Input.breadth)
    assert found.impact is Level.high
    assert said.detail == "no data, catalogue's impact kept (timeout)"


def test_before_the_first_look_nothing_is_said_of_breadth() -> None:
    share, detail = breadth_of(None, rule("A", breadth=BY_REPLICAS))
    found = classify(alert(), rule("A", breadth=BY_REPLICAS), None, ruleset(), breadth=share, breadth_detail=detail)
    assert not any(each.by is Input.breadth for each in found.trace)


@pytest.mark.parametrize(
    "seen,kind,share",
    [
        (facts(3, 4), BreadthKind.replicas, 0.25),
        (facts(5, 4), BreadthKind.replicas, 0.0),
        (facts(0, 0), BreadthKind.replicas, None),
        (facts(4, 4, pods=Pods(total=4, ready=1)), BreadthKind.targets, 0.75),
        (facts(4, 4), BreadthKind.targets, None),
        (facts(4, 4, Sample("breadth", SampleState.value, 0.3)), BreadthKind.query, 0.3),
        (facts(4, 4, Sample("breadth", SampleState.value, 37.0)), BreadthKind.query, 1.0),
        (facts(4, 4, Sample("breadth", SampleState.empty)), BreadthKind.query, None),
        (facts(4, 4), BreadthKind.query, None),
        (Facts(NOW, trouble=Trouble.not_found), BreadthKind.replicas, None),
    ],
)
def test_the_share_comes_from_what_was_seen(seen: Facts, kind: BreadthKind, share: float | None) -> None:
    found, detail = breadth_of(seen, rule("A", breadth=Breadth(kind)))
    assert found == share
    assert detail


def test_a_trend_raises_urgency_by_one() -> None:
    found = classify(alert(), rule("A", urgency=Level.low), None, ruleset(), rising=True)
    assert found.urgency is Level.medium
    assert found.trace[-1].by is Input.trend
    assert classify(alert(), rule("A", urgency=Level.high), None, ruleset(), rising=True).urgency is Level.high


def minutes_ago(*starts: float) -> list[AlertRecord]:
    return [record(alert(pod=str(at)), first=timedelta(minutes=-start)) for at, start in enumerate(starts)]


@pytest.mark.parametrize(
    "records,expected",
    [
        (minutes_ago(8, 7, 2, 1), True),
        (minutes_ago(8, 7, 2), False),  # three are no trend
        (minutes_ago(4, 3, 2, 1), False),  # none before: nothing to compare with
        (minutes_ago(9, 8, 7, 2, 1), False),  # not twice as many
        ([*minutes_ago(8, 7, 2), minutes_ago(1)[0]], False),  # the same alert counts once
        ([], False),
    ],
)
def test_a_trend_is_at_least_four_alerts_and_twice_those_before(records: list[AlertRecord], expected: bool) -> None:
    assert rising(records, NOW) is expected


def test_alerts_that_were_over_before_the_window_are_no_trend() -> None:
    over = [record(alert(pod=f"old{at}"), first=timedelta(minutes=-9), resolved=timedelta(minutes=-6)) for at in range(2)]
    assert not rising([*over, *minutes_ago(2, 1)], NOW)
    assert rising([*over, *minutes_ago(4, 3, 2, 1)], NOW)


# --- the incident --------------------------------------------------------------------------------------------------------


def test_the_incident_follows_its_most_urgent_alert() -> None:
    rules = ruleset(rule("A", impact=Level.low, urgency=Level.low), rule("B", impact=Level.high, urgency=Level.high))
    found, of, _ = classify_incident([record(alert("A")), record(alert("B"))], None, rules, now=NOW)
    assert found.priority is Priority.p1
    assert of.name == "B"


def test_of_equals_a_rule_that_was_written_decides_before_the_default() -> None:
    rules = ruleset(rule("B", impact=Level.medium, urgency=Level.medium))
    records = [record(alert("A"), first=timedelta(hours=-1)), record(alert("B"))]
    assert classify_incident(records, None, rules, now=NOW)[1].name == "B"


def test_an_incident_does_not_sink_when_its_worst_alert_is_over() -> None:
    rules = ruleset(rule("B", impact=Level.high, urgency=Level.high))
    records = [record(alert("A")), record(alert("B"), resolved=timedelta(0))]
    assert classify_incident(records, None, rules, now=NOW)[0].priority is Priority.p1


def test_facts_raise_the_incident_by_breadth() -> None:
    rules = ruleset(rule("A", urgency=Level.high, breadth=BY_REPLICAS))
    assert classify_incident([record(alert())], None, rules, now=NOW)[0].priority is Priority.p2
    assert classify_incident([record(alert())], None, rules, now=NOW, facts=facts(0, 2))[0].priority is Priority.p1


@pytest.mark.parametrize(
    "second,words",
    [
        (rule("B", page_only=True), "rule B is page-only"),
        (rule("B", symptom=Symptom.data), "symptom data"),
        (rule("B", symptom=Symptom.security), "symptom security"),
    ],
)
def test_one_alert_that_only_pages_forbids_every_action(second: Rule, words: str) -> None:
    rules = ruleset(rule("A", impact=Level.high, urgency=Level.high), replace(second, impact=Level.low, urgency=Level.low))
    _, of, no_action = classify_incident([record(alert("A")), record(alert("B"))], None, rules, now=NOW)
    assert of.name == "A"
    assert words in no_action


def test_the_default_forbids_nothing() -> None:
    default = replace(DEFAULT, page_only=True)
    assert classify_incident([record(alert())], None, ruleset(default=default), now=NOW)[2] == ""


def test_an_odd_payload_and_a_foreign_cluster_forbid_every_action() -> None:
    assert "form" in classify_incident([record(alert(trusted=False))], None, ruleset(), now=NOW)[2]
    assert "cluster" in classify_incident([record(alert(cluster="elsewhere"))], None, ruleset(), now=NOW)[2]
    assert classify_incident([record(alert(cluster="default"))], None, ruleset(), now=NOW)[2] == ""


def test_an_odd_form_is_named_with_its_reason_where_that_is_known() -> None:
    odd = alert("A", trusted=False)
    noted = replace(odd, annotations={"receiver_note": "status 'x' is not known\n"})
    assert no_action([(Rule("r"), odd)], "default") == "an alert came in a form that is not trusted"
    assert no_action([(Rule("r"), noted)], "default") == "an alert came in a form that is not trusted: status 'x' is not known"
