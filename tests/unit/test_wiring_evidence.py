"""Which evidence a configuration makes us collect, and where from."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path

import pytest

from receiver import wiring, wiring_ecs
from receiver.clock import SystemClock
from receiver.engine.kill_switch import ActionsFile, StoredKillSwitch
from receiver.observe import NODE_OBSERVERS, OBSERVERS
from receiver.observe.evidence import ECS_EVIDENCE, KUBERNETES_EVIDENCE, ChangesEvidence, ChangeSource, NodeEvidence
from receiver.observe.readings import Recent
from receiver.ports import Collector, Permission, ToldChange
from receiver.settings import Settings, load_settings
from receiver.wiring_evidence import Sight, alarm_places, collectors

ACCOUNT = "111122223333"
ECS = {"region": "eu-west-1", "services": ["app/web", f"arn:aws:ecs:us-east-1:{ACCOUNT}:service/app/api"]}
ALL: dict[str, object] = {
    "kubernetes": {"namespaces": ["shop"]},
    "ecs": ECS,
    "aws": {"accounts": [{"id": ACCOUNT}]},
    "prometheus": {"url": "http://127.0.0.1:9090"},
}


class NeverAsked:
    async def kill_switch_on(self) -> bool:
        raise AssertionError

    async def tell(self, change: ToldChange) -> ToldChange:
        raise AssertionError

    async def told(self, subjects: Collection[str], *, since: datetime, limit: int) -> list[ToldChange]:
        raise AssertionError


def settings(directory: Path, sections: dict[str, object]) -> Settings:
    (directory / "config.json").write_text(json.dumps({"store": "sqlite:///receiver.db", **sections}))
    return load_settings(directory / "config.json", {})


async def wired(found: Settings) -> list[Collector]:
    switch = StoredKillSwitch(NeverAsked(), ActionsFile(None))  # type: ignore[arg-type]  # a view of which nothing is asked
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        clients = await wiring.kubernetes(found, switch, clock, stack)
        sight = Sight(clients.get("base"), wiring_ecs.ecs(found, switch, clock=clock, stack=stack), Recent(), (), switch)
        return collectors(found, sight, NeverAsked(), clock=clock, stack=stack)


def names(found: list[Collector]) -> set[str]:
    return {each.name for each in found}


async def test_without_a_platform_told_changes_are_all(tmp_path: Path) -> None:
    assert names(await wired(settings(tmp_path, {}))) == {"changes"}


async def test_everything_that_is_configured_is_asked_and_nothing_is_imported_for_it(tmp_path: Path) -> None:
    before = "aiobotocore" in sys.modules
    found = await wired(settings(tmp_path, ALL))
    kubernetes, ecs = {"kubernetes.evidence", "kubernetes.logs"}, {"ecs.evidence", "ecs.logs", "cloudwatch.alarm"}
    assert names(found) == {"changes", "prometheus.figures"} | kubernetes | ecs
    assert ("aiobotocore" in sys.modules) is before


@pytest.mark.parametrize("platform", ["kubernetes", "ecs"])
async def test_logs_that_are_switched_off_are_not_read(tmp_path: Path, platform: str) -> None:
    found = await wired(settings(tmp_path, {platform: ALL[platform], "aws": ALL["aws"], "evidence": {"logs": False}}))
    assert not [each for each in names(found) if each.endswith(".logs")]


async def test_every_right_that_is_needed_is_declared_where_deploy_reads_it(tmp_path: Path) -> None:
    """`deploy/` grants what the two tables declare."""
    declared = {right for each in (*KUBERNETES_EVIDENCE, *ECS_EVIDENCE) for right in each.permissions}
    needed: set[Permission] = {right for each in await wired(settings(tmp_path, ALL)) for right in each.permissions}
    assert needed == declared


async def test_a_node_is_shown_where_nodes_are_allowed_and_needs_no_right_of_its_own(tmp_path: Path) -> None:
    found = await wired(settings(tmp_path, {"kubernetes": {"namespaces": ["shop"], "nodes": True}}))
    (node,) = [each for each in found if isinstance(each, NodeEvidence)]
    of_looks = {right for kind in (*OBSERVERS, *NODE_OBSERVERS, *KUBERNETES_EVIDENCE) for right in kind.permissions}
    assert all(any(_covers(each, right) for each in of_looks) for right in node.permissions)


def _covers(one: Permission, other: Permission) -> bool:
    same = (one.platform, one.group, one.resource, one.identity) == (other.platform, other.group, other.resource, other.identity)
    return same and set(other.verbs) <= set(one.verbs)


async def test_the_newest_changes_are_asked_of_everybody_who_knows(tmp_path: Path) -> None:
    (changes,) = [each for each in await wired(settings(tmp_path, ALL)) if isinstance(each, ChangesEvidence)]
    sources: tuple[ChangeSource, ...] = changes._sources
    assert [each.name for each in sources] == ["told changes", "kubernetes revisions", "cloudtrail"]


def test_alarms_are_read_where_they_are_asked_for_and_where_services_are(tmp_path: Path) -> None:
    cloudwatch = {"regions": ["eu-central-1"]}
    assert alarm_places(settings(tmp_path, {**ALL, "cloudwatch": cloudwatch})) == {
        ("", "eu-central-1"),
        ("", "eu-west-1"),
        (ACCOUNT, "us-east-1"),
    }
    assert alarm_places(settings(tmp_path, {})) == frozenset()
