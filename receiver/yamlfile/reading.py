"""YAML text to plain values, with the place of each.

Law: YAML 1.2 core schema only (`NO` and `on` are text), no aliases, no tags, no duplicate keys, at most 1 MiB and 20 levels; all such
faults of a file are reported at once. Works on the parser's events, so nothing hostile is ever built or expanded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, DocumentStartEvent, MappingStartEvent, ScalarEvent, SequenceStartEvent

Path = tuple[str | int, ...]
"""Keys and indices from the top: `("rules", 0, "match")`."""

SIZE_LIMIT_BYTES = 1 << 20
DEPTH_LIMIT = 20
SHOWN = 80

_FOLD = "\a"
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")  # longer ones stay text: no count of ours is that large
_BASED = re.compile(r"0o[0-7]{1,18}|0x[0-9a-fA-F]{1,15}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]{1,30}|[0-9]{1,30}\.[0-9]{0,30}|[0-9]{1,30}(?=[eE]))(?:[eE][-+]?[0-9]{1,2})?")  # always finite
_WORDS: Mapping[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong, where, and what to do. Line and column count from 1; 0: of the whole file."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        place = f":{self.line}:{self.column}" if self.line else ""
        return f"{self.file}{place}: {self.message}"


@dataclass(frozen=True, slots=True)
class Document:
    """A file's content as dicts, lists and scalars, and the place of every key and value in it."""

    file: str
    content: Any  # whatever the YAML holds; a pydantic model makes it ours
    keys: Mapping[Path, tuple[int, int]] = field(default_factory=dict)
    values: Mapping[Path, tuple[int, int]] = field(default_factory=dict)

    def known(self, path: Path) -> Path:
        """The longest beginning of `path` that stands in the file."""
        while path and path not in self.values:
            path = path[:-1]
        return path

    def problem(self, path: Path, message: str, *, at_key: bool = False) -> Problem:
        """At the value of `path` (or its key), or at the nearest thing around it; the message names the path."""
        known = self.known(path)
        places = self.keys if at_key and known in self.keys else self.values
        line, column = places.get(known, (0, 0))
        shown = show_path(path if known == path else known)
        return Problem(self.file, line, column, f"{shown}: {message}" if shown else message)


def show_path(path: Path) -> str:
    """`rules[0].remediate[1].max`."""
    text = ""
    for each in path:
        text += f"[{each}]" if isinstance(each, int) else f".{_cut(each)}" if text else _cut(each)
    return text


def read_file(path: FilePath) -> tuple[Document, list[Problem]]:
    """Never raises for what the file holds, or for a file that cannot be read."""
    try:
        with path.open("rb") as file:
            raw = file.read(SIZE_LIMIT_BYTES + 1)
    except OSError as error:
        return Document(str(path), None), [Problem(str(path), 0, 0, f"cannot be read: {error.strerror or type(error).__name__}")]
    if len(raw) > SIZE_LIMIT_BYTES:
        return Document(str(path), None), [Problem(str(path), 0, 0, "is larger than 1 MiB: split it into several files")]
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        return Document(str(path), None), [Problem(str(path), line, 1, "is not UTF-8 text")]
    return parse_text(text, file=str(path))


def parse_text(text: str, *, file: str) -> tuple[Document, list[Problem]]:
    """The document and all faults of its form. An empty text is a document whose content is None."""
    builder = _Builder(file)
    try:
        for event in YAML(typ="rt", pure=True).parse(text):
            if not builder.take(event):
                break
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        said = " ".join(str(error.problem or error.context or "it cannot be read").split())
        builder.problems.append(Problem(file, line, column, f"not YAML: {said[:256]}"))
    except (YAMLError, ValueError, RecursionError) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        builder.problems.append(Problem(file, 0, 0, f"not YAML: {said[:256]}"))
    return Document(file, builder.content, builder.keys, builder.values), builder.problems


@dataclass(slots=True)
class _Open:
    """A mapping or sequence whose end has not come yet."""

    path: Path
    value: dict[str, Any] | list[Any]
    key: str | None = None
    """The key whose value comes next."""


_ODD_KEY = "\0odd"
"""Stands for a key that is no text: reported, and its value read past."""


class _Builder:
    """Builds the values from the events, without recursion."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.content: Any = None
        self.keys: dict[Path, tuple[int, int]] = {}
        self.values: dict[Path, tuple[int, int]] = {}
        self.problems: list[Problem] = []
        self._open: list[_Open] = []
        self._documents = 0
        self._skip = 0
        """Levels of a key that is itself a mapping or sequence."""

    def take(self, event: Any) -> bool:
        """False: no use in reading on."""
        if isinstance(event, DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                self._say(event, "holds a second document (---): write one document a file")
                return False
        elif self._skip:
            self._skip += _level(event)
            if self._skip > DEPTH_LIMIT:
                self._say(event, f"is nested deeper than {DEPTH_LIMIT} levels")
                return False
        elif isinstance(event, AliasEvent):
            self._say(event, f"alias *{_cut(str(event.anchor))} is not allowed: write the value out")
            self._add(event, None)
        elif isinstance(event, ScalarEvent | MappingStartEvent | SequenceStartEvent):
            return self._value(event)
        elif _level(event) < 0:
            self._open.pop()
        return True

    def _value(self, event: Any) -> bool:
        if event.anchor:
            self._say(event, f"anchor &{_cut(str(event.anchor))} is not allowed: write values out where they are used")
        if event.tag is not None and str(event.tag) not in ("!", ""):
            self._say(event, f"tag {_cut(str(event.tag))} is not allowed: write plain values")
        if isinstance(event, ScalarEvent):
            self._scalar(event)
            return True
        if len(self._open) >= DEPTH_LIMIT:
            self._say(event, f"is nested deeper than {DEPTH_LIMIT} levels")
            return False
        if self._awaits_key():
            self._say(event, "a key must be plain text")
            self._open[-1].key = _ODD_KEY
            self._skip = 1
            return True
        opened: dict[str, Any] | list[Any] = {} if isinstance(event, MappingStartEvent) else []
        self._open.append(_Open(self._add(event, opened), opened))
        return True

    def _awaits_key(self) -> bool:
        return bool(self._open) and isinstance(self._open[-1].value, dict) and self._open[-1].key is None

    def _scalar(self, event: ScalarEvent) -> None:
        if not self._awaits_key():
            self._add(event, _resolve(event))
            return
        top = self._open[-1]
        top.key = str(event.value)
        path = (*top.path, top.key)
        if path in self.keys:
            line, _ = self.keys[path]
            self._say(event, f"key {_cut(top.key)!r} is already given in line {line}")
            top.key = _ODD_KEY
            return
        self.keys[path] = _place(event)

    def _add(self, event: Any, value: Any) -> Path:
        """Puts the value where it belongs and answers its path."""
        path: Path = ()
        if not self._open:
            self.content = value
            self.values[path] = _place(event)
            return path
        top = self._open[-1]
        if isinstance(top.value, list):
            top.value.append(value)
            path = (*top.path, len(top.value) - 1)
        else:
            key = top.key or ""
            path, top.key = (*top.path, key), None
            if key != _ODD_KEY:
                top.value[key] = value
        self.values[path] = _place(event)
        return path

    def _say(self, event: Any, message: str) -> None:
        line, column = _place(event)
        where = show_path(self._open[-1].path) if self._open else ""
        self.problems.append(Problem(self.file, line, column, f"{where}: {message}" if where else message))


def _place(event: Any) -> tuple[int, int]:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _level(event: Any) -> int:
    name = type(event).__name__
    return 1 if name in ("MappingStartEvent", "SequenceStartEvent") else -1 if name in ("MappingEndEvent", "SequenceEndEvent") else 0


def _resolve(event: ScalarEvent) -> str | int | float | bool | None:
    """YAML 1.2 core schema; quoted or block scalars are text."""
    text = str(event.value)
    if event.style == ">":  # ruamel marks each fold, to write it back as it was; nobody else can have written one: YAML forbids it
        text = text.replace(_FOLD, "")
    return resolve(text) if event.style is None and event.implicit[0] else text


def resolve(text: str) -> str | int | float | bool | None:
    """A plain scalar's value: `true`, `5`, `0.2`, nothing, or text. `yes`, `NO` and `5:30` are text, `0755` is 755: not as in YAML 1.1."""
    if text in _WORDS:
        return _WORDS[text]
    kinds: tuple[tuple[re.Pattern[str], Callable[[str], int | float]], ...] = (
        (_INTEGER, int),
        (_BASED, lambda digits: int(digits, 0)),
        (_FLOAT, float),
    )
    for pattern, convert in kinds:
        if pattern.fullmatch(text):
            return convert(text)
    return text


def _cut(text: str) -> str:
    shown = text if text.isprintable() else ascii(text)[1:-1]
    return shown if len(shown) <= SHOWN else shown[: SHOWN - 1] + "…"
