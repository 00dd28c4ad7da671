"""The same alert again, and the same problem again: fingerprints, group keys, and folding an alert into what is known of it.

Owns identity (`fingerprint`), what labels say about a target (`hint`), what makes alerts one incident (`group_key`, `bound_key`) and the
reading of one more statement about one alert (`fold`). Law: the same statement twice changes nothing; an older one never overrules a
newer one; only an explicit statement about this very fingerprint resolves it, absence never does. Called by the parsers of `ingest`,
the folder and the store.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum

from receiver.core.facts import Hint
from receiver.core.model import Alert, AlertRecord, Rule, Service, Symptom, Target

TITLE_LIMIT = 300
"""Characters of alert text that are ever shown in one piece (`protocols.md` 8.5)."""

FLAPS_KEPT = 20

STALE_RETRY = timedelta(minutes=10)
"""A "firing" with the startsAt of a known resolve is a peer's late retry for so long: Alertmanager retries a snapshot until its flush ends,
that is group_interval (5 min by default) and the peers' waits. Later it is meant: Prometheus was cut off, Alertmanager resolved the alert
by timeout, and the same alert came back with the startsAt that it always had."""

UNHEARD = timedelta(minutes=1)
"""A firing that began so much later than the one that we know is a new episode: its end in between was never sent (resolved and fired
again within one group_interval, or silenced). Less is two replicas of Prometheus that saw the same thing at different times."""

SETTLED = timedelta(minutes=1)
"""What we found by asking overrules a resolve only when that is so much older than the question: two Alertmanagers of a pair, or two pages
of a list, may differ for some seconds."""

# fmt: off
_VOLATILE = frozenset({
    "pod", "pod_name", "pod_ip", "podIP", "instance", "endpoint", "uid", "container", "container_name", "container_id", "id", "image",
    "replica", "prometheus", "prometheus_replica", "receive_replica", "rule_replica", "host_ip", "severity",
})
# fmt: on
"""Labels that differ among the replicas of one thing, or that are a claim rather than an identity (severity)."""

_SCRAPED = frozenset({"namespace", "pod", "service", "container", "node", "job"})
"""Labels that a scrape writes over those of the exporter, which then become `exported_…`."""

_WORKLOAD_LABELS = (
    ("deployment", "Deployment"),
    ("statefulset", "StatefulSet"),
    ("daemonset", "DaemonSet"),
    ("replicaset", "ReplicaSet"),
    ("job_name", "Job"),
)
_WORKLOAD_TYPES = {
    "deployment": "Deployment",
    "statefulset": "StatefulSet",
    "daemonset": "DaemonSet",
    "replicaset": "ReplicaSet",
    "job": "Job",
}
_POD_TYPES = frozenset({"barepod", "staticpod"})

# RFC 1123, as Kubernetes checks names: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
_DNS_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_DNS_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?", re.ASCII)
_KIND = re.compile(r"[A-Z][A-Za-z0-9]{0,62}", re.ASCII)
# https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_CreateService.html
_ECS_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}", re.ASCII)
_ACCOUNT = re.compile(r"[0-9]{12}", re.ASCII)
_REGION = re.compile(r"[a-z0-9-]{1,32}", re.ASCII)
_PLAIN_KEY = re.compile(r"[A-Za-z0-9._:-]{1,100}", re.ASCII)

_Get = Callable[[str], str | None]

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories that a reader cannot see or that turn the text around: controls, bidi marks, surrogates, line separators."""


# --- which alert ---------------------------------------------------------------------------------------------------------


def fingerprint(source: str, labels: Mapping[str, str], ignored: Collection[str] = ()) -> str:
    """32 hex digits of source and labels, whatever their order. Labels without a value are absent; `ignored` are those of replicas."""
    parts = [source]
    for name in sorted(labels):
        value = labels[name]
        if value and name not in ignored:
            parts.append(name)
            parts.append(value)
    text = "\0".join(parts)
    if text.count("\0") >= len(parts):  # a label holds NUL itself: lengths keep two label sets apart; begins with NUL, as no source does
        text = "\0" + "".join([f"{len(part)}:{part}" for part in parts])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


# --- which thing ---------------------------------------------------------------------------------------------------------


def hint(labels: Mapping[str, str]) -> Hint:
    """What the labels say about a target, in the order of `remediation.md` 4.

    A value that is no RFC 1123 name is dropped, never mended. `cluster` alone is kept as it came: it is only ever compared, and a strange
    one must stay different from ours. An ECS service goes before all: beside its dimensions the labels of a scrape name the exporter.
    """
    if (ecs := _ecs(labels)) is not None:
        return ecs
    get = _exported(labels) if any("exported_" in each for each in labels) else labels.get
    kind, name = _workload(get)
    pod = _name(get("pod"))
    if kind in _POD_TYPES:
        kind, name, pod = "", "", name or pod
    namespace = get("namespace") or ""
    service, hpa = _name(get("service")), _name(get("horizontalpodautoscaler"))
    return Hint(
        cluster=labels.get("cluster", "")[:253],
        namespace=namespace if _DNS_LABEL.fullmatch(namespace) else "",
        kind=kind,
        name=name,
        pod=pod,
        service=service,
        hpa=hpa,
        node="" if name or pod or service or hpa else _name(get("node")),
    )


def _ecs(labels: Mapping[str, str]) -> Hint | None:
    """The two dimensions of the metrics of an ECS service, as CloudWatch's alarms and its exporters (YACE) tell them."""
    cluster, service = labels.get("dimension_ClusterName", ""), labels.get("dimension_ServiceName", "")
    if not (_ECS_NAME.fullmatch(cluster) and _ECS_NAME.fullmatch(service)):
        return None
    account, region = labels.get("account_id", ""), labels.get("region", "")
    return Hint(
        cluster=labels.get("cluster", "")[:253],
        namespace=cluster,
        kind="Service",
        name=service,
        platform="ecs",
        account=account if _ACCOUNT.fullmatch(account) else "",
        region=region if _REGION.fullmatch(region) else "",
    )


def _exported(labels: Mapping[str, str]) -> _Get:
    """Reads `exported_…` in the place of what the scrape wrote over: one of them present speaks for all."""

    def get(label: str) -> str | None:
        return labels.get("exported_" + label) or (None if label in _SCRAPED else labels.get(label))

    return get


def _workload(get: _Get) -> tuple[str, str]:
    """(kind, name); the kind may be one of `_POD_TYPES`. Two empty strings where the labels name none."""
    name, kind = _name(get("workload")), get("workload_type")
    if name and kind:
        kind = _WORKLOAD_TYPES.get(kind.lower(), kind)
        if kind in _POD_TYPES or _KIND.fullmatch(kind):
            return kind, name
    for label, kind_of_label in _WORKLOAD_LABELS:
        if name := _name(get(label)):
            return kind_of_label, name
    return "", ""


def _name(value: str | None) -> str:
    return value if value and _DNS_NAME.fullmatch(value) else ""


# --- which problem -------------------------------------------------------------------------------------------------------


def group_key(alert: Alert, rule: Rule, service: Service | None, cluster: str, *, named: Hint | None = None) -> str:
    """The provisional key (`house.md` 6.3); alerts of one key are one incident until a look binds the target.

    `cluster` is ours, for alerts that name none; `named` spares reading the alert's hint again. Of bounded length, and free of alert text
    but for checked names.
    """
    where = _key_part(alert.labels.get("cluster", "") or cluster)
    return f"{where}/{_what(alert, service, named or hint(alert.labels))}/{rule.symptom.value}"


def bound_key(target: Target, symptom: Symptom) -> str:
    """The key once the object is known: its uid alone, so that all its troubles are one incident, but for data and security."""
    return f"uid:{target.uid}/{symptom.value}" if symptom.untouchable else f"uid:{target.uid}"


def _what(alert: Alert, service: Service | None, named: Hint) -> str:
    if service is not None:
        return f"service/{_key_part(service.name)}"
    if named.name and named.namespace:
        where = "workload" if named.platform == "kubernetes" else f"{named.platform}/{_key_part(f'{named.account}:{named.region}')}"
        return f"{where}/{named.namespace}/{named.kind}/{named.name}"
    return f"alert/{fingerprint(alert.source, alert.labels, _volatile(alert.labels))}"


def _volatile(labels: Mapping[str, str]) -> list[str]:
    return ["cluster", *(name for name in labels if name.removeprefix("exported_") in _VOLATILE)]  # the cluster stands before it


def _key_part(text: str) -> str:
    if _PLAIN_KEY.fullmatch(text):
        return text
    return "~" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


# --- one more statement --------------------------------------------------------------------------------------------------


class News(StrEnum):
    """What one more statement about one alert changes."""

    new = "new"
    repeated = "repeated"
    """It was firing, it is firing."""
    refired = "refired"
    """It was over, it fires again: a flap."""
    resolved = "resolved"
    stale = "stale"
    """Older than what is known: a late retry, or a slower replica. Changes nothing."""
    unknown = "unknown"
    """Says that something is over which the incident never held. Changes nothing."""
    unproven = "unproven"
    """Its sender ends it without saying that it is well again: it stays as it was."""


@dataclass(frozen=True, slots=True)
class Folded:
    """What became of a record."""

    record: AlertRecord | None
    """None only where nothing was known and nothing is to be kept (`News.unknown`)."""
    news: News
    changed: bool
    """Worth a write. A plain repeat is not: an alert repeated 20,000 times stays one row, written once."""


def fold(record: AlertRecord | None, alert: Alert, *, rule: str) -> Folded:
    """Reads one more statement about the alert that `record` remembers (None: never heard of in this incident)."""
    firing = alert.firing(alert.received_at)
    if record is None:
        if not firing:
            return Folded(None, News.unknown, changed=False)
        return Folded(AlertRecord(alert=alert, rule=rule, first_at=alert.received_at), News.new, changed=True)
    if firing:
        return _fold_firing(record, alert, rule)
    return _fold_unproven(record, alert) if alert.unproven else _fold_over(record, alert, rule)


def _fold_firing(record: AlertRecord, alert: Alert, rule: str) -> Folded:
    known = record.alert
    if record.resolved_at is None:
        if alert.starts_at < known.starts_at:
            return Folded(record, News.stale, changed=False)
        if alert.starts_at - known.starts_at < UNHEARD:
            return _repeat(record, alert, rule)
        return _again(record, alert, rule)
    if alert.found and not alert.ordered:  # asked and answered: no late retry, whatever start it names
        settled = alert.received_at - record.resolved_at >= SETTLED
        return _again(record, alert, rule) if settled else Folded(record, News.stale, changed=False)
    if alert.starts_at <= known.starts_at and alert.received_at - record.resolved_at < STALE_RETRY:
        return Folded(record, News.stale, changed=False)
    if alert.starts_at < known.starts_at:
        return Folded(record, News.stale, changed=False)
    return _again(record, alert, rule)


def _again(record: AlertRecord, alert: Alert, rule: str) -> Folded:
    """A new episode, whether its end before was heard of or not."""
    flaps = (*record.flaps, alert.received_at)[-FLAPS_KEPT:]
    again = replace(record, alert=_newest(record.alert, alert), rule=rule, resolved_at=None, times=record.times + 1, flaps=flaps)
    return Folded(again, News.refired, changed=True)


def _repeat(record: AlertRecord, alert: Alert, rule: str) -> Folded:
    known, newest = record.alert, _newest(record.alert, alert)
    same = (
        newest.starts_at == known.starts_at
        and newest.annotations == known.annotations
        and newest.trusted_shape == known.trusted_shape
        and newest.truncated == known.truncated
        and (newest.page_only, newest.unproven) == (known.page_only, known.unproven)
        and rule == record.rule
    )  # another received_at or generatorURL is no news: replicas of the sender differ in them
    if same:
        return Folded(record, News.repeated, changed=False)
    return Folded(replace(record, alert=newest, rule=rule, times=record.times + 1), News.repeated, changed=True)


def _fold_over(record: AlertRecord, alert: Alert, rule: str) -> Folded:
    known = record.alert
    if record.resolved_at is not None:
        newer = alert.starts_at > known.starts_at  # an episode that came and went unheard: its late "firing" must not pass for a new one
    else:  # a sender that lost its memory, or a replica, may name an earlier start: was it over after the start that we know?
        newer = alert.starts_at >= known.starts_at or alert.ends_at is None or alert.ends_at > known.starts_at
    if not newer:
        return Folded(record, News.stale, changed=False)
    over = replace(record, alert=_newest(known, alert), rule=rule, resolved_at=alert.received_at, times=record.times + 1)
    return Folded(over, News.resolved, changed=True)


def _fold_unproven(record: AlertRecord, alert: Alert) -> Folded:
    """Absence is no recovery: only noted, once a reason, and never acted on any more where that is said."""
    known = record.alert
    if record.resolved_at is not None or alert.starts_at < known.starts_at:
        return Folded(record, News.stale, changed=False)
    noted = replace(known, unproven=alert.unproven, page_only=known.page_only or alert.page_only)
    if noted == known:
        return Folded(record, News.repeated, changed=False)
    return Folded(replace(record, alert=noted, times=record.times + 1), News.unproven, changed=True)


def _newest(known: Alert, alert: Alert) -> Alert:
    """The newer statement, keeping the doubts of the older: what was once of an odd shape, or for people only, is never acted on."""
    starts_at = max(known.starts_at, alert.starts_at)
    trusted = known.trusted_shape and alert.trusted_shape
    page_only = alert.page_only or known.page_only
    if (starts_at, trusted, page_only) == (alert.starts_at, alert.trusted_shape, alert.page_only):
        return alert
    return replace(alert, starts_at=starts_at, trusted_shape=trusted, page_only=page_only)


# --- in words ------------------------------------------------------------------------------------------------------------


def title(alert: Alert, service: Service | None) -> str:
    """One line for an incident that begins with this alert: `KubePodCrashLooping: checkout`."""
    name = plain(alert.name, limit=TITLE_LIMIT // 2) or "(alertname missing)"
    place = plain(service.name if service is not None else _place(hint(alert.labels)), limit=TITLE_LIMIT // 2 - 2)
    return f"{name}: {place}" if place else name


def plain(text: str, *, limit: int = TITLE_LIMIT) -> str:
    """Alert text that is safe to show on one line: nothing invisible, nothing that turns it around, bounded."""
    text = text[: limit * 4]
    if not text.isprintable():
        text = "".join([" " if unicodedata.category(each) in _HIDDEN else each for each in text])
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _place(named: Hint) -> str:
    if named.name:
        return "/".join(part for part in (named.namespace, named.kind, named.name) if part)
    return named.namespace
