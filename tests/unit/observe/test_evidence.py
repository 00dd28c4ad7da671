"""What a page shows of the target."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from receiver.clients.errors import ClientError, ErrorKind
from receiver.core.facts import Facts
from receiver.core.model import Target, TargetRef
from receiver.observe.evidence import KubernetesEvidence
from tests.fakes.clock import FakeClock
from tests.fakes.kubernetes_reader import FakeReader
from tests.unit.observe.objects import NOW, Object, ago, crashing, deployment, incident, pod, replica_set, template

BAD = template("app:crash")


def event(name: str, *, about: str, seen: str, message: str = "m", **more: Any) -> Object:
    return {
        "kind": "Event",
        "metadata": {"name": name, "namespace": "shop"},
        "involvedObject": {"kind": "Pod", "name": "web-2-a", "uid": about},
        "type": "Warning", "reason": "BackOff", "message": message, "lastTimestamp": seen,
    } | more  # fmt: skip


def release(*events: Object) -> FakeReader:
    return FakeReader(
        deployment(BAD, revision=2, updatedReplicas=1),
        replica_set(template(), revision=1, made=ago(days=2), available=3),
        replica_set(BAD, revision=2, made=ago(minutes=9)),
        pod(),
        crashing("web-2-a", owner="web-2", made=ago(minutes=9)),
        *events,
    )


async def collected(reader: FakeReader, facts: Facts | None = None) -> dict[str, tuple[str, ...]]:
    found = await KubernetesEvidence(reader, FakeClock(), limit=timedelta(milliseconds=200)).collect(incident(), facts)
    return {each.title: each.lines for each in found}


async def test_pods_that_are_not_well_come_first() -> None:
    lines = (await collected(release()))["pods"]
    assert lines[0] == "web-2-a: Running, not ready, CrashLoopBackOff, last end exit 1, 4 restarts, 9 min old, on node-1"
    assert lines[1].startswith("web-1-a: ready")


async def test_revisions_are_told_with_their_images_newest_first() -> None:
    lines = (await collected(release()))["revisions"]
    assert lines == (
        "2 (current), made 9 min ago, 0 of 1 available: app:crash",
        "1, made 2 d ago, 1 of 1 available: app:1",
    )


async def test_the_newest_events_are_shown_not_the_oldest() -> None:
    many = [event(f"e{each:03}", about="uid-web-2-a", seen=ago(minutes=100 - each), message=f"number {each}") for each in range(100)]
    lines = (await collected(release(*many)))["events"]
    assert len(lines) == 10
    assert lines[0] == "60 s ago Warning BackOff Pod web-2-a: number 99"


async def test_a_strangers_events_are_not_shown() -> None:
    assert (await collected(release(event("e", about="uid-other", seen=ago(minutes=1)))))["events"] == ("none",)


async def test_hostile_event_text_is_one_bounded_line() -> None:
    lines = (await collected(release(event("e", about="uid-web", seen=ago(minutes=1), message="a\n\x1b[31m" + "x" * 9000))))["events"]
    assert len(lines[0]) <= 256
    assert lines[0].isprintable()


async def test_no_value_of_a_variable_is_ever_shown() -> None:
    reader = release()
    for each in reader.objects:
        containers = ((each["spec"].get("template") or each).get("spec") or {}).get("containers", [])
        for container in containers:
            container["env"] = [{"name": "TOKEN", "value": "s3cret"}]
    assert "s3cret" not in str(await collected(reader))


async def test_what_cannot_be_read_says_so() -> None:
    reader = release()
    reader.broken["Event"] = ClientError(ErrorKind.forbidden, "403")
    found = await collected(reader)
    assert found["events"] == ("could not be read: forbidden",)
    assert found["pods"][0].startswith("web-2-a")


async def test_a_reading_that_hangs_keeps_what_was_read() -> None:
    class Slow(FakeReader):
        async def list(self, kind: str, namespace: str, **selectors: Any) -> list[Object]:
            if kind == "Event":
                await asyncio.Event().wait()
            return await super().list(kind, namespace, **selectors)

    found = await collected(Slow(*release().objects))
    assert found["events"] == ("could not be read within 0.2 s",)
    assert found["revisions"][0].startswith("2 (current)")


async def test_a_helm_release_is_named() -> None:
    reader = release()
    reader.objects[0]["metadata"]["annotations"]["meta.helm.sh/release-name"] = "web"
    assert "Helm release web" in (await collected(reader))["revisions"][-1]


async def test_another_platforms_target_is_left_alone() -> None:
    reader = release()
    ecs = Facts(at=NOW, target=Target(TargetRef("ecs", "default", "c", "Service", "web"), "arn"))
    assert (await collected(reader, ecs), reader.reads) == ({}, [])
