"""What the commands on this machine say and how they end, in processes of their own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import receiver

ROOT = Path(receiver.__file__).parents[1]
SECONDS = 30


def run(line: str, *, at: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """`receiver LINE` in the directory `at`, until it ends by itself."""
    return subprocess.run(  # our own program
        [sys.executable, "-m", "receiver", *line.split()],
        cwd=at,
        env=environment(variables),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.upper().startswith("RECEIVER__")}
    return {**own, "PYTHONPATH": str(ROOT), **variables}


@pytest.fixture
def taken() -> Iterator[str]:
    """An address that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as own:
        yield f"127.0.0.1:{own.getsockname()[1]}"


def errors(stderr: str) -> list[str]:
    """What is no line of the log."""
    return [line for line in stderr.splitlines() if not line.startswith("{")]


# --- an address that is not to be had ------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["serve", "quickstart --directory var"])
def test_a_port_that_is_taken_is_one_line_and_a_matter_of_configuration(tmp_path: Path, taken: str, command: str) -> None:
    done = run(command, at=tmp_path, RECEIVER__LISTEN=taken)
    (said,) = errors(done.stderr)
    assert done.returncode == 78
    assert said.startswith(f"listen {taken}: ")
    assert "in use" in said


def test_an_address_of_another_machine_is_one_line(tmp_path: Path) -> None:
    done = run("serve", at=tmp_path, RECEIVER__LISTEN="192.0.2.1:8080")
    (said,) = errors(done.stderr)
    assert (done.returncode, said.partition(": ")[0]) == (78, "listen 192.0.2.1:8080")


def test_of_two_listeners_the_one_that_cannot_is_named(tmp_path: Path, taken: str) -> None:
    done = run("serve", at=tmp_path, RECEIVER__LISTEN="127.0.0.1:0", RECEIVER__ADMIN_LISTEN=taken)
    (said,) = errors(done.stderr)
    assert (done.returncode, said.partition(": ")[0]) == (78, f"admin_listen {taken}")


# --- without configuration -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["check", "check --output json"])
def test_check_without_configuration_takes_the_shipped_rules(tmp_path: Path, command: str) -> None:
    done = run(command, at=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "rules" in done.stdout


def test_rules_of_this_directory_come_before_the_shipped_ones(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "own.yaml").write_text("nonsense: true\n")
    assert "rules/own.yaml" in run("check", at=tmp_path).stderr


def test_rules_that_were_asked_for_and_do_not_exist_are_one_line(tmp_path: Path) -> None:
    done = run("check", at=tmp_path, RECEIVER__RULES="nowhere/")
    assert done.returncode == 1
    (said,) = errors(done.stderr)
    assert "nowhere: does not exist" in said


def test_a_configuration_that_does_not_exist_says_what_to_do(tmp_path: Path) -> None:
    done = run("serve --config none.yaml", at=tmp_path)
    (said,) = errors(done.stderr)
    assert done.returncode == 78
    assert said.startswith("none.yaml: ")
    assert "--config" in said


# --- check says everything at once ---------------------------------------------------------------------------------------


def test_check_tells_the_faults_of_configuration_and_of_rules_at_once(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("apiVersion: receiver/v1\nkind: Rules\nrulez: []\n")
    (tmp_path / "config.yaml").write_text("mode: 'on'\nrules: [own.yaml]\nbounds: {cooldown: soon, x: 1}\npage_after: {P9: 1m}\n")
    done = run("check --config config.yaml", at=tmp_path)
    for each in ("config.yaml:1", "bounds.cooldown", "bounds", "P9", "own.yaml:3", "rulez"):
        assert each in done.stderr
    assert done.returncode == 1
    assert "nothing is wrong" not in done.stdout


def test_rules_are_checked_in_the_naming_that_was_configured(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(
        "apiVersion: receiver/v1\nkind: Rules\ndefault: {impact: medium, urgency: medium, remediate: []}\n"
        "matrix:\n" + "".join(f"  {each}: {{high: P0, medium: P1, low: P2}}\n" for each in ("high", "medium", "low"))
    )
    (tmp_path / "config.yaml").write_text("mode: 'on'\npriorities: P0-P3\nrules: [own.yaml]\n")
    done = run("check --config config.yaml", at=tmp_path)
    assert [line.partition(":")[0] for line in errors(done.stderr)] == ["config.yaml"]


ASKING = """\
apiVersion: receiver/v1
kind: Rules
dependencies: [{name: payments-db, query: up, above: 0}]
services: [{name: checkout, labels: {app: checkout}, depends_on: [payments-db]}]
rules:
  - name: errors
    match: alertname="Errors"
    symptom: errors
    mode: auto
    remediate: [{action: kubernetes.rollout_restart}]
    verify: {query: 'sum(errors{namespace="$namespace"})', below: 0.01}
    breadth: {query: 'sum(hurt)'}
  - {name: silent, match: alertname="Silent", verify: {rollout: true}}
default: {impact: medium, urgency: medium, remediate: []}
"""
UNASKED = "no Prometheus is configured (prometheus.url), so nobody can answer: rule errors (verify, breadth), dependency payments-db"


def test_check_warns_of_what_only_a_prometheus_could_answer(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(ASKING)
    done = run("check own.yaml", at=tmp_path)
    assert (done.returncode, errors(done.stderr)) == (0, [f"warning: {UNASKED}"]), done.stderr
    assert json.loads(run("check own.yaml --output json", at=tmp_path).stdout)["warnings"] == [UNASKED]
    (tmp_path / "config.yaml").write_text("rules: [own.yaml]\nprometheus: {url: 'http://127.0.0.1:9090'}\n")
    assert errors(run("check --config config.yaml", at=tmp_path).stderr) == []


def test_the_start_warns_of_what_only_a_prometheus_could_answer(tmp_path: Path, taken: str) -> None:
    (tmp_path / "own.yaml").write_text(ASKING)
    (tmp_path / "config.yaml").write_text(f"rules: [own.yaml]\nlisten: {taken}\n")
    said = [json.loads(line) for line in run("serve --config config.yaml", at=tmp_path).stderr.splitlines() if line.startswith("{")]
    assert [each["level"] for each in said if each.get("detail") == UNASKED] == ["warning"]


# --- explain -------------------------------------------------------------------------------------------------------------


WELL = '{"version": "4", "alerts": [{"status": "firing", "labels": {"alertname": "A"}, "startsAt": "2026-01-01T00:00:00Z"}]}'
UNREADABLE = '{"version": "4", "alerts": [{"status": "firing", "labels": {"alertname": "A", "x": 1}}]}'


@pytest.mark.parametrize("body,code", [("nonsense", 1), (UNREADABLE, 1), (WELL, 0)])
@pytest.mark.parametrize("output", ["text", "json"])
def test_explain_fails_for_a_body_that_would_be_refused(tmp_path: Path, body: str, code: int, output: str) -> None:
    (tmp_path / "body.json").write_text(body)
    done = run(f"explain body.json --output {output}", at=tmp_path)
    assert done.returncode == code, done.stderr
    assert ("400" in done.stdout or "422" in done.stdout) is bool(code)


# --- what serve says -----------------------------------------------------------------------------------------------------


WEBHOOK = f"""\
locale: en
rules: [{ROOT}/rules]
sources: {{generic: {{sentry: {{token: 0123456789abcdefghijk, map: {{title: issue.title, fingerprint: issue.id}}}}}}}}
"""


@pytest.mark.parametrize(
    ("source", "body", "code", "said"),
    [
        ("grafana", b'{"version": "1", "alerts": [{"labels": {"alertname": "A"}}]}', 0, "A (rule default"),
        ("grafana", b'{"text": "custom"}', 1, "custom payload template"),
        ("generic/sentry", b'{"issue": {"id": 7, "title": "TypeError"}}', 0, "TypeError (rule default"),
        ("generic/sentry", b'{"issue": {"id": 7}}', 1, "issue.title: missing"),
    ],
)
def test_explain_reads_the_body_of_another_source(tmp_path: Path, source: str, body: bytes, code: int, said: str) -> None:
    (tmp_path / "config.yaml").write_text(WEBHOOK)
    (tmp_path / "body.json").write_bytes(body)
    done = run(f"explain body.json --config config.yaml --source {source}", at=tmp_path)
    assert (done.returncode, said in done.stdout) == (code, True), done


def test_explain_names_the_sources_that_it_knows(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(WEBHOOK)
    (tmp_path / "body.json").write_bytes(b"{}")
    done = run("explain body.json --config config.yaml --source generic/nobody", at=tmp_path)
    assert done.returncode == 2
    assert "known: alertmanager, grafana" in done.stderr
    assert "generic/sentry" in done.stderr


def test_serve_says_once_what_it_is(tmp_path: Path) -> None:
    lines = served(tmp_path, RECEIVER__MODE="auto")
    (start,) = [each for each in lines if each["event"] == "serving"]
    assert start["version"] == receiver.__version__
    assert str(start["listen"]).startswith("127.0.0.1:")
    assert (start["mode"], start["destinations"], start["actions"]) == ("auto", ["log"], [])
    assert len(str(start["rules"])) == 64
    warned = " ".join(str(each.get("detail")) for each in lines if each["level"] == "warning")
    assert "no source" in warned
    assert "mode auto without kubernetes" in warned


def served(at: Path, **variables: str) -> list[dict[str, object]]:
    """The log of a receiver that is stopped as soon as it serves."""
    lines: list[dict[str, object]] = []
    with subprocess.Popen(  # our own program
        [sys.executable, "-m", "receiver", "serve"],
        cwd=at,
        env=environment({"RECEIVER__LISTEN": "127.0.0.1:0", **variables}),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            for line in process.stderr:
                lines.append(json.loads(line))
                if lines[-1]["event"] == "serving":
                    process.send_signal(signal.SIGTERM)
            assert process.wait(SECONDS) == 0
        finally:
            process.kill()
    return lines


# --- a store that cannot be opened ---------------------------------------------------------------------------------------


def test_a_data_directory_that_is_not_ours_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run("quickstart --directory file/var", at=tmp_path)
    (said,) = errors(done.stderr)
    assert done.returncode == 78
    assert "file/var" in said
