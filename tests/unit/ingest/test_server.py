"""The listener against the slow, the many, the malformed; and what it says when something of ours breaks."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from aiohttp import ClientSession, web

from receiver.clock import SystemClock
from receiver.ingest.server import ServerLimits, start_server
from receiver.telemetry.health import Health
from receiver.telemetry.metrics import Metrics
from receiver.telemetry.routes import add_telemetry_routes
from tests.unit.ingest.listener import BODY, HEAD, PATH, Listener, listener

QUICK = 0.02
WHOLE = f"{HEAD}Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY


def impatient(**changes: float) -> ServerLimits:
    values: dict[str, float] = {"header_seconds": 0.1, "request_seconds": 0.3, "sweep_seconds": QUICK, "linger_seconds": 0.1, **changes}
    return ServerLimits(**values)  # type: ignore[arg-type]  # whole numbers are given for the whole ones


async def opened(at: Listener) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", at.server.port)


# --- slow and idle -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [b"", b"GET", b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: "])
async def test_a_connection_without_whole_headers_is_ended(sent: bytes) -> None:
    async with listener(server_limits=impatient()) as at:
        assert await at.raw(sent) == b""
        assert at.value("malformed_requests_total", reason="header_timeout") == 1


async def test_headers_that_drip_gain_no_time() -> None:
    async with listener(server_limits=impatient()) as at:
        reader, writer = await opened(at)
        writer.write(WHOLE)
        await reader.readuntil(b"}")  # the deadline holds for each request of a connection
        drips = 0
        while not writer.is_closing() and drips < 200:
            writer.write(b"a" if drips else b"GET / HTTP/1.1\r\nA: ")
            drips += 1
            await asyncio.sleep(0.01)
        assert 3 < drips < 100
        assert at.value("malformed_requests_total", reason="header_timeout") == 1


async def test_silence_between_requests_is_no_slowness() -> None:
    async with listener(server_limits=impatient()) as at:
        reader, writer = await opened(at)
        for _ in range(2):
            writer.write(WHOLE)
            assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200 ")
            await asyncio.sleep(0.25)
        writer.close()


async def test_a_request_that_takes_too_long_is_ended() -> None:
    async with listener(server_limits=impatient()) as at:
        assert await at.raw(b"GET /hold HTTP/1.1\r\nHost: x\r\n\r\n") == b""
        assert at.value("malformed_requests_total", reason="stalled") == 1


async def test_a_body_that_never_ends_is_ended_whatever_the_route() -> None:
    async with listener(server_limits=impatient()) as at:
        await at.raw(b"GET /hold HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12")
        assert at.value("malformed_requests_total", reason="body_timeout") == 1


# --- many ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limits, reason", [({"connections": 3}, "connections"), ({"connections_per_peer": 3}, "peer_connections")])
async def test_connections_are_bounded_and_a_place_comes_free_again(limits: dict[str, float], reason: str) -> None:
    async with listener(server_limits=impatient(header_seconds=5, **limits)) as at:
        first, *others = [await opened(at) for _ in range(3)]
        first[1].write(WHOLE)
        await first[0].readuntil(b"}")  # so the three are in
        assert await at.raw(WHOLE) == b""
        assert at.value("malformed_requests_total", reason=reason) == 1
        assert at.value("http_connections") == 3
        others[0][1].close()
        while not (await at.raw(WHOLE.replace(b"Host", b"Connection: close\r\nHost"))).startswith(b"HTTP/1.1 200 "):
            await asyncio.sleep(0)
        for _, writer in (first, *others):
            writer.close()


async def test_a_pipeline_of_requests_is_answered_in_order() -> None:
    async with listener() as at:
        got = await at.raw(WHOLE * 50 + WHOLE.replace(b"Host", b"Connection: close\r\nHost"))
        assert got.count(b"HTTP/1.1 200 ") == 51


# --- malformed -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64 + b"\r\n\r\n",
        b"GET /healthz HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: x\r\nBad Header: hunter2\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: x\r\nA: " + b"h" * 20_000 + b"\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: x\r\n" + b"A: hunter2\r\n" * 200 + b"\r\n",
        HEAD.encode() + b"Content-Length: +5\r\n\r\n{}   ",
        HEAD.encode() + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n{}   ",
        HEAD.encode() + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_answered_400_counted_and_neither_echoed_nor_logged(data: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with listener() as at:
        got = await at.raw(data)
        assert got.split(b" ")[1] == b"400"
        assert b"X-Content-Type-Options: nosniff" in got
        assert got.endswith(b'{"error": "not a request that is understood"}')
        assert at.value("malformed_requests_total", reason="http") == 1
        assert not caplog.records


async def test_what_follows_a_refused_request_is_not_read_as_one() -> None:
    async with listener() as at:
        got = await at.raw(f"{HEAD}Content-Length: 2\r\n\r\n{{}}".encode() + WHOLE)
        assert got.count(b"HTTP/1.1 ") == 1
        assert got.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "target",
    [
        "//webhook/alertmanager",
        "/webhook//alertmanager",
        "/webhook/./alertmanager",
        "/x/../webhook/alertmanager",
        "/webhook/%61lertmanager",
        "/webhook%2falertmanager",
        "/webhook/alertmanager;a=b",
        "/webhook\\alertmanager",
        "/webhook/alertmanager#x",
        "http://evil.test/webhook/alertmanager",
        "/..",
    ],
)
async def test_there_is_one_way_to_write_a_path(target: str) -> None:
    async with listener() as at:
        got = await at.raw(WHOLE.replace(PATH.encode(), target.encode()))
        assert got.split(b" ")[1] in (b"400", b"404")
        assert not at.intake.deliveries


@pytest.mark.parametrize("data", [b"CONNECT 169.254.169.254:80 HTTP/1.1\r\nHost: x\r\n\r\n", b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"])
async def test_we_are_no_proxy(data: bytes) -> None:
    async with listener() as at:
        assert (await at.raw(data)).split(b" ")[1] in (b"400", b"404", b"405")


async def test_other_methods_and_paths_are_refused_in_json() -> None:
    async with listener() as at:
        wrong, missing = await at.get(PATH, "PUT"), await at.get("/nope")
        assert (wrong.status, wrong.headers["Allow"], wrong.json) == (405, "POST", {"error": "method not allowed"})
        assert (missing.status, missing.json) == (404, {"error": "not found"})
        assert missing.headers["Connection"] == "close"


# --- our own faults ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [ValueError("hunter2"), TimeoutError("hunter2"), KeyError("hunter2")])
async def test_a_fault_of_ours_is_never_a_500_that_says_why(fault: Exception) -> None:
    async with listener() as at:
        at.faults.append(fault)
        answer = await at.get("/fault")
        assert answer.status == 503
        assert answer.headers["Retry-After"] == "5"
        assert b"hunter2" not in answer.body
        assert at.value("http_faults_total") == 1


async def test_an_error_that_the_library_calls_500_is_a_503_too() -> None:
    async with listener() as at:
        at.faults.append(web.HTTPInternalServerError(text="hunter2"))
        answer = await at.get("/fault")
        assert (answer.status, answer.headers["Retry-After"], answer.json) == (503, "5", {"error": "not now; try again"})


async def test_a_redirect_of_the_console_stays_one() -> None:
    async with listener() as at:
        at.faults.append(web.HTTPSeeOther("/login"))
        answer = await at.get("/fault")
        assert (answer.status, answer.headers["Location"]) == (303, "/login")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_every_answer_carries_the_security_headers() -> None:
    async with listener() as at:
        for answer in (await at.post(), await at.get("/nope"), await at.post(b"{")):
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Cache-Control"] == "no-store"
            assert answer.headers["Server"] == "receiver"
            assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz", "/nope"])
async def test_the_listener_of_health_and_metrics_names_no_library_either(path: str) -> None:
    app, metrics = web.Application(), Metrics(version="0")
    add_telemetry_routes(app, metrics=metrics, health=Health(clock=SystemClock(), kept=timedelta(0), starting=False))
    server = await start_server(app, "127.0.0.1", 0, telemetry=metrics)
    try:
        async with ClientSession() as client, client.get(f"http://127.0.0.1:{server.port}{path}") as answer:
            assert answer.headers["Server"] == "receiver"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
    finally:
        await server.close(grace_seconds=0)


# --- ending --------------------------------------------------------------------------------------------------------------


async def test_a_request_under_way_is_finished_before_the_end() -> None:
    async with listener(server_limits=impatient(request_seconds=5)) as at:
        reader, writer = await opened(at)
        writer.write(b"GET /hold HTTP/1.1\r\nHost: x\r\n\r\n")
        while not at.server.busy:
            await asyncio.sleep(0)
        await at.server.stop_listening()
        with pytest.raises(ConnectionError):
            await opened(at)
        at.release.set()
        assert (await reader.read()).endswith(b"held")
        writer.close()


async def test_an_address_that_is_taken_raises_and_leaves_nothing_behind() -> None:
    async with listener() as at:
        with pytest.raises(OSError, match=r"address already in use|in use"):
            await listener_on(at.server.port)


async def listener_on(port: int) -> None:
    await start_server(web.Application(), "127.0.0.1", port, telemetry=Metrics(version="0"))
