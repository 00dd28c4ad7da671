"""The ReplicaSets of a Deployment as its history: which is current, since when, and how long a program is proven to have stood. Pure.

A ReplicaSet that is used again (by an undo) keeps its creation time and gets a new revision number; its old numbers stay in
`deployment.kubernetes.io/revision-history`. So a creation time dates only a ReplicaSet's *first* revision.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
    template,
    template_hash,
    uid,
)
from receiver.observe.pods import owner
from receiver.observe.rollout import condition

HISTORY = "deployment.kubernetes.io/revision-history"


def owned(deployment: Object, replica_sets: Iterable[Object]) -> tuple[Object, ...]:
    """Those whose controller is this very object."""
    return tuple(each for each in replica_sets if owner(each) == uid(deployment))


def current(deployment: Object, sets: Sequence[Object]) -> Object | None:
    """The ReplicaSet of the Deployment's template, found as its controller finds it; None while the two disagree on the revision."""
    wanted = _exact(deployment)
    alike = sorted((each for each in sets if _exact(each) == wanted), key=lambda each: (str(_created(each)), name(each)))
    return alike[0] if alike and revision(alike[0]) == revision(deployment) != 0 else None


def began(deployment: Object, sets: Sequence[Object], newest: Object) -> datetime | None:
    """When the current revision's rollout began.

    Of a new ReplicaSet its creation. Of one that was used again: after every other ReplicaSet was made and before the rollout's last
    progress; in between, the newest change of the template by anybody, else that last progress.
    """
    created = _created(newest)
    if not _past(newest) or created is None:
        return created
    earliest = max(filter(None, map(_created, sets)), default=created)
    latest = parse_time(condition(deployment, "Progressing").get("lastUpdateTime"))
    changes = [each for each in _template_changes(deployment) if each >= earliest and (latest is None or each <= latest)]
    return max(changes, default=max(earliest, latest or earliest))


def stood(sets: Sequence[Object], program: str) -> timedelta:
    """The longest time that the program (a `template_hash`) is proven to have been the current one; 0 without proof.

    Restarts make several revisions of one program: they count together. Both ends must be creation times of first revisions.
    """
    holders = {number: each for each in sets for number in (*_past(each), revision(each)) if number}
    longest = timedelta(0)
    since: datetime | None = None
    for number in sorted(holders):
        holder = holders[number]
        start = _started(holder, number)
        if since is not None and start is not None:
            longest = max(longest, start - since)
        if template_hash(template(holder)) != program or number + 1 not in holders:
            since = None
        elif since is None:
            since = start
    return longest


def _started(holder: Object, number: int) -> datetime | None:
    """When that revision began, where its ReplicaSet's creation says so."""
    return _created(holder) if number == min((*_past(holder), revision(holder))) else None


def _past(replica_set: Object) -> tuple[int, ...]:
    parts = annotations_of(replica_set).get(HISTORY, "").split(",")
    return tuple(int(each) for each in parts if each.isascii() and each.isdigit())


def _created(obj: Object) -> datetime | None:
    return parse_time(metadata(obj).get("creationTimestamp"))


def _exact(obj: Object) -> Object:
    """The template with nothing dropped but what the controller itself adds."""
    found = restorable_template(obj)
    for key in ("labels", "annotations"):
        if not found["metadata"].get(key):
            found["metadata"].pop(key, None)
    return found


def _template_changes(deployment: Object) -> list[datetime]:
    entries: Iterable[dict[str, Any]] = metadata(deployment).get("managedFields") or ()
    owning = (each for each in entries if "f:template" in ((each.get("fieldsV1") or {}).get("f:spec") or {}))
    return [moment for each in owning if (moment := parse_time(each.get("time")))]
