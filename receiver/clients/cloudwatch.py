"""The client of CloudWatch's alarms in one account and region: what state they are in.

Law: all kinds are asked for by name, since the API answers with metric alarms alone where none is named; all pages or an error, never a
part. What a state means is for the caller. https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from receiver.clients.calls import Calls
from receiver.clients.errors import ClientError, ErrorKind

KINDS = ("MetricAlarm", "CompositeAlarm")
PAGE = 100
"""The most that one page holds."""
MOST_PAGES = 500
"""50,000 alarms; the quota of an account is 5,000 unless it is raised."""
CALL_LIMIT = timedelta(seconds=10)

Raw = Mapping[str, Any]
"""An alarm or a contributor with the API's own names."""


@dataclass(frozen=True, slots=True)
class Alarms:
    """All of an account in a region."""

    metric: tuple[Raw, ...]
    composite: tuple[Raw, ...]


class CloudWatch:
    """One account and region."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def alarms(self) -> Alarms:
        """Raises ClientError; then nothing is known."""
        metric: list[Raw] = []
        composite: list[Raw] = []
        async for page in self._pages("describe_alarms", {"AlarmTypes": list(KINDS), "MaxRecords": PAGE}):
            metric += _listed(page, "MetricAlarms")
            composite += _listed(page, "CompositeAlarms")
        return Alarms(tuple(metric), tuple(composite))

    async def contributors(self, alarm: str) -> tuple[Raw, ...]:
        """Those of this alarm that are in ALARM. Raises ClientError."""
        found: list[Raw] = []
        async for page in self._pages("describe_alarm_contributors", {"AlarmName": alarm}):
            found += _listed(page, "AlarmContributors")
        return tuple(found)

    async def _pages(self, operation: str, asked: Mapping[str, object]) -> AsyncIterator[Raw]:
        token = ""
        for _ in range(MOST_PAGES):
            page = await self._calls(operation, {**asked, **({"NextToken": token} if token else {})}, limit=CALL_LIMIT)
            yield page
            token = str(page.get("NextToken") or "")
            if not token:
                return
        raise ClientError(ErrorKind.bad_answer, f"{operation} has more than {MOST_PAGES} pages")


def _listed(page: Raw, name: str) -> list[Raw]:
    found = page.get(name, [])
    if not isinstance(found, list) or not all(isinstance(each, Mapping) for each in found):
        raise ClientError(ErrorKind.bad_answer, f"{name} is no list of objects")
    return found
