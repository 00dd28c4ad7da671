"""AWS as a table of answers, where only the reading of them is of interest. Stands in for `receiver.clients.aws.Aws`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from receiver.clients.aws import AwsConfig, Place
from receiver.clients.errors import ClientError
from tests.fakes.ecs_world import REGION


@dataclass
class Canned:
    """`(service, operation)` → answer, or what makes it of the parameters."""

    answers: dict[tuple[str, str], Any] = field(default_factory=dict)
    asked: list[tuple[Place, str, Mapping[str, object]]] = field(default_factory=list)
    config: AwsConfig = field(default_factory=lambda: AwsConfig(region=REGION))

    async def ask(self, place: Place, operation: str, parameters: Mapping[str, object]) -> Mapping[str, Any]:
        self.asked.append((place, operation, dict(parameters)))
        found = self.answers.get((place.service, operation), {})
        if isinstance(found, ClientError):
            raise found
        answer: Mapping[str, Any] = found(parameters) if isinstance(found, Callable) else found  # type: ignore[arg-type]  # mypy: callable's type
        return answer
