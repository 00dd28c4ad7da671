"""What the API server answered, read: a JSON object, or a `ClientError` that says how surely nothing happened.

Law: the one place where HTTP statuses get our meaning, and where texts of the API server are cleaned of credentials and of values that it
quotes. Used by `clients/kubernetes.py` only.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import aiohttp
import msgspec

from receiver.clients.errors import ClientError, ErrorKind

Object = dict[str, Any]

BODY_LIMIT_BYTES = 64 * 2**20
"""Of one answer: 500 pods are about 10 MB."""
RETRY_AFTER_LIMIT = timedelta(hours=1)

SEVERAL_BUDGETS = "more than one PodDisruptionBudget"

# Validation errors quote the value that they refuse: it may be an environment variable of the pod template.
_QUOTED_VALUE = re.compile(r"Invalid value: (\"(?:[^\"\\]|\\.)*\"|[^:]*)")


async def read_body(answer: aiohttp.ClientResponse, what: str) -> bytes:
    """All of it, up to the limit."""
    found = bytearray()
    async for chunk in answer.content.iter_chunked(2**16):
        found += chunk
        if len(found) > BODY_LIMIT_BYTES:
            raise ClientError(ErrorKind.bad_answer, f"{what}: the answer is longer than {BODY_LIMIT_BYTES} bytes", sent=True)
    return bytes(found)


def read_object(raw: bytes, answer: aiohttp.ClientResponse, what: str, secrets: tuple[str, ...]) -> Object:
    """The object of a 2xx; ClientError for everything else. `what` names the call, `secrets` must not stand in a text."""
    try:
        parsed = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        parsed = None
    found: Object = parsed if isinstance(parsed, dict) else {}
    if not 200 <= answer.status <= 299:
        raise _refusal(found, answer, what, secrets)
    if not found:
        raise ClientError(ErrorKind.bad_answer, f"{what}: {answer.status} with a body that is no JSON object", sent=True)
    return found


_KINDS_BY_STATUS = {
    401: ErrorKind.unauthorized,
    403: ErrorKind.forbidden,
    404: ErrorKind.not_found,
    408: ErrorKind.timeout,
    409: ErrorKind.conflict,
    410: ErrorKind.conflict,  # the list's `continue` is too old
    429: ErrorKind.throttled,
}


def _refusal(status: Object, answer: aiohttp.ClientResponse, what: str, secrets: tuple[str, ...]) -> ClientError:
    code = answer.status
    if (eviction := _refused_eviction(status, answer, what)) is not None:
        return eviction
    usual = ErrorKind.unavailable if code >= 500 else ErrorKind.invalid if code >= 400 else ErrorKind.bad_answer
    retry_after = _retry_after(answer.headers.get("Retry-After", ""))
    # The API server itself (a Status, not a page of some proxy) asks to come again later: it did not begin.
    not_begun = 400 <= code < 500 or (code == 503 and retry_after is not None and status.get("kind") == "Status")
    text = f"{code} {status.get('reason') or answer.reason or ''}: {status.get('message') or 'no message'}"
    return ClientError(
        _KINDS_BY_STATUS.get(code, usual),
        f"{what}: {_redacted(text, secrets)}",
        sent=not not_begun,
        retry_after=retry_after,
    )


def _refused_eviction(status: Object, answer: aiohttp.ClientResponse, what: str) -> ClientError | None:
    """A no by a disruption budget, in its own words; None for every other answer.

    Source: kubernetes pkg/registry/core/pod/storage/eviction.go: 429 with a cause `DisruptionBudget`, 500 where several budgets select
    the pod.
    """
    message = str(status.get("message") or "")
    if answer.status == 429 and (causes := _causes(status)):
        return ClientError(ErrorKind.budget, f"{what}: 429 {message} {'; '.join(causes)}")
    if answer.status == 500 and SEVERAL_BUDGETS in message:
        return ClientError(ErrorKind.invalid, f"{what}: 500 {message}")
    return None


def _causes(status: Object) -> list[str]:
    details = status.get("details")
    causes = details.get("causes") if isinstance(details, dict) else None
    found = [each for each in causes or () if isinstance(each, dict)] if isinstance(causes, list) else []
    return [str(each.get("message") or "") for each in found if each.get("reason") == "DisruptionBudget"]


def _retry_after(text: str) -> timedelta | None:
    """Whole seconds; the API server sends no dates."""
    return min(timedelta(seconds=int(text[:6])), RETRY_AFTER_LIMIT) if text.isascii() and text.isdigit() else None


def _redacted(text: str, secrets: tuple[str, ...]) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    return _QUOTED_VALUE.sub("Invalid value: …", text)
