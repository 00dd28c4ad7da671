"""What is wrong between keys that are each well: files that must be there, and one secret behind two doors.

Law: a secret is named by its key, never shown. Called by `loading`, also for what is left of a configuration without its faulty keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
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
SDK = "aiobotocore"
PACKAGES: Mapping[Path, str] = {
    ("sources", "sns"): "cryptography",
    ("sources", "sns", "confirm"): SDK,
    ("sources", "sqs"): SDK,
    ("cloudwatch",): SDK,
    ("ecs",): SDK,
}


def missing_files(content: object, document: Document) -> list[Problem]:
    """Those of `FILES` that are named and cannot be opened."""
    found: list[Problem] = []
    for section, key in FILES:
        inside = content.get(section) if isinstance(content, dict) else None
        named = inside.get(key) if isinstance(inside, dict) else None
        if isinstance(named, str) and (why := _unreadable(named)):
            found.append(document.problem((section, key), f"{named[:256]!r} cannot be read: {why}"))
    return found


def missing_packages(content: object, document: Document, *, installed: Callable[[str], object] = find_spec) -> list[Problem]:
    """What a section works with and is not installed: too late to say when the first message is to be checked."""
    found: list[Problem] = []
    for path, package in PACKAGES.items():
        inside = content
        for key in path:
            inside = inside.get(key) if isinstance(inside, dict) else None
        if inside not in (None, False) and installed(package) is None:
            found.append(document.problem(path, f"needs the package {package}: pip install 'alert-receiver[aws]'", at_key=True))
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
    """`sources.grafana`, `sources.generic.sentry`, or one token of the API."""
    if path[0] != "sources":
        return path
    return path[:3] if path[1] == "generic" else path[:2]


def _secrets(value: object, path: Path) -> Iterator[tuple[Path, Secret]]:
    if isinstance(value, Secret):
        yield path, value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _secrets(getattr(value, name), (*path, name))
    elif isinstance(value, dict):
        for name, each in value.items():
            yield from _secrets(each, (*path, name))
    elif isinstance(value, tuple):
        for at, each in enumerate(value):
            yield from _secrets(each, (*path, at))
