"""What a person types behind a command: numbers and texts, refused in words that say what to type instead.

Law: what is refused here ends with exit code 2 and has changed nothing. Used by `cli_client` and `cli_deciding`.
"""

from __future__ import annotations

import re

import click

from receiver.core.dedup import plain

NOTE_LIMIT = 4096
_DIGITS = re.compile(r"[0-9]{1,18}", re.ASCII)


class Number(click.ParamType[int]):
    """Of an incident or of a hold: 1 to 18 digits."""

    name = "id"

    def __init__(self, of: str, listing: str) -> None:
        self._of = of
        self._listing = listing

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value)
        if not _DIGITS.fullmatch(text) or int(text) == 0:
            self.fail(
                f"{plain(text, limit=40)!r} is not the number of {self._of}, as 7; `{self._listing}` shows those that exist", param, ctx
            )
        return int(text)


class Note(click.ParamType[str]):
    """A sentence for the timeline."""

    name = "text"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if not text.strip():
            self.fail('is empty; write what you saw or did, as receiver note 7 "rolled back by hand"', param, ctx)
        if len(text) > NOTE_LIMIT:
            self.fail(f"has {len(text)} characters; a note holds {NOTE_LIMIT}", param, ctx)
        return text


INCIDENT = Number("an incident", "receiver incidents")
HOLD = Number("a freeze", "receiver freeze --list")
NOTE = Note()
