"""A server on loopback that answers like Alertmanager's API v2 (shapes of 0.31), and misbehaves when told to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any

from aiohttp import web


def known(
    labels: Mapping[str, str],
    *,
    starts: datetime,
    ends: datetime | None = None,
    state: str = "active",
    receivers: tuple[str, ...] = ("receiver",),
) -> dict[str, Any]:
    """One element of the list. `ends` None: some minutes ahead, as of every firing alert."""
    return {
        "labels": dict(labels),
        "annotations": {"summary": "something"},
        "startsAt": starts.isoformat(),
        "endsAt": (ends or starts + timedelta(days=3650)).isoformat(),
        "updatedAt": starts.isoformat(),
        "generatorURL": "http://prometheus/graph",
        "fingerprint": f"{abs(hash(frozenset(labels.items()))):016x}"[:16],
        "receivers": [{"name": each} for each in receivers],
        "status": {"state": state, "silencedBy": [], "inhibitedBy": [], "mutedBy": []},
    }


@dataclass
class AlertmanagerApi:
    """`alerts` is its list; `muted` fingerprints are in groups that a time interval mutes."""

    now: datetime
    alerts: list[dict[str, Any]] = field(default_factory=list)
    muted: set[str] = field(default_factory=set)
    status: int = 200
    body: bytes | None = None
    groups_status: int = 200
    hang: bool = False
    cut: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/am/api/v2/alerts", self._alerts)
        app.router.add_get("/am/api/v2/alerts/groups", self._groups)
        return app

    async def _alerts(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path_qs)
        self.headers = dict(request.headers)
        if self.hang:
            await asyncio.sleep(60)
        whole = self.body if self.body is not None else json.dumps(self.alerts).encode()
        headers = {"Content-Type": "application/json", "Date": format_datetime(self.now, usegmt=True)}
        if self.status in (301, 302, 307):
            headers["Location"] = "/elsewhere"
        if not self.cut:
            return web.Response(status=self.status, body=whole, headers=headers)
        answer = web.StreamResponse(status=self.status, headers={**headers, "Content-Length": str(len(whole))})
        await answer.prepare(request)
        await answer.write(whole[: len(whole) // 2])
        assert request.transport is not None
        request.transport.abort()
        return answer

    async def _groups(self, _: web.Request) -> web.Response:
        names = sorted({each["name"] for alert in self.alerts for each in alert["receivers"]})
        groups = [{"labels": {}, "receiver": {"name": name}, "alerts": [self._told(each) for each in self._of(name)]} for name in names]
        return web.json_response(groups, status=self.groups_status)

    def _of(self, name: str) -> list[dict[str, Any]]:
        return [each for each in self.alerts if {"name": name} in each["receivers"]]

    def _told(self, alert: dict[str, Any]) -> dict[str, Any]:
        muted_by = ["night"] if alert["fingerprint"] in self.muted else []
        return {**alert, "status": {**alert["status"], "mutedBy": muted_by}}
