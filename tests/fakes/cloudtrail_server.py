"""CloudTrail's LookupEvents over HTTP (JSON 1.1), as strict as the real one: one attribute, newest first, pages.

https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html; moto has none of it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aiohttp import web

JSON_11 = "application/x-amz-json-1.1"


@dataclass
class Trail:
    """Its records, and what it was asked."""

    records: list[dict[str, Any]] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    page: int = 50
    denied: bool = False
    url: str = ""

    def record(self, name: str, at: datetime, asked: Mapping[str, object], *, by: str = "ann", **more: object) -> None:
        """One call that was made."""
        told = {"eventName": name, "requestParameters": asked, **more}
        self.records.append({"EventName": name, "EventTime": at.timestamp(), "Username": by, "CloudTrailEvent": json.dumps(told)})

    async def handle(self, request: web.Request) -> web.Response:
        asked = json.loads(await request.read())
        self.asked.append(asked)
        if self.denied:
            return _refused("AccessDeniedException", "not authorized to perform: cloudtrail:LookupEvents")
        attributes = asked.get("LookupAttributes", [])
        if not request.headers.get("X-Amz-Target", "").endswith(".LookupEvents") or len(attributes) != 1:
            return _refused("InvalidLookupAttributesException", "one attribute")
        if not 1 <= asked.get("MaxResults", 50) <= 50:
            return _refused("InvalidMaxResultsException", "1 to 50")
        ordered = sorted(self.records, key=lambda each: -each["EventTime"])
        found = [each for each in ordered if _wanted(each, asked, attributes[0])]
        begin = int(asked.get("NextToken", "0"))
        end = begin + min(self.page, asked.get("MaxResults", 50))
        more = {"NextToken": str(end)} if end < len(found) else {}
        return web.json_response({"Events": found[begin:end], **more}, content_type=JSON_11)


def _wanted(record: dict[str, Any], asked: dict[str, Any], attribute: dict[str, str]) -> bool:
    in_time = asked["StartTime"] <= record["EventTime"] <= asked["EndTime"]
    return in_time and attribute["AttributeKey"] == "EventName" and record["EventName"] == attribute["AttributeValue"]


def _refused(code: str, message: str) -> web.Response:
    return web.json_response({"__type": code, "message": message}, status=400, content_type=JSON_11)


@asynccontextmanager
async def trail_server() -> AsyncIterator[Trail]:
    """On loopback until the end of the block."""
    trail = Trail()
    app = web.Application()
    app.router.add_post("/", trail.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    trail.url = f"http://{host}:{port}"
    try:
        yield trail
    finally:
        await runner.cleanup()
