"""The short way from intake to folder, and its bounds."""

from __future__ import annotations

import pytest

from receiver.engine.handover import Handover
from tests.fakes.clock import START
from tests.fakes.folding_ground import POD, body, delivery, said

ONE = delivery(body(said(POD)), at=START)
FOUR = delivery(body(*(said({**POD, "pod": f"web-{n}"}) for n in range(4))), at=START)


def _ids(handover: Handover) -> list[int]:
    return [id_ for id_, _ in handover.take(deliveries=100, alerts=100)]


@pytest.mark.parametrize("limits", [{"max_alerts": 2}, {"max_bytes": 2 * len(ONE.body)}])
def test_what_does_not_fit_is_missed_and_so_is_all_that_follows_it(limits: dict[str, int]) -> None:
    handover = Handover(**limits)
    for id_ in range(1, 4):
        handover.put(id_, ONE)
    assert _ids(handover) == [1, 2]
    handover.put(4, ONE)  # there is room again, and yet it comes after what was missed
    assert (_ids(handover), handover.missed, handover.backlog) == ([], True, 4)


def test_one_delivery_always_fits_however_large() -> None:
    handover = Handover(max_alerts=1, max_bytes=1)
    handover.put(1, FOUR)
    assert (_ids(handover), handover.missed) == ([1], False)


@pytest.mark.parametrize("deliveries,alerts,taken", [(2, 100, [1, 2]), (100, 8, [1, 2]), (100, 7, [1]), (100, 1, [1])])
def test_a_batch_is_bounded_and_never_empty(deliveries: int, alerts: int, taken: list[int]) -> None:
    handover = Handover()
    for id_ in range(1, 4):
        handover.put(id_, FOUR)
    assert [id_ for id_, _ in handover.take(deliveries=deliveries, alerts=alerts)] == taken


def test_what_was_taken_makes_room() -> None:
    handover = Handover(max_alerts=4)
    for id_ in range(1, 9):
        handover.put(id_, ONE)
        assert _ids(handover) == [id_]
    assert not handover.missed


async def test_a_wait_ends_at_once_when_something_is_there_or_was_missed() -> None:
    handover = Handover(max_alerts=1)
    handover.put(1, ONE)
    await handover.wait()
    handover.forget()
    await handover.wait()
