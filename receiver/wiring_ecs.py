"""From configuration to Amazon ECS: the client of the services that are ours.

Law: as of `wiring`, of which this is a part. Nothing of AWS is imported or called before the first look. Called by `app.py` only.
"""

from __future__ import annotations

from contextlib import AsyncExitStack

from receiver.clients.aws import Aws, AwsAccount, AwsConfig
from receiver.clients.ecs import Ecs
from receiver.ports import Clock, KillSwitch
from receiver.settings import Settings
from receiver.settings.aws import services_at


def ecs(settings: Settings, switch: KillSwitch, *, clock: Clock, stack: AsyncExitStack) -> Ecs | None:
    """None: it is not configured."""
    own = settings.ecs
    if own is None:
        return None
    named = {"ecs": own, "cloudwatch": settings.cloudwatch}
    around, limit = settings.aws, settings.policy().bounds.call_timeout
    accounts = [AwsAccount(each.id, each.role_arn or "", each.external_id or "") for each in (around.accounts if around else ())]
    config = AwsConfig(
        region=own.region,
        accounts=tuple(accounts),
        endpoint_url=str((around.endpoint_url if around else None) or ""),
        endpoints={name: str(each.endpoint_url) for name, each in named.items() if each is not None and each.endpoint_url},
        call_timeout=limit,
        connect_timeout=min(AwsConfig("").connect_timeout, limit / 2),
    )
    aws = Aws(config, clock=clock, kill_switch=switch)
    stack.push_async_callback(aws.close)
    return Ecs(aws, services_at(own, (around.account if around else None) or ""))
