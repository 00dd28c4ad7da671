"""A store with a day's incidents, written through the ports: every state, mark and page that API and console have to show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from receiver.core.case import AttemptState, Because, Before, Hold, HoldKind, Parameters, Permit, Raise, Verb, Verdict
from receiver.core.facts import Danger, Facts, Hazard, Pods, RolloutState, Sample, SampleState, Workload
from receiver.core.model import (
    Alert,
    AlertRecord,
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
from receiver.ports import (
    Change,
    DeliveryKind,
    DeliveryResult,
    Entry,
    Fold,
    FoldedIncident,
    Message,
    MessageKind,
    Quarantined,
)
from receiver.store.sql_store import SqlStore
from tests.fakes.clock import FakeClock

HOSTILE = "<script>alert(1)</script>\"'{{7*7}}%s"
CELLS = {
    Priority.p1: (Level.high, Level.high),
    Priority.p2: (Level.high, Level.medium),
    Priority.p3: (Level.medium, Level.medium),
    Priority.p4: (Level.low, Level.medium),
}


@dataclass(frozen=True)
class Sampled:
    """Ids of the incidents by what they show."""

    database: int
    undone: int
    refused: int
    scaled: int
    shadow: int
    fresh: int
    hostile: int
    cured: int
    by_person: int


class Sampler:
    """Writes them one after another; the clock is set back for each and ends where it began."""

    def __init__(self, store: SqlStore, clock: FakeClock) -> None:
        self.store = store
        self.clock = clock
        self.now = clock.now()
        self.n = 0

    def ago(self, **parts: float) -> datetime:
        """That long before the end."""
        return self.now - timedelta(**parts)

    async def opened(self, title: str, priority: Priority, at: datetime, **more: object) -> Incident:
        """A new incident with one firing alert."""
        self.n += 1
        impact, urgency = CELLS[priority]
        trace = (
            Reason("impact", impact, Input.catalogue, f"service {more.get('service') or 'checkout'}"),
            Reason("urgency", urgency, Input.rule, f"rule {more.get('rule') or 'crash-loop-after-rollout'}"),
        )
        name = str(more.pop("workload", "checkout"))
        target = Target(TargetRef("kubernetes", "default", "shop", "Deployment", name), f"uid-{self.n}")
        base = Incident(
            id=0,
            version=0,
            group_key=f"key-{self.n}",
            symptom=Symptom.crash,
            source="alertmanager",
            title=title,
            rule="crash-loop-after-rollout",
            ruleset_hash="5f2c",
            classification=Classification(impact, urgency, priority, trace),
            accepted_at=at,
            service="checkout",
            target=target,
            phases={Phase.detected.value: at, Phase.triaged.value: at + timedelta(seconds=1)},
        )
        incident = replace(base, **more)  # type: ignore[arg-type]  # the tests' own keywords
        labels = {"alertname": title.partition(" ")[0], "namespace": "shop", "deployment": name, "severity": "critical"}
        annotations = {"summary": f"{name} is restarting again and again", "runbook_url": "https://wiki.example.com/crash"}
        alert = Alert("alertmanager", f"fp-{self.n}", labels, annotations, at - timedelta(seconds=40), None, at)
        entries = (
            Entry(at, "first_alert", f"{labels['alertname']} [{name}] se déclenche depuis {at:%H:%M:%S} (source alertmanager)"),
            Entry(at, "classified", f"{priority.value} : impact {impact.value} (catalogue), urgence {urgency.value} (règle)"),
        )
        fold = Fold((FoldedIncident(incident, (AlertRecord(alert, base.rule, at),), (incident.group_key,), entries, at),), ())
        (id_,) = await self.store.commit_fold(fold)
        return await self.read(id_)

    async def read(self, id_: int) -> Incident:
        """As it stands."""
        rows = await self.store.load(id_)
        assert rows is not None
        return rows.incident

    async def say(self, incident: Incident, at: datetime, because: str, text: str, **more: object) -> Incident:
        """One sentence, and whatever else the change holds."""
        actor = str(more.pop("actor", "receiver"))
        data = more.pop("data", {})
        change = Change(incident, (Entry(at, because, text, actor=actor, data=data),))  # type: ignore[arg-type]  # as above
        await self.store.save(replace(change, **more))  # type: ignore[arg-type]  # as above
        return await self.read(incident.id)

    async def begin(self, incident: Incident, at: datetime, verb: Verb, *, shadow: bool = False, **numbers: object) -> str:
        """An attempt; returns its id."""
        assert incident.target is not None
        seen = await self.store.sequence()
        before = Before(replicas=3, available=1, ready=1, revision="7", restarts=14, waiting={"CrashLoopBackOff": 2})
        before = replace(before, samples={"verify": 0.41}, images=("registry.example.com/checkout:2.4.0",))
        permit = Permit(
            attempt_id=f"inst-{incident.id}-{seen}",
            incident_id=incident.id,
            action=f"kubernetes.{verb.value}",
            verb=verb,
            target=incident.target,
            parameters=Parameters(**numbers),  # type: ignore[arg-type]  # as above
            before=before,
            at=at,
            expires_at=at + timedelta(seconds=30),
            seen=seen,
            rung=0,
            rule=incident.rule,
            ruleset_hash="5f2c",
            mode=Mode.observe if shadow else Mode.auto,
        )
        text = f"exécute {permit.action} de Deployment shop/checkout : toutes les limites l'autorisent"
        entries = (Entry(at, "allowed", text),)
        self.clock.advance(at - self.clock.now())
        attempt = await self.store.begin_attempt(permit, incident=incident, entries=entries, shadow=shadow)
        self.clock.advance(self.now - self.clock.now())
        return attempt.id

    async def judge(self, id_: int, at: datetime, verdict: Verdict | None, text: str, after: Before | None = None) -> Incident:
        """The last attempt of an incident, applied, and perhaps judged."""
        rows = await self.store.load(id_)
        assert rows is not None
        last = [each for each in rows.attempts if each.incident_id == id_][-1]
        applied = replace(
            last, state=AttemptState.applied, ended_at=last.started_at + timedelta(seconds=1), detail="accepted by the API server"
        )
        judged = replace(applied, verdict=verdict, verdict_at=at if verdict else None, verdict_detail=text, after=after)
        return await self.say(rows.incident, at, "verified" if verdict else "settling", text, attempt=judged)

    def page(self, incident: Incident, at: datetime, text: str, refusals: Sequence[str] = ()) -> dict[str, object]:
        """A raise with its message."""
        details: dict[str, str | list[str]] = {
            "ce qui s'est déclenché": [f"{incident.title} (3 alertes)", "depuis 11:40:12 UTC"],
            "ce qui a été refusé": list(refusals) or ["rien"],
            "prochaine commande": "kubectl -n shop rollout undo deployment/checkout --to-revision=6",
        }
        summary = f"[{incident.priority.value}] checkout (shop) : {incident.title} — {text}"
        links = (("https://grafana.example.com/d/checkout?from=now-1h", "dashboard"), ("javascript:alert(1)", "bad"))
        page = PageText(summary, "critical", "default", details=details, links=links)
        raised = Raise(1, at, incident.priority, Because.deadline, f"dedup-{incident.id}", at)
        message = Message("pagerduty", MessageKind.trigger, raised.dedup_key, incident.id, page, raise_n=1, created_at=at)
        return {"raised": raised, "messages": (message,)}


def facts(at: datetime, target: Target | None, **changes: object) -> Facts:
    """One look at a broken rollout."""
    load = Workload(
        resource_version="18211",
        generation=12,
        replicas=3,
        current=4,
        updated=2,
        ready=1,
        available=1,
        rollout=RolloutState.stuck,
        rollout_detail="ProgressDeadlineExceeded",
        revision="7",
        pods=Pods(total=4, ready=1, restarts=14, waiting={"CrashLoopBackOff": 2}),
        dangers=(Danger(Hazard.rollout_in_progress, "2 of 3 updated", ("scale",)),),
        images=("registry.example.com/checkout:2.4.0",),
    )
    chain = ("pod shop/checkout-7d9f-x2x", "ReplicaSet checkout-7d9f", "Deployment checkout")
    sample = Sample("verify", SampleState.value, 0.41, 'sum(rate(http_requests_total{code=~"5.."}[5m]))')
    return replace(Facts(at, target=target, workload=load, samples=(sample,), chain=chain), **changes)  # type: ignore[arg-type]


GOOD = Before(
    replicas=3,
    available=3,
    ready=3,
    revision="8",
    restarts=14,
    samples={"verify": 0.002},
    images=("registry.example.com/checkout:2.3.9",),
)


async def sample(store: SqlStore, clock: FakeClock) -> Sampled:
    """Nine incidents, two holds and two pieces of quarantine."""
    by = Sampler(store, clock)
    return Sampled(
        cured=await _cured(by),
        by_person=await _by_person(by),
        database=await _database(by),
        undone=await _undone(by),
        refused=await _refused(by),
        scaled=await _scaled(by),
        shadow=await _shadow(by),
        fresh=await _fresh(by),
        hostile=await _hostile(by),
    )


async def _cured(by: Sampler) -> int:
    at = by.ago(hours=3)
    incident = await by.opened("KubeDeploymentRolloutStuck checkout", Priority.p2, at)
    incident = replace(incident, phases={**incident.phases, Phase.investigating.value: at + timedelta(seconds=20)})
    incident = await by.say(
        incident, at + timedelta(seconds=20), "need_facts", "observe Deployment shop/checkout : il faut un relevé récent"
    )
    await by.begin(incident, at + timedelta(minutes=3), Verb.undo, revision="6")
    incident = await by.judge(incident.id, at + timedelta(minutes=6), Verdict.cured, "3 sur 3 disponibles, verify 0.002 < 0.05", GOOD)
    phases = {**incident.phases, Phase.mitigated.value: at + timedelta(minutes=6), Phase.resolved.value: at + timedelta(minutes=21)}
    closed = replace(incident, open=False, closed_at=at + timedelta(minutes=21), closed_by="receiver", phases=phases)
    await by.say(closed, at + timedelta(minutes=21), "stable", "clos : terminé pendant toute la fenêtre de stabilité")
    return incident.id


async def _by_person(by: Sampler) -> int:
    at = by.ago(hours=26)
    incident = await by.opened("HighLatency search", Priority.p3, at, service="search", workload="search", symptom=Symptom.latency)
    incident = await by.say(
        incident, at + timedelta(minutes=15), "deadline", "appelle une personne, P3", **by.page(incident, at, "pas résolu")
    )
    closed = replace(incident, open=False, closed_at=at + timedelta(minutes=48), closed_by="camille")
    await by.say(closed, at + timedelta(minutes=48), "closed_by_person", "closed by camille: index rebuilt", actor="camille")
    return incident.id


async def _database(by: Sampler) -> int:
    at = by.ago(minutes=34)
    more = {"service": "orders-db", "symptom": Symptom.data, "rule": "database", "workload": "orders-db"}
    incident = await by.opened("PostgresReplicationBroken orders-db", Priority.p1, at, no_action="règle réservée aux personnes", **more)
    page = by.page(incident, at + timedelta(seconds=2), "réservé aux personnes")
    incident = await by.say(incident, at + timedelta(seconds=2), "priority_one", "appelle une personne, P1 : priorité maximale", **page)
    claimed = await by.store.claim_messages("pagerduty", now=by.now, owner="o", lease=timedelta(minutes=1), limit=10)
    for each in claimed:
        await by.store.settle_message(each.claim, DeliveryResult(DeliveryKind.accepted), owner="o", now=by.now, next_at=None)
    acked = await by.read(incident.id)
    acked = replace(acked, acked_at=at + timedelta(minutes=4), acked_by="camille")
    acked = await by.say(acked, at + timedelta(minutes=4), "acknowledged", "pris en charge par camille", actor="camille")
    await by.say(acked, at + timedelta(minutes=12), "note", "bascule vers la réplique de Paris en cours", actor="camille")
    return incident.id


async def _undone(by: Sampler) -> int:
    at = by.ago(minutes=6)
    incident = await by.opened("KubePodCrashLooping checkout", Priority.p2, at)
    incident = replace(incident, phases={**incident.phases, Phase.investigating.value: at + timedelta(seconds=16)})
    seen = facts(at + timedelta(minutes=2, seconds=15), incident.target)
    text = "observe Deployment shop/checkout : le symptôme doit être constaté une seconde fois"
    incident = await by.say(incident, seen.at, "need_confirmation", text, facts=seen)
    await by.begin(incident, at + timedelta(minutes=2, seconds=16), Verb.undo, revision="6")
    incident = await by.judge(incident.id, at + timedelta(minutes=2, seconds=17), None, "kubernetes.rollout_undo appliquée")
    due = by.now + timedelta(seconds=40)
    text = f"attend jusqu'à {due:%H:%M:%S} UTC : on laisse à la dernière action le temps d'agir"
    await by.say(incident, at + timedelta(minutes=2, seconds=17), "settling", text, wake_at=due)
    return incident.id


async def _refused(by: Sampler) -> int:
    at = by.ago(minutes=11)
    incident = await by.opened("KubePodCrashLooping cart", Priority.p2, at, service="cart", workload="cart")
    seen = facts(at + timedelta(minutes=1), incident.target)
    incident = replace(incident, phases={**incident.phases, Phase.investigating.value: at + timedelta(seconds=20)})
    incident = await by.say(incident, seen.at, "need_facts", "observe Deployment shop/cart : il faut un relevé récent", facts=seen)
    await by.begin(incident, at + timedelta(minutes=3), Verb.restart)
    bad = replace(GOOD, available=1, ready=1, revision="7", samples={"verify": 0.44}, images=("registry.example.com/checkout:2.4.0",))
    incident = await by.judge(incident.id, at + timedelta(minutes=5), Verdict.failed, "1 sur 3 disponible, verify 0.44 ≥ 0.05", bad)
    refusals = [
        {"action": "kubernetes.rollout_undo", "because": "not_known_good", "detail": "la révision 6 n'a jamais eu de pod disponible"},
        {"action": "kubernetes.scale", "because": "hazard", "detail": "hpa: HorizontalPodAutoscaler cart"},
    ]
    page = by.page(incident, at + timedelta(minutes=5), "aucune action n'est permise", [each["detail"] for each in refusals])
    text = "appelle une personne, P2 : aucune action de sa règle n'est permise"
    await by.say(incident, at + timedelta(minutes=5), "all_refused", text, data={"refusals": refusals}, **page)
    return incident.id


async def _scaled(by: Sampler) -> int:
    at = by.ago(minutes=19)
    more = {"service": "thumbnails", "workload": "thumbnails", "symptom": Symptom.saturation, "rule": "saturation"}
    incident = await by.opened("QueueSaturated thumbnails", Priority.p3, at, **more)
    incident = replace(incident, phases={**incident.phases, Phase.investigating.value: at + timedelta(seconds=20)})
    incident = await by.say(incident, at + timedelta(seconds=20), "need_facts", "observe Deployment shop/thumbnails")
    await by.begin(incident, at + timedelta(minutes=3), Verb.scale, replicas=5)
    grown = replace(GOOD, replicas=5, available=5, ready=5, revision="7", images=("registry.example.com/checkout:2.4.0",))
    incident = await by.judge(incident.id, at + timedelta(minutes=6), Verdict.cured, "5 sur 5 disponibles, verify 0.002 < 0.05", grown)
    incident = replace(incident, phases={**incident.phases, Phase.mitigated.value: at + timedelta(minutes=6)})
    due = by.now + timedelta(minutes=2)
    text = f"attend jusqu'à {due:%H:%M:%S} UTC : la guérison doit tenir un moment"
    await by.say(incident, at + timedelta(minutes=6), "waiting_stability", text, wake_at=due)
    return incident.id


async def _shadow(by: Sampler) -> int:
    at = by.ago(minutes=8)
    incident = await by.opened("AllReplicasDegraded mailer", Priority.p3, at, service="mailer", workload="mailer")
    await by.begin(incident, at + timedelta(minutes=2, seconds=30), Verb.restart, shadow=True)
    incident = await by.read(incident.id)
    text = "attend : l'appel part à son heure ; mode observation : rien n'a été fait"
    await by.say(incident, at + timedelta(minutes=3), "waiting_page", text, wake_at=at + timedelta(minutes=15))
    return incident.id


async def _fresh(by: Sampler) -> int:
    at = by.ago(seconds=25)
    incident = await by.opened("KubePodNotReady gateway", Priority.p1, at, service="gateway", workload="gateway", target=None)
    page = by.page(incident, at + timedelta(seconds=1), "priorité maximale")
    text = "appelle une personne, P1 : priorité maximale, une personne est appelée immédiatement"
    await by.say(incident, at + timedelta(seconds=1), "priority_one", text, wake_at=by.now + timedelta(seconds=5), **page)
    return incident.id


async def _hostile(by: Sampler) -> int:
    at = by.ago(minutes=70)
    more = {"service": "", "target": None, "symptom": Symptom.other, "rule": "default"}
    incident = await by.opened(f"{HOSTILE} worker", Priority.p4, at, **more)
    await by.say(incident, at + timedelta(minutes=60), "deadline", f"{HOSTILE} appelle", wake_at=by.now + timedelta(hours=3))
    return incident.id


async def hold_and_quarantine(store: SqlStore, clock: FakeClock) -> None:
    """A freeze, the kill switch, and what could not be read."""
    now = clock.now()
    await store.add_hold(Hold(0, HoldKind.freeze, "namespace:shop", "bascule du cluster", "camille", now, now + timedelta(hours=2)))
    kept = (
        Quarantined("alertmanager", now, "labels hold a value that is no text", "alerts[3].labels", '{"labels": {"alertname": 7}}'),
        Quarantined("alertmanager", now, HOSTILE, "alerts[0]", f'"{HOSTILE}"'),
    )
    await store.commit_fold(Fold((), (), quarantined=kept))
