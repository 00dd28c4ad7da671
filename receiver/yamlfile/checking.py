"""Plain values against a pydantic model: every fault at its place, in words, with what is allowed.

Law: pydantic's own wording and loc tuples do not leave this module, and no message repeats more than 80 characters of a value. Called by
settings, rule files and rule tests.
"""

from __future__ import annotations

import copy
import difflib
import types
from collections.abc import Mapping, Sequence
from dataclasses import fields
from enum import Enum
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError

from receiver.yamlfile.reading import Document, Path, Problem
from receiver.yamlfile.values import read_as

Model = TypeVar("Model", bound="Strict")

SHOWN = 80

PRUNINGS = 4
"""Rounds of leaving faulty keys out; a validator of a whole mapping may speak only after its keys are well."""

BRANCH = "="
"""Tags of a union's branches begin with it, and so are left out of a path: `Annotated[Model, Tag("=mapping")]`."""

_KINDS = {
    "string_type": "text; put it in quotes",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
    "frozen_set_type": "a list",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}
_LIMITS = {
    "greater_than": ("gt", "must be more than"),
    "greater_than_equal": ("ge", "must be at least"),
    "less_than": ("lt", "must be less than"),
    "less_than_equal": ("le", "must be at most"),
    "string_too_long": ("max_length", "is too long; the most characters are"),
    "string_too_short": ("min_length", "is too short; the fewest characters are"),
    "too_long": ("max_length", "has too many entries; the most are"),
    "too_short": ("min_length", "has too few entries; the fewest are"),
}


class Strict(BaseModel):
    """The base of every model of a file: frozen, and every key known."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, hide_input_in_errors=True)


def check_model(model: type[Model], document: Document, path: Path = (), value: Any = ...) -> tuple[Model | None, list[Problem]]:
    """The value at `path` (`...`: the whole content) as a `model`, or None and every fault of it."""
    try:
        return model.model_validate(document.content if value is ... else value), []
    except ValidationError as error:
        found = [_problem(model, document, path, dict(each)) for each in error.errors(include_url=False)]
        return None, list(dict.fromkeys(found))


def check_partly(model: type[Model], document: Document, path: Path, value: Any) -> tuple[Model | None, list[Problem], frozenset[Path]]:
    """As `check_model`; where keys are at fault also what the rest of the mapping comes to, and the paths of what was left out.

    So one bad value does not hide what is wrong between the others. For models all of whose keys have a default.
    """
    whole, found = check_model(model, document, path, value)
    if whole is not None or not isinstance(value, dict):
        return whole, found, frozenset()
    rest = copy.deepcopy(value)
    left_out: set[Path] = set()
    for _ in range(PRUNINGS):
        try:
            return model.model_validate(rest), found, frozenset(left_out)
        except ValidationError as error:
            left_out |= {_prune(rest, _places(each["loc"])) for each in error.errors(include_url=False)} - {()}
    return None, found, frozenset(left_out)


def _prune(value: dict[str, Any], loc: Path) -> Path:
    """Takes the innermost key on the way to `loc` out of `value`, and answers its path: empty where it is out already."""
    here: Any = value
    holder, at = value, 0
    for depth, step in enumerate(loc):
        if isinstance(here, dict) and step in here:
            holder, at = here, depth + 1
        elif not (isinstance(here, list) and isinstance(step, int) and step < len(here)):
            break
        here = here[step]
    if at:
        holder.pop(str(loc[at - 1]), None)
    return loc[:at]


def check_fields(defaults: Any, document: Document, path: Path, raw: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """Values for fields of the dataclass `defaults`: a duration, a count or a share each, as its present value is."""
    names = [each.name for each in fields(defaults)]
    good: dict[str, Any] = {}
    found: list[Problem] = []
    for key, value in raw.items():
        if key not in names:
            found.append(document.problem((*path, key), _unknown(key, names), at_key=True))
            continue
        try:
            good[key] = read_as(type(getattr(defaults, key)), value)
        except ValueError as error:
            found.append(document.problem((*path, key), str(error)))
    return good, found


def _problem(model: type[BaseModel], document: Document, path: Path, error: Mapping[str, Any]) -> Problem:
    loc = _places(error["loc"])
    kind = str(error["type"])
    if kind == "extra_forbidden":
        return document.problem((*path, *loc), _unknown_key(model, loc), at_key=True)
    if kind == "missing":
        return document.problem((*path, *loc[:-1]), f"key {loc[-1]!r} is missing")
    return document.problem((*path, *loc), _in_words(kind, error))


def _places(loc: Path) -> Path:
    return tuple(each for each in loc if not (isinstance(each, str) and each.startswith(BRANCH)))


def _in_words(kind: str, error: Mapping[str, Any]) -> str:
    shown = _shown(error.get("input"))
    context = error.get("ctx") or {}
    if kind in ("enum", "literal_error"):
        return f"{shown} is not one of the allowed values; allowed: {_plain(context.get('expected'))}"
    if kind in _KINDS:
        # A scalar where a section should be may be a secret that was put one level too high: it is not repeated.
        named = _kind_of(error.get("input")) if _KINDS[kind] in ("a mapping", "a list") else shown
        return f"{named} is not {_KINDS[kind]}"
    if kind in _LIMITS:
        name, words = _LIMITS[kind]
        return f"{shown} {words} {context.get(name)}"
    return str(error["msg"]).removeprefix("Value error, ")


def _unknown_key(model: type[BaseModel], loc: Path) -> str:
    known = _fields_at(model, loc[:-1])
    return _unknown(str(loc[-1]), known)


def _unknown(key: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return f"unknown key {_shown(key)}{hint}; allowed: {', '.join(known)}"


def _fields_at(model: type[BaseModel], loc: Path) -> list[str]:
    """The keys of the model that stands at `loc` inside `model`."""
    here: Any = model
    for step in loc:
        found = model_in(here)
        if found is None or not isinstance(step, str) or step not in _names(found):
            here = inner(here) if found is None else here
            continue
        here = _names(found)[step]
    found = model_in(here)
    return list(_names(found)) if found else []


def _names(model: type[BaseModel]) -> dict[str, Any]:
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def model_in(annotation: Any) -> type[BaseModel] | None:
    """The model that an annotation means, through Optional and Annotated, not through containers."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Union, types.UnionType, Annotated):
        return next((found for each in get_args(annotation) if (found := model_in(each))), None)
    return None


def inner(annotation: Any) -> Any:
    """What a list or mapping holds: the last type argument that is not `...`."""
    arguments = [each for each in get_args(annotation) if each is not ... and each is not type(None)]
    if get_origin(annotation) in (Union, types.UnionType, Annotated):
        return inner(arguments[0]) if arguments else None
    return arguments[-1] if arguments else None


def _kind_of(value: object) -> str:
    if value is None or isinstance(value, Mapping | BaseModel | list | tuple):
        return _shown(value)
    return "a text" if isinstance(value, str) else "true or false" if isinstance(value, bool) else "a number"


def _plain(expected: object) -> str:
    return str(expected).replace(" or ", ", ").replace("'", "")


def _shown(value: object) -> str:
    if isinstance(value, Mapping | BaseModel):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None:
        return "nothing (an empty value)"
    text = repr(value.value if isinstance(value, Enum) else value)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
