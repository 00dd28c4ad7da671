"""Wiring in one straight function, teardown in reverse; the only place that knows everybody.

`serve` runs until `stop` is set. The order of the start: store, then everything that has no task, then the listeners, then the workers;
the order of the end is its reverse: not ready, no new requests, drained, workers stopped, clients closed, store closed.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from aiohttp import web

import receiver
from receiver.clients.kubernetes import Kubernetes, KubernetesConfig
from receiver.clients.pagerduty import Events, EventsConfig
from receiver.clients.probe import Prober
from receiver.clients.prometheus import Prometheus, PrometheusConfig
from receiver.clock import SystemClock
from receiver.core.case import Policy
from receiver.core.facts import Evidence, Facts
from receiver.core.model import OWN_SOURCE, Incident
from receiver.core.rules import RuleSet
from receiver.engine.agenda import Agenda
from receiver.engine.auditor import Auditor
from receiver.engine.commands import PeoplesCommands
from receiver.engine.folder import Folder, Reading
from receiver.engine.handover import Handover
from receiver.engine.intake import GroupCommitIntake
from receiver.engine.kill_switch import ActionsFile, StoredKillSwitch
from receiver.engine.outbox import Outbox
from receiver.engine.own_source import OwnSource
from receiver.engine.parts import Parts
from receiver.engine.responder import Responder
from receiver.engine.rulebook import RuleBook
from receiver.engine.storm import StoreStormGate
from receiver.ingest import SOURCES
from receiver.ingest.credentials import Basic, Credentials
from receiver.ingest.http import DoorLimits, door, mount
from receiver.ingest.server import RunningServer, ServerLimits, start_server
from receiver.notify.log import LogNotifier
from receiver.notify.pagerduty import PagerDuty
from receiver.observe import Eyes, KubernetesEvidence, LookRunner, Scope, observers
from receiver.observe.scope import OptIn
from receiver.ports import Action, Clock, Notifier, Source
from receiver.remediate import ACTIONS, wire
from receiver.rulefiles.loading import RulesRefused, load
from receiver.settings import Listen, Settings
from receiver.store.opening import open_store
from receiver.tasks import Crash, Crew
from receiver.telemetry.health import Health
from receiver.telemetry.loop_lag import measure_loop_lag
from receiver.telemetry.metrics import Known, Metrics
from receiver.telemetry.routes import add_telemetry_routes
from receiver.web import ApiToken, add_web_routes

if TYPE_CHECKING:
    from receiver.store.sql_store import SqlStore

_log = structlog.get_logger("receiver.app")

NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
SWEEP_EVERY = timedelta(hours=1)
GRACE_SECONDS = 20.0
"""For requests under way at the end: below the 30 s that kubelet gives."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """What tests and benchmarks exchange; production has the defaults."""

    clock: Clock = field(default_factory=SystemClock)
    failpoint: Callable[[str], None] = lambda _: None
    server_limits: ServerLimits = field(default_factory=ServerLimits)
    actions: Callable[[dict[str, Action]], dict[str, Action]] = lambda found: found


@dataclass(slots=True)
class Running:
    """What `serve` tells once it listens."""

    listen: Listen
    admin: Listen
    store: SqlStore
    installation: str
    ruleset: RuleSet
    reload_rules: Callable[[], None]


async def serve(settings: Settings, *, stop: asyncio.Event, started: Callable[[Running], None], hooks: Hooks | None = None) -> None:
    """Until `stop` is set. Raises CannotOpen, RulesRefused or OSError before it listens, never after."""
    hooks = hooks or Hooks()
    async with AsyncExitStack() as stack:
        service = await _assemble(settings, hooks, stack)
        await _run(service, settings, stop=stop, started=started)


@dataclass(slots=True)
class _Service:
    """Everything with a life of its own."""

    store: SqlStore
    installation: str
    clock: Clock
    metrics: Metrics
    health: Health
    rules: RuleBook
    intake: GroupCommitIntake
    folder: Folder
    agenda: Agenda
    outbox: Outbox
    auditor: Auditor
    notifiers: dict[str, Notifier]
    app: web.Application
    admin: web.Application | None
    limits: ServerLimits


async def _assemble(settings: Settings, hooks: Hooks, stack: AsyncExitStack) -> _Service:
    clock = hooks.clock
    policy = replace(settings.policy(), started_at=clock.now(), actions=frozenset(ACTIONS), can_look=settings.kubernetes is not None)
    rules = RuleBook(lambda: load(settings.rules, known_actions=ACTIONS, policy=policy), refusal=RulesRefused)
    store = await open_store(settings.store, clock=clock)
    stack.push_async_callback(store.close)
    policy = replace(policy, installation=await store.installation())
    notifiers = _notifiers(settings, clock, stack)
    metrics = Metrics(version=receiver.__version__, known=_known(settings, notifiers, rules.current()))
    sources = _sources(settings)
    handover = Handover()
    intake = GroupCommitIntake(store, clock, handover, metrics)
    storm = StoreStormGate(store, clock, policy.bounds, sum(len(each.targets) for each in rules.current().services.values()))
    switch = StoredKillSwitch(store, ActionsFile(settings.actions_file))
    clients = await _kubernetes(settings, switch, clock, stack)
    owner = f"{socket.gethostname()}-{secrets.token_hex(4)}"
    outbox = Outbox(store, notifiers, clock=clock, metrics=metrics, intake=intake, owner=owner, jitter=random.SystemRandom())
    wakes: list[Callable[[], None]] = []

    def wake(*_: object) -> None:
        for each in wakes:
            each()

    parts = Parts(
        store=store,
        looker=_looker(settings, policy, clients, clock, metrics, stack),
        actions=hooks.actions(wire(clients=clients, clock=clock)),
        clock=clock,
        rules=rules.current,
        policy=_asked_policy(policy, ActionsFile(settings.actions_file)),
        storm=storm,
        intake=intake,
        evidence=_evidence(clients, clock),
        destinations=("pagerduty",) if "pagerduty" in notifiers else ("log",),
        metrics=metrics,
        wake=wake,
        told=outbox.kick,
        failpoint=hooks.failpoint,
    )
    responder = Responder(parts)
    agenda = Agenda(store, responder, clock=clock, intake=intake, owner=owner)
    wakes += [agenda.wake, outbox.kick]
    reading = Reading(sources, rules.current, settings.locale.value)
    folder = Folder(store, handover, reading, clock=clock, wake=wake, report=intake.report, metrics=metrics)
    auditor = Auditor(store, clock=clock, intake=intake, storm=storm, rules=rules.current, wake=wake)
    health = Health(clock=clock)
    health.require("store", _ping(store))
    commands = PeoplesCommands(
        store,
        store,
        responder,
        clock=clock,
        wake=wake,
        destinations=parts.destinations,
    )
    app = _web_app(settings, store, commands, clock)
    for name, credentials in _credentials(settings).items():
        limits = DoorLimits(body_bytes=settings.limits.body)
        handler = door(sources[name], auth=credentials, intake=intake, telemetry=metrics, clock=clock, limits=limits)
        mount(app, f"/webhook/{name}", handler)
    admin = web.Application() if settings.admin_listen else None
    add_telemetry_routes(admin if admin is not None else app, metrics=metrics, health=health, gauges=store.gauges)
    return _Service(
        store=store,
        installation=policy.installation,
        clock=clock,
        metrics=metrics,
        health=health,
        rules=rules,
        intake=intake,
        folder=folder,
        agenda=agenda,
        outbox=outbox,
        auditor=auditor,
        notifiers=notifiers,
        app=app,
        admin=admin,
        limits=hooks.server_limits,
    )


async def _run(service: _Service, settings: Settings, *, stop: asyncio.Event, started: Callable[[Running], None]) -> None:
    servers: list[tuple[RunningServer, str]] = []

    async def listen(app: web.Application, where: Listen) -> Listen:
        server = await start_server(app, where.host, where.port, telemetry=service.metrics, limits=service.limits)
        servers.append((server, where.host))
        return Listen(where.host, server.port)

    async with Crew() as crew:
        try:
            _start_workers(crew, service)
            address = await listen(service.app, settings.listen)
            admin = await listen(service.admin, settings.admin_listen) if service.admin and settings.admin_listen else address
            service.health.started()
            reload_rules = lambda: service.rules.reload(service.intake)  # noqa: E731  # one line, named by the field
            started(Running(address, admin, service.store, service.installation, service.rules.current(), reload_rules))
            await stop.wait()
        finally:
            service.health.stopping()
            service.agenda.stopping = True
            for server, _ in reversed(servers):
                await server.close(grace_seconds=GRACE_SECONDS)


def _start_workers(crew: Crew, service: _Service) -> None:
    """Started first is stopped last: deliveries that are accepted while stopping still get their commit."""

    def on_crash(crash: Crash) -> None:
        service.metrics.workers_restarted.labels(crash.name).inc()
        _log.error("worker failed, starting it again", task=crash.name, fault=type(crash.error).__name__, exc_info=crash.error)

    def worker(name: str, work: Callable[[], Awaitable[None]]) -> None:
        task = crew.supervise(name, work, on_crash=on_crash)
        service.health.watch(name, lambda: not task.done())

    worker("intake", service.intake.run)
    worker("folder", service.folder.run)
    for name in service.notifiers:
        worker(f"outbox-{name}", lambda name=name: service.outbox.run(name))  # type: ignore[misc]
    worker("agenda", service.agenda.run)
    worker("auditor", service.auditor.run)
    worker("loop-lag", lambda: measure_loop_lag(service.metrics, service.clock))
    worker("retention", lambda: _sweep(service))


async def _sweep(service: _Service) -> None:
    while True:
        await service.store.sweep(service.clock.now())
        await service.clock.sleep(SWEEP_EVERY.total_seconds())


# --- the parts -----------------------------------------------------------------------------------------------------------


def _notifiers(settings: Settings, clock: Clock, stack: AsyncExitStack) -> dict[str, Notifier]:
    """The log is the only road without a key, and the second one with it."""
    if settings.pagerduty is None:
        return {LogNotifier.name: LogNotifier(pages=True)}
    events = Events(EventsConfig(settings.pagerduty.routing_key, str(settings.pagerduty.events_url)), clock=clock)
    stack.push_async_callback(events.close)
    return {PagerDuty.name: PagerDuty(events), LogNotifier.name: LogNotifier(pages=False)}


def _sources(settings: Settings) -> dict[str, Source]:
    found: dict[str, Source] = {OWN_SOURCE: OwnSource()}
    own = settings.sources.alertmanager
    if own is not None:
        found["alertmanager"] = SOURCES["alertmanager"](
            "alertmanager", replica_labels=own.replica_labels, alerts_limit=settings.limits.alerts
        )
    return found


def _credentials(settings: Settings) -> dict[str, Credentials]:
    own = settings.sources.alertmanager
    if own is None:
        return {}
    basic = (Basic(own.basic.username, own.basic.password),) if own.basic else ()
    return {"alertmanager": Credentials(tokens=own.bearers, basic=basic)}


async def _kubernetes(settings: Settings, switch: StoredKillSwitch, clock: Clock, stack: AsyncExitStack) -> dict[str, Kubernetes]:
    """One client an identity; connected when first used."""
    own = settings.kubernetes
    if own is None:
        return {}
    base = KubernetesConfig(kubeconfig=own.kubeconfig, context=own.context, namespaces=frozenset(own.namespaces))
    found = {"base": Kubernetes(base, clock=clock, kill_switch=switch)}
    if own.undo_token_file is not None:
        second = replace(base, token_file=own.undo_token_file, identity="undo")
        found["undo"] = Kubernetes(second, clock=clock, kill_switch=switch)
    for each in found.values():
        stack.push_async_callback(each.close)
    return found


def _looker(
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
        own_namespace=_own_namespace(),
        opt_in=OptIn(settings.kubernetes.opt_in.value) if settings.kubernetes else OptIn.annotation,
    )
    eyes = Eyes(scope=scope, bounds=policy.bounds, kubernetes=clients.get("base"), prometheus=prometheus, prober=prober)
    return LookRunner(observers(eyes), clock, metrics=metrics)


def _evidence(clients: dict[str, Kubernetes], clock: Clock) -> Callable[[Incident, Facts | None], Awaitable[Sequence[Evidence]]]:
    async def nothing(_: Incident, __: Facts | None) -> Sequence[Evidence]:
        return ()

    return KubernetesEvidence(clients["base"], clock).collect if "base" in clients else nothing


def _asked_policy(policy: Policy, file: ActionsFile) -> Callable[[], Awaitable[Policy]]:
    async def asked() -> Policy:
        return policy if await file.allows() else replace(policy, actions_file_ok=False)

    return asked


def _ping(store: SqlStore) -> Callable[[], Awaitable[str]]:
    async def check() -> str:
        await store.ping()
        return ""

    return check


def _web_app(settings: Settings, store: SqlStore, commands: PeoplesCommands, clock: Clock) -> web.Application:
    app = web.Application(client_max_size=settings.limits.body)
    tokens = [ApiToken(each.name, each.scope.value, each.token) for each in settings.api.tokens]
    add_web_routes(
        app,
        views=store,
        commands=commands,
        tokens=tokens,
        naming=settings.priorities,
        locale=settings.locale.value,
        clock=clock,
        secure_cookie=False,
    )
    return app


def _known(settings: Settings, notifiers: dict[str, Notifier], ruleset: RuleSet) -> Known:
    sources = [OWN_SOURCE, *(["alertmanager"] if settings.sources.alertmanager else [])]
    beats = [each.name for each in ruleset.rules if each.heartbeat is not None]
    return Known(sources=sources, destinations=list(notifiers), actions=list(ACTIONS), heartbeats=beats)


def _own_namespace() -> str:
    """Where our own pod runs; empty outside a cluster."""
    try:
        return NAMESPACE_FILE.read_text(encoding="ascii").strip()
    except OSError:
        return ""
