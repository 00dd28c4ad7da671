"""What every test may use: the command line options, the limit of an e2e test, and random values that can be had again.

A run prints its seed; `RECEIVER_TEST_SEED=… pytest …` repeats it.
"""

from __future__ import annotations

import os
import random
import secrets

import pytest
from hypothesis import settings

from tests.real import tools

pytest_plugins = ["tests.real.fixtures"]

E2E_SECONDS = 180
SEED_VARIABLE = "RECEIVER_TEST_SEED"

# Set before the workers of xdist start, so that they inherit it.
SEED = os.environ.setdefault(SEED_VARIABLE, str(secrets.randbelow(2**32)))

# A deadline for each example measures the neighbours on a shared machine, not the code.
settings.register_profile("receiver", deadline=None, print_blob=True)
settings.load_profile("receiver")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kubeconfig", metavar="FILE", help="run the e2e tests against this cluster instead of one of their own")


def pytest_report_header() -> list[str]:
    return [f"random seed: {SEED_VARIABLE}={SEED}", f"kubernetes: {tools.KUBERNETES_VARIABLE}={tools.kubernetes_version()}"]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """An e2e test has its own limit, and one worker has them all (`--dist loadgroup`): the servers are started once.

    What asks for the control plane, by whatever way, is `cluster`: worth a run on each Kubernetes minor.
    """
    for item in items:
        if "control_plane" in getattr(item, "fixturenames", ()):
            item.add_marker("cluster")
        if item.get_closest_marker("e2e"):
            item.add_marker(pytest.mark.xdist_group("e2e"))
            if not item.get_closest_marker("timeout"):
                item.add_marker(pytest.mark.timeout(E2E_SECONDS))


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Random values of this test alone: the same again for the same seed and test."""
    return random.Random(f"{SEED}:{request.node.path.name}:{request.node.name}")


@pytest.fixture(scope="session")
def kubeconfig(request: pytest.FixtureRequest) -> str | None:
    """The cluster named on the command line, if one was."""
    value = request.config.getoption("--kubeconfig")
    return value if isinstance(value, str) else None
