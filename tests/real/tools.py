"""Where the server programs are on this machine, and what to install when one is not there.

`find` raises; `need` is for tests: it skips with the command to run, or fails where RECEIVER_TEST_REQUIRE=all (CI) says that
a missing server is a fault and not a circumstance.
"""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

REQUIRE_VARIABLE = "RECEIVER_TEST_REQUIRE"
CACHE_VARIABLE = "ALERT_RECEIVER_CACHE"
KUBERNETES_VARIABLE = "RECEIVER_TEST_KUBERNETES"

_INSTALL_GO = "run tests/real/install.sh --go"
_USUAL_MODULE = Path(__file__).parent.parent / "controlplane" / "go.mod"


class MissingError(Exception):
    """A server program is not on this machine; the message says how to get it."""


@dataclass(frozen=True, kw_only=True)
class Tool:
    """Looked for as `cached` below the cache directory first, then by each of `commands` on PATH and in /usr/bin."""

    install: str
    cached: str = ""
    commands: tuple[str, ...] = ()


def _debian(package: str, command: str) -> Tool:
    return Tool(install=f"install the Debian package {package} (tests/real/install.sh --apt)", commands=(command,))


TOOLS = {
    "etcd": _debian("etcd-server", "etcd"),
    "openssl": _debian("openssl", "openssl"),
    "prometheus": _debian("prometheus", "prometheus"),
    "promtool": _debian("prometheus", "promtool"),
    "alertmanager-0.25": _debian("prometheus-alertmanager", "prometheus-alertmanager"),
    "alertmanager-0.31.1": Tool(install=_INSTALL_GO, cached="alertmanager-v0.31.1/alertmanager"),
    "chromium": _debian("chromium", "chromium"),
    "kustomize": Tool(install=_INSTALL_GO, cached="kustomize-v5.7.1/kustomize"),
}
CONTROL_PLANE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")


def kubernetes_version() -> str:
    """Of the control plane to test with, as 1.34.4: RECEIVER_TEST_KUBERNETES, else that of tests/controlplane/go.mod."""
    chosen = os.environ.get(KUBERNETES_VARIABLE, "").removeprefix("v")
    return chosen or re.findall(r"^\s+k8s\.io/kubernetes v([\d.]+)$", _USUAL_MODULE.read_text(), re.MULTILINE)[0]


def cache_directory() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get(CACHE_VARIABLE) or Path(base) / "alert-receiver")


def find(name: str) -> Path:
    """The program of that name in TOOLS or CONTROL_PLANE; raises MissingError naming it and how to install it."""
    tool = _control_plane(name) if name in CONTROL_PLANE else TOOLS[name]
    cached = cache_directory() / tool.cached
    if tool.cached and os.access(cached, os.X_OK):
        return cached
    for command in tool.commands:
        found = shutil.which(command) or shutil.which(command, path="/usr/bin:/usr/sbin")
        if found:
            return Path(found)
    raise MissingError(f"{name} is not on this machine: {tool.install}")


def need(*names: str) -> None:
    """Ends the asking test (skipped, or failed where RECEIVER_TEST_REQUIRE=all) unless every one of `names` is there."""
    missing = [str(reason) for reason in map(_absence, names) if reason]
    if not missing:
        return
    if os.environ.get(REQUIRE_VARIABLE) == "all":
        pytest.fail("; ".join(missing), pytrace=False)
    pytest.skip("; ".join(missing))


def _control_plane(name: str) -> Tool:
    version = kubernetes_version()
    install = f"run tests/controlplane/build.sh {version} (about 8 minutes the first time)"
    return Tool(install=install, cached=f"controlplane-v{version}/{name}")


def _absence(name: str) -> MissingError | None:
    try:
        find(name)
    except MissingError as missing:
        return missing
    return None
