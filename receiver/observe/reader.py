"""What the Kubernetes observers need of a client, and how its refusals become troubles.

Two methods, so that a test hands in lists of raw JSON. Reads that belong together run together; one that fails fails them all: a hazard
that could not be read must not look like one that is absent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

from receiver.clients.errors import ClientError, ErrorKind
from receiver.clients.kubernetes_objects import Object
from receiver.core.facts import Trouble

T = TypeVar("T")

PLATFORM = "kubernetes"

_TROUBLES = {
    ErrorKind.not_found: Trouble.not_found,
    ErrorKind.forbidden: Trouble.forbidden,
    ErrorKind.unauthorized: Trouble.forbidden,
    ErrorKind.timeout: Trouble.timeout,
}


class Reader(Protocol):
    """The reading half of `receiver.clients.kubernetes.Kubernetes`. Raises ClientError, nothing else."""

    async def get(self, kind: str, namespace: str, name: str) -> Object:
        """The object as raw JSON."""
        ...

    async def list(
        self, kind: str, namespace: str, *, label_selector: str = "", field_selector: str = "", limit: int = 500
    ) -> list[Object]:
        """All that match: never a silently cut list."""
        ...


def trouble_of(error: ClientError) -> Trouble:
    """The word for it in facts; what has none of its own is unreadable."""
    return _TROUBLES.get(error.kind, Trouble.unreadable)


async def together(*reads: Coroutine[Any, Any, T]) -> list[T]:
    """Their results in order; the first ClientError ends them all."""
    failed: BaseException | None = None
    tasks: list[asyncio.Task[T]] = []
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each, name="observe-read") for each in reads]
    except* ClientError as errors:
        failed = errors.exceptions[0]
    if failed is not None:
        raise failed
    return [each.result() for each in tasks]
