"""Grafana's webhook (https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/integrations/webhook-notifier/).

An Alertmanager is embedded in Grafana: the shape, its salvage and its limits are `salvage`'s. What is Grafana's own is here: version "1",
identities that only Grafana can compute, alerts about missing data, the test button, pictures. Law: `parse` is pure and total; what speaks
of data that Grafana does not have is paged and never acted on, and an end for such a reason is no recovery. Called by door and folder.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime

from receiver.core.dedup import fingerprint, plain
from receiver.core.model import Alert, Batch, Refusal
from receiver.ingest.alertmanager import ALERTS_LIMIT
from receiver.ingest.salvage import Shape, address, salvage
from receiver.ingest.statement import URL_LIMIT, Reading

NO_DATA = frozenset({"DatasourceNoData", "DatasourceError"})
"""Alertnames of Grafana's own alerts about a query that gave nothing, or failed
(https://grafana.com/docs/grafana/latest/alerting/fundamentals/alert-rule-evaluation/nodata-and-error-states/)."""
STATE_REASON = "grafana_state_reason"
"""Annotation that says why an alert is in its state, where its query does not: NoData, Error, MissingSeries, Paused, Updated, RuleDeleted
(grafana/alerting, models/annotations.go). Any word counts: we know none that would mean a recovery."""
FOLDER = "grafana_folder"
"""Label of every alert of a rule; the test button's has none."""
REASON_LIMIT = 64
VALUES_SHOWN = 20
METHODS = ("POST", "PUT")
"""A contact point may be told to use either."""
PATIENCE_SECONDS = 15.0
"""Grafana waits 30 s for an answer and never sends a delivery again by itself: after anything but a 2xx the alert is told at the next
group_interval, 5 minutes by default (grafana/alerting, receivers/webhook/v1). So a store that is away for a moment is waited for."""
EXPECTED = "Grafana's own payload was expected: `alerts`, each with `labels`, version 1. Remove the contact point's custom payload template"

_GIVEN = re.compile(r"[0-9a-f]{1,32}", re.ASCII)
_PICTURE = re.compile(rb'("embeddedImage"[ \t\r\n]{0,16}:[ \t\r\n]{0,16}")[A-Za-z0-9+/=]{4096,}"')
"""A picture as base64: never read, and perhaps megabytes. Inside a JSON string each quote is escaped, so this is a name and its value."""


class GrafanaSource:
    """Implements `receiver.ports.Source`."""

    def __init__(self, name: str, *, replica_labels: Collection[str] = (), alerts_limit: int = ALERTS_LIMIT) -> None:
        self.name = name
        self._ignored = frozenset(replica_labels)
        self._limit = alerts_limit

    def parse(self, body: bytes, received_at: datetime) -> Batch | Refusal:
        """Pure and total. `received_at` stands in for times that the sender leaves out."""
        lean = _PICTURE.sub(rb'\1"', body)
        read = salvage(lean, Reading(self.name, self._ignored, received_at), alerts_limit=self._limit, shape=_SHAPE)
        if isinstance(read, Refusal):
            return replace(read, reason=f"{read.reason}. {EXPECTED}") if read.path == "alerts" else read
        return replace(read, kept=lean) if len(lean) < len(body) else read


def _complete(alert: Alert, element: Mapping[str, object]) -> Alert | None:
    if _test(alert):
        return None
    return _about_data(_evidence(_identified(alert, element), element))


def _test(alert: Alert) -> bool:
    """The button "Test" of a contact point (grafana/alerting, notify/receivers.go)."""
    return alert.name == "TestAlert" and alert.labels.get("instance") == "Grafana" and FOLDER not in alert.labels


def _identified(alert: Alert, element: Mapping[str, object]) -> Alert:
    """Grafana's fingerprint covers the rule's uid, which it does not tell: two rules may have equal labels, and are two alerts."""
    given = element.get("fingerprint")
    if isinstance(given, str) and _GIVEN.fullmatch(given):
        return replace(alert, fingerprint=identity(alert.source, given))
    return alert


def identity(source: str, given: str) -> str:
    """Of an alert that Grafana calls by this fingerprint."""
    return fingerprint(source, {"fingerprint": given})


def _evidence(alert: Alert, element: Mapping[str, object]) -> Alert:
    """What helps a person: dashboard, panel, and the figures that it fired for. The rule's own annotations win."""
    found = {
        "dashboard_url": address(element.get("dashboardURL")),
        "dashboard_panel_url": address(element.get("panelURL")),
        "values": _figures(element.get("values")),
    }
    told = {name: text for name, text in found.items() if text and len(text) <= URL_LIMIT}
    return replace(alert, annotations={**told, **alert.annotations}) if told else alert


def _figures(values: object) -> str:
    """`B=44.2, C=1`: refId to number. Null where there are none; absent where one is no number that JSON knows."""
    if not isinstance(values, dict):
        return ""
    known = sorted((name, each) for name, each in values.items() if isinstance(each, int | float) and not isinstance(each, bool))
    return ", ".join(f"{plain(name, limit=40)}={each:g}" for name, each in known[:VALUES_SHOWN])


def _about_data(alert: Alert) -> Alert:
    reason = plain(alert.annotations.get(STATE_REASON, ""), limit=REASON_LIMIT)
    if alert.ends_at is not None and reason:
        return replace(alert, page_only=_why(reason), unproven=reason)
    if reason or alert.name in NO_DATA:
        return replace(alert, page_only=_why(reason or alert.name))
    return alert


def _why(reason: str) -> str:
    return f"Grafana tells of data that it does not have ({reason})"


_SHAPE = Shape(version="1", complete=_complete)
