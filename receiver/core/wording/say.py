"""The small change of wording: both languages side by side, moments, gaps, names, lengths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from receiver.core.case import Attempt, Case, Permit, Verb
from receiver.core.dedup import hint, plain
from receiver.core.model import OWN_SOURCE, TargetRef

LINE = 300
"""Characters of one line of a page; alert text is never shown longer (`protocols.md` 8.5)."""
NAME = 100


@dataclass(frozen=True, slots=True)
class Tongue:
    """One language. `say("en", "fr")` picks."""

    locale: str

    def __call__(self, english: str, french: str) -> str:
        return french if self.locale == "fr" else english

    @property
    def colon(self) -> str:
        """French sets a space before it."""
        return self(": ", " : ")


def tongue(case: Case) -> Tongue:
    """Of the installation."""
    return Tongue(case.policy.locale)


def clean(text: str, *, limit: int = LINE) -> str:
    """One safe line."""
    return plain(text, limit=limit)


def stamp(at: datetime) -> str:
    """`2026-11-20 12:05:30 UTC`, whole: a page is read in the night and again a week later. Senders may name any year."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if 1 < at.year < 9999 else "?"


def rfc3339(at: datetime) -> str:
    """As PagerDuty and dashboards read it: `2026-11-20T12:00:00Z`."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def gap(between: timedelta, say: Tongue) -> str:
    """`45 s`, `3 min`, `5 h`, `2 d`: two digits tell enough."""
    seconds = max(0, int(between.total_seconds()))
    for size, unit in ((86400, say("d", "j")), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def some(names: Sequence[str], say: Tongue, *, most: int) -> str:
    """`a, b and 3 more`."""
    shown = ", ".join(names[:most])
    left = len(names) - most
    return say(f"{shown} and {left} more", f"{shown} et {left} de plus") if left > 0 else shown


def began(case: Case) -> datetime:
    """When the oldest alert that still fires began; acceptance where a sender names no sensible time."""
    starts = [each.alert.starts_at for each in case.alerts if each.firing]
    sane = [each for each in starts if each.year > 2000 and each <= case.incident.accepted_at]
    return min(sane, default=case.incident.accepted_at)


def target_ref(case: Case) -> TargetRef | None:
    """The bound object, else the one that the newest look found, else the catalogue's only one."""
    if case.incident.target is not None:
        return case.incident.target.ref
    facts = case.newest_facts()
    if facts is not None and facts.target is not None:
        return facts.target.ref
    service = case.services.get(case.incident.service)
    return service.targets[0] if service is not None and len(service.targets) == 1 else None


def namespace(case: Case) -> str:
    """Of the target; while none is known, the one that the alerts name."""
    ref = target_ref(case)
    if ref is not None:
        return clean(ref.namespace, limit=NAME)
    named = (hint(each.alert.labels).namespace for each in case.alerts)
    return next((each for each in named if each), "")


def component(case: Case) -> str:
    """The service of the catalogue, else the workload; `receiver` for our own troubles."""
    if case.incident.source == OWN_SOURCE:
        return OWN_SOURCE
    if case.incident.service:
        return clean(case.incident.service, limit=NAME)
    ref = target_ref(case)
    if ref is not None:
        return clean(ref.name, limit=NAME)
    named = (hint(each.alert.labels) for each in case.alerts)
    return next((each.name or each.pod or each.service for each in named if not each.empty), "")


def shown(ref: TargetRef) -> str:
    """`Deployment shop/web`."""
    return clean(f"{ref.kind} {ref.namespace}/{ref.name}")


def doing(run: Permit | Attempt, say: Tongue) -> str:
    """What an action does to what: `kubernetes.scale of Deployment shop/web to 5 replicas`."""
    where = shown(run.target.ref)
    head = say(f"{run.action} of {where}", f"{run.action} de {where}")
    if run.verb is Verb.scale and run.parameters.replicas is not None:
        return say(f"{head} to {run.parameters.replicas} replicas", f"{head} à {run.parameters.replicas} replicas")
    if run.verb is Verb.undo and run.parameters.revision:
        return say(f"{head} to revision {run.parameters.revision}", f"{head} vers la révision {run.parameters.revision}")
    return head
