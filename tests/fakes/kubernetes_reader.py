"""The reading half of a Kubernetes client over a list of raw objects, with faults by kind. Understands `a=b,c=d` selectors.

An empty namespace lists what has none, as nodes.
"""

from __future__ import annotations

from typing import Any

from receiver.clients.errors import ClientError, ErrorKind
from receiver.clients.kubernetes import LogWanted

Object = dict[str, Any]


class FakeReader:
    """`broken[kind]` is raised by every read of that kind; `reads` remembers them."""

    def __init__(self, *objects: Object) -> None:
        self.objects = list(objects)
        self.broken: dict[str, ClientError] = {}
        self.reads: list[str] = []
        self.logs: dict[str, str | ClientError] = {}
        """Pod → its log, or what asking for it comes to."""
        self.wanted: list[LogWanted] = []

    async def get(self, kind: str, namespace: str, name: str) -> Object:
        self._read(kind, f"{kind} {namespace}/{name}")
        for each in self.objects:
            if each["kind"] == kind and each["metadata"]["name"] == name and each["metadata"].get("namespace", namespace) == namespace:
                return each
        raise ClientError(ErrorKind.not_found, f"GET {kind} {name}: 404")

    async def list(
        self, kind: str, namespace: str, *, label_selector: str = "", field_selector: str = "", limit: int = 500
    ) -> list[Object]:
        self._read(kind, f"{kind} {namespace} {label_selector}{field_selector}")
        there = [each for each in self.objects if each["kind"] == kind and each["metadata"].get("namespace", "") == namespace]
        return [each for each in there if _labelled(each, label_selector) and _about(each, field_selector)]

    async def log(self, namespace: str, pod: str, wanted: LogWanted) -> str:
        self._read("Log", f"Log {namespace}/{pod}")
        self.wanted.append(wanted)
        found = self.logs.get(pod, "")
        if isinstance(found, ClientError):
            raise found
        return found

    def _read(self, kind: str, what: str) -> None:
        self.reads.append(what)
        if kind in self.broken:
            raise self.broken[kind]


def _labelled(obj: Object, selector: str) -> bool:
    labels = obj["metadata"].get("labels", {})
    return all(labels.get(key) == value for key, _, value in (part.partition("=") for part in selector.split(",") if part))


def _about(obj: Object, selector: str) -> bool:
    return all(_field(obj, path) == value for path, _, value in (part.partition("=") for part in selector.split(",") if part))


def _field(obj: Object, path: str) -> Any:
    found: Any = obj
    for part in path.split("."):
        found = found.get(part, {})
    return found
