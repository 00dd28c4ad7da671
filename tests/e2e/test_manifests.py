"""What `deploy/` ships is understood by the programs that will read it."""

from __future__ import annotations

import asyncio
import re
import shutil
from pathlib import Path

import kubernetes_validate
import pytest
from ruamel.yaml import YAML

from tests.e2e.rights import DEPLOY, build, rendered
from tests.real import tools

pytestmark = pytest.mark.e2e

KUBERNETES = "1.34"


async def test_every_rendered_manifest_is_valid_kubernetes(tmp_path: Path) -> None:
    tools.need("kustomize")
    documents = [each for each in YAML(typ="safe").load_all(await rendered(tmp_path, "shop")) if each]
    for each in documents:
        kubernetes_validate.validate(each, KUBERNETES, strict=True)
    kinds = {each["kind"] for each in documents}
    assert kinds >= {"Deployment", "Service", "ServiceAccount", "Role", "RoleBinding", "PersistentVolumeClaim", "ConfigMap", "Secret"}
    assert kinds >= {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}


async def test_rails_and_bindings_follow_the_receiver_into_another_namespace(tmp_path: Path) -> None:
    """Else a policy would match nobody, and say nothing."""
    tools.need("kustomize")
    copy = tmp_path / "deploy"
    shutil.copytree(DEPLOY, copy)
    own = copy / "receiver" / "kustomization.yaml"
    own.write_text(own.read_text().replace("namespace: alert-receiver", "namespace: ops"))
    documents = [each for each in YAML(typ="safe").load_all(await build(copy / "example")) if each]
    conditions = [each["spec"]["matchConditions"][0]["expression"] for each in documents if each["kind"] == "ValidatingAdmissionPolicy"]
    subjects = [subject for each in documents if each["kind"] == "RoleBinding" for subject in each["subjects"]]
    assert len(conditions) == len(list((DEPLOY / "rails").glob("*.yaml"))) - 1 + 2  # workload.yaml holds three
    assert {re.sub("-undo", "", each.partition("system:")[2].rstrip("')")) for each in conditions} == {"serviceaccount:ops:alert-receiver"}
    assert {each["namespace"] for each in subjects} == {"ops"}


async def test_the_receiver_block_is_taken_by_alertmanager(tmp_path: Path) -> None:
    tools.need("alertmanager-0.25")
    amtool = shutil.which("amtool")
    if amtool is None:
        pytest.fail("amtool is missing; it is part of the package prometheus-alertmanager")
    process = await asyncio.create_subprocess_exec(
        amtool, "check-config", DEPLOY / "alertmanager.yml", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0, out.decode()
