"""The part of kube-state-metrics that the rules of these tests ask for, read from the API server at each scrape."""

from __future__ import annotations

from aiohttp import web

from tests.real.kube_api import KubeApi
from tests.real.processes import LOOPBACK


class Exporter:
    """Serves `/metrics` on loopback for one namespace."""

    def __init__(self, api: KubeApi, namespace: str) -> None:
        self._api = api
        self._namespace = namespace
        self._runner: web.AppRunner | None = None
        self.port = 0
        self.extra: dict[str, float] = {}
        """Series as written, to a value: what a test wants to be measured."""

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, LOOPBACK, 0)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _metrics(self, _: web.Request) -> web.Response:
        lines = [f"{series} {value}" for series, value in self.extra.items()]
        for pod in await self._api.items(f"/api/v1/namespaces/{self._namespace}/pods"):
            name = pod["metadata"]["name"]
            for container in pod.get("status", {}).get("containerStatuses", []):
                reason = container.get("state", {}).get("waiting", {}).get("reason", "")
                labels = f'namespace="{self._namespace}",pod="{name}",container="{container["name"]}"'
                if reason:
                    lines.append(f'kube_pod_container_status_waiting_reason{{{labels},reason="{reason}"}} 1')
                lines.append(f"kube_pod_container_status_ready{{{labels}}} {int(container['ready'])}")
        return web.Response(text="\n".join(lines) + "\n", content_type="text/plain", charset="utf-8")
