"""The rules that we ship: they load, each of their tests passes, and what must hold of any rule of ours holds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from receiver.core.case import Policy
from receiver.core.model import Mode, Naming, Symptom
from receiver.core.prepared import RECIPES
from receiver.core.rules import RuleSet
from receiver.core.wording.by_hand import SHOWN
from receiver.remediate import ACTIONS
from receiver.rulefiles import check, load
from receiver.settings import load_settings
from receiver.simulation import CaseResult, cases, run_files

ROOT = Path(__file__).parents[2]
RULES = ROOT / "rules"
TESTS = sorted((RULES / "tests").glob("*.yaml"))

RESULTS = run_files(TESTS, known_actions=frozenset(ACTIONS))


@pytest.fixture(scope="module")
def shipped() -> RuleSet:
    return load([RULES], known_actions=frozenset(ACTIONS))


@pytest.mark.parametrize("result", [pytest.param(each, id=f"{Path(each.file).stem}: {each.name}") for each in RESULTS])
def test_a_shipped_rule_does_what_its_test_says(result: CaseResult) -> None:
    assert result.passed, f"{result.file}:{result.line}\n" + "\n".join(result.failures)


@pytest.mark.parametrize("naming", Naming)
def test_the_shipped_rules_load_in_every_naming(naming: Naming) -> None:
    assert check([RULES], known_actions=frozenset(ACTIONS), policy=Policy(naming=naming)) == []


def test_each_file_of_rules_has_a_file_of_tests() -> None:
    assert [each.name for each in TESTS] == sorted(each.name for each in RULES.glob("*.yaml"))


def test_every_rule_that_acts_is_played_until_it_acts(shipped: RuleSet) -> None:
    acting = {rung.action for rule in shipped.rules for rung in rule.remediate}
    assert acting == {told.action for result in RESULTS for told in result.told if told.step == "remediate"}


def test_as_shipped_nothing_acts() -> None:
    assert load_settings(None, {}).policy().mode is Mode.observe


def test_no_node_is_touched_without_a_yes_as_shipped(shipped: RuleSet) -> None:
    asking = [rung for rule in shipped.rules for rung in rule.remediate if rung.action.endswith("cordon")]
    assert asking
    assert not load_settings(None, {}).policy().nodes
    assert all(rule.mode is Mode.approve for rule in shipped.rules for rung in rule.remediate if rung in asking)


def test_an_undo_is_never_automatic_as_shipped(shipped: RuleSet) -> None:
    undos = [rung for rule in shipped.rules for rung in rule.remediate if rung.action.endswith("rollout_undo")]
    assert undos
    assert all(each.mode is Mode.approve for each in undos)


def test_security_and_data_are_never_acted_on(shipped: RuleSet) -> None:
    untouchable = [each for each in shipped.rules if each.symptom in (Symptom.security, Symptom.data)]
    assert {each.symptom for each in untouchable} == {Symptom.security, Symptom.data}
    assert all(each.page_only and not each.remediate for each in untouchable)


def test_the_figures_that_people_look_up_first_are_shipped(shipped: RuleSet) -> None:
    named = {each.name for rule in shipped.rules for each in rule.evidence}
    postgresql, rabbitmq = {"postgresql_activity", "postgresql_connections_share"}, {"rabbitmq_ready", "rabbitmq_consumers"}
    assert named == {"up", "requests_per_second"} | postgresql | rabbitmq
    data = [each for each in shipped.rules if each.name.startswith("database-")]
    assert len(data) == 3
    assert len({each.evidence for each in data}) == 1


@pytest.mark.parametrize(
    "name,rule",
    [
        ("KubePodCrashLooping", "crash-loop-after-rollout"),
        ("KubeContainerWaiting", "crash-loop-after-rollout"),
        ("KubeDeploymentRolloutStuck", "crash-loop-after-rollout"),
        ("KubeDeploymentReplicasMismatch", "degraded-replicas"),
        ("KubePodNotReady", "degraded-replicas"),
        ("CPUThrottlingHigh", "cpu-saturation"),
        ("KubeHpaMaxedOut", "hpa-at-its-end"),
        ("KubeStatefulSetReplicasMismatch", "statefulset-replicas"),
        ("KubeStatefulSetUpdateNotRolledOut", "statefulset-rollout"),
        ("KubeStatefulSetGenerationMismatch", "statefulset-rollout"),
        ("KubeDaemonSetRolloutStuck", "daemonset-rollout"),
        ("KubeDaemonSetMisScheduled", "daemonset-nodes"),
        ("KubeNodeNotReady", "sick-node"),
        ("KubeNodePressure", "sick-node"),
        ("NodeFilesystemAlmostOutOfSpace", "node-disk"),
        ("HostOutOfDiskSpace", "node-disk"),
        ("HostFilesystemDeviceError", "data-loss"),
        ("ContainerHighMemoryUsage", "memory-leak"),
        ("ContainerLowMemoryUsage", "default"),
        ("HostOutOfMemory", "default"),
        ("AwsSqsQueueMessagesVisible", "queue-sqs"),
        ("WorkQueueLengthHigh", "queue"),
        ("AwsAlbHigh5xxErrorRate", "cloud"),
        ("HighErrorRate", "high-errors"),
        ("KubeAPIErrorBudgetBurn", "default"),
        ("HighRequestLatency", "high-latency"),
        ("BlackboxProbeSlowHttp", "high-latency"),
        ("HostUnusualDiskReadLatency", "default"),
        ("BlackboxSslCertificateExpired", "default"),
        ("BlackboxProbeHttpFailure", "site-down"),
        ("KubeJobFailed", "default"),
        ("Watchdog", "watchdog"),
        ("InfoInhibitor", "info-inhibitor"),
        ("AwsRdsHighCpuUtilization", "rds"),
        ("AwsRdsHighDatabaseConnections", "rds"),
        ("RedisDown", "database"),
        ("PostgresqlTooManyConnections", "postgres"),
        ("RabbitmqNodeDown", "rabbitmq"),
        ("PostgresqlReplicationLag", "data-loss"),
        ("HostSoftwareRaidDiskFailure", "data-loss"),
        ("KubePersistentVolumeFillingUp", "volume-full"),
        ("VaultUnauthorizedAccess", "security"),
        ("BlackboxProbeFailed", "site-down"),
        ("HostHighCpuLoad", "default"),
    ],
)
def test_alerts_that_people_have_meet_the_rule_that_is_meant(shipped: RuleSet, name: str, rule: str) -> None:
    assert shipped.rule_for({"alertname": name, "namespace": "shop"}).name == rule


@pytest.mark.parametrize(
    "labels,rule",
    [
        ({"pod": "postgres-0"}, "database-pod"),
        ({"pod": "shop-redis-7d9f8c5b4-x2x7k"}, "database-pod"),
        ({"deployment": "orders-db"}, "database-deployment"),
        ({"statefulset": "shop-postgres"}, "database-statefulset"),
        ({"pod": "dashboard-7d9f8c5b4-x2x7k"}, "crash-loop-after-rollout"),
        ({"deployment": "feedback"}, "crash-loop-after-rollout"),
    ],
)
def test_the_workload_of_a_database_is_known_by_a_part_of_its_name(shipped: RuleSet, labels: dict[str, str], rule: str) -> None:
    assert shipped.rule_for({"alertname": "KubePodCrashLooping", "namespace": "shop", **labels}).name == rule


# --- what is suggested ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name,first",
    [
        ("BlackboxProbeFailed", ["maintenance_page", "repoint", "vercel_rollback"]),
        ("HighErrorRate", ["debug_log", "long_queries", "feature_switch"]),
        ("HighRequestLatency", ["enable_cache", "long_queries", "raise_limits"]),
        ("KubePodCrashLooping", ["recent_events", "debug_log", "raise_limits"]),
        ("ContainerHighMemoryUsage", ["node_heap", "cache_ttl", "raise_limits"]),
        ("PostgresqlTooManyConnections", ["long_queries", "kill_queries", "pool_size"]),
        ("AwsRdsHighCpuUtilization", ["pool_size", "promote_rds", "put_parameter"]),
        ("RabbitmqTooManyReadyMessages", ["purge_queue", "recent_events", "feature_switch"]),
        ("PostgresqlReplicationLag", ["read_only", "dump_database", "backup_configmaps"]),
        ("KubePersistentVolumeFillingUp", ["vacuum", "dump_database", "read_only"]),
        ("KubeNodeNotReady", ["drain_node", "recent_events"]),
        ("VaultUnauthorizedAccess", []),
        ("SomethingIsOdd", []),
    ],
)
def test_a_page_shows_the_steps_of_the_runbook_for_its_trouble_first(shipped: RuleSet, name: str, first: list[str]) -> None:
    rule = shipped.rule_for({"alertname": name, "namespace": "shop"})
    assert [each.name for each in rule.suggest][:SHOWN] == first


def test_every_prepared_command_is_suggested_where_its_trouble_is(shipped: RuleSet) -> None:
    """But for the bare one that only a rule with its own values can mean."""
    assert set(RECIPES) - {each.name for rule in shipped.rules for each in rule.suggest} == {"set_env"}


def test_nothing_is_suggested_that_destroys_evidence(shipped: RuleSet) -> None:
    assert not any(rule.suggest for rule in shipped.rules if rule.symptom is Symptom.security)


def test_the_example_of_the_readme_passes(tmp_path: Path) -> None:
    text = (RULES / "tests" / "README.md").read_text()
    (example,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    path = tmp_path / "example.yaml"
    path.write_text(example.replace("[..]", f"['{RULES}']"))
    (result,) = run_files([path], known_actions=frozenset(ACTIONS))
    assert result.passed, result.failures


def test_the_readme_names_every_key_of_a_test() -> None:
    named = set(re.findall(r"`([a-z_]+)`", (RULES / "tests" / "README.md").read_text()))
    case = (cases.CaseEntry, cases.EventEntry, cases.EffectEntry, cases.ExpectEntry, cases.StepEntry, cases.PageEntry, cases.PolicyEntry)
    scene = (cases.WorkloadEntry, cases.PodsEntry, cases.UndoEntry, cases.ForeignEntry, cases.VictimEntry, cases.NodeEntry)
    keys = {key for model in (*case, *scene) for key in model.model_fields}
    assert keys - named == {"step"}  # shown in the example
