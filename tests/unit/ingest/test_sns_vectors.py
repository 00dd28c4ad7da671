"""The given vectors of SNS, each judged as its index says, through the door; no address is asked for that must be refused before."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from receiver.ingest.sns_message import Message, Refused, check_policy, read
from receiver.ingest.sns_signature import Verifier
from tests.fakes.clock import FakeClock
from tests.fakes.sns import Certificates
from tests.kits.source_kit import BODIES

VECTORS = BODIES / "sns" / "vectors"
INDEX: dict[str, Any] = json.loads((VECTORS / "index.json").read_text())
TOPICS = INDEX["topic_allow_list"]
NOW = datetime.fromisoformat(INDEX["clock_for_tests"])
CASES: list[dict[str, Any]] = INDEX["vectors"]
ACCEPTED = [each for each in CASES if each["accept"]]


@dataclass
class Judge:
    """Everything between a body and yes."""

    certificates: Certificates
    verifier: Verifier

    async def admits(self, body: bytes) -> bool:
        try:
            message = read(body, topics=TOPICS)
            await self.verifier.check(message)
            check_policy(message, now=NOW)
        except Refused:
            return False
        return True


@pytest.fixture
def judge() -> Judge:
    served = {url: (VECTORS / name).read_bytes() for url, name in json.loads((VECTORS / "cert_urls.json").read_text()).items()}
    certificates = Certificates(served)
    return Judge(certificates, Verifier(certificates.load, clock=FakeClock(NOW)))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["file"])
async def test_each_is_judged_as_the_index_says(judge: Judge, case: dict[str, Any]) -> None:
    assert await judge.admits((VECTORS / case["file"]).read_bytes()) is case["accept"], case["why"]


@pytest.mark.parametrize("case", [each for each in CASES if "before any fetch" in each["why"]], ids=lambda case: case["file"])
async def test_an_address_that_must_be_refused_is_never_asked_for(judge: Judge, case: dict[str, Any]) -> None:
    assert not await judge.admits((VECTORS / case["file"]).read_bytes())
    assert judge.certificates.asked == []


@pytest.mark.parametrize("case", [each for each in CASES if "foreign_topic" in each["file"]], ids=lambda case: case["file"])
async def test_a_foreign_topic_is_refused_before_all_else(judge: Judge, case: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="topics") as refused:
        read((VECTORS / case["file"]).read_bytes(), topics=TOPICS)
    assert (refused.value.status, refused.value.ours) == (403, False)


@pytest.mark.parametrize("case", ACCEPTED, ids=lambda case: case["file"])
def test_what_is_signed_is_byte_for_byte_what_the_vector_says(case: dict[str, Any]) -> None:
    message = read((VECTORS / case["file"]).read_bytes(), topics=TOPICS)
    assert message.signed == (VECTORS / case["string_to_sign"]).read_bytes()


def test_the_vectors_are_all_there_and_of_both_kinds() -> None:
    assert {each["file"] for each in CASES} == {each.name for each in VECTORS.glob("*_*.json")} - {"cert_urls.json"}
    assert (len(ACCEPTED), len(CASES)) == (9, 35)


def _messages() -> list[Message]:
    return [read((VECTORS / each["file"]).read_bytes(), topics=TOPICS) for each in ACCEPTED]


def test_a_message_shows_nothing_of_itself() -> None:
    for message in _messages():
        assert message.token == "" or message.token not in f"{message!r} {message}"


def test_every_vector_is_refused_without_its_topic() -> None:
    for case in CASES:
        with pytest.raises(Refused):
            read((VECTORS / case["file"]).read_bytes(), topics=())


# --- the attack corpus, judged in its own time: at ours, its age alone would refuse it -----------------------------------


ATTACKS = [
    json.loads(line)
    for line in (Path(__file__).parents[2] / "attacks" / "cases.jsonl").read_text(encoding="utf-8").splitlines()
    if '"path": "/webhook/sns"' in line and "sns-test-cert" in line
]
GENUINE = {"SNS-041": "only its age refuses it", "SNS-043": "its message is a list"}
ATTACKED = "arn:aws:sns:eu-west-1:111122223333:ops-alarms"
THEN = datetime.fromisoformat("2025-01-01T00:00:30Z")
CERTIFICATE = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-c0ffee00c0ffee00c0ffee00c0ffee00.pem"


@pytest.mark.parametrize("case", ATTACKS, ids=lambda case: case["id"])
async def test_an_attack_is_refused_for_what_it_is_and_not_for_its_age(case: dict[str, Any]) -> None:
    body = base64.b64decode(case["body_b64"]) if "body_b64" in case else zlib.decompress(base64.b64decode(case["body_z_b64"]))
    pem = (Path(__file__).parents[2] / "attacks" / "sns_test_cert.pem").read_bytes()
    verifier = Verifier(Certificates({CERTIFICATE: pem}).load, clock=FakeClock(THEN))
    reason = ""
    try:
        await verifier.check(read(body, topics=[ATTACKED]))
    except Refused as no:
        reason = no.reason
    assert bool(reason) is (case["id"] not in GENUINE), reason
    assert "Timestamp" not in reason
