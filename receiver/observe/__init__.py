"""All reading of the outside: carries out a `Look`, and collects the evidence for a page.

Law: nothing here changes anything; nothing raises but for cancellation; a time limit on everything; each observer declares its permissions,
and `deploy/` grants exactly their union with those of the actions. Wired in `app.py`. A new way to look is one module and one row below.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from receiver.clients.ecs import Ecs
from receiver.clients.probe import Prober
from receiver.clients.prometheus import Prometheus
from receiver.core.model import Bounds
from receiver.observe.ecs import EcsObserver
from receiver.observe.node import NodeObserver
from receiver.observe.probe import ProbeObserver
from receiver.observe.prometheus import NoPrometheus, PrometheusObserver
from receiver.observe.reader import Reader
from receiver.observe.readings import Readings, Recent
from receiver.observe.resolve import TargetObserver
from receiver.observe.runner import LookRunner
from receiver.observe.scope import OptIn, Scope
from receiver.observe.workload import WorkloadObserver
from receiver.ports import Observer

__all__ = [
    "ECS_OBSERVERS",
    "NODE_OBSERVERS",
    "OBSERVERS",
    "Eyes",
    "LookRunner",
    "OptIn",
    "Recent",
    "Scope",
    "observers",
]

OBSERVERS = (TargetObserver, WorkloadObserver, PrometheusObserver, ProbeObserver)
"""In the order in which they are asked: state and placeholders need the target."""
NODE_OBSERVERS = (NodeObserver,)
"""With `kubernetes.nodes` only: their rights are on the whole cluster."""
ECS_OBSERVERS = (EcsObserver,)
"""With `ecs` only; after those of Kubernetes, which pass a look at a service of ECS through."""


@dataclass(frozen=True, slots=True)
class Eyes:
    """The clients that are configured; None: that kind of look is not answered."""

    scope: Scope
    bounds: Bounds
    kubernetes: Reader | None = None
    health: Callable[[], str] | None = None
    """What is wrong with the Kubernetes API as its client meets it; empty: nothing."""
    recent: Recent | None = None
    """Where readings are left for the evidence of a page."""
    ecs: Ecs | None = None
    ecs_tag: bool = True
    """A service of ECS says by its tag that it may be acted on."""
    prometheus: Prometheus | None = None
    prober: Prober | None = None


def observers(eyes: Eyes) -> tuple[Observer, ...]:
    """One of each kind that has its client; without Prometheus one that says so."""
    found: list[Observer] = []
    if eyes.kubernetes is not None:
        found += _of_kubernetes(Readings(eyes.kubernetes), eyes)
    if eyes.ecs is not None:
        found.append(EcsObserver(eyes.ecs, cluster=eyes.scope.cluster, bounds=eyes.bounds, tag=eyes.ecs_tag))
    found.append(PrometheusObserver(eyes.prometheus) if eyes.prometheus is not None else NoPrometheus())
    if eyes.prober is not None:
        found.append(ProbeObserver(eyes.prober))
    return tuple(found)


def _of_kubernetes(readings: Readings, eyes: Eyes) -> list[Observer]:
    found: list[Observer] = [TargetObserver(readings, eyes.scope)]
    if eyes.scope.nodes:
        found.append(NodeObserver(readings, eyes.scope, health=eyes.health))
    return [*found, WorkloadObserver(readings, eyes.scope, eyes.bounds, health=eyes.health, recent=eyes.recent)]
