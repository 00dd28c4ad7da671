"""StatefulSets and DaemonSets as facts: counts, rollout, history, the way back, the pod to evict."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from receiver.clients.kubernetes_objects import template_hash
from receiver.core.facts import RolloutState, Workload
from receiver.observe import rollout, workload
from receiver.observe.live import Core, Live
from receiver.observe.revisions import steps, stood
from tests.unit.observe.objects import (
    BOUNDS,
    NOW,
    SCOPE,
    Object,
    ago,
    controller_revision,
    daemon_set,
    live,
    managed,
    member,
    stateful_set,
    template,
)

GOOD, BAD = template("app:good"), template("app:crash")
RESTARTED = template("app:good", annotations={"kubectl.kubernetes.io/restartedAt": "2026-11-20T11:00:00Z"})


def described(found: Live) -> Workload:
    return workload.describe(found, SCOPE, BOUNDS)


def release(**changes: Any) -> Live:
    """`web-2`, the bad one, is nine minutes old; its first pod crashes and the controller waits for it."""
    found = stateful_set(BAD, ready=2)
    found["status"] |= {"updatedReplicas": 1, "currentRevision": "web-1", "updateRevision": "web-2"} | changes
    history = (controller_revision(GOOD, 1, made=ago(days=2)), controller_revision(BAD, 2, made=ago(minutes=9)))
    pods = [member("web-0", "web-1"), member("web-1", "web-1"), member("web-2", "web-2", crash=True)]
    return live(found, *history, pods=pods)


def test_a_bad_release_of_a_stateful_set_is_described_as_it_is() -> None:
    seen = described(release())
    assert (seen.kind, seen.replicas, seen.updated, seen.available, seen.rollout) == ("StatefulSet", 3, 1, 2, RolloutState.progressing)
    assert (seen.revision, seen.revision_at, seen.ordered) == ("2", NOW - timedelta(minutes=9), True)
    assert (seen.template_hash, seen.images, seen.pods.restarts) == (template_hash(BAD), ("app:crash",), 4)
    assert (seen.recreate, seen.max_surge, seen.max_unavailable) == (False, 0, 1)


def test_its_way_back_is_the_controller_revision_before_it() -> None:
    undo = described(release()).undo
    assert (undo.refusal, undo.revision, undo.replica_set, undo.template_hash) == ("", "1", "web-1", template_hash(GOOD))
    assert (undo.known_good, undo.known_good_because) == (True, "web-1 still has 2 available pods")
    assert undo.differences == ("image app: app:crash -> app:good",)


def test_a_daemon_sets_way_back_is_found_by_the_hash_of_its_pods() -> None:
    first = controller_revision(GOOD, 1, made=ago(minutes=20), kind="DaemonSet")
    second = controller_revision(BAD, 2, made=ago(minutes=9), kind="DaemonSet")
    first["metadata"]["labels"]["controller-revision-hash"], second["metadata"]["labels"]["controller-revision-hash"] = "aaa", "bbb"
    found = daemon_set(BAD, ready=2)
    found["status"]["updatedNumberScheduled"] = 1
    pods = [member("a", "aaa", kind="DaemonSet"), member("b", "aaa", kind="DaemonSet"), member("c", "bbb", kind="DaemonSet", crash=True)]
    seen = described(live(found, first, second, pods=pods))
    assert (seen.replicas, seen.available, seen.rollout, seen.pods.restarts) == (3, 2, RolloutState.progressing, 4)
    assert (seen.undo.revision, seen.undo.known_good_because) == ("1", "web-1 still has 2 available pods")


@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet"])
def test_a_revision_that_only_restarted_is_skipped(kind: str) -> None:
    found = stateful_set(RESTARTED, revision="web-3") if kind == "StatefulSet" else daemon_set(RESTARTED)
    texts = ((BAD, ago(days=2)), (GOOD, ago(days=1)), (RESTARTED, ago(hours=1)))
    history = [controller_revision(each, number, made=made, kind=kind) for number, (each, made) in enumerate(texts, start=1)]
    assert described(live(found, *history, pods=[])).undo.revision == "1"


def test_while_the_controller_names_another_revision_there_is_no_plan() -> None:
    assert "no ControllerRevision of the current template" in described(release(updateRevision="web-1")).undo.refusal


def test_a_first_revision_of_a_stateful_set_has_nothing_before_it() -> None:
    only = live(stateful_set(GOOD), controller_revision(GOOD, 1, made=ago(days=1)), pods=[])
    assert "no earlier revision differs" in described(only).undo.refusal


# --- how long a revision stood -------------------------------------------------------------------------------------------


def standing(*history: Object) -> timedelta:
    return stood(steps(Core(stateful_set(), history, ()), "StatefulSet"), template_hash(GOOD))


def test_a_successor_dates_the_end_of_a_revision() -> None:
    history = (controller_revision(GOOD, 1, made=ago(minutes=49)), controller_revision(BAD, 2, made=ago(minutes=9)))
    assert standing(*history) == timedelta(minutes=40)


def test_a_revision_used_again_proves_nothing_of_its_second_time() -> None:
    """good, bad, good again (raised to 3 in place), then another: its creation is older than that of the bad one."""
    history = (
        controller_revision(BAD, 2, made=ago(minutes=48)),
        controller_revision(GOOD, 3, made=ago(minutes=49)),
        controller_revision(template("app:new"), 4, made=ago(minutes=9)),
    )
    assert standing(*history) == timedelta(0)


def test_a_revision_used_again_began_after_every_other_one_was_made() -> None:
    found = managed(stateful_set(GOOD, revision="web-3"), "kubectl", at=ago(minutes=5))
    history = (
        controller_revision(BAD, 2, made=ago(minutes=30)),
        controller_revision(GOOD, 3, made=ago(days=3)),
    )
    assert described(live(found, *history, pods=[])).revision_at == NOW - timedelta(minutes=5)


# --- rollout -------------------------------------------------------------------------------------------------------------


def sts(**status: Any) -> Object:
    found = stateful_set()
    found["status"] |= status
    return found


@pytest.mark.parametrize(
    "found,wanted",
    [
        (sts(), RolloutState.complete),
        (sts(readyReplicas=1), RolloutState.complete),  # it was over, then pods failed
        (sts(observedGeneration=3), RolloutState.progressing),
        (sts(updatedReplicas=2), RolloutState.progressing),
        (sts(replicas=2), RolloutState.progressing),
        (sts(updateRevision="web-2"), RolloutState.progressing),  # all pods are new, none was ever ready
        (stateful_set(updateStrategy={"rollingUpdate": {"partition": 2}}), RolloutState.complete),
        (sts() | {"spec": stateful_set(updateStrategy={"type": "OnDelete"})["spec"]}, RolloutState.complete),
        (daemon_set(), RolloutState.complete),
        (daemon_set(ready=2), RolloutState.complete),
    ],
)
def test_the_state_is_the_controllers_own_reading(found: Object, wanted: RolloutState) -> None:
    assert rollout.state(found, found["kind"])[0] is wanted


@pytest.mark.parametrize("updated,wanted", [(0, RolloutState.progressing), (1, RolloutState.complete)])
def test_a_partition_is_reached_by_the_ordinals_above_it(updated: int, wanted: RolloutState) -> None:
    found = stateful_set(updateStrategy={"rollingUpdate": {"partition": 2}})
    found["status"] |= {"updatedReplicas": updated, "updateRevision": "web-2"}
    assert rollout.state(found, "StatefulSet")[0] is wanted


@pytest.mark.parametrize("field", ["currentNumberScheduled", "updatedNumberScheduled"])
def test_a_daemon_set_is_not_over_while_a_node_lacks_its_newest_pod(field: str) -> None:
    found = daemon_set()
    found["status"][field] = 2
    assert rollout.state(found, "DaemonSet")[0] is RolloutState.progressing


@pytest.mark.parametrize(
    "found,surge,unavailable",
    [
        (stateful_set(), 0, 1),
        (stateful_set(updateStrategy={"rollingUpdate": {"maxUnavailable": "50%"}}), 0, 2),
        (stateful_set(updateStrategy={"type": "OnDelete"}), 0, 0),
        (daemon_set(), 0, 1),
        (daemon_set(wanted=10, updateStrategy={"rollingUpdate": {"maxUnavailable": "25%"}}), 0, 3),
        (daemon_set(updateStrategy={"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}), 1, 0),
    ],
)
def test_what_a_restart_takes_down(found: Object, surge: int, unavailable: int) -> None:
    assert rollout.swing(found, found["kind"]) == rollout.Swing(recreate=False, max_unavailable=unavailable, max_surge=surge)


# --- somebody else -------------------------------------------------------------------------------------------------------


def test_a_scale_of_a_stateful_set_is_dated_by_what_its_controller_wrote_next() -> None:
    """An entry made through /scale has no time of its own."""
    found = managed(stateful_set(), "kubectl", at="", subresource="scale")
    managed(found, "kube-controller-manager", at=ago(minutes=4), subresource="status")
    foreign = described(live(found, controller_revision(template(), 1, made=ago(days=1)), pods=[])).foreign
    assert foreign is not None
    assert (foreign.at, foreign.manager) == (NOW - timedelta(minutes=4), "kubectl")
