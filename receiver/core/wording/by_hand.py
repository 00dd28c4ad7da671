"""Prepared commands of a case: those that its rule suggests, those that a person ran, and both as lines of a page.

Law: nothing of an alert enters a subject, only the resolved target, the catalogue and the rule. A line is shown whole or not at all: a
command that is cut somewhere is another command. Called by pages, the responder, commands and the API.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from receiver.core.case import Case, Standing
from receiver.core.facts import Hazard
from receiver.core.prepared import RECIPES, Prepared, Subject, prepare
from receiver.core.wording.say import Tongue, began, clean, stamp, target_ref, tongue

BEFORE = timedelta(minutes=30)
SHOWN = 3
"""On a page; the rest is one command away."""
MOST_CHARACTERS = 9_000
"""Of all of them on a page."""
AIMED = frozenset({"NAMESPACE", "WORKLOAD"})
"""Gaps that a resolved target fills."""
OWNERS = frozenset({Hazard.gitops, Hazard.operator, Hazard.helm})


def suggested(case: Case, now: datetime) -> tuple[Prepared, ...]:
    """What the rule names, filled in, in its order. One that it names twice is told apart by a number."""
    times: Counter[str] = Counter()
    found: list[Prepared] = []
    for each in case.rule.suggest:
        if each.name not in RECIPES:
            continue
        times[each.name] += 1
        label = each.name if times[each.name] == 1 else f"{each.name}-{times[each.name]}"
        found.append(prepare(each.name, _subject(case, now, each.values, label)))
    return tuple(found)


def named(case: Case, name: str, now: datetime) -> Prepared | None:
    """One that the rule suggests, else any of the table."""
    found = next((each for each in suggested(case, now) if each.name == name), None)
    if found is None and name in RECIPES:
        return prepare(name, _subject(case, now, {}, name))
    return found


def standing(prepared: Prepared, *, at: datetime, by: str) -> Standing:
    """As it is from now on, whatever rules and catalogue come to say."""
    return Standing(prepared.name, prepared.title, prepared.commands, prepared.reverse, at, by)


def _subject(case: Case, now: datetime, given: Mapping[str, str], label: str) -> Subject:
    service = case.services.get(case.incident.service)
    facts = case.newest_facts()
    load = facts.workload if facts is not None else None
    dangers = load.dangers if load is not None else ()
    return Subject(
        incident=case.incident.id,
        at=now,
        since=min(began(case), now) - BEFORE,
        locale=case.policy.locale,
        ref=target_ref(case),
        service=case.incident.service,
        catalogue=service.values if service is not None else {},
        given=given,
        label=label,
        replicas=load.replicas if load is not None else None,
        owners=tuple(clean(f"{each.hazard.value} ({each.detail})", limit=100) for each in dangers if each.hazard in OWNERS),
    )


# --- on a page -----------------------------------------------------------------------------------------------------------


def suggested_lines(case: Case, say: Tongue, now: datetime) -> list[str]:
    """The first few whole, and how many more there are."""
    prepared = suggested(case, now)
    aimed = target_ref(case) is not None
    lines: list[str] = []
    shown = 0
    for each in prepared[:SHOWN]:
        told = _told(each, say) if aimed or not _aimless(each) else [_named(each, say)]
        if sum(map(len, (*lines, *told))) > MOST_CHARACTERS:
            break
        lines += told
        shown += 1
    if left := len(prepared) - shown:
        more = f"receiver show {case.incident.id}"
        lines.append(say(f"{left} more: {more}, or the console", f"{left} de plus : {more}, ou la console"))
    return lines


def _aimless(prepared: Prepared) -> bool:
    """It is about a target that nobody knows: long lines that nobody can run would only bury the rest of the page."""
    return any(each.partition(":")[0] in AIMED for each in prepared.gaps)


def _named(prepared: Prepared, say: Tongue) -> str:
    return f"{prepared.name}{say.colon}{prepared.title} ({'; '.join(prepared.gaps)})"


def _told(prepared: Prepared, say: Tongue) -> list[str]:
    lines = [f"{prepared.name}{say.colon}{prepared.title}"]
    lines += [f"  $ {each}" for each in prepared.commands]
    lines += [f"  {say('back', 'retour')}{say.colon}{each}" for each in prepared.reverse]
    if prepared.no_reverse:
        lines.append(f"  {say('back', 'retour')}{say.colon}{prepared.no_reverse}")
    return lines + [f"  {each}" for each in prepared.notes]


def standing_lines(case: Case, say: Tongue) -> list[str]:
    """What a person did and nobody took back yet."""
    id_ = case.incident.id
    lines: list[str] = []
    for each in case.standing:
        if each.open:
            done = say(f"since {stamp(each.done_at)}, by", f"depuis {stamp(each.done_at)}, par")
            lines.append(f"{each.name}, {done} {clean(each.done_by, limit=100)}{say.colon}{each.title}")
            lines += [f"  $ {line}" for line in each.reverse]
            lines.append(f"  {say('then', 'puis')}{say.colon}receiver undid {id_} {each.name}")
    return lines


def as_data(prepared: Prepared) -> dict[str, object]:
    """For the timeline: what was offered then, word for word."""
    return {
        "name": prepared.name,
        "title": prepared.title,
        "commands": list(prepared.commands),
        "reverse": list(prepared.reverse),
        "no_reverse": prepared.no_reverse,
        "gaps": list(prepared.gaps),
    }


def done_text(case: Case, prepared: Standing, by: str, *, undone: bool, note: str = "") -> str:
    """The sentence of the timeline."""
    say = tongue(case)
    what = f"{prepared.name} ({prepared.title})"
    if undone:
        return say(f"{by} took back {what}", f"{by} a annulé {what}")
    ran = say(f"{by} ran {what}", f"{by} a exécuté {what}") + (say("; to be taken back", " ; à annuler") if prepared.open else "")
    return ran + (say(f"; note: {note}", f" ; note : {note}") if note else "")


def left(prepared: Standing, *, at: datetime, by: str) -> Standing:
    """A person closes the incident and leaves it as it is."""
    return replace(prepared, undone_at=at, undone_by=by, left=True)
