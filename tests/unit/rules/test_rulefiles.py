"""Rule files: what is loaded, and every error with file, line, column and what is allowed."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.core.case import Policy
from receiver.core.model import Bounds, BreadthKind, Level, Mode, Naming, Priority, Symptom, TargetRef
from receiver.rulefiles import RulesRefused, check, load

ACTIONS = frozenset({"kubernetes.scale", "kubernetes.rollout_restart", "kubernetes.rollout_undo"})
HEAD = "apiVersion: receiver/v1\nkind: Rules\n"
DEFAULT = "default: {impact: medium, urgency: medium, remediate: []}\n"
FULL = """\
matrix:
  high:   {high: P1, medium: P1, low: P3}
  medium: {high: P2, medium: P3, low: P4}
  low:    {high: P3, medium: P4, low: P4}
services:
  - name: checkout
    targets:
      - {kubernetes: {namespace: shop, kind: Deployment, name: checkout}}
      - {ecs: {cluster: app, service: checkout}}
    labels: {app: checkout}
    impact: high
    tags: [revenue]
    links: {runbook: "https://wiki.example.com/checkout"}
    probe: https://checkout.example.com/healthz
    bounds: {cooldown: 20m}
  - name: workers
    targets: [{kubernetes: {namespace: shop, kind: Deployment, name: workers}}]
rules:
  - name: crash
    match: ['alertname=~"KubePodCrashLooping|KubeContainerWaiting"', 'namespace="shop", severity!="info"']
    symptom: crash
    impact: low
    urgency: high
    breadth: {query: 'errors{namespace="$namespace"}', medium: 10%, high: 0.3}
    mode: auto
    remediate:
      - {action: kubernetes.rollout_undo, mode: approve, bounds: {rollout_younger_than: 30m, incident_actions: 1}}
      - {action: kubernetes.scale, on: workers, step: 50%, max: 20}
      - {action: kubernetes.scale, step: 2}
    verify: {query: 'sum(x{namespace="$namespace"})', below: 0.05, above: 0, probe: true, rollout: true,
             settle: 3m, stable: 20m, every: 30s}
    page: {after: 0s}
  - name: watchdog
    match: alertname="Watchdog"
    heartbeat: {every: 1m, armed: true}
  - name: by-label
    match: alertname="X"
    urgency: {label: severity, map: {critical: high, info: low}}
  - name: quiet
    match: alertname="Y"
    ignore: true
  - name: beat
    match: alertname="Z"
    heartbeat: true
default: {impact: low, urgency: medium, remediate: []}
"""


def write(folder: Path, text: str, name: str = "x.yaml") -> Path:
    (folder / name).write_text(HEAD + text)
    return folder


def found(folder: Path, text: str, policy: Policy | None = None) -> list[str]:
    write(folder, text)
    return [str(each).removeprefix(f"{folder}/") for each in check([folder], known_actions=ACTIONS, policy=policy)]


def of_rule(folder: Path, *lines: str, services: str = "") -> list[str]:
    """What is said of a rule whose keys after its name and match are `lines`, from line 5 on."""
    return found(
        folder, 'rules:\n  - name: r\n    match: alertname="A"\n' + "".join(f"    {each}\n" for each in lines) + services + DEFAULT
    )


# --- what is loaded ------------------------------------------------------------------------------------------------------


def test_every_field_of_a_rule_arrives(tmp_path: Path) -> None:
    rule = load([write(tmp_path, FULL)], known_actions=ACTIONS).rules[0]
    assert [str(each) for each in rule.matchers] == [
        'alertname=~"KubePodCrashLooping|KubeContainerWaiting"',
        'namespace="shop"',
        'severity!="info"',
    ]
    assert (rule.symptom, rule.impact, rule.urgency, rule.mode, rule.page_after) == (
        Symptom.crash,
        Level.low,
        Level.high,
        Mode.auto,
        timedelta(0),
    )
    assert rule.breadth is not None
    assert (rule.breadth.kind, rule.breadth.medium, rule.breadth.high) == (BreadthKind.query, 0.1, 0.3)
    assert (rule.file, rule.line) == (str(tmp_path / "x.yaml"), 21)


def test_the_ladder_arrives_with_its_bounds_tightened(tmp_path: Path) -> None:
    undo, scale, last = load([write(tmp_path, FULL)], known_actions=ACTIONS).rules[0].remediate
    assert (undo.action, undo.mode) == ("kubernetes.rollout_undo", Mode.approve)
    assert undo.bounds == Bounds(rollout_younger_than=timedelta(minutes=30), incident_actions=1)
    assert (scale.on, scale.step, scale.max, scale.mode, scale.bounds) == ("workers", "50%", 20, None, None)
    assert last.step == "2"


def test_the_verification_arrives(tmp_path: Path) -> None:
    verify = load([write(tmp_path, FULL)], known_actions=ACTIONS).rules[0].verify
    assert verify is not None
    assert (verify.below, verify.above, verify.probe, verify.rollout) == (0.05, 0, True, True)
    assert (verify.settle, verify.stable, verify.every) == (timedelta(minutes=3), timedelta(minutes=20), timedelta(seconds=30))


def test_the_catalogue_arrives(tmp_path: Path) -> None:
    service = load([write(tmp_path, FULL)], known_actions=ACTIONS, policy=Policy(cluster="prod")).services["checkout"]
    assert service.targets[0] == TargetRef("kubernetes", "prod", "shop", "Deployment", "checkout")
    assert service.targets[1] == TargetRef("ecs", "prod", "app", "Service", "checkout")
    assert (service.impact, service.tags, service.labels) == (Level.high, ("revenue",), {"app": "checkout"})
    assert (service.links, service.probe) == ({"runbook": "https://wiki.example.com/checkout"}, "https://checkout.example.com/healthz")
    assert service.bounds == Bounds(cooldown=timedelta(minutes=20))


def test_heartbeats_labels_and_ignored_rules_arrive(tmp_path: Path) -> None:
    rules = load([write(tmp_path, FULL)], known_actions=ACTIONS)
    _, watchdog, by_label, quiet, beat = rules.rules
    assert watchdog.heartbeat is not None
    assert (watchdog.heartbeat.every, watchdog.heartbeat.armed) == (timedelta(minutes=1), True)
    assert (by_label.urgency, by_label.urgency_label, by_label.urgency_map) == (
        None,
        "severity",
        {"critical": Level.high, "info": Level.low},
    )
    assert quiet.ignore
    assert beat.heartbeat is not None
    assert beat.heartbeat.every == timedelta(minutes=5)
    assert rules.heartbeats == (watchdog, beat)


def test_the_default_and_the_matrix_arrive(tmp_path: Path) -> None:
    rules = load([write(tmp_path, FULL)], known_actions=ACTIONS)
    assert (rules.default.name, rules.default.impact, rules.default.is_default) == ("default", Level.low, True)
    assert rules.priority(Level.high, Level.medium) is Priority.p1


def test_priorities_are_read_in_the_configured_naming(tmp_path: Path) -> None:
    from_zero = FULL.replace("P1", "P0").replace("P2", "P1").replace("P3", "P2").replace("P4", "P3")
    rules = load([write(tmp_path, from_zero)], known_actions=ACTIONS, policy=Policy(naming=Naming.p0_p3))
    assert rules.priority(Level.high, Level.high) is Priority.p1
    assert rules.priority(Level.low, Level.low) is Priority.p4
    assert "'P0' is not a priority in the naming P1-P4; allowed: P1, P2, P3, P4" in str(check([tmp_path], known_actions=ACTIONS)[0])


def test_files_merge_in_name_order(tmp_path: Path) -> None:
    write(tmp_path, 'rules: [{name: b, match: alertname="A"}]\n', "20.yaml")
    write(tmp_path, 'rules: [{name: a, match: alertname="A"}]\n', "10.yml")
    write(tmp_path, DEFAULT, "90.yaml")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "x.yaml").write_text("not: rules")
    (tmp_path / "notes.txt").write_text("not rules")
    assert [each.name for each in load([tmp_path], known_actions=ACTIONS).rules] == ["a", "b"]


def test_the_hash_is_of_the_content_not_of_its_layout(tmp_path: Path) -> None:
    first = load([write(tmp_path, FULL)], known_actions=ACTIONS).hash
    same = load([write(tmp_path, "# a comment\n" + FULL.replace("P1, medium: P1", "P1,   medium: P1"))], known_actions=ACTIONS).hash
    other = load([write(tmp_path, FULL.replace("settle: 3m", "settle: 4m"))], known_actions=ACTIONS).hash
    assert first == same != other
    assert len(first) == 64


# --- what is refused -----------------------------------------------------------------------------------------------------

ROWS = "medium: {high: P2, medium: P3, low: P4}, low: {high: P3, medium: P4, low: P4}"
SCALE = "remediate: [{action: kubernetes.scale}]"
WELL = "verify: {rollout: true}"


@pytest.mark.parametrize(
    "lines,expected",
    [
        (["urgenci: high"], "6:5: rules[0].urgenci: unknown key 'urgenci' (did you mean 'urgency'?); allowed: name, match,"),
        (["urgency: hgh"], "6:14: rules[0].urgency: 'hgh' is not one of the allowed values; allowed: low, medium, high"),
        (["mode: on"], "6:11: rules[0].mode: 'on' is not one of the allowed values; allowed: observe, approve, auto"),
        (["symptom: sad"], "allowed: crash, saturation, errors, latency, unavailable, data, security, other"),
        (["ignore: yes"], "6:13: rules[0].ignore: 'yes' is not true or false; allowed: true, false"),
        (["urgency: {label: severity, map: {critical: hi}}"], "6:48: rules[0].urgency.map.critical: 'hi' is not one of"),
        (["urgency: {label: severity, map: {}}"], "6:37: rules[0].urgency.map: a mapping has too few entries; the fewest are 1"),
        (["page: {after: 5}"], "6:19: rules[0].page.after: 5 is not a duration; write it as 90s, 5m, 1h30m or 2d"),
        (["page: {after: 2h}"], "6:19: rules[0].page.after: 2h is later than the policy's 1h"),
        (["impact: high", "urgency: high", "page: {after: 1m}"], "8:19: rules[0].page.after: 1m is later than the policy's 0s"),
        (["remediate: [{action: kubernetes.delete}]", WELL], "'kubernetes.delete' is not an action; allowed: kubernetes.rollout_restart,"),
        (["remediate: [{max: 5}]", WELL], "key 'action' is missing"),
        (["remediate: [{action: kubernetes.scale, on: nope}]", WELL], "6:48: rules[0].remediate[0].on: 'nope' is no service of the cat"),
        (["remediate: [{action: kubernetes.scale, max: ten}]", WELL], "6:49: rules[0].remediate[0].max: 'ten' is not a whole number"),
        (["remediate: [{action: kubernetes.scale, max: 0}]", WELL], "0 must be at least 1"),
        (["remediate: [{action: kubernetes.scale, step: 80%}]", WELL], "loosens the policy's 50%; a rule may only tighten (bounds.scale"),
        (["remediate: [{action: kubernetes.scale, step: 11}]", WELL], "10; a rule may only tighten (bounds.scale_step_"),
        (["remediate: [{action: kubernetes.scale, step: many}]", WELL], "is not a step; write a count as 2, or a share"),
        (["remediate: [{action: kubernetes.rollout_restart, max: 3}]", WELL], "max: belongs to a scale action"),
        (["remediate: [{action: kubernetes.scale}, {action: kubernetes.scale}]", WELL], "6:54: rules[0].remediate[1].action: 'kubernete"),
        (["remediate: [{action: kubernetes.scale, bounds: {cooldown: 1m}}]", WELL], "6:63: rules[0].remediate[0].bounds.cooldown: 1m loos"),
        (["remediate: [{action: kubernetes.scale, bounds: {target_day: 9}}]", WELL], "9 loosens the policy's 4"),
        (["remediate: [{action: kubernetes.scale, bounds: {cooldwn: 1h}}]", WELL], "'cooldwn' (did you mean 'cooldown'?); allowed: al"),
        (["remediate: [{action: kubernetes.scale, bounds: {cooldown: 20}}]", WELL], "20 is not a duration"),
        ([SCALE], "4:5: rules[0]: key 'verify' is missing: a rule that acts says how its cure is proved"),
        ([SCALE, "verify: {settle: 1m}"], "7:13: rules[0].verify: names no proof"),
        ([SCALE, "symptom: saturation", WELL], "8:13: rules[0].verify: new pods do not prove that a saturation is over"),
        ([SCALE, "verify: {query: up}"], "7:13: rules[0].verify: the query gives a value that the receiver compares: below: or above: is"),
        ([SCALE, "verify: {query: up > 0}"], "compares inside PromQL, so a healthy service would answer with nothing"),
        ([SCALE, "verify: {query: 'x{pod=\"$pod\"}', below: 1}"], "$pod is not a placeholder; allowed: $namespace, $workload, $service,"),
        ([SCALE, "verify: {rollout: true, below: 1}"], "below: needs a query: to compare with"),
        ([SCALE, "verify: {query: up, below: 1, above: 2}"], "no value is above 2 and below 1"),
        ([SCALE, "verify: {query: up, below: .nan}"], "'.nan' is not a number"),
        ([SCALE, "verify: {rollout: true, settle: 20m}"], "20m is longer than the whole verification may take (11m"),
        ([SCALE, "verify: {alarm: true}"], "7:13: rules[0].verify: names no proof"),
        (["symptom: saturation", SCALE, "verify: {rollout: true, alarm: true}"], "new pods do not prove that a saturation is over"),
        ([SCALE, "verify: {probe: true}"], "7:21: rules[0].verify.probe: no service of the catalogue has a probe: address"),
        (["page_only: true", SCALE, WELL], "6:16: rules[0].page_only: page_only: true forbids remediate:"),
        (["symptom: data", SCALE, WELL], "symptom data is never remediated"),
        (["heartbeat: true", "page_only: true"], "6:16: rules[0].heartbeat: heartbeat: makes no incident"),
        (["heartbeat: true", "ignore: true"], "exclude each other"),
        (["heartbeat: {every: 0s}"], "must be at least"),
        (["breadth: {replicas: true, query: x}"], "6:14: rules[0].breadth: names exactly one share"),
        (["breadth: {replicas: true, medium: 60%}"], "medium (60%) must be above 0% and below high (50%)"),
        (["breadth: {replicas: true, high: 120%}"], "'120%' is not between 0% and 100%"),
        (["breadth: {query: 'x{a=\"$alert\"}'}"], "$alert is not a placeholder"),
    ],
)  # fmt: skip
def test_an_error_names_its_place_and_what_is_allowed(tmp_path: Path, lines: list[str], expected: str) -> None:
    said = of_rule(tmp_path, *lines)
    assert len(said) == 1, said
    assert expected in said[0]
    assert said[0].startswith("x.yaml:")


@pytest.mark.parametrize(
    "text,expected",
    [
        ("rules: [{name: r, match: ['alertname=~\"(a\"']}]\n", "x.yaml:3:27: rules[0].match[0]: regular expression '(a' is not RE2: mis"),
        ("rules: [{name: r, match: ['alertname=~\"(?=a)\"']}]\n", "is not RE2"),
        ("rules: [{name: r, match: [alertname]}]\n", "'alertname' at character 1: expected label"),
        ("rules: [{name: r, match: [5]}]\n", "is not a matcher; write it in quotes"),
        ("rules: [{name: r, match: []}]\n", "key 'match' is missing"),
        ("rules: [{match: 'a=\"b\"'}]\n", "x.yaml:3:9: rules[0]: key 'name' is missing"),
        ("rules: [{name: default, match: 'a=\"b\"'}]\n", "'default' is reserved"),
        ("rules: [{name: receiver-trouble, match: 'a=\"b\"'}]\n", "'receiver-trouble' is reserved"),
        ("rules: [{name: 'a b', match: 'a=\"b\"'}]\n", "'a b' is not a name"),
        ("rules: [{name: r, match: 'a=\"b\"'}, {name: r, match: 'a=\"c\"'}]\n", "rules[1].name: rule 'r' is already in"),
        ("rules: {}\n", "x.yaml:3:8: rules: a mapping is not a list"),
        ("matrix: ''\n", "x.yaml:3:9: matrix: a text is not a mapping"),
        ("matrix: false\n", "matrix: true or false is not a mapping"),
        ("rules: 0\n", "rules: a number is not a list"),
        ("rules: [r]\n", "rules[0]: a text is not a mapping"),
        ("ruls: []\n", "x.yaml:3:1: ruls: unknown key 'ruls' (did you mean 'rules'?); allowed: apiVersion, kind, matrix, services"),
        ("rules: []\nrules: []\n", "x.yaml:4:1: key 'rules' is already given in line 3"),
        ("services: [{name: s}]\n", "a service needs targets: or labels:"),
        ("services: [{labels: {a: b}}]\n", "services[0]: key 'name' is missing"),
        ("services: [{name: s, labels: {a: b}}, {name: s, labels: {a: b}}]\n", "service 's' is already in"),
        ("services: [{name: s, targets: [{}]}]\n", "a target names exactly one platform; allowed: kubernetes, ecs"),
        ("services: [{name: s, targets: [{kubernetes: {namespace: A, kind: Deployment, name: a}}]}]\n", "'A' is not an RFC 1123 label"),
        ("services: [{name: s, targets: [{kubernetes: {namespace: a, kind: Deployment, name: a_b}}]}]\n", "'a_b' is not an RFC 1123 name"),
        ("services: [{name: s, targets: [{kubernetes: {namespace: a, kind: Pod, name: a}}]}]\n", "allowed: Deployment, StatefulSet, Daem"),
        ("services: [{name: s, targets: [{kubernetes: {namespace: shop, kind: Deployment}}]}]\n", "key 'name' is missing"),
        ("services: [{name: s, labels: {a: b}, links: {x: 'ftp://a'}}]\n", "links.x: 'ftp://a' is not an http or https address"),
        ("services: [{name: s, labels: {a: b}, probe: 'javascript:alert(1)'}]\n", "is not an http or https address"),
        ("services: [{name: s, labels: {a: b}, bounds: {cooldown: 1m}}]\n", "1m loosens the policy's 10m"),
        ("matrix: {high: {high: P1, medium: P2, low: P3}}\n", "matrix: row 'low' is missing"),
        ("matrix: {high: {high: P1, medium: P2}, " + ROWS + "}\n", "cell 'low' is missing: impact high, urgency low"),
        ("matrix: {high: {high: P9, medium: P2, low: P3}, " + ROWS + "}\n", "x.yaml:3:23: matrix.high.high: 'P9' is not a priority in the"),
        ("matrix: {high: {high: P3, medium: P2, low: P3}, " + ROWS + "}\n", "P3 is less urgent than P2"),
        ("matrix: {hi: {}, high: {high: P1, medium: P2, low: P3}, " + ROWS + "}\n", "unknown impact 'hi'; allowed: low, medium, high"),
    ],
)  # fmt: skip
def test_an_error_of_a_section_names_its_place(tmp_path: Path, text: str, expected: str) -> None:
    said = found(tmp_path, text + DEFAULT)
    assert any(expected in each for each in said), said


@pytest.mark.parametrize(
    "text,expected",
    [
        ("", "no file holds default:"),
        ("default: {}\n", "key 'impact' is missing"),
        ("default: {impact: medium}\n", "key 'urgency' is missing"),
        ("default: {impact: medium, urgency: medium, remediate: [{action: kubernetes.scale}]}\n", "the default never acts"),
        ("default: {impact: medium, urgency: medium, mode: auto}\n", "unknown key 'mode'"),
    ],
)
def test_a_default_is_required_and_never_acts(tmp_path: Path, text: str, expected: str) -> None:
    assert any(expected in each for each in found(tmp_path, text))


@pytest.mark.parametrize(
    "text", ["", "apiVersion: receiver/v2\nkind: Rules\n", "kind: Rules\n", "apiVersion: receiver/v1\nkind: Tests\n", "[]", "5", "a: &x 1"]
)
def test_a_file_that_is_something_else_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    assert check([tmp_path], known_actions=ACTIONS)
    with pytest.raises(RulesRefused):
        load([tmp_path], known_actions=ACTIONS)


def test_all_errors_of_all_files_are_reported_at_once(tmp_path: Path) -> None:
    write(
        tmp_path,
        "rules:\n  - {name: a, match: x, urgency: hi, mode: no, remediate: [{action: a, max: x}, {action: b, on: c}], page: {after: 1}}\n",
        "1.yaml",
    )
    write(tmp_path, "rules:\n  - {name: b}\nextra: 1\n", "2.yaml")
    write(tmp_path, "a: [\n", "3.yaml")
    said = "\n".join(map(str, check([tmp_path], known_actions=ACTIONS)))
    for each in (
        "'x' at character", "urgency: 'hi'", "mode: 'no'", "action: 'a' is not an action", "max: 'x'", "action: 'b' is not an action",
        "on: 'c'", "after: 1", "2.yaml:4:5: rules[0]: key 'match'", "2.yaml:5:1: extra", "3.yaml",
    ):  # fmt: skip
        assert each in said
    with pytest.raises(RulesRefused) as refused:
        load([tmp_path], known_actions=ACTIONS)
    assert "\n".join(map(str, refused.value.problems)) == said


@pytest.mark.parametrize("section", ["matrix", "default"])
def test_what_may_stand_once_is_refused_twice_with_both_places(tmp_path: Path, section: str) -> None:
    text = {"default": DEFAULT, "matrix": FULL[: FULL.index("services:")]}[section]
    write(tmp_path, text, "1.yaml")
    write(tmp_path, text + (DEFAULT if section == "matrix" else ""), "2.yaml")
    (said,) = map(str, check([tmp_path], known_actions=ACTIONS))
    line, column = (4, 3) if section == "matrix" else (3, 10)
    assert said.startswith(f"{tmp_path}/2.yaml:{line}:{column}: {section}: ")
    assert said.endswith(f"is already given in {tmp_path}/1.yaml:{line}; keep one of them")


def test_a_target_of_two_services_is_refused(tmp_path: Path) -> None:
    target = "targets: [{kubernetes: {namespace: shop, kind: Deployment, name: a}}]"
    said = found(tmp_path, f"services:\n  - {{name: s, {target}}}\n  - {{name: t, {target}}}\n" + DEFAULT)
    assert len(said) == 1
    assert "target kubernetes/default/shop/Deployment/a is already in" in said[0]


def test_a_probe_is_asked_of_the_service_that_the_matchers_pin(tmp_path: Path) -> None:
    services = "services:\n  - {name: a, labels: {app: a}}\n  - {name: b, labels: {app: b}, probe: 'https://b.example'}\n"
    rule = "rules:\n  - {name: r, match: 'app=\"%s\"', remediate: [{action: kubernetes.scale}], verify: {probe: true}}\n"
    assert "service 'a' has no probe: address" in found(tmp_path, services + rule % "a" + DEFAULT)[0]
    assert found(tmp_path, services + rule % "b" + DEFAULT) == []
    assert found(tmp_path, services + rule % "c" + DEFAULT) == []


def test_a_rule_is_measured_against_the_configured_bounds(tmp_path: Path) -> None:
    policy = Policy(bounds=Bounds(cooldown=timedelta(hours=1)), page_after={each: timedelta(minutes=1) for each in Priority})
    said = found(tmp_path, FULL, policy)
    assert any("20m loosens the policy's 1h" in each for each in said)
    assert len(said) == 1


def test_a_broken_file_thins_out_nothing(tmp_path: Path) -> None:
    write(tmp_path, FULL, "1.yaml")
    write(tmp_path, "rules: [{name: late, match: nothing}]\n", "2.yaml")
    with pytest.raises(RulesRefused):
        load([tmp_path], known_actions=ACTIONS)


# --- which files ---------------------------------------------------------------------------------------------------------


def test_a_link_out_of_the_directory_is_refused(tmp_path: Path) -> None:
    inside, outside = tmp_path / "rules", tmp_path / "elsewhere"
    inside.mkdir()
    outside.mkdir()
    write(outside, DEFAULT, "secret.yaml")
    (inside / "x.yaml").symlink_to(outside / "secret.yaml")
    said = [str(each) for each in check([inside], known_actions=ACTIONS)]
    assert any("is a link out of" in each for each in said)


def test_the_links_of_a_config_map_are_followed(tmp_path: Path) -> None:
    (tmp_path / "..2026_01_05").mkdir()
    write(tmp_path / "..2026_01_05", DEFAULT)
    (tmp_path / "..data").symlink_to("..2026_01_05")
    (tmp_path / "x.yaml").symlink_to("..data/x.yaml")
    assert load([tmp_path], known_actions=ACTIONS).default.impact is Level.medium


def test_missing_paths_and_odd_files_are_refused(tmp_path: Path) -> None:
    assert "does not exist" in str(check([tmp_path / "nope"], known_actions=ACTIONS)[0])
    (tmp_path / "x.yaml").symlink_to(tmp_path / "gone.yaml")
    assert "is not a regular file" in str(check([tmp_path], known_actions=ACTIONS)[0])


def test_a_file_named_twice_is_read_once(tmp_path: Path) -> None:
    write(tmp_path, FULL)
    assert len(load([tmp_path, tmp_path / "x.yaml"], known_actions=ACTIONS).rules) == 5


KEYS = ("name", "match", "remediate", "verify", "urgency", "action", "bounds", "label", "map", "high", "services", "targets", "x")
scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
contents = st.recursive(
    scalars, lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from(KEYS), below, max_size=4), max_leaves=12
)


@given(content=contents, section=st.sampled_from(["rules", "services", "matrix", "default"]))
def test_whatever_a_file_holds_it_is_loaded_or_refused(tmp_path_factory: pytest.TempPathFactory, content: object, section: str) -> None:
    folder = tmp_path_factory.mktemp("rules")
    write(folder, f"{section}: {json.dumps(content)}\n")
    assert all(each.file.endswith("x.yaml") or each.file == "rules" for each in check([folder], known_actions=ACTIONS))


RESTING = """\
dependencies:
  - {name: payments-db, query: 'up{job="db"}', above: 0.5, contact: dba@example.com}
  - {name: stripe, status: "https://status.example.com/api/v2/status.json"}
services:
  - {name: checkout, labels: {app: checkout}, depends_on: [payments-db, stripe]}
rules:
  - name: crash
    match: alertname="A"
    remediate:
      - action: kubernetes.rollout_undo
        approval: {role: ic, preconditions: [{name: backup, text: a backup of today exists, age: 'time() - b{ns="$namespace"}'}]}
    verify: {rollout: true}
"""


def test_what_a_service_rests_on_and_who_may_approve_are_loaded(tmp_path: Path) -> None:
    rules = load([write(tmp_path, RESTING + DEFAULT)], known_actions=ACTIONS)
    database, stripe = rules.services["checkout"].depends_on
    assert (database.query, database.above, database.contact, stripe.status) == (
        'up{job="db"}',
        0.5,
        "dba@example.com",
        "https://status.example.com/api/v2/status.json",
    )
    approval = rules.rules[0].remediate[0].approval
    assert (approval.role, approval.preconditions[0].name, approval.preconditions[0].age) == ("ic", "backup", 'time() - b{ns="$namespace"}')


@pytest.mark.parametrize(
    "was,becomes,said",
    [
        (", above: 0.5", "", "x.yaml:4:32: dependencies[0].query: gives a value that the receiver compares"),
        ("query: 'up{job=\"db\"}', above: 0.5, ", "", "exactly one way to ask it; allowed: query: with below: or above:, or status:"),
        ('up{job="db"}', 'up{job="$service"}', "$service has no meaning here: a dependency has no target"),
        ("[payments-db, stripe]", "[payment-db]", "'payment-db' is no dependency; allowed: payments-db, stripe"),
        ("name: stripe", "name: payments-db", "dependency 'payments-db' is already in"),
        ("contact: dba@example.com", "contcat: x", "contcat"),
        ("$namespace", "$pod", "$pod is not a placeholder"),
        ("[{name: backup,", "[{name: backup, text: x}, {name: backup,", "'backup' is listed twice"),
    ],
)
def test_each_fault_of_dependencies_and_approvals_is_told(tmp_path: Path, was: str, becomes: str, said: str) -> None:
    assert RESTING.count(was) == 1
    problems = found(tmp_path, RESTING.replace(was, becomes) + DEFAULT)
    assert any(said in each for each in problems), problems
