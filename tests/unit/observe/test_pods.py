"""Pods, counted."""

from __future__ import annotations

from datetime import timedelta

import pytest

from receiver.core.facts import Pods
from receiver.observe import pods
from tests.unit.observe.objects import NOW, Object, ago, crashing, homeless, killed, pod, three_pods


def summary(*found: Object) -> Pods:
    return pods.summary(found, newest="uid-web-1")


def test_what_pods_wait_for_is_counted_by_pod() -> None:
    seen = summary(pod("a"), crashing("b"), crashing("c"), crashing("d", reason="ImagePullBackOff"))
    assert seen.waiting == {"CrashLoopBackOff": 2, "ImagePullBackOff": 1}


def test_a_pod_with_two_crashing_containers_is_one_pod() -> None:
    found = crashing("b")
    found["status"]["containerStatuses"] *= 2
    assert summary(found).waiting == {"CrashLoopBackOff": 1}


def test_a_starting_pod_waits_for_nothing_worth_a_word() -> None:
    assert summary(crashing("b", reason="ContainerCreating")).waiting == {}


def test_restarts_are_those_of_the_current_revision() -> None:
    assert summary(crashing("old", owner="web-0", restarts=50), crashing("new", restarts=4)).restarts == 4


def test_an_initial_container_that_fails_is_seen() -> None:
    found = pod("a", ready=False)
    found["status"]["initContainerStatuses"] = [{"restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]
    assert (summary(found).waiting, summary(found).restarts) == ({"CrashLoopBackOff": 1}, 3)


def test_ends_are_told_by_reason_or_exit_code() -> None:
    assert summary(crashing("a"), crashing("b"), killed("c", lived=timedelta(hours=2))).terminated == {"exit 1": 2, "OOMKilled": 1}


def test_pods_that_go_or_have_ended_are_not_counted() -> None:
    going, evicted = crashing("a"), pod("b", ready=False)
    going["metadata"]["deletionTimestamp"] = ago(seconds=1)
    evicted["status"]["phase"] = "Failed"
    assert summary(going, evicted) == Pods()


def test_the_newest_pod_is_dated() -> None:
    assert summary(pod("a", made=ago(hours=5)), pod("b", made=ago(minutes=5))).newest_at == NOW - timedelta(minutes=5)


def test_a_pod_without_a_node_is_unschedulable() -> None:
    assert summary(pod(), homeless()).unschedulable == 1


@pytest.mark.parametrize(
    "found,alike",
    [
        ([], False),
        (three_pods(), False),
        ([pod("a", ready=False), pod("b", ready=False)], True),
        ([pod("a"), pod("b", ready=False)], False),
        ([crashing("a"), crashing("b")], True),
        ([crashing("a"), pod("b", ready=False)], False),
        ([crashing("a"), crashing("b", reason="ImagePullBackOff")], False),
        ([crashing("a", reason="ContainerCreating")], False),
        ([homeless("a"), homeless("b")], True),
    ],
)
def test_alike_means_one_and_the_same_failed_state(found: list[Object], alike: bool) -> None:
    assert summary(*found).alike is alike


def test_while_the_current_revision_is_unknown_no_restarts_are_its() -> None:
    assert pods.summary([crashing("a")], newest="").restarts == 0
