"""From configuration to the edges: clients, notifiers, observers, doors. Every function makes one of them and knows nothing of the others.

Law: what has to be closed is put on the stack that is handed in, in the order of its making. Called by `app.py` only.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from receiver.clients.kubernetes import Kubernetes, KubernetesConfig
from receiver.clients.pagerduty import Events, EventsConfig
from receiver.clients.probe import Prober
from receiver.clients.prometheus import Prometheus, PrometheusConfig
from receiver.core.case import Policy
from receiver.core.facts import Evidence, Facts
from receiver.core.model import OWN_SOURCE, Incident
from receiver.core.plan import decide
from receiver.core.rules import RuleSet
from receiver.core.wording import suggest
from receiver.engine.commands import PeoplesCommands
from receiver.engine.kill_switch import ActionsFile, StoredKillSwitch
from receiver.engine.own_source import OwnSource
from receiver.engine.responder import Responder
from receiver.ingest import SOURCES
from receiver.ingest.credentials import Basic, Credentials
from receiver.notify.log import LogNotifier
from receiver.notify.pagerduty import PagerDuty
from receiver.observe import Eyes, KubernetesEvidence, LookRunner, Scope, observers
from receiver.observe.scope import OptIn
from receiver.ports import Clock, Notifier, Source
from receiver.remediate import ACTIONS
from receiver.settings import Settings
from receiver.telemetry.metrics import Known, Metrics
from receiver.web import ApiToken, add_web_routes

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
    return found


def credentials(settings: Settings) -> dict[str, Credentials]:
    own = settings.sources.alertmanager
    if own is None:
        return {}
    basic = (Basic(own.basic.username, own.basic.password),) if own.basic else ()
    return {"alertmanager": Credentials(tokens=own.bearers, basic=basic)}


async def kubernetes(settings: Settings, switch: StoredKillSwitch, clock: Clock, stack: AsyncExitStack) -> dict[str, Kubernetes]:
    """One client an identity; connected when first used."""
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
    found = {"base": Kubernetes(base, clock=clock, kill_switch=switch)}
    if own.undo_token_file is not None:
        second = replace(base, token_file=own.undo_token_file, identity="undo")
        found["undo"] = Kubernetes(second, clock=clock, kill_switch=switch)
    for each in found.values():
        stack.push_async_callback(each.close)
    return found


def looker(
    settings: Settings, policy: Policy, clients: dict[str, Kubernetes], clock: Clock, metrics: Metrics, stack: AsyncExitStack
) -> LookRunner:
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
    )
    eyes = Eyes(scope=scope, bounds=policy.bounds, kubernetes=clients.get("base"), prometheus=prometheus, prober=prober)
    return LookRunner(observers(eyes), clock, metrics=metrics)


def evidence(clients: dict[str, Kubernetes], clock: Clock) -> Callable[[Incident, Facts | None], Awaitable[Sequence[Evidence]]]:
    async def nothing(_: Incident, __: Facts | None) -> Sequence[Evidence]:
        return ()

    return KubernetesEvidence(clients["base"], clock).collect if "base" in clients else nothing


def asked_policy(policy: Policy, file: ActionsFile) -> Callable[[], Awaitable[Policy]]:
    async def asked() -> Policy:
        return policy if await file.allows() else replace(policy, actions_file_ok=False)

    return asked


def ping(store: SqlStore) -> Callable[[], Awaitable[str]]:
    async def check() -> str:
        await store.ping()
        return ""

    return check


def web_app(settings: Settings, store: SqlStore, commands: PeoplesCommands, responder: Responder, clock: Clock) -> web.Application:
    app = web.Application(client_max_size=settings.limits.body)
    tokens = [ApiToken(each.name, each.scope.value, each.token, each.roles) for each in settings.api.tokens]
    add_web_routes(
        app,
        views=store,
        commands=commands,
        tokens=tokens,
        naming=settings.priorities,
        locale=settings.locale.value,
        clock=clock,
        secure_cookie=settings.api.secure_cookie,
        next_commands=_next_commands(responder, clock),
    )
    return app


def _next_commands(responder: Responder, clock: Clock) -> Callable[[int], Awaitable[Sequence[str]]]:
    """What the page says, asked anew: the command and the one that takes it back."""

    async def asked(incident_id: int) -> Sequence[str]:
        case = await responder.case(incident_id)
        if case is None or not case.incident.open:
            return ()
        now = clock.now()
        found = suggest(case, decide(case, now), now=now)
        return tuple(each for each in (found.command, found.reverse) if each)

    return asked


def known(settings: Settings, notifiers: dict[str, Notifier], ruleset: RuleSet) -> Known:
    sources = [OWN_SOURCE, *(["alertmanager"] if settings.sources.alertmanager else [])]
    beats = [each.name for each in ruleset.rules if each.heartbeat is not None]
    return Known(sources=sources, destinations=list(notifiers), actions=list(ACTIONS), heartbeats=beats)


def own_namespace() -> str:
    """Where our own pod runs; empty outside a cluster."""
    try:
        return NAMESPACE_FILE.read_text(encoding="ascii").strip()
    except OSError:
        return ""
