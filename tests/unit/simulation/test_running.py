"""Rule tests themselves: what is played, what is compared, and that a wrong expectation is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from receiver.simulation import CaseResult, run_files

ACTIONS = frozenset({"kubernetes.scale", "kubernetes.rollout_restart", "kubernetes.rollout_undo"})
RULES = """\
apiVersion: receiver/v1
kind: Rules
rules:
  - name: degraded
    match: alertname="Degraded"
    symptom: unavailable
    urgency: high
    mode: auto
    remediate: [{action: kubernetes.rollout_restart}]
    verify: {rollout: true}
  - {name: beat, match: alertname="Beat", heartbeat: true}
default: {impact: medium, urgency: low, remediate: []}
"""
HEAD = """\
apiVersion: receiver/v1
kind: RuleTests
workloads:
  web: {replicas: 4, available: 3, max_unavailable: 1, pods: {newest_age: 2d}}
cases:
  - name: a case
"""
FIRING = "    at: {0s: {alerts: [{alertname: Degraded, namespace: shop, deployment: web}]}}\n"
CURED = "    effects: {kubernetes.rollout_restart: {after: 60s, resolved: all, workloads: {web: {available: 4}}}}\n"


@pytest.fixture
def tests(tmp_path: Path) -> Path:
    (tmp_path / "tests").mkdir()
    (tmp_path / "rules.yaml").write_text(RULES)
    return tmp_path / "tests" / "x.yaml"


def run(path: Path, text: str, *, head: str = HEAD) -> CaseResult:
    path.write_text(head + text)
    (result,) = run_files([path], known_actions=ACTIONS)
    return result


def steps(path: Path, text: str) -> list[str]:
    result = run(path, text + "    expect: {}\n")
    assert result.passed, result.failures
    return [f"{each.at.total_seconds() / 60:g} {each.step} {each.because}" for each in result.told]


def test_a_cure_is_played_to_its_end(tests: Path) -> None:
    assert steps(tests, FIRING + CURED) == ["2 remediate allowed", "4 judge verified", "18 close stable"]


def test_an_action_without_an_effect_lands_and_cures_nothing(tests: Path) -> None:
    assert steps(tests, FIRING) == ["2 remediate allowed", "5 page deadline", "13 judge not_cured"]


@pytest.mark.parametrize(
    "effect,expected",
    [
        ("{outcome: rejected, detail: conflict}", "page all_refused"),
        ("{outcome: unknown, workloads: {web: {trouble: not_found}}}", "page outcome_unknown"),
    ],
)
def test_an_action_may_be_rejected_or_its_answer_lost(tests: Path, effect: str, expected: str) -> None:
    said = steps(tests, FIRING + f"    effects: {{kubernetes.rollout_restart: {effect}}}\n")
    assert any(each.endswith(expected) for each in said), said


ASKED_AGAIN = [f"{minutes} ask_approval needs_approval" for minutes in ("17.25", "32.5", "47.75")]


@pytest.mark.parametrize(
    "key,expected",
    [
        ("policy: {mode: observe}", ["2 shadow would_act", "2 page observe_mode"]),
        ("policy: {mode: approve}", ["2 ask_approval needs_approval", "2 page needs_approval", *ASKED_AGAIN]),
        ("promote: {degraded: observe}", ["2 shadow would_act", "2 page observe_mode"]),
        ("policy: {namespaces: [other]}", ["2 page all_refused"]),
        ("policy: {bounds: {alert_age: 4m}}", ["4 remediate allowed", "5 page deadline", "15 judge not_cured"]),
        ("policy: {page_after: {P2: 3m}}", ["2 remediate allowed", "3 page deadline", "13 judge not_cured"]),
        ("until: 3m", ["2 remediate allowed"]),
    ],
)
def test_configuration_and_promotion_count(tests: Path, key: str, expected: list[str]) -> None:
    assert steps(tests, f"    {key}\n" + FIRING) == expected


@pytest.mark.parametrize(
    "event,expected",
    [
        ("{freeze: {scope: 'namespace:shop', reason: release}}", []),
        ("{freeze: {until: 30s}}", ["remediate"]),
        ("{storm: everything burns}", []),
        ("{ack: alice}", []),
        ("{resolved: all}", []),
        ("{resolved: [Other]}", ["remediate"]),
        ("{workloads: {web: {hazards: {operator: []}}}}", []),
        ("{workloads: {web: {hazards: {hpa: [scale]}}}}", ["remediate"]),
        ("{workloads: {web: {foreign: {age: 1m}}}}", []),
        ("{workloads: {web: {trouble: forbidden}}}", []),
        ("{workloads: {web: {pods: {newest_age: 1m}}}}", []),
        ("{workloads: {web: {available: 4}}}", []),
    ],
)
def test_what_happens_at_a_moment_is_seen_by_the_decisions_after_it(tests: Path, event: str, expected: list[str]) -> None:
    text = f"    at:\n      0s: {{alerts: [{{alertname: Degraded, namespace: shop, deployment: web}}]}}\n      1m: {event}\n    until: 4m\n"
    assert [each.split()[1] for each in steps(tests, text) if "remediate" in each] == expected


def test_alerts_of_two_names_of_one_workload_become_one_incident(tests: Path) -> None:
    alerts = "[{alertname: Degraded, namespace: shop, deployment: web}, {alertname: Odd, namespace: shop, pod: web-1}]"
    result = run(tests, f"    at: {{0s: {{alerts: {alerts}}}}}\n    expect: {{incidents: 1, rule: degraded}}\n")
    assert result.passed, result.failures


def test_a_heartbeat_makes_no_incident(tests: Path) -> None:
    assert run(tests, "    at: {0s: {alerts: [{alertname: Beat}]}}\n    expect: {incidents: 0, steps: []}\n").passed


def test_an_alert_that_fires_for_a_while_already_is_not_too_young(tests: Path) -> None:
    text = "    at: {0s: {since: 10m, alerts: [{alertname: Degraded, namespace: shop, deployment: web}]}}\n"
    assert steps(tests, text)[0] == "0.25 remediate allowed"  # the second look, 15 s after the first, confirms


@pytest.mark.parametrize(
    "expect,words",
    [
        (
            "{priority: P1}",
            "priority: expected P1, got P2 (impact medium: default, no service of the catalogue is named; urgency high: rule",
        ),
        ("{rule: other}", "rule: expected other, got degraded"),
        ("{service: a}", "service: expected a, got "),
        ("{closed: false}", "closed: expected False, got True"),
        ("{incidents: 2}", "incidents: expected 2, got 1"),
        ("{no_action: because}", "no_action: expected 'because', got ''"),
        ("{steps: []}", "- {at: 2m, step: remediate, because: allowed, action: kubernetes.rollout_restart}"),
        ("{steps: [{step: remediate}, {step: judge}]}", "- {at: 18m, step: close, because: stable}"),
        ("{steps: [{step: judge}, {step: remediate}, {step: close}]}", "expected:"),
        ("{steps: [{step: remediate, at: 3m}, {step: judge}, {step: close}]}", "at: 3m"),
        ("{steps: [{step: remediate, because: would_act}, {step: judge}, {step: close}]}", "because: would_act"),
        ("{steps: [{step: remediate}, {step: judge, verdict: failed}, {step: close}]}", "verdict: failed"),
        ("{steps: [{step: remediate, action: x}, {step: judge}, {step: close}]}", "action: x"),
        ("{pages: [{priority: P2}]}", "got: none"),
        (
            "{refusals: {kubernetes.rollout_restart: [storm]}}",
            "refusals of kubernetes.rollout_restart: expected storm, got alert_too_young",
        ),
    ],
)
def test_a_wrong_expectation_is_told(tests: Path, expect: str, words: str) -> None:
    result = run(tests, FIRING + CURED + f"    expect: {expect}\n")
    assert len(result.failures) == 1, result.failures
    assert words in result.failures[0]


def test_what_is_expected_of_no_incident_fails(tests: Path) -> None:
    result = run(tests, "    at: {0s: {alerts: [{alertname: Beat}]}}\n    expect: {priority: P1}\n")
    assert result.failures == ("no incident was made",)


@pytest.mark.parametrize(
    "text,words",
    [
        ("    expekt: {}\n" + FIRING + "    expect: {}\n", "x.yaml:7:5: cases[0].expekt: unknown key 'expekt' (did you mean 'expect'?)"),
        (FIRING, "cases[0]: key 'expect' is missing"),
        ("    at: {soon: {}}\n    expect: {}\n", "'soon' is not a duration"),
        ("    at: {0s: {workloads: {web: {replcas: 1}}}}\n    expect: {}\n", "unknown key 'replcas' (did you mean 'replicas'?)"),
        ("    at: {0s: {samples: {verify: lots}}}\n    expect: {}\n", "is no sample; write a number, or one of empty"),
        ("    at: {0s: {resolved: some}}\n    expect: {}\n", "'some' is not all and no list"),
        ("    policy: {bounds: {cooldwn: 1m}}\n" + FIRING + "    expect: {}\n", "unknown key 'cooldwn' (did you mean 'cooldown'?)"),
        ("    policy: {page_after: {P7: 1m}}\n" + FIRING + "    expect: {}\n", "'P7' is not a priority in the naming P1-P4"),
        ("    promote: {nope: auto}\n" + FIRING + "    expect: {}\n", "'nope' is no rule; allowed: beat, degraded"),
        (FIRING + "    expect: {steps: [{step: explode}]}\n", "'explode' is not one of the allowed values; allowed: remediate, shadow"),
    ],
)
def test_a_case_that_cannot_be_read_fails_with_its_place(tests: Path, text: str, words: str) -> None:
    result = run(tests, text)
    assert any(words in each for each in result.failures), result.failures


@pytest.mark.parametrize(
    "head", ["", "apiVersion: receiver/v1\nkind: Rules\n#", "a: [\n", "apiVersion: receiver/v1\nkind: RuleTests\ncases: []\n#"]
)
def test_a_file_that_cannot_be_read_fails(tests: Path, head: str) -> None:
    assert not run(tests, "", head=head).passed


def test_a_file_whose_rules_are_broken_fails(tests: Path) -> None:
    (tests.parent.parent / "rules.yaml").write_text(RULES + "extra: 1\n")
    assert "unknown key 'extra'" in run(tests, FIRING + "    expect: {}\n").failures[0]


def test_the_files_of_a_directory_are_run(tests: Path) -> None:
    tests.write_text(HEAD + FIRING + "    expect: {priority: P2}\n")
    assert [each.passed for each in run_files([tests.parent], known_actions=ACTIONS)] == [True]


# --- pods and nodes ------------------------------------------------------------------------------------------------------

MORE_RULES = """\
apiVersion: receiver/v1
kind: Rules
rules:
  - name: bad-pod
    match: alertname="Degraded"
    symptom: crash
    urgency: high
    mode: auto
    remediate: [{action: kubernetes.evict_pod}]
    verify: {rollout: true}
  - name: bad-node
    match: alertname="NodeSick"
    symptom: unavailable
    urgency: high
    mode: auto
    remediate: [{action: kubernetes.cordon, mode: auto}]
    verify: {rollout: true}
default: {impact: medium, urgency: low, remediate: []}
"""
MORE_ACTIONS = frozenset({"kubernetes.evict_pod", "kubernetes.cordon", "kubernetes.uncordon"})
EVICT = """\
    at:
      0s:
        workloads: {web: {replicas: 4, available: 3, pods: {newest_age: 2d, waiting: {CrashLoopBackOff: 1}}, victim: {name: web-3}}}
        alerts: [{alertname: Degraded, namespace: shop, deployment: web}]
    effects:
      kubernetes.evict_pod: {after: 60s, resolved: all, workloads: {web: {available: 4, pods: {waiting: {}}}}}
"""
SICK_NODE = """\
    policy: {nodes: true, namespaces: [shop]}
    until: 6h
    at:
      0s:
        nodes: {node-1: {ready: false, detail: NotReady for 6m}}
        alerts: [{alertname: NodeSick, node: node-1}]
"""
YES = "      3m: {approve: alice}\n"


def more(path: Path, text: str, expect: str = "{}") -> CaseResult:
    (path.parent.parent / "rules.yaml").write_text(MORE_RULES)
    path.write_text(HEAD + text + f"    expect: {expect}\n")
    (result,) = run_files([path], known_actions=MORE_ACTIONS)
    return result


def test_a_pod_that_is_evicted_is_gone(tests: Path) -> None:
    result = more(tests, EVICT)
    assert [f"{each.step} {each.because}" for each in result.told] == ["remediate allowed", "judge verified", "close stable"]


def test_without_a_victim_nothing_is_evicted(tests: Path) -> None:
    refused = more(tests, EVICT.replace(", victim: {name: web-3}", ""), "{refusals: {kubernetes.evict_pod: [hazard]}}")
    assert refused.passed, refused.failures


def test_a_cordon_waits_for_a_person_and_then_lands_on_the_node(tests: Path) -> None:
    steps = [f"{each.step} {each.because}" for each in more(tests, SICK_NODE + YES).told]
    assert "remediate allowed" not in [f"{each.step} {each.because}" for each in more(tests, SICK_NODE).told]
    asked = steps.index("ask_approval needs_approval")
    acted = next(at for at, each in enumerate(steps) if each.startswith("remediate"))
    assert asked < acted < steps.index("judge verified")


def test_where_nodes_are_switched_off_nothing_is_cordoned(tests: Path) -> None:
    refused = more(tests, SICK_NODE.replace("nodes: true, ", "") + YES, "{refusals: {kubernetes.cordon: [nodes_not_allowed]}}")
    assert refused.passed, refused.failures


def test_our_cordon_is_taken_back_when_the_node_is_well_again(tests: Path) -> None:
    effect = "    effects: {kubernetes.cordon: {after: 60s, resolved: all, nodes: {node-1: {ready: true, detail: ''}}}}\n"
    result = more(tests, SICK_NODE + YES + effect)
    assert [each.step for each in result.told if each.step in ("remediate", "revert")] == ["remediate", "revert"], result.told


def test_a_yes_is_for_one_use(tests: Path) -> None:
    acts = [each for each in more(tests, SICK_NODE + YES + "      4m: {approve: alice}\n").told if each.step == "remediate"]
    assert len(acts) == 1


def test_a_thaw_acts_at_once_also_when_it_was_paged(tests: Path) -> None:
    at = FIRING.removesuffix("}\n") + ", 1s: {freeze: {scope: 'rule:degraded'}}, 40m: {thaw: 'rule:degraded'}}\n"
    assert steps(tests, at) == ["2 page all_refused", "40.25 remediate allowed", "51.25 judge not_cured"]


def test_the_end_of_an_attempt_is_the_turn_of_the_next(tests: Path) -> None:
    both = "{alertname: Degraded, namespace: shop, deployment: web}, {alertname: Degraded, namespace: shop, deployment: api}"
    at = f"    at: {{0s: {{workloads: {{api: {{replicas: 4, available: 3, max_unavailable: 1}}}}, alerts: [{both}]}}}}\n"
    found = steps(tests, at + CURED.replace("resolved: all, ", ""))
    assert found[:4] == ["2 remediate allowed", "2 page waiting_bound", "4 judge verified", "4 remediate allowed"]
