"""As much of PromQL as the loader must read: which placeholders a query uses, and whether it compares by itself.

Law: only what stands outside of strings, selectors and ranges is code. No parser: Prometheus itself judges the rest when it is asked.
"""

from __future__ import annotations

import re
from collections.abc import Collection

PLACEHOLDERS = ("namespace", "workload", "service", "cluster")
"""Filled from the resolved target only, never from an alert."""

_PLACEHOLDER = re.compile(r"\$(\{?[A-Za-z_][A-Za-z0-9_]*\}?)", re.ASCII)  # not `$1`: label_replace uses it
_STRING = r""" "(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*' | `[^`]*` """
_NO_CODE = re.compile(rf"""\#[^\n]* | {_STRING} | \{{ (?: [^{{}}"'`] | {_STRING} )* \}}""", re.VERBOSE)
_COMPARISON = re.compile(r"==|!=|>=|<=|>|<")


def unknown_placeholders(query: str, known: Collection[str] = PLACEHOLDERS) -> list[str]:
    """Those that nothing would fill, as they are written."""
    return [f"${name}" for name in dict.fromkeys(_PLACEHOLDER.findall(query)) if name not in known]


def compares(query: str) -> bool:
    """It filters by `>`, `==` and their kin, so a healthy service answers with nothing at all."""
    return _COMPARISON.search(_NO_CODE.sub(" ", query)) is not None
