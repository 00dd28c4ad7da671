"""The client of one SQS queue: receive, delete, change visibility, all in tens (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/).

Law: a batch that the queue answers with 200 may have failed in part, and says so in `Failed`; what failed is answered by message. Every
call has a time limit of its own. How AWS is reached is the caller's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import Any

from receiver.clients.calls import Calls
from receiver.clients.errors import ClientError, ErrorKind, plain

AT_ONCE = 10
"""The most that one call takes or gives."""
LONGEST_WAIT = timedelta(seconds=20)
"""Of a long poll."""
MOST_HIDDEN = timedelta(hours=12)
"""A message may be hidden for so long in all."""
CALL_LIMIT = timedelta(seconds=10)
MARGIN = timedelta(seconds=10)
"""Beyond the long poll, until a receive is given up."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message in hand."""

    id: str
    handle: str
    body: bytes
    receives: int
    """How often it was received, this time included (an approximation of the queue's)."""


class Queue:
    """One queue."""

    def __init__(self, calls: Calls, url: str, *, visibility: timedelta) -> None:
        """`visibility`: how long a received message is hidden from others, unless it is hidden again."""
        self._calls = calls
        self._url = url
        self._visibility = visibility

    async def receive(self, *, wait: timedelta = LONGEST_WAIT) -> list[Message]:
        """Up to ten, after `wait` at the latest perhaps none. Raises ClientError."""
        asked = {
            "MaxNumberOfMessages": AT_ONCE,
            "WaitTimeSeconds": int(wait.total_seconds()),
            "VisibilityTimeout": int(self._visibility.total_seconds()),
            "MessageSystemAttributeNames": ["ApproximateReceiveCount"],
        }
        answer = await self._call("receive_message", asked, limit=wait + MARGIN)
        return [_message(each) for each in answer.get("Messages") or ()]  # no such key where it is empty

    async def delete(self, handles: Mapping[str, str]) -> dict[str, str]:
        """By message id. Answers those that are not deleted, and why: they come again. Raises ClientError, then perhaps some are."""
        failed: dict[str, str] = {}
        for part in _in_tens(handles.items()):
            entries = [{"Id": str(n), "ReceiptHandle": handle} for n, (_, handle) in enumerate(part)]
            answer = await self._call("delete_message_batch", {"Entries": entries}, limit=CALL_LIMIT)
            failed.update(_failed(answer, part))
        return failed

    async def hide(self, handles: Mapping[str, str], *, seconds: int) -> dict[str, str]:
        """From now on for so long; 0: anybody may have them at once. By message id; answers as `delete`."""
        failed: dict[str, str] = {}
        for part in _in_tens(handles.items()):
            entries = [{"Id": str(n), "ReceiptHandle": handle, "VisibilityTimeout": seconds} for n, (_, handle) in enumerate(part)]
            answer = await self._call("change_message_visibility_batch", {"Entries": entries}, limit=CALL_LIMIT)
            failed.update(_failed(answer, part))
        return failed

    async def _call(self, operation: str, asked: Mapping[str, object], *, limit: timedelta) -> Mapping[str, Any]:
        return await self._calls(operation, {"QueueUrl": self._url, **asked}, limit=limit)


def _message(raw: Mapping[str, Any]) -> Message:
    try:
        count = str(raw.get("Attributes", {}).get("ApproximateReceiveCount", "1"))
        body = str(raw["Body"]).encode("utf-8", "surrogatepass")
        return Message(str(raw["MessageId"]), str(raw["ReceiptHandle"]), body, int(count) if count.isascii() and count.isdigit() else 1)
    except (KeyError, TypeError, AttributeError) as odd:
        raise ClientError(ErrorKind.bad_answer, f"SQS gave a message without {plain(str(odd), limit=40)}") from odd


def _failed(answer: Mapping[str, Any], part: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """(message id, reason) of `Failed`, whose `Id` is the number in this part."""
    for each in answer.get("Failed") or ():
        number = str(each.get("Id", ""))
        if number.isascii() and number.isdigit() and int(number) < len(part):
            yield part[int(number)][0], plain(f"{each.get('Code', '')}: {each.get('Message', '')}")


def _in_tens(items: Iterable[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    rest = iter(items)
    while part := list(islice(rest, AT_ONCE)):
        yield part
