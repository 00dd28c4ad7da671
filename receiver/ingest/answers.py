"""Answers that say little: short JSON, the same headers on each, nothing of what was sent.

Law: no answer echoes a body, a header or a secret; after a 4xx the connection ends, so that what follows on it is never read as a request
of its own. Used by the door and by the server for whatever finds no route.
"""

from __future__ import annotations

import json
import re

from aiohttp import web
from multidict import CIMultiDict

TEXT_LIMIT = 256

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Server": "receiver",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
"""On every answer that does not say otherwise (the console has a policy of its own)."""

_MARK = "X-Content-Type-Options"
_JSON_HEADERS = CIMultiDict({**SECURITY_HEADERS, "Content-Type": "application/json; charset=utf-8"})

_PATH = re.compile(r"/(?:[A-Za-z0-9_~.:@-]+/)*[A-Za-z0-9_~.:@-]*", re.ASCII)
_DOTS = re.compile(r"/\.{1,2}(?:/|$)", re.ASCII)


def error_answer(status: int, text: str, *, retry_after: int | None = None) -> web.Response:
    """`{"error": text}`."""
    answer = json_answer({"error": text[:TEXT_LIMIT]}, status=status)
    if retry_after is not None:
        answer.headers["Retry-After"] = str(retry_after)
    if 400 <= status < 500:
        answer.force_close()
    return answer


def json_answer(value: object, *, status: int = 200) -> web.Response:
    """ASCII JSON."""
    return bytes_answer(json.dumps(value).encode("ascii"), status=status)


def bytes_answer(body: bytes, *, status: int = 200) -> web.Response:
    """JSON that is written already. Made with all its headers at once, because adding them one by one costs more than the rest."""
    return web.Response(body=body, status=status, headers=_JSON_HEADERS)


def secured(answer: web.StreamResponse) -> web.StreamResponse:
    """With the security headers that it lacks; one that has them, or is under way already, is left alone."""
    if not answer.prepared and _MARK not in answer.headers:
        for name, value in SECURITY_HEADERS.items():
            answer.headers.setdefault(name, value)
    return answer


def plain_path(raw: str) -> bool:
    """Whether a request target is a path as we write them: no empty or dotted segment, nothing encoded, no parameters, no foreign host.

    Two ways to write one path are how a check on one of them is bypassed (Grafana CVE-2025-3454).
    """
    path = raw.partition("?")[0]
    return _PATH.fullmatch(path) is not None and _DOTS.search(path) is None
