"""Raw Kubernetes objects as the API gives them: a Deployment `shop/web` of three good pods, and what the tests change of it."""

from __future__ import annotations

import copy
from dataclasses import replace
from datetime import timedelta
from typing import Any

from receiver.clients.kubernetes_objects import timestamp
from receiver.core.model import Bounds, Classification, Incident, Level, Priority, Rule, Symptom, Target, TargetRef
from receiver.observe.live import AROUND, VERTICAL, Core, Live
from receiver.observe.scope import Scope
from receiver.ports import Inquiry
from tests.fakes.clock import START

Object = dict[str, Any]

NOW = START
BOUNDS = Bounds()
SCOPE = Scope(cluster="default", namespaces=frozenset({"shop"}), own_namespace="receiver")
REF = TargetRef("kubernetes", "default", "shop", "Deployment", "web")
ENABLED = {"alert-receiver.internal/enabled": "true"}
REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"


def ago(**since: float) -> str:
    return timestamp(NOW - timedelta(**since))


def template(image: str = "app:1", *, annotations: dict[str, str] | None = None, **spec: Any) -> Object:
    meta: Object = {"labels": {"app": "web"}} | ({"annotations": annotations} if annotations else {})
    return {"metadata": meta, "spec": {"containers": [{"name": "app", "image": image}], "terminationGracePeriodSeconds": 30} | spec}


def deployment(
    found: Object | None = None, *, replicas: int = 3, available: int | None = None, revision: int = 1, name: str = "web", **status: Any
) -> Object:
    """Complete, unless `available` or the status say otherwise."""
    up = replicas if available is None else available
    conditions = [
        {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable", "lastUpdateTime": ago(hours=2)},
    ]
    return {
        "kind": "Deployment",
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": f"uid-{name}",
            "resourceVersion": "77",
            "generation": 4,
            "labels": {"app": name},
            "annotations": {REVISION: str(revision)} | ENABLED,
        },
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
            "template": found or template(),
        },
        "status": {"observedGeneration": 4, "replicas": replicas, "updatedReplicas": replicas, "conditions": conditions}
        | ({"readyReplicas": up, "availableReplicas": up} if up else {})
        | status,
    }


def replica_set(
    found: Object, *, revision: int, made: str, available: int = 0, history: str = "", owner: str = "web", name: str = ""
) -> Object:
    """With the hash label that its controller adds."""
    own = copy.deepcopy(found)
    name = name or f"{owner}-{revision}"
    own["metadata"].setdefault("labels", {})["pod-template-hash"] = name
    return {
        "kind": "ReplicaSet",
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": f"uid-{name}",
            "creationTimestamp": made,
            "labels": {"app": owner},
            "annotations": {REVISION: str(revision)} | ({HISTORY: history} if history else {}),
            "ownerReferences": [{"kind": "Deployment", "name": owner, "uid": f"uid-{owner}", "controller": True}],
        },
        "spec": {"template": own},
        "status": {"replicas": available, "availableReplicas": available} if available else {"replicas": 0},
    }


def pod(name: str = "web-1-a", *, owner: str = "web-1", ready: bool = True, made: str = "", labels: dict[str, str] | None = None) -> Object:
    """Running; `container` changes how it fares."""
    return {
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": f"uid-{name}",
            "creationTimestamp": made or ago(hours=1),
            "labels": labels or {"app": "web"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": owner, "uid": f"uid-{owner}", "controller": True}],
        },
        "spec": {"containers": [{"name": "app", "image": "app:1"}], "nodeName": "node-1"},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": str(ready)}],
            "containerStatuses": [{"name": "app", "ready": ready, "restartCount": 0, "state": {"running": {}}}],
        },
    }


def crashing(name: str = "web-1-a", *, reason: str = "CrashLoopBackOff", restarts: int = 4, **where: Any) -> Object:
    """Waits for that reason; its last end was exit 1."""
    found = pod(name, ready=False, **where)
    end = {"reason": "Error", "exitCode": 1, "startedAt": ago(seconds=30), "finishedAt": ago(seconds=20)}
    found["status"]["containerStatuses"] = [
        {"name": "app", "restartCount": restarts, "state": {"waiting": {"reason": reason}}, "lastState": {"terminated": end}}
    ]
    return found


def homeless(name: str = "web-1-x") -> Object:
    """No node takes it."""
    found = pod(name, ready=False)
    found["status"] = {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]}
    return found


def killed(name: str = "web-1-a", *, lived: timedelta) -> Object:
    """Runs again after it was killed for its memory."""
    found = pod(name)
    end = {"reason": "OOMKilled", "exitCode": 137, "startedAt": timestamp(NOW - lived), "finishedAt": timestamp(NOW)}
    found["status"]["containerStatuses"][0] |= {"restartCount": 1, "lastState": {"terminated": end}}
    return found


def other(kind: str, name: str, *, spec: Object | None = None, status: Object | None = None, **meta: Any) -> Object:
    return {"kind": kind, "metadata": {"name": name, "namespace": "shop"} | meta, "spec": spec or {}, "status": status or {}}


def stateful_set(
    found: Object | None = None, *, replicas: int = 3, revision: str = "web-1", ready: int | None = None, **spec: Any
) -> Object:
    """All its pods are of `revision`, unless its status is changed."""
    made = deployment(found, replicas=replicas, available=ready)
    up = replicas if ready is None else ready
    made["spec"] |= {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}} | spec
    made["spec"].pop("strategy")
    made["metadata"]["annotations"] = dict(ENABLED)
    made["status"] = {
        "observedGeneration": 4, "replicas": replicas, "updatedReplicas": replicas, "readyReplicas": up, "availableReplicas": up,
        "currentRevision": revision, "updateRevision": revision,
    }  # fmt: skip
    return made | {"kind": "StatefulSet"}


def daemon_set(found: Object | None = None, *, wanted: int = 3, ready: int | None = None, **spec: Any) -> Object:
    made = deployment(found)
    up = wanted if ready is None else ready
    made["spec"] = {"selector": {"matchLabels": {"app": "web"}}, "template": made["spec"]["template"]} | spec
    made["metadata"]["annotations"] = dict(ENABLED)
    made["status"] = {
        "observedGeneration": 4, "desiredNumberScheduled": wanted, "currentNumberScheduled": wanted, "updatedNumberScheduled": wanted,
        "numberReady": up, "numberAvailable": up,
    }  # fmt: skip
    return made | {"kind": "DaemonSet"}


def controller_revision(found: Object, number: int, *, made: str, name: str = "", kind: str = "StatefulSet") -> Object:
    return {
        "kind": "ControllerRevision",
        "metadata": {
            "name": name or f"web-{number}", "namespace": "shop", "uid": f"uid-web-{number}", "creationTimestamp": made,
            "labels": {"app": "web"},
            "ownerReferences": [{"kind": kind, "name": "web", "uid": "uid-web", "controller": True}],
        },
        "revision": number,
        "data": {"spec": {"template": {"$patch": "replace"} | copy.deepcopy(found)}},
    }  # fmt: skip


def member(name: str, revision: str, *, kind: str = "StatefulSet", **fares: Any) -> Object:
    """A pod of a StatefulSet or DaemonSet; `crash=True` or what `pod` takes."""
    found = crashing(name) if fares.pop("crash", False) else pod(name, **fares)
    found["metadata"]["ownerReferences"] = [{"kind": kind, "name": "web", "uid": "uid-web", "controller": True}]
    found["metadata"]["labels"] = {"app": "web", "controller-revision-hash": revision}
    return found


def node(name: str, *, ready: bool = True, version: str = "v1.34.4", conditions: dict[str, str] | None = None, **spec: Any) -> Object:
    found = {"Ready": str(ready)} | (conditions or {})
    return {
        "kind": "Node",
        "metadata": {"name": name, "uid": f"uid-{name}", "resourceVersion": "5", "labels": {"kubernetes.io/hostname": name}},
        "spec": spec,
        "status": {
            "conditions": [{"type": kind, "status": status, "lastTransitionTime": ago(minutes=4)} for kind, status in found.items()],
            "nodeInfo": {"kubeletVersion": version},
            "images": [{"names": ["app:1"]}],
        },
    }


def namespace(**annotations: str) -> Object:
    return {"kind": "Namespace", "metadata": {"name": "shop", "uid": "uid-shop", "annotations": annotations}}


def three_pods() -> list[Object]:
    return [pod(f"web-1-{each}") for each in "abc"]


def live(obj: Object | None = None, *others: Object, pods: list[Object] | None = None, of: Object | None = None) -> Live:
    """A reading of the Deployment; `others` by kind, ReplicaSets among them; `of` is the namespace."""
    obj = obj or deployment()
    sets = [each for each in others if each["kind"] in ("ReplicaSet", "ControllerRevision")] or [
        replica_set(obj["spec"]["template"], revision=1, made=ago(hours=3), available=3)
    ]
    return Live(
        ref=TargetRef("kubernetes", "default", obj["metadata"]["namespace"], obj["kind"], obj["metadata"]["name"]),
        at=NOW,
        core=Core(obj, tuple(sets), tuple(three_pods() if pods is None else pods)),
        namespace=of or namespace(),
        around={kind: [each for each in others if each["kind"] == kind] for kind in (*AROUND, VERTICAL)},
        events=tuple(each for each in others if each["kind"] == "Event"),
        pending=tuple(each for each in others if each["kind"] == "Pod"),
        nodes=tuple(each for each in others if each["kind"] == "Node"),
    )


def managed(obj: Object, manager: str, *, at: str, fields: Object | None = None, **more: str) -> Object:
    """The same object with one more entry of managedFields."""
    entry = {"manager": manager, "operation": "Update", "time": at, "fieldsV1": fields or {"f:spec": {"f:template": {}}}} | more
    obj["metadata"].setdefault("managedFields", []).append(entry)
    return obj


def inquiry(target: Target | None = None, *, rule: Rule | None = None, subjects: tuple[str, ...] = ("checkout",)) -> Inquiry:
    """Of `web`, unless another target is given."""
    own = replace(incident(), target=target) if target is not None else incident()
    return Inquiry(own, own.target, NOW, rule or Rule("crash"), service="checkout", subjects=subjects)


def incident() -> Incident:
    """Bound to `web`."""
    return Incident(
        id=1, version=1, group_key="k", symptom=Symptom.crash, source="am", title="t", rule="r", ruleset_hash="h",
        classification=Classification(Level.high, Level.high, Priority.p1), accepted_at=NOW, target=Target(REF, "uid-web"),
    )  # fmt: skip
