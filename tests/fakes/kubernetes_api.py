"""A fake Kubernetes API server on loopback: enough HTTP around `kubernetes_objects.Objects` for our client, its observers and actions.

Writes every request down. Rights are granted by token, as RBAC would; faults come from an `ApiProxy` before it, as before the real one.
Passes the same kit as the real control plane.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from receiver.ports import Permission
from tests.fakes.kubernetes_objects import Change, Key, Object, Objects, Refusal

ADMIN_TOKEN = "fake-admin-token"
REVIEWS = "authorization.k8s.io"
METRICS = "metrics.k8s.io"
_VERBS = {"POST": "create", "PATCH": "patch", "DELETE": "delete", "PUT": "update"}


@dataclass(frozen=True)
class Resource:
    """What a path names."""

    group: str
    plural: str
    namespace: str
    name: str
    subresource: str

    @property
    def key(self) -> Key:
        return self.plural, self.namespace, self.name


class FakeKubernetes:
    """`async with FakeKubernetes() as api`; `api.url` is plain HTTP. `missing`: plurals that are not installed (404)."""

    def __init__(self) -> None:
        self.objects = Objects()
        self.requests: list[str] = []
        self.missing = {"rollouts", "canaries", "scaledobjects", "verticalpodautoscalers"}
        self.metrics: list[Object] | None = None
        """What the metrics API serves; None: it is not installed."""
        self.logs: dict[str, str] = {}
        """Pod → its log; of another pod none is kept."""
        self.incomplete = False
        """The authorizer cannot list all that it allows."""
        self.url = ""
        self._grants: dict[str, set[tuple[str, str, str]] | None] = {ADMIN_TOKEN: None}
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> FakeKubernetes:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def grant(self, token: str, permissions: Iterable[Permission]) -> None:
        """The token may do this and nothing else."""
        self._grants[token] = {(each.group, each.resource, verb) for each in permissions for verb in each.verbs}

    async def _serve(self, request: web.Request) -> web.Response:
        self.requests.append(f"{request.method} {request.path}" + (f"?{urlencode(request.query)}" if request.query else ""))
        try:
            resource = parse(request.path)
            if resource.group == REVIEWS:
                return web.json_response({"kind": "Review", "status": self._review(resource, await request.json(), request)}, status=201)
            self._authorise(request, resource)
            if resource.plural in self.missing or (resource.group == METRICS and self.metrics is None):
                raise Refusal(404, "NotFound", "the server could not find the requested resource")
            if resource.group == METRICS:
                return web.json_response({"kind": "PodMetricsList", "items": self.metrics})
            if resource.subresource == "log":
                return self._log(request, resource)
            return web.json_response(await self._answer(request, resource), status=201 if request.method == "POST" else 200)
        except Refusal as refusal:
            return web.json_response(refusal.body, status=refusal.status)

    def _review(self, resource: Resource, asked: Object, request: web.Request) -> Object:
        """As RBAC answers it to anybody: the rights of the token, or one of them."""
        token = request.headers.get("Authorization", "").partition(" ")[2]
        if token not in self._grants:
            raise Refusal(401, "Unauthorized", "Unauthorized")
        granted = self._grants[token]
        if resource.plural == "selfsubjectaccessreviews":
            wanted = asked["spec"]["resourceAttributes"]
            what = "/".join(each for each in (wanted["resource"], wanted.get("subresource", "")) if each)
            return {"allowed": granted is None or (wanted.get("group", ""), what, wanted["verb"]) in granted}
        rights = {("*", "*", "*")} if granted is None else granted
        rules = [{"apiGroups": [group], "resources": [what], "verbs": [verb]} for group, what, verb in sorted(rights)]
        return {"resourceRules": rules, "nonResourceRules": [], "incomplete": self.incomplete}

    def _authorise(self, request: web.Request, resource: Resource) -> None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or token not in self._grants:
            raise Refusal(401, "Unauthorized", "Unauthorized")
        granted = self._grants[token]
        verb = _VERBS.get(request.method, "get" if resource.name else "list")
        what = f"{resource.plural}/{resource.subresource}" if resource.subresource else resource.plural
        if granted is not None and (resource.group, what, verb) not in granted:
            raise Refusal(403, "Forbidden", f'{what} is forbidden: cannot {verb} resource in API group "{resource.group}"')

    async def _answer(self, request: web.Request, resource: Resource) -> Object:
        match request.method, resource.subresource:
            case "GET", "" if not resource.name:
                return self._list(request, resource)
            case "GET", "":
                return self.objects.get(resource.key)
            case "GET", "scale":
                return self.objects.scale(resource.key)
            case "POST", "":
                made = await request.json()
                return self.objects.create((resource.plural, resource.namespace, made["metadata"]["name"]), made)
            case "POST", "eviction":
                return self.objects.evict(resource.key, await request.json(), dry_run="dryRun" in request.query)
            case "DELETE", "":
                self.objects.delete(resource.key)
                return {"kind": "Status", "apiVersion": "v1", "status": "Success"}
            case "PATCH", "" | "status":
                return self.objects.patch(resource.key, await _change(request))
            case "PATCH", "scale":
                return self.objects.patch_scale(resource.key, await _change(request))
        raise Refusal(405, "MethodNotAllowed", f"the fake has no {request.method} of this")

    def _log(self, request: web.Request, resource: Resource) -> web.Response:
        self.objects.get((resource.plural, resource.namespace, resource.name))
        if resource.name not in self.logs:
            raise Refusal(500, "InternalError", "the kubelet does not answer")
        lines = self.logs[resource.name].splitlines(keepends=True)[-int(request.query.get("tailLines", "1000000")) :]
        return web.Response(text="".join(lines)[: int(request.query.get("limitBytes", "1000000"))], content_type="text/plain")

    def _list(self, request: web.Request, resource: Resource) -> Object:
        found = [
            each
            for key, each in sorted(self.objects.stored.items())
            if key[:2] == (resource.plural, resource.namespace)
            and _selected(each["metadata"].get("labels", {}), request.query.get("labelSelector", ""))
            and _selected(_fields(each), request.query.get("fieldSelector", ""))
        ]
        start = int(request.query.get("continue", "0"))
        limit = int(request.query.get("limit", "0")) or len(found)
        more = {"continue": str(start + limit)} if start + limit < len(found) else {}
        return {"kind": "List", "metadata": {"resourceVersion": "1"} | more, "items": found[start : start + limit]}


def parse(path: str) -> Resource:
    """404 for a path that is none of a resource."""
    parts = path.strip("/").split("/")
    group, rest = ("", parts[2:]) if parts[0] == "api" else (parts[1] if len(parts) > 1 else "", parts[3:])
    namespace = ""
    if len(rest) > 2 and rest[0] == "namespaces":
        namespace, rest = rest[1], rest[2:]
    if not 1 <= len(rest) <= 3:
        raise Refusal(404, "NotFound", "the server could not find the requested resource")
    plural, name, subresource = (*rest, "", "")[:3]
    return Resource(group, plural, namespace, name, subresource)


async def _change(request: web.Request) -> Change:
    manager = request.query.get("fieldManager", "unknown")
    if len(manager.encode()) > 128:
        raise Refusal(422, "Invalid", "fieldManager: Too long: may not be more than 128 bytes")
    dry_run = request.query.get("dryRun", "")
    if dry_run not in ("", "All"):
        raise Refusal(422, "Invalid", 'dryRun: Unsupported value: supported values: "All"')
    content_type = request.headers.get("Content-Type", "")
    return Change(content_type, json.loads(await request.read()), manager, bool(dry_run), request.query.get("fieldValidation") == "Strict")


def _fields(found: Object) -> dict[str, str]:
    """Dotted names of every text in it, as field selectors spell them."""
    flat: dict[str, str] = {}

    def walk(prefix: str, value: Any) -> None:
        if isinstance(value, dict):
            for name, each in value.items():
                walk(f"{prefix}.{name}" if prefix else name, each)
        elif isinstance(value, str):
            flat[prefix] = value

    walk("", found)
    return flat


def _selected(has: dict[str, str], selector: str) -> bool:
    """Equality only, and `key in (a,b)` alone."""
    if " in (" in selector:
        name, _, values = selector.partition(" in (")
        return has.get(name.strip()) in [each.strip() for each in values.rstrip(")").split(",")]
    for term in filter(None, selector.split(",")):
        if "!=" in term:
            name, _, value = term.partition("!=")
            if has.get(name) == value:
                return False
        else:
            name, _, value = term.replace("==", "=").partition("=")
            if has.get(name) != value:
                return False
    return True
