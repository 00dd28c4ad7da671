"""Reading raw objects: templates compared, marks, revisions, times; total whatever the JSON holds."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.clients import kubernetes_objects as objects

TEMPLATE: dict[str, Any] = {
    "metadata": {"labels": {"app": "web"}},
    "spec": {"containers": [{"name": "app", "image": "web:1", "env": [{"name": "A", "value": "1"}]}]},
}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["metadata", "spec", "annotations", "template", "x"]), inner)
    ),
    max_leaves=12,
)


def with_meta(**meta: Any) -> dict[str, Any]:
    return copy.deepcopy(TEMPLATE) | {"metadata": {"labels": {"app": "web"}} | meta}


IMMATERIAL = [
    with_meta(annotations={objects.RESTARTED_AT: "2026-01-01T00:00:00Z"}),
    with_meta(annotations={objects.ROBUSTA_RESTARTED_AT: "2026-01-01T00:00:00Z", objects.ATTEMPT: "a-1-1"}),
    with_meta(labels={"app": "web", objects.TEMPLATE_HASH_LABEL: "6d4cf56db6"}),
    with_meta(creationTimestamp=None),
    with_meta(annotations={}),
    with_meta(annotations=None),
]


@pytest.mark.parametrize("same", IMMATERIAL)
def test_a_restart_leaves_the_hash_of_a_template(same: dict[str, Any]) -> None:
    assert objects.template_hash(same) == objects.template_hash(TEMPLATE)


def test_a_material_difference_changes_the_hash() -> None:
    others = [copy.deepcopy(TEMPLATE) for _ in range(2)]
    others[0]["spec"]["containers"][0]["image"] = "web:2"
    others[1]["spec"]["containers"][0]["env"][0]["value"] = "2"
    others += [with_meta(annotations={"example.test/config": "2"}), with_meta(labels={"app": "web", "tier": "1"})]
    assert len({objects.template_hash(each) for each in [TEMPLATE, *others]}) == 5


def test_the_hash_does_not_depend_on_the_order_of_keys() -> None:
    turned = {"spec": TEMPLATE["spec"], "metadata": TEMPLATE["metadata"]}
    assert objects.template_hash(turned) == objects.template_hash(TEMPLATE)


def test_a_template_to_restore_keeps_its_annotations_and_loses_the_hash_label() -> None:
    marks = {objects.RESTARTED_AT: "2026-01-01T00:00:00Z"}
    held = with_meta(labels={"app": "web", objects.TEMPLATE_HASH_LABEL: "x"}, annotations=marks)
    before = copy.deepcopy(held)
    assert objects.restorable_template({"spec": {"template": held}}) == TEMPLATE | {
        "metadata": {"labels": {"app": "web"}, "annotations": marks}
    }
    assert held == before


@pytest.mark.parametrize("text, number", [("7", 7), ("", 0), ("x", 0), ("-1", 0), ("٣", 0), ("1.5", 0)])
def test_a_revision_that_is_no_number_counts_as_none(text: str, number: int) -> None:
    assert objects.revision({"metadata": {"annotations": {objects.REVISION: text}}}) == number


def test_marks_are_read_from_annotation_template_and_field_managers() -> None:
    found = {
        "metadata": {
            "annotations": {objects.LAST_ACTION: json.dumps(["i-1-1", "i-1-2"])},
            "managedFields": [{"manager": "receiver:i-1-4", "subresource": "scale"}, {"manager": "kubectl"}, {"manager": "receiver:i-1-1"}],
        },
        "spec": {"template": {"metadata": {"annotations": {objects.ATTEMPT: "i-1-3"}}}},
    }
    assert objects.attempt_marks(found) == ("i-1-1", "i-1-2", "i-1-3", "i-1-4")


@pytest.mark.parametrize("text", ["", "x", "{}", "7", "[" * 100_000, '[1, null, "i-1-1"]'])
def test_an_annotation_of_nonsense_is_taken_for_what_can_be_read(text: str) -> None:
    found = {"metadata": {"annotations": {objects.LAST_ACTION: text}}}
    assert objects.last_actions(found) in ((), ("i-1-1",))
    assert json.loads(objects.last_actions_with(found, "i-1-2"))[-1] == "i-1-2"


@given(st.lists(st.from_regex(r"[a-z0-9-]{1,60}", fullmatch=True), max_size=9), st.from_regex(r"[a-z0-9-]{1,60}", fullmatch=True))
def test_the_annotation_holds_the_newest_five_once_and_under_a_kilobyte(earlier: list[str], newest: str) -> None:
    text = objects.last_actions_with({"metadata": {"annotations": {objects.LAST_ACTION: json.dumps(earlier)}}}, newest)
    kept = json.loads(text)
    assert (kept[-1], kept.count(newest)) == (newest, 1)
    assert len(kept) <= 5
    assert len(text) < 1024


def test_the_controlling_owner_is_told_from_the_others() -> None:
    owners = [{"kind": "X", "name": "x", "uid": "1"}, {"kind": "Deployment", "name": "web", "uid": "2", "controller": True}]
    assert objects.controller({"metadata": {"ownerReferences": owners}}) == ("Deployment", "web", "2")
    assert objects.controller({"metadata": {"ownerReferences": owners[:1]}}) is None


def test_times_are_utc_in_whole_seconds() -> None:
    moment = datetime(2026, 1, 1, 1, 2, 3, 999, tzinfo=timezone(timedelta(hours=1)))
    assert objects.timestamp(moment) == "2026-01-01T00:02:03Z"
    assert objects.parse_time("2026-01-01T00:02:03Z") == datetime(2026, 1, 1, 0, 2, 3, tzinfo=UTC)


@pytest.mark.parametrize("text", [None, 7, "", "yesterday", "2026-01-01T00:00:00", {}])
def test_what_is_no_time_is_none(text: object) -> None:
    assert objects.parse_time(text) is None


@given(st.dictionaries(st.sampled_from(["metadata", "spec", "status"]), json_values))
def test_reading_never_raises(found: dict[str, Any]) -> None:
    objects.uid(found), objects.name(found), objects.resource_version(found), objects.generation(found)
    objects.observed_generation(found), objects.revision(found), objects.controller(found), objects.attempt_marks(found)
    objects.template_hash(objects.template(found))
    objects.restorable_template(found)
    objects.last_actions_with(found, "i-1-1")
