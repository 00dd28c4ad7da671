"""Where in a JSON body something stands: `data.issue.id`, `items[0].name`. No expressions, no wildcards, no search.

Law: reading is total and costs as many steps as the path has; a path that ends in `?` may lead nowhere, any other must not. Made by the
configuration, used by the generic source.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from receiver.ingest.jsonbody import Outsize, Repeated, kind
from receiver.ingest.salvage import storable
from receiver.ingest.statement import Unreadable

LENGTH_LIMIT = 256
STEPS_LIMIT = 16

_STEP = re.compile(r"(?:(?:^|\.)(?P<key>[A-Za-z0-9_@$-]{1,64})|\[(?P<index>[0-9]{1,4})\])", re.ASCII)
NOTATION = "keys joined by dots, [n] for the n-th of a list from 0, ? at the end where it may be missing: data.items[0].id"


@dataclass(frozen=True, slots=True)
class BodyPath:
    """A checked path."""

    text: str
    steps: tuple[str | int, ...]
    optional: bool = False

    @classmethod
    def of(cls, text: str) -> Self:
        """Raises ValueError with the notation."""
        bare, optional = (text[:-1], True) if text.endswith("?") else (text, False)
        steps: list[str | int] = []
        at = 0
        while at < len(bare) and len(bare) <= LENGTH_LIMIT:
            found = _STEP.match(bare, at)
            if found is None:
                break
            steps.append(found["key"] if found["index"] is None else int(found["index"]))
            at = found.end()
        if not bare or bare.startswith(".") or at < len(bare) or len(steps) > STEPS_LIMIT:
            raise ValueError(f"{text[:80]!r} is no path into a body; write {NOTATION}")
        return cls(text, tuple(steps), optional)

    def read(self, document: object) -> str | None:
        """The text that stands there; None: nothing does, and that is allowed. Raises Unreadable with this path."""
        found = document
        for step in self.steps:
            found = _inside(found, step)
            if isinstance(found, Repeated):
                raise Unreadable(self.text, "a name on the way stands more than once")
        if found is None or found == "":
            if self.optional:
                return None
            raise Unreadable(self.text, "missing, though it is mapped; a path that may lead nowhere ends in ?")
        return self._as_text(found)

    def _as_text(self, value: object) -> str:
        match value:
            case str():
                if not storable(value):
                    raise Unreadable(self.text, "holds NUL or half a surrogate pair")
                return value
            case bool():
                return "true" if value else "false"
            case int() | float():
                return str(value)
            case Outsize():
                return value.text
        raise Unreadable(self.text, f"text or a number was expected, found {kind(value)}")


def _inside(value: object, step: str | int) -> object:
    if isinstance(step, str):
        return value.get(step) if isinstance(value, dict) else value if isinstance(value, Repeated) else None
    return value[step] if isinstance(value, list) and step < len(value) else None
