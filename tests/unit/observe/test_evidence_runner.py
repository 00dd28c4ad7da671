"""Collecting side by side: bounded, masked, and with a reason for everything that is missing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta

from receiver.clients.errors import ClientError, ErrorKind
from receiver.core.facts import Evidence
from receiver.observe.evidence.pieces import NotThere, Once, sparkline
from receiver.observe.evidence.runner import EvidenceRunner
from receiver.observe.lines import age
from receiver.ports import Inquiry, Permission, Piece
from receiver.telemetry.metrics import Metrics
from tests.fakes.clock import START
from tests.unit.observe.objects import inquiry


def says(*lines: str) -> Piece:
    async def read() -> Sequence[str]:
        return lines

    return read


def fails(error: Exception) -> Piece:
    async def read() -> Sequence[str]:
        raise error

    return read


async def hangs() -> Sequence[str]:
    await asyncio.Event().wait()
    return ()


class Told:
    """A collector of the pieces that it is given."""

    name = "told"
    permissions: tuple[Permission, ...] = ()

    def __init__(self, **pieces: Piece) -> None:
        self._pieces = pieces

    def pieces(self, inquiry: Inquiry) -> Mapping[str, Piece]:
        return self._pieces


class Broken(Told):
    name = "broken"

    def pieces(self, inquiry: Inquiry) -> Mapping[str, Piece]:
        raise RuntimeError("no collector today")


async def collected(*collectors: Told, within: float = 5.0, metrics: Metrics | None = None) -> dict[str, Evidence]:
    found: dict[str, Evidence] = {}
    await EvidenceRunner(collectors, within=timedelta(seconds=within), metrics=metrics).collect(inquiry(), found)
    return found


async def test_every_piece_that_is_missing_says_why() -> None:
    found = await collected(
        Told(
            pods=says("one"),
            log=fails(ClientError(ErrorKind.forbidden, "403 with password=hunter2")),
            top=fails(NotThere("no metrics API")),
            quota=fails(ValueError("a value of theirs")),
            events=hangs,
        ),
        Broken(),
        within=0.05,
    )
    assert {title: each.missing for title, each in found.items()} == {
        "pods": "",
        "log": "could not be read: forbidden (403 with password=***)",
        "top": "no metrics API",
        "quota": "the collector failed: ValueError",
        "events": "no answer within 0.05 s",
        "broken": "the collector failed: RuntimeError",
    }


async def test_a_page_that_waited_for_its_turn_has_less_time() -> None:
    runner = EvidenceRunner([Told(pods=hangs)], within=timedelta(seconds=60))
    found: dict[str, Evidence] = {}
    await runner.collect(inquiry(), found, timedelta(seconds=59.95))
    assert found["pods"].missing == "no answer within 60 s, 60 s of them spent waiting for the evidence of other pages"


async def test_a_page_that_waited_too_long_asks_nothing_and_says_so() -> None:
    asked: list[str] = []

    async def read() -> Sequence[str]:
        asked.append("pods")
        return ()

    found: dict[str, Evidence] = {}
    await EvidenceRunner([Told(pods=read)], within=timedelta(seconds=60)).collect(inquiry(), found, timedelta(seconds=61))
    assert found["pods"].missing == "not asked: the evidence of other pages took 61 s, and there are 60 s for all"
    assert asked == []


async def test_pieces_are_read_side_by_side() -> None:
    met = asyncio.Barrier(3)

    async def meet() -> Sequence[str]:
        await met.wait()
        return ("met",)

    found = await collected(Told(pods=meet, log=meet), Told(changes=meet))
    assert [each.lines for each in found.values()] == [("met",)] * 3


async def test_the_most_useful_comes_first_whoever_collects_it() -> None:
    found = await collected(Told(top=says(), pods=says()), Told(odd=says(), changes=says()))
    assert list(found) == ["changes", "pods", "top", "odd"]


async def test_what_is_pending_can_be_seen_while_it_is_collected() -> None:
    found: dict[str, Evidence] = {}
    runner = EvidenceRunner([Told(pods=says("one"), log=hangs)])
    task = asyncio.create_task(runner.collect(inquiry(), found), name="collect")
    while not found.get("pods", Evidence("", ())).lines:
        await asyncio.sleep(0)
    assert found["log"].missing == "still being collected"
    task.cancel()


async def test_lines_are_masked_printable_and_bounded_in_number_and_length() -> None:
    found = await collected(Told(log=says("token=abc", "a\x1b[2J\nb", "x" * 9000, *(str(each) for each in range(100)))))
    lines = found["log"].lines
    assert lines[:2] == ("token=***", "a b")
    assert max(map(len, lines)) <= 300
    assert (len(lines), lines[-1]) == (51, "and 53 more")


async def test_a_piece_without_lines_says_so() -> None:
    assert (await collected(Told(pods=says())))["pods"].lines == ("none",)


async def test_pieces_are_counted_by_outcome() -> None:
    metrics = Metrics(version="test")
    await collected(Told(pods=says("x"), log=fails(NotThere("no")), top=hangs), within=0.05, metrics=metrics)
    text = metrics.expose("")[0].decode()
    for outcome in ("ok", "missing", "timeout"):
        assert f'receiver_evidence_pieces_total{{collector="told",outcome="{outcome}"}} 1.0' in text


# --- what the collectors share ---------------------------------------------------------------------------------------------


def reading(*answers: str | ClientError) -> tuple[list[str], Callable[[], Awaitable[str]]]:
    left, asked = list(answers), list[str]()

    async def read() -> str:
        asked.append("")
        await asyncio.sleep(0)
        found = left.pop(0)
        if isinstance(found, ClientError):
            raise found
        return found

    return asked, read


async def test_a_shared_reading_is_made_once() -> None:
    asked, read = reading("core")
    once = Once(read)
    assert set(await asyncio.gather(once(), once(), once())) == {"core"}
    assert len(asked) == 1


async def test_its_failure_is_everybodys() -> None:
    asked, read = reading(ClientError(ErrorKind.timeout, "slow"))
    once = Once(read)
    found = await asyncio.gather(once(), once(), return_exceptions=True)
    assert [each.kind for each in found if isinstance(each, ClientError)] == [ErrorKind.timeout] * 2
    assert len(asked) == 1


def test_a_sparkline_shows_the_shape_of_what_is_finite() -> None:
    assert sparkline([0, 50, 100]) == "▁▅█"
    assert sparkline([5, 5]) == "██"
    assert sparkline([0, 0]) == "▁▁"
    assert sparkline([float("nan"), 1.0, float("inf")]) == "█"
    assert sparkline([]) == ""
    assert len(sparkline([float(each) for each in range(1000)])) <= 30
    assert sparkline([-4, 4])[0] == "▁"


def test_ages_are_told_roughly() -> None:
    told = [age(START - timedelta(seconds=each), START) for each in (-5, 60, 150, 7200, 200_000)]
    assert told == ["0 s", "60 s", "2 min", "2 h", "2 d"]
