"""What the verbs must not fall into on StatefulSets and DaemonSets, whose history is kept in ControllerRevisions (`remediation.md` 1.1 and
1.3); on the fake API server and on a real one alike. A subclass names its `kind`."""

from __future__ import annotations

import json
from dataclasses import replace

from receiver.clients import kubernetes_objects as objects
from receiver.clients.kubernetes import PatchType
from receiver.core.case import Parameters
from receiver.ports import OutcomeKind
from tests.kits.action_ground import IMAGES, Ground, before, undo_parameters
from tests.kits.action_traps import RESTART, SCALE, UNDO, image, refused, run

ON_DELETE = {"spec": {"updateStrategy": {"type": "OnDelete", "rollingUpdate": None}}}


class NumberedTraps:
    async def test_a_restart_changes_the_template_annotations_only(self, ground: Ground) -> None:
        was = await ground.target()
        permit = await ground.permit(RESTART)
        assert (await run(ground, RESTART, permit)).kind is OutcomeKind.applied
        found = await ground.settled()
        assert permit.parameters.restarted_at is not None
        marks = {objects.RESTARTED_AT: objects.timestamp(permit.parameters.restarted_at), objects.ATTEMPT: permit.attempt_id}
        assert objects.template(found)["metadata"]["annotations"] == marks
        assert objects.template(found)["spec"] == objects.template(was)["spec"]

    async def test_a_restart_makes_new_pods(self, ground: Ground) -> None:
        was = set(map(objects.uid, await ground.pods()))
        await run(ground, RESTART)
        await ground.settled()
        assert not was & set(map(objects.uid, await ground.pods()))

    async def test_the_same_restart_sent_again_makes_no_new_revision(self, ground: Ground) -> None:
        permit = await ground.permit(RESTART)
        await run(ground, RESTART, permit)
        once, count = await ground.settled(), len(await ground.revisions())
        assert (await run(ground, RESTART, replace(permit, before=before(once)))).kind is OutcomeKind.applied
        assert objects.generation(await ground.target()) == objects.generation(once)
        assert len(await ground.revisions()) == count

    async def test_a_restart_that_would_restart_no_pod_is_refused(self, ground: Ground) -> None:
        """`OnDelete`: kubectl and the API server accept the patch, and nothing happens."""
        await ground.change(ON_DELETE)
        assert "OnDelete" in (await refused(ground, RESTART, await ground.permit(RESTART))).detail

    async def test_an_undo_that_would_replace_no_pod_is_refused(self, ground: Ground) -> None:
        await ground.change(ON_DELETE)
        assert "OnDelete" in (await refused(ground, UNDO, await ground.permit(UNDO))).detail

    async def test_an_undo_sends_the_revisions_data_as_it_stands(self, ground: Ground) -> None:
        data = (await ground.revisions())[0]["data"]
        assert (await run(ground, UNDO)).kind is OutcomeKind.applied
        (sent,) = ground.sent()
        assert sent.content_type == PatchType.strategic.value
        assert {key: value for key, value in sent.json.items() if key != "metadata"} == data

    async def test_an_undo_after_a_restart_goes_where_the_permit_says(self, ground: Ground) -> None:
        """`kubectl rollout undo` would go to the second-highest revision: the same image again."""
        await run(ground, RESTART)
        await ground.settled()
        assert (await run(ground, UNDO)).kind is OutcomeKind.applied
        assert image(await ground.settled()) == IMAGES[0]

    async def test_an_undo_uses_the_old_revision_again(self, ground: Ground) -> None:
        was = await ground.revisions()
        await run(ground, UNDO)
        await ground.settled()
        found = await ground.revisions()
        assert set(map(objects.uid, found)) == set(map(objects.uid, was))
        assert objects.uid(found[-1]) == objects.uid(was[0])

    async def test_an_undo_leaves_no_mark_in_the_template_and_keeps_the_annotations(self, ground: Ground) -> None:
        await ground.change({"metadata": {"annotations": {"example.test/lock": "held"}}})
        permit = await ground.permit(UNDO)
        await run(ground, UNDO, permit)
        found = await ground.settled()
        assert permit.attempt_id not in json.dumps(objects.template(found))
        marks = objects.annotations_of(found)
        assert (marks["example.test/lock"], json.loads(marks[objects.LAST_ACTION])) == ("held", [permit.attempt_id])

    async def test_an_undo_restores_the_template_and_nothing_else(self, ground: Ground) -> None:
        await ground.change({"spec": {"minReadySeconds": 1}})
        was = await ground.target()
        permit = await ground.permit(UNDO)
        await run(ground, UNDO, permit)
        found = await ground.target()
        assert found["spec"] == was["spec"] | {"template": objects.template(found)}
        assert objects.template_hash(objects.template(found)) == permit.parameters.template_hash

    async def test_status_that_moves_on_does_not_stop_an_undo(self, ground: Ground) -> None:
        """A failing rollout writes status all the time; what the permit rests on is the generation."""
        permit = await ground.permit(UNDO)
        await ground.change({"metadata": {"annotations": {"example.test/seen": "yes"}}})
        assert objects.resource_version(await ground.target()) != permit.before.resource_version
        assert (await run(ground, UNDO, permit)).kind is OutcomeKind.applied

    async def test_an_undo_to_another_template_than_permitted_is_refused(self, ground: Ground) -> None:
        permit = await ground.permit(UNDO)
        await refused(ground, UNDO, replace(permit, parameters=replace(permit.parameters, template_hash="0" * 32)))

    async def test_an_undo_to_the_template_that_stands_is_refused(self, ground: Ground) -> None:
        newest = (await ground.revisions())[-1]
        await refused(ground, UNDO, await ground.permit(UNDO, parameters=undo_parameters(newest)))

    async def test_an_undo_to_a_revision_of_somebody_else_is_refused(self, ground: Ground) -> None:
        mine = (await ground.revisions())[0]
        alien = {"apiVersion": "apps/v1", "kind": "ControllerRevision", "data": mine["data"], "revision": 7}
        path = f"/apis/apps/v1/namespaces/{ground.namespace}/controllerrevisions"
        made = await ground.api.post(path, alien | {"metadata": {"name": "alien"}})
        await refused(ground, UNDO, await ground.permit(UNDO, parameters=undo_parameters(made)))

    async def test_a_revision_that_holds_more_than_a_template_is_refused(self, ground: Ground) -> None:
        """Whoever could write one would otherwise choose the count, or anything else of the object."""
        owner = (await ground.revisions())[0]["metadata"]["ownerReferences"]
        template = {"$patch": "replace", "metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "x", "image": "y"}]}}
        body = {
            "apiVersion": "apps/v1",
            "kind": "ControllerRevision",
            "revision": 9,
            "data": {"spec": {"template": template, "replicas": 0}},
        }
        path = f"/apis/apps/v1/namespaces/{ground.namespace}/controllerrevisions"
        made = await ground.api.post(path, body | {"metadata": {"name": "odd", "ownerReferences": owner}})
        outcome = await refused(ground, UNDO, await ground.permit(UNDO, parameters=undo_parameters(made)))
        assert "whole template" in outcome.detail


class StatefulSetTraps(NumberedTraps):
    kind = "StatefulSet"

    async def test_a_stateful_set_scales_and_nothing_else_of_it_changes(self, ground: Ground) -> None:
        was = await ground.target()
        assert (await run(ground, SCALE)).kind is OutcomeKind.applied
        found = await ground.target()
        assert found["spec"] == was["spec"] | {"replicas": 3}
        assert objects.annotations_of(found) == objects.annotations_of(was)

    async def test_a_partition_above_every_ordinal_refuses_a_restart(self, ground: Ground) -> None:
        await ground.change({"spec": {"updateStrategy": {"rollingUpdate": {"partition": 2}}}})
        assert "partition" in (await refused(ground, RESTART, await ground.permit(RESTART))).detail


class DaemonSetTraps(NumberedTraps):
    kind = "DaemonSet"

    async def test_a_daemon_set_is_not_scaled(self, ground: Ground) -> None:
        await refused(ground, SCALE, await ground.permit(SCALE, parameters=Parameters(replicas=3)))
