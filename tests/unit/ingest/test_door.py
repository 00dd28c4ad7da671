"""The door, over real HTTP on loopback: what is answered, what is stored first, and what is told to a person."""

from __future__ import annotations

import asyncio
import gzip
import json
from datetime import timedelta

import pytest

from receiver.ingest.http import DoorLimits
from receiver.ingest.room import FULL_AFTER, FULL_GAP
from receiver.ports import NotDurable, TroubleKind
from tests.fakes.clock import FakeClock
from tests.unit.ingest.listener import BODY, HEAD, TOKEN, Listener, listener


def kinds(at: Listener) -> list[TroubleKind]:
    """What was told, but for the good news of the first admission."""
    return [each.kind for each in at.intake.troubles if not each.over]


async def test_a_good_delivery_is_stored_as_it_came_and_then_answered() -> None:
    async with listener() as at:
        answer = await at.post()
        assert (answer.status, answer.json) == (200, {"accepted": 1, "rejected": []})
        (stored,) = at.intake.deliveries
        assert (stored.source, stored.body, len(stored.batch.alerts)) == ("alertmanager", BODY, 1)
        assert kinds(at) == []


async def test_nothing_is_acknowledged_that_is_not_stored() -> None:
    async with listener() as at:
        at.intake.refusal = NotDurable("inbox full", retry_after=timedelta(seconds=2.5))
        answer = await at.post()
        assert (answer.status, answer.headers["Retry-After"], answer.json) == (503, "3", {"error": "inbox full"})
        assert at.value("webhook_requests_total", source="alertmanager", code="503") == 1


@pytest.mark.parametrize("header", ["", "Bearer wrong", "Basic %%%", "Bearer \u00ff", f"Basic {TOKEN}"])
async def test_a_stranger_is_refused_and_nothing_is_stored_or_told(header: str) -> None:
    async with listener() as at:
        answer = await at.post(Authorization=header)
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert not at.intake.deliveries
        assert not at.intake.troubles


async def test_two_authorization_headers_are_none() -> None:
    async with listener() as at:
        got = await at.raw(f"{HEAD}Authorization: Bearer {TOKEN}\r\nContent-Length: {len(BODY)}\r\n\r\n".encode() + BODY)
        assert got.startswith(b"HTTP/1.1 401 ")


async def test_the_body_of_a_stranger_is_not_asked_for() -> None:
    async with listener() as at:
        head = HEAD.replace(TOKEN, "wrong")
        got = await at.raw(f"{head}Content-Length: 9999999\r\nExpect: 100-continue\r\n\r\n".encode())
        assert got.startswith(b"HTTP/1.1 401 ")


async def test_who_is_admitted_may_go_on_with_the_body() -> None:
    async with listener() as at:
        reader, writer = await asyncio.open_connection("127.0.0.1", at.server.port)
        writer.write(f"{HEAD}Content-Length: {len(BODY)}\r\nExpect: 100-continue\r\n\r\n".encode())
        assert await reader.readline() == b"HTTP/1.1 100 Continue\r\n"
        await reader.readline()
        writer.write(BODY)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        writer.close()


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "gzip, gzip", "x"])
async def test_an_encoded_body_is_refused_unread(coding: str) -> None:
    async with listener() as at:
        answer = await at.post(gzip.compress(BODY), Content_Encoding=coding)
        assert answer.status == 415
        assert kinds(at) == [TroubleKind.refused_delivery]


@pytest.mark.parametrize(
    "media, status",
    [
        ("application/json", 200),
        ("Application/JSON; charset=UTF-8", 200),
        ('application/json;charset="utf-8"; a=b', 200),
        ("", 415),
        ("text/plain", 415),
        ("application/jsonx", 415),
        ("application/json, application/json", 415),
        ("application/json; charset=utf-16", 415),
        ("application/json; charset=klingon", 415),
        ("application/json; charset=zlib_codec", 415),
        ("application/json; a=b" * 100, 415),
    ],
)
async def test_only_json_in_utf8_is_taken(media: str, status: int) -> None:
    async with listener() as at:
        assert (await at.post(Content_Type=media)).status == status


async def test_a_large_body_is_refused_by_its_header_and_told() -> None:
    async with listener(limits=DoorLimits(body_bytes=1000)) as at:
        answer = await at.post(b" " * 1001)
        assert (answer.status, answer.json) == (413, {"error": "body: more than 1000 bytes"})
        assert "413" in at.intake.troubles[-1].detail


async def test_a_chunked_body_is_counted_while_it_is_read() -> None:
    async with listener(limits=DoorLimits(body_bytes=1000)) as at:
        got = await at.raw(
            f"{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode() + b"100\r\n" + b" " * 256 + (b"\r\n100\r\n" + b" " * 256) * 9
        )
        assert got.startswith(b"HTTP/1.1 413 ")
        assert kinds(at) == [TroubleKind.refused_delivery]


async def begun(at: Listener, head: str, body: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", at.server.port)
    writer.write(f"{HEAD}{head}\r\n\r\n".encode() + body)
    return reader, writer


TIGHT = DoorLimits(body_bytes=1000, in_flight_bytes=1000, small_bytes=0)


async def test_bodies_that_would_fill_the_memory_come_back_later() -> None:
    async with listener(limits=TIGHT) as at:
        _, first = await begun(at, "Content-Length: 990", b" " * 980)
        while not at.server.busy:
            await asyncio.sleep(0)
        reader, second = await begun(at, "Content-Length: 300", b" " * 200)
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: 5" in answer
        first.close()
        while at.server.busy:
            await asyncio.sleep(0)
        reader, third = await begun(at, f"Content-Length: {len(BODY)}")
        await asyncio.sleep(0.02)
        third.write(BODY)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        second.close()
        third.close()


async def test_a_body_of_unannounced_length_counts_as_it_grows() -> None:
    async with listener(limits=TIGHT) as at:
        _, first = await begun(at, "Content-Length: 990", b" " * 900)
        while not at.server.busy:
            await asyncio.sleep(0)
        reader, second = await begun(at, "Transfer-Encoding: chunked")
        second.write(b"c8\r\n" + b" " * 200 + b"\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 503 ")
        first.close()
        second.close()


async def test_what_is_only_announced_takes_no_room() -> None:
    async with listener(limits=TIGHT) as at:
        silent = [await begun(at, "Content-Length: 1000") for _ in range(5)]
        while at.server.busy < len(silent):
            await asyncio.sleep(0)
        reader, writer = await begun(at, "Content-Length: 900", BODY)
        writer.write(b" " * (900 - len(BODY)))
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        for _, each in [*silent, (reader, writer)]:
            each.close()


async def test_small_bodies_have_room_when_large_ones_fill_the_door() -> None:
    async with listener(limits=DoorLimits(body_bytes=1000, in_flight_bytes=1000, small_bytes=len(BODY))) as at:
        _, first = await begun(at, "Content-Length: 1000", b" " * 990)
        while not at.server.busy:
            await asyncio.sleep(0)
        reader, second = await begun(at, f"Content-Length: {len(BODY)}", BODY[:-1])
        await asyncio.sleep(0.02)
        second.write(BODY[-1:])
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        first.close()
        second.close()


async def test_a_door_that_stays_full_is_told_and_over_when_it_is_free_again() -> None:
    clock = FakeClock()
    async with listener(limits=TIGHT, clock=clock) as at:
        _, first = await begun(at, "Content-Length: 990", b" " * 980)
        while not at.server.busy:
            await asyncio.sleep(0)
        for _ in range(3):
            assert kinds(at) == []
            reader, second = await begun(at, "Content-Length: 300", b" " * 200)
            assert (await reader.readline()).startswith(b"HTTP/1.1 503 ")
            second.close()
            clock.advance(FULL_AFTER / 2)
        assert kinds(at) == [TroubleKind.door_full]
        first.close()
        clock.advance(FULL_GAP)
        await at.post()
        assert [each.over for each in at.intake.troubles if each.kind is TroubleKind.door_full] == [False, True]


async def test_a_slow_body_is_cut_so_that_the_sender_comes_back() -> None:
    async with listener(limits=DoorLimits(body_seconds=0.05)) as at:
        head = f"{HEAD}Content-Length: 50\r\n\r\n"
        assert await at.raw(head.encode() + b"{") == b""
        assert not at.intake.deliveries


async def test_a_body_that_ends_early_is_not_processed() -> None:
    async with listener() as at:
        reader, writer = await asyncio.open_connection("127.0.0.1", at.server.port)
        writer.write(f"{HEAD}Content-Length: {len(BODY) + 10}\r\n\r\n".encode() + BODY)
        writer.write_eof()
        got = await reader.read()
        assert b" 200 " not in got
        assert not at.intake.deliveries
        assert at.value("http_faults_total") == 0
        writer.close()


async def test_a_refused_body_names_the_path_and_is_told() -> None:
    async with listener() as at:
        answer = await at.post(b'{"alerts": 5}')
        assert (answer.status, answer.json) == (400, {"error": "alerts: a list was expected, found a number"})
        assert answer.headers["Connection"] == "close"
        assert kinds(at) == [TroubleKind.refused_delivery]
        assert not at.intake.deliveries


async def test_what_cannot_be_read_at_all_is_stored_all_the_same() -> None:
    async with listener() as at:
        answer = await at.post(b'{"alerts": [null]}')
        assert answer.status == 422
        assert [each.batch.usable for each in at.intake.deliveries] == [False]
        assert kinds(at) == [TroubleKind.quarantine]


async def test_a_bad_alert_is_named_and_told_and_its_neighbour_accepted() -> None:
    async with listener() as at:
        answer = await at.post(json.dumps({"alerts": [{"labels": {"a": "b"}}, {"labels": 5}]}).encode())
        assert answer.status == 200
        assert answer.json == {
            "accepted": 1,
            "rejected": [{"path": "alerts[1].labels", "reason": "an object was expected, found a number"}],
        }
        assert "alerts[1].labels" in at.intake.troubles[-1].detail


async def test_an_odd_version_is_accepted_and_told() -> None:
    async with listener() as at:
        assert (await at.post(BODY.replace(b'"4"', b'"5"'))).status == 200
        assert kinds(at) == [TroubleKind.odd_version]


async def test_many_bad_alerts_make_a_short_answer() -> None:
    async with listener() as at:
        answer = await at.post(json.dumps({"alerts": [None] * 5000}).encode())
        assert len(answer.body) < 4096


async def test_a_large_body_is_parsed_in_a_thread_and_answered_the_same() -> None:
    async with listener(limits=DoorLimits(threaded_bytes=10)) as at:
        assert (await at.post()).json == {"accepted": 1, "rejected": []}


async def test_what_was_accepted_is_counted() -> None:
    async with listener() as at:
        ended = {"status": "resolved", "labels": {"a": "b"}}
        await at.post(json.dumps({"alerts": [ended, ended, {"labels": {"a": "b"}}, 5], "truncatedAlerts": 4}).encode())
        for status, count in (("resolved", 2), ("firing", 1), ("rejected", 1)):
            assert at.value("alerts_received_total", source="alertmanager", status=status) == count
        assert at.value("alerts_truncated_total", source="alertmanager") == 4
        assert at.value("webhook_requests_total", source="alertmanager", code="200") == 1
        assert at.value("ack_seconds_count") == 1
        assert at.value("webhook_request_duration_seconds_count", source="alertmanager") == 1


async def test_no_answer_holds_a_secret_or_what_was_sent() -> None:
    async with listener() as at:
        answers = [await at.post(b'{"hunter2', Authorization=each) for each in (f"Bearer {TOKEN}", "Bearer hunter2")]
        for answer in answers:
            assert b"hunter2" not in answer.body
            assert TOKEN.encode() not in answer.body
