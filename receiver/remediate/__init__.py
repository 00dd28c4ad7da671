"""All writing to the outside: one file an action.

Law: an action runs by a `Permit` only, does what it says and nothing else, once. `ACTIONS` is the explicit table of what exists; rule files
are checked against its names, `deploy/` against its permissions. Wired in `app.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

from receiver.clients.ecs import Ecs
from receiver.clients.kubernetes import Kubernetes
from receiver.ports import Action, Clock
from receiver.remediate.ecs.carry_out import EcsAction
from receiver.remediate.ecs.desired_count import DesiredCount
from receiver.remediate.ecs.new_deployment import NewDeployment
from receiver.remediate.ecs.previous_task_definition import PreviousTaskDefinition
from receiver.remediate.kubernetes.carry_out import KubernetesAction
from receiver.remediate.kubernetes.cordon import Cordon, Uncordon
from receiver.remediate.kubernetes.evict_pod import EvictPod
from receiver.remediate.kubernetes.rollout_restart import RolloutRestart
from receiver.remediate.kubernetes.rollout_undo import RolloutUndo
from receiver.remediate.kubernetes.scale import Scale

KUBERNETES_ACTIONS: Mapping[str, type[KubernetesAction]] = {
    each.name: each for each in (Scale, RolloutRestart, RolloutUndo, EvictPod, Cordon, Uncordon)
}
ECS_ACTIONS: Mapping[str, type[EcsAction]] = {each.name: each for each in (DesiredCount, NewDeployment, PreviousTaskDefinition)}
ACTIONS: Mapping[str, type[KubernetesAction] | type[EcsAction]] = {**KUBERNETES_ACTIONS, **ECS_ACTIONS}


def wire(*, clients: Mapping[str, Kubernetes], clock: Clock, ecs: Ecs | None = None) -> dict[str, Action]:
    """The actions whose identity (`base`, `undo`, `nodes`) has a client, and with `ecs` those on ECS; the others do not exist, and a rule
    that lists them is refused."""
    found: dict[str, Action] = {
        name: action(clients[action.identity], clock=clock) for name, action in KUBERNETES_ACTIONS.items() if action.identity in clients
    }
    return found | ({name: action(ecs, clock=clock) for name, action in ECS_ACTIONS.items()} if ecs is not None else {})
