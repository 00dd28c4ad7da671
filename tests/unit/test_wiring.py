"""Which Kubernetes clients and actions a configuration makes: nodes and undo only where they are asked for."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from receiver import wiring, wiring_ecs
from receiver.clock import SystemClock
from receiver.core.case import Verb
from receiver.engine.kill_switch import ActionsFile, StoredKillSwitch
from receiver.remediate import ACTIONS, ECS_ACTIONS, KUBERNETES_ACTIONS, wire
from receiver.settings import Settings, load_settings

EVERYWHERE = {"kubernetes.scale", "kubernetes.rollout_restart", "kubernetes.evict_pod"}
NODES = {"kubernetes.cordon", "kubernetes.uncordon"}


def settings(directory: Path, *keys: str) -> Settings:
    text = "store: sqlite:///receiver.db\nkubernetes:\n  namespaces: [shop]\n" + "".join(
        f"  {each.replace('undo-token', str(directory / 'undo-token'))}\n" for each in keys
    )
    (directory / "config.yaml").write_text(text)
    (directory / "undo-token").write_text("0123456789abcdef")
    return load_settings(directory / "config.yaml", {})


class NeverAsked:
    async def kill_switch_on(self) -> bool:
        raise AssertionError


@pytest.mark.parametrize(
    "keys,expected",
    [
        ((), EVERYWHERE),
        (("nodes: false",), EVERYWHERE),
        (("nodes: true",), EVERYWHERE | NODES),
        (("undo_token_file: undo-token",), EVERYWHERE | {"kubernetes.rollout_undo"}),
        (("nodes: true", "undo_token_file: undo-token"), set(KUBERNETES_ACTIONS)),
    ],
)
async def test_only_what_is_switched_on_is_wired(tmp_path: Path, keys: tuple[str, ...], expected: set[str]) -> None:
    found = settings(tmp_path, *keys)
    switch = StoredKillSwitch(NeverAsked(), ActionsFile(None))  # type: ignore[arg-type]  # a view of which nothing is asked
    async with AsyncExitStack() as stack:
        clients = await wiring.kubernetes(found, switch, SystemClock(), stack)
        assert set(wire(clients=clients, clock=SystemClock())) == expected
    assert found.policy().nodes is ("kubernetes.cordon" in expected)


async def test_only_the_client_of_the_nodes_may_write_to_them_and_to_nothing_else(tmp_path: Path) -> None:
    switch = StoredKillSwitch(NeverAsked(), ActionsFile(None))  # type: ignore[arg-type]  # a view of which nothing is asked
    async with AsyncExitStack() as stack:
        clients = await wiring.kubernetes(settings(tmp_path, "nodes: true", "undo_token_file: undo-token"), switch, SystemClock(), stack)
    assert {name for name, each in clients.items() if each.config.nodes} == {"nodes"}
    assert {name for name, each in clients.items() if each.config.namespaces} == {"base", "undo"}


async def test_all_clients_of_one_api_server_share_what_they_know_of_its_health(tmp_path: Path) -> None:
    switch = StoredKillSwitch(NeverAsked(), ActionsFile(None))  # type: ignore[arg-type]  # a view of which nothing is asked
    async with AsyncExitStack() as stack:
        clients = await wiring.kubernetes(settings(tmp_path, "nodes: true"), switch, SystemClock(), stack)
        for _ in range(10):
            clients["base"]._health.note(seconds=0.1, failed=True)
        assert all(each.health() for each in clients.values())


def test_every_verb_has_its_action() -> None:
    assert {each.verb for each in ACTIONS.values()} == set(Verb)
    assert {name: f"kubernetes.{each.verb.value}" for name, each in KUBERNETES_ACTIONS.items()} == {
        name: name for name in KUBERNETES_ACTIONS
    }
    assert {name: Verb.of(name) for name in ACTIONS} == {name: each.verb for name, each in ACTIONS.items()}
    assert Verb.of("ecs.scale") is Verb.of("kubernetes.desired_count") is None


ECS = """store: sqlite:///receiver.db
bounds: {call_timeout: 4s}
ecs:
  region: eu-west-1
  services: [app-cluster/web, "arn:aws:ecs:us-east-1:444455556666:service/other/api"]
aws:
  accounts: [{id: "444455556666", role_arn: "arn:aws:iam::444455556666:role/receiver", external_id: outside-7}]
  endpoint_url: http://127.0.0.1:9
"""


async def test_the_services_of_ecs_are_those_of_the_list(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(ECS)
    found = load_settings(tmp_path / "config.yaml", {})
    switch = StoredKillSwitch(NeverAsked(), ActionsFile(None))  # type: ignore[arg-type]  # a view of which nothing is asked
    async with AsyncExitStack() as stack:
        ecs = wiring_ecs.ecs(found, switch, clock=SystemClock(), stack=stack)
        assert ecs is not None
        assert [each.key for each in ecs.services] == ["app-cluster/web", "other/api (444455556666, us-east-1)"]
        assert set(wire(clients={}, clock=SystemClock(), ecs=ecs)) == set(ECS_ACTIONS)
    assert found.policy().namespaces == {"ecs/app-cluster", "ecs/other"}
    assert found.can_look
    assert found.unserved() == []
    config = ecs._aws.config
    assert (config.accounts[0].external_id, config.endpoint_url) == ("outside-7", "http://127.0.0.1:9")
    assert config.connect_timeout < config.call_timeout == timedelta(seconds=4)


async def test_without_its_section_there_is_no_ecs() -> None:
    switch = StoredKillSwitch(NeverAsked(), ActionsFile(None))  # type: ignore[arg-type]  # a view of which nothing is asked
    async with AsyncExitStack() as stack:
        assert wiring_ecs.ecs(load_settings(None, {}), switch, clock=SystemClock(), stack=stack) is None
    assert not load_settings(None, {}).can_look


def test_grafana_alone_may_put_and_is_waited_for() -> None:
    settings = load_settings(None, {"RECEIVER__SOURCES__GRAFANA__TOKEN": "0123456789abcdefghijk", "RECEIVER__LIMITS__BODY": "1MiB"})
    doors = {name: (tuple(wiring.methods(name)), wiring.door_limits(settings, name)) for name in ("grafana", "alertmanager", "generic/x")}
    assert {name for name, (methods, limits) in doors.items() if "PUT" in methods and limits.patience_seconds} == {"grafana"}
    assert {limits.body_bytes for _, limits in doors.values()} == {1 << 20}
    assert set(wiring.credentials(settings)) == {"grafana"}
