"""The door of Amazon SNS: POST `/webhook/sns`, whose credentials are a topic of ours and SNS's signature.

Law: nothing of a message leads anywhere before topic, certificate, signature and age are found good; no address in it is ever visited: a
subscription is confirmed by a call of the API, if at all. SNS drops what is answered 4xx and soon gives up on 503, so 503 is for what
passes, 4xx for what must not come back, 200 for what was heard already or says nothing. What SNS did sign and we refuse is told at once;
what proves nothing only when it goes on and nothing else comes: a stranger must not page. Mounted by `app`.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import timedelta

import structlog
from aiohttp import web
from multidict import MultiMapping

from receiver.clients.errors import ClientError, plain
from receiver.core.model import Refusal
from receiver.ingest.answers import error_answer, json_answer
from receiver.ingest.cloudwatch_forms import open_body
from receiver.ingest.credentials import Unauthorized
from receiver.ingest.http import DoorLimits, Doorway, Handler
from receiver.ingest.room import Held
from receiver.ingest.sns_message import Kind, Message, Refused, Unwanted, check_policy, read
from receiver.ingest.sns_signature import NotNow, Verifier
from receiver.ports import Clock, Intake, OwnTrouble, Source, TroubleKind
from receiver.telemetry.metrics import Metrics

log = structlog.get_logger("receiver.ingest")

BODY_BYTES = 2 << 20
"""SNS takes 256 KiB of message; JSON may write each of its bytes with six."""
HEARD = 10_000
"""Ids of messages that are remembered, so that a repeat costs nothing. Forgotten ones are folded again, which changes nothing."""
HEARD_SECONDS = 2 * 3600.0
RARE = timedelta(days=7)
"""Refusals so far from each other are one story where nothing was admitted between: SNS does not repeat, and alarms are rare."""
CONFIRM_SECONDS = 8.0
"""SNS waits for 15 s."""

Confirm = Callable[[str, str], Awaitable[None]]
"""(topic, token): ConfirmSubscription of SNS's API. Raises ClientError."""


@dataclass(frozen=True, slots=True)
class SnsPolicy:
    """What configuration says."""

    topics: Collection[str]
    """ARNs, compared whole."""
    require_v2: bool = False
    confirm: Confirm | None = None
    """None: a person confirms."""


def sns_door(
    source: Source, policy: SnsPolicy, verifier: Verifier, *, intake: Intake, telemetry: Metrics, clock: Clock, limits: DoorLimits
) -> Handler:
    """Mount it with `http.mount`."""
    return _SnsDoor(source, policy, verifier, intake=intake, telemetry=telemetry, clock=clock, limits=limits).handle


class _SnsDoor(Doorway):
    def __init__(
        self, source: Source, policy: SnsPolicy, verifier: Verifier, *, intake: Intake, telemetry: Metrics, clock: Clock, limits: DoorLimits
    ) -> None:
        super().__init__(source, intake=intake, telemetry=telemetry, clock=clock, limits=limits)
        self._policy = policy
        self._topics = frozenset(policy.topics)
        self._verifier = verifier
        self._watch = Unauthorized(source.name, clock=clock, report=intake.report, gap=RARE)
        self._heard = _Heard(clock)
        self._unsettled = set(self._topics)
        """Topics of which a trouble may be open: also from before the start."""
        self._blind = True
        """Certificates may be told to be out of reach: also from before the start."""

    def _stopped(self, headers: MultiMapping[str], size: int) -> web.Response | None:
        """The type is not asked: SNS sends JSON as text/plain, or as whatever the subscription says."""
        if "x-amz-sns-rawdelivery" in headers:
            if headers.get("x-amz-sns-topic-arn", "") in self._topics:
                self._watch.refused()
            return _refused(Refused(403, "raw delivery bears no signature; set RawMessageDelivery to false for this subscription"))
        if any(each.strip().lower() != "identity" for each in headers.getall("Content-Encoding", [])):
            return error_answer(415, "Content-Encoding: only identity is understood")
        if size > self._limits.body_bytes:
            return error_answer(413, f"body: more than {self._limits.body_bytes} bytes")
        if headers.get("Expect", "100-continue").lower() != "100-continue":
            return error_answer(417, "Expect: only 100-continue is understood")
        return None

    async def _deliver(self, body: bytes, headers: MultiMapping[str], held: Held) -> web.Response:  # noqa: ARG002 (the body tells its type)
        try:
            message = await self._worked(lambda: read(body, topics=self._topics), len(body))
            return await self._judged(message, body, held)
        except Refused as no:
            if no.ours:
                self._watch.refused()
            return _refused(no)
        except NotNow as no:
            return self._unverified(no)

    async def _judged(self, message: Message, body: bytes, held: Held) -> web.Response:
        """Raises `Refused`, but for `Unwanted`, and `NotNow`."""
        try:
            await self._verifier.check(message, peer=held.peer)
            self._written_by_sns(held)
            if self._heard.before(message.id):
                return json_answer({"accepted": 0, "rejected": []})
            check_policy(message, now=self._clock.now(), require_v2=self._policy.require_v2)
        except Unwanted as no:
            self._written_by_sns(held)
            log.warning("sns message refused", status=no.status, reason=no.reason)
            return self._refuse(no.status, message.topic, no.reason)
        return await self._genuine(message, body)

    def _unverified(self, no: NotNow) -> web.Response:
        """SNS tries some times within a minute only: that its certificates are out of reach, a person must hear at once. That too much is
        asked for may be a stranger's doing."""
        log.warning("sns message not verified", reason=str(no))
        if no.unreachable:
            self._blind = True
            self._intake.report(OwnTrouble(TroubleKind.unreachable_source, f"{self._source.name} certificates", str(no)[:256]))
        else:
            self._watch.refused()
        return self._busy("the signature cannot be checked now")

    def _written_by_sns(self, held: Held) -> None:
        held.proven()
        self._watch.admitted()
        if self._blind:
            self._blind = False
            certificates = f"{self._source.name} certificates"
            self._intake.report(OwnTrouble(TroubleKind.unreachable_source, certificates, "a signature was checked", over=True))

    # --- written by SNS, for a topic of ours ---

    async def _genuine(self, message: Message, body: bytes) -> web.Response:
        answer = await self._by_kind(message, body)
        if answer.status < 500:
            self._heard.remember(message.id)
        return answer

    async def _by_kind(self, message: Message, body: bytes) -> web.Response:
        if message.kind is Kind.subscription:
            return await self._subscribed(message)
        answer = await self._told(body)
        if message.kind is Kind.notification:
            self._settle(message.topic)
        elif answer.status == 200:
            self._trouble(message.topic, "the subscription was taken away: no alarm of this topic comes over HTTPS any more")
        return answer

    async def _told(self, body: bytes) -> web.Response:
        """Stored without what is secret in it."""
        received_at = self._clock.now()
        opened = open_body(body)
        if isinstance(opened, Refusal):
            return self._refuse(400, opened.path, opened.reason)
        batch = await self._worked(lambda: self._source.parse(opened.kept, received_at), len(opened.kept))
        if isinstance(batch, Refusal):
            return self._refuse(400, batch.path, batch.reason)
        return await self._store(opened.kept, batch, received_at)

    async def _subscribed(self, message: Message) -> web.Response:
        """Whoever may subscribe to a topic of ours may ask; the topic is on the list, so yes is safe where it is configured."""
        if self._policy.confirm is None:
            log.warning("sns subscription waits", topic=message.topic)
            self._trouble(
                message.topic,
                "its subscription waits to be confirmed, and no alarm comes until then: set sources.sns.confirm, and request the"
                " confirmation again",
            )
            return json_answer({"accepted": 0, "rejected": []})
        try:
            async with asyncio.timeout(CONFIRM_SECONDS):
                await self._policy.confirm(message.topic, message.token)
        except (ClientError, TimeoutError) as no:
            why = plain(str(no).replace(message.token, "***")) or "no answer in time"
            log.warning("sns subscription not confirmed", topic=message.topic, reason=why)
            self._trouble(message.topic, f"its subscription could not be confirmed: {why}")
            return self._busy("not confirmed now")
        log.info("sns subscription confirmed", topic=message.topic)
        self._unsettled.add(message.topic)
        self._settle(message.topic)
        return json_answer({"accepted": 0, "rejected": []})

    def _trouble(self, topic: str, detail: str) -> None:
        self._unsettled.add(topic)
        self._intake.report(OwnTrouble(TroubleKind.subscription, topic, detail[:256]))

    def _settle(self, topic: str) -> None:
        """It delivers."""
        if topic in self._unsettled:
            self._unsettled.discard(topic)
            self._intake.report(OwnTrouble(TroubleKind.subscription, topic, "it delivers", over=True))


class _Heard:
    """Ids of messages that were answered for good. SNS sends one again with the same id, date and signature."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._at: OrderedDict[str, float] = OrderedDict()

    def before(self, message_id: str) -> bool:
        at = self._at.get(message_id)
        return at is not None and self._clock.monotonic() - at < HEARD_SECONDS

    def remember(self, message_id: str) -> None:
        self._at[message_id] = self._clock.monotonic()
        while len(self._at) > HEARD:
            self._at.popitem(last=False)


def _refused(no: Refused) -> web.Response:
    log.warning("sns message refused", status=no.status, reason=no.reason)
    return error_answer(no.status, no.reason)
