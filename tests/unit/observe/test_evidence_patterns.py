"""Which lines of a log are shown, and in which order."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.observe.evidence.patterns import Written, ranked, told, troubled

TROUBLED = [
    "2026-11-20T12:00:00Z ERROR could not connect",
    "java.lang.IllegalStateException: closed",
    "E1120 12:00:00.1 1 main.go:3] it broke",
    '{"level":"error","msg":"x"}',
    "dial tcp 10.0.0.1:5432: connection refused",
    "panic: runtime error",
    "Traceback (most recent call last):",
    "request timed out after 30s",
    "Out of memory: Killed process 12",
    "\x1b[31mERROR\x1b[0m it broke",
    "Unhandled rejection",
]
CALM = [
    "served / in 3ms",
    "INFO no errors found",
    '{"level":"info","msg":"error budget at 99%"}',
    "finished: 0 errors, 0 warnings",
    "level=debug error=nil",
    "12:00 [INFO] retry of failed job succeeded",
    "",
    "\x1b[32mINFO\x1b[0m retry of failed job succeeded",
]


@pytest.mark.parametrize("line", TROUBLED)
def test_lines_of_trouble_are_known(line: str) -> None:
    assert troubled(line)


@pytest.mark.parametrize("line", CALM)
def test_lines_that_say_that_all_is_well_are_not(line: str) -> None:
    assert not troubled(line)


def written(*lines: str) -> list[Written]:
    return [Written("web", each) for each in lines]


def test_numbers_ids_and_quoted_texts_make_no_new_pattern() -> None:
    found = ranked(
        written(
            "2026-11-20 12:00:00 order 17 of user 'ann' failed with 0xdead",
            "2026-11-20 12:00:01 order 18 of user 'bob' failed with 0xbeef",
            "job 123e4567-e89b-12d3-a456-426614174000 failed",
            "job 323e4567-e89b-12d3-a456-426614174000 failed",
        ),
        most=20,
    )
    assert [each.count for each in found] == [2, 2]


def test_lines_that_differ_in_few_words_are_one_pattern() -> None:
    found = ranked(written(*(f"cannot reach host {name} on port 80 of zone a" for name in ("db", "mq", "cache"))), most=20)
    assert [(each.count, "cache" in each.newest.text) for each in found] == [(3, True)]


def test_the_most_frequent_pattern_comes_first_and_of_equals_the_newest() -> None:
    found = ranked(written("alpha failed", "beta was refused by x", "gamma one two three", "beta was refused by y"), most=20)
    assert [(each.count, each.newest.text) for each in found] == [
        (2, "beta was refused by y"), (1, "gamma one two three"), (1, "alpha failed"),
    ]  # fmt: skip


def test_no_more_patterns_are_told_than_asked_for() -> None:
    assert len(ranked(written(*("error " + "x " * each for each in range(30))), most=20)) == 20


def test_nothing_in_a_log_is_said() -> None:
    assert told([], most=20, span="the last 5 min") == ["no lines in the last 5 min"]


@pytest.mark.parametrize("secret", ["john.doe@example.com", "4111111111111111", "AKIAIOSFODNN7EXAMPLE", "key=abc password=hunter2"])
@pytest.mark.parametrize("head", ["ERROR ", "INFO "])
def test_no_part_of_a_secret_is_shown_wherever_the_line_is_cut(head: str, secret: str) -> None:
    for padding in range(470, 510):
        (*_, line) = told(written(f"{head}token={'a' * padding} {secret}"), most=5, span="x")
        assert not [each for each in ("john", "411111", "AKIA", "hunter") if each in line]


@given(st.lists(st.text(max_size=60), max_size=30))
def test_every_line_is_counted_once(lines: list[str]) -> None:
    assert sum(each.count for each in ranked(written(*lines), most=100)) == len(lines)


@pytest.mark.parametrize(
    "line", ["error " + '"' * 5_000, "error " + "a" * 5_000, "error " + "1a" * 2_500, "error " + " x" * 2_500, "error=" * 800]
)
def test_hostile_lines_cost_little(line: str) -> None:
    lines = written(*(f"{line} {at}" for at in range(900)))
    began = time.process_time()
    told(lines, most=20, span="")
    assert time.process_time() - began < 1.5
