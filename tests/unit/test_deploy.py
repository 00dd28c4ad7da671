"""`deploy/` grants exactly what actions and observers declare, and what it ships is loaded."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from receiver.observe import OBSERVERS, KubernetesEvidence
from receiver.ports import Permission
from receiver.remediate import ACTIONS
from receiver.settings import load_settings

DEPLOY = Path(__file__).parents[2] / "deploy"
ROLES = {"base": DEPLOY / "target" / "base.yaml", "undo": DEPLOY / "target" / "undo.yaml"}

Rights = dict[tuple[str, str], set[str]]


def documents(path: Path) -> list[dict[str, Any]]:
    return [each for each in YAML(typ="safe").load_all(path) if each]


def granted(identity: str) -> Rights:
    found: Rights = defaultdict(set)
    role = next(each for each in documents(ROLES[identity]) if each["kind"] == "Role")
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                found[group, resource] |= set(rule["verbs"])
    return dict(found)


def declared(identity: str) -> Rights:
    found: Rights = defaultdict(set)
    everybody: list[Any] = [*ACTIONS.values(), *OBSERVERS, KubernetesEvidence]
    permissions: list[Permission] = [permission for each in everybody for permission in each.permissions]
    for each in permissions:
        if each.identity == identity and each.platform == "kubernetes":
            found[each.group, each.resource] |= set(each.verbs)
    return dict(found)


@pytest.mark.parametrize("identity", ROLES)
def test_each_role_grants_exactly_what_is_declared(identity: str) -> None:
    assert granted(identity) == declared(identity)


def test_nothing_is_granted_everywhere_or_on_everything() -> None:
    for path in DEPLOY.rglob("*.yaml"):
        for each in documents(path):
            assert each.get("kind") not in ("ClusterRole", "ClusterRoleBinding"), path
            for rule in each.get("rules", []) if each.get("kind") == "Role" else []:
                assert "*" not in {*rule["verbs"], *rule["resources"], *rule["apiGroups"]}, path
                assert not {"secrets", "pods/exec"} & set(rule["resources"]), path


def test_the_shipped_configuration_is_taken(tmp_path: Path) -> None:
    """With the mounted secrets in the place where kubelet would put them."""
    text = (DEPLOY / "receiver" / "config.yaml").read_text().replace("/etc/alert-receiver", str(tmp_path))
    for name in ("tokens/admin", "tokens/alertmanager", "undo/token", "actions/actions", "pagerduty/routing-key"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.write_text("kq83hfu2nvx01mzpw7ylrtb5-" + name)
    (tmp_path / "config.yaml").write_text(text)
    settings = load_settings(tmp_path / "config.yaml", {})
    assert settings.mode == "observe"
    assert settings.unserved() == []


def test_the_pod_runs_without_rights_on_its_node() -> None:
    deployment = next(each for each in documents(DEPLOY / "receiver" / "deployment.yaml"))
    pod = deployment["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}
    assert deployment["spec"]["replicas"] == 1
    assert pod["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert pod["enableServiceLinks"] is False
