"""Decoding without surprises."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.ingest.jsonbody import NotJson, Outsize, Repeated, decode, repaired, show, too_deep

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**16), 10**16) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(_JSON)
def test_what_is_json_comes_out_as_itself(value: Any) -> None:
    assert decode(json.dumps(value).encode()) == value


@given(st.binary(max_size=60))
def test_what_is_not_raises_one_error_only(body: bytes) -> None:
    with suppress(NotJson):
        decode(body)


@pytest.mark.parametrize("body", [b"NaN", b"[Infinity]", b"[-Infinity]", b"[" + b"1" * 4301 + b"]", b"[0." + b"1" * 5000 + b"]", b"\xff"])
def test_numbers_and_bytes_that_are_no_json(body: bytes) -> None:
    with pytest.raises(NotJson):
        decode(body)


def test_the_error_holds_nothing_of_the_body() -> None:
    for body in (b'{"password": "hunter2" "x"}', b'"hunter2\xff"', b"hunter2"):
        with pytest.raises(NotJson) as caught:
            decode(body)
        assert "hunter2" not in f"{caught.value!r} {caught.value.__cause__!r}"
        assert caught.value.__suppress_context__


@pytest.mark.parametrize("text", ["1000000000000000000", "-9223372036854775809", "1e999", "-1e400"])
def test_a_number_that_fits_nothing_is_shown_as_such(text: str) -> None:
    assert decode(text.encode()) == Outsize(text)


def test_repeated_names_are_kept_apart() -> None:
    made = decode(b'{"a":1,"b":2,"\\u0061":3}')
    assert isinstance(made, Repeated)
    assert made.names == ["a"]
    assert show(made) == '[["a", 1], ["b", 2], ["a", 3]]'


@pytest.mark.parametrize("depth, deep", [(1, False), (32, False), (33, True), (900, True)])
def test_depth_is_counted_without_recursion(depth: int, deep: bool) -> None:
    assert too_deep(json.loads("[" * depth + "]" * depth)) is deep
    assert too_deep(json.loads('{"a":' * depth + "1" + "}" * depth)) is deep


@given(st.text(alphabet=st.characters(codec=None)))
def test_repaired_text_fits_every_store(text: str) -> None:
    fit = repaired(text)
    fit.encode()
    assert "\0" not in fit
