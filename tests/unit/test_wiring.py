"""Which Kubernetes clients and actions a configuration makes: nodes and undo only where they are asked for."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from receiver import wiring
from receiver.clock import SystemClock
from receiver.core.case import Verb
from receiver.engine.kill_switch import ActionsFile, StoredKillSwitch
from receiver.remediate import ACTIONS, wire
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
        (("nodes: true", "undo_token_file: undo-token"), set(ACTIONS)),
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
    assert {name: f"kubernetes.{each.verb.value}" for name, each in ACTIONS.items()} == {name: name for name in ACTIONS}
