"""From labels or the catalogue to one live object."""

from __future__ import annotations

from datetime import timedelta

import pytest

from receiver.clients.errors import ClientError, ErrorKind
from receiver.core.facts import Facts, Hint, Look, Trouble, Want
from receiver.core.model import TargetRef
from receiver.observe.readings import Readings
from receiver.observe.resolve import HINTS_LIMIT, TargetObserver
from receiver.observe.scope import Scope
from tests.fakes.kubernetes_reader import FakeReader
from tests.unit.observe.objects import NOW, REF, SCOPE, Object, deployment, other, pod, replica_set, template

AIM = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}


def cluster(*more: Object) -> FakeReader:
    """`web` with one pod, and `api` with another."""
    api = deployment(name="api")
    return FakeReader(
        deployment(),
        replica_set(template(), revision=1, made="2026-11-01T00:00:00Z"),
        pod(),
        api,
        replica_set(template(), revision=1, made="2026-11-01T00:00:00Z", owner="api"),
        pod("api-1-a", owner="api-1", labels={"app": "api"}),
        *more,
    )


async def looked(reader: FakeReader, *hints: Hint, ref: TargetRef | None = None, uid: str = "", scope: Scope = SCOPE) -> Facts:
    look = Look(frozenset({Want.target}), timedelta(seconds=5), hints=hints, ref=ref, uid=uid)
    return await TargetObserver(Readings(reader), scope).look(look, Facts(at=NOW))


def hint(**said: str) -> Hint:
    return Hint(**{"namespace": "shop", **said})


@pytest.mark.parametrize(
    "said",
    [
        hint(pod="web-1-a"),
        hint(kind="Deployment", name="web"),
        hint(kind="deployment", name="web"),
        hint(name="web"),
        hint(kind="ReplicaSet", name="web-1"),
        hint(hpa="scaler"),
        hint(service="front"),
        hint(kind="Deployment", name="web", pod="kube-state-metrics-0", service="kube-state-metrics"),
        hint(hpa="scaler", pod="kube-state-metrics-0"),
        hint(cluster="default", name="web"),
    ],
)
async def test_whatever_names_it_leads_to_the_same_object(said: Hint) -> None:
    reader = cluster(other("HorizontalPodAutoscaler", "scaler", spec={"scaleTargetRef": AIM}), service("front", app="web"))
    facts = await looked(reader, said)
    assert (facts.trouble, facts.target and (facts.target.ref, facts.target.uid)) == (None, (REF, "uid-web"))


def service(name: str, **selector: str) -> Object:
    return other("Service", name, spec={"selector": selector}, uid=f"uid-{name}")


async def test_the_chain_is_told() -> None:
    facts = await looked(cluster(), hint(pod="web-1-a"))
    assert facts.chain == ("Pod shop/web-1-a (uid-web-1-a) -> ReplicaSet shop/web-1 (uid-web-1) -> Deployment shop/web (uid-web)",)


@pytest.mark.parametrize(
    "said,trouble",
    [
        (hint(), Trouble.no_labels),
        (hint(namespace="", name="web"), Trouble.no_labels),
        (hint(name="gone"), Trouble.not_found),
        (hint(pod="web-1-gone"), Trouble.not_found),
        (hint(service="gone"), Trouble.not_found),
        (hint(service="empty"), Trouble.not_found),
        (hint(service="both"), Trouble.ambiguous),
        (hint(kind="Job", name="web"), Trouble.unsupported_kind),
        (hint(pod="bare"), Trouble.unsupported_kind),
        (hint(pod="of-a-job"), Trouble.unsupported_kind),
        (hint(pod="of-an-old-set"), Trouble.not_found),
        (hint(hpa="of-a-clone-set"), Trouble.unsupported_kind),
        (hint(cluster="other", name="web"), Trouble.foreign_cluster),
        (hint(namespace="elsewhere", name="web"), Trouble.namespace_not_allowed),
        (hint(namespace="kube-system", name="web"), Trouble.namespace_not_allowed),
        (hint(namespace="receiver", name="web"), Trouble.namespace_not_allowed),
        (hint(name="ksm"), Trouble.exporter),
    ],
)
async def test_what_cannot_be_shown_is_a_trouble(said: Hint, trouble: Trouble) -> None:
    bare, of_job, of_old = pod("bare"), pod("of-a-job"), pod("of-an-old-set")
    bare["metadata"].pop("ownerReferences")
    of_job["metadata"]["ownerReferences"][0]["kind"] = "Job"
    of_old["metadata"]["ownerReferences"][0]["uid"] = "uid-of-the-one-before"
    exporter = deployment(name="ksm")
    exporter["metadata"]["labels"]["app.kubernetes.io/name"] = "kube-state-metrics"
    for each in (bare, of_job, of_old):
        each["metadata"]["labels"] = {"app": "odd"}
    scaler = other("HorizontalPodAutoscaler", "of-a-clone-set", spec={"scaleTargetRef": AIM | {"kind": "CloneSet"}})
    mixed = pod("mixed", owner="api-1", labels={"app": "web"})
    reader = cluster(bare, of_job, of_old, exporter, scaler, service("both", app="web"), service("empty", app="none"), mixed)
    facts = await looked(reader, said)
    assert (facts.trouble, facts.target) == (trouble, None)


async def test_no_name_is_ever_cut() -> None:
    """The pod is gone: its Deployment's name stands in its own, and is not read from there."""
    facts = await looked(cluster(), hint(pod="web-1-zzzzz"))
    assert (facts.trouble, facts.trouble_detail) == (Trouble.not_found, "Pod shop/web-1-zzzzz does not exist")


async def test_a_forbidden_namespace_is_not_even_read() -> None:
    reader = cluster()
    await looked(reader, hint(namespace="kube-system", name="web"))
    assert reader.reads == []


@pytest.mark.parametrize(
    "kind,trouble",
    [
        (ErrorKind.forbidden, Trouble.forbidden),
        (ErrorKind.unauthorized, Trouble.forbidden),
        (ErrorKind.timeout, Trouble.timeout),
        (ErrorKind.unreachable, Trouble.unreadable),
        (ErrorKind.throttled, Trouble.unreadable),
    ],
)
async def test_what_the_client_says_becomes_a_trouble(kind: ErrorKind, trouble: Trouble) -> None:
    reader = cluster()
    reader.broken["ReplicaSet"] = ClientError(kind, "no")
    assert (await looked(reader, hint(pod="web-1-a"))).trouble is trouble


# --- several hints -------------------------------------------------------------------------------------------------------


async def test_hints_that_agree_are_one_target() -> None:
    facts = await looked(cluster(), hint(pod="web-1-a"), hint(name="web"), hint(namespace=""))
    assert facts.target is not None
    assert len(facts.chain) == 2


async def test_hints_that_differ_are_no_target() -> None:
    facts = await looked(cluster(), hint(pod="web-1-a"), hint(pod="api-1-a"))
    assert (facts.trouble, facts.target) == (Trouble.ambiguous, None)
    assert facts.trouble_detail == "the alerts point at Deployment api, Deployment web"


async def test_one_hint_that_leads_nowhere_spoils_the_others() -> None:
    facts = await looked(cluster(), hint(pod="web-1-a"), hint(pod="gone"))
    assert (facts.trouble, facts.target) == (Trouble.not_found, None)


async def test_no_object_is_read_twice_in_one_look() -> None:
    reader = cluster(pod("web-1-b"))
    await looked(reader, hint(pod="web-1-a"), hint(pod="web-1-b"))
    assert len(reader.reads) == len(set(reader.reads)) == 5


async def test_more_hints_than_can_be_followed_are_ambiguous() -> None:
    reader = cluster()
    facts = await looked(reader, *(hint(pod=f"p-{each}") for each in range(HINTS_LIMIT + 1)))
    assert (facts.trouble, reader.reads) == (Trouble.ambiguous, [])


# --- a reference ---------------------------------------------------------------------------------------------------------


async def test_a_reference_wins_over_hints() -> None:
    facts = await looked(cluster(), hint(name="api"), ref=REF)
    assert facts.target is not None
    assert facts.target.ref == REF


async def test_the_same_name_with_another_uid_was_replaced() -> None:
    assert (await looked(cluster(), ref=REF, uid="uid-before")).trouble is Trouble.replaced
    assert (await looked(cluster(), ref=REF, uid="uid-web")).trouble is None


async def test_another_clusters_reference_is_foreign() -> None:
    ref = TargetRef("kubernetes", "other", "shop", "Deployment", "web")
    assert (await looked(cluster(), ref=ref)).trouble is Trouble.foreign_cluster


async def test_a_deleted_target_is_not_found() -> None:
    ref = TargetRef("kubernetes", "default", "shop", "Deployment", "gone")
    assert (await looked(cluster(), ref=ref, uid="u")).trouble is Trouble.not_found


async def test_another_platforms_reference_is_left_to_its_own_observer() -> None:
    reader = cluster()
    ref = TargetRef("ecs", "default", "app-cluster", "Service", "web")
    assert (await looked(reader, ref=ref), reader.reads) == (Facts(at=NOW), [])


async def test_a_stateful_set_is_bound_by_its_uid() -> None:
    sts = other("StatefulSet", "db", uid="uid-db")
    member = pod("db-0", labels={"app": "db"})
    member["metadata"]["ownerReferences"] = [{"kind": "StatefulSet", "name": "db", "uid": "uid-db", "controller": True}]
    facts = await looked(cluster(sts, member), hint(pod="db-0"))
    assert facts.target is not None
    assert (facts.target.ref.kind, facts.target.uid) == ("StatefulSet", "uid-db")


async def test_pods_whose_names_begin_alike_are_not_taken_for_each_other() -> None:
    """`web` and `web-api`: dashes stand in names, only owners tell."""
    longer = deployment(name="web-api")
    sets = replica_set(template(), revision=1, made="2026-11-01T00:00:00Z", owner="web-api")
    facts = await looked(cluster(longer, sets, pod("web-api-1-a", owner="web-api-1", labels={"app": "web-api"})), hint(pod="web-api-1-a"))
    assert facts.target is not None
    assert facts.target.ref.name == "web-api"


async def test_a_pod_that_is_gone_is_resolved_by_its_replica_set_only_while_that_exists() -> None:
    assert (await looked(cluster(), hint(kind="ReplicaSet", name="web-1"))).target is not None
    assert (await looked(cluster(), hint(kind="ReplicaSet", name="web-0"))).trouble is Trouble.not_found


async def test_many_pods_of_one_workload_cost_two_lists() -> None:
    reader = cluster(*(pod(f"web-1-{each}") for each in "bcdefgh"))
    facts = await looked(reader, *(hint(pod=f"web-1-{each}") for each in "abcdefgh"))
    assert facts.target is not None
    assert [each.split(" ")[0] for each in reader.reads] == ["Pod", "ReplicaSet", "Deployment", "Pod", "ReplicaSet"]


async def test_a_stranger_among_many_pods_is_still_found_out() -> None:
    facts = await looked(cluster(pod("web-1-b")), hint(pod="web-1-a"), hint(pod="web-1-b"), hint(pod="api-1-a"))
    assert facts.trouble is Trouble.ambiguous
