"""PagerDuty's own: what each answer means, what is sent, and how much of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from receiver.clients.errors import ClientError, ErrorKind
from receiver.clients.pagerduty import PER_MINUTE, Events, EventsConfig
from receiver.clock import SystemClock
from receiver.notify.pagerduty import PagerDuty, event_of
from receiver.ports import DeliveryKind, MessageKind
from receiver.secret import Secret
from tests.fakes.clock import FakeClock
from tests.fakes.pagerduty import BODY_LIMIT, KEY, Fault, PagerDutyServer
from tests.kits.notifier_kit import LIMIT, message

Both = tuple[PagerDutyServer, PagerDuty]


@pytest.fixture
async def both() -> AsyncIterator[Both]:
    with PagerDutyServer() as server:
        events = Events(EventsConfig(Secret(KEY), server.url + "/", timeout=LIMIT), clock=SystemClock())
        yield server, PagerDuty(events)
        await events.close()


ANSWERS = [
    (Fault(status=202, applied=True), DeliveryKind.accepted, None),
    (Fault(status=429), DeliveryKind.retry, None),
    (Fault(status=429, retry_after="7"), DeliveryKind.retry, timedelta(seconds=7)),
    (Fault(status=429, retry_after="86400"), DeliveryKind.retry, timedelta(seconds=60)),
    (Fault(status=503, retry_after="Fri, 20 Nov 2026 12:00:00 GMT"), DeliveryKind.retry, None),
    (Fault(status=503, retry_after="-1"), DeliveryKind.retry, None),
    (Fault(status=500), DeliveryKind.retry, None),
    (Fault(status=502), DeliveryKind.retry, None),
    (Fault(status=408), DeliveryKind.retry, None),
    (Fault(status=401), DeliveryKind.retry, None),
    (Fault(status=403), DeliveryKind.retry, None),
    (Fault(status=404), DeliveryKind.retry, None),
    (Fault(status=200), DeliveryKind.retry, None),
    (Fault(status=307, location="/v2/enqueue"), DeliveryKind.retry, None),
]


@pytest.mark.parametrize("fault,kind,after", ANSWERS, ids=lambda each: str(each.status) if isinstance(each, Fault) else "")
async def test_what_each_answer_means(both: Both, fault: Fault, kind: DeliveryKind, after: timedelta | None) -> None:
    server, notifier = both
    server.fail(fault)
    result = await notifier.deliver(message())
    assert (result.kind, result.retry_after, server.tries) == (kind, after, 1)


async def test_an_event_is_whole_and_valid(both: Both) -> None:
    server, notifier = both
    await notifier.deliver(message())
    assert server.invalid == []
    event = server.requests[0][1]
    assert event["payload"]["class"] == "crash"
    assert event["payload"]["custom_details"]["tried"] == ["a", "b"]
    assert event["links"] == [{"href": "https://grafana.example.com/d/1", "text": "dashboard"}]
    assert (event["client"], event["payload"]["timestamp"]) == ("alert-receiver", "2026-11-20T12:00:00Z")


@pytest.mark.parametrize("status", [400, 413])
async def test_a_refused_event_is_followed_at_once_by_its_barest_form(both: Both, status: int) -> None:
    server, notifier = both
    server.fail(Fault(status=status))
    result = await notifier.deliver(message())
    assert result.kind is DeliveryKind.accepted
    assert "barest" in result.detail
    assert set(server.requests[0][1]["payload"]) == {"summary", "source", "severity"}


async def test_refused_twice_it_is_never_sent_again(both: Both) -> None:
    server, notifier = both
    server.fail(Fault(status=400), Fault(status=400))
    result = await notifier.deliver(message())
    assert (result.kind, server.tries) == (DeliveryKind.refused, 2)


async def test_a_key_that_pagerduty_does_not_know_is_refused_and_not_quoted() -> None:
    with PagerDutyServer(key="k" * 32) as server:
        events = Events(EventsConfig(Secret(KEY), server.url), clock=SystemClock())
        result = await PagerDuty(events).deliver(message())
        await events.close()
    assert result.kind is DeliveryKind.refused
    assert "routing_key is not known" in result.detail


async def test_an_answer_that_quotes_the_key_is_told_without_it(both: Both) -> None:
    server, notifier = both
    server.invalid.clear()
    result = await notifier.deliver(message(key=KEY * 9))  # 288 characters: the schema's complaint repeats the value
    assert result.kind is DeliveryKind.refused
    assert KEY not in result.detail
    assert "***" in result.detail


async def test_too_much_is_cut_by_us_and_not_by_an_error(both: Both) -> None:
    server, notifier = both
    details = {f"part {n}": ["é" * 1_000] * 20 for n in range(100)}
    await notifier.deliver(message(summary="é" * 2_000, details=details))
    assert server.invalid == []
    assert len(server.bodies[0]) <= BODY_LIMIT
    assert len(server.incidents[0].summary) == 1024
    assert "part 0" in server.incidents[0].details


async def test_a_resolve_closes_the_incident_of_its_trigger(both: Both) -> None:
    server, notifier = both
    for kind in (MessageKind.trigger, MessageKind.resolve):
        await notifier.deliver(message(kind))
    assert (len(server.incidents), server.open) == (1, [])


def test_a_resolve_says_nothing_but_its_key() -> None:
    assert event_of(message(MessageKind.resolve)) == {"event_action": "resolve", "dedup_key": "k" * 64}


async def test_an_address_where_nobody_is_means_later() -> None:
    events = Events(EventsConfig(Secret(KEY), "http://127.0.0.1:9", timeout=LIMIT), clock=SystemClock())
    result = await PagerDuty(events).deliver(message())
    await events.close()
    assert result.kind is DeliveryKind.retry
    assert "cannot be reached" in result.detail


async def test_an_error_holds_neither_body_nor_key_whatever_is_printed_of_it(both: Both) -> None:
    server, _ = both
    server.fail(Fault(status=500))
    events = Events(EventsConfig(Secret(KEY), server.url), clock=SystemClock())
    with pytest.raises(ClientError) as failed:
        await events.send(event_of(message(summary="only in the body")))
    await events.close()
    told = f"{failed.value!r} {failed.value} {failed.value.__cause__!r} {failed.value.__dict__}"
    assert KEY not in told
    assert "only in the body" not in told


async def test_our_own_rate_stays_below_the_vendors(both: Both) -> None:
    server, _ = both
    clock = FakeClock()
    events = Events(EventsConfig(Secret(KEY), server.url), clock=clock)
    for _ in range(PER_MINUTE + 30):
        await events.send(event_of(message()))
    await events.close()
    assert len(server.requests) == PER_MINUTE + 30
    assert clock.monotonic() == pytest.approx(30)


async def test_waiting_for_our_own_rate_has_a_limit_and_sends_nothing(both: Both) -> None:
    server, _ = both
    events = Events(EventsConfig(Secret(KEY), server.url, timeout=timedelta(seconds=0.05)), clock=_Still())
    for _ in range(PER_MINUTE):
        await events.send(event_of(message()))
    with pytest.raises(ClientError) as full:
        await events.send(event_of(message()))
    await events.close()
    assert (full.value.kind, full.value.sent, server.tries) == (ErrorKind.throttled, False, PER_MINUTE)


class _Still(FakeClock):
    """Its sleepers never wake."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.Event().wait()


async def test_an_acknowledged_key_wakes_nobody_and_a_new_key_does(both: Both) -> None:
    server, notifier = both
    await notifier.deliver(message())
    server.acknowledge("k" * 64)
    await notifier.deliver(message())
    assert [each.woken for each in server.incidents] == [1]
    await notifier.deliver(message(key="next"))
    assert [each.woken for each in server.incidents] == [1, 1]


@pytest.mark.parametrize(
    "event",
    [
        {"event_action": "trigger", "payload": {"summary": "s", "source": "s", "severity": "CRITICAL"}},
        {"event_action": "trigger", "payload": {"summary": "s" * 1025, "source": "s", "severity": "error"}},
        {"event_action": "trigger", "payload": {"summary": "s", "source": "s", "severity": "error", "timestamp": "soon"}},
        {"event_action": "trigger", "payload": {"source": "s", "severity": "error"}},
        {"event_action": "trigger"},
        {"event_action": "resolve"},
        {"event_action": "update", "dedup_key": "k"},
        {"event_action": "resolve", "dedup_key": "k" * 256},
    ],
    ids=lambda each: json.dumps(each)[:60],
)
async def test_the_other_side_refuses_what_pagerduty_refuses(both: Both, event: dict[str, object]) -> None:
    server, _ = both
    events = Events(EventsConfig(Secret(KEY), server.url), clock=SystemClock())
    with pytest.raises(ClientError) as no:
        await events.send(event)
    await events.close()
    assert (no.value.kind, server.incidents, len(server.invalid)) == (ErrorKind.invalid, [], 1)
