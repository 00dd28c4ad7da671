"""Hazards of a workload that somebody or something else owns, or whose state forbids a verb (`remediation.md` 3, `house.md` 6.17).

Each check is a function of one reading and names the object that shows the hazard; `CHECKS` is the table. Consent and capacity stand in
modules of their own. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta

from receiver.clients.errors import plain
from receiver.clients.kubernetes_objects import Object, annotations_of, controller, generation, metadata, name, template
from receiver.core.case import Verb
from receiver.core.facts import Danger, Hazard, RolloutState
from receiver.observe import capacity, consent, pods, rollout
from receiver.observe.differences import images
from receiver.observe.live import Live
from receiver.observe.ownership import managers
from receiver.observe.scope import Scope

SCALE, RESTART, UNDO = Verb.scale.value, Verb.restart.value, Verb.undo.value
ALL: tuple[str, ...] = ()
"""As in `Danger.verbs`: every one."""

SLOW_LEAK = timedelta(hours=1)
"""Killed for its memory sooner than this after a start, a restart buys no time (`remediation.md` 3)."""

IMAGE_PULL = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"})
CONFIG_ERROR = frozenset({"CrashLoopBackOff", "CreateContainerConfigError", "CreateContainerError", "RunContainerError"})

# fmt: off
DATABASES = frozenset({
    "cassandra", "clickhouse", "clickhouse-server", "cockroach", "consul", "couchdb", "elasticsearch", "etcd", "influxdb", "kafka",
    "mariadb", "minio", "mongo", "mongodb", "mysql", "neo4j", "opensearch", "percona", "postgis", "postgres", "postgresql", "rabbitmq",
    "redis", "timescaledb", "valkey", "vault", "zookeeper",
})
# fmt: on
"""Last part of an image's path, or the last word of a workload's name: it keeps data."""

GITOPS_ANNOTATIONS = ("argocd.argoproj.io/tracking-id",)
GITOPS_LABELS = ("argocd.argoproj.io/instance", "kustomize.toolkit.fluxcd.io/name", "helm.toolkit.fluxcd.io/name")
"""`app.kubernetes.io/instance` is set by Helm and others too: no proof."""
GITOPS_MANAGERS = frozenset({"argocd-application-controller", "argocd-controller", "kustomize-controller", "helm-controller"})

DO_NOT_DISRUPT = {"karpenter.sh/do-not-disrupt": "true", "cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}
MIGRATION = "migration"

_WORDS = re.compile(r"[^a-z0-9]+")

Check = Callable[[Live], Iterable[Danger]]


def dangers(live: Live, scope: Scope) -> tuple[Danger, ...]:
    """All of them; on a kind that no verb of ours is made for, that one is enough."""
    if live.ref.kind != "Deployment":
        return (_other_kind(live),)
    found = [*consent.consent(live, scope), *(danger for check in CHECKS for danger in check(live))]
    return tuple(Danger(each.hazard, plain(each.detail), each.verbs) for each in found)


def _other_kind(live: Live) -> Danger:
    hazard = Hazard.rollouts if live.ref.kind == "Rollout" else Hazard.stateful
    return Danger(hazard, f"{live.ref.kind} {live.ref.name}: only Deployments are acted on", ALL)


def _not_observed(live: Live) -> Iterator[Danger]:
    if not rollout.observed(live.obj):
        yield Danger(Hazard.not_observed, f"the controller has not observed generation {generation(live.obj)}", ALL)


def _rollout(live: Live) -> Iterator[Danger]:
    state, detail = rollout.state(live.obj)
    if state is not RolloutState.complete:
        yield Danger(Hazard.rollout_in_progress, f"{state}: {detail}", (SCALE, RESTART))


def _paused(live: Live) -> Iterator[Danger]:
    if rollout.paused(live.obj):
        yield Danger(Hazard.paused, f"Deployment {live.ref.name} is paused", (RESTART, UNDO))


def _autoscaled(live: Live) -> Iterator[Danger]:
    for each in live.around["HorizontalPodAutoscaler"]:
        if not _aims(each, live, "scaleTargetRef"):
            continue
        owner = controller(each)
        keda = (owner and owner[0] == "ScaledObject") or name(each).startswith("keda-hpa-") or "scaledobject.keda.sh/name" in _labels(each)
        spec, status = each.get("spec") or {}, each.get("status") or {}
        bounds = f"{spec.get('minReplicas', 1)} to {spec.get('maxReplicas')}, now {status.get('currentReplicas', 0)}"
        kind = "of KEDA " if keda else ""
        yield Danger(Hazard.keda if keda else Hazard.hpa, f"HorizontalPodAutoscaler {kind}{name(each)} owns the count ({bounds})", (SCALE,))
    for each in live.around["ScaledObject"]:
        if _aims(each, live, "scaleTargetRef"):
            yield Danger(Hazard.keda, f"ScaledObject {name(each)} owns the count", (SCALE,))


def _gitops(live: Live) -> Iterator[Danger]:
    labels, notes = _labels(live.obj), annotations_of(live.obj)
    marks = [f"{key}={notes[key]}" for key in GITOPS_ANNOTATIONS if key in notes]
    marks += [f"{key}={labels[key]}" for key in GITOPS_LABELS if key in labels]
    marks += [f"manager {each}" for each in sorted(managers(live.obj) & GITOPS_MANAGERS)]
    if marks:
        yield Danger(Hazard.gitops, f"{', '.join(marks)}: it would be set back; revert the commit instead", (SCALE, UNDO))


def _owned(live: Live) -> Iterator[Danger]:
    owner = controller(live.obj)
    if owner is not None:
        kind, owner_name, _ = owner
        hazard = {"Canary": Hazard.flagger, "Rollout": Hazard.rollouts}.get(kind, Hazard.operator)
        yield Danger(hazard, f"{kind} {owner_name} controls it", ALL)


def _delivered(live: Live) -> Iterator[Danger]:
    for each in live.around["Canary"]:
        if _aims(each, live, "targetRef"):
            yield Danger(Hazard.flagger, f"Canary {name(each)} stands over it", ALL)
    for each in live.around["Rollout"]:
        if _aims(each, live, "workloadRef"):
            yield Danger(Hazard.rollouts, f"Rollout {name(each)} refers to it", ALL)


def _singleton(live: Live) -> Iterator[Danger]:
    asked, swing = rollout.counts(live.obj).asked, rollout.swing(live.obj)
    if asked == 0:
        yield Danger(Hazard.singleton, f"Deployment {live.ref.name} is scaled to 0, on purpose as far as we know", ALL)
    elif asked == 1:
        yield Danger(Hazard.singleton, f"Deployment {live.ref.name} has one replica", (RESTART,))
    elif swing.recreate:
        yield Danger(Hazard.singleton, f"Deployment {live.ref.name} has strategy Recreate: all its pods at once", (RESTART,))


def _pods_wait(live: Live) -> Iterator[Danger]:
    for hazard, reasons in ((Hazard.image_pull, IMAGE_PULL), (Hazard.config_error, CONFIG_ERROR)):
        hit = [(name(each), sorted(found)) for each in live.pods if pods.living(each) and (found := pods.waiting_reasons(each) & reasons)]
        if hit:
            yield Danger(hazard, f"{len(hit)} pods wait, as {hit[0][0]}: {', '.join(hit[0][1])}", (RESTART,))


def _memory(live: Live) -> Iterator[Danger]:
    killed = [name(each) for each in live.pods if pods.living(each) and pods.early_oom(each, within=SLOW_LEAK)]
    if not killed:
        return
    yield Danger(Hazard.oom_early, f"{len(killed)} pods were killed for memory within an hour of their start, as {killed[0]}", (RESTART,))
    for each in live.around["VerticalPodAutoscaler"]:
        mode = ((each.get("spec") or {}).get("updatePolicy") or {}).get("updateMode", "Auto")
        if mode != "Off" and _aims(each, live, "targetRef"):
            yield Danger(Hazard.oom_early, f"VerticalPodAutoscaler {name(each)} sizes it: let it work", (SCALE, RESTART))


def _stateful(live: Live) -> Iterator[Danger]:
    spec = template(live.obj).get("spec") or {}
    claims = [each["persistentVolumeClaim"].get("claimName") for each in spec.get("volumes") or () if each.get("persistentVolumeClaim")]
    if claims:
        yield Danger(Hazard.stateful, f"Deployment {live.ref.name} mounts claim {claims[0]}", ALL)
    elif kept := sorted({_WORDS.split(live.ref.name)[-1], *map(_program, images(template(live.obj)))} & DATABASES):
        yield Danger(Hazard.stateful, f"Deployment {live.ref.name} looks like {', '.join(kept)}", ALL)


def _system_priority(live: Live) -> Iterator[Danger]:
    priority = str((template(live.obj).get("spec") or {}).get("priorityClassName") or "")
    if priority.startswith("system-"):
        yield Danger(Hazard.system_priority, f"priorityClassName {priority}", ALL)


def _do_not_disrupt(live: Live) -> Iterator[Danger]:
    for each in (template(live.obj), *live.pods):
        found = [f"{key}={value}" for key, value in DO_NOT_DISRUPT.items() if annotations_of(each).get(key) == value]
        if found:
            yield Danger(Hazard.do_not_disrupt, f"{name(each) or 'the template'} says {found[0]}", (RESTART,))
            return


def _migrating(live: Live) -> Iterator[Danger]:
    for each in (live.obj, template(live.obj)):
        if _labels(each).get(MIGRATION) == "true" or annotations_of(each).get(f"{consent.PREFIX}{MIGRATION}") == "true":
            yield Danger(Hazard.migrating, "a data migration is in it: the former version may not read what it wrote", (UNDO,))
            return


CHECKS: tuple[Check, ...] = (
    _not_observed,
    _rollout,
    _paused,
    _autoscaled,
    _gitops,
    _owned,
    _delivered,
    _singleton,
    _pods_wait,
    _memory,
    _stateful,
    _system_priority,
    _do_not_disrupt,
    _migrating,
    capacity.unschedulable,
    capacity.quotas,
    capacity.budgets,
)


def _aims(obj: Object, live: Live, field: str) -> bool:
    """Its reference names our workload: group, kind and name (an autoscaler's without a group means any)."""
    aim = (obj.get("spec") or {}).get(field) or {}
    group = str(aim.get("apiVersion") or "apps/v1").rpartition("/")[0]
    return (group, aim.get("kind") or "Deployment", aim.get("name")) == ("apps", live.ref.kind, live.ref.name)


def _labels(obj: Object) -> dict[str, str]:
    return metadata(obj).get("labels") or {}


def _program(image: str) -> str:
    """`registry:5000/bitnami/kafka:3@sha256:…` → `kafka`."""
    return image.partition("@")[0].rpartition("/")[2].partition(":")[0]
