"""A real Alertmanager on loopback with one webhook receiver; 0.25 (Debian's) or 0.31.1 (install.sh --go).

Its configuration is written as JSON, which is YAML. State lives in the directory given: stop and start again to restart it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tests.real import tools
from tests.real.processes import LOOPBACK, Process, free_port

VERSIONS = ("0.25", "0.31.1")
REQUEST_LIMIT = aiohttp.ClientTimeout(total=10)


@dataclass(frozen=True, kw_only=True)
class AlertmanagerSettings:
    """Durations are Alertmanager's own notation. `repeat_interval` equal to `group_interval` skips every second repeat."""

    webhook_url: str
    version: str = "0.31.1"
    receiver: str = "receiver"
    bearer: str | None = None
    basic: tuple[str, str] | None = None
    group_by: tuple[str, ...] = ("alertname",)
    group_wait: str = "0s"
    group_interval: str = "1s"
    repeat_interval: str = "1h"
    resolve_timeout: str = "5m"
    send_resolved: bool = True
    max_alerts: int = 0
    clustered: bool = False
    """Opens a gossip port, for peers to name."""
    peers: tuple[str, ...] = ()
    """`cluster_address`es of Alertmanagers that run already; not empty means clustered."""
    peer_timeout: str = "15s"
    extra_flags: tuple[str, ...] = ()


class Alertmanager:
    def __init__(self, settings: AlertmanagerSettings, directory: Path) -> None:
        self.settings = settings
        self._directory = directory
        self._port, self._cluster_port = free_port(), free_port()
        program = tools.find(f"alertmanager-{settings.version}")
        self.process = Process(f"alertmanager {settings.version}", [program, *self._flags()], log=directory / "alertmanager.log")

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self._port}"

    @property
    def cluster_address(self) -> str:
        return f"{LOOPBACK}:{self._cluster_port}"

    async def start(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        self._config_file.write_text(json.dumps(configuration(self.settings), indent=1))
        self.process.start()
        await self.process.ready(f"{self.url}/-/ready")

    async def stop(self) -> None:
        await self.process.stop(limit=5)

    async def post_alerts(self, alerts: Sequence[dict[str, Any]]) -> None:
        """Each alert as the API takes it: labels, and at will annotations, startsAt, endsAt, generatorURL."""
        await self._call("POST", "/api/v2/alerts", json=list(alerts))

    async def alerts(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = await self._call("GET", "/api/v2/alerts")
        return found

    async def silence(self, silence: dict[str, Any]) -> str:
        """Makes a silence (the API's own body) and answers its id."""
        return str((await self._call("POST", "/api/v2/silences", json=silence))["silenceID"])

    async def status(self) -> dict[str, Any]:
        found: dict[str, Any] = await self._call("GET", "/api/v2/status")
        return found

    @property
    def _config_file(self) -> Path:
        return self._directory / "alertmanager.json"

    def _flags(self) -> list[str]:
        clustered = self.settings.clustered or bool(self.settings.peers)
        flags = [
            f"--config.file={self._config_file}",
            f"--storage.path={self._directory / 'storage'}",
            f"--web.listen-address={LOOPBACK}:{self._port}",
            f"--cluster.listen-address={self.cluster_address if clustered else ''}",
            *(f"--cluster.peer={peer}" for peer in self.settings.peers),
            *self.settings.extra_flags,
        ]
        if clustered:
            flags += [
                f"--cluster.peer-timeout={self.settings.peer_timeout}",
                "--cluster.gossip-interval=50ms",
                "--cluster.pushpull-interval=1s",
                "--cluster.settle-timeout=1s",
            ]
        return flags

    async def _call(self, method: str, path: str, **body: Any) -> Any:
        async with (
            aiohttp.ClientSession(timeout=REQUEST_LIMIT, raise_for_status=True) as session,
            session.request(method, self.url + path, **body) as response,
        ):
            return await response.json() if response.content_type == "application/json" else None


def configuration(settings: AlertmanagerSettings) -> dict[str, Any]:
    """The Alertmanager configuration of `settings`: one route, one receiver, one webhook."""
    webhook = {"url": settings.webhook_url, "send_resolved": settings.send_resolved, "max_alerts": settings.max_alerts}
    return {
        "global": {"resolve_timeout": settings.resolve_timeout},
        "route": {
            "receiver": settings.receiver,
            "group_by": list(settings.group_by),
            "group_wait": settings.group_wait,
            "group_interval": settings.group_interval,
            "repeat_interval": settings.repeat_interval,
        },
        "receivers": [{"name": settings.receiver, "webhook_configs": [webhook | _credentials(settings)]}],
    }


def _credentials(settings: AlertmanagerSettings) -> dict[str, Any]:
    if settings.bearer is not None:
        return {"http_config": {"authorization": {"credentials": settings.bearer}}}
    if settings.basic is not None:
        user, password = settings.basic
        return {"http_config": {"basic_auth": {"username": user, "password": password}}}
    return {}
