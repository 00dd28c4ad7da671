"""One Alertmanager matcher over RE2: `alertname=~"Kube.*"`.

Owns the syntax (`=`, `!=`, `=~`, `!~`) and the meaning of a match; rules are conjunctions of these. RE2 because label values
come from outside: Python's `re` took 3 s on 27 hostile characters, RE2 is linear (syntax as in Prometheus, fully anchored).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import re2

SUBJECT_LIMIT = 4096
"""Characters of a label value that a regular expression sees; longer values are cut, so work per alert is bounded."""

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_MATCHER = re.compile(rf'\s*(?P<name>{_QUOTED}|[a-zA-Z_][a-zA-Z0-9_.:-]*)\s*(?P<op>=~|!~|!=|=)\s*(?P<value>{_QUOTED}|[^,{{}}"\s]*)\s*')
_LITERAL = re.compile(r"[A-Za-z0-9_-]+(?:\|[A-Za-z0-9_-]+)*")
_ESCAPE = re.compile(r"\\(.)")


def _options() -> Any:  # re2 ships no types for Options
    options = re2.Options()
    options.log_errors = False  # else absl writes to stderr
    options.max_mem = 1 << 20
    return options


_OPTIONS = _options()


@dataclass(frozen=True, slots=True)
class Matcher:
    """`name op value`; a label that is absent counts as the empty string, as in Alertmanager."""

    name: str
    op: str
    value: str
    _regex: Any = field(default=None, compare=False, repr=False)  # the compiled RE2 pattern

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Total: never raises, whatever the labels hold."""
        subject = labels.get(self.name, "")
        if self._regex is None:
            return (subject == self.value) is (self.op == "=")
        return bool(self._regex.fullmatch(subject[:SUBJECT_LIMIT])) is (self.op == "=~")

    @property
    def literals(self) -> frozenset[str] | None:
        """The only values that can match, where that is a short closed list; None when it is open."""
        if self.op == "=":
            return frozenset({self.value})
        if self.op == "=~" and _LITERAL.fullmatch(self.value):
            return frozenset(self.value.split("|"))
        return None

    def __str__(self) -> str:
        quoted = self.value.replace("\\", "\\\\").replace('"', '\\"')
        return f'{self.name}{self.op}"{quoted}"'


def matcher(name: str, op: str, value: str) -> Matcher:
    """Builds one; ValueError names a regular expression that RE2 refuses."""
    if op not in ("=~", "!~"):
        return Matcher(name, op, value)
    try:
        return Matcher(name, op, value, re2.compile(value, options=_OPTIONS))
    except re2.error as bad:
        detail = bad.args[0].decode(errors="replace") if bad.args and isinstance(bad.args[0], bytes) else str(bad)
        raise ValueError(f"regular expression {value!r} is not RE2: {detail}") from bad


def parse_matchers(text: str) -> tuple[Matcher, ...]:
    """`a="b"` or `{a="b", c=~"d|e"}` → matchers; ValueError says what was expected and where."""
    body = text.strip()
    if body.startswith("{") and body.endswith("}"):
        body = body[1:-1].rstrip().removesuffix(",")
    found: list[Matcher] = []
    at = 0
    while at < len(body):
        match = _MATCHER.match(body, at)
        if match is None:
            raise ValueError(f'{text!r} at character {at + 1}: expected label, one of = != =~ !~, and a quoted value, as alertname=~"A|B"')
        found.append(matcher(_unquote(match["name"]), match["op"], _unquote(match["value"])))
        at = match.end()
        if at < len(body):
            if body[at] != ",":
                raise ValueError(f"{text!r} at character {at + 1}: expected a comma between matchers, found {body[at]!r}")
            at += 1
    if not found:
        raise ValueError(f'{text!r} holds no matcher; write one as alertname="Watchdog"')
    return tuple(found)


def _unquote(text: str) -> str:
    if not text.startswith('"'):
        return text
    return _ESCAPE.sub(lambda each: {"n": "\n", '"': '"', "\\": "\\"}.get(each[1], "\\" + each[1]), text[1:-1])
