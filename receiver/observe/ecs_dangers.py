"""What in a live ECS service speaks against acting on it (`remediation.md` 6). Pure; one function and one row each."""

from __future__ import annotations

from collections.abc import Callable

from receiver.clients.ecs import controller, primary, strategy, tags
from receiver.core.case import Verb
from receiver.core.facts import Danger, Hazard
from receiver.observe.ecs_reading import Reading

CONSENT_TAG, ENABLED = "remediator", "enabled"
"""`enabled` is its owner's yes, `disabled` their no. The shipped IAM policy asks for it too."""
SCALE, RESTART = Verb.scale.value, Verb.restart.value


def dangers(reading: Reading, *, tag: bool) -> tuple[Danger, ...]:
    """All that were seen. `tag`: the owner's yes is needed."""
    found = [each(reading) for each in LOOKS]
    return tuple(each for each in (*found, _consent(reading, tag=tag)) if each is not None)


def _consent(reading: Reading, *, tag: bool) -> Danger | None:
    said = tags(reading.service).get(CONSENT_TAG, "")
    if said == "disabled":
        return Danger(Hazard.opted_out, f"its tag {CONSENT_TAG} is disabled")
    if tag and said != ENABLED:
        return Danger(Hazard.not_opted_in, f"it has no tag {CONSENT_TAG} = {ENABLED}")
    return None


def _not_active(reading: Reading) -> Danger | None:
    status = str(reading.service.get("status"))
    return None if status == "ACTIVE" else Danger(Hazard.not_active, f"the service is {status}")


def _deployed_by_others(reading: Reading) -> Danger | None:
    by, how = controller(reading.service), strategy(reading.service)
    if by != "ECS":
        return Danger(Hazard.deployment_controller, f"its deployment controller is {by}")
    return None if how == "ROLLING" else Danger(Hazard.deployment_controller, f"its deployment strategy is {how}")


def _daemon(reading: Reading) -> Danger | None:
    if reading.service.get("schedulingStrategy") != "DAEMON":
        return None
    return Danger(Hazard.per_node, "its scheduling strategy is DAEMON: its count is that of its instances", (SCALE,))


def _autoscaled(reading: Reading) -> Danger | None:
    """It would set the count again, within its own limits."""
    if not reading.scalable:
        return None
    own = reading.scalable[0]
    limits = f"{own.get('MinCapacity')} to {own.get('MaxCapacity')}"
    return Danger(Hazard.autoscaling, f"Application Auto Scaling keeps its count from {limits}", (SCALE,))


def _rolling(reading: Reading) -> Danger | None:
    """One at a time: while a rollout runs only its rollback makes sense."""
    newest = primary(reading.service)
    count = len(reading.service.get("deployments") or ())
    if newest.get("rolloutState", "COMPLETED") == "COMPLETED" and count <= 1:
        return None
    told = f"deployment {newest.get('id')}, one of {count}, is {newest.get('rolloutState')}"
    return Danger(Hazard.rollout_in_progress, told, (SCALE, RESTART))


def _rolls_back_itself(reading: Reading) -> Danger | None:
    """ECS is at it already, or will be."""
    newest = reading.history[0] if reading.history else None
    if newest is not None and newest.status.startswith("ROLLBACK") and newest.finished_at is None:
        return Danger(Hazard.circuit_breaker, f"service deployment {newest.arn.rpartition('/')[2]} is {newest.status}")
    if primary(reading.service).get("rolloutState") != "IN_PROGRESS":
        return None
    configured = reading.service.get("deploymentConfiguration") or {}
    for name in ("deploymentCircuitBreaker", "alarms"):
        own = configured.get(name) or {}
        if own.get("enable") and own.get("rollback"):
            return Danger(Hazard.circuit_breaker, f"a deployment is under way, and its {name} rolls it back if it fails")
    return None


LOOKS: tuple[Callable[[Reading], Danger | None], ...] = (
    _not_active,
    _deployed_by_others,
    _daemon,
    _autoscaled,
    _rolling,
    _rolls_back_itself,
)
