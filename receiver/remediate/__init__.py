"""All writing to the outside: one file an action.

Law: an action runs by a `Permit` only, does what it says and nothing else, once. `ACTIONS` is the explicit table of what exists; rule files
are checked against its names, `deploy/` against its permissions. Wired in `app.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

from receiver.clients.kubernetes import Kubernetes
from receiver.ports import Action, Clock
from receiver.remediate.kubernetes.carry_out import KubernetesAction
from receiver.remediate.kubernetes.cordon import Cordon, Uncordon
from receiver.remediate.kubernetes.evict_pod import EvictPod
from receiver.remediate.kubernetes.rollout_restart import RolloutRestart
from receiver.remediate.kubernetes.rollout_undo import RolloutUndo
from receiver.remediate.kubernetes.scale import Scale

ACTIONS: Mapping[str, type[KubernetesAction]] = {
    each.name: each for each in (Scale, RolloutRestart, RolloutUndo, EvictPod, Cordon, Uncordon)
}


def wire(*, clients: Mapping[str, Kubernetes], clock: Clock) -> dict[str, Action]:
    """The actions whose identity (`base`, `undo`, `nodes`) has a client; the others do not exist, and a rule that lists them is refused."""
    return {name: action(clients[action.identity], clock=clock) for name, action in ACTIONS.items() if action.identity in clients}
