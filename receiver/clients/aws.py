"""The one client of AWS: every call of the SDK goes through here, and its failures come out as `ClientError` only.

    aws = Aws(config, clock=clock, kill_switch=switch)                 # nothing is imported or sent until the first call
    ecs = Place("ecs", account="111122223333", region="eu-west-1")     # account and region may be left out
    answer = await aws.ask(ecs, "describe_services", {"cluster": "app", "services": ["web"]})
    answer = await aws.change(ecs, "update_service", {...}, action_id=permit.attempt_id, not_after=permit.expires_at)
    calls = aws.calls(Place("sqs", region="eu-west-1"))                # `await calls("receive_message", {...}, limit=timedelta(...))`
    await aws.close()

`ask` is for what changes no workload: reads, and the few operations of ours in `OWN` (a queue's messages, a subscription's confirmation).
It has at most two tries (queues: one), and passes the kill switch. `change` knows the operations in `CHANGES` only; it is sent once,
whatever happens. Credentials, client and a place in the bucket come first, then the caller's `last_look`; right before it leaves, the
API's health, the kill switch, `not_after` and the age of that look (`FRESH`) are asked; it leaves an audit line.
`ClientError.sent` says whether a change may have been applied. Operations are named as the SDK does (`describe_services`). A 200 may still
say `failures`: reading answers is the caller's. Every call waits for our own token bucket of its place, within its time limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from typing import Any

import structlog

from receiver.clients.aws_access import AwsAccess, AwsAccount, AwsConfig, Place
from receiver.clients.aws_errors import translated, vendor_errors
from receiver.clients.errors import ClientError, ErrorKind
from receiver.clients.kubernetes_health import ApiHealth
from receiver.clients.token_bucket import TokenBucket
from receiver.ports import Clock, KillSwitch, StoreUnavailable

__all__ = ["CHANGES", "Answer", "Aws", "AwsAccount", "AwsCalls", "AwsConfig", "Place"]

Answer = Mapping[str, Any]
Asks = Callable[[str, Mapping[str, object]], Awaitable[Answer]]
LastLook = Callable[[Asks], Awaitable[None]]
"""Reads what a change rests on, with the asking that it is given; ClientError when the change is not to be made."""

FRESH = timedelta(seconds=1)
"""A last look that was begun longer ago than this proves nothing: the vendor has no condition that would (`remediation.md` 6)."""
LOOKS = 2
"""The first may have to connect, which far Regions make slow; the second has the connection."""

CHANGES = frozenset({("ecs", "update_service"), ("ecs", "stop_service_deployment")})
"""All that is ever changed of anybody's workloads."""
ASKING = ("describe_", "list_", "get_", "batch_get_", "lookup_", "filter_")
OWN = frozenset(
    {
        ("sqs", "receive_message"),
        ("sqs", "delete_message"),
        ("sqs", "delete_message_batch"),
        ("sqs", "change_message_visibility"),
        ("sqs", "change_message_visibility_batch"),
        ("sns", "confirm_subscription"),
    }
)
"""No reads by name, and yet no change of a workload."""
RATES: Mapping[str, tuple[float, int]] = {
    "cloudtrail": (
        1.0,
        2,
    ),  # 2 a second for account and region: https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html
    "sqs": (100.0, 200),
}
"""Service → calls a second, burst."""
RATE = (10.0, 30)
"""Of the others: a look costs about eight calls, and the account's people and pipelines need theirs."""
SICK = frozenset({ErrorKind.throttled, ErrorKind.unavailable, ErrorKind.timeout, ErrorKind.unreachable, ErrorKind.bad_answer})

_audit = structlog.get_logger("receiver.audit")


class Aws:
    """Connects when it is first used. Safe to call from several tasks of one loop; closed at shutdown."""

    def __init__(self, config: AwsConfig, *, clock: Clock, kill_switch: KillSwitch) -> None:
        self.config = config
        self._clock = clock
        self._kill_switch = kill_switch
        self._access = AwsAccess(config)
        self._buckets: dict[Place, TokenBucket] = {}
        self._health: dict[Place, ApiHealth] = {}

    async def close(self) -> None:
        """Harmless when called twice. Calls made later fail with `unreachable`."""
        await self._access.close()

    def calls(self, place: Place) -> AwsCalls:
        """The place's operations as one callable."""
        return AwsCalls(self, place)

    def health(self, place: Place) -> str:
        """Empty: its API is well, as far as the last minute tells. Otherwise what is wrong; changes are refused then."""
        return self._health_of(place).health()

    async def ask(self, place: Place, operation: str, parameters: Mapping[str, object], *, limit: timedelta | None = None) -> Answer:
        """The answer without its metadata."""
        if not (operation.startswith(ASKING) or (place.service, operation) in OWN):
            raise ClientError(ErrorKind.held, f"{place.service} {operation} is not among the operations that are asked")
        limit = limit or self.config.timeout
        what = f"{place.service} {operation}"
        try:
            async with asyncio.timeout(limit.total_seconds()):
                client = await self._access.client(place)
                await self._bucket(place).take()
                return await self._send(client, place, operation, parameters, limit=limit)
        except TimeoutError as error:
            raise ClientError(ErrorKind.timeout, f"{what}: no answer within {limit.total_seconds():g} s", sent=True) from error

    async def change(
        self,
        place: Place,
        operation: str,
        parameters: Mapping[str, object],
        *,
        action_id: str,
        not_after: datetime | None = None,
        last_look: LastLook | None = None,
    ) -> Answer:
        """Sent once at most. `action_id` becomes the session name of the role, where the account has one: CloudTrail tells it.

        `last_look` is run when all is ready to leave, at most twice; whatever it raises, nothing was sent.
        """
        if (place.service, operation) not in CHANGES:
            raise ClientError(ErrorKind.held, f"{place.service} {operation} is not among the changes that are ever made")
        started, outcome = self._clock.monotonic(), "cancelled"
        try:
            answer = await self._change(place, operation, parameters, action_id=action_id, not_after=not_after, last_look=last_look)
            outcome = "applied"
        except ClientError as error:
            outcome = f"{error.kind} sent={error.sent}"
            raise
        finally:
            _audit.info(
                "aws_change",
                service=place.service,
                operation=operation,
                account=place.account,
                region=place.region or self.config.region,
                action_id=action_id,
                parameters=dict(parameters),
                outcome=outcome,
                seconds=round(self._clock.monotonic() - started, 3),
            )
        return answer

    async def _change(
        self,
        place: Place,
        operation: str,
        parameters: Mapping[str, object],
        *,
        action_id: str,
        not_after: datetime | None,
        last_look: LastLook | None,
    ) -> Answer:
        limit, what = self.config.call_timeout, f"{place.service} {operation}"
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(limit.total_seconds()):
                    client = await self._access.changing(place, stack, session_name=action_id)
                    await self._bucket(place).take()
                    looked_at = None if last_look is None else await self._looked(client, place, last_look, limit=limit)
                    await self._may_go(place, not_after, looked_at)
            except TimeoutError as error:
                raise ClientError(ErrorKind.throttled, f"{what}: not sent within {limit.total_seconds():g} s") from error
            try:
                async with asyncio.timeout(limit.total_seconds()):
                    return await self._send(client, place, operation, parameters, limit=limit)
            except TimeoutError as error:
                raise ClientError(ErrorKind.timeout, f"{what}: no answer within {limit.total_seconds():g} s", sent=True) from error

    async def _looked(self, client: Any, place: Place, last_look: LastLook, *, limit: timedelta) -> float:
        """When the last look was begun, on the monotonic clock. Over the change's own client: its credentials and connection hold then."""

        async def ask(operation: str, parameters: Mapping[str, object]) -> Answer:
            if not operation.startswith(ASKING):
                raise ClientError(ErrorKind.held, f"{place.service} {operation} is not among the operations that are asked")
            return await self._send(client, place, operation, parameters, limit=limit)

        began = self._clock.monotonic()
        try:
            for _ in range(LOOKS):
                await self._bucket(place).take()
                began = self._clock.monotonic()
                await last_look(ask)
                if self._clock.monotonic() - began <= FRESH.total_seconds():
                    break
        except ClientError as error:  # whatever became of a read, no change has left
            raise ClientError(error.kind, error.text, retry_after=error.retry_after) from error
        return began

    async def _may_go(self, place: Place, not_after: datetime | None, looked_at: float | None) -> None:
        """The last thing before the request leaves."""
        if unwell := self.health(place):
            raise ClientError(ErrorKind.unwell, f"the API of {place.service} is not well: {unwell}")
        try:
            refused = await self._kill_switch.refuses()
        except (StoreUnavailable, OSError) as error:
            raise ClientError(ErrorKind.held, f"the kill switch cannot be read: {type(error).__name__}") from error
        if refused:
            raise ClientError(ErrorKind.held, f"kill switch: {refused}")
        now = self._clock.now()
        if not_after is not None and now > not_after:
            raise ClientError(ErrorKind.held, f"the permit ended at {not_after:%H:%M:%S}, it is {now:%H:%M:%S}")
        age = 0.0 if looked_at is None else self._clock.monotonic() - looked_at
        if age > FRESH.total_seconds():
            allowed = f"{FRESH.total_seconds():g} s is allowed"
            raise ClientError(ErrorKind.unwell, f"the last look was {age:.1f} s old when the change was to leave, {allowed}")

    async def _send(self, client: Any, place: Place, operation: str, parameters: Mapping[str, object], *, limit: timedelta) -> Answer:
        """One call of the SDK; its time and end are noted for the API's health."""
        started, sent_at, failed = self._clock.monotonic(), self._clock.now(), False
        what = f"{place.service} {operation}"
        try:
            answer = await getattr(client, operation)(**parameters)
        except ClientError as error:  # of our own credentials, asked for while signing
            failed = error.kind in SICK
            raise
        except vendor_errors() as error:
            translated_error = translated(error, what)
            failed = translated_error.kind in SICK
            raise translated_error from error
        except asyncio.CancelledError:
            failed = self._clock.monotonic() - started >= 0.9 * limit.total_seconds()
            raise
        finally:
            if place.service != "sqs":  # a long poll is slow by its nature
                self._health_of(place).note(seconds=self._clock.monotonic() - started, failed=failed)
        return self._read(answer, place, sent_at)

    def _read(self, answer: Answer, place: Place, sent_at: datetime) -> Answer:
        headers = (answer.get("ResponseMetadata") or {}).get("HTTPHeaders") or {}
        self._health_of(place).note_date(headers.get("date", ""), sent_at=sent_at, received_at=self._clock.now())
        return {key: value for key, value in answer.items() if key != "ResponseMetadata"}

    def _bucket(self, place: Place) -> TokenBucket:
        if place not in self._buckets:
            per_second, burst = RATES.get(place.service, RATE)
            self._buckets[place] = TokenBucket(per_second=per_second, burst=burst, clock=self._clock)
        return self._buckets[place]

    def _health_of(self, place: Place) -> ApiHealth:
        if place not in self._health:
            self._health[place] = ApiHealth(clock=self._clock)
        return self._health[place]


class AwsCalls:
    """What a client of one service needs: `ask` at one place."""

    def __init__(self, aws: Aws, place: Place) -> None:
        self._aws = aws
        self._place = place

    async def __call__(self, operation: str, parameters: Mapping[str, object], *, limit: timedelta) -> Answer:
        """Raises ClientError."""
        return await self._aws.ask(self._place, operation, parameters, limit=limit)
