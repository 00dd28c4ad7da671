"""What is wrong between keys that are each well: files that must be there, and one secret behind two doors.

Law: a secret is named by its key, never shown. Called by `loading`, also for what is left of a configuration without its faulty keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path as FilePath

from pydantic import BaseModel

from receiver.secret import Secret
from receiver.settings.secrets import UNREAD
from receiver.settings.sections import Configuration
from receiver.yamlfile import Document, Path, Problem
from receiver.yamlfile.reading import show_path

FILES = (("kubernetes", "kubeconfig"), ("kubernetes", "undo_token_file"))
"""Read when the cluster is first used: too late to say that they are not there."""


def missing_files(content: object, document: Document) -> list[Problem]:
    """Those of `FILES` that are named and cannot be opened."""
    found: list[Problem] = []
    for section, key in FILES:
        inside = content.get(section) if isinstance(content, dict) else None
        named = inside.get(key) if isinstance(inside, dict) else None
        if isinstance(named, str) and (why := _unreadable(named)):
            found.append(document.problem((section, key), f"{named[:256]!r} cannot be read: {why}"))
    return found


def _unreadable(named: str) -> str:
    file = FilePath(named)
    try:
        if not file.is_file():
            return "not a regular file" if file.exists() else "no such file"
        file.open("rb").close()
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or "not a path"
    return ""


def shared_secrets(settings: Configuration, document: Document, twins: Mapping[Path, Path]) -> list[Problem]:
    """Who holds one of two equal secrets is let in by both doors, as whom nobody can tell. Several of one sender may be equal."""
    found: list[Problem] = []
    held = [*_secrets(settings.api, ("api",)), *_secrets(settings.sources, ("sources",))]
    for (first, one), (second, other) in combinations(held, 2):
        if _door(first) != _door(second) and UNREAD not in (one, other) and one.matches(other.reveal_bytes()):
            names = show_path(twins.get(first, first))
            found.append(document.problem(second, f"is the same secret as {names}; each door needs its own: openssl rand -hex 32"))
    return found


def _door(path: Path) -> Path:
    """`sources.grafana`, or one token of the API."""
    return path[:2] if path[0] == "sources" else path


def _secrets(value: object, path: Path) -> Iterator[tuple[Path, Secret]]:
    if isinstance(value, Secret):
        yield path, value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _secrets(getattr(value, name), (*path, name))
    elif isinstance(value, tuple):
        for at, each in enumerate(value):
            yield from _secrets(each, (*path, at))
