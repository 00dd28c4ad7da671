"""Answers of the API and the headers of all that this room sends.

Law: an error is `{"error": {"code", "message"}}`, short, with nothing of what was sent in it; after a 4xx the connection ends; no answer
allows another origin anything.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from aiohttp import web
from pydantic import BaseModel

from receiver.core.dedup import plain

RETRY_SECONDS = 5
MESSAGE_LIMIT = 2000
"""What to do stands at the end of a refusal, behind what it names: room for both."""

API_HEADERS: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
PAGE_HEADERS: Mapping[str, str] = {
    **API_HEADERS,
    # Not no-referrer: with it browsers send `Origin: null` with our own forms (https://fetch.spec.whatwg.org/#append-a-request-origin-header).
    "Referrer-Policy": "same-origin",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Problem(Exception):
    """A request that gets no for an answer."""

    def __init__(self, status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})


def unavailable(cause: str, *, changing: bool) -> Problem:
    """The store does not answer, or takes nothing. Who wanted to stop the actions learns of the way around the store."""
    message = f"the store does not take part ({plain(cause, limit=100)}); try again"
    if changing:
        message = f"{message}. Nothing was changed; actions_file, where it is configured, holds all actions without the store"
    return Problem(503, "unavailable", message, headers={"Retry-After": str(RETRY_SECONDS)})


async def name_server(_: web.BaseRequest, response: web.StreamResponse) -> None:
    """Not the versions of what we run on, which aiohttp would tell. For `Application.on_response_prepare`."""
    response.headers["Server"] = "receiver"


def problem_answer(problem: Problem) -> web.Response:
    """As JSON."""
    body = {"error": {"code": problem.code, "message": problem.message[:MESSAGE_LIMIT]}}
    answer = web.Response(
        body=json.dumps(body).encode("ascii"),
        status=problem.status,
        content_type="application/json",
        charset="utf-8",
        headers={**API_HEADERS, **problem.headers},
    )
    if 400 <= problem.status < 500:
        answer.force_close()
    return answer


def model_answer(model: BaseModel, *, status: int = 200) -> web.Response:
    """One of `shapes`."""
    body = model.model_dump_json().encode()
    return web.Response(body=body, status=status, content_type="application/json", charset="utf-8", headers=API_HEADERS)


def text_answer(text: str, *, content_type: str) -> web.Response:
    """Ready text, as the OpenAPI document."""
    return web.Response(body=text.encode(), content_type=content_type, charset="utf-8", headers=API_HEADERS)
