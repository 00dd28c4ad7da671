"""Our values as the shapes of the API; the console shows the same. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from receiver.core import case, facts, model
from receiver.core.prepared import Prepared
from receiver.core.wording import Suggestion, trouble_text
from receiver.ports import IncidentView, Message, Quarantined, RightsReport, StoredEntry, ToldChange
from receiver.web import shapes


def incident(found: model.Incident, naming: model.Naming) -> shapes.Incident:
    """One line of a list."""
    return shapes.Incident(
        id=found.id,
        version=found.version,
        open=found.open,
        priority=naming.show(found.priority),
        impact=found.classification.impact.value,
        urgency=found.classification.urgency.value,
        title=found.title,
        symptom=found.symptom.value,
        source=found.source,
        service=found.service,
        rule=found.rule,
        target=found.target.ref.key if found.target else "",
        accepted_at=found.accepted_at,
        phases=dict(found.phases),
        no_action=found.no_action,
        acked_at=found.acked_at,
        acked_by=found.acked_by,
        closed_at=found.closed_at,
        closed_by=found.closed_by,
        previous_id=found.previous_id,
        merged_into=found.merged_into,
    )


def storm(gate: case.Storm) -> shapes.StormGate | None:
    """None while it is open."""
    return shapes.StormGate(detail=gate.detail, since=gate.since) if gate.shut else None


def advice(incident: model.Incident, alerts: Sequence[model.AlertRecord], locale: str) -> list[str]:
    """What a trouble of ours means, and what to do; empty for the incidents of others."""
    if incident.source != model.OWN_SOURCE:
        return []
    trouble = trouble_text(next((each.alert.labels.get("kind", "") for each in alerts), ""), locale)
    return [trouble.meaning, trouble.to_do]


def detail(
    view: IncidentView, naming: model.Naming, *, following: Suggestion, prepared: Sequence[Prepared] = (), locale: str
) -> shapes.IncidentDetail:
    """Everything but the timeline."""
    rows = view.rows
    own = [each for each in rows.attempts if each.incident_id == rows.incident.id]
    return shapes.IncidentDetail(
        incident=incident(rows.incident, naming),
        trace=[_reason(each) for each in rows.incident.classification.trace],
        alerts=[_alert(each) for each in rows.alerts],
        attempts=[attempt(each) for each in own],
        refusals=refusals(view.timeline),
        facts=_facts(rows.facts[-1]) if rows.facts else None,
        pages=[_page(each, state) for each, state in zip(view.messages, view.message_states, strict=True)],
        holds=[hold(each) for each in rows.holds],
        next_due=view.next_due if rows.incident.open else None,
        next_commands=[following.command] if following.command else [],
        next_reverse=[following.reverse] if following.reverse else [],
        prepared=[_prepared(each) for each in prepared],
        standing=[standing(each) for each in rows.standing],
        evidence=evidence(view.timeline),
        advice=advice(rows.incident, rows.alerts, locale),
        chain_intact=view.chain_intact,
    )


def _prepared(found: Prepared) -> shapes.Prepared:
    return shapes.Prepared(
        name=found.name,
        title=found.title,
        commands=list(found.commands),
        reverse=list(found.reverse),
        no_reverse=found.no_reverse,
        gaps=list(found.gaps),
        notes=list(found.notes),
        changes=found.changes,
    )


def standing(found: case.Standing) -> shapes.Standing:
    """What a person ran by hand."""
    return shapes.Standing(
        name=found.name,
        title=found.title,
        commands=list(found.commands),
        reverse=list(found.reverse),
        open=found.open,
        done_at=found.done_at,
        done_by=found.done_by,
        undone_at=found.undone_at,
        undone_by=found.undone_by,
        left=found.left,
    )


def rights(found: RightsReport) -> shapes.Rights:
    """As the self-check left them."""
    return shapes.Rights(
        at=found.at,
        findings=[
            shapes.Right(
                state=each.state.value, identity=each.identity, namespace=each.namespace, right=each.right, needed_by=each.needed_by
            )
            for each in found.findings
        ],
    )


def timeline(view: IncidentView) -> shapes.Timeline:
    """Oldest first."""
    return shapes.Timeline(incident=view.rows.incident.id, chain_intact=view.chain_intact, entries=[_entry(each) for each in view.timeline])


def hold(found: case.Hold) -> shapes.Hold:
    """A freeze or the kill switch."""
    return shapes.Hold(
        id=found.id,
        kind=found.kind.value,
        scope=found.scope,
        reason=found.reason,
        by=found.by,
        since=found.since,
        until=found.until,
    )


def frozen(found: case.Hold, warning: str) -> shapes.Frozen:
    """As it was made."""
    return shapes.Frozen(**hold(found).model_dump(), warning=warning)


def quarantined(found: Quarantined) -> shapes.Quarantined:
    """As it was kept."""
    return shapes.Quarantined(source=found.source, at=found.at, reason=found.reason, path=found.path, raw=found.raw)


def attempt(run: case.Attempt) -> shapes.Attempt:
    """With both sides of its proof."""
    return shapes.Attempt(
        id=run.id,
        action=run.action,
        target=run.target.ref.key,
        mode=run.mode.value,
        state=run.state.value,
        uid=run.target.uid,
        generation=run.before.generation,
        pod=run.parameters.pod,
        wanted=_aim(run),
        before=_side(run.before),
        after=_side(run.after) if run.after else None,
        started_at=run.started_at,
        ended_at=run.ended_at,
        detail=run.detail,
        verdict=run.verdict.value if run.verdict else "",
        verdict_at=run.verdict_at,
        verdict_detail=run.verdict_detail,
        lease_until=run.lease_until,
        reverts=run.reverts,
        reverted=run.reverted,
        approval=run.approval,
        approved_by=run.approved_by,
        ask=_asked(run) if run.offer and run.state is case.AttemptState.shadow else None,
    )


def _asked(offer: case.Attempt) -> shapes.Ask:
    listed = [
        shapes.Precondition(name=each.name, text=each.text, age_seconds=offer.ages.get(each.name)) for each in offer.needs.preconditions
    ]
    return shapes.Ask(until=offer.expires_at or offer.started_at, role=offer.needs.role, preconditions=listed)


def refusals(timeline: Sequence[StoredEntry]) -> list[shapes.Refusal]:
    """Of the newest entry that holds any; what does not look like one is left out."""
    for stored in reversed(timeline):
        listed = stored.entry.data.get("refusals")
        found = [_refusal(each) for each in listed if isinstance(each, Mapping)] if isinstance(listed, list) else []
        if found:
            return found
    return []


def evidence(timeline: Sequence[StoredEntry]) -> list[shapes.Evidence]:
    """Of the newest page that has any; what does not look like a piece is left out."""
    for stored in reversed(timeline):
        listed = stored.entry.data.get("evidence")
        if isinstance(listed, list):
            return [_piece(each) for each in listed if isinstance(each, Mapping)]
    return []


def _piece(data: Mapping[str, object]) -> shapes.Evidence:
    lines = data.get("lines")
    told = [str(each) for each in lines] if isinstance(lines, list) else []
    return shapes.Evidence(title=str(data.get("title", "")), lines=told, missing=str(data.get("missing", "")))


def change(found: ToldChange) -> shapes.Change:
    """As it was told."""
    told = found.changed
    return shapes.Change(
        id=found.id,
        subject=found.subject,
        at=told.at,
        what=told.what,
        who=told.by,
        link=told.link,
        told_at=found.told_at,
        told_by=found.told_by,
    )


def _refusal(data: Mapping[str, object]) -> shapes.Refusal:
    action, because, why = (str(data.get(each, "")) for each in ("action", "because", "detail"))
    return shapes.Refusal(action=action, because=because, detail=why)


def _aim(run: case.Attempt) -> str:
    to, before = run.parameters, run.before
    if run.verb is case.Verb.scale:
        return f"{before.replicas} -> {to.replicas} replicas"
    if run.verb is case.Verb.undo:
        return f"revision {before.revision or '?'} -> {to.revision or '?'}"
    if run.verb is case.Verb.evict:
        return f"pod {to.pod}"
    return f"Node {run.target.ref.name}" if run.verb.of_node else f"{before.replicas} replicas"


def _side(side: case.Before) -> shapes.Side:
    return shapes.Side(
        replicas=side.replicas,
        available=side.available,
        ready=side.ready,
        revision=side.revision,
        restarts=side.restarts,
        waiting=dict(side.waiting),
        samples=dict(side.samples),
        images=list(side.images),
    )


def _alert(record: model.AlertRecord) -> shapes.Alert:
    alert = record.alert
    return shapes.Alert(
        name=alert.name,
        source=alert.source,
        fingerprint=alert.fingerprint,
        rule=record.rule,
        firing=record.firing,
        labels=dict(alert.labels),
        annotations=dict(alert.annotations),
        starts_at=alert.starts_at,
        first_at=record.first_at,
        resolved_at=record.resolved_at,
        times=record.times,
        flaps=len(record.flaps),
        generator_url=alert.generator_url,
    )


def _reason(reason: model.Reason) -> shapes.Reason:
    return shapes.Reason(axis=reason.axis, level=reason.level.value, by=reason.by.value, detail=reason.detail)


def _facts(seen: facts.Facts) -> shapes.Facts:
    load = seen.workload
    trouble = f"{seen.trouble.value}: {seen.trouble_detail}" if seen.trouble else ""
    return shapes.Facts(
        at=seen.at,
        target=seen.target.ref.key if seen.target else "",
        trouble=trouble,
        chain=list(seen.chain),
        workload=_workload(load) if load else None,
        dangers=[f"{each.hazard.value}: {each.detail}" for each in load.dangers] if load else [],
        samples=[shapes.Sample(name=each.name, state=each.state.value, value=each.value, detail=each.detail) for each in seen.samples],
    )


def _workload(load: facts.Workload) -> dict[str, object]:
    return {
        "kind": load.kind,
        "replicas": load.replicas,
        "updated": load.updated,
        "ready": load.ready,
        "available": load.available,
        "rollout": load.rollout.value,
        "rollout_detail": load.rollout_detail,
        "revision": load.revision,
        "images": list(load.images),
        "restarts": load.pods.restarts,
        "waiting": dict(load.pods.waiting),
        "undo": {"revision": load.undo.revision, "differences": list(load.undo.differences)},
    }


def _page(message: Message, state: str) -> shapes.Page:
    text = message.text
    return shapes.Page(
        destination=message.destination,
        kind=message.kind.value,
        state=state,
        tries=message.tries,
        raise_n=message.raise_n,
        created_at=message.created_at,
        summary=text.summary,
        details=dict(text.details),
        links=list(text.links),
    )


def _entry(stored: StoredEntry) -> shapes.TimelineEntry:
    entry = stored.entry
    return shapes.TimelineEntry(
        seq=stored.seq,
        at=entry.at,
        because=entry.because,
        text=entry.text,
        actor=entry.actor,
        data=dict(entry.data),
        hash=stored.hash,
    )
