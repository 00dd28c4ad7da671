"""What a prepared command is, and how one is made: a recipe turns a subject into lines; a missing value leaves a gap in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from receiver.core.prepared.shell import Part, run
from receiver.core.prepared.values import Subject

Both = tuple[str, str]
"""English, French."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """Command lines for a person, never run by us. Each line stands alone: copy, read, run."""

    name: str
    """In this incident: what `receiver did` takes."""
    title: str
    commands: tuple[str, ...]
    reverse: tuple[str, ...] = ()
    """Takes it back; empty: `no_reverse` says why."""
    gaps: tuple[str, ...] = ()
    """What is not known, and where it is to be said."""
    notes: tuple[str, ...] = ()
    no_reverse: str = ""
    changes: bool = True
    """False: it only looks, or only writes a file."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What a recipe answers."""

    commands: tuple[str, ...]
    reverse: tuple[str, ...] = ()
    notes: tuple[Both, ...] = ()


@dataclass(frozen=True, slots=True)
class Recipe:
    """One entry of the table."""

    name: str
    title: Both
    make: Callable[[Subject], Draft]
    keys: tuple[str, ...] = ()
    """The values that it asks for."""
    no_reverse: Both = ("", "")
    """Why there is none; empty: it has one."""
    changes: bool = True


def kubectl(namespace: Part, *words: Part | tuple[Part, ...]) -> str:
    """In a namespace."""
    return run("kubectl", "-n", namespace, *words)
