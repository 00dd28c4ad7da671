"""What labels say about a service of Amazon ECS, and that it never passes for one of Kubernetes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from receiver.core.dedup import group_key, hint
from receiver.core.facts import Hint
from receiver.core.model import Alert, Rule, Service, TargetRef
from receiver.core.rules import RuleSet

DIMENSIONS = {"dimension_ClusterName": "shop", "dimension_ServiceName": "web"}
PLACE = {"account_id": "111122223333", "region": "eu-west-1"}
HINT = Hint(namespace="shop", kind="Service", name="web", platform="ecs", account="111122223333", region="eu-west-1")
NOW = datetime(2026, 11, 20, tzinfo=UTC)
RULE = Rule("cpu")


def alert(**labels: str) -> Alert:
    return Alert("cloudwatch", "f", {"alertname": "cpu", **labels}, {}, NOW, None, NOW)


def test_the_two_dimensions_name_a_service() -> None:
    assert hint({**DIMENSIONS, **PLACE}) == HINT


def test_the_exporter_that_told_them_is_not_the_target() -> None:
    assert hint({**DIMENSIONS, **PLACE, "namespace": "monitoring", "pod": "yace-1", "job": "yace", "service": "yace"}) == HINT


@pytest.mark.parametrize("value", ["", "web/../x", "a b", "x" * 256, "é"])
def test_a_name_that_ecs_does_not_know_is_dropped(value: str) -> None:
    assert hint({**DIMENSIONS, "dimension_ServiceName": value}).empty


def test_a_cluster_alone_names_nothing() -> None:
    assert hint({"dimension_ClusterName": "shop"}).empty


def test_an_account_or_region_that_is_none_is_dropped() -> None:
    named = hint({**DIMENSIONS, "account_id": "12", "region": "../x"})
    assert (named.account, named.region, named.name) == ("", "", "web")


def test_the_catalogue_finds_the_service_by_its_target() -> None:
    checkout = Service("checkout", (TargetRef("ecs", "default", "shop", "Service", "web"),))
    other = Service("other", (TargetRef("kubernetes", "default", "shop", "Service", "web"),))
    ruleset = RuleSet((), Rule("default", is_default=True), services={"checkout": checkout, "other": other})
    labels = {**DIMENSIONS, **PLACE}
    assert ruleset.service_for(labels, hint(labels)) == checkout


def test_an_alarm_and_an_alert_about_one_service_of_the_catalogue_have_one_key() -> None:
    checkout = Service("checkout", (TargetRef("ecs", "default", "shop", "Service", "web"),))
    keys = {group_key(each, RULE, checkout, "default") for each in (alert(**DIMENSIONS), alert(namespace="shop", deployment="checkout"))}
    assert keys == {"default/service/checkout/other"}


def test_services_of_two_accounts_or_platforms_have_keys_of_their_own() -> None:
    alerts = [
        alert(**DIMENSIONS, **PLACE),
        alert(**DIMENSIONS, **{**PLACE, "account_id": "999988887777"}),
        alert(**DIMENSIONS, **{**PLACE, "region": "eu-west-2"}),
        alert(namespace="shop", workload="web", workload_type="Service"),
    ]
    assert len({group_key(each, RULE, None, "default") for each in alerts}) == 4
