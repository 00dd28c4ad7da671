"""What may be configured of the ways of CloudWatch, and where their alarms may aim."""

from __future__ import annotations

import pytest

from receiver.settings import Settings, SettingsRefused, load_settings
from receiver.settings.crossing import missing_packages
from receiver.yamlfile import Document

TOPIC = "arn:aws:sns:eu-west-1:111122223333:ops-alarms"
TOKEN = "0123456789abcdefghijk"
QUEUE = '"https://sqs.eu-west-1.amazonaws.com/111122223333/alarms"'


def of(**variables: str) -> Settings:
    return load_settings(None, {f"RECEIVER__SOURCES__{name}": value for name, value in variables.items()})


def test_sns_is_careful_unless_told_otherwise() -> None:
    own = of(SNS=f'{{topics: ["{TOPIC}"]}}').sources.sns
    assert own is not None
    assert (own.require_v2, own.confirm, own.namespaces, own.clusters) == (False, False, (), ())


@pytest.mark.parametrize("topics", ["[]", "[ops-alarms]", f'["{TOPIC}*"]', f'["{TOPIC}/x"]', '["arn:aws:sqs:eu-west-1:111122223333:x"]'])
def test_only_whole_arns_of_topics_are_taken(topics: str) -> None:
    with pytest.raises(SettingsRefused, match=r"SNS: a list has too few entries|is not the ARN of an SNS topic"):
        of(SNS=f"{{topics: {topics}}}")


@pytest.mark.parametrize("partition", ["aws-iso", "aws-iso-b", "aws-eusc"])
def test_topics_whose_messages_can_never_be_verified_are_refused_over_https_only(partition: str) -> None:
    topic = TOPIC.replace(":aws:", f":{partition}:")
    with pytest.raises(SettingsRefused, match=f"partition '{partition}'.* aws, aws-cn, aws-us-gov"):
        of(SNS=f'{{topics: ["{topic}"]}}')
    queue = of(SQS=f'{{queue_url: {QUEUE}, topics: ["{topic}"]}}').sources.sqs
    assert queue is not None
    assert queue.topics == (topic,)


@pytest.mark.parametrize("partition", ["aws", "aws-us-gov", "aws-cn"])
def test_topics_of_known_partitions_are_taken(partition: str) -> None:
    assert of(SNS=f'{{topics: ["{TOPIC.replace(":aws:", f":{partition}:")}"]}}').sources.sns


def test_a_bus_without_a_credential_is_refused() -> None:
    with pytest.raises(SettingsRefused, match="no credential"):
        of(EVENTBRIDGE="{namespaces: [shop]}")


def test_an_alarm_may_aim_where_every_configured_way_may() -> None:
    sns = f'{{topics: ["{TOPIC}"], namespaces: [shop, web], clusters: [app, batch]}}'
    assert of(SNS=sns).source_namespaces == {"cloudwatch": {"shop", "web", "ecs/app", "ecs/batch"}}
    bus = f"{{token: {TOKEN}, namespaces: [web], clusters: [app]}}"
    both = of(SNS=sns, EVENTBRIDGE=bus, SQS=f"{{queue_url: {QUEUE}, clusters: [app]}}")
    assert both.source_namespaces == {"cloudwatch": {"ecs/app"}}


def test_a_namespace_is_no_cluster_of_the_same_name() -> None:
    found = of(ALERTMANAGER=f"{{token: {TOKEN}, namespaces: [shop], clusters: [app]}}").source_namespaces
    assert found == {"alertmanager": {"shop", "ecs/app"}}


@pytest.mark.parametrize("section", [("sources", "sqs"), ("cloudwatch",), ("ecs",)])
def test_the_sdk_that_is_missing_is_told_before_the_first_call(section: tuple[str, ...]) -> None:
    content: dict[str, object] = {"region": "eu-west-1"}
    for name in reversed(section):
        content = {name: content}
    (problem,) = missing_packages(content, Document("config", None), installed=lambda _: None)
    assert "needs the package aiobotocore: pip install 'alert-receiver[aws]'" in str(problem)


def test_a_package_that_is_missing_is_told_before_the_first_message() -> None:
    content = {"sources": {"sns": {"topics": [TOPIC]}}}
    (problem,) = missing_packages(content, Document("config", None), installed=lambda _: None)
    assert "needs the package cryptography: pip install 'alert-receiver[aws]'" in str(problem)
    assert missing_packages({"sources": {"sns": None}}, Document("config", None), installed=lambda _: None) == []
    assert missing_packages(content, Document("config", None)) == []


@pytest.mark.parametrize("host", ["http://localhost:4566", "http://127.0.0.1:9324", "https://sqs.example.org", "https://sqs.amazonaws.com"])
def test_a_queue_whose_address_names_no_region_needs_one(host: str) -> None:
    with pytest.raises(SettingsRefused) as refused:
        of(SQS=f'{{queue_url: "{host}/111122223333/alarms"}}')
    (problem,) = refused.value.problems
    assert "SOURCES__SQS" in str(problem)
    assert host.partition("//")[2].partition(":")[0] in str(problem)
    assert "set sources.sqs.region" in str(problem)
    own = of(SQS=f'{{queue_url: "{host}/111122223333/alarms", region: eu-west-1}}').sources.sqs
    assert own is not None
    assert own.place == "eu-west-1"


def test_the_region_that_is_set_wins() -> None:
    named, told = of(SQS=f"{{queue_url: {QUEUE}}}").sources.sqs, of(SQS=f"{{queue_url: {QUEUE}, region: us-east-1}}").sources.sqs
    assert named is not None
    assert told is not None
    assert (named.place, told.place) == ("eu-west-1", "us-east-1")
