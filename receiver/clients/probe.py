"""One HTTP GET of an address of the catalogue: is the service well, as its users would see it?

Law: a time limit, no redirect followed, no body read (but of a status page), no credentials or cookies sent. The address comes from
configuration only, and is shown without its user, password and query.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

import aiohttp

import receiver
from receiver.clients.errors import ClientError, ErrorKind, plain
from receiver.clients.session import SessionOwner

USER_AGENT = f"alert-receiver/{receiver.__version__} (probe)"


STATUS_BYTES = 64 << 10
"""Of a status page that are read."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What answered, or that nothing was there to answer."""

    well: bool
    """2xx."""
    text: str
    """`200`, `302 elsewhere`, `refused the connection`."""


class Prober(SessionOwner):
    """Opens its own session when first used, unless given one. One per process, closed at shutdown."""

    def __init__(self, *, timeout: timedelta = timedelta(seconds=5), session: aiohttp.ClientSession | None = None) -> None:
        self._timeout = timeout
        super().__init__(session)

    async def get(self, url: str, *, indicator: bool = False) -> Reply:
        """An answer other than 2xx, a refused and a cut connection are "not well"; with `indicator` also a JSON body whose
        `status.indicator` is not `none`, as Statuspage says it (`/api/v2/status.json`, https://metastatuspage.com/api). Raises ClientError
        where that cannot be told: no answer in time (`timeout`); no such name, no route, a certificate that we do not trust, an address
        that is none (`unreachable`)."""
        limit = self._timeout.total_seconds()
        try:
            async with self._sessions().get(
                url, allow_redirects=False, timeout=aiohttp.ClientTimeout(total=limit), headers={"User-Agent": USER_AGENT}
            ) as response:
                well = 200 <= response.status < 300
                said = await _indicator(response) if indicator and well else ""
                return Reply(well and not said, f"{response.status}{' elsewhere' if 300 <= response.status < 400 else ''}{said}")
        except TimeoutError as error:
            raise ClientError(ErrorKind.timeout, f"{shown(url)} did not answer within {limit:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:  # ValueError: an address that is none
            text = _unwell(error)
            if not text:
                raise ClientError(ErrorKind.unreachable, f"{shown(url)} cannot be probed: {type(error).__name__}") from error
            return Reply(False, text)


async def _indicator(response: aiohttp.ClientResponse) -> str:
    """` indicator major: Partial outage` where the page says so; empty: none, or no such page."""
    try:
        status = json.loads(await response.content.read(STATUS_BYTES))["status"]
        indicator = status["indicator"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""
    if indicator == "none":
        return ""
    return plain(f" indicator {indicator}: {status.get('description', '')}", limit=120).rstrip(": ")


def _unwell(error: Exception) -> str:
    """What somebody at the other end did instead of answering; empty: nobody was reached, or nobody that we trust."""
    if isinstance(error, aiohttp.ClientSSLError):
        return ""
    if isinstance(error, aiohttp.ClientConnectorError):
        return "refused the connection" if isinstance(error.os_error, ConnectionError) else ""
    if isinstance(error, aiohttp.ClientResponseError):
        return "answered something other than HTTP"
    return "cut the connection" if isinstance(error, (aiohttp.ServerConnectionError, aiohttp.ClientOSError)) else ""


def shown(url: str) -> str:
    """The address without user, password, query and fragment."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "an address that is none"
    return plain(f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}", limit=200)
