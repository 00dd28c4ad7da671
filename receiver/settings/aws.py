"""Amazon Web Services in the configuration: as whom they are called, and the ECS services that are looked at and acted on.

As `sections`, which holds the rest and says where these stand.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated

from pydantic import Field, model_validator

from receiver.clients.ecs import ServiceAt
from receiver.settings.pulled import Account, pattern
from receiver.yamlfile import Address, Strict

_SERVICE = re.compile(r"(?:arn:aws[a-z-]*:ecs:[a-z0-9-]{1,32}:[0-9]{12}:service/)?[A-Za-z0-9_-]{1,255}/[A-Za-z0-9_-]{1,255}", re.ASCII)
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]{1,512}", re.ASCII)
_EXTERNAL_ID = re.compile(r"[\w+=,.@:/-]{2,1224}", re.ASCII)  # https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html

ServiceName = Annotated[str, pattern(_SERVICE, "cluster/service, or the ARN of a service of ECS")]


class EcsOptIn(StrEnum):
    """Whose yes is needed before anything acts on a service."""

    tag = "tag"
    services = "services"


class AwsAccountEntry(Strict):
    """One account, and the role that is taken in it."""

    id: Account
    role_arn: Annotated[str, pattern(_ROLE, "the ARN of an IAM role")] | None = None
    """Taken by AssumeRole: for a change in the name of its attempt, so that CloudTrail tells it. None: the default credentials are of this
    account."""
    external_id: Annotated[str, pattern(_EXTERNAL_ID, "an external id")] | None = None
    """That the role's trust policy asks for. No secret, by AWS's own word."""


class Aws(Strict):
    """As whom AWS is called. The credentials themselves come from the SDK's default chain: the environment, a profile, the pod's or
    the instance's role."""

    accounts: tuple[AwsAccountEntry, ...] = ()
    """The only ones that are called by number; none: that of the default credentials alone."""
    account: Account | None = None
    """Of `accounts`: the one of those `ecs.services` that are written without an ARN. None: that of the default credentials."""
    endpoint_url: Address | None = None
    """None: AWS's own addresses. Of all services that have none of their own here, as STS, Elastic Load Balancing, CloudTrail and logs."""

    @model_validator(mode="after")
    def _accounts_are_told(self) -> Aws:
        known = [each.id for each in self.accounts]
        if len(set(known)) < len(known):
            raise ValueError("two accounts have the same id; keep one of them")
        if self.account is not None and self.account not in known:
            raise ValueError(f"account {self.account} is not among accounts")
        return self


class Ecs(Strict):
    """The ECS services that are looked at and, by their owner's yes, acted on."""

    region: Annotated[str, Field(min_length=1, max_length=32)]
    """Of the services that are written without an ARN."""
    services: tuple[ServiceName, ...] = ()
    """The only ones that are ever looked at or changed: `cluster/service`, or an ARN. Too many: a rule may act where nobody meant it to."""
    opt_in: EcsOptIn = EcsOptIn.tag
    """`tag`: a service says yes itself, by its tag `remediator` = `enabled`. `services`: its place in the list above is enough."""
    endpoint_url: Address | None = None
    """Of ECS; None: that of `aws`, or AWS's own."""


def services_at(own: Ecs, account: str) -> tuple[ServiceAt, ...]:
    """Where each of them is; `account` of those that tell none."""
    found = (ServiceAt.parse(each, region=own.region, account=account) for each in own.services)
    return tuple(dict.fromkeys(each for each in found if each is not None))
