"""How far a rollout is, and what it may take down."""

from __future__ import annotations

from typing import Any

import pytest

from receiver.core.facts import RolloutState
from receiver.observe import rollout
from tests.unit.observe.objects import Object, deployment

PROGRESSING = {"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated"}
OVERDUE = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out"}
QUOTA = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota: small"}
OVER = {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}


@pytest.mark.parametrize(
    "found,wanted",
    [
        (deployment(), RolloutState.complete),
        (deployment(conditions=[PROGRESSING]), RolloutState.complete),
        (deployment(available=0), RolloutState.complete),  # it was over, then the pods failed
        (deployment(available=0, conditions=[PROGRESSING]), RolloutState.progressing),
        (deployment(available=0, conditions=[]), RolloutState.progressing),  # no deadline: nothing says that it was ever over
        (deployment(conditions=[PROGRESSING], updatedReplicas=1), RolloutState.progressing),
        (deployment(conditions=[OVER], updatedReplicas=2), RolloutState.progressing),
        (deployment(conditions=[PROGRESSING], replicas=4), RolloutState.complete),
        (deployment(conditions=[OVER], observedGeneration=3), RolloutState.progressing),
        (deployment(conditions=[OVERDUE], updatedReplicas=1), RolloutState.stuck),
        (deployment(conditions=[OVER, QUOTA]), RolloutState.stuck),
    ],
)
def test_the_state_is_the_controllers_own_reading(found: Object, wanted: RolloutState) -> None:
    assert rollout.state(found)[0] is wanted


def test_old_pods_that_still_stand_are_no_complete_rollout() -> None:
    found = deployment(conditions=[PROGRESSING])
    found["status"]["replicas"] = 4
    assert rollout.state(found)[0] is RolloutState.progressing


def test_pods_that_are_still_to_be_made_are_no_complete_rollout() -> None:
    found = deployment(conditions=[OVER], updatedReplicas=2)
    found["status"]["replicas"] = 2
    assert rollout.state(found)[0] is RolloutState.progressing


def test_a_stuck_rollout_says_why() -> None:
    assert rollout.state(deployment(conditions=[QUOTA]))[1] == "FailedCreate: exceeded quota: small"


def test_counts_that_are_absent_are_zero() -> None:
    found = deployment()
    found["status"] = {"observedGeneration": 4}
    assert rollout.counts(found) == rollout.Counts(asked=3, current=0, updated=0, ready=0, available=0)


@pytest.mark.parametrize("replicas,wanted", [(0, 0), (None, 1), (5, 5)])
def test_zero_asked_for_is_not_the_default_of_one(replicas: int | None, wanted: int) -> None:
    found = deployment()
    found["spec"]["replicas"] = replicas
    assert rollout.counts(found).asked == wanted


@pytest.mark.parametrize(
    "replicas,rolling,surge,unavailable",
    [
        (1, {}, 1, 0),
        (3, {}, 1, 0),
        (4, {}, 1, 1),
        (10, {"maxSurge": "25%", "maxUnavailable": "25%"}, 3, 2),
        (7, {"maxSurge": "29%", "maxUnavailable": "29%"}, 3, 2),
        (100, {"maxSurge": "29%", "maxUnavailable": "29%"}, 29, 29),  # in floats 29 % of 100 is 28.999…
        (4, {"maxSurge": 0, "maxUnavailable": 0}, 0, 1),
        (4, {"maxSurge": "0%", "maxUnavailable": "10%"}, 0, 1),
        (2, {"maxSurge": 0, "maxUnavailable": 5}, 0, 2),
        (4, {"maxSurge": 2, "maxUnavailable": "100%"}, 2, 4),
    ],
)
def test_surge_rounds_up_and_unavailable_down(replicas: int, rolling: dict[str, Any], surge: int, unavailable: int) -> None:
    found = deployment(replicas=replicas)
    found["spec"]["strategy"] = {"type": "RollingUpdate", "rollingUpdate": rolling}
    assert rollout.swing(found) == rollout.Swing(recreate=False, max_unavailable=unavailable, max_surge=surge)


def test_recreate_takes_everything_down() -> None:
    found = deployment(replicas=5)
    found["spec"]["strategy"] = {"type": "Recreate"}
    assert rollout.swing(found) == rollout.Swing(recreate=True, max_unavailable=5, max_surge=0)
