"""S: alarms that SNS delivers, each with a signature of its own to check, against Alertmanager's deliveries to the same service."""

from __future__ import annotations

import asyncio
import json
import statistics
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.bodies import Kind
from bench.comparing import Pace, Slice, measure
from bench.figures import Figure, progress, tell
from bench.load import full_load
from bench.serving import Server, receiver, up
from tests.fakes.sns import TOPIC, alarm, certificate, message, signed

CONNECTIONS = 64
ALARMS = 64
GOAL = 0.5
MOST = 4000
"""Messages signed for a second of load, more than one core checks: none is sent twice, as a second one would not be looked at."""


async def delivered(pace: Pace) -> list[Figure]:
    """Received, verified (RSA of 2048 bits, SHA-256), stored and answered."""
    with TemporaryDirectory(prefix="bench-sns-") as name:
        file = Path(name) / "sns.pem"
        file.write_bytes(certificate(begins=datetime.now(UTC)))
        with receiver(certificate=file, more_sources={"sns": {"topics": [TOPIC]}}) as server:
            await up(server)
            figure = await _compared(server, replace(server, path="/webhook/sns", token=""), pace)
    tell(figure)
    return [figure]


async def _compared(anchor: Server, candidate: Server, pace: Pace) -> Figure:
    ratios: list[float] = []
    slices: list[tuple[Slice, Slice]] = []
    await _slice(candidate, pace.seconds / 4)  # warm
    before = await measure(anchor, Kind.repeats, connections=CONNECTIONS, seconds=pace.seconds)
    for done in range(pace.rounds):
        mine = await _slice(candidate, pace.seconds)
        after = await measure(anchor, Kind.repeats, connections=CONNECTIONS, seconds=pace.seconds)
        ratios.append(2 * mine.rate / (before.rate + after.rate))
        slices.append((mine, after))
        progress(f"SNS, round {done + 1} of {pace.rounds}: {ratios[-1]:.2f}")
        before = after
    rate, other = (statistics.median(each[side].rate for each in slices) for side in (0, 1))
    cpu, others = (statistics.median(each[side].cpu for each in slices) for side in (0, 1))
    bad = sum(mine.bad for mine, _ in slices)
    note = f"{rate:,.0f}/s of {other:,.0f}/s, {cpu:.0f} of {others:.0f} us CPU" + (f", {bad} not 200" * bool(bad))
    return Figure("S", f"SNS verified and accepted, of Alertmanager's accepted, {CONNECTIONS} connections", tuple(ratios), GOAL, note=note)


async def _slice(server: Server, seconds: float) -> Slice:
    ready = [_request(server, each) for each in _messages(int(MOST * seconds) + CONNECTIONS)]  # the server rests meanwhile
    loop = asyncio.get_running_loop()
    cpu, began = server.cpu_seconds, loop.time()
    tally = await full_load(server.port, iter(ready), connections=CONNECTIONS, seconds=seconds)
    await server.folded()
    passed = loop.time() - began
    used = server.cpu_seconds - cpu
    return Slice(tally.rate, tally.good / max(passed, tally.seconds), used * 1e6 / max(1, tally.good), tally.quantile(0.99), tally.bad)


def _messages(count: int) -> Iterator[bytes]:
    now = datetime.now(UTC)
    for number in range(count):
        told = alarm(at=now, name=f"bench-{number % ALARMS}")
        yield signed(message(told, at=now, id=str(uuid.uuid4())))


def _request(server: Server, body: bytes) -> bytes:
    """As SNS sends it: JSON that calls itself text."""
    told = json.loads(body)
    head = f"POST {server.path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nUser-Agent: Amazon Simple Notification Service Agent\r\n"
    names = f"x-amz-sns-message-type: {told['Type']}\r\nx-amz-sns-message-id: {told['MessageId']}\r\nx-amz-sns-topic-arn: {TOPIC}\r\n"
    return f"{head}{names}Content-Type: text/plain; charset=UTF-8\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
