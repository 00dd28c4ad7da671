"""The configuration file and the environment to `Settings`, or every problem of both.

Law: all or nothing; the CLI ends with 78 on `SettingsRefused`. Without a file the defaults hold, with the environment over them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any

from pydantic import PrivateAttr

from receiver.core.case import Policy
from receiver.core.looks import NO_PROMETHEUS, asks_prometheus
from receiver.core.model import Bounds, Mode, Naming, Priority
from receiver.core.rules import RuleSet
from receiver.settings.aws import services_at
from receiver.settings.crossing import missing_files, missing_packages, shared_secrets
from receiver.settings.environment import Merged, lay_over
from receiver.settings.secrets import fill_from_files
from receiver.settings.sections import Configuration
from receiver.yamlfile import Document, Problem, check_fields, check_partly, read_as, read_file

SERVED = frozenset(
    {
        "sources.alertmanager",
        "sources.grafana",
        "sources.generic",
        "sources.sns",
        "sources.sqs",
        "sources.eventbridge",
        "kubernetes",
        "ecs",
        "aws",
        "cloudwatch",
        "prometheus",
        "pagerduty",
    }
)
"""Sections that this version does something with; the others are read, checked and reported at start."""
SECTIONS = ("kubernetes", "ecs", "aws", "cloudwatch", "prometheus", "pagerduty", "slack")


NO_FILE = "name another with --config, or leave it out and the defaults hold"


class SettingsRefused(Exception):
    """The configuration was not taken; `problems` are all of them."""

    def __init__(self, problems: Iterable[Problem], rest: Settings | None = None) -> None:
        """`rest`: what the configuration comes to without the faulty keys, to judge the rules by; None where that is not known."""
        self.problems = tuple(problems)
        self.rest = rest
        super().__init__("\n".join(map(str, self.problems)))


class Settings(Configuration):
    """Everything that was configured, with the defaults for the rest."""

    _warnings: tuple[str, ...] = PrivateAttr(default=())

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is allowed but not well, as key files that everybody can read: to be logged at start."""
        return (*self._warnings, *self._useless())

    def _useless(self) -> Iterator[str]:
        """What leaves the service without its work, though each key for itself is well."""
        served = [each.removeprefix("sources.") for each in SERVED if each.startswith("sources.")]
        if not any(getattr(self.sources, each) for each in served):
            yield "no source is configured that this version serves: no alert can be delivered"
        own = self.sources.alertmanager
        if own is not None and own.api_url is not None and not own.api_receivers:
            yield "sources.alertmanager.api_url without api_receivers: every alert of that Alertmanager is taken for ours"
        yield from self._wide_or_narrow()
        if self.mode is Mode.auto and self.kubernetes is None and self.ecs is None:
            yield "mode auto without kubernetes and without ecs: nothing can be acted on, everything is paged"

    def _wide_or_narrow(self) -> Iterator[str]:
        if self.cloudwatch is None:
            return
        if not self.alarm_topics:
            which = "is in ALARM, also those that tell nobody," if self.silent_alarms else "tells anybody"
            yield f"cloudwatch without topics: every alarm of its regions that {which} is taken for ours"
        if self.cloudwatch.topics and self._any_alarm:
            yield "cloudwatch.topics beside sources that bring any alarm: what tells none of them is not asked for, and not healed"

    @property
    def alarm_topics(self) -> tuple[str, ...]:
        """What an alarm of CloudWatch tells if it is ours; empty: its topics do not matter."""
        if self.cloudwatch is not None and self.cloudwatch.topics:
            return self.cloudwatch.topics
        ways = (self.sources.sns, self.sources.sqs)
        return () if self._any_alarm else tuple(dict.fromkeys(topic for each in ways if each is not None for topic in each.topics))

    @property
    def silent_alarms(self) -> bool:
        """Whether alarms of CloudWatch are ours also where they tell nobody."""
        return self._any_alarm and not self.alarm_topics

    @property
    def _any_alarm(self) -> bool:
        """A way in brings alarms whatever they tell: EventBridge hears of all, and may feed a queue too."""
        return self.sources.eventbridge is not None or (self.sources.sqs is not None and not self.sources.sqs.topics)

    @property
    def replayable(self) -> frozenset[str]:
        """Sources whose deliveries are signed without a time, and may lead to actions: a captured one can be sent again, for ever."""
        own = self.sources.grafana
        return frozenset(("grafana",)) if own is not None and own.hmac_keys and not own.signing.stamped else frozenset()

    def unanswerable(self, rules: RuleSet) -> tuple[str, ...]:
        """What the rules ask and nobody can answer here, in one sentence; empty: all can be asked."""
        asking = asks_prometheus(rules) if self.prometheus is None else ()
        return (f"{NO_PROMETHEUS}, so nobody can answer: {', '.join(asking)}",) if asking else ()

    def warned(self, warnings: Iterable[str]) -> Settings:
        """These settings, with what is to be said about them."""
        self._warnings = tuple(dict.fromkeys(warnings))
        return self

    def policy(self) -> Policy:
        """What configuration says to a decision; the start adds when it was, what is wired, and who we are."""
        naming = self.priorities
        bounds: dict[str, Any] = {name: read_as(type(getattr(Bounds(), name)), value) for name, value in self.bounds.items()}
        return Policy(
            mode=self.mode,
            bounds=replace(Bounds(), **bounds),
            page_after={**Policy().page_after, **{each: after for key, after in self.page_after.items() if (each := naming.read(key))}},
            cluster=self.cluster,
            namespaces=frozenset((*(self.kubernetes.namespaces if self.kubernetes else ()), *self.ecs_places)),
            source_namespaces=self.source_namespaces,
            undo_identity=self.kubernetes is not None and self.kubernetes.undo_token_file is not None,
            nodes=self.kubernetes is not None and self.kubernetes.nodes,
            naming=naming,
            locale=self.locale.value,
        )

    @property
    def can_look(self) -> bool:
        """A platform is configured, so that targets can be resolved."""
        return bool(self.kubernetes or self.ecs)

    @property
    def ecs_places(self) -> Iterator[str]:
        """The clusters of the services of ECS, as `Target.place`."""
        for each in services_at(self.ecs, "") if self.ecs is not None else ():
            yield f"ecs/{each.cluster}"

    def unserved(self) -> list[str]:
        """Sections that are configured and that nothing here does anything with, as `slack`."""
        sources = [f"sources.{name}" for name in type(self.sources).model_fields if getattr(self.sources, name)]
        sections = [name for name in SECTIONS if getattr(self, name) is not None]
        return [name for name in (*sources, *sections) if name not in SERVED]


def load_settings(path: str | FilePath | None, variables: Mapping[str, str]) -> Settings:
    """The file (None: there is none) with `RECEIVER__*` of `variables` over it; raises SettingsRefused with every problem."""
    document, problems = read_file(FilePath(path)) if path is not None else (Document("defaults", None), [])
    if problems and document.content is None:
        missing = path is not None and not FilePath(path).exists()
        raise SettingsRefused([replace(each, message=f"{each.message}; {NO_FILE}") for each in problems] if missing else problems)
    merged, wrong = lay_over(document, Settings, variables)
    problems += wrong
    content = merged.content if merged.content is not None else {}
    filled = fill_from_files(Settings, merged, content)
    problems += filled.problems
    shown = merged.with_twins(filled.twins)
    settings, wrong, left_out = check_partly(Settings, shown, (), content)
    problems += wrong
    bounds, wrong = check_fields(Bounds(), merged, ("bounds",), _section(content, "bounds"))
    problems += wrong
    problems += _unknown_priorities(merged, content)
    problems += missing_files(content, shown)
    problems += missing_packages(content, shown)
    problems += shared_secrets(settings, shown, filled.twins) if settings is not None else []
    if settings is None or problems:
        whole = settings is not None and not {("rules",), ("priorities",)} & left_out
        rest = settings.model_copy(update={"bounds": bounds}) if settings is not None and whole else None
        raise SettingsRefused(sorted(set(problems)), rest)
    return settings.warned(filled.warnings)


def _section(content: object, name: str) -> Mapping[str, object]:
    raw = content.get(name) if isinstance(content, dict) else None
    return raw if isinstance(raw, dict) else {}


def _unknown_priorities(merged: Merged, content: object) -> list[Problem]:
    """Keys of page_after are read in the configured naming: K's P0 is our P1."""
    asked = content.get("priorities", Naming.p1_p4.value) if isinstance(content, dict) else None
    naming = next((each for each in Naming if each.value == asked), None)
    if naming is None:
        return []  # said already
    allowed = f"is not a priority in the naming {naming.value}; allowed: {', '.join(naming.show(each) for each in Priority)}"
    unknown = [key for key in _section(content, "page_after") if naming.read(key) is None]
    return [merged.problem(("page_after", key), f"{key[:80]!r} {allowed}", at_key=True) for key in unknown]
