"""`RECEIVER__SECTION__KEY` into the place of its key in the file.

Law: a variable that names no key is an error (a mistyped kill switch must not be ignored), and no value is ever repeated. Only variables
that begin with `RECEIVER__` are ours: a Kubernetes Service named receiver makes `RECEIVER_PORT`. The one reader of the environment.
"""

from __future__ import annotations

import difflib
import os
import types
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from receiver.yamlfile import Document, Path, Problem, model_in, parse_text, resolve

PREFIX = "RECEIVER__"
FILE = "environment"


def environment() -> Mapping[str, str]:
    """The process's own."""
    return dict(os.environ)


@dataclass(frozen=True, slots=True)
class Merged(Document):
    """A file's content with the environment laid over it; a problem with such a value names its variable."""

    origins: Mapping[Path, str] = field(default_factory=dict)

    def problem(self, path: Path, message: str, *, at_key: bool = False) -> Problem:
        for length in range(len(path), 0, -1):
            if (variable := self.origins.get(path[:length])) is not None:
                return Problem(FILE, 0, 0, f"{variable}: {message}")
        return Document.problem(self, path, message, at_key=at_key)

    def with_twins(self, twins: Mapping[Path, Path]) -> Merged:
        """The same content, where a problem of a secret is shown at the key that names its file."""
        origins = {path: self.origins[twin] for path, twin in twins.items() if twin in self.origins}
        values = {path: self.values[twin] for path, twin in twins.items() if twin in self.values}
        return replace(self, origins={**self.origins, **origins}, values={**self.values, **values})


def lay_over(document: Document, model: type[BaseModel], variables: Mapping[str, str]) -> tuple[Merged, list[Problem]]:
    """The file's content with every variable in its place, and what is wrong with the variables."""
    content = document.content if isinstance(document.content, dict) else {}
    origins: dict[Path, str] = {}
    problems: list[Problem] = []
    for name in sorted(each for each in variables if each.upper().startswith(PREFIX)):
        try:
            path, annotation = _place(name, model)
            _put(content, path, _value(variables[name], annotation))
            origins[path] = name
        except ValueError as error:
            problems.append(Problem(FILE, 0, 0, f"{name[:256]}: {error}"))
    whole = content if isinstance(document.content, dict) or document.content is None else document.content
    return Merged(document.file, whole, document.keys, document.values, origins), problems


def _place(name: str, model: type[BaseModel]) -> tuple[Path, Any]:
    """The path that a variable means, and the type of what stands there."""
    path: list[str] = []
    here: Any = model
    for part in name[len(PREFIX) :].split("__"):
        section = model_in(here)
        if section is not None:
            known = {key.lower(): key for key in section.model_fields}
            key = known.get(part.lower())
            if key is None:
                raise ValueError(_unknown(part, list(known), path))
            here = section.model_fields[key].annotation
        elif get_origin(here) is dict and part:
            key = part.upper() if path == ["page_after"] else part.lower()
            here = get_args(here)[1]
        else:
            raise ValueError(f"unknown variable: {'.'.join(path)} has no keys below it")
        path.append(key)
    return tuple(path), here


def _unknown(part: str, known: list[str], path: list[str]) -> str:
    near = difflib.get_close_matches(part.lower(), known, n=1)
    prefix = PREFIX + "".join(f"{each.upper()}__" for each in path)
    hint = f" (did you mean {prefix}{near[0].upper()}?)" if near else ""
    return f"unknown variable{hint}; allowed: {', '.join(prefix + each.upper() for each in known)}"


def _put(content: dict[str, Any], path: Path, value: Any) -> None:
    here = content
    for key in path[:-1]:
        below = here.get(str(key))
        if below is None:
            below = here[str(key)] = {}
        if not isinstance(below, dict):
            raise ValueError(f"the file holds a single value for {key}, so nothing can be set below it")
        here = below
    here[str(path[-1])] = value


def _value(text: str, annotation: Any) -> Any:
    """As the file would hold it: text where the key takes text, so that a token of digits stays one."""
    kind = _base(annotation)
    if text == "" and kind is not str:
        return None
    if kind in (tuple, list, set, frozenset):
        return _flow(text) if text.startswith("[") else [each.strip() for each in text.split(",") if each.strip()]
    if kind is dict or (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return _flow(text)
    return resolve(text) if kind in (bool, int, float, Any) else text


def _flow(text: str) -> Any:
    document, problems = parse_text(text, file=FILE)
    if problems:
        raise ValueError("is not YAML or JSON in one line, as [a, b] or {key: value}")
    return document.content


def _base(annotation: Any) -> Any:
    """`Annotated[str, …] | None` comes to `str`."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _base(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return _base(next(each for each in get_args(annotation) if each is not type(None)))
    return origin or annotation
