"""One batch of alerts folded in memory: from the open incidents that the store knows to the `Fold` that it is to commit.

Law: one pass, in the order of arrival, no input or output; the same batch folded again over its own result changes nothing. An alert
stays with the open incident that holds it, whatever its key has become; a priority only rises while the incident is open. Called by
the folder, which reads before and commits after.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain

from receiver.core.classify import classify, no_action
from receiver.core.dedup import Folded, News, fold, group_key, hint
from receiver.core.model import Alert, AlertRecord, Classification, Incident, Input, Phase, Reason, Rule, Service
from receiver.core.rules import RuleSet
from receiver.engine.entries import Said, Words
from receiver.ports import Entry, FoldedIncident, OpenIncident

Identity = tuple[str, str]
"""Source and fingerprint."""

REMEMBERED = 20_000
"""Judgements kept; an alert that repeats is not judged again."""

TREND_DETAIL = "alerts of this incident at least doubled in 5 min"
_SAID = {News.new: Said.more_alerts, News.refired: Said.fires_again, News.resolved: Said.resolved, News.unproven: Said.unproven}

OLDEST_YEAR = 2000
"""A startsAt before that is a zero time (`protocols.md` 1.2), not a moment."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What the rules say of an alert: the same for every alert of its fingerprint."""

    rule: Rule
    service: Service | None
    key: str
    classification: Classification


class Judge:
    """Judges by one rule set, and remembers."""

    def __init__(self, ruleset: RuleSet) -> None:
        self.ruleset = ruleset
        self._known: dict[Identity, Judged] = {}
        self._classifications: dict[Classification, Classification] = {}
        """Each once: what differs from alert to alert is the key, and rarely how it is classified."""

    def judge(self, alert: Alert) -> Judged:
        """Rule, service, provisional key, classification."""
        identity = (alert.source, alert.fingerprint)
        if (judged := self._known.get(identity)) is not None:
            return judged
        rule = self.ruleset.rule_for(alert.labels)
        named = hint(alert.labels)
        service = self.ruleset.service_for(alert.labels, named)
        key = group_key(alert, rule, service, self.ruleset.cluster, named=named)
        found = classify(alert, rule, service, self.ruleset)
        judged = Judged(rule, service, key, self._classifications.setdefault(found, found))
        if len(self._known) >= REMEMBERED:
            self._classifications.clear()
            self._known.clear()  # whole, not the oldest: an order costs more each time than judging again once in a while
        self._known[identity] = judged
        return judged


@dataclass(frozen=True, slots=True)
class Learnt:
    """An incident's records as they are stored."""

    incident_id: int
    read: int
    """Version that was read."""
    written: int
    """Version that is stored now: the store counts one on."""
    records: Mapping[Identity, AlertRecord]


@dataclass(slots=True)
class _Case:
    """One incident while the batch is folded into it."""

    incident: Incident
    """As it will be; id 0 until stored."""
    before: Incident | None
    """As it was read; None: new."""
    records: dict[Identity, AlertRecord]
    changed: dict[Identity, list[News]] = field(default_factory=dict)
    """What this batch brought, in order."""
    aliases: list[str] = field(default_factory=list)
    truncated: bool = False
    flaps: int = 0


class Folding:
    """The working set of one batch."""

    def __init__(self, judge: Judge, found: Mapping[str, OpenIncident], *, now: datetime, words: Words) -> None:
        """`found` as `FoldStore.open_incidents` answers it."""
        self._judge = judge
        self._now = now
        self._words = words
        self._by_id: dict[int, _Case] = {}
        self._by_key: dict[str, _Case] = {}
        self._holder: dict[Identity, _Case] = {}
        self._cases: list[_Case] = []
        self.counts: Counter[tuple[str, News]] = Counter()
        """By source and news."""
        for key, each in found.items():
            self._take_over(key, each)

    def _take_over(self, key: str, found: OpenIncident) -> None:
        case = self._by_id.get(found.incident.id)
        if case is None:
            case = _Case(found.incident, found.incident, {})
            self._by_id[found.incident.id] = case
        case.records.update(found.records)
        for identity in found.records:
            self._holder[identity] = case
        if not key.startswith("alert:"):
            self._by_key[key] = case

    def add(self, alert: Alert, judged: Judged) -> None:
        """Folds one statement."""
        identity = (alert.source, alert.fingerprint)
        case = self._holder.get(identity) or self._by_key.get(judged.key)
        folded = fold(case.records.get(identity) if case is not None else None, alert, rule=judged.rule.name)
        self.counts[alert.source, folded.news] += 1
        if not folded.changed or folded.record is None:
            return
        if case is None:
            case = self._open(alert, judged)
        self._note(case, identity, folded, truncated=alert.truncated)
        self._judge_anew(case, folded.record, judged)
        self._holder[identity] = case
        if judged.key not in self._by_key:
            self._by_key[judged.key] = case
            if judged.key != case.incident.group_key:
                case.aliases.append(judged.key)

    def new_keys(self) -> list[str]:
        """Of the incidents that this batch opens."""
        return [each.incident.group_key for each in self._cases if each.before is None]

    def opened(self) -> list[Incident]:
        """Incidents that this batch opens."""
        return [each.incident for each in self._cases if each.before is None]

    def follow(self, closed: Mapping[str, int]) -> None:
        """Names the incident that came before. `closed` as `FoldStore.newest_closed` answers for `new_keys`."""
        for case in self._cases:
            if case.before is None:
                case.incident = replace(case.incident, previous_id=closed.get(case.incident.group_key))

    def touched(self) -> dict[int, list[AlertRecord]]:
        """Known incidents that this batch changes → their new records."""
        return {case.incident.id: [case.records[each] for each in case.changed] for case in self._cases if case.before is not None}

    def grown(self, incident_id: int) -> bool:
        """An alert is new in it or fires again: a trend may begin."""
        brought = set(chain(*self._by_id[incident_id].changed.values()))
        return News.new in brought or News.refired in brought

    def accepted_at(self, incident_id: int) -> datetime:
        """Of an incident that `touched` names."""
        return self._by_id[incident_id].incident.accepted_at

    def rises(self, incident_id: int) -> None:
        """The trend of this incident rises: its urgency goes one up, once."""
        case = self._by_id[incident_id]
        case.incident = replace(case.incident, classification=_raised(case.incident.classification, self._judge.ruleset))

    def learnt(self, ids: Sequence[int]) -> Iterator[Learnt]:
        """What is known once `results` are committed under `ids`."""
        for id_, case in zip(ids, self._cases, strict=True):
            yield Learnt(id_, case.incident.version, case.incident.version + 1, case.records)
        for case in self._by_id.values():
            if not case.changed:
                yield Learnt(case.incident.id, case.incident.version, case.incident.version, case.records)

    def results(self) -> Iterator[FoldedIncident]:
        """What is to be committed, in the order in which the batch came to it."""
        return (self._finish(case) for case in self._cases)

    # --- one alert ---

    def _open(self, alert: Alert, judged: Judged) -> _Case:
        accepted = alert.received_at
        began = alert.starts_at if alert.starts_at.year >= OLDEST_YEAR else accepted
        incident = Incident(
            id=0,
            version=0,
            group_key=judged.key,
            symptom=judged.rule.symptom,
            source=alert.source,
            title=self._words.title(alert, judged.service),
            rule=judged.rule.name,
            ruleset_hash=self._judge.ruleset.hash,
            classification=judged.classification,
            accepted_at=accepted,
            service=judged.service.name if judged.service else "",
            phases={Phase.detected.value: min(began, accepted), Phase.triaged.value: self._now},
        )
        case = _Case(incident, None, {})
        self._cases.append(case)
        return case

    def _note(self, case: _Case, identity: Identity, folded: Folded, *, truncated: bool) -> None:
        assert folded.record is not None  # noqa: S101 - changed means that there is one
        if case.before is not None and not case.changed:
            self._cases.append(case)
        known = case.records.get(identity)
        case.truncated = case.truncated or (truncated and not (known is not None and known.alert.truncated))
        case.records[identity] = folded.record
        case.flaps = max(case.flaps, len(folded.record.flaps))
        case.changed.setdefault(identity, []).append(folded.news)

    def _judge_anew(self, case: _Case, record: AlertRecord, judged: Judged) -> None:
        """The incident follows its highest-priority alert, and whatever forbids actions stays with it."""
        incident, ruleset = case.incident, self._judge.ruleset
        if not incident.no_action and (why := no_action([(judged.rule, record.alert)], ruleset.cluster)):
            incident = replace(incident, no_action=why)
        if not incident.service and judged.service is not None:
            incident = replace(incident, service=judged.service.name)
        if record.firing and self._outranks(judged, incident):
            incident = replace(
                incident,
                rule=judged.rule.name,
                symptom=judged.rule.symptom,
                ruleset_hash=ruleset.hash,
                classification=judged.classification,
            )
        case.incident = incident

    def _outranks(self, judged: Judged, incident: Incident) -> bool:
        if judged.classification.priority is not incident.priority:
            return judged.classification.priority.above(incident.priority)
        return not judged.rule.is_default and self._judge.ruleset.rule(incident.rule).is_default

    # --- the batch is through ---

    def _finish(self, case: _Case) -> FoldedIncident:
        entries = self._opening(case) if case.before is None else self._sequel(case, case.before)
        if found := [alert for each in case.changed if (alert := case.records[each].alert).found]:
            entries.append(self._words.alerts(Said.found, found, at=self._now))
        if case.truncated:
            entries.append(self._words.truncated(at=self._now))
        if case.incident.no_action and (case.before is None or not case.before.no_action):
            entries.append(self._words.no_action(case.incident.no_action, at=self._now))
        quiet = case.before is not None and case.incident == case.before and set(chain(*case.changed.values())) == {News.repeated}
        return FoldedIncident(
            incident=case.incident,
            records=tuple(case.records[each] for each in case.changed),
            aliases=tuple(case.aliases),
            entries=tuple(entries),
            wake_at=None if quiet else self._now,
        )

    def _opening(self, case: _Case) -> list[Entry]:
        incident = case.incident
        first, *more = (case.records[each].alert for each in case.changed)
        entries = [
            self._words.first_alert(first, at=incident.accepted_at),
            self._words.classified(incident.classification, incident.rule, ruleset_hash=incident.ruleset_hash, at=self._now),
        ]
        if more:
            entries.append(self._words.alerts(Said.more_alerts, more, at=self._now))
        return entries + self._changes(case, (News.refired, News.resolved, News.unproven))

    def _sequel(self, case: _Case, before: Incident) -> list[Entry]:
        entries = self._changes(case, (News.new, News.refired, News.resolved, News.unproven))
        if case.incident.priority.above(before.priority):
            entries.append(self._words.priority_rose(before.priority, case.incident.classification, case.incident.rule, at=self._now))
        return entries

    def _changes(self, case: _Case, told: tuple[News, ...]) -> list[Entry]:
        entries: list[Entry] = []
        for news in told:
            alerts = [case.records[each].alert for each, brought in case.changed.items() if news in brought]
            if alerts:
                entries.append(self._words.alerts(_SAID[news], alerts, at=self._now, flaps=case.flaps))
        return entries


def _raised(judged: Classification, ruleset: RuleSet) -> Classification:
    if any(each.by is Input.trend for each in judged.trace):
        return judged
    urgency = judged.urgency.raised()
    trace = (*judged.trace, Reason("urgency", urgency, Input.trend, TREND_DETAIL))
    return Classification(judged.impact, urgency, ruleset.priority(judged.impact, urgency), trace)


def wanted(pairs: Iterable[tuple[Alert, Judged]]) -> tuple[set[str], set[Identity]]:
    """The keys and identities that a batch has to ask the store for."""
    keys: set[str] = set()
    identities: set[Identity] = set()
    for alert, judged in pairs:
        keys.add(judged.key)
        identities.add((alert.source, alert.fingerprint))
    return keys, identities
