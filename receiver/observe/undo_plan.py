"""Where an undo would go, or why there is nothing to undo to (`remediation.md` 1.2, 1.3).

Not kubectl's rule: the second-highest revision may be the same program restarted, and is two steps back while the controller lags. One
material step back only. Known-bad programs and "already undone" are the bounds' business: they have the ledger. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from receiver.clients.kubernetes_objects import template, template_hash
from receiver.core.facts import UndoPlan
from receiver.observe import revisions, rollout
from receiver.observe.differences import differences
from receiver.observe.live import HISTORY, Core
from receiver.observe.revisions import Step


def undo_plan(core: Core, kind: str, history: Sequence[Step], *, known_good_for: timedelta) -> UndoPlan:
    """A refusal names what is in the way."""
    refusal = _refusal(core, kind, history)
    if refusal:
        return UndoPlan(refusal=refusal)
    standing, present = template_hash(template(core.obj)), revisions.number(core, kind, history)
    earlier = sorted((each for each in history if 0 < each.number < present), key=lambda each: each.number, reverse=True)
    aim = next((each for each in earlier if each.program != standing), None)
    if aim is None:
        return UndoPlan(refusal="no earlier revision differs from the current one by more than a restart")
    known_good, because = _known_good(aim, history, known_good_for)
    return UndoPlan(
        revision=str(aim.number),
        template_hash=aim.program,
        replica_set=aim.name,
        known_good=known_good,
        known_good_because=because,
        differences=differences(template(core.obj), aim.template),
    )


def _refusal(core: Core, kind: str, history: Sequence[Step]) -> str:
    if kind not in ("Deployment", "StatefulSet", "DaemonSet"):
        return f"a {kind} is not undone"
    if not rollout.observed(core.obj):
        return "the controller has not observed the newest template yet"
    if rollout.paused(core.obj):
        return "the Deployment is paused"
    if (core.obj.get("spec") or {}).get("revisionHistoryLimit") == 0:
        return "revisionHistoryLimit is 0: no history is kept"
    if revisions.current(core, kind, history) is None:
        return f"no {HISTORY[kind]} of the current template with the current revision"
    return ""


def _known_good(aim: Step, history: Sequence[Step], known_good_for: timedelta) -> tuple[bool, str]:
    """Whether the program is known to work, and what shows it or does not."""
    for each in history:
        if each.available and each.program == aim.program:
            return True, f"{each.name} still has {each.available} available pods"
    stood = revisions.stood(history, aim.program)
    minutes = int(stood.total_seconds() // 60)
    if stood >= known_good_for:
        return True, f"it stood for {minutes} min before it was replaced"
    shown = f"it stood for {minutes} min" if stood else "nothing shows how long it stood"
    return False, f"no pod of it is available, and {shown}"
