"""The shipped manifests on the test control plane, and credentials with exactly the rights that they give."""

from __future__ import annotations

import asyncio
import base64
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.real import tools
from tests.real.kube_api import ApiError, KubeApi, Object, documents
from tests.real.kubernetes import ControlPlane
from tests.real.processes import eventually

DEPLOY = Path(__file__).parents[2] / "deploy"
OWN_NAMESPACE = "alert-receiver"


@dataclass(frozen=True)
class Rights:
    """Tokens of the two identities."""

    base: str
    undo: str


async def rendered(directory: Path, namespace: str) -> str:
    """`deploy/example` for `namespace` instead of `shop`, as kustomize renders it."""
    copy = _copied(directory)
    for file in (copy / "example").rglob("*.yaml"):
        file.write_text(file.read_text().replace("namespace: shop", f"namespace: {namespace}"))
    return await build(copy / "example")


async def rendered_with(directory: Path, namespace: str, *features: str) -> str:
    """What is read in `namespace`, and these features alone."""
    copy = _copied(directory)
    components = "".join(f"\n  - ../features/{each}" for each in features)
    lines = [f"namespace: {namespace}", "resources:", "  - ../target", *([f"components:{components}"] if features else [])]
    (copy / "one").mkdir()
    (copy / "one" / "kustomization.yaml").write_text("\n".join([*lines, ""]))
    return await build(copy / "one")


async def build(folder: Path) -> str:
    """As `kustomize build` prints it."""
    process = await asyncio.create_subprocess_exec(
        tools.find("kustomize"), "build", folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, errors = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0, errors.decode()
    return out.decode()


def shipped(*parts: str) -> list[Object]:
    """The objects of these files or folders of `deploy/`, as they are written."""
    paths = [DEPLOY / each for each in parts]
    files = [file for path in paths for file in (sorted(path.glob("*.yaml")) if path.is_dir() else [path])]
    return [each for file in files for each in documents(file) if "metadata" in each]


def _copied(directory: Path) -> Path:
    """A new copy of `deploy/`, to change."""
    return Path(shutil.copytree(DEPLOY, Path(tempfile.mkdtemp(dir=directory)) / "deploy"))


async def make_own_namespace(plane: ControlPlane) -> None:
    """Where the identities are."""
    try:
        await plane.admin.post("/api/v1/namespaces", {"metadata": {"name": OWN_NAMESPACE}})
    except ApiError as known:
        if known.status != 409:  # an earlier test of this session made it
            raise


async def apply(plane: ControlPlane, namespace: str, directory: Path) -> Rights:
    """Applies them; the undo token is the one that the control plane puts into the shipped Secret."""
    await make_own_namespace(plane)
    await plane.admin.apply(await rendered(directory, namespace))
    secret = await plane.admin.until(
        f"/api/v1/namespaces/{OWN_NAMESPACE}/secrets/alert-receiver-undo", lambda found: bool(found.get("data", {}).get("token"))
    )
    undo = base64.b64decode(secret["data"]["token"]).decode()
    base = await plane.token("alert-receiver", OWN_NAMESPACE)
    for token in (base, undo):
        await in_force(plane.api(token), f"/apis/apps/v1/namespaces/{namespace}/deployments/none")
    return Rights(base, undo)


async def in_force(api: KubeApi, path: str) -> None:
    """RBAC reaches the authorizer a moment after it is stored: until then a read of what is not there is forbidden."""

    async def known() -> bool:
        try:
            await api.get(path)
        except ApiError as error:
            return error.status == 404
        return True

    await eventually(known, within=20, what=f"the right to read {path}")
