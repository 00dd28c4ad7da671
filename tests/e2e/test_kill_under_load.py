"""kill -9 under full webhook load: every alert that was acknowledged is in an incident or in the quarantine after the restart."""

from __future__ import annotations

import asyncio
import json
import random
import secrets
import sqlite3
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest

from tests.real.processes import Process, eventually, free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

SENDERS = 24
KILLS = 5
RULES = """
apiVersion: receiver/v1
kind: Rules
rules: []
default: {impact: low, urgency: low, remediate: []}
"""


class Service:
    """The real process on its own database."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.token = secrets.token_hex(20)
        self.port = free_port()
        self.database = directory / "receiver.db"
        (directory / "rules.yaml").write_text(RULES)
        (directory / "token").touch(mode=0o600)
        (directory / "token").write_text(self.token)
        config = {
            "listen": f"127.0.0.1:{self.port}",
            "store": f"sqlite:///{self.database}",
            "rules": [str(directory / "rules.yaml")],
            "sources": {"alertmanager": {"token_file": str(directory / "token")}},
        }
        (directory / "config.json").write_text(json.dumps(config))
        arguments: list[str | Path] = [sys.executable, "-m", "tests.e2e.victim", directory / "config.json"]
        self.process = Process("receiver", arguments, log=directory / "receiver.log")

    async def start(self) -> None:
        self.process.start()
        await self.process.ready(f"http://127.0.0.1:{self.port}/readyz")

    def backlog(self) -> int:
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as db:
            return int(db.execute("SELECT count(*) FROM deliveries WHERE folded = 0").fetchone()[0])

    def known(self) -> set[str]:
        """The `number` label of every alert that is in an incident."""
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as db:
            rows = db.execute("SELECT record FROM alerts").fetchall()
        return {json.loads(row[0])["alert"]["labels"].get("number", "") for row in rows}


async def _load(service: Service, acknowledged: set[str], rng: random.Random, stop: asyncio.Event) -> None:
    """One sender: as fast as it is answered; what got its 200 is remembered, what did not is forgotten."""
    headers = {"Authorization": f"Bearer {service.token}"}
    url = f"http://127.0.0.1:{service.port}/webhook/alertmanager"
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        while not stop.is_set():
            numbers = [f"{rng.getrandbits(64):016x}" for _ in range(rng.choice((1, 1, 4, 20)))]
            start = datetime.now(UTC).isoformat()
            alerts = [{"status": "firing", "labels": {"alertname": "Load", "number": each}, "startsAt": start} for each in numbers]
            try:
                async with session.post(url, json={"version": "4", "alerts": alerts}, headers=headers) as answer:
                    if answer.status == 200:
                        acknowledged.update(numbers)
            except (aiohttp.ClientError, TimeoutError):
                stop.set()


async def test_nothing_that_was_acknowledged_is_lost_by_kill_9(tmp_path: Path, rng: random.Random) -> None:
    service = Service(tmp_path)
    acknowledged: set[str] = set()
    for _ in range(KILLS):
        await service.start()
        stop = asyncio.Event()
        wanted = len(acknowledged) + rng.randrange(500, 2500)
        async with asyncio.TaskGroup() as group:
            for _ in range(SENDERS):
                group.create_task(_load(service, acknowledged, rng, stop), name="sender")
            await eventually(lambda wanted=wanted: len(acknowledged) >= wanted, within=60, what="enough acknowledged alerts")  # type: ignore[misc]
            service.process.kill()
            await service.process.ended(within=10)
            stop.set()
    await service.start()
    try:
        await eventually(lambda: service.backlog() == 0, within=60, what="everything folded")
        lost = acknowledged - service.known()
        print(f"{len(acknowledged)} alerts were acknowledged over {KILLS} kills, {len(lost)} are lost")
        assert not lost, f"{len(lost)} of {len(acknowledged)} acknowledged alerts are lost"
    finally:
        await service.process.stop()
