"""An intake that remembers what it was given, and refuses when told to."""

from __future__ import annotations

from receiver.ports import Delivery, NotDurable, OwnTrouble


class FakeIntake:
    """`refusal`: raised for each delivery while it is set."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self.troubles: list[OwnTrouble] = []
        self.refusal: NotDurable | None = None

    async def accept(self, delivery: Delivery) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.deliveries.append(delivery)

    def report(self, trouble: OwnTrouble) -> None:
        self.troubles.append(trouble)
