"""The forms in which CloudWatch's words reach us: an envelope of SNS, a bare alarm, an event of EventBridge, or one inside the other.

Law: `open_body` is total and looks at shapes only; whether an envelope is genuine is for whoever takes it in (the door of SNS asks its
signature; a queue's policy guards its bodies). What is to be stored holds no signature, token or address that ends a subscription. Called
by `CloudWatchSource.parse`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from receiver.core.model import Refusal, Rejected
from receiver.ingest.jsonbody import DEPTH_LIMIT, SHOWN_LIMIT, NotJson, Repeated, decode, kind, repaired, too_deep

MESSAGE_LIMIT = 1 << 20
"""Characters of a message; SNS takes 262,144 bytes, SQS since 2025 1 MiB."""
_KEPT = ("Type", "MessageId", "TopicArn", "Message", "Timestamp")
"""Of an envelope. Left out: the signature, where its certificate lies, Token and SubscribeURL, and UnsubscribeURL, which ends the
subscription for whoever visits it; Subject, a cut and mangled copy of the alarm's name; MessageAttributes, which nobody signs."""
_MARK = "\ufeff"
"""Of the byte order: no blank to Python, and no JSON."""


class Form(StrEnum):
    """What stands outermost."""

    envelope = "envelope"
    """Of SNS: `Type`, `TopicArn` and a `Message` that is text."""
    alarm = "alarm"
    """As CloudWatch tells SNS: `AlarmName` at the top (raw delivery to a queue)."""
    event = "event"
    """Of EventBridge: `detail-type` at the top. Of any service, not of CloudWatch alone."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A body whose form is known."""

    form: Form
    told: Mapping[str, object] | None
    """The alarm or the event, out of its envelope; None: the envelope's message is neither, and says nothing to us, unless `undecoded`."""
    inner: Form | None
    """What `told` is."""
    kept: bytes
    """What may be stored: opened again it says the same."""
    topic: str = ""
    """ARN that an envelope names; proves nothing by itself."""
    message_id: str = ""
    """Of the envelope or the event: the same each time it is delivered again."""
    sent_at: str = ""
    """Timestamp of the envelope."""
    undecoded: Rejected | None = None
    """The envelope's message, where it begins as an object of JSON and is none: it may have been an alarm, so a person reads it."""


def open_body(body: bytes) -> Opened | Refusal:
    """Total. A Refusal: none of the three forms, or not to be read at all; in a queue that is a poison message."""
    read = _document(body)
    if isinstance(read, Refusal):
        return read
    if _is_envelope(read):
        return _envelope(read)
    if (form := form_of(read)) is not None:
        told = read.get("id") if form is Form.event else ""
        return Opened(form, read, form, body, message_id=told if isinstance(told, str) else "")
    return Refusal("body", "neither an envelope of SNS, nor an alarm of CloudWatch, nor an event of EventBridge")


def form_of(read: Mapping[str, object]) -> Form | None:
    """An alarm, an event, or neither."""
    if "detail-type" in read and "detail" in read:
        return Form.event
    return Form.alarm if "AlarmName" in read or "AlarmArn" in read else None


def _document(body: bytes) -> dict[str, object] | Refusal:
    try:
        read = decode(body)
    except NotJson as bad:
        return Refusal("body", str(bad))
    if isinstance(read, Repeated):
        return Refusal("body", "a name stands more than once")
    if not isinstance(read, dict):
        return Refusal("body", f"an object was expected, found {kind(read)}")
    return Refusal("body", f"nested deeper than {DEPTH_LIMIT}") if too_deep(read) else read


def _is_envelope(read: Mapping[str, object]) -> bool:
    return "Message" in read and "TopicArn" in read and "AlarmName" not in read


def _envelope(read: Mapping[str, object]) -> Opened | Refusal:
    told = {name: read.get(name) for name in _KEPT}
    for name in ("Message", "TopicArn"):
        if not isinstance(told[name], str):
            return Refusal(name, f"a string was expected, found {kind(told[name])}")
    texts = {name: each if isinstance(each, str) else "" for name, each in told.items()}
    if len(texts["Message"]) > MESSAGE_LIMIT:
        return Refusal("Message", f"more than {MESSAGE_LIMIT} characters")
    inside = _inside(texts["Message"])
    undecoded = inside if isinstance(inside, Rejected) else None
    found = inside if not isinstance(inside, Rejected) else None
    return Opened(
        form=Form.envelope,
        told=found,
        inner=form_of(found) if found is not None else None,
        kept=json.dumps({name: each for name, each in texts.items() if each}).encode("ascii"),
        topic=texts["TopicArn"],
        message_id=texts["MessageId"],
        sent_at=texts["Timestamp"],
        undecoded=undecoded,
    )


def _inside(message: str) -> Mapping[str, object] | Rejected | None:
    """The message, where it is an alarm or an event. Anybody may publish other things to a topic: text and sound JSON that is no alarm are
    no fault. What begins as CloudWatch's words do and cannot be decoded may be an alarm: it is never passed over."""
    if not message.removeprefix(_MARK).lstrip().startswith("{"):
        return None
    read = _document(message.encode("utf-8", "surrogatepass"))
    if isinstance(read, Refusal):
        return Rejected(path="Message", reason=read.reason, raw=repaired(message[:SHOWN_LIMIT])[:SHOWN_LIMIT])
    return read if form_of(read) is not None else None
