"""Several incidents held back by one dependency that is down: whose page speaks for whom, and for how long.

The first one's page speaks for the others, which join it as they would join a storm's. Law: in doubt each pages for itself. A P1 joins
nothing, nor does what is more urgent than that page; nothing joins a page that is over, that nobody took, that a person has acknowledged,
one of more than an hour ago (joining wakes nobody), or without a recent word that the dependency is down. Pure; called by the plan, the
responder and the wording.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from receiver.core.case import Case, Dependent
from receiver.core.dependencies import is_up
from receiver.core.escalation import AGAIN_AFTER
from receiver.core.model import Dependency, Priority

DOUBT_AFTER = timedelta(minutes=5)
"""Without an answer for so long the last one that said `down` counts no more."""
UNTAKEN_AFTER = timedelta(minutes=5)
"""A page that nobody took in this time speaks for nobody else."""
STALE_AFTER = timedelta(minutes=2)
"""Older facts are looked up again before it is told whose page speaks for whom: twice the rhythm in which a held incident looks."""
RECOVERS_WITHIN = timedelta(minutes=2)
"""What rested on another's page gets so long to recover with its dependency before it pages by itself; the looks kept cover it."""


def shared_page(case: Case, now: datetime) -> tuple[str, bool]:
    """The dependency that a raise would name (empty: none is known to be down), and whether it joins the page of another."""
    names = _down(case, now)
    found = speaker(case, names, now)
    if found is not None and now - found.at < AGAIN_AFTER:
        return found.dependency, True
    return names[0] if names else "", False


def spoken_for(case: Case, now: datetime) -> bool:
    """The page that its last raise joined still stands for it. While a storm is on nobody looks, and the page is all there is to know."""
    last = case.raises[-1]
    known = case.storm.shut or last.dependency in _down(case, now)
    return known and speaker(case, (last.dependency,), now) is not None


def speaker(case: Case, names: Collection[str], now: datetime) -> Dependent | None:
    """Whose page speaks for this incident."""
    if case.incident.priority is Priority.p1:
        return None
    speaks = (each for each in case.dependents if each.dependency in names and not each.joined and each.incident_id != case.incident.id)
    return next((each for each in speaks if not case.incident.priority.above(each.priority) and _speaks(each, case, now)), None)


def _speaks(other: Dependent, case: Case, now: datetime) -> bool:
    """It is still about something, and people hear it: an ack covers those that had joined by then."""
    heard = other.acked_at is None or (bool(case.raises) and case.raises[-1].shared and case.raises[-1].at <= other.acked_at)
    return other.firing and heard and (other.accepted or now - other.at < UNTAKEN_AFTER)


def waiting_with(case: Case) -> tuple[Dependent, ...]:
    """The others that rest on this incident's page."""
    last = case.raises[-1] if case.raises else None
    if last is None or not last.dependency or last.by_storm:
        return ()
    return tuple(each for each in case.dependents if each.joined and each.dependency == last.dependency)


def asks_first(case: Case, now: datetime) -> bool:
    """It rests on something, and nobody has asked about it lately: a look goes before the page."""
    facts = case.newest_facts()
    return bool(_rests_on(case)) and (facts is None or now - facts.at > STALE_AFTER)


def recovers_until(case: Case) -> datetime | None:
    """So long it is given since its dependency came back; None: it is not back, or nobody saw it down before."""
    dependency = next((each for each in _rests_on(case) if each.name == case.raises[-1].dependency), None)
    words = _words(case, dependency) if dependency is not None else []
    back: datetime | None = None
    for at, up in reversed(words):
        if not up:
            return back + RECOVERS_WITHIN if back is not None else None
        back = at
    return None


def _down(case: Case, now: datetime) -> tuple[str, ...]:
    """Those that the newest answer says are down."""
    found = ((each.name, _words(case, each)) for each in _rests_on(case))
    return tuple(name for name, words in found if words and not words[-1][1] and now - words[-1][0] <= DOUBT_AFTER)


def _words(case: Case, dependency: Dependency) -> list[tuple[datetime, bool]]:
    """The answers that could be told, oldest first."""
    told = ((each.at, is_up(dependency, each)) for each in case.facts if not each.on)
    return [(at, up) for at, up in told if up is not None]


def _rests_on(case: Case) -> tuple[Dependency, ...]:
    service = case.services.get(case.incident.service)
    return service.depends_on if service is not None else ()
