"""moto's server (https://docs.getmoto.org/en/latest/docs/server_mode.html): SQS, SNS and CloudWatch's alarms, where they are faithful.

A process of its own, without state on disk. Long polls take a thread of it each.
"""

import base64
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import aiohttp

from tests.fakes.aws_policy import called, right
from tests.real.processes import LOOPBACK, Process, free_port

REGION, ACCOUNT = "eu-west-1", "123456789012"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing-key",
    "AWS_SECRET_ACCESS_KEY": "testing-secret",
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""What the SDK's default chain finds: set it before the first call."""
OURS = "alert-receiver/"


class Moto:
    def __init__(self, directory: Path, *, recording: bool = False) -> None:
        """`recording`: every request is written down, for `used`."""
        self.port = free_port()
        arguments: list[str | Path] = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", LOOPBACK, "-p", str(self.port)]
        self._record = directory / "moto.calls"
        recorder = {"MOTO_ENABLE_RECORDING": "true", "MOTO_RECORDER_FILEPATH": str(self._record)} if recording else {}
        self._process = Process("moto", arguments, log=directory / "moto.log", environment=recorder)

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    async def start(self) -> None:
        self._process.start()
        await self._process.ready(f"{self.url}/moto-api/")

    async def stop(self) -> None:
        await self._process.stop(limit=5)

    async def reset(self) -> None:
        """As if it had just started."""
        async with aiohttp.ClientSession(raise_for_status=True) as session, session.post(f"{self.url}/moto-api/reset"):
            pass

    def used(self) -> set[str]:
        """Rights that the receiver's own calls have needed so far: its client is told by its name."""
        lines = self._record.read_text().splitlines() if self._record.exists() else ()
        return {_right(each) for line in lines if OURS in (each := json.loads(line))["headers"].get("User-Agent", "")}

    @asynccontextmanager
    async def client(self, service: str, region: str = REGION) -> AsyncIterator[Any]:
        """The SDK's own client, for what a test arranges."""
        from aiobotocore.session import get_session

        async with get_session().create_client(service, region_name=region, endpoint_url=self.url) as found:
            yield found


def _right(recorded: dict[str, Any]) -> str:
    body = base64.b64decode(recorded["body"]) if recorded["body_encoded"] else recorded["body"].encode()
    form = dict(parse_qsl(body.decode(errors="replace")))
    return right(*called(recorded["headers"], urlsplit(recorded["url"]).path, form))
