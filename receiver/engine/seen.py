"""What is stored of the alerts that came lately, so that a plain repeat is known as one without reading it again.

Law: only a memory, never trusted alone. It says "nothing new" of an alert together with the incident that it counts on; the folder asks
the store whether that incident is open and as it was (`FolderStore.versions`), and folds in full where it is not. Held by the folder.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from receiver.core.dedup import fold
from receiver.core.model import Alert, AlertRecord
from receiver.engine.folding import Identity, Judged

MOST = 10_000
"""Alerts remembered, about 2 kB each."""


@dataclass(slots=True)
class _Known:
    version: int
    """Of the incident, when the records were as they are here."""
    records: dict[Identity, AlertRecord]


class Seen:
    """Records by incident; emptied when full, which costs one reading of each."""

    def __init__(self) -> None:
        self._incidents: dict[int, _Known] = {}
        self._holder: dict[Identity, int] = {}

    def repeats(self, alerts: Sequence[tuple[Alert, Judged]]) -> list[int | None]:
        """For each alert the incident in which it would change nothing; None: it has to be folded. One alert's statements stay together:
        after one that must be folded all later ones must."""
        found: list[int | None] = []
        to_fold: set[Identity] = set()
        for alert, judged in alerts:
            identity = (alert.source, alert.fingerprint)
            incident_id = None if identity in to_fold else self._holder.get(identity)
            if incident_id is not None and fold(self._incidents[incident_id].records[identity], alert, rule=judged.rule.name).changed:
                incident_id = None
            if incident_id is None:
                to_fold.add(identity)
            found.append(incident_id)
        return found

    def unmoved(self, versions: Mapping[int, int]) -> set[int]:
        """Of these open incidents and their versions, those that are as they are remembered."""
        return {each for each, version in versions.items() if (known := self._incidents.get(each)) is not None and known.version == version}

    def learn(self, incident_id: int, *, read: int, written: int, records: Mapping[Identity, AlertRecord]) -> None:
        """`records` as stored now, at version `written`; `read` is the version before: what is remembered of another one is forgotten."""
        known = self._incidents.get(incident_id)
        if known is not None and known.version != read:
            self._forget(known.records)
            known.records.clear()
        if len(self._holder) + len(records) > MOST:
            self._incidents.clear()
            self._holder.clear()
            known = None
        if known is None:
            known = self._incidents[incident_id] = _Known(written, {})
        known.version = written
        for identity, record in records.items():
            if (before := self._holder.get(identity)) not in (None, incident_id):
                del self._incidents[before].records[identity]  # it moved: merged, or closed and opened anew
            known.records[identity] = record
            self._holder[identity] = incident_id

    def _forget(self, identities: Iterable[Identity]) -> None:
        for each in identities:
            self._holder.pop(each, None)
