"""What every action keeps, whatever it does, on every kind that it acts on. Applied to each entry of `ACTIONS` by itself; a new one needs
a row in `Ground.permit`.

Subclass it beside a fixture `ground`: on the fake API server in the unit tests, on a real control plane in the e2e tests.
"""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import replace
from datetime import timedelta

import pytest
import structlog

from receiver.clients import kubernetes_objects as objects
from receiver.clients.kubernetes_health import CALLS
from receiver.core.case import Verb
from receiver.core.model import Mode
from receiver.ports import Outcome, OutcomeKind, Permission, StoreUnavailable
from receiver.remediate import KUBERNETES_ACTIONS as ACTIONS
from tests.kits.action_ground import NODE, Ground, Patient
from tests.real.apiproxy import Answer, Drop, Hold, Seen

QUICK = timedelta(milliseconds=700)
"""Time limit of a call that a test lets run out."""

APPLIED, REJECTED, UNKNOWN = OutcomeKind.applied, OutcomeKind.rejected, OutcomeKind.unknown

# Answer to the real call → what is known of it, and whether another permit may fare better.
ANSWERS = [
    (Answer(401, "Unauthorized"), REJECTED, False),
    (Answer(403, "Forbidden"), REJECTED, False),
    (Answer(404, "NotFound"), REJECTED, False),
    (Answer(409, "Conflict"), REJECTED, True),
    (Answer(422, "Invalid"), REJECTED, False),
    (Answer(429, "TooManyRequests", {"Retry-After": "7"}), REJECTED, True),
    (Answer(503, "ServiceUnavailable", {"Retry-After": "1"}), REJECTED, True),
    (Answer(503, "ServiceUnavailable"), UNKNOWN, False),
    (Answer(500, "InternalError"), UNKNOWN, False),
    (Answer(500, "ServerTimeout", {"Retry-After": "1"}), UNKNOWN, False),
    (Answer(502, "BadGateway"), UNKNOWN, False),
    (Answer(504, "Timeout"), UNKNOWN, False),
]


def real_call(seen: Seen) -> bool:
    return seen.mutates


def dry_call(seen: Seen) -> bool:
    return seen.dry_run


def a_write(seen: Seen) -> bool:
    return seen.method not in ("GET", "HEAD")


SHAPES = [(name, kind) for name, action in sorted(ACTIONS.items()) for kind in action.rights]
"""Each action on each kind that it acts on."""


@pytest.fixture(params=SHAPES, ids="-".join)
def shape(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Action and kind."""
    name, kind = request.param
    return name, kind


@pytest.fixture
def name(shape: tuple[str, str]) -> str:
    return shape[0]


def kind_of(request: pytest.FixtureRequest) -> str:
    """What the ground of the asking test must be: that of its shape, or of its class."""
    if "shape" in request.fixturenames:
        return str(request.getfixturevalue("shape")[1])
    return str(getattr(request.cls, "kind", "Deployment"))


class ActionKit:
    """The tests; `ground` comes from the subclass's module."""

    async def test_it_asks_by_a_dry_run_and_then_sends_the_same_once(self, ground: Ground, name: str) -> None:
        permit = await ground.permit(name)
        outcome = await ground.action(name).run(permit)
        assert outcome.kind is APPLIED, outcome
        writes = ground.proxy.matching(a_write)
        assert [seen.dry_run for seen in writes] == [True, False]
        assert _really(writes[0]) == _really(writes[1])
        assert all(seen.query["fieldValidation"] == "Strict" for seen in writes)

    async def test_its_attempt_can_be_read_back(self, ground: Ground, name: str) -> None:
        permit = await ground.permit(name)
        before = await ground.state(permit)
        await ground.action(name).run(permit)
        assert await ground.landed(permit)
        assert await ground.state(permit) != before

    async def test_a_dry_run_changes_nothing(self, ground: Ground, name: str) -> None:
        permit = await ground.permit(name)
        pods = [objects.resource_version(each) for each in await ground.pods()]
        ground.switch.refusal = "frozen by the test"
        await ground.action(name).run(permit)
        assert ground.proxy.matching(dry_call)
        assert objects.resource_version(await ground.target()) == permit.before.resource_version
        assert [objects.resource_version(each) for each in await ground.pods()] == pods

    async def test_a_repeat_of_the_same_permit_is_harmless(self, ground: Ground, name: str) -> None:
        permit = await ground.permit(name)
        action = ground.action(name)
        await action.run(permit)
        if ground.kind != NODE:
            await ground.settled()
        once, revisions = await ground.state(permit), len(await ground.revisions())
        again = await action.run(permit)
        assert again.kind is REJECTED
        assert await ground.state(permit) == once
        assert len(await ground.revisions()) == revisions

    async def test_it_leaves_alone_what_was_changed_since(self, ground: Ground, name: str) -> None:
        permit = await ground.permit(name)
        await ground.disturb(permit)
        before = await ground.state()
        outcome = await ground.action(name).run(permit)
        assert outcome.kind is REJECTED, outcome
        assert outcome.retryable is (permit.verb in (Verb.scale, Verb.restart, Verb.undo)), outcome
        assert await ground.state() == before

    async def test_it_leaves_alone_what_changes_while_it_asks(self, ground: Ground, name: str) -> None:
        permit = await ground.permit(name)
        hold = Hold()
        ground.proxy.before(real_call, hold)
        running = asyncio.create_task(ground.action(name).run(permit))
        await asyncio.wait_for(hold.reached.wait(), 5)
        await ground.disturb(permit)
        before = await ground.state()
        hold.release()
        assert (await running).kind is REJECTED
        assert await ground.state() == before

    async def test_it_never_touches_another_object_of_the_same_name(self, ground: Ground, name: str) -> None:
        permit = await ground.permit(name)
        other = replace(permit, target=replace(permit.target, uid="11111111-1111-4111-8111-111111111111"))
        before = await ground.state(permit)
        outcome = await ground.action(name).run(other)
        assert outcome.kind is REJECTED, outcome
        assert not ground.sent()
        assert await ground.state(permit) == before

    async def test_a_target_that_is_gone_is_a_rejection(self, ground: Ground, name: str) -> None:
        permit = await ground.permit(name)
        await ground.api.delete(ground.path)
        outcome = await ground.action(name).run(permit)
        assert outcome.kind is REJECTED, outcome
        assert not ground.sent()

    async def test_an_answer_says_what_is_known(self, ground: Ground, name: str) -> None:
        permit, action = await ground.permit(name), ground.action(name, health=Patient(clock=ground.clock))
        for tries, (answer, kind, retryable) in enumerate(ANSWERS, start=1):
            ground.proxy.before(real_call, answer)
            outcome = await action.run(permit)
            assert (outcome.kind, outcome.retryable) == (kind, retryable), (answer, outcome)
            assert str(answer.status) in outcome.detail
            assert len(ground.sent()) == tries

    async def test_whatever_befalls_the_dry_run_nothing_is_sent(self, ground: Ground, name: str) -> None:
        permit, action = await ground.permit(name), ground.action(name, health=Patient(clock=ground.clock))
        for effect in (Answer(403), Answer(409), Answer(422), Answer(500), Answer(503), Drop()):
            ground.proxy.before(dry_call, effect)
            outcome = await action.run(permit)
            assert outcome.kind is REJECTED, (effect, outcome)
        assert not ground.sent()

    async def test_a_dry_run_without_an_answer_is_a_rejection(self, ground: Ground, name: str) -> None:
        permit = await ground.permit(name)
        ground.proxy.before(dry_call, Hold())
        outcome = await ground.action(name, call_timeout=QUICK, timeout=QUICK).run(permit)
        assert outcome.kind is REJECTED, outcome
        assert not ground.sent()

    async def test_an_answer_that_is_swallowed_leaves_the_outcome_unknown(self, ground: Ground, name: str) -> None:
        permit = await ground.permit(name)
        ground.proxy.after(real_call, Drop())
        outcome = await ground.action(name).run(permit)
        assert outcome.kind is UNKNOWN, outcome
        assert len(ground.sent()) == 1
        assert await ground.landed(permit)

    async def test_a_connection_that_drops_while_sending_leaves_it_unknown(self, ground: Ground, name: str) -> None:
        permit = await ground.permit(name)
        ground.proxy.before(real_call, Drop())
        outcome = await ground.action(name).run(permit)
        assert outcome.kind is UNKNOWN, outcome
        assert len(ground.sent()) == 1

    async def test_a_call_without_an_answer_in_time_is_unknown_and_not_repeated(self, ground: Ground, name: str) -> None:
        permit = await ground.permit(name)
        ground.proxy.after(real_call, Hold())
        outcome = await ground.action(name, call_timeout=QUICK).run(permit)
        assert outcome.kind is UNKNOWN, outcome
        assert len(ground.sent()) == 1

    async def test_an_answer_that_is_no_object_is_unknown(self, ground: Ground, name: str) -> None:
        permit = await ground.permit(name)
        ground.proxy.after(real_call, Answer(200))
        outcome = await ground.action(name).run(permit)
        assert outcome.kind is UNKNOWN, outcome

    async def test_a_server_that_is_not_there_is_a_rejection(self, ground: Ground, name: str) -> None:
        permit = await ground.permit(name)
        await ground.proxy.stop()
        outcome = await ground.action(name).run(permit)
        assert (outcome.kind, outcome.retryable) == (REJECTED, True), outcome

    async def test_the_kill_switch_stops_it_even_after_the_dry_run(self, ground: Ground, name: str) -> None:
        permit = await ground.permit(name)
        ground.switch.refusal = "frozen by the test"
        outcome = await ground.action(name).run(permit)
        assert outcome.kind is REJECTED, outcome
        assert "frozen by the test" in outcome.detail
        assert not ground.sent()

    async def test_a_kill_switch_that_cannot_be_read_stops_it(self, ground: Ground, name: str) -> None:
        def unreadable() -> None:
            raise StoreUnavailable("locked")

        permit = await ground.permit(name)
        ground.switch.asked = unreadable
        outcome = await ground.action(name).run(permit)
        assert outcome.kind is REJECTED, outcome
        assert not ground.sent()

    async def test_a_permit_that_has_ended_sends_nothing_at_all(self, ground: Ground, name: str) -> None:
        permit = await ground.permit(name)
        ground.clock.ahead = timedelta(seconds=31)
        outcome = await ground.action(name).run(permit)
        assert outcome.kind is REJECTED, outcome
        assert not ground.proxy.requests

    async def test_a_permit_that_ends_during_the_dry_run_is_not_used(self, ground: Ground, name: str) -> None:
        permit = await ground.permit(name)
        ground.switch.asked = lambda: setattr(ground.clock, "ahead", timedelta(seconds=31))
        outcome = await ground.action(name).run(permit)
        assert outcome.kind is REJECTED, outcome
        assert not ground.sent()

    async def test_a_permit_for_something_else_sends_nothing_at_all(self, ground: Ground, name: str) -> None:
        permit = await ground.permit(name)
        ref = permit.target.ref
        others = [
            replace(permit, action="kubernetes.other"),
            replace(permit, mode=Mode.approve),
            replace(permit, attempt_id=""),
            replace(permit, target=replace(permit.target, ref=replace(ref, kind="ReplicaSet"))),
            replace(permit, target=replace(permit.target, ref=replace(ref, platform="ecs"))),
        ]
        for other in others:
            assert (await ground.action(name).run(other)).kind is REJECTED
        assert not ground.proxy.requests

    async def test_a_namespace_off_the_list_is_never_written_to(self, ground: Ground, name: str) -> None:
        permit = await ground.permit(name)
        action = ground.action(name, namespaces=frozenset({ground.namespace, "kube-system"}))
        for other in ("elsewhere", "kube-system", "../../secrets", *(("",) if ground.kind != NODE else ())):
            elsewhere = replace(permit, target=replace(permit.target, ref=replace(permit.target.ref, namespace=other)))
            outcome = await action.run(elsewhere)
            assert outcome.kind is REJECTED, (other, outcome)
        assert not ground.proxy.matching(a_write)

    async def test_while_the_api_server_is_unwell_nothing_is_changed(self, ground: Ground, name: str) -> None:
        permit, action = await ground.permit(name), ground.action(name)
        for each in range(CALLS):
            action._kubernetes._health.note(seconds=0.1, failed=each < 3)
        outcome = await action.run(permit)
        assert (outcome.kind, outcome.retryable) == (REJECTED, True), outcome
        assert "not well" in outcome.detail
        assert not ground.proxy.matching(a_write)

    async def test_cancelled_in_flight_it_ends_and_sends_nothing_again(self, ground: Ground, name: str) -> None:
        permit = await ground.permit(name)
        hold = Hold()
        ground.proxy.before(real_call, hold)
        with structlog.testing.capture_logs() as lines:
            running = asyncio.create_task(ground.action(name).run(permit))
            await asyncio.wait_for(hold.reached.wait(), 5)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
        assert len(ground.sent()) == 1
        assert lines[-1]["outcome"] == "cancelled"

    async def test_it_may_do_exactly_what_it_declares(self, ground: Ground, name: str) -> None:
        declared = ACTIONS[name].rights[ground.kind]
        permit = await ground.permit(name)
        limited = ACTIONS[name](ground.client(await ground.tokens(declared)), clock=ground.clock)
        outcome = await limited.run(permit)
        assert outcome.kind is APPLIED, outcome
        assert {_right(seen) for seen in ground.proxy.requests} == _rights(declared)

    async def test_without_its_rights_it_changes_nothing(self, ground: Ground, name: str) -> None:
        permit = await ground.permit(name)
        powerless = ACTIONS[name](ground.client(await ground.tokens(())), clock=ground.clock)
        outcome = await powerless.run(permit)
        assert (outcome.kind, outcome.retryable) == (REJECTED, False), outcome
        assert "403" in outcome.detail

    async def test_every_change_leaves_an_audit_line(self, ground: Ground, name: str) -> None:
        permit = await ground.permit(name)
        with structlog.testing.capture_logs() as lines:
            await ground.action(name).run(permit)
        assert [(each["dry_run"], each["outcome"]) for each in lines] == [(True, "applied"), (False, "applied")]
        assert all(permit.attempt_id in each["field_manager"] for each in lines)

    async def test_no_secret_gets_into_outcomes_or_logs(self, ground: Ground, name: str, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        secret = await ground.tokens(())
        outcomes: list[Outcome] = []
        with structlog.testing.capture_logs() as lines:
            for effect in (Answer(403), Answer(500), Drop()):
                fault = ground.proxy.before(lambda seen: True, effect, times=None)
                action = ACTIONS[name](ground.client(secret), clock=ground.clock)
                outcomes.append(await action.run(await ground.permit(name)))
                ground.proxy.clear()
                assert fault.fired
        told = json.dumps([each.detail for each in outcomes]) + json.dumps(lines, default=str) + caplog.text
        assert secret not in told


def _right(seen: Seen) -> tuple[str, str, str]:
    """Group, resource and verb of a request on one named object."""
    _, api, *rest = seen.path.split("/")
    group, _, *rest = rest if api == "apis" else ("", *rest)
    if rest[0] == "namespaces":
        rest = rest[2:]
    plural, _, *subresource = rest
    verb = {"GET": "get", "PATCH": "patch", "POST": "create"}[seen.method]
    return group, "/".join([plural, *subresource]), verb


def _rights(permissions: tuple[Permission, ...]) -> set[tuple[str, str, str]]:
    return {(each.group, each.resource, verb) for each in permissions for verb in each.verbs}


def _really(seen: Seen) -> object:
    """Its body, but for the word that makes it a dry run."""
    if seen.method == "POST":
        return seen.json | {"deleteOptions": seen.json["deleteOptions"] | {"dryRun": None}}
    return seen.json
