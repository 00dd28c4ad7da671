"""Fixtures of the end-to-end tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.e2e.scene import Scene
from tests.real.fixtures import Started
from tests.real.kubernetes import ControlPlane


@pytest_asyncio.fixture
async def scene(control_plane: ControlPlane, namespace: str, started: Started, tmp_path: Path) -> AsyncIterator[Scene]:
    """Not started yet: the test says with which rules."""
    token = control_plane.admin.access.token or ""
    made = Scene(control_plane, namespace, started, tmp_path, kubeconfig=control_plane.kubeconfig(), undo_token=token)
    try:
        yield made
    finally:
        await made.stop()
