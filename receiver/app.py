"""Wiring in one straight function, teardown in reverse; the only place that knows everybody.

`serve` runs until `stop` is set. The order of the start: store, then everything that has no task, then the listeners, then the workers;
the order of the end is its reverse: not ready, no new requests, drained, workers stopped, clients closed, store closed.
Not split: who knows whom is read in one place; what can be made apart is made in `wiring` and its parts.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import socket
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import structlog
from aiohttp import web

import receiver
from receiver import wiring, wiring_ecs, wiring_evidence
from receiver.clients.ecs import Ecs
from receiver.clients.kubernetes import Kubernetes
from receiver.clock import SystemClock
from receiver.core.case import Policy
from receiver.core.model import OWN_SOURCE
from receiver.core.rules import RuleSet
from receiver.engine.agenda import Agenda
from receiver.engine.auditor import Auditor
from receiver.engine.changes import ChangeBook
from receiver.engine.commands import PeoplesCommands
from receiver.engine.folder import Folder, Reading
from receiver.engine.gathering import Gathering
from receiver.engine.handover import Handover
from receiver.engine.intake import GroupCommitIntake
from receiver.engine.kill_switch import ActionsFile, FileWatch, StoredKillSwitch
from receiver.engine.outbox import Outbox
from receiver.engine.parts import Parts
from receiver.engine.responder import Responder
from receiver.engine.rulebook import RuleBook
from receiver.engine.storm import StoreStormGate
from receiver.ingest.http import Handler, door, mount
from receiver.ingest.server import RunningServer, ServerLimits, start_server
from receiver.notify.log import LogNotifier
from receiver.notify.pagerduty import PagerDuty
from receiver.observe import Recent
from receiver.ports import Action, Clock, Notifier, OwnTrouble, Source, TroubleKind
from receiver.remediate import ACTIONS, wire
from receiver.remediate.kubernetes.rights_check import RightsCheck
from receiver.rulefiles.loading import RulesRefused, load
from receiver.settings import Listen, Settings
from receiver.store.opening import open_store
from receiver.tasks import Crash, Crew
from receiver.telemetry.health import Health
from receiver.telemetry.loop_lag import measure_loop_lag
from receiver.telemetry.metrics import Metrics
from receiver.telemetry.routes import add_telemetry_routes
from receiver.wiring_pulled import Common, pulled

if TYPE_CHECKING:
    from receiver.store.sql_store import SqlStore

_log = structlog.get_logger("receiver.app")

SWEEP_EVERY = timedelta(hours=1)
CRASHES_TOLD = 3
"""In a row, of one worker: then a person hears of it."""
GRACE_SECONDS = 20.0
"""For requests under way at the end: below the 30 s that kubelet gives."""


class CannotListen(Exception):
    """An address is taken, or not ours: says which key, which address and why."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """What tests and benchmarks exchange; production has the defaults."""

    clock: Clock = field(default_factory=SystemClock)
    failpoint: Callable[[str], None] = lambda _: None
    server_limits: ServerLimits = field(default_factory=ServerLimits)
    actions: Callable[[dict[str, Action]], dict[str, Action]] = lambda found: found
    sns_certificates: Callable[[str], Awaitable[bytes]] | None = None
    """Address → certificate of SNS; None: fetched over HTTPS."""
    extend: Callable[[web.Application], None] = lambda _: None
    """Adds routes to the service's listener."""


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
    """Until `stop` is set. Raises CannotOpen, RulesRefused or CannotListen before it listens, never after."""
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
    file: FileWatch
    outbox: Outbox
    evidence: Callable[[], Awaitable[None]]
    auditor: Auditor
    notifiers: dict[str, Notifier]
    rights: RightsCheck
    pulled: dict[str, Callable[[], Awaitable[None]]]
    """Workers that fetch what nobody delivers, by name."""
    actions: tuple[str, ...]
    """That have a client."""
    app: web.Application
    admin: web.Application | None
    limits: ServerLimits


async def _assemble(settings: Settings, hooks: Hooks, stack: AsyncExitStack) -> _Service:
    clock = hooks.clock
    policy = replace(settings.policy(), started_at=clock.now(), actions=frozenset(ACTIONS), can_look=settings.can_look)
    rules = RuleBook(lambda: load(settings.rules, known_actions=ACTIONS, policy=policy), refusal=RulesRefused)
    for each in settings.unanswerable(rules.current()):
        _log.warning("configuration", detail=each)
    store = await open_store(settings.store, clock=clock)
    stack.push_async_callback(store.close)
    base = _Base(
        settings=settings,
        hooks=hooks,
        clock=clock,
        policy=replace(policy, installation=await store.installation()),
        rules=rules,
        store=store,
        notifiers=(notifiers := wiring.notifiers(settings, clock, stack)),
        metrics=Metrics(version=receiver.__version__, known=wiring.known(settings, notifiers, rules.current())),
        owner=f"{socket.gethostname()}-{secrets.token_hex(4)}",
    )
    return await _engine(base, stack)


@dataclass(frozen=True, slots=True)
class _Base:
    """What everything else is built on."""

    settings: Settings
    hooks: Hooks
    clock: Clock
    policy: Policy
    rules: RuleBook
    store: SqlStore
    notifiers: dict[str, Notifier]
    metrics: Metrics
    owner: str


async def _engine(base: _Base, stack: AsyncExitStack) -> _Service:
    """The rooms of the engine, and who wakes whom: folder, commands and responder wake the agenda and the outbox."""
    clock, store, metrics, rules = base.clock, base.store, base.metrics, base.rules
    handover = Handover()
    intake = GroupCommitIntake(store, clock, handover, metrics)
    outbox = Outbox(store, base.notifiers, clock=clock, metrics=metrics, intake=intake, owner=base.owner, jitter=random.SystemRandom())
    wakes: list[Callable[[], None]] = [outbox.kick]

    def wake(*_: object) -> None:
        for each in wakes:
            each()

    storm = StoreStormGate(store, clock, base.policy.bounds, sum(len(each.targets) for each in rules.current().services.values()))
    platform = await _platform(base, stack, intake)
    kubernetes, switch, to = platform.clients.get("base"), StoredKillSwitch(store, platform.file), _destinations(base.notifiers)
    sight = wiring_evidence.Sight(kubernetes, platform.ecs, platform.recent, base.policy.namespaces, switch)
    evidence = wiring_evidence.gathering(
        base.settings, sight, store, clock=clock, metrics=metrics, stack=stack, destinations=to, told=outbox.kick
    )
    responder = Responder(_parts(base, stack, platform, evidence, intake=intake, storm=storm, outbox=outbox, wake=wake))
    agenda = Agenda(store, responder, clock=clock, intake=intake, owner=base.owner)
    wakes.append(agenda.wake)
    sources = wiring.sources(base.settings)
    reading = Reading(sources, rules.current, base.settings.locale.value, base.settings.replayable)
    health = Health(clock=clock)
    health.require("store", wiring.ping(store))
    commands = PeoplesCommands(store, store, responder, clock=clock, wake=wake, destinations=to)
    app, admin = _applications(base, commands, responder, sources, intake, health, platform.rights, _sns(base, sources, intake, stack))
    return _Service(
        store=store,
        installation=base.policy.installation,
        clock=clock,
        metrics=metrics,
        health=health,
        rules=rules,
        intake=intake,
        folder=Folder(store, handover, reading, clock=clock, wake=wake, report=intake.report, metrics=metrics),
        agenda=agenda,
        file=FileWatch(platform.file, store, clock=clock, wake=wake),
        outbox=outbox,
        evidence=partial(evidence.run, responder.case),
        auditor=Auditor(store, clock=clock, intake=intake, storm=storm, rules=rules.current, wake=wake),
        notifiers=base.notifiers,
        rights=platform.rights,
        pulled=_pulled(base, sources, switch, intake=intake, stack=stack),
        actions=tuple(sorted(wire(clients=platform.clients, clock=clock, ecs=platform.ecs))),
        app=app,
        admin=admin,
        limits=base.hooks.server_limits,
    )


def _sns(base: _Base, sources: dict[str, Source], intake: GroupCommitIntake, stack: AsyncExitStack) -> Handler | None:
    """The door of SNS, which has no credentials of its own."""
    switch = StoredKillSwitch(base.store, ActionsFile(base.settings.actions_file))
    load = base.hooks.sns_certificates
    return wiring.sns(base.settings, sources, switch, intake=intake, metrics=base.metrics, clock=base.clock, stack=stack, load=load)


def _pulled(
    base: _Base, sources: dict[str, Source], switch: StoredKillSwitch, *, intake: GroupCommitIntake, stack: AsyncExitStack
) -> dict[str, Callable[[], Awaitable[None]]]:
    given = Common(base.settings, sources, switch, intake, base.metrics, base.clock)
    return pulled(given, base.store, base.rules.current, stack=stack)


@dataclass(frozen=True, slots=True)
class _Platform:
    """What is acted on, and whether it may be."""

    clients: dict[str, Kubernetes]
    ecs: Ecs | None
    file: ActionsFile
    rights: RightsCheck
    recent: Recent = field(default_factory=Recent)


async def _platform(base: _Base, stack: AsyncExitStack, intake: GroupCommitIntake) -> _Platform:
    file = ActionsFile(base.settings.actions_file)
    switch = StoredKillSwitch(base.store, file)
    clients = await wiring.kubernetes(base.settings, switch, base.clock, stack)
    ecs = wiring_ecs.ecs(base.settings, switch, clock=base.clock, stack=stack)
    rules, metrics = base.rules.current, base.metrics
    return _Platform(
        clients, ecs, file, wiring.rights_check(base.settings, clients, rules, clock=base.clock, report=intake.report, metrics=metrics)
    )


def _parts(
    base: _Base,
    stack: AsyncExitStack,
    platform: _Platform,
    evidence: Gathering,
    *,
    intake: GroupCommitIntake,
    storm: StoreStormGate,
    outbox: Outbox,
    wake: Callable[..., None],
) -> Parts:
    """What the responder works with."""
    clock, clients = base.clock, platform.clients
    return Parts(
        store=base.store,
        looker=wiring.looker(base.settings, base.policy, clients, clock, base.metrics, stack, recent=platform.recent, ecs=platform.ecs),
        actions=base.hooks.actions(wire(clients=clients, clock=clock, ecs=platform.ecs)),
        clock=clock,
        rules=base.rules.current,
        policy=wiring.asked_policy(base.policy, platform.file, platform.rights),
        storm=storm,
        intake=intake,
        evidence=evidence,
        destinations=_destinations(base.notifiers),
        metrics=base.metrics,
        wake=wake,
        told=outbox.kick,
        failpoint=base.hooks.failpoint,
    )


def _destinations(notifiers: dict[str, Notifier]) -> tuple[str, ...]:
    """Where pages go first; the log is the second road, and the only one without a key."""
    return (PagerDuty.name,) if PagerDuty.name in notifiers else (LogNotifier.name,)


def _applications(
    base: _Base,
    commands: PeoplesCommands,
    responder: Responder,
    sources: dict[str, Source],
    intake: GroupCommitIntake,
    health: Health,
    rights: RightsCheck,
    sns: Handler | None,
) -> tuple[web.Application, web.Application | None]:
    """The service's listener, and one of its own for health and metrics where that is configured."""
    settings = base.settings
    changes = ChangeBook(base.store, clock=base.clock, rules=base.rules.current)
    app = wiring.web_app(settings, base.store, commands, responder, base.clock, changes=changes, rights=lambda: rights.latest)
    for name, credentials in wiring.credentials(settings).items():
        limits = wiring.door_limits(settings, name)
        handler = door(sources[name], auth=credentials, intake=intake, telemetry=base.metrics, clock=base.clock, limits=limits)
        mount(app, f"/webhook/{name}", handler, methods=wiring.methods(name))
    if sns is not None:
        mount(app, "/webhook/sns", sns)
    base.hooks.extend(app)
    admin = web.Application() if settings.admin_listen else None
    add_telemetry_routes(admin if admin is not None else app, metrics=base.metrics, health=health, gauges=base.store.gauges)
    return app, admin


async def _run(service: _Service, settings: Settings, *, stop: asyncio.Event, started: Callable[[Running], None]) -> None:
    servers: list[tuple[RunningServer, str]] = []

    async def listen(app: web.Application, where: Listen, key: str = "listen") -> Listen:
        try:
            server = await start_server(app, where.host, where.port, telemetry=service.metrics, limits=service.limits)
        except OSError as no:
            raise CannotListen(f"{key} {where}: cannot listen there: {no.strerror or no}; give another address as `{key}:`") from no
        servers.append((server, where.host))
        return Listen(where.host, server.port)

    async with Crew() as crew:
        try:
            _start_workers(crew, service)
            address = await listen(service.app, settings.listen)
            own = settings.admin_listen
            admin = await listen(service.admin, own, "admin_listen") if service.admin and own else address
            service.health.started()
            _say_what_serves(service, settings, address, admin)
            reload_rules = lambda: service.rules.reload(service.intake)  # noqa: E731  # one line, named by the field
            started(Running(address, admin, service.store, service.installation, service.rules.current(), reload_rules))
            await stop.wait()
        finally:
            service.health.stopping()
            service.agenda.stopping = True
            for server, _ in reversed(servers):
                await server.close(grace_seconds=GRACE_SECONDS)


def _say_what_serves(service: _Service, settings: Settings, address: Listen, admin: Listen) -> None:
    """The one line that a person looks for after a start."""
    _log.info(
        "serving",
        version=receiver.__version__,
        listen=str(address),
        admin_listen=str(admin),
        mode=settings.mode.value,
        sources=sorted(each for each in wiring.sources(settings) if each != OWN_SOURCE),
        destinations=sorted(service.notifiers),
        actions=list(service.actions),
        rules=service.rules.current().hash,
    )


def _start_workers(crew: Crew, service: _Service) -> None:
    """Started first is stopped last: deliveries that are accepted while stopping still get their commit."""

    def on_crash(crash: Crash) -> None:
        service.metrics.workers_restarted.labels(crash.name).inc()
        if crash.crashes >= CRASHES_TOLD:
            service.intake.report(OwnTrouble(TroubleKind.worker_failed, crash.name, f"{type(crash.error).__name__}, {crash.crashes} times"))
        _log.error("worker failed, starting it again", task=crash.name, fault=type(crash.error).__name__, exc_info=crash.error)

    def worker(name: str, work: Callable[[], Awaitable[None]]) -> None:
        task = crew.supervise(name, work, on_crash=on_crash)
        service.health.watch(name, lambda: not task.done())

    worker("intake", service.intake.run)
    worker("folder", service.folder.run)
    for name in service.notifiers:
        worker(f"outbox-{name}", lambda name=name: service.outbox.run(name))  # type: ignore[misc]
    worker("evidence", service.evidence)
    worker("agenda", service.agenda.run)
    worker("auditor", service.auditor.run)
    if service.file.watches:
        worker("actions-file", service.file.run)
    if service.rights.asks:
        worker("rights", service.rights.run)
    for name, work in service.pulled.items():
        worker(name, work)
    worker("loop-lag", lambda: measure_loop_lag(service.metrics, service.clock))
    worker("retention", lambda: _sweep(service))


async def _sweep(service: _Service) -> None:
    while True:
        await service.store.sweep(service.clock.now())
        await service.clock.sleep(SWEEP_EVERY.total_seconds())
