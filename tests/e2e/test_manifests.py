"""What `deploy/` ships is understood by the programs that will read it."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import kubernetes_validate
import pytest
from ruamel.yaml import YAML

from tests.e2e.rights import DEPLOY, rendered
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
