"""What an Alertmanager lists, as alerts of the source that it delivers to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer

from receiver.clients import alertmanager as client_module
from receiver.clients.alertmanager import Alertmanager, AlertmanagerConfig
from receiver.core.model import Batch
from receiver.ingest.alertmanager import AlertmanagerSource
from receiver.ingest.alertmanager_list import AlertmanagerList
from receiver.ports import ListingFailed
from receiver.secret import Secret
from tests.fakes.alertmanager_api import AlertmanagerApi, known
from tests.fakes.clock import START
from tests.fakes.folding_ground import POD, body, said

Served = Callable[[web.Application], Awaitable[TestServer]]
MINUTE = timedelta(minutes=1)
SOURCE = AlertmanagerSource("alertmanager")


@pytest.fixture
def api() -> AlertmanagerApi:
    return AlertmanagerApi(START, alerts=[known(POD, starts=START - MINUTE)])


@pytest_asyncio.fixture
async def client(api: AlertmanagerApi, aiohttp_server: Served) -> AsyncIterator[Alertmanager]:
    server = await aiohttp_server(api.app())
    found = Alertmanager(AlertmanagerConfig(str(server.make_url("/am/")), token=Secret("s3cret"), timeout=timedelta(milliseconds=500)))
    yield found
    await found.close()


async def test_a_listed_alert_is_the_alert_that_would_be_delivered(client: Alertmanager) -> None:
    listing = await AlertmanagerList(client, SOURCE).ask(START, {})
    delivered = SOURCE.parse(body(said(POD, starts=START - MINUTE, summary="something")), START)
    assert isinstance(delivered, Batch)
    (listed,) = listing.firing
    assert (listed.source, listed.fingerprint, listed.starts_at) == (
        "alertmanager",
        delivered.alerts[0].fingerprint,
        delivered.alerts[0].starts_at,
    )
    assert (listed.ends_at, listed.trusted_shape, listed.annotations) == (None, True, {"summary": "something"})


@pytest.mark.parametrize("state", ["suppressed", "unprocessed", "a word of a later version"])
async def test_what_is_not_active_is_neither_firing_nor_over(api: AlertmanagerApi, client: Alertmanager, state: str) -> None:
    api.alerts = [known(POD, starts=START - MINUTE, state=state)]
    listing = await AlertmanagerList(client, SOURCE).ask(START, {})
    assert (listing.firing, listing.over, len(listing.held_back)) == ((), (), 1)


async def test_what_a_time_interval_mutes_is_held_back(api: AlertmanagerApi, client: Alertmanager) -> None:
    api.muted = {api.alerts[0]["fingerprint"]}
    listing = await AlertmanagerList(client, SOURCE).ask(START, {})
    assert (listing.firing, len(listing.held_back)) == ((), 1)


async def test_an_end_that_has_passed_by_the_senders_clock_is_explicit(api: AlertmanagerApi, client: Alertmanager) -> None:
    api.alerts = [known(POD, starts=START - MINUTE, ends=START - timedelta(seconds=1))]
    listing = await AlertmanagerList(client, SOURCE).ask(START, {})
    assert (len(listing.over), listing.firing) == (1, ())


async def test_our_own_clock_ends_nothing(api: AlertmanagerApi, client: Alertmanager) -> None:
    api.alerts = [known(POD, starts=START - MINUTE, ends=START + 4 * MINUTE)]
    listing = await AlertmanagerList(client, SOURCE).ask(START + timedelta(hours=1), {})
    assert (listing.over, len(listing.firing)) == ((), 1)


async def test_alerts_of_other_receivers_are_not_ours(api: AlertmanagerApi, client: Alertmanager) -> None:
    api.alerts.append(known({"alertname": "Other"}, starts=START, receivers=("null",)))
    listing = await AlertmanagerList(client, SOURCE, receivers=("receiver",)).ask(START, {})
    assert ([each.name for each in listing.firing], listing.foreign) == ([POD["alertname"]], 1)


@pytest.mark.parametrize("status", [301, 307, 401, 403, 404, 429, 500, 503])
async def test_any_other_answer_is_none(api: AlertmanagerApi, client: Alertmanager, status: int) -> None:
    api.status = status
    with pytest.raises(ListingFailed, match=str(status)) as failed:
        await AlertmanagerList(client, SOURCE).ask(START, {})
    assert "s3cret" not in str(failed.value)


@pytest.mark.parametrize("text", [b"", b"{}", b"null", b'[{"labels": {}}]', b'[{"labels": 1}', b"\xff", b"[" * 10_000])
async def test_an_unreadable_answer_is_none(api: AlertmanagerApi, client: Alertmanager, text: bytes) -> None:
    api.body = text
    with pytest.raises(ListingFailed, match="list of its alerts"):
        await AlertmanagerList(client, SOURCE).ask(START, {})


async def test_half_an_answer_is_none(api: AlertmanagerApi, client: Alertmanager) -> None:
    api.cut = True
    with pytest.raises(ListingFailed, match="cannot be reached"):
        await AlertmanagerList(client, SOURCE).ask(START, {})


async def test_a_server_that_hangs_is_left(api: AlertmanagerApi, client: Alertmanager) -> None:
    api.hang = True
    with pytest.raises(ListingFailed, match="did not answer"):
        await AlertmanagerList(client, SOURCE).ask(START, {})


async def test_mutes_that_cannot_be_read_fail_the_round_and_where_there_are_none_nothing_is_muted(
    api: AlertmanagerApi, client: Alertmanager
) -> None:
    api.groups_status = 500
    with pytest.raises(ListingFailed):
        await AlertmanagerList(client, SOURCE).ask(START, {})
    api.groups_status = 404
    assert len((await AlertmanagerList(client, SOURCE).ask(START, {})).firing) == 1


async def test_an_answer_without_end_is_cut(api: AlertmanagerApi, client: Alertmanager) -> None:
    api.body = b" " * (client_module.BODY_LIMIT_BYTES + 1)
    client.config = AlertmanagerConfig(client.config.url, timeout=timedelta(seconds=20))
    with pytest.raises(ListingFailed, match="longer than"):
        await AlertmanagerList(client, SOURCE).ask(START, {})


async def test_the_token_or_the_password_goes_with_the_question(api: AlertmanagerApi, client: Alertmanager) -> None:
    await client.alerts()
    assert api.headers["Authorization"] == "Bearer s3cret"
    client.config = AlertmanagerConfig(client.config.url, username="us", password=Secret("pä:ss"))
    await client.alerts()
    assert api.headers["Authorization"] == "Basic dXM6cMOkOnNz"


async def test_a_long_list_is_read_whole(api: AlertmanagerApi, client: Alertmanager) -> None:
    client.config = AlertmanagerConfig(client.config.url, timeout=timedelta(seconds=20))
    api.alerts = [known({**POD, "pod": f"web-{n}"}, starts=START) for n in range(3_000)]
    listing = await AlertmanagerList(client, SOURCE).ask(START, {})
    assert len({each.fingerprint for each in listing.firing}) == 3_000
