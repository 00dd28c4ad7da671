"""Intake and folder over a real store, without loops of their own: a test sends, folds, and looks at what is stored."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from receiver.core.model import AlertRecord, Batch, Heartbeat, Incident, Level, Remediation, Rule, Service, Symptom, TargetRef
from receiver.core.predicate import matcher
from receiver.core.rules import RuleSet
from receiver.engine.folder import Folder, Reading
from receiver.engine.handover import Handover
from receiver.ingest.alertmanager import AlertmanagerSource
from receiver.ingest.cloudwatch import FORMS, CloudWatchSource
from receiver.ports import CaseRows, Delivery, Fold, IncidentFilter, IncidentView, OpenIncident, OwnTrouble, Quarantined, StoredDelivery
from receiver.store.sql_store import SqlStore
from receiver.telemetry.metrics import Metrics
from tests.fakes.clock import START, FakeClock

SOURCE = "alertmanager"
ZERO = "0001-01-01T00:00:00Z"
POD = {"alertname": "KubePodCrashLooping", "namespace": "shop", "pod": "web-1", "container": "web"}


def rules(*more: Rule, default: Rule | None = None) -> RuleSet:
    """A crash rule, a critical one, a page-only one, the heartbeat, the ignored one, and a default (P3)."""
    outage = Rule("outage", (matcher("alertname", "=", "Outage"),), Symptom.crash, Level.high, Level.high)
    own = (
        Rule("crash", (matcher("alertname", "=~", "KubePodCrashLooping|KubeDeployment.*"),), Symptom.crash, urgency=Level.high),
        replace(outage, remediate=(Remediation("kubernetes.scale"),)),
        Rule("leak", (matcher("alertname", "=", "Leak"),), Symptom.security, Level.high, Level.medium, page_only=True),
        Rule("watchdog", (matcher("alertname", "=", "Watchdog"),), heartbeat=Heartbeat(every=timedelta(minutes=1))),
        Rule("inhibitor", (matcher("alertname", "=", "InfoInhibitor"),), ignore=True),
    )
    checkout = Service("checkout", (TargetRef("kubernetes", "default", "shop", "Deployment", "checkout"),), impact=Level.high)
    fallback = default or Rule("default", impact=Level.medium, urgency=Level.medium, is_default=True)
    return RuleSet(rules=(*more, *own), default=fallback, services={"checkout": checkout}, hash="h1")


def said(labels: Mapping[str, str], *, starts: datetime = START, ends: datetime | None = None, **annotations: str) -> dict[str, Any]:
    """One element of `alerts`."""
    return {
        "status": "firing" if ends is None else "resolved",
        "labels": dict(labels),
        "annotations": annotations,
        "startsAt": starts.astimezone(UTC).isoformat(),
        "endsAt": ZERO if ends is None else ends.astimezone(UTC).isoformat(),
        "generatorURL": "",
        "fingerprint": "0123456789abcdef",
    }


def body(*alerts: Mapping[str, Any], **changes: Any) -> bytes:
    """An Alertmanager v4 delivery."""
    whole: dict[str, Any] = {
        "receiver": "receiver",
        "status": "firing",
        "alerts": list(alerts),
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://am-0:9093",
        "version": "4",
        "groupKey": "{}:{}",
        "truncatedAlerts": 0,
    }
    return json.dumps({**whole, **changes}).encode()


def delivery(raw: bytes, *, at: datetime, source: str = SOURCE) -> Delivery:
    """As the door makes it."""
    batch = AlertmanagerSource(SOURCE).parse(raw, at)
    assert isinstance(batch, Batch)
    return Delivery(source, at, raw, batch)


class Interposed:
    """The store, with something that a test does first: `before["commit_fold"] = hook`; a hook that raises stands for a fault."""

    def __init__(self, store: SqlStore) -> None:
        self.real = store
        self.before: dict[str, Callable[[Any], Awaitable[None]]] = {}
        self.calls: list[str] = []

    async def _ask(self, name: str, argument: object) -> None:
        self.calls.append(name)
        if name in self.before:
            await self.before[name](argument)

    async def append(self, deliveries: Sequence[Delivery]) -> list[int]:
        await self._ask("append", deliveries)
        return await self.real.append(deliveries)

    async def unfolded(self, *, after: int, limit: int) -> list[StoredDelivery]:
        await self._ask("unfolded", after)
        return await self.real.unfolded(after=after, limit=limit)

    async def backlog(self) -> int:
        return await self.real.backlog()

    async def open_incidents(self, keys: Any, identities: Any) -> dict[str, OpenIncident]:
        await self._ask("open_incidents", keys)
        return await self.real.open_incidents(keys, identities)

    async def versions(self, incident_ids: Any) -> dict[int, int]:
        return await self.real.versions(incident_ids)

    async def newest_closed(self, keys: Any) -> dict[str, int]:
        return await self.real.newest_closed(keys)

    async def commit_fold(self, fold: Fold) -> list[int]:
        await self._ask("commit_fold", fold)
        return await self.real.commit_fold(fold)

    async def ping(self) -> None:
        """Meets what a fold meets: the same disk."""
        if "commit_fold" in self.before:
            await self.before["commit_fold"](Fold(incidents=(), folded=()))
        await self.real.ping()

    async def load(self, incident_id: int) -> CaseRows | None:
        await self._ask("load", incident_id)
        return await self.real.load(incident_id)


@dataclass(slots=True)
class Ground:
    """Everything of one process."""

    store: Interposed
    clock: FakeClock
    handover: Handover
    folder: Folder
    rules: list[RuleSet]
    """The last one is in force."""
    woken: list[int]
    reported: list[OwnTrouble]
    metrics: Metrics

    @classmethod
    def over(
        cls,
        store: SqlStore,
        clock: FakeClock | None = None,
        ruleset: RuleSet | None = None,
        *,
        replayable: frozenset[str] = frozenset(),
        **handover: int,
    ) -> Ground:
        """A process that has just started over what is stored."""
        clock = clock or FakeClock()
        interposed, metrics = Interposed(store), Metrics(version="test")
        in_force, woken, reported = [ruleset or rules()], list[int](), list[OwnTrouble]()
        over = Handover(**handover)
        ways = {name: CloudWatchSource(name) for name in FORMS}
        reading = Reading({SOURCE: AlertmanagerSource(SOURCE), **ways}, lambda: in_force[-1], replayable=replayable)
        folder = Folder(interposed, over, reading, clock=clock, wake=woken.append, report=reported.append, metrics=metrics)
        over.forget()
        return cls(interposed, clock, over, folder, in_force, woken, reported, metrics)

    async def append(self, *bodies: bytes, source: str = SOURCE) -> list[int]:
        """Committed, not folded."""
        new = [delivery(each, at=self.clock.now(), source=source) for each in bodies]
        ids = await self.store.real.append(new)
        for id_, each in zip(ids, new, strict=True):
            self.handover.put(id_, each)
        return ids

    async def fold(self, *bodies: bytes, source: str = SOURCE) -> None:
        """Committed and folded."""
        await self.append(*bodies, source=source)
        await self.folder.drain()

    async def incidents(self) -> list[Incident]:
        """All, oldest first."""
        return list(reversed(await self.store.real.incidents(IncidentFilter(limit=1000))))

    async def incident(self) -> Incident:
        """The only one."""
        (only,) = await self.incidents()
        return only

    async def records(self, incident_id: int = 1) -> tuple[AlertRecord, ...]:
        rows = await self.store.real.load(incident_id)
        assert rows is not None
        return rows.alerts

    async def view(self, incident_id: int = 1) -> IncidentView:
        view = await self.store.real.view(incident_id)
        assert view is not None
        return view

    async def timeline(self, incident_id: int = 1) -> list[str]:
        """The `because` of its entries."""
        return [each.entry.because for each in (await self.view(incident_id)).timeline]

    async def quarantine(self) -> list[Quarantined]:
        return await self.store.real.quarantine(limit=100)
