"""Where the store's conformance kit stands: a database that can be opened again, and values to put into it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from receiver.core.case import Attempt, Because, Before, Parameters, Permit, Raise, Verb
from receiver.core.model import (
    Alert,
    AlertRecord,
    Batch,
    Classification,
    Incident,
    Input,
    Level,
    Mode,
    Phase,
    Priority,
    Reason,
    Symptom,
    Target,
    TargetRef,
)
from receiver.core.page import PageText
from receiver.ports import Change, Delivery, Entry, Fold, FoldedIncident, Message, MessageKind
from receiver.store.sql_store import SqlStore
from tests.fakes.clock import START, FakeClock

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
LEASE = timedelta(seconds=30)
TARGET = Target(TargetRef("kubernetes", "default", "shop", "Deployment", "web"), "uid-web")
OTHER = Target(TargetRef("kubernetes", "default", "shop", "Deployment", "api"), "uid-api")


class Ground(Protocol):
    """One database of one engine."""

    clock: FakeClock
    url: str

    async def open(self) -> SqlStore:
        """The store on this database; closes the one that is open, as a restart does."""
        ...

    async def close(self) -> None:
        """Whatever is open."""
        ...

    def execute(self, sql: str) -> None:
        """Behind the store's back."""
        ...

    def refuses(self, sql: str) -> bool:
        """The engine itself refuses this statement."""
        ...


def delivery(n: int = 0, *, at: datetime = START) -> Delivery:
    return Delivery("alertmanager", at, f'{{"alerts": [{n}]}}'.encode(), Batch(()))


def alert(name: str = "A", *, at: datetime = START, **changes: Any) -> Alert:
    labels = {"alertname": name, "namespace": "shop", "text": "é \u2028 ' \" $(x)"}
    base = Alert("alertmanager", f"fp-{name}", labels, {"summary": "S"}, at - MINUTE, None, at)
    return replace(base, **changes)


def record(name: str = "A", *, at: datetime = START, **changes: Any) -> AlertRecord:
    return replace(AlertRecord(alert(name, at=at), "crash", at), **changes)


def incident(key: str = "key", priority: Priority = Priority.p2, **changes: Any) -> Incident:
    trace = (Reason("impact", Level.high, Input.catalogue, "service checkout"),)
    base = Incident(
        id=0,
        version=0,
        group_key=key,
        symptom=Symptom.crash,
        source="alertmanager",
        title="web crashes",
        rule="crash",
        ruleset_hash="cafe",
        classification=Classification(Level.high, Level.medium, priority, trace),
        accepted_at=START,
        service="checkout",
        phases={Phase.detected.value: START},
    )
    return replace(base, **changes)


def entry(text: str = "it began", *, at: datetime = START, because: str = "allowed", **changes: Any) -> Entry:
    return replace(Entry(at, because, text, data={"b": 1, "a": ["x", None]}), **changes)


def folded(
    each: Incident,
    *,
    records: Sequence[AlertRecord] = (),
    aliases: Sequence[str] = (),
    entries: Sequence[Entry] = (),
    wake_at: datetime | None = START,
) -> FoldedIncident:
    return FoldedIncident(each, tuple(records), tuple(aliases), tuple(entries), wake_at)


async def began(
    store: SqlStore,
    key: str = "key",
    priority: Priority = Priority.p2,
    *,
    records: Sequence[AlertRecord] = (),
    aliases: Sequence[str] = (),
    wake_at: datetime | None = START,
    **changes: Any,
) -> Incident:
    """A new incident, as stored."""
    new = folded(incident(key, priority, **changes), records=records, aliases=aliases, entries=(entry(),), wake_at=wake_at)
    (number,) = await store.commit_fold(Fold((new,), ()))
    return await stored(store, number)


async def stored(store: SqlStore, number: int) -> Incident:
    rows = await store.load(number)
    assert rows is not None
    return rows.incident


async def bound(store: SqlStore, key: str = "key", priority: Priority = Priority.p2, target: Target = TARGET, **changes: Any) -> Incident:
    """A new incident with its target."""
    new = await began(store, key, priority, **changes)
    adopted = await store.adopt_target(new, target, at=START)
    return await stored(store, adopted.survivor_id)


async def closed(store: SqlStore, each: Incident, *, at: datetime = START) -> Incident:
    current = await stored(store, each.id)
    await store.save(Change(replace(current, open=False, closed_at=at, closed_by="ann")))
    return await stored(store, each.id)


async def permit(store: SqlStore, each: Incident, n: int = 1, *, at: datetime = START, **changes: Any) -> Permit:
    """Decided on what is stored now."""
    base = Permit(
        attempt_id=f"inst-{each.id}-{n}",
        incident_id=each.id,
        action="kubernetes.rollout_restart",
        verb=Verb.restart,
        target=TARGET,
        parameters=Parameters(restarted_at=at),
        before=Before(replicas=3, waiting={"CrashLoopBackOff": 2}, samples={"verify": 0.5}),
        at=at,
        expires_at=at + 15 * SECOND,
        seen=await store.sequence(),
        rung=0,
        rule="crash",
        ruleset_hash="cafe",
        mode=Mode.auto,
    )
    return replace(base, **changes)


async def attempted(store: SqlStore, each: Incident, n: int = 1, **changes: Any) -> Attempt:
    """An attempt that has begun on the incident as it is stored now."""
    current = await stored(store, each.id)
    return await store.begin_attempt(
        await permit(store, current, n, **changes), incident=current, entries=(entry("restarting"),), shadow=False
    )


async def changed(store: SqlStore, each: Incident, **parts: Any) -> int:
    """Saves parts of a step on the incident as it is stored now."""
    return await store.save(Change(await stored(store, each.id), **parts))


def message(each: Incident, key: str = "dedup", kind: MessageKind = MessageKind.trigger, *, to: str = "pagerduty") -> Message:
    text = PageText("web crashes", "critical", "receiver", details={"tried": ["restart", "nothing"]}, links=(("https://r", "runbook"),))
    return Message(to, kind, key, each.id, text, raise_n=1)


def raised(n: int = 1, *, key: str = "dedup", at: datetime = START, **changes: Any) -> Raise:
    return replace(Raise(n, at, Priority.p2, Because.waiting_page, key, at), **changes)
