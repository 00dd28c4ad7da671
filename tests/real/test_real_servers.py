"""Proof that the real servers of the tests do what the other tests rely on: slow, and about nothing of ours."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing

import aiohttp
import pytest

from tests.real import workloads
from tests.real.alertmanager import Alertmanager, AlertmanagerSettings
from tests.real.apiproxy import Answer, ApiProxy, Drop, Hold, Seen
from tests.real.fixtures import Started
from tests.real.kube_api import ApiError, KubeApi, Object
from tests.real.kubernetes import ControlPlane
from tests.real.pod_status import Behaviour, Fate
from tests.real.processes import eventually
from tests.real.prometheus import Prometheus, PrometheusSettings
from tests.real.proxy import Mode

pytestmark = pytest.mark.e2e

SHORT = aiohttp.ClientTimeout(total=1)


# Kubernetes


async def test_a_deployment_becomes_available(control_plane: ControlPlane, namespace: str) -> None:
    began = time.monotonic()
    done = await workloads.deploy(control_plane.admin, namespace, workloads.deployment("web", "app:1"))
    print(f"3 replicas available after {time.monotonic() - began:.2f} s")
    assert done["status"]["availableReplicas"] == 3


async def test_a_bad_release_crash_loops_beside_the_old_pods(control_plane: ControlPlane, namespace: str) -> None:
    admin = control_plane.admin
    await workloads.deploy(admin, namespace, workloads.deployment("web", "app:1"))
    await workloads.set_image(admin, namespace, "web", "app:crash-2")
    crashing = await _pod_waiting(admin, namespace, "CrashLoopBackOff", restarts=2)
    assert crashing["lastState"]["terminated"]["exitCode"] == 1
    found = await admin.get(workloads.path(namespace, "web"))
    assert (found["status"]["updatedReplicas"], found["status"]["availableReplicas"]) == (1, 3)


@pytest.mark.parametrize("image, reason, exit_code", [("app:oom", "CrashLoopBackOff", 137), ("app:nopull", "ImagePullBackOff", None)])
async def test_a_tag_chooses_the_fault(control_plane: ControlPlane, namespace: str, image: str, reason: str, exit_code: int | None) -> None:
    await control_plane.admin.apply(workloads.deployment("web", image, replicas=1), namespace=namespace)
    container = await _pod_waiting(control_plane.admin, namespace, reason)
    assert container.get("lastState", {}).get("terminated", {}).get("exitCode") == exit_code


async def test_a_slow_pod_is_ready_in_its_time(control_plane: ControlPlane, namespace: str) -> None:
    began = time.monotonic()
    await workloads.deploy(control_plane.admin, namespace, workloads.deployment("web", "app:slow2", replicas=1))
    assert 2 <= time.monotonic() - began < 10


async def test_a_restart_cures_the_sick(control_plane: ControlPlane, namespace: str) -> None:
    admin, image = control_plane.admin, f"app:sick-{namespace}"
    await workloads.deploy(admin, namespace, workloads.deployment("web", image))
    control_plane.kubelet.sick(image)
    await admin.until(workloads.path(namespace, "web"), lambda found: found["status"].get("availableReplicas", 0) == 0)
    restarted = {"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}}}}}
    await admin.patch(workloads.path(namespace, "web"), restarted)
    await admin.until(workloads.path(namespace, "web"), workloads.complete)


async def test_a_behaviour_can_be_changed_while_pods_run(control_plane: ControlPlane, namespace: str) -> None:
    admin, image = control_plane.admin, f"app:{namespace}"
    await workloads.deploy(admin, namespace, workloads.deployment("web", image, replicas=1))
    control_plane.kubelet.behave(image, Behaviour(fate=Fate.CRASHING, restart_every=0.5))
    await _pod_waiting(admin, namespace, "CrashLoopBackOff", restarts=2)
    control_plane.kubelet.behave(image, None)
    done = await admin.until(workloads.path(namespace, "web"), workloads.complete)
    assert done["status"]["availableReplicas"] == 1


async def test_the_scale_subresource_scales(control_plane: ControlPlane, namespace: str) -> None:
    admin, path = control_plane.admin, workloads.path(namespace, "web")
    await workloads.deploy(admin, namespace, workloads.deployment("web", "app:1", replicas=2))
    await admin.patch(f"{path}/scale", {"spec": {"replicas": 5}})
    await admin.until(path, workloads.complete)
    await admin.patch(f"{path}/scale", {"spec": {"replicas": 1}})
    await admin.until(path, workloads.complete)
    await eventually(lambda: _count(admin, namespace, 1), what="one pod left")


async def test_a_paused_controller_manager_observes_nothing(control_plane: ControlPlane, namespace: str) -> None:
    admin, path = control_plane.admin, workloads.path(namespace, "web")
    await workloads.deploy(admin, namespace, workloads.deployment("web", "app:1"))
    with control_plane.own.controller_manager.suspended():
        changed = await workloads.set_image(admin, namespace, "web", "app:2")
        with pytest.raises(TimeoutError):
            await admin.until(path, workloads.complete, within=1)
        assert (await admin.get(path))["status"]["observedGeneration"] < changed["metadata"]["generation"]
    await admin.until(path, workloads.complete)


async def test_a_service_account_may_do_only_what_its_role_says(control_plane: ControlPlane, namespace: str) -> None:
    api = control_plane.api(await control_plane.token("reader", namespace))
    with pytest.raises(ApiError, match="403"):
        await api.get(f"/apis/apps/v1/namespaces/{namespace}/deployments")
    await control_plane.admin.apply(READER, namespace=namespace)
    await eventually(lambda: _readable(api, namespace), what="the role in force")
    with pytest.raises(ApiError, match="403"):
        await workloads.set_image(api, namespace, "web", "app:2")


# Prometheus and Alertmanager


async def test_a_rule_that_fires_reaches_the_webhook(
    alertmanager_version: str,
    started: Started,
    alertmanager_factory: Callable[[AlertmanagerSettings], Awaitable[Alertmanager]],
    prometheus_factory: Callable[[PrometheusSettings], Awaitable[Prometheus]],
) -> None:
    webhook = await started.webhook()
    alertmanager = await alertmanager_factory(AlertmanagerSettings(webhook_url=webhook.url, version=alertmanager_version, bearer="s3cret"))
    prometheus = await prometheus_factory(PrometheusSettings(alertmanagers=(alertmanager.url,), rules={"demo.yml": _rule("vector(1)")}))
    delivery = await webhook.delivered(lambda delivery: delivery.json["status"] == "firing")
    assert delivery.json["version"] == "4"
    assert delivery.headers["Authorization"] == "Bearer s3cret"
    assert [alert["labels"]["alertname"] for alert in delivery.json["alerts"]] == ["Demo"]
    assert (await prometheus.query("ALERTS"))[0]["metric"]["alertstate"] == "firing"
    await prometheus.reload({"demo.yml": _rule("vector(1) > 2")})
    await webhook.delivered(lambda delivery: delivery.json["status"] == "resolved")


async def test_the_peers_of_a_cluster_send_once(alertmanager_version: str, started: Started) -> None:
    webhook = await started.webhook()
    settings = AlertmanagerSettings(webhook_url=webhook.url, version=alertmanager_version, clustered=True, peer_timeout="3s")
    first = await started.alertmanager(settings)
    second = await started.alertmanager(
        AlertmanagerSettings(webhook_url=webhook.url, version=alertmanager_version, peers=(first.cluster_address,), peer_timeout="3s")
    )
    await eventually(lambda: _peers(second, 2), what="two peers")
    for peer in (first, second):
        await peer.post_alerts([{"labels": {"alertname": "Twice"}}])
    await webhook.delivered(lambda delivery: True)
    await eventually(lambda: _notified(second), what="the second peer knows")
    assert len(webhook.deliveries) == 1


# Proxies


async def test_the_tcp_proxy_breaks_on_demand(started: Started) -> None:
    webhook = await started.webhook()
    proxy = await started.tcp_proxy(webhook.port)
    url = f"http://{proxy.address}/hook"
    assert await _post(url) == "200"
    await proxy.switch(Mode.REFUSE)
    assert await _post(url) == "ClientConnectorError"
    await proxy.switch(Mode.HANG)
    assert (await _post(url), len(webhook.deliveries)) == ("TimeoutError", 1)
    proxy.reset_connections()
    await proxy.switch(Mode.SWALLOW_ANSWERS)
    assert (await _post(url), len(webhook.deliveries)) == ("TimeoutError", 2)
    await proxy.switch(Mode.PASS)
    proxy.cut_after = 10
    assert await _post(url) in ("ServerDisconnectedError", "ClientOSError", "ClientResponseError")
    proxy.cut_after, proxy.delay = None, 2.0
    assert await _post(url) == "TimeoutError"
    proxy.delay = 0.0
    assert (await _post(url), proxy.connections) == ("200", 6)


async def test_the_api_server_speaks_tls_through_the_tcp_proxy(control_plane: ControlPlane, started: Started) -> None:
    proxy = await started.tcp_proxy(control_plane.admin.access.port)
    token = await control_plane.token("default", "default")
    path = control_plane.kubeconfig(token, server=f"https://{proxy.address}")
    assert f"https://{proxy.address}" in path.read_text()
    access = control_plane.access(token)
    api = KubeApi(type(access)(server=f"https://{proxy.address}", ca_file=access.ca_file, token=token), limit=2)
    assert (await api.get("/version"))["gitVersion"].startswith("v1.")
    await proxy.switch(Mode.HANG)
    with pytest.raises(TimeoutError):
        await api.get("/version")


async def test_an_injected_answer_leaves_nothing_done(control_plane: ControlPlane, namespace: str, api_proxy: ApiProxy) -> None:
    api, path = await _through(control_plane, namespace, api_proxy)
    api_proxy.before(_is_patch, Answer(409, "Conflict"))
    with pytest.raises(ApiError, match="409 Conflict"):
        await api.patch(path, {"data": {"a": "1"}})
    assert "data" not in await control_plane.admin.get(path)
    await api.patch(path, {"data": {"a": "2"}})
    assert [seen.status for seen in api_proxy.mutations()] == [None, 200]


async def test_a_dropped_answer_leaves_it_done(control_plane: ControlPlane, namespace: str, api_proxy: ApiProxy) -> None:
    api, path = await _through(control_plane, namespace, api_proxy)
    api_proxy.after(_is_patch, Drop())
    with pytest.raises(aiohttp.ClientError):
        await api.patch(path, {"data": {"a": "1"}})
    assert (await control_plane.admin.get(path))["data"] == {"a": "1"}
    assert api_proxy.mutations()[0].json == {"data": {"a": "1"}}


async def test_a_held_request_waits(control_plane: ControlPlane, namespace: str, api_proxy: ApiProxy) -> None:
    api, path = await _through(control_plane, namespace, api_proxy)
    hold = Hold()
    api_proxy.before(_is_patch, hold)
    patching = asyncio.create_task(api.patch(path, {"data": {"a": "1"}}))
    async with asyncio.timeout(10):
        await hold.reached.wait()
    assert "data" not in await control_plane.admin.get(path)
    hold.release()
    assert (await patching)["data"] == {"a": "1"}


async def test_a_watch_streams_through_the_proxy(control_plane: ControlPlane, namespace: str, api_proxy: ApiProxy) -> None:
    api, path = await _through(control_plane, namespace, api_proxy)
    version = (await api.get(path))["metadata"]["resourceVersion"]
    await control_plane.admin.patch(path, {"data": {"a": "1"}})
    async with asyncio.timeout(10), aclosing(api.watch(f"/api/v1/namespaces/{namespace}/configmaps", version)) as events:
        event = await anext(events)
    assert event["object"]["data"] == {"a": "1"}


# What the tests share

READER = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader}
rules: [{apiGroups: [apps], resources: [deployments], verbs: [get, list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: reader}]
"""


def _rule(expression: str) -> Object:
    rule = {"alert": "Demo", "expr": expression, "labels": {"severity": "page"}}
    return {"groups": [{"name": "demo", "rules": [rule]}]}


def _is_patch(seen: Seen) -> bool:
    return seen.method == "PATCH"


async def _through(plane: ControlPlane, namespace: str, proxy: ApiProxy) -> tuple[KubeApi, str]:
    """A client through the proxy, and the path of a ConfigMap that it may change."""
    await plane.admin.post(
        f"/api/v1/namespaces/{namespace}/configmaps", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "it"}}
    )
    token = plane.admin.access.token
    assert token is not None
    return KubeApi(proxy.access(token), limit=10), f"/api/v1/namespaces/{namespace}/configmaps/it"


async def _pod_waiting(api: KubeApi, namespace: str, reason: str, *, restarts: int = 0) -> Object:
    """The container status of the first pod that waits for `reason` and was restarted so often."""

    async def look() -> Object | None:
        for pod in await workloads.pods(api, namespace, "web"):
            for status in pod["status"].get("containerStatuses", []):
                if status["state"].get("waiting", {}).get("reason") == reason and status["restartCount"] >= restarts:
                    found: Object = status
                    return found
        return None

    return await eventually(look, what=f"a pod in {reason}")


async def _count(api: KubeApi, namespace: str, wanted: int) -> bool:
    return len(await workloads.pods(api, namespace, "web")) == wanted


async def _readable(api: KubeApi, namespace: str) -> bool:
    try:
        await api.get(f"/apis/apps/v1/namespaces/{namespace}/deployments")
    except ApiError:
        return False
    return True


async def _peers(alertmanager: Alertmanager, wanted: int) -> bool:
    cluster = (await alertmanager.status())["cluster"]
    return cluster["status"] == "ready" and len(cluster["peers"]) == wanted


async def _notified(alertmanager: Alertmanager) -> bool:
    """Whether its notification log has something: it will not send that again."""
    async with aiohttp.ClientSession(timeout=SHORT) as session, session.get(f"{alertmanager.url}/metrics") as response:
        text = await response.text()
    lines = [line for line in text.splitlines() if line.startswith("alertmanager_nflog_gossip_messages_propagated_total ")]
    return bool(lines) and float(lines[0].split()[1]) > 0


async def _post(url: str) -> str:
    """The status, or the name of what went wrong."""
    try:
        async with aiohttp.ClientSession(timeout=SHORT) as session, session.post(url, data=b"{}") as response:
            return str(response.status)
    except (aiohttp.ClientError, TimeoutError) as error:
        return "TimeoutError" if isinstance(error, TimeoutError) else type(error).__name__
