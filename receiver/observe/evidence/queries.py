"""The figures that a rule names: each a query of PromQL with its placeholders filled, and what it says now.

Law: placeholders come from the resolved target, the configuration and the catalogue, never from an alert. By PromQL, never by running
something anywhere. One line a query; several series are shown with the labels in which they differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from receiver.clients.errors import ClientError
from receiver.clients.prometheus import Prometheus, Series
from receiver.core.model import NamedQuery
from receiver.observe.prometheus import Unfilled, fill
from receiver.observe.reader import together
from receiver.ports import Inquiry, Permission, Piece

SERIES = 8
"""Of one query."""


class QueriesEvidence:
    """One piece: `figures`."""

    name = "prometheus.figures"
    permissions: tuple[Permission, ...] = ()

    def __init__(self, client: Prometheus, *, cluster: str) -> None:
        self._client = client
        self._cluster = cluster

    def pieces(self, inquiry: Inquiry) -> Mapping[str, Piece]:
        """As Collector."""
        return {"figures": lambda: self._lines(inquiry)} if inquiry.rule.evidence else {}

    async def _lines(self, inquiry: Inquiry) -> Sequence[str]:
        known = self._known(inquiry)
        found = await together(*(self._answer(each, known) for each in inquiry.rule.evidence))
        if all(isinstance(each, ClientError) for each in found):
            raise next(each for each in found if isinstance(each, ClientError))
        lines = [line for query, each in zip(inquiry.rule.evidence, found, strict=True) for line in _told(query.name, each)]
        empty = [
            query.name for query, each in zip(inquiry.rule.evidence, found, strict=True) if isinstance(each, Series) and not each.values
        ]
        return [*lines, f"no series: {', '.join(empty)}"] if empty else lines

    async def _answer(self, query: NamedQuery, known: Mapping[str, str]) -> Series | ClientError | Unfilled:
        try:
            return await self._client.query(fill(query.query, known))
        except (ClientError, Unfilled) as error:
            return error

    def _known(self, inquiry: Inquiry) -> dict[str, str]:
        known = {"service": inquiry.service, "cluster": self._cluster}
        if inquiry.target is not None:
            ref = inquiry.target.ref
            known |= {"namespace": ref.namespace, "workload": ref.name, "cluster": ref.cluster}
        return {name: value for name, value in known.items() if value}


def _told(name: str, found: Series | ClientError | Unfilled) -> list[str]:
    if isinstance(found, ClientError):
        return [f"{name}: could not be asked: {found.kind} ({found.text})"]
    if isinstance(found, Unfilled):
        return [f"{name}: not asked: {found}"]
    if not found.values:
        return []
    if len(found.values) == 1:
        return [f"{name}: {_figure(found.values[0])}"]
    told = [f"{_differing(each, found.labels)}: {_figure(value)}" for each, value in zip(found.labels, found.values, strict=False)]
    more = len(told) - SERIES
    return [f"{name}:", *(f"  {each}" for each in told[:SERIES]), *([f"  and {more} more series"] if more > 0 else [])]


def _differing(labels: Mapping[str, str], all_: Sequence[Mapping[str, str]]) -> str:
    same = {name for name, value in labels.items() if all(each.get(name) == value for each in all_)}
    return ", ".join(f"{name}={value}" for name, value in sorted(labels.items()) if name not in same) or "(alike)"


def _figure(value: str) -> str:
    try:
        return f"{float(value):.6g}"
    except ValueError:
        return value
