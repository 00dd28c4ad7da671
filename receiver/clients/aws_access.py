"""The way to AWS: configuration, credentials, and the SDK's clients.

Law: credentials come from the SDK's default chain; an account with a role is reached by AssumeRole, whose session name is the attempt's id
for a change and `receiver` for everything else, so that CloudTrail says who did it. Heavy: aiobotocore is imported by the first call, in a
thread. Used by `clients/aws.py` only.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Any

import receiver
from receiver.clients.aws_errors import translated, vendor_errors
from receiver.clients.errors import ClientError, ErrorKind
from receiver.ports import Permission

USER_AGENT = f"alert-receiver/{receiver.__version__}"
READER = "receiver"
"""Session name of everything that changes no workload."""
_NOT_IN_A_SESSION_NAME = re.compile(r"[^\w+=,.@-]", re.ASCII)  # https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
READ_TRIES = 2
MODELS = ("service-2", "endpoint-rule-set-1")
LONG_POLL = timedelta(seconds=35)
"""Read limit of queues, whose answer may be 20 s away by itself."""


@dataclass(frozen=True, slots=True)
class AwsAccount:
    """One account that may be reached."""

    id: str
    role_arn: str = ""
    """Empty: the default chain's own credentials are of this account."""
    external_id: str = ""


@dataclass(frozen=True, slots=True)
class AwsConfig:
    """Where, as whom, and our limits."""

    region: str
    """Where a place names none."""
    accounts: tuple[AwsAccount, ...] = ()
    """The only ones that a place may name; a place that names none is the default chain's own."""
    endpoint_url: str = ""
    """Instead of AWS's own addresses: a VPC endpoint's, or a test's server."""
    endpoints: Mapping[str, str] = field(default_factory=dict)
    """By service, as `ecs`; before `endpoint_url`."""
    timeout: timedelta = timedelta(seconds=10)
    """Of one read with its second try, where the caller names none."""
    call_timeout: timedelta = timedelta(seconds=15)
    """Of one mutation, and as much again for its credentials (`Bounds.call_timeout`)."""
    connect_timeout: timedelta = timedelta(seconds=3)
    """Must be shorter than the two above: a call that got no connection was surely not sent."""
    connections: int = 16
    """To one service of one account and region."""


@dataclass(frozen=True, slots=True)
class Place:
    """One service of one account and region: from our configuration, never from an alert (each keeps a client, a bucket, a health)."""

    service: str
    """As the SDK names it: `ecs`, `application-autoscaling`, `elbv2`, `cloudwatch`, `sqs`."""
    account: str = ""
    """Twelve digits, one of those configured; empty: the default chain's."""
    region: str = ""
    """Empty: the configured one."""


class Resolver:
    """The SDK's `credential_provider`: always these credentials."""

    def __init__(self, credentials: Any) -> None:
        self._credentials = credentials

    async def load_credentials(self) -> Any:
        """Called by the SDK when it makes a client."""
        return self._credentials


class AwsAccess:
    """Opens clients. Safe to call from several tasks of one loop."""

    permissions = (Permission("aws", "sts", "role", ("AssumeRole",)),)
    """Where accounts have roles."""

    def __init__(self, config: AwsConfig) -> None:
        self.config = config
        self._accounts = {each.id: each for each in config.accounts}
        self._session_of_chain: Any = None
        self._loading = asyncio.Lock()
        self._opening: dict[Place, asyncio.Lock] = {}
        self._kept: dict[Place, Any] = {}
        self._stack = AsyncExitStack()
        self._closed = False

    async def client(self, place: Place) -> Any:
        """One a place, kept; for what may be tried twice. ClientError when there is none."""
        async with self._opening.setdefault(place, asyncio.Lock()):
            base = await self._base(place.service)
            if place not in self._kept:
                session = await self._session(place, base, READER)
                self._kept[place] = await self._make(session, place, self._stack, tries=READ_TRIES)
            return self._kept[place]

    async def changing(self, place: Place, stack: AsyncExitStack, *, session_name: str) -> Any:
        """A client for one change, that sends nothing twice, over a connection of its own; closed with `stack`. A role is taken in the
        name given."""
        session = await self._session(place, await self._base(place.service), session_name)
        return await self._make(session, place, stack, tries=1)

    async def close(self) -> None:
        """Harmless when called twice."""
        self._closed = True
        self._kept.clear()
        await self._stack.aclose()

    def _account(self, place: Place) -> AwsAccount:
        if not place.account:
            return AwsAccount("")
        found = self._accounts.get(place.account)
        if found is None:
            allowed = ", ".join(self._accounts) or "none"
            raise ClientError(ErrorKind.held, f"account {place.account[:12]!r} is not among aws.accounts: {allowed}")
        return found

    async def _make(self, session: Any, place: Place, stack: AsyncExitStack, *, tries: int) -> Any:
        config = importlib.import_module("aiobotocore.config").AioConfig(
            connect_timeout=self.config.connect_timeout.total_seconds(),
            read_timeout=(LONG_POLL if place.service == "sqs" else self.config.call_timeout).total_seconds(),
            # By default the SDK sends an UpdateService up to five times, and ECS has no idempotency token for it (`remediation.md` 0.2).
            retries={"total_max_attempts": 1 if place.service == "sqs" else tries, "mode": "standard"},
            max_pool_connections=self.config.connections,
            user_agent_extra=USER_AGENT,
        )
        endpoint = self.config.endpoints.get(place.service) or self.config.endpoint_url or None
        region = place.region or self.config.region
        try:
            return await stack.enter_async_context(
                session.create_client(place.service, region_name=region, endpoint_url=endpoint, config=config)
            )
        except vendor_errors() as error:
            raise _unsent(translated(error, f"client of {place.service}")) from error

    # --- who we are

    async def _session(self, place: Place, base: Any, session_name: str) -> Any:
        """The default chain's, or one in the account's role; then its credentials are there when this returns."""
        account = self._account(place)
        if not account.role_arn:
            return base
        fetch = self._assume(account, base, session_named(session_name), region=place.region)
        credentials = importlib.import_module("aiobotocore.credentials").AioDeferredRefreshableCredentials(fetch, method="assume-role")
        await credentials.get_frozen_credentials()
        session = importlib.import_module("aiobotocore.session").AioSession()
        session.register_component("data_loader", _models())
        session.register_component("credential_provider", Resolver(credentials))
        return session

    def _assume(self, account: AwsAccount, base: Any, session_name: str, *, region: str) -> Callable[[], Awaitable[Mapping[str, Any]]]:
        async def fetch() -> Mapping[str, Any]:
            asked = {"RoleArn": account.role_arn, "RoleSessionName": session_name}
            if account.external_id:
                asked["ExternalId"] = account.external_id
            async with AsyncExitStack() as stack:
                sts = await self._make(base, Place("sts", region=region), stack, tries=READ_TRIES)
                try:
                    answer = await sts.assume_role(**asked)
                except vendor_errors() as error:
                    raise _unsent(translated(error, f"sts AssumeRole for account {account.id}")) from error
            given = answer["Credentials"]
            return {
                "access_key": given["AccessKeyId"],
                "secret_key": given["SecretAccessKey"],
                "token": given["SessionToken"],
                "expiry_time": given["Expiration"].isoformat(),
            }

        return fetch

    async def _base(self, service: str) -> Any:
        """The session of the default chain, with the models that are needed read: in a thread, since both take a while."""
        async with self._loading:
            if self._closed:
                raise ClientError(ErrorKind.unreachable, "the AWS client is closed")
            if self._session_of_chain is None:
                self._session_of_chain = await asyncio.to_thread(_imported)
            try:
                for each in (service, "sts"):
                    await asyncio.to_thread(_warm, self._session_of_chain, each)
            except vendor_errors() as error:
                raise _unsent(translated(error, f"client of {service}")) from error
            return self._session_of_chain


def _imported() -> Any:
    try:
        session = importlib.import_module("aiobotocore.session")
        for each in ("aiobotocore.config", "aiobotocore.credentials", "botocore.parsers"):
            importlib.import_module(each)
    except ImportError as error:
        raise ClientError(ErrorKind.unreachable, "aiobotocore is not installed: pip install alert-receiver[aws]") from error
    for noisy in ("botocore", "aiobotocore"):  # at DEBUG they print whole requests and answers, credentials included
        logging.getLogger(noisy).setLevel(logging.INFO)
    found = session.AioSession()
    found.register_component("data_loader", _models())
    return found


@cache
def _models() -> Any:
    """The SDK's descriptions of the services: read once a process, ECS's alone is a megabyte."""
    return importlib.import_module("aiobotocore.session").AioSession().get_component("data_loader")


def session_named(text: str) -> str:
    """As STS takes it: 2 to 64 of its characters."""
    return _NOT_IN_A_SESSION_NAME.sub("-", text)[:64].ljust(2, "-")


def _warm(session: Any, service: str) -> None:
    loader = session.get_component("data_loader")
    for each in MODELS:
        loader.load_service_model(service, each)
    for each in ("partitions", "sdk-default-configuration", "endpoints"):
        loader.load_data(each)


def _unsent(error: ClientError) -> ClientError:
    """Whatever went wrong on the way to our credentials, no change has left."""
    return ClientError(error.kind, error.text, retry_after=error.retry_after)
