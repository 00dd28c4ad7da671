"""The room of a door: what counts, whose share ends where, what small bodies have of their own, and when it is told."""

from __future__ import annotations

from datetime import timedelta

from receiver.ingest.room import FULL_AFTER, FULL_GAP, SHARE, Fullness, Room
from receiver.ports import OwnTrouble, TroubleKind
from tests.fakes.clock import FakeClock

FRIEND = ""
STRANGER, ANOTHER = "192.0.2.1", "192.0.2.2"


def room(*, most: int = 800, body: int = 100, reserve: int = 80, small: int = 10) -> Room:
    return Room(most=most, body=body, reserve=reserve, small=small)


def test_a_friend_may_hold_all_of_it() -> None:
    held = room().held(FRIEND)
    assert held.upto(800)
    assert not held.upto(801)


def test_one_stranger_holds_a_share_and_another_one_has_his_own() -> None:
    own = room(small=0)
    first, second = own.held(STRANGER), own.held(STRANGER)
    assert first.upto(800 // SHARE - 20)
    assert not second.upto(21)
    assert second.upto(20)
    assert own.held(ANOTHER).upto(100)
    assert own.held(FRIEND).upto(600)


def test_one_body_of_a_stranger_always_fits() -> None:
    assert room(most=100).held(STRANGER).upto(100)


def test_who_is_proven_leaves_his_share() -> None:
    own = room(small=0)
    held = own.held(STRANGER)
    assert held.upto(100)
    held.proven()
    assert held.upto(200)
    assert own.held(STRANGER).upto(100)


def test_all_is_given_back_once() -> None:
    own = room(small=10)
    for peer, proven in ((STRANGER, False), (STRANGER, True), (FRIEND, False), (FRIEND, True)):
        with own.held(peer) as held:
            assert held.upto(5)
            assert held.upto(90)
            if proven:
                held.proven()
        assert own.held(STRANGER).upto(0)
        with own.held(FRIEND) as whole, own.held(STRANGER) as small:
            assert whole.upto(800)
            assert small.upto(10)


def test_a_small_body_finds_room_where_the_rest_is_full() -> None:
    own = room()
    assert own.held(FRIEND).upto(800)
    assert [own.held(FRIEND).upto(10) for _ in range(9)] == [True] * 8 + [False]
    assert not own.held(FRIEND).upto(11)


def test_a_stranger_cannot_use_up_the_reserve_either() -> None:
    own = room()
    assert own.held(FRIEND).upto(800)
    assert [own.held(STRANGER).upto(10) for _ in range(2)] == [True, False]
    assert own.held(ANOTHER).upto(10)


def test_a_body_that_outgrows_the_reserve_leaves_it() -> None:
    own = room()
    with own.held(FRIEND) as held:
        with own.held(FRIEND) as full:
            assert full.upto(795)
            assert held.upto(9)  # of the reserve
            assert not held.upto(11)
        assert held.upto(11)
        with own.held(FRIEND) as rest:
            assert rest.upto(789)
            assert [own.held(FRIEND).upto(10) for _ in range(8)] == [True] * 8


class Watched:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.told: list[OwnTrouble] = []
        self.watch = Fullness("grafana", clock=self.clock, report=self.told.append)
        self.watch.stored()
        self.told.clear()

    def refused_after(self, *gaps: timedelta) -> list[bool]:
        for each in gaps:
            self.clock.advance(each)
            self.watch.refused()
        return [each.over for each in self.told]


NOTHING = timedelta(0)


def test_a_door_that_stays_full_is_told() -> None:
    watched = Watched()
    assert watched.refused_after(NOTHING, FULL_AFTER / 2) == []
    assert watched.refused_after(FULL_AFTER / 2) == [False]
    assert (watched.told[0].kind, watched.told[0].subject) == (TroubleKind.door_full, "grafana")


def test_a_moment_is_not_told() -> None:
    assert Watched().refused_after(NOTHING, FULL_GAP + timedelta(seconds=1), FULL_AFTER / 2) == []


def test_it_is_over_when_something_came_in_and_nothing_was_refused_for_a_while() -> None:
    watched = Watched()
    watched.refused_after(NOTHING, FULL_AFTER)
    watched.watch.stored()
    assert [each.over for each in watched.told] == [False]
    watched.clock.advance(FULL_GAP + timedelta(seconds=1))
    for _ in range(2):
        watched.watch.stored()
    assert [each.over for each in watched.told] == [False, True]


def test_the_first_delivery_of_a_process_ends_what_the_one_before_it_told() -> None:
    told: list[OwnTrouble] = []
    Fullness("grafana", clock=FakeClock(), report=told.append).stored()
    assert [each.over for each in told] == [True]
