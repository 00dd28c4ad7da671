"""Which pod an eviction could cure, and what the budgets over it allow."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from receiver.core.facts import Victim
from receiver.observe.live import Live
from receiver.observe.victim import victim
from tests.unit.observe.objects import (
    NOW,
    Object,
    ago,
    controller_revision,
    crashing,
    homeless,
    live,
    member,
    other,
    pod,
    stateful_set,
    template,
)


def chosen(found: Live) -> Victim | None:
    return victim(found, unready_for=timedelta(minutes=2))


def name(*pods: Object) -> str:
    found = chosen(live(pods=[pod("web-1-good"), *pods]))
    return found.name if found else ""


def unready(named: str, **since: float) -> Object:
    found = pod(named, ready=False)
    found["status"]["conditions"][1]["lastTransitionTime"] = ago(**since)
    return found


def test_sound_pods_are_no_victims() -> None:
    assert name() == ""


def test_a_pod_that_lost_its_readiness_a_moment_ago_is_left_alone() -> None:
    assert name(unready("u", seconds=90)) == ""


def test_a_pod_that_is_not_ready_for_long_is_the_victim() -> None:
    found = chosen(live(pods=[pod("good"), unready("u", minutes=12)]))
    assert found == Victim("u", "uid-u", NOW - timedelta(hours=1), "not ready for 12m")


def test_what_crashes_comes_before_what_is_only_not_ready() -> None:
    assert name(unready("u", minutes=50), crashing("c")) == "c"


def test_the_longest_sick_comes_first() -> None:
    assert name(unready("younger", minutes=5), unready("older", minutes=50)) == "older"


def test_a_pod_without_a_node_or_on_its_way_out_is_no_victim() -> None:
    going = crashing("going")
    going["metadata"]["deletionTimestamp"] = ago(seconds=5)
    assert name(homeless("homeless"), going) == ""


# --- the stuck ordinal ---------------------------------------------------------------------------------------------------


def undone(*pods: Object, **spec: Any) -> Live:
    """Rolled back to web-1; the pods of web-2 stay for ever."""
    found = stateful_set(replicas=12, ready=9, **spec)
    found["status"]["updatedReplicas"] = 9
    return live(found, controller_revision(template(), 1, made=ago(days=1)), pods=[member("web-0", "web-1"), *pods])


def test_the_stuck_ordinal_is_the_victim_the_highest_first() -> None:
    found = chosen(undone(member("web-9", "web-2", crash=True), member("web-10", "web-2", crash=True)))
    assert found is not None
    assert (found.name, found.stuck, found.reason) == ("web-10", True, "stuck on revision web-2")


@pytest.mark.parametrize(
    "found",
    [
        undone(member("web-9", "web-2")),  # of the old revision, and ready: the controller replaces it itself
        undone(member("web-9", "web-1", ready=False)),  # not ready, of the right revision
        undone(member("web-9", "web-2", crash=True), podManagementPolicy="Parallel"),
        undone(member("web-9", "web-2", crash=True), updateStrategy={"rollingUpdate": {"partition": 10}}),
        undone(member("web-9", "web-2", crash=True), updateStrategy={"type": "OnDelete"}),
    ],
)
def test_nothing_is_stuck_that_the_controller_renews_or_keeps_by_wish(found: Live) -> None:
    seen = chosen(found)
    assert seen is None or not seen.stuck


# --- budgets -------------------------------------------------------------------------------------------------------------


def budget(allowed: int, *, healthy: int = 3, wanted: int = 3, observed: int = 1, **spec: Any) -> Object:
    status = {"disruptionsAllowed": allowed, "currentHealthy": healthy, "desiredHealthy": wanted, "observedGeneration": observed}
    return other("PodDisruptionBudget", "b", spec={"selector": {"matchLabels": {"app": "web"}}} | spec, status=status, generation=1)


@pytest.mark.parametrize(
    "budgets,allowed",
    [
        ([], None),
        ([budget(2)], 2),
        ([budget(0, healthy=2)], 0),
        ([budget(2, observed=0)], 0),
        ([budget(0, healthy=3)], 1),  # a pod that is not ready may go while enough others are
        ([budget(0, healthy=1, unhealthyPodEvictionPolicy="AlwaysAllow")], 1),
        ([budget(0, healthy=2, selector={"matchLabels": {"app": "other"}})], None),
        ([budget(2), budget(0, healthy=2)], 0),
    ],
)
def test_the_tightest_budget_over_the_victim_counts(budgets: list[Object], allowed: int | None) -> None:
    found = chosen(live(None, *budgets, pods=[pod(), crashing("c")]))
    assert found is not None
    assert found.allowed == allowed
