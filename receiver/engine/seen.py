"""What is stored of the alerts that came lately, so that a plain repeat is known as one without reading it again.

Law: only a memory, never trusted alone. It says "nothing new" of an alert together with the incident that it counts on; the folder asks
the store whether that incident is open and as it was (`FolderStore.versions`), and folds in full where it is not. It keeps numbers
only, no text: some 300 bytes an alert, and nothing that a garbage collection has to walk. Held by the folder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from receiver.core.model import Alert, AlertRecord
from receiver.engine.folding import Identity, Judged

MOST = 40_000
"""Alerts remembered."""


def signature(alert: Alert, *, rule: str, over: bool) -> int:
    """Of a statement, or of what is stored of it. Equal ones: the statement changes nothing (`dedup.fold`). Python's hash of strings is
    keyed anew in each process, so nobody can aim at another one's."""
    text = frozenset(alert.annotations.items())
    return hash((alert.starts_at, over, alert.trusted_shape, alert.truncated, alert.page_only, alert.unproven, rule, text))


# Plain tuples of numbers: a collection passes them over, as it does not a NamedTuple.
_Known = tuple[int, int, int]
"""Incident, its version when the alert was as it is here, the alert's signature."""
_Span = tuple[int, int]
"""First and last version of an incident through which we saw every change."""
_NOTHING: _Known = (0, 0, 0)


class Seen:
    """Emptied when full, which costs one reading of each."""

    def __init__(self) -> None:
        self._alerts: dict[Identity, _Known] = {}
        self._spans: dict[int, _Span] = {}

    def repeats(self, alerts: Sequence[tuple[Alert, Judged]]) -> list[int | None]:
        """For each alert the incident in which it would change nothing; None: it has to be folded. One alert's statements stay together:
        after one that must be folded all later ones must."""
        found: list[int | None] = []
        to_fold: set[Identity] = set()
        for alert, judged in alerts:
            identity = (alert.source, alert.fingerprint)
            incident_id = None if identity in to_fold else self._holder(identity, alert, judged.rule.name)
            if incident_id is None:
                to_fold.add(identity)
            found.append(incident_id)
        return found

    def _holder(self, identity: Identity, alert: Alert, rule: str) -> int | None:
        incident_id, version, known = self._alerts.get(identity, _NOTHING)
        if not incident_id or version < self._spans[incident_id][0]:
            return None
        return incident_id if known == signature(alert, rule=rule, over=not alert.firing(alert.received_at)) else None

    def unmoved(self, versions: Mapping[int, int]) -> set[int]:
        """Of these open incidents and their versions, those that are as they are remembered."""
        return {each for each, version in versions.items() if (span := self._spans.get(each)) is not None and span[1] == version}

    def learn(self, incident_id: int, *, read: int, written: int, records: Mapping[Identity, AlertRecord]) -> None:
        """`records` as stored now, at version `written`; `read` is the version before: what is remembered of another one is forgotten."""
        if len(self._alerts) + len(records) > MOST:
            self._alerts.clear()
            self._spans.clear()
        span = self._spans.get(incident_id)
        self._spans[incident_id] = (span[0] if span is not None and span[1] == read else written, written)
        for identity, record in records.items():
            self._alerts[identity] = (incident_id, written, signature(record.alert, rule=record.rule, over=not record.firing))
