"""What a page shows of a workload."""

from __future__ import annotations

from typing import Any

import pytest

from receiver.clients.errors import ClientError, ErrorKind
from receiver.core.facts import Evidence
from receiver.core.model import Target, TargetRef
from receiver.observe.evidence import EvidenceRunner, KubernetesEvidence, KubernetesLogs
from receiver.ports import Collector
from tests.fakes.clock import FakeClock
from tests.fakes.kubernetes_reader import FakeReader
from tests.unit.observe.objects import Object, ago, crashing, deployment, inquiry, pod, replica_set, template

BAD = template("app:crash")


def event(name: str, *, about: str, seen: str, message: str = "m", **more: Any) -> Object:
    return {
        "kind": "Event",
        "metadata": {"name": name, "namespace": "shop"},
        "involvedObject": {"kind": "Pod", "name": "web-2-a", "uid": about},
        "type": "Warning", "reason": "BackOff", "message": message, "lastTimestamp": seen,
    } | more  # fmt: skip


def endpoints(service: str, *pods: str, out: tuple[str, ...] = ()) -> Object:
    return {
        "kind": "EndpointSlice",
        "metadata": {"name": f"{service}-x", "namespace": "shop", "labels": {"kubernetes.io/service-name": service}},
        "endpoints": [{"targetRef": {"kind": "Pod", "name": each}, "conditions": {"ready": each not in out}} for each in (*pods, *out)],
    }


def metrics(name: str, cpu: str, memory: str) -> Object:
    usage = {"cpu": cpu, "memory": memory}
    return {"kind": "PodMetrics", "metadata": {"name": name, "namespace": "shop"}, "containers": [{"name": "app", "usage": usage}]}


def release(*more: Object) -> FakeReader:
    return FakeReader(
        deployment(BAD, revision=2, updatedReplicas=1),
        replica_set(template(), revision=1, made=ago(days=2), available=3),
        replica_set(BAD, revision=2, made=ago(minutes=9)),
        pod(),
        crashing("web-2-a", owner="web-2", made=ago(minutes=9)),
        *more,
    )


async def pieces(reader: FakeReader, target: Target | None = None) -> dict[str, Evidence]:
    found: dict[str, Evidence] = {}
    collectors: list[Collector] = [KubernetesEvidence(reader, FakeClock()), KubernetesLogs(reader, FakeClock())]
    await EvidenceRunner(collectors).collect(inquiry(target), found)
    return found


async def lines(reader: FakeReader, title: str) -> tuple[str, ...]:
    found = (await pieces(reader))[title]
    assert not found.missing
    return found.lines


# --- pods, revisions, events -----------------------------------------------------------------------------------------------


async def test_pods_that_are_not_well_come_first() -> None:
    found = await lines(release(), "pods")
    assert found[0] == "web-2-a: Running, not ready, CrashLoopBackOff, last end exit 1, 4 restarts, 9 min old, on node-1"
    assert found[1].startswith("web-1-a: ready")


async def test_the_condition_that_does_not_hold_says_why() -> None:
    sick = crashing("web-2-b", owner="web-2", made=ago(minutes=3))
    said = {"type": "ContainersReady", "status": "False", "reason": "ContainersNotReady", "message": "unready status: [app]"}
    sick["status"]["conditions"] = [{"type": "Ready", "status": "False", "reason": "x"}, said]
    assert (await lines(release(sick), "pods"))[1].endswith("; ContainersNotReady: unready status: [app]")


async def test_revisions_are_told_with_their_images_newest_first() -> None:
    assert await lines(release(), "revisions") == (
        "2 (current), made 9 min ago, 0 of 1 available: app:crash",
        "1, made 2 d ago, 1 of 1 available: app:1",
    )


async def test_a_helm_release_is_named() -> None:
    reader = release()
    reader.objects[0]["metadata"]["annotations"]["meta.helm.sh/release-name"] = "web"
    assert "Helm release web" in (await lines(reader, "revisions"))[-1]


async def test_the_newest_events_are_shown_not_the_oldest() -> None:
    many = [event(f"e{each:03}", about="uid-web-2-a", seen=ago(minutes=100 - each), message=f"number {each}") for each in range(100)]
    found = await lines(release(*many), "events")
    assert len(found) == 20
    assert found[0] == "60 s ago Warning BackOff Pod web-2-a: number 99"


async def test_a_strangers_events_are_not_shown() -> None:
    assert await lines(release(event("e", about="uid-other", seen=ago(minutes=1))), "events") == ("none",)


async def test_hostile_event_text_is_one_bounded_masked_line() -> None:
    text = "a\n\x1b[31m password=hunter2 " + "x" * 9000
    (line,) = await lines(release(event("e", about="uid-web", seen=ago(minutes=1), message=text)), "events")
    assert len(line) <= 300
    assert line.isprintable()
    assert "hunter2" not in line


async def test_no_value_of_a_variable_is_ever_shown() -> None:
    reader = release()
    for each in reader.objects:
        containers = ((each["spec"].get("template") or each).get("spec") or {}).get("containers", [])
        for container in containers:
            container["env"] = [{"name": "COLOUR", "value": "s3cret"}]
    assert "s3cret" not in str(await pieces(reader))


# --- around it -------------------------------------------------------------------------------------------------------------


async def test_services_are_told_with_the_endpoints_that_are_out() -> None:
    reader = release(endpoints("web", "web-1-a", out=("web-2-a",)), endpoints("other", "else-1"))
    assert await lines(reader, "endpoints") == ("Service web: 1 of 2 endpoints ready; not ready: web-2-a",)


async def test_no_service_before_it_is_said() -> None:
    assert await lines(release(endpoints("other", "else-1")), "endpoints") == ("no Service has a pod of it behind it",)


async def test_an_autoscaler_says_what_it_wants_and_what_limits_it() -> None:
    limited = {"type": "ScalingLimited", "status": "True", "reason": "TooManyReplicas", "message": "at its maximum"}
    able = {"type": "AbleToScale", "status": "True", "reason": "ok", "message": "ok"}
    autoscaler = {
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "minReplicas": 2, "maxReplicas": 5},
        "status": {"currentReplicas": 5, "desiredReplicas": 5, "conditions": [able, limited]},
    }
    found = await lines(release(autoscaler), "autoscaling")
    assert found == ("web: 5 replicas, wants 5, may 2 to 5", "ScalingLimited: TooManyReplicas: at its maximum")


async def test_the_fullest_quota_comes_first() -> None:
    status = {
        "hard": {"requests.cpu": "4", "pods": "50", "limits.memory": "8Gi"},
        "used": {"requests.cpu": "3900m", "pods": "3", "limits.memory": "8Gi"},
    }
    quota = {"kind": "ResourceQuota", "metadata": {"name": "main", "namespace": "shop"}, "status": status}
    assert await lines(release(quota), "quota") == (
        "main: limits.memory 8Gi of 8Gi (100%)",
        "main: requests.cpu 3900m of 4 (98%)",
        "1 of 3 limits are less than 80% used",
    )


async def test_who_consumes_most_is_told_with_our_own_marked() -> None:
    reader = release(metrics("web-1-a", "250m", "128Mi"), metrics("greedy", "3", "64Mi"))
    assert await lines(reader, "top") == (
        "cpu: greedy 3000m, web-1-a (of it) 250m; all of it together 250m",
        "memory: web-1-a (of it) 128Mi, greedy 64Mi; all of it together 128Mi",
    )


async def test_a_metrics_api_that_is_not_installed_is_named_as_not_there() -> None:
    reader = release()
    reader.broken["PodMetrics"] = ClientError(ErrorKind.not_found, "404")
    assert (await pieces(reader))["top"].missing == "the metrics API (metrics.k8s.io) is not there"


# --- logs ------------------------------------------------------------------------------------------------------------------


async def test_the_log_of_a_fallen_container_is_that_of_its_last_run() -> None:
    reader = release()
    await pieces(reader)
    fallen, running = sorted(reader.wanted, key=lambda each: each.previous, reverse=True)
    assert (fallen.previous, fallen.seconds, fallen.container) == (True, None, "app")
    assert (running.previous, running.seconds) == (False, 300)


async def test_error_lines_are_ranked_by_pattern_and_masked() -> None:
    reader = release()
    reader.logs["web-2-a"] = (
        "".join(f"12:00:{at:02} ERROR cannot reach 10.0.0.{at}, token=abc{at}\n" for at in range(9)) + "FATAL no config\nok\n"
    )
    assert await lines(reader, "log") == (
        "9x web-2-a (before its restart): 12:00:08 ERROR cannot reach 10.0.0.8, token=***",
        "1x web-2-a (before its restart): FATAL no config",
    )


async def test_a_quiet_log_shows_its_newest_lines() -> None:
    reader = release()
    reader.logs["web-2-a"] = "".join(f"served request {at}\n" for at in range(9))
    found = await lines(reader, "log")
    assert found[0].startswith("no line of 9 in the last 5 min speaks of an error")
    assert found[-1].endswith("served request 8")


async def test_one_log_that_cannot_be_read_hides_no_other() -> None:
    reader = release()
    reader.logs = {"web-2-a": ClientError(ErrorKind.unavailable, "500"), "web-1-a": "ERROR here\n"}
    assert await lines(reader, "log") == ("1x web-1-a: ERROR here", "one pod's log could not be read: unavailable")


async def test_a_right_that_was_left_out_is_named() -> None:
    reader = release()
    reader.broken["Log"] = ClientError(ErrorKind.forbidden, "403 pods/log")
    assert (await pieces(reader))["log"].missing == "could not be read: forbidden (403 pods/log)"


async def test_a_workload_without_a_started_pod_has_no_log() -> None:
    reader = release()
    reader.objects = [each for each in reader.objects if each["kind"] != "Pod"]
    assert (await pieces(reader))["log"].missing == "no pod of it has started"


# --- what cannot be read ---------------------------------------------------------------------------------------------------


async def test_what_cannot_be_read_says_so_and_hides_nothing_else() -> None:
    reader = release()
    reader.broken["Event"] = ClientError(ErrorKind.forbidden, "403")
    found = await pieces(reader)
    assert found["events"] == Evidence("events", (), "could not be read: forbidden (403)")
    assert found["pods"].lines[0].startswith("web-2-a")


async def test_a_workload_that_is_gone_is_asked_for_once() -> None:
    reader = release()
    reader.broken["Deployment"] = ClientError(ErrorKind.not_found, "404")
    found = await pieces(reader)
    assert {each.missing.partition(" (")[0] for title, each in found.items() if title in ("pods", "events", "revisions")} == {
        "could not be read: not_found"
    }
    assert len([each for each in reader.reads if each.startswith("Deployment")]) == 2  # once for its pieces, once for its logs


@pytest.mark.parametrize("ref", [TargetRef("ecs", "default", "c", "Service", "web"), TargetRef("kubernetes", "default", "", "Node", "n1")])
async def test_another_target_is_left_alone(ref: TargetRef) -> None:
    reader = release()
    assert (await pieces(reader, Target(ref, "uid")), reader.reads) == ({}, [])
