"""One message of Amazon SNS over HTTPS, checked as far as that is possible without its signature
(https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html).

Law: the topic comes first and is compared whole: a valid signature proves only that SNS sent it, for anybody's topic. Everything that is
signed must be text that fits one line where the signed form is lines; everything that leads to a fetch must fully match, before any fetch.
Age and version are judged only when the signature is found good: what SNS wrote and we refuse is a lost alarm, and a person hears of it.
Total: a message or `Refused`. Called by the door.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from urllib.parse import parse_qsl, urlsplit

from receiver.ingest.jsonbody import NotJson, Repeated, decode

OLDEST = timedelta(hours=1, minutes=5)
"""SNS tries for an hour at most (https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html); and some minutes of skew."""
AHEAD = timedelta(minutes=5)
SIGNATURE_LIMIT = 1024
"""Characters; a key of 4096 bits gives 684."""
TOKEN_LIMIT = 4096
MESSAGE_LIMIT = 1 << 20

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z", re.ASCII)
_SUFFIXES = {"aws": "amazonaws.com", "aws-us-gov": "amazonaws.com", "aws-cn": "amazonaws.com.cn"}
"""Partition → where its SNS lies. Other partitions are not known here, and refused."""
PARTITIONS = frozenset(_SUFFIXES)
"""Whose messages can be verified."""
_CERTIFICATE = r"https://sns\.{region}\.{suffix}/SimpleNotificationService-[0-9a-f]{{32}}\.pem"


class Kind(StrEnum):
    """The three types of message."""

    notification = "Notification"
    subscription = "SubscriptionConfirmation"
    unsubscription = "UnsubscribeConfirmation"


_SIGNED = {
    Kind.notification: ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    Kind.subscription: ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    Kind.unsubscription: ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
"""In the order of the bytes; Subject where there is one."""
_ONE_LINE = ("MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
"""The signed form is lines without escapes: a newline in one field would pass for the next field."""


class Refused(Exception):
    """This message is not taken, and need not come again. The text holds nothing of it."""

    def __init__(self, status: int, reason: str, *, ours: bool = True) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.ours = ours
        """It names a topic of ours: somebody forges, or something is configured wrongly."""


class Unwanted(Refused):
    """SNS wrote it, for a topic of ours, and it may not be taken all the same: an alarm is lost, and its sender says nothing."""

    def __init__(self, reason: str) -> None:
        super().__init__(403, reason)


@dataclass(frozen=True, slots=True, repr=False)
class Message:
    """Well formed, of a topic of ours. Whether SNS wrote it, its signature tells. Shows none of itself: it holds secrets."""

    kind: Kind
    id: str
    topic: str
    certificate_url: str
    at: datetime
    version: str
    signature: bytes
    signed: bytes
    """What the signature is over."""
    token: str = ""
    """Of a subscription: who has it may confirm."""


def read(body: bytes, *, topics: Collection[str]) -> Message:
    """Raises `Refused` and nothing else."""
    values = _values(body)
    topic = values.get("TopicArn")
    if not isinstance(topic, str) or topic not in topics:
        raise Refused(403, "TopicArn: not one of the configured topics", ours=False)
    kind = _kind(values.get("Type"))
    fields = _fields(values, kind)
    at = _time(fields["Timestamp"])
    version = _text(values, "SignatureVersion")
    if version not in ("1", "2"):
        raise Refused(403, "SignatureVersion: neither 1 nor 2")
    if kind is not Kind.notification:
        _check_address(fields)
    return Message(
        kind=kind,
        id=fields["MessageId"],
        topic=topic,
        certificate_url=_certificate_url(_text(values, "SigningCertURL"), topic),
        at=at,
        version=version,
        signature=_signature(_text(values, "Signature")),
        signed=_signed(fields),
        token=fields.get("Token", ""),
    )


def check_policy(message: Message, *, now: datetime, require_v2: bool = False) -> None:
    """Of what SNS signed. Raises `Unwanted`."""
    if not now - OLDEST <= message.at <= now + AHEAD:
        raise Unwanted("Timestamp: too old, or in the future: is our clock right?")
    if require_v2 and message.version != "2":
        raise Unwanted("SignatureVersion: 2 is required; set SignatureVersion 2 on the topic")


def _values(body: bytes) -> Mapping[str, object]:
    try:
        values = decode(body)
    except NotJson as bad:
        raise Refused(400, f"body: {bad}", ours=False) from None
    if isinstance(values, Repeated):
        raise Refused(400, "body: a name stands more than once", ours=False)
    if not isinstance(values, dict):
        raise Refused(400, "body: an object was expected", ours=False)
    return values


def _kind(value: object) -> Kind:
    if not isinstance(value, str) or value not in tuple(Kind):
        raise Refused(400, f"Type: none of {', '.join(Kind)}")
    return Kind(value)


def _fields(values: Mapping[str, object], kind: Kind) -> dict[str, str]:
    """What is signed, in its order."""
    names = [name for name in _SIGNED[kind] if name != "Subject" or values.get("Subject") is not None]
    fields = {name: _text(values, name) for name in names}
    for name in _ONE_LINE:
        if any(each in fields.get(name, "") for each in "\n\r"):
            raise Refused(403, f"{name}: more than one line")
    if not _UUID.fullmatch(fields["MessageId"]):
        raise Refused(403, "MessageId: not a UUID")
    if len(fields.get("Token", "")) > TOKEN_LIMIT or len(fields["Message"]) > MESSAGE_LIMIT:
        raise Refused(413, "longer than SNS writes")
    return fields


def _text(values: Mapping[str, object], name: str) -> str:
    value = values.get(name)
    if not isinstance(value, str):
        raise Refused(403, f"{name}: a string was expected")
    return value


def _time(value: str) -> datetime:
    try:
        at = datetime.fromisoformat(value) if _TIME.fullmatch(value) else None
    except ValueError:
        at = None
    if at is None:
        raise Refused(403, "Timestamp: not a time as SNS writes it")
    return at.astimezone(UTC)


def _where(topic: str) -> tuple[str, str]:
    """(region, suffix) of the topic's SNS."""
    _, partition, _, region, *_ = topic.split(":")
    if partition not in _SUFFIXES:
        raise Refused(403, "TopicArn: of a partition whose certificates are not known here")
    return region, _SUFFIXES[partition]


def _certificate_url(url: str, topic: str) -> str:
    """Matched as text: every parser of addresses reads some of them differently."""
    region, suffix = _where(topic)
    if not re.fullmatch(_CERTIFICATE.format(region=re.escape(region), suffix=re.escape(suffix)), url, re.ASCII):
        raise Refused(403, "SigningCertURL: not where SNS of that region keeps its certificates")
    return url


def _check_address(fields: Mapping[str, str]) -> None:
    """It is never visited; one that SNS would not write is a sign of something wrong all the same."""
    region, suffix = _where(fields["TopicArn"])
    url = fields["SubscribeURL"]
    start = f"https://sns.{region}.{suffix}/?"
    asked = sorted(parse_qsl(urlsplit(url).query)) if url.startswith(start) and url.isprintable() else []
    if asked != [("Action", "ConfirmSubscription"), ("Token", fields["Token"]), ("TopicArn", fields["TopicArn"])]:
        raise Refused(403, "SubscribeURL: not the confirmation of that subscription")


def _signature(value: str) -> bytes:
    try:
        return base64.b64decode(value[: SIGNATURE_LIMIT + 1], validate=True) if len(value) <= SIGNATURE_LIMIT else b""
    except (binascii.Error, ValueError):
        raise Refused(403, "Signature: not base64") from None


def _signed(fields: Mapping[str, str]) -> bytes:
    try:
        return "".join(f"{name}\n{value}\n" for name, value in fields.items()).encode()
    except UnicodeEncodeError:
        raise Refused(400, "body: half a surrogate pair") from None
