"""Grafana and webhooks of any other sender: what their sections take, and where they are refused."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from receiver.ingest.signature import Scheme
from receiver.settings import Settings, SettingsRefused, load_settings

KEY = "0123456789abcdefghijk"
OTHER = "abcdefghijk0123456789"

WHOLE = f"""\
sources:
  grafana: {{hmac_secret: {KEY}, hmac_timestamp_header: X-Time, hmac_max_age: 2m, namespaces: [shop]}}
  generic:
    payments:
      token: {OTHER}
      hmac: {{secret_file: FOLDER/key, header: Stripe-Signature, scheme: stripe}}
      map:
        title: type
        fingerprint: [type, "data.object[0].id"]
        status: kind
        resolved: done
        fixed: {{service: payments, severity: critical}}
        labels: {{object: "data.object[0].name?"}}
"""


def load(folder: Path, text: str, **variables: str) -> Settings:
    (folder / "key").write_text(f"{KEY}-of-a-file\n")
    (folder / "key").chmod(0o600)
    (folder / "config.yaml").write_text(text.replace("FOLDER", str(folder)))
    return load_settings(folder / "config.yaml", {f"RECEIVER__{name}": value for name, value in variables.items()})


def refused(folder: Path, text: str) -> list[str]:
    with pytest.raises(SettingsRefused) as caught:
        load(folder, text)
    return [str(each).removeprefix(f"{folder}/config.yaml:") for each in caught.value.problems]


def webhook(keys: str, *, more: str = "") -> str:
    return f"sources:\n  generic:\n    x:\n      token: {KEY}\n      map: {{title: t, fingerprint: f, {keys}}}\n{more}"


def test_every_key_arrives(tmp_path: Path) -> None:
    settings = load(tmp_path, WHOLE)
    grafana, payments = settings.sources.grafana, settings.sources.generic["payments"]
    assert grafana is not None
    assert (grafana.signing.timestamp_header, grafana.signing.max_age) == ("X-Time", timedelta(minutes=2))
    assert payments.hmac is not None
    assert (payments.hmac.signing.header, payments.hmac.signing.scheme) == ("Stripe-Signature", Scheme.stripe)
    assert [each.reveal() for each in payments.hmac.all_secrets] == [f"{KEY}-of-a-file"]
    assert [each.text for each in payments.map.mapped.fingerprint] == ["type", "data.object[0].id"]
    assert (payments.map.mapped.resolved, payments.map.mapped.labels["object"].optional) == (frozenset({"done"}), True)
    assert settings.unserved() == []
    assert not any("no source" in each for each in settings.warnings)


def test_a_webhook_of_any_sender_may_aim_nowhere(tmp_path: Path) -> None:
    assert load(tmp_path, WHOLE).policy().source_namespaces == {"grafana": frozenset({"shop"})}


def test_the_environment_reaches_a_webhook(tmp_path: Path) -> None:
    settings = load(tmp_path, WHOLE, SOURCES__GENERIC__PAYMENTS__MAP__TITLE="data.kind")
    assert settings.sources.generic["payments"].map.title == "data.kind"


@pytest.mark.parametrize(
    ("keys", "where", "what"),
    [
        ("titel: a", "5:39", "did you mean 'title'?"),
        ("status: 'a b'", "5:47", "no path into a body"),
        ("labels: {x: 'a[*]'}", "5:51", "no path into a body"),
        ("labels: {alertname: a}", "5:59", "made by the mapping itself"),
        ("labels: {severity: a}", "5:58", "has a key of its own"),
        ("fixed: {webhook: a}", "5:56", "made by the mapping itself"),
        ("labels: {'a-b': a}", "5:55", "not the name of a label"),
        ("labels: {x: a}, fixed: {x: b}", "5:12", "stands in labels and in fixed"),
        ("resolved: [a]", "5:12", "no place of it"),
        ("status: s, firing: [a], resolved: [a]", "5:12", "stands in two of"),
    ],
)
def test_a_faulty_mapping_is_refused_at_its_place(tmp_path: Path, keys: str, where: str, what: str) -> None:
    (said,) = refused(tmp_path, webhook(keys))
    assert said.startswith(f"{where}: sources.generic.x.map")
    assert what in said


@pytest.mark.parametrize("key", ["title", "fingerprint"])
def test_what_tells_alerts_apart_must_be_there(tmp_path: Path, key: str) -> None:
    text = webhook("status: s").replace(f"{key}: {key[0]}", f"{key}: a?")
    (said,) = refused(tmp_path, text)
    assert "must not end in '?'" in said


@pytest.mark.parametrize(
    ("section", "what"),
    [
        ("{map: {title: t, fingerprint: f}}", "has no credential"),
        ("{hmac: {header: X}, map: {title: t, fingerprint: f}}", "has no secret"),
        (f"{{hmac: {{secret: {KEY}, header: 'X Y'}}, map: {{title: t, fingerprint: f}}}}", "not the name of a header"),
        (f"{{hmac: {{secret: {KEY}, header: X, scheme: stripe, prefix: v}}, map: {{title: t, fingerprint: f}}}}", "leave out prefix"),
        (f"{{hmac: {{secret: {KEY}, header: X, max_age: 2h}}, map: {{title: t, fingerprint: f}}}}", "must be at most"),
        (f"{{token: {KEY}}}", "key 'map' is missing"),
        (f"{{token: {KEY}, namespaces: [shop], map: {{title: t, fingerprint: f}}}}", "unknown key 'namespaces'"),
    ],
)
def test_a_faulty_webhook_is_refused(tmp_path: Path, section: str, what: str) -> None:
    (said,) = refused(tmp_path, f"sources:\n  generic:\n    x: {section}\n")
    assert "sources.generic.x" in said
    assert what in said
    assert KEY not in said


@pytest.mark.parametrize("name", ["Sentry", "a/b", "a b", "-a", "a" * 33, "é"])
def test_a_name_is_fit_for_a_path_and_a_label(tmp_path: Path, name: str) -> None:
    (said,) = refused(tmp_path, f"sources: {{generic: {{'{name}': {{token: {KEY}, map: {{title: t, fingerprint: f}}}}}}}}")
    assert "not a name for a webhook" in said


@pytest.mark.parametrize("section", ["{}", "{hmac_timestamp_header: X-Time}", "{namespaces: [shop]}"])
def test_grafana_without_a_credential_is_refused(tmp_path: Path, section: str) -> None:
    assert "has no credential" in refused(tmp_path, f"sources: {{grafana: {section}}}")[0]


def test_a_signed_time_without_a_signature_is_refused(tmp_path: Path) -> None:
    assert "nothing is signed" in refused(tmp_path, f"sources: {{grafana: {{token: {KEY}, hmac_timestamp_header: X-Time}}}}")[0]


def test_two_webhooks_never_share_a_secret(tmp_path: Path) -> None:
    same = f"    y: {{hmac: {{secret: {KEY}, header: X}}, map: {{title: t, fingerprint: f}}}}\n"
    (said,) = refused(tmp_path, webhook("status: s", more=same))
    assert "is the same secret as sources.generic.x.token" in said
    assert KEY not in said


@pytest.mark.parametrize(
    "grafana,replayable",
    [
        (f"{{hmac_secret: {KEY}}}", {"grafana"}),
        (f"{{hmac_secret: {KEY}, token: {OTHER}}}", {"grafana"}),
        (f"{{hmac_secret: {KEY}, hmac_timestamp_header: X-Time}}", set()),
        (f"{{token: {OTHER}}}", set()),
    ],
)
def test_what_is_signed_without_a_time_can_be_sent_again(tmp_path: Path, grafana: str, replayable: set[str]) -> None:
    assert load(tmp_path, f"sources: {{grafana: {grafana}}}\n").replayable == replayable
    assert load(tmp_path, "mode: observe\n").replayable == set()
