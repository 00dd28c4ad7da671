"""What an eviction must not fall into (`remediation.md` 0 (1), 2.5), on the fake API server and on a real one alike."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from receiver.clients import kubernetes_objects as objects
from receiver.core.case import Parameters
from receiver.ports import OutcomeKind
from tests.kits.action_ground import Ground, evict_parameters
from tests.kits.action_kit import a_write, real_call
from tests.kits.action_traps import refused, run
from tests.real.apiproxy import Hold
from tests.real.kube_api import Object

EVICT = "kubernetes.evict_pod"
OTHER_UID = "11111111-1111-4111-8111-111111111111"


async def budget(ground: Ground, name: str, *, allowed: int) -> None:
    """A PodDisruptionBudget over the pods of the ground, once it is in force with `allowed` disruptions."""
    path = f"/apis/policy/v1/namespaces/{ground.namespace}/poddisruptionbudgets"
    spec = {"minAvailable": 2 - allowed, "selector": {"matchLabels": {"app": ground.name}}}
    body = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name}, "spec": spec}
    await ground.api.post(path, body | {"status": {"disruptionsAllowed": allowed}})  # the API server drops a status that is given
    await ground.api.until(f"{path}/{name}", lambda found: _in_force(found, allowed))


def _in_force(found: Object, allowed: int) -> bool:
    status = found.get("status", {})
    return bool(
        status.get("disruptionsAllowed") == allowed and status.get("observedGeneration", 1) and status.get("currentHealthy", 2) == 2
    )


class EvictTraps:
    """A subclass names its `kind`."""

    async def test_the_pod_goes_and_its_controller_makes_another(self, ground: Ground) -> None:
        was = set(map(objects.uid, await ground.pods()))
        permit = await ground.permit(EVICT)
        outcome = await run(ground, EVICT, permit)
        assert outcome.kind is OutcomeKind.applied, outcome
        assert permit.parameters.pod in outcome.detail
        await ground.settled()
        assert was - set(map(objects.uid, await ground.pods())) == {permit.parameters.pod_uid}

    async def test_the_options_stand_in_the_body(self, ground: Ground) -> None:
        """A DELETE that has a body ignores `dryRun` in its query; what stands in the body is heard by either."""
        permit = await ground.permit(EVICT)
        await run(ground, EVICT, permit)
        asked, sent = ground.proxy.matching(a_write)
        uid = {"preconditions": {"uid": permit.parameters.pod_uid}}
        assert asked.json["deleteOptions"] == uid | {"dryRun": ["All"]}
        assert asked.query["dryRun"] == "All"
        assert sent.json["deleteOptions"] == uid
        assert {asked.method, sent.method} == {"POST"}

    async def test_a_budget_that_allows_none_is_a_retryable_rejection_that_names_it(self, ground: Ground) -> None:
        await budget(ground, "two-at-least", allowed=0)
        outcome = await refused(ground, EVICT, await ground.permit(EVICT))
        assert outcome.retryable
        assert "429" in outcome.detail
        assert "two-at-least" in outcome.detail

    async def test_a_budget_that_is_used_up_while_it_asks_is_a_retryable_rejection(self, ground: Ground) -> None:
        permit = await ground.permit(EVICT)
        hold = Hold()
        ground.proxy.before(real_call, hold)
        running = asyncio.create_task(run(ground, EVICT, permit))
        await asyncio.wait_for(hold.reached.wait(), 5)
        await budget(ground, "two-at-least", allowed=0)
        hold.release()
        outcome = await running
        assert (outcome.kind, outcome.retryable) == (OutcomeKind.rejected, True), outcome
        assert not await ground.landed(permit)

    async def test_a_budget_that_allows_it_does_not_stop_it(self, ground: Ground) -> None:
        await budget(ground, "one-at-least", allowed=1)
        assert (await run(ground, EVICT)).kind is OutcomeKind.applied

    async def test_two_budgets_over_one_pod_are_a_rejection_that_waiting_does_not_cure(self, ground: Ground) -> None:
        await budget(ground, "first", allowed=1)
        await budget(ground, "second", allowed=1)
        outcome = await refused(ground, EVICT, await ground.permit(EVICT))
        assert "more than one PodDisruptionBudget" in outcome.detail
        assert not outcome.retryable

    async def test_budgets_are_no_sickness_of_the_api_server(self, ground: Ground) -> None:
        await budget(ground, "two-at-least", allowed=0)
        permit, action = await ground.permit(EVICT), ground.action(EVICT)
        for _ in range(6):
            outcome = await action.run(permit)
            assert "429" in outcome.detail, outcome

    async def test_a_pod_that_is_gone_is_a_rejection(self, ground: Ground) -> None:
        parameters = Parameters(pod="web-gone", pod_uid=OTHER_UID)
        outcome = await refused(ground, EVICT, await ground.permit(EVICT, parameters=parameters))
        assert "not found" in outcome.detail
        assert not outcome.retryable

    async def test_another_pod_under_the_same_name_is_safe(self, ground: Ground) -> None:
        permit = await ground.permit(EVICT)
        outcome = await refused(ground, EVICT, replace(permit, parameters=replace(permit.parameters, pod_uid=OTHER_UID)))
        assert "another pod" in outcome.detail

    async def test_a_pod_of_another_workload_is_safe(self, ground: Ground) -> None:
        stray = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "stray", "labels": {"app": "stray"}}}
        path = f"/api/v1/namespaces/{ground.namespace}/pods"
        made = await ground.api.post(path, stray | {"spec": {"containers": [{"name": "app", "image": "example.test/web:1"}]}})
        outcome = await refused(ground, EVICT, await ground.permit(EVICT, parameters=evict_parameters(made)))
        assert "does not belong" in outcome.detail

    @pytest.mark.parametrize("parameters", [Parameters(pod="web-1"), Parameters(pod_uid=OTHER_UID)], ids=repr)
    async def test_an_eviction_without_its_pod_is_refused(self, ground: Ground, parameters: Parameters) -> None:
        await refused(ground, EVICT, await ground.permit(EVICT, parameters=parameters))


class EvictOfStatefulSetTraps(EvictTraps):
    kind = "StatefulSet"

    async def test_the_next_pod_of_that_name_is_safe_even_while_it_asks(self, ground: Ground) -> None:
        """The precondition is the API server's to check: 409."""
        permit = await ground.permit(EVICT)
        hold = Hold()
        ground.proxy.before(real_call, hold)
        running = asyncio.create_task(run(ground, EVICT, permit))
        await asyncio.wait_for(hold.reached.wait(), 5)
        await ground.api.delete(ground.pod_path(permit), {"gracePeriodSeconds": 0})
        await ground.settled()
        again = await ground.api.until(ground.pod_path(permit), lambda found: objects.uid(found) not in ("", permit.parameters.pod_uid))
        hold.release()
        outcome = await running
        assert (outcome.kind, outcome.retryable) == (OutcomeKind.rejected, True), outcome
        assert "409" in outcome.detail
        assert objects.uid(again) in map(objects.uid, await ground.pods())
