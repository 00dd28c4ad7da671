"""What may befall one mutating call, and windows that are short enough for a test. Used by the crash tables."""

from __future__ import annotations

from collections.abc import Callable

from tests.e2e.scene import BOUNDS
from tests.real.apiproxy import Answer, ApiProxy, Drop, Effect, Fault, Hold, Predicate

CALM = {**BOUNDS, "someone_else": "0s"}
"""The test itself has just deployed it."""
BRIEF = {**CALM, "scale_lease": "4s", "scale_down_every": "1s"}

POINTS = ("intent.before", "intent.after", "record.before", "record.after")
"""Where a receiver kills itself."""

FAULTS: dict[str, tuple[Callable[[], Effect], bool]] = {
    "hang before": (Hold, False),
    "reset before": (Drop, False),
    "answer lost": (Drop, True),
    "409": (lambda: Answer(409, "Conflict"), False),
    "422": (lambda: Answer(422, "Invalid"), False),
    "429": (lambda: Answer(429, "TooManyRequests", {"Retry-After": "1"}), False),
    "500 before": (lambda: Answer(500, "InternalError"), False),
    "500 after": (lambda: Answer(500, "InternalError"), True),
    "503": (lambda: Answer(503, "ServiceUnavailable", {"Retry-After": "1"}), False),
    "504 after": (lambda: Answer(504, "Timeout"), True),
}
"""What it is, and whether it befalls the answer to what was done already."""


def inject(proxy: ApiProxy, wanted: Predicate, name: str) -> Fault:
    """The next wanted call meets it."""
    make, after = FAULTS[name]
    return proxy.after(wanted, make()) if after else proxy.before(wanted, make())
