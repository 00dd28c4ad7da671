"""Words of a shell: what is known arrives as it was, what is not known stops the whole line."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.core.prepared.shell import Gap, Word, filled, in_json, in_sql, joined, quoted, run, sealed
from tests.fakes.prepared import SHELLS, parses

PRINTABLE = st.text(st.characters(blacklist_categories=("Cc", "Cs")), max_size=40)
GAP = Gap("queue", "not in the catalogue, set services.checkout.values.queue")


def test_a_gap_names_what_is_missing_and_where_to_say_it() -> None:
    assert "<QUEUE: not in the catalogue, set services.checkout.values.queue>" in str(GAP)


@settings(max_examples=30, deadline=None)
@given(words=st.lists(PRINTABLE, min_size=1, max_size=5), shell=st.sampled_from(SHELLS))
def test_every_word_arrives_as_it_was(words: list[str], shell: str) -> None:
    line = run("printf", r"%s\0", *words)
    said = subprocess.run([shell, "-c", line], capture_output=True, check=True, timeout=35).stdout
    assert said.decode().split("\0")[:-1] == words


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    "line",
    [
        run("echo", GAP),
        run("echo", GAP, "more"),
        run("echo", joined("a b", GAP, "c'd")),
        run("echo", joined(GAP, "=", GAP)),
        "echo before; " + run("echo", GAP) + "; echo after",
        "echo before && " + run("echo", GAP),
        "X=$(" + run("echo", GAP, "x") + ") && " + run("echo", GAP),
        run("echo", "1", joined("5", GAP)) + " > out",
        run("echo", "x") + " > " + run(GAP),
        f"{GAP} echo after",
    ],
)
def test_a_line_with_a_gap_does_not_parse(line: str, shell: str) -> None:
    assert not parses(line, shell=shell)


@given(where=st.text(max_size=40))
@settings(max_examples=30, deadline=None)
def test_no_text_of_a_gap_makes_its_line_run(where: str) -> None:
    assert not parses(f"echo ran {Gap('queue', where)}")


def test_filling_a_gap_in_is_all_there_is_to_do() -> None:
    line = run("printf", "%s", filled('{"queue":"@queue@"}', in_json, queue=GAP))
    said = subprocess.run(["bash", "-c", line.replace(str(GAP), "dead_letter")], capture_output=True, check=True, timeout=35).stdout
    assert said == b'{"queue":"dead_letter"}'


def test_while_one_line_has_a_gap_none_of_them_runs() -> None:
    lines = sealed((run("kubectl", "cordon", GAP), "kubectl drain x"), GAP)
    assert [parses(each) for each in lines] == [False, False]
    assert sealed(("a", "b"), GAP) == ("a", "b")


def test_an_empty_word_is_still_a_word() -> None:
    assert quoted("") == "''"


@pytest.mark.parametrize("word,written", [("=ls", "'=ls'"), ("==", "'=='"), ("a=b", "a=b"), (("=", GAP), f"'='{GAP}")])
def test_a_word_that_zsh_would_look_up_as_a_command_is_quoted(word: Word, written: str) -> None:
    """`=ls` is the path of ls there: https://zsh.sourceforge.io/Doc/Release/Expansion.html#g_t_0060_003d_0027-expansion"""
    assert quoted(word) == written


@pytest.mark.parametrize("escape,text,inside", [(in_json, 'a"b\\', 'a\\"b\\\\'), (in_sql, "o'b\"c", "o''b\"\"c")])
def test_values_are_escaped_for_the_language_they_enter(escape: object, text: str, inside: str) -> None:
    assert callable(escape)
    assert escape(text) == inside
