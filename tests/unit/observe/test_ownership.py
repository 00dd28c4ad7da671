"""Whose change it was."""

from __future__ import annotations

from datetime import timedelta

import pytest

from receiver.core.facts import Foreign
from receiver.observe.ownership import last_scaled, newest_foreign
from receiver.observe.selectors import selector_text, selects
from tests.unit.observe.objects import NOW, ago, deployment, managed, replica_set, template

ROLLED_OUT = NOW - timedelta(minutes=10)
SCALED = NOW - timedelta(minutes=4)


@pytest.mark.parametrize("manager", ["kube-controller-manager", "receiver:abc-1-1", "horizontal-pod-autoscaler", "kube-scheduler"])
def test_neither_we_nor_the_control_plane_are_somebody_else(manager: str) -> None:
    assert newest_foreign(managed(deployment(), manager, at=ago(minutes=1)), revision_at=ROLLED_OUT, scaled_at=SCALED) is None


def test_a_write_to_status_is_nobodys_change() -> None:
    found = managed(deployment(), "some-agent", at=ago(minutes=1), subresource="status")
    assert newest_foreign(found, revision_at=ROLLED_OUT, scaled_at=SCALED) is None


def test_a_persons_scale_is_a_foreign_change() -> None:
    """Through /scale it has no time of its own."""
    found = managed(deployment(), "kubectl", at="", subresource="scale")
    assert newest_foreign(found, revision_at=ROLLED_OUT, scaled_at=SCALED) == Foreign(SCALED, "kubectl", after_revision=True)


def test_a_replica_set_tells_when_it_was_last_scaled() -> None:
    found = replica_set(template(), revision=1, made=ago(days=2))
    managed(found, "kube-controller-manager", at=ago(minutes=4))
    managed(found, "kube-controller-manager", at=ago(minutes=1), subresource="status")
    managed(found, "kubectl-annotate", at=ago(minutes=2))
    assert (last_scaled(found), last_scaled(deployment())) == (SCALED, None)


@pytest.mark.parametrize("after,wanted", [(-60, False), (0, False), (5, False), (6, True)])
def test_the_rollout_itself_did_not_come_after_the_rollout(after: int, wanted: bool) -> None:
    found = managed(deployment(), "kubectl-client-side-apply", at=ago(minutes=10, seconds=-after))
    foreign = newest_foreign(found, revision_at=ROLLED_OUT, scaled_at=SCALED)
    assert foreign is not None
    assert foreign.after_revision is wanted


def test_the_newest_of_several_counts() -> None:
    found = managed(managed(deployment(), "helm", at=ago(days=1)), "kubectl-edit", at=ago(minutes=3))
    foreign = newest_foreign(found, revision_at=ROLLED_OUT, scaled_at=SCALED)
    assert foreign is not None
    assert foreign.manager == "kubectl-edit"


def test_without_a_known_rollout_every_change_came_after_it() -> None:
    foreign = newest_foreign(managed(deployment(), "helm", at=ago(days=1)), revision_at=None, scaled_at=SCALED)
    assert foreign is not None
    assert foreign.after_revision


def test_a_selector_becomes_the_text_of_a_list_call() -> None:
    selector = {
        "matchLabels": {"b": "2", "a": "1"},
        "matchExpressions": [
            {"key": "c", "operator": "In", "values": ["x", "y"]},
            {"key": "d", "operator": "NotIn", "values": ["z"]},
            {"key": "e", "operator": "Exists"},
            {"key": "f", "operator": "DoesNotExist"},
        ],
    }
    assert selector_text(selector) == "a=1,b=2,c in (x,y),d notin (z),e,!f"


@pytest.mark.parametrize(
    "operator,values,labels,wanted",
    [
        ("In", ["x"], {"c": "x"}, True),
        ("In", ["x"], {}, False),
        ("NotIn", ["x"], {"c": "x"}, False),
        ("NotIn", ["x"], {}, True),
        ("Exists", [], {"c": ""}, True),
        ("Exists", [], {}, False),
        ("DoesNotExist", [], {"c": "x"}, False),
        ("Unheard", [], {}, True),
    ],
)
def test_expressions_are_answered_as_the_api_server_would(operator: str, values: list[str], labels: dict[str, str], wanted: bool) -> None:
    assert selects({"matchExpressions": [{"key": "c", "operator": operator, "values": values}]}, labels) is wanted


def test_an_absent_selector_selects_nothing_and_an_empty_one_everything() -> None:
    assert (selects(None, {"a": "1"}), selects({}, {"a": "1"})) == (False, True)
