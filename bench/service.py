"""The shipped service with room for the load generator's connections (all from one peer): `python -m bench.service CONFIG`."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from receiver.app import Hooks, serve
from receiver.ingest.server import ServerLimits
from receiver.settings import load_settings
from receiver.telemetry.logs import configure_logging


async def main(config: Path) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    hooks = Hooks(server_limits=ServerLimits(connections=2048, connections_per_peer=2048))
    await serve(load_settings(config, {}), stop=stop, started=lambda _: None, hooks=hooks)


if __name__ == "__main__":
    import uvloop

    configure_logging(sys.stderr, level="error")
    uvloop.run(main(Path(sys.argv[1])))
