"""Figures that a rule names for its page."""

from __future__ import annotations

from pathlib import Path

import pytest

from receiver.core.model import NamedQuery
from receiver.rulefiles import check, load

HEAD = "apiVersion: receiver/v1\nkind: Rules\ndefault: {impact: medium, urgency: medium}\n"
RULE = "rules: [{name: x, match: ['alertname=\"X\"'], %s}]\n"
MANY = ", ".join(f"{{name: q{number}, query: up}}" for number in range(11))


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "50-x.yaml"
    file.write_text(HEAD + RULE % text, encoding="utf-8")
    return file


def test_figures_are_loaded_in_order(tmp_path: Path) -> None:
    file = written(tmp_path, "evidence: [{name: up, query: 'up{namespace=\"$namespace\"} > 0'}, {name: load, query: rate}]")
    (rule,) = load([file], known_actions=()).rules
    assert rule.evidence == (NamedQuery("up", 'up{namespace="$namespace"} > 0'), NamedQuery("load", "rate"))


@pytest.mark.parametrize(
    "text,says",
    [
        ("evidence: [{query: up}]", "key 'name' is missing"),
        ("evidence: [{name: up}]", "key 'query' is missing"),
        ("evidence: [{name: up, query: a}, {name: up, query: b}]", "'up' is listed twice"),
        ("evidence: [{name: up, query: 'up{pod=\"$pod\"}'}]", "$pod is not a placeholder"),
        ("evidence: [{name: up, query: a}], ignore: true", "makes no incident"),
        (f"evidence: [{MANY}]", "10"),
        ("evidence: [{name: up, query: a, exec: psql}]", "exec"),
    ],
)
def test_what_nobody_could_ask_is_refused(tmp_path: Path, text: str, says: str) -> None:
    (problem,) = check([written(tmp_path, text)], known_actions=())
    assert says in str(problem)
