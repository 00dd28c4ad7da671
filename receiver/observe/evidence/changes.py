"""Changes of the last 24 hours, from everybody who knows of any: what pipelines told us, the workload's own revisions, AWS's records.

Law: the newest first; a source that cannot be asked is named, and hides none of the others. Most incidents follow a change: it is the
first thing that a page shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from receiver.clients.errors import ClientError, ErrorKind
from receiver.core.facts import Changed
from receiver.observe import revisions
from receiver.observe.differences import images
from receiver.observe.lines import age
from receiver.observe.live import HISTORY, read_core
from receiver.observe.reader import PLATFORM, Reader, together
from receiver.observe.readings import Recent
from receiver.ports import ChangeStore, Clock, Inquiry, Permission, Piece, StoreUnavailable

WINDOW = timedelta(hours=24)
MOST = 20


class ChangeSource(Protocol):
    """Somebody who knows of changes."""

    name: str
    permissions: tuple[Permission, ...]

    def knows(self, inquiry: Inquiry) -> bool:
        """Whether it could know of a change of this."""
        ...

    async def changes(self, inquiry: Inquiry, since: datetime) -> Sequence[Changed]:
        """In any order. Raises ClientError."""
        ...


class ChangesEvidence:
    """One piece: `changes`."""

    name = "changes"

    def __init__(self, sources: Sequence[ChangeSource], clock: Clock) -> None:
        self._sources = tuple(sources)
        self._clock = clock
        self.permissions: tuple[Permission, ...] = tuple(right for each in sources for right in each.permissions)

    def pieces(self, inquiry: Inquiry) -> Mapping[str, Piece]:
        """As Collector."""
        asked = [each for each in self._sources if each.knows(inquiry)]
        return {"changes": lambda: self._lines(asked, inquiry)} if asked else {}

    async def _lines(self, asked: Sequence[ChangeSource], inquiry: Inquiry) -> Sequence[str]:
        now = self._clock.now()
        read = await together(*(_ask(each, inquiry, now - WINDOW) for each in asked))
        failed = {each.name: found for each, found in zip(asked, read, strict=True) if isinstance(found, ClientError)}
        if len(failed) == len(asked):
            raise next(iter(failed.values()))
        known = sorted((each for found in read if not isinstance(found, ClientError) for each in found), key=_when, reverse=True)
        lines = [_line(each, now) for each in known[:MOST]] or [f"none known of in the last {WINDOW.total_seconds() / 3600:.0f} h"]
        return [*lines, *(f"{name} could not be asked: {error.kind} ({error.text})" for name, error in failed.items())]


async def _ask(source: ChangeSource, inquiry: Inquiry, since: datetime) -> Sequence[Changed] | ClientError:
    try:
        return await source.changes(inquiry, since)
    except ClientError as error:
        return error


def _when(change: Changed) -> datetime:
    return change.at


def _line(change: Changed, now: datetime) -> str:
    by = f" by {change.by}" if change.by else ""
    return f"{age(change.at, now)} ago ({change.origin}){by}: {change.what}{f' {change.link}' if change.link else ''}"


class ToldChanges:
    """What was told to `POST /api/v1/changes`."""

    name = "told changes"
    permissions: tuple[Permission, ...] = ()

    def __init__(self, store: ChangeStore) -> None:
        self._store = store

    def knows(self, inquiry: Inquiry) -> bool:
        """Of whatever has a name."""
        return bool(inquiry.subjects)

    async def changes(self, inquiry: Inquiry, since: datetime) -> Sequence[Changed]:
        """As ChangeSource."""
        try:
            return [each.changed for each in await self._store.told(inquiry.subjects, since=since, limit=MOST)]
        except StoreUnavailable as error:
            raise ClientError(ErrorKind.unavailable, f"our own store: {error}") from error


class KubernetesRevisions:
    """New revisions of the workload."""

    name = "kubernetes revisions"
    permissions: tuple[Permission, ...] = (
        *(Permission(PLATFORM, "apps", each, ("get",)) for each in ("deployments", "statefulsets", "daemonsets")),
        *(Permission(PLATFORM, "apps", each, ("list",)) for each in ("replicasets", "controllerrevisions")),
        Permission(PLATFORM, "", "pods", ("list",)),
    )

    def __init__(self, reader: Reader, clock: Clock, *, recent: Recent | None = None) -> None:
        self._reader = reader
        self._clock = clock
        self._recent = recent or Recent()

    def knows(self, inquiry: Inquiry) -> bool:
        """Of what has a history."""
        return inquiry.target is not None and inquiry.target.ref.platform == PLATFORM and inquiry.target.ref.kind in HISTORY

    async def changes(self, inquiry: Inquiry, since: datetime) -> Sequence[Changed]:
        """One for each revision that was made since."""
        if inquiry.target is None:
            return []
        ref = inquiry.target.ref
        core = self._recent.take(inquiry.target.uid, self._clock.now()) or await read_core(self._reader, ref)
        history = revisions.steps(core, ref.kind)
        newest = revisions.current(core, ref.kind, history)
        found = []
        for step in history:
            at = revisions.began(core.obj, history, step) if step is newest else step.created
            if at is not None and at >= since:
                cause = f" ({step.cause})" if step.cause else ""
                found.append(Changed(at, f"revision {step.number}: {', '.join(images(step.template))}{cause}", origin="kubernetes"))
        return found
