"""Any sender, read by a mapping: what becomes of a body, what is never guessed, and that nothing makes it raise."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.core.model import NOTE, Alert, Batch, Refusal
from receiver.ingest.bodypath import BodyPath
from receiver.ingest.generic import GenericSource, Mapped
from receiver.ingest.statement import Unreadable
from tests.kits.source_kit import HOSTILE, NOT_JSON, NOW, assert_fit_for_every_store

P = BodyPath.of
MAPPED = Mapped(
    title=P("data.issue.title"),
    fingerprint=(P("data.issue.id"),),
    severity=P("data.issue.level?"),
    status=P("action"),
    firing=frozenset({"created", "unresolved"}),
    resolved=frozenset({"resolved"}),
    ignored=frozenset({"assigned"}),
    labels={"project": P("data.issue.project.slug")},
    fixed={"service": "shop"},
    annotations={"summary": P("data.issue.culprit?")},
    url=P("data.issue.web_url?"),
)
SOURCE = GenericSource("sentry", MAPPED)


def body(action: object = "created", **issue: object) -> bytes:
    found: dict[str, Any] = {
        "id": "1170820242",
        "title": "TypeError: x is undefined",
        "level": "Error",
        "culprit": "checkout in pay",
        "project": {"slug": "shop-front"},
        "web_url": "https://sentry.example/issues/1170820242/",
        **issue,
    }
    return json.dumps({"action": action, "data": {"issue": found}}).encode()


def read(raw: bytes, source: GenericSource = SOURCE) -> Batch:
    batch = source.parse(raw, NOW)
    assert isinstance(batch, Batch)
    return batch


def only(raw: bytes, source: GenericSource = SOURCE) -> Alert:
    (alert,) = read(raw, source).alerts
    return alert


def test_a_body_becomes_the_alert_that_the_mapping_says() -> None:
    alert = only(body())
    assert alert.labels == {
        "alertname": "TypeError: x is undefined",
        "severity": "error",
        "project": "shop-front",
        "service": "shop",
        "webhook": "sentry",
    }
    assert (alert.annotations, alert.ends_at, alert.starts_at) == ({"summary": "checkout in pay"}, None, NOW)
    assert (alert.source, alert.generator_url) == ("generic/sentry", "https://sentry.example/issues/1170820242/")


@pytest.mark.parametrize("action", ["created", "resolved", "something new"])
def test_its_alerts_are_for_people_only(action: str) -> None:
    assert only(body(action)).page_only == "source generic/sentry only pages"


def test_what_is_over_is_the_same_alert() -> None:
    over = only(body("resolved", title="renamed"))
    assert over.ends_at == NOW
    assert over.fingerprint == only(body()).fingerprint
    assert over.fingerprint != only(body(id="2")).fingerprint


def test_two_webhooks_never_share_an_identity() -> None:
    assert only(body()).fingerprint != only(body(), GenericSource("other", MAPPED)).fingerprint


def test_an_ignored_word_is_accepted_and_says_nothing() -> None:
    batch = read(body("assigned"))
    assert (batch.alerts, batch.rejected, batch.usable) == ((), (), True)


def test_a_word_that_nobody_mapped_is_paged_and_said() -> None:
    alert = only(body("something new"))
    assert (alert.ends_at, alert.trusted_shape) == (None, False)
    assert "status" in alert.annotations[NOTE]


def test_without_words_for_trouble_every_other_word_is_trouble() -> None:
    lax = Mapped(title=P("data.issue.title"), fingerprint=(P("data.issue.id"),), status=P("action"), resolved=frozenset({"resolved"}))
    alert = only(body("anything"), GenericSource("x", lax))
    assert (alert.ends_at, alert.trusted_shape) == (None, True)


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"{}", "action"),
        (b"[]", "action"),
        (body(id=None), "data.issue.id"),
        (body(title=""), "data.issue.title"),
        (body(title={"text": "x"}), "data.issue.title"),
        (body(id=["1"]), "data.issue.id"),
        (body(project={}), "data.issue.project.slug"),
        (body(project=None), "data.issue.project.slug"),
        (b'{"action": "created", "action": "resolved", "data": {}}', "action"),
        (body(title="a\x00b"), "data.issue.title"),
        (body(title="\ud800"), "data.issue.title"),
        (b'{"action": "created", "data": {"issue": 7}}', "data.issue.title"),
    ],
)
def test_what_the_mapping_does_not_find_is_kept_for_a_person(raw: bytes, path: str) -> None:
    batch = read(raw)
    assert (batch.alerts, batch.usable, [each.path for each in batch.rejected]) == ((), False, [path])
    assert batch.rejected[0].reason
    assert batch.rejected[0].raw


@pytest.mark.parametrize("raw", NOT_JSON, ids=range(len(NOT_JSON)))
def test_what_is_no_json_is_refused(raw: bytes) -> None:
    assert isinstance(SOURCE.parse(raw, NOW), Refusal)


@pytest.mark.parametrize("raw", [b"7", b'"text"', b"null", b"[" * 40 + b"]" * 40])
def test_what_holds_nothing_that_a_path_could_find_is_refused(raw: bytes) -> None:
    assert isinstance(SOURCE.parse(raw, NOW), Refusal)


def test_what_may_be_missing_is_left_out() -> None:
    alert = only(body(level=None, culprit="", web_url=None))
    assert ("severity" in alert.labels, alert.annotations, alert.generator_url) == (False, {}, "")


@pytest.mark.parametrize(
    ("told", "moment"),
    [
        (1763712000, datetime(2025, 11, 21, 8, 0, tzinfo=UTC)),
        (1763712000.5, datetime(2025, 11, 21, 8, 0, 0, 500_000, tzinfo=UTC)),
        ("1763712000", datetime(2025, 11, 21, 8, 0, tzinfo=UTC)),
        (1763712000000, datetime(2025, 11, 21, 8, 0, tzinfo=UTC)),
        ("2025-11-21T09:00:00+01:00", datetime(2025, 11, 21, 8, 0, tzinfo=UTC)),
    ],
)
def test_a_beginning_is_read_as_it_is_written(told: object, moment: datetime) -> None:
    dated = GenericSource("x", Mapped(title=P("t"), fingerprint=(P("t"),), starts_at=P("at")))
    assert only(json.dumps({"t": "T", "at": told}).encode(), dated).starts_at == moment


@pytest.mark.parametrize("told", ["yesterday", "2025-11-21T09:00:00", "NaN", "1e300", 9e17, "-1e30", "x" * 9000])
def test_a_beginning_that_cannot_be_read_is_never_guessed(told: object) -> None:
    dated = GenericSource("x", Mapped(title=P("t"), fingerprint=(P("t"),), starts_at=P("at")))
    (rejected,) = read(json.dumps({"t": "T", "at": told}).encode(), dated).rejected
    assert rejected.path == "at"


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_is_data(text: str) -> None:
    for raw in (body(text), body(title=text), body(id=text), body(level=text), body(project={"slug": text}), body(web_url=text)):
        assert_fit_for_every_store(SOURCE.parse(raw, NOW))


@given(st.binary(max_size=200))
def test_no_bytes_make_it_raise(raw: bytes) -> None:
    assert_fit_for_every_store(SOURCE.parse(raw, NOW))


LEAVES = st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8)
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2))
WILD = [BodyPath.of(each) for each in ("a", "a.b", "a[0]", "[0].a", "a.b[1].a?", "b?")]


@given(JSON, st.sampled_from(WILD), st.sampled_from(WILD))
def test_no_document_makes_it_raise(document: object, one: BodyPath, other: BodyPath) -> None:
    mapped = Mapped(title=one, fingerprint=(one, other), status=other, starts_at=other, labels={"x": one})
    assert_fit_for_every_store(GenericSource("x", mapped).parse(json.dumps(document).encode(), NOW))


NO_PATHS = ["", "?", ".", "a.", ".a", "a..b", "a[", "a[]", "a[x]", "a[-1]", "a[*]", "a b", "a.*", "a[0]b", "a['b']", "é", "a??", "a\n"]

# --- paths ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("a", ("a",)),
        ("data.object.id", ("data", "object", "id")),
        ("items[0].name", ("items", 0, "name")),
        ("[2]", (2,)),
        ("a[0][1]", ("a", 0, 1)),
        ("$type.@id.x-y_z", ("$type", "@id", "x-y_z")),
    ],
)
def test_a_path_is_keys_and_places(text: str, steps: tuple[str | int, ...]) -> None:
    assert BodyPath.of(text).steps == steps


@pytest.mark.parametrize(
    "text",
    [*NO_PATHS, ".".join("a" * 17), "a" * 65, "a." * 200 + "a", "a[99999]"],
)
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no path into a body"):
        BodyPath.of(text)


@pytest.mark.parametrize(("value", "text"), [("x", "x"), (7, "7"), (1.5, "1.5"), (True, "true"), (False, "false"), (0, "0")])
def test_a_value_is_read_as_text(value: object, text: str) -> None:
    assert BodyPath.of("a").read({"a": value}) == text


def test_a_place_beyond_the_list_is_missing() -> None:
    assert BodyPath.of("a[3]?").read({"a": [1]}) is None
    with pytest.raises(Unreadable, match="missing"):
        BodyPath.of("a[3]").read({"a": [1]})
