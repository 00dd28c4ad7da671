"""The commands against a running server: what they print, what they change, and how they end."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from click.testing import CliRunner, Result

from receiver import cli_deciding
from receiver.cli_client import Misconfigured, register
from receiver.core.case import Storm
from receiver.ports import Change, Entry
from receiver.web.answers import Problem, problem_answer
from tests.fakes.clock import START
from tests.unit.web.conftest import TOKENS, Site

COMMANDS = ("incidents", "show 5", "ack 8", "resolve 8", "note 8 hm", "freeze", "freeze --list", "thaw 1")


@dataclass
class Terminal:
    """A person with a token."""

    url: str
    token_file: Path

    async def type(self, line: str, *, url: str | None = None, token_file: Path | None = None) -> Result:
        """In a thread: the command has a loop of its own."""
        group = click.Group("receiver")
        for each in (register, cli_deciding.register):
            each(group, lambda _: (url or self.url, token_file or self.token_file))
        return await asyncio.to_thread(CliRunner().invoke, group, line.split(" "), catch_exceptions=False)

    async def json(self, line: str) -> Any:
        """What `--output json` prints."""
        result = await self.type(f"{line} --output json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)


@pytest.fixture
def scope() -> str:
    return "operate"


@pytest.fixture
def terminal(site: Site, tmp_path: Path, scope: str) -> Terminal:
    file = tmp_path / "token"
    file.write_text(f"{TOKENS[scope]}\n")
    return Terminal(str(site.client.make_url("/")), file)


async def test_incidents_lists_what_is_open(terminal: Terminal, site: Site) -> None:
    result = await terminal.type("incidents")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert len(lines) == 8
    assert "acknowledged by camille" in next(each for each in lines if "orders-db" in each)


@pytest.mark.parametrize(
    "options,count",
    [("", 7), ("--all", 9), ("--closed", 2), ("--priority P1", 2), ("--service cart", 1), ("--limit 3", 3), ("--before 4", 1)],
)
async def test_incidents_can_be_narrowed(terminal: Terminal, options: str, count: int) -> None:
    assert len((await terminal.json(f"incidents {options}".strip()))["incidents"]) == count


async def test_an_empty_list_says_so(terminal: Terminal) -> None:
    assert (await terminal.type("incidents --service nope")).stdout == "no incidents\n"


async def test_a_full_page_says_how_to_go_on(terminal: Terminal) -> None:
    assert "more: --before 8" in (await terminal.type("incidents --limit 2")).stdout


async def test_show_prints_the_proof_and_the_timeline(terminal: Terminal, site: Site) -> None:
    told = (await terminal.type(f"show {site.ids.refused}")).stdout
    for each in ("P2  #5", "available 1/3 -> 1/3", "not_known_good", "--to-revision=6", "├─", "└─ appelle une personne", "chain intact"):
        assert each in told


async def test_what_is_next_and_what_takes_it_back_stand_apart(terminal: Terminal, site: Site) -> None:
    told = (await terminal.type(f"show {site.ids.refused}")).stdout.splitlines()
    at = next(n for n, each in enumerate(told) if each.endswith("--to-revision=6"))
    assert told[at - 1] == "    next commands"
    assert told[at + 1].startswith("    takes it back: kubectl")


async def test_a_long_refusal_is_told_to_its_end(terminal: Terminal) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return problem_answer(Problem(409, "refused", f"{'it stands and ' * 120}leave it with --leave"))

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", refuse)
    async with TestServer(app) as server:
        result = await terminal.type("resolve 8", url=str(server.make_url("/")))
    assert result.stderr.endswith("leave it with --leave\n")


async def test_show_as_json_holds_the_timeline(terminal: Terminal, site: Site) -> None:
    found = await terminal.json(f"show {site.ids.database}")
    assert found["timeline"][-1]["actor"] == "camille"


async def test_ack_note_and_resolve_are_done_and_told(terminal: Terminal, site: Site) -> None:
    assert (await terminal.type(f"ack {site.ids.fresh}")).stdout == f"incident {site.ids.fresh}: acknowledged by operate\n"
    assert (await terminal.type(f"note {site.ids.fresh} hm")).stdout == f"noted on incident {site.ids.fresh}\n"
    assert (await terminal.type(f"resolve {site.ids.fresh} --note fixed")).stdout == f"incident {site.ids.fresh}: closed by operate\n"
    entries = (await terminal.json(f"show {site.ids.fresh}"))["timeline"]
    assert [each["because"] for each in entries[-3:]] == ["acknowledged", "note", "closed_by_person"]


async def test_show_prints_prepared_commands_whole_with_their_way_back(terminal: Terminal, site: Site) -> None:
    told = (await terminal.type(f"show {site.ids.fresh}")).stdout
    (found,) = [each for each in (await terminal.json(f"show {site.ids.fresh}"))["prepared"] if each["name"] == "read_only"]
    for line in (*found["commands"], *found["reverse"]):
        assert len(line) > 80
        assert line in told
    assert "read_only: Read-only mode by ConfigMap" in told
    assert "<<<QUEUE: not in the catalogue, set services.checkout.values.queue>>>" in told
    assert "back: none: purged messages are gone" in told
    assert "to be taken back" not in told


async def test_what_was_done_is_shown_until_it_is_taken_back(terminal: Terminal, site: Site) -> None:
    id_ = site.ids.fresh
    done = await terminal.type(f"did {id_} read_only")
    assert done.stdout == f"noted: read_only was done in incident {id_}; it stays open until: receiver undid {id_} read_only\n"
    told = (await terminal.type(f"show {id_}")).stdout
    assert "read_only: title, done by operate at 2026-" in told
    assert f"then: receiver undid {id_} read_only" in told
    back = await terminal.type(f"undid {id_} read_only")
    assert back.stdout == f"noted: read_only was taken back in incident {id_}\n"
    assert "then: receiver undid" not in (await terminal.type(f"show {id_}")).stdout


async def test_what_filled_the_gaps_goes_with_what_was_done(terminal: Terminal, site: Site) -> None:
    assert (await terminal.type(f"did {site.ids.fresh} purge_queue --note QUEUE=mail")).exit_code == 0
    assert "ran purge_queue; note: QUEUE=mail" in (await terminal.type(f"show {site.ids.fresh}")).stdout


async def test_of_an_unknown_command_or_one_that_was_not_done_nothing_is_noted(terminal: Terminal, site: Site) -> None:
    for line in ("did {} reboot", "undid {} read_only"):
        result = await terminal.type(line.format(site.ids.fresh))
        assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
    assert (await terminal.json(f"show {site.ids.fresh}"))["standing"] == []


async def test_freeze_lists_what_it_froze_and_thaw_takes_it_back(terminal: Terminal) -> None:
    frozen = await terminal.type("freeze service:cart --reason rollout --for 300d")
    assert "frozen: service:cart, until 2" in frozen.stdout
    assert "rollout" in (await terminal.type("freeze --list")).stdout
    held = (await terminal.json("freeze --list"))["holds"][-1]
    assert (await terminal.type(f"thaw {held['id']}")).stdout == f"thawed {held['id']}\n"
    assert "service:cart" not in (await terminal.type("freeze --list")).stdout


@pytest.mark.parametrize("scope", ["admin"])
async def test_freeze_without_a_scope_is_the_kill_switch(terminal: Terminal, site: Site) -> None:
    assert "kill switch on" in (await terminal.type("freeze")).stdout
    assert await site.store.kill_switch_on()
    held = (await terminal.json("freeze --list"))["holds"][-1]
    await terminal.type(f"thaw {held['id']}")
    assert not await site.store.kill_switch_on()


@pytest.mark.parametrize(
    "line,code",
    [
        ("show 123456", 1),
        ("note 1 closed", 1),
        ("thaw 77", 1),
        ("incidents --priority P9", 1),
        ("show", 2),
        ("show x", 2),
        ("show 0", 2),
        ("incidents --limit 0", 2),
        ("incidents --all --closed", 2),
        ("freeze service:x --for soon", 2),
        ("incidents --output xml", 2),
        ("incidents --url ftp://x", 78),
        ("incidents --url http://[", 78),
        ("incidents --token-file /nonexistent/token", 78),
    ],
)
async def test_what_cannot_be_done_ends_with_its_code_and_one_line(terminal: Terminal, line: str, code: int) -> None:
    result = await terminal.type(line)
    assert result.exit_code == code, result.output
    assert result.stderr
    assert "Traceback" not in result.stderr
    if code != 2:  # click adds how the command is used
        assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "line,said",
    [
        *((f"{verb} abc", "'abc' is not the number of an incident, as 7; `receiver incidents`") for verb in ("show", "ack", "resolve")),
        ("show 0", "'0' is not the number of an incident"),
        ("show \u0667", "is not the number of an incident"),
        (f"show {'9' * 19}", "is not the number of an incident"),
        ("thaw x", "'x' is not the number of a freeze, as 7; `receiver freeze --list`"),
        ("note 8 ", "is empty; write what you saw"),
        (f"note 8 {'n' * 4097}", "has 4097 characters; a note holds 4096"),
    ],
)
async def test_what_is_typed_wrong_is_answered_with_what_to_type(terminal: Terminal, line: str, said: str) -> None:
    result = await terminal.type(line)
    assert result.exit_code == 2
    assert said in result.stderr


async def test_a_second_resolve_says_who_was_first(terminal: Terminal, site: Site) -> None:
    await terminal.type(f"resolve {site.ids.fresh}")
    result = await terminal.type(f"resolve {site.ids.fresh}")
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
    assert "closed" in result.stderr


@pytest.mark.parametrize("scope", ["read"])
@pytest.mark.parametrize("line", ["ack 8", "resolve 8", "note 8 x", "freeze", "thaw 1"])
async def test_a_token_that_may_only_read_is_told_so(terminal: Terminal, line: str) -> None:
    result = await terminal.type(line)
    assert result.exit_code == 1
    assert "scope operate" in result.stderr


async def test_a_token_that_is_not_known_is_a_matter_of_configuration(terminal: Terminal, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("not-a-known-token-000")
    result = await terminal.type("incidents", token_file=other)
    assert result.exit_code == 78
    assert "not-a-known" not in result.output


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe"])
async def test_a_file_that_holds_no_token_is_refused(terminal: Terminal, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "bad"
    file.write_bytes(content)
    assert (await terminal.type("incidents", token_file=file)).exit_code == 78


@pytest.mark.parametrize("line", COMMANDS)
async def test_a_receiver_that_is_not_there_is_one_line(terminal: Terminal, unused_tcp_port: int, line: str) -> None:
    result = await terminal.type(line, url=f"http://127.0.0.1:{unused_tcp_port}")
    assert result.exit_code == 1
    assert "is the receiver running" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "status,body",
    [
        (200, b"<html>"),
        (200, b"[1]"),
        (200, b"[" * 100_000),
        (302, b""),
        (404, b"nginx"),
        (500, b"{}"),
        (503, b'{"error": "x\\u001b[2J\\u202e"}'),
    ],
)
async def test_an_answer_that_is_none_of_ours_is_one_line_without_control_characters(terminal: Terminal, status: int, body: bytes) -> None:
    async def odd(_: web.Request) -> web.Response:
        return web.Response(status=status, body=body, headers={"Location": "http://127.0.0.1:1/"})

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", odd)
    async with TestServer(app) as server:
        result = await terminal.type("incidents", url=str(server.make_url("/")))
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert not {"\x1b", "\u202e"} & set(result.output)
    assert f"answered {status}" in result.stderr or status == 503


async def test_without_any_token_the_command_says_where_one_comes_from() -> None:
    def nowhere(_: Path | None) -> tuple[str, Path | None]:
        return "http://127.0.0.1:1", None

    group = click.Group("receiver")
    register(group, nowhere)
    result = await asyncio.to_thread(CliRunner().invoke, group, ["incidents"])
    assert result.exit_code == Misconfigured.exit_code
    assert "--token-file" in result.stderr


async def test_the_configuration_is_not_read_when_the_command_line_says_it_all(terminal: Terminal) -> None:
    def never(_: Path | None) -> tuple[str, Path | None]:
        raise AssertionError("asked")

    group = click.Group("receiver")
    register(group, never)
    line = ["incidents", "--url", terminal.url, "--token-file", str(terminal.token_file)]
    assert (await asyncio.to_thread(CliRunner().invoke, group, line, catch_exceptions=False)).exit_code == 0


async def test_alert_text_moves_no_cursor(terminal: Terminal, site: Site) -> None:
    await terminal.type(f"note {site.ids.fresh} \x1b[2J\u202egone\x07")
    told = (await terminal.type(f"show {site.ids.fresh}")).stdout
    assert "gone" in told
    assert not {"\x1b", "\u202e", "\x07"} & set(told)


async def test_show_prints_what_alerts_carry(terminal: Terminal, site: Site) -> None:
    told = (await terminal.type(f"show {site.ids.refused}")).stdout
    found = (await terminal.json(f"show {site.ids.refused}"))["alerts"][0]
    labels = {name: value for name, value in found["labels"].items() if name != "alertname"}
    assert labels
    for name, value in labels.items():
        assert f"{name}={value}" in told
    assert found["annotations"]
    for name, value in found["annotations"].items():
        assert f"{name}: {value[:40]}" in told


async def test_show_prints_the_evidence_and_what_of_it_is_missing(terminal: Terminal, site: Site) -> None:
    rows = await site.store.load(site.ids.fresh)
    assert rows is not None
    pieces = [
        {"title": "log", "lines": ["4x web-1: \x1b[2JERROR"], "missing": ""},
        {"title": "top", "lines": [], "missing": "no metrics API"},
    ]
    await site.store.save(Change(rows.incident, (Entry(START, "evidence", "e", data={"evidence": pieces}),), wake_at=START))
    told = (await terminal.type(f"show {site.ids.fresh}")).stdout
    assert "      log:\n        4x web-1:" in told
    assert "top: not collected: no metrics API" in told
    assert "\x1b" not in told


async def test_a_storm_stands_above_the_list(terminal: Terminal, site: Site) -> None:
    site.gate.append(Storm(shut=True, detail="9 targets alerting", since=site.clock.now()))
    assert (await terminal.type("incidents")).stdout.startswith("STORM since 2026-11-20 12:00:00Z (9 targets alerting)")


async def test_a_doubtful_freeze_warns(terminal: Terminal) -> None:
    assert "warning: namespace:shpo is not known" in (await terminal.type("freeze namespace:shpo")).stdout
    assert "warning" not in (await terminal.type("freeze namespace:shop")).stdout
