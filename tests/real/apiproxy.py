"""A reverse proxy, plain HTTP on loopback, before an HTTPS API server: writes every request down and fails some on demand.

It passes the caller's Authorization on and streams watches. Faults are chosen by a predicate over the request; one that
fires `before` the server sees the request leaves nothing done, one that fires `after` leaves it done and the caller unsure.
Belongs to the loop that started it.
"""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web
from yarl import URL

from tests.real.access import Access
from tests.real.processes import LOOPBACK, eventually, free_port

MAX_BODY_BYTES = 64 * 2**20
HOP_BY_HOP = frozenset({"connection", "content-length", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"})


@dataclass
class Seen:
    """One request as it came in. `status` is the API server's answer; None while, or because, it was not asked."""

    at: float
    """Wall clock, Unix seconds."""
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    status: int | None = None
    fault: str = ""

    @property
    def content_type(self) -> str:
        return self.headers.get("Content-Type", "")

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else None

    @property
    def dry_run(self) -> bool:
        """Whether it only asks: dryRun in the query, or, for a DELETE, in the body."""
        if self.method == "DELETE" and self.body:
            return bool(self.json.get("dryRun"))
        return "dryRun" in self.query

    @property
    def mutates(self) -> bool:
        """Whether it may change something: neither a read, nor a dry run, nor a review, which is a POST that stores nothing."""
        return self.method not in ("GET", "HEAD", "OPTIONS") and not self.dry_run and "/authorization.k8s.io/" not in self.path


Predicate = Callable[[Seen], bool]


@dataclass(frozen=True)
class Answer:
    """The caller gets this instead of what the server says. `reason` is the Kubernetes one (Conflict, TooManyRequests, …)."""

    status: int
    reason: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Drop:
    """The caller's connection is reset."""


@dataclass
class Hold:
    """The request waits here until `release` (or the caller gives up); it then goes on as if nothing had been."""

    reached: asyncio.Event = field(default_factory=asyncio.Event)
    _released: asyncio.Event = field(default_factory=asyncio.Event)

    def release(self) -> None:
        self._released.set()

    async def wait(self) -> None:
        self.reached.set()
        await self._released.wait()


Effect = Answer | Drop | Hold


@dataclass
class Fault:
    """Fires `times` more times (None: always) on requests that are `wanted`; counts in `fired`."""

    wanted: Predicate
    effect: Effect
    after: bool
    times: int | None
    fired: int = 0

    def takes(self, seen: Seen, *, after: bool) -> bool:
        return self.after is after and (self.times is None or self.fired < self.times) and self.wanted(seen)


class ApiProxy:
    def __init__(self, access: Access) -> None:
        self.port = free_port()
        self.requests: list[Seen] = []
        self._upstream = access
        self._faults: list[Fault] = []
        self._session: aiohttp.ClientSession | None = None
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def access(self, token: str) -> Access:
        """For `write_kubeconfig` and `KubeApi`: this proxy, as the holder of `token`."""
        return Access(server=self.url, token=token)

    async def start(self) -> None:
        connector = aiohttp.TCPConnector(ssl=self._upstream.tls(), limit=0)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False)
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_route("*", "/{path:.*}", self._serve)
        # The handler ends with its caller, so that a watch whose caller was killed is not held open.
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, LOOPBACK, self.port).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    def before(self, wanted: Predicate, effect: Effect, *, times: int | None = 1) -> Fault:
        """The next `times` wanted requests meet `effect` and (but for Hold) never reach the API server."""
        return self._add(Fault(wanted, effect, after=False, times=times))

    def after(self, wanted: Predicate, effect: Effect, *, times: int | None = 1) -> Fault:
        """The next `times` wanted requests are done by the API server; `effect` befalls its answer."""
        return self._add(Fault(wanted, effect, after=True, times=times))

    def clear(self) -> None:
        """Forgets the faults; held requests go on."""
        for fault in self._faults:
            if isinstance(fault.effect, Hold):
                fault.effect.release()
        self._faults.clear()

    def matching(self, wanted: Predicate) -> list[Seen]:
        return [seen for seen in self.requests if wanted(seen)]

    def mutations(self) -> list[Seen]:
        return self.matching(lambda seen: seen.mutates)

    async def seen(self, wanted: Predicate, *, within: float = 30.0) -> Seen:
        """The first wanted request, past or future."""
        return (await eventually(lambda: self.matching(wanted), within=within, what="a request"))[0]

    def _add(self, fault: Fault) -> Fault:
        self._faults.append(fault)
        return fault

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        seen = Seen(time.time(), request.method, request.path, dict(request.query), dict(request.headers), body)
        self.requests.append(seen)
        faulty = await self._meet(seen, request, after=False)
        return faulty or await self._forward(seen, request)

    async def _meet(self, seen: Seen, request: web.Request, *, after: bool) -> web.StreamResponse | None:
        """What the first fault that takes the request answers in the server's stead; None when it may go on."""
        fault = next((fault for fault in self._faults if fault.takes(seen, after=after)), None)
        if fault is None:
            return None
        fault.fired += 1
        seen.fault = f"{'after' if after else 'before'} {type(fault.effect).__name__}"
        match fault.effect:
            case Hold():
                await fault.effect.wait()
                return None
            case Drop():
                if request.transport is not None:
                    request.transport.abort()
                return web.Response()
            case Answer(status, reason, headers):
                failure = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status, "reason": reason}
                return web.json_response(failure | {"message": "injected"}, status=status, headers=dict(headers))

    async def _forward(self, seen: Seen, request: web.Request) -> web.StreamResponse:
        assert self._session is not None
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        url = URL(self._upstream.server + request.raw_path, encoded=True)  # quoting it again would change selectors
        async with self._session.request(seen.method, url, headers=headers, data=seen.body or None) as answer:
            seen.status = answer.status
            faulty = await self._meet(seen, request, after=True)
            return faulty or await _stream(answer, request)


async def _stream(answer: aiohttp.ClientResponse, request: web.Request) -> web.StreamResponse:
    """Passes the answer on as it comes: a watch event leaves at once."""
    headers = {name: value for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP}
    response = web.StreamResponse(status=answer.status, headers=headers)
    await response.prepare(request)
    async for chunk in answer.content.iter_any():
        await response.write(chunk)
    await response.write_eof()
    return response
