"""How to reach one Kubernetes API server as somebody: read from a kubeconfig, written into one."""

import base64
import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ruamel.yaml import YAML


@dataclass(frozen=True, kw_only=True)
class Access:
    """`server` without a trailing slash; `ca_file` None with plain HTTP (a proxy) or for the system's own authorities."""

    server: str
    ca_file: Path | None = None
    token: str | None = None
    certificate: Path | None = None
    key: Path | None = None

    @property
    def host(self) -> str:
        return urlsplit(self.server).hostname or ""

    @property
    def port(self) -> int:
        return urlsplit(self.server).port or 443

    def tls(self) -> ssl.SSLContext | bool:
        if not self.server.startswith("https:"):
            return True
        context = ssl.create_default_context(cafile=self.ca_file)
        if self.certificate is not None:
            context.load_cert_chain(self.certificate, self.key)
        return context


def read_kubeconfig(path: Path, *, scratch: Path) -> Access:
    """The current context of the kubeconfig; data given inline is written below `scratch`."""
    config = YAML(typ="safe").load(path)
    context = _named(config["contexts"], config["current-context"])["context"]
    cluster = _named(config["clusters"], context["cluster"])["cluster"]
    user = _named(config["users"], context["user"])["user"]
    if not user.keys() & {"token", "client-certificate", "client-certificate-data"}:
        raise ValueError(f"{path}: user {context['user']!r} has {sorted(user)}; allowed: a token or a client certificate")
    return Access(
        server=cluster["server"].rstrip("/"),
        ca_file=_file(cluster, "certificate-authority", scratch),
        token=user.get("token"),
        certificate=_file(user, "client-certificate", scratch),
        key=_file(user, "client-key", scratch),
    )


def write_kubeconfig(access: Access, path: Path, *, namespace: str = "default") -> Path:
    """Writes `path` (mode 600) and answers it."""
    cluster = {"server": access.server} | ({"certificate-authority": str(access.ca_file)} if access.ca_file else {})
    user: dict[str, str] = {"token": access.token} if access.token else {}
    if access.certificate:
        user |= {"client-certificate": str(access.certificate), "client-key": str(access.key)}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "it", "cluster": cluster}],
        "users": [{"name": "it", "user": user}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it", "namespace": namespace}}],
        "current-context": "it",
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(json.dumps(config, indent=1))
    return path


def _named(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(entry for entry in entries if entry["name"] == name)


def _file(section: dict[str, Any], key: str, scratch: Path) -> Path | None:
    if key in section:
        return Path(section[key])
    if f"{key}-data" not in section:
        return None
    path = scratch / f"external-{key}.pem"
    path.touch(mode=0o600)
    path.write_bytes(base64.b64decode(section[f"{key}-data"]))
    return path
