"""Grafana's webhook: every given body, and what is Grafana's own beside Alertmanager's shape (which the kit and the salvage prove)."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.core.model import NOTE, Alert, Batch, Refusal
from receiver.ingest.grafana import GrafanaSource
from tests.kits.source_kit import BODIES, NOW, assert_fit_for_every_store

FOLDER = BODIES / "grafana"
SOURCE = GrafanaSource("grafana")
FIRING = json.loads((FOLDER / "webhook" / "firing.json").read_text())


def read(body: object) -> Batch:
    batch = SOURCE.parse(body if isinstance(body, bytes) else json.dumps(body).encode(), NOW)
    assert isinstance(batch, Batch)
    return batch


def only(batch: Batch) -> Alert:
    (alert,) = batch.alerts
    assert batch.rejected == ()
    return alert


def changed(**alert: object) -> dict[str, Any]:
    """The firing sample with other values in its alert; `None` keeps null."""
    body: dict[str, Any] = json.loads(json.dumps(FIRING))
    body["alerts"][0].update(alert)
    return body


def reasoned(reason: str, **alert: object) -> dict[str, Any]:
    return changed(annotations={"summary": "S", "grafana_state_reason": reason}, **alert)


def test_a_firing_alert_is_read_with_what_helps_a_person() -> None:
    alert = only(read((FOLDER / "webhook" / "firing.json").read_bytes()))
    assert (alert.name, alert.ends_at, alert.trusted_shape, alert.page_only, alert.unproven) == ("High memory usage", None, True, "", "")
    assert alert.annotations["values"] == "B=44.2394, C=1"
    assert alert.annotations["dashboard_url"].startswith("https://play.grafana.org/d/abcd?")
    assert alert.generator_url == "https://play.grafana.org/alerting/1afz29v7z/edit?orgId=1"


def test_a_resolved_alert_without_values_is_the_same_alert_and_over() -> None:
    alert = only(read((FOLDER / "webhook" / "resolved_values_null.json").read_bytes()))
    assert alert.ends_at is not None
    assert (alert.page_only, alert.unproven, "values" in alert.annotations) == ("", "", False)
    assert alert.fingerprint == only(read(FIRING)).fingerprint


def test_missing_data_is_for_people_only() -> None:
    alert = only(read((FOLDER / "webhook" / "datasource_no_data.json").read_bytes()))
    assert alert.page_only == "Grafana tells of data that it does not have (NoData)"


@pytest.mark.parametrize("name", ["DatasourceNoData", "DatasourceError"])
def test_grafanas_own_alerts_are_for_people_only_without_a_reason_too(name: str) -> None:
    assert name in only(read(changed(labels={"alertname": name, "grafana_folder": "F"}))).page_only


@pytest.mark.parametrize("reason", ["NoData", "Error", "MissingSeries", "Paused", "Updated", "RuleDeleted", "NoData, KeepLast", "Unheard"])
def test_an_end_with_a_reason_is_no_recovery(reason: str) -> None:
    alert = only(read(reasoned(reason, status="resolved", endsAt="2026-11-20T08:00:00Z")))
    assert (alert.unproven, reason in alert.page_only) == (reason, True)


def test_a_firing_with_a_reason_is_for_people_only_and_still_fires() -> None:
    alert = only(read(reasoned("Error")))
    assert (alert.ends_at, alert.unproven, alert.page_only != "") == (None, "", True)


def test_the_test_button_is_accepted_and_says_nothing() -> None:
    batch = read((FOLDER / "test_button.json").read_bytes())
    assert (batch.alerts, batch.rejected, batch.usable) == ((), (), True)


@pytest.mark.parametrize(
    "labels",
    [
        {"alertname": "TestAlert", "instance": "Grafana", "grafana_folder": "Payments"},
        {"alertname": "TestAlert", "instance": "db-1"},
        {"alertname": "TestAlert"},
    ],
)
def test_an_alert_that_is_only_called_like_a_test_is_paged(labels: dict[str, str]) -> None:
    assert only(read(changed(labels=labels))).labels == labels


def test_two_rules_with_equal_labels_are_two_alerts() -> None:
    one, other = (only(read(changed(fingerprint=each))) for each in ("c6eadffa33fcdf37", "c6eadffa33fcdf38"))
    assert one.labels == other.labels
    assert one.fingerprint != other.fingerprint


@pytest.mark.parametrize("given", [None, "", 7, "x" * 16, "c6eadffa33fcdf37" * 3, ["c6eadffa33fcdf37"]])
def test_without_a_fingerprint_labels_make_the_identity(given: object) -> None:
    alert = only(read(changed(fingerprint=given)))
    assert (len(alert.fingerprint), alert.trusted_shape) == (32, True)
    assert alert.fingerprint == only(read(changed(fingerprint=""))).fingerprint


@pytest.mark.parametrize("version", ["1", 1])
def test_version_one_is_known(version: object) -> None:
    assert read({**FIRING, "version": version}).odd_version is None


@pytest.mark.parametrize("version", ["4", 4, "2", None, True])
def test_another_version_is_paged_and_never_acted_on(version: object) -> None:
    batch = read({**FIRING, "version": version})
    assert batch.odd_version is not None
    assert not only(batch).trusted_shape
    assert "version" in only(batch).annotations[NOTE]


def test_what_grafana_left_out_is_said() -> None:
    batch = read({**FIRING, "truncatedAlerts": 3})
    assert (batch.truncated, only(batch).truncated) == (3, True)


@pytest.mark.parametrize("values", [None, {}, [], "NaN", {"A": "NaN"}, {"A": None}, {"A": True}, 7])
def test_values_that_are_no_numbers_are_left_out(values: object) -> None:
    assert "values" not in only(read(changed(values=values))).annotations


def test_a_rules_own_annotations_win() -> None:
    alert = only(read(changed(annotations={"values": "mine", "dashboard_url": "https://own.example"})))
    assert (alert.annotations["values"], alert.annotations["dashboard_url"]) == ("mine", "https://own.example")


@pytest.mark.parametrize("body", [(FOLDER / "custom" / "legacy_6.json").read_bytes(), b'{"text": "High memory"}', b'{"alerts": "two"}'])
def test_a_custom_payload_is_refused_with_what_is_expected(body: bytes) -> None:
    refusal = SOURCE.parse(body, NOW)
    assert isinstance(refusal, Refusal)
    assert refusal.path == "alerts"
    assert "custom payload template" in refusal.reason


def test_one_bad_alert_does_not_hide_its_neighbours() -> None:
    batch = read({**FIRING, "alerts": [*FIRING["alerts"], {"labels": 7}]})
    assert (len(batch.alerts), [each.path for each in batch.rejected], batch.usable) == (1, ["alerts[1].labels"], True)


def test_a_picture_is_not_stored_and_changes_nothing() -> None:
    picture = base64.b64encode(bytes(range(256)) * 400).decode()
    with_picture = json.dumps(changed(embeddedImage=picture)).encode()
    batch = read(with_picture)
    assert batch.kept is not None
    assert len(batch.kept) < 4000
    assert json.loads(batch.kept) == changed(embeddedImage="")
    assert read(batch.kept).alerts == batch.alerts == read(FIRING).alerts


def test_a_small_body_is_stored_as_it_came() -> None:
    assert read(changed(embeddedImage="aGVsbG8=")).kept is None


@given(st.text(alphabet='"embeddIag:\\A/= ', max_size=60), st.integers(0, 5000))
def test_dropping_a_picture_leaves_json_what_it_says(text: str, length: int) -> None:
    said = {"alerts": FIRING["alerts"], text: "A" * length, "x": f'{text}"embeddedImage":"{"A" * length}'}
    kept = read(said).kept
    if kept is not None:
        left = json.loads(kept)
        assert left["x"] == said["x"]


LEAVES = st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8)
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3))


@given(st.dictionaries(st.sampled_from([*FIRING["alerts"][0], "embeddedImage", "imageURL", "enrichments"]), JSON, max_size=16))
def test_no_element_makes_it_raise(element: dict[str, object]) -> None:
    body = json.dumps({**FIRING, "alerts": [{"labels": {"alertname": "A"}, **element}]}).encode()
    assert_fit_for_every_store(SOURCE.parse(body, NOW))
