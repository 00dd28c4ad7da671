"""What cordon and uncordon must not fall into, on the fake API server and on a real one alike."""

from __future__ import annotations

import asyncio
from typing import Any

from receiver.clients import kubernetes_objects as objects
from receiver.core.case import Permit
from receiver.ports import Outcome, OutcomeKind
from tests.kits.action_ground import CORDONED_BY, Ground, state
from tests.kits.action_kit import a_write, real_call
from tests.kits.action_traps import refused, run
from tests.real.apiproxy import Hold

CORDON, UNCORDON = "kubernetes.cordon", "kubernetes.uncordon"


async def meanwhile(ground: Ground, name: str, permit: Permit, patch: dict[str, Any], *, subresource: str = "") -> Outcome:
    """Runs it; between its question and its call somebody else patches the node."""
    hold = Hold()
    ground.proxy.before(real_call, hold)
    running = asyncio.create_task(run(ground, name, permit))
    await asyncio.wait_for(hold.reached.wait(), 5)
    await ground.api.patch(ground.path + subresource, patch)
    hold.release()
    return await running


class NodeTraps:
    kind = "Node"

    async def test_a_cordon_sets_the_mark_with_it_and_nothing_else(self, ground: Ground) -> None:
        was = state(await ground.target())
        permit = await ground.permit(CORDON)
        assert (await run(ground, CORDON, permit)).kind is OutcomeKind.applied
        found = state(await ground.target())
        assert found["spec"] == was["spec"] | {"unschedulable": True}
        marks = {objects.CORDONED: permit.attempt_id, objects.LAST_ACTION: f'["{permit.attempt_id}"]'}
        assert found["annotations"] == was["annotations"] | marks

    async def test_a_heartbeat_in_between_does_not_stop_it(self, ground: Ground) -> None:
        """Kubelet and controllers write to a node all the time: its resourceVersion would never hold."""
        permit = await ground.permit(CORDON)
        beat = {"status": {"addresses": [{"type": "Hostname", "address": "moved-on"}]}}
        outcome = await meanwhile(ground, CORDON, permit, beat, subresource="/status")
        assert outcome.kind is OutcomeKind.applied, outcome

    async def test_a_cordon_of_somebody_else_stays_theirs(self, ground: Ground) -> None:
        permit = await ground.permit(CORDON)
        await ground.api.patch(ground.path, {"spec": {"unschedulable": True}})
        outcome = await refused(ground, CORDON, permit)
        assert "somebody else" in outcome.detail
        assert not objects.cordoned_by(await ground.target())

    async def test_a_cordon_of_somebody_else_while_it_asks_stays_theirs(self, ground: Ground) -> None:
        permit = await ground.permit(CORDON)
        outcome = await meanwhile(ground, CORDON, permit, {"spec": {"unschedulable": True}})
        assert outcome.kind is OutcomeKind.rejected, outcome
        assert not objects.cordoned_by(await ground.target())

    async def test_annotations_that_appear_while_it_asks_are_kept(self, ground: Ground) -> None:
        await ground.api.patch(ground.path, {"metadata": {"annotations": None}})
        permit = await ground.permit(CORDON)
        await meanwhile(ground, CORDON, permit, {"metadata": {"annotations": {"example.test/lock": "held"}}})
        assert objects.annotations_of(await ground.target())["example.test/lock"] == "held"

    async def test_a_node_without_annotations_is_cordoned_too(self, ground: Ground) -> None:
        await ground.api.patch(ground.path, {"metadata": {"annotations": None}})
        assert (await run(ground, CORDON)).kind is OutcomeKind.applied

    async def test_an_uncordon_takes_back_what_the_cordon_did(self, ground: Ground) -> None:
        was = state(await ground.target())
        down = await ground.permit(CORDON)
        await run(ground, CORDON, down)
        up = await ground.permit(UNCORDON, attempt_id="0a1b2c3d-7-2", reverts=down.attempt_id)
        outcome = await run(ground, UNCORDON, up)
        assert outcome.kind is OutcomeKind.applied, outcome
        assert down.attempt_id in outcome.detail
        found = state(await ground.target())
        assert found["spec"] == was["spec"]
        ids = {objects.LAST_ACTION: f'["{down.attempt_id}", "{up.attempt_id}"]'}
        assert found["annotations"] == was["annotations"] | ids

    async def test_a_cordon_without_our_mark_is_not_taken_back(self, ground: Ground) -> None:
        permit = await ground.permit(UNCORDON)
        await ground.api.patch(ground.path, {"metadata": {"annotations": {objects.CORDONED: None}}})
        outcome = await refused(ground, UNCORDON, permit)
        assert "somebody else" in outcome.detail

    async def test_a_cordon_that_loses_our_mark_while_it_asks_is_not_taken_back(self, ground: Ground) -> None:
        permit = await ground.permit(UNCORDON)
        outcome = await meanwhile(ground, UNCORDON, permit, {"metadata": {"annotations": {objects.CORDONED: None}}})
        assert outcome.kind is OutcomeKind.rejected, outcome
        assert objects.unschedulable(await ground.target())

    async def test_a_mark_that_becomes_another_one_while_it_asks_is_not_taken_back(self, ground: Ground) -> None:
        permit = await ground.permit(UNCORDON)
        outcome = await meanwhile(ground, UNCORDON, permit, {"metadata": {"annotations": {objects.CORDONED: "0a1b2c3d-9-1"}}})
        assert outcome.kind is OutcomeKind.rejected, outcome
        assert objects.cordoned_by(await ground.target()) == "0a1b2c3d-9-1"

    async def test_the_cordon_of_another_attempt_is_not_taken_back(self, ground: Ground) -> None:
        outcome = await refused(ground, UNCORDON, await ground.permit(UNCORDON, reverts="0a1b2c3d-5-1"))
        assert CORDONED_BY in outcome.detail

    async def test_a_node_that_is_not_cordoned_is_left_alone(self, ground: Ground) -> None:
        permit = await ground.permit(UNCORDON)
        await ground.api.patch(ground.path, {"spec": {"unschedulable": None}})
        outcome = await refused(ground, UNCORDON, permit)
        assert "not cordoned" in outcome.detail

    async def test_where_nodes_are_switched_off_none_is_written_to(self, ground: Ground) -> None:
        for name in (CORDON, UNCORDON):
            outcome = await ground.action(name, nodes=False).run(await ground.permit(name))
            assert outcome.kind is OutcomeKind.rejected, outcome
            await ground.api.patch(ground.path, {"spec": {"unschedulable": None}, "metadata": {"annotations": {objects.CORDONED: None}}})
        assert not ground.proxy.matching(a_write)
