"""What is to be told of an incident on the console: its state in a word, what happens next, and the marks of its picture.

Law: a list costs one read of the list; what it says of each open incident is kept until the incident changes, or a minute at most, so
that many viewers cost no more than one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from receiver.core.case import Attempt, AttemptState, Verdict
from receiver.core.model import Incident, Phase
from receiver.ports import Clock, IncidentView
from receiver.web.pictures import Mark, Story
from receiver.web.words import Words

KEPT = 500
FRESH = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Brief:
    """One incident in a line."""

    state: str
    """A key of `words`, as `s_acting`."""
    says: str
    """The last thing that the receiver said."""
    next_due: datetime | None
    marks: tuple[Mark, ...]


def brief_of(view: IncidentView, words: Words) -> Brief:
    """From all that is known."""
    incident = view.rows.incident
    own = [each for each in view.rows.attempts if each.incident_id == incident.id]
    said = next((each.entry.text for each in reversed(view.timeline) if each.entry.actor == "receiver"), "")
    due = view.next_due if incident.open else None
    return Brief(_state(incident, own, called=bool(view.rows.raises)), said, due, tuple(_marks(view, own, words)))


def bare(incident: Incident, words: Words) -> Brief:
    """Of a closed one: the list says enough."""
    marks = (Mark(incident.acked_at, "ack", words("m_ack", incident.acked_by)),) if incident.acked_at else ()
    return Brief(_state(incident, (), called=False), "", None, marks)


def story(incident: Incident, brief: Brief) -> Story:
    """For its strip."""
    return Story(
        id=incident.id,
        phases=incident.phases,
        accepted_at=incident.accepted_at,
        closed_at=None if incident.open else incident.closed_at or incident.accepted_at,
        marks=brief.marks,
        next_due=brief.next_due,
    )


def _state(incident: Incident, own: Sequence[Attempt], *, called: bool) -> str:
    if not incident.open:
        return "s_merged" if incident.merged_into else "s_closed"
    running = next((each for each in own if each.open), None)
    if running is not None:
        return "s_verifying" if running.state is AttemptState.applied else "s_acting"
    if incident.acked_at is not None:
        return "s_acked"
    if Phase.mitigated.value in incident.phases:
        return "s_mitigated"
    return "s_called" if called else "s_watching"


def _marks(view: IncidentView, own: Sequence[Attempt], words: Words) -> list[Mark]:
    incident = view.rows.incident
    marks = [Mark(each.at, "page", words("m_page")) for each in view.rows.raises]
    marks += [_attempted(each, words) for each in own]
    if incident.acked_at is not None:
        marks.append(Mark(incident.acked_at, "ack", words("m_ack", incident.acked_by)))
    return marks


def _attempted(run: Attempt, words: Words) -> Mark:
    if run.state is AttemptState.shadow:
        kind = "shadow"
    elif run.verdict is Verdict.cured:
        kind = "good"
    elif run.state in (AttemptState.rejected, AttemptState.abandoned) or run.verdict in (Verdict.failed, Verdict.deadline):
        kind = "bad"
    else:
        kind = "act"
    return Mark(run.started_at, kind, words(f"m_{kind}", run.action))


class OneView(Protocol):
    """The part of `ViewStore` that is needed here."""

    async def view(self, incident_id: int) -> IncidentView | None:
        """None: no such incident."""
        ...


class Briefs:
    """Kept from one request to the next."""

    def __init__(self, views: OneView, clock: Clock, words: Words) -> None:
        self._views = views
        self._clock = clock
        self._words = words
        self._kept: OrderedDict[int, tuple[int, float, Brief]] = OrderedDict()

    async def of(self, incident: Incident) -> Brief:
        """Reads at most once a version and minute."""
        if not incident.open:
            return bare(incident, self._words)
        now = self._clock.monotonic()
        version, read_at, brief = self._kept.get(incident.id, (0, 0.0, None))
        if brief is None or version != incident.version or now - read_at >= FRESH.total_seconds():
            view = await self._views.view(incident.id)
            brief = brief_of(view, self._words) if view else bare(incident, self._words)
            self._kept[incident.id] = (incident.version, now, brief)
        self._kept.move_to_end(incident.id)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return brief
