"""A subject for which every prepared command is whole, and what a real shell makes of its lines."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from receiver.core.model import TargetRef
from receiver.core.prepared import RECIPES, Prepared, Subject, prepare

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
REF = TargetRef("kubernetes", "default", "shop", "Deployment", "web")
VALUES: Mapping[str, str] = {
    "variable": "FLAG",
    "value": "on",
    "feature_variable": "DISABLE_ANALYTICS",
    "configmap": "web-config",
    "ingress": "web",
    "ingress_host": "api.example.com",
    "backup_service": "web-backup",
    "backup_port": "8000",
    "node": "node-1",
    "broker_pod": "rabbitmq-0",
    "queue": "dead_letter",
    "queue_url": "https://sqs.eu-west-1.amazonaws.com/111122223333/dead",
    "database_pod": "postgres-0",
    "database": "workflow",
    "replica_pod": "postgres-1",
    "rds_replica": "app-replica",
    "backup_file": "backup.dump",
    "parameter": "/app/DB_HOST",
    "parameter_value": "db-2.example.com",
    "zone_id": "Z123",
    "record_name": "api.example.com",
    "record_value": "dr.example.com",
    "terraform_dir": "terraform/environments/prod",
    "terraform_var_file": "dr.tfvars",
    "terraform_normal_var_file": "prod.tfvars",
    "vercel_deployment": "shop-abc.vercel.app",
    "vercel_current": "shop-def.vercel.app",
    "ecs_cluster": "app-cluster",
    "ecs_service": "app-service",
}
SHELLS = ("bash", "dash")


def subject(**changes: Any) -> Subject:
    """Incident 7 of the service `checkout`, whose catalogue says everything."""
    base = Subject(7, NOW, NOW, ref=REF, service="checkout", catalogue=VALUES, replicas=5)
    return replace(base, **changes)


def everything(**changes: Any) -> list[Prepared]:
    return [prepare(name, subject(**changes)) for name in RECIPES]


def parses(line: str, *, shell: str = "bash") -> bool:
    return subprocess.run([shell, "-n", "-c", line], capture_output=True, check=False, timeout=35).returncode == 0


def typed(
    line: str, directory: Path, programs: Mapping[str, str] | None = None, *, shell: str = "bash"
) -> subprocess.CompletedProcess[str]:
    """The line as a person runs it, in `directory`; `programs` are shell scripts that stand before those of the machine."""
    own = directory / "programs"
    own.mkdir(exist_ok=True)
    for name, script in (programs or {}).items():
        (own / name).write_text(f"#!/bin/sh\n{script}\n")
        (own / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{own}:{os.environ['PATH']}"}
    return subprocess.run([shell, "-c", line], capture_output=True, text=True, check=False, timeout=30, cwd=directory, env=environment)


def called(log: Path) -> list[list[str]]:
    """The words of each call that `LOGGING` wrote down."""
    text = log.read_text() if log.exists() else ""
    return [each.split("\x1f")[:-1] for each in text.split("\x1e")[:-1]]


def logging(log: Path, answer: str = "") -> str:
    """A program that writes down its words and says `answer`."""
    return f"""{{ printf '%s\\037' "$@"; printf '\\036'; }} >> '{log}'\n{answer}"""
