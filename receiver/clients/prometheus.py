"""The client of one Prometheus-compatible query API (Prometheus, Thanos, Mimir, VictoriaMetrics): instant queries only.

Law: a time limit at the server and a longer one here, no redirect followed (the bearer token stays where it belongs), a bounded answer.
An empty vector is a good answer and is given as such: what it means is for the caller. https://prometheus.io/docs/prometheus/latest/querying/api/
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import aiohttp
import msgspec

import receiver
from receiver.clients.errors import ClientError, ErrorKind
from receiver.clients.session import SessionOwner
from receiver.secret import Secret

BODY_LIMIT_BYTES = 2**20
"""One series is some hundred bytes."""
SERVER_MARGIN = timedelta(seconds=1)
"""How much sooner the server is asked to give up than we do: then it says so itself."""
SHORTEST = timedelta(milliseconds=100)
USER_AGENT = f"alert-receiver/{receiver.__version__}"

_KINDS_BY_STATUS = {
    400: ErrorKind.invalid,
    401: ErrorKind.unauthorized,
    403: ErrorKind.forbidden,
    404: ErrorKind.not_found,
    422: ErrorKind.invalid,  # the query cannot be carried out, as many-to-many matching
    429: ErrorKind.throttled,
}


@dataclass(frozen=True, slots=True)
class PrometheusConfig:
    """Where it is."""

    url: str
    """Base address, as `http://prometheus:9090`; a path before `/api` is kept."""
    token: Secret | None = None
    """Sent as bearer."""
    timeout: timedelta = timedelta(seconds=5)
    """Of one query, the way there and back included."""


@dataclass(frozen=True, slots=True)
class Series:
    """The answer to an instant query: each series' value as text, a scalar as one."""

    values: tuple[str, ...]
    labels: tuple[Mapping[str, str], ...] = ()
    """Of each series, in the same order; a scalar has none."""


class _Data(msgspec.Struct):
    resultType: str  # noqa: N815 -- the API's name
    result: msgspec.Raw


class _Answer(msgspec.Struct):
    status: str
    data: _Data | None = None
    errorType: str = ""  # noqa: N815 -- the API's name
    error: str = ""
    warnings: list[str] | None = None


class _Vector(msgspec.Struct):
    value: tuple[float, str]
    metric: dict[str, str] = {}  # msgspec copies it


class Prometheus(SessionOwner):
    """Opens its own session when first used, unless given one. One per process, closed at shutdown."""

    def __init__(self, config: PrometheusConfig, *, session: aiohttp.ClientSession | None = None) -> None:
        self.config = config
        super().__init__(session)

    async def query(self, expression: str) -> Series:
        """The value now. ClientError of kind `timeout` when server or network took too long; partial answers (`warnings`) are errors."""
        status, raw = await self._post(expression)
        answer = _decoded(raw, status)
        if status != 200 or answer.status != "success" or answer.data is None:
            raise _refusal(status, answer)
        if answer.warnings:
            raise ClientError(ErrorKind.bad_answer, f"the answer is perhaps not whole: {answer.warnings[0]}")
        return _series(answer.data)

    async def _post(self, expression: str) -> tuple[int, bytes]:
        limit = self.config.timeout
        server = max(SHORTEST, limit - SERVER_MARGIN, limit / 2)
        form = {"query": expression, "timeout": f"{int(server.total_seconds() * 1000)}ms"}
        # identity: the bound on the body is then one on what is unpacked, too
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": USER_AGENT}
        if self.config.token is not None:
            headers["Authorization"] = f"Bearer {self.config.token.reveal()}"
        try:
            async with self._sessions().post(
                self.config.url.rstrip("/") + "/api/v1/query",
                data=form,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=limit.total_seconds()),
            ) as response:
                return response.status, await _body(response)
        except TimeoutError as error:
            raise ClientError(ErrorKind.timeout, f"Prometheus did not answer within {limit.total_seconds():g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:  # ValueError: an address that is none
            raise ClientError(ErrorKind.unreachable, f"Prometheus cannot be reached: {type(error).__name__}") from error


async def _body(response: aiohttp.ClientResponse) -> bytes:
    found = bytearray()
    async for chunk in response.content.iter_chunked(2**16):
        found += chunk
        if len(found) > BODY_LIMIT_BYTES:
            raise ClientError(ErrorKind.bad_answer, f"the answer is longer than {BODY_LIMIT_BYTES} bytes: the query has too many series")
    return bytes(found)


def _decoded(raw: bytes, status: int) -> _Answer:
    try:
        return msgspec.json.decode(raw, type=_Answer)
    except (msgspec.DecodeError, RecursionError) as error:
        kind = _KINDS_BY_STATUS.get(status, ErrorKind.unavailable if status >= 500 else ErrorKind.bad_answer)
        raise ClientError(kind, f"Prometheus answered {status} with no query API's body") from error


def _refusal(status: int, answer: _Answer) -> ClientError:
    usual = ErrorKind.unavailable if status >= 500 else ErrorKind.bad_answer
    kind = ErrorKind.timeout if answer.errorType == "timeout" else _KINDS_BY_STATUS.get(status, usual)
    return ClientError(kind, f"Prometheus answered {status} {answer.errorType}: {answer.error}")


def _series(data: _Data) -> Series:
    try:
        if data.resultType == "vector":
            found = msgspec.json.decode(data.result, type=list[_Vector])
            return Series(tuple(each.value[1] for each in found), tuple(each.metric for each in found))
        if data.resultType == "scalar":
            return Series((msgspec.json.decode(data.result, type=tuple[float, str])[1],))
    except msgspec.DecodeError as error:  # a native histogram has no value
        raise ClientError(ErrorKind.bad_answer, f"the {data.resultType} holds something other than numbers") from error
    raise ClientError(ErrorKind.bad_answer, f"the query gives a {data.resultType[:32]}, wanted a vector or a scalar")
