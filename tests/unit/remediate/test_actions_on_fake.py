"""The action kit and the traps of each verb, on the fake API server."""

from __future__ import annotations

from receiver.clients import kubernetes_objects as objects
from receiver.ports import OutcomeKind
from tests.fakes.kubernetes_api import FakeKubernetes
from tests.kits.action_ground import Ground
from tests.kits.action_kit import ActionKit, name, shape
from tests.kits.action_traps import UNDO, RestartTraps, ScaleTraps, UndoTraps, refused
from tests.kits.evict_traps import EvictOfStatefulSetTraps, EvictTraps
from tests.kits.node_traps import NodeTraps
from tests.kits.numbered_traps import DaemonSetTraps, StatefulSetTraps

__all__ = [
    "TestActionsOnFake", "TestDaemonSetsOnFake", "TestEvictOfStatefulSetsOnFake", "TestEvictOnFake", "TestNodesOnFake", "TestRestartOnFake",
    "TestScaleOnFake", "TestStatefulSetsOnFake", "TestUndoOnFake", "name", "shape",
]  # fmt: skip


class TestActionsOnFake(ActionKit):
    pass


class TestScaleOnFake(ScaleTraps):
    pass


class TestRestartOnFake(RestartTraps):
    pass


class TestStatefulSetsOnFake(StatefulSetTraps):
    pass


class TestDaemonSetsOnFake(DaemonSetTraps):
    pass


class TestEvictOnFake(EvictTraps):
    pass


class TestEvictOfStatefulSetsOnFake(EvictOfStatefulSetTraps):
    pass


class TestNodesOnFake(NodeTraps):
    pass


class TestUndoOnFake(UndoTraps):
    async def test_a_template_that_the_controller_has_not_seen_is_not_undone(self, ground: Ground, fake: FakeKubernetes) -> None:
        fake.objects.controlling = False
        template = {"spec": {"containers": [{"name": "app", "image": "example.test/web:3"}]}}
        await ground.api.patch(ground.path, {"spec": {"template": template}})
        outcome = await refused(ground, UNDO, await ground.permit(UNDO))
        assert outcome.retryable
        assert "not seen" in outcome.detail

    async def test_an_undo_of_an_object_without_annotations_makes_them(self, ground: Ground, fake: FakeKubernetes) -> None:
        fake.objects.stored["deployments", "shop", "web"]["metadata"].pop("annotations")
        permit = await ground.permit(UNDO)
        outcome = await ground.action(UNDO).run(permit)
        assert outcome.kind is OutcomeKind.applied, outcome
        assert objects.last_actions(await ground.target()) == (permit.attempt_id,)
