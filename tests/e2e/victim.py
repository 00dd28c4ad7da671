"""The real service as a subprocess that kills itself (SIGKILL) at a named moment: `python -m tests.e2e.victim CONFIG [POINT]`.

Everything but the hook is what `receiver serve` runs.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from receiver.app import Hooks, serve
from receiver.settings import environment, load_settings
from receiver.telemetry.logs import configure_logging


async def run(config: Path, point: str) -> None:
    def failpoint(name: str) -> None:
        if name == point:
            os.kill(os.getpid(), signal.SIGKILL)

    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await serve(load_settings(config, environment()), stop=stop, started=lambda _: None, hooks=Hooks(failpoint=failpoint))


if __name__ == "__main__":
    configure_logging(sys.stderr, level="info")
    asyncio.run(run(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""))
