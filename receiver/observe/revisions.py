"""The history of a workload: which revision is current, since when, and how long a program is proven to have stood. Pure.

Each step is a ReplicaSet (Deployments) or a ControllerRevision (StatefulSets, DaemonSets). One that is used again, by an undo, keeps its
creation time and gets a new number; a ReplicaSet remembers its old ones in `deployment.kubernetes.io/revision-history`, a
ControllerRevision forgets them. So a creation time dates only a step's *first* revision, and only where it is known which that was.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from receiver.clients.kubernetes_objects import (
    Object,
    annotations_of,
    metadata,
    name,
    parse_time,
    restorable_template,
    revision,
    revision_number,
    revision_template,
    template,
    template_hash,
    uid,
)
from receiver.observe import pods as pods_
from receiver.observe.live import HISTORY, Core
from receiver.observe.ownership import last_scaled
from receiver.observe.rollout import condition

PAST = "deployment.kubernetes.io/revision-history"
CHANGE_CAUSE = "kubernetes.io/change-cause"


@dataclass(frozen=True, slots=True)
class Step:
    """One revision of the program, and the object that keeps it."""

    name: str
    uid: str
    number: int
    past: tuple[int, ...]
    """Numbers that it had before."""
    first: int
    """The number that its creation dates; 0: not known."""
    created: datetime | None
    template: Object
    program: str
    """`template_hash`."""
    mark: str
    """What its pods carry: the uid of their ReplicaSet, or the value of their label controller-revision-hash."""
    wanted: int
    """Pods that its controller is to keep; of a ControllerRevision those that there are."""
    replicas: int
    available: int
    cause: str
    scaled_at: datetime | None
    """When the control plane last wrote the ReplicaSet."""


def steps(core: Core, kind: str) -> tuple[Step, ...]:
    """Every revision that is kept, lowest number first."""
    if HISTORY.get(kind) == "ControllerRevision":
        found = [_of_controller_revision(each, core) for each in core.history]
    else:
        found = [_of_replica_set(each, core.pods) for each in core.history]
    return tuple(sorted(found, key=lambda each: (each.number, each.name)))


def number(core: Core, kind: str, history: Sequence[Step]) -> int:
    """Of the revision that the controller calls the newest; 0 while it names none."""
    if kind == "StatefulSet":
        wanted = (core.obj.get("status") or {}).get("updateRevision")
        return next((each.number for each in history if each.name == wanted), 0)
    if kind == "DaemonSet":
        return max((each.number for each in history), default=0)
    return revision(core.obj)


def current(core: Core, kind: str, history: Sequence[Step]) -> Step | None:
    """The step of the object's template, found as its controller finds it; None while the two disagree on the revision."""
    wanted = _exact(template(core.obj))
    alike = sorted((each for each in history if _exact(each.template) == wanted), key=lambda each: (str(each.created), each.name))
    newest = number(core, kind, history)
    if kind in ("StatefulSet", "DaemonSet"):
        return next((each for each in alike if each.number == newest), None)
    return alike[0] if alike and alike[0].number == newest != 0 else None


def began(obj: Object, history: Sequence[Step], newest: Step) -> datetime | None:
    """When the current revision's rollout began.

    Of a new step its creation. Of one that was used again: after every other one was made and before the rollout's last progress; in
    between, the newest change of the template by anybody, else that last progress.
    """
    if newest.first == newest.number or newest.created is None:
        return newest.created
    earliest = max((each.created for each in history if each.created), default=newest.created)
    latest = parse_time(condition(obj, "Progressing").get("lastUpdateTime"))
    changes = [each for each in _template_changes(obj) if each >= earliest and (latest is None or each <= latest)]
    return max(changes, default=max(earliest, latest or earliest))


def program_began(obj: Object, history: Sequence[Step], newest: Step) -> datetime | None:
    """When the current program began to stand: the first of the restarts of it in a row. Where that cannot be told, rather too early."""
    holders = _by_number(history)
    first = newest.number
    while first - 1 in holders and holders[first - 1].program == newest.program:
        first -= 1
    return began(obj, history, newest) if first == newest.number else holders[first].created


def stood(history: Sequence[Step], program: str) -> timedelta:
    """The longest time that the program is proven to have been the current one; 0 without proof.

    Restarts make several revisions of one program: they count together. Both ends must be creation times of first revisions.
    """
    holders = _by_number(history)
    longest = timedelta(0)
    since: datetime | None = None
    for number in sorted(holders):
        holder = holders[number]
        start = holder.created if number == holder.first else None
        if since is not None and start is not None:
            longest = max(longest, start - since)
        if holder.program != program or number + 1 not in holders:
            since = None
        elif since is None:
            since = start
    return longest


def _by_number(history: Sequence[Step]) -> dict[int, Step]:
    """Each revision that ever was, as far as it is kept."""
    return {number: each for each in history for number in (*each.past, each.number) if number}


def _of_replica_set(found: Object, pods: Sequence[Object]) -> Step:
    past, available = _past(found), int((found.get("status") or {}).get("availableReplicas") or 0)
    mine = [each for each in pods if pods_.living(each) and pods_.owner(each) == uid(found)]
    return Step(
        name=name(found),
        uid=uid(found),
        number=revision(found),
        past=past,
        first=min((*past, revision(found))),
        created=_created(found),
        template=template(found),
        program=template_hash(template(found)),
        mark=uid(found),
        wanted=int((found.get("spec") or {}).get("replicas") or 0),
        replicas=len(mine),
        available=min(available, sum(map(pods_.ready, mine))),  # its status may be a minute old, its pods are not
        cause=annotations_of(found).get(CHANGE_CAUSE, ""),
        scaled_at=last_scaled(found),
    )


def _of_controller_revision(found: Object, core: Core) -> Step:
    held = revision_template(found)
    mark = _mark(found, core.pods)
    mine = [each for each in core.pods if pods_.living(each) and pods_.revision_label(each) == mark]
    return Step(
        name=name(found),
        uid=uid(found),
        number=revision_number(found),
        past=(),
        first=0 if _used_again(found, core.history) else revision_number(found),
        created=_created(found),
        template=held,
        program=template_hash(held),
        mark=mark,
        wanted=len(mine),
        replicas=len(mine),
        available=sum(map(pods_.ready, mine)),
        cause=annotations_of(found).get(CHANGE_CAUSE, ""),
        scaled_at=None,
    )


def _mark(found: Object, own: Sequence[Object]) -> str:
    whole, short = pods_.revision_marks(found)
    return short if short and any(pods_.revision_label(each) == short for each in own) else whole


def _used_again(found: Object, history: Sequence[Object]) -> bool:
    """One of a lower number is younger: this one was raised over it."""
    made = _created(found)
    lower = [_created(each) for each in history if revision_number(each) < revision_number(found)]
    return made is None or any(each is None or each > made for each in lower)


def _past(replica_set: Object) -> tuple[int, ...]:
    parts = annotations_of(replica_set).get(PAST, "").split(",")
    return tuple(int(each) for each in parts if each.isascii() and each.isdigit())


def _created(obj: Object) -> datetime | None:
    return parse_time(metadata(obj).get("creationTimestamp"))


def _exact(found: Object) -> Object:
    """The template with nothing dropped but what the controller itself adds."""
    exact = restorable_template({"spec": {"template": found}})
    for key in ("labels", "annotations"):
        if not exact["metadata"].get(key):
            exact["metadata"].pop(key, None)
    return exact


def _template_changes(obj: Object) -> list[datetime]:
    entries: Iterable[dict[str, Any]] = metadata(obj).get("managedFields") or ()
    owning = (each for each in entries if "f:template" in ((each.get("fieldsV1") or {}).get("f:spec") or {}))
    return [moment for each in owning if (moment := parse_time(each.get("time")))]
