"""One reading of a workload, as facts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from receiver.clients.errors import ClientError, ErrorKind
from receiver.clients.kubernetes_objects import template_hash
from receiver.core.facts import Facts, Hint, Look, RolloutState, Trouble, Want, Workload
from receiver.core.model import Target
from receiver.observe.live import AROUND
from receiver.observe.readings import Readings
from receiver.observe.workload import WorkloadObserver
from tests.fakes.kubernetes_reader import FakeReader
from tests.unit.observe.objects import (
    BOUNDS,
    NOW,
    REF,
    SCOPE,
    ago,
    crashing,
    deployment,
    managed,
    namespace,
    pod,
    replica_set,
    template,
)

BAD = template("app:crash")


def release(**status: Any) -> FakeReader:
    """A bad release on its way: three old pods stand, the new one crashes."""
    found = managed(deployment(BAD, revision=2, replicas=3, updatedReplicas=1, **status), "kubectl", at=ago(minutes=9))
    found["status"]["conditions"][0]["reason"] = "ReplicaSetUpdated"
    return FakeReader(
        found,
        namespace(),
        replica_set(template(), revision=1, made=ago(days=2), available=3),
        replica_set(BAD, revision=2, made=ago(minutes=9)),
        *(pod(f"web-1-{each}") for each in "abc"),
        crashing("web-2-a", owner="web-2", made=ago(minutes=9)),
        crashing("stranger", owner="other-1"),
    )


async def looked(reader: FakeReader, *, uid: str = "uid-web", wants: Want = Want.workload) -> Facts:
    facts = Facts(at=NOW, target=Target(REF, uid))
    return await WorkloadObserver(Readings(reader), SCOPE, BOUNDS).look(Look(frozenset({wants}), timedelta(seconds=5)), facts)


async def seen(reader: FakeReader) -> Workload:
    facts = await looked(reader)
    assert facts.workload is not None, facts.trouble_detail
    return facts.workload


async def test_a_bad_release_is_described_as_it_is() -> None:
    found = await seen(release())
    assert (found.replicas, found.updated, found.available, found.rollout) == (3, 1, 3, RolloutState.progressing)
    assert (found.revision, found.revision_at, found.images) == ("2", NOW - timedelta(minutes=9), ("app:crash",))
    assert (found.pods.total, found.pods.ready, found.pods.restarts, dict(found.pods.waiting)) == (4, 3, 4, {"CrashLoopBackOff": 1})
    assert (found.undo.revision, found.undo.known_good, found.template_hash) == ("1", True, template_hash(BAD))
    assert found.foreign is not None
    assert not found.foreign.after_revision


async def test_the_hazards_of_a_bad_release_leave_the_undo_free() -> None:
    assert [each.hazard for each in (await seen(release())).dangers if not each.verbs or "rollout_undo" in each.verbs] == []


async def test_our_attempts_are_found_wherever_they_left_a_mark() -> None:
    found = deployment(template(annotations={"alert-receiver.internal/attempt": "i-1-1"}))
    found["metadata"]["annotations"]["alert-receiver.internal/last-action"] = '["i-1-2"]'
    managed(found, "receiver:i-1-3", at=ago(minutes=1), subresource="scale")
    assert set((await seen(FakeReader(found, namespace()))).marks) == {"i-1-1", "i-1-2", "i-1-3"}


async def test_a_scale_without_a_time_is_as_new_as_the_last_write_of_the_replica_set() -> None:
    found = managed(deployment(), "kubectl", at="", subresource="scale")
    owned = managed(replica_set(template(), revision=1, made=ago(days=2)), "kube-controller-manager", at=ago(minutes=4))
    foreign = (await seen(FakeReader(found, namespace(), owned))).foreign
    assert foreign is not None
    assert (foreign.at, foreign.manager) == (NOW - timedelta(minutes=4), "kubectl")


async def test_the_lower_of_the_owners_limits_holds() -> None:
    found = deployment()
    found["metadata"]["annotations"]["alert-receiver.internal/max-replicas"] = "9"
    assert (await seen(FakeReader(found, namespace(**{"alert-receiver.internal/max-replicas": "6"})))).max_replicas == 6


@pytest.mark.parametrize("kind", ["ReplicaSet", "Pod", "Namespace", "Deployment", "Event", *AROUND])
async def test_a_reading_that_is_not_complete_is_none(kind: str) -> None:
    reader = release()
    reader.broken[kind] = ClientError(ErrorKind.forbidden, f"may not list {kind}")
    facts = await looked(reader)
    assert (facts.workload, facts.trouble, facts.trouble_detail) == (None, Trouble.forbidden, f"may not list {kind}")


async def test_another_object_of_the_same_name_is_not_described() -> None:
    facts = await looked(release(), uid="uid-before")
    assert (facts.workload, facts.trouble) == (None, Trouble.replaced)


async def test_nothing_is_read_that_is_not_wanted() -> None:
    reader = release()
    await looked(reader, wants=Want.verify)
    assert reader.reads == []


async def test_another_workloads_replica_sets_and_pods_are_none_of_its_own() -> None:
    """They match the selector, and are controlled by another uid."""
    reader = release()
    reader.objects.append(replica_set(template("app:strange"), revision=9, made=ago(minutes=1), owner="other") | {})
    reader.objects[-1]["metadata"]["labels"] = {"app": "web"}
    found = await seen(reader)
    assert (found.revision, found.undo.revision, found.pods.total) == ("2", "1", 4)


@pytest.mark.parametrize(("told", "trouble"), [("stranger", Trouble.ambiguous), ("long-gone", None), ("web-1-a", None)])
async def test_an_alert_about_a_pod_of_something_else_makes_two_targets(told: str, trouble: Trouble | None) -> None:
    facts = Facts(at=NOW, target=Target(REF, "uid-web"))
    hints = (Hint(namespace=REF.namespace, pod="web-2-a"), Hint(namespace=REF.namespace, pod=told))
    look = Look(frozenset({Want.workload}), timedelta(seconds=5), hints=hints, ref=REF, uid="uid-web")
    found = await WorkloadObserver(Readings(release()), SCOPE, BOUNDS).look(look, facts)
    assert found.trouble is trouble
    assert told in found.trouble_detail or trouble is None
