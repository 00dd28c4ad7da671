"""The attack corpus against the real service, in a network namespace that has only loopback."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.real.processes import free_port

ATTACKS = Path(__file__).parents[1] / "attacks"
LIMIT_SECONDS = 170

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(LIMIT_SECONDS + 20)]


def _need_namespaces() -> None:
    missing = [name for name in ("unshare", "ip") if shutil.which(name) is None]
    if not missing:
        return
    text = f"{', '.join(missing)} missing; install util-linux and iproute2"
    if os.environ.get("RECEIVER_TEST_REQUIRE") == "all":
        pytest.fail(text)
    pytest.skip(text)


async def test_every_attack_is_answered_in_its_class(tmp_path: Path) -> None:
    """No 5xx, nothing fetched, no wrong action, no stall, healthy afterwards; and the control case does act."""
    _need_namespaces()
    port = free_port()
    options = ("--state-url", "/__test__/state", "--reset-url", "/__test__/reset", "--report", str(tmp_path / "report.json"))
    process = await asyncio.create_subprocess_exec(
        ATTACKS / "run_isolated.sh",
        str(port),
        f"{sys.executable} -m tests.attacks.server {port} 2>{tmp_path}/server.log",
        *options,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=ATTACKS.parents[1],
        env={**os.environ, "PYTHON": sys.executable},
    )
    out, _ = await asyncio.wait_for(process.communicate(), LIMIT_SECONDS)
    print(out.decode()[-2000:])
    assert process.returncode == 0, out.decode()[-4000:]
