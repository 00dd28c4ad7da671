"""A secret does not leave by accident."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass

import pytest

from receiver.secret import Secret

VALUE = "s3cr3t-tökén"
WAYS_TO_PRINT: list[Callable[[Secret], str]] = [
    str,
    repr,
    lambda secret: f"{secret}",
    lambda secret: f"{secret!r:>40}".strip(),
    "{:>3}".format,
    lambda secret: "%s" % secret,  # noqa: UP031 the operator is what is tested
    lambda secret: logging.makeLogRecord({"msg": "%s", "args": (secret,)}).getMessage(),
]


@dataclass(frozen=True)
class Holder:
    token: Secret


@pytest.mark.parametrize("way", WAYS_TO_PRINT)
def test_no_way_of_printing_shows_the_value(way: Callable[[Secret], str]) -> None:
    assert way(Secret(VALUE)) == "***"


def test_what_holds_a_secret_does_not_show_it() -> None:
    assert VALUE not in repr(Holder(Secret(VALUE))) + repr(asdict(Holder(Secret(VALUE))))


@pytest.mark.parametrize("way", [pickle.dumps, json.dumps, vars, iter, len])
def test_no_way_of_taking_it_apart_works(way: Callable[[object], object]) -> None:
    with pytest.raises(TypeError):
        way(Secret(VALUE))


def test_reveal_is_the_way_out() -> None:
    assert Secret(VALUE).reveal() == Secret(VALUE.encode()).reveal() == VALUE
    assert Secret(VALUE).reveal_bytes() == VALUE.encode()


def test_a_copy_is_the_same_secret() -> None:
    secret = Secret(VALUE)
    assert copy.copy(secret) is copy.deepcopy(secret) is secret


def test_it_is_equal_to_nothing() -> None:
    secret = Secret(VALUE)
    same: object = secret
    assert not secret == same  # noqa: SIM201 the operator is what is tested
    assert secret != VALUE
    assert secret != Secret(VALUE)


@pytest.mark.parametrize(
    "candidate,expected",
    [(VALUE.encode(), True), (b"", False), (VALUE.encode()[:-1], False), (VALUE.encode() + b"\0", False), (b"***", False)],
)
def test_it_matches_its_value_only(candidate: bytes, expected: bool) -> None:
    assert Secret(VALUE).matches(candidate) is expected


@pytest.mark.parametrize("value", ["", b"", b"\xff\xfe-binary"])
def test_a_value_that_cannot_be_a_secret_is_refused_without_being_shown(value: str | bytes) -> None:
    with pytest.raises(ValueError, match="a secret is") as refused:
        Secret(value)
    assert "binary" not in "".join(traceback.format_exception(refused.value, limit=0))
