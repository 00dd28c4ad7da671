"""One file a source: `parse(body, received_at)`, pure and total, behind one shared HTTP door.

`SOURCES` names them all; a new one is a file and a line here, and the kit in `tests/kits/source_kit.py` applies itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from receiver.ingest.alertmanager import AlertmanagerSource
from receiver.ingest.grafana import GrafanaSource
from receiver.ports import Source


class MakeSource(Protocol):
    """Makes one source of a kind, under its configured name."""

    def __call__(self, name: str, *, replica_labels: Collection[str] = ..., alerts_limit: int = ...) -> Source:
        """`replica_labels` are no part of an alert's identity; alerts beyond the limit are quarantined."""
        ...


SOURCES: Mapping[str, MakeSource] = {"alertmanager": AlertmanagerSource, "grafana": GrafanaSource}
