"""Structured logs: one JSON object a line, whoever wrote it, with secrets taken out.

Law: data stands in fields, never in the event's name; every text is cut at 2 kB; what is known to be secret never leaves, neither under
a telling key, nor as a `Secret`, nor as a registered value inside any text, tracebacks included (they carry no local variables).
`configure_logging` is called once by `app.py`; rooms use `structlog.get_logger()`.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Collection, Mapping, MutableMapping
from typing import Any, TextIO
from urllib.parse import quote

import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict, Processor, WrappedLogger

from receiver.secret import Secret

FIELD_LIMIT = 2048
"""Characters of one text (reliability: at most 2 kB a field)."""
ITEMS_LIMIT = 100
NUMBER_LIMIT = 2**63
"""Beyond it, and not a number: as text. JSON has no NaN, and Python refuses to print an integer of 4,300 digits."""
DEPTH_LIMIT = 6
HIDDEN = "***"

_TELLING = (
    "token",
    "authorization",
    "password",
    "passwd",
    "secret",
    "routing_key",
    "api_key",
    "apikey",
    "cookie",
    "credential",
    "signature",
)
"""A key that holds one of these, as `pagerduty_routing_key`, is hidden whatever its value."""


class Redaction:
    """The processor that hides and cuts. Works on values, before they are encoded: an escaped secret is still found."""

    def __init__(self, secrets: Collection[Secret]) -> None:
        values = {written for each in secrets for written in _writings(each.reveal())}
        self._values = tuple(sorted(values, key=len, reverse=True))  # the longest first: one may hold another

    def __call__(self, _: WrappedLogger, __: str, event: EventDict) -> EventDict:
        return {self._text(str(key)): self._field(str(key), value) for key, value in event.items()}

    def _field(self, key: str, value: object, depth: int = 0) -> Any:
        lowered = key.lower()
        if any(word in lowered for word in _TELLING) and not isinstance(value, bool | None):
            return HIDDEN
        return self._clean(value, depth)

    def _clean(self, value: object, depth: int) -> Any:
        if value is None or isinstance(value, bool) or (isinstance(value, int | float) and abs(value) < NUMBER_LIMIT):
            return value
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, Mapping):
            return self._mapping(value, depth)
        if isinstance(value, list | tuple | set | frozenset):
            return self._items(value, depth)
        if isinstance(value, int):
            return f"(integer of {value.bit_length()} bits)"
        return self._text(repr(value))

    def _mapping(self, value: Mapping[object, object], depth: int) -> Any:
        if depth >= DEPTH_LIMIT:
            return f"({len(value)} keys)"
        return {self._text(str(key)): self._field(str(key), each, depth + 1) for key, each in list(value.items())[:ITEMS_LIMIT]}

    def _items(self, value: Collection[object], depth: int) -> Any:
        if depth >= DEPTH_LIMIT:
            return f"({len(value)} items)"
        return [self._clean(each, depth + 1) for each in list(value)[:ITEMS_LIMIT]]

    def _text(self, text: str) -> str:
        for value in self._values:
            if value in text:
                text = text.replace(value, HIDDEN)
        return text if len(text) <= FIELD_LIMIT else f"{text[:FIELD_LIMIT]}… [{len(text)} characters]"


def _writings(value: str) -> set[str]:
    """How a value looks in the texts of others: as it is, in a repr, in JSON, in bytes, in an address, in a Basic header."""
    encoded = base64.b64encode(value.encode()).decode()
    quoted = [repr(value), ascii(value), json.dumps(value), json.dumps(value, ensure_ascii=False)]
    return {value, encoded, quote(value), quote(value, safe=""), repr(value.encode())[2:-1], *(each[1:-1] for each in quoted)}


def configure_logging(stream: TextIO, *, level: str = "info", secrets: Collection[Secret] = ()) -> None:
    """Sends structlog's events and those of the standard library to `stream`. Called again, it replaces the earlier configuration."""
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False, max_frames=20)),
        Redaction(secrets),
    ]
    render = structlog.processors.JSONRenderer(serializer=_encode)
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_standard_formatter(shared, render))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(number)
    for noisy in ("asyncio", "alembic"):  # every connection at debug, every plugin at info
        logging.getLogger(noisy).setLevel(max(number, logging.WARNING))


def _standard_formatter(shared: list[Processor], render: Processor) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.add_logger_name],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _with_level, *shared, render],
    )


def _with_level(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    record: logging.LogRecord | None = event.get("_record")
    if record is not None:
        event["level"] = record.levelname.lower()
    return event


def _encode(event: MutableMapping[str, Any], **_: Any) -> str:
    """ASCII only: no terminal escape and no line separator of Unicode reaches the reader's screen as itself."""
    return json.dumps(event, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
