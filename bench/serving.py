"""Servers under measurement, pinned to one core, and a load generator of prebuilt requests on the other."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.real import tools
from tests.real.processes import free_port

SERVER_CORE, LOAD_CORE = 0, (os.cpu_count() or 1) - 1
BARE = """
import asyncio, sys
from aiohttp import web
async def take(request):
    await request.read()
    return web.json_response({"accepted": 4})
app = web.Application(client_max_size=1 << 24)
app.router.add_post("/webhook/alertmanager", take)
import uvloop
uvloop.install()
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)
"""
RULES = "apiVersion: receiver/v1\nkind: Rules\nrules: []\ndefault: {impact: low, urgency: low, remediate: []}\n"


@dataclass
class Server:
    """A process that answers POST /webhook/alertmanager."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    token: str = ""
    path: str = "/webhook/alertmanager"
    bare_list: bool = False
    """It takes the alerts alone, as Alertmanager's own API."""

    @property
    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def rss_mib(self) -> float:
        line = next(each for each in Path(f"/proc/{self.process.pid}/status").read_text().splitlines() if each.startswith("VmRSS"))
        return int(line.split()[1]) / 1024

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start_bare() -> Server:
    """aiohttp on uvloop: reads the body, parses nothing."""
    port = free_port()
    return Server("bare", port, _pinned([sys.executable, "-c", BARE, str(port)]))


def start_alertmanager(directory: Path) -> Server:
    """Debian's, with a receiver that sends nowhere."""
    port = free_port()
    (directory / "alertmanager.yml").write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
    flags = [f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=", f"--storage.path={directory}"]
    program = str(tools.find("alertmanager-0.25"))
    process = _pinned([program, f"--config.file={directory}/alertmanager.yml", *flags])
    return Server("Alertmanager", port, process, path="/api/v2/alerts", bare_list=True)


def start_receiver(directory: Path, *, rules: str = RULES) -> Server:
    """The shipped service: authentication, metrics, classification and dedup on, `synchronous=FULL`."""
    port, token = free_port(), secrets.token_hex(20)
    (directory / "rules.yaml").write_text(rules)
    (directory / "token").touch(mode=0o600)
    (directory / "token").write_text(token)
    config = {
        "listen": f"127.0.0.1:{port}",
        "store": f"sqlite:///{directory}/receiver.db",
        "rules": [str(directory / "rules.yaml")],
        "sources": {"alertmanager": {"token_file": str(directory / "token")}},
    }
    (directory / "config.json").write_text(json.dumps(config))
    return Server("receiver", port, _pinned([sys.executable, "-m", "bench.service", str(directory / "config.json")]), token)


def _pinned(arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    command = ["taskset", "-c", str(SERVER_CORE), *arguments]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


async def up(server: Server) -> None:
    """Until it accepts connections."""
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            except OSError:
                await asyncio.sleep(0.02)
                continue
            writer.close()
            return


def body(n: int, *, alerts: int = 4, fresh: bool = False) -> bytes:
    """A realistic delivery of about a kilobyte an alert; `fresh`: never seen before."""
    mark = secrets.token_hex(6) if fresh else f"{n % 64:x}"
    each = {
        "status": "firing",
        "annotations": {"summary": "Pod is crash looping.", "description": "x" * 300, "runbook_url": "https://runbooks.example.com/x" * 4},
        "startsAt": "2026-11-20T12:00:00.123456789Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.example.com/graph?g0.expr=up",
    }
    names = [f"web-{mark}-{index}" for index in range(alerts)]
    listed = [
        {**each, "fingerprint": secrets.token_hex(8), "labels": {"alertname": "KubePodCrashLooping", "namespace": "shop", "pod": name}}
        for name in names
    ]
    return json.dumps({"version": "4", "groupKey": "{}:{}", "receiver": "r", "status": "firing", "alerts": listed}).encode()


async def load(server: Server, *, connections: int, seconds: float, bodies: Sequence[bytes]) -> tuple[float, float]:
    """(answers of 200 a second, CPU microseconds an answer)."""
    if server.bare_list:
        bodies = [json.dumps([{**one, "endsAt": "2036-01-01T00:00:00Z"} for one in _stripped(each)]).encode() for each in bodies]
    head = f"POST {server.path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    if server.token:
        head += f"Authorization: Bearer {server.token}\r\n"
    requests = [f"{head}Content-Length: {len(each)}\r\n\r\n".encode() + each for each in bodies]
    counts = [0]
    end = time.monotonic() + seconds
    cpu, began = server.cpu_seconds, time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number in range(connections):
            group.create_task(_client(server.port, requests, number, end, counts), name="load")
    return counts[0] / (time.monotonic() - began), (server.cpu_seconds - cpu) * 1e6 / max(1, counts[0])


def _stripped(body: bytes) -> list[dict[str, object]]:
    kept = ("labels", "annotations", "startsAt", "generatorURL")
    return [{name: each[name] for name in kept} for each in json.loads(body)["alerts"]]


async def _client(port: int, requests: Sequence[bytes], number: int, end: float, counts: list[int]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        at = number
        while time.monotonic() < end:
            writer.write(requests[at % len(requests)])
            at += 1
            header = await reader.readuntil(b"\r\n\r\n")
            length = int(header.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            counts[0] += header.startswith(b"HTTP/1.1 200")
    finally:
        writer.close()


@dataclass(frozen=True)
class Ratio:
    """Of candidate to anchor, over the rounds."""

    median: float
    low: float
    high: float
    rate: float
    cpu: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f}-{self.high:.2f}), {self.rate:.0f}/s, {self.cpu:.0f} us CPU each"


async def compare(anchor: Server, candidate: Server, *, connections: int, rounds: int, seconds: float, fresh: bool) -> Ratio:
    """Slices anchor, candidate, anchor …; each candidate against the mean of its neighbours."""
    plain = [body(n) for n in range(64)]
    before = (await load(anchor, connections=connections, seconds=seconds, bodies=plain))[0]
    ratios, rates, cpus = [], [], []
    for done in range(rounds):
        bodies = [body(n, fresh=True) for n in range(4000)] if fresh else plain
        rate, cpu = await load(candidate, connections=connections, seconds=seconds, bodies=bodies)
        after = (await load(anchor, connections=connections, seconds=seconds, bodies=plain))[0]
        ratios.append(2 * rate / (before + after))
        rates.append(rate)
        cpus.append(cpu)
        before = after
        print(f"\r  round {done + 1} of {rounds}: {ratios[-1]:.2f}", end="", flush=True)
    print("\r" + " " * 40, end="\r")
    return Ratio(statistics.median(ratios), min(ratios), max(ratios), statistics.median(rates), statistics.median(cpus))
