"""The one door behind which every source stands, and the answer to whatever goes wrong behind it.

Law: credentials first, before a byte of the body is read (a signature is judged with the body, before anything else is made of it); then
encoding, type and size; 2xx only after `Intake.accept` has committed; 503 when it cannot, never 429, never a redirect. What the sender
cannot tell anybody (Alertmanager drops a delivery that is answered 4xx) is
reported as a trouble of our own. Mounted by `app.py`, one door a source.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import structlog
from aiohttp import web
from multidict import MultiMapping

from receiver.core.model import Batch, Refusal
from receiver.ingest.answers import bytes_answer, error_answer, json_answer, plain_path, secured
from receiver.ingest.credentials import Credentials, Unauthorized
from receiver.ingest.room import Fullness, Held, Room
from receiver.ingest.signature import MAX_AGE, Proofs
from receiver.ingest.unbuilt import resolved_among
from receiver.ports import Clock, Delivery, Intake, NotDurable, OwnTrouble, Source, TroubleKind
from receiver.telemetry.metrics import CODES, STATUSES, Metrics

log = structlog.get_logger()

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
T = TypeVar("T")

REJECTED_SHOWN = 20
"""Alertmanager reads the whole answer into memory and logs it: kept short."""
RETRY_SECONDS = 5
PAUSE_SECONDS = 1.0
"""Between two tries to store one delivery."""
_FULL = "too many large deliveries at once"


@dataclass(frozen=True, slots=True)
class DoorLimits:
    """What one door takes."""

    body_bytes: int = 16 << 20
    body_seconds: float = 10.0
    """From the headers to the last byte."""
    in_flight_bytes: int = 64 << 20
    """Of all bodies that are being read, parsed or stored, as far as they arrived; beyond it 503. At least one body always fits."""
    small_bytes: int = 256 << 10
    small_in_flight_bytes: int = 8 << 20
    """A reserve for bodies of at most `small_bytes`, when the rest is full."""
    threaded_bytes: int = 64 << 10
    """A longer body is parsed in a thread: it would stop the loop for more than a millisecond."""
    threads: int = 2
    patience_seconds: float = 0.0
    """How long a delivery that cannot be stored now is tried again before 503: for a sender that does not come back soon itself."""


def door(
    source: Source, *, auth: Credentials, intake: Intake, telemetry: Metrics, clock: Clock, limits: DoorLimits | None = None
) -> Handler:
    """The handler for POST requests of one source. Mount it with `mount`."""
    return _Door(source, auth=auth, intake=intake, telemetry=telemetry, clock=clock, limits=limits or DoorLimits()).handle


def mount(app: web.Application, path: str, handler: Handler, *, methods: Sequence[str] = ("POST",)) -> None:
    """POST only, unless said otherwise. The client's `Expect: 100-continue` is answered by the door, after the credentials."""
    for method in methods:
        app.router.add_route(method, path, handler, expect_handler=_expect_later)


def shield(handler: Handler, telemetry: Metrics) -> Handler:
    """Every request gets an answer of ours: no 500, no traceback, no text of a library, one way to write a path."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if not plain_path(request.raw_path):
            telemetry.malformed_requests.labels("path").inc()
            return secured(error_answer(404, "no such path"))
        try:
            return secured(await handler(request))
        except web.HTTPException as told:
            if told.status < 400 or told.content_type != "text/plain":  # a redirect of the console, or an answer with a type of its own
                secured(told)
                raise
            return secured(_translated(told))
        except Exception:  # boundary: HTTP error middleware; a sender must hear 503, and come back, whatever broke
            telemetry.http_faults.inc()
            log.exception("request_failed", method=request.method, path=request.path[:256])
            return secured(error_answer(503, "an error of ours; try again", retry_after=RETRY_SECONDS))

    return answer


class Doorway:
    """What every door does alike: a request is judged by its head, read within the limits, delivered, counted. Who may deliver, and how
    that is told, is for the doors made of it."""

    by_headers = False
    """The headers alone tell a friend. Otherwise a sender is a stranger until `Held.proven`."""

    def __init__(self, source: Source, *, intake: Intake, telemetry: Metrics, clock: Clock, limits: DoorLimits) -> None:
        self._source = source
        self._intake = intake
        self._tally = _Tally(telemetry, source.name)
        self._clock = clock
        self._limits = limits
        self._room = Room(
            most=limits.in_flight_bytes, body=limits.body_bytes, reserve=limits.small_in_flight_bytes, small=limits.small_bytes
        )
        self._fullness = Fullness(source.name, clock=clock, report=intake.report)
        self._threads = asyncio.Semaphore(limits.threads)

    async def handle(self, request: web.Request) -> web.Response:
        began = self._clock.monotonic()
        answer = await self._answer(request)
        self._tally.answered(answer.status, self._clock.monotonic() - began)
        return answer

    def _stopped(self, headers: MultiMapping[str], size: int) -> web.Response | None:
        """Before a byte of the body is read. None: go on."""
        raise NotImplementedError

    async def _deliver(self, body: bytes, headers: MultiMapping[str], held: Held) -> web.Response:
        raise NotImplementedError

    def _refuse_unread(self, status: int, path: str, reason: str) -> web.Response:
        """While the body is read."""
        return error_answer(status, f"{path}: {reason}")

    async def _answer(self, request: web.Request) -> web.Response:
        size = request.content_length or 0
        if (stopped := self._stopped(request.headers, size)) is not None:
            return stopped
        with self._room.held("" if self.by_headers else request.remote or "local") as held:
            at_once = request.content.is_eof()  # the common case: all of it came with the headers, and so is small
            body = request.content.read_nowait() if at_once else await self._read(request, held)
            return body if isinstance(body, web.Response) else await self._deliver(body, request.headers, held)

    async def _read(self, request: web.Request, held: Held) -> bytes | web.Response:
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                await _continue(request)
                return await self._gather(request, held)
        except TimeoutError:
            # Cut, not answered: Alertmanager comes back after a broken connection, and does not after a 408.
            if request.transport is not None:
                request.transport.abort()
            return error_answer(408, "the body took too long")
        except (web.RequestPayloadError, ConnectionError):
            return error_answer(400, "the body is incomplete")

    async def _gather(self, request: web.Request, held: Held) -> bytes | web.Response:
        chunks: list[bytes] = []
        size = 0
        while chunk := await request.content.readany():
            size += len(chunk)
            if size > self._limits.body_bytes:
                return self._refuse_unread(413, "body", f"more than {self._limits.body_bytes} bytes")
            if not held.upto(size):
                self._fullness.refused()
                return self._busy(_FULL)
            chunks.append(chunk)
        return b"".join(chunks)

    async def _worked(self, work: Callable[[], T], size: int) -> T:
        """In a thread where so many bytes would hold the loop."""
        if size <= self._limits.threaded_bytes:
            return work()
        async with self._threads:
            return await asyncio.to_thread(work)

    async def _store(self, body: bytes, batch: Batch, received_at: datetime) -> web.Response:
        """The answer, once it is durable; or why it is not."""
        began = self._clock.monotonic()
        try:
            await self._accept(Delivery(self._source.name, received_at, body if batch.kept is None else batch.kept, batch))
        except NotDurable as full:
            return self._busy(full.reason, retry_after=max(1, math.ceil(full.retry_after.total_seconds())))
        self._tally.accepted(batch, self._clock.monotonic() - began)
        self._fullness.stored()
        self._report(batch)
        return _accepted(batch)

    async def _accept(self, delivery: Delivery) -> None:
        """Raises NotDurable when the patience is over."""
        end = self._clock.monotonic() + self._limits.patience_seconds
        while True:
            try:
                return await self._intake.accept(delivery)
            except NotDurable:
                if self._clock.monotonic() + PAUSE_SECONDS > end:
                    raise
            await self._clock.sleep(PAUSE_SECONDS)

    def _refuse(self, status: int, path: str, reason: str) -> web.Response:
        """With good credentials: the sender drops it silently, so we say it."""
        text = f"{path}: {reason}"
        self._intake.report(OwnTrouble(TroubleKind.refused_delivery, self._source.name, f"answered {status}: {text}"[:256]))
        return error_answer(status, text)

    def _busy(self, reason: str, *, retry_after: int = RETRY_SECONDS) -> web.Response:
        return error_answer(503, reason, retry_after=retry_after)

    def _report(self, batch: Batch) -> None:
        if batch.rejected:
            first = batch.rejected[0]
            detail = f"{len(batch.rejected)} unreadable; the first at {first.path}: {first.reason}"
            self._intake.report(OwnTrouble(TroubleKind.quarantine, self._source.name, detail[:256]))
        if batch.odd_version is not None:
            detail = f"payload version {batch.odd_version!a} is not known: paged, never acted on"
            self._intake.report(OwnTrouble(TroubleKind.odd_version, self._source.name, detail[:256]))


class _Door(Doorway):
    """Of a source with credentials of its own."""

    def __init__(self, source: Source, *, auth: Credentials, intake: Intake, telemetry: Metrics, clock: Clock, limits: DoorLimits) -> None:
        super().__init__(source, intake=intake, telemetry=telemetry, clock=clock, limits=limits)
        self._auth = auth
        self.by_headers = auth.by_headers
        self._watch = Unauthorized(source.name, clock=clock, report=intake.report)
        self._proofs = Proofs(max_age=auth.signature.max_age if auth.signature is not None else MAX_AGE)

    def _stopped(self, headers: MultiMapping[str], size: int) -> web.Response | None:
        if not self._auth.offered(headers):
            self._watch.refused()
            refused = error_answer(401, "credentials missing or wrong")
            refused.headers["WWW-Authenticate"] = self._auth.challenge
            return refused
        if self._auth.signature is None:
            self._watch.admitted()
        wrong = _wrong_head(headers, size, self._limits.body_bytes)
        return self._refuse_unread(*wrong) if wrong is not None else None

    async def _deliver(self, body: bytes, headers: MultiMapping[str], held: Held) -> web.Response:
        received_at = self._clock.now()
        judged = await self._worked(lambda: self._judge(body, headers, received_at), len(body))
        if judged is None:
            self._watch.refused()
            return error_answer(403, "the signature is wrong, or too old")
        held.proven()
        if self._auth.signature is not None:
            self._watch.admitted()
        proof, batch = judged
        if isinstance(batch, Refusal):
            return self._refuse(400, batch.path, batch.reason)
        if proof in self._proofs:
            return _accepted(batch)  # it was, by its sender: no effect a second time
        answer = await self._store(body, batch, received_at)
        if answer.status != 503:
            self._proofs.remember(proof, received_at)
        return answer

    def _judge(self, body: bytes, headers: MultiMapping[str], received_at: datetime) -> tuple[bytes, Batch | Refusal] | None:
        """None: nobody whom we know signed it."""
        proof = self._auth.proof(headers, body, received_at)
        return (proof, self._source.parse(body, received_at)) if proof is not None else None

    def _refuse_unread(self, status: int, path: str, reason: str) -> web.Response:
        """Where only a signature tells a friend, nobody is one yet: a stranger must not page anybody."""
        return self._refuse(status, path, reason) if self.by_headers else super()._refuse_unread(status, path, reason)


class _Tally:
    """The door's metrics. Keeps the labelled ones: looking one up costs as much as counting."""

    def __init__(self, telemetry: Metrics, source: str) -> None:
        self._codes = {code: telemetry.webhook_requests.labels(source, code) for code in CODES}
        self._requests = telemetry.webhook_requests
        self._source = source
        self._duration = telemetry.webhook_request_duration.labels(source)
        self._ack = telemetry.ack_seconds
        self._alerts = {status: telemetry.alerts_received.labels(source, status) for status in STATUSES}
        self._truncated = telemetry.alerts_truncated.labels(source)

    def answered(self, status: int, seconds: float) -> None:
        code = str(status)
        (self._codes.get(code) or self._requests.labels(self._source, code)).inc()
        self._duration.observe(seconds)

    def accepted(self, batch: Batch, seconds: float) -> None:
        self._ack.observe(seconds)
        resolved = resolved_among(batch.alerts)
        counts = {"firing": len(batch.alerts) - resolved, "resolved": resolved, "rejected": len(batch.rejected)}
        for status, count in counts.items():
            if count:
                self._alerts[status].inc(count)
        if batch.truncated:
            self._truncated.inc(batch.truncated)


def _wrong_head(headers: MultiMapping[str], size: int, limit: int) -> tuple[int, str, str] | None:
    """(status, path, reason) of what the headers alone tell."""
    if "Content-Encoding" in headers and any(each.strip().lower() != "identity" for each in headers.getall("Content-Encoding")):
        return 415, "Content-Encoding", "only identity is understood"
    if not _json_type(headers.getall("Content-Type", [])):
        return 415, "Content-Type", "application/json in UTF-8 was expected"
    if size > limit:
        return 413, "body", f"more than {limit} bytes"
    if "Expect" in headers and headers["Expect"].lower() != "100-continue":
        return 417, "Expect", "only 100-continue is understood"
    return None


def _json_type(values: list[str]) -> bool:
    """`application/json`, with no charset but UTF-8. Other parameters mean nothing to JSON (RFC 8259, section 11)."""
    if values == ["application/json"]:
        return True
    if len(values) != 1 or len(values[0]) > 256:
        return False
    media, *parameters = [each.strip().lower() for each in values[0].split(";")]
    charsets = [each.partition("=")[2].strip('"') for each in parameters if each.startswith("charset")]
    return media == "application/json" and all(each == "utf-8" for each in charsets)


def _accepted(batch: Batch) -> web.Response:
    if not batch.rejected and batch.usable:
        return bytes_answer(b'{"accepted": %d, "rejected": []}' % len(batch.alerts))
    shown = [{"path": each.path, "reason": each.reason[:256]} for each in batch.rejected[:REJECTED_SHOWN]]
    if not batch.usable:
        unusable = json_answer({"error": "nothing in it could be read; kept for a person", "rejected": shown}, status=422)
        unusable.force_close()
        return unusable
    return json_answer({"accepted": len(batch.alerts), "rejected": shown})


def _translated(told: web.HTTPException) -> web.Response:
    """The library's plain text as JSON."""
    if told.status >= 500:
        return error_answer(503, "not now; try again", retry_after=RETRY_SECONDS)
    answer = error_answer(told.status, told.reason.lower())
    if "Allow" in told.headers:
        answer.headers["Allow"] = told.headers["Allow"]
    return answer


async def _expect_later(_: web.Request) -> None:
    """Nothing yet: the body of a stranger is not asked for."""


async def _continue(request: web.Request) -> None:
    if "Expect" in request.headers:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # as aiohttp's own handler does: it was no part of the answer
