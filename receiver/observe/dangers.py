"""The hazards of a workload (`remediation.md` 3): what each is shown by, and which verbs it refuses, or asks a person about.

Each check is a function of one reading and names the object that shows the hazard; `CHECKS` is the table. Consent, other controllers'
claims, what pods suffer from, and capacity stand in modules of their own. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import timedelta

from receiver.clients.errors import plain
from receiver.clients.kubernetes_objects import Object, annotations_of, generation, metadata, name, template
from receiver.core.case import Verb
from receiver.core.facts import Danger, Hazard, RolloutState
from receiver.observe import ailments, capacity, claims, consent, rollout
from receiver.observe.differences import images
from receiver.observe.live import Live
from receiver.observe.scope import Scope
from receiver.observe.victim import victim

SCALE, RESTART, UNDO, EVICT = Verb.scale.value, Verb.restart.value, Verb.undo.value, Verb.evict.value
ALL: tuple[str, ...] = ()
"""As in `Danger.verbs`: every one."""

# fmt: off
DATABASES = frozenset({
    "cassandra", "clickhouse", "clickhouse-server", "cockroach", "consul", "couchdb", "elasticsearch", "etcd", "influxdb", "kafka",
    "mariadb", "minio", "mongo", "mongodb", "mysql", "neo4j", "opensearch", "percona", "postgis", "postgres", "postgresql", "rabbitmq",
    "redis", "timescaledb", "valkey", "vault", "zookeeper",
})
# fmt: on
"""Last part of an image's path, or the last word of a workload's name: it keeps data."""

DO_NOT_DISRUPT = {"karpenter.sh/do-not-disrupt": "true", "cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}
MIGRATION = "migration"

_WORDS = re.compile(r"[^a-z0-9]+")

Check = Callable[[Live], Iterable[Danger]]


def dangers(live: Live, scope: Scope, *, unready_for: timedelta) -> tuple[Danger, ...]:
    """All of them. `unready_for`: as for `victim`."""
    bad = victim(live, unready_for=unready_for)
    found = [
        *consent.consent(live, scope),
        *_rollout(live, unstick=bad is not None and bad.stuck),
        *(danger for check in CHECKS for danger in check(live)),
        *capacity.budgets_of_victim(live, unready_for),
    ]
    return tuple(replace(each, detail=plain(each.detail)) for each in found)


def _rollout(live: Live, *, unstick: bool) -> Iterator[Danger]:
    """Never two changes at once; but to remove the ordinal that a rollout waits for is no second one."""
    state, detail = rollout.state(live.obj, live.kind)
    if state is not RolloutState.complete:
        yield Danger(Hazard.rollout_in_progress, f"{state}: {detail}", (SCALE, RESTART, *(() if unstick else (EVICT,))))


def _not_observed(live: Live) -> Iterator[Danger]:
    if not rollout.observed(live.obj):
        yield Danger(Hazard.not_observed, f"the controller has not observed generation {generation(live.obj)}", ALL)


def _paused(live: Live) -> Iterator[Danger]:
    if rollout.paused(live.obj):
        yield Danger(Hazard.paused, f"Deployment {live.ref.name} is paused", (RESTART, UNDO))


def _partitioned(live: Live) -> Iterator[Danger]:
    said = f"{live.kind} {live.ref.name}"
    if live.kind in ("StatefulSet", "DaemonSet") and rollout.by_hand(live.obj):
        yield Danger(Hazard.partitioned, f"{said} has strategy OnDelete: a new template reaches no pod by itself", (RESTART, UNDO))
    elif live.kind == "StatefulSet" and rollout.partition(live.obj):
        below = rollout.partition(live.obj)
        yield Danger(Hazard.partitioned, f"{said} has partition {below}: ordinals below it keep their revision", (RESTART, UNDO))


def _per_node(live: Live) -> Iterator[Danger]:
    if live.kind == "DaemonSet":
        yield Danger(Hazard.per_node, f"DaemonSet {live.ref.name}: its count is that of its nodes", (SCALE,))


def _singleton(live: Live) -> Iterator[Danger]:
    asked, recreate = rollout.counts(live.obj, live.kind).asked, rollout.swing(live.obj, live.kind).recreate
    said = f"{live.kind} {live.ref.name}"
    if asked == 0:
        why = "no node wants it" if live.kind == "DaemonSet" else "it is scaled to 0, on purpose as far as we know"
        yield Danger(Hazard.singleton, f"{said}: {why}", ALL)
    elif asked == 1:
        yield Danger(Hazard.singleton, f"{said} has one replica", (RESTART,), asks=True)
    elif recreate:
        yield Danger(Hazard.singleton, f"{said} has strategy Recreate: all its pods at once", (RESTART,), asks=True)


def _stateful(live: Live) -> Iterator[Danger]:
    why = _keeps_state(live)
    if why:
        yield Danger(Hazard.stateful, f"{live.kind} {live.ref.name} {why}", ALL, asks=True)


def _keeps_state(live: Live) -> str:
    if live.kind == "StatefulSet":
        return "keeps an identity and, as a rule, data for each pod"
    spec = template(live.obj).get("spec") or {}
    claim = next((each["persistentVolumeClaim"] for each in spec.get("volumes") or () if each.get("persistentVolumeClaim")), None)
    if claim is not None:
        return f"mounts claim {claim.get('claimName')}"
    kept = sorted({_WORDS.split(live.ref.name)[-1], *map(_program, images(template(live.obj)))} & DATABASES)
    if kept:
        return f"looks like {', '.join(kept)}"
    seconds = (live.obj.get("spec") or {}).get("minReadySeconds") or 0
    return f"has minReadySeconds {seconds}: its pods need time before they are of use" if seconds else ""


def _system_priority(live: Live) -> Iterator[Danger]:
    priority = str((template(live.obj).get("spec") or {}).get("priorityClassName") or "")
    if priority.startswith("system-"):
        yield Danger(Hazard.system_priority, f"priorityClassName {priority}", ALL)


def _do_not_disrupt(live: Live) -> Iterator[Danger]:
    for each in (template(live.obj), *live.pods):
        found = [f"{key}={value}" for key, value in DO_NOT_DISRUPT.items() if annotations_of(each).get(key) == value]
        if found:
            yield Danger(Hazard.do_not_disrupt, f"{name(each) or 'the template'} says {found[0]}", (RESTART, EVICT), asks=True)
            return


def _migrating(live: Live) -> Iterator[Danger]:
    for each in (live.obj, template(live.obj)):
        if _labels(each).get(MIGRATION) == "true" or annotations_of(each).get(f"{consent.PREFIX}{MIGRATION}") == "true":
            yield Danger(Hazard.migrating, "a data migration is in it: the former version may not read what it wrote", ALL, asks=True)
            return


CHECKS: tuple[Check, ...] = (
    _not_observed,
    _paused,
    _partitioned,
    _per_node,
    claims.autoscaled,
    claims.gitops,
    claims.helm,
    claims.owned,
    claims.delivered,
    _singleton,
    ailments.pods_wait,
    ailments.memory,
    ailments.probes,
    ailments.connections,
    _stateful,
    _system_priority,
    _do_not_disrupt,
    _migrating,
    capacity.unschedulable,
    capacity.sick_nodes,
    capacity.moving_nodes,
    capacity.quotas,
    capacity.limits,
    capacity.budgets,
)


def _labels(obj: Object) -> dict[str, str]:
    return metadata(obj).get("labels") or {}


def _program(image: str) -> str:
    """`registry:5000/bitnami/kafka:3@sha256:…` → `kafka`."""
    return image.partition("@")[0].rpartition("/")[2].partition(":")[0]
