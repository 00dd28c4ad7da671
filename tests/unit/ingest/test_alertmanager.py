"""Alertmanager's bodies, real, foreign and hostile: which alerts come out, and what is said of the rest."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from receiver.core.model import NOTE, Alert, Batch, Refusal
from receiver.ingest.alertmanager import ALERTS_LIMIT, AlertmanagerSource
from receiver.ingest.salvage import salvage
from receiver.ingest.statement import TEXT_LIMIT, Reading
from tests.kits.source_kit import BODIES, NOW, mutated

WEBHOOK = BODIES / "alertmanager" / "webhook"
PEERS = BODIES / "alertmanager" / "peers"
ZERO = "0001-01-01T00:00:00Z"
SOURCE = AlertmanagerSource("alertmanager")


def body(**changes: Any) -> bytes:
    """A delivery of one firing alert; a change to `...` takes the name out."""
    return encoded({"alerts": [alert()], **changes})


def encoded(envelope: dict[str, Any]) -> bytes:
    common: dict[str, Any] = {
        "receiver": "remediator",
        "status": "firing",
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.example:9093",
        "version": "4",
        "groupKey": '{}:{alertname="Probe"}',
        "truncatedAlerts": 0,
    }
    return json.dumps({name: value for name, value in {**common, **envelope}.items() if value is not ...}).encode()


def alert(**changes: Any) -> dict[str, Any]:
    """A firing one; a change to `...` takes the name out."""
    whole: dict[str, Any] = {
        "status": "firing",
        "labels": {"alertname": "Probe", "namespace": "shop"},
        "annotations": {"summary": "it hurts"},
        "startsAt": "2026-11-21T09:00:00Z",
        "endsAt": ZERO,
        "generatorURL": "http://prometheus.example/graph",
        "fingerprint": "c0ffee0000000001",
    }
    return {name: value for name, value in {**whole, **changes}.items() if value is not ...}


def read(raw: bytes) -> Batch:
    batch = SOURCE.parse(raw, NOW)
    assert isinstance(batch, Batch), batch
    return batch


def only(raw: bytes) -> Alert:
    (found,) = read(raw).alerts
    return found


def sample(name: str) -> Batch:
    return read((WEBHOOK / name).read_bytes())


def plain_salvage(raw: bytes) -> Batch | Refusal:
    ignored = frozenset({"prometheus_replica", "replica"})
    return salvage(raw, Reading("alertmanager", ignored, NOW), alerts_limit=ALERTS_LIMIT)


# --- what the real one sends ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(WEBHOOK.glob("*.json")), ids=lambda path: path.stem)
def test_the_fast_path_and_salvaging_say_the_same_of_a_real_body(path: Path) -> None:
    raw = path.read_bytes()
    assert SOURCE.parse(raw, NOW) == plain_salvage(raw)


def test_a_real_alert_comes_out_with_its_parts() -> None:
    found = sample("firing_bearer.json").alerts[0]
    assert found.source == "alertmanager"
    assert found.labels == {"alertname": "BearerAuth", "case": "bearer", "severity": "warning"}
    assert found.annotations == {"description": "d", "summary": "s"}
    assert found.generator_url == "http://127.0.0.1:19090/graph?g0.expr=up+%3D%3D+0&g0.tab=1"
    assert found.trusted_shape
    assert not found.truncated
    assert found.ends_at is None


def test_firing_and_resolved_of_one_alert_share_their_identity() -> None:
    firing, resolved = (sample(f"{each}_single_basic_auth.json").alerts[0] for each in ("firing", "resolved"))
    assert firing.fingerprint == resolved.fingerprint
    assert resolved.ends_at is not None
    assert not resolved.firing(NOW)


def test_a_group_may_be_mixed_whatever_its_own_status_says() -> None:
    assert [each.ends_at is None for each in sample("mixed_group3_one_resolved.json").alerts] == [False, True, True]


def test_a_truncated_group_says_so_on_each_alert() -> None:
    batch = sample("truncated_status_resolved_but_3_still_firing.json")
    assert batch.truncated == 3
    assert all(each.truncated for each in batch.alerts)


def test_nanoseconds_and_offsets_become_utc_microseconds() -> None:
    (found,) = sample("nanosecond_startsAt_with_offset.json").alerts
    assert found.starts_at == datetime(2026, 11, 20, 6, 30, 0, 123457, tzinfo=UTC)
    assert found.starts_at.tzinfo is UTC


def test_replicas_of_one_prometheus_are_one_alert() -> None:
    one, other = (only(body(alerts=[alert(labels={"alertname": "Probe", "prometheus_replica": each})])) for each in "ab")
    assert one.fingerprint == other.fingerprint


def test_the_senders_fingerprint_is_not_believed() -> None:
    raw = body(alerts=[alert(fingerprint="dead"), alert(labels={"alertname": "Other"}, fingerprint="dead")])
    assert len({each.fingerprint for each in read(raw).alerts}) == 2


def test_an_empty_label_is_absent_and_an_empty_annotation_is_kept() -> None:
    found = only(body(alerts=[alert(labels={"alertname": "Probe", "empty": ""}, annotations={"summary": ""})]))
    assert found.labels == {"alertname": "Probe"}
    assert found.annotations == {"summary": ""}


def test_newer_names_of_the_envelope_are_known() -> None:
    raw = body(notification_reason="new alerts added", routeLabels={"team": "shop"})
    assert only(raw) == only(body())


# --- foreign senders -----------------------------------------------------------------------------------------------------


def peer(name: str) -> Batch:
    return read((PEERS / f"{name}.json").read_bytes())


def test_a_peer_without_version_is_trusted() -> None:
    batch = peer("amx_example")
    assert batch.odd_version is None
    assert all(each.trusted_shape for each in batch.alerts)


def test_a_peer_without_times_begins_when_it_arrives() -> None:
    (found,) = peer("goalert_smoke_minimal").alerts
    assert (found.starts_at, found.ends_at) == (NOW, None)


def test_a_peer_with_another_version_is_read_and_never_acted_on() -> None:
    batch = peer("prometheus_bot_production_int_version_int_groupkey")
    assert batch.odd_version == "0"
    assert len(batch.alerts) == 10
    assert not any(each.trusted_shape for each in batch.alerts)


@pytest.mark.parametrize(
    "version, odd",
    [("4", None), (4, None), (..., None), ("5", "5"), (3, "3"), (None, "null"), (True, "true"), (4.0, "a number"), ([], "a list")],
)
def test_only_the_fourth_version_is_trusted(version: Any, odd: str | None) -> None:
    batch = read(body(version=version))
    assert batch.odd_version == odd
    assert batch.alerts[0].trusted_shape is (odd is None)


@pytest.mark.parametrize(
    "raw, why",
    [
        (body(version="5"), "payload version '5'"),
        (body(alerts=[alert(status="Resolved")]), "status"),
        (body(alerts=[alert(startsAt="9999-12-31T23:59:59Z")]), "startsAt"),
        (body().replace(b'"truncatedAlerts": 0', b'"truncatedAlerts": -1'), "truncatedAlerts"),
        (body().replace(b'"receiver"', b'"version": "4", "receiver"'), "more than once"),
    ],
)
def test_an_alert_that_is_not_trusted_says_why(raw: bytes, why: str) -> None:
    (found,) = read(raw).alerts
    assert not found.trusted_shape
    assert why in found.annotations[NOTE]


# --- refused, quarantined, kept -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw, path",
    [
        (b"null", "body"),
        (b"[]", "body"),
        (b"1", "body"),
        (b"{}", "alerts"),
        (b'{"alerts":null}', "alerts"),
        (b'{"alerts":{}}', "alerts"),
        (b'{"alerts":"abc"}', "alerts"),
        (b'{"alerts":[]}', "alerts"),
        (b'{"alerts":[{},{"status":"firing"}]}', "alerts"),
        (b'{"alerts":[],"alerts":[]}', "alerts"),
        (b'{"alerts":[{"labels":{"a":NaN}}]}', "body"),
        (b'{"alerts":[{"labels":{"a":"b"}}],"x":' + b"1" * 5000 + b"}", "body"),
    ],
)
def test_what_is_no_delivery_is_refused_naming_the_path(raw: bytes, path: str) -> None:
    refusal = SOURCE.parse(raw, NOW)
    assert isinstance(refusal, Refusal)
    assert refusal.path == path


@pytest.mark.parametrize(
    "bad, path",
    [
        (None, "alerts[1]"),
        (7, "alerts[1]"),
        ([], "alerts[1]"),
        ({}, "alerts[1].labels"),
        (alert(labels=None), "alerts[1].labels"),
        (alert(labels=[]), "alerts[1].labels"),
        (alert(labels={}), "alerts[1].labels"),
        (alert(labels={"a": ""}), "alerts[1].labels"),
        (alert(labels={"": "a"}), "alerts[1].labels"),
        (alert(labels={"a": 1}), "alerts[1].labels"),
        (alert(labels={"a": ["b"]}), "alerts[1].labels"),
        (alert(labels={"a": "\ud800"}), "alerts[1].labels"),
        (alert(labels={"\udfff": "a"}), "alerts[1].labels"),
        (alert(labels={"a": "b\0"}), "alerts[1].labels"),
        (alert(labels={"a" * 257: "b"}), "alerts[1].labels"),
        (alert(labels={f"l{n}": "b" for n in range(101)}), "alerts[1].labels"),
        (alert(annotations={"a": {}}), "alerts[1].annotations"),
        (alert(annotations=[]), "alerts[1].annotations"),
        (alert(annotations={"a": "\0"}), "alerts[1].annotations"),
        (alert(status=1), "alerts[1].status"),
        (alert(startsAt="yesterday"), "alerts[1].startsAt"),
        (alert(startsAt=1763640000), "alerts[1].startsAt"),
        (alert(startsAt="2026-11-21T09:00:00"), "alerts[1].startsAt"),
        (alert(startsAt="\ud800"), "alerts[1].startsAt"),
        (alert(status="resolved", endsAt="later"), "alerts[1].endsAt"),
        (alert(deep=json.loads("[" * 40 + "]" * 40)), "alerts[1]"),
    ],
)
def test_a_bad_alert_is_quarantined_and_its_neighbours_kept(bad: Any, path: str) -> None:
    batch = read(body(alerts=[alert(), bad, alert(labels={"alertname": "Third"})]))
    assert [each.name for each in batch.alerts] == ["Probe", "Third"]
    (rejected,) = batch.rejected
    assert rejected.path == path
    assert rejected.reason


def test_nothing_readable_is_unusable_and_still_a_batch() -> None:
    batch = read(body(alerts=[None, alert(labels=5)]))
    assert not batch.usable
    assert len(batch.rejected) == 2


def test_the_text_of_a_bad_alert_is_kept_repaired_and_bounded() -> None:
    (rejected,) = read(body(alerts=[alert(labels={"a": "half \ud800, nul \0"}, annotations={"d": "x" * 9000})])).rejected
    assert len(rejected.raw) == 4096
    assert "half \ufffd" in rejected.raw


@pytest.mark.parametrize("number", ["9223372036854775808", "1e999", "-1", "1.5", '"many"', "null", "true", "[]", "99999999999"])
def test_an_unreadable_count_of_truncated_alerts_is_doubted(number: str) -> None:
    batch = read(body().replace(b'"truncatedAlerts": 0', f'"truncatedAlerts": {number}'.encode()))
    (found,) = batch.alerts
    assert found.truncated
    assert not found.trusted_shape
    assert [each.path for each in batch.rejected] == ["truncatedAlerts"]


# --- repeated names ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "old, new",
    [
        (b'"namespace": "shop"', b'"namespace": "shop", "namespace": "kube-system"'),
        (b'"namespace": "shop"', b'"namespace": "shop", "\\u006eamespace": "kube-system"'),
        (b'"namespace": "shop"', b'"namespace": "shop", "namespace" :"kube-system", "a\\\\": "b"'),
        (b'"namespace": "shop"', b'"namespace": "shop", "namespace": "", ' + b",".join(b'"%d": "\\\\"' % n for n in range(4))),
        (b'"status": "firing", "labels"', b'"status": "firing", "status": "resolved", "labels"'),
        (b'"summary": "it hurts"', b'"summary": "it hurts", "summary": "it does not"'),
        (b'"labels"', b'"labels": {"a": "b"}, "labels"'),
    ],
)
def test_an_alert_with_a_repeated_name_is_quarantined(old: bytes, new: bytes) -> None:
    raw = body()
    assert raw.count(old) == 1
    batch = read(raw.replace(old, new))
    assert not batch.alerts
    assert "more than once" in batch.rejected[0].reason


def test_a_repeated_name_of_the_envelope_forbids_acting() -> None:
    batch = read(body().replace(b'"receiver"', b'"version": "4", "receiver"'))
    assert not batch.alerts[0].trusted_shape
    assert batch.rejected[0].path == "body"


# --- status and times ----------------------------------------------------------------------------------------------------

PAST, FUTURE = "2026-11-21T09:10:00Z", "2026-11-21T10:00:00Z"


@pytest.mark.parametrize(
    "status, ends, over",
    [
        ("firing", ZERO, None),
        ("firing", "0001-01-01T00:00:00+05:30", None),
        ("firing", PAST, None),
        ("firing", FUTURE, None),
        ("resolved", PAST, datetime(2026, 11, 21, 9, 10, tzinfo=UTC)),
        ("resolved", ZERO, NOW),
        ("resolved", ..., NOW),
        ("resolved", "", NOW),
        ("resolved", FUTURE, NOW),
        ("resolved", "9999-12-31T23:59:59-14:00", NOW),
        ("resolved", "2024-01-01T00:00:00Z", datetime(2026, 11, 21, 9, 0, tzinfo=UTC)),
        (..., ZERO, None),
        (None, ..., None),
        (..., FUTURE, None),
        (..., PAST, datetime(2026, 11, 21, 9, 10, tzinfo=UTC)),
        ("FIRING", PAST, None),
        ("suppressed", PAST, None),
    ],
)
def test_the_status_decides_and_the_time_dates_it(status: Any, ends: Any, over: datetime | None) -> None:
    assert only(body(alerts=[alert(status=status, endsAt=ends)])).ends_at == over


def test_a_status_that_is_not_ours_is_firing_and_never_acted_on() -> None:
    assert not only(body(alerts=[alert(status="Resolved")])).trusted_shape


@pytest.mark.parametrize("starts", [ZERO, "0001-01-01T00:00:00+14:00", "", None, ...])
def test_an_alert_without_a_beginning_begins_when_it_arrives(starts: Any) -> None:
    found = only(body(alerts=[alert(startsAt=starts)]))
    assert found.starts_at == NOW
    assert found.trusted_shape


def test_a_beginning_in_the_near_future_stays_so_that_a_repeat_is_no_news() -> None:
    assert only(body(alerts=[alert(startsAt=FUTURE)])).starts_at == datetime(2026, 11, 21, 10, tzinfo=UTC)


@pytest.mark.parametrize("starts", ["9999-12-31T23:59:59-14:00", "9999-12-31T23:59:59Z", "2026-11-23T00:00:00Z"])
def test_an_absurd_beginning_is_noted_and_never_acted_on(starts: str) -> None:
    found = only(body(alerts=[alert(startsAt=starts)]))
    assert found.starts_at == NOW
    assert not found.trusted_shape
    assert starts[:4] in found.annotations[NOTE]


def test_a_long_value_is_cut_and_its_whole_still_tells_two_alerts_apart() -> None:
    one, other = (only(body(alerts=[alert(labels={"alertname": "x" * 900_000 + each})])) for each in "ab")
    assert one.name.startswith("x" * TEXT_LIMIT + "… [cut")
    assert len(one.name) < TEXT_LIMIT + 40
    assert one.fingerprint != other.fingerprint


def test_an_address_that_is_no_text_or_too_long_is_left_out() -> None:
    assert [only(body(alerts=[alert(generatorURL=each)])).generator_url for each in (5, "x" * 9000, "\0", ...)] == [""] * 4


def test_a_naive_clock_of_the_sender_is_not_guessed() -> None:
    assert read(body(alerts=[alert(startsAt="2026-11-21T09:00:00")])).usable is False


# --- both ways of reading are one ----------------------------------------------------------------------------------------

_TEXTS = st.sampled_from(
    ["", "a", '"', "\\", '\\"', "\\\\", "b\\", "\0", "ä", "\u2028", "💥", "<&>", ":", ' ": ', "\ud800", "\n", "firing"]
)
_TIMES = st.sampled_from(["2026-11-21T09:00:00.123456789Z", "2026-11-21T09:00:00+02:00", ZERO, "", "x", "9999-12-31T23:59:59-01:00"])
_PAIRS = st.dictionaries(_TEXTS, _TEXTS, max_size=3)
_ODD: Any = st.sampled_from([None, 1, 1.0, True, [], {}, "x"])


def _names(whole: dict[str, Any]) -> Any:
    """Objects with mostly these names and values, some odd, some missing, some twice, some unknown."""
    pairs = [
        st.lists(st.tuples(st.just(name), value | _ODD if name != "alerts" else value), min_size=0, max_size=2)
        for name, value in whole.items()
    ]
    exact = st.tuples(*(st.tuples(st.just(name), value) for name, value in whole.items())).map(list)
    loose = st.tuples(*pairs, st.lists(st.tuples(_TEXTS, _ODD), max_size=1)).map(lambda lists: [pair for each in lists for pair in each])
    return exact | exact | loose


class Pairs(list[Any]):
    """An object as a list of its pairs."""


_ALERTS = _names(
    {
        "status": st.sampled_from(["firing", "resolved", "FIRING"]),
        "labels": _PAIRS,
        "annotations": _PAIRS,
        "startsAt": _TIMES,
        "endsAt": _TIMES,
        "generatorURL": _TEXTS,
        "fingerprint": _TEXTS,
    }
).map(Pairs)
_DELIVERIES = _names(
    {
        "receiver": _TEXTS,
        "status": _TEXTS,
        "alerts": st.lists(_ALERTS, max_size=3),
        "groupLabels": _PAIRS,
        "commonLabels": _PAIRS,
        "commonAnnotations": _PAIRS,
        "externalURL": _TEXTS,
        "version": st.sampled_from(["4", "4", "5"]),
        "groupKey": _TEXTS,
        "truncatedAlerts": st.sampled_from([0, 3, 1.0, -1]),
    }
).map(Pairs)


def written(value: Any, escape: Callable[[str], str]) -> str:
    """JSON with repeated names as they stand."""
    if isinstance(value, Pairs | dict):
        pairs = value.items() if isinstance(value, dict) else value
        return "{" + ",".join(f"{escape(name)}:{written(each, escape)}" for name, each in pairs) + "}"
    if isinstance(value, list):
        return "[" + ",".join(written(each, escape) for each in value) + "]"
    return escape(value) if isinstance(value, str) else json.dumps(value)


ESCAPES: dict[str, Callable[[str], str]] = {
    "ascii": json.dumps,
    "spaced": lambda text: f" {json.dumps(text)}\t",
    "numeric": lambda text: '"' + "".join(f"\\u{unit:04x}" for unit in _units(text)) + '"',
}


def _units(text: str) -> list[int]:
    raw = text.encode("utf-16-be", "surrogatepass")
    return [int.from_bytes(raw[at : at + 2]) for at in range(0, len(raw), 2)]


@given(_DELIVERIES, st.sampled_from(sorted(ESCAPES)))
@example(Pairs([("alerts", [Pairs([("labels", {"a": "b"}), ("labels", {"a": "b"})])])]), "ascii")
def test_the_fast_path_and_salvaging_say_the_same_of_any_body(delivery: Pairs, escape: str) -> None:
    raw = written(delivery, ESCAPES[escape]).encode()
    assert SOURCE.parse(raw, NOW) == plain_salvage(raw)


def test_the_fast_path_and_salvaging_say_the_same_of_a_damaged_body(rng: random.Random) -> None:
    bodies = [path.read_bytes() for path in sorted(WEBHOOK.glob("*.json")) if path.stat().st_size < 2000]
    for _ in range(3000):
        raw = mutated(rng.choice(bodies), rng)
        assert SOURCE.parse(raw, NOW) == plain_salvage(raw)


def test_a_body_of_nothing_but_braces_is_refused_before_it_fills_the_memory() -> None:
    refusal = SOURCE.parse(b'{"alerts":[' + b"{}," * 2_000_000 + b"{}]}", NOW)
    assert isinstance(refusal, Refusal)
    assert "values" in refusal.reason


def test_times_of_another_offset_compare_as_moments() -> None:
    starts = datetime(2026, 11, 21, 9, 0, tzinfo=timezone(timedelta(hours=-4))).isoformat()
    assert only(body(alerts=[alert(startsAt=starts)])).starts_at == datetime(2026, 11, 21, 13, 0, tzinfo=UTC)
