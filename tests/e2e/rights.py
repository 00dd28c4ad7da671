"""The shipped manifests on the test control plane, and credentials with exactly the rights that they give."""

from __future__ import annotations

import asyncio
import base64
import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.real import tools
from tests.real.kube_api import ApiError
from tests.real.kubernetes import ControlPlane

DEPLOY = Path(__file__).parents[2] / "deploy"
OWN_NAMESPACE = "alert-receiver"


@dataclass(frozen=True)
class Rights:
    """Tokens of the two identities."""

    base: str
    undo: str


async def rendered(directory: Path, namespace: str) -> str:
    """`deploy/example` for `namespace` instead of `shop`, as kustomize renders it."""
    copy = directory / "deploy"
    shutil.copytree(DEPLOY, copy)
    for file in (copy / "example").rglob("*.yaml"):
        file.write_text(file.read_text().replace("namespace: shop", f"namespace: {namespace}"))
    process = await asyncio.create_subprocess_exec(
        tools.find("kustomize"), "build", copy / "example", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, errors = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0, errors.decode()
    return out.decode()


async def apply(plane: ControlPlane, namespace: str, directory: Path) -> Rights:
    """Applies them; the undo token is the one that the control plane puts into the shipped Secret."""
    try:
        await plane.admin.post("/api/v1/namespaces", {"metadata": {"name": OWN_NAMESPACE}})
    except ApiError as known:
        if known.status != 409:  # an earlier test of this session made it
            raise
    await plane.admin.apply(await rendered(directory, namespace))
    secret = await plane.admin.until(
        f"/api/v1/namespaces/{OWN_NAMESPACE}/secrets/alert-receiver-undo", lambda found: bool(found.get("data", {}).get("token"))
    )
    undo = base64.b64decode(secret["data"]["token"]).decode()
    return Rights(await plane.token("alert-receiver", OWN_NAMESPACE), undo)
