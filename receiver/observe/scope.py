"""Where we may look for a target, and what counts as its owner's consent: from configuration only, never from an alert."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from receiver.core.facts import SYSTEM_NAMESPACES


class OptIn(StrEnum):
    """Whose yes is needed before anything acts on a workload."""

    annotation = "annotation"
    """`alert-receiver.internal/enabled: "true"` on the workload or on its namespace."""
    namespace = "namespace"
    """The namespace's place on our allow-list is enough. An opt-out on the object always wins."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The cluster and the namespaces that are ours to act in."""

    cluster: str
    namespaces: frozenset[str]
    own_namespace: str = ""
    """Where the receiver itself runs; never acted in."""
    opt_in: OptIn = OptIn.annotation
    nodes: bool = False
    """Nodes may be read, which takes rights on the whole cluster."""

    def system(self, namespace: str) -> bool:
        """Never acted in, whatever the configuration says."""
        return namespace in SYSTEM_NAMESPACES or (namespace == self.own_namespace and bool(namespace))

    def refuses(self, namespace: str) -> str:
        """Empty: allowed. Otherwise why not."""
        if self.system(namespace):
            return f"namespace {namespace} is never acted in"
        if namespace not in self.namespaces:
            return f"namespace {namespace} is not on the allow-list ({', '.join(sorted(self.namespaces)) or 'empty'})"
        return ""
