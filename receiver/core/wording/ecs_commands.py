"""What a person types for a service of ECS, with the `aws` command line. Every part is quoted for a shell. Called by `commands`."""

from __future__ import annotations

import shlex

from receiver.core.case import Before, Parameters, Verb
from receiver.core.model import Target


def change(target: Target, verb: Verb, to: Parameters, before: Before) -> tuple[str, str]:
    """The command, and the one that takes it back (empty: it cannot be)."""
    if verb is Verb.scale:
        return _update(target, "--desired-count", str(to.replicas)), _update(target, "--desired-count", str(before.replicas))
    if verb is not Verb.undo:
        return _update(target, "--force-new-deployment"), ""
    again = _update(target, "--task-definition", before.template_hash) if before.template_hash else ""
    if to.replica_set:
        words = ("stop-service-deployment", *_region(target.uid), "--service-deployment-arn", to.replica_set, "--stop-type", "ROLLBACK")
        return shlex.join(("aws", "ecs", *words)), again
    return _update(target, "--task-definition", to.template_hash), again


def look(cluster: str, service: str, *, region: str) -> str:
    """Changes nothing."""
    place = ("--region", region) if region else ()
    return shlex.join(("aws", "ecs", "describe-services", *place, "--cluster", cluster, "--services", service))


def region_of(uid: str) -> str:
    """Of the ARN that a uid begins with; empty: it is none."""
    parts = uid.split(":")
    return parts[3] if len(parts) >= 6 else ""


def _update(target: Target, *words: str) -> str:
    ref = target.ref
    return shlex.join(("aws", "ecs", "update-service", *_region(target.uid), "--cluster", ref.namespace, "--service", ref.name, *words))


def _region(uid: str) -> tuple[str, ...]:
    region = region_of(uid)
    return ("--region", region) if region else ()
