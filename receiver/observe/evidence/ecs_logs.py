"""The last error lines of an ECS service's log groups, ranked by pattern; where there are none, its newest lines.

Law: only groups that its own task definition names (awslogs), a few minutes, so many pages and lines. FilterLogEvents answers oldest
first: it is asked for the newest seconds before the minutes, so that what is left out is old, and that is said. An empty page with a token
is usual.
https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from receiver.clients.ecs import Ecs, Object, ServiceAt
from receiver.observe.evidence.ecs import AWS, meant, not_asked
from receiver.observe.evidence.patterns import LAST, Written, newest, told, troubled
from receiver.observe.evidence.pieces import NotThere
from receiver.ports import Clock, Inquiry, Permission, Piece

WINDOW = timedelta(minutes=5)
BACK = (timedelta(seconds=15), timedelta(minutes=1), WINDOW)
"""Asked one after the other, the newest first, until there are lines enough."""
PATTERNS, GROUPS, PAGES, EVENTS = 20, 3, 10, 500
PLAIN_PAGES = 4
"""Without a filter, for the newest few lines."""
ROOTS = (
    "error", "err", "exception", "fatal", "panic", "crit", "emerg", "severe", "traceback", "fail", "refused", "denied",
    "timed out", "timeout", "unavailable", "unreachable", "memory", "oom", "killed", "abort", "segfault", "unhandled", "cannot",
    "could not", "unable", "deadlock", "reject", "corrupt", "no space",
)  # fmt: skip
"""Parts of all words of trouble that are known here; a filter heeds case. Which lines speak of trouble is judged here."""


def _pattern() -> str:
    """Any of them; at most 1,024 characters: https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html"""
    terms = dict.fromkeys(form for each in ROOTS for form in (each, each.capitalize(), each.upper()))
    return " ".join(f'?"{each}"' if " " in each else f"?{each}" for each in terms)


PATTERN = _pattern()


@dataclass(frozen=True, slots=True)
class _Group:
    name: str
    prefix: str
    """Of the streams; empty: all of the group."""


@dataclass(slots=True)
class _Found:
    """Of one group or of all, and what was not read."""

    events: list[Object] = field(default_factory=list)
    left_out: str = ""

    def lines(self) -> list[Written]:
        """Oldest first, the newest so many."""
        ordered = sorted(self.events, key=lambda each: int(each.get("timestamp") or 0))[-EVENTS:]
        return [Written(str(each.get("logStreamName", "")).rpartition("/")[2][:12], str(each.get("message", ""))) for each in ordered]


class EcsLogs:
    """One piece: `log`."""

    name = "ecs.logs"
    permissions: tuple[Permission, ...] = (
        Permission(AWS, "ecs", "service", ("DescribeServices",)),
        Permission(AWS, "ecs", "*", ("DescribeTaskDefinition",)),
        Permission(AWS, "logs", "log-group", ("FilterLogEvents",)),
    )

    def __init__(self, ecs: Ecs, clock: Clock) -> None:
        self._ecs = ecs
        self._clock = clock

    def pieces(self, inquiry: Inquiry) -> Mapping[str, Piece]:
        """As Collector."""
        at = meant(self._ecs, inquiry)
        if at is None:
            return {}
        return {"log": not_asked(at) if isinstance(at, str) else lambda: self._log(at)}

    async def _log(self, at: ServiceAt) -> Sequence[str]:
        service = await self._ecs.service(at)
        definition = await self._ecs.definition(at, str(service.get("taskDefinition", "")))
        groups = _groups(definition)[:GROUPS]
        if not groups:
            raise NotThere("its task definition names no log group (awslogs)")
        found = await self._all(at, groups, pattern=PATTERN, enough=EVENTS, pages=PAGES)
        lines, span = found.lines(), _words(WINDOW)
        if any(troubled(each.text) for each in lines):
            shown = await asyncio.to_thread(told, lines, most=PATTERNS, span=f"the last {span}")
        else:
            plain = await self._all(at, groups, pattern="", enough=LAST, pages=PLAIN_PAGES)
            shown = _untroubled(plain, span)
        return [*shown, *([found.left_out] if found.left_out else [])]

    async def _all(self, at: ServiceAt, groups: Sequence[_Group], *, pattern: str, enough: int, pages: int) -> _Found:
        found = _Found()
        for group in groups:
            read = await self._read(at, group, pattern=pattern, enough=enough, pages=pages)
            found.events += read.events
            found.left_out = found.left_out or read.left_out
        return found

    async def _read(self, at: ServiceAt, group: _Group, *, pattern: str, enough: int, pages: int) -> _Found:
        """From now backwards, until there are `enough`, or so many pages are read."""
        now = self._clock.now()
        found = _Found()
        end = int(now.timestamp() * 1000)
        for back in BACK:
            begin = int((now - back).timestamp() * 1000)
            asked: dict[str, object] = {
                "logGroupName": group.name,
                "startTime": begin,
                "endTime": end,
                **({"filterPattern": pattern} if pattern else {}),
                **({"logStreamNamePrefix": group.prefix} if group.prefix else {}),
            }
            events, used, whole = await self._pages(at, asked, pages)
            found.events, pages, end = [*events, *found.events], pages - used, begin - 1  # both ends are of the window
            if not whole:
                found.left_out = f"there is more: of {group.name} not all of the last {_words(back)} was read"
                break
            if len(found.events) >= enough and back != WINDOW:
                found.left_out = f"there is more: of {group.name} only the last {_words(back)} was read"
                break
        return found

    async def _pages(self, at: ServiceAt, asked: dict[str, object], most: int) -> tuple[list[Object], int, bool]:
        """The newest lines that were read, how many pages that took, and whether those were all."""
        found: list[Object] = []
        for used in range(1, most + 1):
            answer = await self._ecs.ask(at, "logs", "filter_log_events", asked)
            found = [*found, *(answer.get("events") or ())][-EVENTS:]
            if not answer.get("nextToken"):
                return found, used, True
            asked["nextToken"] = answer["nextToken"]
        return found, most, False


def _untroubled(found: _Found, span: str) -> list[str]:
    lines = found.lines()
    if lines:
        return [f"no line of the last {span} matches a word of trouble; of its newest:", *newest(lines)]
    if found.left_out:
        return [f"no line of the last {span} matches a word of trouble"]
    return [f"no lines in the last {span}"]


def _words(span: timedelta) -> str:
    seconds = span.total_seconds()
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _groups(definition: Object) -> list[_Group]:
    """Each once, in the order of the containers."""
    found: dict[_Group, None] = {}
    for container in definition.get("containerDefinitions") or ():
        driver = container.get("logConfiguration") or {}
        options = driver.get("options") or {}
        if driver.get("logDriver") == "awslogs" and options.get("awslogs-group"):
            prefix = options.get("awslogs-stream-prefix")
            found[_Group(str(options["awslogs-group"]), f"{prefix}/{container.get('name')}/" if prefix else "")] = None
    return list(found)
