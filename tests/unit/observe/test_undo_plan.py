"""Where an undo goes: the traps of kubectl's own rule, and what makes a former revision known good."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from receiver.clients.kubernetes_objects import template_hash
from receiver.core.facts import UndoPlan
from receiver.observe import revisions
from receiver.observe.live import Core
from receiver.observe.undo_plan import undo_plan
from tests.unit.observe.objects import BOUNDS, NOW, Object, ago, deployment, managed, pod, replica_set, template

GOOD1, GOOD2, BAD = template("app:good1"), template("app:good2"), template("app:crash1")
RESTARTED = template("app:good2", annotations={"kubectl.kubernetes.io/restartedAt": "2026-11-20T11:00:00Z"})
BY_US = template("app:good2", annotations={"alert-receiver.internal/attempt": "abc-1-1"})


def of(found: Object, *history: Object) -> UndoPlan:
    core = Core(found, history, pods_of(history))
    return undo_plan(core, found["kind"], revisions.steps(core, found["kind"]), known_good_for=BOUNDS.known_good_for)


def pods_of(history: tuple[Object, ...]) -> tuple[Object, ...]:
    """As many as each ReplicaSet says are available."""
    return tuple(
        pod(f"{each['metadata']['name']}-{number}", owner=each["metadata"]["name"])
        for each in history
        for number in range(each["status"].get("availableReplicas", 0))
    )


def steps(*history: Object) -> tuple[revisions.Step, ...]:
    return revisions.steps(Core(deployment(), history, ()), "Deployment")


def plan(standing: Object, revision: int, *sets: Object) -> UndoPlan:
    return of(deployment(standing, revision=revision), *sets)


def test_the_former_revision_is_the_aim() -> None:
    found = plan(
        BAD,
        3,
        replica_set(GOOD1, revision=1, made=ago(days=9)),
        replica_set(GOOD2, revision=2, made=ago(days=3)),
        replica_set(BAD, revision=3, made=ago(minutes=9)),
    )
    assert (found.refusal, found.revision, found.replica_set, found.template_hash) == ("", "2", "web-2", template_hash(GOOD2))


@pytest.mark.parametrize("restart", [RESTARTED, BY_US])
def test_a_revision_that_only_restarted_is_skipped(restart: Object) -> None:
    sets = (
        replica_set(GOOD1, revision=1, made=ago(days=9)),
        replica_set(GOOD2, revision=2, made=ago(days=3)),
        replica_set(restart, revision=3, made=ago(hours=1)),
    )
    assert plan(restart, 3, *sets).revision == "1"


def test_a_bad_revision_that_was_restarted_goes_back_to_the_good_one() -> None:
    restarted = template("app:crash1", annotations={"kubectl.kubernetes.io/restartedAt": "2026-11-20T11:00:00Z"})
    sets = (
        replica_set(GOOD2, revision=2, made=ago(days=3)),
        replica_set(BAD, revision=3, made=ago(minutes=9)),
        replica_set(restarted, revision=4, made=ago(minutes=2)),
    )
    assert plan(restarted, 4, *sets).revision == "2"


def test_after_an_undo_the_bad_version_is_no_known_good_aim() -> None:
    """good2 was used again as 4: the newest other one is the version that was rolled away from."""
    sets = (
        replica_set(GOOD2, revision=4, made=ago(days=3), history="2", available=3),
        replica_set(BAD, revision=3, made=ago(minutes=9)),
    )
    found = plan(GOOD2, 4, *sets)
    assert (found.revision, found.known_good, found.known_good_because) == (
        "3",
        False,
        "no pod of it is available, and nothing shows how long it stood",
    )


def test_while_the_controller_lags_there_is_no_plan() -> None:
    lagging = deployment(BAD, revision=2, observedGeneration=3)
    sets = (replica_set(GOOD1, revision=1, made=ago(days=9)), replica_set(GOOD2, revision=2, made=ago(days=3)))
    assert "not observed" in of(lagging, *sets).refusal


def test_without_a_replica_set_of_the_template_there_is_no_plan() -> None:
    sets = (replica_set(GOOD1, revision=1, made=ago(days=9)), replica_set(GOOD2, revision=2, made=ago(days=3)))
    assert "current revision" in plan(BAD, 2, *sets).refusal


def test_a_revision_that_does_not_match_is_no_current_one() -> None:
    sets = (replica_set(GOOD1, revision=1, made=ago(days=9)), replica_set(BAD, revision=2, made=ago(days=3)))
    assert "current revision" in plan(BAD, 3, *sets).refusal


def test_a_paused_deployment_is_not_undone() -> None:
    paused = deployment(BAD, revision=2)
    paused["spec"]["paused"] = True
    assert "paused" in of(paused).refusal


def test_without_history_there_is_nothing_to_undo_to() -> None:
    forgetful = deployment(BAD, revision=2)
    forgetful["spec"]["revisionHistoryLimit"] = 0
    assert "revisionHistoryLimit is 0" in of(forgetful).refusal


def test_a_first_revision_has_nothing_before_it() -> None:
    assert "no earlier revision differs" in plan(BAD, 1, replica_set(BAD, revision=1, made=ago(hours=1))).refusal


def test_only_what_came_before_is_a_step_back() -> None:
    sets = (replica_set(BAD, revision=1, made=ago(hours=1)), replica_set(GOOD2, revision=2, made=ago(minutes=1), available=3))
    assert "no earlier revision differs" in plan(BAD, 1, *sets).refusal


# --- known good ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("minutes,good", [(29, False), (30, True), (600, True)])
def test_a_revision_is_known_good_when_it_stood_long_enough(minutes: int, good: bool) -> None:
    sets = (
        replica_set(GOOD2, revision=2, made=ago(minutes=9 + minutes)),
        replica_set(BAD, revision=3, made=ago(minutes=9)),
    )
    assert plan(BAD, 3, *sets).known_good is good


def test_a_pod_that_is_still_available_shows_that_it_works() -> None:
    sets = (
        replica_set(GOOD2, revision=2, made=ago(minutes=12), available=2),
        replica_set(BAD, revision=3, made=ago(minutes=9)),
    )
    assert plan(BAD, 3, *sets).known_good_because == "web-2 still has 2 available pods"


def test_the_bad_revisions_own_pods_show_nothing_for_the_aim() -> None:
    sets = (
        replica_set(GOOD2, revision=2, made=ago(minutes=12)),
        replica_set(BAD, revision=3, made=ago(minutes=9), available=1),
    )
    assert not plan(BAD, 3, *sets).known_good


def test_restarts_of_one_program_stand_together() -> None:
    sets = (
        replica_set(GOOD2, revision=2, made=ago(minutes=49)),
        replica_set(RESTARTED, revision=3, made=ago(minutes=29)),
        replica_set(BAD, revision=4, made=ago(minutes=9)),
    )
    assert plan(BAD, 4, *sets).known_good_because == "it stood for 40 min before it was replaced"


def test_a_bad_revision_between_breaks_the_time_it_stood() -> None:
    """crash1 stood 5 min, then good1 was used again for hours, then somebody tried crash1 anew, then bad."""
    sets = (
        replica_set(GOOD1, revision=3, made=ago(days=2), history="1"),
        replica_set(BAD, revision=4, made=ago(hours=9), history="2"),
        replica_set(GOOD2, revision=5, made=ago(minutes=9)),
    )
    found = plan(GOOD2, 5, *sets)
    assert (found.revision, found.known_good) == ("4", False)


def test_history_that_was_cleaned_away_proves_nothing() -> None:
    sets = (replica_set(GOOD2, revision=2, made=ago(days=3)), replica_set(BAD, revision=5, made=ago(minutes=9)))
    assert revisions.stood(steps(*sets), template_hash(GOOD2)) == timedelta(0)


# --- what would change ---------------------------------------------------------------------------------------------------


def test_differences_name_what_changes_and_hold_no_value() -> None:
    then = template("app:good2")
    now = template("app:crash1", serviceAccountName="web")
    now["spec"]["containers"][0] |= {"env": [{"name": "TOKEN", "value": "s3cret"}], "args": ["--password=s3cret"]}
    sets = (replica_set(then, revision=2, made=ago(days=3)), replica_set(now, revision=3, made=ago(minutes=9)))
    assert plan(now, 3, *sets).differences == ("image app: app:crash1 -> app:good2", "env app: TOKEN", "app: args", "serviceAccountName")


def test_a_container_that_comes_or_goes_is_named() -> None:
    then, now = template(), template()
    now["spec"]["containers"].append({"name": "side", "image": "side:1"})
    sets = (replica_set(then, revision=2, made=ago(days=3)), replica_set(now, revision=3, made=ago(minutes=9)))
    assert plan(now, 3, *sets).differences == ("container side: removed (side:1)",)


def test_differences_are_bounded() -> None:
    now = template()
    now["spec"] |= {f"field{each}": each for each in range(99)}
    sets = (replica_set(template(), revision=2, made=ago(days=3)), replica_set(now, revision=3, made=ago(minutes=9)))
    found = plan(now, 3, *sets).differences
    assert (len(found), found[-1]) == (20, "and 80 more")


# --- when the current revision began -------------------------------------------------------------------------------------


def test_a_new_revision_began_when_its_replica_set_was_made() -> None:
    sets = (replica_set(GOOD2, revision=2, made=ago(days=3)), replica_set(BAD, revision=3, made=ago(minutes=9)))
    assert began_at(deployment(BAD, revision=3), *sets) == NOW - timedelta(minutes=9)


def began_at(found: Object, *history: Object) -> datetime | None:
    core = Core(found, history, ())
    every = revisions.steps(core, found["kind"])
    newest = revisions.current(core, found["kind"], every)
    assert newest is not None
    return revisions.began(found, every, newest)


def program_at(found: Object, *history: Object) -> datetime | None:
    core = Core(found, history, ())
    every = revisions.steps(core, found["kind"])
    newest = revisions.current(core, found["kind"], every)
    assert newest is not None
    return revisions.program_began(found, every, newest)


def test_a_restart_makes_no_program_younger() -> None:
    sets = (
        replica_set(GOOD1, revision=1, made=ago(days=9)),
        replica_set(GOOD2, revision=2, made=ago(days=3)),
        replica_set(BY_US, revision=3, made=ago(hours=1)),
        replica_set(RESTARTED, revision=4, made=ago(minutes=9)),
    )
    assert program_at(deployment(RESTARTED, revision=4), *sets) == NOW - timedelta(days=3)
    assert began_at(deployment(RESTARTED, revision=4), *sets) == NOW - timedelta(minutes=9)


def test_a_new_program_began_with_its_revision() -> None:
    sets = (replica_set(GOOD2, revision=2, made=ago(days=3)), replica_set(BAD, revision=3, made=ago(minutes=9)))
    assert program_at(deployment(BAD, revision=3), *sets) == NOW - timedelta(minutes=9)


def reused(progress: str, *changes: str) -> tuple[Object, tuple[Object, ...]]:
    """good2 made 3 days ago, bad 2 h ago, and since then good2 again."""
    found = deployment(GOOD2, revision=4, conditions=[{"type": "Progressing", "status": "True", "lastUpdateTime": progress}])
    for each in changes:
        managed(found, f"kubectl-{each}", at=each)
    sets = (replica_set(GOOD2, revision=4, made=ago(days=3), history="2"), replica_set(BAD, revision=3, made=ago(hours=2)))
    return found, sets


@pytest.mark.parametrize(
    "progress,changes,began",
    [
        (ago(minutes=10), (), timedelta(minutes=10)),
        (ago(minutes=10), (ago(minutes=12),), timedelta(minutes=12)),
        (ago(minutes=10), (ago(days=4),), timedelta(minutes=10)),  # an older owner of the template
        (ago(minutes=10), (ago(minutes=2), ago(minutes=12)), timedelta(minutes=12)),  # later than the rollout: another change
        (ago(hours=5), (), timedelta(hours=2)),  # never before the other one was made
    ],
)
def test_a_revision_used_again_began_with_the_change_that_brought_it_back(
    progress: str, changes: tuple[str, ...], began: timedelta
) -> None:
    found, sets = reused(progress, *changes)
    assert began_at(found, *sets) == NOW - began
