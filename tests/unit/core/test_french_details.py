"""On a French page every detail of a refusal is French: each text that a bound can put into one is read from its source and put over."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from types import ModuleType

import pytest

from receiver.core import bounds, budgets, classify, confirmation, dependencies, offers, places, verbs
from receiver.core.facts import Hazard
from receiver.core.looks import NO_PROMETHEUS
from receiver.core.wording import detail_text
from receiver.observe import ailments, capacity, claims, consent, dangers, ecs_dangers, ecs_undo, undo_plan

MODULES = (bounds, budgets, confirmation, dependencies, offers, places, verbs)
OBSERVERS = (ailments, capacity, claims, consent, dangers, ecs_dangers)
DETAIL_AT = {"refuse": 1, "until": 2, "Danger": 1, "UndoPlan": 0}
ENGLISH = frozenset(
    re.findall(
        r"\w+",
        """ago all already and any are at be been before by cannot does every everywhere fires for had has have in is it its kill more must
        no nobody none not nothing of old one only passed reads said says since so than that the there they this tried until up was waits
        were which with yes""",
    )
)
"""Words that no French detail has."""
OURS = re.compile(r"[\w.]*[._][\w.]*|receiver approve \S+")
"""Names of settings and commands stay as they are."""
ANYTHING = "3"
"""Stands for whatever a text is filled with: a count, a gap of time and a name at once."""


def _functions(tree: ast.Module) -> dict[str, ast.FunctionDef]:
    return {each.name: each for each in tree.body if isinstance(each, ast.FunctionDef)}


def _parsed(module: ModuleType) -> ast.Module:
    return ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))


BORROWED = {name: each for name, each in _functions(_parsed(classify)).items() if name == "odd_form"}
"""By the bounds, of another module."""


def texts(*modules: ModuleType) -> list[str]:
    """Every detail that these can give, each once; without those where a part says nothing, which a bound does not tell."""
    found = {text for module in modules for text in _of_module(_parsed(module))}
    return sorted(each for each in found if re.search("[a-z]{2}", each) and not re.search(r" (;|$)", each))


def _of_module(tree: ast.Module) -> Iterator[str]:
    functions = _functions(tree)
    for function in functions.values():
        said = {
            target.id: each.value
            for each in ast.walk(function)
            if isinstance(each, ast.Assign)
            for target in each.targets
            if isinstance(target, ast.Name)
        }
        for call in ast.walk(function):
            detail = _detail(call)
            if detail is not None:
                yield from _Reading(BORROWED | functions, said).of(detail)


def _detail(node: ast.AST) -> ast.expr | None:
    if not isinstance(node, ast.Call) or any(each.arg == "asks" for each in node.keywords):
        return None  # what only asks stands in no refusal
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    named = next((each.value for each in node.keywords if each.arg == "refusal"), None)
    at = DETAIL_AT.get(called)
    return named if at is None or called == "UndoPlan" else node.args[at]


class _Reading:
    """What an expression can come to: both sides of a choice, and a stand-in for what is not written there."""

    def __init__(self, functions: dict[str, ast.FunctionDef], said: dict[str, ast.expr]) -> None:
        self.functions = functions
        self.said = said

    def of(self, node: ast.expr) -> list[str]:
        found = [ANYTHING]
        match node:
            case ast.Constant(str(text)):
                found = [text]
            case ast.JoinedStr(parts):
                found = ["".join(each) for each in product(*(self.of(part) for part in parts))]
            case ast.FormattedValue(value) | ast.Call(ast.Attribute(value, "rstrip")):
                found = self.of(value)
            case ast.IfExp(_, yes, no):
                found = [*self.of(yes), *self.of(no)]
            case ast.BinOp(left, ast.Add(), right):
                found = ["".join(each) for each in product(self.of(left), self.of(right))]
            case ast.BoolOp(_, values):
                found = [text for each in values for text in self.of(each)]
            case ast.Name(name) if name in self.said:
                found = self.of(self.said[name])
            case ast.Call(ast.Name(name)) if name in self.functions:
                found = self._returned(self.functions[name])
        return found

    def _returned(self, function: ast.FunctionDef) -> list[str]:
        inner = _Reading(self.functions, {})
        found = [each.value for each in ast.walk(function) if isinstance(each, ast.Return) and each.value is not None]
        return [text for each in found for text in inner.of(each)] or [ANYTHING]


def _is_french(english: str) -> None:
    french = detail_text(english, "fr")
    words = set(re.findall(r"[a-zà-ÿ]+", OURS.sub(" ", french.lower())))
    assert french != english
    assert words & ENGLISH == set(), french


@pytest.mark.parametrize("english", texts(*MODULES, undo_plan, ecs_undo))
def test_every_detail_of_a_refusal_is_put_into_french(english: str) -> None:
    _is_french(english)


@pytest.mark.parametrize("english", texts(*OBSERVERS))
def test_every_hazard_is_put_into_french(english: str) -> None:
    _is_french(f"hpa: {english}; paused: {english}")


def test_each_of_several_hazards_is_put_over_on_its_own() -> None:
    english = "paused: Deployment web is paused; gitops: x: it would be set back; revert the commit instead; quota: of the vendor"
    french = "paused : le Deployment web est en pause ; gitops : x : le changement serait défait ; annulez plutôt le commit"
    assert detail_text(english, "fr") == f"{french} ; quota: of the vendor"


def test_the_sources_were_read() -> None:
    found = texts(*MODULES)
    assert len(found) > 60
    assert "kubernetes.undo_token_file is not set" in found
    assert "its strategy takes all of 3 pods down at once" in found
    assert len(texts(*OBSERVERS)) >= len(Hazard)
    assert "no earlier revision differs from the current one by more than a restart" in texts(undo_plan)


UNASKED = "no Prometheus is configured (prometheus.url)"


@pytest.mark.parametrize(
    "english",
    [
        f"query: error ({UNASKED})",
        f"nothing shows the symptom, query: error ({UNASKED})",
        f"no data, high impact kept ({UNASKED})",
        f"dependency db cannot be told: error {UNASKED}; support: dba",
        f"dependency db cannot be told: error {UNASKED}",
    ],
)
def test_a_question_that_nobody_can_be_asked_says_so_in_french(english: str) -> None:
    assert UNASKED == NO_PROMETHEUS
    assert "aucun Prometheus n'est configuré (prometheus.url)" in detail_text(english, "fr")
    _is_french(english)
