"""A real Kubernetes control plane on loopback (etcd, API server, controller manager, scheduler) with a fake kubelet.

Or, given a kubeconfig, a cluster that exists: then nothing is started, and `own` and `kubelet` skip the asking test.
Start and stop it on a loop that lives as long as it does (`background.Background`); all else may be called from any loop.
"""

import asyncio
import secrets
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.real import tools
from tests.real.access import Access, read_kubeconfig, write_kubeconfig
from tests.real.kube_api import ApiError, KubeApi, Object
from tests.real.kubelet import FakeKubelet
from tests.real.processes import LOOPBACK, Process, free_port

PROGRAMS = ("etcd", *tools.CONTROL_PLANE, "openssl")
READY_SECONDS = 120.0
STOP_SECONDS = 3.0
NOT_FOUND = 404


@dataclass(frozen=True)
class Servers:
    """The four processes, in the order they start."""

    etcd: Process
    api_server: Process
    controller_manager: Process
    scheduler: Process

    def all(self) -> tuple[Process, ...]:
        return (self.etcd, self.api_server, self.controller_manager, self.scheduler)


class ControlPlane:
    """`admin` may do everything: it is in system:masters here, and whoever the kubeconfig says on an external cluster."""

    def __init__(self, directory: Path, *, kubeconfig: Path | None = None, nodes: int = 3) -> None:
        self.external = kubeconfig is not None
        self._directory = directory
        self._nodes = nodes
        directory.mkdir(parents=True, exist_ok=True)
        self._ports = [free_port() for _ in range(3)]
        self._admin_token = secrets.token_hex(16)
        self._servers: Servers | None = None
        self._kubelet: FakeKubelet | None = None
        self._admin: KubeApi | None = None
        if kubeconfig is not None:
            self._admin = KubeApi(read_kubeconfig(kubeconfig, scratch=directory))

    @property
    def admin(self) -> KubeApi:
        if self._admin is None:
            raise RuntimeError("the control plane is not started")
        return self._admin

    @property
    def own(self) -> Servers:
        """Its processes, to pause and kill; skips the test on an external cluster."""
        if self._servers is None:
            pytest.skip("needs the processes of the control plane: not with --kubeconfig")
        return self._servers

    @property
    def kubelet(self) -> FakeKubelet:
        """The fake kubelet, to choose what pods do; skips the test on an external cluster."""
        if self._kubelet is None:
            pytest.skip("needs the fake kubelet: not with --kubeconfig")
        return self._kubelet

    async def start(self) -> None:
        """Returns when the API server is ready and the nodes are, too. Does nothing for an external cluster."""
        if self.external:
            return
        _write_key(self._directory)
        self._write_tokens()
        self._servers = servers = self._make_servers()
        servers.etcd.start()
        servers.api_server.start()
        await servers.api_server.ready(f"{self._url}/readyz", token=self._admin_token, within=READY_SECONDS)
        self._admin = KubeApi(Access(server=self._url, ca_file=self._certificate, token=self._admin_token))
        write_kubeconfig(self.admin.access, self._admin_kubeconfig)
        servers.controller_manager.start()
        servers.scheduler.start()
        self._kubelet = FakeKubelet(self.admin, nodes=self._nodes)
        await self._kubelet.start()
        await self.admin.until("/api/v1/namespaces/default/serviceaccounts/default", bool)

    async def stop(self) -> None:
        """Everything goes: the state is not meant to be kept."""
        try:
            if self._kubelet is not None:
                await self._kubelet.stop()
        finally:
            if self._servers is not None:
                await asyncio.gather(*(process.stop(limit=STOP_SECONDS) for process in self._servers.all()))

    def access(self, token: str) -> Access:
        """The API server as the holder of `token`."""
        return Access(server=self.admin.access.server, ca_file=self.admin.access.ca_file, token=token)

    def api(self, token: str) -> KubeApi:
        return KubeApi(self.access(token))

    def kubeconfig(self, token: str | None = None, *, server: str | None = None, namespace: str = "default") -> Path:
        """A new kubeconfig file; without a token the administrator's. `server` for a proxy's URL (plain HTTP: no CA)."""
        access = self.admin.access if token is None else self.access(token)
        if server is not None:
            ca_file = access.ca_file if server.startswith("https:") else None
            access = Access(server=server, ca_file=ca_file, token=access.token)
        return write_kubeconfig(access, self._directory / f"kubeconfig-{secrets.token_hex(6)}.json", namespace=namespace)

    async def token(self, service_account: str, namespace: str, *, seconds: int = 3600) -> str:
        """A token of the ServiceAccount, which is made when it is not there. At least 600 seconds."""
        base = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        account: Object = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": service_account, "namespace": namespace}}
        try:
            await self.admin.get(f"{base}/{service_account}")
        except ApiError as error:
            if error.status != NOT_FOUND:
                raise
            await self.admin.post(base, account)
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": seconds}}
        answer = await self.admin.post(f"{base}/{service_account}/token", request)
        return str(answer["status"]["token"])

    @asynccontextmanager
    async def namespace(self, prefix: str = "t") -> AsyncIterator[str]:
        """A fresh namespace whose `default` ServiceAccount is there (pods are refused before); deleted, unwaited, at the end."""
        name = f"{prefix}-{secrets.token_hex(4)}"
        await self.admin.post("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        try:
            await self.admin.until(f"/api/v1/namespaces/{name}/serviceaccounts/default", bool)
            yield name
        finally:
            await self.admin.delete(f"/api/v1/namespaces/{name}")

    @property
    def _url(self) -> str:
        return f"https://{LOOPBACK}:{self._ports[0]}"

    @property
    def _certificate(self) -> Path:
        """Made by the API server itself: leaf and CA in one file, so it serves as the CA file of clients."""
        return self._directory / "certificates" / "apiserver.crt"

    @property
    def _admin_kubeconfig(self) -> Path:
        return self._directory / "admin.json"

    def _write_tokens(self) -> None:
        path = self._directory / "tokens.csv"
        path.touch(mode=0o600)
        path.write_text(f'{self._admin_token},admin,admin-uid,"system:masters"\n')

    def _make_servers(self) -> Servers:
        return Servers(
            self._process("etcd", self._etcd_flags()),
            self._process("kube-apiserver", self._api_server_flags()),
            self._process("kube-controller-manager", self._controller_manager_flags()),
            self._process("kube-scheduler", self._client_flags()),
        )

    def _process(self, name: str, flags: list[str]) -> Process:
        return Process(name, [tools.find(name), *flags], log=self._directory / f"{name}.log")

    def _etcd_flags(self) -> list[str]:
        url, peer_url = (f"http://{LOOPBACK}:{port}" for port in self._ports[1:])
        return [
            f"--data-dir={self._directory / 'etcd'}",
            f"--listen-client-urls={url}",
            f"--advertise-client-urls={url}",
            f"--listen-peer-urls={peer_url}",
            "--unsafe-no-fsync",
        ]

    def _api_server_flags(self) -> list[str]:
        key = self._directory / "sa.key"
        return [
            f"--etcd-servers=http://{LOOPBACK}:{self._ports[1]}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            f"--bind-address={LOOPBACK}",
            f"--secure-port={self._ports[0]}",
            f"--cert-dir={self._certificate.parent}",
            f"--token-auth-file={self._directory / 'tokens.csv'}",
            "--authorization-mode=RBAC",  # the default is AlwaysAllow
            "--service-cluster-ip-range=10.0.0.0/24",
            "--endpoint-reconciler-type=none",
            # Debian's etcd 3.4 lacks RequestWatchProgress: without this, watches with bookmarks from the start are refused.
            "--feature-gates=WatchList=false",
        ]

    def _controller_manager_flags(self) -> list[str]:
        return [
            *self._client_flags(),
            f"--service-account-private-key-file={self._directory / 'sa.key'}",
            f"--root-ca-file={self._certificate}",
            "--use-service-account-credentials=false",
            "--controllers=*,-nodeipam",
            "--kube-api-qps=200",
            "--kube-api-burst=400",
        ]

    def _client_flags(self) -> list[str]:
        return [f"--kubeconfig={self._admin_kubeconfig}", "--leader-elect=false", "--secure-port=0"]


def _write_key(directory: Path) -> None:
    """The RSA key that signs, and checks, ServiceAccount tokens."""
    key = directory / "sa.key"
    if not key.exists():
        subprocess.run([tools.find("openssl"), "genrsa", "-out", key, "2048"], check=True, capture_output=True, timeout=60)
