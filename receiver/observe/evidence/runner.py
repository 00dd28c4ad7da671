"""Asks all collectors of evidence at once, under one time limit, and names what is missing with its reason.

Law: never raises but for cancellation; one piece that fails, hangs or lies holds up no other; what leaves here is bounded and masked,
whoever wrote it. Called by the engine when a page is due; what is not in by then follows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from receiver.clients.errors import ClientError, plain
from receiver.core.facts import Evidence
from receiver.core.masking import safe_line
from receiver.observe.evidence.pieces import NotThere
from receiver.ports import Collector, Inquiry, Piece
from receiver.telemetry.metrics import Metrics

WITHIN = timedelta(seconds=60)
LINES = 50
"""Of one piece: as many lines of a log as the runbooks read."""
ORDER = (
    "changes", "node", "pods", "tasks", "alarm", "log", "figures", "events", "revisions", "targets", "endpoints", "metrics", "checks",
    "instances", "autoscaling", "quota", "top",
)  # fmt: skip
"""The most useful first: a page shows the beginning."""
TOLD = timedelta(seconds=5)
"""A shorter wait is not worth a word."""
PENDING = "still being collected"


class EvidenceRunner:
    """Holds no state between incidents."""

    def __init__(self, collectors: Sequence[Collector], *, within: timedelta = WITHIN, metrics: Metrics | None = None) -> None:
        self._collectors = tuple(collectors)
        self._within = within
        self._metrics = metrics

    async def collect(self, inquiry: Inquiry, found: dict[str, Evidence], waited: timedelta = timedelta()) -> None:
        """Fills `found` by title, at first with what is pending; complete when it returns, within the limit. `waited`: what is spent of
        that already."""
        asked = self._asked(inquiry, found)
        if waited >= self._within:
            late = f"not asked: the evidence of other pages took {_seconds(waited)}, and there are {_seconds(self._within)} for all"
            found.update({title: self._missed(title, name, late) for title, (name, _) in asked.items()})
            return
        found.update({title: Evidence(title, (), PENDING) for title in asked})
        ends = asyncio.get_running_loop().time() + (self._within - waited).total_seconds()
        late = f"no answer within {_seconds(self._within)}"
        if waited >= TOLD:
            late += f", {_seconds(waited)} of them spent waiting for the evidence of other pages"
        async with asyncio.TaskGroup() as group:
            for title, (name, piece) in asked.items():
                group.create_task(self._fill(found, title, name, piece, ends=ends, late=late), name=f"evidence-{title}")

    def _asked(self, inquiry: Inquiry, found: dict[str, Evidence]) -> dict[str, tuple[str, Piece]]:
        asked: dict[str, tuple[str, Piece]] = {}
        for each in self._collectors:
            try:
                asked |= {title: (each.name, piece) for title, piece in each.pieces(inquiry).items()}
            except Exception as fault:  # boundary: a fault of one collector is a missing piece, never the end of the others
                found[each.name] = Evidence(each.name, (), f"the collector failed: {type(fault).__name__}")
        return {title: asked[title] for title in sorted(asked, key=_rank)}

    async def _fill(self, found: dict[str, Evidence], title: str, collector: str, piece: Piece, *, ends: float, late: str) -> None:
        outcome = "missing"
        try:
            async with asyncio.timeout_at(ends):
                lines = await piece()
            found[title], outcome = Evidence(title, bounded(lines)), "ok"
        except TimeoutError:
            found[title] = Evidence(title, (), late)
            outcome = "timeout"
        except NotThere as why:
            found[title] = Evidence(title, (), safe_line(str(why)))
        except ClientError as error:
            found[title] = Evidence(title, (), safe_line(f"could not be read: {error.kind} ({error.text})"))
        except Exception as fault:  # boundary: a fault of one piece is a missing piece
            found[title] = Evidence(title, (), plain(f"the collector failed: {type(fault).__name__}"))
        self._count(collector, outcome)

    def _missed(self, title: str, collector: str, late: str) -> Evidence:
        self._count(collector, "timeout")
        return Evidence(title, (), late)

    def _count(self, collector: str, outcome: str) -> None:
        if self._metrics is not None:
            self._metrics.evidence.labels(collector, outcome).inc()


def bounded(lines: Sequence[str]) -> tuple[str, ...]:
    """Masked, printable, and few enough."""
    shown = tuple(safe_line(each) for each in lines[:LINES])
    more = (f"and {len(lines) - LINES} more",) if len(lines) > LINES else ()
    return (*shown, *more) or ("none",)


def _seconds(span: timedelta) -> str:
    return f"{round(span.total_seconds(), 2 if span < TOLD else 0):g} s"


def _rank(title: str) -> int:
    return ORDER.index(title) if title in ORDER else len(ORDER)
