"""What the actions may do on the outside: the union of what each declares. Read by the tests of `deploy/`."""

from __future__ import annotations

from receiver.ports import Permission
from receiver.remediate import KUBERNETES_ACTIONS


def required_permissions() -> frozenset[Permission]:
    """Each right once; their identities say who needs it."""
    return frozenset(permission for action in KUBERNETES_ACTIONS.values() for permission in action.permissions)
