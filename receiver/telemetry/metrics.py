"""Every metric of the service, defined once.

Law: label values come from closed sets only (sources, priorities, actions, steps, becauses, verdicts, destinations, rules of the
configuration), never from alert text; combinations known beforehand start at 0, so that `rate()` and `absent()` work. One registry an
application. Made in `app.py`; every room counts on the attributes; `routes.py` serves it.
"""

from __future__ import annotations

import platform
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector, disable_created_metrics
from prometheus_client.exposition import choose_encoder

from receiver.core.case import AttemptState, Because, Step, Verdict
from receiver.core.model import Priority
from receiver.ports import DeliveryKind, OutcomeKind

ACK_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0)
"""Alertmanager's HA peers send again after 15 s; the goal is a p99 of 0.25 s."""
PAGE_SECONDS = (0.01, 0.05, 0.25, 1.0, 5.0, 15.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0)
"""60 s and 120 s are the goals (p99, longest); 300, 900, 3600 the page deadlines of P2, P3, P4."""
LOOK_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
LAG_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)

CODES = ("200", "400", "401", "403", "408", "413", "415", "422", "503")
"""What a door may answer."""
STATUSES = ("firing", "resolved", "rejected")
STEPS = tuple(each.__name__.lower() for each in get_args(Step))
FOUND = ("firing", "resolved")
ROUNDS = ("ok", "partial", "failed")
RECEIVES = ("messages", "empty", "failed")
MESSAGES = ("deleted", "delete_failed", "poison", "put_back")
LOOK_OUTCOMES = ("ok", "trouble", "timeout")
ATTEMPT_OUTCOMES = tuple(each.value for each in AttemptState if each is not AttemptState.intent)
MALFORMED = ("http", "path", "header_timeout", "body_timeout", "stalled", "connections", "peer_connections")
"""Why a connection or request never reached a route."""

# The formats that scrapers ask for (https://prometheus.io/docs/instrumenting/content_negotiation/). The library raises for a version
# that is no number, and echoes one that it does not know.
_FORMAT = re.compile(
    r"(?:application/openmetrics-text;\s*version=(?:0\.0\.1|1\.0\.0)|text/plain;\s*version=(?:0\.0\.4|1\.0\.0))"
    r"(?:;\s*(?:q=[0-9.]{1,8}|charset=utf-8|escaping=(?:allow-utf-8|underscores|dots|values)))*",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Known:
    """The closed sets of one installation, from its configuration."""

    sources: Collection[str] = ()
    destinations: Collection[str] = ()
    actions: Collection[str] = ()
    lists: Collection[str] = ()
    """Senders that are asked what is firing."""
    queues: Collection[str] = ()
    observers: Collection[str] = ()
    tasks: Collection[str] = ()
    heartbeats: Collection[str] = ()
    """Names of the rules with `heartbeat: true`."""


class Metrics:
    """All of them. `known` is what starts at 0."""

    def __init__(self, *, version: str, known: Known | None = None) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library's; process-wide in the library: `_created` would double the number of series and nobody reads it
        self.registry = CollectorRegistry(auto_describe=False)
        known = known or Known()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._define_ingest()
        self._define_incidents()
        self._define_remediation()
        self._define_telling()
        self._define_ourselves()
        self._shown: defaultdict[str, set[str]] = defaultdict(set)
        self.build_info.labels(version, platform.python_version()).set(1)
        self._start_at_zero(known)

    def _counter(self, name: str, what: str, *labels: str) -> Counter:
        return Counter(f"receiver_{name}", what, labels, registry=self.registry)

    def _gauge(self, name: str, what: str, *labels: str) -> Gauge:
        return Gauge(f"receiver_{name}", what, labels, registry=self.registry)

    def _histogram(self, name: str, what: str, buckets: Iterable[float], *labels: str) -> Histogram:
        return Histogram(f"receiver_{name}", what, labels, buckets=tuple(buckets), registry=self.registry)

    def _define_ingest(self) -> None:
        self.webhook_requests = self._counter("webhook_requests", "Deliveries answered.", "source", "code")
        self.webhook_request_duration = self._histogram(
            "webhook_request_duration_seconds", "From the headers of a delivery to its answer.", ACK_SECONDS, "source"
        )
        self.ack_seconds = self._histogram("ack_seconds", "From a delivery that was read to its durable acceptance.", ACK_SECONDS)
        self.alerts_received = self._counter("alerts_received", "Alerts in accepted deliveries.", "source", "status")
        self.alerts_deduplicated = self._counter(
            "alerts_deduplicated", "Alerts that changed nothing: repeats, replays, replicas.", "source"
        )
        self.alerts_truncated = self._counter("alerts_truncated", "Alerts that the sender says it left out.", "source")
        self.quarantined = self._counter("quarantined", "Alerts and deliveries kept for a person because they could not be read.", "source")
        self.malformed_requests = self._counter("malformed_requests", "Connections and requests that never reached a route.", "reason")
        self.http_connections = self._gauge("http_connections", "Open connections.")
        self.http_faults = self._counter("http_faults", "Requests that ended in an exception of ours (answered 503).")
        self.inbox_backlog = self._gauge("inbox_backlog", "Deliveries accepted and not folded yet.")
        self.reconciled = self._counter("reconciled", "Statements found by asking a sender, that no delivery told.", "source", "status")
        self.reconcile_rounds = self._counter("reconcile_rounds", "Rounds of asking a sender what is firing.", "source", "outcome")
        self.reconcile_not_seen = self._gauge(
            "reconcile_not_seen", "Alerts that we hold firing and that their sender did not list when asked.", "source"
        )
        self.queue_receives = self._counter("queue_receives", "Receives from a queue.", "source", "outcome")
        self.queue_messages = self._counter("queue_messages", "Messages taken from a queue, and what became of them.", "source", "outcome")

    def _define_incidents(self) -> None:
        self.incidents_open = self._gauge("incidents_open", "Open incidents.", "priority")
        self.incidents_opened = self._counter("incidents_opened", "Incidents opened.", "priority")
        self.incidents_closed = self._counter("incidents_closed", "Incidents closed.", "because")
        self.decisions = self._counter("decisions", "Steps carried out.", "step", "because")
        self.folds = self._counter("folds", "Batches folded into incidents.", "outcome")
        self.storm_shut = self._gauge("storm_shut", "1 while the storm gate refuses actions.")
        self.own_troubles = self._counter("own_troubles", "Troubles of our own that were reported.", "kind")
        self.heartbeat_last_seen = self._gauge(
            "heartbeat_last_seen_timestamp_seconds", "When a heartbeat was last accepted; 0 before the first.", "rule"
        )

    def _define_remediation(self) -> None:
        self.refusals = self._counter("refusals", "Actions refused by a bound.", "action", "because")
        self.attempts = self._counter("attempts", "Attempts that left the state intent.", "action", "outcome")
        self.attempts_open = self._gauge("attempts_open", "Attempts that block their target.")
        self.action_runs = self._counter("action_runs", "Mutating runs and what became of them.", "action", "outcome")
        self.verdicts = self._counter("verdicts", "Verifications of applied attempts.", "action", "verdict")
        self.rights = self._gauge("rights", "Findings of the self-check of our rights.", "identity", "state")
        self.looks = self._counter("looks", "Looks at targets.", "observer", "outcome")
        self.look_duration = self._histogram("look_duration_seconds", "Time of one look.", LOOK_SECONDS, "observer")

        self.evidence = self._counter("evidence_pieces", "Pieces of evidence collected for pages.", "collector", "outcome")

    def _define_telling(self) -> None:
        self.pages = self._counter("pages", "Tries to deliver a message.", "destination", "outcome")
        self.time_to_page = self._histogram("time_to_page_seconds", "From acceptance to the page that a destination took.", PAGE_SECONDS)
        self.page_lateness = self._histogram(
            "page_lateness_seconds", "From when a page was due to when a destination took it.", PAGE_SECONDS
        )
        self.outbox_pending = self._gauge("outbox_pending", "Messages to deliver.", "destination")
        self.outbox_oldest_age = self._gauge("outbox_oldest_age_seconds", "Age of the oldest message to deliver.", "destination")

    def _define_ourselves(self) -> None:
        self.workers_restarted = self._counter("workers_restarted", "Workers that crashed and were started again.", "task")
        self.loop_lag = self._histogram("loop_lag_seconds", "How late the event loop woke a sleeper.", LAG_SECONDS)
        self.gauges_failed = self._counter("gauges_failed", "Scrapes whose figures from the store were missing or old.")
        self.build_info = self._gauge("build_info", "Always 1.", "version", "python")

    def _start_at_zero(self, known: Known) -> None:
        _touch(self.webhook_requests, known.sources, CODES)
        _touch(self.webhook_request_duration, known.sources)
        _touch(self.alerts_received, known.sources, STATUSES)
        for by_source in (self.alerts_deduplicated, self.alerts_truncated, self.quarantined):
            _touch(by_source, known.sources)
        _touch(self.malformed_requests, MALFORMED)
        _touch(self.reconciled, known.lists, FOUND)
        _touch(self.reconcile_rounds, known.lists, ROUNDS)
        _touch(self.queue_receives, known.queues, RECEIVES)
        _touch(self.queue_messages, known.queues, MESSAGES)
        _touch(self.incidents_open, [each.value for each in Priority])
        _touch(self.incidents_opened, [each.value for each in Priority])
        _touch(self.decisions, ["page"], [Because.priority_one.value, Because.deadline.value, Because.all_refused.value])
        _touch(self.attempts, known.actions, ATTEMPT_OUTCOMES)
        _touch(self.action_runs, known.actions, [each.value for each in OutcomeKind])
        _touch(self.verdicts, known.actions, [each.value for each in Verdict])
        _touch(self.looks, known.observers, LOOK_OUTCOMES)
        _touch(self.look_duration, known.observers)
        _touch(self.pages, known.destinations, [each.value for each in DeliveryKind])
        _touch(self.outbox_pending, known.destinations)
        _touch(self.outbox_oldest_age, known.destinations)
        _touch(self.workers_restarted, known.tasks)
        _touch(self.heartbeat_last_seen, known.heartbeats)

    def take(self, gauges: Mapping[str, Mapping[str, float]]) -> None:
        """Shows the figures of `WatchStore.gauges()`. Names that are not among ours are ignored."""
        for name, gauge in (("inbox_backlog", self.inbox_backlog), ("attempts_open", self.attempts_open)):
            for value in gauges.get(name, {}).values():
                gauge.set(value)
        by_label = {
            "incidents_open": self.incidents_open,
            "outbox_pending": self.outbox_pending,
            "outbox_oldest_age_seconds": self.outbox_oldest_age,
        }
        for name, labelled in by_label.items():
            told = gauges.get(name, {})
            for label in {*self._shown[name], *told}:  # what was shown and is not told any more is gone: a drained queue has no rows
                labelled.labels(label).set(told.get(label, 0))
            self._shown[name] |= set(told)

    def expose(self, accept: str) -> tuple[bytes, str]:
        """The exposition and its content type, in the format that the scraper asked for; total for any header."""
        offered = (each.strip() for each in accept[:1024].split(","))
        encode, content_type = choose_encoder(",".join(each for each in offered if _FORMAT.fullmatch(each)))
        return encode(self.registry), content_type


def _touch(metric: Counter | Gauge | Histogram, *values: Collection[str]) -> None:
    combinations: list[tuple[str, ...]] = [()]
    for each in values:
        combinations = [(*combination, value) for combination in combinations for value in each]
    for combination in combinations:
        metric.labels(*combination)
