"""How much is hurt, how soon, and so which priority: with a trace that says which input spoke.

Law: a catalogue or rule states, breadth and trend may only raise, and missing data never lowers. An incident follows the rule of its
highest-priority alert. Called by the folder (catalogue, rule, label) and, once a look has brought facts, by the responder.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from receiver.core.facts import Facts, Workload
from receiver.core.model import NOTE, Alert, AlertRecord, Breadth, BreadthKind, Classification, Input, Level, Reason, Rule, Service
from receiver.core.rules import RuleSet

REVENUE_TAG = "revenue"
"""Payments are P2 in one runbook and P1 in another: the tag settles it, impact high (`defaults.md`)."""

TREND_WINDOW = timedelta(minutes=5)
TREND_LEAST = 4
TREND_FACTOR = 2
"""`house.md` 6.11: at least 4 firing alerts in 5 min, and at least twice a non-zero count of the 5 min before."""

SHOWN = 64
"""Characters of a label's value that a trace repeats."""


def classify(
    alert: Alert,
    rule: Rule,
    service: Service | None,
    ruleset: RuleSet,
    *,
    breadth: float | None = None,
    breadth_detail: str = "",
    rising: bool = False,
) -> Classification:
    """`breadth` and `breadth_detail` as `breadth_of` answers them; an empty detail means that nobody has looked yet."""
    trace = [_impact(rule, service, ruleset.default)]
    if rule.breadth is not None and breadth_detail:
        trace.append(_with_breadth(trace[-1], rule.breadth, breadth, breadth_detail))
    impact = trace[-1].level
    trace.append(_urgency(alert, rule, ruleset.default))
    if rising:
        trace.append(Reason("urgency", trace[-1].level.raised(), Input.trend, "alerts of this incident at least doubled in 5 min"))
    urgency = trace[-1].level
    return Classification(impact, urgency, ruleset.priority(impact, urgency), tuple(trace))


def _impact(rule: Rule, service: Service | None, default: Rule) -> Reason:
    if rule.impact is not None and not rule.is_default:
        return Reason("impact", rule.impact, Input.rule, f"rule {rule.name}")
    if service is not None and REVENUE_TAG in service.tags:
        return Reason("impact", Level.high, Input.tag, f"service {service.name} is tagged {REVENUE_TAG}")
    if service is not None and service.impact is not None:
        return Reason("impact", service.impact, Input.catalogue, f"service {service.name}")
    why = "nobody else says" if service is not None else "no service of the catalogue is named"
    return Reason("impact", default.impact or Level.medium, Input.default, why)


def _with_breadth(stated: Reason, breadth: Breadth, share: float | None, detail: str) -> Reason:
    """Only ever raises; says so when it has no data, and when it changes nothing."""
    if share is None:
        kept = "catalogue's" if stated.by in (Input.catalogue, Input.tag) else f"{stated.by.value}'s"
        return Reason("impact", stated.level, Input.breadth, f"no data, {kept} impact kept ({detail})")
    seen = Level.high if share >= breadth.high else Level.medium if share >= breadth.medium else Level.low
    if seen.rank > stated.level.rank:
        return Reason("impact", seen, Input.breadth, detail)
    return Reason("impact", stated.level, Input.breadth, f"{detail}: raises nothing")


def _urgency(alert: Alert, rule: Rule, default: Rule) -> Reason:
    for said_by, by in ((rule, Input.rule), (default, Input.default)):
        if said_by.urgency is not None:
            return Reason("urgency", said_by.urgency, Input.default if said_by.is_default else by, f"rule {said_by.name}")
        level = said_by.urgency_map.get(alert.labels.get(said_by.urgency_label, "")) if said_by.urgency_label else None
        if level is not None:
            value = alert.labels[said_by.urgency_label][:SHOWN]
            return Reason("urgency", level, Input.label, f"label {said_by.urgency_label} is {value!r}")
    return Reason("urgency", Level.medium, Input.default, "no label and no rule says")


# --- what was seen -------------------------------------------------------------------------------------------------------


def breadth_of(facts: Facts | None, rule: Rule) -> tuple[float | None, str]:
    """The share that is hurt (0 to 1) and the sentence to it; None and why when there is no data. An empty sentence: nothing to say."""
    if rule.breadth is None or facts is None:
        return None, ""
    if rule.breadth.kind is BreadthKind.query:
        return _sampled(facts)
    if facts.workload is None:
        return None, facts.trouble_detail or (facts.trouble.value if facts.trouble else "the workload was not read")
    if rule.breadth.kind is BreadthKind.replicas:
        return _share(facts.workload.available, facts.workload.replicas, "replicas available")
    return _targets(facts.workload)


def _targets(workload: Workload) -> tuple[float | None, str]:
    """Targets are what takes traffic: the ready pods among all."""
    return _share(workload.pods.ready, workload.pods.total, "targets ready")


def _share(well: int, all_: int, what: str) -> tuple[float | None, str]:
    if all_ <= 0:
        return None, f"0 of 0 {what}"
    return min(max(1 - well / all_, 0.0), 1.0), f"{well} of {all_} {what}"


def _sampled(facts: Facts) -> tuple[float | None, str]:
    sample = facts.sample("breadth")
    if sample is None:
        return None, "the query was not asked"
    if sample.value is None:
        return None, sample.detail or f"the query's answer is {sample.state.value}"
    share = min(max(sample.value, 0.0), 1.0)  # above 1 somebody forgot to divide: as much as there is
    return share, f"{share:.0%} by the rule's query"


def rising(records: Iterable[AlertRecord], now: datetime) -> bool:
    """The trend: at least 4 distinct alerts fired within the last 5 min, and at least twice as many (of some) as in the 5 min before."""
    known = tuple(records)
    latest = _firing_within(known, now - TREND_WINDOW, now)
    before = _firing_within(known, now - 2 * TREND_WINDOW, now - TREND_WINDOW)
    return latest >= TREND_LEAST and before > 0 and latest >= TREND_FACTOR * before


def _firing_within(records: Sequence[AlertRecord], start: datetime, end: datetime) -> int:
    """Distinct fingerprints that were firing at some time in (start, end]."""
    return len(
        {each.alert.fingerprint for each in records if each.first_at <= end and (each.resolved_at is None or each.resolved_at > start)}
    )


# --- the incident --------------------------------------------------------------------------------------------------------


def classify_incident(
    records: Sequence[AlertRecord],
    service: Service | None,
    ruleset: RuleSet,
    *,
    now: datetime,
    facts: Facts | None = None,
) -> tuple[Classification, Rule, str]:
    """The classification and rule of the highest-priority alert, and why nothing may be done here (empty: the bounds decide).

    At least one record. Alerts that are over still count: an incident does not sink while it is open. Of equals the one whose rule is not
    the default, then one still firing, then the oldest decides.
    """
    trend = rising(records, now)
    judged: list[tuple[Classification, Rule, AlertRecord]] = []
    for record in records:
        rule = ruleset.rule_for(record.alert.labels)
        share, detail = breadth_of(facts, rule)
        found = classify(record.alert, rule, service, ruleset, breadth=share, breadth_detail=detail, rising=trend)
        judged.append((found, rule, record))
    first = min(judged, key=_urgent_first)
    return first[0], first[1], no_action(((rule, record.alert) for _, rule, record in judged), ruleset.cluster)


def _urgent_first(judged: tuple[Classification, Rule, AlertRecord]) -> tuple[int, bool, bool, datetime, str]:
    classification, rule, record = judged
    return classification.priority.rank, rule.is_default, not record.firing, record.first_at, record.alert.fingerprint


def odd_form(alert: Alert) -> str:
    """`: why`, where that was noted."""
    why = "".join(each for each in alert.annotations.get(NOTE, "")[:200] if each.isprintable())
    return f": {why}" if why else ""


def no_action(met: Iterable[tuple[Rule, Alert]], cluster: str) -> str:
    """Why these alerts forbid every action, in words; empty when they do not. The default rule forbids nothing."""
    for rule, alert in met:
        if rule.page_only and not rule.is_default:
            return f"rule {rule.name} is page-only"
        if rule.symptom.untouchable:
            return f"symptom {rule.symptom.value} (rule {rule.name}): acting would destroy evidence or data"
        if alert.page_only:
            return f"an alert is for people only: {alert.page_only}"
        if not alert.trusted_shape:
            return "an alert came in a form that is not trusted" + odd_form(alert)
        named = alert.labels.get("cluster", "")
        if named and named != cluster:
            return f"an alert is of cluster {named[:SHOWN]!r}, this is {cluster!r}"
    return ""
