"""The memory that tells a plain repeat."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from receiver.core.dedup import fingerprint, fold
from receiver.core.model import Alert, AlertRecord, Rule
from receiver.engine import seen
from receiver.engine.folding import Judge, Judged
from receiver.engine.seen import Seen, signature
from tests.fakes.clock import START
from tests.fakes.folding_ground import POD, SOURCE, rules

JUDGE = Judge(rules())


def said(pod: str = "web-1", *, minutes: int = 0) -> tuple[Alert, Judged]:
    labels = {**POD, "pod": pod}
    start = START + timedelta(minutes=minutes)
    alert = Alert(SOURCE, fingerprint(SOURCE, labels), labels, {}, start, None, start)
    return alert, JUDGE.judge(alert)


def records(*pairs: tuple[Alert, Judged]) -> dict[tuple[str, str], AlertRecord]:
    return {(alert.source, alert.fingerprint): AlertRecord(alert, judged.rule.name, alert.received_at) for alert, judged in pairs}


def test_a_repeat_counts_on_its_incident_and_its_version() -> None:
    memory = Seen()
    memory.learn(7, read=0, written=1, records=records(said()))
    assert memory.repeats([said(), said("web-2"), said()]) == [7, None, 7]
    assert memory.unmoved({7: 1}) == {7}
    assert memory.unmoved({7: 2}) == set()
    assert memory.unmoved({}) == set()


def test_after_a_statement_with_news_the_later_ones_of_that_alert_are_folded_too() -> None:
    memory = Seen()
    memory.learn(7, read=0, written=1, records=records(said(), said("web-2")))
    assert memory.repeats([said(minutes=5), said(), said("web-2")]) == [None, None, 7]


def test_another_rule_is_news() -> None:
    memory = Seen()
    memory.learn(7, read=0, written=1, records=records(said()))
    (alert, _), (_, judged) = said(), said()
    other = Judge(rules(Rule("other"))).judge(alert)
    assert memory.repeats([(alert, judged)]) == [7]
    assert memory.repeats([(alert, other)]) == [None]


def test_what_somebody_else_may_have_changed_is_forgotten() -> None:
    memory = Seen()
    memory.learn(7, read=0, written=1, records=records(said()))
    memory.learn(7, read=4, written=5, records=records(said("web-2")))
    assert memory.repeats([said(), said("web-2")]) == [None, 7]


def test_an_alert_that_moved_counts_on_its_new_incident() -> None:
    memory = Seen()
    memory.learn(7, read=0, written=1, records=records(said()))
    memory.learn(8, read=0, written=1, records=records(said()))
    memory.learn(7, read=4, written=5, records={})
    assert memory.repeats([said()]) == [8]


STATEMENTS = [
    Alert(SOURCE, "f", POD, annotations, START - late, START if over else None, START, trusted_shape=trusted, truncated=truncated)
    for annotations in ({}, {"summary": "one"}, {"summary": "two"})
    for late in (timedelta(0), timedelta(seconds=30), timedelta(hours=1))
    for over in (True, False)
    for trusted in (True, False)
    for truncated in (True, False)
]


@pytest.mark.parametrize("over", [START, None])
@pytest.mark.parametrize("known", STATEMENTS)
def test_what_has_the_signature_of_what_is_stored_changes_nothing(known: Alert, over: datetime | None) -> None:
    record = AlertRecord(known, "rule", START, resolved_at=over)
    of_record = signature(known, rule="rule", over=not record.firing)
    same = [each for each in STATEMENTS if signature(each, rule="rule", over=not each.firing(START)) == of_record]
    assert len(same) == 1
    assert not any(fold(record, replace(each, received_at=START + timedelta(hours=2)), rule="rule").changed for each in same)


def test_the_memory_is_bounded() -> None:
    memory = Seen()
    firsts = range(0, seen.MOST + 200, 100)
    for n in firsts:
        memory.learn(n + 1, read=0, written=1, records=records(*(said(f"web-{n}-{m}") for m in range(100))))
    known = memory.repeats([said(f"web-{n}-0") for n in firsts])
    assert sum(each is not None for each in known) <= seen.MOST // 100
    assert known[-1] == firsts[-1] + 1
