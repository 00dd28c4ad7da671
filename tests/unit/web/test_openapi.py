"""The document says what the routes do."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from receiver.core.model import Naming
from receiver.web.api import ROUTES
from receiver.web.openapi import document
from tests.unit.web.conftest import Site

DOCUMENT = document(ROUTES, naming=Naming.p1_p4, version="1")


def test_the_document_is_valid_openapi() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_every_route_is_described() -> None:
    described = {(method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods}
    assert described == {(each.method, "/api/v1" + each.path.replace("{id:[0-9]{1,18}}", "{id}")) for each in ROUTES}


def test_every_route_says_how_it_may_refuse() -> None:
    for path, methods in DOCUMENT["paths"].items():
        for method, described in methods.items():
            expected = {"400", "401", "403", "503"}
            expected |= {"409", "413", "415"} if method == "post" else set()
            expected |= {"404"} if "{id}" in path else set()
            assert expected <= set(described["responses"]), (method, path)


async def test_it_is_served_to_those_who_may_read(site: Site) -> None:
    assert (await site.client.get("/api/v1/openapi.json")).status == 401
    answer = await site.client.get("/api/v1/openapi.json", headers=site.bearer())
    assert (await answer.json())["paths"].keys() == DOCUMENT["paths"].keys()


@pytest.mark.parametrize("path", [each.path for each in ROUTES if each.method == "GET"])
async def test_what_is_answered_fits_the_document(site: Site, path: str) -> None:
    named = path.replace("{id:[0-9]{1,18}}", "{id}")
    answer = await site.client.get(f"/api/v1{named.replace('{id}', str(site.ids.refused))}", headers=site.bearer())
    response: dict[str, Any] = DOCUMENT["paths"][f"/api/v1{named}"]["get"]["responses"]["200"]
    schema = {**response["content"]["application/json"]["schema"], "components": DOCUMENT["components"]}
    jsonschema.Draft202012Validator(schema).validate(await answer.json())


async def test_an_error_fits_the_document(site: Site) -> None:
    answer = await site.client.get("/api/v1/incidents?x=1", headers=site.bearer())
    schema = {**DOCUMENT["components"]["schemas"]["ErrorAnswer"], "components": DOCUMENT["components"]}
    jsonschema.Draft202012Validator(schema).validate(await answer.json())
