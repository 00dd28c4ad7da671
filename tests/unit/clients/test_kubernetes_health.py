"""Is the API server well? The three limits, what counts against it, and when it is forgotten."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from receiver.clients.kubernetes_health import ApiHealth
from tests.fakes.clock import START, FakeClock

SECOND = timedelta(seconds=1)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def health(clock: FakeClock) -> ApiHealth:
    return ApiHealth(clock=clock)


def feed(health: ApiHealth, *, good: int = 0, failed: int = 0, seconds: float = 0.1) -> None:
    for count, bad in ((good, False), (failed, True)):
        for _ in range(count):
            health.note(seconds=seconds, failed=bad)


@pytest.mark.parametrize(
    "good,failed,said",
    [
        (0, 0, ""),
        (0, 9, ""),
        (8, 2, ""),
        (7, 3, "3 of its last 10 calls failed"),
        (80, 20, ""),
        (79, 21, "21 of its last 100 calls failed"),
    ],
)
def test_more_than_a_fifth_of_ten_calls_or_more_is_unwell(health: ApiHealth, good: int, failed: int, said: str) -> None:
    feed(health, good=good, failed=failed)
    assert health.health() == said


def test_a_minute_later_it_is_forgotten(health: ApiHealth, clock: FakeClock) -> None:
    feed(health, failed=10)
    clock.advance(60 * SECOND)
    assert health.health()
    clock.advance(SECOND)
    assert health.health() == ""


@pytest.mark.parametrize("slow,unwell", [(1, False), (2, True)])
def test_one_slow_call_in_twenty_is_the_limit(health: ApiHealth, slow: int, unwell: bool) -> None:
    feed(health, good=20 - slow)
    feed(health, good=slow, seconds=2.1)
    assert bool(health.health()) is unwell


def test_two_seconds_are_still_well(health: ApiHealth) -> None:
    feed(health, good=20, seconds=2.0)
    assert health.health() == ""


@pytest.mark.parametrize("few", [1, 9])
def test_a_few_slow_calls_say_nothing(health: ApiHealth, few: int) -> None:
    feed(health, good=few, seconds=9)
    assert health.health() == ""


@pytest.mark.parametrize("apart,unwell", [(0, False), (5, False), (7, True), (-5, False), (-7, True), (86_400, True)])
def test_five_seconds_between_the_clocks_are_the_limit(health: ApiHealth, apart: int, unwell: bool) -> None:
    health.note_date(format_datetime(START + apart * SECOND, usegmt=True), sent_at=START, received_at=START + 0.2 * SECOND)
    assert ("clock" in health.health()) is unwell


def test_the_time_that_a_call_takes_is_no_skew(health: ApiHealth) -> None:
    health.note_date(format_datetime(START + 9 * SECOND, usegmt=True), sent_at=START, received_at=START + 10 * SECOND)
    assert health.health() == ""


def test_a_clock_that_was_put_right_is_well_and_an_old_reading_is_forgotten(health: ApiHealth, clock: FakeClock) -> None:
    wrong = format_datetime(START + timedelta(hours=1), usegmt=True)
    health.note_date(wrong, sent_at=START, received_at=START)
    health.note_date(format_datetime(START, usegmt=True), sent_at=START, received_at=START)
    assert health.health() == ""
    health.note_date(wrong, sent_at=START, received_at=START)
    clock.advance(61 * SECOND)
    assert health.health() == ""


@pytest.mark.parametrize("header", ["", "now", "2026-11-20T12:00:00Z", "Fri, 99 Nov 2026 99:99:99 GMT", "\x00", "9" * 400])
def test_a_date_that_is_none_is_passed_over(health: ApiHealth, header: str) -> None:
    health.note_date(header, sent_at=START, received_at=START)
    assert health.health() == ""


def test_a_date_without_a_zone_is_in_utc(health: ApiHealth) -> None:
    health.note_date("Fri, 20 Nov 2026 12:00:00 -0000", sent_at=START, received_at=START)
    assert health.health() == ""
    assert datetime(2026, 11, 20, 12, tzinfo=UTC) == START
