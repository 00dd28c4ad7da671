"""Short answers, and one way to write a path."""

from __future__ import annotations

import json

import pytest
from aiohttp import web

from receiver.ingest.answers import error_answer, plain_path, secured


@pytest.mark.parametrize(
    "raw", ["/", "/metrics", "/webhook/alertmanager", "/api/v1/incidents/7", "/x?limit=%00%ff&y=//../", "/.git/config", "/a.b_c~d"]
)
def test_paths_as_we_write_them(raw: str) -> None:
    assert plain_path(raw)


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "x",
        "*",
        "//",
        "//x",
        "/x//y",
        "/.",
        "/..",
        "/./x",
        "/x/./y",
        "/x/../y",
        "/x/..",
        "/%61",
        "/x;y",
        "/x\\y",
        "/x#y",
        "http://a/x",
        "/x y",
        "/\u00e9",
        "/x\n",
    ],
)
def test_other_ways_to_write_one(raw: str) -> None:
    assert not plain_path(raw)


def test_an_error_is_short_json() -> None:
    answer = error_answer(413, "x" * 1000, retry_after=3)
    assert isinstance(answer.body, bytes)
    assert json.loads(answer.body) == {"error": "x" * 256}
    assert (answer.status, answer.content_type, answer.headers["Retry-After"]) == (413, "application/json", "3")


@pytest.mark.parametrize("status, kept", [(200, True), (401, False), (413, False), (503, True)])
def test_the_connection_ends_after_a_4xx(status: int, kept: bool) -> None:
    assert (error_answer(status, "x").keep_alive is not False) is kept


def test_a_policy_that_stands_already_is_kept() -> None:
    answer = secured(web.Response(headers={"Content-Security-Policy": "default-src 'self'"}))
    assert answer.headers["Content-Security-Policy"] == "default-src 'self'"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
