"""Lines of a log that speak of trouble, ranked by pattern: what is said most often first, each with its newest example.

Law: pure and bounded: so many characters of a line, so many words, so many patterns are ever compared; what is shown is masked before it
is cut. Numbers, ids and quoted texts do not
tell two lines apart; lines of one length that differ in few words are one pattern (after Drain, He et al. 2017,
https://jiemingzhu.github.io/pub/pjhe_icws2017.pdf: a fixed depth of length and first word, then likeness).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from receiver.core.masking import safe_line
from receiver.core.unstyled import unstyled

CHARACTERS = 500
WORDS = 40
COMPARED = 50
"""Patterns of one length and first word; more are counted as the last of them."""
ALIKE = 0.7
"""Share of equal words that makes two lines one pattern."""

TROUBLES = (
    "error", "errors", "err", "exception", "exceptions", "fatal", "panic", "critical", "crit", "emerg", "severe", "traceback", "fail",
    "fails", "failed", "failure", "failing", "refused", "denied", "timed out", "timeout", "unavailable", "unreachable", "out of memory",
    "oom", "oomkilled", "killed", "abort", "aborted", "segfault", "unhandled", "cannot", "could not", "unable", "deadlock", "rejection",
    "rejected", "corrupt", "no space left",
)  # fmt: skip
"""Who asks a log's own filter for lines asks for each of these."""
_TROUBLE = re.compile(rf"\b(?:{'|'.join(TROUBLES)})\b|[a-z](?:Error|Exception)\b|^[EF][0-9]{{4}} ", re.IGNORECASE)
_CALM = re.compile(
    r"""(?:level|severity|lvl)\\?["']?\s{0,2}[=:]\s{0,2}\\?["']?(?:info|debug|trace|notice)\b|^\W{0,3}(?:INFO|DEBUG|TRACE)\b"""
    r"""|\s\[?(?:INFO|DEBUG|TRACE)\]?[\s:]|\b(?:0|no) errors?\b|\berrors?\\?["']?[=:]\s{0,2}(?:0|nil|null|none)\b""",
    re.IGNORECASE,
)
_VARIABLE = re.compile(
    r"""["'][^"']{0,200}["']|\b[0-9a-f]{8}-[0-9a-f-]{27}\b|\b0x[0-9a-f]+\b|\b(?=[a-z]*[0-9])[0-9a-f]{8,}\b|[0-9]+""", re.IGNORECASE
)
_STAMP = re.compile(r"^\W{0,2}[0-9]{4}[-/][0-9]{2}[-/][0-9]{2}[T ][0-9:.,]{5,20}(?:Z|[+-][0-9:]{4,6})?\W{0,3}")


@dataclass(frozen=True, slots=True)
class Written:
    """One line of a log."""

    where: str
    """The pod, task or stream."""
    text: str


@dataclass(frozen=True, slots=True)
class Pattern:
    """Lines that say the same."""

    count: int
    newest: Written


@dataclass(slots=True)
class _Group:
    words: list[str]
    count: int
    newest: Written
    at: int


def troubled(text: str) -> bool:
    """It speaks of an error, and does not say itself that it is none."""
    head = _head(text)
    return _TROUBLE.search(head) is not None and _CALM.search(head) is None


def ranked(lines: Iterable[Written], *, most: int) -> list[Pattern]:
    """`lines` oldest first. The most frequent pattern first; of equal ones the newest."""
    groups: dict[tuple[int, str], list[_Group]] = {}
    for at, line in enumerate(lines):
        words = _words(line.text)
        alike = groups.setdefault((len(words), words[0] if words else ""), [])
        group = next((each for each in alike if _alike(each.words, words)), None) or (alike[-1] if len(alike) >= COMPARED else None)
        if group is None:
            alike.append(_Group(words, 1, line, at))
        else:
            group.words = [old if old == new else "*" for old, new in zip(group.words, words, strict=True)]
            group.count, group.newest, group.at = group.count + 1, line, at
    found = sorted((each for alike in groups.values() for each in alike), key=lambda each: (-each.count, -each.at))
    return [Pattern(each.count, each.newest) for each in found[:most]]


def told(lines: Sequence[Written], *, most: int, span: str) -> list[str]:
    """As a page shows them; where none speaks of trouble, the newest lines as they are. `span`: what was read, as `the last 5 min`."""
    troubles = [each for each in lines if troubled(each.text)]
    if troubles:
        return [f"{each.count}x {each.newest.where}: {safe_line(each.newest.text)}" for each in ranked(troubles, most=most)]
    if not lines:
        return [f"no lines in {span}"]
    return [f"no line of {len(lines)} in {span} speaks of an error; the newest:", *newest(lines)]


def newest(lines: Sequence[Written]) -> list[str]:
    """The last few as they are."""
    return [f"{each.where}: {safe_line(each.text)}" for each in lines[-LAST:]]


LAST = 5
"""Lines that are shown where none speaks of an error."""


def _head(text: str) -> str:
    """What is compared, without colours."""
    return unstyled(text[: 2 * CHARACTERS])[:CHARACTERS]


def _words(text: str) -> list[str]:
    return _VARIABLE.sub("#", _STAMP.sub("", _head(text))).split()[:WORDS]


def _alike(old: list[str], new: list[str]) -> bool:
    same = sum(first in (second, "*") for first, second in zip(old, new, strict=True))
    return same >= ALIKE * len(new)
