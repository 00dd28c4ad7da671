"""POST /webhook/sns over real HTTP: what is answered, what is stored, what a person hears, and what is never done."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
import structlog
from aiohttp import ClientSession, web

from receiver.clients.errors import ClientError, ErrorKind
from receiver.ingest.cloudwatch import CloudWatchSource
from receiver.ingest.http import DoorLimits, mount
from receiver.ingest.server import ServerLimits, start_server
from receiver.ingest.sns_door import SnsPolicy, sns_door
from receiver.ingest.sns_signature import FETCHES_A_MINUTE, Verifier
from receiver.ports import NotDurable, OwnTrouble, TroubleKind
from receiver.telemetry.metrics import Known, Metrics
from tests.fakes.clock import START, FakeClock
from tests.fakes.intake import FakeIntake
from tests.fakes.sns import CERTIFICATE_URL, TOKEN, TOPIC, UNSUBSCRIBE, Certificates, alarm, certificate, confirmation, message, signed
from tests.kits.source_kit import BODIES
from tests.unit.ingest.listener import Answer, answer_of

HEADERS = {"Content-Type": "text/plain; charset=UTF-8", "User-Agent": "Amazon Simple Notification Service Agent"}
ALARM = signed(message(alarm()))
PATIENT = timedelta(minutes=6)


@dataclass
class Ground:
    client: ClientSession
    url: str
    intake: FakeIntake
    clock: FakeClock
    certificates: Certificates
    metrics: Metrics
    confirmed: list[tuple[str, str]] = field(default_factory=list)
    fault: ClientError | None = None

    async def confirm(self, topic: str, token: str) -> None:
        if self.fault is not None:
            raise self.fault
        self.confirmed.append((topic, token))

    async def post(self, body: bytes = ALARM, **headers: str) -> Answer:
        given = {**HEADERS, **{name.replace("_", "-"): value for name, value in headers.items()}}
        async with self.client.post(self.url, data=io.BytesIO(body), headers=given) as response:
            return await answer_of(response)

    def troubles(self, kind: TroubleKind) -> list[OwnTrouble]:
        return [each for each in self.intake.troubles if each.kind is kind and not each.over]


async def serve(*, confirm: bool = False, require_v2: bool = False) -> AsyncIterator[Ground]:
    intake, clock, certificates = FakeIntake(), FakeClock(), Certificates()
    metrics = Metrics(version="0", known=Known(sources=["sns"]))
    app = web.Application()
    ground: list[Ground] = []

    async def confirmed(topic: str, token: str) -> None:
        await ground[0].confirm(topic, token)

    policy = SnsPolicy([TOPIC], require_v2=require_v2, confirm=confirmed if confirm else None)
    verifier = Verifier(certificates.load, clock=clock)
    limits = DoorLimits(body_bytes=2 << 20, body_seconds=2)
    source = CloudWatchSource("sns")
    mount(app, "/webhook/sns", sns_door(source, policy, verifier, intake=intake, telemetry=metrics, clock=clock, limits=limits))
    server = await start_server(app, "127.0.0.1", 0, telemetry=metrics, limits=ServerLimits(linger_seconds=0.2))
    async with ClientSession() as client:
        ground.append(Ground(client, f"http://127.0.0.1:{server.port}/webhook/sns", intake, clock, certificates, metrics))
        yield ground[0]
    await server.close(grace_seconds=0.5)


@pytest_asyncio.fixture
async def door() -> AsyncIterator[Ground]:
    async for each in serve():
        yield each


@pytest_asyncio.fixture
async def confirming() -> AsyncIterator[Ground]:
    async for each in serve(confirm=True):
        yield each


# --- notifications -------------------------------------------------------------------------------------------------------


async def test_an_alarm_is_accepted_as_an_alert(door: Ground) -> None:
    answer = await door.post()
    assert (answer.status, answer.json) == (200, {"accepted": 1, "rejected": []})
    (delivery,) = door.intake.deliveries
    assert (delivery.source, delivery.batch.alerts[0].source, delivery.batch.alerts[0].name) == ("sns", "cloudwatch", "cpu")


async def test_what_is_stored_reads_as_what_was_sent_and_holds_no_secret(door: Ground) -> None:
    await door.post()
    await door.post(signed(confirmation(kind="UnsubscribeConfirmation", id="165545c9-2a5c-472c-8df2-7ff2be2b3b1b")))
    stored = [each.body for each in door.intake.deliveries]
    assert CloudWatchSource("sns").parse(stored[0], START) == door.intake.deliveries[0].batch
    signature = json.loads(ALARM)["Signature"].encode()
    assert len(stored) == 2
    assert all(
        secret not in b"".join(stored) for secret in (UNSUBSCRIBE.encode(), signature, TOKEN.encode(), b"SubscribeURL", b"SigningCert")
    )


async def test_the_type_of_the_content_does_not_matter(door: Ground) -> None:
    for number, name in enumerate(("application/json", "text/plain", "application/xml; charset=UTF-8")):
        told = message(alarm(), id=f"{number:08x}-0000-4000-8000-000000000000")
        assert (await door.post(signed(told), Content_Type=name)).status == 200


async def test_the_same_message_again_is_answered_and_not_taken_again(door: Ground) -> None:
    answers = [await door.post() for _ in range(3)]
    assert [each.status for each in answers] == [200, 200, 200]
    assert len(door.intake.deliveries) == 1


async def test_what_could_not_be_stored_is_asked_for_again_and_then_taken(door: Ground) -> None:
    door.intake.refusal = NotDurable("full")
    answer = await door.post()
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    door.intake.refusal = None
    assert (await door.post()).json == {"accepted": 1, "rejected": []}


async def test_a_message_that_is_no_alarm_is_accepted_and_kept(door: Ground) -> None:
    answer = await door.post(signed(message("the nightly build is done")))
    assert (answer.status, answer.json["accepted"]) == (200, 0)
    assert len(door.intake.deliveries) == 1
    assert door.troubles(TroubleKind.quarantine) == []


@pytest.mark.parametrize(
    "told", [alarm()[:-9], '{"AlarmName": NaN}', '{"AlarmName": "a", "AlarmName": "b"}', '{"a":' * 40 + "1" + "}" * 40]
)
async def test_a_genuine_message_that_begins_as_an_alarm_and_cannot_be_decoded_is_kept_and_paged(door: Ground, told: str) -> None:
    answer = await door.post(signed(message(told)))
    assert answer.status == 422
    assert b'"path": "Message"' in answer.body
    assert len(door.intake.deliveries) == 1
    assert len(door.troubles(TroubleKind.quarantine)) == 1


async def test_an_alarm_that_cannot_be_read_is_kept_for_a_person(door: Ground) -> None:
    answer = await door.post(signed(message(alarm(NewStateValue="MAYBE"))))
    assert answer.status == 422
    assert len(door.intake.deliveries) == 1
    assert len(door.troubles(TroubleKind.quarantine)) == 1


# --- refusals ------------------------------------------------------------------------------------------------------------


def changed(**changes: Any) -> bytes:
    return json.dumps({**json.loads(ALARM), **changes}).encode()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (changed(Message=alarm("OK")), 403),
        (changed(TopicArn=TOPIC + "2"), 403),
        (changed(Type="Nope"), 400),
        (changed(Signature="!"), 403),
        (changed(Signature="A" * 1_000_000), 403),
        (changed(SigningCertURL="https://evil.example/a.pem"), 403),
        (b"{}", 403),
        (b"[]", 400),
        (b"{", 400),
        (b"\xff", 400),
        (ALARM.replace(b'"Message":', b'"Message": "x", "Message":'), 400),
        (b"x" * (2 << 20) + b"x", 413),
    ],
    ids=range(12),
)
async def test_a_forgery_is_refused_for_good(door: Ground, body: bytes, status: int) -> None:
    answer = await door.post(body)
    assert answer.status == status
    assert door.intake.deliveries == []
    assert door.intake.troubles == [] or all(each.over for each in door.intake.troubles)


async def test_nothing_is_fetched_for_a_topic_that_is_not_ours(door: Ground) -> None:
    await door.post(changed(TopicArn="arn:aws:sns:eu-west-1:999988887777:ops-alarms"))
    assert door.certificates.asked == []


async def test_raw_delivery_is_refused(door: Ground) -> None:
    raw = json.loads((BODIES / "sns" / "http" / "notification_raw_delivery.json").read_text())
    kept = {name: value for name, value in raw["headers"].items() if name != "content-length"}
    assert (await door.post(raw["body"].encode(), **kept)).status == 403
    answer = await door.post(ALARM, x_amz_sns_rawdelivery="true")  # whatever the body is: nobody signs raw ones
    assert (answer.status, "RawMessageDelivery" in str(answer.json["error"])) == (403, True)


@pytest.mark.parametrize("name", ["notification_wrapped", "subscription_confirmation"])
async def test_a_captured_message_of_another_account_is_refused(door: Ground, name: str) -> None:
    captured = json.loads((BODIES / "sns" / "http" / f"{name}.json").read_text())
    assert (await door.post(captured["body"].encode())).status == 403


async def test_only_refusals_for_minutes_are_told_when_they_name_a_topic_of_ours(door: Ground) -> None:
    for body, expected in ((changed(TopicArn=TOPIC + "2"), 0), (changed(Message="x"), 1)):
        for _ in range(2):
            await door.post(body)
            door.clock.advance(PATIENT)
        await door.post(body)
        assert bool(door.troubles(TroubleKind.unauthorized)) is bool(expected)


async def test_a_certificate_that_cannot_be_fetched_is_503_and_told(door: Ground) -> None:
    door.certificates.fault = ClientError(ErrorKind.unreachable, "no route")
    assert (await door.post()).status == 503
    (trouble,) = door.troubles(TroubleKind.unreachable_source)
    assert trouble.subject == "sns certificates"
    door.certificates.fault = None
    door.clock.advance(PATIENT)
    assert (await door.post()).status == 200
    assert OwnTrouble(TroubleKind.unreachable_source, "sns certificates", "a signature was checked", over=True) in door.intake.troubles


async def test_a_stranger_cannot_page_by_addresses_that_are_none(door: Ground) -> None:
    door.certificates.forbidden = False
    statuses = set()
    for number in range(2 * FETCHES_A_MINUTE):
        address = f"https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-{number:032x}.pem"
        statuses.add((await door.post(changed(SigningCertURL=address))).status)
    assert statuses == {403, 503}
    assert [each for each in door.intake.troubles if not each.over] == []


async def test_a_topic_that_was_verified_stays_open_whatever_strangers_make_us_fetch(door: Ground) -> None:
    assert (await door.post()).status == 200
    await test_a_stranger_cannot_page_by_addresses_that_are_none(door)
    assert (await door.post(signed(message(alarm(), id="165545c9-2a5c-472c-8df2-7ff2be2b3b1b")))).status == 200


async def test_minutes_of_nothing_but_addresses_that_are_none_are_told(door: Ground) -> None:
    door.certificates.served, door.certificates.forbidden = {}, False
    assert (await door.post()).status == 403
    door.clock.advance(timedelta(days=1))  # alarms are rare
    await door.post()
    assert len(door.troubles(TroubleKind.unauthorized)) == 1


# --- what SNS signed and we refuse: an alarm is lost, and nobody else says it ------------------------------------------------


def refusals(door: Ground) -> list[str]:
    assert door.intake.deliveries == []
    assert door.troubles(TroubleKind.unauthorized) == []
    return [each.detail for each in door.troubles(TroubleKind.refused_delivery)]


async def test_version_1_is_refused_where_2_is_required_and_told_at_once() -> None:
    async for door in serve(require_v2=True):
        assert (await door.post(signed(message(alarm(), SignatureVersion="1")))).status == 403
        assert [each.partition(";")[0] for each in refusals(door)] == [f"answered 403: {TOPIC}: SignatureVersion: 2 is required"]
        assert (await door.post()).status == 200


@pytest.mark.parametrize("off", [timedelta(hours=2), -timedelta(minutes=6)], ids=["ours is late", "ours is early"])
async def test_an_alarm_of_another_time_than_ours_is_refused_and_told_at_once(door: Ground, off: timedelta) -> None:
    assert (await door.post(signed(message(alarm(), at=START - off)))).status == 403
    assert ["Timestamp" in each for each in refusals(door)] == [True]


async def test_an_alarm_whose_certificate_is_not_valid_now_is_refused_and_told_at_once(door: Ground) -> None:
    door.certificates.served = {CERTIFICATE_URL: certificate(begins=START + timedelta(hours=1))}
    assert (await door.post()).status == 403
    assert ["certificate is not valid now" in each for each in refusals(door)] == [True]


@pytest.mark.parametrize("changes", [{"Timestamp": "2020-01-01T00:00:00.000Z"}, {"SignatureVersion": "1"}], ids=str)
async def test_a_stranger_cannot_page_by_what_would_be_refused_of_sns(changes: dict[str, str]) -> None:
    async for door in serve(require_v2=True):
        assert (await door.post(changed(**changes))).status == 403
        assert refusals(door) == []


async def test_an_old_message_that_was_heard_says_nothing_again(door: Ground) -> None:
    await door.post()
    door.clock.advance(timedelta(minutes=70))
    assert (await door.post()).json == {"accepted": 0, "rejected": []}
    assert door.troubles(TroubleKind.refused_delivery) == []


async def test_raw_deliveries_are_told_though_alarms_are_rare(door: Ground) -> None:
    for _ in range(2):
        await door.post(x_amz_sns_rawdelivery="true", x_amz_sns_topic_arn=TOPIC)
        door.clock.advance(timedelta(hours=30))
    assert len(door.troubles(TroubleKind.unauthorized)) == 1


# --- subscriptions -------------------------------------------------------------------------------------------------------


async def test_a_subscription_waits_for_a_person_unless_told_otherwise(door: Ground) -> None:
    assert (await door.post(signed(confirmation()))).status == 200
    (trouble,) = door.troubles(TroubleKind.subscription)
    assert (trouble.subject, "sources.sns.confirm" in trouble.detail) == (TOPIC, True)
    assert (door.confirmed, door.intake.deliveries) == ([], [])


async def test_a_subscription_is_confirmed_by_the_api(confirming: Ground) -> None:
    assert (await confirming.post(signed(confirmation()))).status == 200
    assert confirming.confirmed == [(TOPIC, TOKEN)]
    assert confirming.troubles(TroubleKind.subscription) == []


@pytest.mark.parametrize(
    "forged", [confirmation(topic="arn:aws:sns:eu-west-1:999988887777:attacker"), confirmation(SubscribeURL="http://169.254.169.254/")]
)
async def test_a_subscription_that_is_not_ours_is_never_confirmed(confirming: Ground, forged: dict[str, Any]) -> None:
    assert (await confirming.post(signed(forged))).status == 403
    assert confirming.confirmed == []


async def test_a_subscription_that_could_not_be_confirmed_comes_again(confirming: Ground) -> None:
    confirming.fault = ClientError(ErrorKind.forbidden, f"not allowed with {TOKEN}")
    assert (await confirming.post(signed(confirmation()))).status == 503
    (trouble,) = confirming.troubles(TroubleKind.subscription)
    assert TOKEN not in trouble.detail
    confirming.fault = None
    assert (await confirming.post(signed(confirmation()))).status == 200
    assert confirming.confirmed == [(TOPIC, TOKEN)]


async def test_a_subscription_taken_away_is_told_and_over_when_it_delivers_again(confirming: Ground) -> None:
    ended = confirmation(kind="UnsubscribeConfirmation", id="165545c9-2a5c-472c-8df2-7ff2be2b3b1b")
    assert (await confirming.post(signed(ended))).status == 200
    (trouble,) = confirming.troubles(TroubleKind.subscription)
    assert "taken away" in trouble.detail
    assert confirming.confirmed == []
    await confirming.post()
    assert confirming.intake.troubles[-1] == OwnTrouble(TroubleKind.subscription, TOPIC, "it delivers", over=True)


async def test_no_secret_of_a_message_reaches_log_trouble_or_answer(confirming: Ground) -> None:
    confirming.fault = ClientError(ErrorKind.invalid, f"Invalid token: {TOKEN}")
    told = [signed(confirmation()), ALARM, changed(Message="x"), signed(confirmation(kind="UnsubscribeConfirmation"))]
    with structlog.testing.capture_logs() as logs:
        answers = [await confirming.post(body) for body in told]
    shown = f"{logs} {confirming.intake.troubles} {[each.body for each in answers]}"
    assert logs
    assert all(secret not in shown for secret in (TOKEN, UNSUBSCRIBE, "Action=", json.loads(ALARM)["Signature"]))


async def test_every_answer_is_counted(door: Ground) -> None:
    await door.post()
    await door.post(b"{}")
    counted = [
        door.metrics.registry.get_sample_value("receiver_webhook_requests_total", {"source": "sns", "code": code})
        for code in ("200", "403")
    ]
    assert counted == [1, 1]
