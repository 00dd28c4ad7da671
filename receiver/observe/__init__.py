"""All reading of the outside: carries out a `Look`, and collects the evidence for a page.

Law: nothing here changes anything; nothing raises but for cancellation; a time limit on everything; each observer declares its permissions,
and `deploy/` grants exactly their union with those of the actions. Wired in `app.py`. A new way to look is one module and one row below.
"""

from __future__ import annotations

from dataclasses import dataclass

from receiver.clients.probe import Prober
from receiver.clients.prometheus import Prometheus
from receiver.core.model import Bounds
from receiver.observe.evidence import KubernetesEvidence
from receiver.observe.probe import ProbeObserver
from receiver.observe.prometheus import PrometheusObserver
from receiver.observe.reader import Reader
from receiver.observe.resolve import TargetObserver
from receiver.observe.runner import LookRunner
from receiver.observe.scope import OptIn, Scope
from receiver.observe.workload import WorkloadObserver
from receiver.ports import Observer

__all__ = ["OBSERVERS", "Eyes", "KubernetesEvidence", "LookRunner", "OptIn", "Scope", "observers"]

OBSERVERS = (TargetObserver, WorkloadObserver, PrometheusObserver, ProbeObserver)
"""In the order in which they are asked: state and placeholders need the target."""


@dataclass(frozen=True, slots=True)
class Eyes:
    """The clients that are configured; None: that kind of look is not answered."""

    scope: Scope
    bounds: Bounds
    kubernetes: Reader | None = None
    prometheus: Prometheus | None = None
    prober: Prober | None = None


def observers(eyes: Eyes) -> tuple[Observer, ...]:
    """One of each kind that has its client."""
    found: list[Observer] = []
    if eyes.kubernetes is not None:
        found += [TargetObserver(eyes.kubernetes, eyes.scope), WorkloadObserver(eyes.kubernetes, eyes.scope, eyes.bounds)]
    if eyes.prometheus is not None:
        found.append(PrometheusObserver(eyes.prometheus))
    if eyes.prober is not None:
        found.append(ProbeObserver(eyes.prober))
    return tuple(found)
