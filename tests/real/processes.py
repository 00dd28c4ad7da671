"""Supervised subprocesses of the tests: start, wait until ready, pause, kill, stop.

Law: a process is bound to no event loop, so that one started for the whole session can be paused from any test. It dies
with the thread that started it (setpriv --pdeathsig), so that a killed test run leaves no server behind: start it from a
thread that outlives it (the main one, or `background.Background`), never from an executor's.
"""

import asyncio
import inspect
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar, overload

import aiohttp

T = TypeVar("T")

LOOPBACK = "127.0.0.1"
POLL_SECONDS = 0.05
PROBE_SECONDS = 2.0
TAIL_LINES = 25

# Below Linux's ephemeral range (32768-60999): no outgoing connection can take a port between our look and the server's bind.
_PORTS = range(20_000, 32_000)
_handed_out: set[int] = set()
_chance = random.SystemRandom()  # not the seedable one: two workers with one seed would draw the same ports


class ProcessError(Exception):
    """A server ended by itself, did not get ready or did not stop; carries the tail of its log."""


def free_port() -> int:
    """A TCP port on loopback that nobody listens on; never the same one twice in a session."""
    for _ in range(1_000):
        port = _chance.choice(_PORTS)
        if port not in _handed_out and _is_free(port):
            _handed_out.add(port)
            return port
    raise ProcessError(f"no free port in {_PORTS} after 1000 tries: too many servers left running?")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


@overload
async def eventually(look: Callable[[], Awaitable[T | None]], *, within: float = ..., what: str = ..., every: float = ...) -> T: ...
@overload
async def eventually(look: Callable[[], T | None], *, within: float = ..., what: str = ..., every: float = ...) -> T: ...
async def eventually(look: Callable[[], object], *, within: float = 30.0, what: str = "", every: float = POLL_SECONDS) -> object:
    """What `look` answers as soon as it is truthy; TimeoutError naming `what` and the last answer after `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        answer = look()
        seen = await answer if inspect.isawaitable(answer) else answer
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {within:g} s: {what or look!r}; last seen: {str(seen)[:256]}")
        await asyncio.sleep(every)


async def answers(url: str, *, token: str | None = None) -> bool:
    """Whether a GET of `url` answers 2xx. Certificates are not checked: this asks only whether somebody is there."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    limit = aiohttp.ClientTimeout(total=PROBE_SECONDS)
    try:
        async with aiohttp.ClientSession(timeout=limit) as session, session.get(url, headers=headers, ssl=False) as response:
            return response.ok
    except (aiohttp.ClientError, OSError, TimeoutError):
        return False


class Process:
    """One server program. May be started again after it ended; its log file is appended to."""

    def __init__(self, name: str, arguments: Sequence[str | Path], *, log: Path, environment: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.log = log
        self._arguments = [str(argument) for argument in arguments]
        self._environment = {**os.environ, **(environment or {})}
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        return self._started().pid

    @property
    def running(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    def start(self) -> None:
        if self.running:
            raise ProcessError(f"{self.name} runs already as {self.pid}")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                [*_die_with_us(), *self._arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,
            )

    async def ready(self, url: str, *, token: str | None = None, within: float = 60.0) -> None:
        """Returns once a GET of `url` answers 2xx; raises ProcessError at once when the process ends instead."""

        async def look() -> bool:
            if not self.running:
                raise ProcessError(f"{self.name} ended with {self._started().returncode} instead of getting ready:\n{self.tail()}")
            return await answers(url, token=token)

        try:
            await eventually(look, within=within, what=f"{self.name} ready at {url}")
        except TimeoutError as late:
            raise ProcessError(f"{late}\n{self.tail()}") from late

    def suspend(self) -> None:
        """SIGSTOP: alive, its connections open, answering nothing."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    @contextmanager
    def suspended(self) -> Iterator[None]:
        self.suspend()
        try:
            yield
        finally:
            self.resume()

    def kill(self) -> None:
        """SIGKILL to the whole process group; returns when it is gone."""
        self._signal(signal.SIGKILL)
        self._started().wait(timeout=10)

    async def stop(self, *, limit: float = 10.0) -> None:
        """SIGTERM, then SIGKILL after `limit` seconds. Harmless when it has ended or was never started."""
        if not self.running:
            return
        self._signal(signal.SIGCONT)
        self._signal(signal.SIGTERM)
        try:
            await self.ended(within=limit)
        except TimeoutError:
            self.kill()

    async def ended(self, *, within: float = 10.0) -> int:
        """Waits for the end; its exit code (negative: the signal that ended it)."""
        await eventually(lambda: not self.running, within=within, what=f"{self.name} ended")
        return int(self._started().returncode)

    def tail(self) -> str:
        """The last lines of its log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-TAIL_LINES:])

    def _signal(self, number: signal.Signals) -> None:
        if self.running:
            os.killpg(self.pid, number)

    def _started(self) -> subprocess.Popen[bytes]:
        if self._popen is None:
            raise ProcessError(f"{self.name} was never started")
        return self._popen


def _die_with_us() -> list[str]:
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
