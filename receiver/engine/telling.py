"""What a step tells people: the messages of a page, of its end, and the timeline's sentences.

Law: every destination gets every raise under the raise's own key; a raise that joined a storm has no message of its own. Called by the
responder and by commands (closing).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from receiver.core.case import Attempt, Case, Decision
from receiver.core.facts import Evidence, Facts
from receiver.core.page import PageText
from receiver.core.wording import page_text, resolve_text, sentence
from receiver.core.wording.by_hand import as_data, suggested
from receiver.ports import Entry, Message, MessageKind


def entry(case: Case, decision: Decision, now: datetime, *, data: Mapping[str, object] | None = None) -> Entry:
    """The dated sentence of a decision, with its refusals as data."""
    refusals = [{"action": each.action, "because": each.because.value, "detail": each.detail} for each in decision.refusals]
    return Entry(now, decision.because.value, sentence(decision, case), data={**(data or {}), "refusals": refusals})


def triggers(case: Case, decision: Decision, to: Sequence[str], *, evidence: Sequence[Evidence], now: datetime) -> tuple[Message, ...]:
    """The newest raise, to every destination. The same key again changes the text and wakes nobody."""
    if not case.raises or case.raises[-1].by_storm:
        return ()
    text = page_text(case, decision, evidence=evidence, now=now)
    return tuple(_message(case, MessageKind.trigger, text, len(case.raises) - 1, each) for each in to)


def updates(case: Case, decision: Decision, to: Sequence[str], *, evidence: Sequence[Evidence], now: datetime) -> tuple[Message, ...]:
    """The newest raise once more, with what its page lacked: it wakes nobody."""
    return tuple(replace(each, kind=MessageKind.update) for each in triggers(case, decision, to, evidence=evidence, now=now))


def resolves(case: Case, to: Sequence[str]) -> tuple[Message, ...]:
    """Closing resolves every raise, at every destination."""
    text = resolve_text(case)
    own = [n for n, each in enumerate(case.raises) if not each.by_storm]
    return tuple(_message(case, MessageKind.resolve, text, n, each) for n in own for each in to)


def _message(case: Case, kind: MessageKind, text: PageText, n: int, to: str) -> Message:
    raised = case.raises[n]
    return Message(to, kind, raised.dedup_key, case.incident.id, text, raise_n=raised.n)


def offered(case: Case, now: datetime) -> dict[str, object]:
    """The prepared commands as the page offers them, all of them: the page itself shows the first few."""
    return {"prepared": [as_data(each) for each in suggested(case, now)]} if case.rule.suggest else {}


def with_attempt(case: Case, changed: Attempt) -> Case:
    """The case as it is once the attempt is stored."""
    return replace(case, attempts=tuple(changed if each.id == changed.id else each for each in case.attempts))


def seen(facts: Facts) -> dict[str, object]:
    """What a look saw, as the data of its timeline entry."""
    found: dict[str, object] = {"chain": list(facts.chain)}
    if facts.trouble is not None:
        found["trouble"] = f"{facts.trouble}: {facts.trouble_detail}"
    if facts.workload is not None:
        load = facts.workload
        found["workload"] = f"revision {load.revision}, {load.available} of {load.replicas} available, rollout {load.rollout}"
        found["dangers"] = [f"{each.hazard}: {each.detail}" for each in load.dangers]
    found["samples"] = [f"{each.name}: {each.value if each.value is not None else each.state}" for each in facts.samples]
    return found


def health(facts: Facts) -> tuple[object, ...]:
    """What makes one look news after another."""
    load = facts.workload
    return (facts.trouble,) if load is None else (load.replicas, load.available, load.rollout, load.revision)
