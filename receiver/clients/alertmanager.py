"""The client of one Alertmanager's API v2: what it knows to be firing (protocols: https://github.com/prometheus/alertmanager/tree/main/api/v2).

Law: one GET under a time limit, no redirect followed (credentials stay where they belong), a bounded answer; an answer that is not wholly
of the API's shape is none. What a state means is for the caller.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TypeVar

import aiohttp
import msgspec

import receiver
from receiver.clients.errors import ClientError, ErrorKind
from receiver.clients.session import SessionOwner
from receiver.secret import Secret

T = TypeVar("T")

BODY_LIMIT_BYTES = 64 << 20
"""3,000 alerts are some 3 MB; there is no paging."""
THREADED_BYTES = 64 << 10
"""A longer answer is decoded in a thread."""
USER_AGENT = f"alert-receiver/{receiver.__version__}"

_KINDS_BY_STATUS = {
    400: ErrorKind.invalid,
    401: ErrorKind.unauthorized,
    403: ErrorKind.forbidden,
    404: ErrorKind.not_found,
    429: ErrorKind.throttled,
}


@dataclass(frozen=True, slots=True)
class AlertmanagerConfig:
    """Where it is, and who we are there. It has no authentication of its own unless `--web.config.file` or a proxy adds some."""

    url: str
    """Base address, as `http://alertmanager:9093`; a path before `/api` (its route prefix) is kept."""
    token: Secret | None = None
    """Sent as bearer."""
    username: str = ""
    password: Secret | None = None
    """Sent as basic authentication, where there is no token."""
    timeout: timedelta = timedelta(seconds=20)
    """Of one question, the way there and back included."""


class Receiver(msgspec.Struct, frozen=True, gc=False):
    """A receiver of its configuration."""

    name: str


class Status(msgspec.Struct, frozen=True, gc=False):
    """`active`, `suppressed` or `unprocessed`."""

    state: str
    mutedBy: list[str] | None = None  # noqa: N815 (the API's name; since 0.28, and in groups only)


class KnownAlert(msgspec.Struct, frozen=True, gc=False):
    """One alert as the API lists it; names are the API's."""

    labels: dict[str, str]
    annotations: dict[str, str]
    startsAt: datetime  # noqa: N815
    endsAt: datetime  # noqa: N815 -- of a firing one in the future: when it is taken for resolved unless it is told again
    status: Status
    fingerprint: str
    generatorURL: str = ""  # noqa: N815
    receivers: list[Receiver] = []


class _Group(msgspec.Struct, frozen=True, gc=False):
    receiver: Receiver
    alerts: list[KnownAlert]


@dataclass(frozen=True, slots=True)
class KnownAlerts:
    """The answer."""

    alerts: tuple[KnownAlert, ...]
    at: datetime | None
    """By its own clock; None: it does not say."""


@dataclass(frozen=True, slots=True)
class GroupedAlert:
    """An alert as one receiver is told of it."""

    receiver: str
    alert: KnownAlert


class Alertmanager(SessionOwner):
    """Opens its own session when first used, unless given one. One per process, closed at shutdown."""

    def __init__(self, config: AlertmanagerConfig, *, session: aiohttp.ClientSession | None = None) -> None:
        self.config = config
        super().__init__(session)

    async def alerts(self) -> KnownAlerts:
        """All that it knows, also what is silenced or inhibited; never what is resolved. Raises ClientError."""
        raw, at = await self._get("/api/v2/alerts?active=true&silenced=true&inhibited=true&unprocessed=true")
        return KnownAlerts(tuple(await _decoded(raw, list[KnownAlert])), at)

    async def grouped(self) -> tuple[GroupedAlert, ...]:
        """By the receiver that is told of them: the only place where it says that a time interval mutes. Raises ClientError."""
        raw, _ = await self._get("/api/v2/alerts/groups")
        groups = await _decoded(raw, list[_Group])
        return tuple(GroupedAlert(group.receiver.name, each) for group in groups for each in group.alerts)

    async def _get(self, path: str) -> tuple[bytes, datetime | None]:
        limit = self.config.timeout.total_seconds()
        try:
            async with self._sessions().get(
                self.config.url.rstrip("/") + path,
                headers=self._headers(),
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=limit),
            ) as response:
                if response.status != 200:
                    usual = ErrorKind.unavailable if response.status >= 500 else ErrorKind.bad_answer
                    raise ClientError(_KINDS_BY_STATUS.get(response.status, usual), f"Alertmanager answered {response.status}")
                return await _body(response), _date(response.headers.get("Date", ""))
        except TimeoutError as error:
            raise ClientError(ErrorKind.timeout, f"Alertmanager did not answer within {limit:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:  # ValueError: an address that is none
            raise ClientError(ErrorKind.unreachable, f"Alertmanager cannot be reached: {type(error).__name__}") from error

    def _headers(self) -> dict[str, str]:
        config = self.config
        # identity: the bound on the body is then one on what is unpacked, too
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": USER_AGENT}
        if config.token is not None:
            headers["Authorization"] = f"Bearer {config.token.reveal()}"
        elif config.password is not None:
            headers["Authorization"] = aiohttp.encode_basic_auth(config.username, config.password.reveal(), "utf-8")
        return headers


async def _body(response: aiohttp.ClientResponse) -> bytes:
    found = bytearray()
    async for chunk in response.content.iter_chunked(2**16):
        found += chunk
        if len(found) > BODY_LIMIT_BYTES:
            raise ClientError(ErrorKind.bad_answer, f"Alertmanager's answer is longer than {BODY_LIMIT_BYTES} bytes")
    return bytes(found)


async def _decoded(raw: bytes, shape: type[T]) -> T:
    try:
        if len(raw) <= THREADED_BYTES:
            return msgspec.json.decode(raw, type=shape)
        return await asyncio.to_thread(msgspec.json.decode, raw, type=shape)
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        raise ClientError(ErrorKind.bad_answer, "Alertmanager answered something other than a list of its alerts") from error


def _date(header: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(header)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None
