"""PagerDuty's Events API v2: one POST, its answer in our words.

Law: never follows a redirect, never logs a body or the key, always under a time limit, and below the vendor's rate limit by ourselves.
Facts (github.com/PagerDuty/developer-docs, docs/events-API-v2): 202 accepted, 400 never again, 429 and 5xx later; about 120 events a
minute and integration key. Used by `notify/pagerduty.py`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import aiohttp

import receiver
from receiver.clients.errors import ClientError, ErrorKind, plain
from receiver.clients.token_bucket import TokenBucket
from receiver.ports import Clock
from receiver.secret import Secret

ANSWER_LIMIT = 4096
PER_MINUTE = 60
"""Our own budget a key, half of the vendor's: another sender of the same key has room, and a retry is not the one event too many."""
LONGEST_WAIT = timedelta(seconds=60)
"""A longer Retry-After is cut to this: the vendor's window is 60 s, and a page must not sleep on a stranger's word."""
NAME_CACHE_SECONDS = 300
"""Addresses outlive a failing DNS for so long."""


@dataclass(frozen=True, slots=True)
class EventsConfig:
    """Where events go, and with which key."""

    routing_key: Secret
    url: str = "https://events.pagerduty.com"
    timeout: timedelta = timedelta(seconds=10)
    """Of one POST; and as much again for our own rate limit."""


class Events:
    """One a routing key; `close` at shutdown."""

    def __init__(self, config: EventsConfig, *, clock: Clock) -> None:
        self._config = config
        self._address = f"{config.url.rstrip('/')}/v2/enqueue"
        self._session: aiohttp.ClientSession | None = None
        self._bucket = TokenBucket(per_second=PER_MINUTE / 60, burst=PER_MINUTE, clock=clock)

    async def send(self, event: Mapping[str, Any]) -> str:
        """The event without its key → what PagerDuty said to a 202; ClientError otherwise. `invalid`: never again in this form; every
        other kind: later (the same dedup key again is harmless)."""
        limit = self._config.timeout.total_seconds()
        await self._turn(limit)
        body = json.dumps({**event, "routing_key": self._config.routing_key.reveal()}, ensure_ascii=False).encode("utf-8", "replace")
        try:
            async with asyncio.timeout(limit):
                return await self._post(body)
        except TimeoutError as late:
            raise ClientError(ErrorKind.timeout, f"PagerDuty did not answer within {limit:g} s", sent=True) from late
        except (aiohttp.ClientError, OSError) as broken:
            raise ClientError(ErrorKind.unreachable, f"PagerDuty cannot be reached: {type(broken).__name__}", sent=True) from broken

    async def close(self) -> None:
        """Harmless when never used, or twice."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def _turn(self, limit: float) -> None:
        try:
            async with asyncio.timeout(limit):
                await self._bucket.take()
        except TimeoutError as full:
            raise ClientError(ErrorKind.throttled, f"our own limit of {PER_MINUTE} events a minute is used up") from full

    async def _post(self, body: bytes) -> str:
        headers = {"Content-Type": "application/json"}
        async with self._sessions().post(self._address, data=body, headers=headers, allow_redirects=False) as answer:
            said = self._said(await answer.content.read(ANSWER_LIMIT))
            if answer.status == 202:
                return said
            raise _error(answer.status, said, answer.headers.get("Retry-After", ""))

    def _sessions(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers={"User-Agent": f"alert-receiver/{receiver.__version__}"},
                cookie_jar=aiohttp.DummyCookieJar(),
                connector=aiohttp.TCPConnector(ttl_dns_cache=NAME_CACHE_SECONDS),
            )
        return self._session

    def _said(self, body: bytes) -> str:
        """`message` and `errors` of the answer, cut, and without the key should they quote it."""
        try:
            said = json.loads(body)
        except (ValueError, RecursionError):
            return "no JSON"
        if not isinstance(said, dict):
            return "no object"
        text = f"{said.get('message', '')} {said.get('errors') or ''}".strip()
        return plain(text.replace(self._config.routing_key.reveal(), "***"))


def _error(status: int, said: str, retry_after: str) -> ClientError:
    """400 and 413 are PagerDuty's word on this very event. Any other 3xx and 4xx comes from something on the way (a proxy, a wrong
    address): tomorrow it may be gone, so the page is not given up."""
    text = f"PagerDuty answered {status}: {said}"
    if status == 429:
        return ClientError(ErrorKind.throttled, text, retry_after=_seconds(retry_after))
    if status >= 500:
        return ClientError(ErrorKind.unavailable, text, retry_after=_seconds(retry_after))
    return ClientError(ErrorKind.invalid if status in (400, 413) else ErrorKind.bad_answer, text)


def _seconds(text: str) -> timedelta | None:
    if not (text.isascii() and text.isdigit() and len(text) < 9):
        return None
    return min(timedelta(seconds=int(text)), LONGEST_WAIT)
