"""From configuration to what we fetch ourselves: the queue of CloudWatch's alarms, and the senders that are asked what is firing.

Law: as of `wiring`, of which this is a part: what has to be closed is put on the stack that is handed in. The workers go to `app.py`, the
names to `wiring`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

from receiver.clients.alertmanager import Alertmanager, AlertmanagerConfig
from receiver.clients.aws import Aws, AwsAccount, AwsConfig, Place
from receiver.clients.cloudwatch import CloudWatch
from receiver.clients.sqs import Queue
from receiver.core.rules import RuleSet
from receiver.engine.reconcile import Reconciler
from receiver.ingest.alertmanager_list import AlertmanagerList
from receiver.ingest.cloudwatch_list import CloudWatchList
from receiver.ingest.sqs import Pull, QueuePuller
from receiver.ingest.sqs_source import QueueSource
from receiver.ports import Clock, FiringList, FoundStore, Intake, KillSwitch, Source
from receiver.settings import Settings
from receiver.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Common:
    """What all of them are built on."""

    settings: Settings
    sources: Mapping[str, Source]
    switch: KillSwitch
    intake: Intake
    metrics: Metrics
    clock: Clock


def queue_source(settings: Settings) -> dict[str, Source]:
    """What the queue brings, where one is configured."""
    own = settings.sources.sqs
    return {} if own is None else {QueueSource.name: QueueSource(topics=own.topics, accounts=own.accounts)}


def lists(settings: Settings) -> list[str]:
    """Names of the senders that are asked: closed, for metrics."""
    own = settings.sources.alertmanager
    asked = [AlertmanagerList.name] if own is not None and own.api_url is not None else []
    return asked + [CloudWatchList.named(region, account) for account, region in places_of(settings)]


def pulled(
    given: Common, store: FoundStore, rules: Callable[[], RuleSet], *, stack: AsyncExitStack
) -> dict[str, Callable[[], Awaitable[None]]]:
    """The workers, by name."""
    found: dict[str, Callable[[], Awaitable[None]]] = {}
    intake, clock, metrics, every = given.intake, given.clock, given.metrics, given.settings.reconcile_every
    for each in firing_lists(given, stack=stack):
        asking = Reconciler(each, store, rules=rules, intake=intake, clock=clock, metrics=metrics, every=every)
        found[f"reconcile-{each.name.replace(' ', '-')}"] = asking.run
    if (puller := queue_puller(given, stack=stack)) is not None:
        found[f"pull-{QueueSource.name}"] = puller.run
    return found


def firing_lists(given: Common, *, stack: AsyncExitStack) -> list[FiringList]:
    """The senders that can be asked what is firing."""
    settings = given.settings
    found: list[FiringList] = []
    own = settings.sources.alertmanager
    if own is not None and own.api_url is not None:
        config = AlertmanagerConfig(str(own.api_url), token=own.api_token, username=own.api_username, password=own.api_password)
        client = Alertmanager(config)
        stack.push_async_callback(client.close)
        found.append(AlertmanagerList(client, given.sources["alertmanager"], receivers=own.api_receivers))
    if settings.cloudwatch is not None:
        topics, silent = settings.alarm_topics, settings.silent_alarms
        aws = _aws(given, "cloudwatch", settings.cloudwatch.regions[0], settings.cloudwatch.endpoint_url, stack=stack)
        for account, region in places_of(settings):
            asked = CloudWatch(aws.calls(Place("cloudwatch", account=account, region=region)))
            found.append(CloudWatchList(asked, region=region, account=account, topics=topics, silent=silent))
    return found


def places_of(settings: Settings) -> list[tuple[str, str]]:
    """(account, region) that CloudWatch is asked in; an empty account is that of the default credentials."""
    own = settings.cloudwatch
    return [] if own is None else [(account, region) for account in own.accounts or ("",) for region in own.regions]


def queue_puller(given: Common, *, stack: AsyncExitStack) -> QueuePuller | None:
    """Of the configured queue."""
    own = given.settings.sources.sqs
    if own is None:
        return None
    region = own.place
    aws = _aws(given, "sqs", region, own.endpoint_url, stack=stack)
    queue = Queue(aws.calls(Place("sqs", region=region)), str(own.queue_url), visibility=own.visibility)
    pull = Pull(receives=own.receives, visibility=own.visibility, most_receives=own.most_receives)
    source = given.sources[QueueSource.name]
    return QueuePuller(queue, source, intake=given.intake, clock=given.clock, metrics=given.metrics, pull=pull)


def _aws(given: Common, service: str, region: str, endpoint_url: object, *, stack: AsyncExitStack) -> Aws:
    """`endpoint_url` is of the service alone: roles are taken elsewhere. Nothing is imported or sent before the first call."""
    around = given.settings.aws
    accounts = tuple(AwsAccount(each.id, each.role_arn or "", each.external_id or "") for each in (around.accounts if around else ()))
    config = AwsConfig(
        region=region,
        accounts=accounts,
        endpoint_url=str((around.endpoint_url if around else None) or ""),
        endpoints={service: str(endpoint_url)} if endpoint_url else {},
    )
    aws = Aws(config, clock=given.clock, kill_switch=given.switch)
    stack.push_async_callback(aws.close)
    return aws
