"""Questions in PromQL against a server that speaks the query API."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from receiver.clients.prometheus import BODY_LIMIT_BYTES, Prometheus, PrometheusConfig
from receiver.core.facts import Facts, Look, Question, Sample, SampleState, Want
from receiver.core.looks import NO_PROMETHEUS
from receiver.core.model import Bounds, Target
from receiver.observe import Eyes, LookRunner, observers
from receiver.observe.prometheus import PrometheusObserver, escaped, fill
from receiver.secret import Secret
from tests.fakes.clock import FakeClock
from tests.fakes.query_api import QueryApi
from tests.unit.observe.objects import NOW, REF, SCOPE

QUERY = 'sum(up{namespace="$namespace",pod=~"$workload-.*",service="$service",cluster="$cluster"})'
FACTS = Facts(at=NOW, target=Target(REF, "uid-web"))
Served = Callable[[web.Application], Awaitable[TestServer]]


@pytest.fixture
def api() -> QueryApi:
    found = QueryApi()
    found.recorded("vector")
    return found


@pytest_asyncio.fixture
async def client(api: QueryApi, aiohttp_server: Served) -> AsyncIterator[Prometheus]:
    server = await aiohttp_server(api.app())
    config = PrometheusConfig(str(server.make_url("/prom/")), token=Secret("s3cret"), timeout=timedelta(milliseconds=300))
    found = Prometheus(config)
    yield found
    await found.close()


async def asked(client: Prometheus, query: str = "up", *, facts: Facts = FACTS, service: str = "shop-front") -> Sample:
    look = Look(frozenset({Want.verify}), timedelta(seconds=2), service=service, questions=(Question("verify", query=query),))
    return (await PrometheusObserver(client).look(look, facts)).samples[0]


@pytest.mark.parametrize(
    "recorded,state,value",
    [
        ("vector", SampleState.value, 0.0),
        ("scalar", SampleState.value, 1.5),
        ("empty", SampleState.empty, None),
        ("vector_many", SampleState.ambiguous, None),
        ("nan", SampleState.not_finite, None),
        ("inf", SampleState.not_finite, None),
        ("timeout2", SampleState.timeout, None),
        ("bad", SampleState.error, None),
        ("dup_series", SampleState.error, None),
        ("matrix", SampleState.error, None),
        ("string", SampleState.error, None),
        ("notfound", SampleState.error, None),
    ],
)
async def test_recorded_answers_are_read(client: Prometheus, api: QueryApi, recorded: str, state: SampleState, value: float | None) -> None:
    api.recorded(recorded)
    sample = await asked(client)
    assert (sample.state, sample.value) == (state, value)


@pytest.mark.parametrize(
    "body",
    [
        "", "nonsense", "[]", "{}", '{"status":"success"}', '{"status":"success","data":{"resultType":"vector","result":{}}}',
        '{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"histogram":[1,{}]}]}}',
        '{"status":"success","data":{"resultType":"vector","result":[{"value":[1,"much"]}]}}', "[" * 100_000,
    ],
)  # fmt: skip
async def test_an_answer_that_is_none_is_an_error(client: Prometheus, api: QueryApi, body: str) -> None:
    api.body = body
    assert (await asked(client)).state is SampleState.error


async def test_an_answer_that_may_not_be_whole_cannot_tell(client: Prometheus, api: QueryApi) -> None:
    api.body = json.dumps(json.loads(api.body) | {"warnings": ["store gateway 2 is away"]})
    sample = await asked(client)
    assert (sample.state, "store gateway 2 is away" in sample.detail) == (SampleState.error, True)


async def test_the_placeholders_are_filled_from_the_target(client: Prometheus, api: QueryApi) -> None:
    await asked(client, QUERY)
    assert api.asked[0]["query"] == 'sum(up{namespace="shop",pod=~"web-.*",service="shop-front",cluster="default"})'


async def test_the_server_is_told_to_give_up_before_we_do(client: Prometheus, api: QueryApi) -> None:
    await asked(client)
    assert (api.paths, api.asked[0]["timeout"]) == (["POST /prom/api/v1/query"], "150ms")


async def test_without_a_target_nothing_is_asked(client: Prometheus, api: QueryApi) -> None:
    sample = await asked(client, QUERY, facts=Facts(at=NOW))
    assert (sample.state, api.asked) == (SampleState.error, [])


async def test_without_a_service_a_query_for_it_is_not_asked(client: Prometheus, api: QueryApi) -> None:
    assert ((await asked(client, QUERY, service="")).state, api.asked) == (SampleState.error, [])


async def test_a_server_that_hangs_is_a_timeout(client: Prometheus, api: QueryApi) -> None:
    api.hang = True
    assert (await asked(client)).state is SampleState.timeout


async def test_a_cut_connection_is_an_error(client: Prometheus, api: QueryApi) -> None:
    api.cut = True
    assert (await asked(client)).state is SampleState.error


async def test_a_redirect_is_not_followed(client: Prometheus, api: QueryApi) -> None:
    api.status, api.location = 302, "/elsewhere"
    assert ((await asked(client)).state, len(api.paths)) == (SampleState.error, 1)


async def test_an_answer_that_never_ends_is_cut_off(client: Prometheus, api: QueryApi) -> None:
    api.body = '{"status":"success","data":{"resultType":"vector","result":[' + " " * BODY_LIMIT_BYTES + "]}}"
    sample = await asked(client)
    assert (sample.state, "longer than" in sample.detail) == (SampleState.error, True)


async def test_nobody_there_is_an_error(client: Prometheus) -> None:
    gone = Prometheus(PrometheusConfig("http://127.0.0.1:1"))
    assert (await asked(gone)).state is SampleState.error
    await gone.close()


async def test_the_token_goes_to_prometheus_and_nowhere_else(client: Prometheus, api: QueryApi) -> None:
    api.recorded("bad")
    sample = await asked(client)
    assert api.headers["Authorization"] == "Bearer s3cret"
    assert "s3cret" not in f"{sample}{client.config}"


async def test_the_detail_holds_query_and_answer_and_is_bounded(client: Prometheus, api: QueryApi) -> None:
    sample = await asked(client, f"up + {'1 + ' * 200}1")
    assert len(sample.detail) <= 256
    assert sample.detail.startswith("up + ")
    assert sample.detail.endswith("=> 0")


@given(st.text(max_size=40))
def test_a_value_never_leaves_its_string(value: str) -> None:
    """Whatever the quote around it: no quote, backslash of its own, backtick or line end is left."""
    inside = re.sub(r"\\u[0-9a-f]{4}|\\U[0-9a-f]{8}", "", escaped(value))
    assert re.fullmatch(r"[A-Za-z0-9_.:/@ -]*", inside)


@given(st.text(max_size=40))
def test_an_escaped_value_is_still_the_value(value: str) -> None:
    back = re.sub(r"\\u([0-9a-f]{4})|\\U([0-9a-f]{8})", lambda found: chr(int(found[1] or found[2], 16)), escaped(value))
    assert back == value


def test_a_filled_value_is_not_filled_again() -> None:
    assert fill("$service/$namespace", {"service": "$namespace", "namespace": "shop"}) == "\\u0024namespace/shop"


def test_the_end_of_a_regular_expression_is_no_placeholder() -> None:
    assert fill('a{b=~"5..$",c="$namespaces"}', {"namespace": "shop"}) == 'a{b=~"5..$",c="$namespaces"}'


async def test_without_a_prometheus_every_query_is_answered_by_why_nobody_can_be_asked() -> None:
    questions = (Question("verify", query="up"), Question("probe", url="http://x"), Question("breadth", query="up"))
    facts = await LookRunner(observers(Eyes(scope=SCOPE, bounds=Bounds())), FakeClock()).look(
        Look(frozenset({Want.verify}), timedelta(seconds=5), questions=questions)
    )
    told = {each.name: each.detail for each in facts.samples if each.state is SampleState.error}
    assert told == {"verify": NO_PROMETHEUS, "breadth": NO_PROMETHEUS, "probe": "nothing is configured that could look"}
