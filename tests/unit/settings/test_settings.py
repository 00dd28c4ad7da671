"""The configuration: what holds without one, what a file and the environment say, and everything that is refused."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.core.model import Bounds, Mode, Naming, Priority
from receiver.settings import Listen, Settings, SettingsRefused, load_settings

TOKEN = "0123456789abcdefghijk"
SECRET = "hunter2-hunter2-hunter2"

FULL = """\
listen: 0.0.0.0:8080
admin_listen: "[::1]:9000"
store: postgresql://receiver@db/receiver
store_password: {secret}
rules: [rules/, more.yaml]
mode: auto
locale: en
priorities: P0-P3
cluster: prod
page_after: {{P1: 4m}}
bounds: {{cooldown: 20m, storm_share: 10%, incident_actions: 1}}
limits: {{body: 1MiB, alerts: 500}}
actions_file: /etc/receiver/actions
api: {{tokens: [{{name: admin, scope: admin, token_file: {token}-admin}}]}}
sources:
  alertmanager:
    token_files: [{token}, {token}]
    basic: {{username: am, password_file: {token}}}
    namespaces: [shop]
    api_url: http://alertmanager:9093
    api_receivers: [receiver]
  grafana: {{hmac_secret_file: {token}-grafana}}
  sns: {{topics: ["arn:aws:sns:eu-west-1:111122223333:ops-alarms"]}}
  sqs: {{queue_url: "https://sqs.eu-west-1.amazonaws.com/111122223333/alarms"}}
  eventbridge: {{token_file: {token}-events}}
kubernetes: {{namespaces: [shop, shop-workers], opt_in: namespace, undo_token_file: {token}}}
ecs: {{region: eu-west-1, services: [app/web]}}
prometheus: {{url: "http://prometheus:9090", token_file: {token}, timeout: 3s}}
pagerduty: {{routing_key_file: {token}, webhook_secret: {secret}}}
slack: {{bot_token_file: {token}, signing_secret: {secret}, channel: "#incidents", approvers: [U01]}}
"""


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    path.chmod(0o600)
    for door in ("admin", "grafana", "events"):
        other = tmp_path / f"token-{door}"
        other.write_text(f"{TOKEN}-{door}\n")
        other.chmod(0o600)
    return path


def file(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text)
    return path


def refused(folder: Path, text: str, **variables: str) -> list[str]:
    with pytest.raises(SettingsRefused) as caught:
        load_settings(file(folder, text), {f"RECEIVER__{name}": value for name, value in variables.items()})
    return [str(each).removeprefix(f"{folder}/") for each in caught.value.problems]


def of(**variables: str) -> Settings:
    return load_settings(None, {f"RECEIVER__{name}": value for name, value in variables.items()})


# --- what holds ----------------------------------------------------------------------------------------------------------


def test_without_a_file_the_safe_defaults_hold() -> None:
    settings = load_settings(None, {})
    assert (settings.listen, settings.admin_listen, settings.store) == (Listen("127.0.0.1", 8080), None, "sqlite:///receiver.db")
    assert (settings.mode, settings.rules, settings.locale.value) == (Mode.observe, (Path("rules"),), "fr")
    assert (settings.limits.body, settings.limits.alerts, settings.api.tokens) == (16 << 20, 10_000, ())
    assert settings.unserved() == []


def test_without_a_file_a_decision_gets_the_products_policy() -> None:
    policy = load_settings(None, {}).policy()
    assert (policy.mode, policy.bounds, policy.cluster, policy.undo_identity) == (Mode.observe, Bounds(), "default", False)
    assert (policy.namespaces, policy.source_namespaces) == (frozenset(), {})
    assert policy.page_after == {
        Priority.p1: timedelta(0),
        Priority.p2: timedelta(minutes=5),
        Priority.p3: timedelta(minutes=15),
        Priority.p4: timedelta(minutes=60),
    }


def test_every_key_of_a_file_arrives(tmp_path: Path, token: Path) -> None:
    settings = load_settings(file(tmp_path, FULL.format(token=token, secret=SECRET)), {})
    own = settings.sources.alertmanager
    assert own is not None
    assert (str(settings.listen), str(settings.admin_listen)) == ("0.0.0.0:8080", "[::1]:9000")
    assert [each.reveal() for each in own.bearers] == [TOKEN, TOKEN]
    assert own.basic is not None
    assert own.basic.password.reveal() == TOKEN
    assert settings.pagerduty is not None
    assert settings.pagerduty.routing_key.matches(TOKEN.encode())
    assert settings.pagerduty.events_url == "https://events.pagerduty.com"
    assert settings.warnings == ()


def test_a_file_says_to_a_decision_what_it_must_know(tmp_path: Path, token: Path) -> None:
    policy = load_settings(file(tmp_path, FULL.format(token=token, secret=SECRET)), {}).policy()
    assert policy.bounds == Bounds(cooldown=timedelta(minutes=20), storm_share=0.1, incident_actions=1)
    assert (policy.mode, policy.naming, policy.cluster, policy.locale, policy.undo_identity) == (
        Mode.auto,
        Naming.p0_p3,
        "prod",
        "en",
        True,
    )
    assert policy.namespaces == {"shop", "shop-workers", "ecs/app"}
    assert policy.source_namespaces["alertmanager"] == {"shop"}
    assert policy.page_after[Priority.p2] == timedelta(minutes=4)  # their P1 is our P2
    assert policy.page_after[Priority.p3] == timedelta(minutes=15)


def test_what_nothing_serves_yet_is_reported(tmp_path: Path, token: Path) -> None:
    settings = load_settings(file(tmp_path, FULL.format(token=token, secret=SECRET)), {})
    assert settings.unserved() == ["slack"]


def test_settings_are_frozen_and_show_no_secret(tmp_path: Path, token: Path) -> None:
    settings = load_settings(file(tmp_path, FULL.format(token=token, secret=SECRET)), {})
    with pytest.raises(ValueError, match="frozen"):
        settings.mode = Mode.auto  # type: ignore[misc] # that is the point
    for text in (repr(settings), str(settings), str(settings.model_dump())):
        assert TOKEN not in text
        assert SECRET not in text


# --- the environment -----------------------------------------------------------------------------------------------------


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    path = file(tmp_path, "mode: observe\nkubernetes: {namespaces: [shop], opt_in: namespace}\n")
    settings = load_settings(path, {"RECEIVER__MODE": "auto", "RECEIVER__KUBERNETES__NAMESPACES": "a, b"})
    assert settings.kubernetes is not None
    assert (settings.mode, settings.kubernetes.namespaces, settings.kubernetes.opt_in.value) == (Mode.auto, ("a", "b"), "namespace")


@pytest.mark.parametrize(
    "name,value,got",
    [
        ("LISTEN", "0.0.0.0:9090", lambda settings: str(settings.listen)),
        ("LIMITS__ALERTS", "500", lambda settings: str(settings.limits.alerts)),
        ("LIMITS__BODY", "1MiB", lambda settings: f"{settings.limits.body // 1024 // 1024}MiB"),
        ("CLUSTER", "12345", lambda settings: settings.cluster),
        ("BOUNDS__COOLDOWN", "30m", lambda settings: f"{settings.policy().bounds.cooldown.seconds // 60}m"),
        ("BOUNDS__TARGET_DAY", "2", lambda settings: str(settings.policy().bounds.target_day)),
        ("PAGE_AFTER__P2", "7m", lambda settings: f"{settings.policy().page_after[Priority.p2].seconds // 60}m"),
        ("RULES", "a.yaml,b/", lambda settings: ",".join(map(str, settings.rules)) + "/"),
        ("RULES", "[a.yaml]", lambda settings: f"[{settings.rules[0]}]"),
        ("PROMETHEUS__URL", "http://prom:9090", lambda settings: settings.prometheus.url),
        ("PAGERDUTY__ROUTING_KEY", "1234567890", lambda settings: settings.pagerduty.routing_key.reveal()),
    ],
)
def test_every_kind_of_key_can_come_from_the_environment(name: str, value: str, got: object) -> None:
    assert callable(got)
    assert got(of(**{name: value})) == value


def test_a_whole_section_can_come_from_the_environment() -> None:
    settings = of(API__TOKENS=f'[{{"name": "ci", "scope": "read", "token": "{TOKEN}"}}]', KUBERNETES="{namespaces: [shop]}")
    assert settings.api.tokens[0].token.reveal() == TOKEN
    assert settings.policy().namespaces == {"shop"}


def test_a_secret_file_can_be_named_by_the_environment(token: Path) -> None:
    settings = of(SOURCES__ALERTMANAGER__TOKEN_FILES=str(token))
    assert settings.sources.alertmanager is not None
    assert settings.sources.alertmanager.bearers[0].reveal() == TOKEN


def test_an_empty_variable_is_nothing() -> None:
    assert of(ADMIN_LISTEN="").admin_listen is None


def test_variables_of_others_are_left_alone() -> None:
    foreign = {"RECEIVER_SERVICE_HOST": "10.0.0.1", "RECEIVER_PORT": "tcp://10.0.0.1:80", "PATH": "/bin", "RECEIVERX__MODE": "auto"}
    assert load_settings(None, foreign).mode is Mode.observe


@pytest.mark.parametrize(
    "name,value,expected",
    [
        ("MOD", "auto", "RECEIVER__MOD: unknown variable (did you mean RECEIVER__MODE?); allowed: RECEIVER__LISTEN,"),
        ("KUBERNETES__NAMESPACE", "a", "(did you mean RECEIVER__KUBERNETES__NAMESPACES?); allowed: RECEIVER__KUBERNETES__KUBECONFIG"),
        ("MODE__X", "a", "mode has no keys below it"),
        ("", "a", "unknown variable"),
        ("BOUNDS__", "5m", "bounds has no keys below it"),
        ("BOUNDS__COOLDWN", "5m", "unknown key 'cooldwn' (did you mean 'cooldown'?)"),
        ("MODE", "sometimes", "environment: RECEIVER__MODE: 'sometimes' is not one of the allowed values; allowed: observe, approve, auto"),
        ("MODE", "", "RECEIVER__MODE: nothing (an empty value) is not one of"),
        ("LISTEN", "8080", "RECEIVER__LISTEN: '8080' is not an address to listen on; write host:port"),
        ("KUBERNETES__NAMESPACES", "[a", "RECEIVER__KUBERNETES__NAMESPACES: is not YAML or JSON in one line"),
        ("PAGE_AFTER__P5", "5m", "RECEIVER__PAGE_AFTER__P5: 'P5' is not a priority in the naming P1-P4; allowed: P1, P2, P3, P4"),
    ],
)
def test_a_variable_that_means_nothing_is_refused_by_name(name: str, value: str, expected: str) -> None:
    with pytest.raises(SettingsRefused) as caught:
        of(**{name: value})
    assert expected in str(caught.value)


# --- what is refused -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text,expected",
    [
        ("mod: auto\n", "config.yaml:1:1: mod: unknown key 'mod' (did you mean 'mode'?); allowed: listen, admin_listen, store"),
        ("mode: auto\nmode: auto\n", "config.yaml:2:1: key 'mode' is already given in line 1"),
        ("mode: on\n", "config.yaml:1:7: mode: 'on' is not one of the allowed values; allowed: observe, approve, auto"),
        ("listen: 8080\n", "config.yaml:1:9: listen: 8080 is not an address to listen on"),
        ("listen: ':8080'\n", "':8080' is not an address to listen on"),
        ("listen: localhost:99999\n", "'localhost:99999' is not an address to listen on"),
        ("store: mysql://x\n", "store: 'mysql://x' is not a store; allowed: sqlite:///path/to/file.db, postgresql://user@host/database"),
        ("store: mysql://a:hunter2@host/x\n", "store: 'mysql://…@host/x' is not a store"),
        ("store: a:hunter2@host/x\n", "store: '…' is not a store"),
        ("store: postgresql://a:hunter2@host/x\n", "must not hold the password; put it into store_password_file"),
        ("rules: []\n", "rules: a list has too few entries; the fewest are 1"),
        ("rules: rules/\n", "rules: a text is not a list"),
        ("page_after: {P2: 5}\n", "page_after.P2: 5 is not a duration"),
        ("page_after: {P0: 5m}\n", "config.yaml:1:14: page_after.P0: 'P0' is not a priority in the naming P1-P4"),
        ("bounds: {cooldown: 5}\n", "config.yaml:1:20: bounds.cooldown: 5 is not a duration"),
        ("bounds: {cooldwn: 5m}\n", "bounds.cooldwn: unknown key 'cooldwn' (did you mean 'cooldown'?)"),
        ("limits: {body: 16}\n", "limits.body: 16 must be at least 1024"),
        ("limits: {alerts: many}\n", "limits.alerts: 'many' is not a whole number"),
        ("kubernetes: {namespaces: [kube-system]}\n", "namespace 'kube-system' is never acted in"),
        ("kubernetes: {namespaces: [Shop]}\n", "'Shop' is not a namespace"),
        ("kubernetes: {opt_in: always}\n", "allowed: annotation, namespace"),
        ("prometheus: {}\n", "prometheus: key 'url' is missing"),
        ("prometheus: {url: 'ftp://x'}\n", "is not an http or https address"),
        ("prometheus: {url: 'http://u:hunter2@x'}\n", "must not hold a user or password"),
        ("sources: {alertmanager: {}}\n", "config.yaml:1:25: sources.alertmanager: has no credential"),
        ("sources: {alertmanager: {token: hunter2}}\n", "sources.alertmanager.token: is shorter than 16 characters"),
        ("sources: {alertmanager: {token: changeme-changeme}}\n", "looks like a sample"),
        ("sources: {alertmanager: {token: aaaaaaaaaaaaaaaaaaaaaaa}}\n", "looks like a sample"),
        ("sources: {alertmanager: {token: 1234567890123456}}\n", "is not text; put the secret in quotes"),
        ("sources: {sns: {topics: [x]}}\n", "'x' is not the ARN of an SNS topic"),
        ("sources: {other: {}}\n", "unknown key 'other'; allowed: alertmanager, grafana, sns, sqs, eventbridge"),
        ("ecs: {region: eu-west-1, services: [x]}\n", "'x' is not cluster/service"),
        ("api: {tokens: [{name: a, token: 0123456789abcdefghijk, scope: root}]}\n", "allowed: report, read, operate, admin"),
        ("pagerduty: {}\n", "pagerduty: key 'routing_key' is missing"),
        ("[]\n", "a list is not a mapping"),
        ("a: [\n", "not YAML"),
        ("mode: &m auto\n", "anchor &m is not allowed"),
    ],
)
def test_an_error_names_its_place_and_repeats_no_secret(tmp_path: Path, text: str, expected: str) -> None:
    said = refused(tmp_path, text)
    assert any(expected in each for each in said), said
    assert "hunter2" not in "\n".join(said)


def test_all_errors_of_file_and_environment_are_reported_at_once(tmp_path: Path) -> None:
    text = "mode: on\nbounds: {x: 1}\npage_after: {P9: 1m}\npagerduty: {routing_key_file: /nope}\nextra: 1\n"
    said = "\n".join(refused(tmp_path, text, MOD="auto"))
    for each in ("mode: 'on'", "bounds.x", "page_after.P9", "'/nope' cannot be read", "extra", "RECEIVER__MOD"):
        assert each in said


def test_a_secret_in_the_place_of_a_section_is_not_repeated(tmp_path: Path) -> None:
    said = refused(tmp_path, f"pagerduty: {SECRET}\nsources: {{alertmanager: {SECRET}}}\n")
    assert SECRET not in "\n".join(said)
    assert any("pagerduty: a text is not a mapping" in each for each in said)


@pytest.mark.parametrize(
    "name", ["SOURCES__ALERTMANAGER__TOKEN", "API__TOKENS", "SOURCES__ALERTMANAGER", "PAGERDUTY", "KUBERNETES", "BOUNDS"]
)
@given(value=st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), max_size=40))
def test_no_value_of_a_variable_makes_it_raise_anything_else(name: str, value: str) -> None:
    with contextlib.suppress(SettingsRefused):
        of(**{name: value})


# --- files of secrets ----------------------------------------------------------------------------------------------------


def test_a_missing_empty_large_or_binary_file_of_a_secret_is_refused(tmp_path: Path) -> None:
    empty, large, binary = tmp_path / "empty", tmp_path / "large", tmp_path / "binary"
    empty.write_text("\n")
    large.write_text("x" * 70_000)
    binary.write_bytes(b"\xff" * 20)
    text = "pagerduty: {{routing_key_file: {}}}\n"
    for path, words in (
        (tmp_path / "nope", "no such file"),
        (empty, "empty"),
        (large, "64 KiB"),
        (binary, "UTF-8"),
        (tmp_path, "regular file"),
    ):
        (said,) = refused(tmp_path, text.format(path))
        assert said.startswith("config.yaml:1:31: pagerduty.routing_key_file: ")
        assert words in said


def test_a_short_secret_is_shown_at_the_key_that_names_its_file(tmp_path: Path) -> None:
    short = tmp_path / "short"
    short.write_text("hunter2")
    (said,) = refused(tmp_path, f"sources: {{alertmanager: {{token_files: [{short}]}}}}\n")
    assert said.startswith("config.yaml:1:40: sources.alertmanager.tokens[0]: is shorter than 16 characters")
    assert refused(tmp_path, "", SOURCES__ALERTMANAGER__TOKEN_FILE=str(short))[0].startswith(
        "environment: RECEIVER__SOURCES__ALERTMANAGER__TOKEN_FILE:"
    )


def test_a_secret_is_given_once(tmp_path: Path, token: Path) -> None:
    (said,) = refused(tmp_path, f"pagerduty: {{routing_key: abc, routing_key_file: {token}}}\n")
    assert "routing_key is given too; keep one of them" in said


def test_a_key_file_that_everybody_can_read_is_warned_of(tmp_path: Path, token: Path) -> None:
    token.chmod(0o644)
    settings = load_settings(file(tmp_path, f"pagerduty: {{routing_key_file: {token}}}\n"), {})
    assert settings.warnings[:1] == (f"{token} can be read by everybody on this machine: chmod 600 {token}",)


def test_two_api_tokens_of_one_name_are_refused(tmp_path: Path) -> None:
    said = refused(tmp_path, f"api: {{tokens: [{{name: a, token: {TOKEN}}}, {{name: a, token: {TOKEN}-2}}]}}\n")
    assert "two tokens have the same name" in said[0]


@pytest.mark.parametrize(
    "text,names",
    [
        ("api: {{tokens: [{{name: a, token: {0}}}, {{name: b, token: {0}}}]}}", ("api.tokens[1].token:", "api.tokens[0].token;")),
        (
            "api: {{tokens: [{{name: a, token: {0}}}]}}\nsources: {{alertmanager: {{token_file: {1}}}}}",
            ("sources.alertmanager.token: ", "api.tokens[0].token;"),
        ),
        (
            "api: {{tokens: [{{name: a, token_file: {1}}}]}}\nsources: {{alertmanager: {{basic: {{username: am, password: {0}}}}}}}",
            ("sources.alertmanager.basic.password:", "api.tokens[0].token_file;"),
        ),
        (
            "sources: {{alertmanager: {{token: {0}}}, grafana: {{hmac_secret: {0}}}}}",
            ("sources.grafana.hmac_secret:", "sources.alertmanager.token;"),
        ),
        ("mode: x\napi: {{tokens: [{{name: a, token: {0}}}, {{name: b, token: {0}}}]}}", ("mode: 'x'", "api.tokens[0].token;")),
    ],
)
def test_one_secret_for_two_doors_is_refused_by_both_names_and_never_shown(
    tmp_path: Path, token: Path, text: str, names: tuple[str, str]
) -> None:
    said = "\n".join(refused(tmp_path, text.format(TOKEN, token) + "\n"))
    for each in names:
        assert each in said
    assert TOKEN not in said


def test_one_sender_may_give_the_same_secret_twice(tmp_path: Path, token: Path) -> None:
    load_settings(file(tmp_path, f"sources: {{alertmanager: {{token_files: [{token}, {token}]}}}}\n"), {})


def test_two_secrets_that_could_not_be_read_are_not_called_the_same(tmp_path: Path) -> None:
    said = refused(tmp_path, "api: {tokens: [{name: a, token_file: /nope}, {name: b, token_file: /nope}]}\n")
    assert [("no such file" in each) for each in said] == [True, True]


@pytest.mark.parametrize("key", ["kubeconfig", "undo_token_file"])
def test_a_file_for_the_cluster_that_is_not_there_is_refused(tmp_path: Path, token: Path, key: str) -> None:
    for named, words in (("/nope", "'/nope' cannot be read: no such file"), (str(tmp_path), "not a regular file")):
        (said,) = refused(tmp_path, f"kubernetes: {{{key}: {named}}}\n")
        assert said.startswith(f"config.yaml:1:{16 + len(key)}: kubernetes.{key}: ")
        assert words in said
    (said,) = refused(tmp_path, "", **{f"KUBERNETES__{key.upper()}": "/nope"})
    assert said.startswith(f"environment: RECEIVER__KUBERNETES__{key.upper()}:")
    assert load_settings(file(tmp_path, f"kubernetes: {{{key}: {token}}}\n"), {}).kubernetes is not None
    assert load_settings(file(tmp_path, f"kubernetes: {{{key}: }}\n"), {}).kubernetes is not None


def test_what_leaves_the_service_without_its_work_is_warned_of() -> None:
    assert [each.partition(":")[0] for each in of(MODE="auto").warnings] == [
        "no source is configured that this version serves",
        "mode auto without kubernetes and without ecs",
    ]
    assert len(of(MODE="auto", KUBERNETES="{}").warnings) == 1


def test_a_refused_configuration_still_says_by_what_the_rules_are_judged(tmp_path: Path) -> None:
    def rest(text: str) -> Settings | None:
        with pytest.raises(SettingsRefused) as caught:
            load_settings(file(tmp_path, text), {})
        return caught.value.rest

    left = rest("mode: x\npriorities: P0-P3\nbounds: {cooldown: 20m, storm_share: lots, x: 1}\n")
    assert left is not None
    assert left.policy().naming is Naming.p0_p3
    assert left.policy().bounds == Bounds(cooldown=timedelta(minutes=20))
    for text in ("rules: []\n", "priorities: P9\n", "- a list\n"):
        assert rest(text) is None


def test_a_missing_configuration_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsRefused, match="cannot be read"):
        load_settings(tmp_path / "nope.yaml", {})


def test_an_empty_configuration_file_is_the_defaults(tmp_path: Path) -> None:
    assert load_settings(file(tmp_path, "# nothing yet\n"), {}).mode is Mode.observe
