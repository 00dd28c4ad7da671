"""What each verb on a Deployment must not fall into (`remediation.md` 0, 1 and 2), on the fake API server and on a real one alike."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from receiver.clients import kubernetes_objects as objects
from receiver.core.case import Parameters, Permit
from receiver.ports import Outcome, OutcomeKind
from tests.kits.action_ground import IMAGES, Ground, before, state, undo_parameters
from tests.real.kube_api import Object

SCALE, RESTART, UNDO = "kubernetes.scale", "kubernetes.rollout_restart", "kubernetes.rollout_undo"


async def run(ground: Ground, name: str, permit: Permit | None = None, **changes: Any) -> Outcome:
    return await ground.action(name).run(permit or await ground.permit(name, **changes))


async def refused(ground: Ground, name: str, permit: Permit) -> Outcome:
    """Runs it, and proves that it changed nothing."""
    was = state(await ground.target())
    outcome = await run(ground, name, permit)
    assert outcome.kind is OutcomeKind.rejected, outcome
    assert not ground.sent()
    assert state(await ground.target()) == was
    return outcome


def image(found: Object) -> str:
    return str(objects.template(found)["spec"]["containers"][0]["image"])


class ScaleTraps:
    async def test_a_scale_sets_the_count_and_nothing_else(self, ground: Ground) -> None:
        was = await ground.target()
        assert (await run(ground, SCALE)).kind is OutcomeKind.applied
        found = await ground.target()
        assert found["spec"] == was["spec"] | {"replicas": 3}
        assert objects.annotations_of(found) == objects.annotations_of(was)

    async def test_a_revert_is_the_same_action_back(self, ground: Ground) -> None:
        up = await ground.permit(SCALE)
        await run(ground, SCALE, up)
        down = await ground.permit(SCALE, attempt_id="0a1b2c3d-7-2", reverts=up.attempt_id, parameters=Parameters(replicas=2))
        outcome = await run(ground, SCALE, replace(down, before=before(await ground.settled())))
        assert outcome.kind is OutcomeKind.applied, outcome
        assert (await ground.target())["spec"]["replicas"] == 2
        assert up.attempt_id in outcome.detail

    @pytest.mark.parametrize("replicas", [None, 0, -1])
    async def test_never_to_zero(self, ground: Ground, replicas: int | None) -> None:
        await refused(ground, SCALE, await ground.permit(SCALE, parameters=Parameters(replicas=replicas)))

    async def test_a_stale_version_is_refused_even_for_the_count_that_stands(self, ground: Ground) -> None:
        permit = await ground.permit(SCALE, parameters=Parameters(replicas=2))
        await ground.change({"metadata": {"annotations": {"example.test/owner": "somebody"}}})
        assert (await refused(ground, SCALE, permit)).retryable

    async def test_a_paused_deployment_scales(self, ground: Ground) -> None:
        await ground.api.patch(ground.path, {"spec": {"paused": True}})
        await ground.api.until(ground.path, lambda found: objects.observed_generation(found) >= objects.generation(found))
        assert (await run(ground, SCALE)).kind is OutcomeKind.applied


class RestartTraps:
    async def test_a_restart_changes_the_template_annotations_only(self, ground: Ground) -> None:
        was = await ground.target()
        permit = await ground.permit(RESTART)
        assert (await run(ground, RESTART, permit)).kind is OutcomeKind.applied
        found = await ground.target()
        marks = objects.template(found)["metadata"]["annotations"]
        assert permit.parameters.restarted_at is not None
        assert marks == {objects.RESTARTED_AT: objects.timestamp(permit.parameters.restarted_at), objects.ATTEMPT: permit.attempt_id}
        assert objects.template(found)["spec"] == objects.template(was)["spec"]

    async def test_the_same_restart_sent_again_makes_no_new_generation(self, ground: Ground) -> None:
        permit = await ground.permit(RESTART)
        await run(ground, RESTART, permit)
        once, sets = await ground.settled(), len(await ground.revisions())
        fresh = replace(permit, before=before(once))
        assert (await run(ground, RESTART, fresh)).kind is OutcomeKind.applied
        assert objects.generation(await ground.target()) == objects.generation(once)
        assert len(await ground.revisions()) == sets

    async def test_a_restart_keeps_its_id_in_the_replica_set_that_it_makes(self, ground: Ground) -> None:
        permit = await ground.permit(RESTART)
        await run(ground, RESTART, permit)
        await ground.settled()
        assert permit.attempt_id in objects.attempt_marks((await ground.revisions())[-1])

    async def test_a_paused_deployment_is_not_restarted(self, ground: Ground) -> None:
        """The API server would accept it, and nothing would roll until somebody resumes."""
        await ground.api.patch(ground.path, {"spec": {"paused": True}})
        await ground.api.until(ground.path, lambda found: objects.observed_generation(found) >= objects.generation(found))
        assert "paused" in (await refused(ground, RESTART, await ground.permit(RESTART))).detail

    async def test_a_restart_without_a_time_is_refused(self, ground: Ground) -> None:
        await refused(ground, RESTART, await ground.permit(RESTART, parameters=Parameters()))


class UndoTraps:
    async def test_an_undo_after_a_restart_goes_where_the_permit_says(self, ground: Ground) -> None:
        """`kubectl rollout undo` would go to the second-highest revision: the same image again."""
        await run(ground, RESTART)
        await ground.settled()
        assert image((await ground.revisions())[-2]) == IMAGES[1]
        assert (await run(ground, UNDO)).kind is OutcomeKind.applied
        assert image(await ground.settled()) == IMAGES[0]

    async def test_an_undo_keeps_the_annotations(self, ground: Ground) -> None:
        """`kubectl rollout undo` would bring the old ReplicaSet's annotations and lose these."""
        await ground.change({"metadata": {"annotations": {"example.test/lock": "held", "kubernetes.io/change-cause": "release 2"}}})
        permit = await ground.permit(UNDO)
        await run(ground, UNDO, permit)
        marks = objects.annotations_of(await ground.target())
        assert (marks["example.test/lock"], marks["kubernetes.io/change-cause"]) == ("held", "release 2")
        assert json.loads(marks[objects.LAST_ACTION]) == [permit.attempt_id]

    async def test_an_undo_uses_the_old_replica_set_again(self, ground: Ground) -> None:
        sets = await ground.revisions()
        await run(ground, UNDO)
        await ground.settled()
        assert {objects.uid(each) for each in await ground.revisions()} == {objects.uid(each) for each in sets}
        assert objects.uid((await ground.revisions())[-1]) == objects.uid(sets[0])

    async def test_an_undo_leaves_no_mark_in_the_template(self, ground: Ground) -> None:
        permit = await ground.permit(UNDO)
        await run(ground, UNDO, permit)
        found = await ground.settled()
        assert permit.attempt_id not in json.dumps(objects.template(found))
        assert objects.TEMPLATE_HASH_LABEL not in objects.template(found)["metadata"]["labels"]

    async def test_an_undo_restores_the_template_and_nothing_else(self, ground: Ground) -> None:
        await ground.change({"spec": {"minReadySeconds": 1}})
        was = await ground.target()
        permit = await ground.permit(UNDO)
        await run(ground, UNDO, permit)
        found = await ground.target()
        assert found["spec"] == was["spec"] | {"template": objects.template(found)}
        assert objects.template_hash(objects.template(found)) == permit.parameters.template_hash

    async def test_the_newest_five_ids_are_kept(self, ground: Ground) -> None:
        earlier = [f"0a1b2c3d-7-{n}" for n in range(10, 16)]
        await ground.change({"metadata": {"annotations": {objects.LAST_ACTION: json.dumps(earlier)}}})
        permit = await ground.permit(UNDO)
        await run(ground, UNDO, permit)
        assert objects.last_actions(await ground.target()) == (*earlier[-4:], permit.attempt_id)

    async def test_an_undo_to_another_template_than_permitted_is_refused(self, ground: Ground) -> None:
        permit = await ground.permit(UNDO)
        await refused(ground, UNDO, replace(permit, parameters=replace(permit.parameters, template_hash="0" * 32)))

    async def test_an_undo_to_the_template_that_stands_is_refused(self, ground: Ground) -> None:
        newest = (await ground.revisions())[-1]
        await refused(ground, UNDO, await ground.permit(UNDO, parameters=undo_parameters(newest)))

    async def test_an_undo_to_a_replica_set_of_somebody_else_is_refused(self, ground: Ground) -> None:
        mine = (await ground.revisions())[0]
        alien = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {"name": "alien", "labels": {"alien": "yes"}},
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": {"alien": "yes"}},
                "template": {"metadata": {"labels": {"alien": "yes"}}, "spec": objects.template(mine)["spec"]},
            },
        }
        made = await ground.api.post(f"/apis/apps/v1/namespaces/{ground.namespace}/replicasets", alien)
        await refused(ground, UNDO, await ground.permit(UNDO, parameters=undo_parameters(made)))

    async def test_an_undo_to_a_replica_set_that_is_gone_is_refused(self, ground: Ground) -> None:
        permit = await ground.permit(UNDO)
        await refused(ground, UNDO, replace(permit, parameters=replace(permit.parameters, replica_set="web-gone")))

    async def test_an_undo_of_a_paused_deployment_is_refused(self, ground: Ground) -> None:
        await ground.api.patch(ground.path, {"spec": {"paused": True}})
        await ground.api.until(ground.path, lambda found: objects.observed_generation(found) >= objects.generation(found))
        outcome = await refused(ground, UNDO, await ground.permit(UNDO))
        assert "paused" in outcome.detail

    @pytest.mark.parametrize("parameters", [Parameters(), Parameters(replica_set="web-1"), Parameters(template_hash="0" * 32)], ids=repr)
    async def test_an_undo_without_its_aim_is_refused(self, ground: Ground, parameters: Parameters) -> None:
        await refused(ground, UNDO, await ground.permit(UNDO, parameters=parameters))
