"""The commands that talk to a running receiver: `incidents show ack note freeze thaw`, over its API and nothing else.

Law: one request has one time limit; what cannot be done is one line on stderr and an exit code (1 found wanting, 2 usage, 78 no usable
address or token), never a traceback; what comes back reaches the terminal without its control characters. `cli.py` calls `register`.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import wraps
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import click

from receiver.cli_asked import HOLD, INCIDENT, NOTE
from receiver.cli_told import cell, held_until, incident_row, moment, state_of, table, told_incident
from receiver.clock import SystemClock
from receiver.core.dedup import plain
from receiver.secret import Secret

Resolver = Callable[[Path | None], tuple[str, Path | None]]
"""Configuration file → address of the API and the file of a token for it, for what the command line does not say."""

SECONDS = 15.0
CONNECT_SECONDS = 5.0
ANSWER_BYTES = 64 << 20
MESSAGE_LIMIT = 2000
"""As the API cuts it."""

_DURATION = re.compile(r"([0-9]{1,6})(s|m|h|d)", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Failed(click.ClickException):
    """One line on stderr; exit code 1."""


class Misconfigured(Failed):
    """No usable address or token."""

    exit_code = 78


class ApiClient:
    """`/api/v1` of one receiver. Every failure is `Failed`."""

    def __init__(self, url: str, token: Secret) -> None:
        self._base = f"{_address(url)}/api/v1"
        self._token = token

    async def ask(self, method: str, path: str, *, query: Mapping[str, object] | None = None, body: object = None) -> dict[str, Any]:
        """The JSON object that it answers."""
        import aiohttp  # 0.2 s that `--help` need not wait for

        url = f"{self._base}{path}" + (f"?{urlencode(query)}" if query else "")
        limit = aiohttp.ClientTimeout(total=SECONDS, sock_connect=CONNECT_SECONDS)
        headers = {"Authorization": f"Bearer {self._token.reveal()}"}
        try:
            async with (
                aiohttp.ClientSession(timeout=limit, trust_env=False) as session,
                session.request(method, url, headers=headers, json=body, allow_redirects=False) as answer,
            ):
                return _read(answer.status, await _bounded(answer.content), self._base)
        except TimeoutError as slow:
            raise Failed(f"{self._base} does not answer within {SECONDS:g} s") from slow
        except aiohttp.ClientError as broken:
            raise Failed(f"{self._base} cannot be reached ({type(broken).__name__}); is the receiver running there? see --url") from broken


async def _bounded(content: Any) -> bytes:  # aiohttp's StreamReader, imported late
    raw = bytearray()
    async for chunk in content.iter_chunked(1 << 16):
        raw += chunk
        if len(raw) > ANSWER_BYTES:
            raise Failed(f"the answer has more than {ANSWER_BYTES} bytes; ask for less with --limit")
    return bytes(raw)


def _read(status: int, raw: bytes, base: str) -> dict[str, Any]:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        value = None
    if 200 <= status < 300 and isinstance(value, dict):
        return value
    told = plain(_told(value), limit=MESSAGE_LIMIT)
    match status:
        case 401:
            raise Misconfigured("the receiver does not know this token; see --token-file")
        case 400 | 403 | 404 | 409 | 503 if told:
            raise Failed(told)
    raise Failed(f"{base} answered {status}{f': {told}' if told else ', which is no answer of a receiver'}")


def _told(value: object) -> str:
    """The message of an error, whoever worded it."""
    error = value.get("error") if isinstance(value, dict) else None
    if isinstance(error, dict):
        error = error.get("message")
    return error if isinstance(error, str) else ""


def _address(url: str) -> str:
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        sound = False
    if not sound:
        raise Misconfigured(f"{url[:200]!r} is not an address of a receiver; give --url as http://host:port")
    return url.rstrip("/")


# --- what each command has -----------------------------------------------------------------------------------------------

Ask = Callable[..., dict[str, Any]]


def command_options(resolver: Resolver) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """--output, --url, --token-file, --config; the command gets `ask` and `output`."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
        @click.option("--url", help="Of the receiver, as http://127.0.0.1:8080; else from the configuration.")
        @click.option("--token-file", type=click.Path(path_type=Path, dir_okay=False), help="Holds the API token.")
        @click.option("--config", type=click.Path(path_type=Path, dir_okay=False), help="Configuration that names both.")
        @wraps(command)
        def run(*, url: str | None, token_file: Path | None, config: Path | None, **rest: Any) -> None:
            client = _client(resolver, url=url, token_file=token_file, config=config)

            def ask(method: str, path: str, **more: Any) -> dict[str, Any]:
                return asyncio.run(client.ask(method, path, **more))

            command(ask=ask, **rest)

        return run

    return decorate


def _client(resolver: Resolver, *, url: str | None, token_file: Path | None, config: Path | None) -> ApiClient:
    if url is None or token_file is None:
        default_url, default_file = resolver(config)
        url, token_file = url or default_url, token_file or default_file
    if token_file is None:
        raise Misconfigured("no API token: give --token-file, or api.tokens with a token_file in the configuration")
    try:
        return ApiClient(url, Secret(token_file.read_bytes().strip()))
    except OSError as error:
        raise Misconfigured(f"{token_file}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise Misconfigured(f"{token_file}: {error}") from error


def show_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2))


# --- the commands --------------------------------------------------------------------------------------------------------


def register(group: click.Group, resolver: Resolver) -> None:
    """Adds them to `group`."""
    options = command_options(resolver)
    for command in (incidents, show, ack, note, freeze, thaw):
        name = command.__name__
        made: Callable[..., None] = options(command)
        for parameter in reversed(PARAMETERS[name]):
            made = parameter(made)
        group.command(name=name, help=command.__doc__)(made)


_ID = click.argument("incident_id", type=INCIDENT, metavar="ID")
PARAMETERS: Mapping[str, Sequence[Callable[[Any], Any]]] = {
    "incidents": (
        click.option("--all", "everything", is_flag=True, help="Closed ones too."),
        click.option("--closed", is_flag=True, help="Closed ones only."),
        click.option("--priority", help="Only this one, as P1."),
        click.option("--service", help="Only of this service."),
        click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True),
        click.option("--before", type=click.IntRange(min=1), help="Only with a lower id: the next page."),
    ),
    "show": (_ID,),
    "ack": (_ID,),
    "note": (_ID, click.argument("text", type=NOTE)),
    "freeze": (
        click.argument("scope", default=""),
        click.option("--reason", default="by hand", show_default=True, help="For those who wonder later."),
        click.option("--for", "lasting", metavar="DURATION", help="As 30m, 2h, 1d; without it until thawed."),
        click.option("--list", "listed", is_flag=True, help="Show what is frozen, change nothing."),
    ),
    "thaw": (click.argument("hold_id", type=HOLD, metavar="ID"),),
}


def incidents(
    *,
    ask: Ask,
    output: str,
    everything: bool,
    closed: bool,
    priority: str | None,
    service: str | None,
    limit: int,
    before: int | None,
) -> None:
    """Open incidents, newest first."""
    if everything and closed:
        raise click.UsageError("--all and --closed exclude each other")
    state = None if everything else str(not closed).lower()
    asked = {"open": state, "priority": priority, "service": service, "limit": limit, "before": before}
    answer = ask("GET", "/incidents", query={name: value for name, value in asked.items() if value is not None})
    if output == "json":
        show_json(answer)
        return
    if storm := answer["storm"]:
        since = f" since {moment(storm['since'])}" if storm["since"] else ""
        click.echo(f"STORM{since} ({cell(storm['detail'])}): nothing acts, and all but the first P1s share one page")
    rows = [incident_row(each) for each in answer["incidents"]]
    table(("", "ID", "SINCE", "STATE", "TITLE", "TARGET"), rows, none="no incidents")
    if answer["next_before"] is not None:
        click.echo(f"more: --before {answer['next_before']}")


def show(*, ask: Ask, output: str, incident_id: int) -> None:
    """Everything about one incident, with its timeline."""
    found = ask("GET", f"/incidents/{incident_id}")
    line = ask("GET", f"/incidents/{incident_id}/timeline")
    if output == "json":
        show_json({**found, "timeline": line["entries"]})
        return
    for each in told_incident(found, line):
        click.echo(each)


def ack(*, ask: Ask, output: str, incident_id: int) -> None:
    """Take an incident: nothing new is started for it."""
    show_state(ask("POST", f"/incidents/{incident_id}/ack", body={}), output)


def note(*, ask: Ask, output: str, incident_id: int, text: str) -> None:
    """Add a sentence to an incident's timeline."""
    done = ask("POST", f"/incidents/{incident_id}/note", body={"text": text})
    if output == "json":
        show_json(done)
    else:
        click.echo(f"noted on incident {incident_id}")


def freeze(*, ask: Ask, output: str, scope: str, reason: str, lasting: str | None, listed: bool) -> None:
    """Hold the actions of SCOPE (namespace:NAME, service:NAME, rule:NAME, target:KEY); without one, hold everything: the kill switch."""
    if listed:
        _list_holds(ask("GET", "/holds"), output)
        return
    until = (SystemClock().now() + _duration(lasting)).isoformat() if lasting else None
    held = ask("POST", "/holds", body={"scope": scope, "reason": reason, "until": until})
    if output == "json":
        show_json(held)
        return
    what = f"frozen: {cell(held['scope'])}" if held["scope"] else "kill switch on: nothing acts anywhere"
    click.echo(f"{what}, {held_until(held)}; take it back with: receiver thaw {held['id']}")
    if held["warning"]:
        click.echo(f"warning: {cell(held['warning'], limit=300)}")


def thaw(*, ask: Ask, output: str, hold_id: int) -> None:
    """End a freeze or the kill switch (admin); `freeze --list` shows the IDs."""
    done = ask("DELETE", f"/holds/{hold_id}")
    if output == "json":
        show_json(done)
    else:
        click.echo(f"thawed {hold_id}")


def _list_holds(answer: dict[str, Any], output: str) -> None:
    if output == "json":
        show_json(answer)
        return
    rows = [
        (
            str(each["id"]),
            cell(each["scope"]) or "EVERYTHING",
            moment(each["since"]),
            held_until(each),
            cell(each["by"]),
            cell(each["reason"]),
        )
        for each in answer["holds"]
    ]
    table(("ID", "SCOPE", "SINCE", "UNTIL", "BY", "REASON"), rows, none="nothing is frozen")


def show_state(incident: dict[str, Any], output: str) -> None:
    if output == "json":
        show_json(incident)
    else:
        click.echo(f"incident {incident['id']}: {state_of(incident)}")


def _duration(text: str) -> timedelta:
    if (found := _DURATION.fullmatch(text)) is None:
        raise click.BadParameter(f"{text[:40]!r} is not a duration; write 30m, 2h or 1d", param_hint="--for")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})
