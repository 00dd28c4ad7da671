"""Mounts API and console on an aiohttp application. Called by `app.py`; the listener, its limits and its error middleware are the door's.

Law: a path that is not in a table does not exist; a method that is not in it is answered 405.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

from receiver import __version__
from receiver.core.model import Naming
from receiver.ports import ChangeLog, Clock, Commands, RightsReport, ViewStore
from receiver.web import api
from receiver.web.answers import Problem, name_server, problem_answer, text_answer
from receiver.web.console import Console
from receiver.web.openapi import document
from receiver.web.sessions import Sessions
from receiver.web.tokens import ApiToken, Scope, Tokens

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

OPENAPI = f"{api.ROOT}/openapi.json"


def add_web_routes(  # noqa: PLR0913 (one call, in app.py, where each argument is named)
    app: web.Application,
    *,
    views: ViewStore,
    commands: Commands,
    changes: ChangeLog,
    tokens: Sequence[ApiToken],
    naming: Naming,
    locale: str,
    clock: Clock,
    secure_cookie: bool,
    next_commands: api.NextCommands = api.no_commands,
    rights: api.Rights = RightsReport,
    storm: api.StormNow = api.no_storm,
    prepared: api.PreparedNow = api.nothing_prepared,
) -> None:
    """`secure_cookie`: the console is reached by https (also through a proxy), so its cookie never travels in the clear."""
    app.on_response_prepare.append(name_server)
    desk = api.Desk(
        views=views,
        commands=commands,
        tokens=Tokens(tokens),
        changes=changes,
        naming=naming,
        next_commands=next_commands,
        rights=rights,
        storm=storm,
        locale=locale,
        prepared=prepared,
    )
    paths: dict[str, dict[str, Handler]] = {}
    for route in api.ROUTES:
        paths.setdefault(api.ROOT + route.path, {})[route.method] = api.handler(route, desk)
    paths[OPENAPI] = {"GET": _openapi(desk)}
    for path, methods in paths.items():
        _mount(app, path, methods, otherwise=_wrong_method(methods))
    app.router.add_route("*", "/api/{tail:.*}", _nothing_here)
    console = Console(desk, sessions=Sessions(clock), clock=clock, locale=locale, secure_cookie=secure_cookie)
    for path, methods in console.paths().items():
        _mount(app, path, methods, otherwise=None)


def _mount(app: web.Application, path: str, methods: dict[str, Handler], *, otherwise: Handler | None) -> None:
    resource = app.router.add_resource(path)
    for method, handle in methods.items():
        resource.add_route(method, handle)
    if "GET" in methods:
        resource.add_route("HEAD", methods["GET"])
    if otherwise is not None:
        resource.add_route("*", otherwise)


def _wrong_method(methods: dict[str, Handler]) -> Handler:
    allowed = ", ".join(sorted({*methods, *({"HEAD"} if "GET" in methods else ())}))

    async def refuse(_: web.Request) -> web.Response:
        return problem_answer(Problem(405, "method_not_allowed", f"allowed: {allowed}", headers={"Allow": allowed}))

    return refuse


async def _nothing_here(_: web.Request) -> web.Response:
    return problem_answer(Problem(404, "not_found", "no such path"))


def _openapi(desk: api.Desk) -> Handler:
    built: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        try:
            api.admit(request, desk.tokens, Scope.read)
        except Problem as problem:
            return problem_answer(problem)
        if not built:
            built.append(json.dumps(document(api.ROUTES, naming=desk.naming, version=__version__)))
        return text_answer(built[0], content_type="application/json")

    return answer
