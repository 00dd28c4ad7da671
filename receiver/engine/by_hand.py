"""What a person says of prepared commands (`receiver did`, `receiver undid`), as changes of the incident.

Law: what was done is stored with its reverse as it stood then; the same word twice changes nothing. Pure but for the refusals it raises.
Called by `commands`.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from receiver.core.case import Case, Standing
from receiver.core.prepared import RECIPES
from receiver.core.wording.by_hand import as_data, done_text, left, named, standing, suggested
from receiver.ports import Change, CommandRefused, Entry

Done = tuple[Standing, Change | None]
"""As it is then, and what is to be written; None: nothing is new."""


def did(case: Case, name: str, *, by: str, now: datetime, note: str = "") -> Done:
    """A prepared command was run. One with gaps only with a note that says what filled them: otherwise nobody knows what was run."""
    before = _find(case, name)
    if before is not None and before.open:
        return before, None
    found = named(case, name, now)
    if found is None:
        mine = ", ".join(each.name for each in suggested(case, now)) or "none"
        raise CommandRefused(
            f"{name[:80]!r} is no prepared command; incident {case.incident.id} suggests: {mine}; allowed: {', '.join(sorted(RECIPES))}",
            missing=True,
        )
    note = note.strip()
    if found.gaps and not note:
        raise CommandRefused(
            f"{found.name} still has gaps: {'; '.join(found.gaps)};"
            " say with --note (note, in the API) what you put there, or set it and try again"
        )
    done = standing(found, at=now, by=by)
    data = {"prepared": as_data(found)} | ({"note": note} if note else {})
    entry = Entry(now, "done_by_hand", done_text(case, done, by, undone=False, note=note), actor=by, data=data)
    return done, Change(case.incident, (entry,), standing=done, wake_at=now)


def undid(case: Case, name: str, *, by: str, now: datetime) -> Done:
    """It was taken back."""
    before = _find(case, name)
    if before is None:
        waits = ", ".join(each.name for each in case.standing if each.open) or "none"
        raise CommandRefused(
            f"{name[:80]!r} was not marked as done in incident {case.incident.id}; still to be taken back: {waits}", missing=True
        )
    if before.undone_at is not None:
        return before, None
    undone = replace(before, undone_at=now, undone_by=by)
    entry = Entry(now, "undone_by_hand", done_text(case, undone, by, undone=True), actor=by, data={"name": name})
    return undone, Change(case.incident, (entry,), standing=undone, wake_at=now)


def leave(case: Case, *, by: str, now: datetime, allowed: bool) -> Change | None:
    """Before a person closes: the first that still stands is left to them, or speaks against it. None: nothing stands."""
    stands = next((each for each in case.standing if each.open), None)
    if stands is None:
        return None
    if not allowed:
        id_ = case.incident.id
        raise CommandRefused(
            f"incident {id_} holds {stands.name}, done by {stands.done_by} and not taken back: {'; '.join(stands.reverse)}"
            f" and then receiver undid {id_} {stands.name}; or leave it as it is with --leave"
        )
    entry = Entry(now, "left_by_hand", f"{by} leaves {stands.name} as it is", actor=by, data={"name": stands.name})
    return Change(case.incident, (entry,), standing=left(stands, at=now, by=by), wake_at=now)


def _find(case: Case, name: str) -> Standing | None:
    return next((each for each in case.standing if each.name == name), None)
