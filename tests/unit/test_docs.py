"""The documentation says what the code does: examples are loaded, tables are compared, links lead somewhere.

Law: a fence of YAML says what it is (`yaml rules`, `yaml config`), so that no example goes untested; a table is compared both ways, so
that nothing is missing and nothing is invented. Decisions (`docs/adr`) may speak of what was rejected.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, fields, replace
from datetime import timedelta
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, get_origin

import click
import pytest
from prometheus_client.metrics import MetricWrapperBase
from pydantic import BaseModel

from receiver import cli_client, cli_deciding
from receiver.cli import cli
from receiver.core.ask import ask
from receiver.core.case import Because
from receiver.core.facts import SYSTEM_NAMESPACES, Hazard
from receiver.core.model import Bounds, Mode, Remediation
from receiver.core.plan import QUESTIONS
from receiver.core.prepared import KEYS, RECIPES
from receiver.core.tighten import LARGER_IS_TIGHTER
from receiver.observe.evidence.runner import ORDER
from receiver.ports import TroubleKind
from receiver.quickstart import greeting
from receiver.remediate import ACTIONS
from receiver.rulefiles import check
from receiver.rulefiles.schema import DefaultEntry, DependencyEntry, FileEntry, RuleEntry, ServiceEntry, UrgencyEntry
from receiver.settings import load_settings
from receiver.settings.sections import Configuration
from receiver.store.schema import METADATA
from receiver.telemetry.metrics import Metrics
from receiver.web.api import ROOT as API
from receiver.web.api import ROUTES
from receiver.yamlfile import inner, model_in
from receiver.yamlfile.values import show_duration
from tests.fakes import cases as c

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted({*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "deploy").rglob("*.md"), *(ROOT / "rules").rglob("*.md")})
OURS = [each for each in PAGES if each.parent in (ROOT, DOCS)]

Row = list[str]

_FENCE = re.compile(r"^```(?P<kind>[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]\n]*\]\((?P<to>[^)\s]+)\)")
_TICKED = re.compile(r"`([^`\n]+)`")


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def prose(text: str) -> str:
    """Without fenced blocks."""
    return _FENCE.sub("", text)


def rows(text: str) -> Iterator[Row]:
    """Rows of all tables, cell by cell; an escaped bar is none."""
    for line in prose(text).splitlines():
        if line.startswith("| "):
            yield [each.strip().replace("\\|", "|") for each in re.split(r"(?<!\\)\|", line)[1:-1]]


def table(text: str, *heads: str) -> list[Row]:
    """Rows of every table whose heads begin with these."""
    found: list[Row] = []
    inside = False
    for line in prose(text).splitlines():
        cells = next(rows(line + "\n"), None)
        if cells is None:
            inside = inside and line.startswith("|---")
        elif cells[: len(heads)] == list(heads):
            inside = True
        elif inside:
            found.append(cells)
    assert found, f"no table with the heads {heads}"
    return found


def ticked(cell: str) -> list[str]:
    return _TICKED.findall(cell)


def names(text: str, head: str) -> list[str]:
    """What stands in backticks in the first column of those tables."""
    return [name for row in table(text, head) for name in ticked(row[0])]


def fences(kind: str) -> list[tuple[str, str]]:
    """(page and number, content) of the examples of this kind."""
    return [
        (f"{path.relative_to(ROOT)}#{number}", found["body"])
        for path in OURS
        for number, found in enumerate(_FENCE.finditer(path.read_text(encoding="utf-8")), 1)
        if found["kind"] == kind
    ]


# --- examples ------------------------------------------------------------------------------------------------------------


def test_every_yaml_example_says_what_it_is() -> None:
    kinds = {found["kind"] for path in OURS for found in _FENCE.finditer(path.read_text(encoding="utf-8")) if "yaml" in found["kind"]}
    assert kinds == {"yaml rules", "yaml config", "yaml alertmanager"}


@pytest.mark.parametrize(("place", "body"), fences("yaml rules"))
def test_rule_examples_are_loaded(place: str, body: str, tmp_path: Path) -> None:
    (tmp_path / "50-example.yaml").write_text(body, encoding="utf-8")
    if "\ndefault:" not in body:
        rest = "apiVersion: receiver/v1\nkind: Rules\ndefault: {impact: medium, urgency: medium}\n"
        (tmp_path / "90-default.yaml").write_text(rest, encoding="utf-8")
    assert check([tmp_path], known_actions=ACTIONS) == [], place


@pytest.mark.parametrize(("place", "body"), fences("yaml config"))
def test_config_examples_are_loaded(place: str, body: str, tmp_path: Path) -> None:
    for named in sorted(set(re.findall(r"/run/secrets/([a-z-]+)", body))):
        (tmp_path / named).write_text(f"{named}-0123456789abcdef", encoding="utf-8")
    config = tmp_path / "config.yaml"
    config.write_text(body.replace("/run/secrets/", f"{tmp_path}/"), encoding="utf-8")
    assert load_settings(config, {}).unserved() == [], place


@pytest.mark.parametrize(("place", "body"), fences("yaml alertmanager"))
def test_alertmanager_examples_are_what_the_quickstart_prints(place: str, body: str) -> None:
    greeted = greeting(Path("var"), "127.0.0.1:8080", "mode observe: nothing is ever touched")
    printed = {line.partition("/var")[0].strip() for line in greeted.splitlines()}
    for line in body.splitlines():
        assert any(each.startswith(line.strip().partition(" var/")[0]) for each in printed), (place, line)


# --- configuration and rules ---------------------------------------------------------------------------------------------


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every key below a section, as `api.tokens[].name` and `sources.generic.<name>.map`, with its default as the reader would write it."""
    for name, field in model.model_fields.items():
        path = f"{prefix}{name}"
        below = sections(field.annotation)
        if below is None or field.default is None or field.is_required() or below[0]:
            yield path, "required" if field.is_required() else field.get_default(call_default_factory=True)
        if below is not None:
            yield from keys(below[1], f"{path}{below[0]}.")


def sections(annotation: Any) -> tuple[str, type[BaseModel]] | None:
    if (own := model_in(annotation)) is not None:
        return "", own
    each = model_in(inner(annotation))
    return None if each is None else (".<name>" if get_origin(annotation) is dict else "[]", each)


def written(value: Any) -> str:
    """A default, as the tables write it."""
    if isinstance(value, Enum):
        return str(value.value)
    if value in (None, (), {}):
        return "none"
    if isinstance(value, tuple):
        return ", ".join(map(written, value))
    if isinstance(value, timedelta):
        return show_duration(value)
    if isinstance(value, Path):
        return f"{value}/"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) or "empty"


def plain_default(cell: str) -> str:
    return cell.replace("`", "")


def test_configuration_names_every_key_and_its_default() -> None:
    told = {ticked(row[0])[0]: plain_default(row[2]) for row in table(page("configuration.md"), "key", "unit", "default")}
    known = {path: written(default) for path, default in keys(Configuration)}
    known["limits.body"] = "16MiB"
    assert known.keys() == told.keys()
    assert {key: value for key, value in told.items() if value != known[key]} == {}


def test_the_rules_reference_names_every_key() -> None:
    top = set(FileEntry.model_fields)
    urgency = {path for path, _ in keys(UrgencyEntry, "urgency.")}
    known = {f"services[].{path}" for path, _ in keys(ServiceEntry)}
    known |= {f"dependencies[].{path}" for path, _ in keys(DependencyEntry)}
    known |= {f"rules[].{path}" for path in urgency | {path for path, _ in keys(RuleEntry)}}
    known |= {f"default.{path}" for path in urgency | {path for path, _ in keys(DefaultEntry)} if "[]" not in path}
    assert top | known == set(names(page("rules.md"), "key"))


def test_the_rules_reference_names_every_action() -> None:
    (row,) = (each for each in table(page("rules.md"), "key") if "`rules[].remediate[].action`" in each[0])
    assert set(ticked(row[3])) == set(ACTIONS)


def test_every_prepared_command_is_told_with_its_values_and_its_way_back() -> None:
    told = {ticked(row[0])[0]: (row[1], set(ticked(row[2])), row[3]) for row in table(page("prepared.md"), "prepared", "does", "values")}
    assert told == {name: (each.title[0], set(each.keys), each.no_reverse[0] or "yes") for name, each in RECIPES.items()}


def test_every_value_of_a_prepared_command_is_told_with_its_default() -> None:
    told = {ticked(row[0])[0]: (row[1].strip("`"), row[2]) for row in table(page("prepared.md"), "value", "default", "means")}
    assert told.keys() == KEYS.keys()
    for name, key in KEYS.items():
        default, means = told[name]
        assert means == key.means
        assert default == key.default or (not key.default and default in ("a gap", "none"))


# --- bounds and reasons --------------------------------------------------------------------------------------------------


def test_bounds_are_told_with_their_true_defaults_and_directions() -> None:
    told = {ticked(row[0])[0]: (row[1], row[2]) for row in table(page("bounds.md"), "bound", "default", "tighter")}
    known: dict[str, tuple[str, str]] = {}
    for each in fields(Bounds):
        assert each.default is not MISSING
        default = show_duration(each.default) if isinstance(each.default, timedelta) else f"{each.default:g}"
        known[each.name] = (default, "larger" if each.name in LARGER_IS_TIGHTER else "smaller")
    assert told == known


def test_every_bound_is_told_with_its_reason() -> None:
    reasons = {ticked(row[0])[0]: row[5] for row in table(page("bounds.md"), "bound", "default", "tighter", "means", "refuses with", "why")}
    assert reasons.keys() == {each.name for each in fields(Bounds)}
    assert {name for name, why in reasons.items() if len(why.split()) < 4} == set()


def test_every_because_is_told() -> None:
    text = page("bounds.md")
    refusing = [name for row in table(text, "bound") for name in ticked(row[4])] + names(text, "refuses with")
    assert {*refusing, *names(text, "because")} == {each.value for each in Because}


def test_only_reasons_that_nothing_gives_are_reserved() -> None:
    told = {ticked(row[0])[0] for row in table(page("bounds.md"), "because") if row[1].startswith("reserved")}
    source = code(lambda path: "wording" not in path.parts and path.name != "case.py")
    assert told == {each.value for each in Because if f"Because.{each.name}" not in source}


def test_every_hazard_is_told() -> None:
    assert set(names(page("bounds.md"), "hazard")) == {each.value for each in Hazard}


def test_every_namespace_that_is_never_acted_in_is_told() -> None:
    told = next(each for each in page("bounds.md").split("\n\n") if each.startswith("**The namespaces"))
    assert set(ticked(told)) == SYSTEM_NAMESPACES


# --- metrics -------------------------------------------------------------------------------------------------------------


def ours() -> dict[str, MetricWrapperBase]:
    """Attribute → metric."""
    found = vars(Metrics(version="docs"))
    return {name: each for name, each in found.items() if isinstance(each, MetricWrapperBase)}


def full_name(metric: MetricWrapperBase) -> str:
    kind, name = metric._type, metric._name
    return f"{name}_total" if kind == "counter" else name


def test_every_metric_is_told_with_its_type_and_labels() -> None:
    told = {ticked(row[0])[0]: (row[1], tuple(ticked(row[2]))) for row in table(page("metrics.md"), "metric")}
    assert told == {full_name(each): (each._type, tuple(each._labelnames)) for each in ours().values()}


def test_only_metrics_that_nobody_counts_are_told_as_such() -> None:
    told = {ticked(row[0])[0] for row in table(page("metrics.md"), "metric") if "not counted yet" in row[3] or "not set yet" in row[3]}
    elsewhere = code(lambda path: path.name != "metrics.py")
    own = (ROOT / "receiver/telemetry/metrics.py").read_text(encoding="utf-8")
    filled = own[own.index("self.build_info.labels(") :].partition("\n")[0] + own[own.index("def take(") :]
    used = {name for name in ours() if re.search(rf"\.{name}\b", elsewhere + filled)}
    assert told == {full_name(metric) for name, metric in ours().items() if name not in used}


def test_expressions_name_metrics_that_exist() -> None:
    known = {full_name(each) for each in ours().values()}
    text = "".join(each.read_text(encoding="utf-8") for each in OURS)
    named = set(re.findall(r"\breceiver_[a-z_]+\b", text))
    assert named <= known, named - known


# --- routes and commands -------------------------------------------------------------------------------------------------


def test_the_api_is_told_with_its_scopes() -> None:
    told = {(row[0], ticked(row[1])[0], row[2]) for row in table(page("api.md"), "method", "path", "scope") if API in row[1]}
    known = {(each.method, API + re.sub(r"\{id:[^}]*\}+", "{id}", each.path), each.scope.value) for each in ROUTES}
    assert told == known | {("GET", f"{API}/openapi.json", "read")}


def commands() -> Mapping[str, click.Command]:
    if "incidents" not in cli.commands:
        for each in (cli_client, cli_deciding):
            each.register(cli, lambda _: ("http://127.0.0.1:1", None))
    return cli.commands


def options(command: click.Command) -> set[str]:
    return {name for each in command.params if isinstance(each, click.Option) for name in each.opts if name.startswith("--")}


COMMON = {"--output", "--url", "--token-file", "--config"}


def test_every_command_is_told_with_its_options() -> None:
    told = {ticked(row[0])[0].split()[1]: set(ticked(row[1])) for row in table(page("api.md"), "command", "options")}
    known = {name: options(each) - (COMMON if "--url" in options(each) else set()) for name, each in commands().items()}
    assert told == known


@pytest.mark.parametrize("path", [each for each in PAGES if each.parent.name != "adr"], ids=lambda each: str(each.relative_to(ROOT)))
def test_every_command_that_is_told_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    spoken = [
        line for found in _FENCE.finditer(text) for line in found["body"].splitlines() if re.match(r"\s*(\$ )?(\S*/)?receiver ", line)
    ]
    named = re.findall(
        r"\breceiver ([a-z]+)\b", "\n".join([*spoken, *(each for each in ticked(prose(text)) if each.startswith("receiver "))])
    )
    assert set(named) <= commands().keys(), set(named) - commands().keys()


def test_every_make_target_that_is_told_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    text = "".join(each.read_text(encoding="utf-8") for each in OURS)
    named = {target for each in [*ticked(text), *text.splitlines()] for target in re.findall(r"^make ([a-z-]+)", each)}
    assert named
    assert {each for each in named if not re.search(rf"^{each}:", makefile, re.MULTILINE)} == set()


# --- architecture and runbook --------------------------------------------------------------------------------------------


@cache
def everything() -> tuple[tuple[Path, str], ...]:
    return tuple((path, path.read_text(encoding="utf-8")) for path in sorted((ROOT / "receiver").rglob("*.py")))


def code(wanted: Callable[[Path], bool]) -> str:
    return "\n".join(text for path, text in everything() if wanted(path))


def test_every_own_trouble_is_told() -> None:
    assert set(names(page("runbook.md"), "kind")) == {each.value for each in TroubleKind}


def test_every_table_of_the_store_is_told() -> None:
    assert set(names(page("architecture.md"), "table")) == set(METADATA.tables)


def test_every_failpoint_is_told() -> None:
    placed = set(re.findall(r'failpoint\("([a-z.]+)"\)', code(lambda _: True)))
    assert set(names(page("architecture.md"), "failpoint")) == placed


def test_the_order_of_the_questions_is_told() -> None:
    assert names(page("architecture.md"), "question") == [each.__name__ for each in QUESTIONS]


def test_every_piece_of_evidence_is_told_in_its_order() -> None:
    assert names(page("runbook.md"), "piece") == list(ORDER)


def test_every_annotation_that_is_told_is_read() -> None:
    told = {each.rpartition("/")[2] for each in names(page("runbook.md"), "annotation")}
    read = set(re.findall(r'f"\{PREFIX\}([a-z-]+)"', code(lambda path: path.name == "consent.py"))) | {"migration"}
    assert told == read


def test_every_room_is_told() -> None:
    told = {each.partition("/")[0] for each in names(page("architecture.md"), "room")}
    rooms = {each.name for each in (ROOT / "receiver").iterdir() if not each.name.startswith("_") and each.name != "py.typed"}
    assert told == rooms


@pytest.mark.parametrize("path", [each for each in PAGES if each.name != "CHANGELOG.md"], ids=lambda each: str(each.relative_to(ROOT)))
def test_every_file_that_is_named_exists(path: Path) -> None:
    named = {
        each
        for each in ticked(prose(path.read_text(encoding="utf-8")))
        if re.fullmatch(r"[\w./-]+/[\w.-]*\.(py|sh|md|toml)|[a-z]+(/[\w-]+)+/", each)
    }
    roots = (ROOT, ROOT / "receiver", path.parent)
    missing = {each for each in named if not any((root / each).exists() for root in roots) and not each.startswith(("var/", "/"))}
    assert not missing


# --- links ---------------------------------------------------------------------------------------------------------------


def anchors(path: Path) -> set[str]:
    """As GitHub makes them."""
    heads = re.findall(r"^#+ (.+)$", prose(path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in heads}


@pytest.mark.parametrize("path", PAGES, ids=lambda each: str(each.relative_to(ROOT)))
def test_every_link_leads_somewhere(path: Path) -> None:
    broken: list[str] = []
    for to in (found["to"] for found in _LINK.finditer(prose(path.read_text(encoding="utf-8")))):
        if to.startswith(("http://", "https://")):
            continue
        name, _, anchor = to.partition("#")
        target = (path.parent / name).resolve() if name else path
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(to)
    assert not broken


def test_every_page_is_reached_from_the_readme() -> None:
    links = {found["to"].partition("#")[0] for found in _LINK.finditer((ROOT / "README.md").read_text(encoding="utf-8"))}
    assert {f"docs/{each.name}" for each in DOCS.glob("*.md")} <= links


def test_the_readme_names_every_action() -> None:
    assert set(ACTIONS) <= set(ticked((ROOT / "README.md").read_text(encoding="utf-8")))


# --- what operators read of remediation ----------------------------------------------------------------------------------


def test_the_operators_page_lists_every_action() -> None:
    assert set(names(page("remediation.md"), "action")) == set(ACTIONS)


def test_the_operators_page_speaks_of_bounds_and_reasons_that_exist() -> None:
    spoken = {each for each in ticked(page("remediation.md")) if re.fullmatch(r"[a-z]+_[a-z_]+", each)}
    known = {each.name for each in fields(Bounds)} | {each.value for each in Because} | {"actions_file"}
    assert spoken - known == set()
    assert len(spoken) > 10


@pytest.mark.parametrize("action", sorted(ACTIONS))
def test_what_the_operators_page_says_asks_a_person_does_so(action: str) -> None:
    tiers = {ticked(row[0])[0]: row[3].partition(",")[0] for row in table(page("remediation.md"), "action", "on", "changes", "tier")}
    rule = replace(c.rule(Remediation(action)), mode=Mode.auto)
    told = ask(c.case(rule=rule, policy=c.policy(actions=frozenset(ACTIONS), nodes=True), facts=()), 0, c.T0).mode
    assert told is (Mode.approve if tiers[action] == "T3" else Mode.auto)
