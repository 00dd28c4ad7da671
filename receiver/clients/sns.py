"""The one call of Amazon SNS that we make: yes to a subscription of our own.

Law: the API is called, an address out of a message never is; the token is in no error and no log. Called by the door of SNS, for a
message that SNS signed, about a topic on our list.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from receiver.clients.calls import Calls
from receiver.clients.errors import ClientError
from receiver.ports import Permission

LIMIT = timedelta(seconds=5)
"""SNS waits 15 s for the answer of its own delivery."""


class Subscriptions:
    """`calls`: of SNS, in the region that is asked for."""

    permissions = (Permission("aws", "sns", "topic", ("ConfirmSubscription",)),)

    def __init__(self, calls: Callable[[str], Calls]) -> None:
        self._calls = calls

    async def confirm(self, topic: str, token: str) -> None:
        """Twice is harmless: the same subscription is answered. From then on it can be ended with credentials only. Raises ClientError."""
        region = topic.split(":")[3]
        # https://docs.aws.amazon.com/sns/latest/api/API_ConfirmSubscription.html
        asked = {"TopicArn": topic, "Token": token, "AuthenticateOnUnsubscribe": "true"}
        try:
            await self._calls(region)("confirm_subscription", asked, limit=LIMIT)
        except ClientError as no:
            raise ClientError(no.kind, no.text.replace(token, "***"), sent=no.sent) from None  # the chained one may hold the token
