"""What is sent: deliveries of Alertmanager v4 of four alerts and about 4 kB, and the same alerts as Alertmanager's own API takes them.

Three kinds. `repeats`: 64 groups whose alerts fire on, the most of what a sender sends. `updates`: groups whose alerts resolve and fire
anew by turns, so that each delivery changes one incident and its four alerts. `fresh`: each delivery opens an incident.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import count, cycle

GROUPS = 64
UPDATED_GROUPS = 512
"""More than connections, so that hardly two statements of one group are under way at a time."""
ZERO_TIME = "0001-01-01T00:00:00Z"
START, END, STATUS, MARK = "2001-01-01T00:00:00.000000Z", "2002-01-01T00:00:00.000000Z", "@status@", "@@mark@@"
"""Stand in a template where each request has its own."""
_ENVELOPE = {
    "receiver": "receiver",
    "status": STATUS,
    "groupLabels": {"alertname": "KubePodCrashLooping", "namespace": "shop"},
    "commonLabels": {"alertname": "KubePodCrashLooping", "namespace": "shop", "severity": "warning"},
    "commonAnnotations": {},
    "externalURL": "http://alertmanager.monitoring.svc:9093",
    "version": "4",
    "groupKey": '{}:{alertname="KubePodCrashLooping", namespace="shop"}',
    "truncatedAlerts": 0,
}


class Kind(StrEnum):
    """What each delivery means to the receiver."""

    repeats = "repeats"
    updates = "updates"
    fresh = "fresh"


def delivery(group: str, *, alerts: int = 4, **labels: str) -> str:
    """The template of one group: START, END and STATUS are to be filled in. `labels` stand on each of its alerts."""
    listed = [_alert(group, index, labels) for index in range(alerts)]
    return json.dumps({**_ENVELOPE, "alerts": listed})


def firing(template: str, *, since: str = "2026-11-20T12:00:00.123456Z") -> bytes:
    """Filled in."""
    return template.replace(STATUS, "firing").replace(START, since).replace(END, ZERO_TIME).encode()


def resolved(template: str, *, since: str, at: str) -> bytes:
    """Filled in."""
    return template.replace(STATUS, "resolved").replace(START, since).replace(END, at).encode()


def deliveries(kind: Kind, *, alertname: str = "KubePodCrashLooping") -> Iterator[bytes]:
    """Without end; every call begins anew, with groups of its own for `updates` and `fresh`."""
    if kind is Kind.repeats:
        return cycle([firing(delivery(f"{group:04x}", alertname=alertname)) for group in range(GROUPS)])
    return _fresh(alertname) if kind is Kind.fresh else _updates(alertname)


def as_api(body: bytes) -> bytes:
    """The alerts of a delivery as `POST /api/v2/alerts` takes them: a firing one ends in years."""
    return json.dumps([_as_api(each) for each in json.loads(body)["alerts"]]).encode()


def _as_api(alert: dict[str, object]) -> dict[str, object]:
    end = alert["endsAt"] if alert["status"] == "resolved" else "2036-01-01T00:00:00Z"
    return {**{name: alert[name] for name in ("labels", "annotations", "startsAt", "generatorURL")}, "endsAt": end}


def _alert(group: str, index: int, labels: dict[str, str]) -> dict[str, object]:
    return {
        "status": STATUS,
        "labels": {
            "alertname": "KubePodCrashLooping",
            "namespace": "shop",
            "severity": "warning",
            "cluster": "default",
            "container": "web",
            "job": "kube-state-metrics",
            "queue": f"orders-{group}",  # a label that tells problems apart, as a pod's name does not
            "pod": f"web-7c9d8b6f5-{group}-{index}",
            **labels,
        },
        "annotations": {
            "summary": "Pod is crash looping.",
            "description": f"Pod shop/web-{group}-{index} (web) is in waiting state (reason: CrashLoopBackOff) for 15 minutes. "
            + "x" * 160,
            "runbook_url": "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubepodcrashlooping",
        },
        "startsAt": START,
        "endsAt": END,
        "generatorURL": "http://prometheus.monitoring.svc:9090/graph?g0.expr=increase%28kube_pod_container_status_restarts_total%5B10m%5D%29",
        "fingerprint": secrets.token_hex(8),
    }


def _fresh(alertname: str) -> Iterator[bytes]:
    run = secrets.token_hex(4)
    template = firing(delivery(MARK, alertname=alertname))
    for number in count():
        yield template.replace(MARK.encode(), f"{run}{number:06x}".encode())


def _updates(alertname: str) -> Iterator[bytes]:
    run = secrets.token_hex(4)
    templates = [delivery(f"{run}{group:04x}", alertname=alertname) for group in range(UPDATED_GROUPS)]
    moment = datetime.now(UTC) - timedelta(hours=6)
    while True:
        since, moment = _said(moment), moment + timedelta(milliseconds=500)
        yield from (firing(each, since=since) for each in templates)
        at, moment = _said(moment), moment + timedelta(milliseconds=500)
        yield from (resolved(each, since=since, at=at) for each in templates)


def _said(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
