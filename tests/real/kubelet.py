"""A kubelet for every node of a cluster that has none: makes nodes Ready, reports pods' status, lets deleted pods go.

Runs as one task on the loop that called `start`; the methods that change behaviour may be called from any thread and take
effect within TICK_SECONDS. Pods answer nothing on the network. Behaviour by image tag: see `pod_status`.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import aiohttp

from tests.real.kube_api import STRATEGIC, ApiError, KubeApi, Object
from tests.real.pod_status import Behaviour, Fate, Lifetime, by_tag, is_ready, pod_status, stamp

TICK_SECONDS = 0.25
HEARTBEAT_SECONDS = 8.0
RETRY_SECONDS = 0.25
NOT_FOUND, CONFLICT, GONE = 404, 409, 410
UNREACHABLE = (aiohttp.ClientError, OSError, TimeoutError)


@dataclass
class Running:
    """A pod bound to a node, and what was last reported of it."""

    pod: Object
    lifetime: Lifetime
    number: int
    reported: str = ""
    restarts: int = 0
    dying_since: datetime | None = None


@dataclass
class Node:
    name: str
    ready: bool = True
    allocatable: dict[str, str] = field(default_factory=lambda: {"cpu": "16", "memory": "64Gi", "pods": "110"})


class FakeKubelet:
    def __init__(self, api: KubeApi, *, nodes: int = 3) -> None:
        self.nodes = {f"node-{number}": Node(f"node-{number}") for number in range(1, nodes + 1)}
        self._api = api
        self._line = api
        self._task: asyncio.Task[None] | None = None
        self._unbound: set[str] = set()
        self._pods: dict[str, Running] = {}
        self._wake = asyncio.Event()
        self._behaviours: dict[str, Behaviour] = {}
        self._sick: dict[str, tuple[frozenset[str], bool]] = {}
        self._next_number = 0

    # From any thread.

    def behave(self, image: str, behaviour: Behaviour | None) -> None:
        """All pods of `image`, now and later, do that, whatever the tag says; None: back to the tag."""
        if behaviour is None:
            self._behaviours.pop(image, None)
        else:
            self._behaviours[image] = behaviour

    def sick(self, image: str, *, new_pods: bool = False) -> None:
        """Pods of `image` that exist now run on but are not Ready: a restart cures, unless `new_pods` are sick too."""
        self._sick[image] = (frozenset(self._pods) | frozenset(self._unbound), new_pods)

    def heal_new_pods(self, image: str) -> None:
        """Pods of `image` that exist now stay as they are, those made from now on are Ready."""
        self.sick(image, new_pods=False)

    def heal(self, image: str) -> None:
        """Every pod of `image` is well again."""
        self._sick.pop(image, None)

    def node_ready(self, name: str, ready: bool) -> None:
        """Reports the node Ready or not with its next heartbeat; its pods go on."""
        self.nodes[name].ready = ready

    def pod_count(self) -> int:
        return len(self._pods)

    # On the loop of the kubelet.

    async def start(self) -> None:
        """Makes the nodes and returns once they are reported Ready."""
        for node in list(self.nodes.values()):
            await self._register(node)
        self._task = asyncio.create_task(self._run(), name="fake-kubelet")

    async def stop(self) -> None:
        """Raises what ended the kubelet early, if anything did."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.wait([self._task])
        if not self._task.cancelled():
            self._task.result()

    async def _run(self) -> None:
        async with self._api.connected() as self._line, asyncio.TaskGroup() as group:
            group.create_task(self._heartbeat(), name="fake-kubelet-heartbeat")
            group.create_task(self._follow(), name="fake-kubelet-watch")
            group.create_task(self._report(), name="fake-kubelet-report")

    async def _register(self, node: Node) -> None:
        labels = {
            "kubernetes.io/hostname": node.name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": "amd64",
            "topology.kubernetes.io/zone": f"zone-{node.name[-1]}",
        }
        body = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node.name, "labels": labels}}
        try:
            await self._api.post("/api/v1/nodes", body)
        except ApiError as error:
            if error.status != CONFLICT:
                raise
        await self._beat(node)

    async def _heartbeat(self) -> None:
        while True:
            known = {node.name: node.ready for node in self.nodes.values()}
            for node in list(self.nodes.values()):
                await self._attempt(self._beat(node))
            for _ in range(int(HEARTBEAT_SECONDS / TICK_SECONDS)):
                await asyncio.sleep(TICK_SECONDS)
                if known != {node.name: node.ready for node in self.nodes.values()}:
                    break

    async def _beat(self, node: Node) -> None:
        now = stamp(datetime.now(UTC))
        ready = {"type": "Ready", "status": str(node.ready), "reason": "KubeletReady" if node.ready else "KubeletNotReady"}
        status = {
            "capacity": node.allocatable,
            "allocatable": node.allocatable,
            "conditions": [ready | {"message": "fake kubelet", "lastHeartbeatTime": now}],
            "nodeInfo": {"kubeletVersion": "v1.34.4", "operatingSystem": "linux", "architecture": "amd64"},
        }
        await self._line.patch(f"/api/v1/nodes/{node.name}/status", {"status": status}, content_type=STRATEGIC)

    async def _follow(self) -> None:
        """Keeps `_pods` true: list, then watch; again from the list whenever the watch ends."""
        while True:
            try:
                listed = await self._line.get("/api/v1/pods")
                self._relist(listed["items"])
                async with aclosing(self._line.watch("/api/v1/pods", listed["metadata"]["resourceVersion"])) as events:
                    await self._take_all(events)
            except (*UNREACHABLE, ApiError):
                await asyncio.sleep(RETRY_SECONDS)

    async def _take_all(self, events: AsyncIterator[Object]) -> None:
        async for event in events:
            if event["type"] == "ERROR":
                return
            self._take(event["type"], event["object"])

    def _relist(self, pods: list[Object]) -> None:
        alive = {pod["metadata"]["uid"] for pod in pods}
        self._unbound &= alive
        for uid in self._pods.keys() - alive:
            del self._pods[uid]
        for pod in pods:
            self._take("MODIFIED", pod)

    def _take(self, change: str, pod: Object) -> None:
        if change == "BOOKMARK":
            return
        uid = pod["metadata"]["uid"]
        if change == "DELETED":
            self._pods.pop(uid, None)
            self._unbound.discard(uid)
        elif uid in self._pods:
            self._pods[uid].pod = pod
        elif pod["spec"].get("nodeName") in self.nodes:
            now = datetime.now(UTC)
            self._pods[uid] = Running(pod, Lifetime(started=now, changed=now), self._number())
            self._unbound.discard(uid)
        else:
            self._unbound.add(uid)
        self._wake.set()

    def _number(self) -> int:
        self._next_number += 1
        return self._next_number

    async def _report(self) -> None:
        """Tells the API server what changed, on every event and every tick."""
        while True:
            work = [todo for uid, running in list(self._pods.items()) if (todo := self._due(uid, running)) is not None]
            async with asyncio.TaskGroup() as group:
                for todo in work:
                    group.create_task(self._attempt(todo), name="fake-kubelet-pod")
            try:
                async with asyncio.timeout(TICK_SECONDS):  # not wait_for: on 3.11 it may swallow a cancellation
                    await self._wake.wait()
            except TimeoutError:
                continue
            self._wake.clear()

    def _due(self, uid: str, running: Running) -> Coroutine[Any, Any, None] | None:
        now = datetime.now(UTC)
        behaviours = {c["name"]: self._behaviour(uid, c["image"]) for c in running.pod["spec"]["containers"]}
        if "deletionTimestamp" in running.pod["metadata"]:
            running.dying_since = running.dying_since or now
            grace = max(behaviour.terminates_after for behaviour in behaviours.values())
            over = (now - running.dying_since).total_seconds() >= grace
            return self._let_go(running) if over else None
        ready = is_ready(behaviours, (now - running.lifetime.started).total_seconds())
        if ready != running.lifetime.ready:
            running.lifetime = replace(running.lifetime, ready=ready, changed=now, restarts=running.restarts)
        status = pod_status(running.pod, behaviours, running.lifetime, now=now, ip=_ip(running.number))
        return None if _essence(status) == running.reported else self._tell(running, status)

    def _behaviour(self, uid: str, image: str) -> Behaviour:
        behaviour = self._behaviours.get(image) or by_tag(image)
        patients, new_pods_too = self._sick.get(image, (frozenset[str](), False))
        return replace(behaviour, fate=Fate.UNREADY) if uid in patients or new_pods_too else behaviour

    async def _tell(self, running: Running, status: Object) -> None:
        body = {"metadata": {"uid": running.pod["metadata"]["uid"]}, "status": status}
        await self._line.patch(f"{_path(running.pod)}/status", body, content_type=STRATEGIC)
        running.reported = _essence(status)
        running.restarts = max(container["restartCount"] for container in status["containerStatuses"])

    async def _let_go(self, running: Running) -> None:
        # In the body: with a DELETE body the API server ignores the query, and without grace 0 the pod stays for ever.
        await self._line.delete(_path(running.pod), {"gracePeriodSeconds": 0, "preconditions": {"uid": running.pod["metadata"]["uid"]}})

    async def _attempt(self, call: Coroutine[Any, Any, None]) -> None:
        """One call that the next tick repeats when it failed."""
        try:
            await call
        except ApiError as error:
            if error.status not in (NOT_FOUND, CONFLICT, GONE):
                await asyncio.sleep(RETRY_SECONDS)
        except UNREACHABLE:
            await asyncio.sleep(RETRY_SECONDS)


def _path(pod: Object) -> str:
    return f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"


def _ip(number: int) -> str:
    return f"10.{1 + number // 65536 % 254}.{number // 256 % 256}.{number % 256}"


def _essence(status: Object) -> str:
    """What makes a status worth sending again: all but the times of past exits."""
    containers = [container | {"lastState": _exit_code(container)} for container in status["containerStatuses"]]
    return json.dumps([status["phase"], status["conditions"], containers])


def _exit_code(container: Object) -> int | None:
    last: Object = container.get("lastState", {}).get("terminated", {})
    return last.get("exitCode")
