"""Evidence for a page: what a person wants to read first, collected side by side, each piece named, bounded and masked.

Law: reads only; a piece that cannot be read says why and holds up no other; every line passes `core/masking.py`. Collectors implement
`ports.Collector` and declare their rights; `EvidenceRunner` asks them. Wired in `wiring.py`.
"""

from __future__ import annotations

from receiver.observe.evidence.alarm import AlarmEvidence
from receiver.observe.evidence.changes import ChangesEvidence, ChangeSource, KubernetesRevisions, ToldChanges
from receiver.observe.evidence.cloudtrail import CloudTrailChanges
from receiver.observe.evidence.ecs import EcsEvidence
from receiver.observe.evidence.ecs_logs import EcsLogs
from receiver.observe.evidence.kubernetes import KubernetesEvidence
from receiver.observe.evidence.logs import KubernetesLogs
from receiver.observe.evidence.node import NodeEvidence
from receiver.observe.evidence.queries import QueriesEvidence
from receiver.observe.evidence.runner import EvidenceRunner

__all__ = [
    "ECS_EVIDENCE",
    "KUBERNETES_EVIDENCE",
    "AlarmEvidence",
    "ChangeSource",
    "ChangesEvidence",
    "CloudTrailChanges",
    "EcsEvidence",
    "EcsLogs",
    "EvidenceRunner",
    "KubernetesEvidence",
    "KubernetesLogs",
    "KubernetesRevisions",
    "NodeEvidence",
    "QueriesEvidence",
    "ToldChanges",
]

KUBERNETES_EVIDENCE = (KubernetesEvidence, KubernetesLogs, KubernetesRevisions)
"""Those that need rights in the cluster."""
ECS_EVIDENCE = (EcsEvidence, EcsLogs, CloudTrailChanges, AlarmEvidence)
"""Those that need rights in the account."""
