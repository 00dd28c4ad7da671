"""Decisions in words: the sentences of timeline and log, the text of a page, the commands that a person may run, in French and English.

Law: pure and total; alert text enters cut and cleaned (`dedup.plain`), as an argument and never as a format; nothing is said that does not
stand in the case. Called by the responder, the console, the CLI and chat.
"""

from receiver.core.wording.because import because_text
from receiver.core.wording.commands import Suggestion, next_command, suggest
from receiver.core.wording.details import detail_text
from receiver.core.wording.pages import page_text, resolve_text
from receiver.core.wording.sections import classified_text
from receiver.core.wording.sentences import sentence
from receiver.core.wording.troubles import TROUBLES, trouble_text

__all__ = [
    "TROUBLES",
    "Suggestion",
    "because_text",
    "classified_text",
    "detail_text",
    "next_command",
    "page_text",
    "resolve_text",
    "sentence",
    "suggest",
    "trouble_text",
]
