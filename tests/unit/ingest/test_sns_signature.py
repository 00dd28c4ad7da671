"""Certificates of SNS: which count, how often they are asked for, and what a stranger can make us do."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

from receiver.clients.errors import ClientError, ErrorKind
from receiver.ingest.sns_message import AHEAD, OLDEST, Message, Refused, Unwanted, check_policy, read
from receiver.ingest.sns_signature import (
    FETCHES,
    FETCHES_A_MINUTE,
    FORGET_FAILURE_SECONDS,
    FORGET_PASSING_SECONDS,
    KEPT,
    PEER_FETCHES_A_MINUTE,
    WAITING,
    NotNow,
    Verifier,
    check_signature,
)
from tests.fakes import sns
from tests.fakes.clock import START, FakeClock
from tests.fakes.sns import CERTIFICATE_URL, TOPIC, Certificates, certificate, confirmation, message, signed

HOST = "https://sns.eu-west-1.amazonaws.com"


def url(number: int) -> str:
    return f"{HOST}/SimpleNotificationService-{number:032x}.pem"


def made(told: dict[str, Any] | None = None, *, bits: int = 2048, **changes: Any) -> Message:
    return read(signed(told or message("x", **changes), bits=bits), topics=[TOPIC])


class Ground:
    def __init__(self, served: dict[str, bytes] | None = None) -> None:
        self.clock = FakeClock()
        self.certificates = Certificates(served)
        self.verifier = Verifier(self.certificates.load, clock=self.clock)

    async def refusal(self, told: Message | None = None) -> str:
        """Of a message that proves nothing."""
        with pytest.raises(Refused) as refused:
            await self.verifier.check(told or made())
        assert not isinstance(refused.value, Unwanted)
        return refused.value.reason

    async def regret(self, told: Message | None = None) -> str:
        """Of a message that SNS wrote."""
        with pytest.raises(Unwanted) as refused:
            await self.verifier.check(told or made())
        return refused.value.reason


# --- which certificate ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["1", "2"])
async def test_what_sns_signed_is_taken(version: str) -> None:
    await Ground().verifier.check(made(SignatureVersion=version))


async def test_a_changed_message_is_refused() -> None:
    told = made()
    assert await Ground().refusal(replace(told, signed=told.signed + b" ")) == "Signature: wrong"


@pytest.mark.parametrize("name", ["sns.amazonaws.com", "sns-signing.eu-west-1.amazonaws.com"])
async def test_a_certificate_named_as_sns_of_the_region_counts(name: str) -> None:
    await Ground({CERTIFICATE_URL: certificate(name)}).verifier.check(made())
    await Ground({CERTIFICATE_URL: certificate("whatever", alternative=name)}).verifier.check(made())


@pytest.mark.parametrize("name", ["evil.example", "sns-signing.eu-west-2.amazonaws.com", "*.amazonaws.com", "SNS.amazonaws.com.evil", ""])
async def test_a_certificate_named_otherwise_does_not(name: str) -> None:
    ground = Ground({CERTIFICATE_URL: certificate(name or "x")})
    assert await ground.refusal() == "the certificate is not named as SNS of that region is"


@pytest.mark.parametrize("begins", [START - timedelta(days=400), START + timedelta(seconds=1)], ids=["expired", "not yet valid"])
async def test_a_certificate_counts_only_while_it_is_valid(begins: Any) -> None:
    ground = Ground({CERTIFICATE_URL: certificate(begins=begins)})
    assert "the certificate is not valid now" in await ground.regret()
    told = made()
    assert await ground.refusal(replace(told, signed=told.signed + b" ")) == "Signature: wrong"


async def test_a_known_certificate_that_expires_counts_no_more() -> None:
    ground = Ground({CERTIFICATE_URL: certificate(days=2)})
    await ground.verifier.check(made())
    ground.clock.advance(timedelta(days=3))
    assert "the certificate is not valid now" in await ground.regret()


class Strict:
    """The key of a machine whose policy forbids SHA-1: it checks no signature with it, and still undoes one."""

    def verify(self, *_: object) -> None:
        raise UnsupportedAlgorithm("sha1 is not supported")

    def recover_data_from_signature(self, signature: bytes, padding: PKCS1v15, algorithm: None) -> bytes:
        return sns.key(2048).public_key().recover_data_from_signature(signature, padding, algorithm)


async def test_what_the_machine_may_not_check_is_told_from_what_nobody_signed() -> None:
    told = made(SignatureVersion="1")
    with pytest.raises(Unwanted, match="SHA-1"):
        check_signature(Strict(), told)
    with pytest.raises(Refused, match="wrong") as refused:
        check_signature(Strict(), replace(told, signed=told.signed + b" "))
    assert not isinstance(refused.value, Unwanted)
    with pytest.raises(Refused, match="wrong"):
        check_signature(Strict(), replace(told, signature=b"x"))


@pytest.mark.parametrize("pem", [b"", b"<html>", certificate() + certificate(), certificate()[:400], certificate(bits=1024)], ids=range(5))
async def test_what_is_not_one_certificate_of_a_strong_key_is_refused(pem: bytes) -> None:
    assert "certificate" in await Ground({CERTIFICATE_URL: pem}).refusal()


# --- how often it is asked for -------------------------------------------------------------------------------------------


async def test_an_address_is_asked_once_however_many_come_at_once() -> None:
    ground = Ground()
    await asyncio.gather(*(ground.verifier.check(made(id=f"{n:08x}-0000-4000-8000-000000000000")) for n in range(20)))
    assert ground.certificates.asked == [CERTIFICATE_URL]


async def test_a_failure_is_remembered_for_a_while() -> None:
    ground = Ground({})
    ground.certificates.forbidden = False
    for _ in range(3):
        assert await ground.refusal() == "not_found: 404"
    ground.clock.advance(timedelta(seconds=FORGET_FAILURE_SECONDS))
    await ground.refusal()
    assert len(ground.certificates.asked) == 2


async def test_a_passing_failure_is_tried_again_soon() -> None:
    ground = Ground()
    ground.certificates.fault = ClientError(ErrorKind.timeout, "no answer")
    for _ in range(2):
        with pytest.raises(NotNow) as later:
            await ground.verifier.check(made())
        assert later.value.unreachable
    ground.certificates.fault = None
    ground.clock.advance(timedelta(seconds=FORGET_PASSING_SECONDS))
    await ground.verifier.check(made())
    assert len(ground.certificates.asked) == 2


async def test_strangers_cannot_make_us_fetch_without_bound() -> None:
    ground = Ground({})
    ground.certificates.forbidden = False
    for number in range(FETCHES_A_MINUTE):
        await ground.refusal(made(SigningCertURL=url(number)))
    with pytest.raises(NotNow, match="within a minute") as later:
        await ground.verifier.check(made(SigningCertURL=url(999)))
    assert not later.value.unreachable
    assert len(ground.certificates.asked) == FETCHES_A_MINUTE
    ground.clock.advance(timedelta(minutes=1))
    await ground.refusal(made(SigningCertURL=url(999)))


async def test_one_stranger_cannot_use_up_all_that_may_be_fetched() -> None:
    ground = Ground()
    ground.certificates.forbidden = False
    for number in range(PEER_FETCHES_A_MINUTE):
        with pytest.raises(Refused):
            await ground.verifier.check(made(SigningCertURL=url(number)), peer="192.0.2.1")
    with pytest.raises(NotNow, match="within a minute"):
        await ground.verifier.check(made(SigningCertURL=url(999)), peer="192.0.2.1")
    await ground.verifier.check(made(), peer="192.0.2.2")


async def test_addresses_without_a_certificate_are_each_remembered() -> None:
    ground = Ground({})
    ground.certificates.forbidden = False
    for _ in range(2):
        for number in range(3 * FETCHES_A_MINUTE):
            if number % FETCHES_A_MINUTE == 0:
                ground.clock.advance(timedelta(minutes=1))
            await ground.refusal(made(SigningCertURL=url(number)))
    assert len(ground.certificates.asked) == 3 * FETCHES_A_MINUTE


async def test_the_certificate_that_a_topic_was_verified_with_is_never_asked_for_again() -> None:
    ground = Ground({CERTIFICATE_URL: certificate(), **{url(number): certificate() for number in range(KEPT)}})
    await ground.verifier.check(made())
    told = made()
    for number in range(KEPT):  # addresses that are SNS's own as well, in messages that it did not sign
        if number % FETCHES_A_MINUTE == 0:
            ground.clock.advance(timedelta(minutes=1))
        await ground.refusal(replace(told, certificate_url=url(number), signed=b"x"))
    await ground.verifier.check(told)
    assert ground.certificates.asked.count(CERTIFICATE_URL) == 1


class Gate:
    """Certificates that come when they are let."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.release = asyncio.Event()

    async def load(self, address: str) -> bytes:
        self.begun.append(address)
        await self.release.wait()
        return certificate()


async def turns() -> None:
    for _ in range(9):
        await asyncio.sleep(0)


async def test_no_more_than_so_many_are_fetched_or_wait_at_once() -> None:
    gate = Gate()
    verifier = Verifier(gate.load, clock=FakeClock())
    async with asyncio.TaskGroup() as group:
        for number in range(WAITING):
            group.create_task(verifier.check(made(SigningCertURL=url(number % 8))))
        await turns()
        assert len(gate.begun) == FETCHES
        with pytest.raises(NotNow, match="wait"):
            await verifier.check(made())
        gate.release.set()
    assert sorted(gate.begun) == [url(number) for number in range(8)]


async def test_one_address_is_fetched_once_however_slowly_it_answers() -> None:
    gate = Gate()
    verifier = Verifier(gate.load, clock=FakeClock())
    async with asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(verifier.check(made()))
        await turns()
        gate.release.set()
    assert gate.begun == [CERTIFICATE_URL]


# --- what is read before -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"Timestamp": "2026-11-20T12:00:00Z"}, "Timestamp"),
        ({"id": "not-a-uuid"}, "MessageId"),
        ({"id": "dc1e94d9-56c5-5e96-808d-cc7f68faa162\nSubject\nx"}, "MessageId"),
        ({"Type": "Notification\n"}, "Type"),
        ({"SignatureVersion": "3"}, "SignatureVersion"),
        ({"Subject": 3}, "Subject"),
        ({"SigningCertURL": CERTIFICATE_URL + "\n"}, "SigningCertURL"),
        ({"SigningCertURL": CERTIFICATE_URL.replace("eu-west-1", "us-east-1")}, "SigningCertURL"),
        ({"SigningCertURL": CERTIFICATE_URL.upper()}, "SigningCertURL"),
    ],
    ids=str,
)
def test_each_odd_field_is_refused_by_its_name(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(Refused, match=reason) as refused:
        made(**changes)
    assert refused.value.ours


@pytest.mark.parametrize("at", [START - OLDEST, START + AHEAD])
def test_the_last_retry_and_a_clock_ahead_are_in_time(at: Any) -> None:
    check_policy(made(at=at), now=START)


@pytest.mark.parametrize("at", [START - OLDEST - timedelta(seconds=1), START + AHEAD + timedelta(seconds=1)])
def test_another_time_than_ours_is_not_wanted(at: Any) -> None:
    with pytest.raises(Unwanted, match="Timestamp"):
        check_policy(made(at=at), now=START)


@pytest.mark.parametrize(
    "address",
    [
        "http://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription",
        "https://169.254.169.254/?Action=ConfirmSubscription",
        f"https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe&TopicArn={TOPIC}&Token={sns.TOKEN}",
        f"https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn={TOPIC}x&Token={sns.TOKEN}",
        f"https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token={sns.TOKEN}&Action=Unsubscribe",
    ],
)
def test_a_confirmation_that_leads_elsewhere_is_refused_though_it_is_signed(address: str) -> None:
    with pytest.raises(Refused, match="SubscribeURL"):
        made({**confirmation(), "SubscribeURL": address})


def test_a_token_of_two_lines_is_refused_though_its_address_agrees() -> None:
    token = "x\nTopicArn"
    address = f"https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=x%0ATopicArn"
    with pytest.raises(Refused, match="Token: more than one line"):
        made({**confirmation(), "Token": token, "SubscribeURL": address})


def test_version_1_is_refused_where_2_is_required() -> None:
    with pytest.raises(Unwanted, match="2 is required"):
        check_policy(made(SignatureVersion="1"), now=START, require_v2=True)


@pytest.mark.parametrize("partition", ["aws-iso", "aws-eusc"])
def test_a_partition_that_is_not_known_is_refused(partition: str) -> None:
    topic = TOPIC.replace("arn:aws:", f"arn:{partition}:")
    with pytest.raises(Refused, match="partition"):
        read(signed(message("x", TopicArn=topic)), topics=[topic])


@pytest.mark.parametrize(
    ("partition", "region", "suffix"), [("aws-cn", "cn-north-1", "amazonaws.com.cn"), ("aws-us-gov", "us-gov-west-1", "amazonaws.com")]
)
async def test_china_and_govcloud_have_names_of_their_own(partition: str, region: str, suffix: str) -> None:
    topic = f"arn:{partition}:sns:{region}:111122223333:ops"
    address = f"https://sns.{region}.{suffix}/SimpleNotificationService-{'0' * 32}.pem"
    body = signed(message("x", TopicArn=topic, SigningCertURL=address))
    ground = Ground({address: certificate(f"sns-{region}.{suffix}")})
    await ground.verifier.check(read(body, topics=[topic]))
