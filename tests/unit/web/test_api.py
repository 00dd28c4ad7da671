"""The JSON API: who may ask what, and that it is answered strictly."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import web

from receiver.core.case import Storm
from receiver.core.model import Naming
from receiver.ports import Change, Entry
from receiver.web.api import ROUTES, Route
from tests.fakes.clock import START
from tests.unit.web.conftest import TOKENS, Site

API = "/api/v1"
SCOPES = ("none", "read", "operate", "admin", "report")

# Every route must stand here: what it is asked, and what each scope is answered (none, read, operate, admin).
# Who only tells of changes is refused everywhere else.
TABLE: dict[tuple[str, str], tuple[object, tuple[int, int, int, int]]] = {
    ("GET", "/incidents"): (None, (401, 200, 200, 200)),
    ("GET", "/incidents/{id}"): (None, (401, 200, 200, 200)),
    ("GET", "/incidents/{id}/timeline"): (None, (401, 200, 200, 200)),
    ("POST", "/incidents/{id}/ack"): ({}, (401, 403, 200, 200)),
    ("POST", "/incidents/{id}/resolve"): ({"note": "done"}, (401, 403, 200, 200)),
    ("POST", "/incidents/{id}/approve"): ({"attempt": "none"}, (401, 403, 404, 404)),
    ("POST", "/incidents/{id}/deny"): ({"attempt": "none"}, (401, 403, 404, 404)),
    ("POST", "/incidents/{id}/did"): ({"name": "drain_node"}, (401, 403, 200, 200)),
    ("POST", "/incidents/{id}/undid"): ({"name": "drain_node"}, (401, 403, 404, 404)),
    ("POST", "/incidents/{id}/note"): ({"text": "hm"}, (401, 403, 200, 200)),
    ("GET", "/holds"): (None, (401, 200, 200, 200)),
    ("POST", "/holds"): ({"scope": "service:x", "reason": "r"}, (401, 403, 201, 201)),
    ("DELETE", "/holds/{id}"): (None, (401, 403, 200, 200)),
    ("GET", "/changes"): (None, (401, 200, 200, 200)),
    ("POST", "/changes"): ({"service": "checkout", "what": "v2"}, (401, 403, 201, 201)),
    ("GET", "/quarantine"): (None, (401, 200, 200, 200)),
    ("GET", "/rights"): (None, (401, 200, 200, 200)),
    ("GET", "/whoami"): (None, (401, 200, 200, 200)),
}


def _named(route: Route) -> tuple[str, str]:
    return route.method, route.path.replace("{id:[0-9]{1,18}}", "{id}")


async def _get(site: Site, path: str, scope: str = "read") -> Any:
    answer = await site.client.get(API + path, headers=site.bearer(scope))
    assert answer.status == 200, await answer.text()
    return await answer.json()


async def _send(site: Site, method: str, path: str, body: object, scope: str) -> tuple[int, Any]:
    headers = {} if scope == "none" else site.bearer(scope)
    answer = await site.client.request(method, API + path, json=body, headers=headers)
    return answer.status, await answer.json()


def test_every_route_is_in_the_table_of_scopes() -> None:
    assert {_named(each) for each in ROUTES} == set(TABLE)


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("route", TABLE, ids=" ".join)
async def test_a_route_opens_to_its_scope_and_those_above_only(site: Site, route: tuple[str, str], scope: str) -> None:
    method, path = route
    body, statuses = TABLE[route]
    id_ = 1 if path.startswith("/holds") else site.ids.undone
    status, _ = await _send(site, method, path.replace("{id}", str(id_)), body, scope)
    reporting = 201 if route == ("POST", "/changes") else 403
    assert status == (*statuses, reporting)[SCOPES.index(scope)]


async def test_a_forbidden_command_changes_nothing(site: Site) -> None:
    await _send(site, "POST", f"/incidents/{site.ids.fresh}/ack", {}, "read")
    assert (await _get(site, f"/incidents/{site.ids.fresh}"))["incident"]["acked_at"] is None


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Authorization", "Bearer ")],
        [("Authorization", "Bearer wrong")],
        [("Authorization", f"Basic {TOKENS['read']}")],
        [("Authorization", TOKENS["read"])],
        [("Authorization", f"Bearer {TOKENS['read']}x")],
        [("Authorization", f"Bearer {TOKENS['read'][:-1]}")],
        [("Authorization", "Bearer \xe9\xff")],
        [("Authorization", f"Bearer {'x' * 5000}")],
        [("Authorization", f"Bearer {TOKENS['read']}"), ("Authorization", "Bearer wrong")],
        [("Authorization", f"Bearer {TOKENS['read']}"), ("Authorization", f"Bearer {TOKENS['read']}")],
        [("Cookie", f"receiver={TOKENS['admin']}")],
    ],
)
async def test_anything_but_one_good_bearer_token_is_refused(site: Site, headers: list[tuple[str, str]]) -> None:
    answer = await site.client.get(f"{API}/incidents", headers=headers)
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="receiver"'
    assert (await answer.json())["error"]["code"] == "unauthorized"


async def test_a_session_of_the_console_opens_no_door_of_the_api(site: Site) -> None:
    from tests.unit.web.test_console import log_in

    await log_in(site, "admin")
    assert (await site.client.get(f"{API}/incidents")).status == 401


async def test_answers_may_not_be_cached_sniffed_or_read_by_other_origins(site: Site) -> None:
    answer = await site.client.get(f"{API}/incidents", headers={**site.bearer(), "Origin": "null"})
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    assert not [each for each in answer.headers if each.lower().startswith("access-control")]


# --- reading -------------------------------------------------------------------------------------------------------------


async def test_a_list_shows_the_newest_first_and_pages_backwards(site: Site) -> None:
    first = await _get(site, "/incidents?limit=4")
    second = await _get(site, f"/incidents?limit=100&before={first['next_before']}")
    ids = [each["id"] for each in first["incidents"] + second["incidents"]]
    assert ids == sorted(ids, reverse=True)
    assert len(ids) == 9
    assert second["next_before"] is None


@pytest.mark.parametrize(
    "query,expected",
    [
        ("open=true", 7),
        ("open=false", 2),
        ("priority=P2", 3),
        ("priority=p2&open=true", 2),
        ("service=cart", 1),
        ("service=nope", 0),
        ("service=%27+OR+1%3D1--", 0),
        ("limit=2", 2),
        ("limit=1000", 9),
    ],
)
async def test_a_filter_shows_what_it_says(site: Site, query: str, expected: int) -> None:
    assert len((await _get(site, f"/incidents?{query}"))["incidents"]) == expected


@pytest.mark.parametrize(
    "query",
    [
        *("limit=0", "limit=1001", "limit=-1", "limit=1e3", "limit=NaN", "limit=%EF%BC%91%EF%BC%90", "limit=1_0", "limit=+1", "limit="),
        *("limit=10&limit=10", "offset=-5", "q=(a%2B)%2B%24", "x=" + "A" * 5000, "%00=%00", "before=0", "before=9999999999999999999"),
        *(
            "open=yes",
            "open=1",
            "open=",
            "priority=P0",
            "priority=P9",
            "priority=high",
            "service=%00",
            "service=%ff%0a",
            "service=" + "s" * 257,
        ),
    ],
)
async def test_a_query_that_is_not_understood_is_refused(site: Site, query: str) -> None:
    answer = await site.client.get(f"{API}/incidents?{query}", headers=site.bearer())
    assert answer.status == 400
    assert (await answer.json())["error"]["code"] == "bad_request"


@pytest.mark.parametrize("path", [f"/incidents/{{id}}{tail}?x=1" for tail in ("", "/timeline")] + ["/holds?x=1", "/whoami?x=1"])
async def test_no_route_ignores_a_parameter(site: Site, path: str) -> None:
    answer = await site.client.get(API + path.replace("{id}", str(site.ids.undone)), headers=site.bearer())
    assert answer.status == 400


@pytest.mark.parametrize(
    "path",
    [
        *("/incidents/0", "/incidents/999999999999999999", "/incidents/9999999999999999999", "/incidents/" + "9" * 90, "/incidents/1e3"),
        *("/incidents/-1", "/incidents/%EF%BC%91", "/incidents/1%00", "/incidents/", "/incidents/1/", "/nope", "/"),
    ],
)
async def test_what_is_no_incident_is_not_found(site: Site, path: str) -> None:
    answer = await site.client.get(API + path, headers=site.bearer())
    assert answer.status == 404
    assert (await answer.json())["error"]["code"] == "not_found"


async def test_an_incident_carries_its_proof(site: Site) -> None:
    found = await _get(site, f"/incidents/{site.ids.refused}")
    attempt = found["attempts"][0]
    assert (attempt["before"]["available"], attempt["after"]["available"], attempt["verdict"]) == (1, 1, "failed")
    assert [each["because"] for each in found["refusals"]] == ["not_known_good", "hazard"]
    assert found["facts"]["workload"]["rollout"] == "stuck"
    assert found["pages"][0]["details"]["prochaine commande"].startswith("kubectl")
    assert [each.rpartition("=")[2] for each in found["next_commands"]] == ["6"]
    assert [each.rpartition("=")[2] for each in found["next_reverse"]] == ["7"]
    assert found["chain_intact"] is True


async def test_an_incident_shows_its_own_attempts_only(site: Site) -> None:
    found = await _get(site, f"/incidents/{site.ids.undone}")
    assert [each["wanted"] for each in found["attempts"]] == ["revision 7 -> 6"]


async def test_a_timeline_is_told_in_order(site: Site) -> None:
    told = await _get(site, f"/incidents/{site.ids.database}/timeline")
    assert [each["seq"] for each in told["entries"]] == [1, 2, 3, 4, 5]
    assert told["entries"][-1]["actor"] == "camille"


@pytest.mark.parametrize("naming", [Naming.p0_p3])
async def test_priorities_are_read_and_shown_in_the_configured_naming(site: Site) -> None:
    found = await _get(site, "/incidents?priority=P0")
    assert {each["id"] for each in found["incidents"]} == {site.ids.database, site.ids.fresh}
    assert {each["priority"] for each in found["incidents"]} == {"P0"}


async def test_what_is_in_quarantine_is_shown(site: Site) -> None:
    kept = (await _get(site, "/quarantine?limit=1"))["quarantine"]
    assert [each["path"] for each in kept] == ["alerts[0]"]


async def test_what_the_self_check_of_our_rights_found_is_shown(site: Site) -> None:
    lack = {
        "state": "missing",
        "identity": "undo",
        "namespace": "shop",
        "right": "patch deployments.apps",
        "needed_by": "kubernetes.rollout_undo",
    }
    found = await _get(site, "/rights")
    assert found["findings"] == [lack]
    assert found["at"] is not None


async def test_a_token_can_be_tried(site: Site) -> None:
    assert await _get(site, "/whoami", "operate") == {"name": "operate", "scope": "operate"}


# --- changing ------------------------------------------------------------------------------------------------------------


async def test_an_acknowledgement_names_the_token(site: Site) -> None:
    status, incident = await _send(site, "POST", f"/incidents/{site.ids.fresh}/ack", {}, "operate")
    assert (status, incident["acked_by"]) == (200, "operate")
    assert (await _get(site, f"/incidents/{site.ids.fresh}/timeline"))["entries"][-1]["actor"] == "operate"


async def test_a_closed_incident_refuses_a_note_with_409(site: Site) -> None:
    status, body = await _send(site, "POST", f"/incidents/{site.ids.cured}/note", {"text": "x"}, "operate")
    assert (status, body["error"]["code"]) == (409, "refused")


@pytest.mark.parametrize("verb,body", [("ack", {}), ("resolve", {}), ("note", {"text": "x"})])
async def test_a_command_on_nothing_is_answered_404(site: Site, verb: str, body: object) -> None:
    assert (await _send(site, "POST", f"/incidents/123456/{verb}", body, "admin"))[0] == 404


async def test_a_freeze_holds_until_its_time(site: Site) -> None:
    status, held = await _send(
        site, "POST", "/holds", {"scope": "service:cart", "reason": "r", "until": "2026-11-20T14:00:00+01:00"}, "operate"
    )
    assert (status, held["until"], held["kind"]) == (201, "2026-11-20T13:00:00Z", "freeze")


async def test_an_empty_scope_is_the_kill_switch_and_only_an_admin_lets_go_of_it(site: Site) -> None:
    _, held = await _send(site, "POST", "/holds", {"scope": "", "reason": "stop"}, "operate")
    assert await site.store.kill_switch_on()
    assert (await _send(site, "DELETE", f"/holds/{held['id']}", None, "operate"))[0] == 403
    assert await site.store.kill_switch_on()
    assert (await _send(site, "DELETE", f"/holds/{held['id']}", None, "admin"))[0] == 200
    assert not await site.store.kill_switch_on()


async def test_thawing_what_is_not_frozen_is_answered_404(site: Site) -> None:
    assert (await _send(site, "DELETE", "/holds/77", None, "operate"))[0] == 404


@pytest.mark.parametrize(
    "path,body",
    [
        ("/incidents/{id}/ack", b""),
        ("/incidents/{id}/ack", b"[]"),
        ("/incidents/{id}/ack", b'{"by": "root"}'),
        ("/incidents/{id}/ack", b"{" * 50_000),
        ("/incidents/{id}/resolve", b'{"note": 7}'),
        ("/incidents/{id}/resolve", json.dumps({"note": "n" * 1001}).encode()),
        ("/incidents/{id}/note", b"{}"),
        ("/incidents/{id}/note", b'{"text": ""}'),
        ("/incidents/{id}/note", b'{"text": "\\ud800"}'),
        ("/incidents/{id}/note", b'{"text": "\xff"}'),
        ("/holds", b'{"scope": "service:x"}'),
        ("/holds", b'{"scope": "service:x", "reason": "r", "until": "tomorrow"}'),
        ("/holds", b'{"scope": "service:x", "reason": "r", "until": "2026-11-20T14:00:00"}'),
        ("/holds", b'{"scope": "service:x", "reason": "r", "until": "9999-12-31T23:59:59-12:00"}'),
        ("/holds", b'{"scope": "service:x", "reason": "r", "until": 1e999}'),
        ("/holds", b'{"scope": "service:x", "reason": "r", "until": 4102444800}'),
    ],
)
async def test_a_body_that_is_not_understood_is_refused(site: Site, path: str, body: bytes) -> None:
    headers = {**site.bearer("admin"), "Content-Type": "application/json"}
    answer = await site.client.post(API + path.replace("{id}", str(site.ids.fresh)), data=body, headers=headers)
    assert answer.status == 400, await answer.text()


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16", "", "multipart/form-data"]
)
async def test_only_json_changes_anything(site: Site, content_type: str) -> None:
    headers = {**site.bearer("admin"), "Content-Type": content_type}
    answer = await site.client.post(f"{API}/incidents/{site.ids.fresh}/ack", data=b"{}", headers=headers)
    assert answer.status == 415


async def test_a_compressed_body_is_refused_unread(site: Site) -> None:
    headers = {**site.bearer("admin"), "Content-Type": "application/json", "Content-Encoding": "br"}
    assert (await site.client.post(f"{API}/holds", data=b"{}", headers=headers)).status in (400, 415)


async def test_a_large_body_is_refused(site: Site) -> None:
    status, body = await _send(site, "POST", "/holds", {"scope": "service:x", "reason": "r" * 70_000}, "admin")
    assert (status, body["error"]["code"]) == (413, "too_large")


async def test_a_yes_and_a_no_name_what_they_answer(site: Site) -> None:
    path = f"/incidents/{site.ids.fresh}"
    assert (await _send(site, "POST", f"{path}/approve", {}, "operate"))[0] == 400
    assert (await _send(site, "POST", f"{path}/deny", {"attempt": ""}, "operate"))[0] == 400
    assert (await _send(site, "POST", f"{path}/approve", {"attempt": "no-1"}, "operate"))[0] == 404


@pytest.mark.parametrize(
    "method,path",
    [("DELETE", "/incidents/1"), ("PATCH", "/incidents"), ("POST", "/whoami"), ("PUT", "/holds/1"), ("GET", "/incidents/1/ack")],
)
async def test_another_method_is_answered_405_with_what_is_allowed(site: Site, method: str, path: str) -> None:
    answer = await site.client.request(method, API + path, headers=site.bearer("admin"))
    assert answer.status == 405
    assert answer.headers["Allow"]


async def test_a_store_that_does_not_answer_is_told_with_503_and_when_to_come_back(site: Site) -> None:
    await site.store.close()
    answer = await site.client.get(f"{API}/incidents", headers=site.bearer())
    assert answer.status == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert (await answer.json())["error"]["code"] == "unavailable"


async def test_no_answer_repeats_a_token(site: Site) -> None:
    for path in ("/whoami", "/incidents", "/nope", "/incidents?x=1"):
        answer = await site.client.get(API + path, headers=site.bearer("admin"))
        told = f"{await answer.text()} {answer.headers}"
        assert not [each for each in TOKENS.values() if each in told]


async def test_a_head_is_answered_like_a_get_without_its_body(site: Site) -> None:
    answer = await site.client.head(f"{API}/incidents", headers=site.bearer())
    assert (answer.status, await answer.read()) == (200, b"")


def test_every_handler_is_reached_by_a_table_only(site: Site) -> None:
    assert isinstance(site.client.app, web.Application)
    mounted = {each.canonical for each in site.client.app.router.resources()}
    assert {f"{API}{path}" for _, path in TABLE} <= mounted


async def test_a_shut_storm_gate_is_told_with_the_list(site: Site) -> None:
    assert (await _get(site, "/incidents"))["storm"] is None
    site.gate.append(Storm(shut=True, detail="9 targets alerting within 5 min (limit 5)", since=START))
    assert (await _get(site, "/incidents"))["storm"] == {
        "detail": "9 targets alerting within 5 min (limit 5)",
        "since": "2026-11-20T12:00:00Z",
    }


@pytest.mark.parametrize("path", ["/api/v1/whoami", "/api/v1/nothing", "/login", "/", "/static/console.css", "/nowhere"])
async def test_no_answer_says_what_it_runs_on(site: Site, path: str) -> None:
    answer = await site.client.get(path, allow_redirects=False)
    assert answer.headers["Server"] == "receiver"


async def test_a_store_that_takes_nothing_says_why_and_where_the_other_switch_is(site: Site) -> None:
    await site.store.close()
    answer = await site.client.post(f"{API}/holds", json={"scope": "", "reason": "r"}, headers=site.bearer("operate"))
    message = (await answer.json())["error"]["message"]
    assert answer.status == 503
    assert "the store is closed" in message
    assert "actions_file" in message
    asked = await site.client.get(f"{API}/incidents", headers=site.bearer())
    assert "actions_file" not in (await asked.json())["error"]["message"]


async def test_a_doubtful_freeze_is_made_with_a_warning(site: Site) -> None:
    _, doubted = await _send(site, "POST", "/holds", {"scope": "namespace:shpo", "reason": "r"}, "operate")
    assert "shpo" in doubted["warning"]
    _, sure = await _send(site, "POST", "/holds", {"scope": "namespace:shop", "reason": "r"}, "operate")
    assert sure["warning"] == ""


# --- changes that are told -----------------------------------------------------------------------------------------------


TOLD = {"service": "checkout", "what": "checkout v2", "who": "ann", "at": "2026-11-20T11:55:00Z", "link": "https://ci.example/7"}


async def test_a_pipeline_tells_of_a_deploy_once_however_often_it_retries(site: Site) -> None:
    status, told = await _send(site, "POST", "/changes", TOLD, "report")
    again, same = await _send(site, "POST", "/changes", TOLD, "report")
    assert (status, again, same) == (201, 201, told)
    assert (await _get(site, "/changes"))["changes"] == [{key: value for key, value in told.items() if key != "warning"}]
    assert (told["subject"], told["who"], told["told_by"], told["warning"]) == ("checkout", "ann", "report", "")


async def test_changes_are_listed_by_service(site: Site) -> None:
    await _send(site, "POST", "/changes", TOLD, "report")
    await _send(site, "POST", "/changes", {"target": "kubernetes/default/shop/Deployment/web", "what": "scaled"}, "report")
    assert [each["what"] for each in (await _get(site, "/changes"))["changes"]] == ["scaled", "checkout v2"]
    assert [each["what"] for each in (await _get(site, "/changes?service=checkout&limit=1"))["changes"]] == ["checkout v2"]


async def test_a_service_that_no_page_can_show_is_taken_with_a_warning(site: Site) -> None:
    _, told = await _send(site, "POST", "/changes", TOLD | {"service": "chekout"}, "report")
    assert told["warning"] == "service 'chekout' is not in the catalogue: no page shows it"


async def test_secrets_in_what_is_told_are_not_stored(site: Site) -> None:
    words = TOLD | {"what": "deployed with password=hunter2", "link": "https://ci.example/7?token=abc"}
    _, told = await _send(site, "POST", "/changes", words, "report")
    assert (told["what"], told["link"]) == ("deployed with password=***", "https://ci.example/7?token=***")


@pytest.mark.parametrize(
    "body,status",
    [
        ({"what": "x"}, 400),
        ({"service": "a", "target": "kubernetes/d/shop/Deployment/web", "what": "x"}, 400),
        ({"service": "a b", "what": "x"}, 400),
        ({"target": "web", "what": "x"}, 400),
        ({"target": "azure/d/shop/Deployment/web", "what": "x"}, 409),
        ({"service": "a", "what": ""}, 400),
        ({"service": "a", "what": "x" * 1001}, 400),
        ({"service": "a", "what": "x", "link": "javascript:alert(1)"}, 400),
        ({"service": "a", "what": "x", "at": "2026-11-20T13:00:00Z"}, 409),
        ({"service": "a", "what": "x", "at": "2026-11-01T12:00:00Z"}, 409),
        ({"service": "a", "what": "x", "more": 1}, 400),
    ],
)
async def test_what_is_told_is_read_strictly(site: Site, body: dict[str, object], status: int) -> None:
    answered, _ = await _send(site, "POST", "/changes", body, "report")
    assert answered == status
    assert (await _get(site, "/changes"))["changes"] == []


# --- evidence ------------------------------------------------------------------------------------------------------------


async def test_an_incident_shows_the_evidence_of_its_newest_page(site: Site) -> None:
    rows = await site.store.load(site.ids.fresh)
    assert rows is not None
    pieces = [{"title": "pods", "lines": ["web-1: <b>"], "missing": ""}, {"title": "top", "lines": [], "missing": "not there"}, "odd"]
    kept: tuple[list[object], ...] = ([], [*pieces])
    for data in kept:
        rows = await site.store.load(site.ids.fresh)
        assert rows is not None
        await site.store.save(Change(rows.incident, (Entry(START, "evidence", "evidence", data={"evidence": data}),), wake_at=START))
    assert (await _get(site, f"/incidents/{site.ids.fresh}"))["evidence"] == pieces[:2]
    assert (await _get(site, f"/incidents/{site.ids.undone}"))["evidence"] == []
