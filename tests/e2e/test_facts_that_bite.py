"""The facts about Kubernetes and its client that break remediators (`remediation.md` 0), each shown on a real control plane beside what
the actions do about it. Facts 2 (ECS) and 4 (leader election) are not met here; 7 and 10 are the observers' and the bounds'."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from receiver.clients import kubernetes_objects as objects
from receiver.clients.errors import ClientError, ErrorKind
from receiver.clients.kubernetes import Eviction, Kubernetes, KubernetesConfig, Patch, PatchType
from receiver.ports import OutcomeKind, Permission
from tests.kits.action_ground import Ground, ShiftedClock, Switch, evict_parameters
from tests.kits.action_kit import QUICK, a_write, real_call
from tests.kits.action_traps import RESTART, SCALE, UNDO, run
from tests.kits.evict_traps import EVICT
from tests.real import workloads
from tests.real.apiproxy import Answer, Drop, Hold
from tests.real.kube_api import JSON_PATCH, MERGE, ApiError, Object
from tests.real.kubernetes import ControlPlane
from tests.real.processes import eventually

pytestmark = pytest.mark.e2e

GOOD, BAD = "example.test/web:1", "example.test/web:crash"
APPLIED = OutcomeKind.applied


@pytest_asyncio.fixture
async def ground(control_plane: ControlPlane, namespace: str, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ground]:
    async def tokens(_: tuple[Permission, ...]) -> str:
        return control_plane.admin.access.token or ""

    made = Ground(control_plane.admin.access, namespace, tmp_path, tokens, kind=getattr(request.cls, "kind", "Deployment"))
    try:
        await made.prepare(getattr(request.cls, "images", ("example.test/web:1", "example.test/web:2")))
        yield made
    finally:
        await made.close()


class TestFacts:
    async def test_fact_1_a_delete_with_a_body_ignores_the_dry_run_in_its_query_an_eviction_of_ours_does_not(self, ground: Ground) -> None:
        pods = await ground.pods()
        permit = await ground.permit(EVICT, parameters=evict_parameters(pods[0]))
        ground.switch.refusal = "frozen by the test"
        assert "frozen" in (await run(ground, EVICT, permit)).detail  # its dry run went through
        assert ground.proxy.matching(a_write)[0].status == 201
        assert not await ground.landed(permit)
        path = f"/api/v1/namespaces/{ground.namespace}/pods/{objects.name(pods[1])}"
        await ground.api.send("DELETE", path, body={"kind": "DeleteOptions", "apiVersion": "v1"}, query={"dryRun": "All"})
        assert objects.uid(pods[1]) not in map(objects.uid, await ground.pods())

    async def test_fact_3_a_put_is_sent_twice_when_the_connection_drops_our_calls_once(self, ground: Ground) -> None:
        """By aiohttp itself, on a kept-alive connection."""
        auth = {"Authorization": f"Bearer {ground.access.token}"}
        async with aiohttp.ClientSession(ground.proxy.url, headers=auth) as session:
            await (await session.get(ground.path)).read()
            ground.proxy.before(lambda seen: seen.method == "PUT", Drop(), times=None)
            with pytest.raises(aiohttp.ClientError):
                await session.put(ground.path, json={})
        assert len(ground.proxy.matching(lambda seen: seen.method == "PUT")) == 2
        for name in (SCALE, RESTART, UNDO, EVICT):
            ground.proxy.clear()
            ground.proxy.requests.clear()
            ground.proxy.before(real_call, Drop(), times=None)
            assert (await run(ground, name)).kind is OutcomeKind.unknown
            assert len(ground.sent()) == 1

    async def test_fact_5_every_call_has_a_time_limit(self, ground: Ground) -> None:
        """The library has none of its own."""
        client = ground.client(timeout=QUICK, call_timeout=QUICK)
        ground.proxy.before(lambda _: True, Hold(), times=None)
        patch = Patch("Deployment", ground.namespace, ground.name, {}, PatchType.merge, "receiver:test")
        eviction = Eviction(ground.namespace, "web-0", "1", "receiver:test")
        calls = (
            client.get("Pod", ground.namespace, "web-0"),
            client.list("Pod", ground.namespace),
            client.write(patch),
            client.write(eviction),
        )
        for call in calls:
            with pytest.raises(ClientError) as late:
                async with asyncio.timeout(5):
                    await call
            assert late.value.kind is ErrorKind.timeout

    async def test_fact_6_the_library_raises_nothing_for_an_error_we_do(self, ground: Ground) -> None:
        client = ground.client()
        await client.connect()
        assert client._connection is not None
        limit = aiohttp.ClientTimeout(total=5)
        answer = await client._connection.send("GET", f"{ground.path}-gone", query=[], body=None, content_type="", limit=limit)
        assert answer.status == 404
        with pytest.raises(ClientError) as refused:
            await client.get("Deployment", ground.namespace, f"{ground.name}-gone")
        assert refused.value.kind is ErrorKind.not_found

    async def test_fact_8_an_undo_keeps_the_annotations_that_kubectl_would_replace(self, ground: Ground) -> None:
        await ground.change({"metadata": {"annotations": {"example.test/lock": "held"}}})
        old = (await ground.revisions())[0]
        assert "example.test/lock" not in objects.annotations_of(old)  # what kubectl would bring back
        permit = await ground.permit(UNDO)
        assert (await run(ground, UNDO, permit)).kind is APPLIED
        found = await ground.settled()
        assert objects.annotations_of(found)["example.test/lock"] == "held"
        assert objects.last_actions(found) == (permit.attempt_id,)

    async def test_fact_12_a_failed_test_answers_422_without_detail_a_stale_version_a_clean_409(self, ground: Ground) -> None:
        with pytest.raises(ApiError) as test_failed:
            await ground.api.patch(ground.path, [{"op": "test", "path": "/metadata/uid", "value": "other"}], content_type=JSON_PATCH)
        assert (test_failed.value.status, "error in our request" in str(test_failed.value)) == (422, True)
        with pytest.raises(ApiError) as stale:
            await ground.api.patch(ground.path, {"metadata": {"resourceVersion": "1"}, "spec": {"paused": True}}, content_type=MERGE)
        assert stale.value.status == 409
        for name, status, retryable in ((SCALE, "409", True), (RESTART, "409", True), (UNDO, "422", False)):
            permit = await ground.permit(name)
            hold = Hold()
            ground.proxy.before(real_call, hold)
            running = asyncio.create_task(run(ground, name, permit))
            await asyncio.wait_for(hold.reached.wait(), 5)
            await ground.change({"metadata": {"annotations": {"example.test/by": name}}})
            hold.release()
            outcome = await running
            assert (outcome.kind, outcome.retryable) == (OutcomeKind.rejected, retryable), outcome
            assert status in outcome.detail


def is_bad(pod: Object) -> bool:
    return bool(pod["spec"]["containers"][0]["image"] == BAD)


async def stuck(ground: Ground, bad: int) -> None:
    """The newest template crashes: so many pods of it are there, and the controller has told."""

    async def there() -> bool:
        return sum(map(is_bad, await ground.pods())) == bad

    await eventually(there, within=60, what=f"{bad} pods of the bad template")
    await ground.api.until(ground.path, lambda found: objects.observed_generation(found) >= objects.generation(found))


class OfStatefulSet:
    kind = "StatefulSet"
    images = (GOOD,)

    async def roll_to_the_bad_one(self, ground: Ground, **spec: object) -> None:
        if spec:
            await ground.api.delete(ground.path, {"propagationPolicy": "Foreground"})
            gone = f"/api/v1/namespaces/{ground.namespace}/pods"
            await eventually(lambda: _none(ground, gone), within=30, what="the first one is gone")
            manifest = workloads.workload(ground.kind, ground.name, GOOD, replicas=2, **spec)
            await ground.api.post(ground.path.rpartition("/")[0], manifest)
            await ground.settled()
        await workloads.set_image(ground.api, ground.namespace, ground.name, BAD, kind=ground.kind)


async def _none(ground: Ground, path: str) -> bool:
    try:
        await ground.target()
    except ApiError:
        return not await ground.api.items(path)
    return False


class TestFact9(OfStatefulSet):
    async def test_fact_9_an_undo_of_an_ordered_stateful_set_leaves_the_stuck_ordinal_and_its_eviction_cures(self, ground: Ground) -> None:
        await self.roll_to_the_bad_one(ground)
        await stuck(ground, 1)
        assert (await run(ground, UNDO)).kind is APPLIED
        found = await ground.api.until(ground.path, lambda found: objects.observed_generation(found) >= objects.generation(found))
        await asyncio.sleep(3)  # time enough for a controller that would replace it
        (ordinal,) = [each for each in await ground.pods() if is_bad(each)]
        assert objects.name(ordinal) == f"{ground.name}-1"
        assert objects.metadata(ordinal)["labels"]["controller-revision-hash"] != found["status"]["updateRevision"]
        permit = await ground.permit(EVICT, parameters=evict_parameters(ordinal))
        outcome = await run(ground, EVICT, permit)
        assert outcome.kind is APPLIED, outcome
        await ground.settled()
        assert not any(map(is_bad, await ground.pods()))

    async def test_fact_9_a_parallel_stateful_set_recovers_by_itself(self, ground: Ground) -> None:
        await self.roll_to_the_bad_one(ground, podManagementPolicy="Parallel")
        await stuck(ground, 1)
        assert (await run(ground, UNDO)).kind is APPLIED
        await ground.settled()
        assert not any(map(is_bad, await ground.pods()))


class TestDaemonSetUndo(OfStatefulSet):
    kind = "DaemonSet"

    async def test_a_daemon_set_recovers_by_itself_after_an_undo(self, ground: Ground) -> None:
        await self.roll_to_the_bad_one(ground)
        await stuck(ground, 1)
        permit = await ground.permit(UNDO)
        assert (await run(ground, UNDO, permit)).kind is APPLIED
        found = await ground.settled()
        assert not any(map(is_bad, await ground.pods()))
        assert permit.attempt_id in objects.attempt_marks(found)


# --- the client ----------------------------------------------------------------------------------------------------------


async def client_with(file: Path, ground: Ground) -> Kubernetes:
    base = ground.client()
    config: KubernetesConfig = replace(base.config, token_file=file)
    made = Kubernetes(config, clock=ShiftedClock(), kill_switch=Switch())
    ground._clients.append(made)
    return made


class TestClient:
    async def test_a_token_that_is_replaced_is_used_without_a_restart(
        self, ground: Ground, control_plane: ControlPlane, tmp_path: Path
    ) -> None:
        file = tmp_path / "token"
        file.write_text(await control_plane.token("powerless", ground.namespace))
        client = await client_with(file, ground)
        with pytest.raises(ClientError) as refused:
            await client.get("Deployment", ground.namespace, ground.name)
        assert refused.value.kind is ErrorKind.forbidden
        fresh = file.with_suffix(".new")
        fresh.write_text(f"{ground.access.token}\n")
        fresh.replace(file)
        assert objects.uid(await client.get("Deployment", ground.namespace, ground.name))

    async def test_a_sound_api_server_is_well_and_a_failing_one_is_not_written_to(self, ground: Ground) -> None:
        client = ground.client()
        for _ in range(12):
            await client.get("Deployment", ground.namespace, ground.name)
        assert client.health() == ""
        ground.proxy.before(lambda _: True, Answer(500), times=None)
        for _ in range(3):
            with pytest.raises(ClientError):
                await client.get("Deployment", ground.namespace, ground.name)
        ground.proxy.clear()
        assert "failed" in client.health()
        patch = Patch("Deployment", ground.namespace, ground.name, {}, PatchType.merge, "receiver:test")
        with pytest.raises(ClientError) as refused:
            await client.write(patch)
        assert (refused.value.kind, refused.value.sent) == (ErrorKind.unwell, False)
        assert not ground.proxy.matching(lambda seen: seen.method == "PATCH")

    async def test_a_clock_that_is_not_ours_is_unwell(self, ground: Ground) -> None:
        ground.clock.ahead = timedelta(seconds=20)
        client = ground.client()
        await client.get("Deployment", ground.namespace, ground.name)
        assert "clock" in client.health()
