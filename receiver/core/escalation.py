"""When the page is due, for this priority, now; and what a raise looks like.

Owns `house.md` 6.5 and promise 5 (one dedup key per raise). Doubt never delays a page: whatever the ladder is doing, the deadline counts
from acceptance. Called by the plan only.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from receiver.core.case import Because, Case, Raise
from receiver.core.model import OWN_SOURCE, Priority

AGAIN_AFTER = timedelta(hours=1)
"""A firing that began later than the last raise's, and so long after it, asks again."""
STORM_AGAIN_AFTER = timedelta(minutes=15)
"""The storm's own page is raised again so often while P1 or P2 join."""
P1_PAGES_A_MINUTE = 10
"""In a storm P1s page singly up to this many a minute (PagerDuty takes about 120 events a minute and key)."""
STORM_ENDS_SOON = timedelta(minutes=5)
"""So shortly before the gate may open nobody joins the storm's page any more: what is still open then pages by itself, and the same people
would be called twice. A P3's 15 minutes are just the window and the quiet of the gate."""
STORM_SUBJECT = "storm"

SEVERITY = {Priority.p1: "critical", Priority.p2: "error", Priority.p3: "warning", Priority.p4: "info"}
"""PagerDuty's severity of each priority."""


def deadline(case: Case) -> datetime:
    """When the first page is due if nothing happens, counted from acceptance; a rule may only be earlier."""
    after = case.policy.page_after[case.incident.priority]
    if case.rule.page_after is not None:
        after = min(after, case.rule.page_after)
    return case.incident.accepted_at + after


def urgent(case: Case) -> bool:
    """P1 and P2 do not wait for their deadline once nothing can be done here."""
    return case.incident.priority in (Priority.p1, Priority.p2)


def raise_again(case: Case, now: datetime) -> Because | None:
    """Why an incident that has a raise needs another one; None: the one that it has will do."""
    last = case.raises[-1]
    if case.incident.priority.above(last.priority):
        return Because.priority_rose
    if last.by_storm and not last.shared and not joins_storm(case):
        return Because.storm_opened
    gap = STORM_AGAIN_AFTER if is_storm(case) else AGAIN_AFTER
    if now - last.at >= gap and any(each.firing and each.alert.starts_at > last.newest_start for each in case.alerts):
        return Because.fires_again
    return None


def acked(case: Case, now: datetime) -> bool:
    """Somebody took it before anybody was called. What began, or was first heard, after that asks anew as a paged incident would; a P1
    or P2 at once."""
    at = case.incident.acked_at
    if at is None:
        return False
    anew = any(each.firing and max(each.alert.starts_at, each.first_at) > at for each in case.alerts)
    return not (anew and (urgent(case) or now - at >= AGAIN_AFTER))


def is_storm(case: Case) -> bool:
    """The incident that stands for the storm itself."""
    return case.incident.source == OWN_SOURCE and any(each.alert.labels.get("kind") == STORM_SUBJECT for each in case.alerts)


def joins_storm(case: Case) -> bool:
    """While the gate is shut all but the first P1s of a minute share one page."""
    if not case.storm.shut or case.incident.source == OWN_SOURCE:
        return False
    return case.incident.priority is not Priority.p1 or case.storm.p1_pages_last_minute >= P1_PAGES_A_MINUTE


def storm_ends_soon(case: Case, now: datetime) -> bool:
    """There is no reason for it any more, and the gate will open within minutes."""
    quiet_since = case.storm.quiet_since
    return quiet_since is not None and quiet_since + case.policy.bounds.storm_quiet - now <= STORM_ENDS_SOON


def next_raise(case: Case, because: Because, now: datetime, *, dependency: str = "", joins: bool = False) -> Raise:
    """The incident's next asking for attention, with a dedup key of its own. `joins`: the page of another about `dependency`."""
    n = len(case.raises) + 1
    storm = joins_storm(case) and (case.incident.priority is Priority.p1 or not storm_ends_soon(case, now))
    starts = [each.alert.starts_at for each in case.alerts if each.firing] or [case.incident.accepted_at]
    return Raise(
        n=n,
        at=now,
        priority=case.incident.priority,
        because=because,
        dedup_key=dedup_key(case.policy.installation, case.incident.id, n),
        newest_start=max(starts),
        by_storm=storm or joins,
        dependency="" if storm else dependency,
    )


def dedup_key(installation: str, incident_id: int, n: int) -> str:
    """`sha256(installation, incident, raise)` in hex: 64 characters (PagerDuty allows 255)."""
    return hashlib.sha256(f"{installation}/{incident_id}/{n}".encode()).hexdigest()
