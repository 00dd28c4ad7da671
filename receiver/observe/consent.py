"""What the owner of a workload allows, from annotations of the object and of its namespace: read from the API, never from an alert.

`alert-receiver.internal/enabled: "true"` opts in, any other value opts out; `/allow: "restart,scale"` names the verbs; `/undo: never`;
`/disabled-until: 2026-01-01T08:00:00Z`; `/max-replicas: "10"`. The stricter of the two objects holds; what cannot be read refuses. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from receiver.clients.kubernetes_objects import PREFIX, Object, annotations_of, parse_time
from receiver.core.case import Verb
from receiver.core.facts import Danger, Hazard
from receiver.observe.live import Live
from receiver.observe.scope import OptIn, Scope

__all__ = ["PREFIX", "consent", "max_replicas"]

ENABLED = f"{PREFIX}enabled"
ALLOW = f"{PREFIX}allow"
UNDO = f"{PREFIX}undo"
DISABLED_UNTIL = f"{PREFIX}disabled-until"
MAX_REPLICAS = f"{PREFIX}max-replicas"

NAMES = {"scale": Verb.scale, "restart": Verb.restart, "undo": Verb.undo, "evict": Verb.evict, **{each.value: each for each in Verb}}
"""How `/allow` may name a verb."""


def consent(live: Live, scope: Scope) -> Iterator[Danger]:
    """Every no of the owner, and the lack of a yes."""
    if scope.system(live.ref.namespace):
        yield Danger(Hazard.system_namespace, f"namespace {live.ref.namespace} is never acted in")
    told = {live.ref.name: annotations_of(live.obj), f"namespace {live.ref.namespace}": annotations_of(live.namespace)}
    if scope.opt_in is OptIn.annotation and not any(each.get(ENABLED) == "true" for each in told.values()):
        yield Danger(Hazard.not_opted_in, f'neither {" nor ".join(told)} carries {ENABLED}: "true"')
    for where, notes in told.items():
        yield from _opted_out(where, notes, live.at)
        yield from _verbs(where, notes)
        yield from _limit(where, notes)


def max_replicas(obj: Object, namespace: Object) -> int | None:
    """The lower of the two annotations; one that is no number is a danger, not a limit."""
    texts = (annotations_of(each).get(MAX_REPLICAS, "") for each in (obj, namespace))
    return min((int(each) for each in texts if _count(each)), default=None)


def _opted_out(where: str, notes: Mapping[str, str], now: datetime) -> Iterator[Danger]:
    if notes.get(ENABLED, "true") != "true":
        yield Danger(Hazard.opted_out, f"{where} carries {ENABLED}: {notes[ENABLED]!r}")
    if notes.get(UNDO) is not None and notes[UNDO] != "allowed":
        yield Danger(Hazard.opted_out, f"{where} carries {UNDO}: {notes[UNDO]!r}", (Verb.undo.value,))
    until = notes.get(DISABLED_UNTIL)
    if until is not None:
        moment = parse_time(until)
        if moment is None or moment > now:
            yield Danger(Hazard.opted_out, f"{where} carries {DISABLED_UNTIL}: {until!r}")


def _verbs(where: str, notes: Mapping[str, str]) -> Iterator[Danger]:
    if ALLOW not in notes:
        return
    allowed = {NAMES[word] for each in notes[ALLOW].split(",") if (word := each.strip()) in NAMES}
    refused = tuple(each.value for each in Verb if each not in allowed and not each.of_node)
    if refused:
        yield Danger(Hazard.verb_not_allowed, f"{where} allows only {notes[ALLOW]!r}", refused)


def _limit(where: str, notes: Mapping[str, str]) -> Iterator[Danger]:
    if MAX_REPLICAS in notes and not _count(notes[MAX_REPLICAS]):
        yield Danger(
            Hazard.max_unknown, f"{where} carries {MAX_REPLICAS}: {notes[MAX_REPLICAS]!r}, which is no number", (Verb.scale.value,)
        )


def _count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 6
