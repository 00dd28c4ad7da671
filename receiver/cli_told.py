"""What the commands of `cli_client` print: incidents, alerts, attempts and timelines as lines for a terminal.

Law: what came over the API reaches the terminal without its control characters, each text cut. Called by `cli_client` and `cli_deciding`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from receiver.core.dedup import plain

LINE = 110
"""Columns of the longest text in a table."""
ALERTS = 50
"""Of one incident that are shown; `--output json` has all."""
LABELS = 16
"""Labels of an alert that are shown, and annotations."""


def incident_row(incident: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        cell(incident["priority"]),
        str(incident["id"]),
        moment(incident["accepted_at"]),
        state_of(incident),
        cell(incident["title"], limit=60),
        place(incident["target"]) or cell(incident["service"]),
    )


def state_of(incident: Mapping[str, Any]) -> str:
    if not incident["open"]:
        return f"closed by {cell(incident['closed_by'])}" if incident["closed_by"] else "closed"
    return f"acknowledged by {cell(incident['acked_by'])}" if incident["acked_at"] else "open"


def told_incident(found: Mapping[str, Any], line: Mapping[str, Any]) -> list[str]:
    incident = found["incident"]
    told = [
        f"{cell(incident['priority'])}  #{incident['id']}  {cell(incident['title'])}",
        f"    state     {state_of(incident)}, since {moment(incident['accepted_at'])}",
        f"    target    {_target(incident['target']) or 'not resolved yet'}",
        f"    priority  impact {incident['impact']} x urgency {incident['urgency']}, rule {cell(incident['rule'])}",
    ]
    if found["next_due"]:
        told.append(f"    next      looked at again at {moment(found['next_due'])}")
    told += _section("what it means", [cell(each, limit=500) for each in found["advice"]])
    told += _section("next commands", [_whole(each) for each in found["next_commands"]])
    told += [f"    takes it back: {_whole(each)}" for each in found["next_reverse"]]
    told += _section("to be taken back", [line for each in found["standing"] for line in _standing(incident["id"], each)])
    told += _section("prepared", [line for each in found["prepared"] for line in _prepared(each)])
    told += _section("alerts", [line for each in found["alerts"][:ALERTS] for line in _alert(each)])
    told += _section("actions", [each for attempt in found["attempts"] for each in _attempt(incident["id"], attempt)])
    told += _section("refused", [f"{cell(each['action'])}, {each['because']}: {cell(each['detail'])}" for each in found["refusals"]])
    told += _section("evidence", [line for each in found["evidence"] for line in _evidence(each)])
    told += _section("pages", [f"{each['destination']}  {each['kind']}  {each['state']}" for each in found["pages"]])
    told += _section("timeline", _timeline(line["entries"]))
    told.append(f"    {'chain intact' if line['chain_intact'] else 'THE TIMELINE WAS CHANGED AFTER IT WAS WRITTEN'}")
    return told


def _section(title: str, rows: Sequence[str]) -> list[str]:
    return ["", f"    {title}", *(f"      {each}" for each in rows)] if rows else []


def _evidence(piece: Mapping[str, Any]) -> list[str]:
    if piece["missing"]:
        return [f"{cell(piece['title'], limit=60)}: not collected: {cell(piece['missing'], limit=300)}"]
    return [f"{cell(piece['title'], limit=60)}:", *(f"  {cell(each, limit=320)}" for each in piece["lines"])]


def _alert(alert: Mapping[str, Any]) -> list[str]:
    head = f"{'firing' if alert['firing'] else 'ended '}  {cell(alert['name'])}  since {moment(alert['starts_at'])}"
    labels = [f"{cell(name, limit=60)}={cell(value, limit=80)}" for name, value in sorted(alert["labels"].items()) if name != "alertname"]
    texts = [f"    {cell(name, limit=60)}: {cell(value, limit=300)}" for name, value in sorted(alert["annotations"].items())[:LABELS]]
    return [head, *(f"    {each}" for each in labels[:LABELS]), *texts]


def _attempt(incident: int, attempt: Mapping[str, Any]) -> list[str]:
    before, after = attempt["before"], attempt["after"]
    verdict = f", {attempt['verdict']}" if attempt["verdict"] else ""
    lines = [f"{moment(attempt['started_at'])}  {cell(attempt['action'])}  {cell(attempt['wanted'])}: {attempt['state']}{verdict}"]
    if attempt["ask"]:
        until = moment(attempt["ask"]["until"])
        lines.append(f"    ASKS FOR YOUR YES until {until}: receiver approve {incident}, or: receiver deny {incident}")
    if detail := cell(attempt["verdict_detail"] or attempt["detail"], limit=256):
        lines.append(f"    {detail}")
    if after is not None and not _of_node(attempt["target"]):
        lines.append(f"    available {before['available']}/{before['replicas']} -> {after['available']}/{after['replicas']}")
        if before["revision"] != after["revision"]:
            lines.append(f"    revision {cell(before['revision'])} -> {cell(after['revision'])}")
    return lines


def _prepared(prepared: Mapping[str, Any]) -> list[str]:
    lines = [f"{cell(prepared['name'])}: {cell(prepared['title'])}"]
    lines += [f"    $ {_whole(each)}" for each in prepared["commands"]]
    lines += [f"    back: {_whole(each)}" for each in prepared["reverse"]]
    lines += [f"    back: {cell(prepared['no_reverse'], limit=300)}"] if prepared["no_reverse"] else []
    return lines + [f"    {cell(each, limit=300)}" for each in prepared["notes"]]


def _standing(incident: int, standing: Mapping[str, Any]) -> list[str]:
    """Those that are not taken back yet."""
    if not standing["open"]:
        return []
    name = cell(standing["name"])
    lines = [f"{name}: {cell(standing['title'])}, done by {cell(standing['done_by'])} at {moment(standing['done_at'])}"]
    lines += [f"    $ {_whole(each)}" for each in standing["reverse"]]
    return [*lines, f"    then: receiver undid {incident} {name}"]


def _whole(command: str) -> str:
    """Never cut, never respaced: half a command is another command."""
    return command if command.isprintable() else "(not shown: it holds characters that cannot be printed; see --output json)"


def _timeline(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line a sentence, hung on a stem; what people did is marked."""
    lines = []
    for at, entry in enumerate(entries):
        own = entry["actor"] == "receiver"
        stem = "└" if at == len(entries) - 1 else "├"
        who = "" if own else f"  ({cell(entry['actor'])})"
        lines.append(f"{moment(entry['at'])} {stem}{'─' if own else '●'} {cell(entry['text'], limit=2000)}{who}")
    return lines


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, none: str) -> None:
    if not rows:
        click.echo(none)
        return
    widths = [max(len(row[at]) for row in (heads, *rows)) for at in range(len(heads))]
    for row in (heads, *rows):
        click.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def cell(text: object, *, limit: int = LINE) -> str:
    """Nothing that moves the cursor, hides or turns text around."""
    return plain(str(text), limit=limit)


def place(target: str) -> str:
    """For a sentence: a node by its name, since its key has a hole where a namespace would stand."""
    return cell(f"Node {target.rpartition('/')[2]}" if _of_node(target) else target)


def _target(key: str) -> str:
    """With the key that `receiver freeze target:KEY` takes."""
    return f"{place(key)} ({cell(key)})" if _of_node(key) else cell(key)


def _of_node(target: str) -> bool:
    return "//Node/" in target


def moment(given: str) -> str:
    """Of RFC 3339, in UTC to the second."""
    try:
        return datetime.fromisoformat(given).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (ValueError, OverflowError):
        return cell(given)


def held_until(hold: Mapping[str, Any]) -> str:
    return f"until {moment(hold['until'])}" if hold["until"] else "until thawed"
