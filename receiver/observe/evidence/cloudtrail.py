"""Who changed an ECS service, as CloudTrail recorded it: UpdateService and RegisterTaskDefinition of the last 24 hours.

Law: one attribute a question and two questions a second are all that CloudTrail allows; records come minutes late, and of this
Region only. https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from receiver.clients.ecs import Ecs, Object, ServiceAt, short, utc
from receiver.clients.errors import ClientError, ErrorKind
from receiver.core.facts import Changed
from receiver.observe.evidence.ecs import AWS, meant
from receiver.ports import Clock, Inquiry, Permission

UPDATE, REGISTER = "UpdateService", "RegisterTaskDefinition"
PAGES, PAGE = 3, 50
TOLD = ("taskDefinition", "desiredCount", "forceNewDeployment")
"""Of what was asked for: what a person wants to know."""


class CloudTrailChanges:
    """Implements `changes.ChangeSource`."""

    name = "cloudtrail"
    permissions: tuple[Permission, ...] = (
        Permission(AWS, "ecs", "service", ("DescribeServices",)),
        Permission(AWS, "cloudtrail", "*", ("LookupEvents",)),
    )

    def __init__(self, ecs: Ecs, clock: Clock) -> None:
        self._ecs = ecs
        self._clock = clock

    def knows(self, inquiry: Inquiry) -> bool:
        """Of a service; of one that cannot be asked about it says so."""
        return meant(self._ecs, inquiry) is not None

    async def changes(self, inquiry: Inquiry, since: datetime) -> Sequence[Changed]:
        """Both kinds, one after the other: two a second is all there is. Where not all were read, a line among them says since when."""
        at = meant(self._ecs, inquiry)
        if at is None:
            return []
        if isinstance(at, str):
            raise ClientError(ErrorKind.held, f"not asked: {at}")
        family = short(str((await self._ecs.service(at)).get("taskDefinition", ""))).partition(":")[0]
        updates, unread = await self._records(at, UPDATE, since)
        made, older = await self._records(at, REGISTER, since)
        ours = [
            *(each for each in updates if _of_service(_asked(each), at)),
            *(each for each in made if _asked(each).get("family") == family),
        ]
        return [*(change for each in ours if (change := _change(each)) is not None), *unread, *older]

    async def _records(self, at: ServiceAt, name: str, since: datetime) -> tuple[list[Object], list[Changed]]:
        """Newest first, each with its record decoded. CloudTrail tells those of all services of the Region: beyond so many, since when
        that is is told too."""
        asked: dict[str, object] = {
            "LookupAttributes": [{"AttributeKey": "EventName", "AttributeValue": name}],
            "StartTime": since,
            "EndTime": self._clock.now(),
            "MaxResults": PAGE,
        }
        found: list[Object] = []
        for _ in range(PAGES):
            answer = await self._ecs.ask(at, "cloudtrail", "lookup_events", asked)
            found += [{**each, "record": _decoded(each.get("CloudTrailEvent"))} for each in answer.get("Events") or ()]
            if not answer.get("NextToken"):
                return found, []
            asked["NextToken"] = answer["NextToken"]
        oldest = min((made for each in found if (made := utc(each.get("EventTime"))) is not None), default=self._clock.now())
        told = f"only the newest {len(found)} {name} of the whole Region were read, back to {oldest:%Y-%m-%d %H:%M}Z"
        return found, [Changed(oldest, f"{told}: what came before is not known", origin=self.name)]


def _decoded(text: object) -> Mapping[str, object]:
    try:
        found = msgspec.json.decode(text) if isinstance(text, str) else None
    except (msgspec.DecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _asked(event: Object) -> Mapping[str, object]:
    found = event["record"].get("requestParameters")
    return found if isinstance(found, dict) else {}


def _of_service(asked: Mapping[str, object], at: ServiceAt) -> bool:
    service, cluster = (str(asked.get(each, "")).rpartition("/")[2] for each in ("service", "cluster"))
    return service == at.name and (cluster or "default") == at.cluster


def _change(event: Object) -> Changed | None:
    made, asked = utc(event.get("EventTime")), _asked(event)
    if made is None:
        return None
    name, refused = str(event.get("EventName", "")), event["record"].get("errorCode")
    told = [f"{key} {asked[key]}" for key in TOLD if key in asked] if name == UPDATE else [f"{asked.get('family')}{_revision(event)}"]
    failed = f" (refused: {refused})" if refused else ""
    return Changed(made, f"{name} {', '.join(told)}".rstrip() + failed, by=str(event.get("Username", "")), origin="cloudtrail")


def _revision(event: Object) -> str:
    made = event["record"].get("responseElements")
    definition = made.get("taskDefinition") if isinstance(made, dict) else None
    return f":{definition['revision']}" if isinstance(definition, dict) and "revision" in definition else ""
