"""What every store keeps, whatever its engine.

Subclass `StoreKit` in a test module and give it the fixture `ground_factory`; pytest does the rest.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from receiver.store.sql_store import SqlStore
from tests.kits.store_changes_kit import ChangesKit
from tests.kits.store_dependent_kit import DependentKit
from tests.kits.store_fold_kit import FoldKit
from tests.kits.store_ground import Ground
from tests.kits.store_hand_kit import HandKit
from tests.kits.store_ledger_kit import LedgerKit
from tests.kits.store_merge_kit import MergeKit
from tests.kits.store_queue_kit import QueueKit
from tests.kits.store_wait_kit import WaitKit

GroundFactory = Callable[[str], Ground]
"""An empty database of that name. Two names are two installations."""


class StoreKit(ChangesKit, DependentKit, FoldKit, LedgerKit, HandKit, MergeKit, QueueKit, WaitKit):
    """Needs the fixture `ground_factory`."""

    @pytest.fixture
    def ground(self, ground_factory: GroundFactory) -> Ground:
        return ground_factory("receiver")

    @pytest.fixture
    def other_ground(self, ground_factory: GroundFactory) -> Ground:
        return ground_factory("another")

    @pytest.fixture
    async def store(self, ground: Ground) -> AsyncIterator[SqlStore]:
        yield await ground.open()
        await ground.close()
