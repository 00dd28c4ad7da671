"""Text without what no reader sees: colours and cursor movements of terminals, links, marks of no width.

Law: pure, linear (RE2) and total. Nothing is put in their place, since they stand inside of words: `pass<colour>word`. Called by the
masking before it looks, and by whoever looks for words in a log.
"""

from __future__ import annotations

from typing import Any

import re2


def compiled(pattern: str) -> Any:  # re2 ships no types
    """Quiet about patterns that do not compile."""
    options = re2.Options()
    options.log_errors = False
    return re2.compile(pattern, options=options)


_SEQUENCE = compiled(
    r"(?:\x1b\[|\x{9b})[0-?]*[ -/]*[@-~]"  # CSI, ECMA-48 5.4
    r"|(?:\x1b\]|\x{9d})[^\x07\x1b\x{9c}]*(?:\x07|\x1b\\|\x{9c})"  # OSC: titles, links
    r"|\x1b[ -/]{1,4}[0-~]|\x1b[78=>]|\x1b"
    r"|(?i:\\{1,4}u001b|\\{1,4}x1b|\\{1,4}033|\\{1,4}e|#033|\^\[)\[[0-9;]{0,20}m"  # as JSON, shells and rsyslog write them
    r"|\[0m"  # what is left of one where the escape was thrown away
    r"|[\p{Cf}\x{34f}\x{115f}\x{1160}\x{180b}-\x{180f}\x{3164}\x{fe00}-\x{fe0f}\x{ffa0}]"
)
_LEFT_OVER = compiled(r"(?:\[[0-9]{1,3}(?:;[0-9]{1,3}){0,4}m)+([^\]\s:)\[]|\z)")
"""Colours without their escape; `rate(x[5m])` is none."""
_WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
"""Letters as wide as Chinese ones, to those of ASCII."""


def unstyled(text: str) -> str:
    """The words alone."""
    if text.isascii() and "\x1b" not in text and "[" not in text:  # most lines
        return text
    return str(_LEFT_OVER.sub(r"\1", _SEQUENCE.sub("", text))).translate(_WIDE)
