"""`receiver approve | deny | resolve | did | undid`: what a person decides or did about an incident, over the API of a running receiver.

Law: a yes names what was seen. Without `--attempt` the one thing that is asked for is shown and has to be confirmed; its id goes with the
yes, so that another plan made meanwhile is not approved by accident.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from receiver.cli_asked import INCIDENT
from receiver.cli_client import Ask, Failed, Resolver, command_options, show_json, show_state
from receiver.cli_told import cell, moment, place

_ID = click.argument("incident_id", type=INCIDENT, metavar="ID")
_ATTEMPT = click.option("--attempt", help="Which offer, where the incident asks for several; `receiver show ID` names them.")
PARAMETERS: Mapping[str, Sequence[Callable[[Any], Any]]] = {
    "approve": (
        _ID,
        _ATTEMPT,
        click.option("--tick", "ticked", multiple=True, metavar="NAME", help="A precondition that you have checked; once for each."),
        click.option("--yes", is_flag=True, help="Do not ask again."),
    ),
    "resolve": (
        _ID,
        click.option("--note", "text", default="", help="Why, for the timeline."),
        click.option("--leave", is_flag=True, help="Take over a temporary change of ours that still stands."),
    ),
    "did": (
        _ID,
        click.argument("name"),
        click.option("--note", "text", default="", help="For the timeline; needed where it has gaps: what you put there."),
    ),
    "undid": (_ID, click.argument("name")),
    "deny": (_ID, _ATTEMPT, click.option("--reason", default="", help="Why, for the timeline.")),
}


def register(group: click.Group, resolver: Resolver) -> None:
    """Adds them to `group`."""
    options = command_options(resolver)
    for command in (approve, deny, resolve, did, undid):
        made: Callable[..., None] = options(command)
        for parameter in reversed(PARAMETERS[command.__name__]):
            made = parameter(made)
        group.command(name=command.__name__, help=command.__doc__)(made)


def approve(*, ask: Ask, output: str, incident_id: int, attempt: str | None, ticked: tuple[str, ...], yes: bool) -> None:
    """Say yes to the action that an incident asks for."""
    found = ask("GET", f"/incidents/{incident_id}")
    offer = _offer(found, attempt)
    if not yes and output == "text":
        for line in _told(offer, found["facts"]):
            click.echo(line)
        click.confirm("Run it?", abort=True)
    done = ask("POST", f"/incidents/{incident_id}/approve", body={"attempt": offer["id"], "ticked": list(ticked)})
    _show(done, output, f"approved {cell(offer['id'])}: it runs when a fresh look and every bound still allow it")


def deny(*, ask: Ask, output: str, incident_id: int, attempt: str | None, reason: str) -> None:
    """Say no to the action that an incident asks for; it does not ask again."""
    offer = _offer(ask("GET", f"/incidents/{incident_id}"), attempt)
    done = ask("POST", f"/incidents/{incident_id}/deny", body={"attempt": offer["id"], "reason": reason})
    _show(done, output, f"denied {cell(offer['id'])}: {cell(offer['action'])} is not asked for again in incident {incident_id}")


def resolve(*, ask: Ask, output: str, incident_id: int, text: str, leave: bool) -> None:
    """Close an incident, whatever its alerts say."""
    show_state(ask("POST", f"/incidents/{incident_id}/resolve", body={"note": text, "leave": leave}), output)


def did(*, ask: Ask, output: str, incident_id: int, name: str, text: str) -> None:
    """Say that you ran a prepared command; with a reverse it keeps the incident open until `undid`."""
    done = ask("POST", f"/incidents/{incident_id}/did", body={"name": name, "note": text})
    stands = f"; it stays open until: receiver undid {incident_id} {cell(done['name'])}" if done["open"] else ""
    _show(done, output, f"noted: {cell(done['name'])} was done in incident {incident_id}{stands}")


def undid(*, ask: Ask, output: str, incident_id: int, name: str) -> None:
    """Say that you took a prepared command back."""
    done = ask("POST", f"/incidents/{incident_id}/undid", body={"name": name})
    _show(done, output, f"noted: {cell(done['name'])} was taken back in incident {incident_id}")


def _offer(incident: Mapping[str, Any], attempt: str | None) -> Mapping[str, Any]:
    """The one that is meant; Failed where there is none, or more than one."""
    incident_id = incident["incident"]["id"]
    found = [each for each in incident["attempts"] if each["ask"]]
    meant = [each for each in found if attempt is None or each["id"] == attempt]
    if len(meant) == 1:
        offer: Mapping[str, Any] = meant[0]
        return offer
    names = ", ".join(cell(each["id"]) for each in found) or "nothing"
    if not meant:
        raise Failed(f"incident {incident_id} does not ask for {attempt or 'anything'}; it waits for: {names}")
    raise Failed(f"incident {incident_id} asks for several things; give --attempt, one of: {names}")


def _told(offer: Mapping[str, Any], facts: Mapping[str, Any] | None) -> list[str]:
    asked = offer["ask"]
    lines = [
        f"{cell(offer['action'])} on {place(offer['target'])}: {cell(offer['wanted'])}",
        f"    object    uid {cell(offer['uid'])}" + (f", generation {offer['generation']}" if offer["generation"] else ""),
        *(f"    change    {cell(each, limit=300)}" for each in _differences(offer, facts)),
        f"    offer     {cell(offer['id'])}, until {moment(asked['until'])}",
    ]
    if asked["role"]:
        lines.append(f"    role      {cell(asked['role'])}")
    for each in asked["preconditions"]:
        known = each["age_seconds"]
        age = "age unknown" if known is None else f"{known / 3600:.1f} h old" if known >= 3600 else f"{known / 60:.0f} min old"
        lines.append(f"    check     {cell(each['name'])}: {cell(each['text'])} ({age}); --tick {cell(each['name'])}")
    return lines


def _differences(offer: Mapping[str, Any], facts: Mapping[str, Any] | None) -> Sequence[str]:
    """Of the undo that is asked for, as the newest look saw them; none where that look would undo to another revision."""
    undo = ((facts or {}).get("workload") or {}).get("undo") or {}
    found: Sequence[str] = undo.get("differences", ())
    return found if offer["wanted"].endswith(f"-> {undo.get('revision')}") else ()


def _show(done: dict[str, Any], output: str, text: str) -> None:
    if output == "json":
        show_json(done)
    else:
        click.echo(text)
