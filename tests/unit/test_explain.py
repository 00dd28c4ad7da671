"""`receiver explain`: a sentence for every body that a sender may post, read by a tired engineer."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from receiver.core.case import Policy
from receiver.core.model import Mode, Priority
from receiver.explain import explain
from receiver.ingest.alertmanager import AlertmanagerSource
from receiver.ingest.grafana import GrafanaSource
from receiver.remediate import ACTIONS
from receiver.rulefiles import load

ROOT = Path(__file__).parents[2]
SAMPLES = sorted((ROOT / "tests" / "samples" / "alertmanager").rglob("*.json"))
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
POLICY = Policy(actions=frozenset(ACTIONS), can_look=True, source_namespaces={"alertmanager": frozenset({"shop"})})
RULES = load([ROOT / "rules"], known_actions=ACTIONS, policy=POLICY)


def explained(body: bytes, policy: Policy = POLICY) -> list[str]:
    return [each.sentence for each in explain(body, source=AlertmanagerSource("alertmanager"), ruleset=RULES, policy=policy, now=NOW)]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_every_known_body_is_explained_in_a_sentence(sample: Path) -> None:
    sentences = explained(sample.read_bytes())
    assert sentences
    for each in sentences:
        assert each.endswith("."), each
        assert len(each) > 20, each
        assert each.isprintable(), each


def crash(**labels: str) -> bytes:
    own = {"alertname": "KubePodCrashLooping", "namespace": "shop", "pod": "web-1", **labels}
    return json.dumps({"version": "4", "alerts": [{"status": "firing", "labels": own, "startsAt": "2026-01-01T00:00:00Z"}]}).encode()


def test_an_old_sample_is_explained_as_if_it_fired_tonight() -> None:
    (sentence,) = explained(crash(), replace(POLICY, mode=Mode.auto))
    assert "rollout_undo" in sentence
    assert "too old" not in sentence


def test_what_a_person_always_decides_about_is_said_to_wait_for_one() -> None:
    labels = {"alertname": "KubePodNotReady", "namespace": "shop", "pod": "web-1"}

    def of(**more: str) -> str:
        body = json.dumps({"version": "4", "alerts": [{"status": "firing", "labels": labels | more, "startsAt": "2026-01-01T00:00:00Z"}]})
        return explained(body.encode(), replace(POLICY, mode=Mode.auto))[0]

    assert "rollout_restart would run" in of()
    assert "rollout_restart would wait for a person's approval" in of(statefulset="web")


def test_a_foreign_cluster_is_named_as_the_reason() -> None:
    (sentence,) = explained(crash(cluster="elsewhere"))
    assert "refused" in sentence
    assert "cluster" in sentence


@pytest.mark.parametrize("body", [b"", b"nonsense", b"[]", b'{"alerts": 1}', b'{"alerts": [{}]}', b"\xff\xfe"])
def test_what_would_be_refused_is_explained_too(body: bytes) -> None:
    assert "400" in explained(body)[0]


@pytest.mark.parametrize(
    "locale,others", [("en", ("règle", "alerte", "serait", "étape")), ("fr", ("the ", "would", "rule ", "page goes", " is "))]
)
def test_it_speaks_one_language(locale: str, others: tuple[str, ...]) -> None:
    policy = replace(POLICY, locale=locale, mode=Mode.auto)
    bodies = [crash(), crash(cluster="elsewhere"), crash().replace(b'"4"', b'"5"')]
    bodies += [crash(alertname="Watchdog"), crash(alertname="SomethingUnknown"), crash().replace(b"firing", b"resolved")]
    for body in bodies:
        for each in explain(body, source=AlertmanagerSource("alertmanager"), ruleset=RULES, policy=policy, now=NOW):
            told = [each.sentence, *each.lines]
            assert not [line for line in told if any(word in line for word in others)]


def paged(policy: Policy, *, severity: str, action: bool, mode: Mode = Mode.auto) -> str:
    """The sentence about the page."""
    body = crash(severity=severity) if action else crash(severity=severity, alertname="SomethingUnknown")
    told = explain(body, source=AlertmanagerSource("alertmanager"), ruleset=RULES, policy=replace(policy, mode=mode, locale="en"), now=NOW)
    return str(told[0].data["page"])


def test_an_urgent_page_without_any_action_is_said_to_go_out_at_once() -> None:
    nowhere = replace(POLICY, source_namespaces={})
    for each in (paged(POLICY, severity="critical", action=False), paged(nowhere, severity="critical", action=True)):
        assert each == "The page goes out at once."


def test_a_page_that_is_not_urgent_keeps_its_time_though_nothing_can_be_done() -> None:
    policy = replace(POLICY, page_after={**POLICY.page_after, Priority.p3: timedelta(minutes=7), Priority.p4: timedelta(minutes=7)})
    assert paged(policy, severity="info", action=False) == "The page goes out 7m after acceptance, unless it is over before."


def test_an_urgent_page_with_an_action_waits_for_it() -> None:
    assert "or at once when nothing can be done here" in paged(POLICY, severity="critical", action=True)


def test_a_delivery_in_which_nothing_can_be_read_is_refused() -> None:
    body = b'{"version": "4", "alerts": [{"status": "firing", "labels": {"alertname": "A", "x": 1}}]}'
    told = explain(body, source=AlertmanagerSource("alertmanager"), ruleset=RULES, policy=POLICY, now=NOW)
    assert any(each.refused and "422" in each.sentence for each in told)


def told(**labels: str) -> tuple[str, ...]:
    """All lines about one alert."""
    body = json.dumps({"version": "4", "alerts": [{"status": "firing", "labels": labels, "startsAt": "2026-01-01T00:00:00Z"}]}).encode()
    policy = replace(POLICY, locale="en")
    (found,) = explain(body, source=AlertmanagerSource("alertmanager"), ruleset=RULES, policy=policy, now=NOW)
    return found.lines


def test_a_node_is_named_among_what_would_be_read() -> None:
    lines = told(alertname="KubeNodeNotReady", node="worker-3", severity="critical")
    assert "would read: node/worker-3" in lines
    assert "would suggest: drain_node, Drain the node" in lines


def test_what_would_be_suggested_is_named_with_what_the_catalogue_lacks() -> None:
    lines = told(alertname="RabbitmqTooManyReadyMessages", namespace="shop", severity="warning")
    (purge,) = [each for each in lines if each.startswith("would suggest: purge_queue, ")]
    assert "BROKER_POD: no service of the catalogue is meant" in purge
    assert not any("the target is not known" in each for each in lines)


def grafana(name: str, **annotations: str) -> str:
    body = json.loads((ROOT / "tests" / "samples" / "grafana" / name).read_text())
    body["alerts"][0]["annotations"].update(annotations)
    told = explain(json.dumps(body).encode(), source=GrafanaSource("grafana"), ruleset=RULES, policy=replace(POLICY, locale="en"), now=NOW)
    return "\n".join(each.sentence for each in told)


def test_an_end_that_is_no_recovery_is_said() -> None:
    assert "ended without a recovery (Paused)" in grafana("webhook/resolved_values_null.json", grafana_state_reason="Paused")


def test_a_delivery_that_says_nothing_is_said() -> None:
    assert "says nothing to anybody" in grafana("test_button.json")
