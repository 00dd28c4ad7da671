"""What ends a wait before its date: a hold that is taken away, or an open attempt that comes to its end.

A refusal names it (`Refusal.waits_on`), the agenda keeps it beside the date, and whoever ends it wakes those that wait on it. One word
without spaces each. Called by the bounds, the responder, the store and the simulation.
"""

from __future__ import annotations

from collections.abc import Iterable

from receiver.core.case import Attempt, Refusal

ACTIONS_FILE = "held:by:actions_file"
"""`actions_file` says no."""
ANY_ATTEMPT = "busy:"
"""As many attempts are open as there may be."""
MOST_WOKEN = 20
"""By the end of one attempt, the most urgent first: one place is free, and who cannot take it leaves it to the next; all others keep
their date. Each may make a look of its own."""


def hold(scope: str) -> str:
    """A freeze of this scope; an empty one is the kill switch."""
    return f"held:{scope}"


def in_namespace(name: str) -> str:
    """An open attempt in this namespace."""
    return f"busy:namespace:{name}"


def on_target(uid: str) -> str:
    """The open attempt on this object."""
    return f"busy:target:{uid}"


def ended_by(attempt: Attempt) -> tuple[str, ...]:
    """What ends with it."""
    return (on_target(attempt.target.uid), in_namespace(attempt.target.namespace), ANY_ATTEMPT)


def waited_on(refusals: Iterable[Refusal]) -> tuple[str, ...]:
    """What could end one of these refusals."""
    return tuple(sorted({each.waits_on for each in refusals if each.waits_on}))
