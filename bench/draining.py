"""Q: a queue of CloudWatch's alarms drained by the service, against a bare loop that receives and deletes, both from moto's server.

That server gives some dozens of messages a second, so it is what limits both; what is shown is that the service does not.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.comparing import Pace
from bench.figures import Figure, progress, tell
from bench.serving import LOAD_CORE, pinned, write_config
from tests.real.moto import ENVIRONMENT, REGION
from tests.real.processes import LOOPBACK, answers, eventually, free_port

MESSAGES = 600
RECEIVES = 4
"""In flight at once, by both."""
GOAL = 0.7
WATCH_SECONDS = 0.3
"""Each look costs the server as much as two messages."""
ACCOUNT = "123456789012"

BARE = """
import asyncio, sys
import uvloop
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
async def drain(sqs, url):
    while True:
        found = (await sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=20)).get("Messages", ())
        entries = [{"Id": str(n), "ReceiptHandle": each["ReceiptHandle"]} for n, each in enumerate(found)]
        if entries:
            await sqs.delete_message_batch(QueueUrl=url, Entries=entries)
async def main(endpoint, url, region, receives):
    config = AioConfig(max_pool_connections=32)
    async with get_session().create_client("sqs", region_name=region, endpoint_url=endpoint, config=config) as sqs:
        await asyncio.gather(*(drain(sqs, url) for _ in range(int(receives))))
uvloop.run(main(*sys.argv[1:]))
"""


async def drained(pace: Pace) -> list[Figure]:
    """Receives, stores, deletes; each alarm is of its own, and is folded meanwhile."""
    os.environ.update(ENVIRONMENT)
    count = MESSAGES // 3 if pace.quick else MESSAGES
    numbers = itertools.count()
    ratios: list[float] = []
    rates: list[tuple[float, float]] = []
    async with _moto() as (endpoint, sqs):
        before = await _rate(sqs, count, numbers, lambda url: _bare(endpoint, url))
        for done in range(pace.rounds):
            mine = await _rate(sqs, count, numbers, lambda url: _service(endpoint, url))
            after = await _rate(sqs, count, numbers, lambda url: _bare(endpoint, url))
            ratios.append(2 * mine / (before + after))
            rates.append((mine, (before + after) / 2))
            progress(f"drained, round {done + 1} of {pace.rounds}: {ratios[-1]:.2f}")
            before = after
    mine, other = (sorted(each)[len(each) // 2] for each in zip(*rates, strict=True))
    note = f"{mine:,.0f} of {other:,.0f} messages a second, {RECEIVES} receives in flight"
    figure = Figure("Q", "SQS drained, of a bare receive-and-delete loop", tuple(ratios), GOAL, note=note)
    tell(figure)
    return [figure]


async def _rate(sqs: Any, count: int, numbers: Iterator[int], reader: Callable[[str], AbstractContextManager[None]]) -> float:
    """Messages a second, from the first that is gone to the last. A queue of its own: the server goes on with the long polls of a reader
    that has ended, and would hide messages from the next one."""
    url = (await sqs.create_queue(QueueName=f"alarms-{next(numbers)}"))["QueueUrl"]
    await _fill(sqs, url, count, numbers)
    loop = asyncio.get_running_loop()
    with reader(url):
        left = count
        while left == count:
            await asyncio.sleep(WATCH_SECONDS)
            left = await _left(sqs, url)
        began, first = loop.time(), left
        while left:
            await asyncio.sleep(WATCH_SECONDS)
            left = await _left(sqs, url)
        return first / (loop.time() - began)


async def _fill(sqs: Any, url: str, count: int, numbers: Iterator[int]) -> None:
    for _ in range(count // 10):
        entries = [{"Id": str(n), "MessageBody": _alarm(next(numbers))} for n in range(10)]
        await sqs.send_message_batch(QueueUrl=url, Entries=entries)


def _alarm(number: int) -> str:
    """In the envelope of SNS, about a kilobyte."""
    name = f"bench-{number}"
    arn = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{name}"
    told = {
        "AlarmName": name,
        "AlarmDescription": "CPU of the service",
        "AWSAccountId": ACCOUNT,
        "NewStateValue": "ALARM",
        "NewStateReason": "Threshold Crossed: 1 datapoint [91.2 (20/11/26 12:00:00)] was greater than the threshold (80.0).",
        "StateChangeTime": datetime.now(UTC).isoformat(),
        "Region": "EU (Ireland)",
        "AlarmArn": arn,
        "OldStateValue": "OK",
        "Trigger": {
            "MetricName": "CPUUtilization",
            "Namespace": "AWS/ECS",
            "Dimensions": [{"name": "ClusterName", "value": "app"}, {"name": "ServiceName", "value": f"service-{number}"}],
        },
    }
    topic = f"arn:aws:sns:{REGION}:{ACCOUNT}:ops"
    return json.dumps({"Type": "Notification", "MessageId": str(number), "TopicArn": topic, "Message": json.dumps(told)})


async def _left(sqs: Any, url: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = (await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names))["Attributes"]
    return sum(int(found[each]) for each in names)


@asynccontextmanager
async def _moto() -> AsyncIterator[tuple[str, Any]]:
    """Its address, and a client of its queues. It shares the load's core."""
    from aiobotocore.session import get_session

    endpoint = f"http://{LOOPBACK}:{(port := free_port())}"
    process = pinned([sys.executable, "-W", "ignore", "-m", "moto.server", "-H", LOOPBACK, "-p", str(port)], core=LOAD_CORE)
    with _ended(process):
        await eventually(lambda: answers(f"{endpoint}/moto-api/"), within=60, what="moto listens")
        async with get_session().create_client("sqs", region_name=REGION, endpoint_url=endpoint) as sqs:
            yield endpoint, sqs


@contextmanager
def _bare(endpoint: str, url: str) -> Iterator[None]:
    with _ended(pinned([sys.executable, "-c", BARE, endpoint, url, REGION, str(RECEIVES)])):
        yield


@contextmanager
def _service(endpoint: str, url: str) -> Iterator[None]:
    """The shipped one, on a new database."""
    with TemporaryDirectory(prefix="bench-queue-") as name:
        source = {"queue_url": url, "region": REGION, "endpoint_url": endpoint, "receives": RECEIVES}
        file, _, _ = write_config(Path(name), sources={"sqs": source})
        with _ended(pinned([sys.executable, "-m", "bench.service", str(file)])):
            yield


@contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    try:
        yield
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        process.kill()
        process.wait()
