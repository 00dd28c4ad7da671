"""The log: one JSON object a line, and never a secret in it."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from receiver.secret import Secret
from receiver.telemetry.logs import FIELD_LIMIT, HIDDEN, Redaction, configure_logging

CANARY = 'canary-ü-"quoted"\\n-0123'


class Log:
    """What was written."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]

    @property
    def only(self) -> dict[str, Any]:
        (line,) = self.lines
        return line


@pytest.fixture
def log() -> Iterator[Log]:
    """The configuration is global: put back afterwards."""
    root = logging.getLogger()
    handlers, level, asyncio_level = root.handlers, root.level, logging.getLogger("asyncio").level
    made = Log()
    configure_logging(made.stream, level="debug", secrets=[Secret(CANARY)])
    yield made
    root.handlers = handlers
    root.setLevel(level)
    logging.getLogger("asyncio").setLevel(asyncio_level)
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()


def test_an_event_is_one_line_of_ascii_json(log: Log) -> None:
    structlog.get_logger().info("folded", label="a\u2028b\x1b[31m\r\nforged", count=3, share=0.5, ok=True, none=None)
    text = log.stream.getvalue()
    assert text.isascii()
    assert text.count("\n") == 1
    assert "\x1b" not in text
    assert log.only["label"] == "a\u2028b\x1b[31m\r\nforged"
    assert (log.only["event"], log.only["level"], log.only["count"], log.only["ok"], log.only["none"]) == ("folded", "info", 3, True, None)
    assert log.only["timestamp"].endswith("Z")


def test_the_standard_library_speaks_the_same(log: Log) -> None:
    logging.getLogger("some.library").warning("it is %s", CANARY)
    assert log.only["event"] == f"it is {HIDDEN}"
    assert (log.only["level"], log.only["logger"]) == ("warning", "some.library")


@pytest.mark.parametrize("key", ["token", "Authorization", "pagerduty_routing_key", "api_key", "db_password", "SECRET", "Set-Cookie"])
def test_a_telling_key_hides_its_value(log: Log, key: str) -> None:
    structlog.get_logger().info("x", **{key: "hunter2", "inner": {key: ["hunter2"]}})
    assert "hunter2" not in log.stream.getvalue()


def _fail() -> None:
    local = CANARY
    raise ValueError(f"bad {local}")


def _logged_everywhere() -> None:
    logger = structlog.get_logger()
    logger.info(CANARY)
    logger.info("x", **{CANARY: 1})
    logger.info("x", field=CANARY, deep={"a": [{CANARY: (CANARY,)}]}, made=Secret(CANARY), error=ValueError(CANARY), raw=CANARY.encode())
    try:
        _fail()
    except ValueError:
        logger.exception("failed")
        logging.getLogger("library").exception("failed %s", CANARY)


def test_a_known_secret_is_found_wherever_it_stands(log: Log) -> None:
    _logged_everywhere()
    text = log.stream.getvalue()
    assert len(log.lines) == 5
    assert "canary" not in text
    assert json.dumps(CANARY)[1:-1] not in text


def test_a_traceback_shows_where_and_no_local_variables(log: Log) -> None:
    try:
        _fail()
    except ValueError:
        structlog.get_logger().exception("failed")
    (told,) = log.only["exception"]
    assert told["exc_type"] == "ValueError"
    assert told["frames"][-1]["name"] == "_fail"
    assert "locals" not in json.dumps(told)


def test_a_text_is_cut(log: Log) -> None:
    structlog.get_logger().info("x", label="y" * 1_000_000, many=list(range(1000)), number=10**5000)
    assert len(log.only["label"]) < FIELD_LIMIT + 40
    assert len(log.only["many"]) == 100
    assert log.only["number"] == "(integer of 16610 bits)"


def test_the_level_holds(log: Log) -> None:
    configure_logging(log.stream, level="warning")
    structlog.get_logger().info("x")
    logging.getLogger("x").info("x")
    assert log.lines == []


async def test_what_is_bound_to_one_task_is_not_seen_in_another(log: Log) -> None:
    async def work(incident: int) -> None:
        with structlog.contextvars.bound_contextvars(incident=incident):
            await asyncio.sleep(0)
            structlog.get_logger().info("x", expected=incident)

    async with asyncio.TaskGroup() as group:
        for number in range(5):
            group.create_task(work(number), name=f"work {number}")
    assert all(line["incident"] == line["expected"] for line in log.lines)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers(), inner, max_size=3) | st.tuples(inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=10), _VALUES, max_size=4))
def test_whatever_is_logged_can_be_encoded(event: dict[str, Any]) -> None:
    cleaned = Redaction([Secret("hunter2")])(None, "info", event)
    assert "hunter2" not in json.dumps(cleaned, allow_nan=False)


@pytest.mark.parametrize("write", [repr, ascii, json.dumps, quote, lambda text: repr(text.encode()), lambda text: repr([{"a": text}])])
def test_a_secret_is_found_as_others_write_it(write: Callable[[str], str]) -> None:
    cleaned = Redaction([Secret(CANARY)])(None, "info", {"x": f"at https://x/{write(CANARY)}?"})
    assert "canary" not in cleaned["x"]


def test_of_two_secrets_that_hold_each_other_nothing_is_left() -> None:
    cleaned = Redaction([Secret("abc"), Secret("abc-long-tail")])(None, "info", {"x": "abc-long-tail abc"})
    assert cleaned["x"] == f"{HIDDEN} {HIDDEN}"
