"""A real Prometheus on loopback: scrapes and rules given by the test, alerts sent to the Alertmanagers given.

Its files are written as JSON, which is YAML.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from tests.real import tools
from tests.real.processes import LOOPBACK, Process, free_port

REQUEST_LIMIT = aiohttp.ClientTimeout(total=10)


@dataclass(frozen=True, kw_only=True)
class PrometheusSettings:
    """`rules` maps a file name to its text, or to its groups: `{"demo.yml": {"groups": [...]}}`."""

    alertmanagers: tuple[str, ...] = ()
    """Base URLs, as `Alertmanager.url`."""
    scrape_configs: Sequence[Mapping[str, Any]] = ()
    rules: Mapping[str, str | Mapping[str, Any]] = field(default_factory=dict)
    rule_files: tuple[Path, ...] = ()
    """Rule files that exist already: the shipped ones."""
    scrape_interval: str = "1s"
    evaluation_interval: str = "1s"
    resend_delay: str = "5s"
    """An alert's endsAt is 4 times this ahead; Prometheus' own default is 1m."""
    external_labels: Mapping[str, str] = field(default_factory=dict)
    extra_flags: tuple[str, ...] = ()


class Prometheus:
    def __init__(self, settings: PrometheusSettings, directory: Path) -> None:
        self.settings = settings
        self._directory = directory
        self._port = free_port()
        flags = [
            f"--config.file={self._config_file}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address={LOOPBACK}:{self._port}",
            "--web.enable-lifecycle",
            f"--rules.alert.resend-delay={settings.resend_delay}",
            *settings.extra_flags,
        ]
        self.process = Process("prometheus", [tools.find("prometheus"), *flags], log=directory / "prometheus.log")

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self._port}"

    async def start(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        for name, rules in self.settings.rules.items():
            self._write_rules(name, rules)
        self._config_file.write_text(json.dumps(self._configuration(), indent=1))
        self.process.start()
        await self.process.ready(f"{self.url}/-/ready")

    async def stop(self) -> None:
        await self.process.stop(limit=5)

    async def reload(self, rules: Mapping[str, str | Mapping[str, Any]] | None = None) -> None:
        """Reads its files again, after writing `rules`; raises aiohttp.ClientResponseError when Prometheus refuses them."""
        for name, content in (rules or {}).items():
            self._write_rules(name, content)
        await self._call("POST", "/-/reload")

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """The instant vector of `expression`: `[{"metric": {...}, "value": [time, "1"]}]`; empty is success."""
        found: list[dict[str, Any]] = (await self._call("GET", "/api/v1/query", params={"query": expression}))["data"]["result"]
        return found

    async def alerts(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self._call("GET", "/api/v1/alerts"))["data"]["alerts"]
        return found

    @property
    def _config_file(self) -> Path:
        return self._directory / "prometheus.json"

    def _write_rules(self, name: str, rules: str | Mapping[str, Any]) -> None:
        folder = self._directory / "rules"
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(rules if isinstance(rules, str) else json.dumps(rules, indent=1))

    def _configuration(self) -> dict[str, Any]:
        targets = [urlsplit(url).netloc for url in self.settings.alertmanagers]
        return {
            "global": {
                "scrape_interval": self.settings.scrape_interval,
                "evaluation_interval": self.settings.evaluation_interval,
                "external_labels": dict(self.settings.external_labels),
            },
            "rule_files": [str(self._directory / "rules" / "*"), *map(str, self.settings.rule_files)],
            "alerting": {"alertmanagers": [{"api_version": "v2", "static_configs": [{"targets": targets}]}]},
            "scrape_configs": [dict(scrape) for scrape in self.settings.scrape_configs],
        }

    async def _call(self, method: str, path: str, **query: Any) -> Any:
        async with (
            aiohttp.ClientSession(timeout=REQUEST_LIMIT, raise_for_status=True) as session,
            session.request(method, self.url + path, **query) as response,
        ):
            return await response.json() if response.content_type == "application/json" else None
