"""From configuration to the edges: clients, notifiers, observers, doors. Every function makes one of them and knows nothing of the others.

Law: what has to be closed is put on the stack that is handed in, in the order of its making. Called by `app.py` only.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from receiver.clients.aws import Aws, AwsConfig, Place
from receiver.clients.ecs import Ecs
from receiver.clients.kubernetes import ApiHealth, Kubernetes, KubernetesConfig
from receiver.clients.pagerduty import Events, EventsConfig
from receiver.clients.probe import Prober
from receiver.clients.prometheus import Prometheus, PrometheusConfig
from receiver.clients.sns import Subscriptions
from receiver.clients.sns_certificates import CertificateFetcher
from receiver.core.case import Policy
from receiver.core.model import OWN_SOURCE
from receiver.core.plan import decide
from receiver.core.prepared import Prepared
from receiver.core.rules import RuleSet
from receiver.core.wording import Suggestion, suggest
from receiver.core.wording.by_hand import suggested
from receiver.engine.commands import PeoplesCommands
from receiver.engine.kill_switch import ActionsFile, StoredKillSwitch
from receiver.engine.own_source import OwnSource
from receiver.engine.responder import Responder
from receiver.ingest import SOURCES
from receiver.ingest.cloudwatch import ALERT_SOURCE, FORMS, CloudWatchSource
from receiver.ingest.credentials import Basic, Credentials
from receiver.ingest.generic import PREFIX as GENERIC
from receiver.ingest.generic import GenericSource
from receiver.ingest.grafana import METHODS, PATIENCE_SECONDS
from receiver.ingest.http import DoorLimits, Handler
from receiver.ingest.signature import Signature
from receiver.ingest.sns_door import BODY_BYTES, SnsPolicy, sns_door
from receiver.ingest.sns_signature import Load, Verifier
from receiver.notify.log import LogNotifier
from receiver.notify.pagerduty import PagerDuty
from receiver.observe import NODE_OBSERVERS, OBSERVERS, Eyes, LookRunner, Recent, Scope, observers
from receiver.observe.evidence import KUBERNETES_EVIDENCE, KubernetesLogs
from receiver.observe.scope import OptIn
from receiver.ports import ChangeLog, Clock, Intake, Notifier, OwnTrouble, RightsReport, Source
from receiver.remediate import ACTIONS, KUBERNETES_ACTIONS
from receiver.remediate.kubernetes.rights import Needs
from receiver.remediate.kubernetes.rights_check import RightsCheck
from receiver.settings import Settings
from receiver.settings.aws import EcsOptIn
from receiver.settings.senders import Bearing
from receiver.telemetry.metrics import Known, Metrics
from receiver.web import ApiToken, add_web_routes
from receiver.wiring_pulled import lists, queue_source

if TYPE_CHECKING:
    from receiver.store.sql_store import SqlStore

NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def notifiers(settings: Settings, clock: Clock, stack: AsyncExitStack) -> dict[str, Notifier]:
    """The log is the only road without a key, and the second one with it."""
    if settings.pagerduty is None:
        return {LogNotifier.name: LogNotifier(pages=True, show=sys.stderr.write)}
    events = Events(EventsConfig(settings.pagerduty.routing_key, str(settings.pagerduty.events_url)), clock=clock)
    stack.push_async_callback(events.close)
    return {PagerDuty.name: PagerDuty(events), LogNotifier.name: LogNotifier(pages=False)}


def sources(settings: Settings) -> dict[str, Source]:
    found: dict[str, Source] = {OWN_SOURCE: OwnSource()}
    own = settings.sources.alertmanager
    if own is not None:
        found["alertmanager"] = SOURCES["alertmanager"](
            "alertmanager", replica_labels=own.replica_labels, alerts_limit=settings.limits.alerts
        )
    if settings.sources.grafana is not None:
        found["grafana"] = SOURCES["grafana"]("grafana", alerts_limit=settings.limits.alerts)
    for name in ("sns", "eventbridge"):
        if getattr(settings.sources, name) is not None:
            found[name] = CloudWatchSource(name)
    for name, webhook in settings.sources.generic.items():
        generic = GenericSource(name, webhook.map.mapped)
        found[generic.name] = generic
    return found | queue_source(settings)


def credentials(settings: Settings) -> dict[str, Credentials]:
    """By source: the webhooks that are served, below `/webhook/`."""
    found: dict[str, Credentials] = {}
    if (own := settings.sources.alertmanager) is not None:
        found["alertmanager"] = _credentials(own)
    if (grafana := settings.sources.grafana) is not None:
        signature = Signature(grafana.signing, grafana.hmac_keys) if grafana.hmac_keys else None
        found["grafana"] = _credentials(grafana, signature)
    if (bus := settings.sources.eventbridge) is not None:
        found["eventbridge"] = _credentials(bus, key_header=bus.key_header or "")
    for name, webhook in settings.sources.generic.items():
        signature = Signature(webhook.hmac.signing, webhook.hmac.all_secrets) if webhook.hmac else None
        found[f"{GENERIC}{name}"] = _credentials(webhook, signature)
    return found


def _credentials(own: Bearing, signature: Signature | None = None, *, key_header: str = "") -> Credentials:
    basic = (Basic(own.basic.username, own.basic.password),) if own.basic else ()
    return Credentials(tokens=own.bearers, basic=basic, signature=signature, key_header=key_header)


def sns(
    settings: Settings,
    sources: Mapping[str, Source],
    switch: StoredKillSwitch,
    *,
    intake: Intake,
    metrics: Metrics,
    clock: Clock,
    stack: AsyncExitStack,
    load: Load | None = None,
) -> Handler | None:
    """The door of SNS, where it is configured. `load` fetches certificates; None: over HTTPS."""
    own = settings.sources.sns
    if own is None:
        return None
    if load is None:
        fetcher = CertificateFetcher()
        stack.push_async_callback(fetcher.close)
        load = fetcher.load
    confirm = None
    if own.confirm:
        around = settings.aws.endpoint_url if settings.aws else None
        aws = Aws(AwsConfig(region="", endpoint_url=str(own.endpoint_url or around or "")), clock=clock, kill_switch=switch)
        stack.push_async_callback(aws.close)
        confirm = Subscriptions(lambda region: aws.calls(Place("sns", region=region))).confirm
    policy = SnsPolicy(own.topics, require_v2=own.require_v2, confirm=confirm)
    limits = DoorLimits(body_bytes=min(BODY_BYTES, settings.limits.body))
    return sns_door(sources["sns"], policy, Verifier(load, clock=clock), intake=intake, telemetry=metrics, clock=clock, limits=limits)


def door_limits(settings: Settings, name: str) -> DoorLimits:
    """Of one webhook."""
    return DoorLimits(body_bytes=settings.limits.body, patience_seconds=PATIENCE_SECONDS if name == "grafana" else 0.0)


def methods(name: str) -> Sequence[str]:
    """That one webhook is called by."""
    return METHODS if name == "grafana" else ("POST",)


async def kubernetes(settings: Settings, switch: StoredKillSwitch, clock: Clock, stack: AsyncExitStack) -> dict[str, Kubernetes]:
    """One client an identity; connected when first used. All speak to one API server, so what one learns of its health the others know."""
    own = settings.kubernetes
    if own is None:
        return {}
    base = KubernetesConfig(
        kubeconfig=own.kubeconfig,
        context=own.context,
        namespaces=frozenset(own.namespaces),
        call_timeout=settings.policy().bounds.call_timeout,
        connect_timeout=min(KubernetesConfig().connect_timeout, settings.policy().bounds.call_timeout / 2),
    )
    configs = {"base": base}
    if own.undo_token_file is not None:
        configs["undo"] = replace(base, token_file=own.undo_token_file, identity="undo")
    if own.nodes:
        configs["nodes"] = replace(base, nodes=True, namespaces=frozenset(), identity="nodes")
    health = ApiHealth(clock=clock)
    found = {name: Kubernetes(config, clock=clock, kill_switch=switch, health=health) for name, config in configs.items()}
    for each in found.values():
        stack.push_async_callback(each.close)
    return found


def looker(
    settings: Settings,
    policy: Policy,
    clients: dict[str, Kubernetes],
    clock: Clock,
    metrics: Metrics,
    stack: AsyncExitStack,
    *,
    recent: Recent,
    ecs: Ecs | None = None,
) -> LookRunner:
    """`recent`: where its readings are left for `evidence`."""
    prometheus = prober = None
    if settings.prometheus is not None:
        own = settings.prometheus
        prometheus = Prometheus(PrometheusConfig(str(own.url), token=own.token, timeout=own.timeout))
        stack.push_async_callback(prometheus.close)
    prober = Prober()
    stack.push_async_callback(prober.close)
    scope = Scope(
        cluster=policy.cluster,
        namespaces=policy.namespaces,
        own_namespace=own_namespace(),
        opt_in=OptIn(settings.kubernetes.opt_in.value) if settings.kubernetes else OptIn.annotation,
        nodes=settings.kubernetes.nodes if settings.kubernetes else False,
    )
    base = clients.get("base")
    health = base.health if base is not None else None
    eyes = Eyes(scope=scope, bounds=policy.bounds, kubernetes=base, health=health, recent=recent, prometheus=prometheus, prober=prober)
    if ecs is not None and settings.ecs is not None:
        eyes = replace(eyes, ecs=ecs, ecs_tag=settings.ecs.opt_in is EcsOptIn.tag)
    return LookRunner(observers(eyes), clock, metrics=metrics)


def rights_check(
    settings: Settings,
    clients: Mapping[str, Kubernetes],
    rules: Callable[[], RuleSet],
    *,
    clock: Clock,
    report: Callable[[OwnTrouble], None],
    metrics: Metrics,
) -> RightsCheck:
    """Asks for what is wired: actions whose identity has a client, and everything that looks."""
    own = settings.kubernetes
    looking = (*OBSERVERS, *(NODE_OBSERVERS if own is not None and own.nodes else ()))
    collecting = [each for each in KUBERNETES_EVIDENCE if settings.evidence.logs or each is not KubernetesLogs]
    needs = Needs(
        actions={name: action.permissions for name, action in KUBERNETES_ACTIONS.items() if action.identity in clients},
        looks=tuple(each for reader in looking for each in reader.permissions),
        evidence=tuple(each for collector in collecting for each in collector.permissions),
    )

    def listed() -> frozenset[str]:
        current = rules()
        return frozenset(rung.action for rule in (*current.rules, current.default) for rung in rule.remediate)

    namespaces = own.namespaces if own is not None else ()
    return RightsCheck(clients, needs, namespaces=namespaces, listed=listed, clock=clock, report=report, metrics=metrics)


def asked_policy(policy: Policy, file: ActionsFile, rights: RightsCheck) -> Callable[[], Awaitable[Policy]]:
    async def asked() -> Policy:
        return replace(policy, lacking=rights.lacking, actions_file_ok=await file.allows())

    return asked


def ping(store: SqlStore) -> Callable[[], Awaitable[str]]:
    async def check() -> str:
        await store.ping()
        return ""

    return check


def web_app(
    settings: Settings,
    store: SqlStore,
    commands: PeoplesCommands,
    responder: Responder,
    clock: Clock,
    *,
    changes: ChangeLog,
    rights: Callable[[], RightsReport],
) -> web.Application:
    app = web.Application(client_max_size=settings.limits.body)
    tokens = [ApiToken(each.name, each.scope.value, each.token, each.roles) for each in settings.api.tokens]
    add_web_routes(
        app,
        views=store,
        commands=commands,
        changes=changes,
        tokens=tokens,
        naming=settings.priorities,
        locale=settings.locale.value,
        clock=clock,
        secure_cookie=settings.api.secure_cookie,
        next_commands=_next_commands(responder, clock),
        rights=rights,
        storm=responder.storm,
        prepared=_prepared(responder, clock),
    )
    return app


def _next_commands(responder: Responder, clock: Clock) -> Callable[[int], Awaitable[Suggestion]]:
    """What the page says, asked anew: the command, and apart from it the one that takes it back."""

    async def asked(incident_id: int) -> Suggestion:
        case = await responder.case(incident_id)
        if case is None or not case.incident.open:
            return Suggestion("")
        now = clock.now()
        return suggest(case, decide(case, now), now=now)

    return asked


def _prepared(responder: Responder, clock: Clock) -> Callable[[int], Awaitable[Sequence[Prepared]]]:
    """What its rule suggests, filled in with what is known now."""

    async def asked(incident_id: int) -> Sequence[Prepared]:
        case = await responder.case(incident_id)
        return () if case is None or not case.incident.open else suggested(case, clock.now())

    return asked


def known(settings: Settings, notifiers: dict[str, Notifier], ruleset: RuleSet) -> Known:
    ways = [name for name in FORMS if getattr(settings.sources, name) is not None]
    sources = dict.fromkeys([OWN_SOURCE, *credentials(settings), *ways, *([ALERT_SOURCE] if ways else [])])
    beats = [each.name for each in ruleset.rules if each.heartbeat is not None]
    queues = [each for each in ("sqs",) if settings.sources.sqs is not None]
    return Known(
        sources=sources, destinations=list(notifiers), actions=list(ACTIONS), lists=lists(settings), queues=queues, heartbeats=beats
    )


def own_namespace() -> str:
    """Where our own pod runs; empty outside a cluster."""
    try:
        return NAMESPACE_FILE.read_text(encoding="ascii").strip()
    except OSError:
        return ""
