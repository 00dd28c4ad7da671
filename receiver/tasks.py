"""Tasks with a name and an owner, and work that a cancellation must not cut in two.

Law: a task is started by a `TaskGroup` or by a `Crew` (long-lived workers, restarted when they crash, stopped in reverse order). No task
is ever left without somebody who awaits it. Wired in `app.py`; `finish_despite_cancel` is for everybody who records an outcome.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")

Work = Callable[[], Awaitable[None]]
Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long a crashed worker rests: `first`, doubled at each crash up to `ceiling`; a run of `healthy` starts again at `first`."""

    first: timedelta = timedelta(milliseconds=500)
    ceiling: timedelta = timedelta(seconds=30)
    healthy: timedelta = timedelta(minutes=1)

    def rest(self, crashes: int) -> timedelta:
        """After the given number of crashes in a row, from 1."""
        return min(self.ceiling, self.first * 2.0 ** min(crashes - 1, 32))


@dataclass(frozen=True, slots=True)
class Crash:
    """A worker ended by an exception and is going to be started again."""

    name: str
    error: Exception
    crashes: int
    """In a row, this one included."""
    rest: timedelta


async def supervise(
    name: str, work: Work, *, on_crash: Callable[[Crash], None], backoff: Backoff | None = None, sleep: Sleep = asyncio.sleep
) -> None:
    """Runs `work()` until it returns or is cancelled; an exception is told to `on_crash`, and after a rest `work()` is called again.

    What `on_crash` itself raises passes through: it ends the owner, and the process with it. Run it by `Crew.supervise`, which names and
    owns the task; await it directly where the caller is such a task already.
    """
    backoff = backoff or Backoff()
    seconds = asyncio.get_running_loop().time
    crashes = 0
    while True:
        began = seconds()
        try:
            await work()
        except Exception as error:  # boundary: a worker's fault must not end the others; it is told, counted and the worker restarted
            crashes = 1 if seconds() - began >= backoff.healthy.total_seconds() else crashes + 1
            rest = backoff.rest(crashes)
            on_crash(Crash(name, error, crashes, rest))
            await sleep(rest.total_seconds())
        else:
            return


class Crew:
    """Owner of long-lived tasks: `async with Crew() as crew`. Leaving the block stops them one by one, the last started first.

    A `TaskGroup` underneath: what a task raises cancels the block and the other tasks, and comes out as an ExceptionGroup. What the
    block alone raises comes out as it is.
    """

    def __init__(self) -> None:
        self._group = asyncio.TaskGroup()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            await self.stop()
        finally:
            try:
                await self._group.__aexit__(kind, error, trace)
            except BaseExceptionGroup as group:
                if group.exceptions != (error,):
                    raise

    def supervise(
        self, name: str, work: Work, *, on_crash: Callable[[Crash], None], backoff: Backoff | None = None, sleep: Sleep = asyncio.sleep
    ) -> asyncio.Task[None]:
        """Starts `work()` under `supervise`."""
        return self.start(name, supervise(name, work, on_crash=on_crash, backoff=backoff, sleep=sleep))

    def start(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Starts a coroutine whose exception ends the whole crew."""
        task = self._group.create_task(work, name=name)
        self._tasks.append(task)
        return task

    async def stop(self) -> None:
        """Cancels and awaits every task, the last started first. Harmless when called twice."""
        try:
            for task in reversed(self._tasks):
                task.cancel()
                await asyncio.wait({task})
        finally:  # cut short by our own cancellation: then all at once
            for task in self._tasks:
                task.cancel()


async def finish_despite_cancel(awaitable: Awaitable[T]) -> T:
    """Awaits to the end, and only then passes on a cancellation that came in between: for an outcome that must be written down.

    The cancellation wins over the result; an exception of the awaitable becomes its cause. The awaitable needs a time limit of its own:
    until it ends, its caller cannot be stopped.
    """
    task = asyncio.ensure_future(awaitable)
    cut: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as cancellation:
            cut = cancellation
    if cut is None:
        return task.result()
    raise cut from (None if task.cancelled() else task.exception())
