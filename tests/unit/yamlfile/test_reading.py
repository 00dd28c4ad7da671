"""YAML as people write it, and what nobody should: read strictly, every fault with its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.yamlfile import parse_text, read_file


def problems(text: str) -> list[str]:
    return [str(each) for each in parse_text(text, file="f.yaml")[1]]


@pytest.mark.parametrize(
    "text,value",
    [
        ("NO", "NO"),
        ("yes", "yes"),
        ("on", "on"),
        ("5:30", "5:30"),
        ("0755", 755),
        ("0o17", 15),
        ("0x1F", 31),
        ("true", True),
        ("False", False),
        ("1_000", "1_000"),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("", None),
        ("~", None),
        ('"true"', "true"),
        ("'5'", "5"),
        ("|\n  true", "true"),
        ("9" * 1000, "9" * 1000),
        (".inf", ".inf"),
        ("2026-01-05", "2026-01-05"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value: object) -> None:
    document, found = parse_text(f"key: {text}", file="f.yaml")
    assert found == []
    assert document.content["key"] == value
    assert type(document.content["key"]) is type(value)


def test_an_old_directive_changes_nothing() -> None:
    assert parse_text("%YAML 1.1\n---\nkey: yes\n", file="f")[0].content == {"key": "yes"}


def test_every_value_and_key_knows_its_place() -> None:
    document, _ = parse_text("a:\n  - b: 1\n    c: [x, y]\n", file="f.yaml")
    assert document.keys["a", 0, "c"] == (3, 5)
    assert document.values["a", 0, "c", 1] == (3, 12)
    assert str(document.problem(("a", 0, "c", 1), "is wrong")) == "f.yaml:3:12: a[0].c[1]: is wrong"
    assert str(document.problem(("a", 0, "missing"), "is missing")) == "f.yaml:2:5: a[0]: is missing"


@pytest.mark.parametrize(
    "text,value",
    [
        (">-\n  sum(a)\n  / sum(b)\n", "sum(a) / sum(b)"),
        (">\n  a\n  b\n\n  c\n    d\n  e\n", "a b\nc\n  d\ne\n"),
        (">+\n  a\n\n# said\nother: 1\n", "a\n\n"),
        ("|\n  a\n  b # c\n# said\nother: 1\n", "a\nb # c\n"),
        ('"a\n  b"\n', "a b"),
        ("a\n  b\n", "a b"),
    ],
)
def test_text_of_several_lines_is_folded_and_nothing_is_added(text: str, value: str) -> None:
    document, found = parse_text(f"key: {text}", file="f.yaml")
    assert (document.content["key"], found) == (value, [])


@pytest.mark.parametrize(
    "text,place,words",
    [
        ("a: 1\nb: 2\na: 3\n", "3:1", "key 'a' is already given in line 1"),
        ("a: &x 1\n", "1:4", "anchor &x is not allowed"),
        ("a: *x\n", "1:4", "alias *x is not allowed"),
        ("a: !!python/object:os.system x\n", "1:4", "tag"),
        ("a: !env HOME\n", "1:4", "tag !env is not allowed"),
        ("? [1, 2]\n: x\n", "1:3", "a key must be plain text"),
        ("? {a: b}\n: x\n", "1:3", "a key must be plain text"),
        ("a: 1\n---\nb: 2\n", "2:1", "second document"),
        ("a: [1\n", "2:1", "not YAML"),
        ("a: b: c\n", "1:5", "not YAML"),
        ("a:\n\t- b\n", "2:1", "not YAML"),
    ],
)
def test_what_is_refused_is_named_with_its_place(text: str, place: str, words: str) -> None:
    first = problems(text)[0]
    assert first.startswith(f"f.yaml:{place}: ")
    assert words in first


def test_all_faults_are_reported_at_once() -> None:
    assert len(problems("a: &x 1\na: *x\nb: !t 2\nb: 3\n")) == 5


def test_a_merge_key_is_a_key_like_any_other() -> None:
    assert parse_text("<<: 1\n", file="f")[0].content == {"<<": 1}


def test_what_stands_below_a_duplicate_key_is_read_past() -> None:
    document, found = parse_text("a: 1\na: {b: {c: [2]}}\nd: 3\n", file="f")
    assert document.content == {"a": 1, "d": 3}
    assert len(found) == 1


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 100_000, "- " * 100_000, "? " * 30_000])
def test_deep_nesting_ends_at_the_limit(text: str) -> None:
    assert problems(text)


def test_a_billion_laughs_are_never_built() -> None:
    bomb = "a: &a [x, x]\n" + "".join(f"{chr(98 + at)}: &{chr(98 + at)} [*{chr(97 + at)}, *{chr(97 + at)}]\n" for at in range(20))
    assert any("alias" in each for each in problems(bomb))


def test_a_large_file_and_one_that_is_no_text_are_refused(tmp_path: Path) -> None:
    large, binary = tmp_path / "large.yaml", tmp_path / "binary.yaml"
    large.write_bytes(b"#" * ((1 << 20) + 1))
    binary.write_bytes(b"a: 1\nb: \xff\n")
    assert "larger than 1 MiB" in str(read_file(large)[1][0])
    assert str(read_file(binary)[1][0]) == f"{binary}:2:1: is not UTF-8 text"
    assert "cannot be read" in str(read_file(tmp_path / "missing.yaml")[1][0])


@given(st.text(max_size=200))
def test_no_text_makes_it_raise(text: str) -> None:
    document, found = parse_text(text, file="f")
    assert document.content is None or isinstance(document.content, dict | list | str | int | float | bool)
    assert all(each.file == "f" for each in found)


@given(st.text(alphabet='ab:-[]{}&*!?|>"#,% \n', max_size=60))
def test_no_yaml_like_text_makes_it_raise(text: str) -> None:
    parse_text(text, file="f")
