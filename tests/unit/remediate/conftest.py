"""The ground of the action tests on the fake API server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from receiver.ports import Permission
from tests.fakes.kubernetes_api import ADMIN_TOKEN, FakeKubernetes
from tests.kits.action_ground import Ground
from tests.kits.action_kit import kind_of
from tests.real.access import Access


@pytest_asyncio.fixture
async def fake() -> AsyncIterator[FakeKubernetes]:
    async with FakeKubernetes() as api:
        yield api


@pytest_asyncio.fixture
async def ground(fake: FakeKubernetes, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ground]:
    async def tokens(permissions: tuple[Permission, ...]) -> str:
        fake.grant("limited-token-of-the-test", permissions)
        return "limited-token-of-the-test"

    made = Ground(Access(server=fake.url, token=ADMIN_TOKEN), "shop", tmp_path, tokens, kind=kind_of(request))
    try:
        await made.prepare()
        yield made
    finally:
        await made.close()
