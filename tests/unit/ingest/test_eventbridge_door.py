"""POST /webhook/eventbridge: the one door, with the token where a connection of EventBridge puts it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from receiver.ingest.cloudwatch import CloudWatchSource
from receiver.ingest.credentials import Credentials
from receiver.ports import TroubleKind
from receiver.secret import Secret
from tests.kits.source_kit import BODIES
from tests.unit.ingest.listener import TOKEN, listener
from tests.unit.ingest.test_cloudwatch import event

SOURCE = CloudWatchSource("eventbridge")
JSON = "application/json; charset=utf-8"


def auth() -> Credentials:
    return Credentials(tokens=[Secret("another-token"), Secret(TOKEN)], key_header="X-Api-Key")


@pytest.mark.parametrize(
    "headers", [{"Authorization": f"Bearer {TOKEN}"}, {"Authorization": "", "X_Api_Key": TOKEN}], ids=["bearer", "key"]
)
async def test_a_token_opens_the_door_either_way(headers: dict[str, str]) -> None:
    async with listener(source=SOURCE, auth=auth()) as at:
        answer = await at.post(event().encode(), Content_Type=JSON, **headers)
        assert (answer.status, answer.json) == (200, {"accepted": 1, "rejected": []})


@pytest.mark.parametrize("headers", [{}, {"X_Api_Key": "no-token-of-ours"}, {"X_Api_Key": f"Bearer {TOKEN}"}, {"Api_Key": TOKEN}], ids=str)
async def test_without_a_good_token_nothing_is_read(headers: dict[str, str]) -> None:
    async with listener(source=SOURCE, auth=auth()) as at:
        answer = await at.post(event().encode(), Authorization="", Content_Type=JSON, **headers)
        assert (answer.status, at.intake.deliveries) == (401, [])


async def test_a_key_counts_only_where_a_header_is_configured() -> None:
    async with listener(source=SOURCE, auth=Credentials(tokens=[Secret(TOKEN)])) as at:
        assert (await at.post(event().encode(), Authorization="", X_Api_Key=TOKEN)).status == 401


@pytest.mark.parametrize("path", sorted((BODIES / "eventbridge").glob("*.json")), ids=lambda path: path.stem)
async def test_every_sample_is_accepted_and_stored(path: Path) -> None:
    body = path.read_bytes()
    async with listener(source=SOURCE) as at:
        answer = await at.post(body)
        assert answer.status == 200
        assert [each.body for each in at.intake.deliveries] == [body]


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"detail-type": "x"}', json.dumps({"AlarmName": "a", "NewStateValue": "ALARM"}).encode()])
async def test_what_is_no_event_is_refused_and_told(body: bytes) -> None:
    async with listener(source=SOURCE) as at:
        assert (await at.post(body)).status == 400
        assert [each.kind for each in at.intake.troubles if not each.over] == [TroubleKind.refused_delivery]
