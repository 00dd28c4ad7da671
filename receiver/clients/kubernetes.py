"""The client of one Kubernetes API server: raw JSON in and out, never the library's typed models (they drop fields they do not know).

Law: every call has a time limit and passes our rate limit; a read is tried twice, a mutation never; right before a mutation leaves, the
API's health, the kill switch and the permit's end are asked; each mutation leaves an audit line. Failures come out as `ClientError` only.
Used by the Kubernetes observers and actions; one instance an identity, closed at shutdown.
"""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import aiohttp
import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, wait_random

from receiver.clients.errors import ClientError, ErrorKind
from receiver.clients.kubernetes_access import Connection, KubernetesConfig, open_connection
from receiver.clients.kubernetes_answers import read_body, read_object
from receiver.clients.kubernetes_changes import Change, Eviction, LogWanted, Method, Patch, PatchType, Request, request_of, review_of
from receiver.clients.kubernetes_health import ApiHealth
from receiver.clients.kubernetes_kinds import kind_named, valid_name
from receiver.clients.token_bucket import TokenBucket
from receiver.ports import Clock, KillSwitch, StoreUnavailable

__all__ = ["ApiHealth", "Eviction", "Kubernetes", "KubernetesConfig", "LogWanted", "Object", "Patch", "PatchType"]

Object = dict[str, Any]
Objects = builtins.list[Object]

PAGES_LIMIT = 10
TEXT = "text"
SICK = frozenset({ErrorKind.throttled, ErrorKind.unavailable, ErrorKind.timeout, ErrorKind.unreachable, ErrorKind.bad_answer})
"""Failures that speak against the API server, not against what was asked of it."""

_audit = structlog.get_logger("receiver.audit")


class Kubernetes:
    """Connects when it is first used. Safe to call from several tasks of one loop."""

    def __init__(self, config: KubernetesConfig, *, clock: Clock, kill_switch: KillSwitch, health: ApiHealth | None = None) -> None:
        """`health` is shared by all identities of one API server; without it this client keeps its own."""
        self.config = config
        self._clock = clock
        self._health = health or ApiHealth(clock=clock)
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

    def health(self) -> str:
        """Empty: the API server is well, as far as the last minute tells. Otherwise what is wrong; mutations are refused then."""
        return self._health.health()

    async def get(self, kind: str, namespace: str, name: str) -> Object:
        """The object as the API server has it; ClientError of kind `not_found` when it has none. Namespaces and Nodes need no namespace."""
        return await self._read(Request(Method.get, kind_named(kind).path(namespace, valid_name(name))))

    async def list(self, kind: str, namespace: str, *, label_selector: str = "", field_selector: str = "", limit: int = 500) -> Objects:
        """All items (without `kind` and `apiVersion`), `limit` a page. More than ten pages are an error, never a silently cut list.

        An optional kind that is not installed (404) has no items; one that we may not list (403) may have some, so it is an error.
        """
        wanted = kind_named(kind)
        given = (("labelSelector", label_selector), ("fieldSelector", field_selector), ("limit", str(limit)))
        query = tuple((key, value) for key, value in given if value)
        try:
            return await self._pages(wanted.path(namespace), query, aside=wanted.aside)
        except ClientError as error:
            if wanted.optional and error.kind is ErrorKind.not_found:
                return []
            raise

    async def log(self, namespace: str, pod: str, wanted: LogWanted) -> str:
        """The end of a container's log, oldest line first. The kubelet is asked: a failure says nothing of the API server's health."""
        path = kind_named("Pod").path(namespace, valid_name(pod), "log")
        return str((await self._read(Request(Method.get, path, wanted.query, aside=True, text=True)))[TEXT])

    async def review(self, resource: str, spec: Mapping[str, object]) -> Object:
        """The status of a review, as `selfsubjectrulesreviews`: a POST that stores nothing, so that it is tried twice like a read."""
        answer = await self._read(review_of(resource, spec))
        status = answer.get("status")
        if not isinstance(status, dict):
            raise ClientError(ErrorKind.bad_answer, f"the answer to a review among {resource} has no status")
        return status

    async def write(self, change: Change, *, dry_run: bool = False) -> Object:
        """The object as it is afterwards (of an eviction: a Status). Sent once at most; `ClientError.sent` says whether it may have been
        applied."""
        request = request_of(change, self.config, dry_run=dry_run)
        started, outcome = self._clock.monotonic(), "cancelled"
        try:
            answer = await self._mutate(request, change, dry_run=dry_run)
            outcome = "applied"
        except ClientError as error:
            outcome = f"{error.kind} sent={error.sent}"
            raise
        finally:
            self._log(change, dry_run=dry_run, outcome=outcome, seconds=self._clock.monotonic() - started)
        return answer

    # --- reading

    async def _pages(self, path: str, query: tuple[tuple[str, str], ...], *, aside: bool = False) -> Objects:
        items: Objects = []
        more = ""
        for _ in range(PAGES_LIMIT):
            page = await self._read(Request(Method.get, path, (*query, ("continue", more)) if more else query, aside=aside))
            items += _items(page, path)
            more = (page.get("metadata") or {}).get("continue") or ""
            if not more:
                return items
        raise ClientError(ErrorKind.bad_answer, f"{path} has more than {len(items)} objects: give a narrower selector")

    async def _read(self, request: Request) -> Object:
        limit = self.config.timeout
        retrying = AsyncRetrying(
            stop=stop_after_attempt(2), retry=retry_if_exception(_worth_a_second_try), wait=_rest, sleep=self._clock.sleep, reraise=True
        )
        try:
            async with asyncio.timeout(limit.total_seconds()):
                return await retrying(self._send_read, request)
        except TimeoutError as error:
            raise ClientError(ErrorKind.timeout, f"{request.what}: no answer within {limit.total_seconds():g} s") from error

    async def _send_read(self, request: Request) -> Object:
        connection = await self._connected()
        await self._bucket.take()
        return await self._send(connection, request, limit=self.config.timeout)

    # --- writing

    async def _mutate(self, request: Request, change: Change, *, dry_run: bool) -> Object:
        limit = self.config.call_timeout
        try:
            async with asyncio.timeout(limit.total_seconds()):
                connection = await self._connected()
                await self._bucket.take()
                await self._may_go(change, dry_run=dry_run)
        except TimeoutError as error:
            raise ClientError(ErrorKind.throttled, f"{request.what}: not sent within {limit.total_seconds():g} s") from error
        try:
            async with asyncio.timeout(limit.total_seconds()):
                return await self._send(connection, request, limit=limit)
        except TimeoutError as error:
            raise ClientError(ErrorKind.timeout, f"{request.what}: no answer within {limit.total_seconds():g} s", sent=True) from error

    async def _may_go(self, change: Change, *, dry_run: bool) -> None:
        """The last thing before the request leaves. A dry run changes nothing and passes the kill switch."""
        if unwell := self.health():
            raise ClientError(ErrorKind.unwell, f"the API server is not well: {unwell}")
        if not dry_run:
            try:
                refused = await self._kill_switch.refuses()
            except (StoreUnavailable, OSError) as error:
                raise ClientError(ErrorKind.held, f"the kill switch cannot be read: {type(error).__name__}") from error
            if refused:
                raise ClientError(ErrorKind.held, f"kill switch: {refused}")
        now = self._clock.now()
        if change.not_after is not None and now > change.not_after:
            raise ClientError(ErrorKind.held, f"the permit ended at {change.not_after:%H:%M:%S}, it is {now:%H:%M:%S}")

    def _log(self, change: Change, *, dry_run: bool, outcome: str, seconds: float) -> None:
        _audit.info(
            "kubernetes_eviction" if isinstance(change, Eviction) else "kubernetes_patch",
            identity=self.config.identity,
            kind=change.kind,
            namespace=change.namespace,
            name=change.name,
            subresource=change.subresource,
            field_manager=change.field_manager,
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

    async def _send(self, connection: Connection, request: Request, *, limit: timedelta) -> Object:
        """As `_exchange`, and its time and end are noted for the API's health."""
        started, failed = self._clock.monotonic(), False
        try:
            return await self._exchange(connection, request, limit=limit)
        except ClientError as error:
            failed = error.kind in SICK
            raise
        except asyncio.CancelledError:
            # By our own time limit it is the server's slowness; sooner, somebody lost interest.
            failed = self._clock.monotonic() - started >= 0.9 * limit.total_seconds()
            raise
        finally:
            if not request.aside:
                self._health.note(seconds=self._clock.monotonic() - started, failed=failed)

    async def _exchange(self, connection: Connection, request: Request, *, limit: timedelta) -> Object:
        what, sent_at = request.what, self._clock.now()
        try:
            answer = await connection.send(
                request.method.value,
                request.path,
                query=list(request.query),
                body=request.body,
                content_type=request.content_type,
                limit=aiohttp.ClientTimeout(total=limit.total_seconds(), connect=self.config.connect_timeout.total_seconds()),
            )
            self._health.note_date(answer.headers.get("Date", ""), sent_at=sent_at, received_at=self._clock.now())
            async with answer:
                raw = await read_body(answer, what)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            raise ClientError(ErrorKind.unreachable, f"{what}: no connection ({_describe(error)})") from error
        except TimeoutError as error:
            raise ClientError(ErrorKind.timeout, f"{what}: no answer within {limit.total_seconds():g} s", sent=True) from error
        except (aiohttp.ClientError, OSError) as error:
            raise ClientError(ErrorKind.unreachable, f"{what}: the connection was cut ({_describe(error)})", sent=True) from error
        if request.text and answer.status == 200:
            return {TEXT: raw.decode(errors="replace")}
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
