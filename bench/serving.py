"""The servers under measurement: each a process of its own, held to one core, ended by its own process id."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.bodies import as_api
from tests.real import tools
from tests.real.processes import eventually, free_port

SERVER_CORE, LOAD_CORE = 0, (os.cpu_count() or 1) - 1
"""The same one where there is only one."""
WEBHOOK = "/webhook/alertmanager"
RULES = "apiVersion: receiver/v1\nkind: Rules\nrules: []\ndefault: {impact: low, urgency: low, remediate: []}\n"
BARE = """
import sys
import uvloop
from aiohttp import web
async def take(request):
    await request.read()
    return web.json_response({"accepted": 4})
app = web.Application(client_max_size=1 << 24)
app.router.add_post("/webhook/alertmanager", take)
uvloop.install()
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None, backlog=2048)
"""


@dataclass(frozen=True)
class Server:
    """A process that takes alerts."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    path: str = WEBHOOK
    token: str = ""
    database: Path | None = None
    translate: Callable[[bytes], bytes] = field(default=lambda body: body)
    """From a delivery to what this server takes."""

    def request(self, body: bytes) -> bytes:
        """As it goes over the wire."""
        body = self.translate(body)
        credentials = f"Authorization: Bearer {self.token}\r\n" if self.token else ""
        head = f"POST {self.path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nUser-Agent: Alertmanager/0.25.0\r\n{credentials}"
        return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body

    @property
    def cpu_seconds(self) -> float:
        """Of all its threads, in both modes."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def rss_mib(self) -> float:
        """Resident now."""
        status = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return int(next(each for each in status if each.startswith("VmRSS")).split()[1]) / 1024

    def ask(self, sql: str) -> int:
        """One number out of its database."""
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as connection:
            return int(connection.execute(sql).fetchone()[0])

    @property
    def backlog(self) -> int:
        """Deliveries that are accepted and not folded yet."""
        return self.ask("SELECT count(*) FROM deliveries WHERE folded = 0") if self.database else 0

    async def folded(self, *, within: float = 120.0) -> None:
        """Returns when nothing waits to be folded."""
        await eventually(lambda: not self.backlog, within=within, what=f"{self.name} folded everything", every=0.01)

    def end(self) -> None:
        """SIGTERM, SIGKILL after a while; harmless when it has ended."""
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def bare() -> Iterator[Server]:
    """aiohttp on uvloop: reads the body and parses nothing, the ceiling of the framework."""
    port = free_port()
    with _ended(Server("bare aiohttp", port, pinned([sys.executable, "-c", BARE, str(port)]))) as server:
        yield server


@contextmanager
def alertmanager(**config: Any) -> Iterator[Server]:
    """Debian's 0.25; `config` over one that sends nowhere."""
    port = free_port()
    with TemporaryDirectory(prefix="bench-alertmanager-") as name:
        directory = Path(name)
        content = {"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}], **config}
        (directory / "alertmanager.yml").write_text(json.dumps(content))  # JSON is YAML
        program = str(tools.find("alertmanager-0.25"))
        flags = [f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=", f"--storage.path={directory}"]
        process = pinned([program, f"--config.file={directory}/alertmanager.yml", *flags])
        with _ended(Server("Alertmanager 0.25", port, process, path="/api/v2/alerts", translate=as_api)) as server:
            yield server


@contextmanager
def receiver(
    *,
    rules: str = RULES,
    seed: Path | None = None,
    lift_page_budget: bool = False,
    namespaces: Sequence[str] = (),
    certificate: Path | None = None,
    more_sources: Mapping[str, Any] = {},
    **config: Any,
) -> Iterator[Server]:
    """The shipped service: authentication, metrics, classification and dedup on, `synchronous=FULL`. `seed`: a database to move in;
    `certificate`: the one of SNS."""
    with TemporaryDirectory(prefix="bench-receiver-") as name:
        directory = Path(name)
        if seed is not None:
            seed.rename(directory / "receiver.db")
        file, port, token = write_config(directory, rules=rules, namespaces=namespaces, more_sources=more_sources, **config)
        flags = ["--lift-page-budget"] if lift_page_budget else []
        flags += [f"--certificate={certificate}"] if certificate is not None else []
        process = pinned([sys.executable, "-m", "bench.service", str(file), *flags])
        with _ended(Server("receiver", port, process, token=token, database=directory / "receiver.db")) as server:
            yield server


def write_config(
    directory: Path,
    *,
    rules: str = RULES,
    namespaces: Sequence[str] = (),
    more_sources: Mapping[str, Any] = {},
    **config: Any,
) -> tuple[Path, int, str]:
    """The configuration file of a receiver that keeps all in `directory`, its port and its token."""
    port, token = free_port(), secrets.token_hex(20)
    (directory / "rules.yaml").write_text(rules)
    (directory / "token").touch(mode=0o600)
    (directory / "token").write_text(token)
    content = {
        "listen": f"127.0.0.1:{port}",
        "store": f"sqlite:///{directory}/receiver.db",
        "rules": [str(directory / "rules.yaml")],
        "sources": {"alertmanager": {"token_file": str(directory / "token"), "namespaces": list(namespaces)}, **more_sources},
        **config,
    }
    (directory / "config.json").write_text(json.dumps(content))
    return directory / "config.json", port, token


def pinned(arguments: Sequence[str], *, core: int = SERVER_CORE) -> subprocess.Popen[bytes]:
    """Started on that core. It may write .pyc files, as any installation has them, but not into the checkout."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(bytecode())}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = ["setpriv", "--pdeathsig", "TERM", "--", "taskset", "-c", str(core), *arguments]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)


def bytecode() -> Path:
    """Where the .pyc files of this run are."""
    return Path(_BYTECODE.name)


async def up(*servers: Server, within: float = 60.0) -> None:
    """Until all accept connections."""
    for server in servers:
        await eventually(lambda server=server: _accepts(server), within=within, what=f"{server.name} listens", every=0.02)  # type: ignore[misc]


async def _accepts(server: Server) -> bool:
    if server.process.poll() is not None:
        raise RuntimeError(f"{server.name} ended with {server.process.returncode} instead of listening")
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    except OSError:
        return False
    writer.close()
    return True


async def get(server: Server, path: str) -> tuple[float, bytes]:
    """(milliseconds, body) of a GET."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        began = time.perf_counter()
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read()
        passed = (time.perf_counter() - began) * 1e3
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"{server.name} answered {head[:80]!r} to {path}")
    return passed, body


@contextmanager
def _ended(server: Server) -> Iterator[Server]:
    try:
        yield server
    finally:
        server.end()


_BYTECODE = TemporaryDirectory(prefix="bench-pyc-")
