"""The JSON API under /api/v1: one table of routes, each with the scope it asks for, its body and its answer.

Law: credentials first, then scope, then the body; a new route is a row here, and the tests walk the table. Reading needs `read`, changing
`operate`, telling of changes `report`. Anybody who operates may pull the kill switch; only `admin` lets go of it, as that lets everything
act again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from aiohttp import web
from pydantic import BaseModel

from receiver.core.case import HoldKind, Storm
from receiver.core.model import Naming
from receiver.core.prepared import Prepared
from receiver.core.wording import Suggestion
from receiver.ports import ChangeLog, CommandRefused, Commands, IncidentView, RightsReport, StoreUnavailable, ViewStore
from receiver.web import asking, shapes, shaping
from receiver.web.answers import Problem, model_answer, problem_answer, unavailable
from receiver.web.tokens import Caller, Scope, Tokens

ROOT = "/api/v1"
ITEM = f"/incidents/{{id:{asking.ID}}}"
CHALLENGE = 'Bearer realm="receiver"'
QUARANTINE_SHOWN = 100
CHANGES_SHOWN = 50

NextCommands = Callable[[int], Awaitable[Suggestion]]
"""Incident id → the exact command that a person may run next, and its undoing."""


Rights = Callable[[], RightsReport]
"""What the self-check of our rights found last."""


async def no_commands(_: int) -> Suggestion:
    """Where nobody was wired who knows them: the page's own text names them."""
    return Suggestion("")


PreparedNow = Callable[[int], Awaitable[Sequence[Prepared]]]
"""Incident id → the prepared commands that its rule suggests, filled in as far as is known now."""


async def nothing_prepared(_: int) -> Sequence[Prepared]:
    """Where nobody was wired who knows them."""
    return ()


async def no_storm() -> Storm:
    """Where nobody was wired who knows."""
    return Storm()


StormNow = Callable[[], Awaitable[Storm]]
"""The gate as it stands."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What API and console work with."""

    views: ViewStore
    commands: Commands
    tokens: Tokens
    changes: ChangeLog
    naming: Naming
    next_commands: NextCommands = no_commands
    rights: Rights = RightsReport
    storm: StormNow = no_storm
    locale: str = "en"
    prepared: PreparedNow = nothing_prepared


@dataclass(frozen=True, slots=True)
class Call:
    """One admitted request."""

    request: web.Request
    caller: Caller
    desk: Desk


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path."""

    method: str
    path: str
    scope: Scope
    handle: Callable[[Call], Awaitable[BaseModel]]
    summary: str
    answer: type[BaseModel]
    body: type[BaseModel] | None = None
    parameters: tuple[str, ...] = ()
    """Of the query."""
    status: int = 200


def handler(route: Route, desk: Desk) -> Callable[[web.Request], Awaitable[web.Response]]:
    """What aiohttp calls."""

    async def answer(request: web.Request) -> web.Response:
        try:
            caller = admit(request, desk.tokens, route.scope)
            return model_answer(await route.handle(Call(request, caller, desk)), status=route.status)
        except Problem as problem:
            return problem_answer(problem)
        except CommandRefused as refused:
            status, code = (404, "not_found") if refused.missing else (409, "refused")
            return problem_answer(Problem(status, code, str(refused)))
        except StoreUnavailable as down:
            return problem_answer(unavailable(str(down), changing=route.method != "GET"))

    return answer


def admit(request: web.Request, tokens: Tokens, scope: Scope) -> Caller:
    """By the bearer token alone: a cookie opens no door here."""
    caller = tokens.bearer(request.headers.getall("Authorization", ()))
    if caller is None:
        raise Problem(401, "unauthorized", "a bearer token is needed, in one Authorization header", headers={"WWW-Authenticate": CHALLENGE})
    if not caller.scope.includes(scope):
        raise Problem(403, "forbidden", f"this needs a token of scope {scope.value}; yours has {caller.scope.value}")
    return caller


# --- reading -------------------------------------------------------------------------------------------------------------


async def list_incidents(call: Call) -> shapes.Incidents:
    """Newest first."""
    wanted = asking.wanted(asking.query(call.request, INCIDENT_PARAMETERS), call.desk.naming)
    found = await call.desk.views.incidents(wanted)
    more = found[-1].id if len(found) == wanted.limit else None
    storm = shaping.storm(await call.desk.storm())
    return shapes.Incidents(incidents=[shaping.incident(each, call.desk.naming) for each in found], next_before=more, storm=storm)


async def show_incident(call: Call) -> shapes.IncidentDetail:
    """Everything about one."""
    view = await view_of(call)
    following = await call.desk.next_commands(view.rows.incident.id)
    prepared = await call.desk.prepared(view.rows.incident.id)
    return shaping.detail(view, call.desk.naming, following=following, prepared=prepared, locale=call.desk.locale)


async def show_timeline(call: Call) -> shapes.Timeline:
    """Its dated sentences."""
    return shaping.timeline(await view_of(call))


async def view_of(call: Call) -> IncidentView:
    """Of the id in the path."""
    asking.query(call.request, ())
    id_ = asking.path_id(call.request)
    view = await call.desk.views.view(id_)
    if view is None:
        raise Problem(404, "not_found", f"incident {id_} does not exist")
    return view


async def list_holds(call: Call) -> shapes.Holds:
    """Freezes and the kill switch."""
    asking.query(call.request, ())
    return shapes.Holds(holds=[shaping.hold(each) for each in await call.desk.views.holds()])


async def list_quarantine(call: Call) -> shapes.Quarantine:
    """What could not be read."""
    limit = asking.whole(asking.query(call.request, ("limit",)), "limit", least=1, most=asking.MOST, otherwise=QUARANTINE_SHOWN)
    return shapes.Quarantine(quarantine=[shaping.quarantined(each) for each in await call.desk.views.quarantine(limit=limit)])


async def show_rights(call: Call) -> shapes.Rights:
    """Of our identities on the platform."""
    asking.query(call.request, ())
    return shaping.rights(call.desk.rights())


async def whoami(call: Call) -> shapes.Whoami:
    """Needs no store: also the way to try a token."""
    asking.query(call.request, ())
    return shapes.Whoami(name=call.caller.name, scope=call.caller.scope.value)


# --- changing ------------------------------------------------------------------------------------------------------------


async def ack(call: Call) -> shapes.Incident:
    """Somebody is on it."""
    id_, _ = await _change(call, shapes.Nothing)
    return shaping.incident(await call.desk.commands.ack(id_, by=call.caller.name), call.desk.naming)


async def resolve(call: Call) -> shapes.Incident:
    """Closes it."""
    id_, body = await _change(call, shapes.ResolveBody)
    return shaping.incident(await call.desk.commands.resolve(id_, by=call.caller.name, note=body.note, leave=body.leave), call.desk.naming)


async def approve(call: Call) -> shapes.Attempt:
    """A yes to one offer."""
    id_, body = await _change(call, shapes.ApproveBody)
    caller = call.caller
    return shaping.attempt(
        await call.desk.commands.approve(id_, body.attempt, by=caller.name, roles=caller.roles, ticked=frozenset(body.ticked))
    )


async def deny(call: Call) -> shapes.Attempt:
    """A no to one offer."""
    id_, body = await _change(call, shapes.DenyBody)
    return shaping.attempt(await call.desk.commands.deny(id_, body.attempt, by=call.caller.name, reason=body.reason))


async def did(call: Call) -> shapes.Standing:
    """A prepared command was run by hand."""
    id_, body = await _change(call, shapes.DidBody)
    return shaping.standing(await call.desk.commands.did(id_, body.name, by=call.caller.name, note=body.note))


async def undid(call: Call) -> shapes.Standing:
    """It was taken back by hand."""
    id_, body = await _change(call, shapes.ByHandBody)
    return shaping.standing(await call.desk.commands.undid(id_, body.name, by=call.caller.name))


async def note(call: Call) -> shapes.Done:
    """A sentence."""
    id_, body = await _change(call, shapes.NoteBody)
    await call.desk.commands.note(id_, by=call.caller.name, text=body.text)
    return shapes.Done()


async def _change(call: Call, model: type[asking.M]) -> tuple[int, asking.M]:
    asking.query(call.request, ())
    return asking.path_id(call.request), await asking.body(call.request, model)


async def list_changes(call: Call) -> shapes.Changes:
    """Newest first."""
    given = asking.query(call.request, ("service", "limit"))
    limit = asking.whole(given, "limit", least=1, most=asking.MOST, otherwise=CHANGES_SHOWN)
    return shapes.Changes(changes=[shaping.change(each) for each in await call.desk.changes.told(given.get("service", ""), limit=limit)])


async def tell_change(call: Call) -> shapes.ToldChange:
    """Somebody changed something."""
    asking.query(call.request, ())
    body = await asking.body(call.request, shapes.ChangeBody)
    subject, log = body.service or body.target or "", call.desk.changes
    told = await log.tell(subject=subject, what=body.what, who=body.who, at=body.at, link=body.link, by=call.caller.name)
    return shapes.ToldChange(**shaping.change(told).model_dump(), warning=log.doubt(subject))


async def freeze(call: Call) -> shapes.Frozen:
    """Holds actions."""
    asking.query(call.request, ())
    body = await asking.body(call.request, shapes.FreezeBody)
    made = await call.desk.commands.freeze(scope=body.scope, reason=body.reason, by=call.caller.name, until=body.until)
    return shaping.frozen(made, await call.desk.commands.doubt(body.scope))


async def thaw(call: Call) -> shapes.Done:
    """Lets them act again."""
    asking.query(call.request, ())
    id_ = asking.path_id(call.request)
    held = next((each for each in await call.desk.views.holds() if each.id == id_), None)
    if held is not None and held.kind is HoldKind.kill_switch and not call.caller.scope.includes(Scope.admin):
        raise Problem(403, "forbidden", "the kill switch is let go by a token of scope admin only")
    await call.desk.commands.thaw(id_, by=call.caller.name)
    return shapes.Done()


INCIDENT_PARAMETERS = ("open", "priority", "service", "limit", "before")

ROUTES: tuple[Route, ...] = (
    Route("GET", "/incidents", Scope.read, list_incidents, "List incidents", shapes.Incidents, parameters=INCIDENT_PARAMETERS),
    Route("GET", ITEM, Scope.read, show_incident, "Show an incident", shapes.IncidentDetail),
    Route("GET", f"{ITEM}/timeline", Scope.read, show_timeline, "Show an incident's timeline", shapes.Timeline),
    Route("POST", f"{ITEM}/ack", Scope.operate, ack, "Acknowledge: nothing new is started", shapes.Incident, body=shapes.Nothing),
    Route("POST", f"{ITEM}/resolve", Scope.operate, resolve, "Close", shapes.Incident, body=shapes.ResolveBody),
    Route("POST", f"{ITEM}/approve", Scope.operate, approve, "Approve what is asked for", shapes.Attempt, body=shapes.ApproveBody),
    Route("POST", f"{ITEM}/deny", Scope.operate, deny, "Deny what is asked for", shapes.Attempt, body=shapes.DenyBody),
    Route("POST", f"{ITEM}/did", Scope.operate, did, "Say that a prepared command was run", shapes.Standing, body=shapes.DidBody),
    Route("POST", f"{ITEM}/undid", Scope.operate, undid, "Say that it was taken back", shapes.Standing, body=shapes.ByHandBody),
    Route("POST", f"{ITEM}/note", Scope.operate, note, "Add a note to the timeline", shapes.Done, body=shapes.NoteBody),
    Route("GET", "/holds", Scope.read, list_holds, "List freezes", shapes.Holds),
    Route("POST", "/holds", Scope.operate, freeze, "Freeze a scope, or everything", shapes.Frozen, body=shapes.FreezeBody, status=201),
    Route("DELETE", f"/holds/{{id:{asking.ID}}}", Scope.operate, thaw, "Thaw; the kill switch needs admin", shapes.Done),
    Route("GET", "/changes", Scope.read, list_changes, "List changes that were told", shapes.Changes, parameters=("service", "limit")),
    Route("POST", "/changes", Scope.report, tell_change, "Tell of a change", shapes.ToldChange, body=shapes.ChangeBody, status=201),
    Route("GET", "/quarantine", Scope.read, list_quarantine, "List what could not be read", shapes.Quarantine, parameters=("limit",)),
    Route("GET", "/rights", Scope.read, show_rights, "Show which rights are missing or too many", shapes.Rights),
    Route("GET", "/whoami", Scope.read, whoami, "Show name and scope of the token", shapes.Whoami),
)
