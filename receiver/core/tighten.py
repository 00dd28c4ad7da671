"""Which of two bounds is the tighter one, field by field.

A rule and a catalogue service may only tighten the policy's bounds: the loader refuses a loosening, and where several hold the tightest
wins. The direction of each field is data, and a test proves that every field of `Bounds` has one.
"""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import timedelta

from receiver.core.model import Bounds

LARGER_IS_TIGHTER = frozenset(
    {
        "alert_age", "confirm_gap", "boot_hold", "cooldown", "cooldown_max", "cooldown_reset", "namespace_refill", "global_refill",
        "storm_window", "storm_quiet", "breaker_open", "someone_else", "known_good_for", "scale_down_every", "restart_min_replicas",
        "restart_min_available", "restart_newest_pod", "late_landing", "restart_gap", "evict_gap", "evict_pod_age", "cordon_ready",
    }
)  # fmt: skip
SMALLER_IS_TIGHTER = frozenset(
    {
        "alert_too_old", "facts_fresh", "incident_actions", "incident_rejections", "target_day", "namespace_concurrency",
        "namespace_bucket", "global_concurrency", "global_bucket", "storm_targets", "storm_share", "storm_namespace", "breaker_row",
        "breaker_share", "rollout_younger_than", "scale_step", "scale_step_max", "scale_factor", "scale_lease", "scale_down_share",
        "restart_max_unavailable", "call_timeout", "verify_timeout", "flaps", "scale_extensions", "evict_share", "cordon_share",
        "offer_valid", "offers", "deployment_timeout",
    }
)  # fmt: skip


def tightest(one: Bounds, other: Bounds) -> Bounds:
    """The stricter value of each field."""
    values: dict[str, object] = {}
    for field in fields(Bounds):
        mine, theirs = getattr(one, field.name), getattr(other, field.name)
        values[field.name] = max(mine, theirs) if field.name in LARGER_IS_TIGHTER else min(mine, theirs)
    return replace(one, **values)  # type: ignore[arg-type]  # each value comes from the field of the same name


def loosens(policy: Bounds, name: str, value: timedelta | float) -> bool:
    """Setting field `name` to `value` would allow more than `policy` does."""
    present = getattr(policy, name)
    return bool(value < present) if name in LARGER_IS_TIGHTER else bool(value > present)
