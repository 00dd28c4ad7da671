"""Words of a POSIX shell: quoted where they are known, marked and unrunnable where they are not.

Law: what comes from outside enters a line as a quoted word or not at all. A gap stands outside of every quote as `<<<QUEUE: …>>>`: no
POSIX shell, bash or zsh parses that, so a line that holds one runs nothing of itself, not even what stands before the gap.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass

_TOKEN = re.compile(r"@([a-z_]+)@")
_HARMLESS = re.compile(r"[^\w .,:/-]")
UNFILLED = "<<<"


@dataclass(frozen=True, slots=True)
class Gap:
    """What is not known, and where it is to be said."""

    key: str
    where: str

    def __str__(self) -> str:
        """`>>>` is the syntax error; `<<<` only makes it look whole."""
        return f"{UNFILLED}{self.key.upper()}: {_HARMLESS.sub('', self.where)}>>>"


Part = str | Gap
Word = Part | tuple[Part, ...]
Escape = Callable[[str], str]


def quoted(word: Word) -> str:
    """One shell word. A gap in the middle of it stands between the quotes, so that filling it in is all there is to do."""
    parts = word if isinstance(word, tuple) else (word,)
    text = ""
    known = ""
    for part in parts:
        if isinstance(part, str):
            known += part
            continue
        text += (_quoted(known, first=not text) if known else "") + str(part)
        known = ""
    return text + (_quoted(known, first=not text) if known or not text else "")


def _quoted(text: str, *, first: bool) -> str:
    """An unquoted word `=ls` is the path of ls in zsh: https://zsh.sourceforge.io/Doc/Release/Expansion.html#g_t_0060_003d_0027-expansion"""
    done = shlex.quote(text)
    return f"'{done}'" if first and done.startswith("=") else done


def run(*words: Word) -> str:
    """A simple command."""
    return " ".join(map(quoted, words))


def chain(*commands: str) -> str:
    """Each only if the one before succeeded."""
    return " && ".join(commands)


def joined(*words: Word) -> tuple[Part, ...]:
    """One word out of several."""
    return tuple(part for word in words for part in (word if isinstance(word, tuple) else (word,)))


def filled(template: str, escape: Escape, **values: Part) -> tuple[Part, ...]:
    """A word: `@name@` in the template becomes the value, escaped for the language that the template is written in."""
    parts: list[Part] = []
    end = 0
    for found in _TOKEN.finditer(template):
        value = values[found[1]]
        parts += [template[end : found.start()], value if isinstance(value, Gap) else escape(value)]
        end = found.end()
    return (*parts, template[end:])


def in_json(text: str) -> str:
    """Inside the double quotes of JSON, and of a string of a Go template."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


def in_sql(text: str) -> str:
    """Inside the single quotes of a literal, or the double ones of a name; standard_conforming_strings has been on since PostgreSQL 9.1."""
    return text.replace("'", "''").replace('"', '""')


def as_it_is(text: str) -> str:
    """Where the key's own pattern leaves nothing to escape."""
    return text


def keep(variable: str, reading: str, why: str = "") -> str:
    """Reads into a variable; stops the chain when the reading fails or brings nothing, and says `why`."""
    brought = f'[ -n "${variable}" ]'
    return chain(f"{variable}=$({reading})", unless(brought, why) if why else brought)


def unless(test: str, why: str) -> str:
    """Stops the chain with a reason where the test does not hold."""
    return f"{{ {test} || {{ echo {quoted(why)} >&2; false; }}; }}"


def write(variable: str, file: str, *, template: str = r"%s\n") -> str:
    """Into a new file that only its owner reads; a file that is there already is never overwritten, since it holds the first state."""
    return f'(umask 077; set -C; printf {shlex.quote(template)} "${variable}" > {shlex.quote(file)})'


def tried(patch: str) -> str:
    """The server takes a patch of kubectl, and changes nothing."""
    return f"{patch} --dry-run=server"


def sealed(lines: tuple[str, ...], note: Gap) -> tuple[str, ...]:
    """While one line of several holds a gap, none of them runs: the later ones rest on the earlier ones."""
    if not any(UNFILLED in each for each in lines):
        return lines
    return tuple(each if UNFILLED in each else f"{note} {each}" for each in lines)
