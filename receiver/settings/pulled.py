"""What is pulled or asked for, in the configuration: the queue of CloudWatch's alarms, and CloudWatch itself.

As `sections`, which holds the rest and says where these stand.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from receiver.ingest.sns_message import PARTITIONS
from receiver.yamlfile import Address, Duration, Strict, Whole

_TOPIC = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}(\.fifo)?", re.ASCII)
_ACCOUNT = re.compile(r"[0-9]{12}", re.ASCII)
_REGION = re.compile(r"[a-z]{2,4}(-[a-z]{1,10}){1,3}-[0-9]{1,2}", re.ASCII)
# https://docs.aws.amazon.com/general/latest/gr/sqs-service.html, the partitions of botocore's endpoints.json, and for endpoints in a VPC
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-internetwork-traffic-privacy.html
_SUFFIX = r"(?:amazonaws\.com|amazonaws\.com\.cn|amazonaws\.eu)"
_DUAL = r"(?:api\.aws|api\.amazonwebservices\.com\.cn|api\.amazonwebservices\.eu)"
_QUEUE_HOSTS = tuple(
    re.compile(each, re.ASCII)
    for each in (
        rf"sqs(?:-fips)?\.([a-z0-9-]+)\.(?:{_SUFFIX}|{_DUAL})",
        rf"([a-z0-9-]+)\.queue\.{_SUFFIX}",
        rf"vpce-[a-z0-9-]+\.sqs\.([a-z0-9-]+)\.vpce\.{_SUFFIX}",
    )
)
_OLDEST_HOST, _OLDEST_REGION = "queue.amazonaws.com", "us-east-1"


def pattern(expression: re.Pattern[str], words: str) -> AfterValidator:
    """Text that it matches whole; `words` say what that is."""

    def check(value: str) -> str:
        if not expression.fullmatch(value):
            raise ValueError(f"{value[:80]!r} is not {words}")
        return value

    return AfterValidator(check)


def _verifiable(topic: str) -> str:
    partition = topic.split(":", 2)[1]
    if partition not in PARTITIONS:
        known = ", ".join(sorted(PARTITIONS))
        raise ValueError(f"partition {partition!r}: its messages can never be verified here, only those of {known}; pull from a queue")
    return topic


TopicArn = Annotated[str, pattern(_TOPIC, "the ARN of an SNS topic")]
SignedTopic = Annotated[TopicArn, AfterValidator(_verifiable)]
"""Whose messages come by HTTPS, and are believed for their signature."""
Account = Annotated[str, pattern(_ACCOUNT, "an AWS account, twelve digits")]
Region = Annotated[str, pattern(_REGION, "a region, as eu-west-1")]


def region_of(queue_url: str) -> str:
    """That the address of a queue names; empty: it names none."""
    host = urlsplit(queue_url).hostname or ""
    found = next((match for each in _QUEUE_HOSTS if (match := each.fullmatch(host)) is not None), None)
    if found is None:
        return _OLDEST_REGION if host == _OLDEST_HOST else ""
    return found[1] if _REGION.fullmatch(found[1]) else ""


class Pulled(Strict):
    """A queue, and how it is pulled from."""

    queue_url: Address
    region: Region | None = None
    """None: the one that the address of the queue names."""
    topics: tuple[TopicArn, ...] = ()
    """The topics that an envelope in the queue may name. None: any, as the queue's policy lets them in."""
    accounts: tuple[Account, ...] = ()
    """The accounts that an alarm may be of. None: any, as the queue's policy lets them in."""
    visibility: Annotated[Duration, Field(ge=timedelta(seconds=10), le=timedelta(hours=1))] = timedelta(seconds=60)
    """For which a message in hand is hidden from other readers; renewed while it is in hand. Too short: messages come twice. Too long: what
    a dead process had in hand comes late."""
    receives: Annotated[Whole, Field(ge=1, le=32)] = 4
    """In flight at once, of ten messages each. More drain a flood faster, and cost more while nothing comes."""
    most_receives: Annotated[Whole, Field(ge=1, le=1000)] = 3
    """A message that comes so often and is not stored is told to a person. Not well below `maxReceiveCount` of the queue's redrive policy:
    it is told too late, or never, since the message is gone before."""
    endpoint_url: Address | None = None
    """None: AWS's own."""

    @model_validator(mode="after")
    def _some_region(self) -> Pulled:
        if not self.place:
            host = urlsplit(str(self.queue_url)).hostname or ""
            raise ValueError(
                f"queue_url: the host {host[:80]!r} names no region, as sqs.eu-west-1.amazonaws.com does, and no request can be signed"
                " without one; set sources.sqs.region to the queue's"
            )
        return self

    @property
    def place(self) -> str:
        """The region of the queue: that is set, or else that its address names."""
        return self.region or region_of(str(self.queue_url))


class CloudWatch(Strict):
    """CloudWatch itself, to ask at start and every `reconcile_every` which alarms fire."""

    regions: Annotated[tuple[Region, ...], Field(min_length=1)]
    """Whose alarms are asked for, each on its own."""
    accounts: tuple[Account, ...] = ()
    """Of `aws.accounts`: each is asked in each region, as its role. None: that of the default credentials."""
    topics: tuple[TopicArn, ...] = ()
    """An alarm that tells one of these when it fires is ours, and no other is asked for. None: whatever the ways in may bring."""
    endpoint_url: Address | None = None
    """None: AWS's own."""
