"""What stands around a workload, in lines: the Services before it, its autoscalers, the namespace's quotas, who consumes most. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from receiver.clients.errors import ClientError, ErrorKind
from receiver.clients.kubernetes_objects import Object, metadata, name
from receiver.core.model import TargetRef
from receiver.observe.evidence.pieces import NotThere
from receiver.observe.quantity import quantity
from receiver.observe.reader import Reader

SERVICE_NAME = "kubernetes.io/service-name"
SERVICES, QUOTAS, NAMED = 10, 12, 5
TOP = 5
"""Pods that consume most, as the runbooks read it."""
TIGHT = Decimal("0.8")
"""Share of a quota from which on it is said."""


def endpoint_lines(slices: Iterable[Object], own: Collection[str]) -> list[str]:
    """One line a Service that has one of the workload's pods behind it."""
    services: dict[str, dict[str, bool]] = {}
    for each in slices:
        service = (metadata(each).get("labels") or {}).get(SERVICE_NAME) or name(each)
        for endpoint in each.get("endpoints") or ():
            pod = (endpoint.get("targetRef") or {}).get("name") or ", ".join(endpoint.get("addresses") or ())
            # An absent condition means ready: https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#conditions
            services.setdefault(service, {})[pod] = (endpoint.get("conditions") or {}).get("ready") is not False
    ours = {service: pods for service, pods in services.items() if not own or not set(own).isdisjoint(pods)}
    return [_service_line(service, pods) for service, pods in sorted(ours.items())[:SERVICES]] or ["no Service has a pod of it behind it"]


def _service_line(service: str, pods: Mapping[str, bool]) -> str:
    out = sorted(pod for pod, ready in pods.items() if not ready)
    missing = f"; not ready: {', '.join(out[:NAMED])}" + (f" and {len(out) - NAMED} more" if len(out) > NAMED else "") if out else ""
    return f"Service {service}: {len(pods) - len(out)} of {len(pods)} endpoints ready{missing}"


def autoscaler_lines(found: Iterable[Object], ref: TargetRef) -> list[str]:
    """HorizontalPodAutoscalers that aim at it."""
    aimed = [each for each in found if _aims(each, ref)]
    return [line for each in aimed for line in _autoscaler(each)] or ["no HorizontalPodAutoscaler aims at it"]


def _aims(autoscaler: Object, ref: TargetRef) -> bool:
    aim = (autoscaler.get("spec") or {}).get("scaleTargetRef") or {}
    return (aim.get("kind"), aim.get("name")) == (ref.kind, ref.name)


def _autoscaler(found: Object) -> list[str]:
    spec, status = found.get("spec") or {}, found.get("status") or {}
    bounds = f"{spec.get('minReplicas', 1)} to {spec.get('maxReplicas')}"
    head = f"{name(found)}: {status.get('currentReplicas', 0)} replicas, wants {status.get('desiredReplicas', '?')}, may {bounds}"
    said = [each for each in status.get("conditions") or () if _speaks(each)]
    return [head, *(f"  {each.get('type')}: {each.get('reason')}: {each.get('message')}" for each in said)]


def _speaks(condition: Mapping[str, Any]) -> bool:
    """`ScalingLimited` that holds, or any other that does not."""
    return (condition.get("status") == "True") is (condition.get("type") == "ScalingLimited")


def quota_lines(quotas: Iterable[Object]) -> list[str]:
    """The fullest first; those with room are only counted."""
    shares = sorted(((share, line) for each in quotas for share, line in _quota(each)), reverse=True)
    tight = [line for share, line in shares if share >= TIGHT][:QUOTAS]
    roomy = len([share for share, _ in shares if share < TIGHT])
    if not shares:
        return ["no ResourceQuota"]
    return [*tight, f"{roomy} of {len(shares)} limits are less than {TIGHT:.0%} used"] if roomy else tight


def _quota(found: Object) -> list[tuple[Decimal, str]]:
    status = found.get("status") or {}
    used = status.get("used") or {}
    lines = []
    for resource, hard in (status.get("hard") or {}).items():
        try:
            most, taken = quantity(hard), quantity(used.get(resource, "0"))
        except ValueError:
            continue
        share = taken / most if most else Decimal(1)
        lines.append((share, f"{name(found)}: {resource} {used.get(resource, '0')} of {hard} ({share:.0%})"))
    return lines


async def consumption(reader: Reader, namespace: str) -> list[Object]:
    """What the metrics API says; NotThere where nobody serves it."""
    try:
        return await reader.list("PodMetrics", namespace)
    except ClientError as error:
        if error.kind in (ErrorKind.not_found, ErrorKind.unavailable):
            raise NotThere("the metrics API (metrics.k8s.io) is not there") from error
        raise


def top_lines(found: Iterable[Object], own: Collection[str]) -> list[str]:
    """By CPU and by memory; the workload's own pods are marked."""
    taken = {name(each): _taken(each) for each in found}
    if not taken:
        raise NotThere("the metrics API knows no pod of the namespace")
    return [
        _top("cpu", {pod: cpu for pod, (cpu, _) in taken.items()}, own, lambda each: f"{each * 1000:.0f}m"),
        _top("memory", {pod: memory for pod, (_, memory) in taken.items()}, own, lambda each: f"{each / 2**20:.0f}Mi"),
    ]


def _top(what: str, taken: Mapping[str, Decimal], own: Collection[str], shown: Any) -> str:
    most = sorted(taken.items(), key=lambda each: each[1], reverse=True)[:TOP]
    told = (f"{pod}{' (of it)' if pod in own else ''} {shown(amount)}" for pod, amount in most)
    total = sum((amount for pod, amount in taken.items() if pod in own), Decimal(0))
    return f"{what}: {', '.join(told)}; all of it together {shown(total)}"


def _taken(metrics: Object) -> tuple[Decimal, Decimal]:
    usages: Sequence[Mapping[str, Any]] = [each.get("usage") or {} for each in metrics.get("containers") or ()]
    return _sum(each.get("cpu") for each in usages), _sum(each.get("memory") for each in usages)


def _sum(amounts: Iterable[object]) -> Decimal:
    total = Decimal(0)
    for each in amounts:
        try:
            total += quantity(each or "0")
        except ValueError:
            continue
    return total
