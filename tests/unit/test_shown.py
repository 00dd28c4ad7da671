"""What is to be shown on a real control plane, and what shows it: the tables of `docs/testing.md` against the tests, both ways.

Law: a row names tests that exist; every fact, every row of the hazards and every hazard of the code is in them; what is said not to be
met stands nowhere in the code.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from receiver.core.facts import Hazard
from tests.e2e.test_hazards_on_control_plane import ASKING, ROWS

ROOT = Path(__file__).parents[2]
TESTING = ROOT / "docs" / "testing.md"
HEADS = ("fact that bites", "hazard", "crash or fault")
FACTS = 12
ARRANGED = {**ROWS, **ASKING}
NOT_MET = "not met: nothing of ours imports "
_TICKED = re.compile(r"`([^`]+)`")
_TEST = re.compile(r"^ *(?:async )?def (test_\w+)\(", re.MULTILINE)


def table(head: str) -> dict[str, str]:
    """First cell → last cell."""
    lines = TESTING.read_text(encoding="utf-8").splitlines()
    start = lines.index(f"| {head} | shown by |") + 2
    rows: dict[str, str] = {}
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        first, last = (each.strip() for each in line.strip("|").split("|"))
        assert first not in rows, f"{first} stands twice"
        rows[first] = last
    return rows


@cache
def known() -> frozenset[str]:
    """Every test there is."""
    files = [*(ROOT / "tests").rglob("test_*.py"), *(ROOT / "tests" / "kits").rglob("*.py")]
    return frozenset(name for file in files for name in _TEST.findall(file.read_text(encoding="utf-8")))


@cache
def code() -> str:
    return "\n".join(each.read_text(encoding="utf-8") for each in (ROOT / "receiver").rglob("*.py"))


@pytest.mark.parametrize("row, shown", [pytest.param(*each, id=each[0]) for head in HEADS for each in table(head).items()])
def test_every_row_names_tests_that_exist_or_is_not_met(row: str, shown: str) -> None:
    named = _TICKED.findall(shown)
    assert named, f"{row}: nothing shows it"
    if shown.startswith(NOT_MET):
        assert named[0] not in code(), f"{row}: it is met now, and needs a test"
        return
    missing = [each for each in named if each not in (known() if each.startswith("test_") else ARRANGED)]
    assert not missing, f"{row}: no such test"


def test_all_twelve_facts_are_in_it_each_with_a_test_of_its_number() -> None:
    rows = {int(first.partition(":")[0]): shown for first, shown in table("fact that bites").items()}
    assert sorted(rows) == list(range(1, FACTS + 1))
    for number, shown in rows.items():
        assert shown.startswith(NOT_MET) or all(each.startswith(f"test_fact_{number}_") for each in _TICKED.findall(shown))


def test_every_test_of_a_fact_is_in_it() -> None:
    told = {each for shown in table("fact that bites").values() for each in _TICKED.findall(shown)}
    assert {each for each in known() if re.match(r"test_fact_\d", each)} <= told


def test_every_arranged_hazard_is_in_it() -> None:
    told = {each for shown in table("hazard").values() for each in _TICKED.findall(shown)}
    assert set(ARRANGED) <= told


def test_every_hazard_of_the_code_is_shown() -> None:
    arranged = {row[1] for row in ARRANGED.values()}
    elsewhere = {
        Hazard.nodes_in_motion: "test_kubelets_of_two_versions_are_an_upgrade",
        Hazard.not_observed: "test_while_the_controller_sleeps_there_is_no_undo",
        Hazard.system_namespace: "test_a_workload_of_a_system_namespace_is_not_even_read",
        Hazard.autoscaling: "test_application_auto_scaling_owns_the_count",
        Hazard.circuit_breaker: "test_a_circuit_breaker_at_work_forbids_everything",
        Hazard.deployment_controller: "test_a_hazard_is_seen",
        Hazard.not_active: "test_a_hazard_is_seen",
    }
    assert set(Hazard) == arranged | set(elsewhere)
    assert set(elsewhere.values()) <= known()
