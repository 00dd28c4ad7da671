"""From configuration to the evidence of a page: who collects it, and the desk where the responder asks for it.

Law: as of `wiring`, of which this is a part. Called by `app.py` only.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Protocol

from receiver.clients.aws import Aws, AwsAccount, AwsConfig
from receiver.clients.ecs import Ecs
from receiver.clients.kubernetes import Kubernetes
from receiver.clients.prometheus import Prometheus, PrometheusConfig
from receiver.engine.gathering import Gathering
from receiver.observe.evidence import (
    AlarmEvidence,
    ChangesEvidence,
    ChangeSource,
    CloudTrailChanges,
    EcsEvidence,
    EcsLogs,
    EvidenceRunner,
    KubernetesEvidence,
    KubernetesLogs,
    KubernetesRevisions,
    NodeEvidence,
    QueriesEvidence,
    ToldChanges,
)
from receiver.observe.readings import Recent
from receiver.ports import CaseStore, ChangeStore, Clock, Collector, KillSwitch
from receiver.settings import Settings
from receiver.settings.aws import services_at
from receiver.telemetry.metrics import Metrics
from receiver.wiring_pulled import places_of


class EvidenceStore(CaseStore, ChangeStore, Protocol):
    """What it reads and writes."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What is there to collect from; None: it is not configured."""

    kubernetes: Kubernetes | None
    ecs: Ecs | None
    recent: Recent
    """Readings of the looks, which are not made again for the page that follows."""
    namespaces: Collection[str]
    """Ours."""
    switch: KillSwitch


def gathering(
    settings: Settings,
    sight: Sight,
    store: EvidenceStore,
    *,
    clock: Clock,
    metrics: Metrics,
    stack: AsyncExitStack,
    destinations: tuple[str, ...],
    told: Callable[[str], None],
) -> Gathering:
    """`told` tells the outbox of a new message."""
    runner = EvidenceRunner(collectors(settings, sight, store, clock=clock, stack=stack), within=settings.evidence.within, metrics=metrics)
    return Gathering(runner.collect, store, clock=clock, destinations=destinations, told=told)


def collectors(settings: Settings, sight: Sight, store: ChangeStore, *, clock: Clock, stack: AsyncExitStack) -> list[Collector]:
    """All that have something to ask."""
    sources: list[ChangeSource] = [ToldChanges(store)]
    found: list[Collector] = []
    if (reader := sight.kubernetes) is not None:
        sources.append(KubernetesRevisions(reader, clock, recent=sight.recent))
        found.append(KubernetesEvidence(reader, clock, recent=sight.recent))
        if settings.kubernetes is not None and settings.kubernetes.nodes:
            found.append(NodeEvidence(reader, clock, namespaces=sight.namespaces))
        found += [KubernetesLogs(reader, clock, recent=sight.recent)] if settings.evidence.logs else []
    if (ecs := sight.ecs) is not None:
        sources.append(CloudTrailChanges(ecs, clock))
        found.append(EcsEvidence(ecs, clock))
        found += [EcsLogs(ecs, clock)] if settings.evidence.logs else []
    if places := alarm_places(settings):
        found.append(AlarmEvidence(_aws(settings, sight.switch, clock=clock, stack=stack), places, clock, account=own_account(settings)))
    if (own := settings.prometheus) is not None:
        prometheus = Prometheus(PrometheusConfig(str(own.url), token=own.token, timeout=own.timeout))
        stack.push_async_callback(prometheus.close)
        found.append(QueriesEvidence(prometheus, cluster=settings.cluster))
    return [ChangesEvidence(sources, clock), *found]


def alarm_places(settings: Settings) -> frozenset[tuple[str, str]]:
    """Accounts and Regions whose alarms may be read: where alarms are asked for, and where services are."""
    listed = frozenset() if settings.ecs is None else services_at(settings.ecs, own_account(settings))
    return frozenset({*places_of(settings), *((each.account, each.region) for each in listed)})


def own_account(settings: Settings) -> str:
    """Of the default credentials, where it is told."""
    return (settings.aws.account if settings.aws else None) or ""


def _aws(settings: Settings, switch: KillSwitch, *, clock: Clock, stack: AsyncExitStack) -> Aws:
    """Nothing is imported or sent before the first call."""
    around, own, named = settings.aws, settings.cloudwatch, settings.ecs
    config = AwsConfig(
        region=own.regions[0] if own is not None else named.region if named is not None else "",
        accounts=tuple(AwsAccount(each.id, each.role_arn or "", each.external_id or "") for each in (around.accounts if around else ())),
        endpoint_url=str((around.endpoint_url if around else None) or ""),
        endpoints={"cloudwatch": str(own.endpoint_url)} if own is not None and own.endpoint_url else {},
    )
    aws = Aws(config, clock=clock, kill_switch=switch)
    stack.push_async_callback(aws.close)
    return aws
