"""What is said of a page's evidence: its pieces on the page, what is missing and why, and one sentence for the timeline.

Pure. Titles and lines are as they were collected: they quote machines, which speak English.
"""

from __future__ import annotations

from collections.abc import Sequence

from receiver.core.facts import Evidence
from receiver.core.wording.say import Tongue, clean

MOST_PIECES = 16
MOST_LINES = 20
"""Of one piece on a page; all of them are with the incident."""


def evidence_parts(pieces: Sequence[Evidence], say: Tongue) -> dict[str, list[str]]:
    """By title; what is missing in one part, the last."""
    parts = {clean(each.title, limit=60): _lines(each, say) for each in pieces[:MOST_PIECES] if not each.missing}
    missing = [f"{clean(each.title, limit=60)}{say.colon}{clean(each.missing)}" for each in pieces if each.missing]
    return parts | ({say("not collected", "non recueilli"): missing[:MOST_PIECES]} if missing else {})


def _lines(piece: Evidence, say: Tongue) -> list[str]:
    """Cleaned again: they hold text of others."""
    left = len(piece.lines) - MOST_LINES
    shown = [clean(each) for each in piece.lines[:MOST_LINES]]
    return [*shown, say(f"and {left} more lines", f"et {left} lignes de plus")] if left > 0 else shown


def evidence_text(pieces: Sequence[Evidence], locale: str) -> str:
    """`evidence: pods, events, log; not collected: top (…)`."""
    say = Tongue(locale)
    there = ", ".join(clean(each.title, limit=60) for each in pieces if not each.missing)
    missing = say("; ", " ; ").join(f"{clean(each.title, limit=60)} ({clean(each.missing, limit=120)})" for each in pieces if each.missing)
    head = say("evidence", "éléments") + say.colon + (there or say("none", "aucun"))
    return head + (say("; not collected", " ; non recueilli") + say.colon + missing if missing else "")


def pending_text(locale: str) -> Evidence:
    """What a page says while more is on its way."""
    say = Tongue(locale)
    line = say("more is being collected and follows as an update", "le reste est en cours de collecte et suivra en mise à jour")
    return Evidence(say("evidence", "éléments"), (line,))
