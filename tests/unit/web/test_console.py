"""The console: who gets in, what is shown, and that nothing of an alert is more than text."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from html import unescape

import pytest
from aiohttp import ClientResponse

from receiver.ports import Change, Entry, IncidentFilter
from receiver.web.sessions import FAILURES, FAILURES_WITHIN, IDLE, LONGEST
from receiver.web.story import FRESH, Briefs
from receiver.web.words import Words
from tests.fakes.clock import START
from tests.fakes.console_sample import HOSTILE
from tests.unit.web.conftest import TOKENS, Site
from tests.unit.web.counting import Counting

PAGES = ("/", "/?state=closed", "/quarantine", "/incidents/1")


def hidden(html: str, name: str) -> str:
    """The value of a hidden field."""
    found = re.search(rf'name="{name}" value="([^"]*)"', html)
    assert found is not None
    return unescape(found[1])


async def log_in(site: Site, scope: str = "read", **changes: str) -> ClientResponse:
    """As a browser does, from the form on."""
    form = await (await site.client.get("/login")).text()
    fields = {"csrf": hidden(form, "csrf"), "next": "/", "token": TOKENS[scope], **changes}
    return await site.client.post("/login", data=fields, allow_redirects=False)


async def page(site: Site, path: str = "/") -> str:
    """Of somebody who is logged in."""
    await log_in(site)
    answer = await site.client.get(path, allow_redirects=False)
    assert answer.status == 200
    return await answer.text()


# --- who gets in ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES)
async def test_a_stranger_is_sent_to_the_login_and_sees_nothing(site: Site, path: str) -> None:
    answer = await site.client.get(path, allow_redirects=False)
    assert (answer.status, answer.headers["Location"].partition("?")[0]) == (303, "/login")
    assert await answer.read() == b""


async def test_a_token_that_only_tells_of_changes_may_not_look(site: Site) -> None:
    assert (await log_in(site, "report")).status == 401


@pytest.mark.parametrize("scope", ["read", "operate", "admin"])
async def test_every_known_token_may_look(site: Site, scope: str) -> None:
    answer = await log_in(site, scope)
    assert (answer.status, answer.headers["Location"]) == (303, "/")
    assert (await site.client.get("/", allow_redirects=False)).status == 200


async def test_the_cookie_is_no_secret_of_ours_and_out_of_reach_for_scripts_and_other_sites(site: Site) -> None:
    cookie = (await log_in(site)).cookies["receiver"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Strict", "/")
    assert len(cookie.value) >= 32
    assert TOKENS["read"] not in cookie.value


@pytest.mark.parametrize("secure_cookie", [True])
async def test_over_https_the_cookie_never_travels_in_the_clear(site: Site) -> None:
    cookies = (await site.client.get("/login")).cookies
    assert cookies["__Host-receiver-form"]["secure"]


@pytest.mark.parametrize("token", ["", "wrong", "é", "x" * 2000])
async def test_a_wrong_token_stays_outside(site: Site, token: str) -> None:
    answer = await log_in(site, token=token)
    assert answer.status == 401
    assert "receiver" not in answer.cookies
    assert (await site.client.get("/", allow_redirects=False)).status == 303


async def test_failures_end_in_a_pause_for_that_peer(site: Site) -> None:
    for _ in range(FAILURES):
        assert (await log_in(site, token="wrong")).status == 401
    paused = await log_in(site)
    assert (paused.status, "Retry-After" in paused.headers) == (429, True)
    site.clock.advance(FAILURES_WITHIN + timedelta(seconds=1))
    assert (await log_in(site)).status == 303


async def test_a_login_form_of_somebody_else_does_not_count(site: Site) -> None:
    assert (await log_in(site, csrf="0" * 64)).status == 403
    site.client.session.cookie_jar.clear()
    form = await (await site.client.get("/login")).text()
    site.client.session.cookie_jar.clear()
    answer = await site.client.post("/login", data={"csrf": hidden(form, "csrf"), "token": TOKENS["read"]}, allow_redirects=False)
    assert answer.status == 403


@pytest.mark.parametrize(
    "headers,status",
    [
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 303),
        ({"Origin": "https://evil.test"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Origin": "SELF"}, 303),
        ({}, 303),
    ],
)
async def test_a_form_from_another_site_does_not_count(site: Site, headers: dict[str, str], status: int) -> None:
    form = await (await site.client.get("/login")).text()
    own = str(site.client.make_url("/").origin())
    headers = {name: own if value == "SELF" else value for name, value in headers.items()}
    fields = {"csrf": hidden(form, "csrf"), "token": TOKENS["read"]}
    assert (await site.client.post("/login", data=fields, headers=headers, allow_redirects=False)).status == status


@pytest.mark.parametrize(
    "body,content_type",
    [("{}", "application/json"), ("csrf=1", "text/plain"), ("a=%ff", None), ("&".join("abcdefghij"), None), ("a=" + "x" * 9000, None)],
)
async def test_what_is_no_form_is_refused(site: Site, body: str, content_type: str | None) -> None:
    headers = {"Content-Type": content_type or "application/x-www-form-urlencoded"}
    answer = await site.client.post("/login", data=body, headers=headers, allow_redirects=False)
    assert answer.status in (400, 403, 413, 415)


@pytest.mark.parametrize(
    "onward",
    ["https://evil.test/", "//evil.test", "/\\evil.test", "javascript:alert(1)", "/logout", "/incidents/1/../../x", "/incidents/1\n"],
)
async def test_a_login_leads_to_our_own_pages_only(site: Site, onward: str) -> None:
    assert (await log_in(site, next=onward)).headers["Location"] == "/"


async def test_a_login_leads_back_to_where_one_wanted_to_go(site: Site) -> None:
    sent = await site.client.get("/incidents/2", allow_redirects=False)
    form = await (await site.client.get(sent.headers["Location"])).text()
    assert hidden(form, "next") == "/incidents/2"
    assert (await log_in(site, next="/incidents/2")).headers["Location"] == "/incidents/2"


@pytest.mark.parametrize("path,onward", [("/incidents/2", "/incidents/2"), ("/?state=closed", "/"), ("/quarantine", "/quarantine")])
async def test_a_link_from_elsewhere_takes_a_second_step_that_brings_the_cookie(site: Site, path: str, onward: str) -> None:
    answer = await site.client.get(path, headers={"Sec-Fetch-Site": "cross-site"}, allow_redirects=False)
    assert answer.status == 200
    assert f'content="0; url={onward}"' in await answer.text()
    again = await site.client.get(onward, headers={"Sec-Fetch-Site": "same-origin"}, allow_redirects=False)
    assert again.status == 303


async def test_a_session_ends_when_nobody_looks(site: Site) -> None:
    await log_in(site)
    site.clock.advance(IDLE)
    assert (await site.client.get("/", allow_redirects=False)).status == 303


async def test_a_session_ends_with_the_shift_however_busy(site: Site) -> None:
    await log_in(site)
    for _ in range(int(LONGEST / (IDLE / 2)) - 1):
        site.clock.advance(IDLE / 2)
        assert (await site.client.get("/quarantine", allow_redirects=False)).status == 200
    site.clock.advance(IDLE / 2)
    assert (await site.client.get("/", allow_redirects=False)).status == 303


async def test_logging_out_ends_the_session_for_every_copy_of_its_cookie(site: Site) -> None:
    cookie = (await log_in(site)).cookies["receiver"].value
    csrf = hidden(await (await site.client.get("/")).text(), "csrf")
    answer = await site.client.post("/logout", data={"csrf": csrf}, allow_redirects=False)
    assert answer.headers["Location"] == "/login"
    assert (await site.client.get("/", cookies={"receiver": cookie}, allow_redirects=False)).status == 303


async def test_logging_out_needs_the_forms_token(site: Site) -> None:
    await log_in(site)
    assert (await site.client.post("/logout", data={"csrf": "x"}, allow_redirects=False)).status == 403
    assert (await site.client.get("/", allow_redirects=False)).status == 200


# --- what is shown -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [*PAGES, "/login", "/static/console.css"])
async def test_no_page_can_be_framed_scripted_or_cached_by_others(site: Site, path: str) -> None:
    if path != "/login":
        await log_in(site)
    headers = (await site.client.get(path)).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store" or path.startswith("/static")


@pytest.mark.parametrize("path", ["/", "/?state=closed", "/quarantine", "/incidents/{hostile}", "/incidents/{refused}"])
async def test_what_an_alert_says_is_text_and_nothing_else(site: Site, path: str) -> None:
    html = await page(site, path.format(hostile=site.ids.hostile, refused=site.ids.refused))
    assert "<script" not in html
    assert "javascript:" not in html
    assert "style=" not in html
    assert not re.search(r"\son\w+=", html)
    if "refused" not in path and "closed" not in path:
        assert HOSTILE in unescape(html)


async def test_the_most_urgent_stand_first(site: Site) -> None:
    html = await page(site)
    ids = [int(each) for each in re.findall(r'href="/incidents/(\d+)"', html)]
    i = site.ids
    assert ids == [i.fresh, i.database, i.refused, i.undone, i.shadow, i.scaled, i.hostile, i.by_person, i.cured]


async def test_a_list_says_what_happens_next_and_when(site: Site) -> None:
    html = await page(site)
    assert "12:00:40" in html
    assert "in 40 s" in html
    assert "la guérison doit tenir un moment" in unescape(html)


@pytest.mark.parametrize("path,count", [("/?priority=P1", 2), ("/?service=cart", 1), ("/?priority=P4&service=cart", 0)])
async def test_a_list_can_be_narrowed(site: Site, path: str, count: int) -> None:
    html = await page(site, path)
    assert len(re.findall(r'<tr class="p\d">', html)) == count


@pytest.mark.parametrize("path", ["/?x=1", "/?state=all", "/?priority=P9", "/?before=x", "/incidents/1?x=1"])
async def test_an_address_that_is_not_understood_is_refused(site: Site, path: str) -> None:
    await log_in(site)
    assert (await site.client.get(path)).status == 400


async def test_an_incident_shows_before_and_after_refusals_and_the_next_command(site: Site) -> None:
    html = unescape(await page(site, f"/incidents/{site.ids.refused}"))
    for told in (
        "1 / 3",
        "not_known_good",
        "HorizontalPodAutoscaler cart",
        "--to-revision=6",
        "Takes it back:",
        "--to-revision=7",
        "ProgressDeadlineExceeded",
        "as it was written",
    ):
        assert told in html


async def test_every_picture_says_what_it_shows(site: Site) -> None:
    html = await page(site, f"/incidents/{site.ids.undone}")
    pictures = re.findall(r"<svg[^>]*>", html)
    assert pictures
    assert all('aria-label="' in each or "aria-hidden" in each for each in pictures)


@pytest.mark.parametrize(
    "path,fresh",
    [("/", True), ("/incidents/{undone}", True), ("/incidents/{cured}", False), ("/?state=closed", False), ("/quarantine", False)],
)
async def test_only_what_still_changes_refreshes_itself(site: Site, path: str, fresh: bool) -> None:
    html = await page(site, path.format(undone=site.ids.undone, cured=site.ids.cured))
    assert ('http-equiv="refresh"' in html) is fresh


async def test_what_is_held_is_said_on_top(site: Site) -> None:
    await site.client.post("/api/v1/holds", json={"scope": "", "reason": "stop <b>"}, headers=site.bearer("operate"))
    html = await page(site)
    assert "The kill switch is on" in html
    assert "stop &lt;b&gt;" in html
    assert "Actions are frozen for namespace:shop" in html


@pytest.mark.parametrize("locale", ["fr"])
async def test_it_speaks_french(site: Site) -> None:
    html = unescape(await page(site))
    assert '<html lang="fr">' in html
    assert "La suite" in html


@pytest.mark.parametrize("path,status", [("/incidents/123456", 404), ("/incidents/" + "9" * 18, 404)])
async def test_what_does_not_exist_is_said_on_a_page(site: Site, path: str, status: int) -> None:
    await log_in(site)
    answer = await site.client.get(path)
    assert answer.status == status
    assert "There is no such incident" in await answer.text()


@pytest.mark.parametrize(
    "path",
    [
        "/incidents/1e3",
        "/incidents/" + "9" * 19,
        "/static/",
        "/static/../tokens.py",
        "/static/%2e%2e/tokens.py",
        "/.git/config",
        "/console",
    ],
)
async def test_no_other_path_exists(site: Site, path: str) -> None:
    await log_in(site)
    assert (await site.client.get(path)).status == 404


async def test_a_store_that_does_not_answer_is_said_on_a_page(site: Site) -> None:
    await log_in(site)
    await site.store.close()
    answer = await site.client.get("/")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")


async def test_a_list_reads_no_incident_again_that_did_not_change(site: Site) -> None:
    views = Counting(site.store)
    briefs = Briefs(views, site.clock, Words("en"))
    listed = await site.store.incidents(IncidentFilter(open=True))
    for _ in range(3):
        for each in listed:
            await briefs.of(each)
    assert views.seen == [each.id for each in listed]
    site.clock.advance(FRESH)
    await briefs.of(listed[0])
    assert views.seen[-1] == listed[0].id


async def test_a_list_reads_an_incident_again_once_it_changed(site: Site) -> None:
    views = Counting(site.store)
    briefs = Briefs(views, site.clock, Words("en"))
    incident = (await site.store.incidents(IncidentFilter(open=True)))[0]
    await briefs.of(incident)
    await briefs.of(replace(incident, version=incident.version + 1))
    assert views.seen == [incident.id, incident.id]


# --- prepared commands ---------------------------------------------------------------------------------------------------


def section(html: str, label: str) -> str:
    """The panel with this heading, as text."""
    (found,) = re.findall(rf'<section class="panel[^"]*" aria-labelledby="{label}">(.*?)</section>', html, re.DOTALL)
    return unescape(re.sub(r"<[^>]+>", "", found))


async def test_prepared_commands_are_shown_whole_with_their_gaps_and_their_way_back(site: Site) -> None:
    shown = section(await page(site, f"/incidents/{site.ids.fresh}"), "h-prepared")
    answer = await site.client.get(f"/api/v1/incidents/{site.ids.fresh}", headers=site.bearer())
    for each in (await answer.json())["prepared"]:
        assert all(line in shown for line in (*each["commands"], *each["reverse"], *each["notes"]))
        assert (f"receiver did {site.ids.fresh} {each['name']}" in shown) is each["changes"]
        assert (f"{each['name']} --note" in shown) is bool(each["changes"] and each["gaps"])
    assert "gaps to fill in: 1" in shown
    assert "purged messages are gone" in shown


async def test_without_any_there_is_no_empty_section(site: Site) -> None:
    assert "h-prepared" not in await page(site, f"/incidents/{site.ids.hostile}")


async def test_what_a_person_did_is_shown_with_its_way_back_until_it_is_taken_back(site: Site) -> None:
    at = f"/api/v1/incidents/{site.ids.fresh}"
    await site.client.post(f"{at}/did", json={"name": "read_only"}, headers=site.bearer("operate"))
    shown = section(await page(site, f"/incidents/{site.ids.fresh}"), "h-next")
    for each in ("undo it", f"receiver undid {site.ids.fresh} read_only", "by operate"):
        assert each in shown
    await site.client.post(f"{at}/undid", json={"name": "read_only"}, headers=site.bearer("operate"))
    assert "undo it" not in section(await page(site, f"/incidents/{site.ids.fresh}"), "h-next")


async def test_evidence_is_shown_and_cannot_mark_up_the_page(site: Site) -> None:
    rows = await site.store.load(site.ids.fresh)
    assert rows is not None
    pieces = [
        {"title": "log", "lines": ["3x web: <script>alert(1)</script>"], "missing": ""},
        {"title": "top", "lines": [], "missing": "gone"},
    ]
    await site.store.save(Change(rows.incident, (Entry(START, "evidence", "e", data={"evidence": pieces}),), wake_at=START))
    await log_in(site)
    page = await (await site.client.get(f"/incidents/{site.ids.fresh}")).text()
    assert "3x web: &lt;script&gt;" in page
    assert ">Not collected: top: gone<" in page
