"""What a request asks for: ids, queries and JSON bodies, read strictly.

Law: what is not understood is refused, never ignored: an unknown or repeated parameter would make a person believe in a filter that is not
there. Digits are ASCII. Raises `Problem` and nothing else.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Mapping
from typing import TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from receiver.core.model import Naming, Priority
from receiver.ports import IncidentFilter
from receiver.web.answers import Problem

M = TypeVar("M", bound=BaseModel)

ID = r"[0-9]{1,18}"
"""Of incidents and holds, also in paths: fits into 63 bits."""
BODY_LIMIT = 64 << 10
BODY_SECONDS = 10.0
MOST = 1_000
"""Incidents of one answer."""

_ID = re.compile(ID, re.ASCII)
_YES_NO = {"true": True, "false": False}


def bad(message: str) -> Problem:
    """400."""
    return Problem(400, "bad_request", message)


def path_id(request: web.Request) -> int:
    """Routes hold the pattern already; checked again, so that no route can forget it."""
    text = request.match_info["id"]
    if not _ID.fullmatch(text):
        raise Problem(404, "not_found", "an id is 1 to 18 digits")
    return int(text)


def query(request: web.Request, known: Collection[str]) -> Mapping[str, str]:
    """Each known parameter at most once, and no other."""
    given = list(request.rel_url.query.items())
    names = [name for name, _ in given]
    if any(name not in known for name in names):
        allowed = ", ".join(sorted(known)) or "none"
        raise bad(f"unknown query parameter; allowed: {allowed}")
    if len(set(names)) < len(names):
        raise bad("a query parameter is given twice")
    return dict(given)


def wanted(given: Mapping[str, str], naming: Naming) -> IncidentFilter:
    """The filter that `open`, `priority`, `service`, `limit` and `before` say."""
    return IncidentFilter(
        open=_flag(given),
        priority=_priority(given, naming),
        service=_service(given),
        limit=whole(given, "limit", least=1, most=MOST, otherwise=50),
        before=whole(given, "before", least=1, most=10**18, otherwise=0) or None,
    )


def whole(given: Mapping[str, str], name: str, *, least: int, most: int, otherwise: int) -> int:
    """A whole number in ASCII digits."""
    text = given.get(name)
    if text is None:
        return otherwise
    if not _ID.fullmatch(text) or not least <= int(text) <= most:
        raise bad(f"{name} is a whole number from {least} to {most}")
    return int(text)


def _flag(given: Mapping[str, str]) -> bool | None:
    text = given.get("open")
    if text is None:
        return None
    if text not in _YES_NO:
        raise bad("open is true or false")
    return _YES_NO[text]


def _priority(given: Mapping[str, str], naming: Naming) -> str:
    text = given.get("priority", "")
    found = naming.read(text) if text else None
    if text and found is None:
        raise bad(f"priority is one of {', '.join(naming.show(each) for each in Priority)}")
    return found.value if found else ""


def _service(given: Mapping[str, str]) -> str:
    text = given.get("service", "")
    if len(text) > 256 or not text.isprintable():
        raise bad("service is a name of the catalogue, at most 256 characters")
    return text


async def body(request: web.Request, model: type[M]) -> M:
    """The JSON body, strictly: no other type, no unknown key, no text for a number."""
    _check_head(request)
    raw = await read(request, limit=BODY_LIMIT)
    try:
        return model.model_validate_json(raw, strict=True)
    except ValidationError as wrong:
        raise bad(_first(wrong)) from wrong


def _check_head(request: web.Request) -> None:
    types = request.headers.getall("Content-Type", [])
    parts = [each.strip().lower() for each in types[0].split(";")] if len(types) == 1 else [""]
    if parts[0] != "application/json" or any(each and each != "charset=utf-8" for each in parts[1:]):
        raise Problem(415, "unsupported_media_type", "Content-Type: application/json is expected")


async def read(request: web.Request, *, limit: int) -> bytes:
    """The whole body under a size and a time limit."""
    if any(each.strip().lower() != "identity" for each in request.headers.getall("Content-Encoding", ())):
        raise Problem(415, "unsupported_media_type", "no Content-Encoding is understood")
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while chunk := await request.content.readany():
                size += len(chunk)
                if size > limit:
                    raise Problem(413, "too_large", f"a body holds at most {limit} bytes")
                chunks.append(chunk)
    except TimeoutError as slow:
        raise Problem(408, "timeout", "the body took too long") from slow
    except (web.RequestPayloadError, ConnectionError) as cut:
        raise bad("the body is incomplete") from cut
    return b"".join(chunks)


def _first(wrong: ValidationError) -> str:
    """The first fault: where and what, without the value."""
    fault = wrong.errors(include_url=False, include_context=False, include_input=False)[0]
    path = ".".join(str(each)[:64] for each in fault["loc"]) or "body"
    return f"{path}: {fault['msg']}"
