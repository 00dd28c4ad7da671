"""A thin client of the Kubernetes REST API for arranging and looking, independent of the client under test.

Every call has a time limit. Bound to no event loop: a call opens a session of its own, unless made within `connected()`.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from ruamel.yaml import YAML

from tests.real.access import Access
from tests.real.processes import eventually

Object = dict[str, Any]

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"

LIMIT_SECONDS = 20.0
WATCH_SECONDS = 300
LINE_BYTES = 4 * 2**20
ERROR_STATUS = 400


class ApiError(Exception):
    """The API server's refusal: HTTP status, reason, message and the whole answer."""

    def __init__(self, call: str, status: int, body: Object) -> None:
        super().__init__(f"{call}: {status} {body.get('reason', '')}: {str(body.get('message', body))[:512]}")
        self.status = status
        self.reason = str(body.get("reason", ""))
        self.body = body


class KubeApi:
    def __init__(self, access: Access, *, limit: float = LIMIT_SECONDS, field_manager: str = "real-tests") -> None:
        self.access = access
        self._limit = limit
        self._field_manager = field_manager
        self._tls = access.tls()
        self._session: aiohttp.ClientSession | None = None
        self._resources: dict[tuple[str, str], Object] = {}

    @asynccontextmanager
    async def connected(self) -> AsyncIterator["KubeApi"]:
        """The same client over kept-alive connections; it belongs to the running loop."""
        api = KubeApi(self.access, limit=self._limit, field_manager=self._field_manager)
        async with api._new_session() as api._session:
            yield api

    async def get(self, path: str, **query: str) -> Object:
        return await self.send("GET", path, query=query)

    async def post(self, path: str, body: Object, **query: str) -> Object:
        return await self.send("POST", path, body=body, query=query)

    async def put(self, path: str, body: Object, **query: str) -> Object:
        return await self.send("PUT", path, body=body, query=query)

    async def patch(self, path: str, body: Object | list[Object], *, content_type: str = MERGE, **query: str) -> Object:
        return await self.send("PATCH", path, body=body, content_type=content_type, query=query)

    async def delete(self, path: str, body: Object | None = None) -> Object:
        """Options (dryRun, gracePeriodSeconds, propagationPolicy) count only in the body: with one, the query is ignored."""
        return await self.send("DELETE", path, body={"kind": "DeleteOptions", "apiVersion": "v1"} | (body or {}))

    async def items(self, path: str, **query: str) -> list[Object]:
        """The items of a list."""
        found: list[Object] = (await self.get(path, **query))["items"]
        return found

    async def until(self, path: str, wanted: Callable[[Object], bool], *, within: float = 60.0) -> Object:
        """The object at `path` as soon as it is there and `wanted`; TimeoutError with its last state otherwise."""
        last: Object = {}

        async def look() -> bool:
            nonlocal last
            try:
                last = await self.get(path)
            except ApiError as error:
                last = error.body
                return False
            return wanted(last)

        try:
            await eventually(look, within=within, what=path, every=0.1)
        except TimeoutError as late:
            raise TimeoutError(f"{late}: {json.dumps(last.get('status', last))[:2000]}") from late
        return last

    async def apply(self, manifests: str | Path | Object | Iterable[Object], *, namespace: str | None = None) -> list[Object]:
        """Server-side apply (forced) of one object, several, a file, or multi-document YAML text; answers what came of them.

        `namespace` is for namespaced objects that name none.
        """
        return [await self._apply(manifest, namespace) for manifest in documents(manifests)]

    async def path_of(self, manifest: Object, *, namespace: str | None = None) -> str:
        """The URL path of the object, by discovery."""
        version, kind, metadata = manifest["apiVersion"], manifest["kind"], manifest["metadata"]
        resource = await self._resource(version, kind)
        base = f"/apis/{version}" if "/" in version else f"/api/{version}"
        if resource["namespaced"]:
            base += f"/namespaces/{metadata.get('namespace') or namespace or 'default'}"
        return f"{base}/{resource['name']}/{metadata['name']}"

    async def watch(self, path: str, resource_version: str) -> AsyncGenerator[Object, None]:
        """The events after `resource_version` until the server ends the watch. Close it (`contextlib.aclosing`) to leave earlier."""
        query = {"watch": "1", "resourceVersion": resource_version, "allowWatchBookmarks": "true", "timeoutSeconds": str(WATCH_SECONDS)}
        limit = aiohttp.ClientTimeout(total=WATCH_SECONDS + self._limit)
        async with self._borrowed() as session, session.get(self.access.server + path, params=query, timeout=limit) as response:
            if response.status >= ERROR_STATUS:
                raise ApiError(f"WATCH {path}", response.status, await _parsed(response))
            async for line in response.content:
                yield json.loads(line)

    async def send(
        self,
        method: str,
        path: str,
        *,
        body: Object | list[Object] | None = None,
        content_type: str = "application/json",
        query: Mapping[str, str] | None = None,
    ) -> Object:
        """One call; ApiError on 4xx and 5xx."""
        data = None if body is None else json.dumps(body)
        headers = {"Content-Type": content_type} if data is not None else {}
        url = self.access.server + path
        async with self._borrowed() as session, session.request(method, url, params=query, data=data, headers=headers) as response:
            answer = await _parsed(response)
            if response.status >= ERROR_STATUS:
                raise ApiError(f"{method} {path}", response.status, answer)
            return answer

    @asynccontextmanager
    async def _borrowed(self) -> AsyncIterator[aiohttp.ClientSession]:
        if self._session is not None:
            yield self._session
            return
        async with self._new_session() as session:
            yield session

    def _new_session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._tls),
            headers={"Authorization": f"Bearer {self.access.token}"} if self.access.token else {},
            timeout=aiohttp.ClientTimeout(total=self._limit),
            read_bufsize=LINE_BYTES,
        )

    async def _apply(self, manifest: Object, namespace: str | None) -> Object:
        path = await self.path_of(manifest, namespace=namespace)
        query = {"fieldManager": self._field_manager, "force": "true"}
        return await self.send("PATCH", path, body=manifest, content_type=APPLY, query=query)

    async def _resource(self, version: str, kind: str) -> Object:
        if (version, kind) not in self._resources:
            listed = await self.get(f"/apis/{version}" if "/" in version else f"/api/{version}")
            for resource in listed["resources"]:
                if "/" not in resource["name"]:
                    self._resources[(version, resource["kind"])] = resource
        if (version, kind) not in self._resources:
            raise LookupError(f"this API server has no kind {kind} in {version}")
        return self._resources[(version, kind)]


def documents(manifests: str | Path | Object | Iterable[Object]) -> list[Object]:
    """Every object in it: one, several, a file, or multi-document YAML text."""
    if isinstance(manifests, str | Path):
        return [document for document in YAML(typ="safe").load_all(manifests) if document]
    return [manifests] if isinstance(manifests, dict) else list(manifests)


async def _parsed(response: aiohttp.ClientResponse) -> Object:
    text = await response.text()
    try:
        answer = json.loads(text)
    except ValueError:
        return {"message": text}
    return answer if isinstance(answer, dict) else {"message": text}
