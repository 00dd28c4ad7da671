"""The table of all prepared commands, and the making of one.

Law: total over every name of the table and every subject. A line with a gap does not parse, and while one line of a command has a gap
none of its lines does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from receiver.core.prepared import clouds, configuration, databases, workloads
from receiver.core.prepared.recipe import Both, Prepared, Recipe
from receiver.core.prepared.shell import Gap, sealed
from receiver.core.prepared.values import Subject

RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {each.name: each for each in (*configuration.RECIPES, *workloads.RECIPES, *databases.RECIPES, *clouds.RECIPES)}
)
"""By name, as `suggest:` names them."""

_GAP = re.compile(r"<<<([A-Z_]+: [^<>]*)>>>")


def prepare(name: str, subject: Subject) -> Prepared:
    """One of the table, filled in as far as is known."""
    recipe = RECIPES[name]
    subject = subject if subject.label else replace(subject, label=name)
    draft = recipe.make(subject)
    gaps = tuple(dict.fromkeys(gap for line in (*draft.commands, *draft.reverse) for gap in _GAP.findall(line)))
    first = Gap("first", subject.say("fill in the gaps of the other lines", "combler les lacunes des autres lignes"))
    return Prepared(
        name=subject.label,
        title=_in(subject, recipe.title),
        commands=sealed(draft.commands, first),
        reverse=sealed(draft.reverse, first),
        gaps=gaps,
        notes=tuple(_in(subject, each) for each in draft.notes),
        no_reverse=_in(subject, recipe.no_reverse),
        changes=recipe.changes,
    )


def _in(subject: Subject, both: Both) -> str:
    return subject.say(*both)
