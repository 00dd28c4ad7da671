"""Identity, group keys, and what one more statement about an alert changes."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.core.dedup import FLAPS_KEPT, STALE_RETRY, News, bound_key, fingerprint, fold, group_key, hint, plain, title
from receiver.core.facts import Hint
from receiver.core.model import Alert, AlertRecord, Rule, Service, Symptom, Target, TargetRef

T0 = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
CRASH = Rule(name="crash", symptom=Symptom.crash)
POD_LABELS = {"alertname": "KubePodCrashLooping", "namespace": "shop", "pod": "web-1", "container": "web"}


def alert(
    labels: Mapping[str, str] = POD_LABELS,
    *,
    starts: datetime = T0,
    ends: datetime | None = None,
    at: datetime | None = None,
    source: str = "am",
    annotations: Mapping[str, str] | None = None,
    url: str = "",
    trusted: bool = True,
) -> Alert:
    received = at or max(starts, ends or starts)
    return Alert(source, fingerprint(source, labels), labels, annotations or {}, starts, ends, received, url, trusted)


def held(*statements: Alert) -> AlertRecord:
    """The record after these statements."""
    record: AlertRecord | None = None
    for each in statements:
        record = fold(record, each, rule="crash").record
    assert record is not None
    return record


# --- fingerprint ---------------------------------------------------------------------------------------------------------

LABELS = st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=5)


@given(LABELS, st.randoms(use_true_random=False))
def test_a_fingerprint_does_not_depend_on_the_order_of_labels(labels: dict[str, str], random: Random) -> None:
    shuffled = list(labels.items())
    random.shuffle(shuffled)
    assert fingerprint("am", labels) == fingerprint("am", dict(shuffled))


@given(LABELS, LABELS)
def test_different_labels_have_different_fingerprints(one: dict[str, str], other: dict[str, str]) -> None:
    said = {name: value for name, value in one.items() if value}
    said_other = {name: value for name, value in other.items() if value}
    assert (fingerprint("am", one) == fingerprint("am", other)) is (said == said_other)


@pytest.mark.parametrize(
    "one,other",
    [
        ({"a": "b\0c"}, {"a": "b", "c": ""}),
        ({"a": "b", "c": "d"}, {"a": "b\0c\0d"}),
        ({"a": "1", "b": "2"}, {"a": "1:b2"}),
        ({"a\0": "b"}, {"a": "\0b"}),
        ({"a": "\x00"}, {"a": "\x00\x00"}),
    ],
)
def test_separators_inside_values_do_not_make_alerts_equal(one: dict[str, str], other: dict[str, str]) -> None:
    assert fingerprint("am", one) != fingerprint("am", other)


def test_a_fingerprint_is_scoped_by_its_source_and_blind_to_replicas_and_empty_values() -> None:
    assert fingerprint("am", POD_LABELS) != fingerprint("grafana", POD_LABELS)
    replicas = [fingerprint("am", {**POD_LABELS, "replica": each, "empty": ""}, frozenset({"replica"})) for each in "ab"]
    assert set(replicas) == {fingerprint("am", POD_LABELS)}


def test_a_fingerprint_never_changes_between_releases() -> None:
    assert fingerprint("am", {"alertname": "Up", "job": "ÿ"}) == "a8008b2e053625d368df2a6ddc196c79"


def test_a_lone_surrogate_has_a_fingerprint_too() -> None:
    assert len(fingerprint("am", {"a": "\ud800"})) == 32


# --- hint ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "labels,expected",
    [
        ({"workload": "web", "workload_type": "deployment"}, Hint(kind="Deployment", name="web")),
        ({"workload": "web", "workload_type": "Rollout"}, Hint(kind="Rollout", name="web")),
        ({"workload": "web-1", "workload_type": "barepod"}, Hint(pod="web-1")),
        ({"workload": "web"}, Hint()),
        ({"workload": "web", "workload_type": "deployment", "deployment": "other"}, Hint(kind="Deployment", name="web")),
        ({"deployment": "web", "statefulset": "db"}, Hint(kind="Deployment", name="web")),
        ({"daemonset": "agent"}, Hint(kind="DaemonSet", name="agent")),
        ({"job_name": "backup-1", "job": "kube-state-metrics"}, Hint(kind="Job", name="backup-1")),
        ({"horizontalpodautoscaler": "web"}, Hint(hpa="web")),
        ({"pod": "web-1", "service": "web"}, Hint(pod="web-1", service="web")),
        ({"namespace": "shop", "cluster": "eu_1"}, Hint(namespace="shop", cluster="eu_1")),
        ({"instance": "10.0.0.1:8080", "job": "web"}, Hint()),
    ],
)
def test_labels_name_a_target(labels: dict[str, str], expected: Hint) -> None:
    assert hint(labels) == expected


def test_one_exported_label_speaks_for_all_that_the_scrape_wrote_over() -> None:
    scraped = {"namespace": "monitoring", "pod": "ksm-1", "service": "ksm", "deployment": "web", "exported_namespace": "shop"}
    assert hint(scraped) == Hint(namespace="shop", kind="Deployment", name="web")


def test_the_exporter_is_never_named_when_only_its_pod_was_renamed() -> None:
    assert hint({"namespace": "monitoring", "pod": "ksm-1", "exported_pod": "web-1"}) == Hint(pod="web-1")


@pytest.mark.parametrize("bad", ["Web", "web/../x", "-web", "web\n", "wéb", "a" * 254, " web", "web?x=1", "", "web%2f"])
def test_a_name_that_kubernetes_would_refuse_is_dropped_and_never_mended(bad: str) -> None:
    labels = dict.fromkeys(("workload", "deployment", "pod", "service", "horizontalpodautoscaler", "namespace"), bad)
    assert hint({**labels, "workload_type": "deployment"}) == Hint()


def test_a_namespace_is_one_dns_label() -> None:
    assert hint({"namespace": "a.b"}).namespace == ""
    assert hint({"namespace": "a" * 64}).namespace == ""


# --- group key -----------------------------------------------------------------------------------------------------------


def key(labels: Mapping[str, str], *, rule: Rule = CRASH, service: Service | None = None, source: str = "am") -> str:
    return group_key(alert(labels, source=source), rule, service, "ours")


def test_five_replicas_that_crash_together_have_one_key() -> None:
    assert len({key({**POD_LABELS, "pod": f"web-{n}", "instance": f"10.0.0.{n}", "uid": str(n)}) for n in range(5)}) == 1


def test_two_deployments_have_two_keys() -> None:
    assert key({"alertname": "A", "namespace": "shop", "deployment": "web"}) != key(
        {"alertname": "A", "namespace": "shop", "deployment": "api"}
    )


def test_alerts_of_one_workload_have_one_key_whatever_their_name_and_source() -> None:
    one = key({"alertname": "A", "namespace": "shop", "deployment": "web", "severity": "warning"})
    other = key({"alertname": "B", "namespace": "shop", "workload": "web", "workload_type": "deployment"}, source="grafana")
    assert one == other == "ours/workload/shop/Deployment/web/crash"


def test_the_service_of_the_catalogue_comes_before_the_labels() -> None:
    checkout = Service("checkout")
    assert key(POD_LABELS, service=checkout) == key({"alertname": "B", "deployment": "x", "namespace": "y"}, service=checkout)


@pytest.mark.parametrize(
    "other",
    [
        {**POD_LABELS, "cluster": "theirs"},
        {**POD_LABELS, "alertname": "Other"},
        {**POD_LABELS, "namespace": "other"},
        {**POD_LABELS, "node": "n1"},
    ],
)
def test_another_place_or_alertname_is_another_key_where_no_workload_is_named(other: dict[str, str]) -> None:
    assert key(POD_LABELS) != key(other)


def test_another_symptom_is_another_key() -> None:
    assert key(POD_LABELS) != key(POD_LABELS, rule=replace(CRASH, symptom=Symptom.security))


def test_our_own_cluster_said_or_not_is_the_same_key() -> None:
    assert key(POD_LABELS) == key({**POD_LABELS, "cluster": "ours"})


def test_severity_is_a_claim_and_no_identity() -> None:
    assert key({**POD_LABELS, "severity": "warning"}) == key({**POD_LABELS, "severity": "critical"})


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=400), max_size=6))
def test_hostile_labels_give_a_short_plain_key(labels: dict[str, str]) -> None:
    made = key({**labels, "alertname": "A"}, service=None)
    assert len(made) <= 500
    assert made.isascii()
    assert made.isprintable()


def test_a_strange_cluster_name_cannot_pose_as_another_key() -> None:
    posing = key({"alertname": "A", "cluster": "ours/workload/shop/Deployment/web/crash"})
    assert posing.startswith("~")


def test_a_bound_target_is_one_incident_except_for_data_and_security() -> None:
    target = Target(TargetRef("kubernetes", "ours", "shop", "Deployment", "web"), "uid-1")
    assert {bound_key(target, each) for each in Symptom} == {"uid:uid-1", "uid:uid-1/data", "uid:uid-1/security"}


# --- fold ----------------------------------------------------------------------------------------------------------------

FIRING = alert()
OVER = alert(ends=T0 + 5 * MINUTE)
AGAIN = alert(starts=T0 + 10 * MINUTE)


def test_the_first_firing_is_new() -> None:
    folded = fold(None, FIRING, rule="crash")
    assert folded.news is News.new
    assert folded.record == AlertRecord(FIRING, "crash", T0)


def test_a_repeat_is_not_worth_a_write() -> None:
    repeat = replace(FIRING, received_at=T0 + 60 * MINUTE, generator_url="http://prometheus-b/graph")
    assert fold(held(FIRING), repeat, rule="crash") == fold(held(FIRING), FIRING, rule="crash")
    assert not fold(held(FIRING), repeat, rule="crash").changed


@pytest.mark.parametrize("statements", [(FIRING,), (FIRING, OVER), (FIRING, OVER, AGAIN)])
def test_the_same_statement_twice_changes_nothing(statements: Sequence[Alert]) -> None:
    record = held(*statements)
    folded = fold(record, statements[-1], rule="crash")
    assert (folded.record, folded.changed) == (record, False)


def test_new_annotations_are_kept_and_are_no_news() -> None:
    folded = fold(held(FIRING), alert(annotations={"summary": "now 7 restarts"}), rule="crash")
    assert (folded.news, folded.changed) == (News.repeated, True)
    assert folded.record is not None
    assert folded.record.alert.annotations == {"summary": "now 7 restarts"}


def test_only_an_explicit_statement_resolves() -> None:
    folded = fold(held(FIRING), OVER, rule="crash")
    assert folded.news is News.resolved
    assert folded.record is not None
    assert folded.record.resolved_at == OVER.received_at


def test_a_resolve_of_what_was_never_held_makes_nothing() -> None:
    assert fold(None, OVER, rule="crash").record is None


def test_a_late_retry_does_not_open_what_was_resolved() -> None:
    retry = replace(FIRING, received_at=OVER.received_at + timedelta(seconds=5))
    folded = fold(held(FIRING, OVER), retry, rule="crash")
    assert (folded.news, folded.changed) == (News.stale, False)


def test_the_same_start_long_after_a_resolve_is_no_retry_any_more() -> None:
    cut_off = replace(FIRING, received_at=OVER.received_at + STALE_RETRY)
    assert fold(held(FIRING, OVER), cut_off, rule="crash").news is News.refired


def test_a_newer_start_after_a_resolve_is_a_flap() -> None:
    record = held(FIRING, OVER, AGAIN)
    assert record.firing
    assert record.flaps == (AGAIN.received_at,)


def test_the_resolve_of_an_earlier_episode_does_not_resolve_the_present_one() -> None:
    assert fold(held(FIRING, OVER, AGAIN), replace(OVER, received_at=AGAIN.received_at + MINUTE), rule="crash").news is News.stale


def test_a_replica_that_saw_it_begin_earlier_can_resolve_it() -> None:
    record = held(alert(starts=T0 + MINUTE))
    assert fold(record, alert(starts=T0, ends=T0 + 5 * MINUTE), rule="crash").news is News.resolved


def test_a_second_resolve_changes_nothing() -> None:
    later = alert(ends=T0 + 6 * MINUTE)
    assert fold(held(FIRING, OVER), later, rule="crash") == fold(held(FIRING, OVER), OVER, rule="crash")


def test_flaps_are_bounded() -> None:
    record = held(FIRING)
    for n in range(1, 100):
        start = T0 + n * 10 * MINUTE
        record = held_on(record, alert(starts=start - 10 * MINUTE, ends=start - MINUTE), alert(starts=start))
    assert len(record.flaps) == FLAPS_KEPT
    assert record.flaps[-1] == T0 + 990 * MINUTE


def held_on(record: AlertRecord, *statements: Alert) -> AlertRecord:
    for each in statements:
        folded = fold(record, each, rule="crash")
        assert folded.record is not None
        record = folded.record
    return record


def test_an_odd_shape_once_is_an_odd_shape_for_good() -> None:
    record = held(alert(trusted=False), AGAIN, alert(starts=T0 + 11 * MINUTE))
    assert not record.alert.trusted_shape


@pytest.mark.parametrize("starts", [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC), T0])
@pytest.mark.parametrize("ends", [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC), T0, None])
def test_zero_and_far_off_times_are_folded(starts: datetime, ends: datetime | None) -> None:
    odd = alert(starts=starts, ends=ends, at=T0)
    for record in (None, held(FIRING), held(FIRING, OVER)):
        again = fold(fold(record, odd, rule="crash").record, odd, rule="crash")
        assert not again.changed or again.record is None or again.news is News.new


def _story() -> list[Alert]:
    """Three episodes, each firing and over."""
    episodes = [T0 + n * 20 * MINUTE for n in range(3)]
    return [each for start in episodes for each in (alert(starts=start), alert(starts=start, ends=start + 5 * MINUTE))]


def _standing(record: AlertRecord) -> tuple[datetime, bool]:
    return record.alert.starts_at, record.firing


@given(st.permutations(_story()[1:]), st.integers(min_value=0, max_value=5))
def test_order_and_replays_do_not_change_what_is_known_at_last(later: list[Alert], replayed: int) -> None:
    """Whatever the order in which the network brings them (within the time of a retry), the newest episode wins, and it is over."""
    now = T0 + 60 * MINUTE
    arriving = [replace(each, received_at=now) for each in [*later, *later[:replayed]]]
    assert _standing(held(FIRING, *arriving)) == (T0 + 40 * MINUTE, False)


@given(st.lists(st.sampled_from(_story()), min_size=1, max_size=12))
def test_replaying_a_whole_story_changes_nothing(statements: list[Alert]) -> None:
    arriving = [replace(each, received_at=T0 + 60 * MINUTE) for each in itertools.chain(_story(), statements)]
    record = held(*arriving[: len(_story())], *arriving)
    assert held_on(record, *arriving) == record


# --- words ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "labels,service,expected",
    [
        (POD_LABELS, None, "KubePodCrashLooping: shop"),
        ({"alertname": "A", "namespace": "shop", "deployment": "web"}, None, "A: shop/Deployment/web"),
        (POD_LABELS, Service("checkout"), "KubePodCrashLooping: checkout"),
        ({"alertname": "Up"}, None, "Up"),
        ({}, None, "(alertname missing)"),
        ({"alertname": "evil\u202egpj.exe\n\x1b[31m{0}"}, None, "evil gpj.exe [31m{0}"),
    ],
)
def test_a_title_names_the_alert_and_its_place(labels: dict[str, str], service: Service | None, expected: str) -> None:
    assert title(alert(labels), service) == expected


@given(st.text())
def test_plain_text_is_one_bounded_visible_line(text: str) -> None:
    shown = plain(text * 50, limit=300)
    assert len(shown) <= 300
    assert shown.isprintable()


def test_an_episode_whose_beginning_alone_was_heard_of_is_a_new_one() -> None:
    """Resolved and fired again within one group_interval: Alertmanager never says that it was over in between."""
    record = held(alert())
    later = replace(record.alert, starts_at=record.alert.starts_at + timedelta(minutes=5))
    folded = fold(record, later, rule="r")
    assert folded.news is News.refired
    assert folded.record is not None
    assert folded.record.alert.starts_at == later.starts_at


def test_two_replicas_that_saw_it_seconds_apart_are_no_new_episode() -> None:
    record = held(alert())
    other = replace(record.alert, starts_at=record.alert.starts_at + timedelta(seconds=20))
    assert fold(record, other, rule="r").news is News.repeated
