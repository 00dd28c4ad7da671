"""Where an undo of a Deployment would go, or why there is nothing to undo to (`remediation.md` 1.2).

Not kubectl's rule: the second-highest revision may be the same program restarted, and is two steps back while the controller lags. One
material step back only. Known-bad programs and "already undone" are the bounds' business: they have the ledger. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from receiver.clients.kubernetes_objects import Object, name, revision, template, template_hash
from receiver.core.facts import UndoPlan
from receiver.observe import revisions, rollout
from receiver.observe.differences import differences


def undo_plan(deployment: Object, sets: Sequence[Object], *, known_good_for: timedelta) -> UndoPlan:
    """`sets` are the Deployment's own ReplicaSets. A refusal names what is in the way."""
    refusal = _refusal(deployment, sets)
    if refusal:
        return UndoPlan(refusal=refusal)
    standing = template_hash(template(deployment))
    earlier = sorted((each for each in sets if 0 < revision(each) < revision(deployment)), key=revision, reverse=True)
    aim = next((each for each in earlier if template_hash(template(each)) != standing), None)
    if aim is None:
        return UndoPlan(refusal="no earlier revision differs from the current one by more than a restart")
    known_good, because = _known_good(aim, sets, known_good_for)
    return UndoPlan(
        revision=str(revision(aim)),
        template_hash=template_hash(template(aim)),
        replica_set=name(aim),
        known_good=known_good,
        known_good_because=because,
        differences=differences(template(deployment), template(aim)),
    )


def _refusal(deployment: Object, sets: Sequence[Object]) -> str:
    if not rollout.observed(deployment):
        return "the controller has not observed the newest template yet"
    if rollout.paused(deployment):
        return "the Deployment is paused"
    if (deployment.get("spec") or {}).get("revisionHistoryLimit") == 0:
        return "revisionHistoryLimit is 0: no history is kept"
    if revisions.current(deployment, sets) is None:
        return "no ReplicaSet of the current template with the current revision"
    return ""


def _known_good(aim: Object, sets: Sequence[Object], known_good_for: timedelta) -> tuple[bool, str]:
    """Whether the program is known to work, and what shows it or does not."""
    program = template_hash(template(aim))
    for each in sets:
        available = int((each.get("status") or {}).get("availableReplicas") or 0)
        if available and template_hash(template(each)) == program:
            return True, f"{name(each)} still has {available} available pods"
    stood = revisions.stood(sets, program)
    minutes = int(stood.total_seconds() // 60)
    if stood >= known_good_for:
        return True, f"it stood for {minutes} min before it was replaced"
    shown = f"it stood for {minutes} min" if stood else "nothing shows how long it stood"
    return False, f"no pod of it is available, and {shown}"
