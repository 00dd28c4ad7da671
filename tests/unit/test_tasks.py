"""Tasks are owned, restarted and stopped in order; outcomes survive a cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, NoReturn, TypeVar

import pytest

from receiver.tasks import Backoff, Crash, Crew, finish_despite_cancel, supervise

T = TypeVar("T")

SECOND = timedelta(seconds=1)
BACKOFF = Backoff(first=SECOND, ceiling=4 * SECOND, healthy=timedelta(minutes=1))


class Worker:
    """Fails the given number of times, then ends."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.runs = 0
        self.rests: list[float] = []
        self.crashes: list[Crash] = []

    async def __call__(self) -> None:
        self.runs += 1
        if self.runs <= self.failures:
            raise ValueError(f"run {self.runs}")

    async def sleep(self, seconds: float) -> None:
        self.rests.append(seconds)

    async def supervised(self) -> None:
        await supervise("worker", self, on_crash=self.crashes.append, backoff=BACKOFF, sleep=self.sleep)


async def test_a_worker_that_ends_is_not_started_again() -> None:
    worker = Worker(failures=0)
    await worker.supervised()
    assert (worker.runs, worker.crashes) == (1, [])


async def test_a_crashed_worker_is_told_and_started_again_after_a_growing_rest() -> None:
    worker = Worker(failures=4)
    await worker.supervised()
    assert worker.runs == 5
    assert worker.rests == [1, 2, 4, 4]
    assert [(crash.name, str(crash.error), crash.crashes) for crash in worker.crashes[:2]] == [
        ("worker", "run 1", 1),
        ("worker", "run 2", 2),
    ]


async def test_a_long_run_forgets_earlier_crashes() -> None:
    worker = Worker(failures=3)
    always_healthy = Backoff(first=SECOND, ceiling=4 * SECOND, healthy=timedelta(0))
    await supervise("worker", worker, on_crash=worker.crashes.append, backoff=always_healthy, sleep=worker.sleep)
    assert worker.rests == [1, 1, 1]


def test_the_rest_is_bounded_however_often_it_crashes() -> None:
    assert [BACKOFF.rest(crashes) for crashes in (1, 2, 3, 10_000)] == [SECOND, 2 * SECOND, 4 * SECOND, 4 * SECOND]


async def test_what_the_crash_handler_raises_is_not_swallowed() -> None:
    def refuse(crash: Crash) -> NoReturn:
        raise RuntimeError("cannot count")

    with pytest.raises(RuntimeError, match="cannot count"):
        await supervise("worker", Worker(failures=1), on_crash=refuse)


async def test_a_cancelled_worker_is_not_a_crash() -> None:
    crashes: list[Crash] = []
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await supervise("worker", _forever, on_crash=crashes.append)
    assert crashes == []


async def test_a_crew_stops_the_last_started_first() -> None:
    stopped: list[str] = []
    async with Crew() as crew:
        for name in ("store", "engine", "door"):
            crew.supervise(name, _until_cancelled(name, stopped), on_crash=_unexpected)
        await asyncio.sleep(0)
    assert stopped == ["door", "engine", "store"]


async def test_every_task_of_a_crew_has_a_name() -> None:
    async with Crew() as crew:
        assert crew.supervise("agenda", _forever, on_crash=_unexpected).get_name() == "agenda"


async def test_a_task_that_may_not_fail_ends_the_crew() -> None:
    stopped: list[str] = []
    with pytest.raises(ExceptionGroup) as raised:
        async with Crew() as crew:
            crew.supervise("engine", _until_cancelled("engine", stopped), on_crash=_unexpected)
            crew.start("heart", Worker(failures=1)())
            await asyncio.Event().wait()
    assert raised.group_contains(ValueError)
    assert stopped == ["engine"]


async def test_an_error_in_the_block_stops_the_crew_and_comes_out() -> None:
    stopped: list[str] = []
    with pytest.raises(KeyError, match="wiring"):
        async with Crew() as crew:
            crew.supervise("engine", _until_cancelled("engine", stopped), on_crash=_unexpected)
            await asyncio.sleep(0)
            raise KeyError("wiring")
    assert stopped == ["engine"]


async def test_an_error_in_the_block_beside_one_of_a_task_comes_out_with_it() -> None:
    async def dies_late() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("heart")

    with pytest.raises(ExceptionGroup) as raised:
        async with Crew() as crew:
            crew.start("heart", dies_late())
            await asyncio.sleep(0)
            raise KeyError("wiring")
    assert raised.group_contains(KeyError)
    assert raised.group_contains(ValueError)


async def test_a_crew_cut_short_while_stopping_still_stops_everybody() -> None:
    stopped: list[str] = []

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            async with Crew() as crew:
                crew.start("first", _until_cancelled("first", stopped)())
                crew.start("stubborn", stubborn())
                await asyncio.sleep(0)
    assert stopped == ["first"]


async def test_without_a_cancellation_the_result_comes_back() -> None:
    assert await finish_despite_cancel(_after_turns(3, lambda: "saved")) == "saved"


async def test_without_a_cancellation_the_error_comes_back() -> None:
    with pytest.raises(ValueError, match="disk"):
        await finish_despite_cancel(_after_turns(3, _disk_is_full))


@pytest.mark.parametrize("cancellations", [1, 2, 5])
async def test_what_was_begun_is_finished_and_then_the_cancellation_passes(cancellations: int) -> None:
    saved: list[str] = []
    task = asyncio.create_task(finish_despite_cancel(_after_turns(20, lambda: saved.append("outcome"))), name="cut")
    for _ in range(cancellations):
        await asyncio.sleep(0)
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert saved == ["outcome"]


async def test_a_failure_behind_a_cancellation_is_its_cause() -> None:
    task = asyncio.create_task(finish_despite_cancel(_after_turns(5, _disk_is_full)), name="cut")
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as raised:
        await task
    assert isinstance(raised.value.__cause__, ValueError)


async def test_a_time_limit_around_it_is_still_a_time_limit() -> None:
    saved: list[str] = []
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await finish_despite_cancel(_after_turns(5, lambda: saved.append("outcome")))
    assert saved == ["outcome"]


async def _forever() -> None:
    await asyncio.Event().wait()


def _until_cancelled(name: str, stopped: list[str]) -> Callable[[], Coroutine[Any, Any, None]]:
    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append(name)

    return work


async def _after_turns(turns: int, end: Callable[[], T]) -> T:
    for _ in range(turns):
        await asyncio.sleep(0)
    return end()


def _disk_is_full() -> str:
    raise ValueError("disk is full")


def _unexpected(crash: Crash) -> NoReturn:
    raise AssertionError(f"unexpected crash: {crash}")
