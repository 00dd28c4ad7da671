"""The way to one Kubernetes API server as one identity: configuration, credentials, connection.

Law: nothing of the credentials gets into an error: the vendor's configuration errors quote the kubeconfig's users, tokens included, so
only their type is told. Heavy: `kubernetes_asyncio` is imported in `open_connection`. Used by `clients/kubernetes.py` only.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import receiver
from receiver.clients.errors import ClientError, ErrorKind

TOKEN_KEY = "BearerToken"  # noqa: S105 a key's name; "authorization" is silently ignored and makes us system:anonymous
IN_CLUSTER_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
USER_AGENT = f"alert-receiver/{receiver.__version__}"


@dataclass(frozen=True, slots=True)
class KubernetesConfig:
    """Where the API server is, who we are, and our limits."""

    kubeconfig: Path | None = None
    """None: the service account of the pod that we run in."""
    context: str = ""
    """Of the kubeconfig; empty: its current one."""
    token_file: Path | None = None
    """A bearer token that replaces the credentials found otherwise, client certificates too (the undo identity). Read again whenever
    it changes."""
    identity: str = "base"
    """As in `Permission.identity`; stands in the audit line."""
    namespaces: frozenset[str] = frozenset()
    """The only ones that may be written to; empty: none."""
    nodes: bool = False
    """Nodes may be written to."""
    timeout: timedelta = timedelta(seconds=10)
    """Of one read, its second try included."""
    call_timeout: timedelta = timedelta(seconds=15)
    """Of one mutation, and as much again for its dry run (`Bounds.call_timeout`)."""
    connect_timeout: timedelta = timedelta(seconds=3)
    """To get a connection. Must be shorter than the two above: a call that got none was surely not sent."""
    per_second: float = 20.0
    burst: int = 40
    """A look costs about ten reads; two workers looking at once pass without waiting."""
    strict_tls: bool = True
    """False: accept certificate authorities without the extensions that Python 3.13 asks for."""
    connections: int = 8


@dataclass(slots=True)
class Connection:
    """An open `kubernetes_asyncio.client.ApiClient`."""

    api: Any

    async def send(  # the vendor's argument list, in one place
        self, method: str, path: str, *, query: list[tuple[str, str]], body: object, content_type: str, limit: object
    ) -> Any:
        """The `aiohttp.ClientResponse`, not yet read, whatever its status (`_preload_content=False` does not raise on 4xx and 5xx)."""
        headers = {"Accept": "application/json"} | ({"Content-Type": content_type} if content_type else {})
        return await self.api.call_api(
            path,
            method,
            query_params=query,
            header_params=headers,
            body=body,
            auth_settings=[TOKEN_KEY],
            _preload_content=False,
            _request_timeout=limit,
        )

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never stand in a text: the credentials now in use."""
        return tuple(str(value).rpartition(" ")[2] for value in self.api.configuration.api_key.values() if value)

    async def close(self) -> None:
        """Closes the connection pool."""
        await self.api.close()


class TokenFile:
    """A bearer token in a file, read again when the file changes: projected tokens are replaced about every hour."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None

    def refresh(self, configuration: Any) -> None:
        """The vendor's hook, called before each request."""
        try:
            stat = self._path.stat()
            seen = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            if seen != self._seen:
                token = self._path.read_text().strip()  # a newline in the header is a ValueError at call time
                if not token or not token.isascii() or not token.isprintable():
                    raise ClientError(ErrorKind.unauthorized, f"token file {self._path} holds no token")
                configuration.api_key[TOKEN_KEY] = f"Bearer {token}"
                self._seen = seen
        except (OSError, UnicodeDecodeError) as error:
            raise ClientError(ErrorKind.unauthorized, f"token file {self._path} cannot be read: {type(error).__name__}") from None


async def open_connection(config: KubernetesConfig) -> Connection:
    """ClientError of kind `unreachable` when the configuration cannot be used."""
    client = await _load("kubernetes_asyncio.client")
    loader = await _load("kubernetes_asyncio.config")
    yaml = await _load("yaml")  # what the loader reads a kubeconfig with
    # At DEBUG this logger prints whole response bodies.
    logging.getLogger("kubernetes_asyncio.client.rest").setLevel(logging.INFO)
    where = str(config.kubeconfig or "the pod's service account")
    try:
        configuration = client.Configuration()
        await _credentials(configuration, config, loader)
        configuration.connection_pool_maxsize = config.connections
        configuration.disable_strict_ssl_verification = not config.strict_tls
        api = client.ApiClient(configuration)
    except ClientError:
        raise
    except (loader.ConfigException, yaml.YAMLError, OSError, ValueError, KeyError, TypeError, AttributeError, AssertionError) as error:
        # `from None`: a ConfigException quotes the kubeconfig's user, a YAMLError the line, the token included.
        raise ClientError(ErrorKind.unreachable, f"{where} cannot be used to reach Kubernetes: {type(error).__name__}") from None
    api.user_agent = USER_AGENT
    return Connection(api)


async def _load(module: str) -> Any:
    """In a thread: the import takes over a second, and the loop must go on meanwhile."""
    try:
        return await asyncio.to_thread(importlib.import_module, module)
    except ImportError as error:
        text = "kubernetes-asyncio is not installed: pip install alert-receiver[kubernetes]"
        raise ClientError(ErrorKind.unreachable, text) from error


async def _credentials(configuration: Any, config: KubernetesConfig, loader: Any) -> None:
    token_file = config.token_file
    if config.kubeconfig is None:
        loader.load_incluster_config(client_configuration=configuration, try_refresh_token=False)
        token_file = token_file or IN_CLUSTER_TOKEN
    else:
        # persist_config would write refreshed tokens back into the operator's file.
        loaded = await loader.load_kube_config(
            str(config.kubeconfig), context=config.context or None, client_configuration=configuration, persist_config=False
        )
        configuration.refresh_api_key_hook = _exec_refresh(loaded)
    if token_file is not None:
        await asyncio.to_thread(_use_token_file, configuration, token_file)
    elif TOKEN_KEY in configuration.api_key:
        configuration.api_key[TOKEN_KEY] = str(configuration.api_key[TOKEN_KEY]).strip()


def _use_token_file(configuration: Any, path: Path) -> None:
    # A client certificate wins over a token: left in place we would act as its owner.
    configuration.cert_file = configuration.key_file = None
    configuration.username = configuration.password = None
    source = TokenFile(path)
    source.refresh(configuration)
    configuration.refresh_api_key_hook = source.refresh


def _exec_refresh(loaded: Any) -> Callable[[Any], Awaitable[None]] | None:
    """Tokens made by a program (EKS, GKE) end after minutes: asked again when they have."""
    if not hasattr(loaded, "exec_plugin_expiry"):
        return None

    async def refresh(configuration: Any) -> None:
        await loaded.load_from_exec_plugin()
        configuration.api_key[TOKEN_KEY] = str(loaded.token).strip()

    return refresh
