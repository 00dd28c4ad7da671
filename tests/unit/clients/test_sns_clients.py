"""The two ways to SNS: its certificates over a real listener, and the confirmation by its API."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer

from receiver.clients.errors import ClientError, ErrorKind
from receiver.clients.sns import Subscriptions
from receiver.clients.sns_certificates import PEM_BYTES, CertificateFetcher
from tests.fakes.sns import TOKEN, TOPIC

PEM = b"-----BEGIN CERTIFICATE-----"


@pytest_asyncio.fixture
async def base() -> AsyncIterator[str]:
    release = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        match request.path:
            case "/good":
                return web.Response(body=PEM)
            case "/long":
                return web.Response(body=b"x" * (PEM_BYTES + 1))
            case "/moved":
                raise web.HTTPFound("/good")
            case "/slow":
                await release.wait()
        return web.Response(status=int(request.path[1:]) if request.path[1:].isdigit() else 404)

    app = web.Application()
    app.router.add_get("/{any:.*}", answer)
    server = TestServer(app)
    await server.start_server()
    yield str(server.make_url("")).rstrip("/")
    release.set()
    await server.close()


async def load(url: str, *, seconds: float = 5) -> bytes | ErrorKind:
    fetcher = CertificateFetcher(timeout=timedelta(seconds=seconds))
    try:
        return await fetcher.load(url)
    except ClientError as no:
        return no.kind
    finally:
        await fetcher.close()


async def test_a_certificate_is_fetched(base: str) -> None:
    assert await load(f"{base}/good") == PEM


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("moved", ErrorKind.not_found),
        ("404", ErrorKind.not_found),
        ("403", ErrorKind.not_found),
        ("429", ErrorKind.throttled),
        ("503", ErrorKind.unavailable),
        ("long", ErrorKind.bad_answer),
    ],
)
async def test_each_failure_says_whether_it_passes(base: str, path: str, kind: ErrorKind) -> None:
    assert await load(f"{base}/{path}") is kind


async def test_silence_has_an_end(base: str) -> None:
    assert await load(f"{base}/slow", seconds=0.05) is ErrorKind.timeout


async def test_nobody_there_is_unreachable() -> None:
    assert await load("http://127.0.0.1:1/x.pem") is ErrorKind.unreachable


class Calls:
    def __init__(self) -> None:
        self.made: list[tuple[str, str, dict[str, object]]] = []
        self.fault: ClientError | None = None

    def at(self, region: str) -> Any:
        async def call(operation: str, parameters: Mapping[str, object], *, limit: timedelta) -> Mapping[str, Any]:
            assert limit <= timedelta(seconds=10)
            self.made.append((region, operation, dict(parameters)))
            if self.fault is not None:
                raise self.fault
            return {}

        return call


async def test_a_subscription_is_confirmed_in_its_region_so_that_nobody_ends_it_by_an_address() -> None:
    calls = Calls()
    await Subscriptions(calls.at).confirm(TOPIC, TOKEN)
    asked = {"TopicArn": TOPIC, "Token": TOKEN, "AuthenticateOnUnsubscribe": "true"}
    assert calls.made == [("eu-west-1", "confirm_subscription", asked)]


async def test_no_error_holds_the_token() -> None:
    calls = Calls()
    calls.fault = ClientError(ErrorKind.invalid, f"InvalidParameter: {TOKEN}")
    with pytest.raises(ClientError) as raised:
        await Subscriptions(calls.at).confirm(TOPIC, TOKEN)
    assert TOKEN not in str(raised.value)
    assert TOKEN not in "".join(traceback.format_exception(raised.value)).replace(f'"{TOKEN}"', "")
