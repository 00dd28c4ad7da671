"""CloudWatch's alarms, whichever way they come: SNS over HTTPS, a queue, or an API destination of EventBridge.

Law: `parse` is pure and total. Deliveries are called by the way (`sns`, `sqs`, `eventbridge`), their alerts all by `ALERT_SOURCE`: one
alarm has one identity over all ways. What is no alarm (another message of the topic, another event, a change of configuration) is accepted,
stored and says nothing; what is one, or may be one, and cannot be read is kept for a person. Called by the doors, the puller and the
folder.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from receiver.core.model import Alert, Batch, Refusal, Rejected
from receiver.ingest import cloudwatch_alarm, cloudwatch_event
from receiver.ingest.cloudwatch_forms import Form, Opened, open_body
from receiver.ingest.cloudwatch_words import ALERT_SOURCE, Statement, alert_of, identity
from receiver.ingest.jsonbody import show
from receiver.ingest.statement import Unreadable

__all__ = ["ALERT_SOURCE", "FORMS", "CloudWatchSource", "Opened", "identity", "open_body"]

FORMS: Mapping[str, frozenset[Form]] = {
    "sns": frozenset({Form.envelope}),
    "sqs": frozenset(Form),
    "eventbridge": frozenset({Form.event}),
}
"""Which forms each way brings."""


class CloudWatchSource:
    """Implements `receiver.ports.Source`."""

    def __init__(self, name: str, *, forms: Collection[Form] | None = None) -> None:
        """`name` of a way in `FORMS`, unless `forms` says what it brings."""
        self.name = name
        self._forms = frozenset(forms) if forms is not None else FORMS[name]

    def parse(self, body: bytes, received_at: datetime) -> Batch | Refusal:
        """At most one alert. `kept` of the batch is what may be stored of an envelope."""
        opened = open_body(body)
        if isinstance(opened, Refusal):
            return opened
        if opened.form not in self._forms:
            return Refusal("body", f"{opened.form} is not what {self.name} brings")
        if opened.inner is Form.event and opened.told is not None and (wrong := cloudwatch_event.misshapen(opened.told)) is not None:
            return wrong
        kept = opened.kept if opened.form is Form.envelope else None
        if opened.undecoded is not None:
            return Batch(alerts=(), rejected=(opened.undecoded,), usable=False, kept=kept)
        try:
            alerts = _alerts(opened, received_at)
        except Unreadable as bad:
            path = bad.path or "body"
            return Batch(alerts=(), rejected=(Rejected(path=path, reason=bad.reason, raw=show(opened.told)),), usable=False, kept=kept)
        return Batch(alerts=alerts, kept=kept)


def _alerts(opened: Opened, received_at: datetime) -> tuple[Alert, ...]:
    said = _statement(opened)
    return () if said is None else (alert_of(said, received_at),)


def _statement(opened: Opened) -> Statement | None:
    if opened.told is None:
        return None
    if opened.inner is Form.event:
        return cloudwatch_event.statement(opened.told)
    return cloudwatch_alarm.statement(opened.told, topic=opened.topic, sent_at=opened.sent_at)
