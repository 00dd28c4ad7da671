"""The OpenAPI 3.1 document, built from the route table and the models: it cannot say what the code does not do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from receiver.core.model import Naming, Priority
from receiver.web import shapes
from receiver.web.api import ROOT, Route
from receiver.web.asking import ID, MOST

_PLACE = re.compile(r"\{id:[^/]*\}+")
_SCHEMA = "#/components/schemas/"
_ERRORS = {
    400: "Not understood",
    401: "No token, or a wrong one",
    403: "The token's scope does not allow it",
    404: "No such thing",
    409: "Not now, or not so",
    413: "The body is too large",
    415: "Not JSON",
    503: "Not now; see Retry-After",
}
_ALWAYS = (400, 401, 403, 503)
_WITH_BODY = (409, 413, 415)


def document(routes: Sequence[Route], *, naming: Naming, version: str) -> dict[str, Any]:
    """As a dictionary of JSON values."""
    models: list[type[BaseModel]] = [shapes.ErrorAnswer]
    for route in routes:
        models += [each for each in (route.answer, route.body) if each is not None and each not in models]
    _, schemas = models_json_schema([(each, "validation") for each in models], ref_template=_SCHEMA + "{model}")
    paths: dict[str, Any] = {}
    for route in routes:
        paths.setdefault(ROOT + _PLACE.sub("{id}", route.path), {})[route.method.lower()] = _operation(route, naming)
    return {
        "openapi": "3.1.0",
        "info": {"title": "receiver", "version": version, "description": "Incidents: read them, take them, close them, freeze actions."},
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "Scopes: read, operate, admin."}},
        },
        "security": [{"token": []}],
    }


def _operation(route: Route, naming: Naming) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": route.handle.__name__,
        "summary": route.summary,
        "description": f"Scope {route.scope.value}.",
        "parameters": [*_path_parameters(route), *(_parameter(each, naming) for each in route.parameters)],
        "responses": {str(route.status): _content("Done", route.answer), **_errors(route)},
    }
    if route.body is not None:
        described["requestBody"] = {"required": True, **_content("", route.body)}
        del described["requestBody"]["description"]
    return described


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    if "{id:" not in route.path:
        return []
    return [{"name": "id", "in": "path", "required": True, "schema": {"type": "string", "pattern": f"^{ID}$"}}]


def _errors(route: Route) -> dict[str, Any]:
    statuses = [*_ALWAYS, *(_WITH_BODY if route.body is not None else ()), *((404,) if "{id:" in route.path else ())]
    return {str(each): _content(_ERRORS[each], shapes.ErrorAnswer) for each in sorted(statuses)}


def _content(description: str, model: type[BaseModel]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": {"$ref": _SCHEMA + model.__name__}}}}


def _parameter(name: str, naming: Naming) -> dict[str, Any]:
    schemas: dict[str, dict[str, Any]] = {
        "open": {"type": "boolean"},
        "priority": {"enum": [naming.show(each) for each in Priority]},
        "service": {"type": "string", "maxLength": 256},
        "limit": {"type": "integer", "minimum": 1, "maximum": MOST},
        "before": {"type": "integer", "minimum": 1},
    }
    return {"name": name, "in": "query", "required": False, "schema": schemas[name], "description": _WHAT[name]}


_WHAT = {
    "open": "Only open ones, or only closed ones",
    "priority": "Only of this priority",
    "service": "Only of this service of the catalogue",
    "limit": "At most so many",
    "before": "Only with a lower id: the next page",
}
