"""From an alarm to the end of it, over a real store, our own ECS server and everything between: in virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from receiver.core.case import Attempt, AttemptState, Because, Case, Decision, Raise, Verdict
from receiver.core.facts import Evidence
from receiver.core.model import AlertRecord, Incident, Mode, Remediation, Rule, Symptom, Verification
from receiver.core.plan import decide
from receiver.core.wording import suggest
from receiver.engine.responder import Responder
from receiver.observe import LookRunner
from receiver.remediate import ACTIONS, wire
from tests.fakes import cases as c
from tests.fakes.ecs_server import Fault
from tests.fakes.ecs_world import REGION
from tests.fakes.response_ground import ResponseGround, response_ground
from tests.kits.ecs_ground import BACK, CLUSTER, COUNT, DEPLOY, NAME, EcsGround, credentials, serving

PLACE = frozenset({f"ecs/{CLUSTER}"})
LABELS = {
    "alertname": "web-tasks-low",
    "dimension_ClusterName": CLUSTER,
    "dimension_ServiceName": NAME,
    "account_id": "111122223333",
    "region": REGION,
}
GROUP = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/web/0123456789abcdef"


class NoEvidence:
    """Nothing is collected."""

    async def early(self, case: Case, raised: Raise) -> Sequence[Evidence]:
        return ()

    def paged(self, case: Case, decision: Decision, raised: Raise, told: Sequence[Evidence]) -> None:
        return


class Road:
    """One incident about the service, and the time that passes for both sides of it."""

    def __init__(self, ground: ResponseGround, ecs: EcsGround, incident: Incident) -> None:
        self.ground, self.ecs, self.incident = ground, ecs, incident
        self.moves: list[Callable[[], None]] = []
        """What the world does beside ECS, at each tick."""
        self.over: Callable[[], bool] = lambda: False
        """The alarm is, from the first tick on at which this holds."""
        self._told = False

    async def on(self, minutes: float) -> None:
        """So long, ECS one tick every quarter of a minute."""
        end = self.ground.clock.now() + timedelta(minutes=minutes)
        while self.ground.clock.now() < end:
            await self.ground.responder.advance(self.incident.id)
            self.ground.clock.advance(timedelta(seconds=15))
            self.ecs.world.tick()
            for each in self.moves:
                each()
            if self.over() and not self._told:
                self._told = True
                await self.resolve()
        await self.ground.responder.advance(self.incident.id)

    def heals(self, well: Callable[[], bool]) -> None:
        """From then on its targets are healthy, and the alarm is over."""
        self.moves.append(healed_by(self.ecs, well))
        self.over = well

    async def attempts(self) -> list[Attempt]:
        view = await self.ground.view(self.incident)
        return [each for each in view.rows.attempts if each.state is not AttemptState.shadow]

    async def because(self) -> list[str]:
        return [each.entry.because for each in (await self.ground.view(self.incident)).timeline]

    async def resolve(self) -> None:
        rows = (await self.ground.view(self.incident)).rows
        now = self.ground.clock.now()
        over = tuple(replace(each, resolved_at=now, alert=replace(each.alert, ends_at=now)) for each in rows.alerts)
        await resolve(self.ground, rows.incident, over)


async def resolve(ground: ResponseGround, incident: Incident, records: tuple[AlertRecord, ...]) -> None:
    from receiver.ports import Fold, FoldedIncident

    folded = FoldedIncident(incident, records, (), (), ground.clock.now())
    await ground.store.commit_fold(Fold((folded,), ()))


def alarm(ground: ResponseGround) -> AlertRecord:
    known = c.record(age=0)
    now = ground.clock.now()
    return replace(known, first_at=now, alert=replace(known.alert, labels=LABELS, starts_at=now, received_at=now))


def rule(*actions: str, symptom: Symptom = Symptom.crash) -> Rule:
    rungs = tuple(Remediation(each, mode=Mode.auto) for each in actions)
    proof = Verification(rollout=True, settle=timedelta(seconds=30), stable=timedelta(minutes=5))
    return Rule("crash", symptom=symptom, mode=Mode.auto, remediate=rungs, verify=proof)


@asynccontextmanager
async def road(directory: Path, *actions: str, begin: Callable[[EcsGround], None], symptom: Symptom = Symptom.crash) -> AsyncIterator[Road]:
    async with AsyncExitStack() as stack:
        policy = {"namespaces": PLACE, "source_namespaces": {"alertmanager": PLACE}, "actions": frozenset(ACTIONS), "undo_identity": False}
        ground = await stack.enter_async_context(response_ground(directory, rule(*actions, symptom=symptom), **policy))
        ecs = await stack.enter_async_context(serving(clock=ground.clock))
        begin(ecs)
        parts = replace(
            ground._parts(),
            looker=LookRunner([ecs.observer], ground.clock),
            actions=wire(clients={}, clock=ground.clock, ecs=ecs.ecs),
            evidence=NoEvidence(),
        )
        ground.responder = Responder(parts)
        yield Road(ground, ecs, await ground.began(records=[alarm(ground)]))


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    credentials(monkeypatch)


def bad_deploy(ecs: EcsGround) -> None:
    """In flight, and it never comes up."""
    ecs.world.broken.add(ecs.bad)
    ecs.world.deploy(ecs.service, ecs.bad, finish=False)
    ecs.world.tick()


def sick(ecs: EcsGround) -> None:
    """Deployed, and its targets are not healthy."""
    ecs.service.target_group = GROUP
    ecs.world.deploy(ecs.service, ecs.bad)
    ecs.world.sick_targets[GROUP] = 3


def sick_for_long(ecs: EcsGround) -> None:
    """The last deployment was long ago."""
    ecs.service.target_group = GROUP
    ecs.world.sick_targets[GROUP] = 2


def healed_by(ecs: EcsGround, healthy: Callable[[], bool]) -> Callable[[], None]:
    def heal() -> None:
        if healthy():
            ecs.world.sick_targets.clear()

    return heal


async def test_a_deployment_in_flight_is_stopped_verified_and_the_incident_closed(tmp_path: Path) -> None:
    async with road(tmp_path, BACK, begin=bad_deploy) as on:
        on.over = lambda: on.ecs.service.primary.task_definition == on.ecs.good and on.ecs.service.running == 4
        await on.on(3)
        (attempt,) = await on.attempts()
        assert (attempt.state, attempt.verdict) == (AttemptState.applied, Verdict.cured), attempt
        assert [each.operation for each in on.ecs.server.changes] == ["StopServiceDeployment"]
        assert (on.ecs.service.primary.task_definition, on.ecs.service.running) == (on.ecs.good, 4)
        await on.on(7)
        view = await on.ground.view(on.incident)
        assert not view.rows.incident.open
        assert view.rows.raises == ()


@pytest.mark.parametrize("fault", [Fault.lost_after, Fault.fail_after])
async def test_a_rollback_whose_answer_was_lost_is_one_change_and_cures(tmp_path: Path, fault: Fault) -> None:
    async with road(tmp_path, BACK, begin=sick) as on:
        on.ecs.faults("UpdateService", fault)
        on.heals(lambda: on.ecs.service.primary.task_definition == on.ecs.good)
        await on.on(6)
        (attempt,) = await on.attempts()
        assert (attempt.state, attempt.verdict) == (AttemptState.applied, Verdict.cured), attempt
        assert attempt.made == on.ecs.service.primary.id
        assert [each.asked["taskDefinition"] for each in on.ecs.server.changes] == [on.ecs.good]


async def test_a_new_deployment_that_came_to_nothing_is_never_asked_for_again(tmp_path: Path) -> None:
    async with road(tmp_path, DEPLOY, begin=sick_for_long) as on:
        on.ecs.faults("UpdateService", Fault.lost_before)
        await on.on(40)
        (attempt,) = await on.attempts()
        assert attempt.state is AttemptState.abandoned
        assert len(on.ecs.server.changes) == 1
        assert len((await on.ground.view(on.incident)).rows.raises) >= 1


async def test_a_new_deployment_is_judged_by_its_own_id(tmp_path: Path) -> None:
    async with road(tmp_path, DEPLOY, begin=sick_for_long) as on:
        before = on.ecs.service.primary.id
        on.heals(lambda: on.ecs.service.primary.id != before)
        await on.on(6)
        (attempt,) = await on.attempts()
        assert (attempt.verdict, attempt.made) == (Verdict.cured, on.ecs.service.primary.id)


async def test_somebody_elses_deployment_over_ours_is_no_cure(tmp_path: Path) -> None:
    async with road(tmp_path, DEPLOY, begin=sick_for_long) as on:
        await on.on(0.25)
        assert len(on.ecs.server.changes) == 1
        on.ecs.world.deploy(on.ecs.service, on.ecs.bad)
        on.ecs.world.sick_targets.clear()
        await on.on(5)
        (attempt,) = await on.attempts()
        assert attempt.verdict is Verdict.failed
        assert "has taken the place of ours" in attempt.verdict_detail


async def test_a_count_is_taken_back_by_steps(tmp_path: Path) -> None:
    async with road(tmp_path, COUNT, begin=sick_for_long) as on:
        on.heals(lambda: on.ecs.service.desired > 4)
        await on.on(5)
        assert (await on.attempts())[0].verdict is Verdict.cured
        await on.resolve()
        await on.on(90)
        counts = [each.asked["desiredCount"] for each in on.ecs.server.changes]
        assert counts == [6, 5, 4]
        assert not (await on.ground.view(on.incident)).rows.incident.open


async def test_a_count_that_somebody_else_set_since_is_theirs(tmp_path: Path) -> None:
    async with road(tmp_path, COUNT, begin=sick_for_long) as on:
        on.heals(lambda: on.ecs.service.desired > 4)
        await on.on(5)
        on.ecs.service.desired = 9
        await on.resolve()
        await on.on(90)
        assert [each.asked["desiredCount"] for each in on.ecs.server.changes] == [6]
        assert (await on.attempts())[0].reverted


async def test_a_service_that_is_well_is_not_cured_while_its_alarm_fires(tmp_path: Path) -> None:
    """Whatever the rule asks."""
    async with road(tmp_path, COUNT, begin=sick_for_long) as on:
        on.moves.append(healed_by(on.ecs, lambda: on.ecs.service.desired > 4))
        await on.on(10)
        (attempt,) = await on.attempts()
        assert (attempt.verdict, "the alert still fires" in attempt.verdict_detail) == (Verdict.not_yet, True)
        await on.resolve()
        await on.on(1)
        assert (await on.attempts())[0].verdict is Verdict.cured


async def test_an_alarm_that_is_over_cures_nothing(tmp_path: Path) -> None:
    async with road(tmp_path, COUNT, begin=sick_for_long) as on:
        on.over = lambda: on.ecs.service.desired > 4
        await on.on(10)
        assert (await on.attempts())[0].verdict is Verdict.not_yet


def stopped(ecs: EcsGround) -> None:
    """Deployed lately, and then set to 0 by a person."""
    sick(ecs)
    ecs.service.desired = 0
    ecs.world.tick()
    ecs.world.tick()


@pytest.mark.parametrize("action", [BACK, DEPLOY, COUNT])
async def test_a_service_that_a_person_set_to_zero_is_left_alone(tmp_path: Path, action: str) -> None:
    async with road(tmp_path, action, begin=stopped, symptom=Symptom.errors) as on:
        await on.on(6)
        assert (on.ecs.server.changes, await on.attempts()) == ([], [])


async def test_a_service_that_a_person_set_to_zero_since_is_no_cure(tmp_path: Path) -> None:
    async with road(tmp_path, BACK, begin=sick) as on:
        await on.on(0.25)
        assert len(on.ecs.server.changes) == 1
        on.ecs.service.desired = 0
        on.over = lambda: True
        await on.on(5)
        (attempt,) = await on.attempts()
        assert (attempt.verdict, attempt.verdict_detail) == (Verdict.failed, "the desired count is 0: somebody stopped it")


async def test_one_good_look_is_no_cure(tmp_path: Path) -> None:
    async with road(tmp_path, COUNT, begin=sick_for_long) as on:
        on.heals(lambda: on.ecs.service.desired > 4)
        verdicts = []
        for _ in range(8):
            await on.on(0.25)
            verdicts += [(each.verdict, each.verdict_detail) for each in await on.attempts()]
        assert any("a second look has to agree" in detail for verdict, detail in verdicts if verdict is Verdict.not_yet)
        assert verdicts[-1][0] is Verdict.cured


async def test_an_action_of_another_platform_is_refused(tmp_path: Path) -> None:
    async with road(tmp_path, "kubernetes.rollout_restart", begin=sick_for_long) as on:
        await on.on(3)
        assert await on.attempts() == []
        case = await on.ground.responder.case(on.incident.id)
        assert case is not None
        told = {(each.because, each.detail) for each in decide(case, on.ground.clock.now()).refusals}
        assert (Because.no_target, f"it acts on kubernetes, the target is ecs/default/{CLUSTER}/Service/web") in told


async def test_a_person_is_given_the_command_of_ecs_and_its_reverse(tmp_path: Path) -> None:
    async with road(tmp_path, BACK, begin=sick) as on:
        on.ground.policy = replace(on.ground.policy, mode=Mode.observe)
        await on.on(1)
        case = await on.ground.responder.case(on.incident.id)
        assert case is not None
        found = suggest(case, decide(case, on.ground.clock.now()), now=on.ground.clock.now())
        begins = f"aws ecs update-service --region {REGION} --cluster {CLUSTER} --service {NAME} --task-definition "
        assert (found.command, found.reverse) == (begins + on.ecs.good, begins + on.ecs.bad)
        assert on.ecs.server.changes == []
