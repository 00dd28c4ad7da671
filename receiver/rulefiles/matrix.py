"""The nine cells as a team writes them, in its own naming.

Law: all nine or none, and more harm never means less: breadth and trend only ever raise, so the matrix must not turn that around.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

from receiver.core.model import Level, Naming, Priority
from receiver.core.rules import Matrix
from receiver.yamlfile import Path

Cells = dict[Level, dict[Level, Priority]]


def read_matrix(raw: Mapping[str, Any], naming: Naming) -> tuple[Matrix, list[tuple[Path, str]]]:
    """The cells that are well written, and what is wrong with the others, by path inside the section."""
    cells: Cells = {each: {} for each in Level}
    found = list(_unknown(raw, (), "impact"))
    for impact in Level:
        row = raw.get(impact.value)
        if not isinstance(row, dict):
            found.append(((impact.value,), f"row {impact.value!r} is missing; write {impact.value}: {{high: …, medium: …, low: …}}"))
            continue
        found += _unknown(row, (impact.value,), "urgency")
        for urgency in Level:
            path = (impact.value, urgency.value)
            priority = naming.read(row[urgency.value]) if isinstance(row.get(urgency.value), str) else None
            if priority is not None:
                cells[impact][urgency] = priority
            elif urgency.value in row:
                names = ", ".join(naming.show(each) for each in Priority)
                found.append((path, f"{str(row[urgency.value])[:80]!r} is not a priority in the naming {naming.value}; allowed: {names}"))
            else:
                found.append((path, f"cell {urgency.value!r} is missing: impact {impact.value}, urgency {urgency.value}"))
    return cells, found or list(_falling(cells, naming))


def _unknown(row: Mapping[str, Any], path: Path, axis: str) -> Iterator[tuple[Path, str]]:
    for key in row:
        if key not in [each.value for each in Level]:
            yield (*path, key), f"unknown {axis} {key[:80]!r}; allowed: {', '.join(Level)}"


def _falling(cells: Matrix, naming: Naming) -> Iterator[tuple[Path, str]]:
    for impact, urgency in product(Level, Level):
        here = cells[impact][urgency]
        for other_impact, other_urgency in ((impact.raised(), urgency), (impact, urgency.raised())):
            there = cells[other_impact][other_urgency]
            if here.above(there):
                worse, better = (
                    f"impact {other_impact.value}, urgency {other_urgency.value}",
                    f"impact {impact.value}, urgency {urgency.value}",
                )
                text = f"{naming.show(there)} is less urgent than {naming.show(here)} of {better}, though {worse} is worse"
                yield (other_impact.value, other_urgency.value), text
