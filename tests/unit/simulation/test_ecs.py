"""Rule tests may play services of ECS as well."""

from __future__ import annotations

from pathlib import Path

import pytest

from receiver.remediate import ACTIONS
from receiver.simulation.running import run_files

RULES = """\
apiVersion: receiver/v1
kind: Rules
rules:
  - name: degraded
    match: alertname="Degraded"
    symptom: unavailable
    impact: medium
    urgency: high
    mode: auto
    remediate: [{{action: {action}, mode: auto}}]
    verify: {{rollout: true}}
default: {{impact: medium, urgency: low, remediate: []}}
"""
CASE = """\
apiVersion: receiver/v1
kind: RuleTests
rules: [../rules.yaml]
workloads:
  web:
    {{replicas: 4, available: 3, pods: {{newest_age: 2d}}, revision_age: 5m, template: bad,
      undo: {{revision: "web:1", template: good, known_good: true}}}}
cases:
  - name: a service of ECS
    at: {{0s: {{alerts: [{{alertname: Degraded, dimension_ClusterName: app-cluster, dimension_ServiceName: web}}]}}}}
    effects: {{{action}: {{after: 60s, resolved: all, workloads: {{web: {{available: 6}}}}}}}}
    expect: {{}}
"""


@pytest.mark.parametrize("action", ["ecs.new_deployment", "ecs.previous_task_definition", "ecs.desired_count"])
def test_an_action_on_ecs_is_played_to_its_end(tmp_path: Path, action: str) -> None:
    (tmp_path / "rules.yaml").write_text(RULES.format(action=action))
    (tmp_path / "tests").mkdir()
    path = tmp_path / "tests" / "x.yaml"
    path.write_text(CASE.format(action=action))
    (result,) = run_files([path], known_actions=frozenset(ACTIONS))
    told = [f"{each.step} {each.because}" for each in result.told]
    assert told[:2] == ["remediate allowed", "judge verified"], (result.failures, told)


def test_an_action_on_kubernetes_is_refused_for_a_service_of_ecs(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(RULES.format(action="kubernetes.rollout_restart"))
    (tmp_path / "tests").mkdir()
    path = tmp_path / "tests" / "x.yaml"
    path.write_text(CASE.format(action="kubernetes.rollout_restart"))
    (result,) = run_files([path], known_actions=frozenset(ACTIONS))
    assert not any(each.step == "remediate" for each in result.told)
