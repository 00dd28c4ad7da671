"""`deploy/` grants exactly what actions and observers declare, and what it ships is loaded."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # typeshed does not know it

import pytest
from ruamel.yaml import YAML

from receiver.clients.kubernetes_objects import ATTEMPT, CORDONED, LAST_ACTION
from receiver.observe import NODE_OBSERVERS, OBSERVERS
from receiver.observe.evidence import KUBERNETES_EVIDENCE
from receiver.ports import Permission
from receiver.remediate import KUBERNETES_ACTIONS as ACTIONS
from receiver.settings import load_settings

DEPLOY = Path(__file__).parents[2] / "deploy"
FEATURES = {
    "scale": ("kubernetes.scale",),
    "restart": ("kubernetes.rollout_restart",),
    "undo": ("kubernetes.rollout_undo",),
    "evict": ("kubernetes.evict_pod",),
    "cordon": ("kubernetes.cordon", "kubernetes.uncordon"),
}
ACCOUNTS = {"base": "alert-receiver", "undo": "alert-receiver-undo", "nodes": "alert-receiver"}
"""Identity of a permission → who holds it."""
CLUSTER_WIDE = {("", "nodes")}

Rights = dict[tuple[str, str], set[str]]


def documents(path: Path) -> list[dict[str, Any]]:
    return [each for each in YAML(typ="safe").load_all(path) if each]


def one(path: Path, *kinds: str) -> dict[str, Any]:
    (found,) = (each for each in documents(path) if each["kind"] in kinds)
    return found


def granted(path: Path) -> Rights:
    found: Rights = defaultdict(set)
    for rule in one(path, "Role", "ClusterRole")["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                found[group, resource] |= set(rule["verbs"])
    return dict(found)


def declared(permissions: Iterable[Permission]) -> Rights:
    found: Rights = defaultdict(set)
    for each in permissions:
        found[each.group, each.resource] |= set(each.verbs)
    return dict(found)


def read() -> Rights:
    """By everybody who looks."""
    return declared(each for reader in (*OBSERVERS, *NODE_OBSERVERS, *KUBERNETES_EVIDENCE) for each in reader.permissions)


def test_what_is_read_is_granted_and_nothing_else() -> None:
    assert granted(DEPLOY / "target" / "read.yaml") == {key: verbs for key, verbs in read().items() if key not in CLUSTER_WIDE}


@pytest.mark.parametrize("feature", FEATURES)
def test_each_feature_grants_exactly_what_its_actions_declare(feature: str) -> None:
    wanted = declared(each for name in FEATURES[feature] for each in ACTIONS[name].permissions)
    if feature == "cordon":
        for key in CLUSTER_WIDE:
            wanted[key] |= read()[key]
    assert granted(DEPLOY / "features" / feature / "role.yaml") == wanted


def test_every_action_has_its_feature() -> None:
    assert sorted(name for names in FEATURES.values() for name in names) == sorted(ACTIONS)


@pytest.mark.parametrize("feature", FEATURES)
def test_each_feature_is_bound_to_the_identity_of_its_actions(feature: str) -> None:
    binding = one(DEPLOY / "features" / feature / "role.yaml", "RoleBinding", "ClusterRoleBinding")
    (subject,) = binding["subjects"]
    assert {ACCOUNTS[ACTIONS[name].identity] for name in FEATURES[feature]} == {subject["name"]}
    assert {ACCOUNTS[each.identity] for name in FEATURES[feature] for each in ACTIONS[name].permissions} == {subject["name"]}


def test_only_nodes_are_granted_beyond_a_namespace_and_that_is_shipped_off() -> None:
    wide = [path for path in DEPLOY.rglob("*.yaml") for each in documents(path) if str(each.get("kind")).startswith("ClusterRole")]
    assert {path.parent.name for path in wide} == {"cordon"}
    named = [each for path in DEPLOY.rglob("kustomization.yaml") for each in documents(path)[0].get("components", ())]
    assert not [each for each in named if each.endswith("cordon")]


def test_nothing_is_granted_on_everything() -> None:
    for path in DEPLOY.rglob("*.yaml"):
        for each in documents(path):
            for rule in each.get("rules", []) if each.get("kind") in ("Role", "ClusterRole") else []:
                assert "*" not in {*rule["verbs"], *rule["resources"], *rule["apiGroups"]}, path
                assert not {"secrets", "pods/exec"} & set(rule["resources"]), path
                assert not {"update", "delete", "deletecollection", "impersonate", "bind", "escalate"} & set(rule["verbs"]), path
                assert "create" not in rule["verbs"] or rule["resources"] == ["pods/eviction"], path


def policies() -> list[dict[str, Any]]:
    return [each for path in sorted((DEPLOY / "rails").glob("*.yaml")) for each in documents(path) if "kind" in each and "metadata" in each]


def test_every_rail_denies_and_is_bound() -> None:
    rails = {each["metadata"]["name"]: each["spec"] for each in policies() if each["kind"] == "ValidatingAdmissionPolicy"}
    bound = {each["spec"]["policyName"]: each["spec"] for each in policies() if each["kind"] == "ValidatingAdmissionPolicyBinding"}
    assert rails.keys() == bound.keys()
    assert all(each["failurePolicy"] == "Fail" for each in rails.values())
    assert all(each["validationActions"] == ["Deny", "Audit"] and "matchResources" not in each for each in bound.values())


def test_the_rails_let_exactly_our_marks_be_written() -> None:
    """By name: below the same prefix stand the owners' consents."""
    text = "".join(path.read_text() for path in (DEPLOY / "rails").glob("*.yaml"))
    assert set(re.findall(r"\balert-receiver\.internal/[a-z-]*", text)) == {ATTEMPT, CORDONED, LAST_ACTION}


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


def test_no_proxy_stands_before_the_api_server() -> None:
    """The client obeys `HTTPS_PROXY`; a proxy would see every call, and its failure would blind us."""
    (deployment,) = documents(DEPLOY / "receiver" / "deployment.yaml")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    named = {each["name"]: each["value"] for each in container["env"]}
    hosts = named["NO_PROXY"].replace("$(KUBERNETES_SERVICE_HOST)", "10.96.0.1")
    assert all(
        proxy_bypass_environment(each, {"no": hosts}) for each in ("10.96.0.1", "kubernetes.default.svc", "prometheus.monitoring.svc")
    )
    assert not proxy_bypass_environment("events.pagerduty.com", {"no": hosts})


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
