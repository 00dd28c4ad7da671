"""The command line: `receiver serve | check | explain | migrate | quickstart`, and the daily work of `cli_client`.

Law: exit codes 0 yes, 1 checked and found wanting, 2 usage, 78 configuration refused; errors are one line each on stderr, no traceback.
Heavy imports happen inside the commands, so that `check` and `explain` start fast.
"""

from __future__ import annotations

import asyncio
import gc
import json
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NoReturn

import click

import receiver
from receiver import cli_client, cli_deciding

if TYPE_CHECKING:
    from receiver.app import Running
    from receiver.ports import Source
    from receiver.secret import Secret
    from receiver.settings import Problem, Settings

REFUSED = 78
"""EX_CONFIG of sysexits.h."""
WANTING = 1
LOCAL = Path("var")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(receiver.__version__, prog_name="alert-receiver")
def cli() -> None:
    """Takes alerts, acts within bounds, verifies, and pages a person with the proof for anything beyond."""


config_option = click.option(
    "--config", type=click.Path(path_type=Path, dir_okay=False), default=None, help="Configuration file; without one the defaults hold."
)
output_option = click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)


@cli.command()
@config_option
def serve(config: Path | None) -> None:
    """The service."""
    _serve(_settings(config), lambda _: None)


@cli.command()
@click.option("--directory", type=click.Path(path_type=Path, file_okay=False), default=LOCAL, show_default=True, help="Tokens and data.")
def quickstart(directory: Path) -> None:
    """A receiver on its embedded defaults: makes tokens, prints what to paste, serves."""
    from receiver.quickstart import greeting, prepare
    from receiver.settings import SettingsRefused, environment

    try:
        settings = prepare(directory, dict(environment()))
    except SettingsRefused as refused:
        _refuse(str(refused))
    except OSError as error:
        _refuse(f"{error.filename or directory}: cannot be made: {error.strerror}; give another place with --directory")
    _serve(settings, lambda running: click.echo(greeting(directory, str(running.listen), _mode_text(settings)), err=True))


@cli.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@config_option
@output_option
def check(paths: tuple[Path, ...], config: Path | None, output: str) -> None:
    """Rules and configuration: every error with file, line, column and what is allowed."""
    from receiver.remediate import ACTIONS
    from receiver.rulefiles import check as check_rules
    from receiver.rulefiles import load
    from receiver.settings import SettingsRefused, environment, load_settings

    problems: list[Problem] = []
    settings: Settings | None
    try:
        settings = load_settings(config, environment())
    except SettingsRefused as refused:
        problems += refused.problems
        settings = refused.rest
    chosen = paths or (_with_rules(settings, config).rules if settings is not None else ())
    if chosen:
        problems += check_rules(chosen, known_actions=ACTIONS, policy=settings.policy() if settings is not None else None)
    warnings: tuple[str, ...] = ()
    if chosen and settings is not None and not problems:
        warnings = settings.unanswerable(load(chosen, known_actions=ACTIONS, policy=settings.policy()))
    _show_problems([str(each) for each in problems], output, checked=[str(each) for each in chosen], warnings=warnings)


@cli.command()
@click.argument("file", type=click.File("rb"))
@config_option
@output_option
@click.option("--rules", "rule_paths", multiple=True, type=click.Path(path_type=Path), help="Instead of the configured ones.")
@click.option("--source", "name", default="", help="Whose body it is: alertmanager, grafana, cloudwatch, or a configured generic/NAME.")
def explain(file: BinaryIO, config: Path | None, output: str, rule_paths: tuple[Path, ...], name: str) -> None:
    """One webhook body: which rule, which matrix cell, which bounds, which step, and why."""
    from receiver.clock import SystemClock
    from receiver.explain import explain as explained
    from receiver.remediate import ACTIONS
    from receiver.rulefiles import RulesRefused, load

    settings = _settings(config)
    policy = settings.policy()
    try:
        ruleset = load(rule_paths or settings.rules, known_actions=ACTIONS, policy=policy)
    except RulesRefused as refused:
        _refuse(str(refused))
    policy = _policy_for_explaining(settings)
    body = file.read()
    found = explained(body, source=_source(settings, name or _guessed(body)), ruleset=ruleset, policy=policy, now=SystemClock().now())
    if output == "json":
        click.echo(json.dumps([{"sentence": each.sentence, **each.data} for each in found], indent=2, ensure_ascii=False))
    for each in found if output == "text" else ():
        click.echo(each.sentence)
        for line in each.lines:
            click.echo(f"    {line}")
    sys.exit(WANTING if any(each.refused for each in found) else 0)


def _guessed(body: bytes) -> str:
    """CloudWatch's bodies have forms that nobody else's have."""
    from receiver.core.model import Refusal
    from receiver.ingest.cloudwatch import ALERT_SOURCE, open_body

    return "alertmanager" if isinstance(open_body(body), Refusal) else ALERT_SOURCE


def _source(settings: Settings, name: str) -> Source:
    """A kind of source is known also where none is configured; another webhook only as it is configured."""
    from receiver.ingest import SOURCES
    from receiver.ingest.cloudwatch import ALERT_SOURCE, CloudWatchSource
    from receiver.ingest.cloudwatch_forms import Form
    from receiver.ingest.generic import PREFIX, GenericSource

    if name in SOURCES:
        return SOURCES[name](name)
    if name == ALERT_SOURCE:
        return CloudWatchSource(name, forms=tuple(Form))
    configured = {f"{PREFIX}{each}": webhook for each, webhook in settings.sources.generic.items()}
    if name not in configured:
        raise click.UsageError(f"--source {name[:80]!r} is not known; known: {', '.join([*SOURCES, ALERT_SOURCE, *configured])}")
    return GenericSource(name.removeprefix(PREFIX), configured[name].map.mapped)


@cli.command()
@config_option
@output_option
def migrate(config: Path | None, output: str) -> None:
    """The database schema, forward only."""
    from receiver.store.lock import CannotOpen
    from receiver.store.opening import migrate as bring_forward

    settings = _settings(config)
    try:
        taken = asyncio.run(bring_forward(settings.store))
    except CannotOpen as no:
        _refuse(str(no))
    if output == "json":
        click.echo(json.dumps({"revisions": list(taken)}))
    else:
        click.echo(f"schema brought forward: {', '.join(taken)}" if taken else "schema is up to date")


def main() -> None:
    """Entry point: never a traceback for what a person can mend."""
    cli_client.register(cli, _connection)
    cli_deciding.register(cli, _connection)
    cli()


def _connection(config: Path | None) -> tuple[str, Path | None]:
    """(address, token file) of the API for the commands that talk to a running receiver."""
    local = LOCAL / "config.yaml"
    settings = _settings(config or (local if local.exists() else None))
    host = "127.0.0.1" if settings.listen.host in ("0.0.0.0", "::") else settings.listen.host  # noqa: S104  # asked, not bound
    tokens = sorted(settings.api.tokens, key=lambda each: ("report", "read", "operate", "admin").index(each.scope.value))
    return f"http://{host}:{settings.listen.port}", tokens[-1].token_file if tokens else None


def _settings(config: Path | None) -> Settings:
    from receiver.settings import SettingsRefused, environment, load_settings

    try:
        return _with_rules(load_settings(config, environment()), config)
    except SettingsRefused as refused:
        _refuse(str(refused))


def _with_rules(settings: Settings, config: Path | None) -> Settings:
    """Outside of a checkout and with nothing said about rules, those that were shipped hold."""
    from receiver.quickstart import shipped_rules

    if config is not None or "rules" in settings.model_fields_set or any(each.exists() for each in settings.rules):
        return settings
    return settings.model_copy(update={"rules": (shipped_rules(),)})


def _policy_for_explaining(settings: Settings):  # type: ignore[no-untyped-def]
    from dataclasses import replace

    from receiver.remediate import ACTIONS

    policy = settings.policy()
    return replace(policy, actions=frozenset(ACTIONS), can_look=True)


def _serve(settings: Settings, greet: Callable[[Running], None]) -> None:
    from receiver.app import CannotListen
    from receiver.app import serve as run
    from receiver.rulefiles import RulesRefused
    from receiver.store.lock import CannotOpen
    from receiver.telemetry.logs import configure_logging

    configure_logging(sys.stderr, secrets=_secrets(settings))
    _warn(settings)

    async def until_told() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)

        def started(running: Running) -> None:
            loop.add_signal_handler(signal.SIGHUP, running.reload_rules)
            greet(running)
            gc.freeze()  # modules and wiring stay for good: a full collection need not walk them (100 ms of a stopped loop becomes 10)

        await run(settings, stop=stop, started=started)

    try:
        _run(until_told)
    except (RulesRefused, CannotOpen, CannotListen) as refused:
        _refuse(str(refused))


def _mode_text(settings: Settings) -> str:
    return "mode observe: nothing is ever touched" if settings.mode == "observe" else f"mode {settings.mode}"


def _warn(settings: Settings) -> None:
    """What is allowed but not well, and what is configured but not served by this version."""
    import structlog

    log = structlog.get_logger("receiver.app")
    for each in settings.warnings:
        log.warning("configuration", detail=each)
    for each in settings.unserved():
        log.warning("configured, but this version does nothing with it", section=each)


def _run(work: Callable[[], object]) -> None:
    import uvloop

    uvloop.run(work())  # type: ignore[arg-type]


def _secrets(settings: Settings) -> list[Secret]:
    found = [each.token for each in settings.api.tokens]
    own = settings.sources.alertmanager
    if own is not None:
        found += [*own.bearers, *([own.basic.password] if own.basic else [])]
    if settings.pagerduty is not None:
        found.append(settings.pagerduty.routing_key)
    if settings.prometheus is not None and settings.prometheus.token is not None:
        found.append(settings.prometheus.token)
    return found


def _show_problems(problems: list[str], output: str, *, checked: list[str], warnings: Sequence[str] = ()) -> None:
    """A warning is no problem: it leaves the exit code alone."""
    if output == "json":
        click.echo(json.dumps({"problems": problems, "warnings": list(warnings), "checked": checked}, indent=2))
    for each in (*problems, *(f"warning: {text}" for text in warnings)) if output == "text" else ():
        click.echo(each, err=True)
    if not problems and output == "text":
        click.echo(f"{', '.join(checked)}: nothing is wrong")
    sys.exit(WANTING if problems else 0)


def _refuse(text: str) -> NoReturn:
    for line in text.splitlines():
        click.echo(line, err=True)
    sys.exit(REFUSED)
