"""Every order of events of two receivers on one incident, as far as they can differ: crashes, lost answers, late landings, lost leases.

`decide` is the production function; around it stands a small model of the store (sequence, version, one open attempt a target) and of an
API server that tests the version a patch was bound to. Both receivers may work at once: a lost lease needs no event of its own. The walk
is breadth first over distinct states; three broken variants show that it would notice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum

import pytest

from receiver.core.case import Attempt, AttemptState, Case, Close, Judge, Page, Permit, Raise, Remediate, Wait
from receiver.core.facts import Facts, Look
from receiver.core.plan import decide
from receiver.core.verify import reported
from tests.fakes import cases as c

LANDS_WITHIN = 60
"""Seconds: the API server's own limit of a request."""
TICKS = (0, 15, 165)
"""Moments, in seconds: while a request may land late, and past every late landing and the next look."""
CRASHES = 1
MOST_STATES = 60_000
"""A guard: the walk ends by itself, and a test holds it to that."""


class Broken(Enum):
    """What is wrong on purpose."""

    nothing = "nothing"
    intent_after_effect = "intent after effect"
    store_checks_nothing = "the store takes every intent"
    unknown_is_rejected = "an unknown outcome counts as not applied"


class Phase(Enum):
    idle = "idle"
    decided = "decided"
    begun = "begun"
    waiting = "waiting"


@dataclass(frozen=True)
class Request:
    """On its way to the API server."""

    attempt: str
    version: str
    sent: int
    by: int


@dataclass(frozen=True)
class Server:
    version: int = 100
    effects: tuple[str, ...] = ()
    foreign: bool = False


@dataclass(frozen=True)
class Receiver:
    phase: Phase = Phase.idle
    permit: Permit | None = None
    seen: int = 0
    crashes: int = 0

    @property
    def key(self) -> tuple[object, ...]:
        return (self.phase, self.permit.attempt_id if self.permit else "", self.permit.seen if self.permit else 0, self.seen, self.crashes)


@dataclass(frozen=True)
class State:
    tick: int = 0
    server: Server = Server()
    attempts: tuple[Attempt, ...] = ()
    looks: tuple[tuple[int, int], ...] = ()
    """(tick, version) of the last two."""
    raises: tuple[Raise, ...] = ()
    sequence: int = 0
    open: bool = True
    receivers: tuple[Receiver, Receiver] = (Receiver(), Receiver())
    flying: tuple[Request, ...] = ()
    marks: tuple[tuple[int, tuple[str, ...]], ...] = field(default=())

    @property
    def now(self) -> datetime:
        return c.T0 + c.seconds(TICKS[self.tick])

    @property
    def key(self) -> tuple[object, ...]:
        attempts = tuple((each.id, each.state, each.verdict) for each in self.attempts)
        receivers = tuple(each.key for each in self.receivers)
        return (self.tick, self.server, attempts, self.looks, len(self.raises), self.open, receivers, self.flying)

    def case(self) -> Case:
        return c.case(
            attempts=self.attempts,
            facts=tuple(self._facts(tick, version) for tick, version in self.looks),
            raises=self.raises,
            seen=self.sequence,
            incident=c.incident(open=self.open),
            policy=c.policy(bounds=c.loose()),
        )

    def _facts(self, tick: int, version: int) -> Facts:
        """As the object was at that version: every change of it moves the version by one, ours leave their mark."""
        marks = self.server.effects[: max(0, version - 100 - int(self.server.foreign and version > 100))]
        load = c.workload(resource_version=str(version), generation=version - 95, marks=marks)
        return replace(c.facts(TICKS[tick]), workload=load)


def begun(permit: Permit, state: State) -> Attempt:
    return Attempt.begun(permit, AttemptState.intent, state.now)


def put(state: State, index: int, receiver: Receiver, **changes: object) -> State:
    one, two = state.receivers
    return replace(state, receivers=(receiver, two) if index == 0 else (one, receiver), **changes)  # type: ignore[arg-type]


def changed(state: State, attempt: Attempt) -> tuple[Attempt, ...]:
    return tuple(attempt if each.id == attempt.id else each for each in state.attempts)


def events(state: State, broken: Broken) -> Iterator[tuple[str, State]]:
    """Whatever may happen next."""
    for index, receiver in enumerate(state.receivers):
        yield from _of_receiver(state, index, receiver, broken)
        if receiver.phase is not Phase.idle and sum(each.crashes for each in state.receivers) < CRASHES:
            yield f"{index} dies", put(state, index, Receiver(crashes=receiver.crashes + 1))
    for request in state.flying:
        yield from _landing(state, request)
    if not state.server.foreign:
        yield "somebody else changes it", replace(state, server=replace(state.server, version=state.server.version + 1, foreign=True))
    if state.tick + 1 < len(TICKS):
        later = TICKS[state.tick + 1]
        still = tuple(each for each in state.flying if later - TICKS[each.sent] <= LANDS_WITHIN)
        yield "time passes", replace(state, tick=state.tick + 1, flying=still)


def _of_receiver(state: State, index: int, receiver: Receiver, broken: Broken) -> Iterator[tuple[str, State]]:
    permit = receiver.permit
    if receiver.phase is Phase.idle:
        yield from _turn(state, index, receiver, broken)
    elif receiver.phase is Phase.decided and permit is not None:
        if broken is Broken.intent_after_effect:
            yield f"{index} sends", _sent(put(state, index, replace(receiver, phase=Phase.begun)), index, permit)
            return
        yield f"{index} begins", _begin(state, index, receiver, permit, broken)
    elif receiver.phase is Phase.begun and permit is not None:
        if broken is Broken.intent_after_effect:
            yield f"{index} begins", _begin(state, index, receiver, permit, broken)
            return
        yield f"{index} sends", _sent(put(state, index, replace(receiver, phase=Phase.waiting)), index, permit)
    elif receiver.phase is Phase.waiting and permit is not None:
        yield f"{index} waits no longer", _recorded(state, index, AttemptState.unknown)


def _turn(state: State, index: int, receiver: Receiver, broken: Broken) -> Iterator[tuple[str, State]]:
    """One turn of the responder: what it decides is done at once, but for an action."""
    step = decide(state.case(), state.now).step
    match step:
        case Look():
            looks = (*state.looks, (state.tick, state.server.version))[-2:]
            yield f"{index} looks", replace(state, looks=looks)
        case Judge(attempt):
            if broken is Broken.unknown_is_rejected and attempt.state is AttemptState.unknown:
                attempt = replace(attempt, state=AttemptState.rejected)
            yield f"{index} judges {attempt.state}", replace(state, attempts=changed(state, attempt), sequence=state.sequence + 1)
        case Page(raised):
            taken = replace(raised, accepted_at=state.now)
            yield f"{index} pages", replace(state, raises=(*state.raises, taken))
        case Close():
            yield f"{index} closes", replace(state, open=False)
        case Remediate(permit):
            yield f"{index} decides", put(state, index, replace(receiver, phase=Phase.decided, permit=permit))
        case Wait(until):
            assert until is not None or state.raises or not state.open, "rests, unpaged and without a date"


def _begin(state: State, index: int, receiver: Receiver, permit: Permit, broken: Broken) -> State:
    """As `begin_attempt`: on the sequence that was decided on, in time, and with no other open attempt on the target."""
    refused = permit.seen != state.sequence or permit.expires_at <= state.now or any(each.open for each in state.attempts)
    if refused and broken is not Broken.store_checks_nothing:
        return put(state, index, replace(receiver, phase=Phase.idle, permit=None))
    ids = {each.id for each in state.attempts}
    permit = permit if permit.attempt_id not in ids else replace(permit, attempt_id=f"{permit.attempt_id}.{len(ids)}")
    after = Phase.waiting if broken is Broken.intent_after_effect else Phase.begun
    return put(
        state,
        index,
        replace(receiver, phase=after, permit=permit),
        attempts=(*state.attempts, begun(permit, state)),
        sequence=state.sequence + 1,
    )


def _sent(state: State, index: int, permit: Permit) -> State:
    request = Request(permit.attempt_id, permit.before.resource_version, state.tick, index)
    return replace(state, flying=(*state.flying, request))


def _landing(state: State, request: Request) -> Iterator[tuple[str, State]]:
    """The server takes it, or refuses it for the version that it was bound to; its answer comes through, or not."""
    left = tuple(each for each in state.flying if each != request)
    holds = request.version == str(state.server.version)
    server = state.server
    if holds:
        server = replace(server, version=server.version + 1, effects=(*server.effects, request.attempt))
    landed = replace(state, server=server, flying=left)
    told = "lands" if holds else "is refused"
    yield f"{request.by}'s request {told}, its answer is lost", landed
    receiver = landed.receivers[request.by]
    waits = receiver.phase is Phase.waiting and receiver.permit is not None and receiver.permit.attempt_id == request.attempt
    if waits:
        state_ = AttemptState.applied if holds else AttemptState.rejected
        yield f"{request.by}'s request {told}", _recorded(landed, request.by, state_)


def _recorded(state: State, index: int, outcome: AttemptState) -> State:
    receiver = state.receivers[index]
    assert receiver.permit is not None
    attempt = next(each for each in state.attempts if each.id == receiver.permit.attempt_id)
    done = reported(attempt, outcome, "", at=state.now)
    idle = replace(receiver, phase=Phase.idle, permit=None)
    return put(state, index, idle, attempts=changed(state, done), sequence=state.sequence + 1)


def wrong(state: State) -> str:
    """What must never be; empty: nothing."""
    known = {each.id for each in state.attempts}
    if any(each not in known for each in state.server.effects):
        return "an effect without an intent"
    if len(state.server.effects) > 1:
        return "the same action twice"
    if sum(each.open for each in state.attempts) > 1:
        return "two open attempts on one target"
    return ""


def explore(broken: Broken = Broken.nothing) -> tuple[int, str]:
    """(distinct states, the first fault with the way to it)."""
    start = State()
    known: dict[tuple[object, ...], tuple[tuple[object, ...] | None, str]] = {start.key: (None, "start")}
    waiting = deque([start])
    while waiting and len(known) < MOST_STATES:
        state = waiting.popleft()
        for said, following in events(state, broken):
            if following.key in known:
                continue
            known[following.key] = (state.key, said)
            if fault := wrong(following):
                return len(known), f"{fault}: {'; '.join(_way(known, following.key))}"
            waiting.append(following)
    return len(known), ""


def _way(known: dict[tuple[object, ...], tuple[tuple[object, ...] | None, str]], key: tuple[object, ...]) -> list[str]:
    steps: list[str] = []
    before: tuple[object, ...] | None = key
    while before is not None:
        before, said = known[before]
        steps.append(said)
    return steps[::-1]


def test_no_order_of_events_acts_twice_or_leaves_nobody_coming() -> None:
    states, fault = explore()
    assert not fault, fault
    assert 1_000 < states < MOST_STATES, f"{states} states: too small to say anything, or not walked to its end"


@pytest.mark.parametrize(
    "broken,fault",
    [
        (Broken.intent_after_effect, "an effect without an intent"),
        (Broken.store_checks_nothing, "two open attempts on one target"),
        (Broken.unknown_is_rejected, "the same action twice"),
    ],
)
def test_a_broken_variant_is_noticed(broken: Broken, fault: str) -> None:
    assert explore(broken)[1].startswith(fault)
