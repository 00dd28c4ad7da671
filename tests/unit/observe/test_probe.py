"""Questions by HTTP against a server on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer

from receiver.clients.probe import Prober, shown
from receiver.core.facts import Facts, Look, Question, Sample, SampleState, Want
from receiver.observe.probe import ProbeObserver
from tests.fakes.query_api import QueryApi
from tests.unit.observe.objects import NOW

Served = Callable[[web.Application], Awaitable[TestServer]]


@pytest_asyncio.fixture
async def prober() -> AsyncIterator[Prober]:
    found = Prober(timeout=timedelta(milliseconds=200))
    yield found
    await found.close()


async def probed(prober: Prober, url: str) -> Sample:
    look = Look(frozenset({Want.verify}), timedelta(seconds=2), questions=(Question("probe", url=url),))
    return (await ProbeObserver(prober).look(look, Facts(at=NOW))).samples[0]


@pytest.mark.parametrize("status,value", [(200, 1), (204, 1), (301, 0), (302, 0), (401, 0), (404, 0), (500, 0), (503, 0)])
async def test_only_2xx_is_well(prober: Prober, aiohttp_server: Served, status: int, value: float) -> None:
    api = QueryApi(status=status, location="/elsewhere" if status in (301, 302) else "")
    sample = await probed(prober, str((await aiohttp_server(api.app())).make_url("/healthz")))
    assert (sample.name, sample.state, sample.value, api.paths) == ("probe", SampleState.value, value, ["GET /healthz"])


async def test_a_refused_connection_is_not_well(prober: Prober) -> None:
    sample = await probed(prober, "http://127.0.0.1:1/healthz")
    assert (sample.value, sample.detail) == (0, "GET http://127.0.0.1:1/healthz: refused the connection")


async def test_a_cut_connection_is_not_well(prober: Prober, aiohttp_server: Served) -> None:
    url = str((await aiohttp_server(QueryApi(cut=True).app())).make_url("/"))
    assert (await probed(prober, url)).value == 0


async def test_something_other_than_http_is_not_well(prober: Prober) -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        assert (await probed(prober, f"http://127.0.0.1:{port}/")).value == 0


async def test_no_answer_in_time_cannot_tell(prober: Prober, aiohttp_server: Served) -> None:
    url = str((await aiohttp_server(QueryApi(hang=True).app())).make_url("/"))
    sample = await probed(prober, url)
    assert (sample.state, sample.value) == (SampleState.timeout, None)


@pytest.mark.parametrize("url", ["http://nowhere.invalid/", "nonsense", "ftp://127.0.0.1/", "http://127.0.0.1:notaport/"])
async def test_an_address_that_leads_nowhere_cannot_tell(prober: Prober, url: str) -> None:
    sample = await probed(prober, url)
    assert (sample.state, sample.value) == (SampleState.error, None)


async def test_a_tls_that_is_not_trusted_cannot_tell(prober: Prober, aiohttp_server: Served) -> None:
    """Plain HTTP stands there: the handshake fails on both sides' terms."""
    url = str((await aiohttp_server(QueryApi().app())).make_url("/")).replace("http:", "https:")
    assert (await probed(prober, url)).state is SampleState.error


async def test_an_endless_body_is_not_read(prober: Prober, aiohttp_server: Served) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 2**16)

    app = web.Application()
    app.router.add_get("/", endless)
    assert (await probed(prober, str((await aiohttp_server(app)).make_url("/")))).value == 1


def test_an_address_is_shown_without_its_secrets() -> None:
    assert shown("https://user:s3cret@shop.example:8443/healthz?token=s3cret#s3cret") == "https://shop.example:8443/healthz"


@pytest.mark.parametrize(
    "body,value,word",
    [
        ('{"status": {"indicator": "none", "description": "All Systems Operational"}}', 1, "200"),
        ('{"status": {"indicator": "major", "description": "Partial outage"}}', 0, "indicator major: Partial outage"),
        ("not JSON", 1, "200"),
        ('{"status": "ok"}', 1, "200"),
        ('{"status": {"indicator": ["x"]}}', 0, "indicator"),
        ("[" * 40_000, 1, "200"),
    ],
)
async def test_a_providers_status_page_is_read_for_its_indicator(
    prober: Prober, aiohttp_server: Served, body: str, value: float, word: str
) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=body, content_type="application/json")

    app = web.Application()
    app.router.add_get("/status.json", answer)
    url = str((await aiohttp_server(app)).make_url("/status.json"))
    asked = (Question("dependency:stripe", url=url), Question("probe", url=url))
    samples = (
        await ProbeObserver(prober).look(Look(frozenset({Want.verify}), timedelta(seconds=2), questions=asked), Facts(at=NOW))
    ).samples
    assert samples[0].value == value
    assert word in samples[0].detail
    assert samples[1].value == 1  # a probe reads no body
