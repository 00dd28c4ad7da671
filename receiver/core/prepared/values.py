"""What a prepared command may be filled with: every key, the shape of its value, and where the value is looked for.

Law: a value comes from the rule, else from the catalogue, else from what the seeds say (`defaults.md`); a value of another shape is a
gap, as one that is missing. No value begins with a dash where a program could take it for an option.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from receiver.core.model import TargetRef
from receiver.core.prepared.shell import Gap, Part

LONGEST = 1_024
_NAME = r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?"  # RFC 1123, as Kubernetes checks names
_QUANTITY = r"[0-9]{1,9}(\.[0-9]{1,3})?(m|k|M|G|T|Ki|Mi|Gi|Ti)?"
_PATH = r"(?!-)[A-Za-z0-9._/-]{1,255}"
_SQL_NAME = r"[A-Za-z_][A-Za-z0-9_$]{0,62}"


@dataclass(frozen=True, slots=True)
class Key:
    """One value by name."""

    pattern: re.Pattern[str]
    means: str
    default: str = ""
    """Of the seeds; empty: a gap."""

    def fits(self, value: str) -> bool:
        """Printable, not too long, of its shape."""
        return len(value) <= LONGEST and value.isprintable() and self.pattern.fullmatch(value) is not None


def _key(pattern: str, means: str, default: str = "") -> Key:
    return Key(re.compile(pattern, re.ASCII), means, default)


KEYS: Mapping[str, Key] = MappingProxyType(
    {
        "container": _key(_NAME, "container of the workload; not needed where it has one only"),
        "variable": _key(r"[A-Za-z_][A-Za-z0-9_]{0,252}", "environment variable"),
        "value": _key(r".{1,1024}", "its value"),
        "feature_variable": _key(r"[A-Za-z_][A-Za-z0-9_]{0,252}", "environment variable of the feature switch"),
        "feature_value": _key(r".{1,1024}", "the value that switches it", "true"),
        "memory_limit": _key(_QUANTITY, "quantity", "4Gi"),
        "cpu_limit": _key(_QUANTITY, "quantity", "2000m"),
        "memory_request": _key(_QUANTITY, "quantity; left as it is where none is said"),
        "cpu_request": _key(_QUANTITY, "quantity; left as it is where none is said"),
        "configmap": _key(_NAME, "ConfigMap"),
        "read_only_key": _key(r"(?!-)[A-Za-z0-9._-]{1,253}", "key in the ConfigMap", "READ_ONLY_MODE"),
        "read_only_value": _key(r".{1,1024}", "its value", "true"),
        "ingress": _key(_NAME, "Ingress"),
        "ingress_host": _key(r"(\*\.)?" + _NAME, "host of the one Ingress rule"),
        "ingress_path": _key(r"/[!-~]{0,254}", "path of the one backend", "/"),
        "backup_service": _key(_NAME, "Service that takes over"),
        "backup_port": _key(r"[1-9][0-9]{0,4}", "its port"),
        "maintenance_service": _key(_NAME, "Service of the maintenance page", "maintenance-page"),
        "node": _key(_NAME, "node, where the target is none"),
        "broker_pod": _key(r"([a-z]+/)?" + _NAME, "pod (or deployment/name) with rabbitmqctl"),
        "broker_namespace": _key(_NAME, "its namespace; else the target's"),
        "vhost": _key(r"(?!-)[!-~]{1,255}", "virtual host", "/"),
        "queue": _key(r"(?!-)[!-~]{1,255}", "queue"),
        "queue_url": _key(r"https?://[!-~]{1,500}", "URL of the SQS queue"),
        "aws_region": _key(r"[a-z]{2}(-[a-z]+)+-[0-9]", "region; else the one of the shell"),
        "database_pod": _key(r"([a-z]+/)?" + _NAME, "pod (or deployment/name) with psql"),
        "database_namespace": _key(_NAME, "its namespace; else the target's"),
        "database_user": _key(_SQL_NAME, "user", "postgres"),
        "database": _key(_SQL_NAME, "database"),
        "query_minutes": _key(r"[1-9][0-9]{0,3}", "how long is long", "5"),
        "replica_pod": _key(r"([a-z]+/)?" + _NAME, "pod of the replica"),
        "rds_replica": _key(r"[A-Za-z][A-Za-z0-9-]{0,62}", "identifier of the RDS replica"),
        "backup_file": _key(_PATH, "backup to restore"),
        "restore_script": _key(_PATH, "script that restores", "./scripts/db-backup.sh"),
        "restore_environment": _key(r"(?!-)[A-Za-z0-9_-]{1,63}", "its environment", "prod"),
        "parameter": _key(r"/?[A-Za-z0-9][A-Za-z0-9._/-]{0,1010}", "name of the SSM parameter"),
        "parameter_value": _key(r"(?!-)[!-~]{1,1024}", "its new value"),
        "zone_id": _key(r"[A-Z0-9]{1,32}", "Route 53 hosted zone"),
        "record_name": _key(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,253}[A-Za-z0-9])?\.?", "record"),
        "record_type": _key(r"A|AAAA|CNAME", "its type", "CNAME"),
        "record_value": _key(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,253}", "where it leads"),
        "record_ttl": _key(r"[1-9][0-9]{0,5}", "seconds", "60"),
        "terraform_dir": _key(_PATH, "directory of the configuration"),
        "terraform_var_file": _key(_PATH, "variables of the emergency"),
        "terraform_normal_var_file": _key(_PATH, "variables of every day, for the way back"),
        "vercel_deployment": _key(r"(?!-)[A-Za-z0-9._-]{1,253}", "deployment (URL or id) to go back to"),
        "vercel_current": _key(r"(?!-)[A-Za-z0-9._-]{1,253}", "deployment that is live now, for the way back"),
        "vercel_scope": _key(r"(?!-)[A-Za-z0-9_-]{1,100}", "team; else the one of the shell"),
        "ecs_cluster": _key(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,254}", "ECS cluster; else the target's"),
        "ecs_service": _key(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,254}", "ECS service; else the target's"),
    }
)
"""Names of the catalogue's `values:`, and of those of a suggestion."""

_HARMLESS = re.compile(r"[^A-Za-z0-9._-]")


@dataclass(frozen=True, slots=True)
class Subject:
    """All that a prepared command may know. Nothing in it was said by an alert."""

    incident: int
    at: datetime
    since: datetime
    """When it began, or a little before."""
    locale: str = "en"
    ref: TargetRef | None = None
    """The resolved target, or the catalogue's only one."""
    service: str = ""
    catalogue: Mapping[str, str] = field(default_factory=dict)
    given: Mapping[str, str] = field(default_factory=dict)
    """By the rule."""
    label: str = ""
    """What the command is called in this incident: part of the names of its files."""
    replicas: int | None = None
    owners: tuple[str, ...] = ()
    """Controllers that take changes of the target back, in words."""

    def value(self, key: str, *, otherwise: str = "") -> Part:
        """The value, or the gap. `otherwise` is what the target itself says."""
        for found in (self.given.get(key), self.catalogue.get(key)):
            if found is not None:
                return found if KEYS[key].fits(found) else self._gap(key, f"is not {KEYS[key].means}")
        return otherwise or KEYS[key].default or self._gap(key, self._missing())

    def maybe(self, key: str) -> Part | None:
        """None: not said, and the command does without."""
        return self.value(key) if key in self.given or key in self.catalogue else None

    @property
    def namespace(self) -> Part:
        """Of the target; a node is in none."""
        found = self.ref.namespace if self.ref is not None and self.ref.platform == "kubernetes" else ""
        return found or self._no_target("namespace")

    @property
    def workload(self) -> Part:
        """As `deployment/web`."""
        if self.ref is None or self.ref.platform != "kubernetes" or self.ref.kind == "Node":
            return self._no_target("workload")
        return f"{self.ref.kind.lower()}/{self.ref.name}"

    @property
    def node(self) -> Part:
        """The target itself where it is one."""
        return self.value("node", otherwise=self.ref.name if self.ref is not None and self.ref.kind == "Node" else "")

    def file(self, kind: str) -> str:
        """Where the state before is kept: in the directory that the person works in."""
        return f"incident-{self.incident}-{_HARMLESS.sub('', self.label)}.{kind}"

    def namespace_of(self, key: str) -> Part:
        """Of another object of the service; else the target's."""
        found = self.maybe(key)
        return self.namespace if found is None else found

    def say(self, english: str, french: str) -> str:
        """In the installation's language."""
        return french if self.locale == "fr" else english

    def _missing(self) -> str:
        name = _HARMLESS.sub("", self.service)
        if not name:
            return self.say("no service of the catalogue is meant, so nothing holds values for it", "aucun service du catalogue visé")
        return self.say("not in the catalogue, set services.", "absent du catalogue, définir services.") + name + ".values."

    def _gap(self, key: str, why: str) -> Gap:
        return Gap(key, why + key if why.endswith(".values.") else why)

    def _no_target(self, key: str) -> Gap:
        if self.ref is not None and self.ref.kind == "Node":
            return Gap(key, self.say("the target is a node", "la cible est un nœud"))
        return Gap(key, self.say("the target is not known yet", "cible encore inconnue"))
