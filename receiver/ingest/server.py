"""The listener: aiohttp with the deadlines and limits that it has not.

Law: nobody holds a connection by being slow, idle or many. Headers have 10 s, a body and its answer a minute at most, silence between
requests more than Alertmanager's own 5 minutes; connections are counted, in all and by peer. Bytes of strangers reach no log: what is no
HTTP is counted and answered with 400. Called by `app.py`, for the service and for a listener of its own for health and metrics.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass
from typing import Any

import structlog
from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

from receiver.ingest.answers import error_answer, secured
from receiver.ingest.http import shield
from receiver.telemetry.metrics import Metrics

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """What one listener bears."""

    header_seconds: float = 10.0
    """From the connection, or from the first byte of the next request, to the end of its headers."""
    request_seconds: float = 60.0
    """From the end of the headers to the last byte of the answer."""
    keepalive_seconds: float = 330.0
    """Alertmanager keeps an idle connection for 5 minutes; ending it first would race with its next delivery."""
    linger_seconds: float = 5.0
    """How long what follows a refused request is read and thrown away, so that the sender gets to read the refusal."""
    connections: int = 512
    connections_per_peer: int = 64
    """One Alertmanager is one peer, and so are all behind one proxy."""
    header_bytes: int = 8190
    headers: int = 64
    sweep_seconds: float = 1.0
    """How often deadlines are looked at."""
    backlog: int = 512


class RunningServer:
    """A listener that was started. `port` is the one that it got, where 0 was asked for."""

    def __init__(self, runner: web.AppRunner, guarded: _Server, listening: asyncio.Server) -> None:
        self._runner = runner
        self._guarded = guarded
        self._listening = listening
        self.port: int = listening.sockets[0].getsockname()[1]

    @property
    def busy(self) -> int:
        """Requests under way."""
        return self._guarded.busy

    async def stop_listening(self) -> None:
        """No new connections; those that are open end with their request."""
        self._listening.close()
        await asyncio.sleep(0)  # a request whose bytes are here is begun before the idle ones are closed
        self._guarded.pre_shutdown()

    async def close(self, *, grace_seconds: float = 10.0) -> None:
        """Stops listening, waits for the requests under way, then cuts them and cleans up the application."""
        await self.stop_listening()
        await self._guarded.shutdown(grace_seconds)
        self._guarded.stop_sweeping()
        await self._runner.cleanup()


async def start_server(
    app: web.Application, host: str, port: int, *, telemetry: Metrics, limits: ServerLimits | None = None, access_log: bool = False
) -> RunningServer:
    """Starts the application and listens. Raises OSError where the address is taken."""
    limits = limits or ServerLimits()
    runner = web.AppRunner(app)
    await runner.setup()
    inner = runner.server
    if inner is None:
        raise RuntimeError("the runner made no server")
    guarded = _Server(inner, telemetry=telemetry, limits=limits, access_log=access_log)
    loop = asyncio.get_running_loop()
    try:
        listening = await loop.create_server(guarded, host, port, backlog=limits.backlog)
    except OSError:
        await runner.cleanup()
        raise
    guarded.start_sweeping(loop)
    return RunningServer(runner, guarded, listening)


class _Server(web.Server):
    """Makes a guarded protocol for each connection and sweeps them for deadlines."""

    def __init__(self, inner: web.Server, *, telemetry: Metrics, limits: ServerLimits, access_log: bool) -> None:
        super().__init__(self._serve, request_factory=inner.request_factory)  # type: ignore[arg-type]  # the factory makes web.Request
        self._shielded = shield(inner.request_handler, telemetry)
        self.telemetry = telemetry
        self.limits = limits
        self.by_peer: Counter[str] = Counter()
        self._open: set[_Connection] = set()
        self._options: dict[str, Any] = {
            "keepalive_timeout": limits.keepalive_seconds,
            "lingering_time": limits.linger_seconds,
            "max_line_size": limits.header_bytes,
            "max_field_size": limits.header_bytes,
            "max_headers": limits.headers,
            "auto_decompress": False,
            "logger": _silent_logger(telemetry),
            "access_log_class": AccessLog,
            "access_log": logging.getLogger("receiver.access") if access_log else None,
        }
        self._timer: asyncio.TimerHandle | None = None

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, asyncio.get_running_loop(), self._options)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        connection = request.protocol
        if isinstance(connection, _Connection):
            connection.began(request)
        return await self._shielded(request)

    def opened(self, connection: _Connection) -> str:
        """Empty: welcome. Otherwise which limit it breaks."""
        if len(self._open) >= self.limits.connections:
            return "connections"
        if self.by_peer[connection.peer] >= self.limits.connections_per_peer:
            return "peer_connections"
        self._open.add(connection)
        self.by_peer[connection.peer] += 1
        self.telemetry.http_connections.set(len(self._open))
        return ""

    def closed(self, connection: _Connection) -> None:
        """Harmless for one that was never welcome."""
        if connection in self._open:
            self._open.discard(connection)
            self.by_peer[connection.peer] -= 1
            if not self.by_peer[connection.peer]:
                del self.by_peer[connection.peer]
            self.telemetry.http_connections.set(len(self._open))

    @property
    def busy(self) -> int:
        """Requests under way."""
        return sum(1 for each in self._open if each.handling)

    def start_sweeping(self, loop: asyncio.AbstractEventLoop) -> None:
        """Goes on until `stop_sweeping`."""
        self._timer = loop.call_later(self.limits.sweep_seconds, self._sweep, loop)

    def stop_sweeping(self) -> None:
        """Harmless when called twice."""
        if self._timer is not None:
            self._timer.cancel()

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for connection in list(self._open):
            if (late := connection.late(now)) != "":
                self.telemetry.malformed_requests.labels(late).inc()
                connection.abort()
        self.start_sweeping(loop)


class _Connection(web.RequestHandler):
    """aiohttp's protocol with a clock on it. Overrides public methods only."""

    __slots__ = ("_clock", "_request", "_server", "_since", "_wanted", "peer")

    def __init__(self, server: _Server, loop: asyncio.AbstractEventLoop, options: dict[str, Any]) -> None:
        super().__init__(server, loop=loop, **options)
        self._server = server
        self._clock = loop.time
        self._request: web.BaseRequest | None = None
        self._since: float | None = None
        """Since when we wait for the end of what has begun: headers without a request, or a request."""
        self._wanted = True
        self.peer = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        name = transport.get_extra_info("peername")
        self.peer = str(name[0]) if isinstance(name, tuple) and name else "local"
        broken = self._server.opened(self)
        if broken:
            self._wanted = False
            self._server.telemetry.malformed_requests.labels(broken).inc()
            if isinstance(transport, asyncio.Transport):
                transport.abort()
            return
        self._since = self._clock()
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._server.closed(self)
        self._request = None
        if self._wanted:
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self._wanted:
            return
        if data and self._since is None:
            self._since = self._clock()
        super().data_received(data)

    def began(self, request: web.BaseRequest) -> None:
        """The headers are here."""
        self._request = request
        self._since = self._clock()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            self._request = None
            self._since = None

    @property
    def handling(self) -> bool:
        """A request is under way."""
        return self._request is not None

    def late(self, now: float) -> str:
        """Which deadline has passed; empty: none."""
        if self._since is None:
            return ""
        limits, waited = self._server.limits, now - self._since
        if self._request is None:
            return "header_timeout" if waited > limits.header_seconds else ""
        if waited <= limits.request_seconds:
            return ""
        return "stalled" if self._request.content.is_eof() else "body_timeout"

    def abort(self) -> None:
        """At once, without waiting for the peer to take what is written."""
        if self.transport is not None:
            self.transport.abort()

    def handle_error(
        self,
        request: web.BaseRequest,  # noqa: ARG002 (nothing of it is answered)
        status: int = 500,
        exc: BaseException | None = None,  # noqa: ARG002 (it holds the stranger's bytes)
        message: str | None = None,  # noqa: ARG002 (so does this)
    ) -> web.StreamResponse:
        """What aiohttp could not parse. Nothing of it is logged or echoed."""
        self._server.telemetry.malformed_requests.labels("http").inc()
        answer = secured(error_answer(400 if status < 500 else 503, "not a request that is understood" if status < 500 else "try again"))
        answer.force_close()
        return answer


class AccessLog(AbstractAccessLogger):
    """One event a request, without the query string."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        log.info(
            "request",
            method=request.method[:16],
            path=request.path[:256],
            status=response.status,
            seconds=round(time, 4),
            peer=request.remote,
        )

    @property
    def enabled(self) -> bool:
        return True


def _silent_logger(telemetry: Metrics) -> logging.Logger:
    """For aiohttp, which logs a traceback with the stranger's bytes for each malformed request. A logger of our own: no global changes."""
    silent = logging.Logger("receiver.http")  # noqa: LOG001 (one a listener: a shared one would keep the handlers of those that are closed)
    silent.addHandler(_Counting(telemetry))
    return silent


class _Counting(logging.Handler):
    """Turns each record into one more fault, or into nothing below ERROR."""

    def __init__(self, telemetry: Metrics) -> None:
        super().__init__(logging.ERROR)
        self._telemetry = telemetry

    def emit(self, record: logging.LogRecord) -> None:  # noqa: ARG002 (it holds what must not be logged)
        self._telemetry.http_faults.inc()
