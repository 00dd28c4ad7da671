"""The client of one Kubernetes API server: raw JSON in and out, never the library's typed models (they drop fields they do not know).

Law: every call has a time limit and passes our rate limit; a read is tried twice, a mutation never; right before a mutation leaves, the
kill switch and the permit's end are asked; each mutation leaves an audit line. Failures come out as `ClientError` only. Used by the
Kubernetes observers and actions; one instance an identity, closed at shutdown.
"""

from __future__ import annotations

import asyncio
import builtins
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import aiohttp
import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, wait_random

from receiver.clients.errors import ClientError, ErrorKind
from receiver.clients.kubernetes_access import Connection, KubernetesConfig, open_connection
from receiver.clients.kubernetes_answers import read_body, read_object
from receiver.clients.kubernetes_kinds import kind_named, valid_name
from receiver.clients.token_bucket import TokenBucket
from receiver.core.facts import SYSTEM_NAMESPACES
from receiver.ports import Clock, KillSwitch, StoreUnavailable

__all__ = ["Kubernetes", "KubernetesConfig", "Object", "Patch", "PatchType"]

Object = dict[str, Any]
Objects = builtins.list[Object]

PAGES_LIMIT = 10
FIELD_MANAGER_BYTES = 128  # the API server refuses longer ones

_audit = structlog.get_logger("receiver.audit")


class PatchType(StrEnum):
    """How a patch's body is meant; always said explicitly, the library's default depends on the body."""

    merge = "application/merge-patch+json"
    json = "application/json-patch+json"
    strategic = "application/strategic-merge-patch+json"


@dataclass(frozen=True, slots=True)
class Patch:
    """One change of one object."""

    kind: str
    namespace: str
    name: str
    body: Object | builtins.list[Object]
    patch_type: PatchType
    field_manager: str
    subresource: str = ""
    not_after: datetime | None = None
    """Not sent later than this."""


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: object = None
    content_type: str = ""


class Kubernetes:
    """Connects when it is first used. Safe to call from several tasks of one loop."""

    def __init__(self, config: KubernetesConfig, *, clock: Clock, kill_switch: KillSwitch) -> None:
        self.config = config
        self._clock = clock
        self._kill_switch = kill_switch
        self._bucket = TokenBucket(per_second=config.per_second, burst=config.burst, clock=clock)
        self._connection: Connection | None = None
        self._connecting = asyncio.Lock()
        self._closed = False

    async def connect(self) -> None:
        """Loads library and configuration; sends nothing. Called by the first request, or earlier to learn of a wrong configuration."""
        await self._connected()

    async def close(self) -> None:
        """Harmless when called twice. Calls made later fail with `unreachable`."""
        self._closed = True
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def get(self, kind: str, namespace: str, name: str) -> Object:
        """The object as the API server has it; ClientError of kind `not_found` when it has none. `namespace` is ignored for a Namespace."""
        return await self._read(_Request("GET", kind_named(kind).path(namespace, valid_name(name))))

    async def list(self, kind: str, namespace: str, *, label_selector: str = "", field_selector: str = "", limit: int = 500) -> Objects:
        """All items (without `kind` and `apiVersion`), `limit` a page. More than ten pages are an error, never a silently cut list.

        An optional kind that is not installed, or that we may not list, has no items.
        """
        wanted = kind_named(kind)
        given = (("labelSelector", label_selector), ("fieldSelector", field_selector), ("limit", str(limit)))
        query = tuple((key, value) for key, value in given if value)
        try:
            return await self._pages(wanted.path(namespace), query)
        except ClientError as error:
            if wanted.optional and error.kind in (ErrorKind.not_found, ErrorKind.forbidden):
                return []
            raise

    async def patch(self, patch: Patch, *, dry_run: bool = False) -> Object:
        """The object as it is afterwards. Sent once at most; `ClientError.sent` says whether it may have been applied."""
        request = self._patch_request(patch, dry_run=dry_run)
        started, outcome = self._clock.monotonic(), "cancelled"
        try:
            answer = await self._mutate(request, patch, dry_run=dry_run)
            outcome = "applied"
        except ClientError as error:
            outcome = f"{error.kind} sent={error.sent}"
            raise
        finally:
            self._log(patch, dry_run=dry_run, outcome=outcome, seconds=self._clock.monotonic() - started)
        return answer

    # --- reading

    async def _pages(self, path: str, query: tuple[tuple[str, str], ...]) -> Objects:
        items: Objects = []
        more = ""
        for _ in range(PAGES_LIMIT):
            page = await self._read(_Request("GET", path, (*query, ("continue", more)) if more else query))
            items += _items(page, path)
            more = (page.get("metadata") or {}).get("continue") or ""
            if not more:
                return items
        raise ClientError(ErrorKind.bad_answer, f"{path} has more than {len(items)} objects: give a narrower selector")

    async def _read(self, request: _Request) -> Object:
        limit = self.config.timeout
        retrying = AsyncRetrying(
            stop=stop_after_attempt(2), retry=retry_if_exception(_worth_a_second_try), wait=_rest, sleep=self._clock.sleep, reraise=True
        )
        try:
            async with asyncio.timeout(limit.total_seconds()):
                return await retrying(self._send_read, request)
        except TimeoutError as error:
            raise ClientError(ErrorKind.timeout, f"GET {request.path}: no answer within {limit.total_seconds():g} s") from error

    async def _send_read(self, request: _Request) -> Object:
        connection = await self._connected()
        await self._bucket.take()
        return await self._send(connection, request, limit=self.config.timeout)

    # --- writing

    def _patch_request(self, patch: Patch, *, dry_run: bool) -> _Request:
        if patch.namespace not in self.config.namespaces or patch.namespace in SYSTEM_NAMESPACES:
            raise ClientError(ErrorKind.held, f"namespace {patch.namespace[:64]!r} is not on the allow-list of namespaces to act in")
        if not 0 < len(patch.field_manager.encode()) <= FIELD_MANAGER_BYTES:
            raise ClientError(ErrorKind.invalid, f"field manager {patch.field_manager[:64]!r} must have 1 to {FIELD_MANAGER_BYTES} bytes")
        path = kind_named(patch.kind).path(patch.namespace, valid_name(patch.name), patch.subresource)
        # Strict: otherwise a misspelt field is accepted and does nothing.
        query = [("fieldManager", patch.field_manager), ("fieldValidation", "Strict")]
        if dry_run:
            query.append(("dryRun", "All"))
        return _Request("PATCH", path, tuple(query), patch.body, patch.patch_type.value)

    async def _mutate(self, request: _Request, patch: Patch, *, dry_run: bool) -> Object:
        limit = self.config.call_timeout
        try:
            async with asyncio.timeout(limit.total_seconds()):
                connection = await self._connected()
                await self._bucket.take()
                await self._may_go(patch, dry_run=dry_run)
        except TimeoutError as error:
            raise ClientError(ErrorKind.throttled, f"PATCH {request.path}: not sent within {limit.total_seconds():g} s") from error
        try:
            async with asyncio.timeout(limit.total_seconds()):
                return await self._send(connection, request, limit=limit)
        except TimeoutError as error:
            raise ClientError(
                ErrorKind.timeout, f"PATCH {request.path}: no answer within {limit.total_seconds():g} s", sent=True
            ) from error

    async def _may_go(self, patch: Patch, *, dry_run: bool) -> None:
        """The last thing before the request leaves. A dry run changes nothing and passes the kill switch."""
        if not dry_run:
            try:
                refused = await self._kill_switch.refuses()
            except (StoreUnavailable, OSError) as error:
                raise ClientError(ErrorKind.held, f"the kill switch cannot be read: {type(error).__name__}") from error
            if refused:
                raise ClientError(ErrorKind.held, f"kill switch: {refused}")
        now = self._clock.now()
        if patch.not_after is not None and now > patch.not_after:
            raise ClientError(ErrorKind.held, f"the permit ended at {patch.not_after:%H:%M:%S}, it is {now:%H:%M:%S}")

    def _log(self, patch: Patch, *, dry_run: bool, outcome: str, seconds: float) -> None:
        _audit.info(
            "kubernetes_patch",
            identity=self.config.identity,
            kind=patch.kind,
            namespace=patch.namespace,
            name=patch.name,
            subresource=patch.subresource,
            field_manager=patch.field_manager,
            dry_run=dry_run,
            outcome=outcome,
            seconds=round(seconds, 3),
        )

    # --- the wire

    async def _connected(self) -> Connection:
        async with self._connecting:
            if self._closed:
                raise ClientError(ErrorKind.unreachable, "the Kubernetes client is closed")
            if self._connection is None:
                self._connection = await open_connection(self.config)
            return self._connection

    async def _send(self, connection: Connection, request: _Request, *, limit: timedelta) -> Object:
        what = f"{request.method} {request.path}"
        try:
            answer = await connection.send(
                request.method,
                request.path,
                query=list(request.query),
                body=request.body,
                content_type=request.content_type,
                limit=aiohttp.ClientTimeout(total=limit.total_seconds(), connect=self.config.connect_timeout.total_seconds()),
            )
            async with answer:
                raw = await read_body(answer, what)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            raise ClientError(ErrorKind.unreachable, f"{what}: no connection ({_describe(error)})") from error
        except TimeoutError as error:
            raise ClientError(ErrorKind.timeout, f"{what}: no answer within {limit.total_seconds():g} s", sent=True) from error
        except (aiohttp.ClientError, OSError) as error:
            raise ClientError(ErrorKind.unreachable, f"{what}: the connection was cut ({_describe(error)})", sent=True) from error
        return read_object(raw, answer, what, connection.secrets)


def _worth_a_second_try(error: BaseException) -> bool:
    """What passes by itself, soon. A time-out does not: it has used up the limit."""
    if not isinstance(error, ClientError):
        return False
    if error.retry_after is not None and error.retry_after > timedelta(seconds=1):
        return False
    return error.kind in (ErrorKind.unreachable, ErrorKind.unavailable, ErrorKind.throttled)


def _rest(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, ClientError) and error.retry_after else timedelta(0)
    return asked.total_seconds() + wait_random(0.05, 0.3)(state)


def _describe(error: BaseException) -> str:
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else type(error).__name__


def _items(page: Object, path: str) -> Objects:
    items = page.get("items")
    if items is None and str(page.get("kind", "")).endswith("List"):
        return []
    if not isinstance(items, builtins.list) or not all(isinstance(each, dict) for each in items):
        raise ClientError(ErrorKind.bad_answer, f"GET {path}: the answer is no list")
    return items
