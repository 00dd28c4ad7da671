"""Six situations in which somebody is paged, for the golden pages in `tests/samples/pages/`.

`python -m tests.fakes.pages` writes them anew: read the difference before you commit it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from receiver.core.case import AttemptState, Before, Case, Verb, Verdict
from receiver.core.facts import Danger, Evidence, Foreign, Hazard, RolloutState
from receiver.core.model import (
    OWN_SOURCE,
    Alert,
    AlertRecord,
    Classification,
    Input,
    Level,
    Mode,
    Priority,
    Reason,
    Service,
    Symptom,
)
from receiver.core.plan import decide
from receiver.core.rules import OWN_ALERTNAME, OWN_RULE
from receiver.core.wording import page_text
from receiver.notify.log import block
from receiver.ports import Message, MessageKind
from tests.fakes import cases as c

SAMPLES = Path(__file__).parents[1] / "samples" / "pages"
LOCALES = ("en", "fr")
EVIDENCE = (Evidence("events", ("40 s ago Warning BackOff x7 Pod web-2-abc: Back-off restarting failed container web",)),)

CHECKOUT = Service(
    "checkout",
    (c.REF,),
    impact=Level.high,
    links={
        "dashboard": "https://grafana.example.com/d/web?from=$from_ms&to=$to_ms&var-namespace=$namespace",
        "logs": "https://logs.example.com/app?start=$from&end=${to}&q=$workload",
        "runbook": "https://wiki.example.com/runbooks/checkout",
    },
)


def base(locale: str, **changes: object) -> Case:
    """A P2 of the service checkout, with a trace and a chain."""
    trace = (
        Reason("impact", Level.high, Input.catalogue, "service checkout"),
        Reason("urgency", Level.medium, Input.rule, "rule crash"),
    )
    incident = c.incident(service="checkout", classification=Classification(Level.high, Level.medium, Priority.p2, trace))
    record = c.record()
    said = replace(
        record.alert, annotations={"summary": "Pod shop/web-2-abc is crash looping"}, generator_url="http://prometheus:9090/graph?g0"
    )
    chain = ("pod shop/web-2-abc", "ReplicaSet shop/web-2", "Deployment shop/web")
    start = c.case(
        policy=c.policy(locale=locale),
        incident=incident,
        alerts=(replace(record, alert=said),),
        services={"checkout": CHECKOUT},
        facts=c.twice(chain=chain),
    )
    return replace(start, **changes)  # type: ignore[arg-type]  # fields of a Case, by name


def bound_refused(locale: str) -> Case:
    """The owner has not let us act."""
    marks = (Danger(Hazard.not_opted_in, "neither the workload nor its namespace opts in"),)
    load = c.workload(dangers=marks)
    return base(locale, rule=c.rule(c.rung(Verb.undo)), facts=(base(locale).facts[0], *c.twice(workload=load)))


def undo_did_not_help(locale: str) -> Case:
    """The undo was applied and judged; nothing else is listed."""
    before = Before(replicas=3, available=2, ready=2, revision="2", resource_version="99", restarts=4, waiting={"CrashLoopBackOff": 1})
    after = replace(before, available=0, ready=0, revision="3", resource_version="140", restarts=9, waiting={"CrashLoopBackOff": 3})
    told = "rollout is stuck (ProgressDeadlineExceeded), 0 of 3 available"
    done = c.attempt(Verb.undo, age=300, verdict=Verdict.failed, verdict_at=c.T0, verdict_detail=told, before=before, after=after)
    load = c.workload(
        revision="3", template_hash="good", available=0, rollout=RolloutState.stuck, rollout_detail="ProgressDeadlineExceeded"
    )
    return base(locale, rule=c.rule(c.rung(Verb.undo)), attempts=(done,), facts=c.twice(workload=load))


def observed(locale: str) -> Case:
    """Nothing is touched, everything is said."""
    said = c.attempt(Verb.scale, state=AttemptState.shadow, mode=Mode.observe, ended_at=None)
    return base(locale, rule=c.rule(c.rung(Verb.scale, mode=None), mode=Mode.observe), attempts=(said,))


def priority_one(locale: str) -> Case:
    """Paged at once, and it acts all the same."""
    trace = (
        Reason("impact", Level.high, Input.tag, "service checkout is tagged revenue"),
        Reason("urgency", Level.high, Input.rule, "rule crash"),
    )
    found = Classification(Level.high, Level.high, Priority.p1, trace)
    return base(locale, incident=replace(base(locale).incident, classification=found))


def own_trouble(locale: str) -> Case:
    """A heartbeat is missing."""
    since = c.T0 - timedelta(minutes=4)
    labels = {"alertname": OWN_ALERTNAME, "kind": "heartbeat_overdue", "subject": "alertmanager/watchdog"}
    alert = Alert(OWN_SOURCE, "own", labels, {"detail": "last beat 4 min ago, expected every 1 min"}, since, None, since)
    incident = c.incident(source=OWN_SOURCE, title="ReceiverTrouble", target=None, symptom=Symptom.other, rule=OWN_RULE.name)
    return c.case(
        policy=c.policy(locale=locale), incident=incident, alerts=(AlertRecord(alert, OWN_RULE.name, since),), rule=OWN_RULE, facts=()
    )


def unknown_outcome(locale: str) -> Case:
    """The call was sent, and nobody answered."""
    asked = c.attempt(state=AttemptState.unknown, detail="PATCH was sent, no answer within 15 s")
    foreign = Foreign(c.T0 - timedelta(minutes=30), "kubectl-edit", after_revision=False)
    return base(locale, attempts=(asked,), facts=(c.facts(-10, workload=c.workload(foreign=foreign)),))


SITUATIONS: dict[str, Callable[[str], Case]] = {
    each.__name__: each for each in (bound_refused, undo_did_not_help, observed, priority_one, own_trouble, unknown_outcome)
}


def written(name: str, locale: str) -> str:
    """The page of a situation as the log shows it."""
    case = SITUATIONS[name](locale)
    text = page_text(case, decide(case, c.T0), evidence=() if case.incident.source == OWN_SOURCE else EVIDENCE, now=c.T0)
    return block(Message("log", MessageKind.trigger, "key", case.incident.id, text))


def main() -> None:
    """Writes all samples."""
    SAMPLES.mkdir(parents=True, exist_ok=True)
    for name in SITUATIONS:
        for locale in LOCALES:
            (SAMPLES / f"{name}.{locale}.txt").write_text(written(name, locale))


if __name__ == "__main__":
    main()
