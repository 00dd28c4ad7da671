"""A door that asks for a signature, over real HTTP on loopback: who is let in, what a stranger can do, and Grafana's patience."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from datetime import timedelta

import pytest

from receiver.core.model import Batch, Refusal
from receiver.ingest.credentials import Credentials
from receiver.ingest.grafana import METHODS, GrafanaSource
from receiver.ingest.http import DoorLimits
from receiver.ingest.signature import Signature, Signing
from receiver.ports import NotDurable, TroubleKind
from receiver.secret import Secret
from tests.fakes.clock import FakeClock
from tests.kits.source_kit import BODIES, NOW
from tests.unit.ingest.listener import PATH, TOKEN, Listener, listener

KEY = "grafana-test-secret"
HEADER = "X-Grafana-Alerting-Signature"
SIGNATURE = Signature(Signing(HEADER), [Secret(KEY)])
SIGNED = Credentials(signature=SIGNATURE)
BOTH = Credentials(tokens=[Secret(TOKEN)], signature=SIGNATURE)
SOURCE = GrafanaSource("grafana")
BODY = (BODIES / "grafana" / "webhook" / "firing.json").read_bytes()
NOBODY = {"Authorization": ""}


def signed(body: bytes = BODY, key: str = KEY) -> dict[str, str]:
    return {HEADER: hmac.new(key.encode(), body, hashlib.sha256).hexdigest()}


def kinds(at: Listener) -> list[TroubleKind]:
    return [each.kind for each in at.intake.troubles if not each.over]


async def test_a_signed_delivery_is_stored_and_answered() -> None:
    async with listener(source=SOURCE, auth=SIGNED) as at:
        answer = await at.post(BODY, **NOBODY, **signed())
        assert (answer.status, answer.json) == (200, {"accepted": 1, "rejected": []})
        assert [each.body for each in at.intake.deliveries] == [BODY]


async def test_a_large_signed_delivery_is_judged_as_well() -> None:
    large = BODY.replace(b'"state"', b'"filler": "' + b"x" * 200_000 + b'", "state"')
    async with listener(source=SOURCE, auth=SIGNED) as at:
        assert (await at.post(large, **NOBODY, **signed(large))).status == 200
        assert (await at.post(large, **NOBODY, **signed())).status == 403


async def test_without_a_signature_nobody_is_let_in() -> None:
    async with listener(source=SOURCE, auth=SIGNED) as at:
        answer = await at.post(BODY)
        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, f'Signature headers="{HEADER}"')
        assert (at.intake.deliveries, at.intake.troubles) == ([], [])


@pytest.mark.parametrize("digest", ["0" * 64, "é", "x", signed(b"another body")[HEADER], signed(key="another-secret")[HEADER]])
async def test_a_wrong_signature_stores_and_tells_nothing(digest: str) -> None:
    async with listener(source=SOURCE, auth=SIGNED) as at:
        assert (await at.post(BODY, **NOBODY, **{HEADER: digest})).status == 403
        assert (at.intake.deliveries, at.intake.troubles) == ([], [])


@pytest.mark.parametrize("body", [b"{", b'{"alerts": 7}', b""])
async def test_nothing_is_made_of_a_body_that_nobody_signed(body: bytes) -> None:
    async with listener(source=NeverRead(), auth=SIGNED) as at:
        assert (await at.post(body, **NOBODY, **signed())).status == 403


class NeverRead:
    name = "grafana"

    def parse(self, body: bytes, received_at: object) -> Batch | Refusal:
        raise AssertionError


async def test_where_both_are_configured_both_are_asked_for() -> None:
    async with listener(source=SOURCE, auth=BOTH) as at:
        assert (await at.post(BODY, **signed())).status == 200
        assert (await at.post(BODY, **NOBODY, **signed())).status == 401
        assert (await at.post(BODY)).status == 401
        assert (await at.post(BODY, **{HEADER: "0" * 64})).status == 403


async def test_a_stranger_cannot_page_by_what_a_friend_would_be_refused_for() -> None:
    async with listener(source=SOURCE, auth=SIGNED, limits=DoorLimits(body_bytes=2000)) as at:
        assert (await at.post(b"x" * 3000, **NOBODY, **{HEADER: "0" * 64})).status == 413
        assert (await at.post(b"{}", Content_Type="text/plain", **NOBODY, **{HEADER: "0" * 64})).status == 415
        assert kinds(at) == []


async def filled(at: Listener, size: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """By somebody who signs nothing, and does not end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", at.server.port)
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{HEADER}: {'0' * 64}\r\nContent-Length: {size + 9}\r\n\r\n"
    )
    writer.write(head.encode() + b" " * size)
    while not at.server.busy:
        await asyncio.sleep(0)
    return reader, writer


async def test_one_stranger_fills_his_share_and_not_the_door() -> None:
    large = BODY.replace(b'"state"', b'"filler": "' + b"x" * 500_000 + b'", "state"')
    limits = DoorLimits(body_bytes=600_000, in_flight_bytes=4_800_000, small_bytes=0)
    async with listener(source=SOURCE, auth=SIGNED, limits=limits) as at:
        _reader, stranger = await filled(at, 590_000)
        async with asyncio.timeout(5):
            while (await at.post(large, **NOBODY, **signed(large))).status != 503:  # once his bytes are there, from his address
                pass
        stranger.close()
        while at.server.busy:
            await asyncio.sleep(0)
        assert (await at.post(large, **NOBODY, **signed(large))).status == 200


async def test_what_a_friend_is_refused_for_is_told() -> None:
    async with listener(source=SOURCE, auth=SIGNED) as at:
        answer = await at.post(b'{"text": "custom"}', **NOBODY, **signed(b'{"text": "custom"}'))
        assert answer.status == 400
        assert "custom payload template" in str(answer.json["error"])
        assert kinds(at) == [TroubleKind.refused_delivery]


async def test_minutes_of_nothing_but_wrong_signatures_are_told() -> None:
    clock = FakeClock(NOW)
    async with listener(source=SOURCE, auth=SIGNED, clock=clock) as at:
        for _ in range(7):
            assert (await at.post(BODY, **NOBODY, **signed(key="rotated-secret-0123"))).status == 403
            clock.advance(timedelta(minutes=1))
        assert set(kinds(at)) == {TroubleKind.unauthorized}
        assert (await at.post(BODY, **NOBODY, **signed())).status == 200
        assert at.intake.troubles[-1].over


STAMP = "X-Grafana-Alerting-Timestamp"
STAMPED = Credentials(signature=Signature(Signing(HEADER, timestamp_header=STAMP), [Secret("rotated-secret-0123"), Secret(KEY)]))


def stamped(body: bytes = BODY, *, seconds: int = 0) -> dict[str, str]:
    time = str(int(NOW.timestamp()) + seconds)
    return {STAMP: time, HEADER: signed(f"{time}:".encode() + body)[HEADER], **NOBODY}


async def test_the_same_stamped_body_again_is_accepted_and_has_no_effect() -> None:
    clock = FakeClock(NOW)
    async with listener(source=SOURCE, auth=STAMPED, clock=clock) as at:
        answers = [await at.post(BODY, **stamped())]
        clock.advance(timedelta(minutes=4))
        answers.append(await at.post(BODY, **stamped()))
        assert [(each.status, each.json) for each in answers] == [(200, {"accepted": 1, "rejected": []})] * 2
        assert len(at.intake.deliveries) == 1


async def test_the_same_body_with_a_later_stamp_is_another_delivery() -> None:
    async with listener(source=SOURCE, auth=STAMPED, clock=FakeClock(NOW)) as at:
        for seconds in (0, 1):
            assert (await at.post(BODY, **stamped(seconds=seconds))).status == 200
        assert len(at.intake.deliveries) == 2


async def test_what_was_not_stored_may_come_again() -> None:
    clock = FakeClock(NOW)
    async with listener(source=SOURCE, auth=STAMPED, clock=clock) as at:
        at.intake.refusal = NotDurable("full")
        assert (await at.post(BODY, **stamped())).status == 503
        at.intake.refusal = None
        assert (await at.post(BODY, **stamped())).status == 200
        assert len(at.intake.deliveries) == 1


async def test_a_repeat_without_a_stamp_is_what_grafana_says_every_few_hours() -> None:
    async with listener(source=SOURCE, auth=SIGNED) as at:
        for _ in range(2):
            assert (await at.post(BODY, **NOBODY, **signed())).status == 200
        assert len(at.intake.deliveries) == 2


async def test_a_picture_is_not_stored() -> None:
    body = BODY.replace(b'"orgId": 1\n    }', b'"orgId": 1, "embeddedImage": "' + b"A" * 100_000 + b'"}')
    async with listener(source=SOURCE, auth=SIGNED) as at:
        assert (await at.post(body, **NOBODY, **signed(body))).status == 200
        assert len(at.intake.deliveries[0].body) < 4000


async def test_grafana_may_put() -> None:
    async with listener(source=SOURCE, auth=SIGNED, methods=METHODS) as at:
        headers = {"Content-Type": "application/json", **signed()}
        async with at.client.put(at.url + PATH, data=BODY, headers=headers) as answer:
            assert answer.status == 200


async def test_nobody_else_may_put() -> None:
    async with listener() as at, at.client.put(at.url + PATH, data=BODY) as answer:
        assert answer.status == 405


async def test_a_sender_that_does_not_come_back_is_waited_for() -> None:
    clock = FakeClock(NOW)
    async with listener(source=SOURCE, auth=SIGNED, clock=clock, limits=DoorLimits(patience_seconds=15)) as at:
        at.intake.refusal = NotDurable("the store is away")
        posting = asyncio.ensure_future(at.post(BODY, **NOBODY, **signed()))
        while clock.now() < NOW + timedelta(seconds=3):
            await asyncio.sleep(0)
        at.intake.refusal = None
        assert (await posting).status == 200
        assert len(at.intake.deliveries) == 1


async def test_the_patience_ends() -> None:
    clock = FakeClock(NOW)
    async with listener(source=SOURCE, auth=SIGNED, clock=clock, limits=DoorLimits(patience_seconds=15)) as at:
        at.intake.refusal = NotDurable("the store is away")
        assert (await at.post(BODY, **NOBODY, **signed())).status == 503
        assert clock.now() - NOW <= timedelta(seconds=15)
