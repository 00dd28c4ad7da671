"""The console: read-only pages for people, rendered here, without a script.

Law: nothing but login and assets is shown without a session; a session opens no door of the API; the only things that a form changes are
sessions, and each form carries the token of its own page and comes from this site. What alerts say reaches a page through autoescaping.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlsplit

from aiohttp import web

from receiver.core.model import Incident, Priority
from receiver.core.wording import Suggestion
from receiver.ports import Clock, IncidentFilter, StoreUnavailable
from receiver.web import asking, pictures, shaping, showing
from receiver.web.answers import PAGE_HEADERS, RETRY_SECONDS, Problem
from receiver.web.api import Desk
from receiver.web.render import render
from receiver.web.sessions import FAILURES_WITHIN, IDLE, Session, Sessions, same
from receiver.web.story import Brief, Briefs, brief_of, story
from receiver.web.tokens import Scope
from receiver.web.words import Words, clock_time, rfc3339

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
PageHandler = Callable[[web.Request, Session], Awaitable[web.Response]]

OPEN_SHOWN = 100
CLOSED_SHOWN = 15
"""Below the open ones; their own view has more."""
PAGE = 50
REFRESH_SECONDS = 15
FORM_LIMIT = 8 << 10
STATIC = Path(__file__).parent / "static"
ASSETS: Mapping[str, tuple[str, str]] = {
    "/static/console.css": ("console.css", "text/css"),
    "/static/icon.svg": ("icon.svg", "image/svg+xml"),
    "/favicon.ico": ("icon.svg", "image/svg+xml"),
}
"""Path → (file, type). No other file is ever read for a request."""

_NEXT = re.compile(rf"/(?:incidents/{asking.ID}|quarantine)?", re.ASCII)
_OWN_SITE = ("same-origin", "none")


@dataclass(frozen=True, slots=True)
class Row:
    """One incident of the list."""

    incident: Incident
    priority: str
    brief: Brief
    strip: pictures.Strip


class Console:
    """Its handlers; `paths` is their table."""

    def __init__(self, desk: Desk, *, sessions: Sessions, clock: Clock, locale: str, secure_cookie: bool) -> None:
        self._desk = desk
        self._sessions = sessions
        self._clock = clock
        self._words = Words(locale)
        self._briefs = Briefs(desk.views, clock, self._words)
        self._secure = secure_cookie
        prefix = "__Host-" if secure_cookie else ""  # such a cookie cannot be set by another host (RFC 6265bis 4.1.3)
        self._cookie = f"{prefix}receiver"
        self._form_cookie = f"{prefix}receiver-form"

    def paths(self) -> dict[str, dict[str, Handler]]:
        """Path → method → handler."""
        pages: dict[str, dict[str, Handler]] = {
            "/": {"GET": self._page(self._list)},
            f"/incidents/{{id:{asking.ID}}}": {"GET": self._page(self._incident)},
            "/quarantine": {"GET": self._page(self._quarantine)},
            "/login": {"GET": self._show_login, "POST": self._log_in},
            "/logout": {"POST": self._page(self._log_out)},
        }
        assets: dict[str, dict[str, Handler]] = {path: {"GET": partial(_asset, *named)} for path, named in ASSETS.items()}
        return {**pages, **assets}

    def _page(self, handle: PageHandler) -> Handler:
        async def answer(request: web.Request) -> web.Response:
            session = self._sessions.find(request.cookies.get(self._cookie, ""))
            if session is None:
                return self._stranger(request)
            try:
                return await handle(request, session)
            except Problem as problem:
                return self._problem(problem.status, session)
            except StoreUnavailable:
                unavailable = self._problem(503, session)
                unavailable.headers["Retry-After"] = str(RETRY_SECONDS)
                return unavailable

        return answer

    def _stranger(self, request: web.Request) -> web.Response:
        """Who follows a link from a chat or a page comes without the cookie (SameSite=Strict): a second step, from here, brings it."""
        onward = request.path if _NEXT.fullmatch(request.path) else "/"
        if request.method == "GET" and request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site"):
            return self._html("arrive.html", None, now=self._clock.now(), refresh=True, refresh_seconds=0, onward=onward)
        return _redirect("/login" if onward == "/" else f"/login?next={quote(onward)}")

    # --- the pages -------------------------------------------------------------------------------------------------------

    async def _list(self, request: web.Request, session: Session) -> web.Response:
        given = dict(asking.query(request, ("state", "priority", "service", "before")))
        state = given.pop("state", "open")
        if state not in ("open", "closed"):
            raise asking.bad("state is open or closed")
        wanted = asking.wanted(given, self._desk.naming)
        now = self._clock.now()
        open_ = await self._desk.views.incidents(IncidentFilter(open=True, limit=asking.MOST))
        shown = [each for each in open_ if _matches(each, wanted)] if state == "open" else []
        shown.sort(key=lambda each: (each.priority.rank, -each.id))
        most = PAGE if state == "closed" else CLOSED_SHOWN
        closed = await self._desk.views.incidents(
            IncidentFilter(open=False, priority=wanted.priority, service=wanted.service, limit=most, before=wanted.before)
        )
        return self._html(
            "list.html",
            session,
            now=now,
            refresh=state == "open",
            state=state,
            priority=given.get("priority", ""),
            service=wanted.service,
            rows=[await self._row(each, now) for each in shown[:OPEN_SHOWN]],
            closed=[await self._row(each, now) for each in closed],
            hidden=len(shown) - OPEN_SHOWN,
            total=len(open_),
            older=closed[-1].id if len(closed) == PAGE else None,
            paged=wanted.before is not None,
            bar=pictures.bar(self._counts(open_)),
            holds=[shaping.hold(each) for each in await self._desk.views.holds()],
            storm=shaping.storm(await self._desk.storm()),
        )

    async def _row(self, incident: Incident, now: datetime) -> Row:
        brief = await self._briefs.of(incident)
        drawn = pictures.strip(story(incident, brief), now=now, words=self._words, apart=pictures.APART_SMALL)
        return Row(incident, self._desk.naming.show(incident.priority), brief, drawn)

    def _counts(self, open_: list[Incident]) -> list[tuple[int, str, int]]:
        return [(each.rank, self._desk.naming.show(each), sum(1 for one in open_ if one.priority is each)) for each in Priority]

    async def _incident(self, request: web.Request, session: Session) -> web.Response:
        asking.query(request, ())
        view = await self._desk.views.view(asking.path_id(request))
        if view is None:
            raise Problem(404, "not_found", "no such incident")
        now, incident = self._clock.now(), view.rows.incident
        following = await self._desk.next_commands(incident.id) if incident.open else Suggestion("")
        prepared = await self._desk.prepared(incident.id) if incident.open else ()
        brief = brief_of(view, self._words)
        return self._html(
            "incident.html",
            session,
            now=now,
            refresh=incident.open,
            d=shaping.detail(view, self._desk.naming, following=following, prepared=prepared, locale=self._words.locale),
            rank=incident.priority.rank,
            brief=brief,
            strip=pictures.strip(story(incident, brief), now=now, words=self._words),
            entries=shaping.timeline(view).entries,
            holds=[shaping.hold(each) for each in view.rows.holds],
            show=showing,
        )

    async def _quarantine(self, request: web.Request, session: Session) -> web.Response:
        asking.query(request, ())
        kept = await self._desk.views.quarantine(limit=PAGE)
        return self._html("quarantine.html", session, now=self._clock.now(), kept=[shaping.quarantined(each) for each in kept])

    def _problem(self, status: int, session: Session | None) -> web.Response:
        text = self._words(f"p_{status}" if status in (403, 404, 503) else "p_400")
        return self._html("problem.html", session, status=status, now=self._clock.now(), text=text, code=status)

    # --- sessions --------------------------------------------------------------------------------------------------------

    async def _show_login(self, request: web.Request) -> web.Response:
        if self._sessions.find(request.cookies.get(self._cookie, "")) is not None:
            return _redirect("/")
        return self._login_form(request.rel_url.query.get("next", "/"))

    def _login_form(self, onward: str, *, status: int = 200, error: str = "") -> web.Response:
        nonce = self._sessions.form_nonce()
        onward = onward if _NEXT.fullmatch(onward) else "/"
        error = self._words(error) if error else ""
        answer = self._html(
            "login.html", None, status=status, now=self._clock.now(), csrf=self._sessions.form_token(nonce), onward=onward, error=error
        )
        self._set_cookie(answer, self._form_cookie, nonce, seconds=int(IDLE.total_seconds()))
        return answer

    async def _log_in(self, request: web.Request) -> web.Response:
        peer = request.remote or ""
        if not self._sessions.may_try(peer):
            refused = self._login_form("/", status=429, error="too_many")
            refused.headers["Retry-After"] = str(int(FAILURES_WITHIN.total_seconds()))
            return refused
        try:
            form = await _form(request)
        except Problem as problem:
            return self._problem(problem.status, None)
        onward = form.get("next", "/")
        nonce = request.cookies.get(self._form_cookie, "")
        if not from_our_site(request) or not nonce or not same(form.get("csrf", ""), self._sessions.form_token(nonce)):
            return self._login_form(onward, status=403, error="form_stale")
        caller = self._desk.tokens.holder(form.get("token", "").strip())
        if caller is None or not caller.scope.includes(Scope.read):
            self._sessions.failed(peer)
            return self._login_form(onward, status=401, error="token_wrong")
        self._sessions.close(request.cookies.get(self._cookie, ""))
        answer = _redirect(onward if _NEXT.fullmatch(onward) else "/")
        self._set_cookie(answer, self._cookie, self._sessions.open(caller))
        self._drop_cookie(answer, self._form_cookie)
        return answer

    async def _log_out(self, request: web.Request, session: Session) -> web.Response:
        form = await _form(request)
        if not from_our_site(request) or not same(form.get("csrf", ""), session.csrf):
            raise Problem(403, "forbidden", "not from this site")
        self._sessions.close(request.cookies.get(self._cookie, ""))
        answer = _redirect("/login")
        self._drop_cookie(answer, self._cookie)
        return answer

    # --- answers ---------------------------------------------------------------------------------------------------------

    def _html(self, template: str, session: Session | None, *, now: datetime, status: int = 200, **values: object) -> web.Response:
        common: dict[str, object] = {
            "t": self._words,
            "now": now,
            "clock_time": partial(clock_time, now=now),
            "since": partial(self._words.since, now=now),
            "rfc3339": rfc3339,
            "session": session,
            "refresh": False,
            "refresh_seconds": REFRESH_SECONDS,
        }
        page = render(template, **{**common, **values})
        return web.Response(
            body=page.encode("utf-8", "replace"), status=status, content_type="text/html", charset="utf-8", headers=PAGE_HEADERS
        )

    def _set_cookie(self, answer: web.Response, name: str, value: str, *, seconds: int | None = None) -> None:
        answer.set_cookie(name, value, max_age=seconds, path="/", secure=self._secure, httponly=True, samesite="Strict")

    def _drop_cookie(self, answer: web.Response, name: str) -> None:
        answer.del_cookie(name, path="/", secure=self._secure, httponly=True, samesite="Strict")


def from_our_site(request: web.Request) -> bool:
    """By what a browser says of itself. Who says nothing is no browser, and still needs the form's token."""
    said = request.headers.getall("Sec-Fetch-Site", [])
    if said:
        return len(said) == 1 and said[0].lower() in _OWN_SITE
    origins = request.headers.getall("Origin", [])
    if not origins:
        return True
    try:
        return len(origins) == 1 and urlsplit(origins[0]).netloc.lower() == request.headers.get("Host", "").lower() != ""
    except ValueError:
        return False


async def _form(request: web.Request) -> dict[str, str]:
    if request.content_type != "application/x-www-form-urlencoded":
        raise Problem(415, "unsupported_media_type", "a form is expected")
    raw = await asking.read(request, limit=FORM_LIMIT)
    try:
        return dict(parse_qsl(raw.decode("ascii"), max_num_fields=8, errors="strict"))
    except ValueError as wrong:  # also what is no UTF-8
        raise asking.bad("the form is not understood") from wrong


async def _asset(name: str, content_type: str, _: web.Request) -> web.Response:
    headers = {**PAGE_HEADERS, "Cache-Control": "public, max-age=300"}
    return web.Response(body=_content(name), content_type=content_type, charset="utf-8", headers=headers)


def _content(name: str) -> bytes:
    """Of a name in `ASSETS`: a few kilobytes of our own package."""
    return (STATIC / name).read_bytes()


def _redirect(to: str) -> web.Response:
    return web.Response(status=303, headers={**PAGE_HEADERS, "Location": to})


def _matches(incident: Incident, wanted: IncidentFilter) -> bool:
    right = not wanted.priority or incident.priority.value == wanted.priority
    return right and (not wanted.service or incident.service == wanted.service)
